//! Subscribers that come and go.

use std::time::Duration;

use chancery_client::v1;
use futures::{StreamExt, future::join_all};
use tokio_stream::once;
use tonic::{Code, Status};
use v1::{revocation_service_client::RevocationServiceClient, watch_response::Event};

use super::Load;

const WATCHERS: u64 = 24;
/// The shortest and the longest time that one stays, seconds.
const STAY: (u64, u64) = (3, 20);
/// When a node cannot prove that its state is fresh.
const BUSY: Duration = Duration::from_millis(500);

pub async fn watch(load: &Load<'_>) {
    join_all((0..WATCHERS).map(|number| come_and_go(load, number))).await;
}

async fn come_and_go(load: &Load<'_>, number: u64) {
    let mut since = String::new();
    for turn in 0_u64.. {
        if load.is_over() {
            return;
        }
        let draw = number * 7 + turn * 13;
        let stay = Duration::from_secs(STAY.0 + draw % (STAY.1 - STAY.0));
        // Every second time it begins anew.
        if draw.is_multiple_of(2) {
            since.clear();
        }
        let position = usize::try_from(draw % 3).unwrap();
        match watch_for(load, position, stay, &mut since).await {
            Err(status) if is_busy(status.code()) => {
                load.skip("watch");
                tokio::time::sleep(BUSY).await;
            }
            outcome => drop(load.ask("watch", async { outcome }).await),
        }
    }
}

/// It has as many streams as it takes, or cannot prove that its state is fresh.
fn is_busy(code: Code) -> bool {
    matches!(code, Code::ResourceExhausted | Code::Unavailable)
}

async fn watch_for(
    load: &Load<'_>,
    position: usize,
    stay: Duration,
    since: &mut String,
) -> Result<(), Status> {
    let channel = load.shops[position].channel().unwrap();
    let request = v1::WatchRequest {
        max_age_ms: 0,
        since: since.clone(),
        ping: None,
    };
    let watching = RevocationServiceClient::new(channel)
        .watch(once(request))
        .await?;
    let mut feed = watching.into_inner();
    let reading = async {
        while let Some(told) = feed.next().await {
            match told?.event {
                Some(Event::Delta(delta)) => *since = delta.consistency_token,
                Some(Event::Snapshot(part)) if part.last => *since = part.consistency_token,
                _ => {}
            }
        }
        Err(Status::aborted("the feed ended"))
    };
    tokio::time::timeout(stay, reading).await.unwrap_or(Ok(()))
}
