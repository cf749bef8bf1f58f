//! Why a node does not serve, and whether it is of any use to start it again.

use std::io;

use chancery_consensus::StartError;
use thiserror::Error;

use crate::{
    admission::AdmissionError, config::ConfigError, metrics::MetricsError, records::RecordsError,
    routes::ReflectionError, tls,
};

/// Why a node does not serve.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The configuration breaks one of its bounds.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The node's files are missing or not in order.
    #[error(transparent)]
    Admission(#[from] AdmissionError),
    /// The server certificate or key cannot be used.
    #[error("the server certificate cannot be used: {0}")]
    Identity(#[from] tls::IdentityError),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] tls::ConfigError),
    /// The replicated state cannot be reached or read.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The birth of the cluster was not committed.
    #[error("the cluster could not be born: {0}")]
    Birth(String),
    /// A listener cannot be bound.
    #[error("`{key} = {address}` cannot be listened on: {source}")]
    Listen {
        /// The key of the configuration.
        key: &'static str,
        /// What stands there.
        address: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no threads or no entropy.
    #[error("the system gave no {what}: {source}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// Mints cannot be recorded.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// Metrics cannot be recorded.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// Reflection cannot be served.
    #[error(transparent)]
    Reflection(#[from] ReflectionError),
    /// The cluster removed this node for good.
    #[error(transparent)]
    Removed(chancery_consensus::Removed),
    /// Raft or its storage failed: what this node knows can be trusted no more.
    #[error("the node had to stop: {0}")]
    Fatal(String),
}

impl ServeError {
    /// Whether the same start would be refused again until somebody acts: who
    /// watches over the process must not start it once more.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Admission(AdmissionError::Read { .. } | AdmissionError::Write { .. }) => false,
            Self::Admission(AdmissionError::Storage(error)) | Self::Start(error) => is_final(error),
            Self::Config(_)
            | Self::Admission(_)
            | Self::Tls(_)
            | Self::Reflection(_)
            | Self::Removed(_) => true,
            Self::Identity(error) => !matches!(error, tls::IdentityError::Unreadable { .. }),
            Self::Birth(_)
            | Self::Listen { .. }
            | Self::System { .. }
            | Self::Records(_)
            | Self::Metrics(_)
            | Self::Fatal(_) => false,
        }
    }
}

/// Whether it is what stands on the disk, or in the membership, that is refused,
/// and not a disk that failed to answer.
fn is_final(error: &StartError) -> bool {
    match error {
        StartError::OtherKey(_) | StartError::PeerKey(_) | StartError::Timing(_) => true,
        StartError::Storage(error) => is_damage(&error.clone().into()),
        StartError::State(error) => is_damage(error),
        StartError::Raft(_) => false,
    }
}

/// Storage says so of data that is damaged or missing.
fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::NotFound
    )
}
