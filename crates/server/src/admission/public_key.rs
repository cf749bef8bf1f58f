//! Public keys as PEM (RFC 7468 §13), the form they have in files.

use chancery_credential::PeerPublicKey;

const TAG: &str = "PUBLIC KEY";

/// A P-256 key, as files hold it.
pub(super) fn public_key_pem(key: &PeerPublicKey) -> String {
    spki_pem(key.spki())
}

/// Reads a P-256 key.
pub(super) fn public_key_from_pem(text: &str) -> Result<PeerPublicKey, String> {
    PeerPublicKey::from_spki(&spki_from_pem(text)?).map_err(|error| error.to_string())
}

/// A `SubjectPublicKeyInfo` of any algorithm, in PEM.
#[must_use]
pub fn spki_pem(spki: &[u8]) -> String {
    pem::encode_config(
        &pem::Pem::new(TAG, spki),
        pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
    )
}

/// The DER of the key that a `PUBLIC KEY` or a `CERTIFICATE` in PEM holds.
///
/// # Errors
/// Says what was found instead.
pub fn spki_from_pem(text: &str) -> Result<Vec<u8>, String> {
    let block = pem::parse(text).map_err(|error| format!("no PEM: {error}"))?;
    match block.tag() {
        TAG => {
            let (rest, _) =
                <x509_parser::x509::SubjectPublicKeyInfo<'_> as x509_parser::prelude::FromDer<
                    '_,
                    x509_parser::error::X509Error,
                >>::from_der(block.contents())
                .map_err(|error| format!("no public key: {error}"))?;
            if rest.is_empty() {
                Ok(block.into_contents())
            } else {
                Err("something follows the public key".to_owned())
            }
        }
        "CERTIFICATE" => x509_parser::parse_x509_certificate(block.contents())
            .map(|(_, certificate)| certificate.public_key().raw.to_vec())
            .map_err(|error| format!("no certificate: {error}")),
        tag if tag.contains("PRIVATE KEY") => Err(
            "this is a private key: give the public one, and treat the private one as exposed if \
             this file left its holder"
                .to_owned(),
        ),
        tag => Err(format!("it holds a {tag}, not a {TAG}")),
    }
}
