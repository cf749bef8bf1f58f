//! Signatures that were checked before.

use std::sync::Arc;

use chancery_revocation::SignedToken;
use quick_cache::{Weighter, sync::Cache};
use sha2::{Digest, Sha256};

/// SHA-256 of a whole token, signature included: another token has another.
pub(super) type TokenHash = [u8; 32];

/// What a token takes beside its claims, about.
const ROOM: u64 = 512;

/// Tokens whose signatures verified, by the hash of the whole token. It says nothing
/// about whether one is in force: that is judged each time.
///
/// Only what verified is kept, so nobody fills it who holds no key of an issuer; the least
/// useful go when it is full.
pub(super) struct Signatures(Cache<TokenHash, Arc<SignedToken>, ByWeight>);

#[derive(Clone)]
struct ByWeight;

impl Weighter<TokenHash, Arc<SignedToken>> for ByWeight {
    /// About the bytes that it takes.
    fn weight(&self, _: &TokenHash, token: &Arc<SignedToken>) -> u64 {
        let claims = token.claims();
        let names = claims.own.len() + claims.set.len() + claims.act.len() + claims.anc.len();
        let scopes: usize = claims.scope.iter().map(|scope| scope.as_str().len()).sum();
        let each = u64::try_from(names.saturating_mul(128)).unwrap_or(u64::MAX);
        ROOM.saturating_add(each)
            .saturating_add(u64::try_from(scopes).unwrap_or(u64::MAX))
    }
}

impl Signatures {
    /// Of about `bytes` at most.
    pub(super) fn of_at_most(bytes: usize) -> Self {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let items = usize::try_from(bytes / (2 * ROOM)).unwrap_or(usize::MAX);
        Self(Cache::with_weighter(items, bytes, ByWeight))
    }

    pub(super) fn hash(token: &str) -> TokenHash {
        Sha256::digest(token.as_bytes()).into()
    }

    pub(super) fn get(&self, hash: &TokenHash) -> Option<Arc<SignedToken>> {
        self.0.get(hash)
    }

    pub(super) fn keep(&self, hash: TokenHash, token: Arc<SignedToken>) {
        self.0.insert(hash, token);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
