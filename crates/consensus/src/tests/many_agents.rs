//! A registry of many agents, written through the real storage: a node starts with it,
//! and another is brought up by a snapshot of it.

use std::{sync::Arc, time::Duration};

use chancery_authority::{AgentRecord, Limits, Principal, Row, State};
use chancery_credential::{Grant, KeyThumbprint, Revision, SpiffeId};
use chancery_storage::{DataDirectory, RowWrite};

use super::cluster::{Cluster, LINEAGE, Machine, eventually};
use crate::{
    Clocks as _, Compaction, MembershipChange, SnapshotProgress, SystemClocks,
    codec::{AppliedRecord, encode_key, encode_row},
    published::Position,
    state_machine::{Loaded, applied_of, load},
};

/// Rows written at once.
const BATCH: usize = 10_000;

fn key(number: usize) -> KeyThumbprint {
    KeyThumbprint::of_spki(format!("the key of agent {number}").as_bytes())
}

fn id(number: usize) -> SpiffeId {
    format!("spiffe://example.org/fleet/worker-{number:09}")
        .parse()
        .unwrap()
}

/// An ordinary registration: one key, one owner, two grants.
fn agent(number: usize) -> AgentRecord {
    let grant = |audience: &str, scope: &str| Grant {
        audience: audience.parse().unwrap(),
        scopes: vec![scope.parse().unwrap()],
        max_ttl_seconds: 300,
        bearer: false,
    };
    AgentRecord {
        id: id(number),
        owners: ["payments".parse().unwrap()].into(),
        keys: [key(number)].into(),
        grants: [
            grant("https://ledger.example/*", "ledger:read"),
            grant("https://mail.example/*", "mail:*"),
        ]
        .into(),
        grant_sets: Box::default(),
        limits: Limits { rate: 10 },
        expires_at: 0,
        description: "one of many".into(),
        registered_at: Revision(1),
        changed_at: Revision(1),
    }
}

fn write_row(row: &Row) -> RowWrite {
    let key = row.key();
    RowWrite {
        table: key.table() as u8,
        key: encode_key(&key),
        value: Some(encode_row(row)),
    }
}

/// Registers `count` agents behind the back of a node that does not run.
fn fill(machine: &Machine, count: usize) {
    let marker = machine.directory_identity().marker();
    let directory = DataDirectory::open(machine.directory(), &marker).unwrap();
    let (_log, store) = directory.open_stores().unwrap();
    let Loaded {
        mut state,
        position,
    } = load(store.rows(), store.applied(), LINEAGE).unwrap();
    let Position {
        last, membership, ..
    } = position;
    let applied = |state: &State| {
        applied_of(&AppliedRecord {
            last,
            membership: membership.clone(),
            digest: state.digest(),
            differs_at: None,
        })
    };
    let mut batch = Vec::with_capacity(BATCH);
    for number in 0..count {
        let row = Row::Agent(Arc::new(agent(number)));
        batch.push(write_row(&row));
        state.load_row(row);
        if batch.len() == BATCH || number + 1 == count {
            let batch = std::mem::take(&mut batch);
            store.write(batch, applied(&state)).unwrap();
        }
    }
    store.sync().unwrap();
}

/// A cluster of one node that holds so many agents, and how long its start took.
async fn start_with(count: usize, compaction: Compaction) -> (Cluster, Duration) {
    let mut cluster = Cluster::born_with(compaction).await;
    cluster.add_owner(1, "payments").await;
    cluster.stop(1).await;
    let machine = &cluster.machines[&1];
    tokio::task::block_in_place(|| fill(machine, count));
    let began = SystemClocks.boot();
    cluster.start(1).await;
    let took = SystemClocks.boot().since(began);
    (cluster, took.unwrap_or_default())
}

/// It knows each by its key, and goes on from there.
async fn serves(cluster: &Cluster, number: u64, count: usize) {
    let node = &cluster.nodes[&number];
    assert_eq!(node.read_state(State::agent_count), count);
    for number in [0, count / 2, count - 1] {
        let found = node.directory().principal(&key(number));
        assert!(
            matches!(found, Some(Principal::Agent(entry)) if entry.id == id(number)),
            "worker {number}"
        );
    }
    cluster.add_owner(number, "after").await;
    assert!(cluster.knows_owner(number, "after"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_starts_with_all_the_agents_that_it_had() {
    const AGENTS: usize = 50_000;
    let (cluster, _) = start_with(AGENTS, Compaction::default()).await;
    serves(&cluster, 1, AGENTS).await;
    cluster.end().await;
}

/// By itself, with its figure: `cargo test --workspace million_agents -- --ignored
/// --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "writes a gigabyte"]
async fn a_node_starts_with_a_million_agents_in_less_than_a_minute() {
    const AGENTS: usize = 1_000_000;
    let (cluster, took) = start_with(AGENTS, Compaction::default()).await;
    println!("a node started with {AGENTS} agents in {took:.1?}");
    serves(&cluster, 1, AGENTS).await;
    assert!(took < Duration::from_secs(60), "{took:?}");
    cluster.end().await;
}

/// A joining node is seen to move, on the node that sends and on the one that receives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_seen_how_far_a_joining_node_has_come() {
    const AGENTS: usize = 50_000;
    let compaction = Compaction {
        entries_per_snapshot: 20,
        entries_kept: 2,
        entries_cut: 1,
        lag_for_snapshot: 10,
    };
    let (mut cluster, _) = start_with(AGENTS, compaction).await;
    for round in 0..60 {
        cluster.add_owner(1, &format!("owner-{round}")).await;
    }
    eventually("the log is cut", async || {
        cluster.nodes[&1].status().purged > Revision(20)
    })
    .await;
    cluster.install_machine(2).await;
    cluster.admit(2).await;
    cluster.start(2).await;
    let (leader, joining) = (&cluster.nodes[&1], &cluster.nodes[&2]);
    let mut seen: (Vec<SnapshotProgress>, Vec<SnapshotProgress>) = Default::default();
    let within = super::cluster::PATIENCE;
    leader
        .change_membership(MembershipChange::Enrol(joining.node()), within)
        .await
        .unwrap();
    eventually("it has caught up", async || {
        let status = leader.status();
        let sending = status.members.iter().find_map(|member| member.sending);
        seen.0.extend(sending);
        seen.1.extend(joining.status().receiving);
        joining.status().applied >= status.applied
    })
    .await;
    for seen in [&seen.0, &seen.1] {
        let (first, last) = (seen.first().unwrap(), seen.last().unwrap());
        assert!(first.rows <= last.rows && first.bytes <= last.bytes);
        assert!(last.of_rows >= AGENTS as u64, "{last:?}");
        assert!(last.rows <= last.of_rows + 100, "{last:?}");
    }
    assert!(seen.1.iter().any(|progress| progress.rows > 0));
    assert_eq!(joining.status().receiving, None, "it is over");
    eventually("nothing is lacking", async || joining.status().behind == 0).await;
    serves(&cluster, 2, AGENTS).await;
    cluster.end().await;
}
