//! Services that know what is in force without asking each time: by polling, over
//! gRPC and over HTTPS, and by a watch that goes on where it was. Each rebuilds a view
//! and judges tokens with it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeSet;

use chancery_client::{Client, Idempotence, Identity, meta, v1};
use chancery_credential::UnverifiedToken;
use chancery_tests::{
    agent::{AUDIENCE, Agent, mint},
    call,
    cluster::{Cluster, impatient},
    https,
    method::reason,
};
use serde_json::Value;
use tonic::{Code, Streaming};
use v1::{
    agent_service_client::AgentServiceClient, check_stream_response::Outcome,
    credential::Credential, revocation_service_client::RevocationServiceClient,
    view_change::Change, watch_response::Event,
};

/// A poller's memory: what it was told.
#[derive(Default)]
struct Known {
    revoked: BTreeSet<Vec<u8>>,
    /// Subjects as texts, and below what their tokens are dead.
    watermarks: Vec<(String, u64)>,
    issuers: BTreeSet<u32>,
    next: String,
}

impl Known {
    fn take(&mut self, changes: Vec<v1::ViewChange>) {
        for change in changes {
            match change.change.unwrap() {
                Change::TokenRevoked(id) => {
                    self.revoked.insert(id);
                }
                Change::Watermark(mark) => {
                    let subject = format!("{:?}", mark.subject.unwrap().subject.unwrap());
                    self.watermarks.push((subject, mark.revision));
                }
                Change::IssuerOpened(opened) => {
                    self.issuers.insert(opened.number);
                }
                _ => {}
            }
        }
    }

    /// Asks until there is no more. Gives whether it had to begin anew.
    async fn poll(&mut self, client: &Client) -> bool {
        let mut resync = false;
        loop {
            let request = v1::ListChangesRequest {
                since: self.next.clone(),
            };
            let page = call!(client, RevocationServiceClient::list_changes, request).unwrap();
            if page.resync {
                resync = true;
                *self = Self::default();
            }
            self.take(page.changes);
            self.next = page.next;
            if !page.more {
                return resync;
            }
        }
    }

    fn knows(&self, token: &chancery_client::Minted) -> bool {
        let token = UnverifiedToken::parse(&token.token).unwrap();
        self.revoked
            .contains(token.claims().jti.as_bytes().as_slice())
    }
}

/// A registered service for [`AUDIENCE`]: its key, and its SDK over all nodes.
struct Service {
    identity: Identity,
    client: Client,
}

impl Service {
    async fn register(cluster: &Cluster) -> Self {
        use v1::principal_service_client::PrincipalServiceClient;
        let identity = Identity::generate().unwrap();
        let request = v1::AddServiceRequest {
            meta: meta("a test").unwrap(),
            name: "ledger".to_owned(),
            audiences: vec![AUDIENCE.to_owned()],
            public_keys: vec![identity.public_key().to_vec()],
        };
        let added = call!(
            cluster.operator(),
            PrincipalServiceClient::add_service,
            request
        );
        let seen = added.unwrap().committed.unwrap().consistency_token;
        let (key, certificate) = (identity.private_key_pem(), identity.certificate_pem());
        let again = || Identity::from_pem(&key, Some(&certificate)).unwrap();
        let all: Vec<usize> = (0..cluster.nodes.len()).collect();
        let client = cluster.client(&all, Some(again()), impatient());
        // Every node knows it from here on.
        for node in all {
            settled(cluster, node, &seen).await;
        }
        Self {
            identity: again(),
            client,
        }
    }
}

/// Waits until a node holds the state.
async fn settled(cluster: &Cluster, node: usize, seen: &str) {
    use v1::cluster_service_client::ClusterServiceClient;
    let request = v1::StatusRequest {
        min_revision: seen.to_owned(),
    };
    call!(
        cluster.operator_at(node),
        ClusterServiceClient::status,
        request
    )
    .unwrap();
}

async fn revoke(cluster: &Cluster, token: &chancery_client::Minted) -> String {
    let request = v1::RevokeRequest {
        meta: meta("leaked").unwrap(),
        credential: Some(v1::revoke_request::Credential::Token(token.token.clone())),
    };
    let revoked = call!(cluster.operator(), RevocationServiceClient::revoke, request);
    revoked.unwrap().committed.unwrap().consistency_token
}

async fn suspend(cluster: &Cluster, agent: &Agent) -> String {
    let request = v1::SuspendRequest {
        meta: meta("odd").unwrap(),
        subject: Some(v1::Subject {
            subject: Some(v1::subject::Subject::Agent(agent.id.clone())),
        }),
    };
    let suspended = call!(cluster.operator(), AgentServiceClient::suspend, request);
    suspended.unwrap().committed.unwrap().consistency_token
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poller_is_told_all_once_and_then_what_changed() {
    let cluster = Cluster::of(2).await;
    let agent = Agent::register(&cluster, "polled").await;
    let service = Service::register(&cluster).await;
    let client = agent.at(&cluster, &[0]);
    let (before, after) = (mint(&client).await.unwrap(), mint(&client).await.unwrap());
    let seen = revoke(&cluster, &before).await;
    settled(&cluster, 0, &seen).await;

    let mut known = Known::default();
    assert!(known.poll(&service.client).await, "all that is in force");
    assert!(known.knows(&before) && !known.knows(&after));
    assert_eq!(known.issuers.len(), 2, "one of each node");
    assert!(
        !known.poll(&service.client).await,
        "nothing to begin anew for"
    );

    // The next node asked may be any: the place is the log's.
    revoke(&cluster, &after).await;
    let seen = suspend(&cluster, &agent).await;
    for node in 0..2 {
        settled(&cluster, node, &seen).await;
        let (key, certificate) = (
            service.identity.private_key_pem(),
            service.identity.certificate_pem(),
        );
        let identity = Identity::from_pem(&key, Some(&certificate)).unwrap();
        let client = cluster.client(&[node], Some(identity), impatient());
        let mut known = Known {
            next: known.next.clone(),
            ..Known::default()
        };
        assert!(!known.poll(&client).await, "only what changed");
        assert!(known.knows(&after) && !known.knows(&before));
        assert!(known.issuers.is_empty());
        let [(subject, _)] = &known.watermarks[..] else {
            panic!("{:?}", known.watermarks);
        };
        assert!(subject.contains(&agent.id), "{subject}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_is_unknown_or_of_another_cluster_begins_anew_or_is_refused() {
    let cluster = Cluster::of(1).await;
    let operator = cluster.operator_at(0);
    let list = async |since: &str| {
        let request = v1::ListChangesRequest {
            since: since.to_owned(),
        };
        call!(operator, RevocationServiceClient::list_changes, request)
    };
    let here = list("").await.unwrap();
    let token: chancery_credential::ConsistencyToken = here.next.parse().unwrap();
    let other = chancery_credential::ConsistencyToken {
        lineage: chancery_credential::Lineage {
            generation: 9,
            random: 9,
        },
        ..token
    };
    let anew = list(&other.to_string()).await.unwrap();
    assert!(anew.resync, "nothing of another lineage counts");

    let beyond = chancery_credential::ConsistencyToken {
        revision: chancery_credential::Revision(token.revision.0 + 1_000_000),
        ..token
    };
    let refused = list(&beyond.to_string()).await.unwrap_err();
    assert_eq!(refused.reason(), Some("REVISION_UNKNOWN"), "{refused}");
    let refused = list("whatever").await.unwrap_err();
    assert_eq!(refused.reason(), Some("INVALID_FIELD"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_is_told_over_https_to_the_same_callers() {
    let cluster = Cluster::of(1).await;
    let agent = Agent::register(&cluster, "polled").await;
    let service = Service::register(&cluster).await;
    let token = mint(&agent.at(&cluster, &[0])).await.unwrap();
    let api = cluster.nodes[0].api();
    let get = async |identity: Option<&Identity>, query: &str| {
        let path = format!("/v1/revocations{query}");
        let answer = https::get(&api, &cluster.root(), identity, &path).await;
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        (answer.status, body)
    };
    let as_service = Some(&service.identity);

    let (status, all) = get(as_service, "").await;
    assert_eq!((status, &all["resync"]), (200, &true.into()), "{all}");
    assert_eq!(all["more"], false);
    let opened = all["changes"].as_array().unwrap().iter();
    assert!(
        opened
            .clone()
            .any(|change| change["change"] == "issuer_opened"),
        "{all}"
    );

    revoke(&cluster, &token).await;
    let seen = suspend(&cluster, &agent).await;
    settled(&cluster, 0, &seen).await;
    let since = format!("?since={}", all["next"].as_str().unwrap());
    let (status, changed) = get(as_service, &since).await;
    assert_eq!(
        (status, &changed["resync"]),
        (200, &false.into()),
        "{changed}"
    );
    let changes: Vec<&Value> = changed["changes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|change| change["change"] != "time")
        .collect();
    assert_eq!(changes[0]["token_id"], token.token_id);
    assert_eq!(changes[1]["subject"]["agent"], agent.id);
    assert!(changes[1]["revision"].as_u64().unwrap() > 0);

    for (who, query, expected, told) in [
        (None, "", 401, "NO_CERTIFICATE"),
        (Some(&agent.identity()), "", 403, "AGENT_SUSPENDED"),
        (as_service, "?since=whatever", 400, "INVALID_FIELD"),
        (as_service, "?until=now", 400, "INVALID_FIELD"),
    ] {
        let (status, body) = get(who, query).await;
        assert_eq!(
            (status, body["error"]["reason"].as_str()),
            (expected, Some(told)),
            "{body}"
        );
        assert!(!body["error"]["remedy"].as_str().unwrap().is_empty());
    }
}

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

/// Reads on to the first delta in which something is revoked; every delta has to
/// continue the one before.
async fn until_revoked(feed: &mut Streaming<v1::WatchResponse>, mut at: u64) -> (String, u64) {
    loop {
        let Some(Event::Delta(delta)) = feed.message().await.unwrap().unwrap().event else {
            panic!("it began with a snapshot");
        };
        assert_eq!(delta.previous, at, "no gap");
        at = delta.revision;
        let revoked =
            |change: &v1::ViewChange| matches!(change.change, Some(Change::TokenRevoked(_)));
        if delta.changes.iter().any(revoked) {
            return (delta.consistency_token, at);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_goes_on_where_it_was_at_another_node() {
    let cluster = Cluster::of(2).await;
    let agent = Agent::register(&cluster, "watched").await;
    let service = Service::register(&cluster).await;
    let client = agent.at(&cluster, &[0]);
    let tokens = [mint(&client).await.unwrap(), mint(&client).await.unwrap()];

    let mut feed = watch(&service.client, "").await;
    let (since, at) = loop {
        let Some(Event::Snapshot(part)) = feed.message().await.unwrap().unwrap().event else {
            panic!("it begins with a snapshot");
        };
        if part.last {
            break (part.consistency_token, part.revision);
        }
    };
    revoke(&cluster, &tokens[0]).await;
    let (_, _) = until_revoked(&mut feed, at).await;
    drop(feed);

    // Away for two revocations, one of which it had been told of.
    let seen = revoke(&cluster, &tokens[1]).await;
    for node in 0..2 {
        settled(&cluster, node, &seen).await;
        let operator = cluster.operator_at(node);
        let mut feed = watch(&operator, &since).await;
        let (_, at) = until_revoked(&mut feed, at).await;
        let (since, at) = until_revoked(&mut feed, at).await;
        drop(feed);

        // Nothing was missed: the first delta says so, and is empty.
        let mut feed = watch(&operator, &since).await;
        let Some(Event::Delta(delta)) = feed.message().await.unwrap().unwrap().event else {
            panic!("it begins anew");
        };
        assert_eq!(delta.previous, at);
        let revoked =
            |change: &v1::ViewChange| matches!(change.change, Some(Change::TokenRevoked(_)));
        assert!(!delta.changes.iter().any(revoked));
    }

    // What a node does not remember begins with a snapshot.
    let token: chancery_credential::ConsistencyToken = since.parse().unwrap();
    let old = chancery_credential::ConsistencyToken {
        revision: chancery_credential::Revision(0),
        ..token
    };
    let mut cluster = cluster;
    cluster.nodes[0].kill();
    cluster.nodes[0].start();
    cluster.serving(0).await;
    let mut feed = watch(&cluster.operator_at(0), &old.to_string()).await;
    let first = feed.message().await.unwrap().unwrap().event;
    assert!(matches!(first, Some(Event::Snapshot(_))), "{first:?}");
}

/// A batch of a stream, and its answer.
async fn batches(client: &Client, batches: Vec<Vec<Credential>>) -> Vec<v1::CheckStreamResponse> {
    let requests = (7..).zip(batches).map(|(sequence, credentials)| {
        let credentials = credentials.into_iter().map(|credential| v1::Credential {
            credential: Some(credential),
        });
        v1::CheckStreamRequest {
            sequence,
            credentials: credentials.collect(),
            min_revision: String::new(),
        }
    });
    let requests: Vec<_> = requests.collect();
    let channel = client.channel().unwrap();
    // As large as a batch may be.
    let mut service = RevocationServiceClient::new(channel).max_decoding_message_size(1 << 22);
    let answers = service.check_stream(futures::stream::iter(requests)).await;
    let mut answers = answers.unwrap().into_inner();
    let mut all = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        all.push(answer);
    }
    all
}

fn batch(answer: &v1::CheckStreamResponse) -> &v1::CheckedBatch {
    match answer.outcome.as_ref().unwrap() {
        Outcome::Batch(batch) => batch,
        Outcome::Refusal(refusal) => panic!("{refusal:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_credentials_are_checked_in_one_message_each_by_itself() {
    let cluster = Cluster::of(1).await;
    let agent = Agent::register(&cluster, "checked").await;
    let service = Service::register(&cluster).await;
    let client = agent.at(&cluster, &[0]);
    let (good, dead) = (mint(&client).await.unwrap(), mint(&client).await.unwrap());
    let seen = revoke(&cluster, &dead).await;
    settled(&cluster, 0, &seen).await;

    let token = |minted: &chancery_client::Minted| Credential::Token(minted.token.clone());
    let mut first: Vec<_> = (0..998).map(|_| token(&good)).collect();
    first.push(token(&dead));
    first.push(facts(&good));
    let second = vec![
        Credential::Token("no token".to_owned()),
        facts(&dead),
        token(&good),
    ];
    let answers = batches(&service.client, vec![first, Vec::new(), second]).await;
    let sequences: Vec<u64> = answers.iter().map(|answer| answer.sequence).collect();
    assert_eq!(sequences, [7, 8, 9], "in the order of the requests");

    let all = &batch(&answers[0]).results;
    assert_eq!(all.len(), 1000);
    assert!(all[..998].iter().all(|one| one.in_force));
    assert_eq!(
        (all[998].in_force, &*all[998].reason),
        (false, "TOKEN_REVOKED")
    );
    assert!(all[999].in_force, "{:?}", all[999]);
    assert!(!batch(&answers[0]).consistency_token.is_empty());

    // A batch that is refused ends no stream.
    let Some(Outcome::Refusal(refusal)) = &answers[1].outcome else {
        panic!("{:?}", answers[1]);
    };
    assert_eq!(refusal.reason, "INVALID_FIELD");
    assert_eq!(refusal.code, i32::from(Code::InvalidArgument));
    let mixed = &batch(&answers[2]).results;
    let unread = mixed[0].refusal.as_ref().unwrap();
    assert_eq!(
        (mixed[0].in_force, &*unread.reason),
        (false, "INVALID_FIELD")
    );
    assert_eq!(
        (mixed[1].in_force, &*mixed[1].reason),
        (false, "TOKEN_REVOKED")
    );
    assert!(mixed[2].in_force);

    // For other audiences a service does not ask; an agent does not ask at all.
    let mut stranger = RevocationServiceClient::new(client.channel().unwrap());
    let refused = stranger.check_stream(futures::stream::empty()).await;
    assert_eq!(reason(&refused.unwrap_err()), "METHOD_NOT_PERMITTED");
}

/// The facts of a token, as a verifier that checked its signature states them.
fn facts(minted: &chancery_client::Minted) -> Credential {
    let token = UnverifiedToken::parse(&minted.token).unwrap();
    let claims = token.claims();
    Credential::Facts(v1::TokenFacts {
        token_id: claims.jti.to_string(),
        revision: claims.rev.0,
        agents: vec![claims.sub.to_string()],
        owners: claims.own.iter().map(ToString::to_string).collect(),
        grant_sets: claims.set.iter().map(ToString::to_string).collect(),
        ancestors: Vec::new(),
        issued_at: claims.iat,
        expires_at: claims.exp,
        key_id: token.key_id().to_string(),
    })
}
