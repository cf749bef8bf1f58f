//! `chancery token inspect`: what a token says. Nothing is asked and nothing is
//! checked, and it says so.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chancery_credential::UnverifiedToken;
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use crate::{
    failure::Failure,
    output::{Column, Output},
    secret_input::TokenInput,
    span::instant,
};

const WARNING: &str = "\
NOT VERIFIED: anybody can write a token that says this. Neither the signature nor
revocation was checked; `chancery token verify` asks a node.\n";

/// Arguments of `token inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    #[command(flatten)]
    token: TokenInput,
}

#[derive(Serialize)]
pub struct InspectView {
    /// Always false: for programs that read no warnings.
    verified: bool,
    /// Whether a node would understand it at all.
    well_formed: bool,
    defect: Option<String>,
    header: Value,
    claims: Value,
    issued: Option<String>,
    expires: Option<String>,
}

const COLUMNS: [Column; 18] = [
    ("verified", "/verified"),
    ("well formed", "/well_formed"),
    ("defect", "/defect"),
    ("key id", "/header/kid"),
    ("algorithm", "/header/alg"),
    ("issuer", "/claims/iss"),
    ("subject", "/claims/sub"),
    ("audience", "/claims/aud"),
    ("scope", "/claims/scope"),
    ("owners", "/claims/own"),
    ("grant sets", "/claims/set"),
    ("actor", "/claims/act"),
    ("ancestors", "/claims/anc"),
    ("issued", "/issued"),
    ("expires", "/expires"),
    ("token id", "/claims/jti"),
    ("revision", "/claims/rev"),
    ("bound to", "/claims/cnf"),
];

pub fn run(args: &InspectArgs, output: Output) -> Result<(), Failure> {
    let token = args.token.read()?;
    let view = inspect(&token)?;
    output.note(WARNING);
    output.record(&view, &COLUMNS)
}

pub fn inspect(token: &str) -> Result<InspectView, Failure> {
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(
            Failure::refused("this is no token: it does not have three parts")
                .next("give a JWS in compact form, as `chancery token mint` prints it"),
        );
    };
    let defect = UnverifiedToken::parse(token)
        .err()
        .map(|error| error.to_string());
    let (header, claims) = (decode("header", header)?, decode("payload", claims)?);
    let seconds = |name: &str| claims.get(name).and_then(Value::as_u64).and_then(instant);
    Ok(InspectView {
        verified: false,
        well_formed: defect.is_none(),
        defect,
        issued: seconds("iat"),
        expires: seconds("exp"),
        header,
        claims,
    })
}

fn decode(what: &str, part: &str) -> Result<Value, Failure> {
    let no_json =
        |why: String| Failure::refused(format_args!("the token's {what} cannot be read: {why}"));
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|error| no_json(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| no_json(error.to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_it_shows_is_marked_as_unverified() {
        let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let token = format!(
            "{}.{}.{}",
            part(r#"{"alg":"none"}"#),
            part(r#"{"sub":"x","exp":60}"#),
            part("s")
        );
        let view = inspect(&token).unwrap();
        assert!(!view.verified && !view.well_formed && view.defect.is_some());
        assert_eq!(view.expires.as_deref(), Some("1970-01-01T00:01:00Z"));
        assert!(inspect("a.b").is_err());
    }
}
