//! What to do about a token that is kept, by the time and what happened to it. Pure:
//! the clock and the entropy are arguments.

use std::{sync::Arc, time::Duration};

use super::policy::TokenPolicy;
use crate::{client::Minted, error::Refusal};

/// The time since some moment, by a clock that does not go back.
pub(super) type Moment = Duration;

const SHORTEST_LIFE: Duration = Duration::from_secs(1);

/// What to do for whoever wants a token now.
#[derive(Debug)]
pub(super) enum Next {
    /// Give this one.
    Use(Arc<Minted>),
    /// Give this one, and mint another meanwhile.
    Refresh(Arc<Minted>),
    /// Mint one.
    Mint,
    /// Ask again then.
    Wait(Moment),
    /// Say this: the cluster did, lately.
    Refuse(Refusal),
}

/// The course of one token and its successors.
pub(super) struct Schedule {
    policy: TokenPolicy,
    held: Option<Held>,
    pause: Option<Pause>,
    /// Refusals in a row.
    trouble: u32,
    /// When a token was last refused. What was asked for before may be of before the
    /// revocation.
    recalled_at: Option<Moment>,
}

struct Held {
    token: Arc<Minted>,
    since: Moment,
    refresh_at: Moment,
    ends_at: Moment,
}

/// Nothing is minted before.
struct Pause {
    until: Moment,
    why: Why,
}

enum Why {
    /// A verifier refused the last token.
    Recalled,
    /// The cluster mints nothing for this agent until it is resumed.
    Suspended(Refusal),
    /// A refresh brought nothing. Who has no token left need not wait for it.
    NotRefreshed,
}

impl Schedule {
    pub(super) fn new(policy: TokenPolicy) -> Self {
        Self {
            policy,
            held: None,
            pause: None,
            trouble: 0,
            recalled_at: None,
        }
    }

    pub(super) fn next(&self, now: Moment) -> Next {
        let held = self.held.as_ref().filter(|held| now < held.ends_at);
        let pause = self.pause.as_ref().filter(|pause| now < pause.until);
        match (held, pause) {
            (Some(held), Some(_)) => Next::Use(held.token.clone()),
            (Some(held), None) if now < held.refresh_at => Next::Use(held.token.clone()),
            (Some(held), None) => Next::Refresh(held.token.clone()),
            (None, None) => Next::Mint,
            (None, Some(pause)) => match &pause.why {
                Why::Recalled => Next::Wait(pause.until),
                Why::Suspended(refusal) => Next::Refuse(refusal.clone()),
                Why::NotRefreshed => Next::Mint,
            },
        }
    }

    /// A token was minted, that was asked for at `now`.
    pub(super) fn minted(&mut self, token: Arc<Minted>, now: Moment, entropy: u64) {
        if self.recalled_at.is_some_and(|recalled| now < recalled) {
            return;
        }
        // Whatever it says: what was just minted is used before another is.
        let life = token.lasts.max(SHORTEST_LIFE);
        if self.held.is_some() {
            // Its predecessor was refused by nobody.
            self.trouble = 0;
        }
        self.pause = None;
        self.held = Some(Held {
            token,
            since: now,
            refresh_at: now + self.policy.refresh_after(life, entropy),
            ends_at: now + life,
        });
    }

    /// A verifier refused the token of this id. That of another is not held any more.
    pub(super) fn recalled(&mut self, token_id: &str, now: Moment, entropy: u64) {
        let Some(held) = self.held.take_if(|held| held.token.token_id == token_id) else {
            return;
        };
        if now.saturating_sub(held.since) >= self.policy.longest_pause {
            self.trouble = 0;
        }
        self.trouble = self.trouble.saturating_add(1);
        self.recalled_at = Some(now);
        self.pause(Why::Recalled, now, entropy);
    }

    /// A mint was refused. What is held of who is suspended is dead for good.
    pub(super) fn refused(&mut self, refusal: &Refusal, now: Moment, entropy: u64) {
        if is_suspension(&refusal.reason) {
            self.held = None;
            self.trouble = self.trouble.saturating_add(1);
            self.pause(Why::Suspended(refusal.clone()), now, entropy);
        } else {
            self.not_minted(now, entropy);
        }
    }

    /// A mint brought neither token nor suspension.
    pub(super) fn not_minted(&mut self, now: Moment, entropy: u64) {
        if self.held.is_some() {
            self.trouble = self.trouble.saturating_add(1);
            self.pause(Why::NotRefreshed, now, entropy);
        }
    }

    fn pause(&mut self, why: Why, now: Moment, entropy: u64) {
        let until = now + self.policy.pause_after(self.trouble, entropy);
        self.pause = Some(Pause { until, why });
    }
}

fn is_suspension(reason: &str) -> bool {
    matches!(
        reason,
        "AGENT_SUSPENDED" | "OWNER_SUSPENDED" | "GRANT_SET_SUSPENDED" | "EVERYTHING_SUSPENDED"
    )
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(300);
    /// How often those who want a token look whether they may ask.
    const STEP: Duration = Duration::from_millis(100);

    fn seconds(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    fn token(id: &str) -> Arc<Minted> {
        Arc::new(Minted {
            token: String::new(),
            expires_at: 0,
            lasts: LIFE,
            token_id: id.to_owned(),
            consistency_token: String::new(),
            settling: false,
        })
    }

    fn suspended() -> Refusal {
        Refusal {
            code: tonic::Code::PermissionDenied,
            reason: "AGENT_SUSPENDED".to_owned(),
            message: "suspended".to_owned(),
            remedy: "wait".to_owned(),
            retry_after: None,
        }
    }

    fn told(next: &Next) -> String {
        match next {
            Next::Use(token) => format!("use {}", token.token_id),
            Next::Refresh(token) => format!("refresh {}", token.token_id),
            Next::Mint => "mint".to_owned(),
            Next::Wait(until) => format!("wait until {}", until.as_secs()),
            Next::Refuse(refusal) => format!("refuse {}", refusal.reason),
        }
    }

    fn at(schedule: &Schedule, second: u64) -> String {
        told(&schedule.next(seconds(second)))
    }

    #[test]
    fn a_token_is_used_refreshed_and_not_given_after_its_end() {
        let mut schedule = Schedule::new(TokenPolicy::default());
        assert_eq!(at(&schedule, 0), "mint");
        schedule.minted(token("a"), seconds(0), 0);
        assert_eq!(at(&schedule, 149), "use a");
        assert_eq!(at(&schedule, 150), "refresh a");
        assert_eq!(at(&schedule, 299), "refresh a");
        assert_eq!(at(&schedule, 300), "mint");
        schedule.minted(token("b"), seconds(200), 0);
        assert_eq!(at(&schedule, 300), "use b");
    }

    #[test]
    fn a_cluster_that_is_away_is_not_asked_all_the_time_while_a_token_lasts() {
        let mut schedule = Schedule::new(TokenPolicy::default());
        schedule.minted(token("a"), seconds(0), 0);
        schedule.not_minted(seconds(150), u64::MAX);
        assert_eq!(at(&schedule, 154), "use a");
        assert_eq!(at(&schedule, 155), "refresh a");
        schedule.not_minted(seconds(299), u64::MAX);
        assert_eq!(at(&schedule, 300), "mint", "there is nothing to lose");
        schedule.not_minted(seconds(300), u64::MAX);
        assert_eq!(at(&schedule, 300), "mint");
    }

    #[test]
    fn a_token_that_a_verifier_refused_is_given_no_more() {
        let mut schedule = Schedule::new(TokenPolicy::default());
        schedule.minted(token("a"), seconds(0), 0);
        schedule.recalled("another", seconds(1), u64::MAX);
        assert_eq!(at(&schedule, 1), "use a");
        schedule.recalled("a", seconds(10), u64::MAX);
        assert_eq!(at(&schedule, 10), "wait until 14");
        assert_eq!(at(&schedule, 15), "mint");
        schedule.minted(token("b"), seconds(15), 0);
        // At once again: the pause doubles, for as long as none lasts.
        schedule.recalled("b", seconds(16), u64::MAX);
        assert_eq!(at(&schedule, 16), "wait until 25");
        schedule.minted(token("c"), seconds(26), 0);
        schedule.recalled("c", seconds(90), u64::MAX);
        assert_eq!(at(&schedule, 90), "wait until 94");
    }

    #[test]
    fn a_suspension_is_told_at_once_and_asked_about_seldom() {
        let mut schedule = Schedule::new(TokenPolicy::default());
        schedule.minted(token("a"), seconds(0), 0);
        schedule.refused(&suspended(), seconds(150), u64::MAX);
        assert_eq!(at(&schedule, 150), "refuse AGENT_SUSPENDED");
        assert_eq!(at(&schedule, 154), "refuse AGENT_SUSPENDED");
        assert_eq!(at(&schedule, 155), "mint", "it may have been resumed");
        schedule.refused(&suspended(), seconds(155), u64::MAX);
        assert_eq!(at(&schedule, 164), "refuse AGENT_SUSPENDED");
        assert_eq!(at(&schedule, 165), "mint");
        // What is not a suspension is asked anew by each that wants to know.
        let other = Refusal {
            reason: "SCOPE_NOT_GRANTED".to_owned(),
            ..suspended()
        };
        schedule.refused(&other, seconds(165), u64::MAX);
        assert_eq!(at(&schedule, 165), "mint");
    }

    /// SplitMix64: entropy that is the same each time.
    fn draw(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// When each of 10,000 agents asked the cluster that was suspended together at 0
    /// and resumed at `resumed`: the refused and the last. All want a token always.
    fn asked(resumed: Moment) -> (Vec<Moment>, Vec<Moment>) {
        let (mut in_vain, mut back) = (Vec::new(), Vec::new());
        let mut entropy = 7;
        for _ in 0..10_000 {
            let mut schedule = Schedule::new(TokenPolicy::default());
            let mut now = Duration::ZERO;
            schedule.refused(&suspended(), now, draw(&mut entropy));
            loop {
                // The time passes until it may ask again.
                while !matches!(schedule.next(now), Next::Mint) {
                    now += STEP;
                }
                if now >= resumed {
                    back.push(now);
                    break;
                }
                schedule.refused(&suspended(), now, draw(&mut entropy));
                in_vain.push(now);
            }
        }
        (in_vain, back)
    }

    fn most_in_a_second(moments: &[Moment]) -> usize {
        let mut counts = std::collections::BTreeMap::new();
        for moment in moments {
            *counts.entry(moment.as_secs()).or_insert(0) += 1;
        }
        counts.into_values().max().unwrap_or(0)
    }

    #[test]
    fn after_a_mass_suspension_agents_do_not_come_back_in_the_same_second() {
        let longest = TokenPolicy::default().longest_pause + STEP;
        for resumed in [1, 7, 45].map(seconds) {
            let (in_vain, back) = asked(resumed);
            assert_eq!(back.len(), 10_000);
            let most = most_in_a_second(&back);
            assert!(
                most <= 3_500,
                "{most} came back at once, resumed at {resumed:?}"
            );
            let most = most_in_a_second(&in_vain);
            assert!(most <= 3_500, "{most} asked at once before {resumed:?}");
            let late = back
                .iter()
                .max()
                .is_some_and(|last| *last > resumed + longest);
            assert!(!late, "none stays away for longer than the bound");
        }
    }
}
