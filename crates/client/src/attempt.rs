//! One try of a call.

use std::task::{Context, Poll};

use http::{HeaderName, HeaderValue, Request};
use tonic::{body::Body, transport::Channel};
use tower::Service;

/// How many tries of the same call went before (gRPC proposal A6). To a node it says
/// that an earlier copy of a command may still be on its way.
const PREVIOUS_ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

/// The connection to a node for one try: what is sent over it says which try it is.
/// The generated clients take it as they take a [`Channel`].
#[derive(Debug, Clone)]
pub struct Attempt<C = Channel> {
    channel: C,
    previous: u32,
}

impl<C> Attempt<C> {
    /// The try after `previous` others.
    pub(crate) const fn after(previous: u32, channel: C) -> Self {
        Self { channel, previous }
    }
}

impl<C: Service<Request<Body>>> Service<Request<Body>> for Attempt<C> {
    type Response = C::Response;
    type Error = C::Error;
    type Future = C::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if self.previous > 0 {
            let previous = HeaderValue::from(self.previous);
            request.headers_mut().insert(PREVIOUS_ATTEMPTS, previous);
        }
        self.channel.call(request)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::convert::Infallible;

    use tower::{ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn a_try_says_how_many_went_before() {
        let echo = service_fn(async |request: Request<Body>| {
            let said = request.headers().get(PREVIOUS_ATTEMPTS).cloned();
            Ok::<_, Infallible>(said)
        });
        for (previous, expected) in [(0, None), (1, Some("1")), (12, Some("12"))] {
            let attempt = Attempt::after(previous, echo);
            let said = attempt.oneshot(Request::new(Body::empty())).await.unwrap();
            let said = said.as_ref().map(|value| value.to_str().unwrap());
            assert_eq!(said, expected);
        }
    }
}
