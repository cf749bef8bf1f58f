//! `chancery records find`: what was minted.

use std::{ops::ControlFlow, time::SystemTime};

use chancery_credential::{Audience, OwnerName, SpiffeId, TokenId};
use chancery_server::records::{self, Filter, Found};
use clap::Args;
use serde::Serialize;

use super::{FilesArgs, damaged, unreadable};
use crate::{
    failure::Failure,
    output::{Column, Output},
    span::{Moment, instant},
};

/// Arguments of `records find`.
#[derive(Debug, Args)]
#[command(after_help = "\
All filters that are given have to hold; without one, everything is shown. A line a record, in
the order in which the node wrote them; with --output json an object a line. Each node records
what it minted itself: ask the files of all of them. What is shown was held against the chain of
hashes; `chancery records verify` tells of gaps.")]
pub struct FindArgs {
    #[command(flatten)]
    files: FilesArgs,
    /// Only tokens of this agent, or of which it is an actor
    #[arg(long, value_name = "SPIFFE_ID")]
    agent: Option<SpiffeId>,
    /// Only tokens that this owner answers for
    #[arg(long)]
    owner: Option<OwnerName>,
    /// Only tokens for this audience
    #[arg(long)]
    audience: Option<Audience>,
    /// Only tokens that were issued then or later: an instant, or how long ago
    #[arg(long, value_name = "INSTANT|SPAN")]
    since: Option<Moment>,
    /// Only tokens that were issued then or before: an instant, or how long ago
    #[arg(long, value_name = "INSTANT|SPAN")]
    until: Option<Moment>,
    /// Only the token with this id (`jti`)
    #[arg(long, value_name = "ID")]
    token_id: Option<TokenId>,
}

#[derive(Serialize)]
struct RecordView {
    issued: Option<String>,
    expires: Option<String>,
    token_id: String,
    subject: String,
    actors: Vec<String>,
    owners: Vec<String>,
    audience: String,
    grant_sets: Vec<String>,
    ancestors: Vec<String>,
    scope_sha256: String,
    bound: bool,
    key: String,
    revision: u64,
    issuer: u32,
    node: u64,
    segment: u64,
}

const COLUMNS: [Column; 6] = [
    ("issued", "/issued"),
    ("token id", "/token_id"),
    ("subject", "/subject"),
    ("owners", "/owners"),
    ("audience", "/audience"),
    ("expires", "/expires"),
];

pub fn run(args: &FindArgs, output: Output) -> Result<(), Failure> {
    let directory = args.files.directory();
    let mut shown = Ok(());
    let mut any = false;
    let mut show = |found: Found| {
        any = true;
        shown = output.event(&RecordView::of(&found), &COLUMNS);
        if shown.is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    let damage = records::find(&directory, &args.filter(SystemTime::now()), &mut show)
        .map_err(|error| unreadable(&directory, &error))?;
    shown?;
    if !any {
        output.note("nothing matches; each node has its own records");
    }
    damaged(&directory, &damage)
}

impl FindArgs {
    fn filter(&self, now: SystemTime) -> Filter {
        Filter {
            agent: self.agent.as_ref().map(ToString::to_string),
            owner: self.owner.as_ref().map(ToString::to_string),
            audience: self.audience.as_ref().map(ToString::to_string),
            since: self.since.map(|moment| moment.milliseconds(now) / 1_000),
            until: self.until.map(|moment| moment.milliseconds(now) / 1_000),
            token: self.token_id,
        }
    }
}

impl RecordView {
    fn of(found: &Found) -> Self {
        Self {
            issued: instant(found.issued_at),
            expires: instant(found.expires_at),
            token_id: found.id.to_string(),
            subject: found.subject.clone(),
            actors: found.actors.clone(),
            owners: found.owners.clone(),
            audience: found.audience.clone(),
            grant_sets: found.grant_sets.clone(),
            ancestors: found.ancestors.iter().map(ToString::to_string).collect(),
            scope_sha256: hex::encode(found.scope_sha256),
            bound: found.bound,
            key: found.key.to_string(),
            revision: found.revision.0,
            issuer: found.id.issuer().0,
            node: found.node.0,
            segment: found.segment,
        }
    }
}
