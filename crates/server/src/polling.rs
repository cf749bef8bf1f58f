//! `GET /v1/revocations?since=`: `RevocationService.ListChanges` as JSON, for services
//! that poll and speak no gRPC. The same callers may, by their client certificate.

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{RawQuery, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use chancery_credential::Subject;
use chancery_revocation::Change;
use serde::Serialize;
use tonic::{Code, Status};

use crate::{
    caller::{Caller, http_refusal, permission::REVOCATIONS_PATH, refuse},
    service::{Desk, Page},
};

/// Changes that a page lists, bytes before they are JSON, which takes about twice
/// that.
const PAGE_BYTES: usize = 256 * 1024;

/// The route, over a node's desk.
pub(crate) fn routes(desk: Arc<Desk>) -> Router {
    Router::new()
        .route(REVOCATIONS_PATH, get(serve))
        .with_state(desk)
}

async fn serve(
    State(desk): State<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Response {
    let listed = match since(query.as_deref().unwrap_or_default()) {
        Ok(since) => desk.changes(&caller.identity, since, PAGE_BYTES).await,
        Err(status) => Err(status),
    };
    match listed {
        Ok(page) => {
            let json = HeaderValue::from_static("application/json");
            // Whoever answers from a cache answers from the past.
            let no_store = HeaderValue::from_static("no-store");
            let headers = [
                (header::CONTENT_TYPE, json),
                (header::CACHE_CONTROL, no_store),
            ];
            let body = serde_json::to_vec(&Listed::of(&page)).unwrap_or_default();
            (headers, body).into_response()
        }
        Err(status) => http_refusal(&status).map(axum::body::Body::new),
    }
}

/// The one parameter. It needs no escapes, so none are read.
pub(crate) fn since(query: &str) -> Result<&str, Status> {
    if query.is_empty() {
        return Ok("");
    }
    query.strip_prefix("since=").ok_or_else(|| {
        refuse(
            Code::InvalidArgument,
            "INVALID_FIELD",
            "the query has another parameter than `since`",
            format!("ask for `{REVOCATIONS_PATH}?since=` with the `next` of the answer before"),
        )
    })
}

/// As `ListChangesResponse`.
#[derive(Serialize)]
struct Listed<'a> {
    resync: bool,
    changes: Vec<Told<'a>>,
    next: &'a str,
    more: bool,
    revision: u64,
    age_ms: u64,
}

impl<'a> Listed<'a> {
    fn of(page: &'a Page) -> Self {
        Self {
            resync: page.resync,
            changes: page.changes.iter().map(Told::of).collect(),
            next: &page.next,
            more: page.more,
            revision: page.revision.0,
            age_ms: page.age_ms,
        }
    }
}

/// As `ViewChange`. Numbers are below 2^53 for longer than anything lasts.
#[derive(Serialize, Debug, PartialEq)]
#[serde(tag = "change", rename_all = "snake_case")]
enum Told<'a> {
    IssuerOpened {
        issuer: u32,
        node: u64,
        epoch: u64,
        opened_at: u64,
        key_id: String,
        /// Hex of the 32 bytes (RFC 8032).
        ed25519: String,
    },
    IssuerRetired {
        issuer: u32,
        retired_at: u64,
    },
    IssuerExpired {
        issuer: u32,
    },
    IssuerRevoked {
        issuer: u32,
    },
    /// Tokens of the subject with a lower `rev` are dead.
    Watermark {
        subject: TheSubject<'a>,
        revision: u64,
    },
    TokenRevoked {
        token_id: String,
    },
    /// Tokens with a lower `rev` are dead.
    Floor {
        revision: u64,
    },
    /// Log time, seconds since the Unix epoch.
    Time {
        seconds: u64,
    },
}

#[derive(Serialize, Debug, PartialEq)]
#[serde(rename_all = "snake_case")]
enum TheSubject<'a> {
    Agent(&'a str),
    Owner(&'a str),
    GrantSet(&'a str),
    Everything(bool),
}

impl<'a> Told<'a> {
    fn of(change: &'a Change) -> Self {
        match change {
            Change::IssuerOpened {
                number,
                node,
                epoch,
                opened_at,
                key,
            } => Self::IssuerOpened {
                issuer: number.0,
                node: node.0,
                epoch: epoch.0,
                opened_at: opened_at.0,
                key_id: key.key_id().to_string(),
                ed25519: hex::encode(key.as_bytes()),
            },
            Change::IssuerRetired { number, retired_at } => Self::IssuerRetired {
                issuer: number.0,
                retired_at: retired_at.0,
            },
            Change::IssuerExpired(number) => Self::IssuerExpired { issuer: number.0 },
            Change::IssuerRevoked(number) => Self::IssuerRevoked { issuer: number.0 },
            Change::Watermark { subject, revision } => Self::Watermark {
                subject: TheSubject::of(subject),
                revision: revision.0,
            },
            Change::TokenRevoked(id) => Self::TokenRevoked {
                token_id: id.to_string(),
            },
            Change::Floor(revision) => Self::Floor {
                revision: revision.0,
            },
            Change::Time(seconds) => Self::Time { seconds: *seconds },
        }
    }
}

impl<'a> TheSubject<'a> {
    fn of(subject: &'a Subject) -> Self {
        match subject {
            Subject::Agent(id) => Self::Agent(id.as_str()),
            Subject::Owner(name) => Self::Owner(name.as_str()),
            Subject::GrantSet(name) => Self::GrantSet(name.as_str()),
            Subject::Everything => Self::Everything(true),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use chancery_credential::Revision;
    use serde_json::json;

    #[test]
    fn the_query_has_one_parameter() {
        assert_eq!(since("").unwrap(), "");
        assert_eq!(since("since=").unwrap(), "");
        assert_eq!(since("since=abc~i1").unwrap(), "abc~i1");
        for other in ["until=1", "page=2&since=x"] {
            assert_eq!(since(other).unwrap_err().code(), Code::InvalidArgument);
        }
    }

    #[test]
    fn a_change_is_named_and_its_members_with_it() {
        let set = Change::Watermark {
            subject: Subject::GrantSet("readers".parse().unwrap()),
            revision: Revision(7),
        };
        let told = serde_json::to_value(Told::of(&set)).unwrap();
        let expected = json!({
            "change": "watermark",
            "subject": { "grant_set": "readers" },
            "revision": 7,
        });
        assert_eq!(told, expected);
        let expired = Change::IssuerExpired(chancery_credential::IssuerNumber(3));
        let told = serde_json::to_value(Told::of(&expired)).unwrap();
        assert_eq!(told, json!({ "change": "issuer_expired", "issuer": 3 }));
    }
}
