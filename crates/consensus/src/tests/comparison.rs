//! A node whose state is not that of the others stops, and does not start again.

use std::sync::Arc;

use chancery_authority::{Answer, Command, Meta, OwnerRecord, Row, Stamp, Stamped};
use chancery_credential::Revision;

use super::cluster::{Cluster, PATIENCE, eventually};
use crate::{Clocks, Consensus, SystemClocks, codec, command::EncodedCommand};

/// Entries enough for digests to be taken down in between.
const ENTRIES: usize = 40;

/// Something on the machine breaks: a row is there that no entry wrote.
fn break_state(cluster: &Cluster, number: u64) {
    let ghost = OwnerRecord {
        name: "ghost".parse().unwrap(),
        description: "".into(),
        added_at: Revision(1),
    };
    let node = &cluster.nodes[&number].inner;
    let mut state = node.published.state.write();
    state.load_row(Row::Owner(Arc::new(ghost)));
}

/// The keeper's part: asks, and puts into the log what most said.
async fn compare(cluster: &Cluster, leader: u64) {
    for entry in 0..ENTRIES {
        cluster.add_owner(leader, &format!("owner-{entry}")).await;
    }
    let node = &cluster.nodes[&leader];
    node.begin_comparison();
    let mut settled = None;
    eventually("most have said what their state was", async || {
        settled = settled.or_else(|| node.compared());
        settled.is_some()
    })
    .await;
    let (at, digest) = settled.unwrap();
    let mut proposal = cluster.proposal(Command::CompareState { at, digest });
    (proposal.actor, proposal.key) = (chancery_authority::Actor::Node(node.node()), None);
    // A leader that is itself the one that differs gives no answer.
    if let Ok(outcome) = node.propose(proposal, PATIENCE).await {
        assert_eq!(outcome.verdict, Ok(Answer::Nothing));
    }
}

async fn stops(cluster: &mut Cluster, number: u64) {
    let ended = cluster.nodes[&number].fatal();
    let ended = tokio::time::timeout(PATIENCE, ended).await;
    assert!(
        ended.is_ok(),
        "node {number} goes on with a state of its own"
    );
    cluster.stop(number).await;
    let again = Consensus::start(cluster.options(number).await).await;
    let refusal = again.err().map(|error| error.to_string());
    let refusal = refusal.unwrap_or_else(|| panic!("node {number} starts again"));
    assert!(refusal.contains("was not that of most voters"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_the_same_state_go_on() {
    let cluster = Cluster::of_three().await;
    let leader = cluster.leader().await;
    compare(&cluster, leader).await;
    for number in [1, 2, 3] {
        cluster.caught_up(number).await;
        cluster.add_owner(number, &format!("after-{number}")).await;
    }
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_another_state_stops_for_good_and_the_others_go_on() {
    let mut cluster = Cluster::of_three().await;
    let leader = cluster.leader().await;
    let broken = [1, 2, 3].into_iter().find(|number| *number != leader);
    let broken = broken.unwrap();
    break_state(&cluster, broken);
    compare(&cluster, leader).await;
    stops(&mut cluster, broken).await;
    cluster.add_owner(leader, "after").await;
    cluster.end().await;
}

/// What most say counts, not what the leader says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_with_another_state_stops_for_good_and_the_others_go_on() {
    let mut cluster = Cluster::of_three().await;
    let leader = cluster.leader().await;
    break_state(&cluster, leader);
    compare(&cluster, leader).await;
    stops(&mut cluster, leader).await;
    let next = cluster.leader().await;
    cluster.add_owner(next, "after").await;
    cluster.end().await;
}

/// What was refused says nothing, whoever got it into the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_that_was_refused_stops_nobody() {
    let cluster = Cluster::of_three().await;
    let leader = cluster.leader().await;
    for entry in 0..ENTRIES {
        cluster.add_owner(leader, &format!("owner-{entry}")).await;
    }
    let node = &cluster.nodes[&leader];
    let at = node.inner.published.marks.newest().unwrap();
    let digest = [9; 32];
    let command = Command::CompareState { at, digest };
    // An operator's, which it may not be, and past whoever looks before the log.
    let proposal = cluster.proposal(command.clone());
    let stamped = Stamped {
        meta: Meta {
            actor: proposal.actor,
            key: proposal.key,
            via: node.node(),
            authorised_at: proposal.authorised_at,
            reason: proposal.reason,
            request: proposal.request,
            digest: codec::command_digest(&command),
        },
        command,
        stamp: Stamp {
            time_ms: SystemClocks.wall_ms(),
            entropy: [7; 32],
        },
    };
    let entry = EncodedCommand(codec::encode_stamped(&stamped));
    let written = node.raft().client_write(entry).await.unwrap();
    let crate::reply::Reply::Outcome(outcome) = written.data else {
        panic!("it was a command");
    };
    let reason = outcome.verdict.unwrap_err().reason();
    assert_eq!(reason, chancery_authority::Reason::RoleMissing);
    for number in [1, 2, 3] {
        cluster.caught_up(number).await;
        cluster.add_owner(number, &format!("after-{number}")).await;
    }
    cluster.end().await;
}
