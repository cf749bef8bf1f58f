//! A client that speaks HTTP/2 by hand, so that the tests see everything.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Status;
use tonic_types::StatusExt;

use super::service::status_of;
use super::{Person, root, soon};

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// TLS of a client that trusts the root and shows the certificate of `person`.
pub fn client_config(person: Option<&Person>, protocol: &[u8]) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(root().store.clone());
    let mut config = match person {
        Some(person) => config.with_client_cert_resolver(Arc::new(Always(person.certified_key()))),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(config)
}

pub async fn shake_hands(
    address: SocketAddr,
    config: Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    shake_hands_from([127, 0, 0, 1].into(), address, config).await
}

/// From an address of this machine's choosing: all of 127.0.0.0/8 is its own.
pub async fn connect_from(from: IpAddr, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(address).await
}

async fn shake_hands_from(
    from: IpAddr,
    address: SocketAddr,
    config: Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let tcp = connect_from(from, address).await?;
    TlsConnector::from(config)
        .connect("localhost".try_into().unwrap(), tcp)
        .await
}

/// One HTTP/2 connection.
#[derive(Clone)]
pub struct Client {
    requests: SendRequest<Sent>,
}

impl Client {
    pub async fn connect(address: SocketAddr, person: Option<&Person>) -> io::Result<Self> {
        Self::connect_from([127, 0, 0, 1].into(), address, person).await
    }

    /// The same, from another address.
    pub async fn connect_from(
        from: IpAddr,
        address: SocketAddr,
        person: Option<&Person>,
    ) -> io::Result<Self> {
        let tls = shake_hands_from(from, address, client_config(person, b"h2")).await?;
        let (requests, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tls))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self { requests })
    }

    /// A gRPC call whose request is sent at once and is empty.
    pub async fn call(&self, path: &str) -> Answer {
        self.begin(path).half_close().await
    }

    /// A gRPC call whose request the test goes on sending.
    pub fn begin(&self, path: &str) -> Call {
        let (send, sent) = Sent::new();
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("https://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        let response = self
            .requests
            .clone()
            .send_request(request.body(sent).unwrap());
        Call {
            send: Some(send),
            response: Box::pin(response),
        }
    }

    /// Any request, without a body.
    pub async fn send(&self, request: http::request::Builder) -> Result<Answer, hyper::Error> {
        let (send, sent) = Sent::new();
        drop(send);
        let response = self
            .requests
            .clone()
            .send_request(request.body(sent).unwrap());
        soon("an answer", response).await.map(Answer::of)
    }

    /// Waits until the server has closed the connection.
    pub async fn closed(&mut self) {
        soon("the connection to close", async {
            while self.requests.ready().await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

type Responding = Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

/// A call whose request is still being sent.
pub struct Call {
    send: Option<mpsc::UnboundedSender<Bytes>>,
    response: Responding,
}

impl Call {
    /// Sends a message.
    pub fn say(&self, message: &'static [u8]) {
        self.send
            .as_ref()
            .unwrap()
            .send(Bytes::from_static(message))
            .unwrap();
    }

    /// Waits for the head of the answer, the request still open.
    pub async fn answer(&mut self) -> Answer {
        Answer::of(soon("an answer", self.response.as_mut()).await.unwrap())
    }

    /// Ends the request, and waits for the head of the answer.
    pub async fn half_close(mut self) -> Answer {
        self.send = None;
        self.answer().await
    }
}

/// An answer: its head, and then frame by frame.
pub struct Answer {
    pub code: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
}

impl Answer {
    fn of(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        Self {
            code: head.status,
            headers: head.headers,
            body,
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The next message; `Err` with the status at the end.
    pub async fn next(&mut self) -> Result<Bytes, Status> {
        let frame = soon(
            "a frame",
            std::future::poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx)),
        )
        .await;
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => Ok(data),
                Err(frame) => Err(status_of(&frame.into_trailers().unwrap()).expect("no status")),
            },
            Some(Err(error)) => panic!("the stream was reset: {error}"),
            None => Err(status_of(&self.headers).expect("no status")),
        }
    }

    /// The whole body, of an answer that is not gRPC.
    pub async fn whole(&mut self) -> Vec<u8> {
        let mut whole = Vec::new();
        loop {
            let frame = std::future::poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx));
            match soon("a frame", frame).await {
                Some(frame) => whole.extend(frame.unwrap().into_data().unwrap()),
                None => return whole,
            }
        }
    }

    /// The status, once everything was read.
    pub async fn status(mut self) -> Status {
        loop {
            if let Err(status) = self.next().await {
                return status;
            }
        }
    }

    /// The reason of the refusal, which has to come next.
    pub async fn refusal(&mut self) -> String {
        reason(&self.next().await.expect_err("it goes on"))
    }
}

/// The reason of a refusal; empty without one.
pub fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    details
        .error_info()
        .map(|info| info.reason.clone())
        .unwrap_or_default()
}

/// The body of a request that the test feeds.
pub struct Sent(mpsc::UnboundedReceiver<Bytes>);

impl Sent {
    fn new() -> (mpsc::UnboundedSender<Bytes>, Self) {
        let (send, receive) = mpsc::unbounded_channel();
        (send, Self(receive))
    }
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0
            .poll_recv(cx)
            .map(|message| message.map(|bytes| Ok(Frame::data(bytes))))
    }
}
