//! `chancery serve`, on the node: runs it until it is told to stop.

use std::{io::ErrorKind, path::PathBuf};

use chancery_server::{Config, ConfigError, ServeError};
use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::node::request::CONFIG_FILE;
use crate::{
    failure::{Failure, Kind},
    plain_log::PlainLog,
};

/// Arguments of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// The node's configuration, as `node request` makes it
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    #[command(flatten)]
    pub log: LogArgs,
}

/// What a node tells of itself, on standard error.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Log")]
pub struct LogArgs {
    /// What to log, such as `info` or `info,chancery_consensus=debug`
    #[arg(
        long,
        value_name = "FILTER",
        env = "CHANCERY_LOG",
        default_value = "info,openraft=error"
    )]
    log: String,
    /// In which form
    #[arg(long, value_enum, env = "CHANCERY_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

impl LogArgs {
    /// Starts the log of this process.
    pub fn start(&self) -> Result<(), Failure> {
        let filter = EnvFilter::try_new(&self.log)
            .map_err(|error| Failure::usage(format_args!("--log `{}`: {error}", self.log)))?;
        let builder = tracing_subscriber::fmt().with_env_filter(filter);
        match self.log_format {
            LogFormat::Text => builder
                .with_ansi(false)
                .with_writer(|| PlainLog::text(std::io::stderr()))
                .try_init(),
            LogFormat::Json => builder
                .json()
                .flatten_event(true)
                .with_writer(|| PlainLog::json(std::io::stderr()))
                .try_init(),
        }
        .map_err(Failure::local)
    }
}

/// Before anything that could hold a key: a process that can be dumped must hold
/// none.
pub fn harden() -> Result<(), Failure> {
    chancery_server::forbid_dumps().map_err(|error| {
        Failure::refused(error)
            .next("allow these two calls where this runs: a filter of system calls forbids them")
    })
}

pub async fn run(args: &ServeArgs) -> Result<(), Failure> {
    harden()?;
    args.log.start()?;
    serve(load(&args.config)?).await
}

/// Reads a node's configuration.
pub fn load(config: &std::path::Path) -> Result<Config, Failure> {
    Config::from_file(config).map_err(|error| {
        let next = match &error {
            ConfigError::Read { .. } if config.is_dir() => {
                format!(
                    "it is a directory: give `{}`",
                    config.join(CONFIG_FILE).display()
                )
            }
            ConfigError::Read { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
                "run it as the user whom the node's files belong to, or let that user read it"
                    .to_owned()
            }
            ConfigError::Read { .. } | ConfigError::Parse { .. } => {
                "`chancery node request` writes a configuration to begin with".to_owned()
            }
            _ => format!("mend `{}`", config.display()),
        };
        Failure::usage(error).next(next)
    })
}

/// What to do about an address that cannot be had.
fn listening(key: &str, why: ErrorKind) -> String {
    match why {
        ErrorKind::AddrInUse => format!(
            "is this node running already? If not, another process has the address: choose another \
             for `{key}` in the node's configuration"
        ),
        ErrorKind::AddrNotAvailable => format!(
            "no interface of this machine has that address: mend `{key}` in the node's \
             configuration; `[::]` is all of them"
        ),
        ErrorKind::PermissionDenied => format!(
            "ports below 1024 are given with a privilege only (CAP_NET_BIND_SERVICE): give it, or \
             choose another for `{key}` in the node's configuration"
        ),
        _ => format!("mend `{key}` in the node's configuration"),
    }
}

/// Runs a node until SIGTERM or SIGINT, and then until it is drained.
pub async fn serve(config: Config) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::local)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::local)?;
    let stopped = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    chancery_server::serve(config, stopped)
        .await
        .map_err(failure)
}

/// What is final exits as a refusal, so that who watches over the process does
/// not start it for ever.
fn failure(error: ServeError) -> Failure {
    let is_final = error.is_final();
    let mut failure = match error {
        ServeError::Admission(error) => error.into(),
        ServeError::Listen {
            key, ref source, ..
        } => {
            let next = listening(key, source.kind());
            Failure::local(error).next(next)
        }
        error => Failure::local(error),
    };
    if is_final && failure.kind == Kind::Local {
        failure.kind = Kind::Refused;
    }
    failure
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use chancery_server::admission::AdmissionError;

    use super::*;

    #[test]
    fn a_start_that_is_refused_for_good_is_told_from_a_fault() {
        let gone = AdmissionError::DataGone {
            path: "/var/lib/chancery/data".to_owned(),
            node: 1,
        };
        let exposed = AdmissionError::Exposed {
            path: "/var/lib/chancery/peer.key".to_owned(),
            mode: 0o644,
        };
        for refused in [gone, exposed] {
            assert_eq!(failure(refused.into()).kind, Kind::Refused);
        }
        let address = "127.0.0.1:7411".parse().unwrap();
        let taken = ServeError::Listen {
            key: "api_listen",
            address,
            source: std::io::ErrorKind::AddrInUse.into(),
        };
        assert_eq!(failure(taken).kind, Kind::Local);
        let disk = ServeError::Fatal("the disk is full".to_owned());
        assert_eq!(failure(disk).kind, Kind::Local);
    }
}
