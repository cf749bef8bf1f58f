//! A cluster whose links, processes, disks and clocks can be tampered with.

use std::{io::Write, time::Duration};

use chancery_client::{Client, draw_request_id, v1};
use futures::future::join_all;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::task::block_in_place;
use v1::{cluster_service_client::ClusterServiceClient, key_service_client::KeyServiceClient};

use super::fault::{Fault, Step};
use crate::{
    agent::{Agent, OWNER, register},
    call,
    cluster::Cluster,
    dice::Dice,
    network::Network,
    node::Node,
    preload::{WallClock, compile},
    small_disk::SmallDisk,
    until::until,
};

/// Entries between snapshots, so that the log is cut all along.
const SNAPSHOT_EVERY: u32 = 200;
/// A disk that a node's log and its snapshots fit on.
const DISK_MIB: u32 = 192;
/// Commands that a node misses before it is sent a snapshot.
const MISSED: usize = 900;
const LANES: usize = 16;
/// What the line to it then carries, so that it takes a while.
const THROTTLED_KILOBITS: u32 = 600;
/// How long a snapshot is waited for.
const UNTIL_SENT: Duration = Duration::from_secs(25);

/// The cluster and what is done to it.
pub struct Rig {
    /// Voters, then one learner.
    pub cluster: Cluster,
    clocks: Vec<WallClock>,
    disks: Vec<Option<SmallDisk>>,
    disk_was_full: bool,
    // Last: the libraries and the clocks are read until the nodes are gone.
    _files: TempDir,
}

impl Rig {
    /// A cluster on `network`, ready for the faults of `steps`.
    pub async fn set_up(voters: usize, network: Network, steps: &[Step]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let library = compile("clock", files.path());
        let small = steps.iter().any(|step| step.fault == Fault::DiskFull);
        let (mut clocks, mut disks) = (Vec::new(), Vec::new());
        let mut prepare = |node: &mut Node| {
            let file = files.path().join(format!("{}.clock", node.name));
            clocks.push(WallClock::of(node.place(), &library, &file));
            let configuration = node.configuration();
            let mut configuration = std::fs::File::options()
                .append(true)
                .open(configuration)
                .unwrap();
            writeln!(configuration, "snapshot_every = {SNAPSHOT_EVERY}").unwrap();
            let disk = small.then(|| SmallDisk::under(&node.directory(), DISK_MIB));
            disks.push(disk.flatten());
        };
        let settings = ["--jwks-max-age", "1s"];
        let mut cluster = Cluster::found_on(network, &settings, &mut prepare).await;
        for number in 1..=voters {
            let joined = cluster.join_as(&mut prepare).await;
            if number < voters {
                cluster.promote(joined).await;
            }
        }
        Self {
            cluster,
            clocks,
            disks,
            disk_was_full: false,
            _files: files,
        }
    }

    /// Has something go wrong for `hold`, and says what it was.
    pub async fn inflict(&mut self, fault: Fault, hold: Duration, seed: u64) -> String {
        let mut dice = Dice::of(seed ^ ((fault as u64) << 32));
        let all: Vec<usize> = (0..self.cluster.nodes.len()).collect();
        let leader = self.cluster.leader(&all).await;
        let any = dice.one(&all);
        let named = match fault {
            Fault::LeaderCutOff => {
                self.cut_off(leader, true, true);
                self.held(leader, hold).await
            }
            Fault::NodeCutOff => {
                self.cut_off(any, true, true);
                self.held(any, hold).await
            }
            Fault::NodeDeaf => {
                self.cut_off(any, true, false);
                self.held(any, hold).await
            }
            Fault::NodeMute => {
                self.cut_off(any, false, true);
                self.held(any, hold).await
            }
            Fault::LinkCut => {
                let other = (any + 1 + dice.position(all.len() - 1)) % all.len();
                self.cut(any, other);
                self.cut(other, any);
                self.held(any, hold).await
            }
            Fault::NodeKilled => self.killed(any, hold).await,
            Fault::LeaderKilled => self.killed(leader, hold).await,
            Fault::AllKilled => self.all_killed().await,
            Fault::NodePaused => self.paused(any, hold).await,
            Fault::LeaderPaused => self.paused(leader, hold).await,
            Fault::RollingRestart => self.restart_each().await,
            Fault::DiskFull => self.disk_full(any, hold).await,
            Fault::ClockStepped => {
                // From what is borne to what is far beyond it.
                let off = Duration::from_millis(dice.one(&[900, 2_500, 30_000, 7_200_000]));
                self.clocks[any].set(off, dice.chance(50));
                self.held(any, hold).await
            }
            Fault::LeaderKilledInRotation => {
                let operator = self.cluster.operator();
                let rotating = tokio::spawn(async move { rotate(&operator).await });
                tokio::time::sleep(Duration::from_millis(dice.below(120))).await;
                let named = self.killed(leader, hold).await;
                let _ = rotating.await;
                named
            }
            Fault::LeaderKilledInMembershipChange => self.membership(leader, hold, &mut dice).await,
            Fault::LeaderKilledInSnapshotInstall => self.install(hold).await,
        };
        format!("{fault} ({named})")
    }

    /// Undoes all that was done.
    pub async fn heal(&mut self) {
        self.cluster.network().heal();
        for clock in &self.clocks {
            clock.set(Duration::ZERO, true);
        }
        for disk in self.disks.iter().flatten() {
            disk.make_room();
        }
        for position in 0..self.cluster.nodes.len() {
            let node = &mut self.cluster.nodes[position];
            if let Some(code) = node.ended() {
                let said = std::fs::read_to_string(node.log()).unwrap_or_default();
                let last: Vec<&str> = said.lines().rev().take(3).collect();
                assert!(
                    self.disk_was_full,
                    "{} ended by itself, with {code}: {last:?}",
                    node.name
                );
            }
            if node.pid().is_none() {
                self.cluster.start(position);
            } else {
                node.signal(Signal::CONT);
            }
        }
        for position in 0..self.cluster.nodes.len() {
            self.cluster.serving(position).await;
        }
    }

    async fn held(&self, position: usize, hold: Duration) -> String {
        tokio::time::sleep(hold).await;
        self.cluster.network().heal();
        for clock in &self.clocks {
            clock.set(Duration::ZERO, true);
        }
        self.cluster.nodes[position].name.clone()
    }

    fn cut(&self, from: usize, to: usize) {
        self.cluster.network().cut(number(from), number(to));
    }

    fn cut_off(&self, position: usize, deaf: bool, mute: bool) {
        for other in (0..self.cluster.nodes.len()).filter(|other| *other != position) {
            if deaf {
                self.cut(other, position);
            }
            if mute {
                self.cut(position, other);
            }
        }
    }

    async fn killed(&mut self, position: usize, hold: Duration) -> String {
        self.cluster.nodes[position].kill();
        tokio::time::sleep(hold).await;
        self.cluster.start(position);
        self.cluster.nodes[position].name.clone()
    }

    async fn all_killed(&mut self) -> String {
        for node in &mut self.cluster.nodes {
            node.kill();
        }
        for position in 0..self.cluster.nodes.len() {
            self.cluster.start(position);
        }
        for position in 0..self.cluster.nodes.len() {
            self.cluster.serving(position).await;
        }
        "all".to_owned()
    }

    async fn paused(&self, position: usize, hold: Duration) -> String {
        let node = &self.cluster.nodes[position];
        node.signal(Signal::STOP);
        tokio::time::sleep(hold).await;
        node.signal(Signal::CONT);
        node.name.clone()
    }

    async fn restart_each(&mut self) -> String {
        for position in 0..self.cluster.nodes.len() {
            let code = block_in_place(|| self.cluster.nodes[position].stop());
            assert_eq!(
                code,
                Some(0),
                "{} drains",
                self.cluster.nodes[position].name
            );
            self.cluster.start(position);
            self.cluster.serving(position).await;
        }
        "each".to_owned()
    }

    async fn disk_full(&mut self, position: usize, hold: Duration) -> String {
        let Some(disk) = &self.disks[position] else {
            return "no: nothing can be mounted".to_owned();
        };
        disk.fill();
        self.disk_was_full = true;
        tokio::time::sleep(hold).await;
        disk.make_room();
        let node = &mut self.cluster.nodes[position];
        let ended = node.ended();
        let named = format!("{}, ended: {ended:?}", node.name);
        if ended.is_some() {
            self.cluster.start(position);
        }
        named
    }

    /// The last node votes, or votes no more.
    async fn membership(&mut self, leader: usize, hold: Duration, dice: &mut Dice) -> String {
        let number = self.cluster.nodes.len() as u64;
        let votes = self.votes(leader, number).await;
        let operator = self.cluster.operator();
        let changing = tokio::spawn(async move { change_seat(&operator, number, !votes).await });
        tokio::time::sleep(Duration::from_millis(dice.below(200))).await;
        let named = self.killed(leader, hold).await;
        let _ = changing.await;
        let operator = self.cluster.operator();
        until("the membership was changed", || async {
            change_seat(&operator, number, !votes).await.then_some(())
        })
        .await;
        named
    }

    async fn votes(&self, at: usize, number: u64) -> bool {
        let status = self.cluster.status(at).await.unwrap();
        let node = status.nodes.iter().find(|node| node.number == number);
        node.unwrap().standing() == v1::node::Standing::Voter
    }

    /// The last node misses more than the log keeps; the leader is killed while it
    /// sends it the state.
    async fn install(&mut self, hold: Duration) -> String {
        let last = self.cluster.nodes.len() - 1;
        let others: Vec<usize> = (0..last).collect();
        self.cluster.nodes[last].kill();
        self.fall_behind().await;
        if let Network::Namespaces(namespaces) = self.cluster.network() {
            namespaces.throttle(number(last), Some(THROTTLED_KILOBITS));
        }
        self.cluster.start(last);
        let sending = tokio::time::timeout(UNTIL_SENT, self.sending(&others)).await;
        let named = match sending {
            Ok(leader) => {
                self.cluster.nodes[leader].kill();
                format!("{}, sending", self.cluster.nodes[leader].name)
            }
            Err(_) => "no: no snapshot was sent".to_owned(),
        };
        if let Network::Namespaces(namespaces) = self.cluster.network() {
            namespaces.throttle(number(last), None);
        }
        tokio::time::sleep(hold).await;
        for position in 0..last {
            if self.cluster.nodes[position].pid().is_none() {
                self.cluster.start(position);
            }
        }
        named
    }

    async fn fall_behind(&self) {
        let lanes = (0..LANES).map(|lane| async move {
            let operator = self.cluster.operator();
            for turn in 0..MISSED / LANES {
                let agent = Agent::unregistered(&format!("missed/{lane}/{turn}"), OWNER);
                // Not acknowledged, it is one less.
                let _ = register(&operator, agent.spec()).await;
            }
        });
        join_all(lanes).await;
    }

    /// Waits until one of them sends a snapshot, and gives its position.
    async fn sending(&self, positions: &[usize]) -> usize {
        loop {
            for position in positions {
                let Ok(status) = self.cluster.status(*position).await else {
                    continue;
                };
                if status.nodes.iter().any(|node| node.sending.is_some()) {
                    return *position;
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn number(position: usize) -> u8 {
    u8::try_from(position + 1).unwrap()
}

fn meta() -> Option<v1::CommandMeta> {
    Some(v1::CommandMeta {
        request_id: draw_request_id().ok(),
        reason: "under faults".to_owned(),
        ..v1::CommandMeta::default()
    })
}

async fn rotate(operator: &Client) -> bool {
    let request = v1::RotateRequest {
        meta: meta(),
        emergency: false,
    };
    call!(operator, KeyServiceClient::rotate, request).is_ok()
}

async fn change_seat(operator: &Client, number: u64, votes: bool) -> bool {
    if votes {
        let request = v1::PromoteRequest {
            meta: meta(),
            number,
        };
        call!(operator, ClusterServiceClient::promote, request).is_ok()
    } else {
        let request = v1::DemoteRequest {
            meta: meta(),
            number,
        };
        call!(operator, ClusterServiceClient::demote, request).is_ok()
    }
}
