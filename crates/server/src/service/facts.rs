//! The facts of a token, as a verifier states them.

use chancery_credential::{GrantSetName, KeyId, OwnerName, Revision, SpiffeId, TokenId};
use chancery_revocation::Facts;
use chancery_wire::v1;
use tonic::Status;

use super::parse;

/// Owners, grant sets, ancestors and actors of a token: of each at most so many.
const MOST: usize = 8;

/// Facts that were understood.
pub(super) struct StatedFacts {
    key_id: KeyId,
    token_id: TokenId,
    revision: Revision,
    subject: SpiffeId,
    actors: Vec<SpiffeId>,
    owners: Vec<OwnerName>,
    grant_sets: Vec<GrantSetName>,
    ancestors: Vec<TokenId>,
    issued_at: u64,
    expires_at: u64,
}

impl StatedFacts {
    pub(super) fn parse(message: &v1::TokenFacts) -> Result<Self, Status> {
        let mut agents = parse::short_list("facts.agents", &message.agents, 1 + MOST)?.into_iter();
        let subject = agents
            .next()
            .ok_or_else(|| parse::invalid("facts.agents", "it is empty: `sub` comes first"))?;
        Ok(Self {
            key_id: parse::field("facts.key_id", &message.key_id)?,
            token_id: parse::field("facts.token_id", &message.token_id)?,
            revision: Revision(message.revision),
            subject,
            actors: agents.collect(),
            owners: parse::short_list("facts.owners", &message.owners, MOST)?,
            grant_sets: parse::short_list("facts.grant_sets", &message.grant_sets, MOST)?,
            ancestors: parse::short_list("facts.ancestors", &message.ancestors, MOST)?,
            issued_at: message.issued_at,
            expires_at: message.expires_at,
        })
    }

    pub(super) fn facts(&self) -> Facts<'_> {
        Facts {
            key_id: self.key_id,
            token_id: self.token_id,
            revision: self.revision,
            subject: &self.subject,
            actors: &self.actors,
            owners: &self.owners,
            grant_sets: &self.grant_sets,
            ancestors: &self.ancestors,
            issued_at: self.issued_at,
            expires_at: self.expires_at,
        }
    }
}
