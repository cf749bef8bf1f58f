//! Ed25519 private keys (RFC 8032), which sign tokens.

use std::fmt;

use ed25519_dalek::VerifyingKey;
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use sha2::{Digest as _, Sha512};
use zeroize::Zeroize as _;

use crate::claims::Claims;
use crate::encode;
use crate::key_memory::{KeyBytes, KeyMemory};
use crate::malformed::Malformed;
use crate::public_key::Ed25519PublicKey;
use crate::statement;
use crate::wiped_stack::with_wiped_stack;

/// An issuer's private key. It lies in one place only, the memory that it was made
/// in: it cannot be copied, printed or written anywhere, leaves nothing on the stack
/// of who signs with it, and is wiped when dropped.
pub struct SigningKey {
    kept: Kept,
    public: Ed25519PublicKey,
    /// `base64url(header).`, the same for every token of this key.
    header: Box<[u8]>,
}

/// Wipes the memory when it is dropped, a key in it or not.
struct Kept(Box<dyn KeyMemory>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.write().zeroize();
    }
}

impl SigningKey {
    /// Makes the key of a seed that `draw` writes, from a secure source, right to
    /// where the key will lie. The seed is overwritten with what is derived from it.
    ///
    /// # Errors
    ///
    /// What `draw` failed with.
    pub fn draw<E>(
        memory: Box<dyn KeyMemory>,
        draw: impl FnOnce(&mut [u8; 32]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut kept = Kept(memory);
        let key = with_wiped_stack(|| {
            let [seed, _] = kept.0.write();
            draw(seed)?;
            Ok(Self::expand_unwiped(kept.0.write()))
        })?;
        let public = Ed25519PublicKey::of(key);
        let header = encode::header(public.key_id()).into_boxed_slice();
        Ok(Self {
            kept,
            public,
            header,
        })
    }

    /// Makes the key of a known seed, on the heap: for tests, and for keys that
    /// guard nothing.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let written = Self::draw(Box::new(Box::new(KeyBytes::default())), |room| {
            room.copy_from_slice(seed);
            Ok::<(), std::convert::Infallible>(())
        });
        match written {
            Ok(key) => key,
            Err(impossible) => match impossible {},
        }
    }

    /// Puts what is derived from the seed in the place of it, and gives the public
    /// half. Leaves traces on the stack.
    pub(crate) fn expand_unwiped(bytes: &mut KeyBytes) -> VerifyingKey {
        let [seed, _] = &*bytes;
        let mut expanded: [u8; 64] = Sha512::digest(seed).into();
        bytes.as_flattened_mut().copy_from_slice(&expanded);
        let public = VerifyingKey::from(&ExpandedSecretKey::from_bytes(&expanded));
        expanded.zeroize();
        public
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
        with_wiped_stack(|| self.sign_unwiped(bytes))
    }

    /// RFC 8032 §5.1.6. Leaves traces on the stack.
    pub(crate) fn sign_unwiped(&self, bytes: &[u8]) -> [u8; 64] {
        let mut expanded = [0; 64];
        expanded.copy_from_slice(self.kept.0.read().as_flattened());
        let key = ExpandedSecretKey::from_bytes(&expanded);
        let signature = raw_sign::<Sha512>(&key, bytes, self.public.verifying_key());
        expanded.zeroize();
        signature.to_bytes()
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
    use std::sync::{Arc, Mutex};

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

    /// Memory that shows what is left in it when it goes.
    struct Watched {
        bytes: KeyBytes,
        left: Arc<Mutex<Vec<KeyBytes>>>,
    }

    impl KeyMemory for Watched {
        fn read(&self) -> &KeyBytes {
            &self.bytes
        }

        fn write(&mut self) -> &mut KeyBytes {
            &mut self.bytes
        }
    }

    impl Drop for Watched {
        fn drop(&mut self) {
            self.left.lock().unwrap().push(self.bytes);
        }
    }

    #[test]
    fn a_key_is_wiped_when_it_is_dropped_and_when_it_never_came_to_be() {
        let left = Arc::new(Mutex::new(Vec::new()));
        let memory = || Watched {
            bytes: [[1; 32]; 2],
            left: left.clone(),
        };
        let key = SigningKey::draw(Box::new(memory()), |seed| {
            seed.copy_from_slice(&base64url::parse_array::<32>(SEED).unwrap());
            Ok::<(), ()>(())
        })
        .unwrap();
        assert_eq!(key.public(), rfc_key().public());
        assert_ne!(*key.kept.0.read(), KeyBytes::default());
        drop(key);
        let failed = SigningKey::draw(Box::new(memory()), |seed| {
            seed.fill(9);
            Err("no entropy")
        });
        assert_eq!(failed.err(), Some("no entropy"));
        assert_eq!(*left.lock().unwrap(), [KeyBytes::default(); 2]);
    }

    #[test]
    fn the_seed_is_gone_once_the_key_is_made() {
        let seed: [u8; 32] = base64url::parse_array(SEED).unwrap();
        let key = rfc_key();
        let [scalar, prefix] = key.kept.0.read();
        assert!(*scalar != seed && *prefix != seed);
    }

    #[test]
    fn peer_keys_are_wiped_when_dropped() {
        fn wiped<T: zeroize::ZeroizeOnDrop>() {}
        wiped::<p256::ecdsa::SigningKey>();
    }
}
