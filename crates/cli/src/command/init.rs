//! `chancery init`, where the operator is: turns the first node's request into a
//! cluster: a root, an operator, an admission and a profile.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use chancery_client::Identity;
use chancery_credential::{Lineage, NodeNumber, PrincipalName, Revision};
use chancery_server::admission::{
    Admission, Birth, BirthSettings, FirstOperator, NodeRequest, Root, SubjectName,
};
use clap::Args;
use serde::Serialize;

use crate::{
    failure::Failure,
    output::{Column, Output},
    profile::{Profile, write_identity},
    span::Span,
};

/// Arguments of `init`.
#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// The first node's request file
    #[arg(long, value_name = "FILE")]
    pub request: PathBuf,
    /// Name or IP address that the node's server certificate vouches for; repeat it
    #[arg(long = "san", value_name = "NAME", required = true)]
    pub names: Vec<SubjectName>,
    /// What every agent's SPIFFE ID begins with, such as example.org
    #[arg(long, value_name = "DOMAIN")]
    pub trust_domain: String,
    /// The `iss` of every token: an https URL
    #[arg(long, value_name = "URL")]
    pub issuer_url: String,
    /// What the first operator is called
    #[arg(long, value_name = "NAME")]
    pub operator: PrincipalName,
    /// New directory for the root's private key; keep it off every node
    #[arg(long, value_name = "DIR", default_value = "chancery-ca")]
    pub ca: PathBuf,
    /// New directory for the first operator's key and profile
    #[arg(long, value_name = "DIR", default_value = "chancery-profile")]
    pub profile: PathBuf,
    /// The admission file to write [default: <node's name>.admission.json]
    #[arg(long, value_name = "FILE")]
    pub admission: Option<PathBuf>,
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// The replicated settings that a cluster may begin with.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings of the cluster (changed later by command only)")]
pub struct SettingsArgs {
    /// How old the state may be that a node answers from [default: 2s]
    #[arg(long, value_name = "SPAN")]
    freshness: Option<Span>,
    /// How long a key epoch lasts [default: 1h]
    #[arg(long, value_name = "SPAN")]
    epoch: Option<Span>,
    /// Lifetime of a token that does not say [default: 5m]
    #[arg(long, value_name = "SPAN")]
    ttl: Option<Span>,
    /// The longest lifetime of a token, under an hour [default: 15m]
    #[arg(long, value_name = "SPAN")]
    ttl_cap: Option<Span>,
    /// How long the JWKS may be cached [default: 60s]
    #[arg(long, value_name = "SPAN")]
    jwks_max_age: Option<Span>,
    /// How old a verifier may let its view become [default: 5s]
    #[arg(long, value_name = "SPAN")]
    verifier_max_age: Option<Span>,
    /// How far a token's `iat` may lie ahead of a verifier's clock [default: 2s]
    #[arg(long, value_name = "SPAN")]
    leeway: Option<Span>,
    /// What a node does that cannot write its records of mints as fast as it mints [default:
    /// refuse]
    #[arg(long, value_name = "refuse|drop")]
    records_when_behind: Option<String>,
}

impl SettingsArgs {
    fn settings(&self, trust_domain: &str, issuer_url: &str) -> Result<BirthSettings, Failure> {
        let mut settings = BirthSettings::new(trust_domain, issuer_url)?;
        if let Some(span) = self.freshness {
            settings.freshness_ms = span.milliseconds("--freshness")?;
        }
        if let Some(span) = self.verifier_max_age {
            let milliseconds = span.milliseconds("--verifier-max-age")?;
            (settings.v_default_ms, settings.v_max_ms) = (milliseconds, milliseconds);
        }
        for (given, flag, seconds) in [
            (self.epoch, "--epoch", &mut settings.epoch_s),
            (self.ttl, "--ttl", &mut settings.ttl_default_s),
            (self.ttl_cap, "--ttl-cap", &mut settings.ttl_cap_s),
            (
                self.jwks_max_age,
                "--jwks-max-age",
                &mut settings.jwks_max_age_s,
            ),
            (self.leeway, "--leeway", &mut settings.leeway_s),
        ] {
            if let Some(span) = given {
                *seconds = span.whole_seconds(flag)?;
            }
        }
        if let Some(what) = &self.records_when_behind {
            settings.records_when_behind.clone_from(what);
        }
        settings.checked()?;
        Ok(settings)
    }
}

#[derive(Serialize)]
struct InitView {
    lineage: String,
    trust_domain: String,
    node: u64,
    name: String,
    peer_key_thumbprint: String,
    server_key_thumbprint: String,
    admission: PathBuf,
    ca: PathBuf,
    profile: PathBuf,
    operator: String,
}

const COLUMNS: [Column; 10] = [
    ("lineage", "/lineage"),
    ("trust domain", "/trust_domain"),
    ("node", "/node"),
    ("name", "/name"),
    ("peer key", "/peer_key_thumbprint"),
    ("server key", "/server_key_thumbprint"),
    ("admission", "/admission"),
    ("root", "/ca"),
    ("profile", "/profile"),
    ("operator", "/operator"),
];

pub fn run(args: &InitArgs, output: Output) -> Result<(), Failure> {
    let admission = found(args, SystemTime::now())?;
    output.record(
        &InitView {
            lineage: admission.lineage.to_string(),
            trust_domain: admission.trust_domain.to_string(),
            node: admission.node.0,
            name: admission.name.to_string(),
            peer_key_thumbprint: admission.peer_key.thumbprint().to_string(),
            server_key_thumbprint: admission.server_key()?.thumbprint().to_string(),
            admission: admission_path(args, &admission.name),
            ca: args.ca.clone(),
            profile: args.profile.clone(),
            operator: args.operator.to_string(),
        },
        &COLUMNS,
    )?;
    output.note(&format!(
        "\nnext: check that the thumbprints are those that the node printed, take the admission file\n\
         to it, and there type\n  chancery join --dir DIR {}\n  chancery serve --config DIR/node.toml\n\
         Then, here:\n  export CHANCERY_PROFILE={}\n  chancery node status\n\
         Keep `{}` off every node: it holds the root's private key.",
        admission_path(args, &admission.name).display(),
        args.profile.display(),
        args.ca.display(),
    ));
    Ok(())
}

/// Founds a cluster. Everything is checked, and every place found free, before
/// the first file is written.
pub fn found(args: &InitArgs, now: SystemTime) -> Result<Admission, Failure> {
    let settings = args
        .settings
        .settings(&args.trust_domain, &args.issuer_url)?;
    let request = NodeRequest::read(&args.request)?;
    let admission_path = admission_path(args, request.name());
    for path in [&args.ca, &args.profile, &admission_path] {
        must_be_free(path)?;
    }
    let trust_domain = settings.checked()?.trust_domain;
    let root = Root::generate(&trust_domain, now)?;
    let operator = Identity::generate().map_err(Failure::local)?;
    let admission = Admission {
        lineage: new_lineage()?,
        trust_domain,
        node: NodeNumber(1),
        name: request.name().clone(),
        api_address: request.api_address().to_owned(),
        peer_address: request.peer_address().to_owned(),
        peer_key: request.peer_key().clone(),
        server_certificate_chain: root.sign(&request, &args.names, now)?,
        root_certificate: root.certificate_pem().to_owned(),
        peers: Vec::new(),
        as_of: Revision(0),
        birth: Some(Birth {
            settings,
            operators: vec![FirstOperator {
                name: args.operator.clone(),
                public_keys: vec![operator.public_key().to_vec()],
            }],
        }),
        readmitted: false,
    };
    root.store(&args.ca)?;
    write_identity(&args.profile, &operator)?;
    let endpoints = [admission.api_address.clone()];
    Profile::create(&args.profile, &endpoints, root.certificate_pem())?;
    admission.write_new(&admission_path)?;
    Ok(admission)
}

fn admission_path(args: &InitArgs, name: &PrincipalName) -> PathBuf {
    args.admission
        .clone()
        .unwrap_or_else(|| format!("{name}.admission.json").into())
}

fn must_be_free(path: &Path) -> Result<(), Failure> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(
        Failure::local(format_args!("`{}` is there already", path.display()))
            .next("a cluster is founded once: choose other places, or move what is there away"),
    )
}

fn new_lineage() -> Result<Lineage, Failure> {
    let mut random = [0; 8];
    getrandom::fill(&mut random)
        .map_err(|error| Failure::local(format_args!("this machine gave no entropy: {error}")))?;
    Ok(Lineage {
        generation: 1,
        random: u64::from_be_bytes(random),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked_before_anything_is_written() {
        let args = SettingsArgs {
            freshness: Some("700ms".parse().unwrap()),
            ..SettingsArgs::default()
        };
        let failure = args
            .settings("example.org", "https://issuer.example.org")
            .unwrap_err();
        assert_eq!(failure.kind, crate::failure::Kind::Usage);
        assert!(
            failure.message.contains("freshness_ms"),
            "{}",
            failure.message
        );
    }
}
