//! What the first node's admission adds: the settings and the operators that a
//! lineage begins with.

use chancery_authority::{FormerSpans, OperatorSpec, Role, Roles, Settings};
use chancery_credential::{KeyThumbprint, PrincipalName};
use serde::{Deserialize, Serialize};

use super::{
    error::AdmissionError,
    public_key::{spki_from_pem, spki_pem},
};

/// What a lineage begins with, beside its first node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Birth {
    /// Checked against each other when the cluster is born, and here before.
    pub settings: BirthSettings,
    /// At least one.
    pub operators: Vec<FirstOperator>,
}

impl Birth {
    /// The settings in the form that is replicated.
    ///
    /// # Errors
    /// [`AdmissionError::Settings`], with every inequality that is broken.
    pub fn settings(&self) -> Result<Settings, AdmissionError> {
        self.settings.checked()
    }

    /// The operators in the form that is replicated. Each has every role.
    #[must_use]
    pub fn operators(&self) -> Vec<OperatorSpec> {
        let spec = |operator: &FirstOperator| OperatorSpec {
            name: operator.name.clone(),
            roles: Roles::of(&Role::ALL),
            keys: operator
                .public_keys
                .iter()
                .map(|spki| KeyThumbprint::of_spki(spki))
                .collect(),
            expires_at: 0,
        };
        self.operators.iter().map(spec).collect()
    }
}

/// An operator who is there from the beginning, with every role and no expiry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstOperator {
    /// What the record calls them.
    pub name: PrincipalName,
    /// `SubjectPublicKeyInfo` of each key, DER. 1 to 8.
    pub public_keys: Vec<Vec<u8>>,
}

/// The settings as they stand in the file: units in the names, nothing implied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "documented where they are replicated: `Settings`"
)]
pub struct BirthSettings {
    pub trust_domain: String,
    pub issuer_url: String,
    pub freshness_ms: u64,
    pub rho_percent: u64,
    pub tick_ms: u64,
    pub heartbeat_ms: u64,
    pub election_min_ms: u64,
    pub election_max_ms: u64,
    pub v_default_ms: u64,
    pub v_max_ms: u64,
    pub leeway_s: u64,
    pub ttl_default_s: u64,
    pub ttl_cap_s: u64,
    pub jwks_max_age_s: u64,
    pub epoch_s: u64,
    /// `refuse` or `drop`.
    pub records_when_behind: String,
}

impl BirthSettings {
    /// The defaults, for a trust domain and an issuer URL.
    ///
    /// # Errors
    /// [`AdmissionError::Settings`] when the trust domain is none.
    pub fn new(trust_domain: &str, issuer_url: &str) -> Result<Self, AdmissionError> {
        let trust_domain = trust_domain
            .parse()
            .map_err(|error| AdmissionError::Settings(format!("trust_domain: {error}")))?;
        Ok(Self::of(&Settings::new(trust_domain, issuer_url)))
    }

    fn of(settings: &Settings) -> Self {
        Self {
            trust_domain: settings.trust_domain.to_string(),
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
            records_when_behind: settings.records_when_behind.to_string(),
        }
    }

    /// The settings, once all of them fit together.
    ///
    /// # Errors
    /// [`AdmissionError::Settings`], with every inequality that is broken.
    pub fn checked(&self) -> Result<Settings, AdmissionError> {
        let trust_domain = self
            .trust_domain
            .parse()
            .map_err(|error| AdmissionError::Settings(format!("trust_domain: {error}")))?;
        let records_when_behind = self
            .records_when_behind
            .parse()
            .map_err(|error| AdmissionError::Settings(format!("records_when_behind: {error}")))?;
        let settings = Settings {
            trust_domain,
            issuer_url: self.issuer_url.clone(),
            freshness_ms: self.freshness_ms,
            rho_percent: self.rho_percent,
            tick_ms: self.tick_ms,
            heartbeat_ms: self.heartbeat_ms,
            election_min_ms: self.election_min_ms,
            election_max_ms: self.election_max_ms,
            v_default_ms: self.v_default_ms,
            v_max_ms: self.v_max_ms,
            leeway_s: self.leeway_s,
            ttl_default_s: self.ttl_default_s,
            ttl_cap_s: self.ttl_cap_s,
            jwks_max_age_s: self.jwks_max_age_s,
            epoch_s: self.epoch_s,
            records_when_behind,
            former: FormerSpans::default(),
        };
        settings.check().map_err(|broken| {
            let broken: Vec<_> = broken.iter().map(ToString::to_string).collect();
            AdmissionError::Settings(broken.join("; "))
        })?;
        Ok(settings)
    }
}

/// A birth as it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BirthFile {
    settings: BirthSettings,
    operators: Vec<OperatorFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OperatorFile {
    name: String,
    public_keys: Vec<String>,
}

impl From<&Birth> for BirthFile {
    fn from(birth: &Birth) -> Self {
        let operator = |operator: &FirstOperator| OperatorFile {
            name: operator.name.to_string(),
            public_keys: operator
                .public_keys
                .iter()
                .map(|spki| spki_pem(spki))
                .collect(),
        };
        Self {
            settings: birth.settings.clone(),
            operators: birth.operators.iter().map(operator).collect(),
        }
    }
}

impl TryFrom<BirthFile> for Birth {
    type Error = String;

    fn try_from(file: BirthFile) -> Result<Self, String> {
        file.settings.checked().map_err(|error| error.to_string())?;
        let operator = |operator: OperatorFile| {
            let keys = operator.public_keys.iter().map(|pem| spki_from_pem(pem));
            Ok::<_, String>(FirstOperator {
                name: operator
                    .name
                    .parse()
                    .map_err(|error| format!("operator: {error}"))?,
                public_keys: keys.collect::<Result<_, _>>()?,
            })
        };
        let operators: Vec<_> = file
            .operators
            .into_iter()
            .map(operator)
            .collect::<Result<_, _>>()?;
        if operators.is_empty() {
            return Err("a birth without an operator would lock everybody out".to_owned());
        }
        Ok(Self {
            settings: file.settings,
            operators,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_do_not_fit_are_refused_with_their_arithmetic() {
        let mut settings = BirthSettings::new("example.org", "https://issuer.example.org").unwrap();
        assert!(settings.checked().is_ok());
        settings.freshness_ms = 700;
        let refused = settings.checked().unwrap_err().to_string();
        assert!(
            refused.contains("freshness_ms") && refused.contains("election"),
            "{refused}"
        );
    }

    #[test]
    fn the_file_form_loses_no_setting() {
        let mut settings = BirthSettings::new("example.org", "https://issuer.example.org").unwrap();
        settings.records_when_behind = "drop".to_owned();
        assert_eq!(BirthSettings::of(&settings.checked().unwrap()), settings);
    }
}
