//! What a verification comes to.

use std::{fmt, ops::Deref, sync::Arc, time::Duration};

use chancery_credential::{Audience, Claims, Scope, Scopes, Verified};
use chancery_revocation::{Reason, SignedToken, Standing};
use thiserror::Error;

/// What a service expects of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectations {
    /// For whom it has to be: compared octet for octet.
    pub audience: Audience,
    /// What it has to allow, all of it; empty if the service looks at the scopes itself.
    pub scopes: Scopes,
}

impl Expectations {
    /// Of a token for this audience, with whatever scopes.
    #[must_use]
    pub fn of(audience: Audience) -> Self {
        Self {
            audience,
            scopes: Scopes::default(),
        }
    }
}

/// A token that was accepted. It dereferences to its claims.
#[derive(Clone)]
pub struct Accepted {
    pub(super) token: Arc<SignedToken>,
    pub(super) standing: Standing,
    pub(super) outside_the_promise: bool,
}

impl Accepted {
    /// What the token says, with the witness that its signature was checked.
    #[must_use]
    pub fn claims(&self) -> &Verified<Claims> {
        self.token.claims()
    }

    /// By what state it was judged, and how old that was at most.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether it was accepted by a view that is too old to rest anything on: nothing is
    /// promised of it. What was revoked meanwhile is accepted like everything else. Only
    /// [`WhenStale::AcceptOutsideThePromise`](super::WhenStale) makes it so.
    #[must_use]
    pub const fn is_outside_the_promise(&self) -> bool {
        self.outside_the_promise
    }
}

impl Deref for Accepted {
    type Target = Claims;

    fn deref(&self) -> &Claims {
        self.token.claims()
    }
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted")
            .field("jti", &self.jti)
            .field("standing", &self.standing)
            .field("outside_the_promise", &self.outside_the_promise)
            .finish()
    }
}

/// Why a token was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Rejected {
    /// It is not in force, not for this service, or not its bearer's.
    #[error("{0}")]
    Refused(Reason),
    /// It is in force, and does not allow this.
    #[error("the token does not allow `{0}`: mint one with this scope, if it is granted")]
    InsufficientScope(Scope),
    /// The verifier cannot prove that its view is fresh: it has not been answered by a node
    /// yet, or not for too long. Nothing is known of the token.
    #[error(
        "this verifier cannot prove that its view is fresh: no node has answered it for too \
         long; see that it reaches one, and try again"
    )]
    Stale,
    /// The token may be younger than the view, and no node said within the time how it is.
    #[error("whether the token is in force could not be found out in time: try again")]
    Unsure,
}

/// A verifier has no view that is fresh, and had none for as long as was waited for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no node has answered this verifier within {within:?}; last: {last}")]
pub struct NotReady {
    /// How long was waited.
    pub within: Duration,
    /// What went wrong last.
    pub last: String,
}
