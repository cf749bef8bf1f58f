//! Many tasks of one agent, a flood beside a single request, and an agent that keeps a
//! token through a suspension: over real processes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chancery_client::{Client, MintStream, TokenPolicy, TokenSource, meta, v1};
use chancery_tests::{
    agent::{Agent, wanted},
    cluster::{Cluster, patient},
    until::until,
};
use futures::future::join_all;
use v1::{Subject, agent_service_client::AgentServiceClient, subject::Subject as Of};

/// Mints one after the other, `count` in all; each has to succeed. Gives their ids.
async fn mint_on(client: Client, count: usize, minted: Arc<AtomicUsize>) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(client.mint(wanted()).await.unwrap().token_id);
        minted.fetch_add(1, Ordering::Relaxed);
    }
    ids
}

/// 200 tasks share one client: what waits on the streams to a node that is killed is
/// minted at another, each by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tasks_of_an_agent_share_streams_and_lose_nothing_with_a_node() {
    const TASKS: usize = 200;
    const MINTS: usize = 40;
    let mut cluster = Cluster::of(3).await;
    let agent = Agent::register(&cluster, "many-tasks").await;
    let client = agent.at(&cluster, &[0, 1, 2]);
    let minted = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| tokio::spawn(mint_on(client.clone(), MINTS, minted.clone())))
        .collect();
    let so_far = || minted.load(Ordering::Relaxed);
    until("the tasks were well under way", || async {
        (so_far() > TASKS * 5).then_some(())
    })
    .await;
    cluster.nodes[0].kill();
    assert!(so_far() < TASKS * MINTS, "it was killed in the midst of it");

    let mut ids = BTreeSet::new();
    for task in tasks {
        ids.extend(task.await.unwrap());
    }
    assert_eq!(ids.len(), TASKS * MINTS, "each task got tokens of its own");
    let statistics = client.statistics();
    assert_eq!(statistics.calls, (TASKS * MINTS) as u64);
    assert_eq!(statistics.unanswered, 0);
}

/// Asks for `count` tokens over one stream, many ahead of their answers.
async fn flood(mut stream: MintStream, count: usize, answered: Arc<AtomicUsize>) {
    const AHEAD: usize = 100;
    for sent in 0..count + AHEAD {
        if sent < count {
            stream.send(wanted()).await.unwrap();
        }
        if sent >= AHEAD {
            let (_, outcome) = stream.receive().await.unwrap();
            outcome.unwrap();
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_one_agent_does_not_keep_another_waiting() {
    const STREAMS: usize = 64;
    const EACH: usize = 400;
    let cluster = Cluster::of(1).await;
    let greedy = Agent::register(&cluster, "greedy").await;
    let modest = Agent::register(&cluster, "modest").await;
    let flooding = greedy.at(&cluster, &[0]);
    let answered = Arc::new(AtomicUsize::new(0));
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(flooding.mint_stream().await.unwrap());
    }
    let floods = streams
        .into_iter()
        .map(|stream| flood(stream, EACH, answered.clone()));
    let floods: Vec<_> = floods.map(tokio::spawn).collect();
    let so_far = || answered.load(Ordering::Relaxed);
    until("the flood was on", || async {
        (so_far() > STREAMS).then_some(())
    })
    .await;

    let single = modest.at(&cluster, &[0]);
    for _ in 0..10 {
        single.mint(wanted()).await.unwrap();
    }
    assert!(
        so_far() < STREAMS * EACH,
        "ten single mints, and the flood is not over"
    );
    for flood in floods {
        flood.await.unwrap();
    }
}

fn subject(agent: &Agent) -> Option<Subject> {
    Some(Subject {
        subject: Some(Of::Agent(agent.id.clone())),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_of_tokens_tells_a_suspension_at_once_and_comes_back_after_it() {
    let cluster = Cluster::of(1).await;
    let agent = Agent::register(&cluster, "kept").await;
    let policy = TokenPolicy {
        first_pause: Duration::from_millis(100),
        longest_pause: Duration::from_millis(400),
        ..TokenPolicy::default()
    };
    let client = cluster.client(&[0], Some(agent.identity()), patient());
    let source = TokenSource::new(client.clone(), wanted(), policy);
    let all = join_all((0..50).map(|_| source.token())).await;
    let first = all[0].as_ref().unwrap().clone();
    assert!(
        all.iter()
            .all(|token| token.as_ref().unwrap().token_id == first.token_id)
    );
    assert_eq!(
        client.statistics().calls,
        1,
        "one mint for all that want one"
    );

    chancery_tests::call!(
        cluster.operator(),
        AgentServiceClient::suspend,
        v1::SuspendRequest {
            meta: meta("odd").unwrap(),
            subject: subject(&agent),
        }
    )
    .unwrap();
    // A verifier says so; the source finds out why.
    source.refused(&first);
    let refused = source.token().await.unwrap_err();
    assert_eq!(refused.reason(), Some("AGENT_SUSPENDED"), "{refused}");

    chancery_tests::call!(
        cluster.operator(),
        AgentServiceClient::resume,
        v1::ResumeRequest {
            meta: meta("tried").unwrap(),
            subject: subject(&agent),
        }
    )
    .unwrap();
    let next = until("the agent was back", || async { source.token().await.ok() }).await;
    assert_ne!(next.token_id, first.token_id);
}
