//! `chancery dev`, and the tour that it and the README invite to.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use chancery_tests::{
    chancery::{binary, succeed},
    until::until,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    health::get,
    shell::{free_addresses, said},
};

/// A development node, on ports of its own.
struct Dev {
    process: Child,
    home: PathBuf,
    admin: String,
}

impl Dev {
    /// Starts it, in `home` and with `directory` as its argument, and waits until
    /// it says what to type.
    async fn start(home: &Path, directory: Option<&str>) -> Self {
        let [api, peer, admin] = free_addresses();
        let mut command = Command::new(binary());
        command.arg("dev").args(directory);
        let made = directory.is_some_and(|directory| home.join(directory).exists());
        if !made {
            command
                .args(["--api-port", &api.port().to_string()])
                .args(["--peer-port", &peer.port().to_string()])
                .args(["--admin-port", &admin.port().to_string()]);
        }
        command
            .current_dir(home)
            .env("TMPDIR", home)
            .env_remove("CHANCERY_PROFILE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(home.join("dev.log")).unwrap());
        let mut dev = Self {
            process: command.spawn().unwrap(),
            home: home.to_owned(),
            admin: admin.to_string(),
        };
        until("chancery dev said what to type", || {
            let ended = dev.process.try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {}", dev.log());
            let said = dev.log().contains("Ctrl-C ends it.");
            async move { said.then_some(()) }
        })
        .await;
        dev
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.join("dev.log")).unwrap()
    }

    /// The commands that it printed, as they stand there.
    fn guide(&self) -> String {
        let log = self.log();
        let (_, guide) = log.split_once("In another terminal:\n").unwrap();
        let (guide, _) = guide.split_once("Ctrl-C ends it.").unwrap();
        guide.to_owned()
    }

    /// SIGTERM; gives its exit code.
    fn stop(&mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        self.process.wait().unwrap().code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs `chancery dev`, which has to end by itself, and gives what it said.
fn fails(home: &Path, code: i32, arguments: &[&str]) -> String {
    let arguments = [&["dev"], arguments].concat();
    let output = chancery_tests::chancery::run(home, &arguments);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    text
}

/// What somebody types into a terminal; it ends at the first failure.
fn typed(home: &Path, script: &str, profile: Option<&str>) -> Output {
    let beside = binary().parent().unwrap().display().to_string();
    let path = format!("{beside}:{}", std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell
        .args(["-e", "-c", script])
        .current_dir(home)
        .env("PATH", path)
        .env_remove("CHANCERY_PROFILE");
    shell.envs(profile.map(|profile| ("CHANCERY_PROFILE", profile)));
    shell.output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_dev_prints_can_be_typed_and_it_goes_on_where_it_was() {
    let home = tempfile::tempdir().unwrap();
    // A directory that a shell takes for two words.
    let mut dev = Dev::start(home.path(), Some("my cluster")).await;
    let (status, body) = get(&dev.admin, "/readyz").unwrap();
    assert_eq!(status, 503, "its issuer is young: {body}");
    assert!(body.contains("settling"), "{body}");

    let guide = dev.guide();
    let commands = guide.matches("  chancery ").count();
    assert!(commands >= 7, "{guide}");
    let output = typed(home.path(), &guide, None);
    assert!(output.status.success(), "{guide}\n{}", said(&output));
    assert_eq!(dev.stop(), Some(0), "{}", dev.log());

    let mut again = Dev::start(home.path(), Some("my cluster")).await;
    let list = "chancery owner list --output json";
    let output = typed(home.path(), list, Some("my cluster/profile"));
    let owners = String::from_utf8_lossy(&output.stdout);
    assert!(owners.contains("payments"), "{owners}{}", said(&output));
    assert_eq!(again.stop(), Some(0), "{}", again.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dev_makes_nothing_that_it_cannot_serve() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let [api, peer, admin] = free_addresses().map(|address| address.port().to_string());
    let ports = |api, peer, admin| {
        let mut ports = vec!["d", "--api-port", api, "--peer-port", peer];
        ports.extend(["--admin-port", admin]);
        ports
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let occupied = taken.local_addr().unwrap().port().to_string();
    let told = fails(home, 1, &ports(&api, &peer, &occupied));
    assert!(
        told.contains("--admin-port") && told.contains(&occupied),
        "{told}"
    );
    let told = fails(home, 2, &ports(&api, &api, &admin));
    assert!(told.contains("each has to be another"), "{told}");
    assert!(!home.join("d").exists(), "nothing was made");

    let mut dev = Dev::start(home, Some("d")).await;
    let told = fails(home, 2, &["d", "--api-port", &occupied]);
    assert!(told.contains("d/node/node.toml"), "{told}");
    let told = fails(home, 1, &["d"]);
    assert!(told.contains("running already?"), "{told}");
    assert_eq!(dev.stop(), Some(0), "{}", dev.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tour_of_the_readme_goes_as_it_says() {
    let [alone, looking_back, second_node] = &tour()[..] else {
        panic!("the tour has three parts");
    };
    let (first, rest) = alone.commands.split_first().unwrap();
    let (last, middle) = rest.split_last().unwrap();
    assert!(first.starts_with("chancery dev ./cluster "), "{first}");

    let home = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(home.path(), Some("./cluster")).await;
    let output = typed(home.path(), &middle.join("\n"), None);
    assert!(output.status.success(), "{}", said(&output));
    let output = typed(home.path(), last, Some("./cluster/profile"));
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let told = said(&output);
    assert!(told.starts_with(&alone.answer), "{told}");

    for command in &looking_back.commands {
        let output = typed(home.path(), command, Some("./cluster/profile"));
        assert!(output.status.success(), "{command}: {}", said(&output));
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(!shown.is_empty(), "{command} shows nothing");
    }
    let _second = add_the_second(home.path(), &second_node.commands);
    assert_eq!(dev.stop(), Some(0), "{}", dev.log());
}

/// Types what adds a node, on ports that are free here. Gives its process.
fn add_the_second(home: &Path, commands: &[String]) -> Serving {
    let ports = free_addresses::<3>();
    let mut second = None;
    for command in commands {
        let mut command = command.clone();
        for (shown, free) in [7421, 7422, 7423].iter().zip(&ports) {
            command = command.replace(&format!("127.0.0.1:{shown}"), &free.to_string());
        }
        if let Some(command) = command.strip_suffix(" &") {
            second = Some(Serving::start(home, command));
            continue;
        }
        let output = typed(home, &command, Some("./cluster/profile"));
        let log = fs::read_to_string(home.join("second.log")).unwrap_or_default();
        assert!(
            output.status.success(),
            "{command}: {}\n{log}",
            said(&output)
        );
    }
    second.unwrap()
}

/// A node that was begun in the background.
struct Serving(Child);

impl Serving {
    fn start(home: &Path, command: &str) -> Self {
        let mut words = command.split_whitespace();
        assert_eq!(words.next(), Some("chancery"));
        let serving = Command::new(binary())
            .args(words)
            .current_dir(home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(home.join("second.log")).unwrap())
            .spawn();
        Self(serving.unwrap())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the README shows at a time: commands, and of the last one the answer.
struct Part {
    commands: Vec<String>,
    answer: String,
}

/// The parts of the README's tour.
fn tour() -> Vec<Part> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (_, tour) = readme.split_once("## A tour").unwrap();
    let (tour, _) = tour.split_once("\n## ").unwrap();
    let parts = tour.split("```console\n").skip(1);
    parts
        .map(|part| Part::of(part.split_once("```").unwrap().0))
        .collect()
}

impl Part {
    fn of(text: &str) -> Self {
        let mut commands: Vec<String> = Vec::new();
        let mut answer = String::new();
        for line in text.lines() {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push(command.to_owned()),
                (None, Some(command)) if command.ends_with('\\') => {
                    command.push('\n');
                    command.push_str(line);
                }
                (None, _) => answer.push_str(line),
            }
        }
        Self { commands, answer }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dev_node_is_what_an_operator_makes_by_hand() {
    let home = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(home.path(), Some("dev")).await;
    assert_eq!(dev.stop(), Some(0), "{}", dev.log());

    let by_hand = home.path().join("by-hand");
    fs::create_dir(&by_hand).unwrap();
    let request = "node request --dir node --name n --api 127.0.0.1:1 --peer 127.0.0.1:2";
    let init = "init --request node/request.json --san 127.0.0.1 --trust-domain dev.internal \
                --issuer-url https://dev.internal --operator o --ca ca --profile profile \
                --admission node.admission.json";
    let join = "join --dir node node.admission.json";
    for command in [request, init, join] {
        succeed(&by_hand, &command.split_whitespace().collect::<Vec<_>>());
    }
    assert_eq!(modes(&home.path().join("dev")), modes(&by_hand));
}

/// Every file but those of the databases and of the records of mints, with its
/// permissions.
fn modes(directory: &Path) -> BTreeMap<PathBuf, u32> {
    let kept = ["node/data", "node/records"].map(|kept| directory.join(kept));
    let files = chancery_tests::trace::files(directory);
    let is_kept = |file: &PathBuf| kept.iter().any(|kept| file.starts_with(kept));
    let files = files.into_iter().filter(|file| !is_kept(file));
    files
        .map(|file| {
            let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
            (file.strip_prefix(directory).unwrap().to_owned(), mode)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dev_node_without_a_directory_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(home.path(), None).await;
    let guide = dev.guide();
    let export = format!("export CHANCERY_PROFILE={}/", home.path().display());
    assert!(guide.contains(&export), "{guide}");
    assert_eq!(dev.stop(), Some(0), "{}", dev.log());
    let left = fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["dev.log"]);
}
