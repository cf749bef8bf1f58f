//! What may be minted, and what is not although it was a moment ago.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{sync::Arc, time::Duration};

use chancery_authority::{Command, SettingsChange, WhenBehind};
use chancery_credential::{CertificateThumbprint, SpiffeId, Subject};
use chancery_revocation::{BootTime, Expectations, Limits, Now, Proof, Reason, Verdict, judge};

use super::{Bearer, MintError, Minter, Wanted, authorise::MintRefusal};
use crate::{
    issuance::{ActiveIssuer, Signer},
    rate::Rates,
    records::Recorder,
    story::{NOW_MS, Story, agent, grant, key},
};

const NOW: Now = Now {
    wall: NOW_MS / 1000,
    boot: BootTime(1_000_000_000),
};
const FRESH: Duration = Duration::from_secs(2);
/// Records that can wait; none is written here.
const ROOM: usize = 16;
const LEDGER: &str = "https://ledger.example/v1";

/// A node with an issuer, just proved fresh, and one agent.
struct Node {
    story: Story,
    minter: Minter<Now>,
    agent: SpiffeId,
}

/// One that takes records.
fn recorder() -> Arc<Recorder> {
    let recorder = Recorder::new(1, ROOM, NOW.boot);
    recorder.begin();
    recorder.allow_drops(1);
    Arc::new(recorder)
}

impl Node {
    fn new() -> Self {
        let mut story = Story::born();
        let (number, key) = story.open_issuer();
        let signer = Arc::new(Signer::default());
        signer.switch_to(ActiveIssuer {
            number,
            epoch: story.state.epoch().unwrap().number,
            opened_at: story.state.revision(),
            known_since: NOW.boot,
            follows_another: false,
            key,
        });
        let spec = agent(
            "billing",
            vec![
                grant("https://ledger.example/*", &["ledger:read"], 0, false),
                grant("https://mail.example/*", &["mail:*"], 60, true),
            ],
        );
        let id = spec.id.clone();
        story.order(Command::RegisterAgent(spec));
        story.view.prove_fresh(NOW.boot, FRESH);
        let minter = Minter {
            view: story.view.clone(),
            directory: story.directory.clone(),
            signer,
            records: recorder(),
            rates: Rates::new(NOW),
            clock: NOW,
        };
        Self {
            story,
            minter,
            agent: id,
        }
    }

    fn mint(&self, wanted: &Wanted) -> Result<String, MintError> {
        let bearer = Bearer {
            agent: &self.agent,
            key: key("billing"),
            certificate: certificate(),
        };
        self.minter.mint(bearer, wanted).map(|minted| minted.token)
    }

    fn refusal(&self, wanted: &Wanted) -> MintRefusal {
        match self.mint(wanted) {
            Err(MintError::Refused(refusal)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    fn judged(&self, token: &str) -> Verdict<()> {
        let settings = self.story.state.settings().unwrap();
        let expected = Expectations {
            issuer: settings.issuer_url.clone(),
            audience: None,
            limits: Limits {
                leeway: settings.leeway_s,
                ttl_cap: settings.ttl_cap_s,
            },
        };
        let proof = Proof {
            certificate: Some(certificate()),
        };
        match judge(token, &expected, &proof, &self.story.view, &NOW) {
            Verdict::Valid(_, standing) => Verdict::Valid((), standing),
            Verdict::Refused(reason) => Verdict::Refused(reason),
            Verdict::Behind(behind) => Verdict::Behind(behind),
            _ => Verdict::Stale,
        }
    }
}

fn certificate() -> CertificateThumbprint {
    CertificateThumbprint::of_certificate(b"billing's")
}

fn wanted(audience: &str, scopes: &str) -> Wanted {
    Wanted {
        audience: audience.parse().unwrap(),
        scopes: scopes.parse().unwrap(),
        ttl_seconds: 0,
        bearer: false,
    }
}

#[test]
fn one_grant_has_to_cover_all_that_is_asked() {
    let node = Node::new();
    assert!(node.mint(&wanted(LEDGER, "ledger:read")).is_ok());
    for (audience, scopes) in [
        (LEDGER, "ledger:write"),
        (LEDGER, "ledger:read mail:send"),
        ("https://mail.example/v1", "ledger:read"),
        ("https://other.example/v1", "ledger:read"),
    ] {
        let refusal = node.refusal(&wanted(audience, scopes));
        assert!(
            matches!(refusal, MintRefusal::NotGranted { .. }),
            "{audience} {scopes}: {refusal}"
        );
    }
}

#[test]
fn a_grant_says_for_how_long_and_whether_without_a_binding() {
    let node = Node::new();
    let bearer = |audience, scopes| Wanted {
        bearer: true,
        ..wanted(audience, scopes)
    };
    assert!(
        node.mint(&bearer("https://mail.example/v1", "mail:send"))
            .is_ok()
    );
    let refusal = node.refusal(&bearer(LEDGER, "ledger:read"));
    assert_eq!(refusal, MintRefusal::BearerNotGranted);

    let lasting = |seconds| Wanted {
        ttl_seconds: seconds,
        ..wanted("https://mail.example/v1", "mail:send")
    };
    assert!(node.mint(&lasting(60)).is_ok());
    let (asked, cap) = (61, 60);
    assert_eq!(
        node.refusal(&lasting(61)),
        MintRefusal::TtlOverCap { asked, cap }
    );
}

#[test]
fn who_is_suspended_mints_nothing_until_resumed() {
    let mut node = Node::new();
    let wanted = wanted(LEDGER, "ledger:read");
    let held = node.mint(&wanted).unwrap();
    let subjects = [
        Subject::Agent(node.agent.clone()),
        Subject::Owner("payments".parse().unwrap()),
        Subject::Everything,
    ];
    for subject in subjects {
        node.story.order(Command::Suspend(subject.clone()));
        let refusal = node.refusal(&wanted);
        assert!(
            refusal.code().ends_with("_SUSPENDED"),
            "{subject}: {refusal}"
        );
        node.story.order(Command::Resume(subject));
        let again = node.mint(&wanted).unwrap();
        assert!(matches!(node.judged(&again), Verdict::Valid(..)));
    }
    assert!(
        matches!(node.judged(&held), Verdict::Refused(_)),
        "dead for good"
    );
}

/// The request came in with a key that was the agent's then.
#[test]
fn a_key_that_was_taken_away_mints_nothing() {
    let mut node = Node::new();
    let mut spec = agent("billing", Vec::new());
    spec.grants = vec![grant(
        "https://ledger.example/*",
        &["ledger:read"],
        0,
        false,
    )];
    spec.keys = vec![key("another")];
    node.story.order(Command::UpdateAgent {
        spec,
        keep_held: true,
        changed_at: None,
    });
    let refused = node.mint(&wanted(LEDGER, "ledger:read")).unwrap_err();
    assert!(matches!(refused, MintError::KeyLost(_)), "{refused}");
}

#[test]
fn an_issuer_that_was_revoked_signs_nothing_more() {
    let mut node = Node::new();
    let wanted = wanted(LEDGER, "ledger:read");
    let held = node.mint(&wanted).unwrap();
    let number = node.minter.signer.active().unwrap().number;
    node.story.order(Command::RevokeIssuer(number));
    let refused = node.mint(&wanted).unwrap_err();
    assert!(matches!(refused, MintError::NoIssuer), "{refused}");
    assert_eq!(
        node.judged(&held),
        Verdict::Refused(Reason::IssuerRevoked(number))
    );
}

#[test]
fn a_node_that_is_not_fresh_gives_no_token_away() {
    let mut node = Node::new();
    node.minter.clock = Now {
        boot: NOW.boot.plus(FRESH),
        ..NOW
    };
    // What it would refuse may have been granted meanwhile.
    for scope in ["ledger:read", "ledger:write"] {
        let refused = node.mint(&wanted(LEDGER, scope)).unwrap_err();
        assert!(matches!(refused, MintError::Stale), "{scope}: {refused}");
    }
}

#[test]
fn no_token_is_given_without_a_record_of_it_unless_the_cluster_says_so() {
    let mut node = Node::new();
    let wanted = wanted(LEDGER, "ledger:read");
    for _ in 0..ROOM {
        node.mint(&wanted).unwrap();
    }
    let refused = node.mint(&wanted).unwrap_err();
    assert!(matches!(refused, MintError::Unrecorded(_)), "{refused}");
    assert_eq!(node.minter.records.waiting(), ROOM);

    node.story.order(Command::SetSettings(SettingsChange {
        records_when_behind: Some(WhenBehind::Drop),
        ..SettingsChange::default()
    }));
    node.mint(&wanted).unwrap();
    assert_eq!(node.minter.records.waiting(), ROOM, "it was dropped");
    let refused = node.mint(&wanted).unwrap_err();
    assert!(
        matches!(refused, MintError::Unrecorded(_)),
        "no more are dropped than the file says may be: {refused}"
    );
}

/// What is refused after the signature leaves no record either.
#[test]
fn what_was_not_given_was_not_recorded() {
    let mut node = Node::new();
    let wanted = wanted(LEDGER, "ledger:read");
    node.mint(&wanted).unwrap();
    assert_eq!(node.minter.records.waiting(), 1);
    node.minter.clock = Now {
        boot: NOW.boot.plus(FRESH),
        ..NOW
    };
    node.mint(&wanted).unwrap_err();
    assert_eq!(node.minter.records.waiting(), 1);
}
