//! Histories that break none, and come as close as may be.

use chancery_tests::history::{Deed, Outcome, Verb};

use crate::story::{NODE, Story, VERIFIER, agent, token};

pub fn good() -> Vec<(&'static str, Story)> {
    let revoked = |outcome| Story::minted().end((200, 300), token(), Verb::Revoke, outcome);
    vec![
        ("nothing happened", Story::default()),
        (
            "an acceptance that began while the fence was on its way",
            revoked(Outcome::Enforced(20)).accept(NODE, (299, 900)),
        ),
        (
            "one that began at the very moment",
            revoked(Outcome::Enforced(20)).accept(NODE, (300, 900)),
        ),
        (
            "a node within F·κ of a commit",
            revoked(Outcome::Committed(20)).accept(NODE, (300 + 2_500, 2_900)),
        ),
        (
            "a verifier within V·κ of a fence that is the nodes' only",
            revoked(Outcome::Enforced(20)).accept(VERIFIER, (300 + 6_250, 6_600)),
        ),
        (
            "what was perhaps revoked",
            revoked(Outcome::Unknown).accept(NODE, (9_000, 9_010)),
        ),
        (
            "what was not revoked",
            revoked(Outcome::Refused).accept(NODE, (9_000, 9_010)),
        ),
        (
            "a token that was minted after its agent's were revoked",
            Story::default()
                .end((200, 300), agent(), Verb::RevokeHeld, Outcome::Enforced(20))
                .mint(0, (301, 310), "t", 20)
                .accept(NODE, (311, 320)),
        ),
        (
            "a state before the revocation",
            revoked(Outcome::Committed(20))
                .accept(NODE, (310, 320))
                .seeing(19, Some(300)),
        ),
        (
            "a mint after a resumption, and one that met it on its way",
            Story::default()
                .end((200, 300), agent(), Verb::Suspend, Outcome::Enforced(20))
                .resume((310, 400), Outcome::Committed(21))
                .mint(0, (305, 320), "u", 20)
                .mint(0, (500, 510), "v", 20),
        ),
        (
            "a mint after what was perhaps a resumption, long after",
            Story::default()
                .end((200, 300), agent(), Verb::Suspend, Outcome::Enforced(20))
                .resume((310, 400), Outcome::Unknown)
                .unanswered()
                .mint(0, (9_000, 9_010), "u", 20),
        ),
        (
            "a resumption of before that came late",
            Story::default()
                .end((200, 300), agent(), Verb::Suspend, Outcome::Enforced(20))
                .resume((190, 400), Outcome::Committed(25))
                .mint(0, (301, 310), "u", 20),
        ),
        (
            "an age that reaches just not to the write",
            Story::default()
                .register(0, (100, 200), "b", Outcome::Committed(20))
                .with(1, NODE, (1_000, 1_010), Deed::Asked)
                .seeing(19, Some(640)),
        ),
        (
            "a try of long before was not answered, a later one was",
            Story::default()
                .register(0, (100, 200), "b", Outcome::Committed(20))
                .with(1, NODE, (150, 1_010), Deed::Asked)
                .asked(150)
                .seeing(19, Some(10)),
        ),
        (
            "sessions of two",
            Story::default()
                .with(1, NODE, (100, 110), Deed::Asked)
                .seeing(20, None)
                .with(2, NODE, (120, 130), Deed::Asked)
                .seeing(19, None),
        ),
        (
            "two at once in one session",
            Story::default()
                .with(1, NODE, (100, 150), Deed::Asked)
                .seeing(20, None)
                .with(1, NODE, (120, 130), Deed::Asked)
                .seeing(19, None),
        ),
        (
            "a state that was not to hold the registration",
            Story::default()
                .register(0, (100, 110), "a", Outcome::Committed(20))
                .read((120, 130), None, 19),
        ),
        (
            "a registration that was perhaps removed",
            Story::default()
                .register(0, (100, 110), "a", Outcome::Committed(20))
                .end((111, 112), agent(), Verb::Remove, Outcome::Unknown)
                .read((120, 130), None, 25),
        ),
        (
            "a suspension that a later resumption ended already",
            Story::default()
                .register(0, (100, 110), "a", Outcome::Committed(20))
                .end((120, 130), agent(), Verb::Suspend, Outcome::Committed(21))
                .resume((140, 200), Outcome::Committed(22))
                .read((150, 160), Some(false), 21),
        ),
        (
            "two lead in one term, the one with the greater number later",
            Story::default()
                .report(1, (10, 20), 7, 1)
                .report(2, (10, 20), 7, 2)
                .report(1, (21, 30), 7, 2),
        ),
        (
            "a fence as late as it may be",
            Story::default()
                .end((100, 2_900), token(), Verb::Revoke, Outcome::Enforced(20))
                .register(0, (150, 300), "b", Outcome::Committed(21)),
        ),
        (
            "one that verifiers were waited for, as late as it may be",
            Story::default()
                .end(
                    (100, 6_650),
                    token(),
                    Verb::Revoke,
                    Outcome::EnforcedInVerifiers(20),
                )
                .register(0, (150, 300), "b", Outcome::Committed(21)),
        ),
        (
            "an answer that came late of a fence that another answer shows was there",
            Story::default()
                .end((100, 4_000), token(), Verb::Revoke, Outcome::Enforced(20))
                .register(0, (150, 300), "b", Outcome::Committed(21))
                .end(
                    (1_000, 2_800),
                    agent(),
                    Verb::RevokeHeld,
                    Outcome::Enforced(22),
                ),
        ),
        (
            "one that a new leader began again",
            Story::default()
                .end((100, 3_500), token(), Verb::Revoke, Outcome::Enforced(20))
                .register(0, (150, 300), "b", Outcome::Committed(21))
                .report(2, (890, 900), 8, 2),
        ),
        (
            "one that was asked for again",
            Story::default()
                .end((100, 4_000), token(), Verb::Revoke, Outcome::Enforced(20))
                .asked(1_400)
                .register(0, (150, 300), "b", Outcome::Committed(21)),
        ),
        (
            "a term whose leader nobody knows yet, and two answers that crossed",
            Story::default()
                .report(1, (10, 30), 7, 0)
                .report(1, (20, 25), 8, 2)
                .report(1, (12, 40), 7, 1),
        ),
    ]
}
