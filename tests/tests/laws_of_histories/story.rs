//! Histories as they are written down here.

use std::{collections::BTreeSet, time::Duration};

use chancery_tests::history::{
    Complaint, Deed, History, Moment, Operation, Outcome, Place, Promises, Registration, Report,
    Seen, Subject, Verb,
};

pub const PROMISES: Promises = Promises {
    f: Duration::from_secs(2),
    v: Duration::from_secs(5),
    kappa: 1.25,
    slack: Duration::from_millis(100),
};

/// A history as it is written down here: moments in milliseconds.
#[derive(Default, Clone)]
pub struct Story(pub History);

pub const fn at(ms: u64) -> Moment {
    Moment(ms * 1_000_000)
}

impl Story {
    pub fn with(mut self, session: u32, place: Place, span: (u64, u64), deed: Deed) -> Self {
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
    pub fn seeing(mut self, revision: u64, age: Option<u64>) -> Self {
        let age = age.map(Duration::from_millis);
        self.0.operations.last_mut().unwrap().seen = Some(Seen { revision, age });
        self
    }

    /// The answered try of the last operation was sent then.
    pub fn asked(mut self, ms: u64) -> Self {
        self.0.operations.last_mut().unwrap().asked = at(ms);
        self
    }

    pub fn unanswered(mut self) -> Self {
        self.0.operations.last_mut().unwrap().ended = None;
        self
    }

    /// `t` of `a`, owned by `o`, at revision 10, long ago.
    pub fn minted() -> Self {
        Self::default().mint(0, (100, 110), "t", 10)
    }

    pub fn mint(self, session: u32, span: (u64, u64), token: &str, rev: u64) -> Self {
        let deed = Deed::Minted {
            token: token.to_owned(),
            agent: "a".to_owned(),
            owner: "o".to_owned(),
            rev,
        };
        self.with(session, Place::Node(1), span, deed)
    }

    pub fn accept(self, place: Place, span: (u64, u64)) -> Self {
        let deed = Deed::Accepted {
            token: "t".to_owned(),
        };
        self.with(1, place, span, deed)
    }

    pub fn end(self, span: (u64, u64), subject: Subject, verb: Verb, outcome: Outcome) -> Self {
        let deed = Deed::Ended {
            subject,
            verb,
            outcome,
        };
        self.with(2, Place::Cluster, span, deed)
    }

    pub fn resume(self, span: (u64, u64), outcome: Outcome) -> Self {
        let deed = Deed::Resumed {
            subject: agent(),
            outcome,
        };
        self.with(2, Place::Cluster, span, deed)
    }

    pub fn register(self, session: u32, span: (u64, u64), name: &str, outcome: Outcome) -> Self {
        let deed = Deed::Registered {
            agent: name.to_owned(),
            outcome,
        };
        self.with(session, Place::Cluster, span, deed)
    }

    pub fn read(self, span: (u64, u64), found: Option<bool>, revision: u64) -> Self {
        let deed = Deed::Read {
            agent: "a".to_owned(),
            found: found.map(|suspended| Registration { suspended }),
        };
        self.with(3, Place::Node(2), span, deed)
            .seeing(revision, None)
    }

    pub fn report(mut self, node: u64, span: (u64, u64), term: u64, leader: u64) -> Self {
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

    pub fn digest(mut self, revision: u64, digest: &str) -> Self {
        let last = self.0.reports.last_mut().unwrap();
        (last.revision, last.digest) = (revision, digest.to_owned());
        self
    }

    pub fn complaints(&self) -> BTreeSet<Complaint> {
        let broken = self.0.judge(&PROMISES).into_iter();
        broken.map(|violation| violation.complaint).collect()
    }
}

pub fn token() -> Subject {
    Subject::Token("t".to_owned())
}

pub fn agent() -> Subject {
    Subject::Agent("a".to_owned())
}

pub fn owner() -> Subject {
    Subject::Owner("o".to_owned())
}

pub const NODE: Place = Place::Node(3);
pub const VERIFIER: Place = Place::Verifier(1);
