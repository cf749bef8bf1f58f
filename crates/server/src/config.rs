//! What stands in a node's own file: only what is local to it. What safety rests
//! on is replicated and changed by command.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use thiserror::Error;

use crate::records::RecordLimits;

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
    /// How much of the history is kept on this node, MiB for each of its six parts
    /// (operators', nodes' and agents' commands, done and refused), 1 to 65,536.
    #[serde(default = "default_history_mib")]
    pub history_mib: u64,
    /// For how long, days, 1 to 3,660.
    #[serde(default = "default_history_days")]
    pub history_days: u64,
    /// How long a stopping node lets calls under way finish, seconds, up to 300.
    #[serde(default = "default_drain_seconds")]
    pub drain_seconds: u64,
    /// How much is kept of the records of mints.
    #[serde(default)]
    pub records: RecordLimits,
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

const fn default_history_mib() -> u64 {
    256
}

const fn default_history_days() -> u64 {
    90
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
        within("history_mib", self.history_mib, 1, 65_536, "1 to 65536")?;
        within("history_days", self.history_days, 1, 3_660, "1 to 3660")?;
        within("drain_seconds", self.drain_seconds, 0, 300, "at most 300")?;
        for (key, value, least, most, expected) in self.records.bounds() {
            within(key, value, least, most, expected)?;
        }
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
    fn the_limits_of_records_hold_together() {
        let written = format!("{MINIMAL}\n[records]\nsegment_bytes = 1048576");
        let mut config: Config = toml::from_str(&written).unwrap();
        assert_eq!(config.records.waiting, RecordLimits::default().waiting);
        config.validate().unwrap();
        config.records.keep_bytes = 3 << 20;
        let refused = config.validate().unwrap_err().to_string();
        assert!(
            refused.starts_with("`records.keep_bytes` is 3145728"),
            "{refused}"
        );
        let misspelt = format!("{MINIMAL}\n[records]\nsegment_byte = 1");
        assert!(toml::from_str::<Config>(&misspelt).is_err());
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
