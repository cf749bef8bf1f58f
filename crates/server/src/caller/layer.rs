//! The layer itself.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service, ServiceExt};
use tracing::{Instrument, Span, debug, field, info_span};

use super::Connection;
use super::body::{JudgedRequest, JudgedResponse};
use super::bounds::Places;
use super::callers::Shared;
use super::deadline;
use super::http_refusal::http_refusal;
use super::identity::{Caller, Identity};
use super::judge::cannot_tell;
use super::permission::{Row, Shape, row_of};
use super::previous_attempts;
use super::refusal::Refusal;
use super::request_id::REQUEST_ID;
use super::standing::{Lookout, Standing};
use super::trace::trace_id;
use crate::clock::SystemClock;

/// Puts [`CallerService`] around a service.
#[derive(Clone)]
pub struct CallerLayer(Arc<Shared>);

impl CallerLayer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

impl<S> Layer<S> for CallerLayer {
    type Service = CallerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CallerService {
            shared: self.0.clone(),
            inner,
        }
    }
}

/// Lets a request through to `inner` only if its caller may make it, with a
/// [`Caller`] in its extensions.
#[derive(Clone)]
pub struct CallerService<S> {
    shared: Arc<Shared>,
    inner: S,
}

impl<S> Service<Request<Body>> for CallerService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The clone that serves a request is waited for when it is made.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let id = self.shared.request_ids.of(request.headers());
        let span = info_span!(
            "request",
            id = &*id,
            trace = trace_id(request.headers()).unwrap_or_default(),
            method = field::Empty,
            caller = field::Empty,
            remote = field::Empty,
        );
        let serving = serve(
            self.shared.clone(),
            self.inner.clone(),
            request,
            id.clone(),
            span.clone(),
        );
        let answer = async move {
            let mut response = serving.await;
            if let Ok(id) = HeaderValue::from_str(&id) {
                response.headers_mut().insert(REQUEST_ID, id);
            }
            Ok(response)
        };
        Box::pin(answer.instrument(span))
    }
}

async fn serve<S>(
    shared: Arc<Shared>,
    inner: S,
    request: Request<Body>,
    id: Arc<str>,
    span: Span,
) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
{
    let row = match route(&request) {
        Ok(row) => row,
        Err(Unroutable::Refused(refusal)) => return answer(Shape::Unary, refusal),
        Err(Unroutable::Plain(status)) => return plain(status),
    };
    span.record("method", row.path);
    let connection = request.extensions().get::<Connection>().copied();
    let limit = deadline::of(request.headers());
    let admitted = match admit(shared.clone(), row, request, id, &span).await {
        Ok(admitted) => admitted,
        Err(mut refusal) => {
            if let Some(asker) = connection.map(|connection| shared.asker(&connection)) {
                let rejections = &shared.rejections;
                refusal = rejections.hold_back(&asker, limit, refusal).await;
            }
            return answer(row.shape, refusal);
        }
    };
    let Admitted {
        request,
        standing,
        places,
    } = admitted;
    let judged = standing.clone();
    let outcome = match row.shape {
        Shape::Streaming | Shape::Batches => stream(inner, request, judged).await,
        Shape::Unary | Shape::Pages | Shape::Http | Shape::HttpPages => {
            single(inner, request, judged).await
        }
    };
    match outcome {
        Ok((response, lookout)) => {
            standing.count(code_of(&response));
            response.map(|body| JudgedResponse::wrap(body, lookout, places, span))
        }
        Err(refusal) => answer(row.shape, refusal),
    }
}

/// The caller's standing. Whom this node does not let in may have been registered,
/// resumed or given a role a moment ago, through another node. Such a refusal is final,
/// so it is said by a registry that holds everything that was acknowledged before the
/// request came. Whoever waits for that has a place.
async fn judged(
    shared: &Arc<Shared>,
    row: &'static Row,
    connection: &Connection,
) -> Result<Standing, Refusal> {
    let key = connection.proved.map(|proved| proved.key);
    let begin = || Standing::begin(shared.clone(), row, key, shared.asker(connection));
    let (refusal, key) = match (begin(), key) {
        (Err(refusal), Some(key)) if is_of_the_registry(&refusal) => (refusal, key),
        (outcome, _) => return outcome,
    };
    shared.rejections.hear(&shared.asker(connection))?;
    let known = shared.registry.look_up(&key);
    let identity = known.map_or(Identity::Anyone, |known| known.identity);
    let _place = shared.place(&identity, connection, Shape::Unary)?;
    if !shared.registry.catch_up().await {
        return Err(cannot_tell(&key));
    }
    debug!(reason = refusal.reason, "judged again");
    begin()
}

/// Whether another state of the registry can say something else.
fn is_of_the_registry(refusal: &Refusal) -> bool {
    matches!(refusal.code, Code::PermissionDenied | Code::Unauthenticated)
}

/// A request that was let through.
struct Admitted {
    request: Request<Body>,
    standing: Arc<Standing>,
    places: Places,
}

async fn admit(
    shared: Arc<Shared>,
    row: &'static Row,
    mut request: Request<Body>,
    id: Arc<str>,
    span: &Span,
) -> Result<Admitted, Refusal> {
    let answer_by = SystemClock::boot().plus(deadline::of(request.headers()));
    let connection = *request
        .extensions()
        .get::<Connection>()
        .ok_or_else(not_from_the_listener)?;
    span.record("remote", field::display(connection.remote));
    // Before the look-up: what is authorised here was so at this revision or later.
    let authorised_at = shared.registry.revision();
    let key = connection.proved.map(|proved| proved.key);
    let asker = shared.asker(&connection);
    let standing = judged(&shared, row, &connection).await.map_err(|refusal| {
        shared.rejections.count(&asker, refusal.code);
        shared.rejections.hear(&asker).err().unwrap_or(refusal)
    })?;
    let standing = Arc::new(standing);
    span.record("caller", field::display(standing.identity()));
    standing.hear()?;
    let retried = previous_attempts::any_in(request.headers());
    let places = shared.place(standing.identity(), &connection, row.shape)?;
    request.extensions_mut().insert(Caller {
        identity: standing.identity().clone(),
        key,
        certificate: connection.proved.map(|proved| proved.certificate),
        authorised_at,
        request_id: id,
        retried,
        answer_by,
        standing: standing.clone(),
    });
    Ok(Admitted {
        request,
        standing,
        places,
    })
}

type Outcome = Result<(Response<Body>, Option<Lookout>), Refusal>;

async fn single<S>(inner: S, request: Request<Body>, standing: Arc<Standing>) -> Outcome
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let limit = deadline::of(request.headers());
    let request = request.map(|body| JudgedRequest::single(body, standing));
    match tokio::time::timeout(limit, inner.oneshot(request)).await {
        Ok(Ok(response)) => Ok((response, None)),
        Ok(Err(never)) => match never {},
        Err(_) => Err(deadline::exceeded(limit)),
    }
}

async fn stream<S>(inner: S, request: Request<Body>, standing: Arc<Standing>) -> Outcome
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let mut lookout = Lookout::new(standing.clone());
    let request = request.map(|body| JudgedRequest::stream(body, standing));
    let response = tokio::select! {
        biased;
        refusal = std::future::poll_fn(|cx| lookout.poll_lost(cx)) => return Err(refusal),
        response = inner.oneshot(request) => match response {
            Ok(response) => response,
            Err(never) => match never {},
        },
    };
    Ok((response, Some(lookout)))
}

/// What an answer says of the request. That of gRPC stands in the head when there is
/// no message.
fn code_of(response: &Response<Body>) -> Code {
    match response.headers().get(Status::GRPC_STATUS) {
        Some(code) => Code::from_bytes(code.as_bytes()),
        None if response.status() == StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
        None if response.status().is_client_error() => Code::InvalidArgument,
        None => Code::Ok,
    }
}

/// Why a request has no row.
enum Unroutable {
    /// It speaks gRPC, and is refused as gRPC.
    Refused(Refusal),
    /// It does not speak the protocol of its path.
    Plain(StatusCode),
}

fn route(request: &Request<Body>) -> Result<&'static Row, Unroutable> {
    let path = request.uri().path();
    let is_grpc = is_grpc(request);
    let Some(row) = row_of(path) else {
        return Err(if is_grpc {
            Unroutable::Refused(not_in_table(path))
        } else {
            Unroutable::Plain(StatusCode::NOT_FOUND)
        });
    };
    if !row.takes(request.method()) {
        return Err(Unroutable::Plain(StatusCode::METHOD_NOT_ALLOWED));
    }
    if !row.shape.is_http() {
        if request.version() != Version::HTTP_2 {
            return Err(Unroutable::Plain(StatusCode::HTTP_VERSION_NOT_SUPPORTED));
        }
        if !is_grpc {
            return Err(Unroutable::Plain(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
    }
    Ok(row)
}

fn is_grpc(request: &Request<Body>) -> bool {
    request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

fn not_in_table(path: &str) -> Refusal {
    Refusal::new(
        Code::PermissionDenied,
        "METHOD_NOT_IN_TABLE",
        format!("nobody may call {path}: this node has no such method"),
        "check the name; if it is new, ask a node that has been upgraded",
    )
}

fn not_from_the_listener() -> Refusal {
    Refusal::new(
        Code::Internal,
        "CALLER_NOT_JUDGED",
        "this node does not know where the request came from",
        "report this as a defect of chancery; ask another node",
    )
}

/// The answer that carries a refusal.
fn answer(shape: Shape, refusal: Refusal) -> Response<Body> {
    record(&refusal);
    let status = Status::from(refusal);
    match shape {
        Shape::Http | Shape::HttpPages => http_refusal(&status),
        Shape::Unary | Shape::Pages | Shape::Streaming | Shape::Batches => status.into_http(),
    }
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Counts and logs a refusal of the layer.
pub(super) fn record(refusal: &Refusal) {
    metrics::counter!("chancery_requests_refused_total", "reason" => refusal.reason).increment(1);
    debug!(reason = refusal.reason, "refused");
}
