//! Callers who ask for what they may not have.

use std::sync::Arc;

use chancery_client::{Channel, Client, Config, Identity, RetryPolicy, meta, v1};
use chancery_tests::{agent::wanted, method::reason};
use tonic::{Code, Status};
use v1::{
    Subject, agent_service_client::AgentServiceClient, subject::Subject as Of,
    token_service_client::TokenServiceClient,
};

use super::{Counts, Pace, Plan};

/// Requests of each caller to each node at a time.
const AT_A_TIME: usize = 21;

pub fn ask(plan: &Arc<Plan>, counts: &Counts, rate: Option<u32>) {
    let pace = rate.map(Pace::a_second);
    for node in 0..plan.apis.len() {
        let greedy = channel(plan, node, plan.agents[0].identity());
        let powerless = channel(plan, node, plan.auditor.identity());
        let stranger = channel(plan, node, Identity::generate().unwrap());
        for _ in 0..AT_A_TIME {
            again_and_again(counts, &pace, &greedy, scope_not_granted);
            again_and_again(counts, &pace, &powerless, suspend_everything);
            again_and_again(counts, &pace, &stranger, scope_not_granted);
        }
    }
}

fn channel(plan: &Plan, node: usize, identity: Identity) -> Channel {
    let client = Client::new(Config {
        endpoints: vec![plan.apis[node].clone()],
        root: plan.root.clone(),
        identity: Some(identity),
        retry: RetryPolicy::default(),
    });
    client.unwrap().channel().unwrap()
}

fn again_and_again<F>(
    counts: &Counts,
    pace: &Option<Pace>,
    channel: &Channel,
    ask: fn(Channel) -> F,
) where
    F: Future<Output = Status> + Send + 'static,
{
    let (counts, pace, channel) = (counts.clone(), pace.clone(), channel.clone());
    tokio::spawn(async move {
        loop {
            if let Some(pace) = &pace {
                pace.next().await;
            }
            let refused = ask(channel.clone()).await;
            match reason(&refused).as_str() {
                "" => counts.one(&format!("{:?}", refused.code())),
                reason => counts.one(reason),
            }
        }
    });
}

async fn scope_not_granted(channel: Channel) -> Status {
    let request = v1::MintRequest {
        scopes: vec!["vault:open".to_owned()],
        ..wanted()
    };
    let minted = TokenServiceClient::new(channel).mint(request).await;
    minted.err().unwrap_or_else(allowed)
}

async fn suspend_everything(channel: Channel) -> Status {
    let request = v1::SuspendRequest {
        meta: meta("abuse").unwrap(),
        subject: Some(Subject {
            subject: Some(Of::Everything(true)),
        }),
    };
    let suspended = AgentServiceClient::new(channel).suspend(request).await;
    suspended.err().unwrap_or_else(allowed)
}

fn allowed() -> Status {
    Status::new(Code::Ok, "what was asked for was given")
}
