//! The admin listener, on loopback: `/livez`, `/readyz`, `/metrics`.

use std::io;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{metrics::Gauges, status::NodeStatus};

/// What the routes read.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) status: NodeStatus,
    pub(crate) prometheus: PrometheusHandle,
    pub(crate) gauges: Gauges,
}

/// Serves until `stop`.
///
/// # Errors
/// When the listener fails.
pub(crate) async fn serve(
    listener: TcpListener,
    admin: Admin,
    stop: CancellationToken,
) -> io::Result<()> {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(admin);
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

/// 200 when new callers should come here; else 503, with what is missing.
async fn ready(State(admin): State<Admin>) -> Response {
    let health = admin.status.health();
    let missing: Vec<&str> = [
        (!health.fresh, "no fresh proof"),
        (health.lacks_issuer(), "no open issuer"),
        (
            health.is_avoidable(),
            "settling: its issuer is younger than the rotation lead",
        ),
        (
            health.records_behind,
            "records behind: what was minted is not in the file yet",
        ),
        (health.draining, "draining"),
        (health.leaving, "being removed"),
    ]
    .into_iter()
    .filter_map(|(is_missing, what)| is_missing.then_some(what))
    .collect();
    if health.ready() {
        (StatusCode::OK, "ready\n".to_owned()).into_response()
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {}\n", missing.join("; ")),
        )
            .into_response()
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    admin.gauges.read();
    let text = admin.prometheus.render();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
