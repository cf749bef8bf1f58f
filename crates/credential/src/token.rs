//! Access tokens in the compact form of a JWS (RFC 7515 §7.1), as they arrive.

use std::fmt;

use crate::base64url;
use crate::claims::Claims;
use crate::decode;
use crate::malformed::{Malformed, Part};
use crate::public_key::{BadSignature, Ed25519PublicKey, KeyId};
use crate::verified::Verified;

/// Longest token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8192;

/// A token whose form was checked, and nothing else: anybody can have written it.
pub struct UnverifiedToken<'a> {
    /// What the signature is over: `header.payload`, as it arrived.
    input: &'a str,
    signature: [u8; 64],
    key_id: KeyId,
    claims: Claims,
}

impl<'a> UnverifiedToken<'a> {
    /// Reads the form and checks every limit, whoever sent it, at a cost bounded
    /// by [`MAX_TOKEN_BYTES`].
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(Malformed::TooLong);
        }
        let (input, signature) = text.rsplit_once('.').ok_or(Malformed::Parts)?;
        let (header, payload) = input.split_once('.').ok_or(Malformed::Parts)?;
        let whole = !header.is_empty() && !payload.is_empty() && !signature.is_empty();
        if !whole || payload.contains('.') {
            return Err(Malformed::Parts);
        }
        let key_id = decode::header(&decoded(header, Part::Header)?)?;
        let claims = decode::claims(&decoded(payload, Part::Payload)?)?;
        let signature = decoded(signature, Part::Signature)?;
        Ok(Self {
            input,
            signature: signature
                .try_into()
                .map_err(|_| Malformed::SignatureLength)?,
            key_id,
            claims,
        })
    }

    /// Which key it says it is signed with: a key to look up, never one to trust.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// What it says, if it is genuine. For choosing what to look up.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Checks the signature (strictly: canonical, no point of small order) with the
    /// key that [`key_id`](Self::key_id) names.
    ///
    /// # Errors
    ///
    /// [`BadSignature::OtherKey`] when `key` is another one, and
    /// [`BadSignature::Invalid`].
    pub fn verify(self, key: &Ed25519PublicKey) -> Result<Verified<Claims>, BadSignature> {
        if key.key_id() != self.key_id {
            return Err(BadSignature::OtherKey);
        }
        if !key.verify_bytes(self.input.as_bytes(), &self.signature) {
            return Err(BadSignature::Invalid);
        }
        Ok(Verified::witness(self.claims))
    }
}

fn decoded(text: &str, part: Part) -> Result<Vec<u8>, Malformed> {
    base64url::decode(text.as_bytes()).ok_or(Malformed::Base64(part))
}

impl fmt::Debug for UnverifiedToken<'_> {
    /// The token itself is a secret when it is a bearer's; its ids are not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedToken")
            .field("key_id", &self.key_id)
            .field("jti", &self.claims.jti)
            .finish_non_exhaustive()
    }
}
