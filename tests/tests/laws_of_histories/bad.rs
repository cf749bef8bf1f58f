//! Histories that break a law, and which.

use chancery_tests::history::{
    Complaint::{self, *},
    Deed, Outcome, Place, Subject, Verb,
};

use crate::story::{NODE, Story, VERIFIER, agent, owner, token};

pub fn bad() -> Vec<(&'static str, Story, &'static [Complaint])> {
    let revoked =
        |subject, verb| Story::minted().end((200, 300), subject, verb, Outcome::Enforced(20));
    let suspended = |outcome| Story::default().end((200, 300), agent(), Verb::Suspend, outcome);
    vec![
        (
            "a revoked token is accepted a millisecond after",
            revoked(token(), Verb::Revoke).accept(NODE, (301, 310)),
            &[AcceptedAfterEnforced],
        ),
        (
            "also one that was minted later than it was revoked by its id",
            Story::default()
                .mint(0, (100, 110), "t", 30)
                .end((200, 300), token(), Verb::Revoke, Outcome::Enforced(20))
                .accept(NODE, (301, 310)),
            &[AcceptedAfterEnforced],
        ),
        (
            "what a suspended agent held is accepted",
            revoked(agent(), Verb::Suspend).accept(NODE, (301, 310)),
            &[AcceptedAfterEnforced],
        ),
        (
            "what an owner's agents held is accepted",
            revoked(owner(), Verb::RevokeHeld).accept(NODE, (301, 310)),
            &[AcceptedAfterEnforced],
        ),
        (
            "anything is accepted after all was revoked",
            revoked(Subject::Everything, Verb::RevokeHeld).accept(NODE, (301, 310)),
            &[AcceptedAfterEnforced],
        ),
        (
            "it is accepted although the agent was resumed: what was dead stays dead",
            revoked(agent(), Verb::Suspend)
                .resume((310, 320), Outcome::Committed(21))
                .accept(NODE, (330, 340)),
            &[AcceptedAfterEnforced],
        ),
        (
            "an earlier fence counts although a later one is not yet there",
            revoked(agent(), Verb::RevokeHeld)
                .end(
                    (305, 5_000),
                    agent(),
                    Verb::RevokeHeld,
                    Outcome::Enforced(22),
                )
                .accept(NODE, (400, 410)),
            &[AcceptedAfterEnforced],
        ),
        (
            "a node accepts beyond F·κ what was only committed",
            Story::minted()
                .end((200, 300), token(), Verb::Revoke, Outcome::Committed(20))
                .accept(NODE, (300 + 2_501, 2_900)),
            &[AcceptedBeyondF],
        ),
        (
            "a verifier accepts beyond V·κ",
            revoked(token(), Verb::Revoke).accept(VERIFIER, (300 + 6_251, 6_600)),
            &[AcceptedBeyondV],
        ),
        (
            "a verifier accepts what was enforced in verifiers",
            Story::minted()
                .end(
                    (200, 300),
                    token(),
                    Verb::Revoke,
                    Outcome::EnforcedInVerifiers(20),
                )
                .accept(VERIFIER, (301, 310)),
            &[AcceptedAfterEnforced],
        ),
        (
            "a token is accepted from a state that holds its revocation",
            Story::minted()
                .end((200, 300), token(), Verb::Revoke, Outcome::Committed(20))
                .accept(NODE, (250, 260))
                .seeing(20, None),
            &[AcceptedAgainstState],
        ),
        (
            "a suspended agent mints",
            suspended(Outcome::Enforced(20)).mint(0, (301, 310), "u", 20),
            &[MintedAfterEnforced],
        ),
        (
            "a removed agent mints, whoever resumes it",
            Story::default()
                .end((200, 300), owner(), Verb::Remove, Outcome::Enforced(20))
                .resume((310, 320), Outcome::Committed(21))
                .mint(0, (330, 340), "u", 20),
            &[MintedAfterEnforced],
        ),
        (
            "a resume of before does not help",
            Story::default()
                .resume((100, 110), Outcome::Committed(15))
                .end((200, 300), agent(), Verb::Suspend, Outcome::Enforced(20))
                .mint(0, (301, 310), "u", 20),
            &[MintedAfterEnforced],
        ),
        (
            "nor one that had not begun when the token was there",
            suspended(Outcome::Enforced(20))
                .mint(0, (301, 310), "u", 20)
                .resume((311, 320), Outcome::Committed(21)),
            &[MintedAfterEnforced],
        ),
        (
            "nor one that was refused",
            suspended(Outcome::Enforced(20))
                .resume((301, 302), Outcome::Refused)
                .mint(0, (303, 310), "u", 20),
            &[MintedAfterEnforced],
        ),
        (
            "a suspended agent mints beyond F·κ",
            suspended(Outcome::Committed(20)).mint(0, (2_801, 2_810), "u", 20),
            &[MintedBeyondF],
        ),
        (
            "a node says that its state is fresher than it is",
            Story::default()
                .register(0, (100, 200), "b", Outcome::Committed(20))
                .with(1, NODE, (1_000, 1_010), Deed::Asked)
                .seeing(19, Some(600)),
            &[OlderThanSaid],
        ),
        (
            "a node answers from a state that it says is older than F",
            Story::minted()
                .accept(NODE, (200, 210))
                .seeing(9, Some(2_002)),
            &[ServedStale],
        ),
        (
            "a session goes back",
            Story::default()
                .with(1, NODE, (100, 110), Deed::Asked)
                .seeing(20, None)
                .with(1, Place::Node(2), (120, 130), Deed::Asked)
                .seeing(19, None),
            &[SessionWentBack],
        ),
        (
            "a session does not see what it wrote itself",
            Story::default()
                .register(1, (100, 110), "b", Outcome::Committed(20))
                .with(1, Place::Node(2), (120, 130), Deed::Asked)
                .seeing(19, None),
            &[SessionWentBack],
        ),
        (
            "a registration is lost",
            Story::default()
                .register(0, (100, 110), "a", Outcome::Committed(20))
                .read((120, 130), None, 20),
            &[LostWrite],
        ),
        (
            "a suspension is lost",
            Story::default()
                .register(0, (100, 110), "a", Outcome::Committed(20))
                .end((120, 130), agent(), Verb::Suspend, Outcome::Committed(21))
                .read((140, 150), Some(false), 21),
            &[LostWrite],
        ),
        (
            "a resumption is lost",
            Story::default()
                .register(0, (100, 110), "a", Outcome::Committed(20))
                .end((120, 130), agent(), Verb::Suspend, Outcome::Committed(21))
                .resume((140, 150), Outcome::Committed(22))
                .read((160, 170), Some(true), 22),
            &[LostWrite],
        ),
        (
            "two commands have one revision",
            Story::default()
                .register(0, (100, 110), "a", Outcome::Committed(20))
                .register(1, (100, 110), "b", Outcome::Committed(20)),
            &[RevisionTwice],
        ),
        (
            "a fence is later than W after its commit",
            Story::default()
                .end((100, 2_901), token(), Verb::Revoke, Outcome::Enforced(20))
                .register(0, (150, 300), "b", Outcome::Committed(21)),
            &[FenceLate],
        ),
        (
            "it is later than V·κ in verifiers",
            Story::default()
                .end(
                    (100, 6_651),
                    token(),
                    Verb::Revoke,
                    Outcome::EnforcedInVerifiers(20),
                )
                .register(0, (150, 300), "b", Outcome::Committed(21)),
            &[FenceLate],
        ),
        (
            "that it was in force on nodes in time does not excuse what verifiers do",
            Story::default()
                .end(
                    (100, 6_651),
                    token(),
                    Verb::Revoke,
                    Outcome::EnforcedInVerifiers(20),
                )
                .end((110, 200), agent(), Verb::RevokeHeld, Outcome::Enforced(22))
                .register(0, (150, 300), "b", Outcome::Committed(21)),
            &[FenceLate],
        ),
        (
            "a leader of long before is no excuse",
            Story::default()
                .report(1, (10, 20), 7, 1)
                .end((100, 2_901), token(), Verb::Revoke, Outcome::Enforced(20))
                .report(1, (3_100, 3_101), 8, 2)
                .register(0, (150, 300), "b", Outcome::Committed(21)),
            &[FenceLate],
        ),
        (
            "an earlier revision that was in force in time does not excuse a later one",
            Story::default()
                .end((100, 4_000), token(), Verb::Revoke, Outcome::Enforced(20))
                .register(0, (150, 300), "b", Outcome::Committed(21))
                .end((90, 200), agent(), Verb::RevokeHeld, Outcome::Enforced(19)),
            &[FenceLate],
        ),
        (
            "a vote for the second leader of a term is forgotten",
            Story::default()
                .report(1, (10, 20), 7, 2)
                .report(1, (21, 30), 7, 1),
            &[LeaderWentBack],
        ),
        (
            "a vote is forgotten",
            Story::default()
                .report(1, (10, 20), 7, 1)
                .report(1, (21, 30), 6, 2),
            &[TermWentBack],
        ),
        (
            "states differ",
            Story::default()
                .report(1, (10, 20), 7, 1)
                .digest(20, "x")
                .report(2, (10, 20), 7, 1)
                .digest(20, "y"),
            &[StatesDiffer],
        ),
    ]
}
