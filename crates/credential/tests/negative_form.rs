//! Texts that are no token for their form, each with the reason that is given for
//! it. None has a signature that counts: every one is refused before a key is
//! looked up.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod forge;

use chancery_credential::{Malformed, Part, UnverifiedToken};

use forge::{CLAIMS, HEADER, encode, refused, with_claims, with_header, with_payload};

#[test]
fn the_pattern_of_all_cases_is_accepted() {
    UnverifiedToken::parse(&with_claims(&[])).unwrap();
    UnverifiedToken::parse(&with_header(HEADER)).unwrap();
}

#[test]
fn three_parts() {
    let good = with_claims(&[]);
    let (input, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = input.split_once('.').unwrap();
    let members = format!(r#""payload":"{payload}","signature":"{signature}""#);
    for (name, token) in [
        ("empty", String::new()),
        ("dots only", "..".to_owned()),
        ("one part", header.to_owned()),
        ("two parts", input.to_owned()),
        ("four parts", format!("{good}.{signature}")),
        ("five parts, as in JWE", format!("{good}.e.e")),
        ("no header", format!(".{payload}.{signature}")),
        ("no payload", format!("{header}..{signature}")),
        ("no signature", format!("{input}.")),
        ("JSON", format!(r#"{{"protected":"{header}",{members}}}"#)),
    ] {
        refused(name, &token, Malformed::Parts);
    }
}

#[test]
fn canonical_base64url() {
    let good = with_claims(&[]);
    let (input, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = input.split_once('.').unwrap();
    let other_alphabet = payload.replace('I', "+");
    // 64 bytes take 86 characters, of which the last carries two bits only.
    let trailing_bits = format!("{}B", &signature[..85]);
    let with_payload = |payload: &str| format!("{header}.{payload}.{signature}");
    for (name, token, part) in [
        ("a scheme", format!("Bearer {good}"), Part::Header),
        ("a space", format!(" {good}"), Part::Header),
        ("a line", format!("{good}\n"), Part::Signature),
        ("a NUL", format!("{good}\0"), Part::Signature),
        (
            "padding",
            with_payload(&format!("{payload}=")),
            Part::Payload,
        ),
        ("padding", format!("{good}=="), Part::Signature),
        (
            "trailing bits",
            format!("{input}.{trailing_bits}"),
            Part::Signature,
        ),
        (
            "the other alphabet",
            with_payload(&other_alphabet),
            Part::Payload,
        ),
        (
            "beyond ASCII",
            with_payload(&format!("{payload}é")),
            Part::Payload,
        ),
        (
            "a length that cannot be",
            format!("{good}AAA"),
            Part::Signature,
        ),
    ] {
        refused(name, &token, Malformed::Base64(part));
    }
    for length in [1, 32, 63, 65, 128] {
        let token = format!("{input}.{}", encode(&vec![0; length]));
        refused("another length", &token, Malformed::SignatureLength);
    }
}

#[test]
fn length() {
    let padding = |bytes: usize| format!(r#""{}""#, "x".repeat(bytes));
    let of_length = |length: usize| {
        let tokens = (0..length).map(|bytes| with_claims(&[("unknown", &padding(bytes))]));
        tokens.rev().find(|token| token.len() <= length).unwrap()
    };
    let (longest, longer) = (of_length(8192), of_length(8193));
    assert_eq!((longest.len(), longer.len()), (8192, 8193));
    UnverifiedToken::parse(&longest).unwrap();
    refused("one byte more", &longer, Malformed::TooLong);
    refused("a megabyte", &"A".repeat(1 << 20), Malformed::TooLong);
}

fn payload_refused(name: &str, payload: &str, error: Malformed) {
    refused(name, &with_payload(payload.as_bytes()), error);
}

#[test]
fn the_payload_is_json() {
    for (name, payload) in [
        ("no JSON", "exp=1".to_owned()),
        ("cut", CLAIMS[..100].to_owned()),
        ("a comment", format!("/* */{CLAIMS}")),
        ("a comma too many", CLAIMS.replace('}', ",}")),
        ("single quotes", CLAIMS.replace('"', "'")),
        ("a byte order mark", format!("\u{feff}{CLAIMS}")),
        ("a raw control character", CLAIMS.replace("mcp", "m\u{1}p")),
        ("half a surrogate pair", CLAIMS.replace("mcp", r"\ud800")),
        ("NaN", CLAIMS.replace("1301", "NaN")),
        ("a leading zero", CLAIMS.replace("1301", "01301")),
        ("a plus sign", CLAIMS.replace("1301", "+1301")),
        ("hexadecimal", CLAIMS.replace("1301", "0x515")),
        ("beyond any number", CLAIMS.replace("1301", "1e999")),
    ] {
        payload_refused(name, &payload, Malformed::Json(Part::Payload));
    }
    let mut latin1 = CLAIMS.as_bytes().to_vec();
    latin1[CLAIMS.find("mcp").unwrap()] = 0xe9;
    let error = Malformed::Json(Part::Payload);
    refused("not UTF-8", &with_payload(&latin1), error);
}

#[test]
fn the_payload_is_one_object() {
    let not_an_object = Malformed::NotAnObject(Part::Payload);
    let trailing = Malformed::TrailingData(Part::Payload);
    for (name, payload, error) in [
        ("a list", &*format!("[{CLAIMS}]"), not_an_object),
        ("null", "null", not_an_object),
        ("a number", "1", not_an_object),
        ("trailing text", &format!("{CLAIMS}x"), trailing),
        ("a second object", &format!("{CLAIMS}{CLAIMS}"), trailing),
        ("a trailing NUL", &format!("{CLAIMS}\0"), trailing),
    ] {
        payload_refused(name, payload, error);
    }
}

#[test]
fn no_member_twice() {
    for (name, extra) in [
        ("exp", r#""exp":9999999999"#),
        ("sub, the same", r#""sub":"spiffe://td/a""#),
        ("exp, escaped", r#""\u0065xp":9999999999"#),
        ("an unknown claim", r#""x":1,"x":1"#),
        ("an unknown claim, escaped", r#""x/":1,"\u0078\/":1"#),
        ("an empty name", r#""":1,"":1"#),
        ("in an unknown claim", r#""x":{"a":1,"a":1}"#),
        ("deep in one", r#""x":[0,{"y":[[{"a":1,"b":2,"a":3}]]}]"#),
        ("in cnf", r#""cnf":{"x5t#S256":"A","x5t#S256":"A"}"#),
        (
            "in act",
            r#""act":{"sub":"spiffe://td/a","sub":"spiffe://td/b"}"#,
        ),
        (
            "in act in act",
            r#""act":{"sub":"a","act":{"sub":"b","sub":"c"}}"#,
        ),
    ] {
        let payload = CLAIMS.replace('}', &format!(",{extra}}}"));
        payload_refused(name, &payload, Malformed::DuplicateMember(Part::Payload));
    }
}

#[test]
fn bounded_work() {
    let with = |value: &str| CLAIMS.replace('}', &format!(r#","x":{value}}}"#));
    let lists = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let objects = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    let members = |count: usize| {
        let members: Vec<String> = (0..count).map(|at| format!(r#""m{at}":0"#)).collect();
        format!("{{{}}}", members.join(","))
    };
    let deep = Malformed::TooDeep(Part::Payload);
    let many = Malformed::TooManyMembers(Part::Payload);
    // The claims themselves are the first level.
    for (name, value, error) in [
        ("17 levels of lists", lists(16), deep),
        ("17 levels of objects", objects(16), deep),
        ("2000 levels", lists(1999), deep),
        ("2000 levels, never closed", "[".repeat(1999), deep),
        ("65 members", members(65), many),
        ("500 members", members(500), many),
    ] {
        payload_refused(name, &with(&value), error);
    }
    for value in [lists(15), objects(15), members(64)] {
        UnverifiedToken::parse(&with_payload(with(&value).as_bytes())).unwrap();
    }
}
