//! `chancery dev`: a node of its own on loopback, to try things with. It does
//! what `node request`, `init`, `join` and `serve` do, by the same code.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use chancery_client::{Client, Idempotence, v1};
use chancery_credential::PrincipalName;
use chancery_server::admission::{ADMISSION_FILE, host_of};
use clap::Args;

use super::{
    init::{self, InitArgs, SettingsArgs},
    join::{self, JoinArgs},
    node::request::{self, CONFIG_FILE, REQUEST_FILE, RequestArgs},
    serve::{self, LogArgs},
};
use crate::{cluster::ClusterArgs, failure::Failure, output::Output, span::Span};

const TRUST_DOMAIN: &str = "dev.internal";
const ADMISSION: &str = "node.admission.json";

/// Arguments of `dev`.
#[derive(Debug, Clone, Args)]
pub struct DevArgs {
    /// Keep everything in this directory, and go on from it the next time [default: a temporary
    /// one, removed at the end]
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Port for clients
    #[arg(long, default_value_t = 7411)]
    api_port: u16,
    /// Port for other nodes
    #[arg(long, default_value_t = 7412)]
    peer_port: u16,
    /// Port for health and metrics
    #[arg(long, default_value_t = 7413)]
    admin_port: u16,
    #[command(flatten)]
    log: LogArgs,
}

pub async fn run(args: &DevArgs, output: Output) -> Result<(), Failure> {
    serve::harden()?;
    args.log.start()?;
    let place = Place::of(args.dir.as_deref())?;
    if !place.node().join(ADMISSION_FILE).exists() {
        found(args, &place)?;
    }
    let config = serve::load(&place.node().join(CONFIG_FILE))?;
    let guide = tokio::spawn(guide(place.profile(), output));
    let served = serve::serve(config).await;
    guide.abort();
    served
}

/// What an operator and a node do to found a cluster, one after the other.
fn found(args: &DevArgs, place: &Place) -> Result<(), Failure> {
    let loopback = |port| SocketAddr::new(IpAddr::from(Ipv4Addr::LOCALHOST), port);
    let name = |name: &str| name.parse::<PrincipalName>().map_err(Failure::local);
    let api = loopback(args.api_port).to_string();
    request::make(&RequestArgs {
        dir: place.node(),
        name: name("node-1")?,
        api: api.clone(),
        peer: loopback(args.peer_port).to_string(),
        api_listen: None,
        peer_listen: None,
        admin_listen: loopback(args.admin_port),
    })?;
    let now = SystemTime::now();
    let admission = place.path.join(ADMISSION);
    init::found(
        &InitArgs {
            request: place.node().join(REQUEST_FILE),
            names: vec![host_of(&api)?, "localhost".parse()?],
            trust_domain: TRUST_DOMAIN.to_owned(),
            issuer_url: format!("https://{api}"),
            operator: name("developer")?,
            ca: place.path.join("ca"),
            profile: place.profile(),
            admission: Some(admission.clone()),
            settings: SettingsArgs::default(),
        },
        now,
    )?;
    join::join(
        &JoinArgs {
            dir: place.node(),
            admission,
        },
        now,
    )?;
    Ok(())
}

/// Where a development cluster lives; a temporary one goes with the process.
struct Place {
    path: PathBuf,
    temporary: bool,
}

impl Place {
    fn of(given: Option<&Path>) -> Result<Self, Failure> {
        if let Some(given) = given {
            chancery_server::admission::create_private_directory(given)?;
            let path = std::path::absolute(given).map_err(Failure::local)?;
            return Ok(Self {
                path,
                temporary: false,
            });
        }
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(Failure::local)?;
        let path = std::env::temp_dir().join(format!("chancery-dev-{}", hex::encode(random)));
        chancery_server::admission::create_private_directory(&path)?;
        Ok(Self {
            path,
            temporary: true,
        })
    }

    fn node(&self) -> PathBuf {
        self.path.join("node")
    }

    fn profile(&self) -> PathBuf {
        self.path.join("profile")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.temporary {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Says what to type, once the node answers its operator.
async fn guide(profile: PathBuf, output: Output) {
    let patience = Span(Duration::from_secs(60));
    let Ok(client) = ClusterArgs::of_profile(&profile, patience).client() else {
        return;
    };
    if who_am_i(&client).await.is_err() {
        return;
    }
    let profile = shell_word(&profile);
    output.note(&format!(
        "
chancery serves one node on loopback. In another terminal:

  export CHANCERY_PROFILE={profile}
  chancery whoami
  chancery owner add payments
  chancery agent key ./billing
  chancery agent register spiffe://{TRUST_DOMAIN}/billing --owner payments \\
      --public-key ./billing/identity.pub \\
      --grant 'https://ledger.example/* ledger:read ledger:write'
  chancery token mint --profile ./billing --audience https://ledger.example/v1 \\
      --scope ledger:read --out ./token
  chancery token verify ./token --audience https://ledger.example/v1 \\
      --certificate ./billing/identity.pem
  chancery suspend agent spiffe://{TRUST_DOMAIN}/billing --reason 'trying it'

Ctrl-C ends it."
    ));
}

/// A path as one word of a shell (POSIX.1-2024, XCU 2.2.2).
fn shell_word(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    if path.chars().all(is_plain) {
        return path;
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

async fn who_am_i(client: &Client) -> Result<v1::WhoAmIResponse, chancery_client::Error> {
    client
        .call(Idempotence::Repeatable, |channel| async move {
            v1::principal_service_client::PrincipalServiceClient::new(channel)
                .who_am_i(v1::WhoAmIRequest {})
                .await
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        for (path, word) in [
            ("/tmp/chancery-dev-1/profile", "/tmp/chancery-dev-1/profile"),
            ("/home/me/my cluster", "'/home/me/my cluster'"),
            ("/tmp/it's", r"'/tmp/it'\''s'"),
        ] {
            assert_eq!(shell_word(Path::new(path)), word);
        }
    }
}
