//! Where bytes between nodes come from and go to. A seam: a simulation and the
//! tests put their own network here, everything above it is the real thing.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

/// An answer that comes later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One connection between two nodes, before TLS.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Connection for T {}

/// The network as one node sees it.
pub trait Transport: Send + Sync + 'static {
    /// Connects to the `host:port` that a peer's record states.
    fn dial<'a>(&'a self, address: &'a str) -> Later<'a, io::Result<Box<dyn Connection>>>;

    /// The next connection that somebody opened to this node's listener for peers, and
    /// from where.
    fn accept(&self) -> Later<'_, io::Result<(Box<dyn Connection>, IpAddr)>>;
}

/// TCP, without Nagle's delay: a heartbeat does not wait for more bytes.
#[derive(Debug)]
pub struct TcpTransport {
    listener: TcpListener,
}

impl TcpTransport {
    /// Opens the listener for peers at `host:port`.
    ///
    /// # Errors
    /// The address cannot be resolved, or is taken.
    pub async fn bind(address: &str) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(address).await?,
        })
    }

    /// Where it listens: of interest when the port was chosen by the system.
    ///
    /// # Errors
    /// As the operating system tells.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Transport for TcpTransport {
    fn dial<'a>(&'a self, address: &'a str) -> Later<'a, io::Result<Box<dyn Connection>>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Connection>)
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
