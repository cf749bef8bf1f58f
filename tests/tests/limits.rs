//! How often an agent may ask: `limits.rate`, on each node by itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use chancery_client::{MintStream, Refusal, meta, v1};
use chancery_tests::{
    agent::{Agent, OWNER, add_owner, mint, register, wanted},
    call,
    cluster::Cluster,
    method::reason,
    until::until,
};
use tonic::transport::Channel;
use v1::{agent_service_client::AgentServiceClient, token_service_client::TokenServiceClient};

/// Mints that are asked for at once: far more than any limit here gives in the time
/// that they take.
const BURST: usize = 40;

async fn limited(cluster: &Cluster, rate: u32) -> Agent {
    add_owner(&cluster.operator(), OWNER).await;
    let agent = Agent::unregistered("eager", OWNER);
    let spec = v1::AgentSpec {
        limits: Some(v1::Limits { rate }),
        ..agent.spec()
    };
    register(&cluster.operator(), spec).await.unwrap();
    agent
}

/// Gives the agent another rate. Gives the state that knows it.
async fn set_rate(cluster: &Cluster, agent: &Agent, rate: u32) -> String {
    let request = v1::UpdateRequest {
        changed_at: 0,
        meta: meta("a test").unwrap(),
        agent: Some(v1::AgentSpec {
            limits: Some(v1::Limits { rate }),
            ..agent.spec()
        }),
        keep_held: true,
    };
    let updated = call!(cluster.operator(), AgentServiceClient::update, request).unwrap();
    updated.committed.unwrap().consistency_token
}

/// Asks for many at once over a stream: how many it got, and the refusals.
async fn burst(stream: &mut MintStream, min_revision: &str) -> (usize, Vec<Refusal>) {
    for _ in 0..BURST {
        let request = v1::MintRequest {
            min_revision: min_revision.to_owned(),
            ..wanted()
        };
        stream.send(request).await.unwrap();
    }
    let mut refusals = Vec::new();
    for _ in 0..BURST {
        let (_, outcome) = stream.receive().await.unwrap();
        refusals.extend(outcome.err());
    }
    (BURST - refusals.len(), refusals)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_gets_its_rate_of_each_node_and_a_stream_goes_on() {
    let cluster = Cluster::of(2).await;
    let agent = limited(&cluster, 1).await;
    let mut streams = Vec::new();
    for node in 0..2 {
        let mut stream = agent.at(&cluster, &[node]).mint_stream().await.unwrap();
        let (minted, refusals) = burst(&mut stream, "").await;
        assert!(minted >= 1, "node {node} counts by itself");
        assert!(!refusals.is_empty(), "node {node} minted {minted} at once");
        for refusal in refusals {
            assert_eq!(refusal.reason, "RATE_LIMITED", "{refusal}");
            assert_eq!(refusal.code, tonic::Code::ResourceExhausted);
            assert!(refusal.retry_after.is_some() && !refusal.remedy.is_empty());
        }
        streams.push(stream);
    }
    // The stream goes on, and gets its next when it was told.
    let stream = tokio::sync::Mutex::new(&mut streams[0]);
    until("the stream minted again", || async {
        let mut stream = stream.lock().await;
        stream.send(wanted()).await.unwrap();
        let (_, outcome) = stream.receive().await.unwrap();
        outcome.ok()
    })
    .await;

    // Another rate counts for the next message already.
    let seen = set_rate(&cluster, &agent, 0).await;
    for stream in &mut streams {
        let (minted, refusals) = burst(stream, &seen).await;
        assert_eq!(minted, BURST, "{refusals:?}");
    }
    let seen = set_rate(&cluster, &agent, 2).await;
    for stream in &mut streams {
        let (_, refusals) = burst(stream, &seen).await;
        assert!(!refusals.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_waits_as_it_is_told_and_loses_none() {
    let cluster = Cluster::of(1).await;
    let agent = limited(&cluster, 10).await;
    let client = agent.at(&cluster, &[0]);
    mint(&client).await.unwrap();
    let all = (0..BURST).map(|_| mint(&client));
    for minted in futures::future::join_all(all).await {
        minted.unwrap();
    }
    let counted = client.statistics();
    assert!(counted.retries > 0, "{counted:?}");
    assert_eq!(counted.unanswered, 0, "{counted:?}");
}

/// As many wrong commands at a time as one caller may have under way, without the
/// SDK's patience. Gives the reasons.
async fn flood(channel: &Channel) -> Vec<String> {
    const AT_A_TIME: usize = 400;
    let wrong = (0..AT_A_TIME).map(|_| {
        let mut client = AgentServiceClient::new(channel.clone());
        async move {
            let request = v1::RemoveRequest {
                meta: meta("a test").unwrap(),
                id: "spiffe://test.example/nobody".to_owned(),
            };
            let refused = client.remove(request).await.unwrap_err();
            assert!(!refused.message().is_empty());
            reason(&refused)
        }
    });
    futures::future::join_all(wrong).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_floods_a_node_with_wrong_commands_is_not_heard_and_others_are() {
    let cluster = Cluster::of(1).await;
    let agent = Agent::register(&cluster, "untouched").await;
    let minting = agent.at(&cluster, &[0]).channel().unwrap();
    let channel = cluster.operator_at(0).channel().unwrap();
    let before = cluster.status(0).await.unwrap();

    let mut told = Vec::new();
    for _ in 0..3 {
        // Without the SDK too: nobody else notices.
        let mut other = TokenServiceClient::new(minting.clone());
        let (reasons, minted) = tokio::join!(flood(&channel), other.mint(wanted()));
        minted.unwrap();
        told.extend(reasons);
    }
    let count = |wanted: &str| told.iter().filter(|reason| *reason == wanted).count();
    let (judged, unheard) = (count("AGENT_UNKNOWN"), count("TOO_MANY_REJECTIONS"));
    assert_eq!(judged + unheard, told.len(), "{told:?}");
    assert!(
        judged > 0 && unheard > 0,
        "{judged} judged, {unheard} not heard"
    );

    // Of all that nothing stands in the log but the time that passed meanwhile.
    let after = until("the operator was heard again", || async {
        cluster.status(0).await.ok()
    })
    .await;
    let entries = after.revision - before.revision;
    assert!(
        entries < judged as u64,
        "{entries} entries of {judged} commands"
    );
    assert_eq!(after.state_digest, before.state_digest);
}
