//! Claims that are refused, each with the reason that is given for it.

#![allow(clippy::unwrap_used)]

mod forge;

use chancery_credential::{Defect, Malformed};

use forge::{KID, nested_actors, refused, with_claims};

fn claim(claim: &'static str, what: &'static str) -> Malformed {
    let defect = Defect::Expected(what);
    Malformed::Claim { claim, defect }
}

fn missing(claim: &'static str) -> Malformed {
    let defect = Defect::Missing;
    Malformed::Claim { claim, defect }
}

fn too_many(claim: &'static str) -> Malformed {
    let defect = Defect::TooMany(8);
    Malformed::Claim { claim, defect }
}

#[test]
fn claims_that_are_missing() {
    for name in ["iss", "sub", "aud", "client_id", "iat", "exp", "jti", "rev"] {
        refused(name, &with_claims(&[(name, "")]), missing(name));
    }
}

#[test]
fn texts_that_are_not_what_they_have_to_be() {
    let agent = "a SPIFFE ID with a path";
    let issuer = "1 to 512 visible ASCII characters";
    let audience = "one audience";
    let id = "a token id: 22 characters of base64url";
    let scope = "1 to 64 scopes with single spaces between them";
    for (name, value, what) in [
        ("iss", "null", "a string"),
        ("iss", r#""""#, issuer),
        ("iss", r#""https://ca example""#, issuer),
        ("iss", r#""https://ca.example/\u0000""#, issuer),
        ("sub", "7", agent),
        ("sub", r#""agent/41""#, agent),
        ("sub", r#""spiffe://td""#, agent),
        ("sub", r#""spiffe://td/../a""#, agent),
        ("sub", r#""spiffe://TD/a""#, agent),
        ("aud", r#"["https://mcp.example"]"#, audience),
        (
            "aud",
            r#"["https://mcp.example","https://evil.example"]"#,
            audience,
        ),
        ("aud", r#""""#, audience),
        ("aud", r#""*""#, audience),
        ("aud", r#""a b""#, audience),
        ("client_id", r#""curl""#, agent),
        ("jti", "1", id),
        ("jti", r#""AAAAAAAAAAAAAAAAAAAAA""#, id),
        ("jti", r#""AAAAAAAAAAAAAAAAAAAAAB""#, id),
        ("jti", r#""AAAAAAAAAAAAAAAAAAAAAA==""#, id),
        ("jti", r#""f47ac10b-58cc-4372-a567-0e02b2c3d479""#, id),
        ("scope", r#""""#, scope),
        ("scope", r#""a  b""#, scope),
        ("scope", r#""a ""#, scope),
        ("scope", r#""a\tb""#, scope),
        ("scope", r#""files:*""#, scope),
        ("scope", r#"["a"]"#, scope),
    ] {
        let token = with_claims(&[(name, value)]);
        refused(&format!("{name} {value}"), &token, claim(name, what));
    }
}

#[test]
fn numbers_that_are_not_integers() {
    for (name, value) in [
        ("iat", r#""1001""#),
        ("iat", "1001.0"),
        ("iat", "-1"),
        ("iat", "-0"),
        ("exp", "1.301e3"),
        ("exp", "1301.5"),
        ("exp", "18446744073709551616"),
        ("exp", "null"),
        ("exp", "true"),
        ("exp", "[1301]"),
        ("rev", r#""7""#),
        ("rev", "7.0"),
        ("rev", "-7"),
    ] {
        let error = claim(name, "an integer from 0 to 2^64-1");
        let token = with_claims(&[(name, value)]);
        refused(&format!("{name} {value}"), &token, error);
    }
}

#[test]
fn lists_of_something_else() {
    let owners = "a list of owners' names";
    let sets = "a list of grant sets' names";
    let ids = "a list of token ids";
    for (name, value, what) in [
        ("own", r#""team""#, owners),
        ("own", r#"["team",1]"#, owners),
        ("own", r#"[""]"#, owners),
        ("own", "{}", owners),
        ("set", r#"["a/b"]"#, sets),
        ("set", "null", sets),
        ("anc", r#"["AAAA"]"#, ids),
        ("anc", r#"[["AAAAAAAAAAAAAAAAAAAAAA"]]"#, ids),
    ] {
        let token = with_claims(&[(name, value)]);
        refused(&format!("{name} {value}"), &token, claim(name, what));
    }
}

#[test]
fn lists_that_are_too_long() {
    let nine = |element: &str| format!("[{}]", [element; 9].join(","));
    for (name, value) in [
        ("own", nine(r#""team""#)),
        ("set", nine(r#""set""#)),
        ("anc", nine(r#""AAAAAAAAAAAAAAAAAAAAAA""#)),
        ("act", nested_actors(9)),
    ] {
        refused(name, &with_claims(&[(name, &value)]), too_many(name));
    }
    let scopes: Vec<String> = (0..65).map(|at| format!("s{at}")).collect();
    let value = format!(r#""{}""#, scopes.join(" "));
    let error = claim("scope", "1 to 64 scopes with single spaces between them");
    refused("scope", &with_claims(&[("scope", &value)]), error);
}

#[test]
fn actors_and_confirmation() {
    let agent = claim("act.sub", "a SPIFFE ID with a path");
    let thumbprint = claim("cnf.x5t#S256", "a base64url SHA-256");
    for (name, value, error) in [
        ("act", "null", claim("act", "an object")),
        ("act", r#""spiffe://td/b""#, claim("act", "an object")),
        ("act", "[]", claim("act", "an object")),
        ("act", "{}", missing("act.sub")),
        (
            "act",
            r#"{"act":{"sub":"spiffe://td/b"}}"#,
            missing("act.sub"),
        ),
        ("act", r#"{"sub":"b"}"#, agent),
        ("act", r#"{"sub":["spiffe://td/b"]}"#, agent),
        (
            "act",
            r#"{"sub":"spiffe://td/b","iss":"https://other"}"#,
            Malformed::Actor,
        ),
        (
            "act",
            r#"{"sub":"spiffe://td/b","act":1}"#,
            claim("act", "an object"),
        ),
        (
            "act",
            r#"{"sub":"spiffe://td/b","act":null}"#,
            claim("act", "an object"),
        ),
        ("act", r#"{"sub":"spiffe://td/b"}"#, Malformed::Client),
        ("cnf", "null", claim("cnf", "an object")),
        ("cnf", r#""AA""#, claim("cnf", "an object")),
        ("cnf", "{}", missing("cnf.x5t#S256")),
        ("cnf", r#"{"jkt":"AA"}"#, Malformed::Confirmation),
        ("cnf", r#"{"jwk":{}}"#, Malformed::Confirmation),
        ("cnf", r#"{"x5t":"AA"}"#, Malformed::Confirmation),
        ("cnf", r#"{"x5t#S256":"AA"}"#, thumbprint),
        ("cnf", r#"{"x5t#S256":1}"#, thumbprint),
    ] {
        refused(
            &format!("{name} {value}"),
            &with_claims(&[(name, value)]),
            error,
        );
    }
    let two = format!(r#"{{"x5t#S256":"{KID}","jkt":"{KID}"}}"#);
    refused(
        "two ways of binding",
        &with_claims(&[("cnf", &two)]),
        Malformed::Confirmation,
    );
}

#[test]
fn claims_that_contradict_each_other() {
    for (name, claims, error) in [
        (
            "expires when issued",
            &[("exp", "1001")][..],
            Malformed::Lifetime,
        ),
        ("expires before", &[("exp", "0")], Malformed::Lifetime),
        (
            "asked for by another",
            &[("client_id", r#""spiffe://td/b""#)],
            Malformed::Client,
        ),
        (
            "asked for by an inner actor",
            &[
                ("client_id", r#""spiffe://td/c""#),
                (
                    "act",
                    r#"{"sub":"spiffe://td/b","act":{"sub":"spiffe://td/c"}}"#,
                ),
            ],
            Malformed::Client,
        ),
        ("not yet", &[("nbf", "1200")], Malformed::NotBefore),
    ] {
        refused(name, &with_claims(claims), error);
    }
}
