//! How a token is kept up to date without everybody doing it at once.

use std::time::Duration;

/// When tokens are minted anew. Whatever many agents would do at the same moment is
/// spread by chance, so that they do not come back together after an order that
/// ended the tokens of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenPolicy {
    /// A token is minted anew after this much of its life, percent, at the earliest.
    pub refresh_from: u8,
    /// And at the latest after this much. At most 100; no less than `refresh_from`.
    pub refresh_to: u8,
    /// After a refusal that others may have met too, the next mint comes within this
    /// time, at a moment drawn by chance. It doubles with each that follows.
    pub first_pause: Duration,
    /// And no later than this: who was resumed is back after so long.
    pub longest_pause: Duration,
}

impl Default for TokenPolicy {
    fn default() -> Self {
        Self {
            refresh_from: 50,
            refresh_to: 80,
            first_pause: Duration::from_secs(5),
            longest_pause: Duration::from_secs(60),
        }
    }
}

impl TokenPolicy {
    /// When within a life of `life` a token is minted anew.
    pub(super) fn refresh_after(&self, life: Duration, entropy: u64) -> Duration {
        let from = u32::from(self.refresh_from.min(100));
        let to = u32::from(self.refresh_to.min(100)).max(from);
        let earliest = life * from / 100;
        earliest + part(life * (to - from) / 100, entropy)
    }

    /// The pause after the `trouble`th refusal in a row, from 1.
    pub(super) fn pause_after(&self, trouble: u32, entropy: u64) -> Duration {
        let doublings = trouble.saturating_sub(1).min(16);
        let whole = self.first_pause.saturating_mul(1 << doublings);
        part(whole.min(self.longest_pause), entropy)
    }
}

/// A part of `whole`, evenly drawn by `entropy`.
fn part(whole: Duration, entropy: u64) -> Duration {
    let nanos = (whole.as_nanos() * u128::from(entropy)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_comes_between_its_bounds() {
        let policy = TokenPolicy::default();
        let life = Duration::from_secs(300);
        assert_eq!(policy.refresh_after(life, 0), Duration::from_secs(150));
        let latest = policy.refresh_after(life, u64::MAX);
        assert!(latest < Duration::from_secs(240) && latest > Duration::from_secs(239));
        // Bounds that make no sense make no panic, and no refresh after the end.
        let odd = TokenPolicy {
            refresh_from: 255,
            refresh_to: 3,
            ..policy
        };
        assert_eq!(odd.refresh_after(life, u64::MAX), life);
    }

    #[test]
    fn pauses_double_up_to_their_bound() {
        let policy = TokenPolicy::default();
        let longest = |trouble| policy.pause_after(trouble, u64::MAX).as_secs_f64().ceil();
        assert_eq!([1, 2, 3, 4, 5].map(longest), [5.0, 10.0, 20.0, 40.0, 60.0]);
        assert_eq!(longest(u32::MAX), 60.0);
        assert_eq!(policy.pause_after(3, 0), Duration::ZERO);
    }
}
