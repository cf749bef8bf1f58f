//! Clients that share no code with Chancery: grpcurl, which is grpc-go, and Python's
//! grpcio, which is gRPC's C core. With a client certificate they get in; without one
//! they reach health and the JWKS only.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use chancery_tests::{
    agent::{AUDIENCE, OWNER, add_owner},
    chancery::{binary, succeed},
    cluster::{Cluster, TRUST_DOMAIN},
    method,
};
use serde_json::{Value, json};

/// A tool that `tests/interop/tools.sh` installed.
fn tool(name: &str) -> PathBuf {
    let path = binary().parent().unwrap().join("../interop").join(name);
    assert!(
        path.exists(),
        "`{}` is missing: run the tests with `make test`, which installs it first",
        path.display()
    );
    path
}

/// One node, and an agent whose key lies in `agent/`.
async fn one_node_and_an_agent() -> Cluster {
    let cluster = Cluster::of(1).await;
    let home = cluster.path();
    add_owner(&cluster.operator(), OWNER).await;
    succeed(&home, &["agent", "key", "agent", "--profile", "profile"]);
    succeed(
        &home,
        &[
            "agent",
            "register",
            &format!("spiffe://{TRUST_DOMAIN}/agent"),
            "--owner",
            OWNER,
            "--grant",
            "https://ledger.example/* ledger:*",
            "--public-key",
            "agent/identity.pub",
            "--profile",
            "profile",
        ],
    );
    cluster
}

fn mint() -> Value {
    json!({"audience": AUDIENCE, "scopes": ["ledger:read"]})
}

/// SHA-256 of the certificate in a profile, in JSON's form of bytes.
fn certificate_sha256(profile: &Path) -> String {
    use base64::Engine;
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    use sha2::Digest;
    let pem = std::fs::read(profile.join("identity.pem")).unwrap();
    let certificate = CertificateDer::from_pem_slice(&pem).unwrap();
    base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(certificate))
}

/// Runs grpcurl as the holder of `profile`, or as nobody.
fn grpcurl(cluster: &Cluster, profile: Option<&str>, rest: &[&str], data: &Value) -> Output {
    let home = cluster.path();
    let mut command = Command::new(tool("grpcurl"));
    command
        .current_dir(&home)
        .arg("-cacert")
        .arg("profile/root.pem");
    if let Some(profile) = profile {
        command.arg("-cert").arg(format!("{profile}/identity.pem"));
        command.arg("-key").arg(format!("{profile}/identity.key"));
    }
    // Flags, then the address, then what to call.
    let (flags, call) = rest.split_at(rest.len().saturating_sub(1));
    command
        .args(flags)
        .args(["-max-time", "20", "-d", &data.to_string()]);
    command.arg(cluster.nodes[0].api()).args(call);
    command.output().unwrap()
}

fn answered(output: &Output) -> Value {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpcurl_gets_in_with_a_certificate_and_to_health_without() {
    let cluster = one_node_and_an_agent().await;
    let home = cluster.path();

    // By reflection: nothing of the protocol is on grpcurl's side.
    let nothing = json!({});
    let listed = grpcurl(&cluster, Some("profile"), &["list"], &nothing);
    let listed = String::from_utf8(listed.stdout).unwrap();
    for service in ["chancery.v1.TokenService", "grpc.health.v1.Health"] {
        assert!(listed.contains(service), "{listed}");
    }
    let status = ["chancery.v1.ClusterService/Status"];
    let status = answered(&grpcurl(&cluster, Some("profile"), &status, &nothing));
    assert_eq!(status["trustDomain"], TRUST_DOMAIN);

    let call = ["chancery.v1.TokenService/Mint"];
    let minted = answered(&grpcurl(&cluster, Some("agent"), &call, &mint()));
    let verify = json!({
        "token": minted["token"],
        "audience": AUDIENCE,
        "certificateSha256": certificate_sha256(&home.join("agent")),
    });
    let call = ["chancery.v1.TokenService/Verify"];
    let verified = answered(&grpcurl(&cluster, Some("profile"), &call, &verify));
    assert_eq!(verified["verdict"], "VALID");
    assert_eq!(
        verified["claims"]["subject"],
        format!("spiffe://{TRUST_DOMAIN}/agent")
    );

    // Without one: health, and every method of the protocol refused.
    let health = home.join("health.bin");
    std::fs::write(&health, tonic_health::pb::FILE_DESCRIPTOR_SET).unwrap();
    let call = ["-protoset", "health.bin", "grpc.health.v1.Health/Check"];
    let said = answered(&grpcurl(&cluster, None, &call, &nothing));
    assert_eq!(said["status"], "SERVING");
    std::fs::write(home.join("api.bin"), chancery_wire::FILE_DESCRIPTOR_SET).unwrap();
    for method in method::public() {
        let name = method.path.trim_start_matches('/');
        let output = grpcurl(&cluster, None, &["-protoset", "api.bin", name], &nothing);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "nobody got into {name}");
        assert!(said.contains("Unauthenticated"), "{name}: {said}");
    }
    let output = grpcurl(&cluster, None, &["list"], &nothing);
    assert!(!output.status.success(), "nor into reflection");
}

/// Runs `interop/caller.py` as the holder of `profile`, or as nobody.
fn grpcio(cluster: &Cluster, profile: Option<&str>, calls: &[(&str, Value)]) -> Value {
    let home = cluster.path();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = |name: &str| profile.map(|profile| home.join(profile).join(name));
    let calls: Vec<Value> = calls
        .iter()
        .map(|(method, request)| json!({"method": method, "request": request}))
        .collect();
    let order = json!({
        "endpoint": cluster.nodes[0].api(),
        "root": home.join("profile/root.pem"),
        "certificate": file("identity.pem"),
        "key": file("identity.key"),
        "proto": tests.join("../proto"),
        "calls": calls,
    });
    let mut child = Command::new(tool("python/bin/python"))
        .arg(tests.join("interop/caller.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(order.to_string().as_bytes()).unwrap();
    drop(stdin);
    answered(&child.wait_with_output().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpcio_gets_in_with_a_certificate_and_to_health_and_keys_without() {
    let cluster = one_node_and_an_agent().await;
    let who = ("chancery.v1.PrincipalService.WhoAmI", json!({}));

    let calls = [who, ("chancery.v1.TokenService.Mint", mint())];
    let agent = grpcio(&cluster, Some("agent"), &calls);
    assert_eq!(
        agent["calls"][0]["answer"]["principal"],
        format!("agent:spiffe://{TRUST_DOMAIN}/agent")
    );
    let verify = json!({
        "token": agent["calls"][1]["answer"]["token"],
        "audience": AUDIENCE,
        "certificateSha256": certificate_sha256(&cluster.path().join("agent")),
    });
    let calls = [("chancery.v1.TokenService.Verify", verify)];
    let operator = grpcio(&cluster, Some("profile"), &calls);
    assert_eq!(operator["calls"][0]["answer"]["verdict"], "VALID");

    let nobody = grpcio(&cluster, None, &[]);
    assert_eq!(nobody["health"], "SERVING");
    assert_eq!(nobody["jwks"]["status"], 200);
    let keys: Value = serde_json::from_str(nobody["jwks"]["body"].as_str().unwrap()).unwrap();
    assert!(!keys["keys"].as_array().unwrap().is_empty());
    assert_ne!(nobody["elsewhere"]["status"], 200, "no other page");
    let every = nobody["every"].as_object().unwrap();
    assert!(every.len() > 20, "the protocol files list the API");
    for (method, said) in every {
        assert_eq!(said["code"], "UNAUTHENTICATED", "{method}: {said}");
        assert_eq!(said["rich"], true, "{method} says why to programs: {said}");
    }
}
