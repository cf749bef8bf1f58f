//! A node's edge.

use std::net::SocketAddr;
use std::sync::Arc;

use chancery_server::caller::{Bounds, Callers};
use chancery_server::listener::{Drained, Limits, Listener};
use chancery_server::tls::{ServerIdentity, server_config};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Client, FakeRegistry, ManualClock, Person, Probe, ServerFiles, Witness, soon};

/// The time at which every test begins.
pub const NOW: u64 = 1_800_000_000;

#[derive(Default)]
pub struct Settings {
    pub limits: Limits,
    pub bounds: Bounds,
}

pub struct Node {
    pub address: SocketAddr,
    pub registry: Arc<FakeRegistry>,
    pub clock: Arc<ManualClock>,
    pub callers: Callers,
    pub files: ServerFiles,
    pub identity: Arc<ServerIdentity>,
    pub answer: Arc<Notify>,
    pub stop: CancellationToken,
    seen: mpsc::UnboundedReceiver<Witness>,
    serving: JoinHandle<Drained>,
}

impl Node {
    pub async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    pub async fn with(settings: Settings) -> Self {
        let registry = Arc::new(FakeRegistry::default());
        let clock = Arc::new(ManualClock::at(NOW));
        let callers = Callers::new(registry.clone(), clock.clone(), settings.bounds, 1);
        let files = ServerFiles::new();
        let identity = ServerIdentity::load(files.paths()).unwrap();
        let tls = server_config(identity.clone()).unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), tls, settings.limits)
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, seen) = mpsc::unbounded_channel();
        let answer = Arc::new(Notify::new());
        let probe = Probe {
            seen: tell,
            answer: answer.clone(),
        };
        let service = tower::service_fn(move |request| probe.clone().serve(request));
        let stop = CancellationToken::new();
        let serving = tokio::spawn(listener.serve(service, callers.clone(), stop.clone()));
        Self {
            address,
            registry,
            clock,
            callers,
            files,
            identity,
            answer,
            stop,
            seen,
            serving,
        }
    }

    /// A connection with the certificate of `person`, over HTTP/2.
    pub async fn connect(&self, person: &Person) -> Client {
        soon("a connection", Client::connect(self.address, Some(person)))
            .await
            .unwrap()
    }

    /// A connection without a certificate, over HTTP/2.
    pub async fn connect_as_nobody(&self) -> Client {
        soon("a connection", Client::connect(self.address, None))
            .await
            .unwrap()
    }

    /// The same, from 127.0.0.`host`.
    pub async fn connect_as_nobody_from(&self, host: u8) -> Client {
        let from = [127, 0, 0, host].into();
        soon(
            "a connection",
            Client::connect_from(from, self.address, None),
        )
        .await
        .unwrap()
    }

    /// What the service lived through next.
    pub async fn next(&mut self) -> Witness {
        soon("the service to live through something", self.seen.recv())
            .await
            .unwrap()
    }

    /// Whether the service has lived through anything more.
    pub fn is_quiet(&mut self) -> bool {
        self.seen.try_recv().is_err()
    }

    pub async fn reached(&mut self, caller: &str, path: &str) {
        assert_eq!(
            self.next().await,
            Witness::Reached(caller.to_owned(), path.to_owned())
        );
    }

    /// Stops the listener and waits for it.
    pub async fn drained(self) -> Drained {
        self.stop.cancel();
        soon("the listener to drain", self.serving).await.unwrap()
    }
}
