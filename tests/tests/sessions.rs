//! What a client did or saw at one node, when the next one is behind: over real
//! processes, one of which stands still for a while.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use chancery_client::{Client, meta, v1};
use chancery_credential::{ConsistencyToken, Lineage, Revision};
use chancery_tests::{
    agent::{AUDIENCE, Agent, OWNER, mint, register},
    call,
    cluster::{Cluster, patient},
    method::reason,
    until::until,
};
use rustix::process::Signal;
use tonic::Request;
use v1::{
    agent_service_client::AgentServiceClient, cluster_service_client::ClusterServiceClient,
    token_service_client::TokenServiceClient,
};

/// Waits until a node holds the state.
async fn settled(cluster: &Cluster, node: usize, seen: &str) {
    let request = v1::StatusRequest {
        min_revision: seen.to_owned(),
    };
    let status = call!(
        cluster.operator_at(node),
        ClusterServiceClient::status,
        request
    );
    status.unwrap();
}

async fn suspend(client: &Client, agent: &Agent) -> String {
    let request = v1::SuspendRequest {
        meta: meta("odd").unwrap(),
        subject: Some(v1::Subject {
            subject: Some(v1::subject::Subject::Agent(agent.id.clone())),
        }),
    };
    let suspended = call!(client, AgentServiceClient::suspend, request);
    suspended.unwrap().committed.unwrap().consistency_token
}

async fn get(client: &Client, agent: &Agent) -> v1::Agent {
    let request = v1::GetRequest {
        id: agent.id.clone(),
        min_revision: String::new(),
    };
    let found = call!(client, AgentServiceClient::get, request);
    found.unwrap().agent.unwrap()
}

async fn listed(client: &Client) -> Vec<String> {
    let request = v1::ListRequest::default();
    let page = call!(client, AgentServiceClient::list, request).unwrap();
    let specs = page.agents.into_iter().filter_map(|agent| agent.spec);
    specs.map(|spec| spec.id).collect()
}

async fn verdict(client: &Client, agent: &Agent, token: &str) -> String {
    let thumbprint = agent.identity().certificate_thumbprint();
    let request = v1::VerifyRequest {
        token: token.to_owned(),
        audience: AUDIENCE.to_owned(),
        certificate_sha256: thumbprint.as_bytes().to_vec(),
        min_revision: String::new(),
    };
    let said = call!(client, TokenServiceClient::verify, request);
    said.unwrap().reason
}

/// The node that answers next has heard of nothing that the client did: it waits until
/// it has, whatever is asked, although no message names a state.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_at_one_node_is_known_to_the_client_at_the_next() {
    let mut cluster = Cluster::of(3).await;
    let suspended = Agent::register(&cluster, "suspended").await;
    let leader = cluster.leader(&[0, 1, 2]).await;
    let behind = (leader + 1) % 3;
    let minted = mint(&suspended.at(&cluster, &[leader])).await.unwrap();
    settled(&cluster, behind, &minted.consistency_token).await;
    let operator = Some(cluster.operator_identity());
    let client = cluster.client(&[leader, behind], operator, patient());

    cluster.nodes[behind].signal(Signal::STOP);
    until("the process stood still", || async {
        cluster.nodes[behind].is_paused().then_some(())
    })
    .await;
    suspend(&client, &suspended).await;
    let new = Agent::unregistered("new", OWNER);
    register(&client, new.spec()).await.unwrap();

    // Those that are left need an election before the one that is behind hears of it,
    // and it is asked at once.
    cluster.nodes[leader].kill();
    let (found, was_suspended, all, refused, ()) = tokio::join!(
        get(&client, &new),
        get(&client, &suspended),
        listed(&client),
        verdict(&client, &suspended, &minted.token),
        async { cluster.nodes[behind].signal(Signal::CONT) },
    );
    assert_eq!(found.spec.unwrap().id, new.id);
    assert!(was_suspended.suspended);
    assert_eq!(all, [new.id, suspended.id]);
    assert_eq!(refused, "AGENT_REVOKED");
}

/// A call of any client that names what it has seen in its head.
fn having_seen<T>(message: T, seen: &str) -> Request<T> {
    let mut request = Request::new(message);
    let seen = seen.parse().unwrap();
    request.metadata_mut().insert("chancery-min-revision", seen);
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_names_a_state_and_every_call_may() {
    let cluster = Cluster::of(1).await;
    let channel = cluster.operator_at(0).channel().unwrap();
    let mut agents = AgentServiceClient::new(channel.clone());
    let list = v1::ListRequest::default();
    let answer = agents.list(list.clone()).await.unwrap();
    let told = answer.metadata().get("chancery-consistency-token").unwrap();
    let told = told.to_str().unwrap().to_owned();
    let seen: ConsistencyToken = told.parse().unwrap();
    agents.list(having_seen(list.clone(), &told)).await.unwrap();

    let beyond = ConsistencyToken {
        revision: Revision(seen.revision.0 + 1_000_000),
        ..seen
    };
    let elsewhere = ConsistencyToken {
        lineage: Lineage {
            generation: 9,
            random: 9,
        },
        ..seen
    };
    for (seen, expected) in [
        (beyond.to_string(), "REVISION_UNKNOWN"),
        (elsewhere.to_string(), "OTHER_LINEAGE"),
        ("whatever".to_owned(), "INVALID_FIELD"),
    ] {
        let refused = agents.list(having_seen(list.clone(), &seen)).await;
        let refused = refused.unwrap_err();
        assert_eq!(reason(&refused), expected, "{refused}");
        assert!(
            refused.message().contains("chancery-min-revision"),
            "{refused}"
        );
        // Whoever wants to know why a node answers nothing else is told.
        let status = having_seen(v1::StatusRequest::default(), &seen);
        let mut cluster = ClusterServiceClient::new(channel.clone());
        cluster.status(status).await.unwrap();
    }
}
