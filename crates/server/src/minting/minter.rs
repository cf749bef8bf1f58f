//! One mint: what is read in which order, and the signature.

use std::sync::Arc;

use chancery_authority::Directory;
use chancery_credential::{CertificateThumbprint, Claims, Revision, SpiffeId, TokenId};
use chancery_revocation::{Clock, Stale, View};
use thiserror::Error;

use super::authorise::{Allowed, MintRefusal, Wanted, authorise};
use crate::issuance::{ActiveIssuer, Signer};

/// Why there is no token.
#[derive(Debug, Error)]
pub(crate) enum MintError {
    /// Final: the caller may not have it.
    #[error(transparent)]
    Refused(#[from] MintRefusal),
    /// The caller's registration is not here.
    #[error("agent `{0}` is not registered")]
    UnknownAgent(String),
    /// The certificate that the token has to be bound to was not presented.
    #[error("no client certificate was presented, so the token cannot be bound to one")]
    Unbound,
    /// This node cannot prove that its state is recent.
    #[error("this node cannot prove that its state is recent enough")]
    Stale,
    /// This node has no issuer in its view yet.
    #[error("this node has no open issuer")]
    NoIssuer,
    /// The system gave no entropy.
    #[error("the system gave no entropy: {0}")]
    Entropy(String),
    /// The token would exceed its bounds.
    #[error("the token cannot be encoded: {0}")]
    Encoding(String),
}

impl From<Stale> for MintError {
    fn from(_: Stale) -> Self {
        Self::Stale
    }
}

/// A token and what its answer says of it.
pub(crate) struct MintedToken {
    pub(crate) token: String,
    pub(crate) id: TokenId,
    pub(crate) expires_at: u64,
    /// The state it was minted from.
    pub(crate) revision: Revision,
}

/// Mints from this node's own state.
pub(crate) struct Minter<C> {
    pub(crate) view: Arc<View>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) signer: Arc<Signer>,
    pub(crate) clock: C,
}

impl<C: Clock> Minter<C> {
    /// Mints for `agent`. The order is load-bearing (the order of publication):
    /// freshness and revision first, then everything that the answer depends on,
    /// the clock last. A revocation that races with a mint therefore leaves a
    /// token whose `rev` is older than it: dead on arrival, never one that
    /// outlives it.
    pub(crate) fn mint(
        &self,
        agent: &SpiffeId,
        certificate: Option<CertificateThumbprint>,
        wanted: &Wanted,
    ) -> Result<MintedToken, MintError> {
        let serving = self.view.begin();
        let rev = serving.view_revision();
        let issuer = self.signer.active().ok_or(MintError::NoIssuer)?;
        // A process signs only from a state that holds its issuer.
        if rev < issuer.opened_at {
            return Err(MintError::NoIssuer);
        }
        let record = self
            .directory
            .agent(agent)
            .ok_or_else(|| MintError::UnknownAgent(agent.to_string()))?;
        let settings = self.directory.settings().ok_or(MintError::Stale)?;
        let now = self.clock.now().wall.max(serving.time());
        let allowed = authorise(wanted, &record, &self.directory, &settings, now)?;
        let cnf = bind(&allowed, certificate)?;
        let claims = Claims {
            iss: settings.issuer_url.clone(),
            sub: agent.clone(),
            aud: wanted.audience.clone(),
            client_id: agent.clone(),
            iat: now,
            exp: now.saturating_add(allowed.ttl_seconds),
            jti: draw_token_id(&issuer)?,
            scope: wanted.scopes.clone(),
            rev,
            own: record.owners.to_vec(),
            set: allowed.set.into_iter().collect(),
            anc: Vec::new(),
            act: Vec::new(),
            cnf,
        };
        let token = issuer
            .key
            .token(&claims)
            .map_err(|error| MintError::Encoding(error.to_string()))?;
        let current = serving.finish(&self.clock)?;
        Ok(MintedToken {
            token,
            id: claims.jti,
            expires_at: claims.exp,
            revision: current.revision,
        })
    }
}

fn bind(
    allowed: &Allowed,
    certificate: Option<CertificateThumbprint>,
) -> Result<Option<CertificateThumbprint>, MintError> {
    if allowed.bearer {
        Ok(None)
    } else {
        certificate.map(Some).ok_or(MintError::Unbound)
    }
}

fn draw_token_id(issuer: &ActiveIssuer) -> Result<TokenId, MintError> {
    let mut random = [0; 12];
    getrandom::fill(&mut random).map_err(|error| MintError::Entropy(error.to_string()))?;
    Ok(TokenId::new(issuer.number, random))
}
