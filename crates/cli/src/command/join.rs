//! `chancery join`, on the node: installs the admission that the operator made.

use std::{path::PathBuf, time::SystemTime};

use chancery_server::admission::{Admission, AdmissionError, Installed, NodeKeys};
use clap::Args;
use serde::Serialize;

use super::node::request::CONFIG_FILE;
use crate::{
    failure::Failure,
    output::{Column, Output},
};

/// Arguments of `join`.
#[derive(Debug, Clone, Args)]
pub struct JoinArgs {
    /// The node's directory, where `node request` made its keys
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// The admission file
    #[arg(value_name = "ADMISSION")]
    pub admission: PathBuf,
}

#[derive(Serialize)]
struct JoinView {
    installed: &'static str,
    lineage: String,
    trust_domain: String,
    node: u64,
    name: String,
    peers: usize,
}

const COLUMNS: [Column; 6] = [
    ("installed", "/installed"),
    ("lineage", "/lineage"),
    ("trust domain", "/trust_domain"),
    ("node", "/node"),
    ("name", "/name"),
    ("peers", "/peers"),
];

pub fn run(args: &JoinArgs, output: Output) -> Result<(), Failure> {
    let (admission, installed) = join(args, SystemTime::now())?;
    output.record(
        &JoinView {
            installed: match installed {
                Installed::Joined => "a new node",
                Installed::Renewed => "a fresh admission of this node",
            },
            lineage: admission.lineage.to_string(),
            trust_domain: admission.trust_domain.to_string(),
            node: admission.node.0,
            name: admission.name.to_string(),
            peers: admission.peers.len(),
        },
        &COLUMNS,
    )?;
    if installed == Installed::Joined {
        output.note(&format!(
            "\nnext: chancery serve --config {}",
            args.dir.join(CONFIG_FILE).display()
        ));
    }
    Ok(())
}

/// Installs the admission.
pub fn join(args: &JoinArgs, now: SystemTime) -> Result<(Admission, Installed), Failure> {
    let keys = NodeKeys::load(&args.dir)?;
    let admission = Admission::read(&args.admission)?;
    let installed = admission.install(&args.dir, &keys, now).map_err(|error| {
        let lacks_its_data =
            admission.readmitted && matches!(error, AdmissionError::DataGone { .. });
        let failure = Failure::from(error);
        if lacks_its_data {
            return failure.next(format_args!(
                "stop the old process, move the `data` directory of the node's former directory to \
                 `{}`, and type the same again",
                args.dir.join("data").display()
            ));
        }
        failure
    })?;
    Ok((admission, installed))
}
