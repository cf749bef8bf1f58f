//! Loopback TCP whose links can be cut, each direction by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::peers::transport::{Connection, Later, Transport};

#[derive(Default)]
struct Wiring {
    /// Whose address it is.
    numbers: BTreeMap<String, u64>,
    cut: BTreeSet<(u64, u64)>,
    held: BTreeSet<(u64, u64, Way)>,
}

/// A direction within the connections that one node has opened to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    There,
    Back,
}

/// Every link of a cluster.
#[derive(Clone, Default)]
pub(super) struct Switchboard {
    wiring: Arc<Mutex<Wiring>>,
    /// Moves whenever a link is cut or mended.
    changed: Arc<watch::Sender<u64>>,
}

impl Switchboard {
    /// A listener for node `number`, at its former address if it had one.
    pub(super) async fn listen(&self, number: u64, former: Option<&str>) -> Arc<Wire> {
        let listener = loop {
            match TcpListener::bind(former.unwrap_or("127.0.0.1:0")).await {
                Ok(listener) => break listener,
                // The last task of the former process lets go of it at any moment.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    tokio::task::yield_now().await;
                }
                Err(error) => panic!("{error}"),
            }
        };
        let address = listener.local_addr().unwrap().to_string();
        self.wiring.lock().numbers.insert(address.clone(), number);
        Arc::new(Wire {
            number,
            address,
            listener,
            board: self.clone(),
        })
    }

    /// Cuts every link to and from `number`.
    pub(super) fn isolate(&self, number: u64) {
        {
            let mut wiring = self.wiring.lock();
            let others: Vec<u64> = wiring.numbers.values().copied().collect();
            for other in others {
                wiring.cut.insert((number, other));
                wiring.cut.insert((other, number));
            }
        }
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// Ends the connections that `from` has opened to `to`, and lets it open none.
    pub(super) fn cut(&self, from: u64, to: u64) {
        self.wiring.lock().cut.insert((from, to));
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// What goes that way in connections that `from` has opened to `to` stays where it
    /// is.
    pub(super) fn hold(&self, from: u64, to: u64, way: Way) {
        self.wiring.lock().held.insert((from, to, way));
    }

    /// And goes on.
    pub(super) fn release(&self, from: u64, to: u64, way: Way) {
        self.wiring.lock().held.remove(&(from, to, way));
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// Mends all links.
    pub(super) fn heal(&self) {
        {
            let mut wiring = self.wiring.lock();
            wiring.cut.clear();
            wiring.held.clear();
        }
        self.changed.send_modify(|changes| *changes += 1);
    }

    fn is_cut(&self, from: u64, to: u64) -> bool {
        self.wiring.lock().cut.contains(&(from, to))
    }

    fn is_held(&self, from: u64, to: u64, way: Way) -> bool {
        self.wiring.lock().held.contains(&(from, to, way))
    }

    /// Resolves when what goes that way is not held.
    fn until_released(&self, from: u64, to: u64, way: Way) -> Later<'static, ()> {
        let (board, mut changed) = (self.clone(), self.changed.subscribe());
        Box::pin(async move {
            while board.is_held(from, to, way) {
                if changed.changed().await.is_err() {
                    return;
                }
            }
        })
    }

    /// Resolves when the link is cut.
    fn until_cut(&self, from: u64, to: u64) -> Later<'static, ()> {
        let (board, mut changed) = (self.clone(), self.changed.subscribe());
        Box::pin(async move {
            while !board.is_cut(from, to) {
                if changed.changed().await.is_err() {
                    return;
                }
            }
        })
    }
}

/// One node's end of the switchboard.
pub(super) struct Wire {
    number: u64,
    pub(super) address: String,
    listener: TcpListener,
    board: Switchboard,
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the link is cut")
}

impl Transport for Wire {
    fn dial<'a>(&'a self, address: &'a str) -> Later<'a, io::Result<Box<dyn Connection>>> {
        Box::pin(async move {
            let to = self
                .board
                .wiring
                .lock()
                .numbers
                .get(address)
                .copied()
                .unwrap_or(0);
            if self.board.is_cut(self.number, to) {
                return Err(cut());
            }
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let link = Link {
                stream,
                until_cut: self.board.until_cut(self.number, to),
                board: self.board.clone(),
                ends: (self.number, to),
                reading: None,
                writing: None,
            };
            Ok(Box::new(link) as Box<dyn Connection>)
        })
    }

    fn accept(&self) -> Later<'_, io::Result<(Box<dyn Connection>, IpAddr)>> {
        Box::pin(async move {
            let (stream, from) = self.listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as Box<dyn Connection>, from.ip()))
        })
    }
}

/// A connection that ends when its link is cut.
struct Link {
    stream: TcpStream,
    until_cut: Later<'static, ()>,
    board: Switchboard,
    ends: (u64, u64),
    /// While what goes that way is held.
    reading: Option<Later<'static, ()>>,
    writing: Option<Later<'static, ()>>,
}

impl Link {
    fn poll_released(&mut self, way: Way, cx: &mut Context<'_>) -> Poll<()> {
        let (from, to) = self.ends;
        let waiting = match way {
            Way::There => &mut self.writing,
            Way::Back => &mut self.reading,
        };
        if waiting.is_none() && !self.board.is_held(from, to, way) {
            return Poll::Ready(());
        }
        let board = &self.board;
        let held = waiting.get_or_insert_with(|| board.until_released(from, to, way));
        std::task::ready!(held.as_mut().poll(cx));
        *waiting = None;
        Poll::Ready(())
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.until_cut.as_mut().poll(cx).is_ready() {
            // Polled again it would panic: from here on it is ready for good.
            self.until_cut = Box::pin(std::future::ready(()));
            return Err(cut());
        }
        Ok(())
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        std::task::ready!(self.poll_released(Way::Back, cx));
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        std::task::ready!(self.poll_released(Way::There, cx));
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
