//! What every command that changes something carries: why, and the id that makes
//! a repetition harmless.

use std::str::FromStr;

use chancery_client::{Attempt, Client, Error, Idempotence, draw_request_id, v1};
use clap::Args;
use serde::Serialize;
use tonic::{Response, Status};

use crate::{
    failure::{Failure, Kind},
    output::Column,
};

/// The options of commands that change something.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "For the record")]
pub struct OrderArgs {
    /// Why, for the record: at most 512 bytes
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    reason: String,
    /// Repeat the command with this id, which is then carried out at most once
    #[arg(long, value_name = "ID")]
    request_id: Option<RequestId>,
}

/// The options of commands that end what somebody holds.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "For the record")]
pub struct GraveOrderArgs {
    /// Why, for the record: at most 512 bytes
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Repeat the command with this id, which is then carried out at most once
    #[arg(long, value_name = "ID")]
    request_id: Option<RequestId>,
}

/// A command about to be sent.
#[derive(Debug, Clone)]
pub struct Order {
    meta: v1::CommandMeta,
    id: RequestId,
    idempotence: Idempotence,
}

impl OrderArgs {
    pub fn order(&self) -> Result<Order, Failure> {
        Order::new(&self.reason, self.request_id.as_ref())
    }
}

impl GraveOrderArgs {
    pub fn order(&self) -> Result<Order, Failure> {
        Order::new(&self.reason, self.request_id.as_ref())
    }
}

impl Order {
    fn new(reason: &str, repeated: Option<&RequestId>) -> Result<Self, Failure> {
        // Under an id that was given, a copy may still be on its way.
        let (id, idempotence) = match repeated {
            Some(id) => (id.clone(), Idempotence::Repeated),
            None => (RequestId(draw_request_id()?), Idempotence::Repeatable),
        };
        let meta = v1::CommandMeta {
            request_id: Some(id.0.clone()),
            reason: reason.to_owned(),
            ..v1::CommandMeta::default()
        };
        Ok(Self {
            meta,
            id,
            idempotence,
        })
    }

    /// Whether it goes under an id that was given.
    pub fn is_repeated(&self) -> bool {
        self.idempotence == Idempotence::Repeated
    }

    /// For the request message.
    pub fn meta(&self) -> Option<v1::CommandMeta> {
        Some(self.meta.clone())
    }

    /// Sends the command, at any node, until it is answered.
    pub async fn send<T, F, Fut>(&self, client: &Client, attempt: F) -> Result<T, Failure>
    where
        F: Fn(Attempt) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        client
            .call(self.idempotence, attempt)
            .await
            .map_err(|error| self.failure(error))
    }

    /// What to do when it is not known what became of it.
    pub fn how_to_repeat(&self) -> String {
        format!(
            "repeat it with `--request-id {}` within a minute: it is then answered, and not carried \
             out twice",
            self.id.text()
        )
    }

    fn failure(&self, error: Error) -> Failure {
        match error {
            Error::Unknown { last } => Failure {
                kind: Kind::Unknown,
                reason: String::new(),
                message: format!("whether the command was carried out is not known. Last: {last}"),
                next: self.how_to_repeat(),
            },
            error => error.into(),
        }
    }
}

/// `<milliseconds since 1970>-<32 hex digits>`.
#[derive(Debug, Clone)]
pub struct RequestId(v1::RequestId);

impl RequestId {
    pub fn text(&self) -> String {
        format!("{}-{}", self.0.time_ms, hex::encode(&self.0.random))
    }
}

impl FromStr for RequestId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "give the id that the former try printed, `<milliseconds>-<32 hex digits>`";
        let (time_ms, random) = text.split_once('-').ok_or_else(form)?;
        let time_ms = time_ms.parse().map_err(|_| form())?;
        let random = hex::decode(random).ok().filter(|random| random.len() == 16);
        Ok(Self(v1::RequestId {
            time_ms,
            random: random.ok_or_else(form)?,
        }))
    }
}

/// What every committed command shows.
#[derive(Debug, Serialize)]
pub struct CommittedView {
    /// `committed` or `enforced`.
    pub state: &'static str,
    /// Hand it back as `--min-revision`.
    pub consistency_token: String,
}

/// The columns of a committed command, where it stands as `committed`.
pub const COMMITTED: [Column; 2] = [
    ("state", "/committed/state"),
    ("consistency token", "/committed/consistency_token"),
];

impl CommittedView {
    pub fn of(committed: Option<v1::Committed>) -> Result<Self, Failure> {
        let committed = committed.ok_or_else(|| Failure::unexpected("commitment"))?;
        let state = committed
            .enforcement
            .map_or(0, |enforcement| enforcement.state);
        let state = match v1::EnforcementState::try_from(state) {
            Ok(v1::EnforcementState::Enforced) => "enforced",
            Ok(v1::EnforcementState::Committed) => "committed",
            _ => "unknown",
        };
        Ok(Self {
            state,
            consistency_token: committed.consistency_token,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_outcome_tells_how_to_ask_again() {
        let order = Order::new("test", None).unwrap();
        let failure = order.failure(Error::Unknown {
            last: "n1: reset".to_owned(),
        });
        assert_eq!(failure.kind, Kind::Unknown);
        let id = failure.next.split("--request-id ").nth(1).unwrap();
        let id: RequestId = id.split('`').next().unwrap().parse().unwrap();
        let again = Order::new("test", Some(&id)).unwrap();
        assert_eq!(again.meta.request_id, order.meta.request_id);
    }

    #[test]
    fn a_request_id_has_one_form() {
        for bad in ["", "1", "1-ab", "x-00000000000000000000000000000000"] {
            assert!(bad.parse::<RequestId>().is_err(), "{bad}");
        }
    }
}
