//! `chancery token verify`.

use std::path::{Path, PathBuf};

use chancery_client::{
    Idempotence,
    v1::{self, token_service_client::TokenServiceClient, verify_response::Verdict},
};
use chancery_credential::CertificateThumbprint;
use chancery_server::admission::read;
use clap::Args;
use serde::Serialize;

use crate::{
    cluster::ClusterArgs,
    failure::{Failure, Kind},
    output::{Column, Output},
    read::ReadArgs,
    secret_input::TokenInput,
    span::instant,
};

/// Arguments of `token verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    token: TokenInput,
    /// The audience that you stand for
    #[arg(long)]
    audience: String,
    /// The certificate that the token's bearer presented, PEM; none for a bearer token
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct VerifyView {
    valid: bool,
    reason: Option<String>,
    message: Option<String>,
    claims: Option<ClaimsView>,
    age_ms: u64,
    consistency_token: String,
}

#[derive(Serialize)]
struct ClaimsView {
    issuer: String,
    subject: String,
    audience: String,
    client_id: String,
    scopes: Vec<String>,
    owners: Vec<String>,
    grant_sets: Vec<String>,
    actors: Vec<String>,
    ancestors: Vec<String>,
    issued_at: Option<String>,
    expires_at: Option<String>,
    token_id: String,
    revision: u64,
    bound_to: Option<String>,
    key_id: String,
}

const COLUMNS: [Column; 16] = [
    ("valid", "/valid"),
    ("reason", "/reason"),
    ("message", "/message"),
    ("subject", "/claims/subject"),
    ("audience", "/claims/audience"),
    ("scopes", "/claims/scopes"),
    ("owners", "/claims/owners"),
    ("grant sets", "/claims/grant_sets"),
    ("actors", "/claims/actors"),
    ("issued", "/claims/issued_at"),
    ("expires", "/claims/expires_at"),
    ("token id", "/claims/token_id"),
    ("revision", "/claims/revision"),
    ("bound to", "/claims/bound_to"),
    ("age ms", "/age_ms"),
    ("consistency token", "/consistency_token"),
];

pub async fn run(args: &VerifyArgs, output: Output) -> Result<(), Failure> {
    let certificate = args.certificate.as_deref().map(thumbprint).transpose()?;
    let request = v1::VerifyRequest {
        token: args.token.read()?.as_str().to_owned(),
        audience: args.audience.clone(),
        certificate_sha256: certificate
            .map(|print| print.as_bytes().to_vec())
            .unwrap_or_default(),
        min_revision: args.read.min_revision(),
    };
    let answer: v1::VerifyResponse = args
        .cluster
        .client()?
        .call(Idempotence::Repeatable, |channel| {
            let request = request.clone();
            async move { TokenServiceClient::new(channel).verify(request).await }
        })
        .await?;
    let valid = answer.verdict == i32::from(Verdict::Valid);
    let view = VerifyView {
        valid,
        reason: (!valid).then(|| answer.reason.clone()),
        message: (!valid).then(|| answer.message.clone()),
        claims: answer.claims.map(ClaimsView::from),
        age_ms: answer.age_ms,
        consistency_token: answer.consistency_token,
    };
    output.record(&view, &COLUMNS)?;
    if valid {
        return Ok(());
    }
    Err(Failure {
        kind: Kind::Refused,
        next: next(&answer.reason, args).to_owned(),
        reason: answer.reason,
        message: format!("the token is not in force: {}", answer.message),
    })
}

/// What the user of this command may have left out.
fn next(reason: &str, args: &VerifyArgs) -> &'static str {
    match (reason, &args.certificate) {
        ("PROOF_MISSING", None) => {
            "it is bound to a certificate: give the one that its bearer presented, with --certificate FILE"
        }
        ("PROOF_MISSING" | "PROOF_MISMATCH", _) => {
            "give with --certificate the one that its bearer presented"
        }
        _ => "",
    }
}

fn thumbprint(file: &Path) -> Result<CertificateThumbprint, Failure> {
    let no_certificate = |why: String| {
        Failure::local(format_args!(
            "`{}` holds no certificate: {why}",
            file.display()
        ))
        .next("give the certificate (PEM) that the caller presented in its handshake")
    };
    let block = pem::parse(read(file)?).map_err(|error| no_certificate(error.to_string()))?;
    if block.tag() != "CERTIFICATE" {
        return Err(no_certificate(format!("it holds a {}", block.tag())));
    }
    Ok(CertificateThumbprint::of_certificate(block.contents()))
}

impl From<v1::TokenClaims> for ClaimsView {
    fn from(claims: v1::TokenClaims) -> Self {
        Self {
            issuer: claims.issuer,
            subject: claims.subject,
            audience: claims.audience,
            client_id: claims.client_id,
            scopes: claims.scopes,
            owners: claims.owners,
            grant_sets: claims.grant_sets,
            actors: claims.actors,
            ancestors: claims.ancestors,
            issued_at: instant(claims.issued_at),
            expires_at: instant(claims.expires_at),
            token_id: claims.token_id,
            revision: claims.revision,
            bound_to: Some(claims.certificate_thumbprint).filter(|print| !print.is_empty()),
            key_id: claims.key_id,
        }
    }
}
