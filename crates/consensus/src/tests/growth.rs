//! A cluster is born, grows, and takes commands anywhere.

use chancery_authority::{Answer, Reason};
use chancery_credential::NodeNumber;

use super::cluster::{Cluster, PATIENCE, eventually, owner};
use crate::{BirthError, ChangeError, MembershipChange, Progress, Step};

fn enrol(number: u64) -> MembershipChange {
    MembershipChange::Enrol(NodeNumber(number))
}

fn promote(number: u64) -> MembershipChange {
    MembershipChange::Promote(NodeNumber(number))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_grows_from_one_node_to_three_voters() {
    let mut cluster = Cluster::born().await;
    cluster.join(2).await;
    let status = cluster.nodes[&1].status();
    let voters: Vec<bool> = status.members.iter().map(|member| member.voter).collect();
    assert_eq!(voters, [true, false], "a learner first");

    cluster.join(3).await;
    for number in [2, 3] {
        cluster.promote(number).await;
    }
    for number in [1, 2, 3] {
        eventually("three voters", async || {
            let status = cluster.nodes[&number].status();
            !status.joint && status.members.iter().filter(|member| member.voter).count() == 3
        })
        .await;
    }

    // Once more changes nothing.
    let leader = cluster.leader().await;
    cluster.nodes[&leader]
        .change_membership(enrol(2), PATIENCE)
        .await
        .unwrap();
    cluster.nodes[&leader]
        .change_membership(promote(2), PATIENCE)
        .await
        .unwrap();
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_born_once() {
    let cluster = Cluster::born().await;
    let again = cluster.nodes[&1]
        .birth(cluster.birth(), cluster.request(), PATIENCE)
        .await;
    let rejection = again.unwrap().verdict.unwrap_err();
    assert_eq!(rejection.reason(), Reason::AlreadyBorn);

    let mut other = cluster.birth();
    other.lineage.random += 1;
    let refused = cluster.nodes[&1]
        .birth(other, cluster.request(), PATIENCE)
        .await;
    assert!(
        matches!(refused, Err(BirthError::NotHere(_))),
        "{refused:?}"
    );
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_taken_by_any_node_and_can_be_read_there() {
    let cluster = Cluster::of_three().await;
    let leader = cluster.leader().await;
    for number in [1, 2, 3] {
        let name = format!("through-{number}");
        let revision = cluster.add_owner(number, &name).await;
        assert!(
            cluster.knows_owner(number, &name),
            "read where it was written"
        );
        let node = &cluster.nodes[&number];
        assert!(node.view().revision() >= revision);
        assert_eq!(
            node.status().leader,
            Some(NodeNumber(leader)),
            "no election on the way"
        );
    }
    let digests = async |number: u64| {
        cluster.caught_up(number).await;
        cluster.nodes[&number].state_digest()
    };
    let first = digests(1).await;
    assert_eq!(first, digests(2).await);
    assert_eq!(first, digests(3).await);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_sent_twice_is_carried_out_once() {
    let cluster = Cluster::of_three().await;
    let proposal = cluster.proposal(owner("treasury"));
    let first = cluster.nodes[&2]
        .propose(proposal.clone(), PATIENCE)
        .await
        .unwrap();
    let again = cluster.nodes[&3]
        .propose(proposal.clone(), PATIENCE)
        .await
        .unwrap();
    assert_eq!(first, again, "the outcome of the first time");

    let mut other = proposal;
    other.command = owner("another");
    let refused = cluster.nodes[&1].propose(other, PATIENCE).await.unwrap();
    assert_eq!(refused.verdict.unwrap_err().reason(), Reason::RequestReused);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_admitted_learners_that_caught_up_become_voters() {
    let mut cluster = Cluster::born().await;
    let refused = |result: Result<Progress, ChangeError>| match result {
        Err(ChangeError::Refused(why) | ChangeError::NotYet(why)) => why,
        other => panic!("{other:?}"),
    };
    let node = cluster.nodes[&1].clone();
    let why = refused(node.change_membership(enrol(9), PATIENCE).await);
    assert!(why.contains("not admitted"), "{why}");

    cluster.install_machine(2).await;
    cluster.admit(2).await;
    let why = refused(node.change_membership(promote(2), PATIENCE).await);
    assert!(why.contains("no member"), "{why}");

    // Its process does not run yet, so it cannot have caught up.
    node.change_membership(enrol(2), PATIENCE).await.unwrap();
    let why = refused(node.change_membership(promote(2), PATIENCE).await);
    assert!(why.contains("not heard of"), "{why}");

    cluster.start(2).await;
    cluster.promote(2).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_of_the_events_see_each_step_in_order() {
    let cluster = Cluster::born().await;
    let node = &cluster.nodes[&1];
    let mut events = node.events();
    let mut written = Vec::new();
    for name in ["a", "b", "c"] {
        written.push(cluster.add_owner(1, name).await);
    }
    for revision in written {
        let Step::Applied {
            revision: seen,
            events,
            previous,
        } = events.next().await.unwrap()
        else {
            panic!("no snapshot was installed");
        };
        assert_eq!(seen, revision);
        assert!(previous < revision);
        let last = events.last().unwrap();
        assert!(matches!(
            last,
            chancery_authority::Event::Answer {
                answer: Answer::Nothing,
                ..
            }
        ));
    }
    cluster.end().await;
}
