//! What is proposed at once is synced together.

use futures::future::join_all;

use super::cluster::{Cluster, PATIENCE, owner};

/// openraft puts what was proposed meanwhile into one append, and storage's one
/// thread puts what was appended meanwhile into one sync.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proposals_that_are_made_at_once_share_their_syncs() {
    const AT_ONCE: usize = 512;
    let cluster = Cluster::born().await;
    let node = &cluster.nodes[&1];
    let written = || node.log_statistics().unwrap();

    // One after the other: each is on the disk before the next is made.
    let before = written();
    for round in 0..16 {
        cluster.add_owner(1, &format!("alone-{round}")).await;
    }
    assert!(written().syncs - before.syncs >= 16, "nothing to share");

    let before = written();
    let proposals = (0..AT_ONCE).map(|number| {
        let proposal = cluster.proposal(owner(&format!("together-{number}")));
        node.propose(proposal, PATIENCE)
    });
    for outcome in join_all(proposals).await {
        assert!(outcome.unwrap().verdict.is_ok());
    }
    let (syncs, entries) = (
        written().syncs - before.syncs,
        written().entries - before.entries,
    );
    assert!(entries >= AT_ONCE as u64, "{entries} entries");
    assert!(
        syncs * 4 <= AT_ONCE as u64,
        "{syncs} syncs for {AT_ONCE} proposals"
    );
    cluster.end().await;
}
