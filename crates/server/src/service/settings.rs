//! `SettingsService`: what safety rests on.

use std::sync::Arc;

use chancery_authority::{Command, Inequality, Settings, SettingsChange, WhenBehind};
use chancery_wire::v1::{self, settings_service_server::SettingsService};
use tonic::{Request, Response, Status};

use super::{Desk, consistency::stale, parse, split};

/// The service over a node's desk.
pub(crate) struct SettingsDesk(pub(crate) Arc<Desk>);

#[tonic::async_trait]
impl SettingsService for SettingsDesk {
    async fn get(
        &self,
        request: Request<v1::GetSettingsRequest>,
    ) -> Result<Response<v1::GetSettingsResponse>, Status> {
        let message = request.into_inner();
        self.0.at_least(&message.min_revision).await?;
        let (settings, consistency_token) = self.present()?;
        Ok(Response::new(v1::GetSettingsResponse {
            consistency_token,
            settings: Some(told(&settings)),
            spans: Some(spans(&settings)),
        }))
    }

    async fn explain(
        &self,
        request: Request<v1::ExplainSettingsRequest>,
    ) -> Result<Response<v1::ExplainSettingsResponse>, Status> {
        let message = request.into_inner();
        self.0.at_least(&message.min_revision).await?;
        let (present, consistency_token) = self.present()?;
        let settings = change(message.change.unwrap_or_default())?.made_to(&present);
        Ok(Response::new(v1::ExplainSettingsResponse {
            consistency_token,
            settings: Some(told(&settings)),
            spans: Some(spans(&settings)),
            rules: settings.rules().into_iter().map(rule).collect(),
        }))
    }

    async fn set(
        &self,
        request: Request<v1::SetSettingsRequest>,
    ) -> Result<Response<v1::SetSettingsResponse>, Status> {
        let (caller, mut message) = split(request)?;
        let meta = message.meta.take();
        let change = change(parse::required("change", message.change)?)?;
        if change.is_empty() {
            return Err(parse::invalid("change", "it changes nothing"));
        }
        let done = self
            .0
            .command(&caller, meta, Command::SetSettings(change))
            .await?;
        let settings = self.0.consensus.directory().settings();
        Ok(Response::new(v1::SetSettingsResponse {
            committed: Some(self.0.committed(&done)),
            settings: settings.as_deref().map(told),
            spans: settings.as_deref().map(spans),
        }))
    }
}

impl SettingsDesk {
    fn present(&self) -> Result<(Arc<Settings>, String), Status> {
        let (settings, current) = self.0.read(|| self.0.consensus.directory().settings())?;
        let settings = settings.ok_or_else(stale)?;
        Ok((settings, self.0.token_for(current.revision)))
    }
}

fn told(settings: &Settings) -> v1::Settings {
    let Settings {
        trust_domain,
        issuer_url,
        rho_percent,
        freshness_ms,
        tick_ms,
        heartbeat_ms,
        election_min_ms,
        election_max_ms,
        v_default_ms,
        v_max_ms,
        leeway_s,
        ttl_default_s,
        ttl_cap_s,
        jwks_max_age_s,
        epoch_s,
        records_when_behind,
        former: _,
    } = settings;
    v1::Settings {
        trust_domain: trust_domain.to_string(),
        issuer_url: issuer_url.clone(),
        rho_percent: *rho_percent,
        freshness_ms: *freshness_ms,
        tick_ms: *tick_ms,
        heartbeat_ms: *heartbeat_ms,
        election_min_ms: *election_min_ms,
        election_max_ms: *election_max_ms,
        v_default_ms: *v_default_ms,
        v_max_ms: *v_max_ms,
        leeway_s: *leeway_s,
        ttl_default_s: *ttl_default_s,
        ttl_cap_s: *ttl_cap_s,
        jwks_max_age_s: *jwks_max_age_s,
        epoch_s: *epoch_s,
        records_when_behind: match records_when_behind {
            WhenBehind::Refuse => v1::RecordsWhenBehind::Refuse,
            WhenBehind::Drop => v1::RecordsWhenBehind::Drop,
        }
        .into(),
    }
}

fn change(message: v1::SettingsChange) -> Result<SettingsChange, Status> {
    let behind = message
        .records_when_behind
        .map(|_| when_behind(message.records_when_behind()))
        .transpose()?;
    let v1::SettingsChange {
        issuer_url,
        freshness_ms,
        tick_ms,
        heartbeat_ms,
        election_min_ms,
        election_max_ms,
        v_default_ms,
        v_max_ms,
        leeway_s,
        ttl_default_s,
        ttl_cap_s,
        jwks_max_age_s,
        epoch_s,
        records_when_behind: _,
    } = message;
    Ok(SettingsChange {
        issuer_url,
        freshness_ms,
        tick_ms,
        heartbeat_ms,
        election_min_ms,
        election_max_ms,
        v_default_ms,
        v_max_ms,
        leeway_s,
        ttl_default_s,
        ttl_cap_s,
        jwks_max_age_s,
        epoch_s,
        records_when_behind: behind,
    })
}

fn when_behind(what: v1::RecordsWhenBehind) -> Result<WhenBehind, Status> {
    match what {
        v1::RecordsWhenBehind::Refuse => Ok(WhenBehind::Refuse),
        v1::RecordsWhenBehind::Drop => Ok(WhenBehind::Drop),
        v1::RecordsWhenBehind::Unspecified => Err(parse::invalid(
            "change.records_when_behind",
            "it is none that this node knows",
        )),
    }
}

fn spans(settings: &Settings) -> v1::Spans {
    v1::Spans {
        w_ms: settings.w_ms(),
        rotation_lead_ms: settings.rotation_lead_ms(),
        issuer_expiry_ms: settings.issuer_expiry_ms(),
    }
}

fn rule(rule: Inequality) -> v1::Rule {
    v1::Rule {
        setting: rule.setting.to_owned(),
        arithmetic: rule.arithmetic,
        holds: rule.holds,
    }
}
