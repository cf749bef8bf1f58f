//! The history tells what was asked, by whom, and what became of it, and stays
//! within its bounds.

use std::time::Duration;

use chancery_authority::{Actor, Command, Meta, Stamp, Stamped};
use chancery_credential::{NodeNumber, Revision, Subject};

use super::cluster::{Cluster, PATIENCE, owner};
use crate::{
    Clocks as _, Compaction, HistoryBounds, HistoryEntry, HistoryQuery, Proposal, SystemClocks,
    codec::{command_digest, encode_stamped},
    command::EncodedCommand,
    state_machine::SnapshotSource,
};

/// All that fits, page by page.
async fn told(cluster: &Cluster, number: u64, query: HistoryQuery) -> Vec<HistoryEntry> {
    let mut query = HistoryQuery { most: 7, ..query };
    let mut entries = Vec::new();
    loop {
        let page = cluster.nodes[&number].history(query.clone()).await.unwrap();
        assert!(page.entries.len() <= query.most);
        entries.extend(page.entries);
        query.before = page.next;
        if page.next.is_none() {
            return entries;
        }
    }
}

/// Puts a command of `via` into the log that is not looked at first: as it is when its
/// outcome cannot be foreseen.
async fn append(cluster: &Cluster, via: u64, proposal: Proposal) {
    let digest = command_digest(&proposal.command);
    let stamped = Stamped {
        command: proposal.command,
        meta: Meta {
            actor: proposal.actor,
            key: proposal.key,
            via: NodeNumber(via),
            authorised_at: proposal.authorised_at,
            reason: proposal.reason,
            request: proposal.request,
            digest,
        },
        stamp: Stamp {
            time_ms: SystemClocks.wall_ms(),
            entropy: [7; 32],
        },
    };
    let leader = cluster.leader().await;
    let raft = cluster.nodes[&leader].raft();
    let entry = EncodedCommand(encode_stamped(&stamped));
    let written = raft.client_write(entry).await.unwrap();
    let applied = Revision(written.log_id.index);
    for node in cluster.nodes.values() {
        assert!(node.wait_revision(applied, PATIENCE).await);
    }
}

/// A command that is rejected when it is applied.
async fn refuse(cluster: &Cluster, via: u64, command: Command) {
    append(cluster, via, cluster.proposal(command)).await;
}

fn of(actor: &str) -> HistoryQuery {
    HistoryQuery {
        actor: Some(actor.into()),
        ..HistoryQuery::default()
    }
}

fn about(what: &str) -> HistoryQuery {
    HistoryQuery {
        about: Some(what.into()),
        ..HistoryQuery::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asked_for_what_and_what_became_of_it() {
    let mut cluster = Cluster::of_three().await;
    for entry in 0..20 {
        cluster.add_owner(2, &format!("owner-{entry}")).await;
    }
    let suspend = Command::Suspend(Subject::Owner("owner-3".parse().unwrap()));
    cluster.command(3, suspend).await.unwrap();
    refuse(&cluster, 1, owner("owner-3")).await;

    let all = told(&cluster, 2, of("operator:root")).await;
    let descending = all
        .windows(2)
        .all(|pair| pair[0].revision > pair[1].revision);
    assert!(descending, "the newest first, each once");
    let named = told(&cluster, 2, about("owner:owner-3")).await;
    let words: Vec<_> = named
        .iter()
        .map(|entry| {
            (
                entry.command.name(),
                entry.meta.via.0,
                entry.verdict.is_ok(),
            )
        })
        .collect();
    assert_eq!(
        words,
        [
            ("ADD_OWNER", 1, false),
            ("SUSPEND", 3, true),
            ("ADD_OWNER", 2, true)
        ]
    );
    assert_eq!(named[0].meta.reason, "a test");
    assert_eq!(
        named[0].meta.actor,
        Actor::Operator("root".parse().unwrap())
    );
    assert!(named[0].meta.key.is_some(), "and by which key");

    let via_3 = HistoryQuery {
        via: Some(NodeNumber(3)),
        command: Some("SUSPEND".into()),
        ..HistoryQuery::default()
    };
    assert_eq!(told(&cluster, 2, via_3).await.len(), 1);
    let (later, earlier) = (named[0].log_time_ms, named[2].log_time_ms);
    let between = HistoryQuery {
        since_ms: earlier,
        until_ms: Some(later),
        ..about("owner:owner-3")
    };
    assert_eq!(told(&cluster, 2, between).await.len(), 3);
    let after = HistoryQuery {
        since_ms: later + 1,
        ..about("owner:owner-3")
    };
    assert_eq!(told(&cluster, 2, after).await, []);

    // It is on the disk, and the same everywhere.
    cluster.caught_up(1).await;
    assert_eq!(told(&cluster, 1, of("operator:root")).await, all);
    cluster.stop(2).await;
    cluster.start(2).await;
    assert_eq!(told(&cluster, 2, of("operator:root")).await, all);
    cluster.end().await;
}

/// A request that is sent again is answered as the first time. It leaves no second
/// entry, unless it got into the log before it was known: then it is told as what it
/// is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_sent_again_is_told_as_such() {
    let cluster = Cluster::born().await;
    let proposal = cluster.proposal(owner("alice"));
    let first = cluster.nodes[&1].propose(proposal.clone(), PATIENCE).await;
    let again = cluster.nodes[&1].propose(proposal.clone(), PATIENCE).await;
    assert_eq!(first, again);
    assert_eq!(told(&cluster, 1, about("owner:alice")).await.len(), 1);
    append(&cluster, 1, proposal).await;
    let named = told(&cluster, 1, about("owner:alice")).await;
    assert_eq!(named.len(), 2);
    assert!(named[0].decided_at < named[0].revision);
    assert_eq!(named[0].decided_at, named[1].revision);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_by_a_snapshot_has_the_history_of_before() {
    let mut cluster = Cluster::born_with(Compaction {
        entries_per_snapshot: 50,
        entries_kept: 5,
        entries_cut: 1,
        lag_for_snapshot: 10,
    })
    .await;
    for entry in 0..120 {
        cluster.add_owner(1, &format!("owner-{entry}")).await;
    }
    super::cluster::eventually("the log was cut", async || {
        cluster.nodes[&1].status().purged > Revision(40)
    })
    .await;
    cluster.join(2).await;
    let before = told(&cluster, 1, about("owner:owner-1")).await;
    assert_eq!(before.len(), 1);
    assert_eq!(told(&cluster, 2, about("owner:owner-1")).await, before);
    cluster.add_owner(2, "after").await;
    assert_eq!(told(&cluster, 2, about("owner:after")).await.len(), 1);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_go_when_there_is_too_much_and_refusals_push_out_refusals_only() {
    let mut cluster = Cluster::born().await;
    cluster.history.bytes = 16 << 10;
    cluster.stop(1).await;
    cluster.start(1).await;
    for entry in 0..300 {
        cluster.add_owner(1, &format!("owner-{entry}")).await;
    }
    let done = told(&cluster, 1, of("operator:root")).await;
    assert!((20..290).contains(&done.len()), "{} entries", done.len());
    assert_eq!(done[0].command.about(), ["owner:owner-299"]);
    for _ in 0..300 {
        refuse(&cluster, 1, owner("owner-0")).await;
    }
    let all = told(&cluster, 1, of("operator:root")).await;
    let left: Vec<_> = all.iter().filter(|entry| entry.verdict.is_ok()).collect();
    assert_eq!(left.len(), done.len(), "what was done is all there");
    let refused = all.len() - left.len();
    assert!((20..290).contains(&refused), "{refused} refusals");
    cluster.end().await;
}

/// A node in other hands can forward any number of commands, in whatever name: what came
/// through it pushes out what came through it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_through_one_node_pushes_out_its_own() {
    let mut cluster = Cluster::born().await;
    cluster.history.bytes = 16 << 10;
    cluster.stop(1).await;
    cluster.start(1).await;
    cluster.join(2).await;
    for entry in 0..20 {
        cluster.add_owner(1, &format!("owner-{entry}")).await;
    }
    let through = |via: u64| HistoryQuery {
        via: Some(NodeNumber(via)),
        ..of("operator:root")
    };
    let before = told(&cluster, 1, through(1)).await;
    assert!(before.len() >= 20);
    for entry in 0..400 {
        let claimed = cluster.proposal(owner(&format!("claimed-{entry}")));
        append(&cluster, 2, claimed).await;
    }
    assert_eq!(told(&cluster, 1, through(1)).await, before, "all is there");
    let flood = told(&cluster, 1, through(2)).await;
    assert!((20..390).contains(&flood.len()), "{}", flood.len());
    assert_eq!(flood[0].command.about(), ["owner:claimed-399"]);
    assert!(flood.iter().all(|entry| entry.verdict.is_ok()));

    // Nor does it once the node has forgotten what it knew without reading.
    cluster.stop(1).await;
    cluster.start(1).await;
    for entry in 400..600 {
        let claimed = cluster.proposal(owner(&format!("claimed-{entry}")));
        append(&cluster, 2, claimed).await;
    }
    assert_eq!(told(&cluster, 1, through(1)).await, before, "all is there");
    cluster.end().await;
}

/// How far a joining node has come is told of all that is sent to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rows_of_a_snapshot_are_the_states_and_the_historys() {
    let cluster = Cluster::born().await;
    for entry in 0..50 {
        cluster.add_owner(1, &format!("owner-{entry}")).await;
    }
    let node = &cluster.nodes[&1];
    node.raft().trigger().snapshot().await.unwrap();
    let mut image = None;
    super::cluster::eventually("an image was made", async || {
        let snapshot = node.raft().get_snapshot().await.unwrap();
        image = snapshot.map(|snapshot| snapshot.snapshot);
        image.is_some()
    })
    .await;
    let Some(SnapshotSource::Image(image, machine)) = image else {
        panic!("there is no image");
    };
    let rows = image.rows().unwrap().count() as u64;
    // A tick may have come since.
    let told = machine.rows_now();
    assert!(
        rows > 100 && rows.abs_diff(told) <= 3,
        "{rows} rows, and {told} told"
    );
    drop((image, machine));
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_old_goes() {
    let mut cluster = Cluster::born().await;
    cluster.add_owner(1, "early").await;
    cluster.history.age = Duration::from_secs(60);
    cluster.stop(1).await;
    // An hour later, as far as this machine's clock goes.
    cluster.machines[&1].clocks.set_ahead(3_600_000);
    cluster.start(1).await;
    let mut late = cluster.proposal(owner("late"));
    late.request.time_ms += 3_600_000;
    let outcome = cluster.nodes[&1].propose(late, PATIENCE).await.unwrap();
    assert!(outcome.verdict.is_ok());
    assert_eq!(told(&cluster, 1, about("owner:early")).await, []);
    assert_eq!(told(&cluster, 1, about("owner:late")).await.len(), 1);
    cluster.end().await;
}

/// Nothing of it counts for whether a state is the state.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_keep_different_amounts_have_the_same_state() {
    let mut cluster = Cluster::born().await;
    cluster.history = HistoryBounds {
        bytes: 2 << 10,
        ..HistoryBounds::default()
    };
    cluster.join(2).await;
    for entry in 0..60 {
        cluster.add_owner(1, &format!("owner-{entry}")).await;
    }
    cluster.caught_up(2).await;
    let (here, there) = (
        told(&cluster, 1, of("operator:root")).await.len(),
        told(&cluster, 2, of("operator:root")).await.len(),
    );
    assert!(there < here, "{there} of {here}");
    let digest = |number: u64| cluster.nodes[&number].state_digest();
    super::cluster::eventually("the same state", async || digest(1) == digest(2)).await;
    cluster.end().await;
}

/// A number says little to who reads it when the node is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_names_the_node_and_its_key() {
    let mut cluster = Cluster::born().await;
    cluster.install_machine(2).await;
    cluster.admit(2).await;
    let node = NodeNumber(2);
    let key = cluster.machines[&2].identity().spki().to_vec();
    let key = chancery_credential::KeyThumbprint::of_spki(&key);
    for command in [Command::RetireNode(node), Command::RemoveNode { node, key }] {
        cluster.command(1, command).await.unwrap().verdict.unwrap();
    }
    for about in [
        "node:2".to_owned(),
        "node:node-2".to_owned(),
        format!("key:{key}"),
    ] {
        let query = HistoryQuery {
            about: Some(about.clone()),
            command: Some("REMOVE_NODE".into()),
            most: 5,
            ..HistoryQuery::default()
        };
        let page = cluster.nodes[&1].history(query).await.unwrap();
        assert_eq!(page.entries.len(), 1, "{about}");
        assert_eq!(
            page.entries[0].named,
            ["node:node-2".to_owned(), format!("key:{key}")]
        );
    }
    cluster.end().await;
}

/// Who reads for ever does not keep a node from stopping, and whoever asks then is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_ends_its_readers() {
    let cluster = Cluster::born().await;
    let node = cluster.nodes[&1].clone();
    let readers = node.inner.readers.clone();
    let reading = tokio::spawn(async move {
        let until_left = |is_wanted: &dyn Fn() -> bool| {
            while is_wanted() {
                std::thread::park_timeout(Duration::from_millis(1));
            }
            Ok(())
        };
        readers.read(until_left).await
    });
    super::cluster::eventually("it reads", async || node.inner.readers.count() == 1).await;
    cluster.end().await;
    assert!(reading.await.unwrap().is_ok());
    let asked = node.history(HistoryQuery::default()).await;
    assert!(asked.is_err(), "{asked:?}");
}
