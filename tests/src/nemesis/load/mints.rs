//! Mints at each node, by all agents in turn.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chancery_client::v1::token_service_client::TokenServiceClient;

use super::{Caller, Held, IMPATIENT, Load, keep};
use crate::{
    agent::wanted,
    history::{Deed, Place},
    nemesis::recorder::Session,
};

impl Load {
    /// All agents in turn, those that may not mint too.
    pub(super) async fn mint_on(self: Arc<Self>, position: usize) {
        let place = Place::Node(position as u64 + 1);
        let callers: Vec<_> = self.steady.iter().chain(&self.fickle).cloned().collect();
        let sessions: Vec<Session> = callers
            .iter()
            .map(|caller| {
                let client = self.client(&[position], caller.agent.identity(), IMPATIENT);
                Session::new(&self.recorder, place, client)
            })
            .collect();
        let mut pace = Self::pace(self.pace.mint);
        for turn in 0.. {
            pace.tick().await;
            if self.recorder.is_over() {
                return;
            }
            let which = turn % callers.len();
            self.mint(&sessions[which], &callers[which]).await;
        }
    }

    async fn mint(&self, session: &Session, caller: &Caller) -> Option<Held> {
        let tried = session
            .call(|channel| async move { TokenServiceClient::new(channel).mint(wanted()).await })
            .await;
        let minted = tried.answer.as_ref().ok()?;
        let deed = Deed::Minted {
            token: minted.token_id.clone(),
            agent: caller.agent.id.clone(),
            owner: caller.owner.to_owned(),
            rev: rev(&minted.token),
        };
        let held = Held {
            token: minted.token.clone(),
            id: minted.token_id.clone(),
            agent: caller.agent.id.clone(),
            certificate: caller.certificate.clone(),
        };
        self.recorder.note(session.operation(&tried, None, deed));
        keep(&self.living, held.clone());
        Some(held)
    }
}

/// The `rev` of a token.
fn rev(token: &str) -> u64 {
    let claims = token.split('.').nth(1).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    claims["rev"].as_u64().unwrap()
}
