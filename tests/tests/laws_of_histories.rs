//! The judge of histories is judged: each law has histories that break it and nothing
//! else, and histories that come as close as may be and break nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{collections::BTreeSet, time::Duration};

use chancery_tests::history::{
    Complaint::{self, *},
    Deed, History, Moment, Operation, Outcome, Place, Promises, Registration, Report, Seen,
    Subject, Verb,
};

const PROMISES: Promises = Promises {
    f: Duration::from_secs(2),
    v: Duration::from_secs(5),
    kappa: 1.25,
    slack: Duration::from_millis(100),
};

/// A history as it is written down here: moments in milliseconds.
#[derive(Default, Clone)]
struct Story(History);

const fn at(ms: u64) -> Moment {
    Moment(ms * 1_000_000)
}

impl Story {
    fn with(mut self, session: u32, place: Place, span: (u64, u64), deed: Deed) -> Self {
        self.0.operations.push(Operation {
            session,
            place,
            begun: at(span.0),
            asked: at(span.0),
            ended: Some(at(span.1)),
            seen: None,
            deed,
        });
        self
    }

    /// The last operation rests on this revision, so many milliseconds old.
    fn seeing(mut self, revision: u64, age: Option<u64>) -> Self {
        let age = age.map(Duration::from_millis);
        self.0.operations.last_mut().unwrap().seen = Some(Seen { revision, age });
        self
    }

    /// The answered try of the last operation was sent then.
    fn asked(mut self, ms: u64) -> Self {
        self.0.operations.last_mut().unwrap().asked = at(ms);
        self
    }

    fn unanswered(mut self) -> Self {
        self.0.operations.last_mut().unwrap().ended = None;
        self
    }

    /// `t` of `a`, owned by `o`, at revision 10, long ago.
    fn minted() -> Self {
        Self::default().mint(0, (100, 110), "t", 10)
    }

    fn mint(self, session: u32, span: (u64, u64), token: &str, rev: u64) -> Self {
        let deed = Deed::Minted {
            token: token.to_owned(),
            agent: "a".to_owned(),
            owner: "o".to_owned(),
            rev,
        };
        self.with(session, Place::Node(1), span, deed)
    }

    fn accept(self, place: Place, span: (u64, u64)) -> Self {
        let deed = Deed::Accepted {
            token: "t".to_owned(),
        };
        self.with(1, place, span, deed)
    }

    fn end(self, span: (u64, u64), subject: Subject, verb: Verb, outcome: Outcome) -> Self {
        let deed = Deed::Ended {
            subject,
            verb,
            outcome,
        };
        self.with(2, Place::Cluster, span, deed)
    }

    fn resume(self, span: (u64, u64), outcome: Outcome) -> Self {
        let deed = Deed::Resumed {
            subject: agent(),
            outcome,
        };
        self.with(2, Place::Cluster, span, deed)
    }

    fn register(self, session: u32, span: (u64, u64), name: &str, outcome: Outcome) -> Self {
        let deed = Deed::Registered {
            agent: name.to_owned(),
            outcome,
        };
        self.with(session, Place::Cluster, span, deed)
    }

    fn read(self, span: (u64, u64), found: Option<bool>, revision: u64) -> Self {
        let deed = Deed::Read {
            agent: "a".to_owned(),
            found: found.map(|suspended| Registration { suspended }),
        };
        self.with(3, Place::Node(2), span, deed)
            .seeing(revision, None)
    }

    fn report(mut self, node: u64, span: (u64, u64), term: u64, leader: u64) -> Self {
        self.0.reports.push(Report {
            node,
            asked: at(span.0),
            seen: at(span.1),
            term,
            leader,
            revision: span.1,
            digest: String::new(),
        });
        self
    }

    fn digest(mut self, revision: u64, digest: &str) -> Self {
        let last = self.0.reports.last_mut().unwrap();
        (last.revision, last.digest) = (revision, digest.to_owned());
        self
    }

    fn complaints(&self) -> BTreeSet<Complaint> {
        let broken = self.0.judge(&PROMISES).into_iter();
        broken.map(|violation| violation.complaint).collect()
    }
}

fn token() -> Subject {
    Subject::Token("t".to_owned())
}

fn agent() -> Subject {
    Subject::Agent("a".to_owned())
}

fn owner() -> Subject {
    Subject::Owner("o".to_owned())
}

const NODE: Place = Place::Node(3);
const VERIFIER: Place = Place::Verifier(1);

fn bad() -> Vec<(&'static str, Story, &'static [Complaint])> {
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
            "two lead in one term",
            Story::default()
                .report(1, (10, 20), 7, 1)
                .report(2, (10, 20), 7, 2),
            &[TwoLeaders],
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

fn good() -> Vec<(&'static str, Story)> {
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
            "a fence as late as it may be",
            Story::default()
                .end((100, 2_900), token(), Verb::Revoke, Outcome::Enforced(20))
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

#[test]
fn each_bad_history_is_rejected_for_what_is_bad_in_it() {
    for (what, story, expected) in bad() {
        let expected: BTreeSet<Complaint> = expected.iter().copied().collect();
        assert_eq!(story.complaints(), expected, "{what}");
    }
}

#[test]
fn every_complaint_has_a_history_that_earns_it() {
    let earned: BTreeSet<Complaint> = bad()
        .iter()
        .flat_map(|(.., it)| it.iter().copied())
        .collect();
    let all = [
        AcceptedAfterEnforced,
        AcceptedBeyondF,
        AcceptedBeyondV,
        AcceptedAgainstState,
        MintedAfterEnforced,
        MintedBeyondF,
        OlderThanSaid,
        ServedStale,
        SessionWentBack,
        LostWrite,
        RevisionTwice,
        FenceLate,
        TwoLeaders,
        TermWentBack,
        StatesDiffer,
    ];
    assert_eq!(earned, BTreeSet::from(all));
}

#[test]
fn good_histories_are_accepted() {
    for (what, story) in good() {
        assert_eq!(story.0.judge(&PROMISES), [], "{what}");
    }
}

/// What is bad is found among much that is good.
#[test]
fn a_bad_history_within_a_good_one_is_rejected() {
    for (what, story, expected) in bad() {
        let mut all = Story::default();
        for turn in 0..20_000_u64 {
            let (session, begun) = (100 + u32::try_from(turn % 50).unwrap(), 20_000 + turn);
            let name = format!("other-{turn}");
            let outcome = Outcome::Committed(1_000_000 + turn);
            all = all.register(session, (begun, begun + 1), &name, outcome);
        }
        all.0.append(story.0);
        let found = all.complaints();
        assert!(
            expected.iter().all(|it| found.contains(it)),
            "{what}: {found:?}"
        );
    }
}
