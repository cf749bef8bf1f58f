//! What a verb answers as ENFORCED is dead on every node, of real processes: those that
//! run, one that was paused, one that was killed, and one that was stopped in order.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::time::Duration;

use chancery_client::{Client, Error, Idempotence, Minted, meta, v1};
use chancery_tests::{
    agent::{AUDIENCE, Agent, mint},
    cluster::{Cluster, impatient, patient},
    until::until,
};
use rustix::process::Signal;
use tonic::{Code, Status};
use v1::{
    EnforcementState, Wait, agent_service_client::AgentServiceClient, subject::Subject,
    token_service_client::TokenServiceClient,
};

/// The operator over one node, which may be slow.
fn operator_of(cluster: &Cluster, position: usize) -> Client {
    cluster.client(&[position], Some(cluster.operator_identity()), patient())
}

/// Suspends the agent, and waits as told.
async fn suspend(
    operator: &Client,
    agent: &Agent,
    wait: Wait,
    wait_at_most: Duration,
) -> v1::Committed {
    let mut meta = meta("a test").unwrap().unwrap();
    meta.set_wait(wait);
    meta.wait_at_most = Some(wait_at_most.try_into().unwrap());
    let request = v1::SuspendRequest {
        meta: Some(meta),
        subject: Some(v1::Subject {
            subject: Some(Subject::Agent(agent.id.clone())),
        }),
    };
    let suspended = operator
        .call(Idempotence::Repeatable, |channel| {
            let request = request.clone();
            async move { AgentServiceClient::new(channel).suspend(request).await }
        })
        .await;
    suspended.unwrap().committed.unwrap()
}

/// Suspends it, and goes on waiting until that is in force on all nodes.
async fn suspend_everywhere(operator: &Client, agent: &Agent) -> v1::Enforcement {
    let patience = Duration::from_secs(20);
    let committed = suspend(operator, agent, Wait::Unspecified, patience).await;
    in_force(operator, &committed).await
}

async fn in_force(anybody: &Client, committed: &v1::Committed) -> v1::Enforcement {
    let token = &committed.consistency_token;
    let told = anybody
        .await_enforced(token, Wait::Nodes, Duration::from_secs(20))
        .await
        .unwrap();
    assert_eq!(told.state(), EnforcementState::Enforced, "{told:?}");
    told
}

/// One answer of one node, which is not asked to wait for anything.
async fn verify_at(
    cluster: &Cluster,
    position: usize,
    agent: &Agent,
    minted: &Minted,
) -> Result<v1::VerifyResponse, Status> {
    let node = cluster.client(&[position], Some(cluster.operator_identity()), impatient());
    let certificate = agent.identity().certificate_thumbprint();
    let mut tokens = TokenServiceClient::new(node.channel().unwrap());
    let request = v1::VerifyRequest {
        token: minted.token.clone(),
        audience: AUDIENCE.to_owned(),
        certificate_sha256: certificate.as_bytes().to_vec(),
        min_revision: String::new(),
    };
    tokens
        .verify(request)
        .await
        .map(tonic::Response::into_inner)
}

/// It refuses the token, or everything.
fn assert_dead(position: usize, verdict: &Result<v1::VerifyResponse, Status>) {
    match verdict {
        Ok(response) => assert_eq!(
            response.verdict(),
            v1::verify_response::Verdict::Refused,
            "node {}: {response:?}",
            position + 1
        ),
        Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status}"),
    }
}

async fn assert_mints_nothing(cluster: &Cluster, position: usize, agent: &Agent) {
    let node = cluster.client(&[position], Some(agent.identity()), impatient());
    let refused = mint(&node).await.unwrap_err();
    match refused {
        Error::Refused(refusal) => assert_eq!(refusal.reason, "AGENT_SUSPENDED"),
        Error::Unavailable { .. } | Error::Unknown { .. } => {}
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_enforced_is_dead_on_every_node_however_it_is_asked() {
    let cluster = Cluster::of(3).await;
    for round in 0..10 {
        let agent = Agent::register(&cluster, &format!("agent-{round}")).await;
        let minted = mint(&agent.at(&cluster, &[round % 3])).await.unwrap();
        let through = operator_of(&cluster, round % 3);
        suspend_everywhere(&through, &agent).await;
        for position in 0..3 {
            let verdict = verify_at(&cluster, position, &agent, &minted).await;
            assert_dead(position, &verdict);
            assert_mints_nothing(&cluster, position, &agent).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stood_still_meanwhile_wakes_up_to_refuse() {
    let cluster = Cluster::of(3).await;
    let agent = Agent::register(&cluster, "paused").await;
    let leader = cluster.leader(&[0, 1, 2]).await;
    let paused = (leader + 1) % 3;
    let minted = mint(&agent.at(&cluster, &[paused])).await.unwrap();
    until("the node accepted it", || async {
        let verdict = verify_at(&cluster, paused, &agent, &minted).await.ok()?;
        (verdict.verdict() == v1::verify_response::Verdict::Valid).then_some(())
    })
    .await;
    cluster.nodes[paused].signal(Signal::STOP);
    until("the process stood still", || async {
        cluster.nodes[paused].is_paused().then_some(())
    })
    .await;

    let operator = operator_of(&cluster, leader);
    let at_once = Duration::from_millis(1);
    let committed = suspend(&operator, &agent, Wait::Nodes, at_once).await;
    let told = committed.enforcement.clone().unwrap();
    assert_ne!(told.state(), EnforcementState::Unknown);
    let told = in_force(&operator_of(&cluster, (leader + 2) % 3), &committed).await;
    assert!(
        told.waited_out.is_empty() || told.waited_out == [paused as u64 + 1],
        "{told:?}"
    );
    // It is asked before it can have heard of anything.
    let asked = tokio::spawn({
        let node = cluster.client(&[paused], Some(agent.identity()), impatient());
        async move { mint(&node).await }
    });
    cluster.nodes[paused].signal(Signal::CONT);
    assert!(
        asked.await.unwrap().is_err(),
        "it minted for whom is suspended"
    );
    let verdict = verify_at(&cluster, paused, &agent, &minted).await;
    assert_dead(paused, &verdict);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_killed_is_waited_out_and_one_that_drained_is_not() {
    let mut cluster = Cluster::of(3).await;
    let leader = cluster.leader(&[0, 1, 2]).await;
    let gone = (leader + 1) % 3;
    let operator = operator_of(&cluster, leader);

    let first = Agent::register(&cluster, "drained").await;
    assert_eq!(cluster.nodes[gone].stop(), Some(0));
    let told = suspend_everywhere(&operator, &first).await;
    assert!(
        told.waited_out.is_empty(),
        "it gave its proofs back: {told:?}"
    );

    cluster.nodes[gone].start();
    cluster.serving(gone).await;
    let second = Agent::register(&cluster, "killed").await;
    cluster.nodes[gone].kill();
    suspend_everywhere(&operator, &second).await;
    cluster.nodes[gone].start();
    cluster.serving(gone).await;
    assert_mints_nothing(&cluster, gone, &first).await;
    assert_mints_nothing(&cluster, gone, &second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_drains_hands_the_lead_over_and_nobody_waits_for_it() {
    let mut cluster = Cluster::of(3).await;
    let leader = cluster.leader(&[0, 1, 2]).await;
    let others: Vec<usize> = (0..3).filter(|other| *other != leader).collect();
    let agent = Agent::register(&cluster, "steady").await;
    assert_eq!(cluster.nodes[leader].stop(), Some(0));
    let next = cluster.leader(&others).await;
    let told = suspend_everywhere(&operator_of(&cluster, next), &agent).await;
    assert!(told.waited_out.is_empty(), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_less_is_told_how_far_it_has_come() {
    let cluster = Cluster::of(3).await;
    let agent = Agent::register(&cluster, "hasty").await;
    let leader = cluster.leader(&[0, 1, 2]).await;
    let operator = operator_of(&cluster, leader);
    let span = Duration::from_secs(5);
    let committed = suspend(&operator, &agent, Wait::Committed, span).await;
    let told = committed.enforcement.clone().unwrap();
    assert_eq!(told.state(), EnforcementState::Committed);
    in_force(&operator_of(&cluster, (leader + 1) % 3), &committed).await;
    // Without subscribers verifiers know as soon as the nodes are old enough to tell.
    let token = &committed.consistency_token;
    let patience = Duration::from_secs(30);
    let told = operator
        .await_enforced(token, Wait::Verifiers, patience)
        .await;
    assert!(told.unwrap().verifiers);

    let garbled = operator.await_enforced("AAAA", Wait::Nodes, span).await;
    let Err(Error::Refused(refusal)) = garbled else {
        panic!("{garbled:?}");
    };
    assert_eq!(refusal.code, Code::InvalidArgument);
}
