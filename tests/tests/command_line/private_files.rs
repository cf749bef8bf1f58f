//! What holds a secret is its owner's alone.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use chancery_tests::{
    agent::AUDIENCE,
    chancery::{run, succeed},
    cluster::{Cluster, TRUST_DOMAIN},
};

use crate::shell::said;

fn mode(file: &Path) -> u32 {
    fs::metadata(file).unwrap().permissions().mode() & 0o777
}

fn open_to_others(file: &Path) {
    fs::set_permissions(file, Permissions::from_mode(0o640)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_its_owners_alone_and_is_not_used_when_it_is_not() {
    let mut cluster = Cluster::of(1).await;
    let home = cluster.path();
    for who in ["agent", "operator", "service"] {
        succeed(&home, &[who, "key", who, "--profile", "profile"]);
    }
    for key in [
        "agent/identity.key",
        "operator/identity.key",
        "service/identity.key",
        "profile/identity.key",
        "ca/root.key",
        "n1/peer.key",
        "n1/server.key",
    ] {
        let key = home.join(key);
        assert_eq!(mode(&key), 0o600, "{}", key.display());
        assert_eq!(mode(key.parent().unwrap()), 0o700, "{}", key.display());
    }

    let san = cluster.nodes[0].address.to_string();
    let whoami = ["whoami", "--profile", "profile"];
    let renew = [
        "node",
        "renew",
        "n1.admission",
        "--san",
        &san,
        "--ca",
        "ca",
        "--admission",
        "renewed",
    ];
    for (key, command) in [
        ("profile/identity.key", &whoami[..]),
        ("ca/root.key", &renew[..]),
    ] {
        let key = home.join(key);
        open_to_others(&key);
        let refused = run(&home, command);
        assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
        let advice = format!("chmod 600 {}", key.display());
        let advice = advice.replace(&format!("{}/", home.display()), "");
        assert!(
            said(&refused).contains(&advice),
            "{advice}: {}",
            said(&refused)
        );
        fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        succeed(&home, command);
    }

    // A node does not start with such a key, and is not started again for ever.
    cluster.nodes[0].kill();
    open_to_others(&home.join("n1/server.key"));
    let configuration = cluster.nodes[0].configuration();
    let refused = run(
        &home,
        &["serve", "--config", configuration.to_str().unwrap()],
    );
    assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
    assert!(said(&refused).contains("chmod 600"), "{}", said(&refused));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_in_a_file_is_its_owners_alone_and_takes_the_place_of_nothing() {
    let cluster = Cluster::of(1).await;
    let home = cluster.path();
    let id = format!("spiffe://{TRUST_DOMAIN}/writer");
    let grant = format!("{AUDIENCE} ledger:read");
    succeed(&home, &["owner", "add", "payments", "--profile", "profile"]);
    succeed(&home, &["agent", "key", "agent", "--profile", "profile"]);
    succeed(
        &home,
        &[
            "agent",
            "register",
            &id,
            "--owner",
            "payments",
            "--grant",
            &grant,
            "--public-key",
            "agent/identity.pub",
            "--profile",
            "profile",
        ],
    );
    let mint = [
        "token",
        "mint",
        "--audience",
        AUDIENCE,
        "--scope",
        "ledger:read",
        "--out",
        "token",
        "--profile",
        "agent",
    ];
    succeed(&home, &mint);
    assert_eq!(mode(&home.join("token")), 0o600);
    let token = fs::read_to_string(home.join("token")).unwrap();
    let again = run(&home, &mint);
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
    assert_eq!(fs::read_to_string(home.join("token")).unwrap(), token);
}
