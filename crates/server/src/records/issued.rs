//! What a mint hands over.

use chancery_credential::{
    Audience, Claims, GrantSetName, KeyThumbprint, OwnerName, Revision, SpiffeId, TokenId,
};
use sha2::{Digest, Sha256};

/// What is recorded of a token: of bounded size, and without the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issued {
    pub(crate) id: TokenId,
    /// The key that asked for it.
    pub(crate) key: KeyThumbprint,
    pub(crate) subject: SpiffeId,
    /// Who acts for the subject, the outermost first.
    pub(crate) actors: Vec<SpiffeId>,
    pub(crate) owners: Vec<OwnerName>,
    pub(crate) audience: Audience,
    pub(crate) grant_sets: Vec<GrantSetName>,
    pub(crate) ancestors: Vec<TokenId>,
    /// SHA-256 of the `scope` claim.
    pub(crate) scope: [u8; 32],
    pub(crate) rev: Revision,
    /// Seconds since the Unix epoch.
    pub(crate) issued_at: u64,
    /// Seconds since the Unix epoch.
    pub(crate) expires_at: u64,
    /// Whether it is bound to a certificate.
    pub(crate) bound: bool,
}

impl Issued {
    /// Of the token that says `claims`, for who proved `key`. The texts are shared,
    /// not copied.
    pub(crate) fn new(claims: Claims, key: KeyThumbprint) -> Self {
        // Taken apart whole, so that a new claim does not compile without a thought.
        let Claims {
            iss: _,
            sub,
            aud,
            // The first of `act`, or `sub`.
            client_id: _,
            iat,
            exp,
            jti,
            scope,
            rev,
            own,
            set,
            anc,
            act,
            cnf,
        } = claims;
        Self {
            id: jti,
            key,
            subject: sub,
            actors: act,
            owners: own,
            audience: aud,
            grant_sets: set,
            ancestors: anc,
            scope: Sha256::digest(scope.to_string()).into(),
            rev,
            issued_at: iat,
            expires_at: exp,
            bound: cnf.is_some(),
        }
    }
}
