//! `chancery token mint`.

use std::path::PathBuf;

use chancery_client::{Minted, v1};
use chancery_server::admission::write_new_private;
use clap::Args;
use serde::Serialize;

use crate::{
    cluster::ClusterArgs,
    failure::Failure,
    output::{Column, Output, print},
    read::ReadArgs,
    span::{Span, instant},
};

/// Arguments of `token mint`.
#[derive(Debug, Args)]
pub struct MintArgs {
    /// Who the token is for
    #[arg(long)]
    audience: String,
    /// What it allows; repeat it
    #[arg(
        long = "scope",
        value_name = "SCOPE",
        required_unless_present = "no_scopes"
    )]
    scopes: Vec<String>,
    /// It allows nothing by itself: it only says who bears it
    #[arg(long, conflicts_with = "scopes")]
    no_scopes: bool,
    /// How long it lasts [default: the cluster's]
    #[arg(long, value_name = "SPAN")]
    ttl: Option<Span>,
    /// Bind it to no key: whoever has it may use it
    #[arg(long)]
    bearer: bool,
    /// Write the token to this new file, 0600 [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct MintView<'a> {
    /// Absent when it went to a file.
    token: Option<&'a str>,
    token_id: &'a str,
    expires_at: Option<String>,
    consistency_token: &'a str,
}

const COLUMNS: [Column; 3] = [
    ("token id", "/token_id"),
    ("expires", "/expires_at"),
    ("consistency token", "/consistency_token"),
];

pub async fn run(args: &MintArgs, output: Output) -> Result<(), Failure> {
    let ttl = args
        .ttl
        .map(|ttl| ttl.whole_seconds("--ttl"))
        .transpose()?
        .unwrap_or(0);
    let request = v1::MintRequest {
        audience: args.audience.clone(),
        scopes: args.scopes.clone(),
        ttl_seconds: u32::try_from(ttl).map_err(|_| Failure::usage("--ttl is too long"))?,
        bearer: args.bearer,
        agent: String::new(),
        min_revision: args.read.min_revision(),
    };
    let minted = args.cluster.client()?.mint(request).await?;
    show(args, &minted, output)
}

/// To a pipe goes the token alone; with a file, what is known of it.
fn show(args: &MintArgs, minted: &Minted, output: Output) -> Result<(), Failure> {
    if !is_compact_jws(&minted.token) {
        return Err(Failure::unexpected("token in it"));
    }
    if let Some(out) = &args.out {
        write_new_private(out, minted.token.as_bytes())?;
    } else if !output.is_json() {
        return print(&minted.token);
    }
    let view = MintView {
        token: args.out.is_none().then_some(minted.token.as_str()),
        token_id: &minted.token_id,
        expires_at: instant(minted.expires_at),
        consistency_token: &minted.consistency_token,
    };
    output.record(&view, &COLUMNS)
}

/// Base64url and two dots (RFC 7515 §7.1): what goes to a terminal as it stands
/// cannot do anything to it.
fn is_compact_jws(token: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    token.bytes().all(allowed) && token.matches('.').count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_token_is_printed_as_a_token() {
        assert!(is_compact_jws("eyJhbGciOiJFZERTQSJ9.e30.c2ln"));
        for bad in ["", "a.b", "a.b.c.d", "a.b.\u{1b}[2J", "a.b.c\n"] {
            assert!(!is_compact_jws(bad), "{bad:?}");
        }
    }
}
