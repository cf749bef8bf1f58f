//! Auditors, pollers and whoever fetches the published keys.

use std::time::Duration;

use chancery_client::{Error, v1};
use chancery_tests::{call, jwks};
use v1::{
    agent_service_client::AgentServiceClient, history_service_client::HistoryServiceClient,
    revocation_service_client::RevocationServiceClient,
};

use super::{Load, each};

const HISTORY_EVERY: Duration = Duration::from_secs(1);
const POLL_EVERY: Duration = Duration::from_millis(300);
const AGENTS_EVERY: Duration = Duration::from_secs(2);
const KEYS_EVERY: Duration = Duration::from_millis(500);
const PAGE: u32 = 100;
/// Pages of the history that are read at a time.
const PAGES: usize = 3;

pub async fn history(load: &Load<'_>) {
    let mut pace = each(HISTORY_EVERY);
    for turn in 0.. {
        pace.tick().await;
        if load.is_over() {
            return;
        }
        let node = &load.operators[turn % 3];
        let mut request = v1::ListHistoryRequest {
            page_size: PAGE,
            ..v1::ListHistoryRequest::default()
        };
        for _ in 0..PAGES {
            let listing = request.clone();
            let listing = async { call!(node, HistoryServiceClient::list, listing) };
            let Some(page) = load.ask("history", listing).await else {
                break;
            };
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
    }
}

/// A poller at each node.
pub async fn changes(load: &Load<'_>) {
    tokio::join!(poll(load, 0), poll(load, 1), poll(load, 2));
}

async fn poll(load: &Load<'_>, position: usize) {
    let mut pace = each(POLL_EVERY);
    let mut since = String::new();
    while !load.is_over() {
        pace.tick().await;
        if load
            .ask("poll", poll_once(load, position, &mut since))
            .await
            .is_none()
        {
            since.clear();
        }
    }
}

async fn poll_once(load: &Load<'_>, position: usize, since: &mut String) -> Result<(), Error> {
    loop {
        let request = v1::ListChangesRequest {
            since: since.clone(),
        };
        let shop = &load.shops[position];
        let answer = call!(shop, RevocationServiceClient::list_changes, request)?;
        *since = answer.next;
        if !answer.more {
            return Ok(());
        }
    }
}

/// All of the registry, page by page.
pub async fn agents(load: &Load<'_>) {
    let mut pace = each(AGENTS_EVERY);
    for turn in 0.. {
        pace.tick().await;
        if load.is_over() {
            return;
        }
        let node = &load.operators[turn % 3];
        let mut request = v1::ListRequest {
            page_size: PAGE,
            ..v1::ListRequest::default()
        };
        loop {
            let listing = request.clone();
            let listing = async { call!(node, AgentServiceClient::list, listing) };
            match load.ask("list agents", listing).await {
                Some(page) if !page.next_page_token.is_empty() => {
                    request.page_token = page.next_page_token;
                }
                _ => break,
            }
        }
    }
}

/// The published keys, each time over a stranger's new connection.
pub async fn key_sets(load: &Load<'_>) {
    let mut pace = each(KEYS_EVERY);
    let root = load.cluster.root();
    for turn in 0.. {
        pace.tick().await;
        if load.is_over() {
            return;
        }
        let api = load.cluster.nodes[turn % 3].api();
        let answer = jwks::try_fetch(&api, &root).await;
        let line = answer.map_or_else(|| "nobody answered".to_owned(), |(line, _)| line);
        // It cannot prove that its state is fresh.
        if line.contains("503") {
            load.skip("key set");
        } else {
            load.must("key set", line.contains("200"), line);
        }
    }
}
