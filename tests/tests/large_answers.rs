//! Answers that would be too large for one message, and watchers that do not read
//! theirs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::future::Future;

use chancery_client::{Client, Idempotence, Identity, meta, v1};
use chancery_tests::{
    agent::{Agent, OWNER, add_owner, register},
    call,
    cluster::{Cluster, TRUST_DOMAIN},
    method::reason,
};
use futures::{StreamExt, stream};
use prost::Message;
use tonic::{Code, Status, Streaming};
use v1::{
    agent_service_client::AgentServiceClient, principal_service_client::PrincipalServiceClient,
    revocation_service_client::RevocationServiceClient, view_change::Change, watch_response::Event,
};

/// Registrations, each of about 16 KiB: five times what one message may hold.
const MANY: usize = 300;
const AT_ONCE: usize = 32;
/// What clients read as one message.
const MESSAGE_BYTES: usize = 4 << 20;

/// Does something `count` times, many at once.
async fn all<F: Future<Output = ()>>(count: usize, each: impl Fn(usize) -> F) {
    let each = stream::iter(0..count).map(each);
    each.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

fn audience(number: usize) -> String {
    format!("https://ledger.example/{}{number:03}", "x".repeat(220))
}

async fn register_large(client: &Client, number: usize) {
    let agent = Agent::unregistered(&format!("large/{number:03}"), OWNER);
    let grants = (0..60).map(|number| v1::Grant {
        audience: audience(number),
        scopes: vec!["ledger:read".to_owned()],
        ..v1::Grant::default()
    });
    let spec = v1::AgentSpec {
        grants: grants.collect(),
        ..agent.spec()
    };
    register(client, spec).await.unwrap();
}

async fn add_large_service(client: &Client, number: usize) {
    let request = v1::AddServiceRequest {
        meta: meta("a test").unwrap(),
        name: format!("service-{number:03}"),
        audiences: (0..60).map(audience).collect(),
        public_keys: vec![Identity::generate().unwrap().public_key().to_vec()],
    };
    let added = call!(client, PrincipalServiceClient::add_service, request);
    added.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_large_registrations_is_told_in_pages_that_can_be_sent() {
    let cluster = Cluster::of(1).await;
    let client = cluster.operator();
    add_owner(&client, OWNER).await;
    all(MANY, |number| register_large(&client, number)).await;
    all(MANY, |number| add_large_service(&client, number)).await;

    let mut request = v1::ListRequest {
        page_size: 1000,
        ..v1::ListRequest::default()
    };
    let mut ids = Vec::new();
    let mut pages = 0;
    loop {
        let page = call!(client, AgentServiceClient::list, request.clone()).unwrap();
        assert!(page.encoded_len() < MESSAGE_BYTES / 2);
        pages += 1;
        ids.extend(page.agents.into_iter().map(|agent| agent.spec.unwrap().id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let expected: Vec<String> = (0..MANY)
        .map(|number| format!("spiffe://{TRUST_DOMAIN}/large/{number:03}"))
        .collect();
    assert_eq!(ids, expected, "each once, in order");
    assert!(pages > 2, "{pages} pages");

    let mut request = v1::ListPrincipalsRequest {
        page_size: 1000,
        ..v1::ListPrincipalsRequest::default()
    };
    let mut names = Vec::new();
    loop {
        let page = call!(client, PrincipalServiceClient::list, request.clone()).unwrap();
        assert!(page.encoded_len() < MESSAGE_BYTES / 2);
        names.extend(page.principals.into_iter().map(|one| match one.kind {
            Some(v1::principal::Kind::Operator(operator)) => operator.name,
            Some(v1::principal::Kind::Service(service)) => service.name,
            None => panic!("a principal of no kind"),
        }));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let services = (0..MANY).map(|number| format!("service-{number:03}"));
    let expected: Vec<String> = ["root".to_owned()].into_iter().chain(services).collect();
    assert_eq!(names, expected, "operators first, each once");
}

/// More changes than a node remembers: each names an agent with as long an id as can
/// be, so that the bound in bytes is the one that is reached.
const CHANGES: usize = 11_000;

async fn watch(client: &Client, since: &str) -> Streaming<v1::WatchResponse> {
    let request = v1::WatchRequest {
        max_age_ms: 0,
        since: since.to_owned(),
        ping: None,
    };
    let feed = client.call(Idempotence::Repeatable, |channel| {
        let begin = tokio_stream::once(request.clone());
        async move { RevocationServiceClient::new(channel).watch(begin).await }
    });
    let mut feed = feed.await.unwrap();
    let terms = feed.message().await.unwrap().unwrap().event;
    assert!(matches!(terms, Some(Event::Terms(_))), "{terms:?}");
    feed
}

async fn next(feed: &mut Streaming<v1::WatchResponse>) -> Result<Event, Status> {
    Ok(feed.message().await?.unwrap().event.unwrap())
}

/// Reads a snapshot; what it says, and where it leads to.
async fn snapshot(feed: &mut Streaming<v1::WatchResponse>) -> (Vec<v1::ViewChange>, String, u64) {
    let mut changes = Vec::new();
    loop {
        let Event::Snapshot(part) = next(feed).await.unwrap() else {
            panic!("it goes on with a delta");
        };
        changes.extend(part.changes);
        if part.last {
            return (changes, part.consistency_token, part.revision);
        }
    }
}

async fn revoke_held(client: &Client, id: &str) -> u64 {
    let request = v1::RevokeHeldRequest {
        meta: meta("a test").unwrap(),
        subject: Some(v1::Subject {
            subject: Some(v1::subject::Subject::Agent(id.to_owned())),
        }),
    };
    let revoked = call!(client, RevocationServiceClient::revoke_held, request);
    let committed = revoked.unwrap().committed.unwrap();
    let token: chancery_credential::ConsistencyToken = committed.consistency_token.parse().unwrap();
    token.revision.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_that_does_not_read_is_cut_off_and_comes_back() {
    let cluster = Cluster::of(1).await;
    let client = cluster.operator();
    add_owner(&client, OWNER).await;
    let room = 2048 - "spiffe://".len() - TRUST_DOMAIN.len() - 1;
    let path = vec!["a"; room / 2].join("/");
    let agent = Agent::unregistered(&path, OWNER);
    register(&client, agent.spec()).await.unwrap();

    let mut slow = watch(&client, "").await;
    let (_, mut since, mut at) = snapshot(&mut slow).await;
    let (client_ref, id) = (&client, agent.id.as_str());
    all(CHANGES, |_| async move {
        revoke_held(client_ref, id).await;
    })
    .await;
    let newest = revoke_held(&client, id).await;

    // What was on its way to it is all that it gets.
    let cut = loop {
        match next(&mut slow).await {
            Ok(Event::Delta(delta)) => {
                assert_eq!(delta.previous, at, "no gap");
                assert!(delta.revision < newest, "it was told all");
                (at, since) = (delta.revision, delta.consistency_token);
            }
            Ok(other) => panic!("{other:?}"),
            Err(status) => break status,
        }
    };
    assert_eq!(
        (cut.code(), reason(&cut).as_str()),
        (Code::Aborted, "RESYNC")
    );

    // What it missed is forgotten: it begins again.
    let mut feed = watch(&client, &since).await;
    let (changes, since, at) = snapshot(&mut feed).await;
    assert!(at >= newest);
    let marks = changes
        .into_iter()
        .filter_map(|change| match change.change {
            Some(Change::Watermark(mark)) => Some(mark.revision),
            _ => None,
        });
    assert_eq!(marks.max(), Some(newest));
    drop(feed);

    // What it misses now is not.
    let newest = revoke_held(&client, id).await;
    let mut feed = watch(&client, &since).await;
    let mut previous = at;
    while previous < newest {
        let Event::Delta(delta) = next(&mut feed).await.unwrap() else {
            panic!("it begins again");
        };
        assert_eq!(delta.previous, previous);
        previous = delta.revision;
    }
}
