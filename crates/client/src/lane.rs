//! The mints of a process at one node: alone when there is one, over a few shared
//! streams when there are many.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use chancery_revocation::BootTime;
use chancery_wire::v1::{MintRequest, MintResponse, token_service_client::TokenServiceClient};
use parking_lot::Mutex;
use tonic::{Code, Status, transport::Channel};

use crate::{
    clock::SystemClock,
    preference::REMEMBERED,
    shared_stream::{Answer, SharedStream},
};

/// Streams to one node. A node signs what comes over one stream one after the other.
const STREAMS: usize = 4;

/// The way to one node. A mint says over it what it would say by itself: whatever
/// happens to a stream that says nothing of the mint, the mint is sent alone.
pub(crate) struct Lane {
    channel: Channel,
    under_way: AtomicUsize,
    streams: Mutex<Streams>,
}

#[derive(Default)]
struct Streams {
    open: Vec<Arc<SharedStream>>,
    /// The node let none be opened.
    none_before: Option<BootTime>,
}

impl Lane {
    pub(crate) fn over(channel: Channel) -> Self {
        Self {
            channel,
            under_way: AtomicUsize::new(0),
            streams: Mutex::default(),
        }
    }

    /// Mints once at this node.
    pub(crate) async fn mint(&self, request: MintRequest) -> Result<MintResponse, Status> {
        let under_way = UnderWay::of(&self.under_way);
        while let Some(stream) = self.stream(under_way.is_alone, SystemClock::boot()) {
            match stream.mint(request.clone()).await {
                Answer::Given(answer) => return answer,
                Answer::Lost(status) if is_loss(&status) => return Err(status),
                Answer::Lost(_) => {
                    self.streams.lock().none_before = Some(SystemClock::boot().plus(REMEMBERED));
                    break;
                }
                Answer::NotSent => {}
            }
        }
        self.mint_alone(request).await
    }

    /// The same, over no stream: for a request that may have to wait at the node, and
    /// would keep the answers to those behind it waiting.
    pub(crate) async fn mint_alone(&self, request: MintRequest) -> Result<MintResponse, Status> {
        let answer = TokenServiceClient::new(self.channel.clone())
            .mint(request)
            .await?;
        Ok(answer.into_inner())
    }

    /// The stream to use; none for a mint that is better sent alone.
    fn stream(&self, alone: bool, now: BootTime) -> Option<Arc<SharedStream>> {
        let mut streams = self.streams.lock();
        streams.open.retain(|stream| !stream.has_ended());
        if let Some(stream) = streams.open.iter().find(|stream| stream.has_room()) {
            return Some(stream.clone());
        }
        if streams.open.is_empty() && alone {
            return None;
        }
        let refused = streams.none_before.is_some_and(|until| now < until);
        if streams.open.len() < STREAMS && !refused {
            let stream = Arc::new(SharedStream::open(self.channel.clone()));
            streams.open.push(stream.clone());
            return Some(stream);
        }
        // All are full: it waits for room in the first, behind those that do already.
        streams.open.first().cloned()
    }
}

/// Whether the node itself is lost, or is going; anything else says something of the
/// caller or of streams, and a mint that is sent alone is told what counts for it.
fn is_loss(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::Unknown
            | Code::Cancelled
            | Code::Internal
            | Code::DeadlineExceeded
    )
}

/// Counted as long as it lives.
struct UnderWay<'a> {
    count: &'a AtomicUsize,
    /// Nothing else was under way when it began.
    is_alone: bool,
}

impl<'a> UnderWay<'a> {
    fn of(count: &'a AtomicUsize) -> Self {
        let others = count.fetch_add(1, Ordering::Relaxed);
        Self {
            count,
            is_alone: others == 0,
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}
