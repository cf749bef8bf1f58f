//! Changing the settings, and comparing the state that they are part of.

use std::sync::Arc;

use chancery_credential::Revision;

use super::Transition;
use crate::event::{Answer, Event};
use crate::record::{IssuerRecord, IssuerStanding};
use crate::rejection::{Reason, Rejection};
use crate::row::Row;
use crate::settings::{FormerSpans, Settings};
use crate::settings_change::SettingsChange;

impl Transition<'_> {
    pub(super) fn set_settings(&mut self, change: &SettingsChange) -> Result<Answer, Rejection> {
        let Some(present) = self.state.settings() else {
            return Err(Rejection::new(Reason::NotBorn, ""));
        };
        let mut settings = change.made_to(present);
        check_settings(&settings)?;
        if settings.shortens(present) {
            settings.former.since = self.revision;
        }
        let expiry_ms = settings.issuer_expiry_ms();
        self.put(Row::Settings(Arc::new(settings)));
        self.lengthen_expiry(expiry_ms);
        self.emit(Event::SettingsChanged);
        Ok(Answer::Nothing)
    }

    /// That what it says has passed is for the keeper to see to, by its own clock.
    pub(super) fn forget_former(&mut self, since: Revision) -> Result<Answer, Rejection> {
        let Some(present) = self.state.settings() else {
            return Err(Rejection::new(Reason::NotBorn, ""));
        };
        if present.former.since == since && present.former != FormerSpans::default() {
            let settings = Settings {
                former: FormerSpans::default(),
                ..Settings::clone(present)
            };
            self.put(Row::Settings(Arc::new(settings)));
            self.emit(Event::SettingsChanged);
        }
        Ok(Answer::Nothing)
    }

    /// Whose state differs is for each node to find out, and leaves no trace in it.
    pub(super) fn compare_state(&self, at: Revision) -> Result<Answer, Rejection> {
        if at < self.revision {
            Ok(Answer::Nothing)
        } else {
            Err(Rejection::new(Reason::ComparedAhead, at))
        }
    }

    /// What was signed so far lives as long as the settings said then, and what open
    /// issuers sign from now on as long as they say now. One that was retired just before
    /// counts too: its process may sign by these settings before it sees that.
    fn lengthen_expiry(&mut self, expiry_ms: u64) {
        let shorter: Vec<_> = (self.state.issuers())
            .filter(|issuer| !matches!(issuer.standing, IssuerStanding::Revoked(_)))
            .filter(|issuer| issuer.expiry_ms < expiry_ms)
            .cloned()
            .collect();
        for issuer in shorter {
            self.put(Row::Issuer(Arc::new(IssuerRecord {
                expiry_ms,
                ..IssuerRecord::clone(&issuer)
            })));
        }
    }
}

pub(super) fn check_settings(settings: &Settings) -> Result<(), Rejection> {
    settings.check().map_err(|broken| {
        let arithmetic: Vec<_> = broken.iter().map(ToString::to_string).collect();
        Rejection::new(Reason::SettingsUnsound, arithmetic.join("; "))
    })
}
