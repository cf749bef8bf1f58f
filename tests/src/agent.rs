//! An agent of a test: its key, its registration, its mints.

use chancery_client::{Client, Error, Idempotence, Identity, Minted, meta, v1};
use v1::{
    agent_service_client::AgentServiceClient, principal_service_client::PrincipalServiceClient,
};

use crate::cluster::{Cluster, TRUST_DOMAIN, patient};

/// What every agent of the tests may call.
pub const AUDIENCE: &str = "https://ledger.example/v1";
/// Whose account they act on.
pub const OWNER: &str = "payments";

/// A registered agent.
pub struct Agent {
    /// `spiffe://test.example/<path>`.
    pub id: String,
    owner: String,
    key: String,
    certificate: String,
}

impl Agent {
    /// Makes a key and registers it, with `ledger:*` at [`AUDIENCE`] granted.
    pub async fn register(cluster: &Cluster, path: &str) -> Self {
        Self::register_for(cluster, path, OWNER).await
    }

    /// The same, on the account of `owner`.
    pub async fn register_for(cluster: &Cluster, path: &str, owner: &str) -> Self {
        add_owner(&cluster.operator(), owner).await;
        let agent = Self::unregistered(path, owner);
        register(&cluster.operator(), agent.spec()).await.unwrap();
        agent
    }

    /// An agent with a key that nobody knows.
    #[must_use]
    pub fn unregistered(path: &str, owner: &str) -> Self {
        let identity = Identity::generate().unwrap();
        Self {
            id: format!("spiffe://{TRUST_DOMAIN}/{path}"),
            owner: owner.to_owned(),
            key: identity.private_key_pem().to_string(),
            certificate: identity.certificate_pem(),
        }
    }

    /// The registration that it would ask for.
    #[must_use]
    pub fn spec(&self) -> v1::AgentSpec {
        v1::AgentSpec {
            id: self.id.clone(),
            owners: vec![self.owner.clone()],
            public_keys: vec![self.identity().public_key().to_vec()],
            grants: vec![v1::Grant {
                audience: "https://ledger.example/*".to_owned(),
                scopes: vec!["ledger:*".to_owned()],
                max_ttl_seconds: 0,
                bearer: false,
            }],
            ..v1::AgentSpec::default()
        }
    }

    /// Its key and certificate, the same each time.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::from_pem(&self.key, Some(&self.certificate)).unwrap()
    }

    /// Its SDK over the nodes at `positions`.
    #[must_use]
    pub fn at(&self, cluster: &Cluster, positions: &[usize]) -> Client {
        cluster.client(positions, Some(self.identity()), patient())
    }
}

/// What every agent of the tests asks for.
#[must_use]
pub fn wanted() -> v1::MintRequest {
    v1::MintRequest {
        audience: AUDIENCE.to_owned(),
        scopes: vec!["ledger:read".to_owned()],
        ..v1::MintRequest::default()
    }
}

/// Mints what [`wanted`] asks for.
///
/// # Errors
/// As the SDK.
pub async fn mint(client: &Client) -> Result<Minted, Error> {
    client.mint(wanted()).await
}

/// Adds an owner; that it is there already is no error.
pub async fn add_owner(operator: &Client, name: &str) {
    let added = operator
        .call(Idempotence::Repeatable, |channel| async move {
            let request = v1::AddOwnerRequest {
                meta: meta("a test").map_err(|error| tonic::Status::internal(error.to_string()))?,
                name: name.to_owned(),
                description: String::new(),
            };
            PrincipalServiceClient::new(channel)
                .add_owner(request)
                .await
        })
        .await;
    match added {
        Ok(_) => {}
        Err(error) => assert_eq!(error.reason(), Some("OWNER_EXISTS"), "{error}"),
    }
}

/// Registers an agent; one request id over all tries.
///
/// # Errors
/// As the SDK.
pub async fn register(
    operator: &Client,
    agent: v1::AgentSpec,
) -> Result<v1::RegisterResponse, Error> {
    let request = v1::RegisterRequest {
        meta: meta("a test")?,
        agent: Some(agent),
    };
    operator
        .call(Idempotence::Repeatable, |channel| {
            let request = request.clone();
            async move { AgentServiceClient::new(channel).register(request).await }
        })
        .await
}
