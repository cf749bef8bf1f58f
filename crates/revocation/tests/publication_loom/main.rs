//! The order of publication, held over the real view and the real judgement: every
//! interleaving of a writer with readers, and every value that the orderings let a
//! reader see.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p chancery-revocation --release --test publication_loom
//! ```
//!
//! Each promise is followed by the mistakes that would break it, made on purpose:
//! a promise whose mistakes go unnoticed is not held.
#![cfg(loom)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod closing;
mod freshness;
mod opening;
mod suspension;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chancery_credential::{
    Ed25519PublicKey, EpochNumber, IssuerNumber, Lineage, NodeNumber, OwnerName, Revision,
    SigningKey, SpiffeId, Subject, TokenId,
};
use chancery_revocation::{BootTime, Change, Facts, Limits, Now, Verdict, View, judge_facts};

const LIMITS: Limits = Limits {
    leeway: 2,
    ttl_cap: 900,
};
const R: Revision = Revision(2);
const BOUND: Duration = Duration::from_millis(50);

/// Made once: what is modelled is publication, not cryptography.
struct Names {
    keys: [Ed25519PublicKey; 2],
    agent: SpiffeId,
    owners: [OwnerName; 1],
}

fn names() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(|| Names {
        keys: [1, 2].map(|seed| SigningKey::from_seed(&[seed; 32]).public()),
        agent: "spiffe://example.org/agent".parse().unwrap(),
        owners: ["alice".parse().unwrap()],
    })
}

fn opening(number: u32, opened_at: u64) -> Change {
    Change::IssuerOpened {
        number: IssuerNumber(number),
        node: NodeNumber(1),
        epoch: EpochNumber(1),
        opened_at: Revision(opened_at),
        key: Box::new(names().keys[number as usize - 1]),
    }
}

fn token_id(issuer: u32) -> TokenId {
    TokenId::new(IssuerNumber(issuer), [7; 12])
}

fn watermark(revision: u64) -> Change {
    Change::Watermark {
        subject: Subject::Agent(names().agent.clone()),
        revision: Revision(revision),
    }
}

/// A token of the agent under an issuer, with a `rev`.
fn facts(issuer: u32, revision: u64) -> Facts<'static> {
    let names = names();
    Facts {
        key_id: names.keys[issuer as usize - 1].key_id(),
        token_id: token_id(issuer),
        revision: Revision(revision),
        subject: &names.agent,
        actors: &[],
        owners: &names.owners,
        grant_sets: &[],
        ancestors: &[],
        issued_at: 1000,
        expires_at: 1300,
    }
}

fn clock(milliseconds: u64) -> Now {
    Now {
        wall: 1010,
        boot: BootTime(milliseconds * 1_000_000),
    }
}

/// Issuer 1 open, then `changes`, at `revision`; fresh as of 0 ms.
fn view(changes: &[Change], revision: u64) -> Arc<View> {
    let view = View::new(Lineage::default());
    view.publish_changes(Revision(1), &[opening(1, 1)]);
    view.publish_changes(Revision(revision), changes);
    view.publish_revision(Revision(revision));
    view.prove_fresh(BootTime(0), BOUND);
    Arc::new(view)
}

fn judged(facts: &Facts<'_>, view: &View, milliseconds: u64) -> Verdict<()> {
    judge_facts(facts, LIMITS, view, &clock(milliseconds))
}

/// Derived from a token of issuer 2, itself of issuer 1.
fn derived() -> Facts<'static> {
    static ANCESTORS: OnceLock<[TokenId; 1]> = OnceLock::new();
    Facts {
        ancestors: ANCESTORS.get_or_init(|| [token_id(2)]),
        ..facts(1, 3)
    }
}
