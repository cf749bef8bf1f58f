//! What a token says.

use crate::audience::Audience;
use crate::consistency::Revision;
use crate::malformed::{Defect, Malformed};
use crate::name::{GrantSetName, OwnerName};
use crate::scope::Scopes;
use crate::spiffe::SpiffeId;
use crate::thumbprint::CertificateThumbprint;
use crate::token_id::TokenId;

/// Most owners that a token names: those of `sub` and of every actor together.
pub const MAX_OWNERS: usize = 8;
/// Most grant sets that a token names.
pub const MAX_GRANT_SETS: usize = 8;
/// Most ids that a token is derived from.
pub const MAX_ANCESTORS: usize = 8;
/// Most actors, one inside the other.
pub const MAX_ACTORS: usize = 8;

const MAX_ISSUER_BYTES: usize = 512;

/// The claims of an access token (RFC 9068 §2.2), with Chancery's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The cluster's issuer URL: 1 to 512 visible ASCII characters.
    pub iss: String,
    /// On whose account.
    pub sub: SpiffeId,
    /// For whom: always one.
    pub aud: Audience,
    /// Who asked for it: the outermost actor, or `sub` when there is none.
    pub client_id: SpiffeId,
    /// When it was issued, seconds since the Unix epoch.
    pub iat: u64,
    /// When it ends, seconds since the Unix epoch; after `iat`.
    pub exp: u64,
    /// Its id.
    pub jti: TokenId,
    /// What it allows; the claim is absent when empty.
    pub scope: Scopes,
    /// The last revision that had changed the view where it was minted.
    pub rev: Revision,
    /// The owners of `sub` and of every actor. At most 8.
    pub own: Vec<OwnerName>,
    /// The grant sets it was minted under. At most 8.
    pub set: Vec<GrantSetName>,
    /// The tokens it was derived from. At most 8.
    pub anc: Vec<TokenId>,
    /// Who acts for `sub` (RFC 8693 §4.1), the outermost first. At most 8.
    pub act: Vec<SpiffeId>,
    /// The certificate that it is bound to (RFC 8705 §3.1); none for a bearer token.
    pub cnf: Option<CertificateThumbprint>,
}

impl Claims {
    /// The agent that acts: the outermost actor, or `sub`.
    #[must_use]
    pub fn acting_agent(&self) -> &SpiffeId {
        self.act.first().unwrap_or(&self.sub)
    }

    /// Everything that the types do not say already.
    pub(crate) fn check(&self) -> Result<(), Malformed> {
        check_issuer(&self.iss)?;
        at_most("own", self.own.len(), MAX_OWNERS)?;
        at_most("set", self.set.len(), MAX_GRANT_SETS)?;
        at_most("anc", self.anc.len(), MAX_ANCESTORS)?;
        at_most("act", self.act.len(), MAX_ACTORS)?;
        if self.exp <= self.iat {
            return Err(Malformed::Lifetime);
        }
        if self.client_id != *self.acting_agent() {
            return Err(Malformed::Client);
        }
        Ok(())
    }
}

pub(crate) fn at_most(claim: &'static str, length: usize, most: usize) -> Result<(), Malformed> {
    if length > most {
        let defect = Defect::TooMany(most);
        return Err(Malformed::Claim { claim, defect });
    }
    Ok(())
}

fn check_issuer(iss: &str) -> Result<(), Malformed> {
    let length = (1..=MAX_ISSUER_BYTES).contains(&iss.len());
    if length && iss.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Malformed::Claim {
        claim: "iss",
        defect: Defect::Expected("1 to 512 visible ASCII characters"),
    })
}
