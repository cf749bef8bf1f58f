//! The feed itself, spoken by hand: terms, pings and pongs.

use chancery_client::{Client, Idempotence, meta, v1};
use chancery_tests::{
    agent::{Agent, mint},
    chancery::succeed,
    cluster::Cluster,
    method::reason,
    until::until,
};
use rustix::process::Signal;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use v1::{
    revocation_service_client::RevocationServiceClient, view_change::Change, watch_response::Event,
};

/// A stream that the test speaks on.
struct Watch {
    say: mpsc::Sender<v1::WatchRequest>,
    feed: Streaming<v1::WatchResponse>,
    /// What was applied.
    revision: u64,
    terms: v1::Terms,
}

impl Watch {
    /// Begins, and reads the terms and the snapshot.
    async fn begin(client: &Client, max_age_ms: u64) -> Self {
        let begin = v1::WatchRequest {
            max_age_ms,
            ..v1::WatchRequest::default()
        };
        let (say, mut feed) = open(client, begin).await.unwrap();
        let Some(Event::Terms(terms)) = feed.message().await.unwrap().unwrap().event else {
            panic!("it does not begin with the terms");
        };
        let mut watch = Self {
            say,
            feed,
            revision: 0,
            terms,
        };
        while watch.revision == 0 {
            watch.next().await.unwrap();
        }
        watch
    }

    async fn ping(&self, sent: u64) {
        let revision = self.revision;
        let ping = Some(v1::Ping { sent, revision });
        self.send(v1::WatchRequest {
            ping,
            ..v1::WatchRequest::default()
        })
        .await;
    }

    async fn send(&self, request: v1::WatchRequest) {
        self.say.send(request).await.unwrap();
    }

    /// The next event, applied.
    async fn next(&mut self) -> Result<Event, Status> {
        let event = self.feed.message().await?.unwrap().event.unwrap();
        match &event {
            Event::Snapshot(part) if part.last => self.revision = part.revision,
            Event::Delta(delta) => {
                assert!(delta.previous <= self.revision, "a gap");
                self.revision = delta.revision;
            }
            Event::Terms(terms) => self.terms = terms.clone(),
            Event::Pong(pong) => {
                assert!(pong.revision >= self.revision, "it takes something back");
                self.revision = pong.revision;
            }
            Event::Snapshot(_) => {}
        }
        Ok(event)
    }

    /// The next pong, and the ids that were revoked before it.
    async fn pong(&mut self) -> (v1::Pong, Vec<Vec<u8>>) {
        let mut revoked = Vec::new();
        loop {
            match self.next().await.unwrap() {
                Event::Pong(pong) => return (pong, revoked),
                Event::Delta(delta) => {
                    let changes = delta.changes.into_iter();
                    revoked.extend(changes.filter_map(|change| match change.change {
                        Some(Change::TokenRevoked(id)) => Some(id),
                        _ => None,
                    }));
                }
                _ => {}
            }
        }
    }
}

async fn open(
    client: &Client,
    begin: v1::WatchRequest,
) -> Result<(mpsc::Sender<v1::WatchRequest>, Streaming<v1::WatchResponse>), chancery_client::Error>
{
    let said = std::sync::Mutex::new(None);
    let feed = client.call(Idempotence::Repeatable, |channel| {
        let (say, requests) = mpsc::channel(4);
        say.try_send(begin.clone()).unwrap();
        *said.lock().unwrap() = Some(say);
        let requests = ReceiverStream::new(requests);
        async move { RevocationServiceClient::new(channel).watch(requests).await }
    });
    let feed = feed.await?;
    Ok((said.into_inner().unwrap().unwrap(), feed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_is_answered_after_everything_that_was_in_force_when_it_was_sent() {
    let cluster = Cluster::of(1).await;
    let agent = Agent::register(&cluster, "watched").await;
    let client = agent.at(&cluster, &[0]);
    let operator = cluster.operator();
    let mut watch = Watch::begin(&operator, 0).await;
    assert_eq!(
        (watch.terms.max_age_ms, watch.terms.rho_percent),
        (5_000, 10)
    );
    assert_eq!(watch.terms.issuer, chancery_tests::cluster::ISSUER);

    for number in 1..=20 {
        let token = mint(&client).await.unwrap();
        let id = chancery_credential::UnverifiedToken::parse(&token.token).unwrap();
        let id = id.claims().jti.as_bytes().to_vec();
        let request = v1::RevokeRequest {
            meta: meta("a test").unwrap(),
            credential: Some(v1::revoke_request::Credential::Token(token.token)),
        };
        let revoked = chancery_tests::call!(operator, RevocationServiceClient::revoke, request);
        assert!(revoked.is_ok());
        watch.ping(number).await;
        let (pong, ids) = watch.pong().await;
        assert_eq!(pong.sent, number, "it is of another ping");
        assert!(ids.contains(&id), "the revocation was acknowledged before");
        assert!(pong.age_us < 2_000_000, "{pong:?}");
        assert_eq!(pong.max_age_ms, 5_000);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_a_longer_v_than_the_cluster_allows_now_is_told_so() {
    let cluster = Cluster::of(1).await;
    let operator = cluster.operator();
    let too_long = v1::WatchRequest {
        max_age_ms: 5_001,
        ..v1::WatchRequest::default()
    };
    let refused = open(&operator, too_long).await.unwrap_err();
    assert_eq!(refused.reason(), Some("INVALID_FIELD"), "{refused}");

    let mut watch = Watch::begin(&operator, 4_900).await;
    assert_eq!(watch.terms.max_age_ms, 4_900);
    let set = ["settings", "set", "--v-default", "3s", "--v-max", "4s"];
    let set = [&set[..], &["--profile", "profile", "--reason", "a test"]].concat();
    succeed(&cluster.path(), &set);
    // Unasked.
    while watch.terms.max_age_ms != 4_000 {
        watch.next().await.unwrap();
    }
    watch.ping(1).await;
    let (pong, _) = watch.pong().await;
    assert_eq!(pong.max_age_ms, 4_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_cannot_prove_that_it_is_fresh_answers_no_ping_until_it_can() {
    let cluster = Cluster::of(3).await;
    let lonely = cluster.operator_at(2);
    let mut watch = Watch::begin(&lonely, 0).await;
    watch.ping(1).await;
    watch.pong().await;
    for position in [0, 1] {
        cluster.nodes[position].signal(Signal::STOP);
        until("the process stood still", || async {
            cluster.nodes[position].is_paused().then_some(())
        })
        .await;
    }
    until("the lonely node was stale", || async {
        let status = cluster.status(2).await.ok()?;
        (!status.fresh).then_some(())
    })
    .await;
    watch.ping(2).await;
    for position in [0, 1] {
        cluster.nodes[position].signal(Signal::CONT);
    }
    let (pong, _) = watch.pong().await;
    assert_eq!(pong.sent, 2);
    assert!(pong.age_us < 2_000_000, "it was answered from an old state");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_ping_ends_the_watch_with_a_reason() {
    let cluster = Cluster::of(1).await;
    let operator = cluster.operator();
    let ping = |revision| v1::WatchRequest {
        ping: Some(v1::Ping { sent: 0, revision }),
        ..v1::WatchRequest::default()
    };
    let again = v1::WatchRequest {
        max_age_ms: 1_000,
        ..ping(100)
    };
    for wrong in [ping(0), again, v1::WatchRequest::default()] {
        let mut watch = Watch::begin(&operator, 0).await;
        watch.ping(1).await;
        watch.pong().await;
        watch.send(wrong).await;
        let ended = loop {
            match watch.next().await {
                Ok(_) => {}
                Err(status) => break status,
            }
        };
        assert_eq!(ended.code(), Code::InvalidArgument, "{ended}");
        assert_eq!(reason(&ended), "INVALID_FIELD");
    }
    let refused = open(&operator, ping(0)).await.unwrap_err();
    assert_eq!(refused.reason(), Some("INVALID_FIELD"), "{refused}");
}
