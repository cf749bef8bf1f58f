//! What the keeper does, the leader does.

use chancery_authority::{Actor, Command};
use chancery_credential::{IssuerNumber, Revision};

use super::cluster::{Cluster, PATIENCE};
use crate::ProposeError;

/// A node in other hands would kill what others hold: by a floor or an expiry that
/// comes too early, or by retiring the issuer that another node signs with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_does_not_lead_keeps_nothing() {
    let cluster = Cluster::of_three().await;
    let leader = cluster.leader().await;
    let other = [1, 2, 3].into_iter().find(|number| *number != leader);
    let node = &cluster.nodes[&other.unwrap()];
    for command in [
        Command::Tick,
        Command::OpenEpoch { emergency: false },
        Command::RetireIssuer(IssuerNumber(1)),
        Command::ExpireIssuer(IssuerNumber(1)),
        Command::ExpireRegistrations,
        Command::RaiseFloor(Revision(1)),
        Command::ForgetFormer(Revision(1)),
        Command::CompareState {
            at: Revision(1),
            digest: [0; 32],
        },
    ] {
        let mut proposal = cluster.proposal(command.clone());
        (proposal.actor, proposal.key) = (Actor::Node(node.node()), None);
        let refused = node.propose(proposal, PATIENCE).await;
        assert!(
            matches!(&refused, Err(ProposeError::Refused(why)) if why.contains("only the leader")),
            "{command:?}: {refused:?}"
        );
    }
    cluster.end().await;
}
