//! The service behind the edge: it says who called, and tells the test what it
//! lived through.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use chancery_server::caller::Caller;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body as HttpBody, Frame};
use tokio::sync::{Notify, mpsc};
use tonic::body::Body;

/// What the service lived through.
#[derive(Debug, PartialEq, Eq)]
pub enum Witness {
    /// A request reached it, of this caller and path.
    Reached(String, String),
    /// It read this much of a request, and then its end or a refusal.
    Read(Vec<Bytes>, Option<tonic::Code>),
    /// The body of its answer was dropped before it had ended.
    Dropped,
}

/// The service. Streams say one message and then nothing; `MintStream` echoes
/// what it is sent; single requests are read to their end and answered;
/// `AgentService/List` waits until it is told to answer.
#[derive(Clone)]
pub struct Probe {
    pub seen: mpsc::UnboundedSender<Witness>,
    pub answer: Arc<Notify>,
}

impl Probe {
    pub async fn serve(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let caller = request
            .extensions()
            .get::<Caller>()
            .expect("no caller")
            .clone();
        let path = request.uri().path().to_owned();
        self.tell(Witness::Reached(caller.identity.to_string(), path.clone()));
        let mut response = match path.rsplit('/').next().unwrap() {
            "Watch" | "ServerReflectionInfo" => {
                Response::new(Body::new(Idle::new(self.seen.clone())))
            }
            "MintStream" => Response::new(request.into_body()),
            "List" => {
                self.answer.notified().await;
                Response::new(Body::empty())
            }
            _ => self.read(request.into_body()).await,
        };
        let headers = response.headers_mut();
        headers.insert(
            "x-caller",
            HeaderValue::from_str(&caller.identity.to_string()).unwrap(),
        );
        headers.insert(
            "x-retried",
            HeaderValue::from_static(if caller.retried { "yes" } else { "no" }),
        );
        headers.insert(
            "x-caller-request",
            HeaderValue::from_str(&caller.request_id).unwrap(),
        );
        if let Some(certificate) = caller.certificate {
            headers.insert(
                "x-certificate",
                HeaderValue::from_str(&certificate.to_string()).unwrap(),
            );
        }
        Ok(response)
    }

    async fn read(&self, mut body: Body) -> Response<Body> {
        let mut read = Vec::new();
        let outcome = loop {
            match std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                Some(Ok(frame)) => read.extend(frame.into_data().ok()),
                Some(Err(status)) => break Some(status),
                None => break None,
            }
        };
        self.tell(Witness::Read(
            read,
            outcome.as_ref().map(tonic::Status::code),
        ));
        match outcome {
            Some(status) => status.into_http(),
            None => tonic::Status::ok("").into_http(),
        }
    }

    fn tell(&self, witness: Witness) {
        // The test may be over.
        drop(self.seen.send(witness));
    }
}

/// One message, and then nothing.
struct Idle {
    said: bool,
    seen: mpsc::UnboundedSender<Witness>,
}

impl Idle {
    fn new(seen: mpsc::UnboundedSender<Witness>) -> Self {
        Self { said: false, seen }
    }
}

impl HttpBody for Idle {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        if std::mem::replace(&mut self.said, true) {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"\0\0\0\0\0")))))
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        drop(self.seen.send(Witness::Dropped));
    }
}

/// What stands in the trailers of an answer, or in its headers.
pub fn status_of(headers: &HeaderMap) -> Option<tonic::Status> {
    tonic::Status::from_header_map(headers)
}
