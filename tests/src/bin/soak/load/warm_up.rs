//! Fills what a node holds up to a bound and no further, so that what grows after it
//! grows without one.

use chancery_client::{Client, Error, meta, v1};
use chancery_tests::{agent::Agent, call};
use futures::future::join_all;
use v1::{Subject, agent_service_client::AgentServiceClient, subject::Subject as Of};

use crate::{
    nodes::{Seen, metric},
    rig::Rig,
    say,
};

/// The recent changes of a node: the last to be full, at the pace of the load.
const FULL_LAST: &str = "chancery_memory_bytes{part=\"recent_changes\"}";
/// Agents that are suspended and resumed at a time, and how often between two looks.
const LANES: usize = 32;
const TURNS: usize = 64;
/// Looks; a ring of 64 Ki changes takes sixteen.
const MOST_LOOKS: usize = 40;

/// Whether every node is full in the end.
pub async fn run(rig: &Rig) -> bool {
    let nodes: Vec<Seen> = rig.cluster.nodes.iter().map(Seen::of).collect();
    let held = || -> Vec<f64> {
        let held = nodes.iter().map(|node| metric(&node.metrics(), FULL_LAST));
        held.collect()
    };
    let operator = rig.cluster.operator();
    let mut former = held();
    for _ in 0..MOST_LOOKS {
        let agents = rig.steady.iter().take(LANES);
        let lanes = agents.map(|caller| suspend_and_resume(&operator, &caller.agent));
        if let Some(error) = join_all(lanes).await.into_iter().find_map(Result::err) {
            say(&format!("the warm-up failed: {error}"));
            return false;
        }
        let now = held();
        let grown = former.iter().zip(&now).any(|(former, now)| now > former);
        if !grown {
            return true;
        }
        former = now;
    }
    say("the warm-up did not fill the nodes");
    false
}

async fn suspend_and_resume(operator: &Client, agent: &Agent) -> Result<(), Error> {
    let subject = Some(Subject {
        subject: Some(Of::Agent(agent.id.clone())),
    });
    for _ in 0..TURNS {
        let suspending = v1::SuspendRequest {
            meta: meta("warm-up")?,
            subject: subject.clone(),
        };
        call!(operator, AgentServiceClient::suspend, suspending)?;
        let resuming = v1::ResumeRequest {
            meta: meta("warm-up")?,
            subject: subject.clone(),
        };
        call!(operator, AgentServiceClient::resume, resuming)?;
    }
    Ok(())
}
