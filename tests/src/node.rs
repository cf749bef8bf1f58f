//! One node on a loopback address of its own: as a process, as everywhere, or inside
//! the test's own process, with signing keys that the test chose.

use std::{
    fs::File,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use chancery_server::DrawSeed;

use crate::{
    chancery::{binary, succeed},
    inside::Inside,
};

/// Every node of every test has an address of its own, so that fixed ports never
/// collide.
const API_PORT: u16 = 7411;
const PEER_PORT: u16 = 7412;
const ADMIN_PORT: u16 = 7413;

/// How a node runs.
#[derive(Debug)]
enum Running {
    Process(Child),
    Inside(Inside),
}

/// A node's files, and what it runs as.
#[derive(Debug)]
pub struct Node {
    /// What it is called: `n1`, `n2`, …
    pub name: String,
    /// Where it lives.
    pub address: Ipv4Addr,
    home: PathBuf,
    running: Option<Running>,
}

impl Node {
    /// Makes the node's keys and its request file, as its administrator does.
    #[must_use]
    pub fn request(home: &Path, name: &str, address: Ipv4Addr) -> Self {
        let node = Self {
            name: name.to_owned(),
            address,
            home: home.to_owned(),
            running: None,
        };
        let (api, peer) = (node.api(), node.peer());
        let admin = format!("{address}:{ADMIN_PORT}");
        succeed(
            home,
            &[
                "node",
                "request",
                "--dir",
                name,
                "--name",
                name,
                "--api",
                &api,
                "--peer",
                &peer,
                "--api-listen",
                &api,
                "--peer-listen",
                &peer,
                "--admin-listen",
                &admin,
            ],
        );
        node
    }

    /// Installs the admission file that the operator made.
    pub fn join(&self, admission: &str) {
        succeed(&self.home, &["join", "--dir", &self.name, admission]);
    }

    /// Where clients reach it.
    #[must_use]
    pub fn api(&self) -> String {
        format!("{}:{API_PORT}", self.address)
    }

    /// Where peers reach it.
    #[must_use]
    pub fn peer(&self) -> String {
        format!("{}:{PEER_PORT}", self.address)
    }

    /// Where it tells of its health.
    #[must_use]
    pub fn admin(&self) -> String {
        format!("{}:{ADMIN_PORT}", self.address)
    }

    /// Its directory: keys, admission, configuration, data.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.home.join(&self.name)
    }

    /// Its log, over all its processes.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.home.join(format!("{}.log", self.name))
    }

    /// Its request file, as `node request` writes it.
    #[must_use]
    pub fn request_file(&self) -> PathBuf {
        self.directory().join("request.json")
    }

    /// Its configuration, as `node request` writes it.
    #[must_use]
    pub fn configuration(&self) -> PathBuf {
        self.directory().join("node.toml")
    }

    /// Starts its process.
    ///
    /// # Panics
    /// When it runs already.
    pub fn start(&mut self) {
        self.start_with(&["--log", "info,openraft=error"]);
    }

    /// Starts its process with options of its own.
    ///
    /// # Panics
    /// When it runs already.
    pub fn start_with(&mut self, options: &[&str]) {
        assert!(self.running.is_none(), "{} runs already", self.name);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        let child = Command::new(binary())
            .arg("serve")
            .arg("--config")
            .arg(self.configuration())
            .args(options)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.running = Some(Running::Process(child));
    }

    /// Starts another program in its place, with `arguments` after the
    /// configuration and something to read.
    ///
    /// # Panics
    /// When it runs already.
    pub fn start_as(&mut self, program: &Path, arguments: &[&str], stdin: impl Into<Stdio>) {
        assert!(self.running.is_none(), "{} runs already", self.name);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        let child = Command::new(program)
            .arg(self.configuration())
            .args(arguments)
            .stdin(stdin)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.running = Some(Running::Process(child));
    }

    /// Starts it inside this process. One such node at a time: metrics belong to
    /// the process.
    ///
    /// # Panics
    /// When it runs already.
    pub fn start_inside(&mut self, draw_seed: DrawSeed) {
        assert!(self.running.is_none(), "{} runs already", self.name);
        let inside = Inside::start(&self.configuration(), draw_seed);
        self.running = Some(Running::Inside(inside));
    }

    /// Its process id while it is a process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match &self.running {
            Some(Running::Process(child)) => Some(child.id()),
            Some(Running::Inside(_)) | None => None,
        }
    }

    /// Whether its process stands still, after SIGSTOP (proc(5), the state after the
    /// name in parentheses).
    #[must_use]
    pub fn is_paused(&self) -> bool {
        let pid = self.pid().unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    /// `kill -9`, and waits until it is gone. What runs inside is drained: nothing
    /// kills a part of a process.
    pub fn kill(&mut self) {
        match self.running.take() {
            Some(Running::Process(mut child)) => {
                let _ = child.kill();
                child.wait().unwrap();
            }
            Some(Running::Inside(inside)) => inside.stop(),
            None => {}
        }
    }

    /// SIGTERM; gives its exit code once it has drained.
    ///
    /// # Panics
    /// When it does not run as a process.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        match self.running.take() {
            Some(Running::Process(mut child)) => child.wait().unwrap().code(),
            Some(Running::Inside(_)) | None => None,
        }
    }

    /// The exit code of a process that ended by itself; `None` while it runs.
    pub fn ended(&mut self) -> Option<i32> {
        let Some(Running::Process(child)) = &mut self.running else {
            return None;
        };
        let status = child.try_wait().unwrap()?;
        self.running = None;
        status.code()
    }

    /// Sends a signal to its process.
    ///
    /// # Panics
    /// When it does not run as a process.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let Some(Running::Process(child)) = &self.running else {
            panic!("{} is no process", self.name);
        };
        let pid = rustix::process::Pid::from_child(child);
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(15).collect();
            for line in tail.iter().rev() {
                eprintln!("{}: {line}", self.name);
            }
        }
        self.kill();
    }
}
