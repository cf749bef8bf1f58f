//! Learning of members that came while this node was away. Who leads now may be one
//! of them: its key is in no membership that this node holds, so its entries, which
//! would say so, are refused. Any peer that this node does know tells.

use std::{sync::Arc, time::Duration};

use chancery_credential::NodeNumber;
use chancery_revocation::BootTime;
use chancery_wire::peer as pb;
use futures::{StreamExt, stream};
use tokio::sync::watch;

use super::{
    book::PeerBook,
    dialer::{Dialer, Lane},
};
use crate::{codec::raft as codec, peer_record::PeerRecord, raft::StoredMembership};

/// How long without a proof before this node asks whether it missed something.
const ASK_AFTER: Duration = Duration::from_secs(1);
const ANSWER_LIMIT: Duration = Duration::from_millis(500);
const ASKED_AT_ONCE: usize = 64;

/// Asks the known peers for the membership while this node proves nothing.
pub(crate) struct Introduction {
    pub(crate) own: NodeNumber,
    pub(crate) book: Arc<PeerBook>,
    pub(crate) dialer: Arc<Dialer>,
    /// Moves with each proof of freshness.
    pub(crate) proved: watch::Receiver<Option<BootTime>>,
}

impl Introduction {
    /// Runs until dropped.
    pub(crate) async fn run(mut self) {
        loop {
            match tokio::time::timeout(ASK_AFTER, self.proved.changed()).await {
                Ok(Ok(())) => self.book.forget_told(),
                Ok(Err(_)) => return,
                Err(_) => self.ask_all().await,
            }
        }
    }

    /// Members first, and many at once: whoever is made up answers nobody, and keeps
    /// nobody waiting.
    async fn ask_all(&self) {
        let others = self.book.all().into_iter();
        let others = others.filter(|(number, _)| *number != self.own);
        let asking = others.map(|(number, record)| async move {
            let asking = self.ask(number, &record);
            let answer = tokio::time::timeout(ANSWER_LIMIT, asking).await;
            if let Ok(Some(membership)) = answer {
                self.hear(number, &membership);
            }
        });
        let mut asked = stream::iter(asking).buffer_unordered(ASKED_AT_ONCE);
        while asked.next().await.is_some() {}
    }

    fn hear(&self, from: NodeNumber, membership: &StoredMembership) {
        if self.book.introduce(from, membership) {
            let at = membership.log_id().map(|log_id| log_id.index);
            tracing::info!(%from, ?at, "told of members that came meanwhile");
        }
    }

    async fn ask(&self, number: NodeNumber, record: &PeerRecord) -> Option<StoredMembership> {
        let mut client = self.dialer.client(number, record, Lane::Control).ok()?;
        let request = pb::IntroduceRequest { from: self.own.0 };
        let answer = client.introduce(request).await.inspect_err(|status| {
            // No peer any more: a handshake tells whether it was removed.
            if status.code() == tonic::Code::PermissionDenied {
                self.dialer.hang_up(number, Lane::Control);
            }
        });
        let answer = answer.ok()?.into_inner();
        codec::read_stored_membership(answer.membership).ok()
    }
}
