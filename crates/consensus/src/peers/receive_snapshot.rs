//! Receiving a snapshot: rows go straight into a state beside the present one,
//! which is complete, checked and durable before anybody is told of it.

use std::{io, sync::Arc, time::Duration};

use chancery_credential::{Lineage, NodeNumber};
use chancery_storage::{Row, StagedState, StateStore, Tally};
use chancery_wire::peer as pb;
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

use super::send_snapshot::bytes_of;
use crate::{
    codec::{AppliedRecord, peer as codec},
    disk_work::on_a_thread,
    raft::{Snapshot, Vote},
    state_machine::{Received, SnapshotSource, applied_of},
    transfers::{Transfer, Transfers},
};

/// How long the next part may take: others may have one to send too.
const PART_LIMIT: Duration = Duration::from_secs(20);

/// Reads a whole snapshot from a peer that was identified already; `may_send` says
/// whether it may, with the vote that it comes with.
///
/// # Errors
/// What `may_send` says. Chunks out of order, of another sender or missing, and a disk that fails: then
/// the rows that came are thrown away.
pub(crate) async fn receive(
    store: StateStore,
    lineage: Lineage,
    from: NodeNumber,
    transfers: &Arc<Transfers>,
    may_send: impl Fn(&Vote) -> Result<(), Status>,
    chunks: impl Stream<Item = Result<pb::SnapshotChunk, Status>> + Unpin,
) -> Result<(Vote, Snapshot), Status> {
    use pb::snapshot_chunk::Part;
    let mut parts = chunks.map(|chunk| {
        let chunk = chunk?;
        if chunk.from == from.0 {
            Ok(chunk.part)
        } else {
            Err(other_sender(from, chunk.from))
        }
    });
    let Some(Part::Header(header)) = next(&mut parts).await? else {
        return Err(out_of_order("a snapshot begins with its header"));
    };
    let head = codec::read_snapshot_header(header)
        .map_err(|error| Status::invalid_argument(error.to_string()))?;
    may_send(&head.vote)?;
    let transfer = transfers.receive(from, head.rows);
    let mut staged = blocking(move || Ok(store.stage()?)).await?;
    loop {
        match next(&mut parts).await? {
            Some(Part::Rows(rows)) => {
                // Whoever is no peer any more fills no disk.
                may_send(&head.vote)?;
                staged = push(staged, rows, &transfer).await?;
            }
            Some(Part::Trailer(trailer)) => {
                if next(&mut parts).await?.is_some() {
                    return Err(out_of_order("a snapshot ends with its trailer"));
                }
                let received = finish(staged, &head, &trailer, lineage).await?;
                // It took a while: whoever has lost its standing meanwhile is not followed.
                may_send(&head.vote)?;
                let snapshot = Snapshot {
                    meta: head.meta,
                    snapshot: SnapshotSource::Received(Box::new(received)),
                };
                return Ok((head.vote, snapshot));
            }
            Some(Part::Header(_)) => return Err(out_of_order("a snapshot has one header")),
            None => return Err(out_of_order("a snapshot ends with its trailer")),
        }
    }
}

async fn next(
    parts: &mut (impl Stream<Item = Result<Option<pb::snapshot_chunk::Part>, Status>> + Unpin),
) -> Result<Option<pb::snapshot_chunk::Part>, Status> {
    let part = tokio::time::timeout(PART_LIMIT, parts.next()).await;
    match part.map_err(|_| stalled())? {
        None => Ok(None),
        Some(Ok(Some(part))) => Ok(Some(part)),
        Some(Ok(None)) => Err(out_of_order(
            "a part that this build does not know: upgrade it",
        )),
        Some(Err(status)) => Err(status),
    }
}

async fn push(
    mut staged: StagedState,
    rows: pb::SnapshotRows,
    transfer: &Transfer,
) -> Result<StagedState, Status> {
    let rows = rows
        .rows
        .into_iter()
        .map(|row| {
            let table = u8::try_from(row.table)
                .map_err(|_| out_of_order("a table that this build does not know: upgrade it"))?;
            Ok(Row {
                table,
                key: row.key,
                value: row.value,
            })
        })
        .collect::<Result<Vec<_>, Status>>()?;
    let (count, bytes) = (rows.len(), bytes_of(&rows));
    let staged = blocking(move || {
        staged.push(rows)?;
        Ok(staged)
    })
    .await?;
    transfer.add(count as u64, bytes as u64);
    Ok(staged)
}

async fn finish(
    staged: StagedState,
    head: &codec::SnapshotHead,
    trailer: &pb::SnapshotTrailer,
    lineage: Lineage,
) -> Result<Received, Status> {
    let digest: [u8; 32] = trailer
        .sha256
        .as_ref()
        .try_into()
        .map_err(|_| out_of_order("a snapshot's digest has 32 bytes"))?;
    let tally = Tally {
        rows: trailer.rows,
        digest,
    };
    let applied = applied_of(&AppliedRecord {
        differs_at: None,
        last: head.meta.last_log_id,
        membership: head.meta.last_membership.clone(),
        digest: head.digest,
    });
    let meta = head.meta.clone();
    blocking(move || {
        let finished = staged.finish(applied, &tally)?;
        Ok(Received::read(finished, &meta, lineage)?)
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Status> {
    match on_a_thread(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => Err(
            Status::invalid_argument(format!("the snapshot is of no use here: {error}")),
        ),
        Ok(Err(error)) => Err(Status::internal(error.to_string())),
        Err(error) => Err(Status::internal(error.to_string())),
    }
}

fn stalled() -> Status {
    Status::deadline_exceeded("the next part of the snapshot did not come in time; send it again")
}

fn out_of_order(what: &'static str) -> Status {
    Status::invalid_argument(what)
}

fn other_sender(from: NodeNumber, claimed: u64) -> Status {
    Status::permission_denied(format!(
        "node {from} proved its key, and the chunk is of {claimed}"
    ))
}
