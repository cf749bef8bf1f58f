//! Whether anything happens on a connection.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

/// Counts the requests of one connection, and the frames of their answers that the
/// client has not made room for.
#[derive(Debug, Default)]
pub(super) struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
    /// Looks for frames that wait.
    looks: AtomicU64,
    /// Frames that wait, by whether they were handed out after an even or an odd
    /// number of looks.
    waiting: [AtomicU64; 2],
}

impl Activity {
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.begun.fetch_add(1, Ordering::AcqRel);
        InFlight(self.clone())
    }

    /// Returns when the connection was without any request from one look to the
    /// next, `every` later.
    pub(super) async fn idle(&self, every: Duration) {
        let mut last = None;
        loop {
            let ended = self.ended.load(Ordering::Acquire);
            let begun = self.begun.load(Ordering::Acquire);
            if begun != ended {
                last = None;
            } else if last == Some(begun) {
                return;
            } else {
                last = Some(begun);
            }
            tokio::time::sleep(every).await;
        }
    }

    /// Returns when a frame has waited from one look to the next, `every` later:
    /// the client reads no more, or next to nothing.
    pub(super) async fn stalled(&self, every: Duration) {
        for look in 0.. {
            self.looks.store(look, Ordering::Release);
            tokio::time::sleep(every).await;
            // Those handed out before this look began have waited all of it.
            if self.waiting_since(look + 1).load(Ordering::Acquire) > 0 {
                return;
            }
        }
    }

    fn waiting_since(&self, look: u64) -> &AtomicU64 {
        let [even, odd] = &self.waiting;
        if look.is_multiple_of(2) { even } else { odd }
    }

    fn hand_out(self: &Arc<Self>) -> Waiting {
        let look = self.looks.load(Ordering::Acquire);
        self.waiting_since(look).fetch_add(1, Ordering::AcqRel);
        Waiting {
            activity: self.clone(),
            look,
        }
    }
}

/// A frame that was handed out, until the connection asks for the next: it does
/// so when the client's window has room for this one.
#[derive(Debug)]
struct Waiting {
    activity: Arc<Activity>,
    look: u64,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.activity
            .waiting_since(self.look)
            .fetch_sub(1, Ordering::AcqRel);
    }
}

/// A request that is being served, until it is dropped.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl InFlight {
    /// Goes on for as long as `body` is being sent.
    pub(super) fn until_sent(self, body: Body) -> Sending {
        Sending {
            body,
            in_flight: self,
            waiting: None,
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::AcqRel);
    }
}

/// The body of an answer, while it is being sent.
#[derive(Debug)]
pub(super) struct Sending {
    body: Body,
    in_flight: InFlight,
    waiting: Option<Waiting>,
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.waiting = None;
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            self.waiting = Some(self.in_flight.0.hand_out());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
