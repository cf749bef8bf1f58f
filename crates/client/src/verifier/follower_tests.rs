//! A node that is told what to say: late, twice, out of order, in part, or not at all.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::VecDeque;

use chancery_credential::{Lineage, Subject};
use proptest::prelude::*;

use super::{
    follower::{Answered, Broken, Follower},
    *,
};
use chancery_credential::{ConsistencyToken, Revision};
use chancery_wire::v1::{self, watch_response::Event};

const MS: u64 = 1_000_000;
/// Generation 2 of a cluster.
const LINEAGE: Lineage = Lineage {
    generation: 2,
    random: 7,
};

fn at(milliseconds: u64) -> BootTime {
    BootTime(milliseconds * MS)
}

fn state(lineage: Lineage, revision: u64) -> String {
    let revision = Revision(revision);
    ConsistencyToken { lineage, revision }.to_string()
}

fn terms_of(lineage: Lineage, max_age_ms: u64) -> Event {
    Event::Terms(v1::Terms {
        max_age_ms,
        rho_percent: 10,
        leeway_s: 2,
        ttl_cap_s: 900,
        issuer: "https://chancery.example.org".to_owned(),
        trust_domain: "example.org".to_owned(),
        consistency_token: state(lineage, 1),
    })
}

fn terms() -> Event {
    terms_of(LINEAGE, 5_000)
}

fn subject(number: u64) -> Subject {
    Subject::Agent(format!("spiffe://example.org/{number}").parse().unwrap())
}

/// What held before `number` was dead of the subject of that name.
fn change(number: u64) -> v1::ViewChange {
    let subject = v1::Subject {
        subject: Some(v1::subject::Subject::Agent(format!(
            "spiffe://example.org/{number}"
        ))),
    };
    v1::ViewChange {
        change: Some(v1::view_change::Change::Watermark(v1::Watermark {
            subject: Some(subject),
            revision: number,
        })),
    }
}

fn part(changes: impl IntoIterator<Item = u64>) -> Event {
    Event::Snapshot(v1::ViewSnapshot {
        changes: changes.into_iter().map(change).collect(),
        ..v1::ViewSnapshot::default()
    })
}

fn whole_of(lineage: Lineage, revision: u64) -> Event {
    Event::Snapshot(v1::ViewSnapshot {
        changes: Vec::new(),
        last: true,
        revision,
        consistency_token: state(lineage, revision),
    })
}

fn whole(revision: u64) -> Event {
    whole_of(LINEAGE, revision)
}

fn delta(previous: u64, revision: u64) -> Event {
    Event::Delta(v1::ViewDelta {
        previous,
        revision,
        changes: vec![change(revision)],
        consistency_token: state(LINEAGE, revision),
    })
}

fn pong(sent: BootTime, revision: u64, age_us: u64) -> Event {
    Event::Pong(v1::Pong {
        sent: sent.0,
        revision,
        age_us,
        max_age_ms: 5_000,
    })
}

fn as_of(follower: &Follower) -> Option<BootTime> {
    let (view, _) = follower.following()?;
    view.freshness().map(|fresh| fresh.as_of)
}

fn revision(follower: &Follower) -> u64 {
    let (view, _) = follower.following().unwrap();
    view.revision().0
}

/// One that was told everything up to revision 100.
fn live() -> Follower {
    let mut follower = Follower::new(0);
    assert_eq!(follower.begin().since, "");
    for event in [terms(), part([40, 60]), part([100]), whole(100)] {
        assert_eq!(follower.told(event).unwrap(), None);
    }
    follower
}

/// And pinged a second after the boot.
fn asking() -> Follower {
    let mut follower = live();
    let ping = follower.ping(at(1_000), None).unwrap();
    assert_eq!((ping.sent, ping.revision), (at(1_000).0, 100));
    follower
}

#[test]
fn nothing_but_the_answer_to_a_ping_makes_a_view_fresh() {
    let mut follower = asking();
    follower.told(delta(100, 101)).unwrap();
    follower.told(terms()).unwrap();
    assert_eq!(as_of(&follower), None);
    let answered = follower.told(pong(at(1_000), 105, 90_000)).unwrap();
    assert_eq!(answered, Some(Answered { sent: at(1_000) }));
    assert_eq!(as_of(&follower), Some(at(1_000 - 110)), "sent - κ·age");
    assert_eq!(revision(&follower), 105, "nothing changed up to there");
    // What comes by itself extends nothing, and what it continues is what was told.
    follower.told(delta(101, 106)).unwrap();
    assert_eq!(as_of(&follower), Some(at(890)));
    assert_eq!(revision(&follower), 106);
}

#[test]
fn an_answer_that_was_not_asked_for_is_believed_by_nobody() {
    let mut never_asked = live();
    let broken = never_asked.told(pong(at(1_000), 100, 0)).unwrap_err();
    assert!(matches!(broken, Broken::Unasked), "{broken}");
    for (sent, said) in [(at(999), 100), (at(1_001), 100), (at(1_000), 99)] {
        let mut follower = asking();
        assert!(follower.told(pong(sent, said, 0)).is_err());
        assert_eq!(as_of(&follower), None);
    }
    let mut twice = asking();
    twice.told(pong(at(1_000), 100, 0)).unwrap();
    assert!(twice.told(pong(at(1_000), 100, 0)).is_err());
    // Of the stream before.
    let mut again = asking();
    again.begin();
    again.told(terms()).unwrap();
    again.told(whole(100)).unwrap();
    let broken = again.told(pong(at(1_000), 100, 0)).unwrap_err();
    assert!(matches!(broken, Broken::Unasked), "{broken}");
}

#[test]
fn a_view_that_may_lack_what_was_vouched_for_begins_from_nothing() {
    for missing in [delta(102, 103), delta(99, 103), delta(100, 105)] {
        let mut follower = asking();
        follower.told(pong(at(1_000), 110, 0)).unwrap();
        let broken = follower.told(missing).unwrap_err();
        assert!(matches!(broken, Broken::Gap), "{broken}");
        assert_eq!((as_of(&follower), revision(&follower)), (None, 0));
        assert_eq!(follower.begin().since, "", "it takes nothing up");
    }
}

#[test]
fn whoever_comes_back_goes_on_where_it_was_and_is_no_fresher_for_it() {
    let mut follower = asking();
    follower.told(pong(at(1_000), 110, 0)).unwrap();
    follower.end();
    assert_eq!(follower.begin().since, state(LINEAGE, 110));
    assert!(
        follower.ping(at(2_000), Some(at(2_000))).is_none(),
        "too early"
    );
    follower.told(terms()).unwrap();
    follower.told(delta(110, 112)).unwrap();
    assert_eq!(as_of(&follower), Some(at(1_000)));
    let ping = follower.ping(at(3_000), None).unwrap();
    assert_eq!(ping.revision, 112);
    follower.told(pong(at(3_000), 112, 0)).unwrap();
    assert_eq!(as_of(&follower), Some(at(3_000)));
    // What is forgotten where it comes back is told whole.
    follower.begin();
    for event in [terms(), part([40, 60, 100, 112]), whole(115)] {
        follower.told(event).unwrap();
    }
    assert_eq!(
        (as_of(&follower), revision(&follower)),
        (Some(at(3_000)), 115)
    );
}

#[test]
fn a_snapshot_is_nothing_before_it_is_whole() {
    let mut follower = Follower::new(0);
    follower.begin();
    assert!(follower.following().is_none());
    follower.told(terms()).unwrap();
    follower.told(part([40])).unwrap();
    assert_eq!(revision(&follower), 0);
    let (view, _) = follower.following().unwrap();
    assert_eq!(view.watermark(&subject(40)), Revision(0));
    assert!(follower.ping(at(1), None).is_none());
    assert!(follower.told(delta(40, 41)).is_err(), "out of turn");
}

#[test]
fn a_restored_cluster_is_begun_anew_and_what_is_older_is_not_followed() {
    let mut follower = asking();
    follower.told(pong(at(1_000), 110, 0)).unwrap();
    for former in [1, 2] {
        let former = Lineage {
            generation: former,
            random: 99,
        };
        follower.begin();
        let broken = follower.told(terms_of(former, 5_000)).unwrap_err();
        assert!(matches!(broken, Broken::FormerLife), "{broken}");
        assert_eq!(as_of(&follower), Some(at(1_000)));
    }
    let restored = Lineage {
        generation: 3,
        random: 1,
    };
    follower.begin();
    follower.told(terms_of(restored, 5_000)).unwrap();
    assert_eq!((as_of(&follower), revision(&follower)), (None, 0));
    follower.told(whole_of(restored, 5)).unwrap();
    assert_eq!(revision(&follower), 5);
}

#[test]
fn a_shorter_v_counts_at_once_and_a_longer_one_with_the_next_answer() {
    let bound = |follower: &Follower| {
        let (view, _) = follower.following().unwrap();
        view.freshness().unwrap().bound.as_millis()
    };
    let mut follower = asking();
    follower.told(pong(at(1_000), 100, 0)).unwrap();
    assert_eq!(bound(&follower), 5_000);
    follower.told(terms_of(LINEAGE, 3_000)).unwrap();
    assert_eq!(
        (as_of(&follower), bound(&follower)),
        (Some(at(1_000)), 3_000)
    );
    follower.told(terms_of(LINEAGE, 4_000)).unwrap();
    assert_eq!(bound(&follower), 3_000);
    follower.ping(at(2_000), None).unwrap();
    follower.told(pong(at(2_000), 100, 0)).unwrap();
    assert_eq!(bound(&follower), 4_000, "no more than the terms");
}

#[test]
fn pings_are_sent_in_time_one_after_the_other() {
    let mut follower = asking();
    let due = |follower: &mut Follower, now, wanted| follower.ping(at(now), wanted).is_some();
    assert!(!due(&mut follower, 9_000, Some(at(8_000))), "one is owed");
    assert!(!follower.is_left_alone(at(1_000 + 1_666)));
    assert!(follower.is_left_alone(at(1_000 + 1_667)));
    follower.told(pong(at(1_000), 100, 0)).unwrap();
    assert!(!follower.is_left_alone(at(60_000)));
    // A fifth of V later, or sooner for a change, or for who waits.
    assert_eq!(follower.idle(at(1_400), None), Duration::from_millis(600));
    assert!(!due(&mut follower, 1_999, None));
    assert!(
        !due(&mut follower, 1_999, Some(at(900))),
        "it was asked later"
    );
    assert!(!due(&mut follower, 1_040, Some(at(1_030))));
    assert!(due(&mut follower, 1_050, Some(at(1_030))));
    follower.told(pong(at(1_050), 100, 0)).unwrap();
    follower.told(delta(100, 101)).unwrap();
    assert!(!due(&mut follower, 1_099, None));
    assert!(due(&mut follower, 1_100, None));
    follower.told(pong(at(1_100), 101, 0)).unwrap();
    assert!(!due(&mut follower, 2_099, None));
    assert!(due(&mut follower, 2_100, None));
}

/// What a node without manners does.
#[derive(Clone, Debug)]
enum Deed {
    Begin,
    Terms(u64, u64),
    Part(u64),
    Whole(u64),
    Delta(u64, u64),
    /// For the ping that is owed, or for another, with whatever it says.
    Pong {
        owed: bool,
        sent: u64,
        revision: u64,
        age_us: u64,
    },
    /// The verifier's own: it pings if it may.
    Ping,
    Pass(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    let revision = 1_u64..12;
    prop_oneof![
        2 => Just(Deed::Begin),
        4 => (2_u64..4, 1_u64..6_000).prop_map(|(generation, v)| Deed::Terms(generation, v)),
        2 => revision.clone().prop_map(Deed::Part),
        4 => revision.clone().prop_map(Deed::Whole),
        6 => (revision.clone(), 0_u64..3).prop_map(|(at, more)| Deed::Delta(at, at + more)),
        8 => (any::<bool>(), 0_u64..20_000, revision, 0_u64..3_000_000).prop_map(
            |(owed, sent, revision, age_us)| Deed::Pong { owed, sent, revision, age_us }
        ),
        6 => Just(Deed::Ping),
        4 => (1_u64..2_000).prop_map(Deed::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever it is told, in whatever order: the view is as of no later than the latest
    /// `sent - κ·age` of a ping that was sent on the stream on which it was answered, and
    /// whose revision the view has reached.
    #[test]
    fn no_node_makes_a_view_fresher_than_its_answers(
        deeds in proptest::collection::vec(deed(), 1..120)
    ) {
        let mut follower = Follower::new(0);
        let mut now = 5_000_u64;
        let mut owed: Option<BootTime> = None;
        // Of each lineage that was followed, the latest that it may be of.
        let mut latest: Option<(Lineage, BootTime)> = None;
        for deed in deeds {
            let event = match deed {
                Deed::Begin => {
                    follower.begin();
                    owed = None;
                    continue;
                }
                Deed::Ping => {
                    if let Some(ping) = follower.ping(at(now), None) {
                        prop_assert!(owed.is_none(), "two at a time");
                        prop_assert_eq!(ping.sent, at(now).0);
                        owed = Some(at(now));
                    }
                    continue;
                }
                Deed::Pass(milliseconds) => {
                    now += milliseconds;
                    continue;
                }
                Deed::Terms(generation, v) => {
                    terms_of(Lineage { generation, random: 7 }, v)
                }
                Deed::Part(number) => part([number]),
                Deed::Whole(revision) => whole(revision),
                Deed::Delta(previous, revision) => delta(previous, revision),
                Deed::Pong { owed: true, revision, age_us, .. } => {
                    pong(owed.unwrap_or(at(now)), revision, age_us)
                }
                Deed::Pong { sent, revision, age_us, .. } => pong(at(sent), revision, age_us),
            };
            let told = event.clone();
            let answered = follower.told(event);
            if answered.is_err() {
                owed = None;
            }
            let lineage = follower.following().map(|(view, _)| view.lineage());
            if let (Ok(Some(_)), Event::Pong(pong)) = (&answered, &told) {
                prop_assert_eq!(owed.take().map(|sent| sent.0), Some(pong.sent));
                prop_assert!(revision(&follower) >= pong.revision);
                let age = (u128::from(pong.age_us) * 1_000 * 110).div_ceil(90);
                let as_of = BootTime(pong.sent.saturating_sub(u64::try_from(age).unwrap()));
                let known = latest.filter(|(of, _)| Some(*of) == lineage);
                let before = known.map_or(BootTime(0), |(_, before)| before);
                latest = Some((lineage.unwrap(), before.max(as_of)));
            } else {
                prop_assert!(!matches!(answered, Ok(Some(_))), "a proof without an answer");
            }
            if let Some(as_of) = as_of(&follower) {
                let (of, latest) = latest.expect("nothing was answered at all");
                prop_assert_eq!(Some(of), lineage);
                prop_assert!(as_of <= latest, "{as_of:?} is later than {latest:?}");
            }
        }
    }
}

/// A cluster, an honest node that may lag, a stream that may be slow or cut, and clocks
/// that are up to a tenth off. Times are real ones, in µs.
struct World {
    now: u64,
    verifier_rate: u64,
    node_rate: u64,
    /// When each revision from 1 on was committed.
    commits: Vec<u64>,
    on_its_way: VecDeque<Event>,
    /// Told on this stream up to here.
    told: u64,
    owed: Option<v1::Ping>,
    follower: Follower,
}

#[derive(Clone, Debug)]
enum Step {
    Commit,
    Pass(u64),
    Ping,
    /// The node answers from a state as old as this, if it is asked.
    Answer(u64),
    Push,
    Deliver,
    Cut,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Commit),
        3 => (1_u64..900_000).prop_map(Step::Pass),
        5 => Just(Step::Ping),
        5 => (0_u64..2_000_000).prop_map(Step::Answer),
        2 => Just(Step::Push),
        9 => Just(Step::Deliver),
        1 => Just(Step::Cut),
    ]
}

impl World {
    fn boot(&self, real: u64) -> BootTime {
        BootTime(real * 10 * self.verifier_rate)
    }

    /// The last revision that was committed by then.
    fn committed(&self, real: u64) -> u64 {
        self.commits.partition_point(|time| *time <= real) as u64
    }

    fn tell_up_to(&mut self, revision: u64) {
        for next in self.told + 1..=revision {
            self.on_its_way.push_back(delta(next - 1, next));
        }
        self.told = self.told.max(revision);
    }

    fn begin(&mut self) {
        self.on_its_way.clear();
        self.owed = None;
        let begin = self.follower.begin();
        self.on_its_way.push_back(terms());
        match begin.since.parse::<ConsistencyToken>() {
            Ok(since) => self.told = since.revision.0,
            Err(_) => {
                self.told = self.committed(self.now).max(1);
                let all = part(1..=self.told);
                self.on_its_way.extend([all, whole(self.told)]);
            }
        }
        if self.told > 1 {
            let at = self.told;
            self.on_its_way.push_back(Event::Delta(v1::ViewDelta {
                previous: at,
                revision: at,
                changes: Vec::new(),
                consistency_token: state(LINEAGE, at),
            }));
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Commit => {
                // What is committed in the moment of an answer may be in it or not.
                self.now += 1;
                self.commits.push(self.now);
            }
            Step::Pass(micros) => self.now += micros,
            Step::Ping => {
                let now = self.boot(self.now);
                if let Some(ping) = self.follower.ping(now, Some(now)) {
                    self.owed = Some(ping);
                }
            }
            Step::Answer(lag) => {
                let as_of = self.now.saturating_sub(lag);
                // A node holds back what is not further than what it said already.
                let has = self.committed(as_of);
                if has >= self.told
                    && let Some(ping) = self.owed.take()
                {
                    self.tell_up_to(has);
                    let age_us = ((self.now - as_of) * self.node_rate).div_ceil(100);
                    self.on_its_way
                        .push_back(pong(BootTime(ping.sent), has, age_us));
                }
            }
            Step::Push => self.tell_up_to(self.committed(self.now)),
            Step::Deliver => {
                if let Some(event) = self.on_its_way.pop_front() {
                    self.follower.told(event).expect("the node is honest");
                }
            }
            Step::Cut => self.begin(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever the clocks and the network do: what was committed before the moment that
    /// the view says it is of is in the view.
    #[test]
    fn a_view_holds_everything_that_was_committed_before_what_it_is_of(
        verifier_rate in 90_u64..=110,
        node_rate in 90_u64..=110,
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        let mut world = World {
            now: 10_000_000,
            verifier_rate,
            node_rate,
            commits: vec![1, 2, 3],
            on_its_way: VecDeque::new(),
            told: 0,
            owed: None,
            follower: Follower::new(0),
        };
        world.begin();
        for step in steps {
            world.take(step);
            let Some(as_of) = as_of(&world.follower) else {
                continue;
            };
            let real = as_of.0 / (10 * verifier_rate);
            let (view, _) = world.follower.following().unwrap();
            for number in 1..=world.committed(real) {
                prop_assert_eq!(view.watermark(&subject(number)), Revision(number));
            }
        }
    }
}
