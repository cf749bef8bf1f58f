//! Subscribers that never read.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use chancery_client::v1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tokio_stream::once;
use tonic::{Streaming, transport::Endpoint};
use v1::revocation_service_client::RevocationServiceClient;

use super::{Counts, Pace, Plan, connect};
use chancery_tests::tls;

const SUBSCRIBERS: usize = 100;
/// How long one waits until it looks whether it is still there.
const STAY: Duration = Duration::from_secs(75);
/// Room for the first part of what a node sends, and not for much that comes after.
const NARROW: u32 = 4 * 1024;
const WIDE: u32 = (1 << 31) - 1;

pub fn watch(plan: &Arc<Plan>, counts: &Counts) {
    let config = tls::config(&plan.root, Some(&plan.shop.identity()), &[tls::HTTP2]);
    let pace = Pace::a_second(20);
    for number in 0..SUBSCRIBERS {
        let (plan, counts, pace) = (plan.clone(), counts.clone(), pace.clone());
        let connector = TlsConnector::from(config.clone());
        tokio::spawn(async move {
            loop {
                pace.next().await;
                subscribe(&plan, number, &connector, &counts).await;
            }
        });
    }
}

/// Subscribes, reads nothing for long, and looks whether it was cut off.
async fn subscribe(plan: &Arc<Plan>, number: usize, connector: &TlsConnector, counts: &Counts) {
    let deaf = Arc::new(AtomicBool::new(false));
    // Half read no frame, the others not a byte, with all the room in the world.
    let is_deaf_to_tcp = (number / 3).is_multiple_of(2);
    let feed = match open(plan, number, connector, &deaf, is_deaf_to_tcp).await {
        Ok(feed) => feed,
        Err(status) => {
            let reason = chancery_tests::method::reason(&status);
            return counts.one(&format!("not subscribed {reason}"));
        }
    };
    counts.one("subscribed");
    deaf.store(is_deaf_to_tcp, Ordering::Relaxed);
    tokio::time::sleep(STAY).await;
    deaf.store(false, Ordering::Relaxed);
    counts.one(if is_cut(feed).await {
        "cut off"
    } else {
        "still there"
    });
}

/// Whether the feed ends once what waits was read.
async fn is_cut(mut feed: Streaming<v1::WatchResponse>) -> bool {
    let reading = async { while let Ok(Some(_)) = feed.message().await {} };
    timeout(Duration::from_secs(2), reading).await.is_ok()
}

async fn open(
    plan: &Arc<Plan>,
    number: usize,
    connector: &TlsConnector,
    deaf: &Arc<AtomicBool>,
    wide: bool,
) -> Result<Streaming<v1::WatchResponse>, tonic::Status> {
    let api = plan.apis[number % plan.apis.len()].clone();
    let room = if wide { WIDE } else { NARROW };
    let endpoint = Endpoint::from_shared(format!("http://{api}"))
        .unwrap()
        .origin(format!("https://{api}").parse().unwrap())
        .initial_stream_window_size(room)
        .initial_connection_window_size(room);
    let (plan, connector, deaf) = (plan.clone(), connector.clone(), deaf.clone());
    let connecting = endpoint.connect_with_connector(tower::service_fn(move |_| {
        let (plan, connector, deaf) = (plan.clone(), connector.clone(), deaf.clone());
        let name = tls::name(&api);
        async move {
            let tcp = Ear {
                tcp: connect(&plan, number).await?,
                deaf,
            };
            Ok::<_, io::Error>(TokioIo::new(connector.connect(name, tcp).await?))
        }
    }));
    let channel = connecting
        .await
        .map_err(|error| tonic::Status::unavailable(error.to_string()))?;
    let request = v1::WatchRequest::default();
    let feed = RevocationServiceClient::new(channel)
        .watch(once(request))
        .await?;
    Ok(feed.into_inner())
}

/// A connection that can stop listening.
struct Ear<T> {
    tcp: T,
    deaf: Arc<AtomicBool>,
}

/// How often one that does not listen looks whether it should.
const LOOK_EVERY: Duration = Duration::from_millis(500);

impl<T: AsyncRead + Unpin> AsyncRead for Ear<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.deaf.load(Ordering::Relaxed) {
            let waker = cx.waker().clone();
            tokio::spawn(async move {
                tokio::time::sleep(LOOK_EVERY).await;
                waker.wake();
            });
            return Poll::Pending;
        }
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Ear<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
