//! The facts of a token that decide whether it is in force.

use chancery_credential::{
    Claims, Defect, GrantSetName, KeyId, MAX_ACTORS, MAX_ANCESTORS, MAX_GRANT_SETS, MAX_OWNERS,
    Malformed, OwnerName, Revision, SpiffeId, TokenId,
};

/// All the facts of a token that revocation depends on: a judgement by fewer would
/// miss a suspension.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Facts<'a> {
    /// `kid`.
    pub key_id: KeyId,
    /// `jti`.
    pub token_id: TokenId,
    /// `rev`.
    pub revision: Revision,
    /// `sub`.
    pub subject: &'a SpiffeId,
    /// `act`, the outermost first. At most 8.
    pub actors: &'a [SpiffeId],
    /// `own`. 1 to 8: every agent has an owner.
    pub owners: &'a [OwnerName],
    /// `set`. At most 8.
    pub grant_sets: &'a [GrantSetName],
    /// `anc`. At most 8.
    pub ancestors: &'a [TokenId],
    /// `iat`, seconds since the Unix epoch.
    pub issued_at: u64,
    /// `exp`, seconds since the Unix epoch.
    pub expires_at: u64,
}

impl<'a> Facts<'a> {
    /// The facts that a token's claims state; `key_id` is its header's `kid`.
    #[must_use]
    pub fn of(key_id: KeyId, claims: &'a Claims) -> Self {
        Self {
            key_id,
            token_id: claims.jti,
            revision: claims.rev,
            subject: &claims.sub,
            actors: &claims.act,
            owners: &claims.own,
            grant_sets: &claims.set,
            ancestors: &claims.anc,
            issued_at: claims.iat,
            expires_at: claims.exp,
        }
    }

    /// `sub` and `act*`.
    pub(crate) fn agents(&self) -> impl Iterator<Item = &'a SpiffeId> {
        std::iter::once(self.subject).chain(self.actors)
    }

    pub(crate) fn within_limits(&self) -> Result<(), Malformed> {
        let counts = [
            ("act", self.actors.len(), MAX_ACTORS),
            ("own", self.owners.len(), MAX_OWNERS),
            ("set", self.grant_sets.len(), MAX_GRANT_SETS),
            ("anc", self.ancestors.len(), MAX_ANCESTORS),
        ];
        for (claim, count, most) in counts {
            if count > most {
                let defect = Defect::TooMany(most);
                return Err(Malformed::Claim { claim, defect });
            }
        }
        if self.owners.is_empty() {
            let (claim, defect) = ("own", Defect::Missing);
            return Err(Malformed::Claim { claim, defect });
        }
        if self.expires_at <= self.issued_at {
            return Err(Malformed::Lifetime);
        }
        Ok(())
    }
}
