//! What the micro-benchmarks share: one issuer, one view that knows it, claims of
//! the size that a mint writes.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use chancery_credential::{
    Claims, EpochNumber, IssuerNumber, Lineage, NodeNumber, Revision, Scopes, SigningKey, Subject,
    TokenId,
};
use chancery_revocation::{BootTime, Change, Now, View};

/// The `iss` of every token.
pub const ISSUER: &str = "https://chancery.bench.example";
/// When everything happens, seconds since the Unix epoch.
pub const TIME: u64 = 1_800_000_000;

/// The issuer's key.
#[must_use]
pub fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

/// A clock that stands, just after the proof of freshness.
#[must_use]
pub fn now() -> Now {
    Now {
        wall: TIME,
        boot: BootTime(1_000_000_000),
    }
}

/// A fresh view with the issuer open and `revoked` other agents' watermarks.
#[must_use]
pub fn view(revoked: u32) -> View {
    let view = View::new(Lineage {
        generation: 1,
        random: 1,
    });
    let opened = Change::IssuerOpened {
        number: IssuerNumber(1),
        node: NodeNumber(1),
        epoch: EpochNumber(1),
        opened_at: Revision(1),
        key: Box::new(key().public()),
    };
    view.publish_changes(Revision(1), &[opened]);
    let dead: Vec<Change> = (0..revoked)
        .map(|agent| Change::Watermark {
            subject: Subject::Agent(
                format!("spiffe://bench.example/dead/{agent}")
                    .parse()
                    .unwrap(),
            ),
            revision: Revision(2),
        })
        .collect();
    view.publish_changes(Revision(2), &dead);
    view.publish_revision(Revision(2));
    view.prove_fresh(now().boot, Duration::from_secs(2));
    view
}

/// Claims of an ordinary token.
#[must_use]
pub fn claims() -> Claims {
    let agent: chancery_credential::SpiffeId = "spiffe://bench.example/agent/41".parse().unwrap();
    Claims {
        iss: ISSUER.to_owned(),
        sub: agent.clone(),
        aud: "https://ledger.example/v1".parse().unwrap(),
        client_id: agent,
        iat: TIME,
        exp: TIME + 300,
        jti: TokenId::new(IssuerNumber(1), [9; 12]),
        scope: "ledger:read ledger:write".parse::<Scopes>().unwrap(),
        rev: Revision(2),
        own: vec!["payments".parse().unwrap()],
        set: Vec::new(),
        anc: Vec::new(),
        act: Vec::new(),
        cnf: Some(chancery_credential::CertificateThumbprint::of_certificate(
            b"certificate",
        )),
    }
}
