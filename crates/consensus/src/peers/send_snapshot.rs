//! Sending a snapshot: rows read from the image on disk in bounded chunks, never
//! more of them in memory than are under way.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chancery_credential::NodeNumber;
use chancery_storage::{Checkpoint, Row};
use chancery_wire::peer as pb;
use futures::StreamExt;
use openraft::raft::SnapshotResponse;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::dialer::PeerClient;
use crate::{
    codec::{Undecodable, decode_applied, peer as codec, raft::read_vote},
    disk_work::on_a_thread,
    raft::{Snapshot, Types, Vote},
    state_machine::{SnapshotSource, StateMachine, next_chunk},
    transfers::{Transfer, Transfers},
};

/// Chunks that wait to be sent.
const CHUNKS_AHEAD: usize = 4;

/// A snapshot did not reach its peer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("the snapshot was not taken by the peer: {0}")]
    Peer(#[from] tonic::Status),
    #[error("the peer's answer to a snapshot: {0}")]
    Answer(#[from] Undecodable),
    #[error("no progress in {0:?} with a snapshot")]
    Stalled(Duration),
    #[error("there is no image of the state to send")]
    NotAnImage,
}

/// From where to where, and where it is seen how far it has come.
pub(crate) struct Way<'a> {
    pub(crate) own: NodeNumber,
    pub(crate) to: NodeNumber,
    pub(crate) transfers: &'a Arc<Transfers>,
}

/// Sends the whole snapshot and waits until the peer has installed it. Each part
/// of the way may take `stall` without progress.
pub(crate) async fn send(
    mut client: PeerClient,
    Way { own, to, transfers }: Way<'_>,
    vote: Vote,
    snapshot: Snapshot,
    stall: Duration,
) -> Result<SnapshotResponse<Types>, SendError> {
    let SnapshotSource::Image(image, machine) = snapshot.snapshot else {
        return Err(SendError::NotAnImage);
    };
    let head = codec::SnapshotHead {
        vote,
        meta: snapshot.meta,
        digest: decode_applied(image.applied().meta.clone())?.digest,
        rows: machine.rows_now(),
    };
    let transfer = transfers.send(to, head.rows);
    let header = pb::snapshot_chunk::Part::Header(codec::snapshot_header(&head));
    let header = chunk(own, header);
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    let reading = tokio::spawn(async move {
        let outlet = Outlet {
            own,
            sender,
            transfer,
        };
        let read = move || {
            outlet
                .read(header, &image)
                .or_else(|error| renew(&machine, &image, &error))
        };
        on_a_thread(read).await?
    });
    let sent = Arc::new(AtomicU64::new(0));
    let counted = sent.clone();
    let chunks = ReceiverStream::new(receiver).inspect(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let call = client.install_snapshot(chunks);
    tokio::pin!(call);
    loop {
        let before = sent.load(Ordering::Relaxed);
        match tokio::time::timeout(stall, &mut call).await {
            Ok(response) => {
                // A reader that failed has cut the stream short, and the peer said so.
                log_failed_read(reading.await);
                let response = response?.into_inner();
                return Ok(SnapshotResponse::new(read_vote(response.vote)?));
            }
            Err(_) if sent.load(Ordering::Relaxed) == before => {
                return Err(SendError::Stalled(stall));
            }
            Err(_) => {}
        }
    }
}

/// The rows ended early: because the peer went away, or because this disk cannot
/// give them, and then the next attempt needs another image.
fn renew(machine: &StateMachine, image: &Checkpoint, error: &io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Ok(());
    }
    tracing::error!(%error, "an image of the state cannot be read; another is made");
    machine.replace_image(image)
}

fn log_failed_read(read: Result<io::Result<()>, tokio::task::JoinError>) {
    match read {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "an image of the state cannot be made"),
        Err(error) => tracing::error!(%error, "the reader of a snapshot died"),
    }
}

fn chunk(own: NodeNumber, part: pb::snapshot_chunk::Part) -> pb::SnapshotChunk {
    pb::SnapshotChunk {
        from: own.0,
        part: Some(part),
    }
}

/// Where the parts of a snapshot go.
struct Outlet {
    own: NodeNumber,
    sender: mpsc::Sender<pb::SnapshotChunk>,
    transfer: Transfer,
}

impl Outlet {
    /// Reads until the rows, or whoever takes them, end.
    fn read(&self, header: pb::SnapshotChunk, image: &Checkpoint) -> io::Result<()> {
        self.hand_over(header)?;
        let mut rows = image.rows()?;
        loop {
            let next = next_chunk(&mut rows)?;
            if next.is_empty() {
                break;
            }
            let (count, bytes) = (next.len(), bytes_of(&next));
            let next = next
                .into_iter()
                .map(|row| pb::snapshot_rows::Row {
                    table: u32::from(row.table),
                    key: row.key,
                    value: row.value,
                })
                .collect();
            let part = pb::snapshot_chunk::Part::Rows(pb::SnapshotRows { rows: next });
            self.hand_over(chunk(self.own, part))?;
            self.transfer.add(count as u64, bytes as u64);
        }
        let tally = rows.tally();
        let trailer = pb::SnapshotTrailer {
            rows: tally.rows,
            sha256: Bytes::copy_from_slice(&tally.digest),
        };
        let part = pb::snapshot_chunk::Part::Trailer(trailer);
        self.hand_over(chunk(self.own, part))
    }

    fn hand_over(&self, chunk: pb::SnapshotChunk) -> io::Result<()> {
        let gone = |()| io::Error::new(io::ErrorKind::BrokenPipe, "the peer takes no more");
        #[cfg(simulation)]
        // Its one thread cannot wait for itself to take them.
        return self.sender.try_send(chunk).map_err(|_| gone(()));
        #[cfg(not(simulation))]
        self.sender.blocking_send(chunk).map_err(|_| gone(()))
    }
}

/// Of their keys and values.
pub(super) fn bytes_of(rows: &[Row]) -> usize {
    rows.iter().map(|row| row.key.len() + row.value.len()).sum()
}
