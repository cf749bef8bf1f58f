//! The conditions, each with what breaks it, and what just does not.

use std::time::Duration;

use chancery_credential::{IssuerNumber, KeyId, Revision};
use chancery_revocation::Change;

use crate::cluster::{
    Case, PROVED, WALL, certificate, key, opening, retirement, token_id, watermark,
};

pub type Mutation = fn(&mut Case);
/// What is changed, the outcome, and the change.
pub type Row = (&'static str, &'static str, Mutation);

const FORM: &[Row] = &[
    ("nothing is changed", "VALID", |_| {}),
    ("half a token", "MALFORMED", |case| {
        case.text = |token| token[..token.len() / 2].to_owned();
    }),
    ("another type", "MALFORMED", |case| {
        case.text = |token| with_header(&token, r#"{"alg":"EdDSA","typ":"JWT","kid":"KID"}"#);
    }),
    ("no algorithm", "MALFORMED", |case| {
        case.text = |token| with_header(&token, r#"{"alg":"none","typ":"at+jwt","kid":"KID"}"#);
    }),
    ("an algorithm of another key type", "MALFORMED", |case| {
        case.text = |token| with_header(&token, r#"{"alg":"HS256","typ":"at+jwt","kid":"KID"}"#);
    }),
    ("no owner", "MALFORMED", |case| case.claims.own.clear()),
    ("another cluster", "WRONG_ISSUER", |case| {
        case.claims.iss = "https://chancery.example.com".to_owned();
    }),
    ("another audience", "WRONG_AUDIENCE", |case| {
        case.claims.aud = "https://mail.example.org".parse().unwrap();
    }),
    ("another audience, and nobody minds", "VALID", |case| {
        case.claims.aud = "https://mail.example.org".parse().unwrap();
        case.expected.audience = None;
    }),
];

const ISSUERS: &[Row] = &[
    ("a damaged signature", "BAD_SIGNATURE", |case| {
        case.text = |token| {
            let (input, signature) = token.rsplit_once('.').unwrap();
            let other = if signature.starts_with('A') { "B" } else { "A" };
            format!("{input}.{other}{}", &signature[1..])
        };
    }),
    (
        "another header over the same claims",
        "BAD_SIGNATURE",
        |case| {
            case.text =
                |token| with_header(&token, r#"{"typ":"at+jwt","alg":"EdDSA","kid":"KID"}"#);
        },
    ),
    ("signed by another issuer", "WRONG_TOKEN_ID", |case| {
        case.signed_by = 2
    }),
    ("an id of an unknown issuer", "WRONG_TOKEN_ID", |case| {
        case.claims.jti = token_id(9, 1);
    }),
    (
        "signed by nobody, under a known number",
        "WRONG_TOKEN_ID",
        |case| case.signed_by = 9,
    ),
    ("signed by nobody known", "BEHIND", |case| {
        case.signed_by = 9;
        case.claims.jti = token_id(9, 1);
    }),
    ("signed by an issuer that was opened", "VALID", |case| {
        case.signed_by = 9;
        case.claims.jti = token_id(9, 1);
        case.changes = vec![opening(9, 10)];
    }),
    ("an expired issuer", "ISSUER_EXPIRED", |case| {
        case.signed_by = 3;
        case.claims.jti = token_id(3, 1);
    }),
    ("the issuer expires", "ISSUER_EXPIRED", |case| {
        case.changes = vec![Change::IssuerExpired(IssuerNumber(1))];
    }),
    ("the issuer is revoked", "ISSUER_REVOKED", |case| {
        case.changes = vec![Change::IssuerRevoked(IssuerNumber(1))];
    }),
    (
        "the issuer is revoked once retired",
        "ISSUER_REVOKED",
        |case| {
            case.changes = vec![retirement(1, 15), Change::IssuerRevoked(IssuerNumber(1))];
        },
    ),
    (
        "the issuer is retired once revoked",
        "ISSUER_REVOKED",
        |case| {
            case.changes = vec![Change::IssuerRevoked(IssuerNumber(1)), retirement(1, 15)];
        },
    ),
    (
        "the issuer is retired at the token's rev",
        "VALID",
        |case| {
            case.changes = vec![retirement(1, 10)];
        },
    ),
    (
        "the issuer is retired below it",
        "AFTER_RETIREMENT",
        |case| {
            case.changes = vec![retirement(1, 9)];
        },
    ),
    ("minted when the issuer was opened", "VALID", |case| {
        case.claims.rev = Revision(5);
        case.claims.anc.clear();
    }),
    ("minted before it", "BEFORE_ISSUER", |case| {
        case.claims.rev = Revision(4)
    }),
];

const TIMES: &[Row] = &[
    ("a lifetime of the cap", "VALID", |case| {
        case.claims.exp = case.claims.iat + 900
    }),
    ("a second more", "LIFETIME_EXCEEDS_CAP", |case| {
        case.claims.exp = case.claims.iat + 901;
    }),
    ("just under an hour, if the cap is wider", "VALID", |case| {
        case.expected.limits.ttl_cap = 100_000;
        case.claims.exp = case.claims.iat + 3599;
    }),
    (
        "an hour, whatever the cap",
        "LIFETIME_EXCEEDS_CAP",
        |case| {
            case.expected.limits.ttl_cap = 100_000;
            case.claims.exp = case.claims.iat + 3600;
        },
    ),
    ("a second before it expires", "VALID", |case| {
        case.now.wall = case.claims.exp - 1
    }),
    ("when it expires", "EXPIRED", |case| {
        case.now.wall = case.claims.exp
    }),
    ("when it expires by log time", "EXPIRED", |case| {
        case.changes = vec![Change::Time(case.claims.exp)];
    }),
    ("issued ahead by the leeway", "VALID", |case| {
        case.claims.iat = WALL + 2
    }),
    ("a second more", "NOT_YET_VALID", |case| {
        case.claims.iat = WALL + 3
    }),
    ("a clock here that is behind log time", "VALID", |case| {
        case.now.wall = 1
    }),
    ("issued at the end of time", "NOT_YET_VALID", |case| {
        (case.claims.iat, case.claims.exp) = (u64::MAX - 1, u64::MAX);
    }),
];

const POSSESSION: &[Row] = &[
    ("nothing is proved", "PROOF_MISSING", |case| {
        case.proof.certificate = None
    }),
    ("another certificate is proved", "PROOF_MISMATCH", |case| {
        case.proof.certificate = Some(certificate(8));
    }),
    ("a bearer token", "VALID", |case| {
        case.claims.cnf = None;
        case.proof.certificate = None;
    }),
];

const WATERMARKS: &[Row] = &[
    ("the floor comes to the token's rev", "VALID", |case| {
        case.changes = vec![Change::Floor(Revision(10))];
    }),
    ("the floor passes it", "BELOW_FLOOR", |case| {
        case.changes = vec![Change::Floor(Revision(11))];
    }),
    ("a watermark at the token's rev", "VALID", |case| {
        mark_all(case, 10)
    }),
    ("the subject", "AGENT_REVOKED", |case| {
        mark(case, "agent:spiffe://example.org/planner")
    }),
    ("the outer actor", "AGENT_REVOKED", |case| {
        mark(case, "agent:spiffe://example.org/courier")
    }),
    ("the inner actor", "AGENT_REVOKED", |case| {
        mark(case, "agent:spiffe://example.org/broker")
    }),
    ("one owner", "OWNER_REVOKED", |case| {
        mark(case, "owner:alice")
    }),
    ("the other owner", "OWNER_REVOKED", |case| {
        mark(case, "owner:bob")
    }),
    ("the grant set", "GRANT_SET_REVOKED", |case| {
        mark(case, "grant-set:readers")
    }),
    ("everything", "EVERYTHING_REVOKED", |case| {
        mark(case, "everything")
    }),
    ("somebody else", "VALID", |case| {
        mark(case, "agent:spiffe://example.org/other")
    }),
    ("an owner of an agent's name", "VALID", |case| {
        mark(case, "owner:readers")
    }),
    ("a lower watermark later", "AGENT_REVOKED", |case| {
        let subject = "agent:spiffe://example.org/planner";
        case.changes = vec![watermark(subject, 11), watermark(subject, 9)];
    }),
];

const REVOKED: &[Row] = &[
    ("the token", "TOKEN_REVOKED", |case| {
        case.changes = vec![Change::TokenRevoked(token_id(1, 1))];
    }),
    ("another token", "VALID", |case| {
        case.changes = vec![Change::TokenRevoked(token_id(1, 2))];
    }),
    ("what it derives from", "ANCESTOR_REVOKED", |case| {
        case.changes = vec![Change::TokenRevoked(token_id(2, 2))];
    }),
    ("its issuer, retired", "VALID", |case| {
        case.changes = vec![retirement(2, 7)]
    }),
    ("its issuer, revoked", "ANCESTOR_ISSUER_REVOKED", |case| {
        case.changes = vec![Change::IssuerRevoked(IssuerNumber(2))];
    }),
    ("its issuer, expired", "ANCESTOR_ISSUER_EXPIRED", |case| {
        case.changes = vec![Change::IssuerExpired(IssuerNumber(2))];
    }),
    (
        "its issuer, opened after",
        "ANCESTOR_ISSUER_NOT_OPEN",
        |case| {
            case.claims.anc = vec![token_id(9, 2)];
            case.changes = vec![opening(9, 11)];
        },
    ),
    ("its issuer, nobody", "ANCESTOR_ISSUER_NOT_OPEN", |case| {
        case.claims.anc = vec![token_id(9, 2)];
    }),
    ("its issuer, perhaps opened since", "BEHIND", |case| {
        case.claims.anc = vec![token_id(9, 2)];
        case.claims.rev = Revision(22);
    }),
    ("the last of eight", "ANCESTOR_REVOKED", |case| {
        case.claims.anc = (1..=8).map(|random| token_id(2, random)).collect();
        case.changes = vec![Change::TokenRevoked(token_id(2, 8))];
    }),
];

const VIEWS: &[Row] = &[
    ("minted at the view's revision", "VALID", |case| {
        case.claims.rev = Revision(21)
    }),
    ("minted after it", "BEHIND", |case| {
        case.claims.rev = Revision(22)
    }),
    ("the proof's last millisecond", "VALID", |case| {
        case.now.boot = PROVED.plus(Duration::from_millis(1999));
    }),
    ("the proof has run out", "STALE", |case| stall(case)),
    ("behind and stale", "BEHIND", |case| {
        case.claims.rev = Revision(22);
        stall(case);
    }),
];

pub fn rows() -> impl Iterator<Item = &'static Row> {
    [FORM, ISSUERS, TIMES, POSSESSION, WATERMARKS, REVOKED, VIEWS]
        .into_iter()
        .flatten()
}

fn mark(case: &mut Case, subject: &str) {
    case.changes = vec![watermark(subject, 11)];
}

fn mark_all(case: &mut Case, revision: u64) {
    let subjects = [
        "agent:spiffe://example.org/planner",
        "agent:spiffe://example.org/courier",
        "owner:alice",
        "grant-set:readers",
        "everything",
    ];
    case.changes = subjects
        .map(|subject| watermark(subject, revision))
        .to_vec();
}

pub fn stall(case: &mut Case) {
    case.now.boot = PROVED.plus(Duration::from_secs(2));
}

/// The token with another header: `KID` is issuer 1's.
fn with_header(token: &str, header: &str) -> String {
    let kid: KeyId = key(1).public().key_id();
    let header = header.replace("KID", &kid.to_string());
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", base64url(header.as_bytes()))
}

/// RFC 4648 §5, without padding.
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits: Vec<u8> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
        .collect();
    bits.chunks(6)
        .map(|chunk| {
            let value = (0..6).fold(0, |value, bit| value << 1 | chunk.get(bit).unwrap_or(&0));
            char::from(ALPHABET[usize::from(value)])
        })
        .collect()
}
