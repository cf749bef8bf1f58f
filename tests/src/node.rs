//! One node on a loopback address of its own: as a process, as everywhere, or inside
//! the test's own process, with signing keys that the test chose.

use std::{
    collections::BTreeMap,
    ffi::OsString,
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
pub(crate) const PEER_PORT: u16 = 7412;
const ADMIN_PORT: u16 = 7413;
/// Where a proxy stands before it.
pub(crate) const PROXY_PORT: u16 = 7422;

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
    place: Place,
    running: Option<Running>,
}

/// Where the processes of a node run.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// What stands before the command that starts one.
    pub enter: Vec<String>,
    /// What stands in its environment beside what is in the test's.
    pub environment: BTreeMap<&'static str, OsString>,
    /// Its peers find it at a port of the same address that is not its own.
    pub behind_proxy: bool,
}

impl Node {
    /// Makes the node's keys and its request file, as its administrator does.
    #[must_use]
    pub fn request(home: &Path, name: &str, address: Ipv4Addr) -> Self {
        Self::request_at(home, name, address, Place::default())
    }

    /// The same, for a node that runs elsewhere.
    #[must_use]
    pub fn request_at(home: &Path, name: &str, address: Ipv4Addr, place: Place) -> Self {
        let node = Self {
            name: name.to_owned(),
            address,
            home: home.to_owned(),
            place,
            running: None,
        };
        let (api, peer, peer_listen) = (node.api(), node.peer(), node.peer_listen());
        let admin = node.admin();
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
                &peer_listen,
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
        let port = if self.place.behind_proxy {
            PROXY_PORT
        } else {
            PEER_PORT
        };
        format!("{}:{port}", self.address)
    }

    /// Where it listens for them.
    #[must_use]
    pub fn peer_listen(&self) -> String {
        format!("{}:{PEER_PORT}", self.address)
    }

    /// Where it tells of its health: to whoever is on its machine.
    #[must_use]
    pub fn admin(&self) -> String {
        if self.address.is_loopback() {
            format!("{}:{ADMIN_PORT}", self.address)
        } else {
            format!("127.0.0.1:{ADMIN_PORT}")
        }
    }

    /// Where its next processes run.
    pub const fn place(&mut self) -> &mut Place {
        &mut self.place
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
        let mut command = match self.place.enter.split_first() {
            None => Command::new(binary()),
            Some((enter, arguments)) => {
                let mut command = Command::new(enter);
                command.args(arguments).arg(binary());
                command
            }
        };
        let child = command
            .envs(&self.place.environment)
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
