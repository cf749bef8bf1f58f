//! Agents that come and go, are suspended, resumed and narrowed: the registry changes
//! all the time, and stays as large as it is.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use chancery_client::{meta, v1};
use chancery_tests::{
    agent::{Agent, OWNER, register, wanted},
    call,
};
use v1::{
    Subject, agent_service_client::AgentServiceClient, subject::Subject as Of,
    token_service_client::TokenServiceClient,
};

use super::{Held, Load, checks::verification, each};
use crate::rig::{Caller, caller, is_known, put_grant_set};

const COME_EVERY: Duration = Duration::from_millis(200);
const SUSPEND_EVERY: Duration = Duration::from_millis(500);
const CHANGE_SET_EVERY: Duration = Duration::from_secs(2);
/// Newcomers that are there at a time.
const GUESTS: usize = 50;

/// Each mints once, on a connection of its own, and stays until fifty came after it.
pub async fn come_and_go(load: &Load<'_>) {
    let mut pace = each(COME_EVERY);
    let mut guests = VecDeque::new();
    for number in 0.. {
        pace.tick().await;
        if load.is_over() {
            return;
        }
        let agent = Agent::unregistered(&format!("guest/{number}"), OWNER);
        let registering = register(&load.operator, agent.spec());
        let Some(registered) = load.ask("register", registering).await else {
            continue;
        };
        let seen = registered.committed.unwrap().consistency_token;
        is_known_everywhere(load, &agent.id, &seen).await;
        guests.push_back(agent.id.clone());
        let guest = caller(load.cluster, agent, number);
        load.ask("mint of a newcomer", guest.client.mint(wanted()))
            .await;
        if guests.len() > GUESTS {
            let id = guests.pop_front().unwrap();
            load.ask("remove", remove(load, id)).await;
        }
    }
}

/// A node may be as old as F, and refuses for good whom it does not know yet.
async fn is_known_everywhere(load: &Load<'_>, id: &str, seen: &str) {
    for operator in &load.operators {
        load.ask("get an agent", is_known(operator, id, seen)).await;
    }
}

async fn remove(load: &Load<'_>, id: String) -> Result<v1::RemoveResponse, chancery_client::Error> {
    let request = v1::RemoveRequest {
        meta: meta("gone")?,
        id,
    };
    call!(load.operator, AgentServiceClient::remove, request)
}

/// What a suspended agent held is refused, and after it was resumed it mints again.
pub async fn suspend_and_resume(load: &Load<'_>) {
    let mut pace = each(SUSPEND_EVERY);
    for turn in 0.. {
        pace.tick().await;
        if load.is_over() {
            return;
        }
        let fickle = load.fickle[turn % load.fickle.len()].clone();
        suspend(load, turn % load.shops.len(), &fickle).await;
    }
}

async fn suspend(load: &Load<'_>, position: usize, fickle: &Arc<Caller>) -> Option<()> {
    let minting = fickle.client.mint(wanted());
    let minted = load.ask("mint of a fickle agent", minting).await?;
    let subject = Some(Subject {
        subject: Some(Of::Agent(fickle.agent.id.clone())),
    });
    let suspending = v1::SuspendRequest {
        meta: meta("odd").unwrap(),
        subject: subject.clone(),
    };
    let suspending = async { call!(load.operator, AgentServiceClient::suspend, suspending) };
    let suspended = load.ask("suspend", suspending).await?;

    let mut held = Held::of(minted, fickle);
    held.min_revision = suspended.committed?.consistency_token;
    let shop = &load.shops[position];
    let verifying = async { call!(shop, TokenServiceClient::verify, verification(held)) };
    if let Some(answer) = load.ask("verify", verifying).await {
        let refused = answer.verdict() == v1::verify_response::Verdict::Refused;
        load.must("verify: refused once suspended", refused, "it was valid");
    }

    let resuming = v1::ResumeRequest {
        meta: meta("tried").unwrap(),
        subject,
    };
    let resuming = async { call!(load.operator, AgentServiceClient::resume, resuming) };
    let resumed = load.ask("resume", resuming).await?;
    let seen = resumed.committed?.consistency_token;
    is_known_everywhere(load, &fickle.agent.id, &seen).await;
    load.ask("mint once resumed", fickle.client.mint(wanted()))
        .await
        .map(drop)
}

/// Wider and narrower in turn, which takes along what was held.
pub async fn change_grant_sets(load: &Load<'_>) {
    let mut pace = each(CHANGE_SET_EVERY);
    for turn in 0.. {
        pace.tick().await;
        if load.is_over() {
            return;
        }
        let scopes: &[&str] = match turn % 2 {
            0 => &["ledger:read"],
            _ => &["ledger:*", "ledger:read"],
        };
        let putting = put_grant_set(&load.operator, scopes);
        load.ask("change a grant set", putting).await;
    }
}
