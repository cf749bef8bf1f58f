//! The replicated settings.

use chancery_authority::{FormerSpans, Settings, SettingsChange, WhenBehind};
use chancery_credential::Revision;
use chancery_wire::log as pb;

use super::{
    Undecodable,
    scalar::{parse, text},
};

pub(super) fn settings(settings: &Settings) -> pb::Settings {
    // Taken apart whole, so that a new setting does not compile without a place.
    let Settings {
        trust_domain,
        issuer_url,
        freshness_ms,
        rho_percent,
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
        former: left,
    } = settings;
    pb::Settings {
        trust_domain: text(trust_domain),
        issuer_url: issuer_url.clone(),
        freshness_ms: *freshness_ms,
        rho_percent: *rho_percent,
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
        records_when_behind: when_behind(*records_when_behind).into(),
        former: (*left != FormerSpans::default()).then(|| former(left)),
    }
}

pub(super) fn read_settings(settings: &pb::Settings) -> Result<Settings, Undecodable> {
    Ok(Settings {
        trust_domain: parse("the trust domain", &settings.trust_domain)?,
        issuer_url: settings.issuer_url.clone(),
        freshness_ms: settings.freshness_ms,
        rho_percent: settings.rho_percent,
        tick_ms: settings.tick_ms,
        heartbeat_ms: settings.heartbeat_ms,
        election_min_ms: settings.election_min_ms,
        election_max_ms: settings.election_max_ms,
        v_default_ms: settings.v_default_ms,
        v_max_ms: settings.v_max_ms,
        leeway_s: settings.leeway_s,
        ttl_default_s: settings.ttl_default_s,
        ttl_cap_s: settings.ttl_cap_s,
        jwks_max_age_s: settings.jwks_max_age_s,
        epoch_s: settings.epoch_s,
        records_when_behind: read_when_behind(settings.records_when_behind())?,
        former: settings
            .former
            .as_ref()
            .map(read_former)
            .unwrap_or_default(),
    })
}

const fn former(spans: &FormerSpans) -> pb::FormerSpans {
    let FormerSpans {
        since,
        freshness_ms,
        v_max_ms,
        jwks_max_age_s,
    } = *spans;
    pb::FormerSpans {
        since: since.0,
        freshness_ms,
        v_max_ms,
        jwks_max_age_s,
    }
}

const fn read_former(spans: &pb::FormerSpans) -> FormerSpans {
    FormerSpans {
        since: Revision(spans.since),
        freshness_ms: spans.freshness_ms,
        v_max_ms: spans.v_max_ms,
        jwks_max_age_s: spans.jwks_max_age_s,
    }
}

pub(super) fn settings_change(change: &SettingsChange) -> pb::SettingsChange {
    let SettingsChange {
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
        records_when_behind,
    } = change;
    pb::SettingsChange {
        issuer_url: issuer_url.clone(),
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
        records_when_behind: records_when_behind.map(|it| when_behind(it).into()),
    }
}

pub(super) fn read_settings_change(
    change: &pb::SettingsChange,
) -> Result<SettingsChange, Undecodable> {
    let behind = change
        .records_when_behind
        .map(|_| change.records_when_behind());
    Ok(SettingsChange {
        issuer_url: change.issuer_url.clone(),
        freshness_ms: change.freshness_ms,
        tick_ms: change.tick_ms,
        heartbeat_ms: change.heartbeat_ms,
        election_min_ms: change.election_min_ms,
        election_max_ms: change.election_max_ms,
        v_default_ms: change.v_default_ms,
        v_max_ms: change.v_max_ms,
        leeway_s: change.leeway_s,
        ttl_default_s: change.ttl_default_s,
        ttl_cap_s: change.ttl_cap_s,
        jwks_max_age_s: change.jwks_max_age_s,
        epoch_s: change.epoch_s,
        records_when_behind: behind.map(read_when_behind).transpose()?,
    })
}

fn when_behind(setting: WhenBehind) -> pb::RecordsWhenBehind {
    match setting {
        WhenBehind::Refuse => pb::RecordsWhenBehind::Refuse,
        WhenBehind::Drop => pb::RecordsWhenBehind::Drop,
    }
}

fn read_when_behind(setting: pb::RecordsWhenBehind) -> Result<WhenBehind, Undecodable> {
    match setting {
        pb::RecordsWhenBehind::Refuse => Ok(WhenBehind::Refuse),
        pb::RecordsWhenBehind::Drop => Ok(WhenBehind::Drop),
        pb::RecordsWhenBehind::Unspecified => {
            Err(Undecodable::Unknown("what is done when records are behind"))
        }
    }
}
