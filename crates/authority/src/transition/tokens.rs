//! Revoking one token.

use chancery_credential::TokenId;
use chancery_revocation::Change;

use super::Transition;
use crate::bounds::MAX_REVOKED_TOKENS;
use crate::event::{Answer, Event};
use crate::record::IssuerStanding;
use crate::rejection::{Reason, Rejection};
use crate::row::Row;

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
        if self.state.revoked_tokens(number) >= MAX_REVOKED_TOKENS {
            return Err(Rejection::new(Reason::RevokedTokensFull, number));
        }
        self.put(Row::RevokedToken(token));
        self.emit(Event::View(Change::TokenRevoked(token)));
        Ok(Answer::Nothing)
    }
}
