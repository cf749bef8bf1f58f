//! The table of verbs, over real nodes: after each, what it covers is refused on
//! every node, and nothing else is; who may mint anew, may.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use chancery_client::{Minted, meta, v1};
use chancery_tests::{
    agent::{Agent, OWNER, wanted},
    call,
    cluster::Cluster,
    verify::{by_jose, verdict},
};
use v1::{
    agent_service_client::AgentServiceClient, key_service_client::KeyServiceClient,
    revocation_service_client::RevocationServiceClient, revoke_key_request::Keys,
};

const NODES: usize = 3;
/// Who is subject to the verbs, one of the same owner, and one of another.
const SUBJECT: usize = 0;
const SIBLING: usize = 1;
const BYSTANDER: usize = 2;
/// The node whose issuer is revoked.
const STOLEN: usize = 1;

/// Three agents that hold a token of each node.
struct World {
    cluster: Cluster,
    agents: [Agent; 3],
}

/// One token.
struct Held {
    agent: usize,
    node: usize,
    token: Minted,
}

impl World {
    async fn new() -> Self {
        let cluster = Cluster::of(NODES).await;
        let agents = [
            Agent::register(&cluster, "subject").await,
            Agent::register(&cluster, "sibling").await,
            Agent::register_for(&cluster, "bystander", "support").await,
        ];
        Self { cluster, agents }
    }

    async fn mint(
        &self,
        agent: usize,
        node: usize,
        min_revision: &str,
    ) -> Result<Minted, chancery_client::Error> {
        let request = v1::MintRequest {
            min_revision: min_revision.to_owned(),
            ..wanted()
        };
        let client = self.agents[agent].at(&self.cluster, &[node]);
        client.mint(request).await
    }

    /// A token of each node for each of `agents`.
    async fn holdings(&self, agents: &[usize], min_revision: &str) -> Vec<Held> {
        let mut all = Vec::new();
        for agent in agents.iter().copied() {
            for node in 0..NODES {
                let token = self.mint(agent, node, min_revision).await.unwrap();
                all.push(Held { agent, node, token });
            }
        }
        all
    }

    /// Every node refuses, for `reason`, what `dead` says, and accepts all else.
    async fn expect(
        &self,
        verb: &str,
        held: &[Held],
        seen: &str,
        reason: &str,
        dead: impl Fn(&Held) -> bool,
    ) {
        for one in held {
            for node in 0..NODES {
                let agent = &self.agents[one.agent];
                let said = verdict(&self.cluster, node, agent, &one.token.token, seen).await;
                let expected = dead(one).then_some(reason);
                assert_eq!(
                    said.as_deref(),
                    expected,
                    "after {verb}, node {node} of a token of {} minted on node {}",
                    agent.id,
                    one.node
                );
            }
        }
    }

    async fn refused_to_mint(&self, verb: &str, agent: usize, seen: &str, reason: &str) {
        for node in 0..NODES {
            let refused = self.mint(agent, node, seen).await.unwrap_err();
            assert_eq!(
                refused.reason(),
                Some(reason),
                "after {verb}, on node {node}: {refused}"
            );
        }
    }

    async fn suspend(&self, subject: v1::Subject) -> String {
        let request = v1::SuspendRequest {
            meta: meta("odd").unwrap(),
            subject: Some(subject),
        };
        let response = call!(
            self.cluster.operator(),
            AgentServiceClient::suspend,
            request
        );
        committed(response.unwrap().committed)
    }

    async fn resume(&self, subject: v1::Subject) -> String {
        let request = v1::ResumeRequest {
            meta: meta("cleared").unwrap(),
            subject: Some(subject),
        };
        let response = call!(self.cluster.operator(), AgentServiceClient::resume, request);
        committed(response.unwrap().committed)
    }

    async fn revoke_held(&self, subject: v1::Subject) -> String {
        let request = v1::RevokeHeldRequest {
            meta: meta("to be sure").unwrap(),
            subject: Some(subject),
        };
        let response = call!(
            self.cluster.operator(),
            RevocationServiceClient::revoke_held,
            request
        )
        .unwrap();
        assert!(response.may_mint_anew);
        committed(response.committed)
    }

    async fn revoke_keys(&self, keys: Keys) -> v1::RevokeKeyResponse {
        let request = v1::RevokeKeyRequest {
            meta: meta("stolen").unwrap(),
            keys: Some(keys),
        };
        call!(self.cluster.operator(), KeyServiceClient::revoke, request).unwrap()
    }

    /// Narrows the subject's grant to reading.
    async fn narrow(&self, scope: &str, keep_held: bool) -> v1::UpdateResponse {
        let mut spec = self.agents[SUBJECT].spec();
        spec.grants[0].scopes = vec![scope.to_owned()];
        let request = v1::UpdateRequest {
            changed_at: 0,
            meta: meta("less will do").unwrap(),
            agent: Some(spec),
            keep_held,
        };
        call!(self.cluster.operator(), AgentServiceClient::update, request).unwrap()
    }
}

/// The consistency token of a change that is in force on every node.
fn committed(committed: Option<v1::Committed>) -> String {
    let committed = committed.unwrap();
    assert_eq!(
        committed.enforcement.unwrap().state(),
        v1::EnforcementState::Enforced
    );
    committed.consistency_token
}

const ALL: [usize; 3] = [SUBJECT, SIBLING, BYSTANDER];

/// Who a subject covers, and the reasons that are then given.
struct Covers {
    name: &'static str,
    subject: v1::subject::Subject,
    agents: &'static [usize],
    dead: &'static str,
    suspended: &'static str,
}

fn subjects(agent: &str) -> [Covers; 3] {
    use v1::subject::Subject;
    [
        Covers {
            name: "agent",
            subject: Subject::Agent(agent.to_owned()),
            agents: &[SUBJECT],
            dead: "AGENT_REVOKED",
            suspended: "AGENT_SUSPENDED",
        },
        Covers {
            name: "owner",
            subject: Subject::Owner(OWNER.to_owned()),
            agents: &[SUBJECT, SIBLING],
            dead: "OWNER_REVOKED",
            suspended: "OWNER_SUSPENDED",
        },
        Covers {
            name: "everything",
            subject: Subject::Everything(true),
            agents: &ALL,
            dead: "EVERYTHING_REVOKED",
            suspended: "EVERYTHING_SUSPENDED",
        },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspend_resume_and_revoke_held_reach_whom_they_name() {
    let world = World::new().await;
    let mut seen = String::new();
    for covers in subjects(&world.agents[SUBJECT].id) {
        let subject = v1::Subject {
            subject: Some(covers.subject.clone()),
        };
        let covered = |held: &Held| covers.agents.contains(&held.agent);

        let held = world.holdings(&ALL, &seen).await;
        seen = world.revoke_held(subject.clone()).await;
        let verb = format!("RevokeHeld({})", covers.name);
        world
            .expect(&verb, &held, &seen, covers.dead, covered)
            .await;

        let held = world.holdings(&ALL, &seen).await;
        seen = world.suspend(subject.clone()).await;
        let verb = format!("Suspend({})", covers.name);
        world
            .expect(&verb, &held, &seen, covers.dead, covered)
            .await;
        for agent in ALL {
            if covers.agents.contains(&agent) {
                world
                    .refused_to_mint(&verb, agent, &seen, covers.suspended)
                    .await;
            } else {
                world.holdings(&[agent], &seen).await;
            }
        }

        seen = world.resume(subject).await;
        let verb = format!("Resume({})", covers.name);
        world
            .expect(&verb, &held, &seen, covers.dead, covered)
            .await;
        let anew = world.holdings(&ALL, &seen).await;
        world.expect(&verb, &anew, &seen, "", |_| false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_token_is_revoked_and_one_agent_narrowed_and_removed() {
    let world = World::new().await;
    let held = world.holdings(&ALL, "").await;

    let victim = held[0].token.token.clone();
    let request = v1::RevokeRequest {
        meta: meta("leaked").unwrap(),
        credential: Some(v1::revoke_request::Credential::Token(victim.clone())),
    };
    let revoked = call!(
        world.cluster.operator(),
        RevocationServiceClient::revoke,
        request
    );
    let seen = committed(revoked.unwrap().committed);
    world
        .expect("Revoke(token)", &held, &seen, "TOKEN_REVOKED", |held| {
            held.token.token == victim
        })
        .await;

    let held = world.holdings(&ALL, &seen).await;
    let kept = world.narrow("ledger:read", true).await;
    assert!(!kept.held_killed);
    let seen = committed(kept.committed);
    world
        .expect("Update(keep)", &held, &seen, "", |_| false)
        .await;

    let narrowed = world.narrow("ledger:write", false).await;
    assert!(narrowed.held_killed);
    let seen = committed(narrowed.committed);
    let subject = |held: &Held| held.agent == SUBJECT;
    world
        .expect("Update", &held, &seen, "AGENT_REVOKED", subject)
        .await;
    world
        .refused_to_mint("Update", SUBJECT, &seen, "NOT_GRANTED")
        .await;

    let held = world.holdings(&[SIBLING, BYSTANDER], &seen).await;
    let request = v1::RemoveRequest {
        meta: meta("retired").unwrap(),
        id: world.agents[SIBLING].id.clone(),
    };
    let removed = call!(
        world.cluster.operator(),
        AgentServiceClient::remove,
        request
    );
    let seen = committed(removed.unwrap().committed);
    world
        .expect("Remove", &held, &seen, "AGENT_REVOKED", |held| {
            held.agent == SIBLING
        })
        .await;
    // Its key is nobody's now.
    world
        .refused_to_mint("Remove", SIBLING, &seen, "UNKNOWN_KEY")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issuers_die_by_number_by_epoch_and_by_node() {
    let world = World::new().await;
    let stolen = |held: &Held| held.node == STOLEN;

    let held = world.holdings(&ALL, "").await;
    let issuer = world.cluster.status(STOLEN).await.unwrap().issuer.unwrap();
    let revoked = world.revoke_keys(Keys::Issuer(issuer)).await;
    assert_eq!(revoked.issuers, [issuer]);
    let seen = committed(revoked.committed);
    world
        .expect("Revoke(issuer)", &held, &seen, "ISSUER_REVOKED", stolen)
        .await;
    for one in &held {
        let said = by_jose(&world.cluster, 0, &one.token.token).await;
        assert_eq!(said.is_err(), stolen(one), "published or not: {said:?}");
    }
    // Its process opens another at once.
    let held = world.holdings(&ALL, &seen).await;

    let epoch = world.cluster.status(0).await.unwrap().epoch;
    let revoked = world.revoke_keys(Keys::Epoch(epoch)).await;
    assert!(revoked.issuers.len() >= NODES, "{:?}", revoked.issuers);
    let seen = committed(revoked.committed);
    world
        .expect("Revoke(epoch)", &held, &seen, "ISSUER_REVOKED", |_| true)
        .await;
    // Every process follows into the successor that was opened with it.
    let held = world.holdings(&ALL, &seen).await;
    assert!(world.cluster.status(0).await.unwrap().epoch > epoch);

    let number = STOLEN as u64 + 1;
    let revoked = world.revoke_keys(Keys::Node(number)).await;
    assert!(!revoked.issuers.is_empty());
    let seen = committed(revoked.committed);
    world
        .expect("Revoke(node)", &held, &seen, "ISSUER_REVOKED", stolen)
        .await;
    for node in (0..NODES).filter(|node| *node != STOLEN) {
        world.mint(SUBJECT, node, &seen).await.unwrap();
    }
    // Barred: it judges still, and signs no more.
    let client = world.cluster.client(
        &[STOLEN],
        Some(world.agents[SUBJECT].identity()),
        chancery_tests::cluster::impatient(),
    );
    let refused = client.mint(wanted()).await.unwrap_err();
    assert!(
        matches!(&refused, chancery_client::Error::Unavailable { .. }),
        "{refused}"
    );
}
