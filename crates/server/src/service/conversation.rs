//! What is said on a watcher's stream beside the changes: the terms that a verifier goes
//! by, and the answers to its pings.
//!
//! ```text
//!  ping ─► the row (until receipt + V·κ) ─► freshness, revision ─► every change up to it ─► the clock ─► pong
//! ```
//!
//! One ping is owed at a time, and the next is read when it was answered, no sooner than
//! [`PAUSE`] later: who pings more waits in its own connection. Everything here happens
//! as the watcher reads: one that does not read is not read either.

use std::{pin::Pin, sync::Arc, time::Duration};

use chancery_authority::Settings;
use chancery_credential::Revision;
#[cfg(simulation)]
use chancery_mutation::{Mutation, is_made};
use chancery_revocation::{BootTime, Serving};
use chancery_wire::v1::{self, watch_response::Event};
use tokio::{sync::watch, time::Sleep};
use tonic::{Code, Status, Streaming};

use super::{Desk, consistency::stale, feed::News, parse};
use crate::{
    caller::{Holder, refuse},
    clock::SystemClock,
    subscriptions::{Full, RowId},
};

/// Between a pong and the reading of the next ping: a hundred a second at most.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a proof is waited for before it is looked again whether there is one.
const PROOF_WAIT: Duration = Duration::from_secs(2);

/// One watcher's side of its stream.
pub(super) struct Conversation {
    desk: Arc<Desk>,
    watcher: Holder,
    /// V as it was asked for; 0: the cluster's default.
    asked_ms: u64,
    pings: Pings,
    settings: watch::Receiver<()>,
    /// As they were said last.
    terms: v1::Terms,
    /// The settings may have changed since.
    unsure: bool,
    row: Option<RowId>,
    /// What the watcher said last that it has applied.
    applied: Revision,
    owed: Option<Owed>,
}

/// A ping that was not answered yet.
struct Owed {
    sent: u64,
    received: BootTime,
    answer: Option<Answer>,
}

/// Its row is made, and this is what it is answered from, when every change up to there
/// was told.
struct Answer {
    from: Serving,
    /// V that the row reckons with, milliseconds.
    max_age_ms: u64,
}

impl Conversation {
    /// With a watcher whose first message asked for a V of `asked_ms`. Gives the terms
    /// to begin with.
    ///
    /// # Errors
    /// When this node knows no settings yet.
    pub(super) fn begin(
        desk: Arc<Desk>,
        watcher: Holder,
        asked_ms: u64,
        requests: Streaming<v1::WatchRequest>,
    ) -> Result<(Self, v1::WatchResponse), Status> {
        // Before the look: what changes between the two is seen as a change.
        let settings = desk.subscriptions.settings_changed();
        let terms = terms(&desk, asked_ms)?;
        let said = v1::WatchResponse {
            event: Some(Event::Terms(terms.clone())),
        };
        let conversation = Self {
            desk,
            watcher,
            asked_ms,
            pings: Pings::of(requests),
            settings,
            terms,
            unsure: false,
            row: None,
            applied: Revision(0),
            owed: None,
        };
        Ok((conversation, said))
    }

    /// The revision up to which changes are told before the ping that is owed is
    /// answered.
    pub(super) fn through(&self) -> Option<Revision> {
        let answer = self.owed.as_ref()?.answer.as_ref()?;
        #[cfg(simulation)]
        if is_made(Mutation::PongEarly) {
            return Some(Revision(0));
        }
        Some(answer.from.revision())
    }

    /// What is to be said to a watcher that was told everything up to `told`, once there
    /// is something, or readers see more.
    ///
    /// # Errors
    /// What ends the stream.
    pub(super) async fn news(&mut self, told: Revision) -> Result<News, Status> {
        loop {
            if let Some(terms) = self.new_terms()? {
                return Ok(News::Word(Event::Terms(terms)));
            }
            self.prepare()?;
            match self.through() {
                Some(through) if through > told => return Ok(News::Changes),
                Some(_) => {
                    if let Some(pong) = self.answer() {
                        return Ok(News::Word(Event::Pong(pong)));
                    }
                }
                None => {}
            }
            let is_owing = self.owed.is_some();
            let consensus = &self.desk.consensus;
            tokio::select! {
                ping = self.pings.next(), if !is_owing => self.hear(ping?)?,
                // It has nothing to answer from.
                _ = consensus.next_proof(PROOF_WAIT), if is_owing => {}
                () = consensus.wait_past(told) => return Ok(News::Changes),
                _ = self.settings.changed() => self.unsure = true,
            }
        }
    }

    /// The terms, if they are not what was said last.
    fn new_terms(&mut self) -> Result<Option<v1::Terms>, Status> {
        if !self.unsure && !self.settings.has_changed().unwrap_or(false) {
            return Ok(None);
        }
        self.unsure = false;
        self.settings.mark_unchanged();
        let mut terms = terms(&self.desk, self.asked_ms)?;
        let state = std::mem::take(&mut terms.consistency_token);
        let is_same = v1::Terms {
            consistency_token: self.terms.consistency_token.clone(),
            ..terms.clone()
        } == self.terms;
        terms.consistency_token = state;
        if is_same {
            return Ok(None);
        }
        self.terms = terms.clone();
        Ok(Some(terms))
    }

    fn hear(&mut self, ping: v1::Ping) -> Result<(), Status> {
        let received = SystemClock::boot();
        let applied = Revision(ping.revision);
        if applied < self.applied {
            let why = format!("{applied} is before {}, said earlier", self.applied);
            return Err(parse::invalid("ping.revision", why));
        }
        self.applied = applied;
        if let Some(row) = self.row {
            self.desk.subscriptions.heard(row, applied, received);
        }
        self.owed = Some(Owed {
            sent: ping.sent,
            received,
            answer: None,
        });
        Ok(())
    }

    /// Makes the row of the ping that is owed, then looks what it can be answered from,
    /// in this order. While this node cannot prove that its state is recent it does
    /// neither.
    fn prepare(&mut self) -> Result<(), Status> {
        let Some(owed) = self.owed.as_mut().filter(|owed| owed.answer.is_none()) else {
            return Ok(());
        };
        let view = self.desk.consensus.view();
        if view.begin().finish(&SystemClock).is_err() {
            return Ok(());
        }
        let settings = settings(&self.desk)?;
        let max_age_ms = granted(&settings, self.asked_ms);
        let lasts = settings.times_kappa(max_age_ms);
        #[cfg(simulation)]
        let lasts = if is_made(Mutation::RowNoKappa) {
            max_age_ms
        } else {
            lasts
        };
        let row = self.desk.subscriptions.answering(
            self.row,
            &self.watcher,
            self.applied,
            owed.received.plus(Duration::from_millis(lasts)),
            SystemClock::boot(),
        );
        self.row = Some(row.map_err(|full| crowded(&full))?);
        let from = view.begin();
        owed.answer = Some(Answer { from, max_age_ms });
        Ok(())
    }

    /// Answers the ping that is owed, unless what it is answered from ran out meanwhile.
    fn answer(&mut self) -> Option<v1::Pong> {
        let owed = self.owed.as_mut()?;
        let answer = owed.answer.take()?;
        let current = answer.from.finish(&SystemClock).ok()?;
        let age_us = current.age.as_nanos().div_ceil(1_000);
        let pong = v1::Pong {
            sent: owed.sent,
            revision: current.revision.0,
            age_us: u64::try_from(age_us).unwrap_or(u64::MAX),
            max_age_ms: answer.max_age_ms.min(self.terms.max_age_ms),
        };
        self.owed = None;
        self.pings.rest();
        Some(pong)
    }
}

/// What a watcher sends after its first message.
struct Pings {
    /// `None` when it sends no more.
    requests: Option<Streaming<v1::WatchRequest>>,
    /// Nothing is read before.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Pings {
    const fn of(requests: Streaming<v1::WatchRequest>) -> Self {
        Self {
            requests: Some(requests),
            pause: None,
        }
    }

    fn rest(&mut self) {
        self.pause = Some(Box::pin(tokio::time::sleep(PAUSE)));
    }

    /// The next ping, or why there is none any more. May be dropped while it waits.
    async fn next(&mut self) -> Result<v1::Ping, Status> {
        if let Some(pause) = &mut self.pause {
            pause.await;
            self.pause = None;
        }
        let Some(requests) = &mut self.requests else {
            return std::future::pending().await;
        };
        match requests.message().await? {
            Some(request) => ping(request),
            None => {
                self.requests = None;
                std::future::pending().await
            }
        }
    }
}

fn ping(request: v1::WatchRequest) -> Result<v1::Ping, Status> {
    if request.max_age_ms != 0 || !request.since.is_empty() {
        let why = "only the first message of a watch says how to begin";
        return Err(parse::invalid("max_age_ms, since", why));
    }
    parse::required("ping", request.ping)
}

fn settings(desk: &Desk) -> Result<Arc<Settings>, Status> {
    desk.consensus.directory().settings().ok_or_else(stale)
}

/// V: what was asked for, as far as it may be.
fn granted(settings: &Settings, asked_ms: u64) -> u64 {
    let wanted = match asked_ms {
        0 => settings.v_default_ms,
        asked => asked,
    };
    wanted.min(settings.v_max_ms)
}

fn terms(desk: &Desk, asked_ms: u64) -> Result<v1::Terms, Status> {
    let settings = settings(desk)?;
    Ok(v1::Terms {
        max_age_ms: granted(&settings, asked_ms),
        rho_percent: u32::try_from(settings.rho_percent).unwrap_or(u32::MAX),
        leeway_s: settings.leeway_s,
        ttl_cap_s: settings.ttl_cap_s,
        issuer: settings.issuer_url.clone(),
        trust_domain: settings.trust_domain.to_string(),
        consistency_token: desk.token_for(desk.consensus.view().revision()),
    })
}

fn crowded(full: &Full) -> Status {
    refuse(
        Code::ResourceExhausted,
        "TOO_MANY_VERIFIERS",
        full.to_string(),
        "subscribe at another node, or again when others have run out; let verifiers of one \
         process share one subscription",
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn no_verifier_has_a_v_that_the_cluster_does_not_allow_now() {
        let mut settings = Settings::new(
            "example.org".parse().expect("a trust domain"),
            "https://chancery.example.org",
        );
        (settings.v_default_ms, settings.v_max_ms) = (5_000, 20_000);
        assert_eq!(granted(&settings, 0), 5_000);
        assert_eq!(granted(&settings, 12_000), 12_000);
        settings.v_max_ms = 8_000;
        assert_eq!(granted(&settings, 12_000), 8_000);
        settings.v_max_ms = 3_000;
        assert_eq!(granted(&settings, 0), 3_000);
    }

    #[test]
    fn later_messages_are_pings_and_nothing_else() {
        let sent = v1::Ping {
            sent: 5,
            revision: 7,
        };
        let request = v1::WatchRequest {
            ping: Some(sent),
            ..v1::WatchRequest::default()
        };
        assert_eq!(ping(request.clone()).expect("a ping"), sent);
        let begins_again = v1::WatchRequest {
            since: "x".to_owned(),
            ..request
        };
        let nothing = v1::WatchRequest::default();
        for wrong in [begins_again, nothing] {
            let refused = ping(wrong).expect_err("it is no ping");
            assert_eq!(refused.code(), Code::InvalidArgument);
        }
    }

    #[test]
    fn who_is_refused_is_told_where_to_go() {
        let status = crowded(&Full::Node(3));
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.message().starts_with("3 verifiers"), "{status}");
    }
}
