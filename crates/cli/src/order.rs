//! What every command that changes something carries: why, and the id that makes
//! a repetition harmless.

use std::{str::FromStr, sync::OnceLock, time::Duration};

use chancery_client::{Attempt, Client, Error, Idempotence, draw_request_id, v1};
use clap::{Args, ValueEnum};
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
    #[command(flatten)]
    wait: WaitArgs,
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
    #[command(flatten)]
    wait: WaitArgs,
}

/// How far the change is waited for.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "How far to wait")]
pub struct WaitArgs {
    /// Until it is `committed`; in force on all `nodes` (what ends something, unless told);
    /// or in force in all subscribed `verifiers` too
    #[arg(long, value_name = "HOW_FAR", value_enum)]
    wait: Option<HowFar>,
    /// Answer after this at the latest, and say how far it has come by then
    #[arg(long, value_name = "SECONDS", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=60))]
    wait_at_most: u16,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HowFar {
    /// Durable; some node may go without it for a moment more
    Committed,
    /// No node goes without it
    Nodes,
    /// No subscribed verifier does either
    Verifiers,
}

impl HowFar {
    pub const fn wire(self) -> v1::Wait {
        match self {
            Self::Committed => v1::Wait::Committed,
            Self::Nodes => v1::Wait::Nodes,
            Self::Verifiers => v1::Wait::Verifiers,
        }
    }
}

/// A command about to be sent.
#[derive(Debug, Clone)]
pub struct Order {
    meta: v1::CommandMeta,
    id: RequestId,
    idempotence: Idempotence,
    within: Duration,
    /// Where it was sent.
    client: OnceLock<Client>,
}

impl OrderArgs {
    pub fn order(&self) -> Result<Order, Failure> {
        Order::new(&self.reason, self.request_id.as_ref(), self.wait)
    }
}

impl GraveOrderArgs {
    pub fn order(&self) -> Result<Order, Failure> {
        Order::new(&self.reason, self.request_id.as_ref(), self.wait)
    }
}

impl Order {
    fn new(reason: &str, repeated: Option<&RequestId>, waits: WaitArgs) -> Result<Self, Failure> {
        let within = Duration::from_secs(waits.wait_at_most.into());
        // Under an id that was given, a copy may still be on its way.
        let (id, idempotence) = match repeated {
            Some(id) => (id.clone(), Idempotence::Repeated),
            None => (RequestId(draw_request_id()?), Idempotence::Repeatable),
        };
        let meta = v1::CommandMeta {
            request_id: Some(id.0.clone()),
            reason: reason.to_owned(),
            wait: waits
                .wait
                .map_or(v1::Wait::Unspecified, HowFar::wire)
                .into(),
            wait_at_most: within.try_into().ok(),
        };
        Ok(Self {
            meta,
            id,
            idempotence,
            within,
            client: OnceLock::new(),
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
        let client = self.client.get_or_init(|| client.clone());
        client
            .call(self.idempotence, attempt)
            .await
            .map_err(|error| self.failure(error))
    }

    /// Goes on waiting where the answer of one try ended, until it has come as far as was
    /// asked or there is no more time.
    pub async fn committed(
        &self,
        committed: Option<v1::Committed>,
    ) -> Result<CommittedView, Failure> {
        let mut committed = committed.ok_or_else(|| Failure::unexpected("commitment"))?;
        let told = committed.enforcement.clone().unwrap_or_default();
        let wait = match self.meta.wait() {
            // What was not asked for, and has begun, is what the cluster waits for.
            v1::Wait::Unspecified if !told.waiting_for.is_empty() => v1::Wait::Nodes,
            wait => wait,
        };
        let is_settled = match wait {
            v1::Wait::Unspecified | v1::Wait::Committed => true,
            v1::Wait::Nodes => told.state() == v1::EnforcementState::Enforced,
            v1::Wait::Verifiers => told.verifiers,
        };
        if let (false, Some(client)) = (is_settled, self.client.get()) {
            let token = &committed.consistency_token;
            match client.await_enforced(token, wait, self.within).await {
                Ok(told) => committed.enforcement = Some(told),
                // It is committed, whatever could not be learned since.
                Err(Error::Unavailable { .. } | Error::Unknown { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        CommittedView::of(Some(committed))
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
    /// `committed` or `enforced`, on the nodes.
    pub state: &'static str,
    /// Nodes whose proofs ran out before they had it.
    pub waited_out: Vec<u64>,
    /// Nodes that may still go without it.
    pub waiting_for: Vec<u64>,
    /// For how long at most, milliseconds; absent when that is not known.
    pub at_most_ms: Option<u64>,
    /// Whether every subscribed verifier knows it, or refuses everything.
    pub verifiers: bool,
    /// For how long one may still go without it at most, milliseconds.
    pub verifiers_at_most_ms: Option<u64>,
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
        let told = committed.enforcement.unwrap_or_default();
        let state = match told.state() {
            v1::EnforcementState::Enforced => "enforced",
            v1::EnforcementState::Committed => "committed",
            v1::EnforcementState::Unknown => "unknown",
        };
        Ok(Self {
            state,
            at_most_ms: milliseconds(told.at_most),
            verifiers: told.verifiers,
            verifiers_at_most_ms: milliseconds(told.verifiers_at_most),
            waited_out: told.waited_out,
            waiting_for: told.waiting_for,
            consistency_token: committed.consistency_token,
        })
    }
}

fn milliseconds(span: Option<impl TryInto<Duration>>) -> Option<u64> {
    let span: Duration = span?.try_into().ok()?;
    u64::try_from(span.as_millis()).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const WAITS: WaitArgs = WaitArgs {
        wait: None,
        wait_at_most: 8,
    };

    #[test]
    fn an_unknown_outcome_tells_how_to_ask_again() {
        let order = Order::new("test", None, WAITS).unwrap();
        let failure = order.failure(Error::Unknown {
            last: "n1: reset".to_owned(),
        });
        assert_eq!(failure.kind, Kind::Unknown);
        let id = failure.next.split("--request-id ").nth(1).unwrap();
        let id: RequestId = id.split('`').next().unwrap().parse().unwrap();
        let again = Order::new("test", Some(&id), WAITS).unwrap();
        assert_eq!(again.meta.request_id, order.meta.request_id);
    }

    #[test]
    fn a_request_id_has_one_form() {
        for bad in ["", "1", "1-ab", "x-00000000000000000000000000000000"] {
            assert!(bad.parse::<RequestId>().is_err(), "{bad}");
        }
    }
}
