//! The keeper: what the cluster does by itself, on the leader.
//!
//! Every node runs one; it acts only while its node leads. All spans are counted
//! on its own monotonic clock from when *it* applied the step, so a new leader is
//! only ever later, never earlier. `apply` judges each command again.
//!
//! - `seen`: when this process applied the steps that something follows from;
//! - `due`: what has to be done now. Pure.

mod due;
mod seen;

use std::time::Duration;

use chancery_authority::{Actor, Command, RequestId};
use chancery_consensus::{Consensus, Missed, Proposal, Step};
use chancery_revocation::{BootTime, Clock};
use tracing::{info, warn};

use self::{due::due, seen::Seen};
use crate::clock::SystemClock;

/// How often the keeper looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long it leaves alone what was refused or not answered.
const REST: Duration = Duration::from_secs(2);
/// How often the nodes' states are compared.
const COMPARE_EVERY: Duration = Duration::from_secs(10);
const PROPOSAL_WAIT: Duration = Duration::from_secs(5);

/// Runs the keeper until the node stops.
pub(crate) async fn keep(consensus: Consensus) {
    let mut events = consensus.events();
    let mut seen = Seen::default();
    catch_up(&consensus, &mut seen);
    let mut comparing = None;
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // What was applied first: a step that has passed is not due again.
            biased;
            step = events.next() => match step {
                Err(Missed::Closed) => return,
                Ok(Step::Applied { events, .. }) => seen.note(&events, SystemClock::boot()),
                Ok(Step::Replaced { .. }) | Err(Missed::Lagged(_)) => catch_up(&consensus, &mut seen),
            },
            _ = look.tick() => {
                // Leading or not: who leads next counts from here.
                consensus.read_state(|state| seen.pass(state, SystemClock::boot()));
                if leads(&consensus) && !keep_once(&consensus, &seen, &mut comparing).await {
                    look.reset_after(REST);
                }
            }
        }
    }
}

fn catch_up(consensus: &Consensus, seen: &mut Seen) {
    consensus.read_state(|state| seen.catch_up(state, SystemClock::boot()));
}

/// Whether this node believes that it leads; what it proposes decides.
fn leads(consensus: &Consensus) -> bool {
    let status = consensus.status();
    status.leader == Some(status.node)
}

/// Does what is due. Whether all of it was done.
async fn keep_once(consensus: &Consensus, seen: &Seen, comparing: &mut Option<BootTime>) -> bool {
    let now = SystemClock.now().boot;
    let wall_ms = SystemClock::wall_ms();
    let mut commands = consensus.read_state(|state| due(state, seen, wall_ms, now));
    if let Some((at, digest)) = consensus.compared() {
        commands.push(Command::CompareState { at, digest });
    }
    let mut done = true;
    for command in commands {
        done &= carry_out(consensus, command).await;
    }
    let rested = comparing.and_then(|since| now.since(since));
    if rested.is_none_or(|rested| rested >= COMPARE_EVERY) {
        *comparing = Some(now);
        consensus.begin_comparison();
    }
    done
}

/// Whether it was done.
async fn carry_out(consensus: &Consensus, command: Command) -> bool {
    let mut random = [0; 16];
    if getrandom::fill(&mut random).is_err() {
        return false;
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
        retried: false,
        awaited: false,
    };
    let quiet = matches!(command, Command::Tick | Command::CompareState { .. });
    match consensus.propose(proposal, PROPOSAL_WAIT).await {
        Ok(outcome) => match outcome.verdict {
            Ok(_) => {
                if !quiet {
                    info!(?command, "kept");
                }
                true
            }
            Err(rejection) => {
                warn!(?command, %rejection, "the keeper's command was rejected");
                false
            }
        },
        // The next look finds it due again, on whichever node leads then.
        Err(error) => {
            warn!(?command, %error, "the keeper's command was not answered");
            false
        }
    }
}
