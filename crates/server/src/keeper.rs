//! The keeper: what the cluster does by itself, on the leader.
//!
//! Every node runs one; it acts only while its node leads. All spans are counted
//! on its own monotonic clock from when *it* applied the step, so a new leader is
//! only ever later, never earlier. `apply` judges each command again.

use std::{collections::BTreeMap, time::Duration};

use chancery_authority::{Actor, Command, Event, IssuerStanding, RequestId, State};
use chancery_consensus::{Consensus, Missed, Proposal, Step};
use chancery_credential::{EpochNumber, IssuerNumber};
use chancery_revocation::{BootTime, Change, Clock};
use tracing::{info, warn};

use crate::clock::SystemClock;

/// How often the keeper looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Log time is not left further behind than this.
const TICK_AFTER_MS: u64 = 1_000;
const PROPOSAL_WAIT: Duration = Duration::from_secs(5);

/// Runs the keeper until the node stops.
pub(crate) async fn keep(consensus: Consensus) {
    let mut events = consensus.events();
    let mut seen = Seen::default();
    let catch_up = |seen: &mut Seen| {
        let now = SystemClock::boot();
        consensus.read_state(|state| seen.catch_up(state, now));
    };
    catch_up(&mut seen);
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // What was applied first: a step that has passed is not due again.
            biased;
            step = events.next() => match step {
                Err(Missed::Closed) => return,
                Ok(Step::Applied { events, .. }) => seen.note(&events, SystemClock::boot()),
                Ok(Step::Replaced { .. }) | Err(Missed::Lagged(_)) => catch_up(&mut seen),
            },
            _ = look.tick() => {
                if leads(&consensus) {
                    let now = SystemClock.now();
                    let wall_ms = SystemClock::wall_ms();
                    let commands = consensus.read_state(|state| due(state, &seen, wall_ms, now.boot));
                    for command in commands {
                        carry_out(&consensus, command).await;
                    }
                }
            }
        }
    }
}

/// Whether this node believes that it leads; what it proposes decides.
fn leads(consensus: &Consensus) -> bool {
    let status = consensus.status();
    status.leader == Some(status.node)
}

/// When this process applied the steps that something follows from.
#[derive(Debug, Default)]
struct Seen {
    /// Issuers retired or revoked.
    closed: BTreeMap<IssuerNumber, BootTime>,
    /// The newest epoch, which supersedes all others.
    epoch: Option<(EpochNumber, BootTime)>,
}

impl Seen {
    /// Steps from before this process, and those that passed it by, count from now:
    /// later, never earlier.
    fn catch_up(&mut self, state: &State, now: BootTime) {
        let closed = state
            .issuers()
            .filter(|record| record.standing != IssuerStanding::Open);
        let known: BTreeMap<_, _> = closed
            .map(|record| record.number)
            .map(|number| (number, self.closed.get(&number).copied().unwrap_or(now)))
            .collect();
        self.closed = known;
        let newest = state.epoch().map(|epoch| epoch.number);
        if self.epoch.map(|(epoch, _)| epoch) != newest {
            self.epoch = newest.map(|epoch| (epoch, now));
        }
    }

    fn note(&mut self, events: &[Event], now: BootTime) {
        for event in events {
            match event {
                Event::View(
                    Change::IssuerRetired { number, .. } | Change::IssuerRevoked(number),
                ) => {
                    self.closed.insert(*number, now);
                }
                Event::View(Change::IssuerExpired(number)) => {
                    self.closed.remove(number);
                }
                Event::EpochOpened { epoch, .. } => self.epoch = Some((*epoch, now)),
                _ => {}
            }
        }
    }

    /// Whether an epoch was superseded at least `span` ago.
    fn superseded(&self, epoch: EpochNumber, span: Duration, now: BootTime) -> bool {
        let newer = self.epoch.filter(|(newest, _)| epoch < *newest);
        newer
            .and_then(|(_, opened)| now.since(opened))
            .is_some_and(|passed| passed >= span)
    }

    /// Whether an issuer was closed at least `span` ago.
    fn was_closed(&self, issuer: IssuerNumber, span: Duration, now: BootTime) -> bool {
        let closed = self.closed.get(&issuer);
        closed
            .and_then(|closed| now.since(*closed))
            .is_some_and(|passed| passed >= span)
    }
}

/// What has to be done now.
fn due(state: &State, seen: &Seen, wall_ms: u64, now: BootTime) -> Vec<Command> {
    let Some(settings) = state.settings() else {
        return Vec::new();
    };
    let mut commands = Vec::new();
    if wall_ms.saturating_sub(state.log_time_ms()) >= TICK_AFTER_MS {
        commands.push(Command::Tick);
    }
    let expiry = Duration::from_millis(settings.issuer_expiry_ms());
    // Twice the lead: a process that follows at all has switched by then.
    let follows = Duration::from_millis(settings.rotation_lead_ms().saturating_mul(2));
    for record in state.issuers() {
        let number = record.number;
        match record.standing {
            IssuerStanding::Open if seen.superseded(record.epoch, follows, now) => {
                commands.push(Command::RetireIssuer(number));
            }
            IssuerStanding::Retired(_) | IssuerStanding::Revoked(_)
                if seen.was_closed(number, expiry, now) =>
            {
                commands.push(Command::ExpireIssuer(number));
            }
            _ => {}
        }
    }
    commands
}

async fn carry_out(consensus: &Consensus, command: Command) {
    let mut random = [0; 16];
    if getrandom::fill(&mut random).is_err() {
        return;
    }
    let proposal = Proposal {
        command: command.clone(),
        actor: Actor::Node(consensus.node()),
        key: None,
        authorised_at: consensus.view().revision(),
        reason: "keeper".to_owned(),
        request: RequestId {
            time_ms: SystemClock::wall_ms(),
            random,
        },
    };
    let quiet = matches!(command, Command::Tick);
    match consensus.propose(proposal, PROPOSAL_WAIT).await {
        Ok(outcome) => match outcome.verdict {
            Ok(_) if quiet => {}
            Ok(_) => info!(?command, "kept"),
            Err(rejection) => warn!(?command, %rejection, "the keeper's command was rejected"),
        },
        // The next look finds it due again, on whichever node leads then.
        Err(error) => warn!(?command, %error, "the keeper's command was not answered"),
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
