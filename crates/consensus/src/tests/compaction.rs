//! The log is cut, and whoever comes later starts from a snapshot.

use chancery_authority::Command;
use chancery_credential::Revision;
use chancery_storage::{DataDirectory, Row, RowWrite, StateStore};

use super::cluster::{Cluster, LINEAGE, Machine, eventually};
use crate::{
    Compaction, Step,
    codec::{AppliedRecord, encode_key, encode_row},
    state_machine::{Loaded, applied_of, load, next_chunk},
};

const SHORT: Compaction = Compaction {
    entries_per_snapshot: 20,
    entries_kept: 2,
    entries_cut: 1,
    lag_for_snapshot: 10,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_joins_from_a_snapshot_when_the_log_is_cut() {
    let mut cluster = Cluster::born_with(SHORT).await;
    for round in 0..60 {
        cluster.add_owner(1, &format!("owner-{round}")).await;
    }
    eventually("the log is cut", async || {
        cluster.nodes[&1].status().purged > Revision(20)
    })
    .await;

    cluster.join(2).await;
    for round in 0..60 {
        assert!(
            cluster.knows_owner(2, &format!("owner-{round}")),
            "owner-{round}"
        );
    }
    cluster.caught_up(2).await;
    assert_eq!(
        cluster.nodes[&1].state_digest(),
        cluster.nodes[&2].state_digest()
    );
    let (first, second) = (cluster.nodes[&1].view(), cluster.nodes[&2].view());
    assert_eq!(
        first.snapshot(),
        second.snapshot(),
        "the same is in force on both"
    );

    // It goes on from there, and from its disk.
    cluster.add_owner(2, "after").await;
    cluster.stop(2).await;
    cluster.start(2).await;
    assert!(cluster.knows_owner(2, "owner-0") && cluster.knows_owner(2, "after"));
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_that_was_away_for_too_long_is_brought_back_by_a_snapshot() {
    let cluster = Cluster::of_three_with(SHORT).await;
    let leader = cluster.leader().await;
    let away = [1, 2, 3]
        .into_iter()
        .find(|number| *number != leader)
        .unwrap();
    cluster.caught_up(away).await;
    let mut events = cluster.nodes[&away].events();
    let left_at = cluster.nodes[&away].status().applied;
    cluster.board.isolate(away);
    for round in 0..60 {
        cluster.add_owner(leader, &format!("owner-{round}")).await;
    }
    eventually("cut beyond it", async || {
        let leader = cluster.leader_among(away).await;
        cluster.nodes[&leader].status().purged > left_at
    })
    .await;

    cluster.board.heal();
    eventually("back", async || cluster.knows_owner(away, "owner-59")).await;
    assert!(cluster.knows_owner(away, "owner-0"));
    let replaced = loop {
        match events.next().await.unwrap() {
            Step::Replaced { revision } => break revision,
            Step::Applied { .. } => {}
        }
    };
    assert!(replaced > left_at, "whoever follows is told to start again");
    cluster.end().await;
}

/// The newest image with a changed byte in its rows, as by a bad sector. Its tables are
/// the state's own, by another name: only the image's is damaged.
fn damage_newest_image(machine: &Machine, place: fn(usize) -> usize) {
    let images = machine.directory().join("checkpoints");
    let newest = std::fs::read_dir(images).unwrap();
    let newest = newest.map(|entry| entry.unwrap().path()).max().unwrap();
    let mut damaged = 0;
    for file in std::fs::read_dir(newest).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "sst") {
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        let at = place(bytes.len());
        bytes[at] ^= 0x10;
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
        damaged += 1;
    }
    assert!(damaged > 0, "the image has no tables");
}

/// A node joins although the newest image of the only other is damaged at `place`.
async fn joins_although_the_image_is_damaged(place: fn(usize) -> usize) {
    let mut cluster = Cluster::born_with(SHORT).await;
    for round in 0..120 {
        let command = Command::AddOwner {
            name: format!("owner-{round}").parse().unwrap(),
            description: format!("{round:0>250}"),
        };
        let added = cluster.command(1, command).await.unwrap();
        assert!(added.verdict.is_ok());
    }
    eventually("the log is cut", async || {
        cluster.nodes[&1].status().purged > Revision(20)
    })
    .await;
    // Damaged while the node is down, so that nothing of it is in memory.
    cluster.stop(1).await;
    damage_newest_image(&cluster.machines[&1], place);
    cluster.start(1).await;
    cluster.join(2).await;
    for round in 0..120 {
        let name = format!("owner-{round}");
        assert!(cluster.knows_owner(2, &name), "{name}");
    }
    cluster.caught_up(2).await;
    assert_eq!(
        cluster.nodes[&1].state_digest(),
        cluster.nodes[&2].state_digest()
    );
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_cannot_be_opened_keeps_nobody_from_joining() {
    joins_although_the_image_is_damaged(|_| 16).await;
}

/// It opens, and breaks off while it is sent: another is made for the next attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_with_a_damaged_row_keeps_nobody_from_joining() {
    joins_although_the_image_is_damaged(|length| length / 3).await;
}

/// A crash after a snapshot was installed and before an image of it was made: the log
/// ends before the state, and the newest image is of before what the log then forgets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_died_before_the_image_of_its_new_state_starts_and_goes_on() {
    let mut cluster = Cluster::born_with(SHORT).await;
    cluster.add_owner(1, "before").await;
    cluster.stop(1).await;
    let installed = install_a_later_state(&cluster.machines[&1]);
    cluster.start(1).await;
    eventually("the log is cut", async || {
        cluster.nodes[&1].status().purged >= installed
    })
    .await;
    let revision = cluster.add_owner(1, "after").await;
    assert!(revision > installed && cluster.knows_owner(1, "before"));
    // Whoever joins now is brought up by an image that the log goes on from.
    cluster.join(2).await;
    assert!(cluster.knows_owner(2, "before") && cluster.knows_owner(2, "after"));
    cluster.end().await;
}

/// An image of the present state, then a state 50 entries later in its place.
fn install_a_later_state(machine: &Machine) -> Revision {
    let marker = machine.directory_identity().marker();
    let directory = DataDirectory::open(machine.directory(), &marker).unwrap();
    let (_log, store) = directory.open_stores().unwrap();
    store.checkpoint().unwrap();
    let Loaded {
        mut state,
        position,
    } = load(store.rows(), store.applied(), LINEAGE).unwrap();
    let mut last = position.last.unwrap();
    last.index += 50;
    let revision = Revision(last.index);
    state.advance(revision);
    let record = AppliedRecord {
        last: Some(last),
        membership: position.membership,
        digest: state.digest(),
        differs_at: None,
    };
    let changed = state.take_changed_rows();
    let changed = changed.iter().map(|key| Row {
        table: key.table() as u8,
        key: encode_key(key),
        value: encode_row(&state.row(key).unwrap()),
    });
    install(&store, changed.collect(), &record);
    revision
}

fn install(store: &StateStore, changed: Vec<Row>, record: &AppliedRecord) {
    let mut staged = store.stage().unwrap();
    let mut rows = store.rows();
    loop {
        let chunk = next_chunk(&mut rows).unwrap();
        if chunk.is_empty() {
            break;
        }
        staged.push(chunk).unwrap();
    }
    staged.push(changed).unwrap();
    let tally = staged.tally();
    let finished = staged.finish(applied_of(record), &tally).unwrap();
    store.install(finished).unwrap();
}

/// What is changed behind the state's back, and what is then said.
async fn is_not_served(told: &str, change: impl Fn(&StateStore) -> RowWrite) {
    let mut cluster = Cluster::born().await;
    cluster.add_owner(1, "forgotten").await;
    cluster.stop(1).await;
    {
        let machine = &cluster.machines[&1];
        let marker = machine.directory_identity().marker();
        let directory = DataDirectory::open(machine.directory(), &marker).unwrap();
        let (_log, store) = directory.open_stores().unwrap();
        let applied = store.applied().unwrap();
        store.write(vec![change(&store)], applied).unwrap();
        store.sync().unwrap();
    }
    let refused = crate::Consensus::start(cluster.options(1).await).await;
    let said = refused.err().unwrap().to_string();
    assert!(said.contains(told), "{said}");
    cluster.end().await;
}

/// As by a disk that dropped one write of many: the rows that are left do not show it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_lost_a_row_is_not_served() {
    is_not_served("rows are missing", |store| {
        let owners = chancery_authority::Table::Owner as u8;
        let lost = store.scan(owners).next().unwrap().unwrap();
        RowWrite {
            table: lost.table,
            key: lost.key,
            value: None,
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_with_a_table_of_a_newer_build_is_not_served() {
    is_not_served("upgrade this node", |_| RowWrite {
        table: 200,
        key: b"a kind of revocation".as_slice().into(),
        value: Some(b"that is still to be invented".as_slice().into()),
    })
    .await;
}
