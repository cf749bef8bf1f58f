//! Published keys: JWK and JWK Set (RFC 7517), Ed25519 (RFC 8037), thumbprints
//! (RFC 7638).

use sha2::{Digest as _, Sha256};

use crate::base64url;
use crate::public_key::Ed25519PublicKey;

/// The RFC 7638 §3 hash input's members, in their order, over an OKP key (RFC 8037 §2).
pub(crate) fn thumbprint(x: &[u8; 32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(br#"{"crv":"Ed25519","kty":"OKP","x":""#);
    hash.update(base64url::encode(x).as_bytes());
    hash.update(br#""}"#);
    hash.finalize().into()
}

/// One public key. `alg` is left out: `EdDSA` and `Ed25519` (RFC 9864) are the
/// same signature, and a library that knows one refuses a key with the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk(Ed25519PublicKey);

impl Jwk {
    /// The JSON object; its members need no escaping.
    #[must_use]
    pub fn to_json(&self) -> String {
        format!(
            r#"{{"kty":"OKP","crv":"Ed25519","x":"{}","kid":"{}","use":"sig"}}"#,
            base64url::encode(self.0.as_bytes()),
            self.0.key_id()
        )
    }
}

impl From<Ed25519PublicKey> for Jwk {
    fn from(key: Ed25519PublicKey) -> Self {
        Self(key)
    }
}

/// A key set, `application/jwk-set+json`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jwks(Vec<Jwk>);

impl Jwks {
    /// In the order given.
    pub fn of(keys: impl Iterator<Item = Ed25519PublicKey>) -> Self {
        Self(keys.map(Jwk).collect())
    }

    /// The JSON object.
    #[must_use]
    pub fn to_json(&self) -> String {
        let keys: Vec<String> = self.0.iter().map(Jwk::to_json).collect();
        format!(r#"{{"keys":[{}]}}"#, keys.join(","))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rfc_key() -> Ed25519PublicKey {
        let x = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        Ed25519PublicKey::parse(&hex::decode(x).unwrap()).unwrap()
    }

    #[test]
    fn rfc_8037_appendix_a_2_and_a_3() {
        let jwk: serde_json::Value = serde_json::from_str(&Jwk::from(rfc_key()).to_json()).unwrap();
        assert_eq!(
            jwk,
            serde_json::json!({
                "kty": "OKP",
                "crv": "Ed25519",
                "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
                "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
                "use": "sig",
            })
        );
    }

    #[test]
    fn a_set_may_have_none_or_many() {
        assert_eq!(Jwks::default().to_json(), r#"{"keys":[]}"#);
        let one = Jwk::from(rfc_key()).to_json();
        let two = Jwks::of([rfc_key(), rfc_key()].into_iter());
        assert_eq!(two.to_json(), format!(r#"{{"keys":[{one},{one}]}}"#));
    }
}
