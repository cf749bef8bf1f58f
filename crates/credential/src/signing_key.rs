//! Ed25519 private keys (RFC 8032), which sign tokens.

use std::fmt;

use ed25519_dalek::Signer as _;

use crate::claims::Claims;
use crate::encode;
use crate::malformed::Malformed;
use crate::public_key::Ed25519PublicKey;
use crate::statement;

/// An issuer's private key. It lives in this memory only: it cannot be copied,
/// printed or written anywhere, and is wiped when dropped.
pub struct SigningKey {
    /// Boxed, so that moving the owner leaves no copy behind.
    key: Box<ed25519_dalek::SigningKey>,
    public: Ed25519PublicKey,
    /// `base64url(header).`, the same for every token of this key.
    header: Box<[u8]>,
}

impl SigningKey {
    /// Makes the key of a seed: 32 bytes from a secure source, used for nothing
    /// else. The caller holds it in `zeroize::Zeroizing`; it comes by reference, so
    /// that to pass it on copies nothing.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = Box::new(ed25519_dalek::SigningKey::from_bytes(seed));
        let public = Ed25519PublicKey::of(key.verifying_key());
        let header = encode::header(public.key_id()).into_boxed_slice();
        Self {
            key,
            public,
            header,
        }
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> Ed25519PublicKey {
        self.public
    }

    /// Appends the signed token to `out`, in compact form (RFC 7515 §7.1). A
    /// buffer that is used again makes no allocation.
    ///
    /// # Errors
    ///
    /// What [`UnverifiedToken::parse`](crate::UnverifiedToken::parse) would refuse
    /// is not signed; `out` is then as before.
    pub fn sign_token(&self, claims: &Claims, out: &mut Vec<u8>) -> Result<(), Malformed> {
        encode::token(&self.header, claims, out, |input| self.sign_bytes(input))
    }

    /// [`sign_token`](Self::sign_token) into a text of its own.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn token(&self, claims: &Claims) -> Result<String, Malformed> {
        let mut out = Vec::with_capacity(2048);
        self.sign_token(claims, &mut out)?;
        String::from_utf8(out).map_err(|_| Malformed::Parts)
    }

    /// Signs a statement, such as the proof of possession in `OpenIssuer`; verify
    /// with [`Ed25519PublicKey::verify`]. A statement can never pass for a token.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.sign_bytes(&statement::signed_bytes(message))
    }

    fn sign_bytes(&self, bytes: &[u8]) -> [u8; 64] {
        self.key.sign(bytes).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::base64url;

    /// RFC 8037 appendix A.1 and A.2; the same key as RFC 8032 §7.1 test 1.
    const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn rfc_key() -> SigningKey {
        SigningKey::from_seed(&base64url::parse_array(SEED).unwrap())
    }

    fn hex64(text: &str) -> [u8; 64] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    #[test]
    fn rfc_8037_appendix_a_key_and_thumbprint() {
        let public = rfc_key().public();
        assert_eq!(base64url::encode(public.as_bytes()), X);
        assert_eq!(
            public.key_id().to_string(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    #[test]
    fn rfc_8037_appendix_a_signature() {
        let input = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let key = rfc_key();
        assert_eq!(base64url::encode(&key.sign_bytes(input)), signature);
        let signature = base64url::parse_array(signature).unwrap();
        assert!(key.public().verify_bytes(input, &signature));
        assert!(
            !key.public()
                .verify_bytes(b"eyJhbGciOiJFZERTQSJ9.", &signature)
        );
    }

    #[test]
    fn rfc_8032_section_7_1() {
        let cases = [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                "af82",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            ),
        ];
        for (seed, message, signature) in cases {
            let key = SigningKey::from_seed(&hex::decode(seed).unwrap().try_into().unwrap());
            let message = hex::decode(message).unwrap();
            assert_eq!(key.sign_bytes(&message), hex64(signature));
            assert!(key.public().verify_bytes(&message, &hex64(signature)));
        }
    }

    /// Both equations of RFC 8032 hold for these two; a check that is not strict
    /// takes the first, one that does not bound `S` the second.
    #[test]
    fn verification_is_strict() {
        let key = SigningKey::from_seed(&std::array::from_fn(|at| at as u8));
        let message = b"small order";
        let small_order_r = "0100000000000000000000000000000000000000000000000000000000000000\
                             6d2618645c378af547e92cf80fad321e00124551e86e57e719b510f53ed26d07";
        let s_beyond_the_order = "e829ded88dfcb664a0517b1bc4068d8cc6a2ad802c67e205fa01b3028a082a6e\
                                  607fe66220973cd7bddfc1582537b41a90078dbf2d9f538bbf8c5759003edd13";
        let genuine = "e829ded88dfcb664a0517b1bc4068d8cc6a2ad802c67e205fa01b3028a082a6e\
                       73abf00506342a7fe742cab5463dd50590078dbf2d9f538bbf8c5759003edd03";
        assert!(key.public().verify_bytes(message, &hex64(genuine)));
        assert!(!key.public().verify_bytes(message, &hex64(small_order_r)));
        assert!(
            !key.public()
                .verify_bytes(message, &hex64(s_beyond_the_order))
        );
    }

    #[test]
    fn a_statement_is_verified_as_a_statement_only() {
        let key = rfc_key();
        let signature = key.sign(b"open issuer 7");
        assert!(key.public().verify(b"open issuer 7", &signature));
        assert!(!key.public().verify(b"open issuer 8", &signature));
        assert!(!key.public().verify(b"open issuer 7", &signature[..63]));
        assert!(!key.public().verify_bytes(b"open issuer 7", &signature));
        let token_like = key.sign_bytes(b"open issuer 7");
        assert!(!key.public().verify(b"open issuer 7", &token_like));
    }

    /// Names an implementation of `$absent` twice for a type that has it, which
    /// does not compile.
    macro_rules! assert_has_no {
        ($type:ty: $absent:path) => {{
            trait Ambiguous<Marker> {
                fn chosen() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            impl<T: ?Sized + $absent> Ambiguous<u8> for T {}
            <$type as Ambiguous<_>>::chosen();
        }};
    }

    #[test]
    fn a_signing_key_cannot_be_copied_or_shown() {
        assert_has_no!(SigningKey: Clone);
        assert_has_no!(SigningKey: fmt::Display);
        assert_has_no!(SigningKey: serde::Serialize);
        assert_has_no!(crate::PeerSigningKey: Clone);
        assert_has_no!(crate::PeerSigningKey: fmt::Display);
        assert_has_no!(crate::PeerSigningKey: serde::Serialize);
        let key = rfc_key();
        assert_eq!(format!("{key:?}"), "SigningKey(..)");
        assert_eq!(format!("{key:#?}"), "SigningKey(..)");
    }

    #[test]
    fn private_keys_are_wiped_when_dropped() {
        fn wiped<T: zeroize::ZeroizeOnDrop>(_: &T) {}
        wiped(&*rfc_key().key);
        fn peer(key: &p256::ecdsa::SigningKey) {
            wiped(key);
        }
        let _ = peer;
    }
}
