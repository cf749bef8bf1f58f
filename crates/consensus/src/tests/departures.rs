//! Nodes leave: in order, lost, and taken back with another key.

use std::time::Duration;

use chancery_authority::{Command, Seat, SettingsChange};
use chancery_credential::{KeyThumbprint, NodeNumber, PeerPublicKey};

use super::cluster::{Cluster, PATIENCE, eventually, new_peer_key};
use crate::{
    ChangeError, Clocks, Consensus, Departure, MembershipChange, Progress, ProposeError,
    SystemClocks,
};

fn is_fresh(node: &Consensus) -> bool {
    let now = SystemClocks.boot();
    node.view()
        .freshness()
        .is_some_and(|freshness| freshness.age(now).is_ok())
}

fn other_than(number: u64) -> u64 {
    if number == 1 { 2 } else { 1 }
}

fn removal(number: u64, how: Departure) -> MembershipChange {
    MembershipChange::Remove(NodeNumber(number), how)
}

/// Asks until it is done; gives whether it was told to wait on the way.
async fn removed(through: &Consensus, number: u64, how: Departure) -> bool {
    let mut waited = false;
    loop {
        match through
            .change_membership(removal(number, how), PATIENCE)
            .await
        {
            Ok(Progress::Done) => return waited,
            Ok(Progress::Waits(wait)) => {
                waited = true;
                tokio::time::sleep(wait).await;
            }
            Err(ChangeError::Unknown(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn members(node: &Consensus) -> Vec<(u64, bool)> {
    let members = node.status().members;
    members
        .iter()
        .map(|member| (member.number.0, member.voter))
        .collect()
}

/// What ends a removal, of the node as its machine is now.
fn out_for_good(cluster: &Cluster, number: u64) -> Command {
    let spki = cluster.machines[&number].identity().spki().to_vec();
    Command::RemoveNode {
        node: NodeNumber(number),
        key: KeyThumbprint::of_spki(&spki),
    }
}

async fn must(cluster: &Cluster, through: u64, command: Command) {
    let outcome = cluster.command(through, command).await.unwrap();
    assert!(outcome.verdict.is_ok(), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_leaves_hands_over_serves_no_more_and_learns_that_it_is_out() {
    let cluster = Cluster::of_three().await;
    let leaving = cluster.leader().await;
    let other = other_than(leaving);
    let (node, through) = (&cluster.nodes[&leaving], &cluster.nodes[&other]);
    eventually("fresh", async || is_fresh(node)).await;

    let early = through
        .change_membership(removal(leaving, Departure::Graceful), PATIENCE)
        .await;
    assert!(
        matches!(&early, Err(ChangeError::Refused(why)) if why.contains("the record")),
        "{early:?}"
    );
    must(&cluster, other, Command::RetireNode(NodeNumber(leaving))).await;
    let waited = removed(through, leaving, Departure::Graceful).await;
    assert!(waited, "it may have served until then");
    assert!(!is_fresh(node), "nothing it could accept is outstanding");
    assert_ne!(cluster.leader_among(leaving).await, leaving);
    eventually("two voters", async || members(through).len() == 2).await;
    assert!(!members(through).contains(&(leaving, true)));

    // Until that stands in the record, it is only a stranger.
    let unsaid = tokio::time::timeout(Duration::from_millis(500), node.removed()).await;
    assert!(unsaid.is_err(), "{unsaid:?}");
    must(&cluster, other, out_for_good(&cluster, leaving)).await;
    let told = tokio::time::timeout(PATIENCE, node.removed()).await;
    assert_eq!(told.unwrap().node, NodeNumber(leaving));
    cluster.add_owner(other, "after").await;
    assert!(!cluster.knows_owner(leaving, "after"));
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_node_is_taken_out_and_disturbs_nobody_when_it_comes_back() {
    let mut cluster = Cluster::of_three().await;
    let lost = 3;
    let answers = cluster.nodes[&1]
        .may_change_membership(removal(lost, Departure::Lost), PATIENCE)
        .await;
    assert!(
        matches!(&answers, Err(ChangeError::Refused(why)) if why.contains("not lost")),
        "{answers:?}"
    );
    cluster.stop(lost).await;
    eventually("it is silent", async || {
        let through = &cluster.nodes[&1];
        let may = through.may_change_membership(removal(lost, Departure::Lost), PATIENCE);
        may.await == Ok(Progress::Possible(NodeNumber(lost)))
    })
    .await;
    let last = cluster.nodes[&1]
        .may_change_membership(removal(2, Departure::Graceful), PATIENCE)
        .await;
    let Err(ChangeError::Refused(why)) = last else {
        panic!("{last:?}");
    };
    assert!(
        why.starts_with(
            "3 voters of which 2 answer; without node 2 it would be 2 voters of which 1 answers, \
             and 2 are needed"
        ),
        "{why}"
    );

    must(&cluster, 1, Command::RetireNode(NodeNumber(lost))).await;
    removed(&cluster.nodes[&1], lost, Departure::Lost).await;
    must(&cluster, 1, out_for_good(&cluster, lost)).await;
    eventually("two voters", async || {
        members(&cluster.nodes[&1]) == [(1, true), (2, true)]
    })
    .await;

    // It knows nothing of this, and would stand for election.
    cluster.start(lost).await;
    let told = tokio::time::timeout(PATIENCE, cluster.nodes[&lost].removed()).await;
    let told = told.unwrap();
    assert_eq!(told.by, [NodeNumber(1), NodeNumber(2)], "one could lie");
    assert!(!is_fresh(&cluster.nodes[&lost]));
    cluster.add_owner(2, "undisturbed").await;
    assert!(!cluster.knows_owner(lost, "undisturbed"));
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_node_comes_back_with_another_key() {
    let mut cluster = Cluster::of_three().await;
    let through = cluster.leader_among(3).await;
    must(&cluster, through, Command::RevokeNode(NodeNumber(3))).await;
    cluster.stop(3).await;
    let machine = cluster.machines.get_mut(&3).unwrap();
    machine.key = new_peer_key();
    let peer_key = PeerPublicKey::from_spki(machine.identity().spki()).unwrap();
    let outcome = cluster
        .command(
            through,
            Command::ReadmitNode {
                node: NodeNumber(3),
                peer_key,
            },
        )
        .await
        .unwrap();
    outcome.verdict.unwrap();
    // Its admission is newer than the membership that it knows.
    cluster.admitted_again(3, outcome.revision);
    let enrol = MembershipChange::Enrol(NodeNumber(3));
    for _ in 0..2 {
        let enrolled = cluster.nodes[&through]
            .change_membership(enrol, PATIENCE)
            .await;
        assert_eq!(enrolled, Ok(Progress::Done));
    }
    let known = cluster.nodes[&through].status();
    let record = known
        .members
        .iter()
        .find(|member| member.number.0 == 3)
        .unwrap();
    assert!(record.voter, "its vote is as it was");
    assert_eq!(record.record, cluster.machines[&3].record());

    cluster.start(3).await;
    eventually("fresh", async || is_fresh(&cluster.nodes[&3])).await;
    cluster.add_owner(3, "back").await;
    cluster.end().await;
}

/// A keeper takes a node back whose key was stolen: from that command on the old key is
/// nobody's, though the membership maps it until the node is enrolled again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_only_the_key_that_was_replaced_is_not_heard() {
    let cluster = Cluster::of_three().await;
    let through = cluster.leader_among(3).await;
    must(&cluster, through, Command::RevokeNode(NodeNumber(3))).await;
    let new = crate::PeerIdentity::from_pkcs8(&new_peer_key()).unwrap();
    let readmit = Command::ReadmitNode {
        node: NodeNumber(3),
        peer_key: PeerPublicKey::from_spki(new.spki()).unwrap(),
    };
    must(&cluster, through, readmit).await;

    let stolen = &cluster.nodes[&3];
    let command = cluster.proposal(super::cluster::owner("stolen"));
    let answer = stolen.propose(command, PATIENCE).await;
    assert!(
        matches!(answer, Err(ProposeError::Refused(_))),
        "{answer:?}"
    );
    let promote = MembershipChange::Promote(NodeNumber(2));
    let asked = stolen.change_membership(promote, PATIENCE).await;
    assert!(asked.is_err(), "{asked:?}");
    eventually("no proof", async || !is_fresh(stolen)).await;
    cluster.caught_up(through).await;
    assert!(!cluster.knows_owner(through, "stolen"));
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lead_goes_where_it_is_asked_to_and_a_demoted_leader_keeps_replicating() {
    let cluster = Cluster::of_three().await;
    for to in [2, 3, 1] {
        let asked = MembershipChange::Transfer(Some(NodeNumber(to)));
        let through = &cluster.nodes[&other_than(to)];
        eventually("handed over", async || {
            cluster.seat(to, Seat::Leader).await;
            through.change_membership(asked, PATIENCE).await == Ok(Progress::Done)
                && through.status().leader == Some(NodeNumber(to))
        })
        .await;
    }
    let leader = cluster.leader().await;
    let other = &cluster.nodes[&other_than(leader)];
    cluster.seat(leader, Seat::Learner).await;
    let demote = MembershipChange::Demote(NodeNumber(leader));
    eventually("demoted", async || {
        other.change_membership(demote, PATIENCE).await == Ok(Progress::Done)
    })
    .await;
    eventually("a learner", async || {
        members(other).contains(&(leader, false))
    })
    .await;
    cluster.add_owner(other_than(leader), "seen").await;
    cluster.caught_up(leader).await;
    assert!(cluster.knows_owner(leader, "seen"), "as a learner");
    eventually("fresh", async || is_fresh(&cluster.nodes[&leader])).await;
    cluster.end().await;
}

/// A proof may be out there that was made before F was lowered. Whoever leads next was
/// not there, and waits for it all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_longer_freshness_of_before_is_waited_out_by_a_leader_that_comes_later() {
    let mut cluster = Cluster::of_three().await;
    let long = cluster.birth().settings;
    let shorter = Command::SetSettings(SettingsChange {
        freshness_ms: Some(4_100),
        ..SettingsChange::default()
    });
    must(&cluster, 1, shorter).await;
    for number in [1, 2, 3] {
        cluster.caught_up(number).await;
    }
    for number in [1, 2, 3] {
        cluster.stop(number).await;
    }
    for number in [1, 2, 3] {
        cluster.start(number).await;
    }
    let leader = cluster.leader().await;
    let leaving = other_than(leader);
    must(&cluster, leader, Command::RetireNode(NodeNumber(leaving))).await;
    let mut first = None;
    eventually("it waits", async || {
        let change = removal(leaving, Departure::Graceful);
        let asked = cluster.nodes[&leader]
            .change_membership(change, PATIENCE)
            .await;
        first = asked.ok();
        first.is_some()
    })
    .await;
    let w = Duration::from_millis(long.w_ms());
    assert_eq!(first, Some(Progress::Waits(w)), "from its first look");
    cluster.end().await;
}

/// One leaves at a time; the other waits for it, and for nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_removals_at_once_each_comes_to_its_end() {
    let mut cluster = Cluster::of_three().await;
    for number in [4, 5] {
        cluster.join(number).await;
    }
    for number in [4, 5] {
        must(&cluster, 1, Command::RetireNode(NodeNumber(number))).await;
    }
    let leave = async |through: u64, number: u64| {
        let change = removal(number, Departure::Graceful);
        let mut waited_for_the_other = false;
        loop {
            let node = &cluster.nodes[&through];
            match node.change_membership(change, PATIENCE).await {
                Ok(Progress::Done) => break,
                Ok(Progress::Waits(wait)) => tokio::time::sleep(wait).await,
                Err(ChangeError::Refused(why)) if why.contains("one node leaves at a time") => {
                    waited_for_the_other = true;
                    tokio::task::yield_now().await;
                }
                // On a machine that is busy with other things.
                Err(ChangeError::Refused(why)) if why.contains("does not answer") => {}
                Err(ChangeError::NotYet(_) | ChangeError::Unknown(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        must(&cluster, through, out_for_good(&cluster, number)).await;
        waited_for_the_other
    };
    let (four, five) = tokio::join!(leave(1, 4), leave(2, 5));
    assert!(!four && five, "the lower number goes first");
    for number in [1, 2, 3] {
        eventually("three voters and nobody else", async || {
            members(&cluster.nodes[&number]) == [(1, true), (2, true), (3, true)]
        })
        .await;
    }
    let gone = |number| {
        let node = NodeNumber(number);
        cluster.nodes[&1].read_state(|state| state.node(node).unwrap().removed_at.is_some())
    };
    assert!(gone(4) && gone(5));
    cluster.end().await;
}
