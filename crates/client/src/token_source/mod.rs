//! A token that is always at hand: minted when it is first wanted, minted anew before
//! it ends, and after it was refused.

mod policy;
mod schedule;

use std::{sync::Arc, time::Duration};

use chancery_revocation::BootTime;
use chancery_wire::v1::MintRequest;
use parking_lot::Mutex;
use tokio::sync::Mutex as Turn;

pub use policy::TokenPolicy;
use schedule::{Moment, Next, Schedule};

use crate::{
    client::{Client, Minted},
    clock::SystemClock,
    error::Error,
};

/// The longest sleep: tokens age while the machine sleeps too, and the runtime's own clock
/// stands still then.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Keeps one token for one audience and one set of scopes: make one for each, once,
/// and clone it into every task. It mints only when somebody wants a token, and then
/// once for all who want it.
///
/// ```no_run
/// # use chancery_client::{Client, Error, TokenPolicy, TokenSource, v1};
/// # async fn call(token: &str) -> u16 { 200 }
/// # async fn f(client: Client) -> Result<(), Error> {
/// let ledger = TokenSource::new(client, v1::MintRequest {
///     audience: "https://ledger.example/v1".to_owned(),
///     scopes: vec!["ledger:read".to_owned()],
///     ..v1::MintRequest::default()
/// }, TokenPolicy::default());
/// let token = ledger.token().await?;
/// if call(&token.token).await == 401 {
///     ledger.refused(&token);
///     call(&ledger.token().await?.token).await;
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct TokenSource(Arc<Inner>);

struct Inner {
    client: Client,
    request: MintRequest,
    began: BootTime,
    schedule: Mutex<Schedule>,
    /// Of whoever mints. Counts the mints that were tried, with why the last brought
    /// nothing.
    minting: Arc<Turn<Tried>>,
}

#[derive(Default)]
struct Tried {
    times: u64,
    failure: Option<Error>,
}

impl TokenSource {
    /// A source of tokens for what `request` asks for. Nothing is minted yet.
    #[must_use]
    pub fn new(client: Client, request: MintRequest, policy: TokenPolicy) -> Self {
        Self(Arc::new(Inner {
            client,
            request,
            began: SystemClock::boot(),
            schedule: Mutex::new(Schedule::new(policy)),
            minting: Arc::default(),
        }))
    }

    /// A token that has not ended. The one at hand, mostly. Who was told of a refusal
    /// waits for a moment drawn by chance, of which the policy says how far it is.
    ///
    /// # Errors
    /// As [`Client::mint`]. A suspension is told at once; whether it is over is asked
    /// of the cluster at moments that the policy spreads, and not by every call.
    pub async fn token(&self) -> Result<Arc<Minted>, Error> {
        loop {
            match self.0.next() {
                Next::Use(token) => return Ok(token),
                Next::Refresh(token) => {
                    self.refresh();
                    return Ok(token);
                }
                Next::Refuse(refusal) => return Err(Error::Refused(refusal)),
                Next::Wait(until) => {
                    let left = until.saturating_sub(self.0.now());
                    tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
                }
                Next::Mint => self.mint().await?,
            }
        }
    }

    /// Says that a verifier refused this token: nobody is given it any more. One that
    /// was replaced meanwhile changes nothing.
    pub fn refused(&self, token: &Minted) {
        let mut schedule = self.0.schedule.lock();
        schedule.recalled(&token.token_id, self.0.now(), entropy());
    }

    /// Mints for all who wait for it, and tells all of them why not.
    async fn mint(&self) -> Result<(), Error> {
        let before = self.0.minting.try_lock().ok().map(|tried| tried.times);
        let mut tried = self.0.minting.lock().await;
        // Whoever held it meanwhile has minted for this one too, or has failed.
        let another = before.is_none_or(|times| times != tried.times);
        if !matches!(self.0.next(), Next::Mint) {
            return Ok(());
        }
        if another && let Some(failure) = tried.failure.clone() {
            return Err(failure);
        }
        self.0.mint(&mut tried).await
    }

    /// Mints meanwhile, unless that is under way.
    fn refresh(&self) {
        let Ok(mut tried) = self.0.minting.clone().try_lock_owned() else {
            return;
        };
        let inner = self.0.clone();
        tokio::spawn(async move {
            if matches!(inner.next(), Next::Refresh(_) | Next::Mint) {
                // The schedule has it; who has no token any more is told.
                let _ = inner.mint(&mut tried).await;
            }
        });
    }
}

impl Inner {
    fn now(&self) -> Moment {
        SystemClock::boot().since(self.began).unwrap_or_default()
    }

    fn next(&self) -> Next {
        self.schedule.lock().next(self.now())
    }

    async fn mint(&self, tried: &mut Tried) -> Result<(), Error> {
        // One that is given up under way has told nobody anything.
        tried.failure = None;
        let began = self.now();
        let outcome = self.client.mint(self.request.clone()).await;
        tried.times += 1;
        let mut schedule = self.schedule.lock();
        match outcome {
            Ok(token) => {
                // Its life began after it was asked for, so it ends no earlier.
                schedule.minted(Arc::new(token), began, entropy());
                Ok(())
            }
            Err(error) => {
                match &error {
                    Error::Refused(refusal) => schedule.refused(refusal, self.now(), entropy()),
                    _ => schedule.not_minted(self.now(), entropy()),
                }
                tried.failure = Some(error.clone());
                Err(error)
            }
        }
    }
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenSource")
            .field("audience", &self.0.request.audience)
            .field("scopes", &self.0.request.scopes)
            .finish_non_exhaustive()
    }
}

/// Without entropy nothing is spread, and everything still works.
fn entropy() -> u64 {
    let mut bytes = [0x80; 8];
    let _ = getrandom::fill(&mut bytes);
    u64::from_be_bytes(bytes)
}
