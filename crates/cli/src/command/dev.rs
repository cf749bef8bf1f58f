//! `chancery dev`: a node of its own on loopback, to try things with. It does
//! what `node request`, `init`, `join` and `serve` do, by the same code.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use chancery_client::{Client, Idempotence, v1};
use chancery_credential::PrincipalName;
use chancery_server::{
    Config,
    admission::{ADMISSION_FILE, host_of},
};
use clap::Args;

use super::{
    init::{self, InitArgs, SettingsArgs},
    join::{self, JoinArgs},
    node::{
        self,
        request::{self, CONFIG_FILE, REQUEST_FILE, RequestArgs},
    },
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
    /// Port for clients [default: 7411, or what DIR was made with]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    api_port: Option<u16>,
    /// Port for other nodes [default: 7412, or what DIR was made with]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    peer_port: Option<u16>,
    /// Port for health and metrics [default: 7413, or what DIR was made with]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    admin_port: Option<u16>,
    #[command(flatten)]
    log: LogArgs,
}

pub async fn run(args: &DevArgs, output: Output) -> Result<(), Failure> {
    serve::harden()?;
    args.log.start()?;
    let place = Place::of(args.dir.as_deref())?;
    if !place.node().join(ADMISSION_FILE).exists() {
        let ports = args.ports();
        ports.must_be_free()?;
        place.make()?;
        found(&ports, &place)?;
    }
    let file = place.node().join(CONFIG_FILE);
    let config = serve::load(&file)?;
    args.must_fit(&config, &file)?;
    let guide = tokio::spawn(guide(place.profile(), output));
    let served = serve::serve(config).await;
    guide.abort();
    served
}

/// What a new node listens on. It then stands in its certificate and its files.
struct Ports {
    api: u16,
    peer: u16,
    admin: u16,
}

impl DevArgs {
    fn ports(&self) -> Ports {
        Ports {
            api: self.api_port.unwrap_or(7411),
            peer: self.peer_port.unwrap_or(7412),
            admin: self.admin_port.unwrap_or(7413),
        }
    }

    /// A directory is served on the ports that it was made with.
    fn must_fit(&self, config: &Config, file: &Path) -> Result<(), Failure> {
        for (option, given, made_with) in [
            ("--api-port", self.api_port, config.api_listen),
            ("--peer-port", self.peer_port, config.peer_listen),
            ("--admin-port", self.admin_port, config.admin_listen),
        ] {
            let Some(given) = given.filter(|given| *given != made_with.port()) else {
                continue;
            };
            return Err(Failure::usage(format_args!(
                "{option} is {given}, and `{}` was made with {}",
                file.display(),
                made_with.port()
            ))
            .next("leave the option out, or give another directory: its certificate and its profile name the port"));
        }
        Ok(())
    }
}

impl Ports {
    /// Before anything is made that names them.
    fn must_be_free(&self) -> Result<(), Failure> {
        if self.api == self.peer || self.api == self.admin || self.peer == self.admin {
            return Err(Failure::usage(format_args!(
                "the ports are {}, {} and {}, and each has to be another",
                self.api, self.peer, self.admin
            ))
            .next("give others with --api-port, --peer-port and --admin-port"));
        }
        for (port, option) in [
            (self.api, "--api-port"),
            (self.peer, "--peer-port"),
            (self.admin, "--admin-port"),
        ] {
            TcpListener::bind(loopback(port)).map_err(|error| {
                Failure::local(format_args!(
                    "`{}` cannot be listened on: {error}",
                    loopback(port)
                ))
                .next(format_args!(
                    "is `chancery dev` running already? If not, give other ports: {option} PORT"
                ))
            })?;
        }
        Ok(())
    }
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// What an operator and a node do to found a cluster, one after the other.
fn found(ports: &Ports, place: &Place) -> Result<(), Failure> {
    let name = |name: &str| name.parse::<PrincipalName>().map_err(Failure::local);
    let api = loopback(ports.api).to_string();
    request::make(&RequestArgs {
        dir: place.node(),
        name: name("node-1")?,
        api: api.clone(),
        peer: loopback(ports.peer).to_string(),
        api_listen: None,
        peer_listen: None,
        admin_listen: loopback(ports.admin),
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
            let path = std::path::absolute(given).map_err(Failure::local)?;
            return Ok(Self {
                path,
                temporary: false,
            });
        }
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(Failure::local)?;
        let path = std::env::temp_dir().join(format!("chancery-dev-{}", hex::encode(random)));
        Ok(Self {
            path,
            temporary: true,
        })
    }

    fn make(&self) -> Result<(), Failure> {
        Ok(chancery_server::admission::create_private_directory(
            &self.path,
        )?)
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
    let what = match node::members(&client).await {
        Ok(count) if count > 1 => format!("one of {count} nodes, this one on loopback"),
        _ => "one node on loopback".to_owned(),
    };
    let profile = shell_word(&profile);
    output.note(&format!(
        "
chancery serves {what}. In another terminal:

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
