//! `GET /.well-known/jwks.json` (RFC 7517): the public keys of open and retired
//! issuers, served only while this node's state is proved to be recent.

use axum::{
    Router,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use chancery_consensus::Consensus;
use chancery_credential::Jwks;
use chancery_revocation::{Issuer, Stale};

use crate::clock::SystemClock;

/// The route, over a node's own state.
pub(crate) fn routes(consensus: Consensus) -> Router {
    Router::new()
        .route("/.well-known/jwks.json", get(serve))
        .with_state(consensus)
}

async fn serve(State(consensus): State<Consensus>) -> Response {
    let view = consensus.view();
    let Ok((keys, _)) = view.answer(&SystemClock, |_| Ok::<_, Stale>(view.issuers())) else {
        return stale();
    };
    let max_age = consensus
        .directory()
        .settings()
        .map_or(0, |settings| settings.jwks_max_age_s);
    let mut response = Jwks::of(
        keys.into_iter()
            .filter(Issuer::verifies)
            .map(|issuer| issuer.key),
    )
    .to_json()
    .into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/jwk-set+json"),
    );
    if let Ok(value) = HeaderValue::from_str(&format!("public, max-age={max_age}")) {
        headers.insert(header::CACHE_CONTROL, value);
    }
    response
}

/// A cache that keeps its old copy is right to: a stale node must not replace it.
fn stale() -> Response {
    let mut response = (
        StatusCode::SERVICE_UNAVAILABLE,
        "this node cannot prove that its state is recent: ask another node\n",
    )
        .into_response();
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
