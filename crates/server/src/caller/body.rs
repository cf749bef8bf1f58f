//! The bodies of a request and of its answer, judged frame by frame.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tracing::Span;

use super::bounds::Places;
use super::refusal::Refusal;
use super::standing::{Lookout, Standing};

type Polled = Poll<Option<Result<Frame<Bytes>, Status>>>;

/// How a body is watched.
enum Guard {
    /// Of a single request: each frame is judged.
    Frames(Arc<Standing>),
    /// Of a stream: also while nothing moves.
    Always(Lookout),
}

impl Guard {
    fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<Refusal> {
        match self {
            Self::Always(lookout) => lookout.poll_lost(cx),
            Self::Frames(standing) => match standing.check() {
                Ok(()) => Poll::Pending,
                Err(refusal) => Poll::Ready(refusal),
            },
        }
    }
}

/// What a service reads: it fails with the refusal when standing is lost, and no
/// message that comes after is ever seen.
pub(super) struct JudgedRequest {
    inner: Body,
    guard: Guard,
    over: bool,
}

impl JudgedRequest {
    pub(super) fn single(inner: Body, standing: Arc<Standing>) -> Body {
        Body::new(Self {
            inner,
            guard: Guard::Frames(standing),
            over: false,
        })
    }

    pub(super) fn stream(inner: Body, standing: Arc<Standing>) -> Body {
        Body::new(Self {
            inner,
            guard: Guard::Always(Lookout::new(standing)),
            over: false,
        })
    }
}

impl HttpBody for JudgedRequest {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        if self.over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(refusal) = self.guard.poll_lost(cx) {
            self.over = true;
            self.inner = Body::empty();
            return Poll::Ready(Some(Err(refusal.into())));
        }
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// What a client reads. It holds the request's places until it has ended. That of
/// a stream ends, with the refusal in its trailers, when standing is lost: the
/// service's own body is dropped, and with it all that it still meant to say.
pub(super) struct JudgedResponse {
    inner: Body,
    lookout: Option<Lookout>,
    places: Option<Places>,
    span: Span,
    over: bool,
}

impl JudgedResponse {
    pub(super) fn wrap(inner: Body, lookout: Option<Lookout>, places: Places, span: Span) -> Body {
        Body::new(Self {
            inner,
            lookout,
            places: Some(places),
            span,
            over: false,
        })
    }

    fn end(&mut self) {
        self.over = true;
        self.inner = Body::empty();
        self.lookout = None;
        self.places = None;
    }
}

impl HttpBody for JudgedResponse {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        if this.over {
            return Poll::Ready(None);
        }
        let span = this.span.clone();
        let _entered = span.enter();
        if let Some(lookout) = &mut this.lookout
            && let Poll::Ready(refusal) = lookout.poll_lost(cx)
        {
            this.end();
            super::layer::record(&refusal);
            return Poll::Ready(Some(Ok(Frame::trailers(trailers(refusal)))));
        }
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(None | Some(Err(_))) => this.end(),
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() => this.end(),
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // A stream may be cut short: it promises no length.
        match self.lookout {
            Some(_) => SizeHint::default(),
            None => self.inner.size_hint(),
        }
    }
}

fn trailers(refusal: Refusal) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    let code = refusal.code;
    if Status::from(refusal).add_header(&mut trailers).is_err() {
        trailers.clear();
        // The texts did not fit a header; the code always does.
        drop(Status::new(code, "").add_header(&mut trailers));
    }
    trailers
}
