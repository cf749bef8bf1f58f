//! Grant sets over real nodes: what is minted under one says so, and lives and dies
//! with it; what the same agent holds by its own grants does not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use chancery_client::{Minted, v1};
use chancery_credential::UnverifiedToken;
use chancery_tests::{
    agent::{Agent, OWNER, add_owner, mint, register, wanted},
    call,
    chancery::{json, run, succeed},
    cluster::Cluster,
    verify::verdict,
};
use serde_json::{Value, json};
use v1::agent_service_client::AgentServiceClient;

const NODES: usize = 2;
const SET: &str = "readers";

/// An agent that may read by its set, and write by a grant of its own.
struct World {
    cluster: Cluster,
    agent: Agent,
}

impl World {
    async fn new() -> Self {
        let cluster = Cluster::of(NODES).await;
        add_owner(&cluster.operator(), OWNER).await;
        let world = Self {
            agent: Agent::unregistered("reader", OWNER),
            cluster,
        };
        world.command(&[
            "put",
            SET,
            "--grant",
            "https://ledger.example/* ledger:read",
        ]);
        let mut spec = world.agent.spec();
        spec.grants[0].scopes = vec!["ledger:write".to_owned()];
        spec.grant_sets = vec![SET.to_owned()];
        register(&world.cluster.operator(), spec).await.unwrap();
        world
    }

    /// Runs a `grant-set` command as the operator. It has to succeed.
    fn command(&self, arguments: &[&str]) -> Value {
        let all = [&["grant-set"], arguments, &["--profile", "profile"]].concat();
        json(&self.cluster.path(), &all)
    }

    /// The reason why a `grant-set` command is refused.
    fn refused(&self, arguments: &[&str]) -> String {
        let options = ["--profile", "profile", "--output", "json"];
        let all = [&["grant-set"], arguments, &options].concat();
        let output = run(&self.cluster.path(), &all);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        let said: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert!(
            !said["error"]["next"].as_str().unwrap().is_empty(),
            "{said}"
        );
        said["error"]["reason"].as_str().unwrap().to_owned()
    }

    /// `suspend` or `resume`: the verbs that every subject has.
    fn verb(&self, verb: &str) {
        let options = ["--profile", "profile", "--reason", "a test"];
        let all = [&[verb, "grant-set", SET], &options[..]].concat();
        succeed(&self.cluster.path(), &all);
    }

    /// Replaces the set's grants, and says whether what was minted under it is dead.
    fn put(&self, scopes: &str, further: &[&str]) -> bool {
        let grant = format!("https://ledger.example/* {scopes}");
        let arguments = [&["put", SET, "--grant", &grant], further].concat();
        self.command(&arguments)["held_killed"].as_bool().unwrap()
    }

    /// Names the state after everything that was commanded.
    async fn seen(&self) -> String {
        self.cluster.status(0).await.unwrap().consistency_token
    }

    async fn mint(&self, scope: &str, node: usize) -> Result<Minted, chancery_client::Error> {
        let request = v1::MintRequest {
            scopes: vec![scope.to_owned()],
            min_revision: self.seen().await,
            ..wanted()
        };
        self.agent.at(&self.cluster, &[node]).mint(request).await
    }

    /// What both nodes say of a token: one answer.
    async fn said(&self, token: &Minted) -> Option<String> {
        let seen = self.seen().await;
        let first = verdict(&self.cluster, 0, &self.agent, &token.token, &seen).await;
        let second = verdict(&self.cluster, 1, &self.agent, &token.token, &seen).await;
        assert_eq!(first, second, "the nodes agree");
        first
    }
}

fn sets_of(token: &Minted) -> Vec<String> {
    let token = UnverifiedToken::parse(&token.token).unwrap();
    token.claims().set.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_set_kills_and_refuses_what_is_minted_under_it_and_nothing_else() {
    let world = World::new().await;
    let read = world.mint("ledger:read", 0).await.unwrap();
    let write = world.mint("ledger:write", 1).await.unwrap();
    assert_eq!(sets_of(&read), [SET]);
    assert!(sets_of(&write).is_empty(), "by the agent's own grant");
    assert_eq!(world.said(&read).await, None);

    world.verb("suspend");
    assert_eq!(
        world.said(&read).await.as_deref(),
        Some("GRANT_SET_REVOKED")
    );
    assert_eq!(world.said(&write).await, None);
    for node in 0..NODES {
        let refused = world.mint("ledger:read", node).await.unwrap_err();
        assert_eq!(refused.reason(), Some("GRANT_SET_SUSPENDED"), "{refused}");
        world.mint("ledger:write", node).await.unwrap();
    }
    assert_eq!(world.command(&["get", SET])["suspended"], true);

    world.verb("resume");
    assert_eq!(
        world.said(&read).await.as_deref(),
        Some("GRANT_SET_REVOKED")
    );
    let anew = world.mint("ledger:read", 1).await.unwrap();
    assert_eq!(world.said(&anew).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_that_narrows_kills_unless_it_is_asked_to_keep() {
    let world = World::new().await;
    let held = world.mint("ledger:read", 0).await.unwrap();
    assert!(!world.put("ledger:*", &[]), "it widened");
    assert_eq!(world.said(&held).await, None);
    let wide = world.mint("ledger:close", 1).await.unwrap();
    assert_eq!(sets_of(&wide), [SET]);

    assert!(!world.put("ledger:read", &["--keep-held"]));
    assert_eq!(world.said(&wide).await, None, "kept");
    let refused = world.mint("ledger:close", 0).await.unwrap_err();
    assert_eq!(refused.reason(), Some("NOT_GRANTED"), "{refused}");

    assert!(world.put("ledger:list", &[]));
    for token in [&held, &wide] {
        assert_eq!(
            world.said(token).await.as_deref(),
            Some("GRANT_SET_REVOKED")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_is_removed_when_nobody_refers_to_it() {
    let world = World::new().await;
    let held = world.mint("ledger:read", 0).await.unwrap();
    world.command(&["put", "spare"]);
    let listed = world.command(&["list"]);
    assert_eq!(listed[0]["name"], SET);
    assert_eq!(listed[0]["agents"], 1);
    assert_eq!(listed[0]["grants"][0]["scopes"], json!(["ledger:read"]));
    assert_eq!(
        (&listed[1]["name"], &listed[1]["agents"]),
        (&json!("spare"), &json!(0))
    );

    let remove = ["remove", SET, "--reason", "a test"];
    assert_eq!(world.refused(&remove), "GRANT_SET_IN_USE");
    let mut users = vec!["agent", "list", "--grant-set", SET];
    users.extend(["--profile", "profile"]);
    let users = json(&world.cluster.path(), &users);
    assert_eq!(users[0]["id"], world.agent.id);
    assert_eq!(users[0]["grant_sets"], json!([SET]));
    let nobody = [
        "agent",
        "list",
        "--grant-set",
        "spare",
        "--profile",
        "profile",
    ];
    assert_eq!(json(&world.cluster.path(), &nobody), json!([]));

    // The registration lets go of it, and is asked to keep what is held.
    let request = v1::UpdateRequest {
        changed_at: 0,
        meta: chancery_client::meta("a test").unwrap(),
        agent: Some(world.agent.spec()),
        keep_held: true,
    };
    call!(
        world.cluster.operator(),
        AgentServiceClient::update,
        request
    )
    .unwrap();
    assert_eq!(world.said(&held).await, None);
    world.command(&remove);
    assert_eq!(
        world.said(&held).await.as_deref(),
        Some("GRANT_SET_REVOKED")
    );
    assert_eq!(world.refused(&["get", SET]), "GRANT_SET_UNKNOWN");
    assert_eq!(world.refused(&remove), "GRANT_SET_UNKNOWN");
    assert!(mint(&world.agent.at(&world.cluster, &[1])).await.is_ok());
}
