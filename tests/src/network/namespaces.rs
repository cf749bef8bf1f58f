//! Networks that can be cut: a namespace for each node, each on a line of its own to
//! a switch that forgets what it is told to.
//!
//! ```text
//! harness ──┐             ┌── n1
//!           ├── switch ───┼── n2     every line is a pair of veth; a cut is a rule
//!           ┘             └── n3     of the switch, for one direction
//! ```
//!
//! It takes the right to make namespaces. Where it is not given there are proxies
//! ([`super::Proxies`]).

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

/// The harness's place on the network; nodes are counted from 1.
pub const HARNESS: u8 = 200;
/// The switch's address on every line.
const SWITCH: u8 = 254;

/// Names of links are short: a process is told by its number up to this.
const PROCESSES: u32 = 100_000;

static NETWORKS: AtomicU32 = AtomicU32::new(0);

/// A switch and who is connected to it. Taken down when it is dropped.
#[derive(Debug)]
pub struct Namespaces {
    name: String,
    /// The third byte of every address.
    subnet: u8,
    cuts: Mutex<BTreeSet<(u8, u8)>>,
}

impl Namespaces {
    /// A network with the harness on it, or `None` where it may not be made.
    #[must_use]
    pub fn set_up() -> Option<Self> {
        let (process, number) = (std::process::id(), NETWORKS.fetch_add(1, Ordering::Relaxed));
        sweep();
        let network = Self {
            name: format!("ch{}x{number}", process % PROCESSES),
            subnet: free_subnet(process + number * 37),
            cuts: Mutex::default(),
        };
        if !run("ip", &["netns", "add", &network.namespace(SWITCH)]) {
            eprintln!("no network namespace may be made here: links are cut by proxies");
            return None;
        }
        let forward = "net.ipv4.ip_forward=1";
        network.within_switch(&["sysctl", "-qw", forward]);
        network.within_switch(&["ip", "link", "set", "lo", "up"]);
        network.connect(HARNESS);
        Some(network)
    }

    /// Lays the line of a node.
    pub fn connect(&self, number: u8) {
        let (line, plug) = (self.line(number), self.plug(number));
        let switch = self.namespace(SWITCH);
        let at_switch = ["type", "veth", "peer", "name", &plug, "netns", &switch];
        let switch_address = format!("{}/32", self.address(SWITCH));
        let (own, gateway) = (
            self.address(number).to_string(),
            self.address(SWITCH).to_string(),
        );
        let network = format!("198.18.{}.0/24", self.subnet);
        if number == HARNESS {
            must("ip", &[&["link", "add", &line], &at_switch[..]].concat());
        } else {
            let namespace = self.namespace(number);
            must("ip", &["netns", "add", &namespace]);
            let add = ["link", "add", &line, "netns", &namespace];
            must("ip", &[&add, &at_switch[..]].concat());
            self.ip(number, &["link", "set", "lo", "up"]);
        }
        self.ip(number, &["addr", "add", &format!("{own}/32"), "dev", &line]);
        self.ip(number, &["link", "set", &line, "up"]);
        self.within_switch(&["ip", "addr", "add", &switch_address, "dev", &plug]);
        self.within_switch(&["ip", "link", "set", &plug, "up"]);
        self.within_switch(&["ip", "route", "add", &own, "dev", &plug]);
        self.ip(
            number,
            &["route", "add", &gateway, "dev", &line, "src", &own],
        );
        self.ip(
            number,
            &["route", "add", &network, "via", &gateway, "src", &own],
        );
    }

    /// Where whoever has this number is.
    #[must_use]
    pub const fn address(&self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.subnet, number)
    }

    /// What stands before a command to run it where a node is.
    #[must_use]
    pub fn enter(&self, number: u8) -> Vec<String> {
        let namespace = format!("--net=/run/netns/{}", self.namespace(number));
        vec!["nsenter".to_owned(), namespace]
    }

    /// From now on nothing that one sends reaches the other; the other way is as it was.
    pub fn cut(&self, from: u8, to: u8) {
        if self.cuts.lock().unwrap().insert((from, to)) {
            self.rule("add", from, to);
        }
    }

    /// Everything reaches everybody.
    pub fn heal(&self) {
        for (from, to) in std::mem::take(&mut *self.cuts.lock().unwrap()) {
            self.rule("del", from, to);
        }
    }

    /// The line to a node carries so many bits a second; `None`: as many as it can.
    pub fn throttle(&self, number: u8, kilobits: Option<u32>) {
        let plug = self.plug(number);
        let line = ["tc", "qdisc"];
        match kilobits {
            Some(rate) => {
                let rate = format!("{rate}kbit");
                let bucket = [
                    "root", "tbf", "rate", &rate, "burst", "16kb", "latency", "400ms",
                ];
                self.within_switch(&[&line[..], &["replace", "dev", &plug], &bucket].concat());
            }
            None => {
                self.within_switch(&[&line[..], &["del", "dev", &plug, "root"]].concat());
            }
        }
    }

    fn rule(&self, verb: &str, from: u8, to: u8) {
        let (from, to) = (self.address(from).to_string(), self.address(to).to_string());
        let rule = ["ip", "rule", verb, "from", &from, "to", &to, "blackhole"];
        self.within_switch(&rule);
    }

    fn ip(&self, number: u8, arguments: &[&str]) {
        if number == HARNESS {
            must("ip", arguments);
        } else {
            must(
                "ip",
                &[&["-n", &self.namespace(number)], arguments].concat(),
            );
        }
    }

    fn within_switch(&self, command: &[&str]) {
        let enter = format!("--net=/run/netns/{}", self.namespace(SWITCH));
        must("nsenter", &[&[enter.as_str()], command].concat());
    }

    fn namespace(&self, number: u8) -> String {
        format!("{}n{number}", self.name)
    }

    fn line(&self, number: u8) -> String {
        format!("{}l{number}", self.name)
    }

    fn plug(&self, number: u8) -> String {
        format!("{}p{number}", self.name)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // A line goes with either of its ends.
        let mut all = vec![SWITCH];
        all.extend(1..HARNESS);
        for number in all {
            let namespace = self.namespace(number);
            if std::path::Path::new("/run/netns").join(&namespace).exists() {
                run("ip", &["netns", "del", &namespace]);
            }
        }
    }
}

/// The third byte of addresses that nobody here has.
fn free_subnet(wish: u32) -> u8 {
    let routes = Command::new("ip").args(["-4", "route"]).output().unwrap();
    let routes = String::from_utf8_lossy(&routes.stdout);
    let wish = u8::try_from(wish % 256).unwrap();
    (0..=u8::MAX)
        .map(|step| wish.wrapping_add(step))
        .find(|subnet| !routes.contains(&format!("198.18.{subnet}.")))
        .expect("a subnet that is free")
}

/// Takes down what processes have left behind that were ended before they could.
fn sweep() {
    let names = |directory: &str| -> Vec<String> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    };
    let running: BTreeSet<u32> = names("/proc")
        .iter()
        .filter_map(|name| name.parse::<u32>().ok())
        .map(|process| process % PROCESSES)
        .collect();
    for name in names("/run/netns") {
        let owner = name
            .strip_prefix("ch")
            .and_then(|name| name.split('x').next());
        let owner = owner.and_then(|owner| owner.parse::<u32>().ok());
        if owner.is_some_and(|owner| !running.contains(&owner)) {
            run("ip", &["netns", "del", &name]);
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

fn must(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {}: {said}",
        arguments.join(" ")
    );
}
