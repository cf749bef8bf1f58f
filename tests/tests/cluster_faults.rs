//! Real processes on real disks: each is killed under load, all are restarted, a
//! new one joins from a snapshot, and one that hears nobody refuses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chancery_client::{Client, Error, Idempotence, Identity, v1};
use chancery_tests::{
    agent::{Agent, OWNER, add_owner, mint, register, wanted},
    cluster::{Cluster, TRUST_DOMAIN, impatient},
    method::reason,
    until::until,
};
use rustix::process::Signal;
use v1::{agent_service_client::AgentServiceClient, token_service_client::TokenServiceClient};

/// Writers at once, and writes of each.
const WRITERS: usize = 16;
const WRITES: usize = 130;
/// How old the state may be that a node answers from, by default.
const F: Duration = Duration::from_secs(2);

/// What one writer knows to be committed.
struct Written {
    ids: Vec<String>,
    last_token: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_the_loss_of_each_node_in_turn() {
    let mut cluster = Cluster::of(3).await;
    for node in &cluster.nodes {
        snapshot_often(node);
    }
    add_owner(&cluster.operator(), OWNER).await;
    let minting = Agent::register(&cluster, "minting").await;

    // Writers write on while each node is killed and comes back.
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(cluster.operator(), writer)))
        .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let minters = tokio::spawn(mint_on(minting.at(&cluster, &[0, 1, 2]), stop.clone()));
    for position in 0..3 {
        cluster.nodes[position].kill();
        let others: Vec<usize> = (0..3).filter(|other| *other != position).collect();
        cluster.leader(&others).await;
        cluster.nodes[position].start();
        cluster.serving(position).await;
    }
    let mut written = Vec::new();
    for writer in writers {
        written.push(writer.await.unwrap());
    }
    stop.store(true, Ordering::Relaxed);
    let minted = minters.await.unwrap();
    assert!(minted > 0, "tokens were minted all along");

    let count: usize = written.iter().map(|writer| writer.ids.len()).sum();
    assert!(count >= 2_000, "{count} writes were acknowledged");
    read_back(&cluster, &[0, 1, 2], &written).await;

    // All at once, and back.
    for node in &mut cluster.nodes {
        node.kill();
    }
    for node in &mut cluster.nodes {
        node.start();
    }
    for position in 0..3 {
        cluster.serving(position).await;
    }
    read_back(&cluster, &[0, 1, 2], &written).await;

    // A fourth, after the log it would need was cut: it joins from a snapshot.
    let fourth = cluster.join().await;
    let log = std::fs::read_to_string(cluster.nodes[fourth].log()).unwrap();
    assert!(
        log.contains("a snapshot was received"),
        "it replayed the log"
    );
    read_back(&cluster, &[fourth], &written).await;
    mint(&minting.at(&cluster, &[fourth]))
        .await
        .expect("a learner mints");
    assert_same_state(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_hears_nobody_refuses_and_serves_again_when_it_does() {
    let cluster = Cluster::of(3).await;
    let agent = Agent::register(&cluster, "patient").await;
    let lonely = cluster.client(&[2], Some(agent.identity()), impatient());
    // Its registration is at the node within F, and was answered by another.
    let token = until("the node knew the agent", || async {
        mint(&lonely).await.ok()
    })
    .await;

    // Paused processes answer nothing, and break no connection: the node finds
    // out only by what it cannot prove.
    for position in [0, 1] {
        cluster.nodes[position].signal(Signal::STOP);
        until("the process stood still", || async {
            cluster.nodes[position].is_paused().then_some(())
        })
        .await;
    }
    // From here on no proof can begin. What begins later than F from now is refused,
    // however slow this machine is.
    let alone_since = Instant::now();
    let refusal = until("the lonely node refused to mint", || async {
        let alone = alone_since.elapsed();
        let minted = mint_once(&lonely).await;
        assert!(minted.is_err() || alone < F, "minted, alone for {alone:?}");
        minted.err()
    })
    .await;
    assert_eq!(reason(&refusal), "STALE", "{refusal}");
    let status = cluster.status(2).await.unwrap();
    assert!(!status.fresh);
    assert!(
        status.age_ms.unwrap() >= 2_000,
        "it refuses for its age: {:?} ms",
        status.age_ms
    );
    let (line, _) = chancery_tests::jwks::fetch(&cluster.nodes[2].api(), &cluster.root()).await;
    assert!(
        line.contains("503"),
        "keys are not served from an old state either: {line}"
    );

    cluster.nodes[0].signal(Signal::CONT);
    cluster.nodes[1].signal(Signal::CONT);
    cluster.serving(2).await;
    let again = mint(&lonely).await.unwrap();
    assert_ne!(again.token_id, token.token_id);
}

/// One try at one node.
async fn mint_once(agent: &Client) -> Result<v1::MintResponse, tonic::Status> {
    let mut tokens = TokenServiceClient::new(agent.channel().unwrap());
    tokens.mint(wanted()).await.map(tonic::Response::into_inner)
}

/// A member whose disk is empty has forgotten its votes: it refuses to start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_with_an_empty_disk_refuses_to_start() {
    let mut cluster = Cluster::of(1).await;
    cluster.nodes[0].kill();
    let data = cluster.nodes[0].directory().join("data");
    let kept = cluster.path().join("kept");
    std::fs::rename(&data, &kept).unwrap();
    assert_refuses_to_start(&cluster, 0, &data);
    assert!(!data.exists(), "nothing took the place of what is lost");

    // The disk that it was on is not mounted.
    std::fs::create_dir(&data).unwrap();
    assert_refuses_to_start(&cluster, 0, &data);
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0);

    // It was not lost after all.
    std::fs::remove_dir(&data).unwrap();
    std::fs::rename(&kept, &data).unwrap();
    cluster.nodes[0].start();
    cluster.serving(0).await;
}

/// 3 is what a supervisor does not start again.
fn assert_refuses_to_start(cluster: &Cluster, position: usize, data: &std::path::Path) {
    let configuration = cluster.nodes[position].configuration();
    let output = chancery_tests::chancery::run(
        &cluster.path(),
        &["serve", "--config", configuration.to_str().unwrap()],
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    let refusal = format!(
        "chancery: refused: node {} has joined, and `{}` does not hold its data: mount the disk",
        position + 1,
        data.display()
    );
    assert!(said.contains(&refusal), "{said}");
    for verb in ["node request", "node add", "join"] {
        assert!(
            said.contains(&format!("`chancery {verb}`")),
            "{verb}: {said}"
        );
    }
}

/// What that refusal advises.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lost_its_disk_comes_back_under_a_new_number() {
    let mut cluster = Cluster::of(3).await;
    let agent = Agent::register(&cluster, "steady").await;
    cluster.nodes[2].kill();
    let data = cluster.nodes[2].directory().join("data");
    std::fs::remove_dir_all(&data).unwrap();
    assert_refuses_to_start(&cluster, 2, &data);

    let again = cluster.join().await;
    cluster.promote(again).await;
    let status = cluster.status(again).await.unwrap();
    assert_eq!(status.node, 4);
    mint(&agent.at(&cluster, &[again])).await.unwrap();
}

fn snapshot_often(node: &chancery_tests::node::Node) {
    use std::io::Write;
    let path = node.directory().join("node.toml");
    let mut file = std::fs::File::options().append(true).open(path).unwrap();
    // Counts from the node's next start.
    writeln!(file, "snapshot_every = 500").unwrap();
}

async fn write(operator: Client, writer: usize) -> Written {
    let mut written = Written {
        ids: Vec::new(),
        last_token: String::new(),
    };
    for write in 0..WRITES {
        let identity = Identity::generate().unwrap();
        let id = format!("spiffe://{TRUST_DOMAIN}/written/{writer}/{write}");
        let spec = v1::AgentSpec {
            id: id.clone(),
            owners: vec![OWNER.to_owned()],
            public_keys: vec![identity.public_key().to_vec()],
            ..v1::AgentSpec::default()
        };
        match register(&operator, spec).await {
            Ok(response) => {
                written.last_token = response.committed.unwrap().consistency_token;
                written.ids.push(id);
            }
            // Not acknowledged, so nothing is promised of it.
            Err(Error::Unavailable { .. } | Error::Unknown { .. }) => {}
            Err(error) => panic!("write {id}: {error}"),
        }
    }
    written
}

async fn mint_on(agent: Client, stop: Arc<AtomicBool>) -> usize {
    let mut minted = 0;
    while !stop.load(Ordering::Relaxed) {
        agent
            .mint(wanted())
            .await
            .expect("one node of three is lost at a time");
        minted += 1;
        tokio::task::yield_now().await;
    }
    minted
}

/// Every acknowledged write, on each of `positions`, asked with the consistency
/// token of the writer's last.
async fn read_back(cluster: &Cluster, positions: &[usize], written: &[Written]) {
    for position in positions {
        let client = cluster.operator_at(*position);
        for writer in written {
            for id in &writer.ids {
                let request = v1::GetRequest {
                    id: id.clone(),
                    min_revision: writer.last_token.clone(),
                };
                let found = client
                    .call(Idempotence::Repeatable, |channel| {
                        let request = request.clone();
                        async move { AgentServiceClient::new(channel).get(request).await }
                    })
                    .await;
                assert!(found.is_ok(), "{id} on node {}: {found:?}", position + 1);
            }
        }
    }
}

async fn assert_same_state(cluster: &Cluster) {
    until("all nodes had the same state", || async {
        let mut digests = Vec::new();
        for position in 0..cluster.nodes.len() {
            digests.push(cluster.status(position).await.ok()?.state_digest);
        }
        digests
            .windows(2)
            .all(|pair| pair[0] == pair[1])
            .then_some(())
    })
    .await;
}
