//! A refusal over plain HTTP: the status that gRPC's code stands for, and in JSON
//! what a gRPC client finds in the details.

use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// `{"error":{"reason":…,"message":…,"remedy":…}}`
#[derive(Serialize)]
struct Told<'a> {
    error: Fault<'a>,
}

#[derive(Serialize)]
struct Fault<'a> {
    reason: &'a str,
    message: &'a str,
    remedy: &'a str,
}

/// The answer that carries a refusal.
pub(crate) fn http_refusal(status: &Status) -> Response<Body> {
    let details = status.get_error_details();
    let told = Told {
        error: Fault {
            reason: details.error_info().map_or("", |info| &info.reason),
            message: status.message(),
            remedy: details.localized_message().map_or("", |text| &text.message),
        },
    };
    let body = serde_json::to_vec(&told).unwrap_or_default();
    let mut response = Response::new(Body::new(axum::body::Body::from(body)));
    *response.status_mut() = http_status(status.code());
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    let pause = details.retry_info().and_then(|info| info.retry_delay);
    if let Some(pause) = pause {
        // RFC 9110, 10.2.3: whole seconds.
        let seconds = pause.as_secs() + u64::from(pause.subsec_nanos() > 0);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// As `google.rpc.Code` says of each.
const fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            StatusCode::BAD_REQUEST
        }
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Cancelled | Code::Unknown | Code::Internal | Code::DataLoss => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::caller::Refusal;
    use std::time::Duration;

    #[tokio::test]
    async fn a_refusal_says_over_http_what_it_says_over_grpc() {
        let refusal = Refusal::new(Code::Unavailable, "STALE", "too old", "ask another node")
            .retry_after(Duration::from_millis(1200));
        let response = http_refusal(&refusal.into());
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        let body = axum::body::to_bytes(axum::body::Body::new(response.into_body()), 4096);
        let told: serde_json::Value = serde_json::from_slice(&body.await.unwrap()).unwrap();
        assert_eq!(
            told["error"],
            serde_json::json!({
                "reason": "STALE",
                "message": "too old",
                "remedy": "ask another node",
            })
        );
    }
}
