//! Retiring, expiring and revoking issuers.

use std::sync::Arc;

use chancery_credential::{EpochNumber, IssuerNumber};
use chancery_revocation::Change;

use super::Transition;
use crate::event::{Answer, Event};
use crate::record::{IssuerRecord, IssuerStanding};
use crate::rejection::{Reason, Rejection};
use crate::row::{Row, RowKey};
use crate::stamped::Actor;

impl Transition<'_> {
    /// By its own node at any time; by another one, the keeper's, once its epoch
    /// is superseded. What is not open is done with.
    pub(super) fn retire_issuer(&mut self, number: IssuerNumber) -> Result<Answer, Rejection> {
        let issuer = self.known_issuer(number)?;
        let own = *self.actor == Actor::Node(issuer.node);
        let newest = self
            .state
            .epoch()
            .map_or(EpochNumber(0), |epoch| epoch.number);
        if !own && issuer.epoch >= newest {
            return Err(Rejection::new(Reason::IssuerInForce, number));
        }
        self.retire(&issuer);
        Ok(Answer::Nothing)
    }

    /// Its revoked ids go with it, out of the state bit by bit.
    pub(super) fn expire_issuer(&mut self, number: IssuerNumber) -> Result<Answer, Rejection> {
        let issuer = self.known_issuer(number)?;
        if issuer.standing == IssuerStanding::Open {
            return Err(Rejection::new(Reason::IssuerStillOpen, number));
        }
        self.erase(RowKey::Issuer(number));
        self.emit(Event::View(Change::IssuerExpired(number)));
        Ok(Answer::Nothing)
    }

    pub(super) fn revoke_issuer(&mut self, number: IssuerNumber) -> Result<Answer, Rejection> {
        self.known_issuer(number)?;
        Ok(self.revoke_where(|issuer| issuer.number == number))
    }

    /// Revokes each that is not yet, absolutely: no comparison with `rev`, which
    /// whoever has the key would choose.
    pub(super) fn revoke_where(&mut self, which: impl Fn(&IssuerRecord) -> bool) -> Answer {
        let alive = |issuer: &IssuerRecord| !matches!(issuer.standing, IssuerStanding::Revoked(_));
        let issuers: Vec<_> = (self.state.issuers())
            .filter(|issuer| alive(issuer) && which(issuer))
            .cloned()
            .collect();
        let mut numbers = Vec::with_capacity(issuers.len());
        for issuer in issuers {
            self.stand(&issuer, IssuerStanding::Revoked(self.revision));
            self.emit(Event::View(Change::IssuerRevoked(issuer.number)));
            numbers.push(issuer.number);
        }
        Answer::Issuers(numbers)
    }

    /// If it is open.
    pub(super) fn retire(&mut self, issuer: &IssuerRecord) {
        if issuer.standing == IssuerStanding::Open {
            let retired_at = self.revision;
            self.stand(issuer, IssuerStanding::Retired(retired_at));
            self.emit(Event::View(Change::IssuerRetired {
                number: issuer.number,
                retired_at,
            }));
        }
    }

    fn stand(&mut self, issuer: &IssuerRecord, standing: IssuerStanding) {
        self.put(Row::Issuer(Arc::new(IssuerRecord {
            standing,
            ..issuer.clone()
        })));
    }

    fn known_issuer(&self, number: IssuerNumber) -> Result<Arc<IssuerRecord>, Rejection> {
        let record = self.state.issuer(number).cloned();
        record.ok_or_else(|| Rejection::new(Reason::IssuerUnknown, number))
    }
}
