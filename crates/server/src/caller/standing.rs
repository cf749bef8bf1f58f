//! The standing of one request's caller, judged again as often as asked.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use chancery_credential::KeyThumbprint;
use futures::Stream;
use tokio::time::Sleep;
use tokio_stream::wrappers::WatchStream;
use tonic::Code;

use super::bounds::Holder;
use super::callers::Shared;
use super::identity::Identity;
use super::judge::judge;
use super::permission::{Row, Shape};
use super::refusal::Refusal;

/// The longest that an expiry is slept for at once: the clock may be set.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// No expiry.
const NEVER: u64 = u64::MAX;

/// A caller that was let in, and under what.
pub(super) struct Standing {
    shared: Arc<Shared>,
    row: &'static Row,
    key: Option<KeyThumbprint>,
    identity: Identity,
    /// Whom its refusals count for.
    asker: Holder,
    /// The generation that it was last judged under.
    generation: AtomicU64,
    /// Seconds since the Unix epoch, or [`NEVER`].
    expires_at: AtomicU64,
}

impl Standing {
    /// Judges for the first time.
    pub(super) fn begin(
        shared: Arc<Shared>,
        row: &'static Row,
        key: Option<KeyThumbprint>,
        asker: Holder,
    ) -> Result<Self, Refusal> {
        // Before the look-up: what happens between the two is seen as a change.
        let generation = shared.registry.standing_generation();
        let judged = judge(row, key.as_ref(), &*shared.registry, shared.now())?;
        let standing = Self {
            shared,
            row,
            key,
            identity: judged.identity,
            asker,
            generation: AtomicU64::new(generation),
            expires_at: AtomicU64::new(judged.expires_at.unwrap_or(NEVER)),
        };
        standing.refuse_if_draining()?;
        Ok(standing)
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether the caller is heard: not when it was refused too often just now. What
    /// anyone may ask is answered always.
    pub(super) fn hear(&self) -> Result<(), Refusal> {
        if self.row.who.is_anyone() {
            return Ok(());
        }
        self.shared.rejections.hear(&self.asker)
    }

    /// Counts an answer, if it refuses.
    pub(super) fn count(&self, code: Code) {
        self.shared.rejections.count(&self.asker, code);
    }

    /// Judges again; cheap while nobody lost standing.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        self.refuse_if_draining()?;
        if self.row.who.is_anyone() {
            return Ok(());
        }
        let generation = self.shared.registry.standing_generation();
        let expires_at = self.expires_at.load(Ordering::Relaxed);
        let unchanged = generation == self.generation.load(Ordering::Relaxed);
        if unchanged && (expires_at == NEVER || self.shared.now() < expires_at) {
            return Ok(());
        }
        let judged = judge(
            self.row,
            self.key.as_ref(),
            &*self.shared.registry,
            self.shared.now(),
        )?;
        if !judged.identity.is_same_principal(&self.identity) {
            return Err(self.key_moved(&judged.identity));
        }
        self.expires_at
            .store(judged.expires_at.unwrap_or(NEVER), Ordering::Relaxed);
        self.generation.store(generation, Ordering::Relaxed);
        Ok(())
    }

    /// A stopping node ends its streams, so that their callers go elsewhere
    /// while there is time; single requests finish.
    fn refuse_if_draining(&self) -> Result<(), Refusal> {
        if !matches!(self.row.shape, Shape::Streaming | Shape::Batches)
            || !self.shared.is_draining()
        {
            return Ok(());
        }
        Err(Refusal::new(
            Code::Unavailable,
            "DRAINING",
            "this node is stopping",
            "open the stream at another node, and send what was not answered there",
        ))
    }

    fn key_moved(&self, other: &Identity) -> Refusal {
        Refusal::new(
            Code::PermissionDenied,
            "KEY_MOVED",
            format!(
                "the key of this stream is no longer that of {}, it is that of {other}",
                self.identity
            ),
            "open the stream again",
        )
    }

    fn until_expiry(&self) -> Option<Duration> {
        match self.expires_at.load(Ordering::Relaxed) {
            NEVER => None,
            at => {
                Some(Duration::from_secs(at.saturating_sub(self.shared.now())).min(LONGEST_SLEEP))
            }
        }
    }
}

/// Wakes a stream when its caller may have lost its standing.
pub(super) struct Lookout {
    standing: Arc<Standing>,
    news: WatchStream<()>,
    expiry: Option<Pin<Box<Sleep>>>,
}

impl Lookout {
    pub(super) fn new(standing: Arc<Standing>) -> Self {
        let news = WatchStream::from_changes(standing.shared.news());
        let expiry = standing
            .until_expiry()
            .map(|after| Box::pin(tokio::time::sleep(after)));
        Self {
            standing,
            news,
            expiry,
        }
    }

    /// Ready with the refusal once standing is lost. Otherwise the task is woken
    /// when it has to be asked again.
    pub(super) fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<Refusal> {
        loop {
            if let Err(refusal) = self.standing.check() {
                return Poll::Ready(refusal);
            }
            // The alarm is armed after the check that it is to repeat, or news
            // between the two would be missed.
            let rang = self.poll_news(cx) | self.poll_expiry(cx);
            if !rang {
                return Poll::Pending;
            }
        }
    }

    fn poll_news(&mut self, cx: &mut Context<'_>) -> bool {
        matches!(
            Pin::new(&mut self.news).poll_next(cx),
            Poll::Ready(Some(()))
        )
    }

    fn poll_expiry(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(sleep) = &mut self.expiry else {
            return false;
        };
        if sleep.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.expiry = self
            .standing
            .until_expiry()
            .map(|after| Box::pin(tokio::time::sleep(after.max(Duration::from_millis(50)))));
        true
    }
}
