//! A token's way from claims to text and back.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod forge;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chancery_credential::{
    BadSignature, CertificateThumbprint, Claims, Defect, Ed25519PublicKey, IssuerNumber, Malformed,
    Revision, SigningKey, SpiffeId, TokenId, UnverifiedToken,
};

use forge::{CLAIMS, HEADER, with_claims, with_header, with_payload};

/// The key of RFC 8037 appendix A.
fn key() -> SigningKey {
    let seed = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    let seed = URL_SAFE_NO_PAD.decode(seed).unwrap();
    SigningKey::from_seed(&seed.try_into().unwrap())
}

fn agent(name: &str) -> SpiffeId {
    format!("spiffe://td/{name}").parse().unwrap()
}

fn id(number: u8) -> TokenId {
    TokenId::new(IssuerNumber(1), [number; 12])
}

fn plain() -> Claims {
    Claims {
        iss: "https://ca.example".to_owned(),
        sub: agent("a"),
        aud: "https://mcp.example".parse().unwrap(),
        client_id: agent("a"),
        iat: 1001,
        exp: 1301,
        jti: id(0),
        scope: "files:read".parse().unwrap(),
        rev: Revision(7),
        own: vec!["team".parse().unwrap()],
        set: vec![],
        anc: vec![],
        act: vec![],
        cnf: None,
    }
}

fn delegated() -> Claims {
    Claims {
        client_id: agent("b"),
        scope: "files:write files:read".parse().unwrap(),
        own: vec!["team".parse().unwrap(), "x@example.com".parse().unwrap()],
        set: vec!["readers".parse().unwrap()],
        anc: vec![id(1), id(2)],
        act: vec![agent("b"), agent("c")],
        cnf: Some(CertificateThumbprint::of_certificate(b"abc")),
        ..plain()
    }
}

fn part(token: &str, at: usize) -> String {
    let part = token.split('.').nth(at).unwrap();
    String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn read_back(token: &str, key: &Ed25519PublicKey) -> Claims {
    let token = UnverifiedToken::parse(token).unwrap();
    token.verify(key).unwrap().into_inner()
}

#[test]
fn a_token_on_the_wire() {
    let token = key().token(&plain()).unwrap();
    assert_eq!(part(&token, 0), HEADER);
    assert_eq!(part(&token, 1), CLAIMS);
    assert_eq!(
        token,
        concat!(
            "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6ImtQcktfcW14VldhWVZBOXd3QkY2SXVv",
            "M3ZWeno3VHhIQ1R3WEJ5Z3JTNGsifQ.",
            "eyJpc3MiOiJodHRwczovL2NhLmV4YW1wbGUiLCJzdWIiOiJzcGlmZmU6Ly90ZC9hIiwiYXVkIjoiaHR0",
            "cHM6Ly9tY3AuZXhhbXBsZSIsImNsaWVudF9pZCI6InNwaWZmZTovL3RkL2EiLCJpYXQiOjEwMDEsImV4",
            "cCI6MTMwMSwianRpIjoiQUFBQUFRQUFBQUFBQUFBQUFBQUFBQSIsInNjb3BlIjoiZmlsZXM6cmVhZCIs",
            "InJldiI6Nywib3duIjpbInRlYW0iXX0.",
            "Z6vASjzrybgmJnfGBHHHDjOAmpaHjiqxLMYfMVqP27uIoKITkbUG92ANRsjO07QINZDc7-RSjtJevn5R",
            "WQt-BQ"
        )
    );
    assert_eq!(read_back(&token, &key().public()), plain());
}

#[test]
fn a_delegated_and_bound_token_on_the_wire() {
    let token = key().token(&delegated()).unwrap();
    assert_eq!(
        part(&token, 1),
        concat!(
            r#"{"iss":"https://ca.example","sub":"spiffe://td/a","aud":"https://mcp.example","#,
            r#""client_id":"spiffe://td/b","iat":1001,"exp":1301,"jti":"AAAAAQAAAAAAAAAAAAAAAA","#,
            r#""scope":"files:read files:write","rev":7,"own":["team","x@example.com"],"#,
            r#""set":["readers"],"anc":["AAAAAQEBAQEBAQEBAQEBAQ","AAAAAQICAgICAgICAgICAg"],"#,
            r#""act":{"sub":"spiffe://td/b","act":{"sub":"spiffe://td/c"}},"#,
            r#""cnf":{"x5t#S256":"ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"}}"#
        )
    );
    assert_eq!(read_back(&token, &key().public()), delegated());
}

#[test]
fn strings_are_escaped() {
    let claims = Claims {
        iss: r#"https://ca/"},"aud":"x\"#.to_owned(),
        aud: r#"a"\/<>&'{}[]"#.parse().unwrap(),
        ..plain()
    };
    let token = key().token(&claims).unwrap();
    let json: serde_json::Value = serde_json::from_str(&part(&token, 1)).unwrap();
    assert_eq!(json["iss"], claims.iss.as_str());
    assert_eq!(json["aud"], claims.aud.as_str());
    assert_eq!(read_back(&token, &key().public()), claims);
}

#[test]
fn every_one_bit_change_is_refused() {
    let key = key();
    let token = key.token(&delegated()).unwrap();
    for at in 0..token.len() * 8 {
        let mut bytes = token.clone().into_bytes();
        bytes[at / 8] ^= 1 << (at % 8);
        let Ok(changed) = String::from_utf8(bytes) else {
            continue;
        };
        let accepted =
            UnverifiedToken::parse(&changed).is_ok_and(|token| token.verify(&key.public()).is_ok());
        assert!(!accepted, "bit {at}");
    }
}

#[test]
fn every_cut_is_refused() {
    let key = key();
    let token = key.token(&plain()).unwrap();
    for length in 0..token.len() {
        assert!(UnverifiedToken::parse(&token[..length]).is_err());
    }
}

#[test]
fn a_token_verifies_with_the_key_it_names_only() {
    let token = key().token(&plain()).unwrap();
    let other = SigningKey::from_seed(&[7; 32]);
    let parsed = UnverifiedToken::parse(&token).unwrap();
    assert_eq!(parsed.key_id(), key().public().key_id());
    let verdict = parsed.verify(&other.public());
    assert_eq!(verdict.err(), Some(BadSignature::OtherKey));

    // The other key signs, and names the first.
    let forged = other.token(&plain()).unwrap();
    let (_, rest) = forged.split_once('.').unwrap();
    let (header, _) = token.split_once('.').unwrap();
    let forged = format!("{header}.{rest}");
    let verdict = UnverifiedToken::parse(&forged)
        .unwrap()
        .verify(&key().public());
    assert_eq!(verdict.err(), Some(BadSignature::Invalid));
}

#[test]
fn parts_of_two_tokens_make_no_third() {
    let (one, two) = (
        key().token(&plain()).unwrap(),
        key().token(&delegated()).unwrap(),
    );
    let (input, _) = one.rsplit_once('.').unwrap();
    let (_, signature) = two.rsplit_once('.').unwrap();
    let mixed = format!("{input}.{signature}");
    let verdict = UnverifiedToken::parse(&mixed)
        .unwrap()
        .verify(&key().public());
    assert_eq!(verdict.err(), Some(BadSignature::Invalid));
}

#[test]
fn a_statement_never_passes_for_a_token() {
    let token = key().token(&plain()).unwrap();
    let (input, _) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.encode(key().sign(input.as_bytes()));
    let forged = format!("{input}.{signature}");
    let verdict = UnverifiedToken::parse(&forged)
        .unwrap()
        .verify(&key().public());
    assert_eq!(verdict.err(), Some(BadSignature::Invalid));
}

#[test]
fn other_spellings_of_the_header_are_read() {
    for (from, to) in [
        ("at+jwt", "AT+JWT"),
        ("at+jwt", "application/at+jwt"),
        ("at+jwt", "Application/At+Jwt"),
        ("EdDSA", "Ed25519"),
        (r#""alg":"#, " \"\\u0061lg\" :\n\t"),
    ] {
        let header = HEADER.replacen(from, to, 1);
        assert!(
            UnverifiedToken::parse(&with_header(&header)).is_ok(),
            "{header}"
        );
    }
    let reordered = HEADER
        .replace(r#""alg":"EdDSA","#, "")
        .replace('}', r#","alg":"EdDSA"}"#);
    assert!(UnverifiedToken::parse(&with_header(&reordered)).is_ok());
}

#[test]
fn unknown_claims_say_nothing() {
    let usual = with_payload(CLAIMS.as_bytes());
    let expected = UnverifiedToken::parse(&usual).unwrap();
    for value in [
        "null",
        "true",
        "-1.5e3",
        r#""\ud83d\ude00 x""#,
        "[[],{}]",
        r#"{"exp":{"exp":1}}"#,
    ] {
        let token = with_claims(&[("unknown", value)]);
        let read = UnverifiedToken::parse(&token).unwrap();
        assert_eq!(read.claims(), expected.claims());
    }
    let token = with_claims(&[("EXP", "1"), ("status", "{}")]);
    assert_eq!(
        UnverifiedToken::parse(&token).unwrap().claims(),
        expected.claims()
    );
}

#[test]
fn an_empty_list_is_none() {
    let token = with_claims(&[("set", "[]"), ("anc", "[ ]"), ("own", "[]")]);
    let read = UnverifiedToken::parse(&token).unwrap();
    assert!(read.claims().set.is_empty() && read.claims().own.is_empty());
}

#[test]
fn what_would_not_be_read_is_not_signed() {
    let many =
        |count: usize| -> Vec<SpiffeId> { (0..count).map(|at| agent(&format!("b{at}"))).collect() };
    let long = |name: &str| agent(&format!("{name}{}", "x".repeat(2000)));
    let too_many = |claim| Malformed::Claim {
        claim,
        defect: Defect::TooMany(8),
    };
    let iss = Malformed::Claim {
        claim: "iss",
        defect: Defect::Expected("1 to 512 visible ASCII characters"),
    };
    let name = || "n".parse().unwrap();
    let cases = [
        (
            Claims {
                iss: String::new(),
                ..plain()
            },
            iss,
        ),
        (
            Claims {
                iss: "x".repeat(513),
                ..plain()
            },
            iss,
        ),
        (
            Claims {
                iss: "https://é".to_owned(),
                ..plain()
            },
            iss,
        ),
        (
            Claims {
                exp: 1001,
                ..plain()
            },
            Malformed::Lifetime,
        ),
        (
            Claims {
                client_id: agent("b"),
                ..plain()
            },
            Malformed::Client,
        ),
        (
            Claims {
                client_id: agent("a"),
                ..delegated()
            },
            Malformed::Client,
        ),
        (
            Claims {
                own: vec![name(); 9],
                ..plain()
            },
            too_many("own"),
        ),
        (
            Claims {
                set: vec!["n".parse().unwrap(); 9],
                ..plain()
            },
            too_many("set"),
        ),
        (
            Claims {
                anc: vec![id(1); 9],
                ..plain()
            },
            too_many("anc"),
        ),
        (
            Claims {
                act: many(9),
                client_id: agent("b0"),
                ..plain()
            },
            too_many("act"),
        ),
        (
            Claims {
                sub: long("a"),
                act: vec![long("b"), long("c")],
                client_id: long("b"),
                ..plain()
            },
            Malformed::TooLong,
        ),
    ];
    let mut out = b"before".to_vec();
    for (claims, error) in cases {
        assert_eq!(key().sign_token(&claims, &mut out), Err(error));
        assert_eq!(out, b"before", "nothing is left behind");
    }
}

#[test]
fn the_longest_token_is_signed_and_read() {
    // What is left for one long id, found by trying.
    let with = |bytes: usize| Claims {
        sub: agent(&"a".repeat(bytes)),
        client_id: agent(&"b".repeat(2000)),
        act: vec![agent(&"b".repeat(2000))],
        ..plain()
    };
    let (mut least, mut most) = (1, 2000);
    while least + 1 < most {
        let middle = (least + most) / 2;
        match key().token(&with(middle)) {
            Ok(_) => least = middle,
            Err(_) => most = middle,
        }
    }
    let token = key().token(&with(least)).unwrap();
    assert_eq!(token.len(), 8192);
    assert_eq!(read_back(&token, &key().public()), with(least));
}

#[test]
fn one_buffer_serves_many_tokens() {
    let key = key();
    let mut out = Vec::new();
    key.sign_token(&delegated(), &mut out).unwrap();
    let first = out.clone();
    let (place, capacity) = (out.as_ptr(), out.capacity());
    for _ in 0..3 {
        out.clear();
        key.sign_token(&delegated(), &mut out).unwrap();
    }
    assert_eq!((out.as_ptr(), out.capacity()), (place, capacity));
    assert_eq!(out, first, "Ed25519 is deterministic");
    key.sign_token(&plain(), &mut out).unwrap();
    assert_eq!(&out[first.len()..], key.token(&plain()).unwrap().as_bytes());
}

#[test]
fn a_token_is_not_shown() {
    let token = key().token(&plain()).unwrap();
    let shown = format!("{:?}", UnverifiedToken::parse(&token).unwrap());
    assert_eq!(
        shown,
        "UnverifiedToken { key_id: KeyId(kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k), \
         jti: TokenId(AAAAAQAAAAAAAAAAAAAAAA), .. }"
    );
}
