//! Who writes: operators who try again until they are answered, or give up and do not
//! know.

use std::{sync::Arc, time::Duration};

use chancery_authority::{Actor, Answer, Command, Rejection, RequestId};
use chancery_consensus::{
    ChangeError, MembershipChange, Outcome, Progress, Proposal, ProposeError, Wait,
};
use chancery_credential::{NodeNumber, Revision};
use parking_lot::Mutex;

use crate::{
    board::{Board, Phase},
    clock::SystemClock,
    cluster::operator_key,
    oracle::Oracle,
    service::subject,
};

/// An operator at a machine that never fails.
#[derive(Clone)]
pub struct Client {
    pub board: Board,
    pub oracle: Arc<Mutex<Oracle>>,
    pub random: fastrand::Rng,
}

fn takes_away(command: &Command) -> bool {
    matches!(
        command,
        Command::Suspend(_)
            | Command::RevokeHeld(_)
            | Command::RevokeToken { .. }
            | Command::RevokeIssuer(_)
    )
}

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(3);

impl Client {
    /// Another one, whose chances are its own.
    pub fn another(&mut self) -> Self {
        Self {
            random: self.random.fork(),
            ..self.clone()
        }
    }

    /// Leaves so many milliseconds.
    pub async fn rest(&mut self, ms: std::ops::Range<u64>) {
        let ms = self.random.u64(ms);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    fn some_node(&mut self) -> Option<u64> {
        let up = self.board.up();
        self.random.choice(up)
    }

    fn proposal(&mut self, command: Command) -> Proposal {
        let mut random = [0; 16];
        self.random.fill(&mut random);
        Proposal {
            command,
            actor: Actor::Operator("root".parse().expect("a name")),
            key: Some(operator_key()),
            authorised_at: Revision(1),
            reason: "a simulation".into(),
            request: RequestId {
                time_ms: SystemClock::wall_ms(),
                random,
            },
            retried: false,
            awaited: true,
        }
    }

    /// Asks, as the same request each time, through whichever node is there. None: it is
    /// not known what became of it.
    pub async fn write(&mut self, command: Command, attempts: usize) -> Option<Outcome> {
        let mut proposal = self.proposal(command);
        for _ in 0..attempts {
            let Some(node) = self.some_node() else {
                self.rest(50..500).await;
                continue;
            };
            let sent = proposal.clone();
            let within = Duration::from_millis(self.random.u64(100..1_500));
            let asked = self.board.ask(node, move |consensus| async move {
                consensus.propose(sent, within).await
            });
            match tokio::time::timeout(ATTEMPT, asked).await {
                Ok(Some(Ok(outcome))) => return Some(outcome),
                Ok(Some(Err(ProposeError::Unknown(_) | ProposeError::Unavailable { .. })))
                | Ok(None)
                | Err(_) => {}
                Ok(Some(Err(other))) => {
                    let mut oracle = self.oracle.lock();
                    oracle.note(format_args!("node {node} takes no command: {other}"));
                }
            }
            proposal.retried = true;
            self.rest(1..200).await;
        }
        self.oracle.lock().counts.unknown += 1;
        None
    }

    /// A write whose answer the oracle hears.
    pub async fn order(
        &mut self,
        command: Command,
        owner: Option<String>,
        attempts: usize,
    ) -> Option<Result<Answer, Rejection>> {
        let asked_us = self.oracle.lock().true_us;
        let what = format!("{command:?}");
        let takes_away = takes_away(&command);
        let outcome = self.write(command, attempts).await;
        let short: String = what.chars().take(60).collect();
        let Some(outcome) = outcome else {
            self.oracle.lock().note(format_args!("unknown: {short}"));
            return None;
        };
        self.hear(&outcome, &short, asked_us, owner);
        if outcome.verdict.is_ok() && takes_away && self.random.u8(0..8) > 0 {
            let wait = match self.random.u8(0..4) {
                0 => Wait::Verifiers,
                _ => Wait::Nodes,
            };
            self.await_enforced(outcome.revision, wait).await;
        }
        Some(outcome.verdict)
    }

    fn hear(&self, outcome: &Outcome, short: &str, asked_us: u64, owner: Option<String>) {
        let mut oracle = self.oracle.lock();
        match &outcome.verdict {
            Ok(_) => {
                oracle.note(format_args!("{short} at {}", outcome.revision));
                oracle.answered(outcome.revision.0, asked_us, owner);
            }
            Err(rejection) => {
                oracle.note(format_args!("{short} refused: {rejection}"));
                if let Some(owner) = owner.filter(|_| rejection.code() == "OWNER_EXISTS") {
                    oracle.violated(format!("owner {owner} was added twice"));
                }
            }
        }
    }

    /// Waits until a change is in force on every node, or in every verifier too, through
    /// whichever is there.
    async fn await_enforced(&mut self, revision: Revision, wait: Wait) {
        for _ in 0..4 {
            let Some(node) = self.some_node() else {
                self.rest(20..200).await;
                continue;
            };
            let within = Duration::from_millis(self.random.u64(200..4_000));
            let asked_us = self.oracle.lock().true_us;
            let asked = self.board.ask(node, move |consensus| async move {
                consensus.enforcement(revision, wait, within).await
            });
            let limit = within + ATTEMPT;
            let Ok(Some(told)) = tokio::time::timeout(limit, asked).await else {
                continue;
            };
            let mut oracle = self.oracle.lock();
            oracle.told(node, (revision, wait), &told, asked_us);
            if told.reaches(wait) {
                return;
            }
        }
    }

    pub async fn add_owner(&mut self, attempts: usize) -> bool {
        let name = format!("owner-{:016x}", self.random.u64(..));
        let command = Command::AddOwner {
            name: name.parse().expect("a name"),
            description: String::new(),
        };
        let verdict = self.order(command, Some(name), attempts).await;
        matches!(verdict, Some(Ok(_)))
    }

    /// Writes on, until the trial is over.
    pub async fn work(mut self, agents: usize) {
        while self.board.phase() == Phase::Trial {
            self.rest(2..250).await;
            let agent = subject(self.random.usize(0..agents));
            let attempts = self.random.usize(1..8);
            match self.random.u8(0..100) {
                0..15 => drop(self.add_owner(attempts).await),
                15..45 => drop(self.order(Command::Suspend(agent), None, attempts).await),
                45..75 => drop(self.order(Command::Resume(agent), None, attempts).await),
                75..90 => drop(self.order(Command::RevokeHeld(agent), None, attempts).await),
                90..96 => self.revoke_token().await,
                96..98 => self.revoke_issuer().await,
                _ => {
                    let emergency = self.random.bool();
                    let command = Command::OpenEpoch { emergency };
                    drop(self.order(command, None, 2).await);
                }
            }
        }
    }

    async fn revoke_token(&mut self) {
        let token = {
            let oracle = self.oracle.lock();
            let which = self.random.usize(..);
            let many = oracle.tokens.len();
            let minted = (many > 0).then(|| &oracle.tokens[which % many]);
            minted.map(|minted| minted.claims.jti)
        };
        if let Some(token) = token {
            let agent = None;
            let command = Command::RevokeToken { token, agent };
            drop(self.order(command, None, 3).await);
        }
    }

    async fn revoke_issuer(&mut self) {
        let issuer = self.oracle.lock().tokens.back().map(|minted| minted.issuer);
        if let Some(issuer) = issuer {
            drop(self.order(Command::RevokeIssuer(issuer), None, 3).await);
        }
    }

    /// Asks for a change of the membership until it is made, so many times.
    pub async fn change(&mut self, change: MembershipChange, attempts: usize) -> bool {
        for _ in 0..attempts {
            let Some(node) = self.some_node() else {
                self.rest(50..500).await;
                continue;
            };
            let asked = self.board.ask(node, move |consensus| async move {
                consensus.change_membership(change, ATTEMPT).await
            });
            let answer = tokio::time::timeout(ATTEMPT + ATTEMPT, asked).await;
            let told = format!("{change:?}: {answer:?}");
            self.oracle.lock().note(format_args!("{told}"));
            match answer {
                Ok(Some(Ok(Progress::Done))) => return true,
                Ok(Some(Ok(Progress::Waits(wait)))) => tokio::time::sleep(wait).await,
                Ok(Some(Err(ChangeError::Refused(_)))) => self.rest(200..400).await,
                _ => self.rest(100..300).await,
            }
        }
        false
    }

    /// Admits a node and lets it replicate; gives its number.
    pub async fn join(&mut self, attempts: usize) -> Option<u64> {
        // Numbers are handed out in order, and names have to fit them.
        let number = self.oracle.lock().next_node();
        let spec = crate::cluster::node_spec(number);
        let asked_us = self.oracle.lock().true_us;
        let outcome = self.write(Command::AdmitNode(spec), attempts).await?;
        let Ok(Answer::Node(given)) = outcome.verdict else {
            return None;
        };
        {
            let mut oracle = self.oracle.lock();
            oracle.answered(outcome.revision.0, asked_us, None);
            if given.0 != number {
                oracle.note(format_args!("node {number} was called {given}"));
                return None;
            }
        }
        self.board.admitted(number, outcome.revision);
        self.board.install(number);
        let enrolled = self.change(MembershipChange::Enrol(given), attempts).await;
        if enrolled {
            self.board.was_enrolled(number);
        }
        enrolled.then_some(number)
    }

    pub async fn promote(&mut self, number: u64, attempts: usize) -> bool {
        use chancery_authority::Seat::Voter;
        let node = NodeNumber(number);
        let seat = Command::SeatNode { node, seat: Voter };
        let seated = self.order(seat, None, attempts).await;
        matches!(seated, Some(Ok(_)))
            && self.change(MembershipChange::Promote(node), attempts).await
    }
}
