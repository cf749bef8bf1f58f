//! Watchers that read slowly while everything changes.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::atomic::{AtomicUsize, Ordering};

use chancery_authority::{Command, Event, Row, State};
use chancery_consensus::Consumer;
use chancery_credential::{IssuerNumber, Subject, TokenId};
use chancery_revocation::{Delta, Snapshot, View};
use chancery_wire::v1;
use futures::FutureExt;
use parking_lot::Mutex;

use super::*;
use crate::{
    recent::weight_of,
    story::{NOW_MS, Story},
};

/// Revoked ids of each of the four issuers.
const IDS: u64 = 50_000;
/// Subjects with a watermark, each at a revision of its own from here on.
const MARKS: u64 = 3_000;
const FIRST_MARK: u64 = 2_000;

/// A node whose log the test writes.
struct Fake {
    story: Mutex<Story>,
    recent: Recent,
    parts: AtomicUsize,
}

impl Source for &Fake {
    fn revision(&self) -> Revision {
        self.story.lock().view.revision()
    }

    fn recent(&self) -> &Recent {
        &self.recent
    }

    async fn part(&self, after: Option<&ViewPlace>, weight: usize) -> Part {
        self.parts.fetch_add(1, Ordering::Relaxed);
        Part::of(&self.story.lock().state, after, weight)
    }

    async fn past(&self, revision: Revision) {
        if self.revision() <= revision {
            std::future::pending().await
        }
    }

    async fn news(&mut self, told: Revision) -> Result<News, Status> {
        self.past(told).await;
        Ok(News::Changes)
    }
}

impl Fake {
    /// Issuers 1 to 4, all open.
    fn new(recent: Recent) -> Self {
        let mut story = Story::born();
        for issuer in 0..4 {
            if issuer > 0 {
                story.order(Command::OpenEpoch { emergency: false });
            }
            story.open_issuer();
        }
        for name in ["aaa", "zzz"] {
            story.register(name, 0);
        }
        Self {
            story: Mutex::new(story),
            recent,
            parts: AtomicUsize::new(0),
        }
    }

    /// With a view of 200,000 revoked ids and some thousand watermarks.
    fn large() -> Self {
        let fake = Self::new(Recent::default());
        {
            let mut story = fake.story.lock();
            for issuer in story.issuers() {
                for number in 0..IDS {
                    story.state.load_row(Row::RevokedToken(id(issuer, number)));
                }
            }
            for number in 0..MARKS {
                let subject =
                    Subject::Agent(format!("spiffe://example.org/m{number}").parse().unwrap());
                let at = Revision(FIRST_MARK + number);
                story.state.load_row(Row::Watermark(subject, at));
            }
            story.state.advance(Revision(10_000));
            let whole = story.state.view().unwrap();
            story.view.install(&whole).unwrap();
        }
        fake
    }

    /// What happens is remembered before it can be read, as in a node.
    fn happen(&self, event: impl FnOnce(&mut Story) -> Vec<Event>) {
        let mut story = self.story.lock();
        let events = event(&mut story);
        let revision = story.state.revision();
        self.recent.publish(&story.state, revision, &events);
    }

    fn order(&self, command: Command) {
        self.happen(|story| story.order(command));
    }

    fn node(&self, command: Command) {
        self.happen(|story| story.node(command));
    }

    fn open_issuer(&self) {
        self.order(Command::OpenEpoch { emergency: false });
        self.happen(|story| story.open_issuer_telling().1);
    }

    fn revoke(&self, issuer: u32, number: u64) {
        let token = id(IssuerNumber(issuer), number);
        self.order(Command::RevokeToken { token, agent: None });
    }

    fn revoke_held(&self, name: &str) {
        let agent = format!("spiffe://example.org/{name}").parse().unwrap();
        self.order(Command::RevokeHeld(Subject::Agent(agent)));
    }

    /// What a view of the whole state is.
    fn in_force(&self) -> Vec<Change> {
        in_force(&self.story.lock().state)
    }
}

fn in_force(state: &State) -> Vec<Change> {
    let whole = state.view().unwrap();
    let view = View::new(whole.lineage);
    view.install(&whole).unwrap();
    view.snapshot().changes
}

fn id(issuer: IssuerNumber, number: u64) -> TokenId {
    let mut random = [0; 12];
    random[4..].copy_from_slice(&number.to_be_bytes());
    TokenId::new(issuer, random)
}

/// What a watcher makes of what it is told.
struct Watcher {
    parts: Vec<Change>,
    view: View,
    heaviest: usize,
}

impl Watcher {
    fn new(fake: &Fake) -> Self {
        Self {
            parts: Vec::new(),
            view: View::new(fake.story.lock().state.lineage().unwrap()),
            heaviest: 0,
        }
    }

    /// Reads one thing; whether there was any. A snapshot that ends has to be the
    /// node's own state, with nothing of another.
    fn read(&mut self, feed: &mut Feed<&Fake>, fake: &Fake) -> Result<bool, Ended> {
        let Some(told) = feed.next().now_or_never() else {
            return Ok(false);
        };
        match told.unwrap()? {
            Told::Part(changes) => {
                let weight = changes.iter().map(weight_of).sum();
                self.heaviest = self.heaviest.max(weight);
                self.parts.extend(changes);
            }
            Told::Whole(revision) => {
                let whole = Snapshot {
                    lineage: self.view.lineage(),
                    revision,
                    view_revision: revision,
                    changes: std::mem::take(&mut self.parts),
                };
                self.view.install(&whole).unwrap();
                assert_eq!(self.view.snapshot().changes, fake.in_force());
            }
            Told::Delta {
                previous,
                revision,
                changes,
            } => {
                assert_eq!(previous, self.view.revision(), "no gap");
                let changes = changes.to_vec();
                let delta = Delta {
                    previous,
                    revision,
                    changes,
                };
                self.view.apply(&delta).unwrap();
            }
            Told::Word(event) => panic!("nothing was asked: {event:?}"),
        }
        Ok(true)
    }
}

/// Between any two parts something happens; of each kind to what was told already, and
/// to what is still to be told.
#[test]
fn a_slow_watcher_of_a_large_view_ends_with_what_is_in_force() {
    let fake = Fake::large();
    let mut happen = [
        (2, Box::new(|| fake.revoke_held("aaa")) as Box<dyn Fn()>),
        (2, Box::new(|| fake.revoke_held("zzz"))),
        (2, Box::new(|| fake.open_issuer())),
        (3, Box::new(|| fake.order(Command::Suspend(owner())))),
        (3, Box::new(|| fake.order(Command::Resume(owner())))),
        (
            3,
            Box::new(|| fake.order(Command::Suspend(Subject::Everything))),
        ),
        (9, Box::new(|| fake.revoke(1, IDS + 1))),
        (9, Box::new(|| fake.revoke(3, IDS + 1))),
        // Of the first the ids are told in part, of the second not at all.
        (
            20,
            Box::new(|| fake.node(Command::RetireIssuer(IssuerNumber(1)))),
        ),
        (
            21,
            Box::new(|| fake.node(Command::ExpireIssuer(IssuerNumber(1)))),
        ),
        (
            22,
            Box::new(|| fake.order(Command::RevokeIssuer(IssuerNumber(2)))),
        ),
        (
            23,
            Box::new(|| fake.node(Command::ExpireIssuer(IssuerNumber(2)))),
        ),
        (24, Box::new(|| fake.revoke(3, IDS + 2))),
        (
            24,
            Box::new(|| fake.node(Command::RaiseFloor(Revision(FIRST_MARK + MARKS / 2)))),
        ),
        (
            25,
            Box::new(|| fake.happen(|story| story.pass_to(NOW_MS + 60_000))),
        ),
        (140, Box::new(|| fake.revoke(3, IDS + 3))),
        (
            140,
            Box::new(|| fake.order(Command::RevokeIssuer(IssuerNumber(4)))),
        ),
    ]
    .into_iter()
    .peekable();

    let mut feed = Feed::beginning(&fake, Revision(10_000));
    let mut watcher = Watcher::new(&fake);
    let mut read = 0;
    assert_eq!(
        fake.parts.load(Ordering::Relaxed),
        0,
        "nothing ahead of the reader"
    );
    while watcher.read(&mut feed, &fake).unwrap() {
        read += 1;
        while let Some((_, event)) = happen.next_if(|(after, _)| *after == read) {
            event();
        }
        if watcher.parts.is_empty() {
            break;
        }
        assert!(fake.parts.load(Ordering::Relaxed) <= read);
    }
    assert!(happen.next().is_none(), "it was told all in {read} parts");
    assert!(
        watcher.heaviest <= 2 * PART_BYTES + 1_024,
        "a part of {} bytes",
        watcher.heaviest
    );

    // Live from here on.
    fake.revoke(3, IDS + 4);
    fake.order(Command::RevokeIssuer(IssuerNumber(3)));
    fake.open_issuer();
    fake.order(Command::Resume(Subject::Everything));
    fake.revoke_held("aaa");
    while watcher.read(&mut feed, &fake).unwrap() {}
    assert_eq!(watcher.view.snapshot().changes, fake.in_force());
}

fn owner() -> Subject {
    Subject::Owner("payments".parse().unwrap())
}

/// The state is ahead of what readers see while its rows go to the disk: the snapshot
/// is of no state that was never published.
#[test]
fn a_snapshot_ends_when_readers_see_the_state_of_its_last_part() {
    let fake = Fake::new(Recent::default());
    let mut feed = Feed::beginning(&fake, fake.story.lock().view.revision());
    let published = fake.story.lock().view.revision();
    fake.story.lock().state.advance(Revision(published.0 + 1));
    let part = feed.next().now_or_never().unwrap();
    assert!(matches!(part, Some(Ok(Told::Part(_)))), "{part:?}");
    {
        let mut waiting = Box::pin(feed.next());
        assert!(
            waiting.as_mut().now_or_never().is_none(),
            "it is not published"
        );
    }
}

#[test]
fn who_was_here_before_goes_on_and_is_told_so() {
    let fake = Fake::new(Recent::default());
    let at = fake.story.lock().view.revision();
    let mut feed = Feed::resuming(&fake, at);
    let nothing = Told::Delta {
        previous: at,
        revision: at,
        changes: [].into(),
    };
    let mut next = || feed.next().now_or_never();
    let told = next().unwrap().unwrap().unwrap();
    assert_eq!(told, nothing);
    assert!(next().is_none());

    fake.revoke_held("aaa");
    fake.revoke_held("zzz");
    let mut feed = Feed::resuming(&fake, at);
    let mut previous = at;
    for _ in 0..2 {
        let told = feed.next().now_or_never().unwrap().unwrap().unwrap();
        let Told::Delta {
            previous: continued,
            revision,
            changes,
        } = told
        else {
            panic!("{told:?}");
        };
        assert_eq!((continued, changes.len()), (previous, 1));
        previous = revision;
    }
    assert!(feed.next().now_or_never().is_none());
}

/// A node that owes its watcher an answer, from the state of some revision.
struct Owing<'a> {
    fake: &'a Fake,
    owed: Option<Revision>,
}

impl Source for Owing<'_> {
    fn revision(&self) -> Revision {
        self.fake.revision()
    }

    fn recent(&self) -> &Recent {
        &self.fake.recent
    }

    async fn part(&self, after: Option<&ViewPlace>, weight: usize) -> Part {
        self.fake.part(after, weight).await
    }

    async fn past(&self, revision: Revision) {
        self.fake.past(revision).await;
    }

    fn through(&mut self) -> Revision {
        self.owed.unwrap_or_else(|| self.revision())
    }

    async fn news(&mut self, told: Revision) -> Result<News, Status> {
        match self.owed.take() {
            Some(owed) => {
                assert_eq!(told, owed, "everything up to there was told");
                Ok(News::Word(pong(owed)))
            }
            None => {
                self.past(told).await;
                Ok(News::Changes)
            }
        }
    }
}

fn pong(revision: Revision) -> v1::watch_response::Event {
    v1::watch_response::Event::Pong(v1::Pong {
        revision: revision.0,
        ..v1::Pong::default()
    })
}

/// However fast everything changes: an answer waits for what it vouches for and for
/// nothing that came later.
#[test]
fn an_answer_comes_after_what_changed_before_it_and_before_what_changed_later() {
    let fake = Fake::new(Recent::default());
    let at = fake.story.lock().view.revision();
    fake.revoke_held("aaa");
    let owed = fake.story.lock().view.revision();
    fake.revoke_held("zzz");
    let owing = Owing {
        fake: &fake,
        owed: Some(owed),
    };
    let mut feed = Feed::resuming(owing, at);
    let mut next = || {
        feed.next()
            .now_or_never()
            .map(|told| told.unwrap().unwrap())
    };
    let revision_of = |told: Option<Told>| match told {
        Some(Told::Delta { revision, .. }) => Some(revision),
        _ => None,
    };
    assert_eq!(revision_of(next()), Some(owed));
    assert_eq!(next(), Some(Told::Word(pong(owed))));
    let later = revision_of(next());
    assert!(later > Some(owed), "{later:?}");
    assert_eq!(next(), None);
}

#[test]
fn who_is_behind_what_is_remembered_is_told_so_once() {
    let few = || Fake::new(Recent::of_at_most(4, usize::MAX));
    let too_much = |fake: &Fake| (0..5).for_each(|number| fake.revoke(1, number));
    let over = |feed: &mut Feed<&Fake>| {
        let told = feed.next().now_or_never();
        assert!(
            matches!(told, Some(Some(Err(Ended::Forgotten)))),
            "{told:?}"
        );
        assert!(matches!(feed.next().now_or_never(), Some(None)));
    };

    let fake = few();
    let at = fake.story.lock().view.revision();
    let mut live = Feed::resuming(&fake, at);
    assert!(live.next().now_or_never().is_some());
    let mut beginning = Feed::beginning(&fake, at);
    assert!(beginning.next().now_or_never().is_some());
    too_much(&fake);
    over(&mut live);
    over(&mut beginning);
}
