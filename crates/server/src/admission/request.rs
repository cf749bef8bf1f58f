//! What a node asks the operator for: its public keys, and where it will be
//! found, proved with both keys.
//!
//! The proof shows that who made the file held both private keys, and that
//! nothing in it was changed since. It does not show *whose* node this is: that
//! the operator knows from the way the file came, or by its thumbprints.

use std::path::Path;

use chancery_credential::{PeerPublicKey, PeerSigningKey, PrincipalName};
use serde::{Deserialize, Serialize};

use super::{
    document::{self, Document},
    error::AdmissionError,
    files,
    node_keys::NodeKeys,
    public_key::{public_key_from_pem, public_key_pem},
    server_names::host_of,
};

const DOMAIN: &[u8] = b"chancery node request v1";

/// A node request whose proof was checked, or that was made here.
#[derive(Debug, Clone)]
pub struct NodeRequest {
    name: PrincipalName,
    api_address: String,
    peer_address: String,
    peer_key: PeerPublicKey,
    server_key: PeerPublicKey,
    proof: Proof,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    /// ECDSA P-256 over SHA-256, ASN.1 DER, hex; by each key over the same bytes.
    peer: String,
    server: String,
}

impl NodeRequest {
    /// Makes the request of the node that holds these keys. The addresses are
    /// `host:port`, as clients and as peers will reach it.
    ///
    /// # Errors
    /// [`AdmissionError::Address`].
    pub fn new(
        name: PrincipalName,
        api_address: String,
        peer_address: String,
        keys: &NodeKeys,
    ) -> Result<Self, AdmissionError> {
        host_of(&api_address)?;
        host_of(&peer_address)?;
        let mut request = Self {
            name,
            api_address,
            peer_address,
            peer_key: keys.peer_public().clone(),
            server_key: keys.server_public().clone(),
            proof: Proof {
                peer: String::new(),
                server: String::new(),
            },
        };
        let said = request.said();
        request.proof = Proof {
            peer: prove(keys.peer(), &said),
            server: prove(keys.server(), &said),
        };
        Ok(request)
    }

    /// Reads a request file and checks its proof.
    ///
    /// # Errors
    /// [`AdmissionError::BadProof`], or that the file is none.
    pub fn read(path: &Path) -> Result<Self, AdmissionError> {
        Self::parse(&path.display().to_string(), &files::read(path)?)
    }

    /// As [`Self::read`], for text that came from `origin`.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(origin: &str, text: &str) -> Result<Self, AdmissionError> {
        let file: RequestFile = document::parse(origin, text)?;
        let malformed = |why: String| AdmissionError::malformed(origin, RequestFile::NAME, why);
        host_of(&file.api_address)?;
        host_of(&file.peer_address)?;
        let request = Self {
            name: file
                .name
                .parse()
                .map_err(|error| malformed(format!("name: {error}")))?,
            api_address: file.api_address,
            peer_address: file.peer_address,
            peer_key: public_key_from_pem(&file.peer_public_key).map_err(malformed)?,
            server_key: public_key_from_pem(&file.server_public_key).map_err(malformed)?,
            proof: file.proof,
        };
        if request.peer_key.spki() == request.server_key.spki() {
            return Err(malformed("its two keys are one".to_owned()));
        }
        let said = request.said();
        if !proved(&request.peer_key, &said, &request.proof.peer) {
            return Err(AdmissionError::BadProof("peer"));
        }
        if !proved(&request.server_key, &said, &request.proof.server) {
            return Err(AdmissionError::BadProof("server"));
        }
        Ok(request)
    }

    /// Writes a new request file.
    ///
    /// # Errors
    /// [`AdmissionError::Exists`] and [`AdmissionError::Write`].
    pub fn write_new(&self, path: &Path) -> Result<(), AdmissionError> {
        files::write_new_public(path, self.text()?.as_bytes())
    }

    pub(super) fn text(&self) -> Result<String, AdmissionError> {
        document::write(&RequestFile {
            name: self.name.to_string(),
            api_address: self.api_address.clone(),
            peer_address: self.peer_address.clone(),
            peer_public_key: public_key_pem(&self.peer_key),
            server_public_key: public_key_pem(&self.server_key),
            proof: self.proof.clone(),
        })
    }

    /// What the node wants to be called.
    #[must_use]
    pub fn name(&self) -> &PrincipalName {
        &self.name
    }

    /// Where clients will reach it, `host:port`.
    #[must_use]
    pub fn api_address(&self) -> &str {
        &self.api_address
    }

    /// Where peers will reach it, `host:port`.
    #[must_use]
    pub fn peer_address(&self) -> &str {
        &self.peer_address
    }

    /// The key that it proves to peers.
    #[must_use]
    pub fn peer_key(&self) -> &PeerPublicKey {
        &self.peer_key
    }

    /// The key that it proves to clients.
    #[must_use]
    pub fn server_key(&self) -> &PeerPublicKey {
        &self.server_key
    }

    /// What the proof signs: every field, none of which can run into the next.
    fn said(&self) -> Vec<u8> {
        let fields = [
            DOMAIN,
            self.name.as_str().as_bytes(),
            self.api_address.as_bytes(),
            self.peer_address.as_bytes(),
            self.peer_key.spki(),
            self.server_key.spki(),
        ];
        let mut said = Vec::new();
        for field in fields {
            said.extend_from_slice(&(field.len() as u64).to_be_bytes());
            said.extend_from_slice(field);
        }
        said
    }
}

fn prove(key: &PeerSigningKey, said: &[u8]) -> String {
    hex::encode(key.sign(said))
}

fn proved(key: &PeerPublicKey, said: &[u8], signature: &str) -> bool {
    hex::decode(signature).is_ok_and(|signature| key.verify(said, &signature))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestFile {
    name: String,
    api_address: String,
    peer_address: String,
    peer_public_key: String,
    server_public_key: String,
    proof: Proof,
}

impl Document for RequestFile {
    const KIND: &'static str = "chancery node request";
    const NAME: &'static str = "node request";
    const VERSION: u64 = 1;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn request_text(directory: &Path) -> String {
        let keys = NodeKeys::generate_in(&directory.join("keys")).unwrap();
        let request = NodeRequest::new(
            "node-1".parse().unwrap(),
            "node-1.example.org:7443".to_owned(),
            "10.0.0.1:7444".to_owned(),
            &keys,
        )
        .unwrap();
        let path = directory.join("request.json");
        request.write_new(&path).unwrap();
        NodeRequest::read(&path).unwrap();
        files::read(&path).unwrap()
    }

    #[test]
    fn a_request_that_was_altered_on_its_way_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let text = request_text(directory.path());
        let other = request_text(&directory.path().join("other"));
        for (from, to) in [
            ("node-1.example.org:7443", "attacker.example:7443"),
            ("10.0.0.1:7444", "10.6.6.6:7444"),
            ("\"node-1\"", "\"node-2\""),
        ] {
            let refused = NodeRequest::parse("request.json", &text.replace(from, to));
            assert!(
                matches!(refused, Err(AdmissionError::BadProof("peer"))),
                "{refused:?}"
            );
        }

        let member = |text: &str, name: &str| {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            value.get(name).unwrap().to_string()
        };
        for (key, proof) in [("peer_public_key", "peer"), ("server_public_key", "server")] {
            let swapped = text.replace(&member(&text, key), &member(&other, key));
            assert_ne!(swapped, text, "{key}");
            let refused = NodeRequest::parse("request.json", &swapped);
            assert!(
                matches!(refused, Err(AdmissionError::BadProof(_))),
                "{proof}: {refused:?}"
            );
        }
    }

    #[test]
    fn a_newer_request_is_called_newer_and_an_unknown_member_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let text = request_text(directory.path());
        let newer = text.replace("\"version\": 1", "\"version\": 2");
        let refused = NodeRequest::parse("request.json", &newer).unwrap_err();
        assert!(
            matches!(refused, AdmissionError::Version { found: 2, .. }),
            "{refused}"
        );

        let unknown = text.replace("\"version\": 1", "\"version\": 1, \"root\": true");
        let refused = NodeRequest::parse("request.json", &unknown)
            .unwrap_err()
            .to_string();
        assert!(refused.contains("`root`"), "{refused}");

        let admission = text.replace("chancery node request", "chancery admission");
        let refused = NodeRequest::parse("request.json", &admission)
            .unwrap_err()
            .to_string();
        assert!(refused.contains("its kind is"), "{refused}");
    }
}
