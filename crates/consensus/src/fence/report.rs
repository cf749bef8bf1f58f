//! A node tells the leader how far it has come, as soon as that is waited for: what goes
//! with its next proof would come up to a tick later.

use std::{sync::Arc, time::Duration};

use chancery_credential::{NodeNumber, Revision};
use chancery_wire::peer as pb;
use tokio::sync::watch;

use super::{Fence, Report, moved};
use crate::{
    peers::{
        book::PeerBook,
        dialer::{Dialer, Lane},
    },
    status::{leader_of, metrics_of},
};

/// How long one report may take: after it the next one says more.
const REPORT_LIMIT: Duration = Duration::from_millis(300);
/// Between attempts that fail.
const PAUSE: Duration = Duration::from_millis(25);

/// Reports of this node.
pub(crate) struct Reporter {
    pub(crate) own: NodeNumber,
    pub(crate) fence: Arc<Fence>,
    pub(crate) book: Arc<PeerBook>,
    pub(crate) dialer: Arc<Dialer>,
    /// Through where somebody waits for this node, as leaders said.
    pub(crate) wanted: watch::Sender<Revision>,
}

/// What a leader was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    leader: NodeNumber,
    report: Report,
}

impl Reporter {
    /// A leader says that somebody waits for this node to apply what is in the log
    /// through there.
    pub(crate) fn want(&self, through: Revision) {
        self.wanted.send_if_modified(|wanted| {
            let is_later = through > *wanted;
            *wanted = through.max(*wanted);
            is_later
        });
    }

    /// Reports whatever is wanted and new, until dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut wanted = self.wanted.subscribe();
        let mut applied = self.fence.published.applied();
        let mut verifiers = self.fence.verifiers.changes();
        let mut told: Option<Told> = None;
        loop {
            wanted.mark_unchanged();
            applied.mark_unchanged();
            verifiers.mark_unchanged();
            let through = *wanted.borrow();
            if let Some((leader, report)) = self.news(through, told) {
                match self.tell(leader, report, None).await {
                    Ok(()) => told = Some(Told { leader, report }),
                    Err(()) => tokio::time::sleep(PAUSE).await,
                }
                continue;
            }
            tokio::select! {
                _ = wanted.changed() => {}
                _ = applied.changed() => {}
                () = moved(&mut verifiers) => {}
            }
        }
    }

    /// What the leader wants to hear and has not heard; nothing while this node leads.
    fn news(&self, through: Revision, told: Option<Told>) -> Option<(NodeNumber, Report)> {
        let leader = leader_of(&self.fence.raft).filter(|leader| *leader != self.own)?;
        let report = self.fence.own_report();
        let Some(told) = told.filter(|told| told.leader == leader) else {
            return (through > Revision(0)).then_some((leader, report));
        };
        let more =
            |told: Option<Revision>, now: Option<Revision>| told < Some(through) && now > told;
        let is_news = more(Some(told.report.applied), Some(report.applied))
            || more(told.report.verifiers, report.verifiers);
        is_news.then_some((leader, report))
    }

    /// Says that this process has withdrawn its proofs, to whoever leads.
    pub(crate) async fn say_ended(&self, within: Duration) -> bool {
        let saying = async {
            loop {
                if self.end_at_the_leader().await {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(within, saying).await.is_ok()
    }

    async fn end_at_the_leader(&self) -> bool {
        let report = self.fence.own_report();
        let metrics = metrics_of(&self.fence.raft);
        let term = metrics.current_term;
        match metrics.current_leader.map(NodeNumber) {
            Some(leader) if leader == self.own => self.fence.end(self.own, report, term),
            Some(leader) => self.tell(leader, report, Some(term)).await.is_ok(),
            None => false,
        }
    }

    async fn tell(
        &self,
        leader: NodeNumber,
        report: Report,
        ended_in: Option<u64>,
    ) -> Result<(), ()> {
        let record = self.book.record_of(leader).ok_or(())?;
        let mut client = self
            .dialer
            .client(leader, &record, Lane::Control)
            .map_err(|_| ())?;
        let request = pb::ReportAppliedRequest {
            from: self.own.0,
            report: Some(report.wire()),
            ended_in,
        };
        let telling = tokio::time::timeout(REPORT_LIMIT, client.report_applied(request));
        match telling.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(status)) => {
                tracing::debug!(%leader, %status, "the leader took no report");
                Err(())
            }
            Err(_) => Err(()),
        }
    }
}

impl Report {
    pub(crate) fn wire(&self) -> pb::Report {
        pb::Report {
            process: Some(self.process.wire()),
            applied: self.applied.0,
            verifiers: self.verifiers.map(|known| known.0),
        }
    }

    /// `None` without a process.
    pub(crate) fn read(wire: pb::Report) -> Option<Self> {
        Some(Self {
            process: wire.process?.into(),
            applied: Revision(wire.applied),
            verifiers: wire.verifiers.map(Revision),
        })
    }
}
