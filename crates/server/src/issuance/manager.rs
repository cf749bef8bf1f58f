//! Opens, follows, retires: the life of this process's issuers.

use std::{io, sync::Arc, time::Duration};

use chancery_authority::{
    Actor, Answer, Command, Event, IssuerStanding, NodeRecord, OpenIssuer, RequestId,
    open_issuer_message,
};
use chancery_consensus::{Consensus, Events, Missed, Outcome, Proposal, Step};
use chancery_credential::{EpochNumber, IssuerNumber, PeerSigningKey, SigningKey};
use chancery_revocation::{BootTime, Change, Clock};
use metrics::counter;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    locked_page::LockedPage,
    signer::{ActiveIssuer, Signer},
};
use crate::clock::SystemClock;

/// How long one proposal is waited for.
const PROPOSAL_WAIT: Duration = Duration::from_secs(5);
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Draws the 32 bytes that one signing key is made of (RFC 8032 §5.1.5), right to
/// where the key will lie, so that no copy is made. Entropy is an argument: who
/// chooses it knows every key, so a test can look for them.
pub type DrawSeed = Box<dyn Fn(&mut [u8; 32]) -> io::Result<()> + Send + Sync>;

/// The task that keeps this process signing.
pub(crate) struct IssuerManager {
    pub(crate) consensus: Consensus,
    pub(crate) signer: Arc<Signer>,
    pub(crate) peer_key: PeerSigningKey,
    /// Random, drawn when the process started.
    pub(crate) process: u64,
    pub(crate) draw_seed: DrawSeed,
}

/// An issuer that is open and waits for the lead to pass.
struct Waiting {
    issuer: ActiveIssuer,
    lead: Duration,
}

impl Waiting {
    /// How much of the lead is left.
    fn left(&self) -> Duration {
        let passed = SystemClock
            .now()
            .boot
            .since(self.issuer.known_since)
            .unwrap_or_default();
        self.lead.saturating_sub(passed)
    }
}

/// What made an opening fail.
enum Failed {
    /// Another epoch or issuer is newer: look again.
    Superseded,
    /// This node may not open any: wait for a change.
    Barred,
    /// No leader, or no answer: try again later.
    Unavailable,
}

impl IssuerManager {
    /// Runs until the node drains; then wipes the key and retires the issuer.
    pub(crate) async fn run(self, drain: CancellationToken) {
        let mut events = self.consensus.events();
        tokio::select! {
            () = self.keep_signing(&mut events) => {}
            () = drain.cancelled() => {}
        }
        if let Some(number) = self.signer.clear() {
            self.retire(number).await;
        }
    }

    /// Nothing is opened before this process has proved itself fresh: `former` and
    /// the epoch would be those of an old state.
    async fn first_proof(&self) {
        while self.consensus.view().freshness().is_none() {
            let _ = self.consensus.prove_now(PROPOSAL_WAIT).await;
        }
    }

    async fn keep_signing(&self, events: &mut Events) {
        self.first_proof().await;
        let mut waiting: Option<Waiting> = None;
        let mut retry = RETRY_MIN;
        let mut look_at = Some(SystemClock::boot());
        loop {
            let look_in = look_at.map_or(Duration::MAX, left_until);
            let lead = waiting.as_ref().map_or(Duration::MAX, Waiting::left);
            tokio::select! {
                step = events.next() => {
                    if matches!(step, Err(Missed::Closed)) {
                        return;
                    }
                    if self.concerns_us(step, &mut waiting) {
                        look_at = Some(SystemClock::boot());
                    }
                }
                () = sleep_at_most(look_in), if look_at.is_some() => {
                    look_at = match self.follow(&mut waiting).await {
                        Ok(()) => {
                            retry = RETRY_MIN;
                            None
                        }
                        Err(Failed::Barred) => None,
                        Err(Failed::Superseded | Failed::Unavailable) => {
                            let again = SystemClock::boot().plus(retry);
                            retry = (retry * 2).min(RETRY_MAX);
                            Some(again)
                        }
                    };
                }
                () = sleep_at_most(lead), if waiting.is_some() => {
                    if let Some(next) = waiting.take_if(|next| next.left().is_zero()) {
                        self.switch(next.issuer).await;
                    }
                }
            }
        }
    }

    /// Whether what was applied may ask for another issuer. An issuer of ours
    /// that was revoked is wiped before anything else happens.
    fn concerns_us(&self, step: Result<Step, Missed>, waiting: &mut Option<Waiting>) -> bool {
        let Ok(Step::Applied { events, .. }) = step else {
            // Steps were missed: look at the state instead.
            self.drop_dead(waiting);
            return true;
        };
        let us = self.consensus.node();
        events.iter().any(|event| match event {
            Event::EpochOpened { .. } => true,
            Event::NodeChanged(node) => *node == us,
            Event::View(
                Change::IssuerRevoked(_) | Change::IssuerRetired { .. } | Change::IssuerExpired(_),
            ) => {
                self.drop_dead(waiting);
                true
            }
            _ => false,
        })
    }

    /// Wipes the keys of issuers that are open no more.
    fn drop_dead(&self, waiting: &mut Option<Waiting>) {
        let open = |number: IssuerNumber| {
            self.consensus.read_state(|state| {
                state
                    .issuer(number)
                    .is_some_and(|issuer| issuer.standing == IssuerStanding::Open)
            })
        };
        if waiting
            .as_ref()
            .is_some_and(|next| !open(next.issuer.number))
        {
            *waiting = None;
        }
        let dead = self
            .signer
            .active()
            .is_some_and(|active| !open(active.number));
        if let Some(number) = dead.then(|| self.signer.clear()).flatten() {
            warn!(issuer = %number, "our issuer was revoked or retired by another: its key is wiped");
        }
    }

    /// Brings this process to an issuer of the newest epoch.
    async fn follow(&self, waiting: &mut Option<Waiting>) -> Result<(), Failed> {
        let node = self.consensus.node();
        let may_open = |node: &Arc<NodeRecord>| node.stands() && !node.check_only;
        let (newest, may_open) = self
            .consensus
            .read_state(|state| (state.epoch(), state.node(node).is_some_and(may_open)));
        // It would be refused. That changes by a command about this node only.
        if !may_open {
            return Err(Failed::Barred);
        }
        let Some(newest) = newest else {
            return Err(Failed::Unavailable);
        };
        let (epoch, emergency) = (newest.number, newest.emergency);
        // Nothing signs any more: the lead would spare verifiers a refetch, and cost
        // everybody their mints.
        if self.signer.active().is_none()
            && let Some(next) = waiting.take()
        {
            self.switch(next.issuer).await;
        }
        let held = waiting
            .as_ref()
            .map(|next| next.issuer.epoch)
            .or_else(|| self.signer.active().map(|active| active.epoch));
        if held.is_some_and(|held| held >= epoch) {
            return Ok(());
        }
        let issuer = self.open(epoch).await?;
        let signing = self.signer.active().is_some();
        if signing && !emergency {
            let lead = self
                .consensus
                .directory()
                .settings()
                .map_or(0, |settings| settings.rotation_lead_ms());
            info!(issuer = %issuer.number, epoch = %issuer.epoch, lead_ms = lead, "issuer open; it signs after the lead");
            *waiting = Some(Waiting {
                issuer,
                lead: Duration::from_millis(lead),
            });
        } else {
            *waiting = None;
            self.switch(issuer).await;
        }
        Ok(())
    }

    async fn open(&self, epoch: EpochNumber) -> Result<ActiveIssuer, Failed> {
        let key = self.make_key().map_err(|error| {
            warn!(%error, "the system gave no memory or no entropy for a signing key");
            Failed::Unavailable
        })?;
        let node = self.consensus.node();
        let former = self
            .consensus
            .read_state(|state| state.node(node).and_then(|node| node.newest_issuer));
        let lineage = self.consensus.view().lineage();
        let keys = vec![key.public()];
        let message = open_issuer_message(lineage, node, epoch, self.process, former, &keys);
        let command = OpenIssuer {
            node,
            epoch,
            process: self.process,
            former,
            keys,
            peer_signature: self.peer_key.sign(&message),
            key_signatures: vec![key.sign(&message).to_vec()],
        };
        let outcome = self
            .propose(Command::OpenIssuer(command), "open an issuer")
            .await?;
        let known_since = SystemClock.now().boot;
        match outcome.verdict {
            Ok(Answer::Issuer(number)) => Ok(ActiveIssuer {
                number,
                epoch,
                opened_at: outcome.revision,
                known_since,
                follows_another: self.signer.has_signed(),
                key,
            }),
            Ok(_) => Err(Failed::Superseded),
            Err(rejection) => {
                warn!(%rejection, "the cluster refused this node an issuer");
                match rejection.code() {
                    "NODE_BARRED" | "NODE_RETIRING" | "NODE_CHECK_ONLY" | "PEER_PROOF_WRONG" => {
                        Err(Failed::Barred)
                    }
                    _ => Err(Failed::Superseded),
                }
            }
        }
    }

    /// A new key, in memory of its own. Memory that could not be locked is said and
    /// counted: to sign matters more.
    fn make_key(&self) -> io::Result<SigningKey> {
        let (page, exposed) = LockedPage::new()?;
        for exposed in &exposed {
            warn!(error = %exposed.source, "a signing key's memory is not protected: {}", exposed.how);
        }
        if !exposed.is_empty() {
            counter!("chancery_signing_keys_exposed_total").increment(1);
        }
        SigningKey::draw(Box::new(page), |seed| (self.draw_seed)(seed))
    }

    /// Signs with `issuer` from now on; the former key is wiped, then retired.
    async fn switch(&self, issuer: ActiveIssuer) {
        info!(issuer = %issuer.number, epoch = %issuer.epoch, "signing");
        if let Some(former) = self.signer.switch_to(issuer) {
            self.retire(former).await;
        }
    }

    /// Says that an issuer signs no more. If it cannot be said now, the keeper
    /// retires it once its epoch is superseded.
    async fn retire(&self, number: IssuerNumber) {
        if self
            .propose(
                Command::RetireIssuer(number),
                "its process signs with another",
            )
            .await
            .is_err()
        {
            warn!(issuer = %number, "the retired issuer could not be announced; the keeper will");
        }
    }

    /// The same request id for every try, so that an opening whose answer was
    /// lost is answered and not repeated.
    async fn propose(&self, command: Command, reason: &str) -> Result<Outcome, Failed> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|_| Failed::Unavailable)?;
        let mut proposal = Proposal {
            command,
            actor: Actor::Node(self.consensus.node()),
            key: None,
            authorised_at: self.consensus.view().revision(),
            reason: reason.to_owned(),
            request: RequestId {
                time_ms: SystemClock::wall_ms(),
                random,
            },
            retried: false,
            awaited: false,
        };
        for _ in 0..3 {
            match self
                .consensus
                .propose(proposal.clone(), PROPOSAL_WAIT)
                .await
            {
                Ok(outcome) => return Ok(outcome),
                Err(error) => warn!(%error, "a command of this node was not answered"),
            }
            proposal.retried = true;
        }
        Err(Failed::Unavailable)
    }
}

fn left_until(moment: BootTime) -> Duration {
    moment.since(SystemClock::boot()).unwrap_or_default()
}

async fn sleep_at_most(duration: Duration) {
    tokio::time::sleep(duration.min(Duration::from_secs(86_400))).await;
}
