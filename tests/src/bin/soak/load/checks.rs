//! Services that hold tokens against a node: each has to be found valid.

use std::time::Duration;

use chancery_client::v1;
use chancery_tests::{agent::AUDIENCE, call};
use futures::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use v1::{
    check_stream_response::Outcome, revocation_service_client::RevocationServiceClient,
    token_service_client::TokenServiceClient,
};

use super::{Held, Load, each};

const VERIFY_EVERY: Duration = Duration::from_millis(15);
const CHECK_EVERY: Duration = Duration::from_millis(15);
const BATCH_EVERY: Duration = Duration::from_millis(200);
/// Credentials in a message, and messages of a stream.
const BATCH: usize = 40;
const BATCHES: u64 = 60;

/// Held against the whole of a token.
pub async fn verify(load: &Load<'_>) {
    let mut pace = each(VERIFY_EVERY);
    for turn in 0.. {
        pace.tick().await;
        if load.is_over() {
            return;
        }
        let Some(held) = load.choose() else { continue };
        let shop = &load.shops[turn % load.shops.len()];
        let verifying = async { call!(shop, TokenServiceClient::verify, verification(held)) };
        if let Some(answer) = load.ask("verify", verifying).await {
            let valid = answer.verdict() == v1::verify_response::Verdict::Valid;
            load.must("verify: valid", valid, answer.reason);
        }
    }
}

pub fn verification(held: Held) -> v1::VerifyRequest {
    v1::VerifyRequest {
        token: held.token,
        audience: AUDIENCE.to_owned(),
        certificate_sha256: held.certificate,
        min_revision: held.min_revision,
    }
}

/// Held against what is in force.
pub async fn check(load: &Load<'_>) {
    let mut pace = each(CHECK_EVERY);
    for turn in 0.. {
        pace.tick().await;
        if load.is_over() {
            return;
        }
        let Some(held) = load.choose() else { continue };
        let request = v1::CheckRequest {
            credential: Some(v1::check_request::Credential::Token(held.token)),
            min_revision: held.min_revision,
        };
        let shop = &load.shops[turn % load.shops.len()];
        let checking = async { call!(shop, RevocationServiceClient::check, request) };
        if let Some(answer) = load.ask("check", checking).await {
            load.must("check: in force", answer.in_force, answer.reason);
        }
    }
}

/// The same, many in a message, at one node after the other.
pub async fn check_streams(load: &Load<'_>) {
    for turn in 0.. {
        if load.is_over() {
            return;
        }
        match check_stream(load, turn % 3).await {
            Err(status) if status.code() == Code::Unavailable => {
                load.skip("check stream");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            outcome => drop(load.ask("check stream", async { outcome }).await),
        }
    }
}

async fn check_stream(load: &Load<'_>, position: usize) -> Result<(), tonic::Status> {
    let (asking, asked) = tokio::sync::mpsc::channel(1);
    let channel = load.shops[position].channel().unwrap();
    let mut client = RevocationServiceClient::new(channel);
    let answers = client.check_stream(ReceiverStream::new(asked)).await?;
    let mut answers = answers.into_inner();
    let mut pace = each(BATCH_EVERY);
    for sequence in 0..BATCHES {
        pace.tick().await;
        if load.is_over() {
            break;
        }
        let held: Vec<Held> = (0..BATCH).filter_map(|_| load.choose()).collect();
        let Some(newest) = held.last() else { continue };
        let request = v1::CheckStreamRequest {
            sequence,
            min_revision: newest.min_revision.clone(),
            credentials: held.iter().map(credential).collect(),
        };
        if asking.send(request).await.is_err() {
            break;
        }
        let answer = answers.next().await;
        judged(
            load,
            answer.ok_or_else(|| tonic::Status::aborted("it ended"))??,
        );
    }
    drop(asking);
    Ok(())
}

fn credential(held: &Held) -> v1::Credential {
    v1::Credential {
        credential: Some(v1::credential::Credential::Token(held.token.clone())),
    }
}

fn judged(load: &Load<'_>, answer: v1::CheckStreamResponse) {
    match answer.outcome {
        Some(Outcome::Batch(batch)) => {
            for checked in batch.results {
                if checked.refusal.is_some() {
                    load.skip("check stream: in force");
                    continue;
                }
                load.must("check stream: in force", checked.in_force, checked.reason);
            }
        }
        Some(Outcome::Refusal(refusal)) => load.must("check stream: batch", false, refusal.reason),
        None => load.must("check stream: batch", false, "no outcome"),
    }
}
