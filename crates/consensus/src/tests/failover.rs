//! Nodes end, fall silent and come back.

use super::cluster::{Cluster, PATIENCE, eventually, owner};
use crate::{Consensus, StartError, peers::tls::PeerIdentity};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_leads_when_the_leader_ends() {
    let mut cluster = Cluster::of_three().await;
    cluster.add_owner(1, "before").await;
    let leader = cluster.leader().await;
    cluster.stop(leader).await;

    let survivor = *cluster.nodes.keys().next().unwrap();
    cluster.add_owner(survivor, "after").await;
    assert_ne!(cluster.leader().await, leader);
    for number in cluster.nodes.keys().copied().collect::<Vec<_>>() {
        cluster.caught_up(number).await;
        assert!(cluster.knows_owner(number, "before") && cluster.knows_owner(number, "after"));
    }
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_back_has_all_that_it_missed() {
    let mut cluster = Cluster::of_three().await;
    cluster.add_owner(1, "before").await;
    let leader = cluster.leader().await;
    let follower = [1, 2, 3]
        .into_iter()
        .find(|number| *number != leader)
        .unwrap();
    cluster.caught_up(follower).await;
    cluster.stop(follower).await;
    cluster.add_owner(leader, "meanwhile").await;

    cluster.start(follower).await;
    assert!(
        cluster.knows_owner(follower, "before"),
        "from its own disk, at once"
    );
    cluster.caught_up(follower).await;
    assert!(cluster.knows_owner(follower, "meanwhile"));
    eventually("fresh", async || {
        cluster.nodes[&follower].view().freshness().is_some()
    })
    .await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_cluster_starts_again_from_its_disks() {
    let mut cluster = Cluster::of_three().await;
    let revision = cluster.add_owner(2, "kept").await;
    for number in [1, 2, 3] {
        cluster.stop(number).await;
    }
    for number in [1, 2, 3] {
        cluster.start(number).await;
    }
    cluster.add_owner(3, "new").await;
    for number in [1, 2, 3] {
        assert!(
            cluster.nodes[&number]
                .wait_revision(revision, PATIENCE)
                .await
        );
        assert!(cluster.knows_owner(number, "kept"));
    }
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_is_replaced_and_follows_when_it_is_back() {
    let cluster = Cluster::of_three().await;
    let old = cluster.leader().await;
    cluster.board.isolate(old);
    let survivor = [1, 2, 3].into_iter().find(|number| *number != old).unwrap();
    cluster.add_owner(survivor, "without-it").await;
    let new = cluster.nodes[&survivor].status().leader.unwrap().0;
    assert_ne!(new, old);

    cluster.board.heal();
    eventually("back", async || cluster.knows_owner(old, "without-it")).await;
    cluster.add_owner(old, "with-it").await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_without_a_quorum_is_never_called_undone() {
    let mut cluster = Cluster::of_three().await;
    let leader = cluster.leader().await;
    for number in [1, 2, 3].into_iter().filter(|number| *number != leader) {
        cluster.stop(number).await;
    }
    let limit = std::time::Duration::from_millis(300);
    let proposal = cluster.proposal(owner("lost"));
    let node = cluster.nodes[&leader].clone();
    match node.propose(proposal, limit).await {
        // Appended and not committed, or not taken any more.
        Err(crate::ProposeError::Unknown(_) | crate::ProposeError::Unavailable { .. }) => {}
        other => panic!("{other:?}"),
    }
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_another_key_than_its_peers_know_does_not_start() {
    let mut cluster = Cluster::of_three().await;
    cluster.caught_up(3).await;
    cluster.stop(3).await;
    let mut options = cluster.options(3).await;
    options.peer = PeerIdentity::from_pkcs8(&super::cluster::new_peer_key()).unwrap();
    let refused = Consensus::start(options).await;
    assert!(matches!(refused, Err(StartError::OtherKey(_))));
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_finds_back_although_who_leads_now_came_while_it_was_away() {
    let mut cluster = Cluster::of_three().await;
    cluster.caught_up(3).await;
    cluster.stop(3).await;
    cluster.join(4).await;
    cluster.promote(4).await;
    cluster.add_owner(1, "meanwhile").await;
    eventually("the newcomer leads", async || {
        let leader = cluster.leader().await;
        let trigger = cluster.nodes[&leader].inner.raft.trigger();
        let _ = trigger.transfer_leader(4).await;
        leader == 4
    })
    .await;

    cluster.start(3).await;
    eventually("fresh again", async || {
        cluster.nodes[&3].view().freshness().is_some() && cluster.knows_owner(3, "meanwhile")
    })
    .await;
    cluster.end().await;
}
