//! How a command fails, told apart by whose move it is next. The exit code says
//! it to programs, the text to people.

use std::fmt::{self, Write as _};

use chancery_server::admission::AdmissionError;
use serde_json::json;

use crate::plain::plain;

/// What `chancery --help` says of exit codes. Scripts rely on it.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  a fault on this machine: a file, a key, the disk
  2  the command line was not understood, or does not fit together
  3  refused: the cluster, or this node, said no; the same again changes nothing
  4  an outage: no node could answer, and nothing was changed
  5  unknown: the command may have been carried out; repeat it with --request-id";

/// Whose move it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// This machine's: a file, a key, the disk.
    Local,
    /// The user's: the command line.
    Usage,
    /// Nobody's, until something changes: a final no.
    Refused,
    /// The cluster's: nothing was changed.
    Outage,
    /// The user's: ask again what became of it.
    Unknown,
}

impl Kind {
    /// What the process exits with.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Local => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Outage => 4,
            Self::Unknown => 5,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Local => "failed",
            Self::Usage => "usage",
            Self::Refused => "refused",
            Self::Outage => "outage",
            Self::Unknown => "unknown outcome",
        }
    }
}

/// Why a command did not succeed, and what to do next.
#[derive(Debug)]
pub struct Failure {
    pub kind: Kind,
    /// `UPPER_SNAKE`, of the cluster; empty when it came from here.
    pub reason: String,
    pub message: String,
    /// Empty when the message says it.
    pub next: String,
}

impl Failure {
    /// A fault on this machine.
    pub fn local(message: impl fmt::Display) -> Self {
        Self::of(Kind::Local, message)
    }

    /// A command line that does not fit together.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::of(Kind::Usage, message)
    }

    /// A final no.
    pub fn refused(message: impl fmt::Display) -> Self {
        Self::of(Kind::Refused, message)
    }

    /// A defect, or a node of another release.
    pub fn unexpected(what: &str) -> Self {
        Self::of(
            Kind::Refused,
            format_args!("the node's answer has no {what}"),
        )
        .next("the node may be of another release: compare `chancery --version` with it")
    }

    fn of(kind: Kind, message: impl fmt::Display) -> Self {
        Self {
            kind,
            reason: String::new(),
            message: message.to_string(),
            next: String::new(),
        }
    }

    /// Says what to do next.
    #[must_use]
    pub fn next(mut self, next: impl fmt::Display) -> Self {
        self.next = next.to_string();
        self
    }

    /// For people, with what came from the network made harmless.
    pub fn for_people(&self) -> String {
        let mut text = format!("chancery: {}", self.kind.word());
        if !self.reason.is_empty() {
            let _ = write!(text, " [{}]", plain(&self.reason));
        }
        let _ = write!(text, ": {}", plain(&self.message));
        if !self.next.is_empty() {
            let _ = write!(text, "\n  next: {}", plain(&self.next));
        }
        text
    }

    /// For programs.
    pub fn for_programs(&self) -> serde_json::Value {
        json!({ "error": {
            "kind": self.kind.word(),
            "exit_code": self.kind.exit_code(),
            "reason": self.reason,
            "message": self.message,
            "next": self.next,
        }})
    }
}

impl From<chancery_client::Error> for Failure {
    /// Of a call that changes nothing: not to know what became of it is an
    /// outage.
    fn from(error: chancery_client::Error) -> Self {
        use chancery_client::Error;
        match error {
            Error::Refused(refusal) => refused(refusal),
            Error::Unavailable {
                last,
                refusal: Some(refusal),
            } => Self {
                kind: Kind::Outage,
                message: format!(
                    "no node could do it in time, and nothing was changed. Last: {last}"
                ),
                ..refused(*refusal)
            },
            Error::Unavailable { last, .. } | Error::Unknown { last } => unreached(&last),
            Error::Entropy(why) => Self::local(format_args!("this machine gave no entropy: {why}")),
            other => Self::of(Kind::Outage, other),
        }
    }
}

/// With how long to wait, where that helps.
fn refused(refusal: chancery_client::Refusal) -> Failure {
    let next = match refusal.retry_after {
        Some(wait) if !wait.is_zero() => {
            let wait = humantime::format_duration(wait);
            format!("{}; wait {wait} first", refusal.remedy)
        }
        _ => refusal.remedy,
    };
    Failure {
        kind: Kind::Refused,
        message: if refusal.reason == "EXPIRY_PAST" {
            with_instants(&refusal.message)
        } else {
            refusal.message
        },
        reason: refusal.reason,
        next,
    }
}

/// Seconds since the Unix epoch as people read them.
fn with_instants(message: &str) -> String {
    let seconds = |word: &str| {
        let digits = word.trim_end_matches(',');
        let instant = digits.parse().ok().and_then(crate::span::instant)?;
        Some(word.replacen(digits, &instant, 1))
    };
    let words: Vec<_> = message
        .split(' ')
        .map(|word| seconds(word).unwrap_or_else(|| word.to_owned()))
        .collect();
    words.join(" ")
}

/// No node was talked to. What looks like an outage may be a mistake of this side,
/// which waiting does not mend.
fn unreached(last: &str) -> Failure {
    let says = |words: &[&str]| words.iter().any(|word| last.contains(word));
    let (kind, next) = if says(&["UnknownIssuer", "BadSignature"]) {
        (
            Kind::Local,
            "the node's certificate was not made by the root that is trusted here (`root.pem` of \
             the profile, or --root): is it a node of this cluster?",
        )
    } else if says(&["NotValidForName"]) {
        (
            Kind::Local,
            "the node's certificate vouches for other names than the one it was called by: call it \
             by one of those, or have `chancery node renew --san NAME` add this one",
        )
    } else if says(&[
        "InvalidContentType",
        "NoApplicationProtocol",
        "HandshakeFailure",
    ]) {
        (
            Kind::Usage,
            "is that the port for clients (`api_listen` in the node's configuration), and not the \
             one for other nodes, or for health?",
        )
    } else {
        (
            Kind::Outage,
            "check with `chancery node status` which nodes answer, then try again",
        )
    };
    let message =
        format_args!("no node could answer in time, and nothing was changed. Last: {last}");
    Failure::of(kind, message).next(next)
}

impl From<AdmissionError> for Failure {
    /// The text of an admission error ends in what to do.
    fn from(error: AdmissionError) -> Self {
        let kind = match &error {
            AdmissionError::Name(_)
            | AdmissionError::Address(_)
            | AdmissionError::AddressNotNamed(_)
            | AdmissionError::Settings(_) => Kind::Usage,
            AdmissionError::BadProof(_)
            | AdmissionError::OtherKeys(_)
            | AdmissionError::OtherRoot(_)
            | AdmissionError::NotJoined(_)
            | AdmissionError::AlreadyJoined { .. }
            | AdmissionError::DataGone { .. }
            | AdmissionError::OtherData { .. }
            | AdmissionError::Version { .. }
            | AdmissionError::Untrusted(_) => Kind::Refused,
            _ => Kind::Local,
        };
        Self::of(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_exit_code() {
        for kind in [
            Kind::Local,
            Kind::Usage,
            Kind::Refused,
            Kind::Outage,
            Kind::Unknown,
        ] {
            let line = format!("\n  {}  ", kind.exit_code());
            assert!(EXIT_CODES.contains(&line), "{kind:?}");
        }
    }

    #[test]
    fn a_failure_names_the_culprit_and_the_next_step() {
        let failure = Failure::refused("no grant covers `x\u{1b}[2J`").next("ask for less");
        let text = failure.for_people();
        assert!(
            text.starts_with("chancery: refused: ") && text.ends_with("\n  next: ask for less")
        );
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }

    #[test]
    fn who_asks_too_often_is_told_how_long_to_wait() {
        let refusal = chancery_client::Refusal {
            code: tonic::Code::ResourceExhausted,
            reason: "RATE_LIMITED".to_owned(),
            message: "too many".to_owned(),
            remedy: "ask less often".to_owned(),
            retry_after: Some(std::time::Duration::from_millis(1_500)),
        };
        let told = refused(refusal).for_people();
        assert!(told.contains("wait 1s 500ms first"), "{told}");
    }

    #[test]
    fn a_node_that_answered_is_quoted_and_an_outage_is_one() {
        let answered = chancery_client::Error::Unavailable {
            last: "a:1: node 2 only checks".to_owned(),
            refusal: Some(Box::new(chancery_client::Refusal {
                code: tonic::Code::Unavailable,
                reason: "CHECK_ONLY".to_owned(),
                message: "node 2 only checks".to_owned(),
                remedy: "ask another node".to_owned(),
                retry_after: None,
            })),
        };
        let told = Failure::from(answered);
        assert_eq!((told.kind, &*told.reason), (Kind::Outage, "CHECK_ONLY"));
        assert_eq!(told.next, "ask another node");
        assert_eq!(unreached("a:1: connection refused").kind, Kind::Outage);
        let elsewhere = unreached("a:1: invalid peer certificate: UnknownIssuer");
        assert_eq!(elsewhere.kind, Kind::Local);
    }

    #[test]
    fn an_instant_is_told_as_one() {
        let message = "the registration would end at 60, which is past";
        assert_eq!(
            with_instants(message),
            "the registration would end at 1970-01-01T00:01:00Z, which is past"
        );
    }
}
