//! Sessions over many nodes: what a caller was answered from is in every answer, and
//! what it has seen can be in every call, whatever the messages say.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::Status;

use super::{Desk, parse};

/// In the head of an answer: names a state that holds all that the answer rests on.
const CONSISTENCY_TOKEN: &str = "chancery-consistency-token";
/// In the head of a call: it is answered from no state before this one.
const MIN_REVISION: &str = "chancery-min-revision";

/// The calls that take part: not those of other protocols, which anyone may make.
const CALLS: &str = "/chancery.v1.";
/// Where a node stands is asked when it stands still, too.
const STATUS: &str = "/chancery.v1.ClusterService/Status";

/// Inside of the caller layer: whoever waits here may call, and has a place.
pub(crate) async fn go_on(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !path.starts_with(CALLS) {
        return next.run(request).await;
    }
    if path != STATUS
        && let Err(status) = desk.holds_seen(request.headers()).await
    {
        return status.into_http();
    }
    let mut response = next.run(request).await;
    // After the answer was made, so that it names nothing before that. Of a stream it
    // says where it began.
    let reached = desk.consensus.view().consistency_token().to_string();
    if let Ok(reached) = HeaderValue::try_from(reached) {
        let name = HeaderName::from_static(CONSISTENCY_TOKEN);
        response.headers_mut().insert(name, reached);
    }
    response
}

impl Desk {
    /// Waits for the state that the caller has seen, as for a `min_revision` of the
    /// message. Where both are given, both are held.
    async fn holds_seen(&self, headers: &HeaderMap) -> Result<(), Status> {
        let Some(seen) = headers.get(MIN_REVISION) else {
            return Ok(());
        };
        let seen = seen.to_str();
        let seen = seen.map_err(|error| parse::invalid(MIN_REVISION, error))?;
        self.at_least_as(MIN_REVISION, seen).await
    }
}
