//! A network of one thread: connections are streams of segments, each of which takes
//! its time, waits while its link is cut, and is never lost within a connection, as TCP
//! has it. Connections beside each other overtake each other.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque},
    io,
    net::{IpAddr, Ipv4Addr},
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use chancery_consensus::{Connection, Later, Transport};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// After how long an opening of a connection that nobody answered is sent again, and
/// what a segment waits at most once its link is mended.
const RETRANSMISSION: Duration = Duration::from_millis(200);

/// One direction of a connection.
#[derive(Default)]
struct Pipe {
    from: u64,
    to: u64,
    /// What is under way, in order; none: the end.
    way: VecDeque<(u64, Option<Vec<u8>>)>,
    last_due: u64,
    /// What has arrived.
    arrived: VecDeque<Vec<u8>>,
    ended: bool,
    reader: Option<Waker>,
    reader_is_gone: bool,
    /// Its writer lost power: nothing says that the connection is over.
    is_silent: bool,
    /// Its link is cut, and what is under way waits.
    waits: bool,
}

/// What a node listens for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    /// Other nodes.
    Peers,
    /// Clients.
    Api,
}

#[derive(Default)]
struct Listener {
    incoming: VecDeque<Stream>,
    acceptor: Option<Waker>,
}

struct Wires {
    now_us: u64,
    random: fastrand::Rng,
    pipes: BTreeMap<u64, Pipe>,
    next_pipe: u64,
    /// When something is due, in order, and on which pipe.
    due: BinaryHeap<Reverse<(u64, u64, u64)>>,
    sent: u64,
    listeners: BTreeMap<(u64, Door), Listener>,
    cut: BTreeSet<(u64, u64)>,
    slow: BTreeMap<(u64, u64), Range<u64>>,
    latency_us: Range<u64>,
    unplugged: BTreeSet<u64>,
}

/// All wires of a cluster.
#[derive(Clone)]
pub struct Network {
    wires: Arc<Mutex<Wires>>,
}

impl Wires {
    fn is_cut(&self, from: u64, to: u64) -> bool {
        self.cut.contains(&(from, to))
            || self.unplugged.contains(&from)
            || self.unplugged.contains(&to)
    }

    fn latency(&mut self, from: u64, to: u64) -> u64 {
        let range = self.slow.get(&(from, to)).unwrap_or(&self.latency_us);
        self.random.u64(range.clone())
    }

    fn send(&mut self, id: u64, bytes: Option<Vec<u8>>) {
        let Some(pipe) = self.pipes.get(&id) else {
            return;
        };
        let (from, to) = (pipe.from, pipe.to);
        let arrives = self.now_us + self.latency(from, to);
        let Some(pipe) = self.pipes.get_mut(&id) else {
            return;
        };
        let due = arrives.max(pipe.last_due);
        pipe.last_due = due;
        pipe.way.push_back((due, bytes));
        self.sent += 1;
        self.due.push(Reverse((due, self.sent, id)));
    }

    /// Lets what is due on a pipe arrive. Gives who reads it.
    fn arrive(&mut self, id: u64) -> Option<Waker> {
        let pipe = self.pipes.get(&id)?;
        let is_cut = self.is_cut(pipe.from, pipe.to);
        let now_us = self.now_us;
        let pipe = self.pipes.get_mut(&id)?;
        if is_cut {
            pipe.waits = true;
            return None;
        }
        while let Some((due, _)) = pipe.way.front() {
            if *due > now_us {
                break;
            }
            match pipe.way.pop_front() {
                Some((_, Some(bytes))) if !pipe.reader_is_gone => pipe.arrived.push_back(bytes),
                Some((_, Some(_))) => {}
                _ => pipe.ended = true,
            }
        }
        pipe.reader.take()
    }

    /// What waited for a link that is whole again is sent again, after a while.
    fn resume(&mut self) {
        let mended: Vec<u64> = self
            .pipes
            .iter()
            .filter(|(_, pipe)| pipe.waits && !self.is_cut(pipe.from, pipe.to))
            .map(|(id, _)| *id)
            .collect();
        for id in mended {
            let wait = self.random.u64(0..RETRANSMISSION.as_micros() as u64);
            let Some(pipe) = self.pipes.get_mut(&id) else {
                continue;
            };
            let (from, to) = (pipe.from, pipe.to);
            let latency = self.latency(from, to);
            let again = self.now_us + wait + latency;
            let Some(pipe) = self.pipes.get_mut(&id) else {
                continue;
            };
            pipe.waits = false;
            for (due, _) in &mut pipe.way {
                *due = again.max(*due);
                self.sent += 1;
                self.due.push(Reverse((*due, self.sent, id)));
                pipe.last_due = pipe.last_due.max(*due);
            }
        }
    }

    fn close(&mut self, id: u64) {
        let is_silent = self.pipes.get(&id).is_none_or(|pipe| pipe.is_silent);
        if !is_silent {
            self.send(id, None);
        }
    }

    fn pipe(&mut self, from: u64, to: u64) -> u64 {
        self.next_pipe += 1;
        let pipe = Pipe {
            from,
            to,
            last_due: self.now_us,
            ..Pipe::default()
        };
        self.pipes.insert(self.next_pipe, pipe);
        self.next_pipe
    }
}

impl Network {
    pub fn new(seed: u64, latency_us: Range<u64>) -> Self {
        let wires = Wires {
            now_us: 0,
            random: fastrand::Rng::with_seed(seed),
            pipes: BTreeMap::new(),
            next_pipe: 0,
            due: BinaryHeap::new(),
            sent: 0,
            listeners: BTreeMap::new(),
            cut: BTreeSet::new(),
            slow: BTreeMap::new(),
            latency_us,
            unplugged: BTreeSet::new(),
        };
        Self {
            wires: Arc::new(Mutex::new(wires)),
        }
    }

    /// What is due by `now_us` arrives. Gives how much was ever sent.
    pub fn deliver(&self, now_us: u64) -> u64 {
        let mut woken = Vec::new();
        let mut wires = self.wires.lock();
        wires.now_us = now_us;
        while let Some(Reverse((due, _, id))) = wires.due.peek().copied() {
            if due > now_us {
                break;
            }
            wires.due.pop();
            woken.extend(wires.arrive(id));
        }
        let sent = wires.sent;
        drop(wires);
        woken.into_iter().for_each(Waker::wake);
        sent
    }

    /// One direction of a link.
    pub fn cut(&self, from: u64, to: u64) {
        self.wires.lock().cut.insert((from, to));
    }

    pub fn mend(&self, from: u64, to: u64) {
        let mut wires = self.wires.lock();
        wires.cut.remove(&(from, to));
        wires.resume();
    }

    pub fn slow(&self, from: u64, to: u64, latency_us: Option<Range<u64>>) {
        let mut wires = self.wires.lock();
        match latency_us {
            Some(range) => wires.slow.insert((from, to), range),
            None => wires.slow.remove(&(from, to)),
        };
    }

    pub fn mend_all(&self) {
        let mut wires = self.wires.lock();
        wires.cut.clear();
        wires.slow.clear();
        wires.resume();
    }

    /// Ends every connection between two nodes.
    pub fn reset(&self, one: u64, other: u64) {
        let mut wires = self.wires.lock();
        let between: Vec<u64> = wires
            .pipes
            .iter()
            .filter(|(_, pipe)| {
                (pipe.from, pipe.to) == (one, other) || (pipe.from, pipe.to) == (other, one)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in between {
            wires.close(id);
        }
    }

    /// A process ends. Without power nobody hears of it, until it is there again.
    pub fn crash(&self, node: u64, without_power: bool) {
        let mut wires = self.wires.lock();
        let doors = [Door::Peers, Door::Api];
        let listeners = doors.map(|door| wires.listeners.remove(&(node, door)));
        if without_power {
            wires.unplugged.insert(node);
            for pipe in wires.pipes.values_mut() {
                pipe.is_silent |= pipe.from == node;
            }
        }
        drop(wires);
        // Connections that nobody took end here.
        drop(listeners);
    }

    /// A machine has power again: whoever still waits for the former one is told.
    pub fn plug_in(&self, node: u64) {
        let mut wires = self.wires.lock();
        wires.unplugged.remove(&node);
        let former: Vec<u64> = wires
            .pipes
            .iter()
            .filter(|(_, pipe)| pipe.from == node && pipe.is_silent)
            .map(|(id, _)| *id)
            .collect();
        for id in former {
            wires.send(id, None);
        }
        wires.resume();
    }

    /// A node's end of it, listening.
    pub fn listen(&self, node: u64, door: Door) -> Arc<Wire> {
        let mut wires = self.wires.lock();
        let former = wires.listeners.insert((node, door), Listener::default());
        drop(wires);
        drop(former);
        Arc::new(self.wire(node, door))
    }

    /// A machine's end of it, where nobody is listened for.
    pub fn plug(&self, machine: u64) -> Wire {
        self.wire(machine, Door::Api)
    }

    fn wire(&self, node: u64, door: Door) -> Wire {
        let network = self.clone();
        Wire {
            node,
            door,
            network,
        }
    }

    fn round_trip(&self, from: u64, to: u64) -> Option<Duration> {
        let mut wires = self.wires.lock();
        if wires.is_cut(from, to) || wires.is_cut(to, from) {
            return None;
        }
        let us = wires.latency(from, to) + wires.latency(to, from);
        Some(Duration::from_micros(us))
    }

    fn connect(&self, from: u64, (to, door): (u64, Door)) -> io::Result<Stream> {
        let mut wires = self.wires.lock();
        if !wires.listeners.contains_key(&(to, door)) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (there, back) = (wires.pipe(from, to), wires.pipe(to, from));
        let end = |write, read| Stream {
            network: self.clone(),
            write,
            read,
            peer: from,
        };
        let mut acceptor = None;
        if let Some(listener) = wires.listeners.get_mut(&(to, door)) {
            listener.incoming.push_back(end(back, there));
            acceptor = listener.acceptor.take();
        }
        drop(wires);
        acceptor.into_iter().for_each(Waker::wake);
        Ok(end(there, back))
    }
}

/// Where a node is reached.
pub fn address_of(node: u64, door: Door) -> String {
    match door {
        Door::Peers => format!("node-{node}:7412"),
        Door::Api => format!("node-{node}:7411"),
    }
}

fn door_at(address: &str) -> Option<(u64, Door)> {
    let (host, port) = address.split_once(':')?;
    let door = if port == "7411" {
        Door::Api
    } else {
        Door::Peers
    };
    Some((host.strip_prefix("node-")?.parse().ok()?, door))
}

/// One machine's end of the network.
pub struct Wire {
    node: u64,
    door: Door,
    network: Network,
}

impl Transport for Wire {
    fn dial<'a>(&'a self, address: &'a str) -> Later<'a, io::Result<Box<dyn Connection>>> {
        Box::pin(async move {
            let (to, door) = door_at(address).ok_or(io::ErrorKind::AddrNotAvailable)?;
            loop {
                let Some(round_trip) = self.network.round_trip(self.node, to) else {
                    tokio::time::sleep(RETRANSMISSION).await;
                    continue;
                };
                tokio::time::sleep(round_trip).await;
                let stream = self.network.connect(self.node, (to, door))?;
                return Ok(Box::new(stream) as Box<dyn Connection>);
            }
        })
    }

    fn accept(&self) -> Later<'_, io::Result<(Box<dyn Connection>, IpAddr)>> {
        Box::pin(std::future::poll_fn(move |context| {
            let mut wires = self.network.wires.lock();
            let Some(listener) = wires.listeners.get_mut(&(self.node, self.door)) else {
                return Poll::Pending;
            };
            if let Some(stream) = listener.incoming.pop_front() {
                let number = u8::try_from(stream.peer).unwrap_or(u8::MAX);
                let from = IpAddr::V4(Ipv4Addr::new(10, 0, 0, number));
                return Poll::Ready(Ok((Box::new(stream) as Box<dyn Connection>, from)));
            }
            let former = listener.acceptor.replace(context.waker().clone());
            drop(wires);
            drop(former);
            Poll::Pending
        }))
    }
}

/// One end of a connection.
struct Stream {
    network: Network,
    write: u64,
    read: u64,
    peer: u64,
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut wires = self.network.wires.lock();
        let Some(pipe) = wires.pipes.get_mut(&self.read) else {
            return Poll::Ready(Ok(()));
        };
        if let Some(mut bytes) = pipe.arrived.pop_front() {
            let taken = bytes.len().min(buffer.remaining());
            let rest = bytes.split_off(taken);
            buffer.put_slice(&bytes);
            if !rest.is_empty() {
                pipe.arrived.push_front(rest);
            }
            return Poll::Ready(Ok(()));
        }
        if pipe.ended {
            return Poll::Ready(Ok(()));
        }
        let former = pipe.reader.replace(context.waker().clone());
        drop(wires);
        drop(former);
        Poll::Pending
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut wires = self.network.wires.lock();
        let is_gone = wires
            .pipes
            .get(&self.read)
            .is_none_or(|back| back.ended && back.arrived.is_empty());
        if is_gone {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        wires.send(self.write, Some(bytes.to_vec()));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.network.wires.lock().close(self.write);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut wires = self.network.wires.lock();
        wires.close(self.write);
        let reader = wires.pipes.get_mut(&self.read).and_then(|pipe| {
            pipe.reader_is_gone = true;
            pipe.reader.take()
        });
        // Each pipe goes with the later of its two ends.
        for (own, is_reader) in [(self.read, true), (self.write, false)] {
            let over = wires.pipes.get(&own).is_some_and(|pipe| {
                let end = pipe.way.back().is_some_and(|(_, bytes)| bytes.is_none());
                pipe.reader_is_gone && (pipe.ended || end || !is_reader || pipe.is_silent)
            });
            if over {
                wires.pipes.remove(&own);
            }
        }
        drop(wires);
        drop(reader);
    }
}
