//! Where keys and tokens are, and that they are nowhere else: not in a database, a
//! log, an answer, an environment or a command line.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{ErrorKind, PipeReader, PipeWriter, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Mutex,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chancery_client::{Client, Identity, v1};
use chancery_tests::{
    agent::{AUDIENCE, OWNER, wanted},
    chancery::binary,
    cluster::{Cluster, TRUST_DOMAIN, patient},
    inside::ChosenSeeds,
    node::Node,
    trace::{Search, Secret, Trace},
    until::until,
};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use sha2::{Digest, Sha512};

/// All that our own code can be made to say, and much of what others' can.
const EVERYTHING: &str = "debug,h2=info,openraft=info,chancery=trace,chancery_server=trace,\
                          chancery_consensus=trace,chancery_client=trace";

/// What the commands printed, but for what they were asked to print for its holder.
#[derive(Default)]
struct Printed(Mutex<Vec<u8>>);

impl Printed {
    /// Runs a command as an operator or an agent does, gives it `input`, and looks
    /// at what the process shows of itself before it can print anything, and so
    /// before it can end.
    fn run(&self, directory: &Path, arguments: &[&str], input: &str) -> Output {
        let (stdout, for_stdout) = Held::new();
        let (stderr, for_stderr) = Held::new();
        let mut child = Command::new(binary())
            .args(arguments)
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(for_stdout)
            .stderr(for_stderr)
            .spawn()
            .unwrap();
        let shown = shown_by(child.id(), arguments);
        let mut stdin = child.stdin.take().unwrap();
        // A command that reads nothing may have closed it.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let stderr = std::thread::spawn(|| stderr.read());
        let output = Output {
            stdout: stdout.read(),
            stderr: stderr.join().unwrap(),
            status: child.wait().unwrap(),
        };
        let mut printed = self.0.lock().unwrap();
        printed.extend(shown);
        printed.extend(&output.stderr);
        output
    }

    /// The same, where nothing that is printed may be secret.
    fn say(&self, directory: &Path, arguments: &[&str], input: &str) -> Output {
        let output = self.run(directory, arguments, input);
        self.0.lock().unwrap().extend(&output.stdout);
        output
    }

    fn succeed(&self, directory: &Path, arguments: &[&str], input: &str) {
        let output = self.say(directory, arguments, input);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// The reading end of a pipe that is full: who writes to it waits until it is read.
struct Held {
    reader: PipeReader,
    filling: usize,
}

impl Held {
    fn new() -> (Self, PipeWriter) {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let flags = fcntl_getfl(&writer).unwrap();
        fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
        let mut filling = 0;
        while let Ok(written) = writer.write(&[b' '; 512]) {
            filling += written;
        }
        fcntl_setfl(&writer, flags).unwrap();
        (Self { reader, filling }, writer)
    }

    /// All that was written after what it was filled with.
    fn read(mut self) -> Vec<u8> {
        let mut all = Vec::new();
        self.reader.read_to_end(&mut all).unwrap();
        all.split_off(self.filling)
    }
}

/// Environment and command line of a `chancery` that runs, as everybody on the
/// machine, or everybody of the same user, can read them. For a moment after its
/// birth it shows its parent's or none: that is waited out. A node's environment is
/// root's alone to read: who may not shows that nobody else may.
fn shown_by(pid: u32, arguments: &[&str]) -> Vec<u8> {
    let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let parents = fs::read("/proc/self/cmdline").unwrap();
    let mut expected = Vec::new();
    for word in [&[binary().to_str().unwrap()], arguments].concat() {
        expected.extend(word.as_bytes());
        expected.push(0);
    }
    loop {
        let mut shown = read("cmdline");
        let environment = fs::read(format!("/proc/{pid}/environ"));
        let hidden = environment
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
        let environment = environment.unwrap_or_default();
        if shown.is_empty() || shown == parents || (environment.is_empty() && !hidden) {
            let stat = String::from_utf8(read("stat")).unwrap();
            let runs = stat
                .rsplit_once(") ")
                .is_some_and(|(_, state)| !state.starts_with(['Z', 'X']));
            assert!(runs, "{arguments:?} ended before it was looked at");
            std::thread::yield_now();
            continue;
        }
        assert_eq!(shown, expected, "the command line of {arguments:?}");
        shown.extend(environment);
        return shown;
    }
}

fn shown_by_node(node: &Node) -> Vec<u8> {
    let configuration = node.configuration();
    let configuration = configuration.to_str().unwrap();
    let serve = ["serve", "--config", configuration, "--log", EVERYTHING];
    shown_by(node.pid().expect("it runs as a process"), &serve)
}

/// The 32 bytes of a P-256 private key in a file (RFC 5915 §3, in RFC 5958).
fn scalar(pem: &Path) -> Vec<u8> {
    let key = PrivateKeyDer::from_pem_slice(&fs::read(pem).unwrap()).unwrap();
    let der = key.secret_der();
    let before = [0x02, 0x01, 0x01, 0x04, 0x20];
    let at = der.windows(5).position(|bytes| bytes == before).unwrap() + 5;
    der[at..at + 32].to_vec()
}

fn key_at(name: &str, file: PathBuf) -> Secret {
    Secret {
        name: name.to_owned(),
        bytes: scalar(&file),
        homes: vec![file],
    }
}

/// A token is worth its signature; all else in it is no secret.
fn token(name: &str, token: &str, homes: Vec<PathBuf>) -> [Secret; 2] {
    let (_, signature) = token.rsplit_once('.').unwrap();
    [
        Secret {
            name: format!("{name}, as text"),
            bytes: signature.as_bytes().to_vec(),
            homes: homes.clone(),
        },
        Secret {
            name: format!("{name}, its signature"),
            bytes: URL_SAFE_NO_PAD.decode(signature).unwrap(),
            homes,
        },
    ]
}

/// A seed, and what is made of it to sign with (RFC 8032 §5.1.5).
fn signing_key(number: usize, seed: [u8; 32]) -> [Secret; 2] {
    let secret = |what: &str, bytes: &[u8]| Secret {
        name: format!("signing key {number}, {what}"),
        bytes: bytes.to_vec(),
        homes: Vec::new(),
    };
    // The first half is clamped before it is used: its inner bytes are the same.
    let expanded = Sha512::digest(seed);
    [secret("seed", &seed), secret("expanded", &expanded[1..31])]
}

/// Three processes that say all they can, and one node inside.
async fn cluster(seeds: &ChosenSeeds) -> Cluster {
    let mut cluster = Cluster::of(3).await;
    for position in 0..3 {
        snapshot_often(&cluster.nodes[position]);
        assert_eq!(cluster.nodes[position].stop(), Some(0));
        cluster.nodes[position].start_with(&["--log", EVERYTHING]);
        cluster.serving(position).await;
    }
    let inside = cluster.admit();
    let log = File::create(cluster.path().join("inside.log")).unwrap();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(EVERYTHING))
        .with_ansi(false)
        .with_writer(Mutex::new(log))
        .init();
    cluster.nodes[inside].start_inside(seeds.draw());
    cluster.serving(inside).await;
    cluster
}

fn snapshot_often(node: &Node) {
    let mut file = File::options()
        .append(true)
        .open(node.configuration())
        .unwrap();
    writeln!(file, "snapshot_every = 100").unwrap();
}

/// The agent's life through the command line, with a bearer token in a file. Gives
/// the tokens that were minted.
fn by_command_line(printed: &Printed, home: &Path) -> Vec<Secret> {
    let id = format!("spiffe://{TRUST_DOMAIN}/agent");
    let grant = "https://ledger.example/* ledger:* bearer";
    let operator = ["--profile", "profile", "--reason", "a test"];
    let and = |arguments: &[&'static str]| [arguments, &operator[..]].concat();
    printed.succeed(home, &["agent", "key", "agent", "--profile", "profile"], "");
    printed.succeed(home, &and(&["owner", "add", OWNER]), "");
    let mut register = vec!["agent", "register", &id, "--owner", OWNER, "--grant", grant];
    register.extend(["--public-key", "agent/identity.pub"]);
    register.extend(operator);
    printed.succeed(home, &register, "");

    let mint = [
        "token",
        "mint",
        "--audience",
        AUDIENCE,
        "--profile",
        "agent",
    ];
    let bound = printed.run(home, &[&mint[..], &["--scope", "ledger:read"]].concat(), "");
    assert!(bound.status.success());
    let bound = String::from_utf8(bound.stdout).unwrap().trim().to_owned();
    let to_file = ["--scope", "ledger:read", "--bearer", "--out", "bearer.jwt"];
    printed.succeed(home, &[&mint[..], &to_file].concat(), "");
    let bearer = fs::read_to_string(home.join("bearer.jwt")).unwrap();
    let bearer = bearer.trim();

    let verify = [
        "token",
        "verify",
        "--audience",
        AUDIENCE,
        "--profile",
        "profile",
    ];
    printed.succeed(home, &[&verify[..], &["bearer.jwt"]].concat(), "");
    // Not what it was bound to, and not a token any more: refused, not repeated.
    let refused = printed.say(home, &[&verify[..], &["-"]].concat(), &bound);
    assert!(!refused.status.success());
    let damaged = format!("{bearer}AA");
    let refused = printed.say(home, &[&verify[..], &["-"]].concat(), &damaged);
    assert!(!refused.status.success());
    printed.succeed(home, &["token", "inspect", "-"], &bound);
    printed.succeed(home, &and(&["token", "revoke", "bearer.jwt"]), "");
    printed.succeed(home, &and(&["token", "revoke", "-"]), &bound);
    printed.succeed(home, &and(&["epoch", "rotate"]), "");

    let mut tokens = Vec::new();
    tokens.extend(token("a bound token", &bound, Vec::new()));
    tokens.extend(token(
        "a bearer token",
        bearer,
        vec![home.join("bearer.jwt")],
    ));
    tokens
}

/// Tokens of every node, and a stream of them, through the SDK.
async fn by_sdk(cluster: &Cluster, identity: impl Fn() -> Identity) -> Vec<Secret> {
    let mut tokens = Vec::new();
    for node in 0..cluster.nodes.len() {
        let client: Client = cluster.client(&[node], Some(identity()), patient());
        for bearer in [false, true] {
            let request = v1::MintRequest { bearer, ..wanted() };
            let minted = client.mint(request).await.unwrap();
            let name = format!("a token of node {node}, bearer: {bearer}");
            tokens.extend(token(&name, &minted.token, Vec::new()));
        }
        let mut stream = client.mint_stream().await.unwrap();
        stream.send(wanted()).await.unwrap();
        let (_, minted) = stream.receive().await.unwrap();
        let name = format!("a streamed token of node {node}");
        tokens.extend(token(&name, &minted.unwrap().token, Vec::new()));
    }
    tokens
}

fn keys(cluster: &Cluster) -> Vec<Secret> {
    let home = cluster.path();
    let mut keys = vec![
        key_at("the root key", home.join("ca/root.key")),
        key_at("the operator's key", home.join("profile/identity.key")),
        key_at("the agent's key", home.join("agent/identity.key")),
    ];
    for node in &cluster.nodes {
        for key in ["peer", "server"] {
            let file = node.directory().join(format!("{key}.key"));
            keys.push(key_at(&format!("the {key} key of {}", node.name), file));
        }
    }
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_and_tokens_are_with_their_holders_and_nowhere_else() {
    let seeds = ChosenSeeds::default();
    let mut cluster = cluster(&seeds).await;
    let home = cluster.path();
    let printed = Printed::default();
    let mut secrets = by_command_line(&printed, &home);
    let agent = || {
        let read = |file: &str| fs::read_to_string(home.join("agent").join(file)).unwrap();
        Identity::from_pem(&read("identity.key"), Some(&read("identity.pem"))).unwrap()
    };
    secrets.extend(by_sdk(&cluster, agent).await);
    until("the node inside had followed the rotation", || async {
        (seeds.drawn().len() >= 2).then_some(())
    })
    .await;
    // The loss of one, and its return.
    cluster.nodes[0].kill();
    cluster.leader(&[1, 2]).await;
    cluster.nodes[0].start_with(&["--log", EVERYTHING]);
    cluster.serving(0).await;
    secrets.extend(by_sdk(&cluster, agent).await);

    let shown: Vec<u8> = cluster.nodes[..3].iter().flat_map(shown_by_node).collect();
    for position in 0..3 {
        assert_eq!(cluster.nodes[position].stop(), Some(0));
    }
    cluster.nodes[3].kill();

    let keys = keys(&cluster);
    for home in keys.iter().flat_map(|key| &key.homes) {
        let mode = fs::metadata(home).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", home.display());
    }
    secrets.extend(keys);
    for (number, seed) in seeds.drawn().into_iter().enumerate() {
        secrets.extend(signing_key(number, seed));
    }
    let search = Search::of(secrets);
    assert_eq!(
        search.away_from_home().len(),
        0,
        "the search finds each secret where it is: {:?}",
        search.away_from_home()
    );
    let mut traces = search.in_tree(&home);
    traces.extend(search.in_bytes("what the commands printed", &printed.0.lock().unwrap()));
    traces.extend(search.in_bytes("what the nodes show of themselves", &shown));
    assert_eq!(traces, BTreeSet::new());

    // It would have found any of them, in any form, in the nodes' own files.
    let data = cluster.nodes[2].directory().join("data");
    let seed = seeds.drawn()[0];
    let planted = data.join("planted");
    for (form, text) in written(&seed) {
        fs::write(&planted, text).unwrap();
        let found = search.in_tree(&data);
        let expected = Trace {
            secret: "signing key 0, seed".to_owned(),
            form,
            place: planted.display().to_string(),
        };
        assert!(found.contains(&expected), "{form}: {found:?}");
    }
}

/// A secret among other things, as software would write it.
fn written(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let among = |text: &[u8]| [b"key=", text, b"; more"].concat();
    let mut body = b"before it ".to_vec();
    body.extend(secret);
    let standard = base64::engine::general_purpose::STANDARD;
    let broken: Vec<u8> = standard
        .encode(&body)
        .into_bytes()
        .chunks(20)
        .flat_map(|line| [line, b"\r\n"].concat())
        .collect();
    vec![
        ("raw", among(secret)),
        ("raw", among(&secret[..12])),
        ("hex", among(hex::encode(secret).as_bytes())),
        (
            "hex, upper case",
            among(hex::encode_upper(secret).as_bytes()),
        ),
        ("base64", among(standard.encode(secret).as_bytes())),
        ("base64", among(&broken)),
        ("base64url", among(URL_SAFE_NO_PAD.encode(&body).as_bytes())),
        (
            "base64url",
            among(URL_SAFE_NO_PAD.encode(&body[1..]).as_bytes()),
        ),
    ]
}

#[test]
fn a_planted_secret_is_found_in_every_form_and_a_clean_text_is_clean() {
    let secret: Vec<u8> = Sha512::digest("planted")[..32].to_vec();
    let search = Search::of(vec![Secret {
        name: "planted".to_owned(),
        bytes: secret.clone(),
        homes: Vec::new(),
    }]);
    for (form, text) in written(&secret) {
        let found = search.in_bytes("somewhere", &text);
        assert!(
            found.iter().any(|trace| trace.form == form),
            "{form}: {found:?}"
        );
    }
    for (_, text) in written(&Sha512::digest("another")[..32]) {
        assert_eq!(search.in_bytes("somewhere", &text), BTreeSet::new());
    }
}
