//! A client's directory: which nodes, whose root, and as whom.
//!
//! ```text
//! client.toml    endpoints, root, identity
//! root.pem       the cluster's root certificate
//! identity.key   the private key, 0600
//! identity.pem   the certificate that presents it; tokens are bound to it
//! ```

use std::path::{Path, PathBuf};

use chancery_client::Identity;
use chancery_server::admission::{
    create_private_directory, read, read_private, replace_public, spki_pem, write_new_private,
    write_new_public,
};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

const CLIENT_FILE: &str = "client.toml";
const ROOT_FILE: &str = "root.pem";
/// The private key in a profile.
pub const IDENTITY_FILE: &str = "identity.key";

/// `client.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The nodes, `host:port`, in the order of preference.
    pub endpoints: Vec<String>,
    /// The root certificate, PEM; relative to this file.
    pub root: PathBuf,
    /// The private key, PEM; relative to this file. Its certificate stands
    /// beside it, with the ending `.pem`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<PathBuf>,
}

impl Profile {
    /// Reads the profile of a directory; its paths are then complete.
    pub fn load(directory: &Path) -> Result<Self, Failure> {
        let file = directory.join(CLIENT_FILE);
        let mut profile = Self::read(&file)?;
        profile.root = directory.join(profile.root);
        profile.identity = profile.identity.map(|path| directory.join(path));
        Ok(profile)
    }

    fn read(file: &Path) -> Result<Self, Failure> {
        let text = read(file).map_err(|error| elsewhere(file, error.into()))?;
        Self::parse(&text).map_err(|error| {
            Failure::local(format_args!(
                "`{}` is no client profile: {error}",
                file.display()
            ))
            .next("mend it, or have `chancery init` make another")
        })
    }

    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// Adds a node to the end of the list, unless it stands there.
    pub fn add_endpoint(directory: &Path, endpoint: &str) -> Result<(), Failure> {
        let file = directory.join(CLIENT_FILE);
        let mut profile = Self::read(&file)?;
        if profile.endpoints.iter().any(|known| known == endpoint) {
            return Ok(());
        }
        profile.endpoints.push(endpoint.to_owned());
        Ok(replace_public(&file, profile.text()?.as_bytes())?)
    }

    /// Takes a node from the list, if it stands there and is not the last.
    pub fn remove_endpoint(directory: &Path, endpoint: &str) -> Result<(), Failure> {
        let file = directory.join(CLIENT_FILE);
        let mut profile = Self::read(&file)?;
        let before = profile.endpoints.len();
        profile.endpoints.retain(|known| known != endpoint);
        if profile.endpoints.is_empty() || profile.endpoints.len() == before {
            return Ok(());
        }
        Ok(replace_public(&file, profile.text()?.as_bytes())?)
    }

    /// Makes a profile directory around an identity whose files
    /// [`write_identity`] made there.
    pub fn create(directory: &Path, endpoints: &[String], root_pem: &str) -> Result<(), Failure> {
        let profile = Self {
            endpoints: endpoints.to_vec(),
            root: ROOT_FILE.into(),
            identity: Some(IDENTITY_FILE.into()),
        };
        write_new_public(&directory.join(ROOT_FILE), root_pem.as_bytes())?;
        write_new_public(&directory.join(CLIENT_FILE), profile.text()?.as_bytes())?;
        Ok(())
    }

    /// The file's text.
    pub fn text(&self) -> Result<String, Failure> {
        toml::to_string(self).map_err(Failure::local)
    }
}

/// `chancery dev DIR` makes the profile in `DIR/profile`, and DIR is what people give.
fn elsewhere(file: &Path, failure: Failure) -> Failure {
    let inside = file.with_file_name("profile");
    if !file.exists() && inside.join(CLIENT_FILE).exists() {
        return failure.next(format_args!("the profile is in `{}`", inside.display()));
    }
    failure
        .next("give with --profile a directory that `chancery init` or `chancery agent key` made")
}

/// Writes an identity into a directory of its own: key (0600), certificate, and
/// the public key, which is what a registrar gets.
pub fn write_identity(directory: &Path, identity: &Identity) -> Result<(), Failure> {
    create_private_directory(directory)?;
    let key = directory.join(IDENTITY_FILE);
    write_new_private(&key, identity.private_key_pem().as_bytes())?;
    write_new_public(
        &certificate_beside(&key),
        identity.certificate_pem().as_bytes(),
    )?;
    write_new_public(
        &public_key_beside(&key),
        spki_pem(identity.public_key()).as_bytes(),
    )?;
    Ok(())
}

/// Reads a private key, and the certificate beside it when there is one.
pub fn read_identity(key: &Path) -> Result<Identity, Failure> {
    must_be_no_certificate(key)?;
    let private = read_private(key)?;
    let beside = certificate_beside(key);
    let certificate = if beside.exists() {
        Some(read(&beside)?)
    } else {
        None
    };
    Identity::from_pem(&private, certificate.as_deref()).map_err(|error| {
        Failure::local(format_args!("`{}`: {error}", key.display()))
            .next("`chancery agent key DIR` makes a key with its certificate")
    })
}

/// The two lie side by side and are easily exchanged. Certificates are public, so
/// that this one may be read by others is not what is wrong.
fn must_be_no_certificate(key: &Path) -> Result<(), Failure> {
    let is_one = key.extension().is_some_and(|ending| ending == "pem")
        && read(key).is_ok_and(|text| {
            text.contains("-----BEGIN CERTIFICATE-----") && !text.contains("PRIVATE KEY-----")
        });
    if !is_one {
        return Ok(());
    }
    let failure = Failure::local(format_args!(
        "`{}` is a certificate, and a private key is needed",
        key.display()
    ));
    Err(failure.next(format_args!(
        "give the key: `{}`, if it is where `chancery agent key` puts it",
        key.with_extension("key").display()
    )))
}

pub fn certificate_beside(key: &Path) -> PathBuf {
    key.with_extension("pem")
}

pub fn public_key_beside(key: &Path) -> PathBuf {
    key.with_extension("pub")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_profile_is_found_again_with_the_same_key_and_certificate() {
        let directory = tempfile::tempdir().unwrap();
        let made = Identity::generate().unwrap();
        write_identity(directory.path(), &made).unwrap();
        Profile::create(directory.path(), &["127.0.0.1:7411".to_owned()], "root").unwrap();
        Profile::add_endpoint(directory.path(), "127.0.0.1:7421").unwrap();
        Profile::add_endpoint(directory.path(), "127.0.0.1:7421").unwrap();

        let profile = Profile::load(directory.path()).unwrap();
        assert_eq!(profile.endpoints, ["127.0.0.1:7411", "127.0.0.1:7421"]);
        for gone in ["127.0.0.1:7411", "127.0.0.1:7499", "127.0.0.1:7421"] {
            Profile::remove_endpoint(directory.path(), gone).unwrap();
        }
        let left = Profile::load(directory.path()).unwrap().endpoints;
        assert_eq!(left, ["127.0.0.1:7421"], "the last one stays");
        let key = profile.identity.unwrap();
        assert_eq!(
            fs::metadata(&key).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let read = read_identity(&key).unwrap();
        assert_eq!(read.key_thumbprint(), made.key_thumbprint());
        assert_eq!(read.certificate_thumbprint(), made.certificate_thumbprint());
    }

    #[test]
    fn an_identity_is_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        write_identity(directory.path(), &Identity::generate().unwrap()).unwrap();
        assert!(write_identity(directory.path(), &Identity::generate().unwrap()).is_err());
    }

    #[test]
    fn a_misspelt_setting_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(
            directory.path().join(CLIENT_FILE),
            "endpoint = []\nroot = 'r'",
        )
        .unwrap();
        let failure = Profile::load(directory.path()).unwrap_err();
        assert!(failure.message.contains("endpoint"), "{}", failure.message);
    }
}
