//! What the server does for mints and checks, without its edge: the order of reading is
//! the view's own, who may mint is decided by the server's code, and what is judged is
//! judged by the real judge.

use std::{sync::Arc, time::Duration};

use chancery_authority::Principal;
use chancery_consensus::Consensus;
use chancery_credential::{Claims, Scopes, Subject, TokenId};
use chancery_revocation::{
    Clock as _, Expectations, Facts, Limits, Serving, Stale, Standing, Verdict, check, judge_facts,
};
use parking_lot::Mutex;

use crate::{
    clock::MachineClock,
    cluster::{AGENTS, agent_id, agent_key},
    issuance::{ActiveIssuer, Signer},
    minting::{Wanted, authorise},
    oracle::{Minted, Moments, Oracle},
};

/// One signature in so many is made and checked: curve arithmetic is not what is under
/// test here.
const SIGNED: u32 = 24;

/// Tokens that are looked at in a turn.
const CHECKS: usize = 6;

pub struct Service {
    pub node: u64,
    pub consensus: Consensus,
    pub signer: Arc<Signer>,
    pub clock: Arc<MachineClock>,
    pub oracle: Arc<Mutex<Oracle>>,
    pub random: fastrand::Rng,
    /// How long it leaves between two turns, microseconds.
    pub pause_us: u64,
}

enum Refused {
    Stale,
    Other,
}

impl From<Stale> for Refused {
    fn from(_: Stale) -> Self {
        Self::Stale
    }
}

impl Service {
    pub async fn run(mut self) {
        loop {
            let pause = self.random.u64(self.pause_us / 2..self.pause_us * 2);
            tokio::time::sleep(Duration::from_micros(pause)).await;
            if self.random.u8(0..4) == 0 {
                self.mint_slowly().await;
            } else {
                self.mint();
            }
            for _ in 0..CHECKS {
                self.check();
            }
        }
    }

    fn mint(&mut self) {
        let began_us = self.oracle.lock().true_us;
        let (agent, signed) = self.draw();
        let view = self.consensus.view();
        let clock = self.clock.clone();
        let minted = view.answer(&clock, |serving| self.sign(serving, agent, signed));
        match minted {
            Ok((minted, current)) => {
                let standing = Standing {
                    revision: current.revision,
                    age: current.age,
                };
                self.tell(minted, standing, current.boot.0, began_us);
            }
            Err(Refused::Stale) => self.oracle.lock().counts.stale += 1,
            Err(Refused::Other) => {}
        }
    }

    /// A thread that is held up between any two of its looks.
    async fn mint_slowly(&mut self) {
        let began_us = self.oracle.lock().true_us;
        let (agent, signed) = self.draw();
        let serving = self.consensus.view().begin();
        self.hold_up().await;
        let minted = self.sign(&serving, agent, signed);
        self.hold_up().await;
        let Ok(current) = serving.finish(&self.clock) else {
            return;
        };
        if let Ok(minted) = minted {
            let standing = Standing {
                revision: current.revision,
                age: current.age,
            };
            self.tell(minted, standing, current.boot.0, began_us);
        }
    }

    async fn hold_up(&mut self) {
        let ms = self.random.u64(0..8);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    fn draw(&mut self) -> (usize, bool) {
        (
            self.random.usize(0..AGENTS),
            self.random.u32(0..SIGNED) == 0,
        )
    }

    fn sign(&self, serving: &Serving, agent: usize, signed: bool) -> Result<Minted, Refused> {
        let rev = serving.view_revision();
        let active = self.issuer().ok_or(Refused::Other)?;
        if active.opened_at > rev || !active.is_open_in(self.consensus.view()) {
            return Err(Refused::Other);
        }
        let directory = self.consensus.directory();
        let Some(Principal::Agent(entry)) = directory.principal(&agent_key(agent)) else {
            return Err(Refused::Other);
        };
        let settings = directory.settings().ok_or(Refused::Other)?;
        let now = self.clock.now().wall.max(serving.time());
        let wanted = Wanted {
            audience: "https://api.example.org".parse().expect("an audience"),
            scopes: Scopes::default(),
            ttl_seconds: 0,
            bearer: true,
        };
        let allowed =
            authorise(&wanted, &entry, directory, &settings, now).map_err(|_| Refused::Other)?;
        let mut random = [0; 12];
        getrandom::fill(&mut random).expect("entropy");
        let claims = Claims {
            iss: settings.issuer_url.clone(),
            sub: agent_id(agent),
            aud: wanted.audience,
            client_id: agent_id(agent),
            iat: now,
            exp: now + allowed.ttl_seconds,
            jti: TokenId::new(active.number, random),
            scope: wanted.scopes,
            rev,
            own: entry.owners.to_vec(),
            set: allowed.set.into_iter().collect(),
            anc: Vec::new(),
            act: Vec::new(),
            cnf: None,
        };
        let token = signed.then(|| active.key.token(&claims).expect("claims within bounds"));
        Ok(Minted {
            key_id: active.key.public().key_id(),
            issuer: active.number,
            claims,
            token,
        })
    }

    fn issuer(&self) -> Option<Arc<ActiveIssuer>> {
        self.signer.active()
    }

    fn tell(&self, minted: Minted, standing: Standing, boot_ns: u64, began_us: u64) {
        let seen = self.consensus.view().revision();
        let mut oracle = self.oracle.lock();
        let moments = Moments { boot_ns, began_us };
        oracle.minted(self.node, minted, standing, seen, moments);
    }

    fn check(&mut self) {
        let mut oracle = self.oracle.lock();
        if oracle.tokens.is_empty() {
            return;
        }
        let which = self.random.usize(0..oracle.tokens.len());
        let minted = oracle.tokens[which].clone();
        oracle.counts.checks += 1;
        drop(oracle);
        let Some(settings) = self.consensus.directory().settings() else {
            return;
        };
        let limits = Limits {
            leeway: settings.leeway_s,
            ttl_cap: settings.ttl_cap_s,
        };
        let view = self.consensus.view();
        let verdict = match &minted.token {
            Some(token) => {
                let expected = Expectations {
                    issuer: settings.issuer_url.clone(),
                    audience: None,
                    limits,
                };
                check(token, &expected, view, &self.clock).map(drop)
            }
            None => {
                let facts = Facts::of(minted.key_id, &minted.claims);
                judge_facts(&facts, limits, view, &self.clock)
            }
        };
        let boot_ns = self.clock.boot_ns();
        match verdict {
            Verdict::Valid((), standing) => {
                let mut oracle = self.oracle.lock();
                oracle.accepted(self.node, &minted, standing, boot_ns);
            }
            Verdict::Stale => self.oracle.lock().counts.stale += 1,
            _ => {}
        }
    }
}

/// As the truth names an agent.
pub fn subject(agent: usize) -> Subject {
    Subject::Agent(agent_id(agent))
}
