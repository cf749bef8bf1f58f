//! What a command is called and about, for the record: words for auditors to read
//! and to search by.

use std::fmt::{self, Write as _};

use chancery_credential::{Grant, KeyThumbprint};

use crate::command::{Command, KeyChange};
use crate::settings_change::SettingsChange;

impl Command {
    /// Every [`name`](Self::name).
    pub const NAMES: [&str; 35] = [
        "BIRTH",
        "TICK",
        "REGISTER_AGENT",
        "UPDATE_AGENT",
        "REMOVE_AGENT",
        "SUSPEND",
        "RESUME",
        "REVOKE_HELD",
        "REVOKE_TOKEN",
        "ADD_OWNER",
        "PUT_GRANT_SET",
        "REMOVE_GRANT_SET",
        "ADD_OPERATOR",
        "ADD_SERVICE",
        "UPDATE_OPERATOR",
        "UPDATE_SERVICE",
        "REMOVE_OPERATOR",
        "REMOVE_SERVICE",
        "OPEN_EPOCH",
        "OPEN_ISSUER",
        "RETIRE_ISSUER",
        "EXPIRE_ISSUER",
        "REVOKE_ISSUER",
        "REVOKE_EPOCH",
        "REVOKE_NODE",
        "ADMIT_NODE",
        "RETIRE_NODE",
        "READMIT_NODE",
        "SEAT_NODE",
        "REMOVE_NODE",
        "EXPIRE_REGISTRATIONS",
        "RAISE_FLOOR",
        "SET_SETTINGS",
        "FORGET_FORMER",
        "COMPARE_STATE",
    ];

    /// `UPPER_SNAKE`, stable.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Birth(_) => "BIRTH",
            Self::Tick => "TICK",
            Self::RegisterAgent(_) => "REGISTER_AGENT",
            Self::UpdateAgent { .. } => "UPDATE_AGENT",
            Self::RemoveAgent(_) => "REMOVE_AGENT",
            Self::Suspend(_) => "SUSPEND",
            Self::Resume(_) => "RESUME",
            Self::RevokeHeld(_) => "REVOKE_HELD",
            Self::RevokeToken { .. } => "REVOKE_TOKEN",
            Self::AddOwner { .. } => "ADD_OWNER",
            Self::PutGrantSet { .. } => "PUT_GRANT_SET",
            Self::RemoveGrantSet(_) => "REMOVE_GRANT_SET",
            Self::AddOperator(_) => "ADD_OPERATOR",
            Self::AddService(_) => "ADD_SERVICE",
            Self::UpdateOperator(_) => "UPDATE_OPERATOR",
            Self::UpdateService(_) => "UPDATE_SERVICE",
            Self::RemoveOperator(_) => "REMOVE_OPERATOR",
            Self::RemoveService(_) => "REMOVE_SERVICE",
            Self::OpenEpoch { .. } => "OPEN_EPOCH",
            Self::OpenIssuer(_) => "OPEN_ISSUER",
            Self::RetireIssuer(_) => "RETIRE_ISSUER",
            Self::ExpireIssuer(_) => "EXPIRE_ISSUER",
            Self::RevokeIssuer(_) => "REVOKE_ISSUER",
            Self::RevokeEpoch(_) => "REVOKE_EPOCH",
            Self::RevokeNode(_) => "REVOKE_NODE",
            Self::AdmitNode(_) => "ADMIT_NODE",
            Self::RetireNode(_) => "RETIRE_NODE",
            Self::ReadmitNode { .. } => "READMIT_NODE",
            Self::SeatNode { .. } => "SEAT_NODE",
            Self::RemoveNode { .. } => "REMOVE_NODE",
            Self::ExpireRegistrations => "EXPIRE_REGISTRATIONS",
            Self::RaiseFloor(_) => "RAISE_FLOOR",
            Self::SetSettings(_) => "SET_SETTINGS",
            Self::ForgetFormer(_) => "FORGET_FORMER",
            Self::CompareState { .. } => "COMPARE_STATE",
        }
    }

    /// Whom and what it names, each as `kind:name`: `agent:<SPIFFE ID>`,
    /// `owner:<name>`, `grant-set:<name>`, `operator:<name>`, `service:<name>`,
    /// `token:<id>`, `issuer:<number>`, `epoch:<number>`, `node:<number or name>`,
    /// `everything`.
    #[must_use]
    pub fn about(&self) -> Vec<String> {
        let one = |kind: &str, name: &dyn fmt::Display| vec![format!("{kind}:{name}")];
        match self {
            Self::RegisterAgent(spec) | Self::UpdateAgent { spec, .. } => {
                let owners = spec.owners.iter().map(|name| format!("owner:{name}"));
                let sets = spec
                    .grant_sets
                    .iter()
                    .map(|name| format!("grant-set:{name}"));
                let agent = std::iter::once(format!("agent:{}", spec.id));
                agent.chain(owners).chain(sets).collect()
            }
            Self::RemoveAgent(id) => one("agent", id),
            Self::Suspend(subject) | Self::Resume(subject) | Self::RevokeHeld(subject) => {
                vec![subject.to_string()]
            }
            Self::RevokeToken { token, agent } => {
                let agent = agent.iter().map(|id| format!("agent:{id}"));
                std::iter::once(format!("token:{token}"))
                    .chain(agent)
                    .collect()
            }
            Self::AddOwner { name, .. } => one("owner", name),
            Self::PutGrantSet { name, .. } | Self::RemoveGrantSet(name) => one("grant-set", name),
            Self::AddOperator(spec) => one("operator", &spec.name),
            Self::UpdateOperator(change) => one("operator", &change.name),
            Self::UpdateService(change) => one("service", &change.name),
            Self::RemoveOperator(name) => one("operator", name),
            Self::AddService(spec) => one("service", &spec.name),
            Self::RemoveService(name) => one("service", name),
            Self::OpenIssuer(request) => {
                vec![
                    format!("node:{}", request.node),
                    format!("epoch:{}", request.epoch),
                ]
            }
            Self::RetireIssuer(number)
            | Self::ExpireIssuer(number)
            | Self::RevokeIssuer(number) => one("issuer", number),
            Self::RevokeEpoch(number) => one("epoch", number),
            Self::RevokeNode(number)
            | Self::RetireNode(number)
            | Self::RemoveNode { node: number, .. }
            | Self::SeatNode { node: number, .. }
            | Self::ReadmitNode { node: number, .. } => one("node", number),
            Self::AdmitNode(spec) => one("node", &spec.name),
            Self::Birth(_)
            | Self::Tick
            | Self::OpenEpoch { .. }
            | Self::ExpireRegistrations
            | Self::RaiseFloor(_)
            | Self::SetSettings(_)
            | Self::ForgetFormer(_)
            | Self::CompareState { .. } => Vec::new(),
        }
    }

    /// What else it says, for people: `keep-held`, `roles=keeper`, `ttl_cap_s=60`.
    #[must_use]
    pub fn details(&self) -> String {
        let mut details = Details::default();
        match self {
            Self::RegisterAgent(spec) => details.agent(spec),
            Self::UpdateAgent {
                spec, keep_held, ..
            } => {
                details.agent(spec);
                details.flag("keep-held", *keep_held);
            }
            Self::PutGrantSet {
                grants, keep_held, ..
            } => {
                details.grants(grants);
                details.flag("keep-held", *keep_held);
            }
            Self::AddOperator(spec) => {
                details.say("roles", spec.roles);
                details.keys(&spec.keys);
                details.expiry(spec.expires_at);
            }
            Self::AddService(spec) => {
                for audience in &spec.audiences {
                    details.say("audience", audience);
                }
                details.keys(&spec.keys);
            }
            Self::UpdateOperator(change) => {
                if let Some(roles) = change.roles {
                    details.say("roles", roles);
                }
                details.key_change(&change.keys);
                if let Some(expires_at) = change.expires_at {
                    details.say("expires-at", expires_at);
                }
            }
            Self::UpdateService(change) => {
                for audience in change.audiences.iter().flatten() {
                    details.say("audience", audience);
                }
                details.key_change(&change.keys);
            }
            Self::OpenEpoch { emergency } => details.flag("emergency", *emergency),
            Self::AdmitNode(spec) => {
                details.say("api", &spec.api_address);
                details.say("peer", &spec.peer_address);
                details.say("key", spec.peer_key.thumbprint());
                details.flag("check-only", spec.check_only);
            }
            Self::ReadmitNode { peer_key, .. } => details.say("key", peer_key.thumbprint()),
            Self::SeatNode { seat, .. } => details.say("seat", seat.as_str()),
            Self::RaiseFloor(revision) => details.say("floor", revision),
            Self::SetSettings(change) => details.settings(change),
            Self::ForgetFormer(since) => details.say("since", since),
            Self::CompareState { at, .. } => details.say("at", at),
            _ => {}
        }
        details.0
    }
}

#[derive(Default)]
struct Details(String);

impl Details {
    fn say(&mut self, name: &str, value: impl fmt::Display) {
        let space = if self.0.is_empty() { "" } else { " " };
        // Writing to a string does not fail.
        let _ = write!(self.0, "{space}{name}={value}");
    }

    fn flag(&mut self, name: &str, set: bool) {
        if set {
            let space = if self.0.is_empty() { "" } else { " " };
            self.0.push_str(space);
            self.0.push_str(name);
        }
    }

    fn agent(&mut self, spec: &crate::command::AgentSpec) {
        self.keys(&spec.keys);
        self.grants(&spec.grants);
        if spec.limits.rate != 0 {
            self.say("rate", spec.limits.rate);
        }
        self.expiry(spec.expires_at);
    }

    fn keys(&mut self, keys: &[KeyThumbprint]) {
        for key in keys {
            self.say("key", key);
        }
    }

    fn key_change(&mut self, change: &KeyChange) {
        for key in &change.added {
            self.say("key-added", key);
        }
        for key in &change.removed {
            self.say("key-removed", key);
        }
    }

    fn expiry(&mut self, expires_at: u64) {
        if expires_at != 0 {
            self.say("expires-at", expires_at);
        }
    }

    fn grants(&mut self, grants: &[Grant]) {
        for grant in grants {
            let scopes: Vec<_> = grant.scopes.iter().map(ToString::to_string).collect();
            let bearer = if grant.bearer { "+bearer" } else { "" };
            let scopes = scopes.join(",");
            let lasts = match grant.max_ttl_seconds {
                0 => String::new(),
                seconds => format!("+{seconds}s"),
            };
            self.say(
                "grant",
                format_args!("{}[{scopes}]{lasts}{bearer}", grant.audience),
            );
        }
    }

    fn settings(&mut self, change: &SettingsChange) {
        if let Some(url) = &change.issuer_url {
            self.say("issuer_url", url);
        }
        if let Some(what) = &change.records_when_behind {
            self.say("records_when_behind", what);
        }
        for (name, number) in change.numbers() {
            if let Some(number) = number {
                self.say(name, number);
            }
        }
    }
}
