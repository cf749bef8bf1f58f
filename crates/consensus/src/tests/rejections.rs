//! What can only be rejected is told so, and does not fill the log.

use std::time::Duration;

use chancery_authority::{AgentSpec, Answer, Command, Limits, Reason};
use chancery_credential::{KeyThumbprint, NodeNumber, Subject};
use futures::future::join_all;

use super::cluster::{Cluster, PATIENCE, eventually, owner};
use crate::{Outcome, Proposal, ProposeError};

fn agent(name: &str) -> chancery_credential::SpiffeId {
    format!("spiffe://example.org/{name}").parse().unwrap()
}

fn register(name: &str) -> Command {
    Command::RegisterAgent(AgentSpec {
        id: agent(name),
        owners: vec!["alice".parse().unwrap()],
        keys: vec![KeyThumbprint::of_spki(name.as_bytes())],
        grants: Vec::new(),
        grant_sets: Vec::new(),
        limits: Limits::default(),
        expires_at: 0,
        description: String::new(),
    })
}

impl Cluster {
    async fn propose(&self, number: u64, proposal: &Proposal) -> Outcome {
        let node = &self.nodes[&number];
        node.propose(proposal.clone(), PATIENCE).await.unwrap()
    }

    /// The reason why a command through `number` is rejected.
    async fn rejected(&self, number: u64, proposal: &Proposal) -> Reason {
        self.propose(number, proposal)
            .await
            .verdict
            .unwrap_err()
            .reason()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_rejections_leaves_the_log_as_it_was() {
    let cluster = Cluster::of_three().await;
    cluster.add_owner(1, "alice").await;
    let leader = cluster.leader().await;
    let ends = || cluster.nodes[&leader].status().last_log;
    let before = ends();

    let flood = (0..300_u64).map(|number| {
        let command = match number % 3 {
            0 => owner("alice"),
            1 => Command::RemoveAgent(agent("nobody")),
            _ => Command::RetireNode(NodeNumber(99)),
        };
        let proposal = cluster.proposal(command);
        let cluster = &cluster;
        async move { cluster.rejected(number % 3 + 1, &proposal).await }
    });
    for (number, reason) in (0..).zip(join_all(flood).await) {
        let expected = match number % 3 {
            0 => Reason::OwnerExists,
            1 => Reason::AgentUnknown,
            _ => Reason::NodeUnknown,
        };
        assert_eq!(reason, expected);
    }
    assert_eq!(cluster.leader().await, leader, "the same log is looked at");
    assert_eq!(ends(), before);

    // What changes something is appended as ever, and once, however often it comes.
    let proposal = cluster.proposal(owner("bob"));
    let first = cluster.propose(2, &proposal).await;
    assert_eq!((ends().0, first.revision), (before.0 + 1, ends()));
    for number in [1, 2, 3, 1, 2, 3] {
        assert_eq!(cluster.propose(number, &proposal).await, first);
    }
    assert_eq!(ends().0, before.0 + 1);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_told_no_is_not_heard_when_a_copy_of_the_request_comes_late() {
    let cluster = Cluster::of_three().await;
    cluster.add_owner(1, "alice").await;
    let leader = cluster.leader().await;
    let subject = Subject::Agent(agent("a"));
    let resume = cluster.proposal(Command::Resume(subject.clone()));
    assert_eq!(cluster.rejected(1, &resume).await, Reason::AgentUnknown);

    cluster.command(1, register("a")).await.unwrap();
    let suspended = cluster.command(1, Command::Suspend(subject.clone())).await;
    assert_eq!(suspended.unwrap().verdict, Ok(Answer::Nothing));
    for number in [1, 2, 3] {
        assert_eq!(
            cluster.rejected(number, &resume).await,
            Reason::AgentUnknown,
            "it was told so"
        );
    }
    let mut other = cluster.proposal(Command::RevokeHeld(subject.clone()));
    other.request = resume.request;
    assert_eq!(cluster.rejected(2, &other).await, Reason::RequestReused);
    assert_eq!(cluster.leader().await, leader);
    let kept = cluster.nodes[&leader].read_state(|state| state.is_suspended(&subject));
    assert!(kept, "nothing undid the suspension");

    // A new request is judged anew.
    let resume = cluster.command(3, Command::Resume(subject)).await.unwrap();
    assert_eq!(resume.verdict, Ok(Answer::MayMintAnew(true)));
    cluster.end().await;
}

/// A copy that says that it is one is no way past what its sender was told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_told_no_is_not_heard_when_a_marked_copy_comes_late() {
    let cluster = Cluster::of_three().await;
    cluster.add_owner(1, "alice").await;
    let leader = cluster.leader().await;
    let subject = Subject::Agent(agent("a"));
    let repeated = cluster.proposal(Command::Resume(subject.clone()));
    assert_eq!(cluster.rejected(1, &repeated).await, Reason::AgentUnknown);

    cluster.command(1, register("a")).await.unwrap();
    let suspended = cluster.command(1, Command::Suspend(subject.clone())).await;
    assert_eq!(suspended.unwrap().verdict, Ok(Answer::Nothing));
    let held_up = Proposal {
        retried: true,
        awaited: false,
        ..repeated
    };
    assert_eq!(cluster.rejected(2, &held_up).await, Reason::AgentUnknown);
    assert_eq!(cluster.leader().await, leader);
    let kept = cluster.nodes[&leader].read_state(|state| state.is_suspended(&subject));
    assert!(kept, "nothing undid the suspension");
    cluster.end().await;
}

/// The first copy was held up, and nobody who leads remembers what its sender was told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asked_twice_and_was_told_no_is_not_heard_by_the_next_leader() {
    let cluster = Cluster::of_three().await;
    cluster.add_owner(1, "alice").await;
    let leader = cluster.leader().await;
    let subject = Subject::Agent(agent("a"));
    let first = cluster.proposal(Command::Resume(subject.clone()));
    let retry = Proposal {
        retried: true,
        awaited: false,
        ..first.clone()
    };
    let through = [1, 2, 3].into_iter().find(|number| *number != leader);
    let told = cluster.propose(through.unwrap(), &retry).await;
    assert_eq!(
        told.verdict.clone().unwrap_err().reason(),
        Reason::AgentUnknown
    );

    cluster.command(1, register("a")).await.unwrap();
    let suspended = cluster.command(1, Command::Suspend(subject.clone())).await;
    assert_eq!(suspended.unwrap().verdict, Ok(Answer::Nothing));
    eventually("another leads", async || {
        let raft = &cluster.nodes[&leader].inner.raft;
        let _ = raft.trigger().transfer_leader(through.unwrap()).await;
        cluster.leader().await != leader
    })
    .await;
    for number in [1, 2, 3] {
        assert_eq!(cluster.propose(number, &first).await, told);
    }
    cluster.caught_up(leader).await;
    let kept = cluster.nodes[&leader].read_state(|state| state.is_suspended(&subject));
    assert!(kept, "nothing undid the suspension");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_rejects_nothing_by_what_it_knows() {
    let cluster = Cluster::of_three().await;
    cluster.add_owner(1, "alice").await;
    let old = cluster.leader().await;
    cluster.caught_up(old).await;
    cluster.board.isolate(old);
    let survivor = [1, 2, 3].into_iter().find(|number| *number != old).unwrap();
    cluster.command(survivor, register("a")).await.unwrap();

    // There is such an agent, and this one does not know it.
    let removal = cluster.proposal(Command::RemoveAgent(agent("a")));
    let limit = Duration::from_millis(800);
    match cluster.nodes[&old].propose(removal.clone(), limit).await {
        Err(ProposeError::Unknown(_) | ProposeError::Unavailable { .. }) => {}
        other => panic!("{other:?}"),
    }

    cluster.board.heal();
    eventually("the request is carried out", async || {
        let sent = cluster.nodes[&survivor].propose(removal.clone(), PATIENCE);
        match sent.await {
            Ok(outcome) => {
                assert_eq!(outcome.verdict, Ok(Answer::Nothing));
                true
            }
            Err(_) => false,
        }
    })
    .await;
    cluster.end().await;
}
