//! Text that others wrote, on a terminal: names in a file, descriptions and reasons
//! in the registry, what a node refuses and what it logs. None of it moves the
//! cursor, changes a colour, reorders a line or begins one.

use std::{fs, path::Path, process::Output};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chancery_tests::{
    chancery::{json, run, succeed},
    cluster::{Cluster, TRUST_DOMAIN},
};
use serde_json::json as value;

/// Clears the screen, sets the title, colours by a C1 control, turns the line
/// around, and writes a line of its own.
const HOSTILE: &str = "x\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}y\nchancery: done\u{8}";

/// What a terminal acts on, line breaks apart (Unicode categories Cc and Cf as far
/// as they change the order of text).
fn acts_on_a_terminal(character: char) -> bool {
    (character.is_control() && character != '\n')
        || ('\u{202a}'..='\u{202e}').contains(&character)
        || ('\u{2066}'..='\u{2069}').contains(&character)
}

fn is_plain(what: &str, text: &[u8]) -> String {
    let text = String::from_utf8(text.to_vec()).unwrap();
    let acting: Vec<char> = text
        .chars()
        .filter(|letter| acts_on_a_terminal(*letter))
        .collect();
    assert!(acting.is_empty(), "{what}: {acting:?} in {text}");
    assert!(
        !text.lines().any(|line| line.starts_with("chancery: done")),
        "{what}: a line of its own in {text}"
    );
    text
}

/// Both outputs of a command, in both forms.
fn both_forms(directory: &Path, arguments: &[&str]) -> [Output; 2] {
    [&[][..], &["--output", "json"]].map(|form| {
        let arguments = [arguments, form].concat();
        let output = run(directory, &arguments);
        is_plain(&format!("{arguments:?}"), &output.stdout);
        is_plain(&format!("{arguments:?}"), &output.stderr);
        output
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_wrote_stays_text_on_the_terminal_of_who_reads_it() {
    let cluster = Cluster::of(1).await;
    let home = cluster.path();
    let agent = format!("spiffe://{TRUST_DOMAIN}/billing");
    let operator = ["--profile", "profile"];
    let asked = |arguments: &[&str]| {
        succeed(
            &home,
            &[arguments, &operator, &["--reason", HOSTILE]].concat(),
        );
    };
    succeed(&home, &["agent", "key", "agent-1", "--profile", "profile"]);
    asked(&["owner", "add", "payments", "--description", HOSTILE]);
    let mut register = vec!["agent", "register", &agent, "--owner", "payments"];
    register.extend(["--public-key", "agent-1/identity.pub"]);
    register.extend(["--grant", "https://ledger.example/* ledger:*"]);
    register.extend(["--description", HOSTILE]);
    asked(&register);

    for read in [
        &["agent", "get", &agent][..],
        &["agent", "list"],
        &["owner", "list"],
        &["whoami"],
        &["node", "status"],
        &["epoch", "show"],
    ] {
        let shown = both_forms(&home, &[read, &operator].concat());
        assert!(
            shown.iter().all(|output| output.status.success()),
            "{read:?}"
        );
    }
    // Programs get the very text.
    let shown = json(&home, &[&["agent", "get", &agent][..], &operator].concat());
    assert!(
        shown.to_string().contains(&value!(HOSTILE).to_string()),
        "{shown}"
    );

    // What is refused names what was asked for.
    let nobody = format!("spiffe://{TRUST_DOMAIN}/{HOSTILE}");
    for wrong in [
        &["agent", "get", &nobody][..],
        &["suspend", "owner", HOSTILE, "--reason", "a test"],
        &["epoch", "show", "--min-revision", HOSTILE],
        &["agent", "get", HOSTILE],
    ] {
        for output in both_forms(&home, &[wrong, &operator].concat()) {
            assert!(!output.status.success(), "{wrong:?}");
        }
    }
    is_plain("the node's log", &fs::read(cluster.nodes[0].log()).unwrap());
}

#[test]
fn a_hostile_token_and_a_hostile_profile_stay_text() {
    let home = tempfile::tempdir().unwrap();
    let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let claims = value!({
        "iss": HOSTILE, "sub": HOSTILE, "aud": [HOSTILE], "scope": HOSTILE,
        "cnf": { HOSTILE: HOSTILE }, "act": { "sub": { HOSTILE: [HOSTILE] } },
    });
    let token = format!(
        "{}.{}.AA",
        part(value!({ "kid": HOSTILE, "alg": HOSTILE })),
        part(claims)
    );
    fs::write(home.path().join("token"), token).unwrap();
    for output in both_forms(home.path(), &["token", "inspect", "token"]) {
        assert!(output.status.success());
    }
    for hostile in [
        HOSTILE,
        "\u{1b}[2J",
        "endpoints = [\"\\u001b[2J\"]\nroot = 1",
    ] {
        fs::create_dir_all(home.path().join("profile")).unwrap();
        fs::write(home.path().join("profile/client.toml"), hostile).unwrap();
        for output in both_forms(home.path(), &["whoami", "--profile", "profile"]) {
            assert!(!output.status.success());
        }
    }
}
