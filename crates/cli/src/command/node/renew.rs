//! `chancery node renew`, where the operator is: the former admission once more,
//! with a server certificate that lasts another 90 days. The cluster is not
//! asked, for nothing about the node changes.

use std::{path::PathBuf, time::SystemTime};

use chancery_server::admission::{Admission, Root, SubjectName};
use clap::Args;
use serde::Serialize;

use crate::{
    failure::Failure,
    output::{Column, Output},
};

/// Arguments of `node renew`.
#[derive(Debug, Args)]
pub struct RenewArgs {
    /// The node's former admission file
    #[arg(value_name = "ADMISSION")]
    former: PathBuf,
    /// Name or IP address that the node's server certificate vouches for; repeat it
    #[arg(long = "san", value_name = "NAME", required = true)]
    names: Vec<SubjectName>,
    /// The directory with the root's private key, as `chancery init` made it
    #[arg(long, value_name = "DIR", default_value = "chancery-ca")]
    ca: PathBuf,
    /// The admission file to write
    #[arg(long, value_name = "FILE")]
    admission: PathBuf,
}

#[derive(Serialize)]
struct RenewView<'a> {
    node: u64,
    name: &'a str,
    admission: &'a PathBuf,
}

const COLUMNS: [Column; 3] = [
    ("node", "/node"),
    ("name", "/name"),
    ("admission", "/admission"),
];

pub fn run(args: &RenewArgs, output: Output) -> Result<(), Failure> {
    let former = Admission::read(&args.former)?;
    let renewed = Root::load(&args.ca)?.renew(&former, &args.names, SystemTime::now())?;
    renewed.write_new(&args.admission)?;
    output.record(
        &RenewView {
            node: renewed.node.0,
            name: renewed.name.as_str(),
            admission: &args.admission,
        },
        &COLUMNS,
    )?;
    output.note(&format!(
        "\nnext: take it to the node, and there type\n  chancery join --dir DIR {}\n\
         The node takes the new certificate without a restart.",
        args.admission.display()
    ));
    Ok(())
}
