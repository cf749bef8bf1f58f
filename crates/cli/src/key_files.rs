//! Public keys as files, and the making of a key that stays with its holder.

use std::path::{Path, PathBuf};

use chancery_client::Identity;
use chancery_server::admission::{read, spki_from_pem};
use clap::Args;
use serde::Serialize;

use crate::{
    cluster::ClusterArgs,
    failure::Failure,
    output::{Column, Output},
    profile::{IDENTITY_FILE, Profile, certificate_beside, public_key_beside, write_identity},
};

/// The public keys of somebody who is to be known by them.
#[derive(Debug, Clone, Args)]
pub struct PublicKeyArgs {
    /// Public key or certificate, PEM; repeat it for up to 8
    #[arg(long = "public-key", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

impl PublicKeyArgs {
    /// `SubjectPublicKeyInfo` of each, DER.
    pub fn read(&self) -> Result<Vec<Vec<u8>>, Failure> {
        self.files.iter().map(|file| public_key(file)).collect()
    }
}

/// Other public keys for somebody who is known by some already.
#[derive(Debug, Clone, Args)]
pub struct OtherKeyArgs {
    /// Public key or certificate, PEM, in place of all keys it has; repeat it for up to 8
    #[arg(long = "public-key", value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl OtherKeyArgs {
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// As of [`PublicKeyArgs::read`].
    pub fn read(&self) -> Result<Vec<Vec<u8>>, Failure> {
        self.files.iter().map(|file| public_key(file)).collect()
    }
}

/// What changes of the keys of somebody who is known by some already.
#[derive(Debug, Clone, Args)]
pub struct KeyChangeArgs {
    /// Public key or certificate, PEM, to be known by as well; repeat it, up to 8 in all
    #[arg(long = "add-key", value_name = "FILE")]
    added: Vec<PathBuf>,
    /// Thumbprint of a key that counts no more, as the list shows it; repeat it
    #[arg(long = "remove-key", value_name = "THUMBPRINT")]
    removed: Vec<String>,
}

impl KeyChangeArgs {
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    /// As of [`PublicKeyArgs::read`].
    pub fn added(&self) -> Result<Vec<Vec<u8>>, Failure> {
        self.added.iter().map(|file| public_key(file)).collect()
    }

    pub fn removed(&self) -> Vec<String> {
        self.removed.clone()
    }
}

fn public_key(file: &Path) -> Result<Vec<u8>, Failure> {
    spki_from_pem(&read(file)?).map_err(|why| {
        Failure::local(format_args!(
            "`{}` holds no public key: {why}",
            file.display()
        ))
        .next("`chancery agent key DIR` makes a key, with its public half in DIR/identity.pub")
    })
}

/// Arguments of `agent key`, `operator key` and `service key`.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// New directory for the key; with a cluster named, it becomes a profile for it
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct KeyView {
    private_key: PathBuf,
    certificate: PathBuf,
    public_key: PathBuf,
    key_thumbprint: String,
    certificate_thumbprint: String,
    profile: bool,
}

const COLUMNS: [Column; 5] = [
    ("private key", "/private_key"),
    ("certificate", "/certificate"),
    ("public key", "/public_key"),
    ("key thumbprint", "/key_thumbprint"),
    ("certificate thumbprint", "/certificate_thumbprint"),
];

/// Makes a key and its certificate where their holder is.
pub fn make(args: &KeyArgs, output: Output) -> Result<(), Failure> {
    let cluster = args.cluster.try_profile()?;
    let root = cluster
        .as_ref()
        .map(|cluster| read(&cluster.root))
        .transpose()?;
    let identity = Identity::generate().map_err(Failure::local)?;
    write_identity(&args.dir, &identity)?;
    let key = args.dir.join(IDENTITY_FILE);
    if let (Some(cluster), Some(root)) = (&cluster, root) {
        Profile::create(&args.dir, &cluster.endpoints, &root)?;
    }
    output.record(
        &KeyView {
            certificate: certificate_beside(&key),
            public_key: public_key_beside(&key),
            private_key: key,
            key_thumbprint: identity.key_thumbprint().to_string(),
            certificate_thumbprint: identity.certificate_thumbprint().to_string(),
            profile: cluster.is_some(),
        },
        &COLUMNS,
    )?;
    output.note(
        "\nnext: give the public key to whoever registers it, with --public-key; the private key stays.",
    );
    Ok(())
}
