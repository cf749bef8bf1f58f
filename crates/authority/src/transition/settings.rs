//! Replacing the settings.

use std::sync::Arc;

use super::Transition;
use crate::event::{Answer, Event};
use crate::rejection::{Reason, Rejection};
use crate::row::Row;
use crate::settings::Settings;

impl Transition<'_> {
    pub(super) fn set_settings(&mut self, settings: &Settings) -> Result<Answer, Rejection> {
        self.check_settings(settings)?;
        self.put(Row::Settings(Arc::new(settings.clone())));
        self.emit(Event::SettingsChanged);
        Ok(Answer::Nothing)
    }

    pub(super) fn check_settings(&self, settings: &Settings) -> Result<(), Rejection> {
        if let Err(broken) = settings.check() {
            let arithmetic: Vec<_> = broken.iter().map(ToString::to_string).collect();
            return Err(Rejection::new(
                Reason::SettingsUnsound,
                arithmetic.join("; "),
            ));
        }
        match self.state.settings() {
            Some(present) if present.trust_domain != settings.trust_domain => Err(Rejection::new(
                Reason::TrustDomainFixed,
                &present.trust_domain,
            )),
            _ => Ok(()),
        }
    }
}
