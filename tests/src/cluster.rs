//! A cluster of real processes, made as an operator makes one.

use std::{net::Ipv4Addr, path::PathBuf, time::Duration};

use chancery_client::{Client, Config, Error, Idempotence, Identity, RetryPolicy, v1};
use tempfile::TempDir;
use v1::cluster_service_client::ClusterServiceClient;

use crate::{chancery::succeed, network::Network, node::Node, until::until};

/// The trust domain of every test.
pub const TRUST_DOMAIN: &str = "test.example";
/// The `iss` of every token.
pub const ISSUER: &str = "https://chancery.test.example";

/// Set, it keeps each cluster's files and logs for who looks into a failure.
const KEEP: &str = "CHANCERY_KEEP_TEST_CLUSTERS";

/// Nodes, and the operator's files.
pub struct Cluster {
    /// The nodes in the order of their numbers, from 1.
    pub nodes: Vec<Node>,
    home: TempDir,
    network: Network,
}

impl Cluster {
    /// One node, born and serving. `settings` are further flags of `init`.
    pub async fn found(settings: &[&str]) -> Self {
        Self::found_on(Network::loopback(), settings, |_| {}).await
    }

    /// The same, on a network of its own. `prepare` sees the first node before
    /// anything of it is started.
    pub async fn found_on(
        mut network: Network,
        settings: &[&str],
        prepare: impl FnOnce(&mut Node),
    ) -> Self {
        let home = tempfile::Builder::new()
            .prefix("chancery-")
            .disable_cleanup(std::env::var_os(KEEP).is_some())
            .tempdir()
            .unwrap();
        let (address, place) = network.connect(1).await;
        let mut cluster = Self {
            nodes: Vec::new(),
            home,
            network,
        };
        let mut first = Node::request_at(&cluster.path(), "n1", address, place);
        prepare(&mut first);
        let request = first.request_file();
        let san = first.address.to_string();
        let mut init = vec![
            "init",
            "--request",
            request.to_str().unwrap(),
            "--san",
            &san,
            "--trust-domain",
            TRUST_DOMAIN,
            "--issuer-url",
            ISSUER,
            "--operator",
            "root",
            "--ca",
            "ca",
            "--profile",
            "profile",
            "--admission",
            "n1.admission",
        ];
        init.extend(settings);
        succeed(&cluster.path(), &init);
        first.join("n1.admission");
        cluster.nodes.push(first);
        cluster.start(0);
        cluster.serving(0).await;
        cluster
    }

    /// `size` voters. With short leads, so that no test waits for a rotation.
    pub async fn of(size: usize) -> Self {
        let mut cluster = Self::found(&["--jwks-max-age", "1s"]).await;
        for _ in 1..size {
            let joined = cluster.join().await;
            cluster.promote(joined).await;
        }
        cluster
    }

    /// Admits another node as a learner, and starts it. Gives its position.
    pub async fn join(&mut self) -> usize {
        self.join_as(|_| {}).await
    }

    /// The same; `prepare` sees the node before anything of it is started.
    pub async fn join_as(&mut self, prepare: impl FnOnce(&mut Node)) -> usize {
        let position = self.request_on_network().await;
        prepare(&mut self.nodes[position]);
        self.admit_requested(position, &[]);
        self.start(position);
        self.serving(position).await;
        position
    }

    /// Starts a node's process.
    pub fn start(&mut self, position: usize) {
        self.nodes[position].start();
        if let (Network::Proxies(_, proxies), Some(pid)) =
            (&self.network, self.nodes[position].pid())
        {
            proxies.runs_as(u8::try_from(position + 1).unwrap(), pid);
        }
    }

    /// What the nodes reach each other over.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// Admits another node as a learner. Gives its position.
    pub fn admit(&mut self) -> usize {
        self.admit_as(&[])
    }

    /// The same, with further flags of `node add`.
    pub fn admit_as(&mut self, flags: &[&str]) -> usize {
        let position = self.request();
        self.admit_requested(position, flags);
        position
    }

    fn admit_requested(&self, position: usize, flags: &[&str]) {
        let node = &self.nodes[position];
        let admission = format!("{}.admission", node.name);
        let (request, san) = (node.request_file(), node.address.to_string());
        let mut add = vec!["node", "add", "--request", request.to_str().unwrap()];
        add.extend(["--san", &san, "--ca", "ca", "--profile", "profile"]);
        add.extend(["--admission", &admission]);
        add.extend(flags);
        succeed(&self.path(), &add);
        node.join(&admission);
    }

    /// Makes another node's keys and its request file. Gives its position.
    ///
    /// # Panics
    /// On a network that is not the loopback: [`Self::join_as`].
    pub fn request(&mut self) -> usize {
        let number = self.nodes.len() + 1;
        let name = format!("n{number}");
        let Network::Loopback([process, cluster]) = self.network else {
            panic!("{name} needs a line");
        };
        let address = Ipv4Addr::new(127, process, cluster, u8::try_from(number).unwrap());
        let node = Node::request(&self.path(), &name, address);
        self.nodes.push(node);
        number - 1
    }

    /// The same on any network.
    async fn request_on_network(&mut self) -> usize {
        let number = self.nodes.len() + 1;
        let name = format!("n{number}");
        let (address, place) = self.network.connect(u8::try_from(number).unwrap()).await;
        let node = Node::request_at(&self.path(), &name, address, place);
        self.nodes.push(node);
        number - 1
    }

    /// Makes a learner a voter, once it has caught up.
    pub async fn promote(&self, position: usize) {
        let number = position as u64 + 1;
        let client = self.operator();
        until("the learner had caught up", || async {
            client
                .call(Idempotence::Repeatable, |channel| async move {
                    ClusterServiceClient::new(channel)
                        .promote(v1::PromoteRequest { meta: None, number })
                        .await
                })
                .await
                .ok()
        })
        .await;
    }

    /// Waits until a node answers, fresh and with an issuer of its own.
    pub async fn serving(&self, position: usize) {
        until(
            &format!("{} was serving", self.nodes[position].name),
            || async {
                let status = self.status(position).await.ok()?;
                (status.fresh && status.issuer.is_some()).then_some(())
            },
        )
        .await;
    }

    /// Waits until one of `positions` leads, and gives its position.
    pub async fn leader(&self, positions: &[usize]) -> usize {
        until("a leader was known", || async {
            for position in positions {
                let Ok(status) = self.status(*position).await else {
                    continue;
                };
                let leader = usize::try_from(status.leader).unwrap();
                if status.fresh && leader > 0 && positions.contains(&(leader - 1)) {
                    return Some(leader - 1);
                }
            }
            None
        })
        .await
    }

    /// What one node says of itself and the cluster.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn status(&self, position: usize) -> Result<v1::StatusResponse, Error> {
        self.operator_at(position)
            .call(Idempotence::Repeatable, |channel| async move {
                ClusterServiceClient::new(channel)
                    .status(v1::StatusRequest::default())
                    .await
            })
            .await
    }

    /// The first operator, over all nodes.
    #[must_use]
    pub fn operator(&self) -> Client {
        let all: Vec<usize> = (0..self.nodes.len()).collect();
        self.client(&all, Some(self.operator_identity()), patient())
    }

    /// The first operator at one node, without patience.
    #[must_use]
    pub fn operator_at(&self, position: usize) -> Client {
        self.client(&[position], Some(self.operator_identity()), impatient())
    }

    /// A client of the nodes at `positions`, in that order.
    #[must_use]
    pub fn client(
        &self,
        positions: &[usize],
        identity: Option<Identity>,
        retry: RetryPolicy,
    ) -> Client {
        let endpoints = positions
            .iter()
            .map(|position| self.nodes[*position].api())
            .collect();
        Client::new(Config {
            endpoints,
            root: self.root(),
            identity,
            retry,
        })
        .unwrap()
    }

    /// The operator's key.
    #[must_use]
    pub fn operator_identity(&self) -> Identity {
        let profile = self.path().join("profile");
        let key = std::fs::read_to_string(profile.join("identity.key")).unwrap();
        let certificate = std::fs::read_to_string(profile.join("identity.pem")).unwrap();
        Identity::from_pem(&key, Some(&certificate)).unwrap()
    }

    /// The root certificate that clients trust, PEM.
    #[must_use]
    pub fn root(&self) -> String {
        std::fs::read_to_string(self.path().join("profile/root.pem")).unwrap()
    }

    /// Where everything lies: `n1`, `n2`, … `ca`, `profile`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.home.path().to_owned()
    }
}

/// As the SDK comes, with a longer deadline for busy machines.
#[must_use]
pub fn patient() -> RetryPolicy {
    RetryPolicy {
        deadline: Duration::from_secs(30),
        ..RetryPolicy::default()
    }
}

/// One answer, now.
#[must_use]
pub fn impatient() -> RetryPolicy {
    RetryPolicy {
        deadline: Duration::from_millis(1500),
        try_timeout: Duration::from_millis(1500),
        ..RetryPolicy::default()
    }
}
