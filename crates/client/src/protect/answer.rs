//! What is answered to whom a request is not served. It says what to do next and no more:
//! why a token is refused is for the logs of the service.

use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use tonic::{Code, Status};

use crate::verifier::Rejected;

/// Why a request is not served.
#[derive(Debug)]
pub(super) enum Denied {
    /// It bears no token.
    NoToken,
    /// What it bears cannot be read as one.
    InvalidRequest,
    Rejected(Rejected),
}

impl Denied {
    /// As HTTP (RFC 6750 §3), or as gRPC when the request is.
    pub(super) fn answer<B: Default>(&self, is_grpc: bool) -> Response<B> {
        let mut answer = if is_grpc {
            let (code, message) = self.grpc();
            Status::new(code, message).into_http()
        } else {
            let mut answer = Response::new(B::default());
            *answer.status_mut() = self.http();
            answer
        };
        let headers = answer.headers_mut();
        if let Some(challenge) = self.challenge() {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if self.http() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }

    const fn http(&self) -> StatusCode {
        match self {
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::NoToken | Self::Rejected(Rejected::Refused(_)) => StatusCode::UNAUTHORIZED,
            Self::Rejected(Rejected::InsufficientScope(_)) => StatusCode::FORBIDDEN,
            Self::Rejected(Rejected::Stale | Rejected::Unsure) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    const fn grpc(&self) -> (Code, &'static str) {
        match self {
            Self::NoToken => (
                Code::Unauthenticated,
                "no token: send `authorization: Bearer` with one",
            ),
            Self::InvalidRequest => (Code::Unauthenticated, "`authorization` cannot be read"),
            Self::Rejected(Rejected::Refused(_)) => (
                Code::Unauthenticated,
                "the token is not accepted: mint a new one",
            ),
            Self::Rejected(Rejected::InsufficientScope(_)) => {
                (Code::PermissionDenied, "the token does not allow this")
            }
            Self::Rejected(Rejected::Stale | Rejected::Unsure) => (
                Code::Unavailable,
                "tokens cannot be verified here now: try again",
            ),
        }
    }

    fn challenge(&self) -> Option<HeaderValue> {
        let challenge = match self {
            // Who sent no token is told of no error (RFC 6750 §3.1).
            Self::NoToken => "Bearer".to_owned(),
            Self::InvalidRequest => "Bearer error=\"invalid_request\"".to_owned(),
            Self::Rejected(Rejected::Refused(_)) => "Bearer error=\"invalid_token\"".to_owned(),
            Self::Rejected(Rejected::InsufficientScope(scope)) => {
                format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"")
            }
            Self::Rejected(_) => return None,
        };
        HeaderValue::try_from(challenge).ok()
    }
}

pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}
