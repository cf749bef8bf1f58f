//! The cluster, and everybody who works with it.

use std::{path::Path, sync::Arc};

use chancery_client::{Client, Identity, meta, v1};
use chancery_tests::{
    agent::{AUDIENCE, Agent, OWNER, add_owner, register},
    call,
    chancery::succeed,
    cluster::{Cluster, patient},
    spans::SHORT,
};
use tokio::task::JoinSet;
use v1::{
    agent_service_client::AgentServiceClient, grant_set_service_client::GrantSetServiceClient,
    principal_service_client::PrincipalServiceClient,
};

use crate::Run;

/// What is short here is long elsewhere, so that an hour shows what a month would:
/// a snapshot every few minutes, segments of records that end and are deleted, parts
/// of the history that are forgotten.
const CONFIGURATION: &str = "snapshot_every = 5000\nhistory_mib = 8\n\n[records]\n\
                             segment_bytes = 4194304\nkeep_bytes = 16777216\n";
/// Agents that are suspended, resumed and narrowed all along.
const FICKLE: usize = 20;
/// What the fickle are granted by.
pub const GRANT_SET: &str = "ledgers";
/// Registrations that are made at a time.
const AT_A_TIME: usize = 16;

/// Somebody with its client and the digest of its certificate.
pub struct Caller {
    pub agent: Agent,
    pub client: Client,
    pub certificate: Vec<u8>,
}

/// All of them.
pub struct Rig {
    pub cluster: Cluster,
    /// Who mints, over a node each and the others after it.
    pub steady: Vec<Arc<Caller>>,
    pub fickle: Vec<Arc<Caller>>,
    /// The key of a service, `shop`.
    shop: Agent,
    /// The key of an operator that is only an auditor.
    pub auditor: Agent,
}

impl Rig {
    pub async fn set_up(run: &Run) -> Self {
        let mut cluster = Cluster::of(3).await;
        succeed(
            &cluster.path(),
            &[
                &["settings", "set", "--profile", "profile"],
                &SHORT[..],
                &["--epoch", "30s", "--reason", "a long run"],
            ]
            .concat(),
        );
        for position in 0..cluster.nodes.len() {
            let node = &mut cluster.nodes[position];
            assert_eq!(node.stop(), Some(0));
            let text = std::fs::read_to_string(node.configuration()).unwrap();
            std::fs::write(node.configuration(), text + CONFIGURATION).unwrap();
            node.start();
            cluster.serving(position).await;
        }
        let operator = cluster.operator();
        add_owner(&operator, OWNER).await;
        put_grant_set(&operator, &["ledger:*"]).await.unwrap();
        let shop = Agent::unregistered("shop", OWNER);
        let auditor = Agent::unregistered("auditor", OWNER);
        enrol(&operator, &shop, &auditor).await;
        let steady = register_all(&cluster, "steady", run.agents, &[]).await;
        let fickle = register_all(&cluster, "fickle", FICKLE, &[GRANT_SET]).await;
        // Whoever has seen this has seen all of them.
        let last = put_grant_set(&operator, &["ledger:*", "ledger:read"]).await;
        let last = last.unwrap().committed.unwrap().consistency_token;
        for position in 0..cluster.nodes.len() {
            let operator = operator_at(&cluster, position);
            is_known(&operator, &fickle[0].agent.id, &last)
                .await
                .unwrap();
        }
        Self {
            cluster,
            steady,
            fickle,
            shop,
            auditor,
        }
    }

    /// The service's client, of one node alone.
    pub fn shop_at(&self, position: usize) -> Client {
        self.shop.at(&self.cluster, &[position])
    }

    /// The service's key.
    pub fn shop(&self) -> Identity {
        self.shop.identity()
    }

    /// What the nodes said, beside what was seen of them.
    pub fn keep_logs(&self, out: &Path) {
        for node in &self.cluster.nodes {
            let name = format!("{}.log", node.name);
            let _ = std::fs::copy(node.log(), out.join(name));
        }
    }
}

/// The nodes with `first` at the head.
pub fn beginning_with(first: usize) -> [usize; 3] {
    [first % 3, (first + 1) % 3, (first + 2) % 3]
}

/// The first operator at one node, with patience.
pub fn operator_at(cluster: &Cluster, position: usize) -> Client {
    cluster.client(&[position], Some(cluster.operator_identity()), patient())
}

/// Gives the grant set these scopes.
///
/// # Errors
/// As the SDK.
pub async fn put_grant_set(
    operator: &Client,
    scopes: &[&str],
) -> Result<v1::PutGrantSetResponse, chancery_client::Error> {
    let request = v1::PutGrantSetRequest {
        meta: meta("a long run")?,
        name: GRANT_SET.to_owned(),
        grants: vec![v1::Grant {
            audience: "https://ledger.example/*".to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            ..v1::Grant::default()
        }],
        keep_held: false,
    };
    call!(operator, GrantSetServiceClient::put, request)
}

async fn enrol(operator: &Client, shop: &Agent, auditor: &Agent) {
    let service = v1::AddServiceRequest {
        meta: meta("a long run").unwrap(),
        name: "shop".to_owned(),
        audiences: vec![AUDIENCE.to_owned()],
        public_keys: vec![shop.identity().public_key().to_vec()],
    };
    call!(operator, PrincipalServiceClient::add_service, service).unwrap();
    let auditor = v1::AddOperatorRequest {
        meta: meta("a long run").unwrap(),
        name: "auditor".to_owned(),
        roles: vec![v1::Role::Auditor.into()],
        public_keys: vec![auditor.identity().public_key().to_vec()],
        expires_at: 0,
    };
    call!(operator, PrincipalServiceClient::add_operator, auditor).unwrap();
}

/// Registers many, and gives them when every node knows them.
async fn register_all(
    cluster: &Cluster,
    name: &str,
    count: usize,
    grant_sets: &[&str],
) -> Vec<Arc<Caller>> {
    let operator = cluster.operator();
    let mut under_way = JoinSet::new();
    let mut callers = Vec::new();
    for number in 0..count {
        if under_way.len() == AT_A_TIME {
            under_way.join_next().await.unwrap().unwrap();
        }
        let agent = Agent::unregistered(&format!("{name}/{number}"), OWNER);
        let mut spec = agent.spec();
        if !grant_sets.is_empty() {
            spec.grants.clear();
            spec.grant_sets = grant_sets.iter().map(|set| (*set).to_owned()).collect();
        }
        let operator = operator.clone();
        under_way.spawn(async move { register(&operator, spec).await.unwrap() });
        callers.push(Arc::new(caller(cluster, agent, number)));
    }
    under_way.join_all().await;
    callers
}

/// A caller that turns to the node of its number first.
pub fn caller(cluster: &Cluster, agent: Agent, number: usize) -> Caller {
    Caller {
        client: agent.at(cluster, &beginning_with(number)),
        certificate: agent
            .identity()
            .certificate_thumbprint()
            .as_bytes()
            .to_vec(),
        agent,
    }
}

/// Waits until the state of a client's node is that of `min_revision`, and knows `id`.
///
/// # Errors
/// As the SDK.
pub async fn is_known(
    operator: &Client,
    id: &str,
    min_revision: &str,
) -> Result<v1::GetResponse, chancery_client::Error> {
    let request = v1::GetRequest {
        id: id.to_owned(),
        min_revision: min_revision.to_owned(),
    };
    call!(operator, AgentServiceClient::get, request)
}
