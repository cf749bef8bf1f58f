//! Links that are cut by proxies, where no network namespace may be made.
//!
//! A node's peers dial a proxy in its stead. Who dialled is told by the process that
//! holds the other end of the connection (proc(5)), so that a cut is for one node and
//! one direction, as in a network. What was cut off is held back, not refused, and goes
//! on when the link is healed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// How much of a connection waits in a proxy at most, bytes.
const ROOM: usize = 16 << 10;

/// Who may not be heard by whom, and where they are.
#[derive(Debug)]
struct Links {
    cuts: watch::Sender<BTreeSet<(u8, u8)>>,
    processes: Mutex<BTreeMap<u8, u32>>,
    delay: Mutex<Duration>,
}

/// The proxies of a cluster. They end when this is dropped.
#[derive(Debug)]
pub struct Proxies {
    links: Arc<Links>,
    listening: Vec<JoinHandle<()>>,
}

impl Default for Proxies {
    fn default() -> Self {
        let links = Links {
            cuts: watch::Sender::new(BTreeSet::new()),
            processes: Mutex::default(),
            delay: Mutex::default(),
        };
        Self {
            links: Arc::new(links),
            listening: Vec::new(),
        }
    }
}

impl Proxies {
    /// Takes the connections to `front` on to `node`, which listens at `behind`.
    pub async fn stand_before(&mut self, node: u8, front: SocketAddr, behind: SocketAddr) {
        let listener = TcpListener::bind(front).await.unwrap();
        let links = self.links.clone();
        let listening = tokio::spawn(async move {
            while let Ok((dialled, from)) = listener.accept().await {
                let links = links.clone();
                tokio::spawn(async move {
                    let dialler = links.who(from);
                    // As SYN would be lost, and sent again.
                    links.open(dialler, node).await;
                    if let Ok(answered) = TcpStream::connect(behind).await {
                        relay(dialled, answered, dialler, node, &links).await;
                    }
                });
            }
        });
        self.listening.push(listening);
    }

    /// The process of a node, whenever it is another.
    pub fn runs_as(&self, node: u8, pid: u32) {
        self.links.processes.lock().unwrap().insert(node, pid);
    }

    /// From now on nothing that one sends reaches the other.
    pub fn cut(&self, from: u8, to: u8) {
        self.links.cuts.send_modify(|cuts| {
            cuts.insert((from, to));
        });
    }

    /// Everything reaches everybody, also what was held back.
    pub fn heal(&self) {
        self.links.cuts.send_modify(BTreeSet::clear);
    }

    /// Everything takes so much longer.
    pub fn delay(&self, by: Duration) {
        *self.links.delay.lock().unwrap() = by;
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        for listening in &self.listening {
            listening.abort();
        }
    }
}

impl Links {
    /// Waits until what one sends reaches the other.
    async fn open(&self, from: u8, to: u8) {
        let mut cuts = self.cuts.subscribe();
        let _ = cuts.wait_for(|cuts| !cuts.contains(&(from, to))).await;
    }

    /// Whose process dialled from there; 0: nobody's of the cluster.
    fn who(&self, from: SocketAddr) -> u8 {
        let processes = self.processes.lock().unwrap().clone();
        let inode = inode(from);
        let holds = |pid: u32| inode.is_some_and(|inode| has_socket(pid, inode));
        let dialler = processes.into_iter().find(|(_, pid)| holds(*pid));
        dialler.map_or(0, |(node, _)| node)
    }
}

/// The inode of the socket with this local address (proc(5), `/proc/net/tcp`).
fn inode(local: SocketAddr) -> Option<u64> {
    let SocketAddr::V4(local) = local else {
        return None;
    };
    let address = u32::from_ne_bytes(local.ip().octets());
    let wanted = format!("{address:08X}:{:04X}", local.port());
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let mut rows = table
        .lines()
        .map(|row| row.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row.get(1) == Some(&wanted.as_str()))?;
    row.get(9)?.parse().ok()
}

fn has_socket(pid: u32, inode: u64) -> bool {
    let wanted = format!("socket:[{inode}]");
    let open = fs::read_dir(format!("/proc/{pid}/fd"));
    open.is_ok_and(|open| {
        open.filter_map(Result::ok).any(|entry| {
            fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str())
        })
    })
}

/// Both directions of a connection, until either ends.
async fn relay(dialled: TcpStream, answered: TcpStream, dialler: u8, node: u8, links: &Arc<Links>) {
    let _ = (dialled.set_nodelay(true), answered.set_nodelay(true));
    let (from_dialler, to_dialler) = dialled.into_split();
    let (from_node, to_node) = answered.into_split();
    tokio::select! {
        () = pass(from_dialler, to_node, (dialler, node), links) => {}
        () = pass(from_node, to_dialler, (node, dialler), links) => {}
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    (sender, receiver): (u8, u8),
    links: &Links,
) {
    let mut room = vec![0; ROOM];
    loop {
        let Ok(count @ 1..) = from.read(&mut room).await else {
            return;
        };
        let delay = *links.delay.lock().unwrap();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        links.open(sender, receiver).await;
        if to.write_all(&room[..count]).await.is_err() {
            return;
        }
    }
}
