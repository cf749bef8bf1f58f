//! One node as a process of its own, on a loopback address of its own.

use std::{
    fs::File,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::chancery::{binary, succeed};

/// Every node of every test has an address of its own, so that fixed ports never
/// collide.
const API_PORT: u16 = 7411;
const PEER_PORT: u16 = 7412;
const ADMIN_PORT: u16 = 7413;

/// A node's files, and its process while it runs.
#[derive(Debug)]
pub struct Node {
    /// What it is called: `n1`, `n2`, …
    pub name: String,
    /// Where it lives.
    pub address: Ipv4Addr,
    home: PathBuf,
    process: Option<Child>,
}

impl Node {
    /// Makes the node's keys and its request file, as its administrator does.
    #[must_use]
    pub fn request(home: &Path, name: &str, address: Ipv4Addr) -> Self {
        let node = Self {
            name: name.to_owned(),
            address,
            home: home.to_owned(),
            process: None,
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

    /// Starts its process.
    ///
    /// # Panics
    /// When it runs already.
    pub fn start(&mut self) {
        assert!(self.process.is_none(), "{} runs already", self.name);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        let configuration = self.directory().join("node.toml");
        let child = Command::new(binary())
            .arg("serve")
            .arg("--config")
            .arg(configuration)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(child);
    }

    /// Its process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.process.take() {
            let _ = child.kill();
            child.wait().unwrap();
        }
    }

    /// SIGTERM; gives its exit code once it has drained.
    ///
    /// # Panics
    /// When it does not run.
    pub fn stop(&mut self) -> Option<i32> {
        let mut child = self.process.take().expect("it runs");
        self.signal_child(&child, rustix::process::Signal::TERM);
        child.wait().unwrap().code()
    }

    /// Sends a signal to its process.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal(&self, signal: rustix::process::Signal) {
        self.signal_child(self.process.as_ref().expect("it runs"), signal);
    }

    fn signal_child(&self, child: &Child, signal: rustix::process::Signal) {
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
