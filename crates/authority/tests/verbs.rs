//! The table of verbs: what each does to what was held, and to minting anew. The
//! tokens are minted and judged as a node would.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use chancery_authority::{Answer, Command, Reason};
use chancery_credential::{
    EpochNumber, IssuerNumber, NodeNumber, Subject, TokenId, UnverifiedToken,
};
use support::{World, agent, agent_spec, grant, key, owner, set};

/// Agents a (of alice, set base), b (of bob, no set), c (of alice and bob, base).
struct Held {
    world: World,
    issuer: IssuerNumber,
    tokens: [String; 3],
}

const NAMES: [&str; 3] = ["a", "b", "c"];

impl Held {
    fn new() -> Self {
        let mut world = World::furnished();
        for (name, owners, sets) in [
            ("a", vec!["alice"], vec!["base"]),
            ("b", vec!["bob"], vec![]),
            ("c", vec!["alice", "bob"], vec!["base"]),
        ] {
            let mut spec = agent_spec(name);
            spec.owners = owners.into_iter().map(owner).collect();
            spec.grant_sets = sets.into_iter().map(set).collect();
            world.must("rita", Command::RegisterAgent(spec));
        }
        let issuer = world.open_issuer(1, 100);
        let tokens = NAMES.map(|name| world.mint(name, issuer).unwrap());
        Self {
            world,
            issuer,
            tokens,
        }
    }

    /// What each token is now.
    fn judged(&self) -> [&'static str; 3] {
        [0, 1, 2].map(|at| self.world.judge(&self.tokens[at]))
    }

    /// What minting anew comes to: a valid token, or the refusal.
    fn minting(&self) -> [String; 3] {
        NAMES.map(|name| match self.world.mint(name, self.issuer) {
            Ok(token) => self.world.judge(&token).to_owned(),
            Err(refusal) => refusal,
        })
    }

    fn token_id(&self, at: usize) -> TokenId {
        UnverifiedToken::parse(&self.tokens[at])
            .unwrap()
            .claims()
            .jti
    }
}

#[test]
fn in_the_beginning_all_is_valid() {
    let held = Held::new();
    assert_eq!(held.judged(), ["VALID"; 3]);
    assert_eq!(held.minting(), ["VALID"; 3]);
}

#[test]
fn revoke_token() {
    let mut held = Held::new();
    let token = held.token_id(0);
    let agent = Some(support::agent_id("a"));
    held.world
        .must("agent:a", Command::RevokeToken { token, agent });
    assert_eq!(held.judged(), ["TOKEN_REVOKED", "VALID", "VALID"]);
    assert_eq!(held.minting(), ["VALID"; 3]);
}

#[test]
fn suspend_and_resume() {
    let owner_of = |name: &str| Subject::Owner(owner(name));
    for (subject, judged, minting) in [
        (
            agent("a"),
            ["AGENT_REVOKED", "VALID", "VALID"],
            ["AGENT_SUSPENDED", "VALID", "VALID"],
        ),
        (
            owner_of("alice"),
            ["OWNER_REVOKED", "VALID", "OWNER_REVOKED"],
            ["OWNER_SUSPENDED", "VALID", "OWNER_SUSPENDED"],
        ),
        (
            Subject::GrantSet(set("base")),
            ["GRANT_SET_REVOKED", "VALID", "GRANT_SET_REVOKED"],
            // Under their own grants, and not under the set.
            ["VALID", "VALID", "VALID"],
        ),
        (
            Subject::Everything,
            ["EVERYTHING_REVOKED"; 3],
            ["EVERYTHING_SUSPENDED"; 3],
        ),
    ] {
        let mut held = Held::new();
        held.world.must("rob", Command::Suspend(subject.clone()));
        assert_eq!(held.judged(), judged, "{subject}");
        assert_eq!(held.minting(), minting, "{subject}");
        held.world.must("rob", Command::Resume(subject.clone()));
        assert_eq!(held.judged(), judged, "{subject}: dead for good");
        assert_eq!(held.minting(), ["VALID"; 3], "{subject}");
    }
}

#[test]
fn nothing_is_minted_under_a_suspended_set() {
    let mut held = Held::new();
    held.world
        .must("rob", Command::Suspend(Subject::GrantSet(set("base"))));
    let token = held.world.mint("a", held.issuer).unwrap();
    assert_eq!(UnverifiedToken::parse(&token).unwrap().claims().set, []);
    let mut spec = agent_spec("a");
    spec.grants.clear();
    spec.grant_sets = vec![set("base")];
    let keep_held = true;
    held.world.must(
        "rita",
        Command::UpdateAgent {
            spec,
            keep_held,
            changed_at: None,
        },
    );
    let refusal = held.world.mint("a", held.issuer).unwrap_err();
    assert_eq!(refusal, "NOTHING_GRANTED");
}

#[test]
fn revoke_held_says_whether_it_can_mint_anew() {
    let mut held = Held::new();
    let answer = held.world.must("rob", Command::RevokeHeld(agent("a")));
    assert_eq!(answer, Answer::MayMintAnew(true));
    assert_eq!(held.judged(), ["AGENT_REVOKED", "VALID", "VALID"]);
    assert_eq!(held.minting(), ["VALID"; 3]);

    held.world
        .must("rob", Command::Suspend(Subject::Owner(owner("alice"))));
    let answer = held.world.must("rob", Command::RevokeHeld(agent("a")));
    assert_eq!(answer, Answer::MayMintAnew(false), "its owner is suspended");
    let answer = held.world.must("rob", Command::RevokeHeld(agent("b")));
    assert_eq!(answer, Answer::MayMintAnew(true));
    let answer = held
        .world
        .must("rob", Command::RevokeHeld(Subject::Everything));
    assert_eq!(answer, Answer::MayMintAnew(true));
    assert_eq!(
        held.judged(),
        ["AGENT_REVOKED", "AGENT_REVOKED", "OWNER_REVOKED"]
    );
}

#[test]
fn remove_ends_the_registration_and_frees_the_id() {
    let mut held = Held::new();
    held.world
        .must("rita", Command::RemoveAgent(support::agent_id("a")));
    assert_eq!(held.judged(), ["AGENT_REVOKED", "VALID", "VALID"]);
    assert_eq!(held.minting(), ["KEY_UNKNOWN", "VALID", "VALID"]);
    held.world
        .must("rita", Command::RegisterAgent(agent_spec("a")));
    assert_eq!(
        held.judged(),
        ["AGENT_REVOKED", "VALID", "VALID"],
        "dead for good"
    );
    assert_eq!(held.minting(), ["VALID"; 3]);
}

#[test]
fn removing_and_registering_again_does_not_undo_a_suspension() {
    let mut held = Held::new();
    held.world.must("rob", Command::Suspend(agent("a")));
    held.world
        .must("rita", Command::RemoveAgent(support::agent_id("a")));
    held.world
        .must("rita", Command::RegisterAgent(agent_spec("a")));
    assert_eq!(held.minting(), ["AGENT_SUSPENDED", "VALID", "VALID"]);
    held.world
        .must("rita", Command::RemoveAgent(support::agent_id("a")));
    held.world.must("rob", Command::Resume(agent("a")));
    assert_eq!(
        held.world.refused("rob", Command::Resume(agent("a"))),
        Reason::AgentUnknown
    );
    held.world
        .must("rita", Command::RegisterAgent(agent_spec("a")));
    assert_eq!(held.minting(), ["VALID"; 3]);
}

#[test]
fn resume_says_whether_something_else_still_keeps_it_down() {
    let mut held = Held::new();
    for subject in [
        agent("a"),
        Subject::Owner(owner("alice")),
        Subject::Everything,
    ] {
        held.world.must("rob", Command::Suspend(subject));
    }
    let mut resumed = |subject| held.world.must("rob", Command::Resume(subject));
    assert_eq!(resumed(Subject::Everything), Answer::MayMintAnew(true));
    assert_eq!(
        resumed(agent("a")),
        Answer::MayMintAnew(false),
        "its owner is suspended"
    );
    let alice = Subject::Owner(owner("alice"));
    assert_eq!(resumed(alice), Answer::MayMintAnew(true));
    assert_eq!(held.minting(), ["VALID"; 3]);
}

#[test]
fn revoke_issuer_epoch_and_node() {
    for command in [
        Command::RevokeIssuer(IssuerNumber(1)),
        Command::RevokeEpoch(EpochNumber(1)),
        Command::RevokeNode(NodeNumber(1)),
    ] {
        let mut held = Held::new();
        held.world.must("root", command.clone());
        assert_eq!(held.judged(), ["ISSUER_REVOKED"; 3], "{command:?}");
        // A thief with the key signs with a `rev` of today.
        assert_eq!(held.minting(), ["ISSUER_REVOKED"; 3], "{command:?}");
        if let Command::RevokeNode(number) = command {
            held.world.readmit(number.0);
        }
        held.issuer = held.world.open_issuer(1, 100);
        assert_eq!(held.judged(), ["ISSUER_REVOKED"; 3], "{command:?}");
        assert_eq!(
            held.minting(),
            ["VALID"; 3],
            "by other issuers: {command:?}"
        );
    }
}

#[test]
fn a_retired_issuer_verifies_what_it_signed_until_then() {
    let mut held = Held::new();
    held.world
        .must("node:1", Command::RetireIssuer(held.issuer));
    assert_eq!(held.judged(), ["VALID"; 3]);
    let successor = held.world.open_issuer(1, 200);
    // The old key signs on, with a `rev` that only exists since it retired.
    assert_eq!(held.minting(), ["AFTER_RETIREMENT"; 3]);
    held.world
        .must("node:1", Command::ExpireIssuer(held.issuer));
    assert_eq!(held.judged(), ["ISSUER_EXPIRED"; 3]);
    held.issuer = successor;
    assert_eq!(held.minting(), ["VALID"; 3]);
}

#[test]
fn an_update_that_takes_something_away_kills_unless_asked_to_keep() {
    let narrowed = || {
        let mut spec = agent_spec("b");
        spec.owners = vec![owner("bob")];
        spec.grants = vec![grant("files:other")];
        spec
    };
    let mut held = Held::new();
    let (spec, keep_held) = (narrowed(), false);
    let answer = held.world.must(
        "rita",
        Command::UpdateAgent {
            spec,
            keep_held,
            changed_at: None,
        },
    );
    assert_eq!(answer, Answer::HeldKilled(true));
    assert_eq!(held.judged(), ["VALID", "AGENT_REVOKED", "VALID"]);
    assert_eq!(held.minting(), ["VALID"; 3]);

    let mut held = Held::new();
    let (spec, keep_held) = (narrowed(), true);
    let answer = held.world.must(
        "rita",
        Command::UpdateAgent {
            spec,
            keep_held,
            changed_at: None,
        },
    );
    assert_eq!(answer, Answer::HeldKilled(false));
    assert_eq!(held.judged(), ["VALID"; 3]);
}

/// A registration that was read is sent back whole: with what somebody else has taken
/// away since.
#[test]
fn an_update_of_what_was_read_before_does_not_widen_what_was_narrowed_since() {
    let mut held = Held::new();
    let former = agent_spec("b");
    let mut narrowed = former.clone();
    narrowed.grants = vec![grant("files:other")];
    let update = |spec: &chancery_authority::AgentSpec, changed_at| Command::UpdateAgent {
        spec: spec.clone(),
        keep_held: false,
        changed_at: Some(changed_at),
    };
    let changed_at = |held: &Held| held.world.state.agent(&former.id).unwrap().changed_at;
    let read = changed_at(&held);
    held.world.must("rita", update(&narrowed, read));
    let late = held.world.refused("rita", update(&former, read));
    assert_eq!(late, chancery_authority::Reason::AgentChanged);
    let stands = held.world.state.agent(&former.id).unwrap();
    assert_eq!(stands.grants.to_vec(), narrowed.grants);

    let read = changed_at(&held);
    held.world.must("rita", update(&former, read));
}

#[test]
fn another_key_kills_nothing_and_a_missing_one_does() {
    let mut held = Held::new();
    let mut spec = agent_spec("b");
    spec.owners = vec![owner("bob")];
    spec.keys.push(key("b-2"));
    let both = Command::UpdateAgent {
        spec: spec.clone(),
        keep_held: false,
        changed_at: None,
    };
    assert_eq!(held.world.must("rita", both), Answer::HeldKilled(false));
    assert_eq!(held.judged(), ["VALID"; 3]);
    let directory = &held.world.consumers.directory;
    let generation = directory.standing_generation();
    assert!(directory.principal(&key("b-2")).is_some());

    spec.keys = vec![key("b-2")];
    let keep_held = false;
    let answer = held.world.must(
        "rita",
        Command::UpdateAgent {
            spec,
            keep_held,
            changed_at: None,
        },
    );
    assert_eq!(answer, Answer::HeldKilled(true));
    assert_eq!(held.judged(), ["VALID", "AGENT_REVOKED", "VALID"]);
    let directory = &held.world.consumers.directory;
    assert!(directory.principal(&key("b")).is_none());
    assert!(directory.standing_generation() > generation);
}

#[test]
fn narrowing_a_grant_set_kills_what_was_minted_under_it() {
    let put = |grants: &[&str], keep_held| Command::PutGrantSet {
        name: set("base"),
        grants: grants.iter().map(|text| grant(text)).collect(),
        keep_held,
    };
    let mut held = Held::new();
    let answer = held
        .world
        .must("rita", put(&["mail:send", "mail:list"], false));
    assert_eq!(answer, Answer::HeldKilled(false), "it widened");
    let answer = held.world.must("rita", put(&["mail:send"], true));
    assert_eq!(answer, Answer::HeldKilled(false), "asked to keep");
    assert_eq!(held.judged(), ["VALID"; 3]);
    let answer = held.world.must("rita", put(&[], false));
    assert_eq!(answer, Answer::HeldKilled(true));
    assert_eq!(
        held.judged(),
        ["GRANT_SET_REVOKED", "VALID", "GRANT_SET_REVOKED"]
    );
}

#[test]
fn the_floor_refuses_what_is_older() {
    let mut held = Held::new();
    held.world.must("rob", Command::RevokeHeld(agent("b")));
    let killed = held.world.state.revision();
    let fresh = held.world.mint("b", held.issuer).unwrap();
    held.world.must("node:1", Command::RaiseFloor(killed));
    // What was dead is dead still, although its watermark is gone.
    assert_eq!(held.judged(), ["BELOW_FLOOR"; 3]);
    assert_eq!(held.world.judge(&fresh), "VALID");
    assert_eq!(held.minting(), ["VALID"; 3]);
}

#[test]
fn a_subject_has_to_be_known() {
    let mut held = Held::new();
    for (subject, reason) in [
        (agent("x"), Reason::AgentUnknown),
        (Subject::Owner(owner("x")), Reason::OwnerUnknown),
        (Subject::GrantSet(set("x")), Reason::GrantSetUnknown),
    ] {
        for command in [Command::Suspend, Command::Resume, Command::RevokeHeld] {
            assert_eq!(held.world.refused("rob", command(subject.clone())), reason);
        }
    }
}

#[test]
fn a_grant_set_is_removed_when_nobody_refers_to_it_and_takes_what_it_held_along() {
    let mut held = Held::new();
    let remove = || Command::RemoveGrantSet(set("base"));
    assert_eq!(held.world.refused("rita", remove()), Reason::GrantSetInUse);
    for (name, owned_by) in [("a", "alice"), ("c", "alice")] {
        let mut spec = agent_spec(name);
        spec.owners = vec![owner(owned_by)];
        let keep_held = true;
        held.world.must(
            "rita",
            Command::UpdateAgent {
                spec,
                keep_held,
                changed_at: None,
            },
        );
    }
    assert_eq!(held.judged(), ["VALID"; 3], "asked to keep");
    held.world.must("rita", remove());
    assert_eq!(
        held.judged(),
        ["GRANT_SET_REVOKED", "VALID", "GRANT_SET_REVOKED"]
    );
    assert_eq!(
        held.world.refused("rita", remove()),
        Reason::GrantSetUnknown
    );
    assert!(
        held.world
            .consumers
            .directory
            .grant_set(&set("base"))
            .is_none()
    );
}
