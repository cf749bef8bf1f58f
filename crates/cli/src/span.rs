//! Spans and instants, as people type and read them.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::failure::Failure;

/// A span with its unit: `5m`, `2s`, `90d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    /// In whole seconds; a finer span is refused, not rounded.
    pub fn whole_seconds(self, what: &str) -> Result<u64, Failure> {
        if self.0.subsec_nanos() != 0 {
            return Err(Failure::usage(format_args!(
                "{what} is {self}: give whole seconds"
            )));
        }
        Ok(self.0.as_secs())
    }

    /// In milliseconds.
    pub fn milliseconds(self, what: &str) -> Result<u64, Failure> {
        u64::try_from(self.0.as_millis())
            .map_err(|_| Failure::usage(format_args!("{what} is {self}: that is too long")))
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|error| format!("{error}; give a span with its unit, such as 5m or 2s"))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// When a registration ends: an instant (RFC 3339), or a span from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// At this instant.
    At(SystemTime),
    /// So long from now.
    In(Duration),
}

impl Expiry {
    /// Seconds since the Unix epoch; never 0, which would mean never.
    pub fn seconds(self, now: SystemTime) -> u64 {
        let at = match self {
            Self::At(at) => Some(at),
            Self::In(span) => now.checked_add(span),
        };
        let Some(at) = at else {
            return u64::MAX;
        };
        at.duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
            .max(1)
    }
}

impl FromStr for Expiry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_rfc3339_weak(text)
            .map(Self::At)
            .or_else(|_| humantime::parse_duration(text).map(Self::In))
            .map_err(|_| {
                "give an instant such as 2027-01-31T00:00:00Z, or a span such as 90d".to_owned()
            })
    }
}

/// A past moment: an instant (RFC 3339), or a span ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// At this instant.
    At(SystemTime),
    /// So long ago.
    Ago(Duration),
}

impl Moment {
    /// Milliseconds since the Unix epoch.
    pub fn milliseconds(self, now: SystemTime) -> u64 {
        let at = match self {
            Self::At(at) => at,
            Self::Ago(span) => now.checked_sub(span).unwrap_or(UNIX_EPOCH),
        };
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// As people read it.
    pub fn shown(milliseconds: u64) -> String {
        UNIX_EPOCH
            .checked_add(Duration::from_millis(milliseconds))
            .filter(|_| milliseconds < 253_402_300_800_000)
            .map_or_else(
                || milliseconds.to_string(),
                |at| humantime::format_rfc3339_millis(at).to_string(),
            )
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_rfc3339_weak(text)
            .map(Self::At)
            .or_else(|_| humantime::parse_duration(text).map(Self::Ago))
            .map_err(|_| {
                "give an instant such as 2027-01-31T00:00:00Z, or a span ago such as 1h".to_owned()
            })
    }
}

/// When a registration ends, if it does: as [`Expiry`], or `never`.
#[derive(Debug, Clone, Copy)]
pub enum Ending {
    /// It does not.
    Never,
    /// It does.
    At(Expiry),
}

impl Ending {
    /// Seconds since the Unix epoch; 0: never.
    pub fn seconds(self, now: SystemTime) -> u64 {
        match self {
            Self::Never => 0,
            Self::At(expiry) => expiry.seconds(now),
        }
    }
}

impl FromStr for Ending {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self::Never),
            text => text.parse().map(Self::At),
        }
    }
}

/// An instant as people read it; `None` for 0, which means never.
pub fn instant(seconds: u64) -> Option<String> {
    (seconds != 0).then(|| {
        UNIX_EPOCH
            .checked_add(Duration::from_secs(seconds))
            .filter(|_| seconds < 253_402_300_800)
            .map_or_else(
                || seconds.to_string(),
                |at| humantime::format_rfc3339_seconds(at).to_string(),
            )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_units() {
        assert_eq!(
            "5m".parse::<Span>().unwrap().whole_seconds("ttl").unwrap(),
            300
        );
        assert!("5".parse::<Span>().is_err());
        assert!(
            "1500ms"
                .parse::<Span>()
                .unwrap()
                .whole_seconds("ttl")
                .is_err()
        );
    }

    #[test]
    fn a_moment_is_an_instant_or_a_span_ago() {
        let now = UNIX_EPOCH + Duration::from_secs(100);
        assert_eq!("1m".parse::<Moment>().unwrap().milliseconds(now), 40_000);
        assert_eq!("1h".parse::<Moment>().unwrap().milliseconds(now), 0);
        let at = "1970-01-01T00:01:00Z".parse::<Moment>().unwrap();
        assert_eq!(at.milliseconds(now), 60_000);
        assert!("yesterday".parse::<Moment>().is_err());
        assert_eq!(Moment::shown(60_001), "1970-01-01T00:01:00.001Z");
    }

    #[test]
    fn an_expiry_is_an_instant_or_a_span() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        assert_eq!("1m".parse::<Expiry>().unwrap().seconds(now), 1_060);
        assert_eq!(
            "1970-01-01T00:01:00Z"
                .parse::<Expiry>()
                .unwrap()
                .seconds(now),
            60
        );
        assert!("tomorrow".parse::<Expiry>().is_err());
        let beyond = "300000000000y".parse::<Expiry>().unwrap();
        assert_eq!(beyond.seconds(now), u64::MAX);
        let at_once = "1970-01-01T00:00:00Z".parse::<Expiry>().unwrap();
        assert_eq!(at_once.seconds(now), 1, "and not never");
        assert_eq!(instant(60).unwrap(), "1970-01-01T00:01:00Z");
        assert_eq!(instant(u64::MAX).unwrap(), u64::MAX.to_string());
    }
}
