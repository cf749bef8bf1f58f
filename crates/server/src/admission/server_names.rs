//! The names that a server certificate vouches for. Only an operator types them.

use std::{fmt, net::IpAddr, str::FromStr};

use rcgen::SanType;
use rustls::pki_types::ServerName;

use super::error::AdmissionError;

/// A DNS name or an IP address, as a subject alternative name (RFC 5280 §4.2.1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectName(ServerName<'static>);

impl SubjectName {
    pub(super) fn san(&self) -> Result<SanType, AdmissionError> {
        match &self.0 {
            ServerName::DnsName(name) => name
                .as_ref()
                .to_owned()
                .try_into()
                .map(SanType::DnsName)
                .map_err(|_| AdmissionError::Name(name.as_ref().to_owned())),
            ServerName::IpAddress(address) => Ok(SanType::IpAddress(IpAddr::from(*address))),
            other => Err(AdmissionError::Name(format!("{other:?}"))),
        }
    }
}

impl FromStr for SubjectName {
    type Err = AdmissionError;

    fn from_str(text: &str) -> Result<Self, AdmissionError> {
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        ServerName::try_from(bare.to_owned())
            .map(Self)
            .map_err(|_| AdmissionError::Name(text.to_owned()))
    }
}

impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_str())
    }
}

/// The host of an address `host:port`.
///
/// # Errors
/// [`AdmissionError::Address`].
pub fn host_of(address: &str) -> Result<SubjectName, AdmissionError> {
    let invalid = || AdmissionError::Address(address.to_owned());
    let (host, port) = address.rsplit_once(':').ok_or_else(invalid)?;
    match port.parse::<u16>() {
        Ok(1..) => host.parse().map_err(|_| invalid()),
        _ => Err(invalid()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hosts_without_a_port() {
        for good in [
            "node-1.example.org",
            "127.0.0.1",
            "::1",
            "[2001:db8::1]",
            "localhost",
        ] {
            assert!(good.parse::<SubjectName>().is_ok(), "{good}");
        }
        for bad in ["", "node-1:7443", "*", "a b", "https://a", "-a"] {
            assert!(bad.parse::<SubjectName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        assert_eq!(host_of("[::1]:7443").unwrap(), "::1".parse().unwrap());
        assert_eq!(
            host_of("node-1.example.org:1").unwrap().to_string(),
            "node-1.example.org"
        );
        for bad in ["node-1", "node-1:", "node-1:0", "node-1:70000", ":7443"] {
            assert!(host_of(bad).is_err(), "{bad}");
        }
    }
}
