//! One try of a call.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{
    HeaderName, HeaderValue, Request, Response,
    header::{Entry, InvalidHeaderValue},
};
use tonic::{body::Body, transport::Channel};
use tower::Service;

use crate::seen::Seen;

/// How many tries of the same call went before (gRPC proposal A6). To a node it says
/// that an earlier copy of a command may still be on its way.
const PREVIOUS_ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

/// Until when the answer is waited for, in the form of gRPC: a command that waits to be
/// in force is answered before.
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The connection to a node for one try: what is sent over it says which try it is, how
/// long it is waited for, and what the client has seen; what comes back is seen from then on. The generated clients
/// take it as they take a [`Channel`].
#[derive(Debug, Clone)]
pub struct Attempt<C = Channel> {
    channel: C,
    previous: u32,
    limit: Duration,
    seen: Arc<Seen>,
}

impl<C> Attempt<C> {
    /// The try after `previous` others, given up after `limit`.
    pub(crate) const fn after(previous: u32, channel: C, limit: Duration, seen: Arc<Seen>) -> Self {
        Self {
            channel,
            previous,
            limit,
            seen,
        }
    }
}

impl<C, B> Service<Request<Body>> for Attempt<C>
where
    C: Service<Request<Body>, Response = Response<B>> + 'static,
    C::Error: 'static,
    C::Future: Send + 'static,
    B: 'static,
{
    type Response = Response<B>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, C::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let head = request.headers_mut();
        if self.previous > 0 {
            head.insert(PREVIOUS_ATTEMPTS, HeaderValue::from(self.previous));
        }
        if let (Entry::Vacant(unsaid), Ok(limit)) = (head.entry(TIMEOUT), timeout(self.limit)) {
            unsaid.insert(limit);
        }
        self.seen.carry_in(head);
        let answering = self.channel.call(request);
        let seen = self.seen.clone();
        Box::pin(async move {
            let answer = answering.await?;
            seen.note_head(answer.headers());
            Ok(answer)
        })
    }
}

/// At most 8 digits (gRPC over HTTP2, `Timeout`): 27 hours.
fn timeout(limit: Duration) -> Result<HeaderValue, InvalidHeaderValue> {
    HeaderValue::from_str(&format!("{}m", limit.as_millis().min(99_999_999)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::convert::Infallible;

    use tower::{ServiceExt, service_fn};

    use super::*;

    /// What it answers is the head that it was sent.
    async fn echoed(previous: u32, seen: &Arc<Seen>, request: Request<Body>) -> Response<()> {
        let echo = service_fn(async |request: Request<Body>| {
            let mut answer = Response::new(());
            *answer.headers_mut() = request.headers().clone();
            Ok::<_, Infallible>(answer)
        });
        let attempt = Attempt::after(previous, echo, Duration::from_millis(1_500), seen.clone());
        attempt.oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn a_try_says_how_many_went_before() {
        for (previous, expected) in [(0, None), (1, Some("1")), (12, Some("12"))] {
            let request = Request::new(Body::empty());
            let answer = echoed(previous, &Arc::default(), request).await;
            let said = answer.headers().get(PREVIOUS_ATTEMPTS);
            let said = said.map(|value| value.to_str().unwrap());
            assert_eq!(said, expected);
        }
    }

    #[tokio::test]
    async fn a_try_says_how_long_it_is_waited_for_unless_its_caller_said_so() {
        let answer = echoed(0, &Arc::default(), Request::new(Body::empty())).await;
        assert_eq!(answer.headers().get(TIMEOUT).unwrap(), "1500m");
        let mut request = Request::new(Body::empty());
        let own = HeaderValue::from_static("2S");
        request.headers_mut().insert(TIMEOUT, own);
        let answer = echoed(0, &Arc::default(), request).await;
        assert_eq!(answer.headers().get(TIMEOUT).unwrap(), "2S");
    }

    #[tokio::test]
    async fn what_an_answer_was_given_from_is_said_in_the_next_try() {
        const STATE: &str = "AAAAAAAAAAEAAAAAAAAAAgAAAAAAAAAD";
        let seen = Arc::new(Seen::default());
        let mut request = Request::new(Body::empty());
        let state = HeaderValue::from_static(STATE);
        let head = request.headers_mut();
        head.insert("chancery-consistency-token", state.clone());
        let answer = echoed(0, &seen, request).await;
        assert_eq!(answer.headers().get("chancery-min-revision"), None);
        let answer = echoed(0, &seen, Request::new(Body::empty())).await;
        assert_eq!(answer.headers().get("chancery-min-revision"), Some(&state));
    }
}
