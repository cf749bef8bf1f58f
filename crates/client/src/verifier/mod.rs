//! Tokens judged in this process, by a view that follows the cluster.

mod changes;
#[cfg(test)]
pub(crate) mod fixture;
mod follower;
#[cfg(test)]
mod follower_tests;
mod following;
#[cfg(test)]
mod following_tests;
mod outcome;
mod signatures;
mod terms;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use chancery_revocation::{
    Behind, BootTime, Clock, Expectations as Judged, Now, Proof, SignedToken, Standing, Verdict,
    View, judge_signing,
};
use tokio::{sync::Semaphore, task::AbortHandle};

#[cfg(any(test, fuzzing))]
pub(crate) use changes::decode_changes;
use following::{Following, Shared, SharedClock, follow};
pub use outcome::{Accepted, Expectations, NotReady, Rejected};
use signatures::Signatures;

use crate::{client::Client, clock::SystemClock, endpoints::Endpoints, retry::RetryPolicy};

/// Calls that wait for a catch-up at once; more are [`Rejected::Unsure`].
const MOST_WAITING: usize = 4_096;

/// What becomes of tokens while the view is not fresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenStale {
    /// They are refused: [`Rejected::Stale`].
    #[default]
    Refuse,
    /// They are accepted for a while, **outside what Chancery promises**: a token that was
    /// revoked meanwhile is accepted too. What was accepted so says it
    /// ([`Accepted::is_outside_the_promise`]).
    AcceptOutsideThePromise {
        /// For how long after the view ceased to be fresh. Nothing is accepted before the
        /// view was fresh once.
        at_most: Duration,
    },
}

/// How a verifier verifies.
#[derive(Clone)]
pub struct VerifierConfig {
    /// V: how old the view may become, whole milliseconds. `None`: the cluster's default. A
    /// longer one than the cluster allows is refused by every node, and the verifier never
    /// gets ready.
    pub max_age: Option<Duration>,
    /// What becomes of tokens while the view is older than that.
    pub when_stale: WhenStale,
    /// How long a token that may be younger than the view waits for it to catch up.
    pub catch_up: Duration,
    /// How many bytes the signatures that were checked already may take, about.
    pub signatures_bytes: usize,
    /// The clocks; those of the machine, except in a simulation.
    pub clock: Arc<dyn Clock + Send + Sync>,
}

impl Default for VerifierConfig {
    fn default() -> Self {
        Self {
            max_age: None,
            when_stale: WhenStale::Refuse,
            catch_up: Duration::from_millis(1_500),
            signatures_bytes: 16 << 20,
            clock: Arc::new(SystemClock),
        }
    }
}

impl fmt::Debug for VerifierConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifierConfig")
            .field("max_age", &self.max_age)
            .field("when_stale", &self.when_stale)
            .field("catch_up", &self.catch_up)
            .field("signatures_bytes", &self.signatures_bytes)
            .finish_non_exhaustive()
    }
}

/// Verifies tokens in this process: one for all its tasks, cheap to clone. It subscribes
/// at a node, at another when that fails, and keeps a view of what is in force; it is
/// fresh only by the answers to its own pings.
///
/// ```no_run
/// # use chancery_client::{Client, Expectations, Proof, Rejected, Verifier, VerifierConfig};
/// # async fn f(client: &Client, bearer: &str) -> Result<(), Box<dyn std::error::Error>> {
/// let verifier = Verifier::follow(client, VerifierConfig::default());
/// let ledger = Expectations::of("https://ledger.example/v1".parse()?);
/// match verifier.verify(bearer, &ledger, &Proof::default()).await {
///     Ok(token) => println!("{} may {}", token.sub, token.scope),
///     Err(Rejected::Refused(reason)) => println!("401: {reason}"),
///     Err(other) => println!("503: {other}"),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    signatures: Signatures,
    when_stale: WhenStale,
    catch_up: Duration,
    clock: SharedClock,
    waiting: Semaphore,
    following: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.following.abort();
    }
}

/// What a look at the view came to.
enum Looked {
    Done(Result<Accepted, Rejected>),
    Behind(Behind),
}

impl Verifier {
    /// Begins to follow the cluster over `client`'s nodes, as its identity: a service or
    /// an operator. Call it within a Tokio runtime. It follows until the last clone is
    /// dropped.
    #[must_use]
    pub fn follow(client: &Client, config: VerifierConfig) -> Self {
        Self::follow_over(client.endpoints().clone(), client.retry(), config)
    }

    /// The same over connections of a simulation, by its clock.
    #[cfg(simulation)]
    #[must_use]
    pub fn follow_simulated(
        channels: Vec<tonic::transport::Channel>,
        config: VerifierConfig,
    ) -> Self {
        let endpoints = Arc::new(Endpoints::over(channels));
        Self::follow_over(endpoints, RetryPolicy::default(), config)
    }

    fn follow_over(endpoints: Arc<Endpoints>, retry: RetryPolicy, config: VerifierConfig) -> Self {
        let shared = Arc::new(Shared::new());
        let max_age = config
            .max_age
            .map_or(0, |max_age| max_age.as_millis().max(1));
        let following = tokio::spawn(follow(
            shared.clone(),
            endpoints,
            retry,
            u64::try_from(max_age).unwrap_or(u64::MAX),
            config.clock.clone(),
        ));
        Self(Arc::new(Inner {
            shared,
            signatures: Signatures::of_at_most(config.signatures_bytes),
            when_stale: config.when_stale,
            catch_up: config.catch_up,
            clock: config.clock,
            waiting: Semaphore::new(MOST_WAITING),
            following: following.abort_handle(),
        }))
    }

    /// Judges a token that its bearer presented, with what the bearer proved. It waits for
    /// nothing, unless the token may be younger than the view: then for one answer of a
    /// node that was asked for after the call, shared by all who wait.
    ///
    /// # Errors
    /// [`Rejected`]: only what is accepted is to be served.
    pub async fn verify(
        &self,
        token: &str,
        expected: &Expectations,
        proof: &Proof,
    ) -> Result<Accepted, Rejected> {
        let behind = match self.0.look(token, expected, proof) {
            Looked::Done(outcome) => return outcome,
            Looked::Behind(behind) => behind,
        };
        self.0.catch_up(behind).await?;
        match self.0.look(token, expected, proof) {
            Looked::Done(outcome) => outcome,
            Looked::Behind(behind) => {
                alarm(behind);
                Err(Rejected::Refused(behind.refused()))
            }
        }
    }

    /// The same, without waiting for anything: a token that may be younger than the view
    /// is [`Rejected::Unsure`].
    ///
    /// # Errors
    /// [`Rejected`].
    pub fn verify_now(
        &self,
        token: &str,
        expected: &Expectations,
        proof: &Proof,
    ) -> Result<Accepted, Rejected> {
        match self.0.look(token, expected, proof) {
            Looked::Done(outcome) => outcome,
            Looked::Behind(_) => Err(Rejected::Unsure),
        }
    }

    /// Waits until the view is fresh for the first time: a service that begins to serve
    /// then refuses nobody because of itself.
    ///
    /// # Errors
    /// [`NotReady`], with what went wrong last.
    pub async fn ready(&self, within: Duration) -> Result<(), NotReady> {
        let mut answered = self.0.shared.answered.subscribe();
        let first = answered.wait_for(Option::is_some);
        match tokio::time::timeout(within, first).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(NotReady {
                within,
                last: self.0.shared.last_trouble.lock().clone(),
            }),
        }
    }

    /// How old the view is at most; `None` when it cannot be used. For health checks.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let current = self.0.shared.current.load_full()?;
        let fresh = current.view.freshness()?;
        fresh.age(self.0.clock.now().boot).ok()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("age", &self.age())
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn look(&self, token: &str, expected: &Expectations, proof: &Proof) -> Looked {
        let current = self.shared.current.load();
        let Some(current) = current.as_ref() else {
            return Looked::Done(Err(Rejected::Stale));
        };
        let judged = Judged {
            issuer: current.issuer.clone(),
            audience: Some(expected.audience.clone()),
            limits: current.limits,
        };
        let view = &*current.view;
        let (verdict, signed) = self.judge(token, &judged, proof, view, &self.clock);
        let (standing, outside_the_promise) = match verdict {
            Verdict::Valid((), standing) => (standing, false),
            Verdict::Refused(reason) => return Looked::Done(Err(Rejected::Refused(reason))),
            Verdict::Behind(behind) => return Looked::Behind(behind),
            _ => match self.judge_by_old(token, &judged, proof, current) {
                Some(standing) => (standing, true),
                None => return Looked::Done(Err(Rejected::Stale)),
            },
        };
        let Some(token) = signed else {
            return Looked::Done(Err(Rejected::Stale));
        };
        if let Some(scope) = missing(&token, expected) {
            return Looked::Done(Err(scope));
        }
        Looked::Done(Ok(Accepted {
            token,
            standing,
            outside_the_promise,
        }))
    }

    fn judge(
        &self,
        token: &str,
        expected: &Judged,
        proof: &Proof,
        view: &View,
        clock: &impl Clock,
    ) -> (Verdict<()>, Option<Arc<SignedToken>>) {
        let hash = Signatures::hash(token);
        if let Some(signed) = self.signatures.get(&hash) {
            let verdict = signed.judge(expected, proof, view, clock);
            return (verdict, Some(signed));
        }
        let (verdict, signed) = judge_signing(token, expected, proof, view, clock);
        let signed = signed.map(Arc::new);
        if let Some(signed) = &signed {
            self.signatures.keep(hash, signed.clone());
        }
        (verdict, signed)
    }

    /// By a view that is no longer fresh, if that is wanted: everything but its age is
    /// judged as always.
    fn judge_by_old(
        &self,
        token: &str,
        expected: &Judged,
        proof: &Proof,
        current: &Following,
    ) -> Option<Standing> {
        let WhenStale::AcceptOutsideThePromise { at_most } = self.when_stale else {
            return None;
        };
        let fresh = current.view.freshness()?;
        let now = self.clock.now();
        let age = now.boot.since(fresh.as_of)?;
        if age >= fresh.bound.saturating_add(at_most) {
            return None;
        }
        let as_if_fresh = Now {
            boot: fresh.as_of,
            wall: now.wall,
        };
        match self.judge(token, expected, proof, &current.view, &as_if_fresh) {
            (Verdict::Valid((), standing), _) => Some(Standing { age, ..standing }),
            _ => None,
        }
    }

    /// Waits for one answer to a ping that is sent from now on, or until the view has
    /// what is looked for.
    async fn catch_up(&self, behind: Behind) -> Result<(), Rejected> {
        let _place = self.waiting.try_acquire().map_err(|_| Rejected::Unsure)?;
        let since = self.clock.now().boot;
        let mut answered = self.shared.answered.subscribe();
        self.shared.want(since);
        let proved = answered.wait_for(|sent| {
            let is_later = sent.is_some_and(|sent: BootTime| sent > since);
            is_later || self.has(behind)
        });
        match tokio::time::timeout(self.catch_up, proved).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Rejected::Unsure),
        }
    }

    fn has(&self, behind: Behind) -> bool {
        let Some(current) = self.shared.current.load_full() else {
            return false;
        };
        match behind {
            Behind::Revision(revision) => current.view.revision() >= revision,
            Behind::Issuer(key) => current.view.issuer_of_key(&key).is_some(),
        }
    }
}

fn missing(token: &SignedToken, expected: &Expectations) -> Option<Rejected> {
    let held = &token.claims().scope;
    let mut wanted = expected.scopes.iter();
    let missing = wanted.find(|scope| !held.contains(scope))?;
    Some(Rejected::InsufficientScope(missing.clone()))
}

/// The signature verified, and nobody honest signs with a `rev` that was never
/// committed.
fn alarm(behind: Behind) {
    if let Behind::Revision(revision) = behind {
        tracing::error!(
            %revision,
            "a token with a signature that verifies is beyond everything committed: an issuer's \
             key may be in other hands"
        );
    }
}
