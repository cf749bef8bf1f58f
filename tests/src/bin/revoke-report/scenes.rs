//! Revocations while something is wrong.

use std::{fmt, time::Duration};

use chancery_client::v1;
use chancery_tests::{dice::Dice, history::Moment};
use rustix::process::Signal;

use crate::{
    scene::{NODES, Scene, revoke},
    spans::Spans,
};

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Healthy,
    LeaderKilled,
    NodeCutOff,
    NodePaused,
}

pub const KINDS: [Kind; 4] = [
    Kind::Healthy,
    Kind::LeaderKilled,
    Kind::NodeCutOff,
    Kind::NodePaused,
];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Healthy => "healthy",
            Self::LeaderKilled => "leader killed",
            Self::NodeCutOff => "node cut off",
            Self::NodePaused => "node paused",
        })
    }
}

/// A node goes on within its proof: so it is worst.
const PAUSE: Duration = Duration::from_millis(1_000);
/// How long it is looked for acceptances after the answer.
const LOOK_ON: Duration = Duration::from_millis(300);

/// What was seen of the revocations of one kind.
#[derive(Default)]
pub struct Seen {
    /// From the sending of each to the beginning of the last acceptance, all nodes
    /// together.
    pub last_acceptance: Spans,
    /// And of those in verifiers.
    pub in_verifiers: Spans,
    /// And to the answer.
    pub answer: Spans,
    /// How many were answered as enforced.
    pub enforced: usize,
    /// Acceptances that began after that.
    pub after_enforced: usize,
}

pub async fn run(scene: &mut Scene, kind: Kind, count: usize) -> Seen {
    let (mut last, mut in_verifiers, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    let mut seen = Seen::default();
    let mut dice = Dice::of(kind as u64);
    for _ in 0..count {
        let once = once(scene, kind, &mut dice).await;
        last.push(once.last.since(once.sent));
        in_verifiers.push(once.last_in_verifiers.since(once.sent));
        answers.push(once.answered.since(once.sent));
        if once.enforced {
            seen.enforced += 1;
            seen.after_enforced += usize::from(once.last > once.answered);
        }
    }
    seen.last_acceptance = Spans::of(last);
    seen.in_verifiers = Spans::of(in_verifiers);
    seen.answer = Spans::of(answers);
    seen
}

struct Once {
    sent: Moment,
    answered: Moment,
    last: Moment,
    last_in_verifiers: Moment,
    enforced: bool,
}

async fn once(scene: &mut Scene, kind: Kind, dice: &mut Dice) -> Once {
    let target = scene.aim().await;
    let all: Vec<usize> = (0..NODES).collect();
    let leader = scene.cluster.leader(&all).await;
    let other = (leader + 1 + dice.position(NODES - 1)) % NODES;
    let operator = scene.operator();
    match kind {
        Kind::Healthy | Kind::LeaderKilled => {}
        Kind::NodeCutOff => cut_off(scene, other),
        Kind::NodePaused => scene.cluster.nodes[other].signal(Signal::STOP),
    }
    let revoking = async {
        let (tried, outcome) = revoke(&operator, &target, v1::Wait::Nodes).await;
        (tried.begun, tried.ended, outcome)
    };
    let nodes = &mut scene.cluster.nodes;
    let harming = async {
        match kind {
            Kind::Healthy | Kind::NodeCutOff => {}
            Kind::LeaderKilled => {
                tokio::time::sleep(Duration::from_millis(dice.below(12))).await;
                nodes[leader].kill();
            }
            Kind::NodePaused => {
                tokio::time::sleep(PAUSE).await;
                nodes[other].signal(Signal::CONT);
            }
        }
    };
    let ((sent, answered, outcome), ()) = tokio::join!(revoking, harming);
    tokio::time::sleep(LOOK_ON).await;
    let (last, last_in_verifiers) = scene.last_acceptances(&target);
    scene.forget();
    scene.cluster.network().heal();
    if kind == Kind::LeaderKilled {
        scene.cluster.start(leader);
    }
    if kind != Kind::Healthy {
        for position in all {
            scene.cluster.serving(position).await;
        }
    }
    Once {
        sent,
        answered,
        last,
        last_in_verifiers,
        enforced: outcome.is_enforced(),
    }
}

fn cut_off(scene: &Scene, position: usize) {
    let number = |position: usize| u8::try_from(position + 1).unwrap();
    for other in (0..NODES).filter(|other| *other != position) {
        let network = scene.cluster.network();
        network.cut(number(other), number(position));
        network.cut(number(position), number(other));
    }
}
