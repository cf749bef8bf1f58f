//! One mint: what is read in which order, and the signature.

use std::{sync::Arc, time::Duration};

use chancery_authority::{AgentEntry, Directory, Principal, WhenBehind};
use chancery_credential::{
    CertificateThumbprint, Claims, KeyThumbprint, Revision, SpiffeId, TokenId,
};
use chancery_revocation::{Clock, Serving, Stale, View};
use thiserror::Error;

use super::authorise::{MintRefusal, Wanted, authorise};
use crate::{
    issuance::{ActiveIssuer, Signer},
    rate::Rates,
    records::{Issued, Recorder, Unrecorded},
};

/// Why there is no token.
#[derive(Debug, Error)]
pub(crate) enum MintError {
    /// Final: the caller may not have it.
    #[error(transparent)]
    Refused(#[from] MintRefusal),
    /// The key that was proved is not, or no more, that agent's.
    #[error("the key that was proved is not agent `{0}`'s any more")]
    KeyLost(SpiffeId),
    /// The caller has had as many of this node as its registration gives it.
    #[error("the registration gives {rate} mints a second on each node, and they are used up")]
    RateLimited {
        /// A second.
        rate: u32,
        /// Until the next one.
        wait: Duration,
    },
    /// This node cannot prove that its state is recent.
    #[error("this node cannot prove that its state is recent enough")]
    Stale,
    /// This node has no issuer in its view yet.
    #[error("this node has no open issuer")]
    NoIssuer,
    /// The system gave no entropy.
    #[error("the system gave no entropy: {0}")]
    Entropy(String),
    /// It would leave no record.
    #[error(transparent)]
    Unrecorded(#[from] Unrecorded),
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
    /// Seconds from its issue to that.
    pub(crate) expires_in: u64,
    /// The state it was minted from.
    pub(crate) revision: Revision,
}

/// A token that was signed and may not be given yet.
struct Signed {
    token: String,
    claims: Claims,
    when_behind: WhenBehind,
}

/// Mints from this node's own state.
pub(crate) struct Minter<C: Clock + Clone> {
    pub(crate) view: Arc<View>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) signer: Arc<Signer>,
    pub(crate) records: Arc<Recorder>,
    /// `limits.rate` of the agents that have one.
    pub(crate) rates: Rates<SpiffeId, C>,
    pub(crate) clock: C,
}

/// Who mints: an agent, the key that proved it, the certificate that carried it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bearer<'a> {
    pub(crate) agent: &'a SpiffeId,
    pub(crate) key: KeyThumbprint,
    pub(crate) certificate: CertificateThumbprint,
}

impl<C: Clock + Clone> Minter<C> {
    /// Mints for `bearer`, in the order that [`View::answer`] keeps. A revocation
    /// that races with a mint therefore leaves a token whose `rev` is older than
    /// it: dead on arrival, never one that outlives it.
    ///
    /// Its record is handed over last, when nothing can fail any more: no token is
    /// given without one, and none is recorded that was not to be given.
    pub(crate) fn mint(
        &self,
        bearer: Bearer<'_>,
        wanted: &Wanted,
    ) -> Result<MintedToken, MintError> {
        let read = |serving: &Serving| self.sign(serving, bearer, wanted);
        let (signed, current) = self.view.answer(&self.clock, read)?;
        let Signed {
            token,
            claims,
            when_behind,
        } = signed;
        let minted = MintedToken {
            token,
            id: claims.jti,
            expires_at: claims.exp,
            expires_in: claims.exp.saturating_sub(claims.iat),
            revision: current.revision,
        };
        self.records
            .record(Issued::new(claims, bearer.key), when_behind)?;
        Ok(minted)
    }

    fn sign(
        &self,
        serving: &Serving,
        bearer: Bearer<'_>,
        wanted: &Wanted,
    ) -> Result<Signed, MintError> {
        let rev = serving.view_revision();
        let issuer = self.issuer(rev)?;
        let agent = self.agent(bearer)?;
        let settings = self.directory.settings().ok_or(MintError::Stale)?;
        let when_behind = settings.records_when_behind;
        if self.records.refuses(when_behind) {
            return Err(Unrecorded::Full.into());
        }
        let now = self.clock.now().wall.max(serving.time());
        let allowed = authorise(wanted, &agent, &self.directory, &settings, now)?;
        self.count(&agent)?;
        let claims = Claims {
            iss: settings.issuer_url.clone(),
            sub: bearer.agent.clone(),
            aud: wanted.audience.clone(),
            client_id: bearer.agent.clone(),
            iat: now,
            exp: now.saturating_add(allowed.ttl_seconds),
            jti: draw_token_id(&issuer)?,
            scope: wanted.scopes.clone(),
            rev,
            own: agent.owners.to_vec(),
            set: allowed.set.into_iter().collect(),
            anc: Vec::new(),
            act: Vec::new(),
            cnf: (!allowed.bearer).then_some(bearer.certificate),
        };
        let token = issuer
            .key
            .token(&claims)
            .map_err(|error| MintError::Encoding(error.to_string()))?;
        Ok(Signed {
            token,
            claims,
            when_behind,
        })
    }

    /// By the limit that the registration has now. What was refused before counts nothing;
    /// what fails after it has counted, on this node.
    fn count(&self, agent: &AgentEntry) -> Result<(), MintError> {
        let rate = agent.limits.rate;
        let limited = |wait| MintError::RateLimited { rate, wait };
        self.rates.take(&agent.id, rate).map_err(limited)
    }

    /// A process signs only from a state that holds its issuer, and holds it open:
    /// what it signed else would be refused by everybody.
    fn issuer(&self, rev: Revision) -> Result<Arc<ActiveIssuer>, MintError> {
        let active = self.signer.active().ok_or(MintError::NoIssuer)?;
        if active.opened_at <= rev && active.is_open_in(&self.view) {
            Ok(active)
        } else {
            Err(MintError::NoIssuer)
        }
    }

    /// The registration that the proved key belongs to *now*, after the revision was
    /// read. If the key was taken away since the request came in, the watermark
    /// that went with it is not above that revision, and would not kill the token.
    fn agent(&self, bearer: Bearer<'_>) -> Result<AgentEntry, MintError> {
        match self.directory.principal(&bearer.key) {
            Some(Principal::Agent(entry)) if entry.id == *bearer.agent => Ok(entry),
            _ => Err(MintError::KeyLost(bearer.agent.clone())),
        }
    }
}

fn draw_token_id(issuer: &ActiveIssuer) -> Result<TokenId, MintError> {
    let mut random = [0; 12];
    getrandom::fill(&mut random).map_err(|error| MintError::Entropy(error.to_string()))?;
    Ok(TokenId::new(issuer.number, random))
}
