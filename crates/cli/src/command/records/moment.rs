//! A moment in the past, as an auditor types it.

use std::{
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// An instant (RFC 3339), or so long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// At this instant.
    At(SystemTime),
    /// So long before now.
    Ago(Duration),
}

impl Moment {
    /// Seconds since the Unix epoch.
    pub fn seconds(self, now: SystemTime) -> u64 {
        let at = match self {
            Self::At(at) => Some(at),
            Self::Ago(span) => now.checked_sub(span),
        };
        at.and_then(|at| at.duration_since(UNIX_EPOCH).ok())
            .map_or(0, |since| since.as_secs())
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_rfc3339_weak(text)
            .map(Self::At)
            .or_else(|_| humantime::parse_duration(text).map(Self::Ago))
            .map_err(|_| {
                "give an instant such as 2027-01-31T12:00:00Z, or how long ago, such as 2h"
                    .to_owned()
            })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_an_instant_or_so_long_ago() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        let seconds = |text: &str| text.parse::<Moment>().unwrap().seconds(now);
        assert_eq!(seconds("1m"), 940);
        assert_eq!(seconds("1970-01-01T00:01:00Z"), 60);
        assert_eq!(seconds("2h"), 0, "before the epoch is the epoch");
        assert!("yesterday".parse::<Moment>().is_err());
    }
}
