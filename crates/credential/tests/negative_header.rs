//! Headers that are refused, each with the reason that is given for it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod forge;

use chancery_credential::{Defect, Malformed, Part};

use forge::{HEADER, KID, refused, with_header};

/// [`HEADER`] with one member's JSON value replaced.
fn with(member: &str, value: &str) -> String {
    let usual = match member {
        "alg" => r#""EdDSA""#.to_owned(),
        "typ" => r#""at+jwt""#.to_owned(),
        _ => format!(r#""{KID}""#),
    };
    HEADER.replace(&usual, value)
}

#[test]
fn no_member_beside_alg_typ_and_kid() {
    for (name, extra) in [
        ("crit, unknown", r#""crit":["exp"],"exp":1"#),
        ("crit, empty", r#""crit":[]"#),
        ("b64", r#""b64":false"#),
        ("b64 and crit", r#""crit":["b64"],"b64":false"#),
        ("jwk", r#""jwk":{"kty":"OKP","crv":"Ed25519","x":"AA"}"#),
        ("jku", r#""jku":"https://evil.example/jwks""#),
        ("x5u", r#""x5u":"https://evil.example/x5u""#),
        ("x5c", r#""x5c":["AA=="]"#),
        ("x5t#S256", r#""x5t#S256":"AA""#),
        ("cty", r#""cty":"JWT""#),
        ("zip", r#""zip":"DEF""#),
        ("enc", r#""enc":"A256GCM""#),
        ("iss", r#""iss":"https://ca.example""#),
        ("another case", r#""Alg":"none""#),
        ("an empty name", r#""":1"#),
    ] {
        let header = HEADER.replace('}', &format!(",{extra}}}"));
        refused(name, &with_header(&header), Malformed::HeaderMember);
    }
}

#[test]
fn values() {
    let expected = |member| match member {
        "alg" => "EdDSA or Ed25519",
        "typ" => "at+jwt",
        _ => "an RFC 7638 SHA-256 thumbprint",
    };
    for (member, value) in [
        ("alg", r#""none""#),
        ("alg", r#""None""#),
        ("alg", r#""HS256""#),
        ("alg", r#""RS256""#),
        ("alg", r#""ES256""#),
        ("alg", r#""Ed448""#),
        ("alg", r#""eddsa""#),
        ("alg", r#""EdDSA ""#),
        ("alg", r#""""#),
        ("alg", "null"),
        ("alg", r#"["EdDSA"]"#),
        ("typ", r#""JWT""#),
        ("typ", r#""logout+jwt""#),
        ("typ", r#""dpop+jwt""#),
        ("typ", r#""text/at+jwt""#),
        ("typ", r#""at+jwt;v=1""#),
        ("typ", r#""application/application/at+jwt""#),
        ("typ", "1"),
        ("kid", r#""""#),
        ("kid", r#""../../etc/passwd""#),
        ("kid", r#""' OR 1=1 --""#),
        ("kid", &format!(r#""{}""#, &KID[1..])),
        ("kid", &format!(r#""{}l""#, &KID[..42])), // trailing bits
        ("kid", &format!(r#""{KID}=""#)),
        ("kid", "7"),
    ] {
        let defect = Defect::Expected(expected(member));
        let error = Malformed::Header { member, defect };
        let name = format!("{member} {value}");
        refused(&name, &with_header(&with(member, value)), error);
    }
}

#[test]
fn members_that_are_missing() {
    let defect = Defect::Missing;
    for (member, header) in [
        ("alg", HEADER.replace(r#""alg":"EdDSA","#, "")),
        ("typ", HEADER.replace(r#""typ":"at+jwt","#, "")),
        ("kid", HEADER.replace(&format!(r#","kid":"{KID}""#), "")),
        ("alg", "{}".to_owned()),
    ] {
        let error = Malformed::Header { member, defect };
        refused(member, &with_header(&header), error);
    }
}

#[test]
fn one_json_object() {
    let twice = Malformed::DuplicateMember(Part::Header);
    let extra = |member: &str| HEADER.replace('}', &format!(",{member}}}"));
    for (name, header, error) in [
        ("alg twice", &*extra(r#""alg":"EdDSA""#), twice),
        ("alg twice, escaped", &extra(r#""\u0061lg":"none""#), twice),
        ("a list", "[]", Malformed::NotAnObject(Part::Header)),
        (
            "a string",
            r#""EdDSA""#,
            Malformed::NotAnObject(Part::Header),
        ),
        ("cut", &HEADER[..20], Malformed::Json(Part::Header)),
        ("nothing", " ", Malformed::Json(Part::Header)),
        ("two", "{}{}", Malformed::TrailingData(Part::Header)),
        ("deep", &"[".repeat(17), Malformed::TooDeep(Part::Header)),
    ] {
        refused(name, &with_header(header), error);
    }
}
