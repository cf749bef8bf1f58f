//! Revoking one token.

use chancery_credential::TokenId;
use chancery_revocation::Change;

use super::Transition;
use crate::bounds::{MAX_REVOKED_TOKENS, RESERVED_REVOKED_TOKENS};
use crate::event::{Answer, Event};
use crate::record::IssuerStanding;
use crate::rejection::{Reason, Rejection};
use crate::row::Row;
use crate::stamped::Actor;

impl Transition<'_> {
    /// The id is kept under its issuer until that expires. A token that is dead
    /// already, by its own revocation or its issuer's, is done with.
    pub(super) fn revoke_token(&mut self, token: TokenId) -> Result<Answer, Rejection> {
        let number = token.issuer();
        let Some(issuer) = self.state.issuer(number) else {
            return Err(Rejection::new(Reason::IssuerUnknown, number));
        };
        let dead = matches!(issuer.standing, IssuerStanding::Revoked(_));
        if dead || self.state.is_revoked(&token) {
            return Ok(Answer::Nothing);
        }
        let room = match self.actor {
            Actor::Operator(_) => MAX_REVOKED_TOKENS,
            Actor::Agent(_) | Actor::Service(_) | Actor::Node(_) | Actor::Birth => {
                MAX_REVOKED_TOKENS - RESERVED_REVOKED_TOKENS
            }
        };
        if self.state.revoked_tokens(number) >= room {
            return Err(Rejection::new(Reason::RevokedTokensFull, number));
        }
        self.put(Row::RevokedToken(token));
        self.emit(Event::View(Change::TokenRevoked(token)));
        Ok(Answer::Nothing)
    }
}
