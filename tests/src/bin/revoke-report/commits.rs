//! A revocation that waits for every node against one that waits for its commit, by
//! turns.

use chancery_client::v1;
use chancery_tests::agent::mint;

use crate::{
    scene::{Scene, Target, revoke},
    spans::Spans,
};

/// What each took.
pub struct Commits {
    pub plain: Spans,
    pub fenced: Spans,
}

impl Commits {
    /// How many times as long the fence takes, by the medians.
    pub fn ratio(&self) -> f64 {
        self.fenced.at(50).as_secs_f64() / self.plain.at(50).as_secs_f64()
    }
}

pub async fn measure(scene: &Scene, count: usize) -> Commits {
    let operator = scene.operator();
    let client = scene.agent.at(&scene.cluster, &[0, 1, 2]);
    let (mut plain, mut fenced) = (Vec::new(), Vec::new());
    for turn in 0..2 * count {
        let target = Target::of(mint(&client).await.unwrap().token);
        let (wait, spans) = match turn % 2 {
            0 => (v1::Wait::Committed, &mut plain),
            _ => (v1::Wait::Nodes, &mut fenced),
        };
        let (tried, outcome) = revoke(&operator, &target, wait).await;
        let as_asked = match wait {
            v1::Wait::Committed => outcome.revision().is_some(),
            _ => outcome.is_enforced(),
        };
        assert!(as_asked, "{wait:?}: {outcome:?}");
        spans.push(tried.ended.since(tried.begun));
    }
    Commits {
        plain: Spans::of(plain),
        fenced: Spans::of(fenced),
    }
}
