//! `chancery node request`, on the node: makes its keys, and asks for admission.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use chancery_credential::PrincipalName;
use chancery_server::admission::{NodeKeys, NodeRequest, PEER_KEY_FILE, host_of, write_new_public};
use clap::Args;
use serde::Serialize;

use crate::{
    failure::Failure,
    output::{Column, Output},
};

/// The request, in the node's directory.
pub const REQUEST_FILE: &str = "request.json";
/// The node's local configuration, beside it.
pub const CONFIG_FILE: &str = "node.toml";

/// Arguments of `node request`.
#[derive(Debug, Clone, Args)]
pub struct RequestArgs {
    /// The node's directory, for its keys now and its data later
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// What the node is called
    #[arg(long)]
    pub name: PrincipalName,
    /// Where clients will reach it
    #[arg(long, value_name = "HOST:PORT")]
    pub api: String,
    /// Where the other nodes will reach it
    #[arg(long, value_name = "HOST:PORT")]
    pub peer: String,
    /// Where it listens for clients [default: the port of --api, on every interface; on
    /// loopback when --api is]
    #[arg(long, value_name = "IP:PORT")]
    pub api_listen: Option<SocketAddr>,
    /// Where it listens for the other nodes [default: as for --api-listen, by --peer]
    #[arg(long, value_name = "IP:PORT")]
    pub peer_listen: Option<SocketAddr>,
    /// Where it tells of its health, without authentication: loopback only
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7413")]
    pub admin_listen: SocketAddr,
}

/// `node.toml`: only what is local to the node.
#[derive(Serialize)]
struct NodeConfig<'a> {
    data_dir: &'a Path,
    api_listen: SocketAddr,
    peer_listen: SocketAddr,
    admin_listen: SocketAddr,
}

#[derive(Serialize)]
struct RequestView {
    request: PathBuf,
    config: PathBuf,
    name: String,
    peer_key_thumbprint: String,
    server_key_thumbprint: String,
}

const COLUMNS: [Column; 5] = [
    ("request", "/request"),
    ("configuration", "/config"),
    ("name", "/name"),
    ("peer key", "/peer_key_thumbprint"),
    ("server key", "/server_key_thumbprint"),
];

pub fn run(args: &RequestArgs, output: Output) -> Result<(), Failure> {
    let request = make(args)?;
    output.record(
        &RequestView {
            request: args.dir.join(REQUEST_FILE),
            config: args.dir.join(CONFIG_FILE),
            name: request.name().to_string(),
            peer_key_thumbprint: request.peer_key().thumbprint().to_string(),
            server_key_thumbprint: request.server_key().thumbprint().to_string(),
        },
        &COLUMNS,
    )?;
    output.note(
        "\nnext: take the request file to the operator, who turns it into an admission file with\n  \
         chancery init (the first node of a cluster), or\n  \
         chancery node add (every other),\nand compares these thumbprints with what that prints.",
    );
    Ok(())
}

/// Makes keys, request and configuration in the node's directory. Keys that a
/// former try left are used again; a request is never overwritten.
pub fn make(args: &RequestArgs) -> Result<NodeRequest, Failure> {
    if !args.admin_listen.ip().is_loopback() {
        return Err(Failure::usage(format_args!(
            "--admin-listen is {}: it authenticates nobody, so it must be a loopback address",
            args.admin_listen
        ))
        .next("give one such as 127.0.0.1:7413; what collects metrics runs beside the node, or reaches it through a tunnel"));
    }
    let listen = |given: Option<SocketAddr>, address: &str| match given {
        Some(given) => Ok(given),
        None => listen_for(address),
    };
    let api_listen = listen(args.api_listen, &args.api)?;
    let peer_listen = listen(args.peer_listen, &args.peer)?;
    let keys = if args.dir.join(PEER_KEY_FILE).exists() {
        NodeKeys::load(&args.dir)?
    } else {
        NodeKeys::generate_in(&args.dir)?
    };
    let request = NodeRequest::new(
        args.name.clone(),
        args.api.clone(),
        args.peer.clone(),
        &keys,
    )?;
    request.write_new(&args.dir.join(REQUEST_FILE))?;

    let config = args.dir.join(CONFIG_FILE);
    if !config.exists() {
        let data_dir = std::path::absolute(&args.dir).map_err(Failure::local)?;
        let text = toml::to_string(&NodeConfig {
            data_dir: &data_dir,
            api_listen,
            peer_listen,
            admin_listen: args.admin_listen,
        })
        .map_err(Failure::local)?;
        write_new_public(&config, text.as_bytes())?;
    }
    Ok(request)
}

/// Where a node listens that is reached at this address: a machine may not hold
/// the address that others know it by, but loopback means loopback.
fn listen_for(address: &str) -> Result<SocketAddr, Failure> {
    let host = host_of(address)?.to_string();
    let port = address
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok())
        .unwrap_or_default();
    let ip = match host.parse::<IpAddr>() {
        Ok(ip) if ip.is_loopback() => ip,
        _ if host == "localhost" => IpAddr::from([127, 0, 0, 1]),
        _ => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    Ok(SocketAddr::new(ip, port))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn loopback_stays_loopback_and_the_rest_listens_everywhere() {
        for (address, listen) in [
            ("127.0.0.1:7411", "127.0.0.1:7411"),
            ("[::1]:7411", "[::1]:7411"),
            ("localhost:7411", "127.0.0.1:7411"),
            ("10.0.0.1:7411", "[::]:7411"),
            ("node-1.example.org:7411", "[::]:7411"),
        ] {
            assert_eq!(
                listen_for(address).unwrap(),
                listen.parse().unwrap(),
                "{address}"
            );
        }
        assert!(listen_for("node-1").is_err());
    }
}
