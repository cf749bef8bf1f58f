//! Spans of time, in order.

use std::time::Duration;

/// Many of one kind.
#[derive(Debug, Clone, Default)]
pub struct Spans(Vec<Duration>);

impl Spans {
    pub fn of(mut spans: Vec<Duration>) -> Self {
        spans.sort_unstable();
        Self(spans)
    }

    pub fn all(&self) -> &[Duration] {
        &self.0
    }

    /// The least that so many of a hundred do not exceed (nearest rank); zero of none.
    pub fn at(&self, hundredth: usize) -> Duration {
        let rank = (self.0.len() * hundredth).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }

    pub fn most(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }
}

/// For people.
pub fn ms(span: Duration) -> String {
    format!("{:.1}", span.as_secs_f64() * 1_000.0)
}
