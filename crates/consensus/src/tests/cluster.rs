//! A cluster that stories are told of.

use std::{
    collections::BTreeMap,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use chancery_authority::{
    Actor, Answer, Birth, Command, NodeSpec, OperatorSpec, RequestId, Role, Roles, Seat, Settings,
};
use chancery_credential::{KeyThumbprint, Lineage, NodeNumber, PeerPublicKey, Revision};
use chancery_revocation::BootTime;
use tempfile::TempDir;

use super::switchboard::Switchboard;
use crate::{
    Admission, Clocks, Compaction, Consensus, DirectoryIdentity, Entropy, HistoryBounds,
    MembershipChange, NoVerifiers, Options, Outcome, PeerIdentity, PeerRecord, Proposal,
    ProposeError, SystemClocks, Timing,
};

pub(super) const LINEAGE: Lineage = Lineage {
    generation: 1,
    random: 0xC4A9,
};

/// How long anything may take on a machine that is busy with other things.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Slower than the defaults, because a test machine does other things too.
pub(super) const TIMING: Timing = Timing {
    heartbeat_ms: 100,
    election_min_ms: 800,
    election_max_ms: 1_200,
    tick_ms: 50,
};

/// Steps that are kept for a follower that is slow.
pub(super) const KEPT_STEPS: usize = 64;

/// F that goes with [`TIMING`].
const FRESHNESS_MS: u64 = 5_000;

struct FixedEntropy;

impl Entropy for FixedEntropy {
    fn draw(&self) -> std::io::Result<[u8; 32]> {
        Ok([7; 32])
    }
}

/// The clocks of a machine whose wall clock somebody may have set wrong.
#[derive(Default)]
pub(super) struct MachineClocks {
    ahead_ms: AtomicU64,
}

impl MachineClocks {
    pub(super) fn set_ahead(&self, ahead_ms: u64) {
        self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
    }
}

impl Clocks for MachineClocks {
    fn boot(&self) -> BootTime {
        SystemClocks.boot()
    }

    fn wall_ms(&self) -> u64 {
        SystemClocks.wall_ms() + self.ahead_ms.load(Ordering::Relaxed)
    }
}

/// A node's possessions: they outlive its process.
pub(super) struct Machine {
    number: u64,
    pub(super) clocks: Arc<MachineClocks>,
    home: TempDir,
    pub(super) key: Vec<u8>,
    pub(super) address: String,
    incarnation: u64,
    admitted_at: Revision,
}

impl Machine {
    pub(super) fn identity(&self) -> PeerIdentity {
        PeerIdentity::from_pkcs8(&self.key).unwrap()
    }

    pub(super) fn record(&self) -> PeerRecord {
        PeerRecord {
            name: format!("node-{}", self.number),
            peer_address: self.address.clone(),
            api_address: format!("127.0.0.1:{}", 7_000 + self.number),
            peer_public_key: self.identity().spki().to_vec(),
        }
    }

    fn spec(&self) -> NodeSpec {
        let record = self.record();
        NodeSpec {
            name: record.name,
            api_address: record.api_address,
            peer_address: record.peer_address,
            peer_key: PeerPublicKey::from_spki(&record.peer_public_key).unwrap(),
            check_only: false,
        }
    }

    pub(super) fn directory_identity(&self) -> DirectoryIdentity {
        DirectoryIdentity {
            lineage: LINEAGE,
            node: NodeNumber(self.number),
            incarnation: self.incarnation,
        }
    }

    pub(super) fn directory(&self) -> std::path::PathBuf {
        self.home.path().join("data")
    }
}

pub(super) fn new_peer_key() -> Vec<u8> {
    rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
        .unwrap()
        .serialize_der()
}

pub(super) struct Cluster {
    pub(super) board: Switchboard,
    pub(super) machines: BTreeMap<u64, Machine>,
    pub(super) nodes: BTreeMap<u64, Consensus>,
    pub(super) compaction: Compaction,
    pub(super) history: HistoryBounds,
    requests: AtomicU64,
}

impl Cluster {
    /// A cluster of node 1 alone, born.
    pub(super) async fn born() -> Self {
        Self::born_with(Compaction::default()).await
    }

    pub(super) async fn born_with(compaction: Compaction) -> Self {
        let mut cluster = Self {
            board: Switchboard::default(),
            machines: BTreeMap::new(),
            nodes: BTreeMap::new(),
            compaction,
            history: HistoryBounds::default(),
            requests: AtomicU64::new(1),
        };
        cluster.install_machine(1).await;
        cluster.start(1).await;
        let birth = cluster.birth();
        let outcome = cluster.nodes[&1]
            .birth(birth, cluster.request(), PATIENCE)
            .await
            .unwrap();
        assert_eq!(outcome.verdict, Ok(Answer::Node(NodeNumber(1))));
        cluster
    }

    /// Three voters.
    pub(super) async fn of_three() -> Self {
        Self::of_three_with(Compaction::default()).await
    }

    pub(super) async fn of_three_with(compaction: Compaction) -> Self {
        let mut cluster = Self::born_with(compaction).await;
        for number in [2, 3] {
            cluster.join(number).await;
            cluster.promote(number).await;
        }
        cluster
    }

    pub(super) fn birth(&self) -> Birth {
        let mut settings = Settings::new(
            "example.org".parse().unwrap(),
            "https://chancery.example.org",
        );
        settings.heartbeat_ms = TIMING.heartbeat_ms;
        settings.election_min_ms = TIMING.election_min_ms;
        settings.election_max_ms = TIMING.election_max_ms;
        settings.freshness_ms = FRESHNESS_MS;
        settings.v_default_ms = settings.w_ms().max(settings.v_default_ms);
        settings.v_max_ms = settings.v_default_ms.max(settings.v_max_ms);
        settings.check().unwrap();
        let root = OperatorSpec {
            name: "root".parse().unwrap(),
            roles: Roles::of(&Role::ALL),
            keys: vec![operator_key()],
            expires_at: 0,
        };
        Birth {
            lineage: LINEAGE,
            settings,
            node: self.machines[&1].spec(),
            operators: vec![root],
        }
    }

    /// A machine with a key, an address and an empty directory.
    pub(super) async fn install_machine(&mut self, number: u64) {
        let wire = self.board.listen(number, None).await;
        let machine = Machine {
            number,
            clocks: Arc::default(),
            home: tempfile::tempdir().unwrap(),
            key: new_peer_key(),
            address: wire.address.clone(),
            incarnation: 1,
            admitted_at: Revision(0),
        };
        machine
            .directory_identity()
            .create_directory(&machine.directory())
            .unwrap();
        self.machines.insert(number, machine);
    }

    /// Starts the process of a machine.
    pub(super) async fn start(&mut self, number: u64) {
        let consensus = Consensus::start(self.options(number).await).await.unwrap();
        self.nodes.insert(number, consensus);
    }

    pub(super) async fn options(&self, number: u64) -> Options {
        let machine = &self.machines[&number];
        let peers = self
            .machines
            .iter()
            .map(|(n, m)| (NodeNumber(*n), m.record()))
            .collect();
        Options {
            identity: machine.directory_identity(),
            directory: machine.directory(),
            process: self.requests.fetch_add(1, Ordering::Relaxed),
            peer: machine.identity(),
            admission: Admission {
                peers,
                as_of: machine.admitted_at,
            },
            transport: self.board.listen(number, Some(&machine.address)).await,
            clocks: machine.clocks.clone(),
            entropy: Arc::new(FixedEntropy),
            verifiers: Arc::new(NoVerifiers::default()),
            consumers: Vec::new(),
            timing: TIMING,
            history: self.history,
            compaction: self.compaction,
            event_capacity: KEPT_STEPS,
        }
    }

    /// Ends the process of a node.
    pub(super) async fn stop(&mut self, number: u64) {
        self.nodes.remove(&number).unwrap().shutdown().await;
    }

    /// Admits a machine and lets it replicate.
    pub(super) async fn join(&mut self, number: u64) {
        self.install_machine(number).await;
        self.admit(number).await;
        self.start(number).await;
        let leader = self.leader().await;
        self.nodes[&leader]
            .change_membership(MembershipChange::Enrol(NodeNumber(number)), PATIENCE)
            .await
            .unwrap();
        self.caught_up(number).await;
    }

    pub(super) async fn admit(&mut self, number: u64) {
        let spec = self.machines[&number].spec();
        let outcome = self.command(1, Command::AdmitNode(spec)).await.unwrap();
        assert_eq!(outcome.verdict, Ok(Answer::Node(NodeNumber(number))));
        if let Some(machine) = self.machines.get_mut(&number) {
            machine.admitted_at = outcome.revision;
        }
    }

    /// The operator made a fresh admission file for it.
    pub(super) fn admitted_again(&mut self, number: u64, revision: Revision) {
        if let Some(machine) = self.machines.get_mut(&number) {
            machine.admitted_at = revision;
        }
    }

    /// As a keeper who wants a node to sit there.
    pub(super) async fn seat(&self, number: u64, seat: Seat) {
        let through = self.leader().await;
        let node = NodeNumber(number);
        let outcome = self
            .command(through, Command::SeatNode { node, seat })
            .await;
        assert_eq!(outcome.unwrap().verdict, Ok(Answer::Nothing));
    }

    /// Asks until the learner has caught up.
    pub(super) async fn promote(&self, number: u64) {
        self.seat(number, Seat::Voter).await;
        eventually("promoted", async || {
            let leader = self.leader().await;
            self.nodes[&leader]
                .change_membership(MembershipChange::Promote(NodeNumber(number)), PATIENCE)
                .await
                .is_ok()
        })
        .await;
    }

    /// Who leads, as at least one running node that leads says itself.
    pub(super) async fn leader(&self) -> u64 {
        self.leader_among(0).await
    }

    /// Who leads the nodes other than `without`.
    pub(super) async fn leader_among(&self, without: u64) -> u64 {
        let mut leader = 0;
        eventually("a leader", async || {
            let leads =
                |n: &Consensus| n.node().0 != without && n.status().leader == Some(n.node());
            let found = self.nodes.iter().find(|(_, node)| leads(node));
            leader = found.map_or(0, |(number, _)| *number);
            found.is_some()
        })
        .await;
        leader
    }

    /// Waits until `number` has applied all that any node has.
    pub(super) async fn caught_up(&self, number: u64) {
        // Of any: whoever leads may have been elected before it applied what another
        // answered for.
        let applied = self.nodes.values().map(|node| node.status().applied);
        let target = applied.max().unwrap();
        assert!(
            self.nodes[&number].wait_revision(target, PATIENCE).await,
            "node {number} lags"
        );
    }

    pub(super) fn request(&self) -> RequestId {
        let counter = self.requests.fetch_add(1, Ordering::Relaxed);
        let mut random = [0; 16];
        random[..8].copy_from_slice(&counter.to_be_bytes());
        RequestId {
            time_ms: SystemClocks.wall_ms(),
            random,
        }
    }

    pub(super) fn proposal(&self, command: Command) -> Proposal {
        Proposal {
            command,
            actor: Actor::Operator("root".parse().unwrap()),
            key: Some(operator_key()),
            authorised_at: Revision(1),
            reason: "a test".into(),
            request: self.request(),
            retried: false,
            awaited: false,
        }
    }

    /// A command of the operator, through `number`; sent again, as the same request,
    /// until it is known what became of it.
    pub(super) async fn command(
        &self,
        number: u64,
        command: Command,
    ) -> Result<Outcome, ProposeError> {
        let proposal = self.proposal(command);
        let node = &self.nodes[&number];
        loop {
            match node.propose(proposal.clone(), PATIENCE).await {
                Err(ProposeError::Unknown(_)) => {}
                known => return known,
            }
        }
    }

    /// Adds an owner through `number`: the smallest command that leaves a trace.
    pub(super) async fn add_owner(&self, number: u64, name: &str) -> Revision {
        let outcome = self.command(number, owner(name)).await.unwrap();
        assert_eq!(outcome.verdict, Ok(Answer::Nothing), "{name}");
        outcome.revision
    }

    pub(super) fn knows_owner(&self, number: u64, name: &str) -> bool {
        self.nodes[&number]
            .directory()
            .owner(&name.parse().unwrap())
            .is_some()
    }
}

impl Cluster {
    /// Ends all processes, so that nothing holds the directories when they go.
    pub(super) async fn end(mut self) {
        for (_, node) in std::mem::take(&mut self.nodes) {
            node.shutdown().await;
        }
    }
}

fn operator_key() -> KeyThumbprint {
    KeyThumbprint::of_spki(b"the root operator's key")
}

pub(super) fn owner(name: &str) -> Command {
    Command::AddOwner {
        name: name.parse().unwrap(),
        description: String::new(),
    }
}

/// Waits for a condition, by looking.
pub(super) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, looking).await.is_ok(),
        "never: {what}"
    );
}
