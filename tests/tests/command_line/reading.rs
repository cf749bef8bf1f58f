//! Every command that reads, as a table and as JSON: the same facts.

use std::path::Path;

use chancery_tests::{
    agent::AUDIENCE,
    chancery::{json, run, succeed},
    cluster::{Cluster, TRUST_DOMAIN},
    until::until,
};

use crate::shell::{Shown, said, table};

/// A cluster of one node, with somebody of each kind, as its operator registers
/// them.
struct Registered {
    cluster: Cluster,
    agent: String,
}

impl Registered {
    async fn all() -> Self {
        let cluster = Cluster::of(1).await;
        let registered = Self {
            cluster,
            agent: format!("spiffe://{TRUST_DOMAIN}/billing"),
        };
        for who in ["agent", "operator", "service"] {
            let directory = format!("{who}-1");
            registered.asked(&[who, "key", &directory]);
        }
        registered.asked(&["owner", "add", "payments", "--description", "The ledger"]);
        registered.asked(&[
            "agent",
            "register",
            &registered.agent,
            "--owner",
            "payments",
            "--public-key",
            "agent-1/identity.pub",
            "--grant",
            "https://ledger.example/* ledger:read ledger:write",
            "--description",
            "Pays bills",
        ]);
        registered.asked(&[
            "operator",
            "add",
            "eve",
            "--role",
            "auditor",
            "--role",
            "responder",
            "--expires",
            "2099-01-31T00:00:00Z",
            "--public-key",
            "operator-1/identity.pub",
        ]);
        registered.asked(&[
            "service",
            "add",
            "ledger",
            "--audience",
            AUDIENCE,
            "--public-key",
            "service-1/identity.pub",
        ]);
        registered
    }

    fn home(&self) -> std::path::PathBuf {
        self.cluster.path()
    }

    /// Runs a command as the operator. It has to succeed.
    fn asked(&self, arguments: &[&str]) {
        succeed(&self.home(), &as_operator(arguments));
    }

    fn record(&self, arguments: &[&str]) -> Shown {
        Shown::record(&self.home(), &as_operator(arguments))
    }

    fn list(&self, arguments: &[&str]) -> Vec<Shown> {
        Shown::list(&self.home(), &as_operator(arguments))
    }

    /// Mints into a new file, as the agent. Gives the token's id.
    fn mint(&self, file: &str) -> String {
        let mint = [
            "token",
            "mint",
            "--audience",
            AUDIENCE,
            "--scope",
            "ledger:read",
            "--out",
            file,
            "--profile",
            "agent-1",
        ];
        let minted = json(&self.home(), &mint);
        assert!(minted["token"].is_null(), "it went to the file: {minted}");
        minted["token_id"].as_str().unwrap().to_owned()
    }

    /// Why a token in a file is refused; `None` when it is in force.
    fn refused(&self, file: &str) -> Option<String> {
        let verify = verify(file);
        let output = run(&self.home(), &[&verify[..], &["--output", "json"]].concat());
        let view: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let code = output.status.code();
        if view["valid"] == true {
            assert_eq!(code, Some(0), "{}", said(&output));
            return None;
        }
        assert_eq!(code, Some(3), "{}", said(&output));
        Some(view["reason"].as_str().unwrap().to_owned())
    }
}

fn as_operator<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &["--profile", "profile"]].concat()
}

fn verify(file: &str) -> [&str; 8] {
    [
        "token",
        "verify",
        file,
        "--audience",
        AUDIENCE,
        "--certificate",
        "agent-1/identity.pem",
        "--profile=profile",
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_registered_reads_the_same_for_people_and_for_programs() {
    let registered = Registered::all().await;

    let me = registered.record(&["whoami"]);
    me.agrees_on(&[
        ("principal", "/principal"),
        ("roles", "/roles"),
        ("key", "/key_thumbprint"),
    ]);
    assert_eq!(me.json["roles"].as_array().unwrap().len(), 4);

    let owners = registered.list(&["owner", "list"]);
    assert_eq!(owners.len(), 1);
    owners[0].agrees_on(&[
        ("name", "/name"),
        ("suspended", "/suspended"),
        ("description", "/description"),
    ]);
    assert_eq!(owners[0].text("/description"), "The ledger");

    let operators = registered.list(&["operator", "list"]);
    let names: Vec<&str> = operators.iter().map(|one| one.text("/name")).collect();
    assert_eq!(names, ["eve", "root"]);
    for operator in &operators {
        operator.agrees_on(&[
            ("name", "/name"),
            ("roles", "/roles"),
            ("expires", "/expires_at"),
            ("keys", "/key_thumbprints"),
        ]);
    }
    assert_eq!(operators[0].text("/expires_at"), "2099-01-31T00:00:00Z");

    let services = registered.list(&["service", "list"]);
    assert_eq!(services.len(), 1);
    services[0].agrees_on(&[
        ("name", "/name"),
        ("audiences", "/audiences"),
        ("keys", "/key_thumbprints"),
    ]);

    let agents = registered.list(&["agent", "list"]);
    assert_eq!(agents.len(), 1);
    agents[0].agrees_on(&[("id", "/id"), ("owners", "/owners")]);
    let agent = registered.record(&["agent", "get", &registered.agent]);
    agent.agrees_on(&[
        ("id", "/id"),
        ("owners", "/owners"),
        ("suspended", "/suspended"),
        ("description", "/description"),
        ("registered at", "/registered_at"),
        ("keys", "/key_thumbprints"),
    ]);
    assert_eq!(agent.json["grants"][0]["scopes"][1], "ledger:write");
    assert_eq!(agent.json, agents[0].json);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_nodes_read_the_same_for_people_and_for_programs() {
    let cluster = Cluster::of(1).await;
    let home = cluster.path();
    let nodes = Shown::list(&home, &as_operator(&["node", "list"]));
    assert_eq!(nodes.len(), 1);
    nodes[0].agrees_on(&[
        ("node", "/number"),
        ("name", "/name"),
        ("standing", "/standing"),
        ("leads", "/leads"),
        ("api address", "/api_address"),
        ("peer address", "/peer_address"),
        ("barred", "/barred"),
    ]);
    assert_eq!(nodes[0].text("/standing"), "voter");
    assert_eq!(nodes[0].text("/api_address"), cluster.nodes[0].api());

    let status = Shown::list(&home, &as_operator(&["node", "status"]));
    assert_eq!(status.len(), 1);
    status[0].agrees_on(&[
        ("endpoint", "/endpoint"),
        ("node", "/node"),
        ("name", "/name"),
        ("standing", "/standing"),
        ("leader", "/leader"),
        ("fresh", "/fresh"),
        ("behind", "/behind"),
        ("issuer", "/issuer"),
        ("epoch", "/epoch"),
        ("agents", "/agents"),
        ("error", "/error"),
    ]);
    assert_eq!(status[0].json["fresh"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_reads_the_same_for_people_and_for_programs() {
    let registered = Registered::all().await;
    let home = registered.home();
    let id = registered.mint("token");

    let verified = Shown::record(&home, &verify("token"));
    verified.agrees_on(&[
        ("valid", "/valid"),
        ("subject", "/claims/subject"),
        ("audience", "/claims/audience"),
        ("scopes", "/claims/scopes"),
        ("owners", "/claims/owners"),
        ("expires", "/claims/expires_at"),
        ("token id", "/claims/token_id"),
        ("bound to", "/claims/bound_to"),
    ]);
    assert_eq!(verified.json["valid"], true);
    assert_eq!(verified.text("/claims/token_id"), id);
    assert_eq!(verified.text("/claims/subject"), registered.agent);

    let inspected = Shown::record(&home, &["token", "inspect", "token"]);
    inspected.agrees_on(&[
        ("verified", "/verified"),
        ("well formed", "/well_formed"),
        ("subject", "/claims/sub"),
        ("key id", "/header/kid"),
        ("expires", "/expires"),
        ("token id", "/claims/jti"),
        ("owners", "/claims/own"),
    ]);
    assert_eq!(inspected.json["verified"], false);
    assert_eq!(inspected.text("/claims/jti"), id);
    assert_eq!(
        inspected.text("/expires"),
        verified.text("/claims/expires_at")
    );
    let warned = said(&run(&home, &["token", "inspect", "token"]));
    assert!(warned.contains("NOT VERIFIED"), "{warned}");

    // To a pipe, the token and nothing else.
    let mint = [
        "token",
        "mint",
        "--audience",
        AUDIENCE,
        "--scope",
        "ledger:read",
    ];
    let piped = table(&home, &[&mint[..], &["--profile", "agent-1"]].concat());
    assert_eq!(piped.trim_end().matches('.').count(), 2);
    assert!(!piped.trim_end().contains(char::is_whitespace));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_verbs_end_what_they_say_and_nothing_else() {
    let registered = Registered::all().await;
    let verb = |words: &[&str]| {
        let reason = [words, &["--reason", "a test"]].concat();
        let answer = json(&registered.home(), &as_operator(&reason));
        assert_eq!(answer["committed"]["state"], "enforced", "{answer}");
        answer
    };
    for token in ["first", "second"] {
        registered.mint(token);
    }

    verb(&["token", "revoke", "first"]);
    let refused = registered.refused("first");
    assert_eq!(refused.as_deref(), Some("TOKEN_REVOKED"));
    assert_eq!(registered.refused("second"), None);

    let held = verb(&["revoke", "agent", &registered.agent]);
    assert_eq!(held["may_mint_anew"], true);
    let refused = registered.refused("second");
    assert_eq!(refused.as_deref(), Some("AGENT_REVOKED"));
    registered.mint("third");
    assert_eq!(registered.refused("third"), None);

    let suspended = verb(&["suspend", "owner", "payments"]);
    assert_eq!(suspended["subject"], "owner payments");
    assert_eq!(suspended["may_mint_anew"], false);
    let refused = registered.refused("third");
    assert_eq!(refused.as_deref(), Some("OWNER_REVOKED"));
    let owners = registered.list(&["owner", "list"]);
    owners[0].agrees_on(&[("suspended", "/suspended")]);
    assert_eq!(owners[0].json["suspended"], true);

    verb(&["resume", "owner", "payments"]);
    registered.mint("fourth");
    assert_eq!(registered.refused("fourth"), None);
    let refused = registered.refused("third");
    assert_eq!(refused.as_deref(), Some("OWNER_REVOKED"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_keys_are_shown_rotated_and_revoked() {
    let registered = Registered::all().await;
    registered.mint("old");
    let shown = registered.list(&["epoch", "show"]);
    assert_eq!(shown.len(), 1);
    agree_on_issuer(&shown[0]);
    assert_eq!(shown[0].text("/state"), "open");
    let first = shown[0].json["number"].as_u64().unwrap();

    let rotated = json(&registered.home(), &as_operator(&["epoch", "rotate"]));
    assert_eq!(rotated["epoch"], 2);
    let second = until("the node had followed with a new key", || async {
        let shown = registered.list(&["epoch", "show"]);
        shown.iter().for_each(agree_on_issuer);
        let newest = shown.iter().find(|issuer| issuer.json["epoch"] == 2)?;
        newest.json["number"].as_u64()
    })
    .await;
    assert_ne!(first, second);
    assert_eq!(registered.refused("old"), None, "a rotation ends nothing");

    let number = first.to_string();
    let revoke = ["epoch", "revoke", "--issuer", &number, "--reason", "a test"];
    let revoked = json(&registered.home(), &as_operator(&revoke));
    assert_eq!(revoked["issuers"], serde_json::json!([first]));
    let refused = registered.refused("old");
    assert_eq!(refused.as_deref(), Some("ISSUER_REVOKED"));
    registered.mint("new");
    assert_eq!(registered.refused("new"), None);
}

fn agree_on_issuer(issuer: &Shown) {
    issuer.agrees_on(&[
        ("issuer", "/number"),
        ("node", "/node"),
        ("epoch", "/epoch"),
        ("state", "/state"),
        ("opened at", "/opened_at"),
        ("retired at", "/retired_at"),
        ("key id", "/key_id"),
    ]);
}

/// A reader that has gone away is no fault.
#[test]
fn a_reader_that_has_gone_away_ends_a_command_quietly() {
    let home: &Path = Path::new("/");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = std::process::Command::new(chancery_tests::chancery::binary())
        .args(["token", "inspect"])
        .current_dir(home)
        .stdin(token_on_stdin())
        .stdout(writer)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

fn token_on_stdin() -> std::io::PipeReader {
    use std::io::Write;
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"e30.e30.e30\n").unwrap();
    reader
}
