//! What stands in a node's own file: only what is local to it. What safety rests
//! on is replicated and changed by command.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use thiserror::Error;

/// Why a configuration cannot be used. The operator's to mend.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration `{}` cannot be read: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not what was expected.
    #[error("the configuration `{}` is not valid: {source}", path.display())]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A value is out of its bounds.
    #[error("`{key}` is {value}: expected {expected}")]
    OutOfBounds {
        /// Which key.
        key: &'static str,
        /// What stands there.
        value: u64,
        /// What may.
        expected: &'static str,
    },
    /// The admin listener serves whoever reaches it.
    #[error("`admin_listen` is {0}: it authenticates nobody, so it must be a loopback address")]
    AdminNotLoopback(SocketAddr),
}

/// A node's local configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the node keeps its keys, its admission and its databases.
    pub data_dir: PathBuf,
    /// Where clients are served: gRPC and the JWKS, over TLS 1.3.
    pub api_listen: SocketAddr,
    /// Where the other nodes are served.
    pub peer_listen: SocketAddr,
    /// Where `/livez`, `/readyz` and `/metrics` are served, in plain HTTP:
    /// loopback only.
    pub admin_listen: SocketAddr,
    /// Threads that serve clients, 1 to 256.
    #[serde(default = "default_api_threads")]
    pub api_threads: usize,
    /// Threads for Raft, proofs of freshness and the peers, 1 to 16. They are
    /// apart from the others so that signing never delays a heartbeat.
    #[serde(default = "default_raft_threads")]
    pub raft_threads: usize,
    /// Log entries between snapshots, 100 to 10 million.
    #[serde(default = "default_snapshot_every")]
    pub snapshot_every: u64,
    /// How long a stopping node lets calls under way finish, seconds, up to 300.
    #[serde(default = "default_drain_seconds")]
    pub drain_seconds: u64,
}

fn default_api_threads() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

const fn default_raft_threads() -> usize {
    2
}

const fn default_snapshot_every() -> u64 {
    50_000
}

const fn default_drain_seconds() -> u64 {
    10
}

impl Config {
    /// Reads and checks a TOML file.
    ///
    /// # Errors
    /// Every [`ConfigError`].
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let config = Self::parse(&text).map_err(|source| ConfigError::Parse {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        config.validate()?;
        Ok(config)
    }

    pub(crate) fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// Checks every bound.
    ///
    /// # Errors
    /// The first bound that does not hold.
    pub fn validate(&self) -> Result<(), ConfigError> {
        within("api_threads", self.api_threads as u64, 1, 256, "1 to 256")?;
        within("raft_threads", self.raft_threads as u64, 1, 16, "1 to 16")?;
        within(
            "snapshot_every",
            self.snapshot_every,
            100,
            10_000_000,
            "100 to 10000000",
        )?;
        within("drain_seconds", self.drain_seconds, 0, 300, "at most 300")?;
        if !self.admin_listen.ip().is_loopback() {
            return Err(ConfigError::AdminNotLoopback(self.admin_listen));
        }
        Ok(())
    }
}

fn within(
    key: &'static str,
    value: u64,
    least: u64,
    most: u64,
    expected: &'static str,
) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(ConfigError::OutOfBounds {
            key,
            value,
            expected,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"
        data_dir = "/var/lib/chancery"
        api_listen = "0.0.0.0:7411"
        peer_listen = "0.0.0.0:7412"
        admin_listen = "127.0.0.1:7413"
    "#;

    #[test]
    fn what_is_not_given_has_a_default() {
        let config: Config = toml::from_str(MINIMAL).unwrap();
        assert_eq!(config.snapshot_every, 50_000);
        config.validate().unwrap();
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        assert!(toml::from_str::<Config>(&format!("{MINIMAL}\napi_thread = 3")).is_err());
    }

    #[test]
    fn the_admin_listener_stays_on_loopback() {
        let open = MINIMAL.replace("127.0.0.1:7413", "0.0.0.0:7413");
        let config: Config = toml::from_str(&open).unwrap();
        assert!(matches!(
            config.validate(),
            Err(ConfigError::AdminNotLoopback(_))
        ));
    }
}
