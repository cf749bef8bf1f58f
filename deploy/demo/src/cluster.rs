//! Three nodes, from their requests to their votes.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    time::{Duration, Instant},
};

use chancery_client::{Client, Config, Idempotence, Identity, RetryPolicy, v1};

use crate::{
    Outcome,
    chancery::{Answer, Chancery, number},
    process::NodeProcess,
    say,
};

pub const TRUST_DOMAIN: &str = "demo.internal";
/// How long a node may take for anything that has to happen.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// One node.
#[derive(Debug)]
pub struct Node {
    /// As the cluster numbers it.
    pub number: u64,
    /// Where clients reach it.
    pub api: String,
    name: String,
    directory: PathBuf,
    process: Option<NodeProcess>,
    /// The operator, calling this node and no other.
    operator: Client,
}

/// All three.
#[derive(Debug)]
pub struct Cluster {
    pub nodes: Vec<Node>,
    binary: PathBuf,
}

/// Three loopback addresses of a node.
struct Addresses {
    api: SocketAddr,
    peer: SocketAddr,
    admin: SocketAddr,
}

impl Cluster {
    /// Founds a cluster with the first node, admits the other two, and gives all
    /// a vote.
    pub async fn found(chancery: &Chancery) -> Outcome<Self> {
        let addresses = free_addresses(3)?;
        let mut cluster = Self {
            nodes: Vec::new(),
            binary: chancery.binary().to_owned(),
        };
        for (number, addresses) in (1..).zip(&addresses) {
            cluster.admit(chancery, number, addresses).await?;
        }
        for node in cluster.nodes.iter().skip(1) {
            promote(chancery, node).await?;
        }
        let status = cluster.status_of(1).await?;
        let voters = status
            .nodes
            .iter()
            .filter(|node| node.standing() == v1::node::Standing::Voter);
        let voters = voters.count();
        say::seen(format!(
            "{voters} voters; node {} leads in term {}; state {} at revision {}",
            status.leader,
            status.term,
            status.state_digest.get(..12).unwrap_or_default(),
            status.revision
        ));
        if voters != 3 {
            return Err(format!("{voters} of 3 nodes have a vote").into());
        }
        Ok(cluster)
    }

    async fn admit(
        &mut self,
        chancery: &Chancery,
        expected: u64,
        addresses: &Addresses,
    ) -> Outcome<()> {
        let name = format!("node-{expected}");
        let (api, peer) = (addresses.api.to_string(), addresses.peer.to_string());
        let admin = addresses.admin.to_string();
        let request = format!("{name}/request.json");
        let admission = format!("{name}.admission.json");
        chancery
            .run(&[
                "node",
                "request",
                "--dir",
                &name,
                "--name",
                &name,
                "--api",
                &api,
                "--peer",
                &peer,
                "--admin-listen",
                &admin,
            ])
            .await?;
        let answer = if expected == 1 {
            let issuer = format!("https://{TRUST_DOMAIN}");
            chancery
                .run(&[
                    "init",
                    "--request",
                    &request,
                    "--san",
                    "127.0.0.1",
                    "--trust-domain",
                    TRUST_DOMAIN,
                    "--issuer-url",
                    &issuer,
                    "--jwks-max-age",
                    "1s",
                    "--operator",
                    "alice",
                    "--ca",
                    "ca",
                    "--profile",
                    "profile",
                    "--admission",
                    &admission,
                ])
                .await?
        } else {
            chancery
                .run(&[
                    "node",
                    "add",
                    "--request",
                    &request,
                    "--san",
                    "127.0.0.1",
                    "--ca",
                    "ca",
                    "--admission",
                    &admission,
                ])
                .await?
        };
        chancery.run(&["join", "--dir", &name, &admission]).await?;
        let directory = chancery.place().join(&name);
        say::typed(&["serve", "--config", &format!("{name}/node.toml")]);
        let process = NodeProcess::start(&self.binary, &directory)?;
        say::seen(format!("{name} is process {}", process.id()));
        let number = number(&answer, "/node");
        if number != expected {
            return Err(format!("{name} was admitted as node {number}").into());
        }
        let operator = client(chancery, std::slice::from_ref(&api), "profile")?;
        self.nodes.push(Node {
            number,
            api,
            name,
            directory,
            process: Some(process),
            operator,
        });
        self.wait_until_it_mints(number).await
    }

    /// A node, by its number.
    pub fn node(&self, number: u64) -> Outcome<&Node> {
        let node = self.nodes.iter().find(|node| node.number == number);
        node.ok_or_else(|| format!("there is no node {number}").into())
    }

    /// The nodes whose process runs.
    pub fn running(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.process.is_some())
    }

    /// What a node says of itself.
    pub async fn status_of(&self, number: u64) -> Outcome<v1::StatusResponse> {
        Ok(status(&self.node(number)?.operator).await?)
    }

    /// Kills a node, as if its machine had lost power.
    pub fn kill(&mut self, number: u64) -> Outcome<u32> {
        let node = self.nodes.iter_mut().find(|node| node.number == number);
        let process = node.and_then(|node| node.process.take());
        let process = process.ok_or_else(|| format!("node {number} does not run"))?;
        let id = process.id();
        process.kill()?;
        Ok(id)
    }

    /// Starts the node that was killed, and waits until it mints again.
    pub async fn restart_killed(&mut self) -> Outcome<()> {
        let binary = self.binary.clone();
        let killed = self.nodes.iter_mut().find(|node| node.process.is_none());
        let killed = killed.ok_or("no node was killed")?;
        say::typed(&["serve", "--config", &format!("{}/node.toml", killed.name)]);
        let began = Instant::now();
        killed.process = Some(NodeProcess::start(&binary, &killed.directory)?);
        let number = killed.number;
        self.wait_until_it_mints(number).await?;
        let status = self.status_of(number).await?;
        say::seen(format!(
            "node {number} mints again {} after its start, at revision {} with issuer {}",
            say::s(began.elapsed()),
            status.revision,
            status.issuer.unwrap_or_default()
        ));
        Ok(())
    }

    /// Until its state is proved fresh and it has an issuer of its own.
    async fn wait_until_it_mints(&mut self, number: u64) -> Outcome<()> {
        self.wait_until(number, |status| status.fresh && status.issuer.is_some())
            .await
    }

    /// Waits until the issuers of all nodes are older than the rotation lead, as a
    /// balancer does: the SDK turns away from a node that settles while it knows a
    /// settled one.
    pub async fn wait_until_settled(&mut self) -> Outcome<()> {
        let numbers: Vec<u64> = self.running().map(|node| node.number).collect();
        for number in numbers {
            self.wait_until(number, |status| status.fresh && !status.settling)
                .await?;
        }
        Ok(())
    }

    async fn wait_until(
        &mut self,
        number: u64,
        is_so: impl Fn(&v1::StatusResponse) -> bool,
    ) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let last = match status(&self.node(number)?.operator).await {
                Ok(status) if is_so(&status) => return Ok(()),
                Ok(status) => format!(
                    "fresh: {}, issuer: {:?}, settling: {}",
                    status.fresh, status.issuer, status.settling
                ),
                Err(error) => error.to_string(),
            };
            let node = self.nodes.iter_mut().find(|node| node.number == number);
            let process = node.and_then(|node| node.process.as_mut());
            if process.is_none_or(NodeProcess::has_ended) {
                return Err(format!("node {number} ended by itself").into());
            }
            if Instant::now() > deadline {
                return Err(format!("node {number} does not mint: {last}").into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// A learner gets its vote once it has caught up.
async fn promote(chancery: &Chancery, node: &Node) -> Outcome<()> {
    let number = node.number.to_string();
    let words = ["node", "promote", &number];
    say::typed(&words);
    let deadline = Instant::now() + PATIENCE;
    loop {
        match chancery.ask(&words).await? {
            Answer::Done(_) => return Ok(()),
            Answer::Refused { reason, message } if Instant::now() > deadline => {
                return Err(format!("node {number} gets no vote [{reason}]: {message}").into());
            }
            Answer::Refused { .. } => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

async fn status(operator: &Client) -> Result<v1::StatusResponse, chancery_client::Error> {
    operator
        .call(Idempotence::Repeatable, |channel| async move {
            v1::cluster_service_client::ClusterServiceClient::new(channel)
                .status(v1::StatusRequest::default())
                .await
        })
        .await
}

/// A client with the identity of a profile, with a connection of its own to each
/// of its nodes, the first of which it prefers.
pub fn client(chancery: &Chancery, endpoints: &[String], profile: &str) -> Outcome<Client> {
    let directory = chancery.place().join(profile);
    let read = |file: &str| std::fs::read_to_string(directory.join(file));
    let identity = Identity::from_pem(&read("identity.key")?, Some(&read("identity.pem")?))?;
    Ok(Client::new(Config {
        endpoints: endpoints.to_vec(),
        root: read("root.pem")?,
        identity: Some(identity),
        retry: RetryPolicy::default(),
    })?)
}

/// Loopback ports that nobody listens on. All are held until all are found.
fn free_addresses(nodes: usize) -> Outcome<Vec<Addresses>> {
    let mut held = Vec::new();
    let mut free = || -> Outcome<SocketAddr> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        held.push(listener);
        Ok(address)
    };
    (0..nodes)
        .map(|_| {
            Ok(Addresses {
                api: free()?,
                peer: free()?,
                admin: free()?,
            })
        })
        .collect()
}
