//! The rules of the judgement, over one look at a view.

use chancery_credential::{KeyId, Revision, Subject, TokenId};

use crate::clock::{Clock, Now};
use crate::facts::Facts;
use crate::issuers::{Found, HandedOut, Issuer, IssuerState};
use crate::judge::Limits;
use crate::reason::Reason;
use crate::serving::Serving;
use crate::verdict::{Behind, Standing, Verdict};
use crate::view::View;

/// No credential lives an hour, whatever the configuration: seconds.
const LONGEST_LIFETIME: u64 = 3599;

/// A look at a view: freshness and the revision first, then how many issuers were
/// handed out, then whatever the rules ask for.
pub(crate) struct Inquiry<'v> {
    view: &'v View,
    serving: Serving,
    handed_out: HandedOut,
}

/// The issuer of `kid` and of `jti`, which are one, and whether `jti` is revoked
/// under it: read together.
pub(crate) struct Signer {
    pub(crate) issuer: Issuer,
    revoked_id: bool,
}

/// Any verdict but `Valid`.
pub(crate) enum Denial {
    Refused(Reason),
    Behind(Behind),
    Stale,
}

impl<'v> Inquiry<'v> {
    pub(crate) fn begin(view: &'v View) -> Self {
        Self {
            view,
            serving: view.begin(),
            // Before any issuer is looked up.
            handed_out: view.issuers.handed_out(),
        }
    }

    /// The signer, open or retired; nothing if it is unknown. Looked up by the number
    /// in `jti`, because it says more than `kid` when nothing is found.
    pub(crate) fn find_signer(
        &self,
        key_id: &KeyId,
        token_id: &TokenId,
    ) -> Result<Option<Signer>, Reason> {
        let number = token_id.issuer();
        let wrong = || Reason::WrongTokenId { token_id: number };
        let issuers = &self.view.issuers;
        let look = |issuer: &Issuer, revoked_id| Signer {
            issuer: issuer.clone(),
            revoked_id,
        };
        match issuers.find(token_id, self.handed_out, look) {
            Found::Known(signer) if signer.issuer.key.key_id() != *key_id => Err(wrong()),
            Found::Known(signer) if signer.issuer.verifies() => Ok(Some(signer)),
            Found::Known(_) => Err(Reason::IssuerRevoked(number)),
            Found::Expired => Err(Reason::IssuerExpired(number)),
            Found::Unknown => match issuers.number_of(key_id) {
                Some(other) if other != number => Err(wrong()),
                // The same number: it was opened after the look-up.
                Some(_) | None => Ok(None),
            },
        }
    }

    /// What is left once the signature has verified under the signer's key.
    pub(crate) fn conclude(
        &self,
        facts: &Facts<'_>,
        signer: &Signer,
        limits: Limits,
        clock: &impl Clock,
    ) -> Result<Standing, Denial> {
        is_within_issuer(facts, &signer.issuer)?;
        if signer.revoked_id {
            return Err(Reason::TokenRevoked.into());
        }
        let now = self.rule_out(facts, limits, clock)?;
        if facts.revision > self.serving.revision() {
            return Err(Denial::Behind(Behind::Revision(facts.revision)));
        }
        let current = self.serving.at(now).map_err(|_| Denial::Stale)?;
        Ok(Standing {
            revision: current.revision,
            age: current.age,
        })
    }

    /// The same for a token whose issuer is unknown: it can only be refused, or wait.
    pub(crate) fn conclude_unknown(
        &self,
        facts: &Facts<'_>,
        limits: Limits,
        clock: &impl Clock,
    ) -> Denial {
        match self.rule_out(facts, limits, clock) {
            Ok(_) => Denial::Behind(Behind::Issuer(facts.key_id)),
            Err(reason) => reason.into(),
        }
    }

    /// Every ground for refusal that needs no issuer of the token's own. Watermarks
    /// before the floor, because those that are dropped meanwhile are at or below it;
    /// the clock last.
    fn rule_out(
        &self,
        facts: &Facts<'_>,
        limits: Limits,
        clock: &impl Clock,
    ) -> Result<Now, Reason> {
        facts.within_limits()?;
        is_short_enough(facts, limits)?;
        is_above_watermarks(facts, self.view)?;
        self.are_ancestors_in_force(facts)?;
        is_above_floor(facts, self.view)?;
        let now = clock.now();
        is_in_time(facts, limits, self.serving.time_at(now))?;
        Ok(now)
    }

    /// `∀ t ∈ anc: t ∉ view.revoked ∧ issuer(t) is open or retired`. For `jti` the
    /// signer said so.
    fn are_ancestors_in_force(&self, facts: &Facts<'_>) -> Result<(), Reason> {
        let revision = facts.revision;
        for ancestor in facts.ancestors {
            let number = ancestor.issuer();
            let not_open = || Reason::AncestorIssuerNotOpen {
                issuer: number,
                revision,
            };
            let judge = |issuer: &Issuer, revoked_id: bool| {
                if !issuer.verifies() {
                    Err(Reason::AncestorIssuerRevoked(number))
                } else if revoked_id {
                    Err(Reason::AncestorRevoked(*ancestor))
                } else if issuer.opened_at > revision {
                    Err(not_open())
                } else {
                    Ok(())
                }
            };
            match self.view.issuers.find(ancestor, self.handed_out, judge) {
                Found::Known(judged) => judged?,
                Found::Expired => return Err(Reason::AncestorIssuerExpired(number)),
                Found::Unknown if revision <= self.serving.revision() => return Err(not_open()),
                // Behind, by `rev`.
                Found::Unknown => {}
            }
        }
        Ok(())
    }
}

impl From<Reason> for Denial {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

impl<T> From<Result<(T, Standing), Denial>> for Verdict<T> {
    fn from(judged: Result<(T, Standing), Denial>) -> Self {
        match judged {
            Ok((value, standing)) => Self::Valid(value, standing),
            Err(Denial::Refused(reason)) => Self::Refused(reason),
            Err(Denial::Behind(behind)) => Self::Behind(behind),
            Err(Denial::Stale) => Self::Stale,
        }
    }
}

/// `issuer.opened_at ≤ rev ≤ issuer.retired_at`.
fn is_within_issuer(facts: &Facts<'_>, issuer: &Issuer) -> Result<(), Reason> {
    let (revision, opened_at) = (facts.revision, issuer.opened_at);
    if revision < opened_at {
        return Err(Reason::BeforeIssuer {
            revision,
            opened_at,
        });
    }
    match issuer.state {
        IssuerState::Retired(retired_at) if revision > retired_at => Err(Reason::AfterRetirement {
            revision,
            retired_at,
        }),
        _ => Ok(()),
    }
}

/// `exp - iat ≤ cap`.
fn is_short_enough(facts: &Facts<'_>, limits: Limits) -> Result<(), Reason> {
    let seconds = facts.expires_at.saturating_sub(facts.issued_at);
    let cap = limits.ttl_cap.min(LONGEST_LIFETIME);
    if seconds > cap {
        return Err(Reason::Lifetime { seconds, cap });
    }
    Ok(())
}

/// `∀ s ∈ {sub, act*, own*, set*, everything}: view.watermark(s) ≤ rev`.
fn is_above_watermarks(facts: &Facts<'_>, view: &View) -> Result<(), Reason> {
    let marks = &view.watermarks;
    let above = |watermark: Revision, subject: &dyn Fn() -> Subject| {
        if watermark <= facts.revision {
            return Ok(());
        }
        let subject = subject();
        Err(Reason::Watermark { subject, watermark })
    };
    for id in facts.agents() {
        above(marks.agent(id), &|| Subject::Agent(id.clone()))?;
    }
    for name in facts.owners {
        above(marks.owner(name), &|| Subject::Owner(name.clone()))?;
    }
    for name in facts.grant_sets {
        above(marks.grant_set(name), &|| Subject::GrantSet(name.clone()))?;
    }
    above(marks.everything(), &|| Subject::Everything)
}

/// `view.floor ≤ rev`.
fn is_above_floor(facts: &Facts<'_>, view: &View) -> Result<(), Reason> {
    let (revision, floor) = (facts.revision, view.floor());
    if revision < floor {
        return Err(Reason::BelowFloor { revision, floor });
    }
    Ok(())
}

/// `iat - leeway ≤ t < exp`.
fn is_in_time(facts: &Facts<'_>, limits: Limits, t: u64) -> Result<(), Reason> {
    let (issued_at, expires_at) = (facts.issued_at, facts.expires_at);
    if t >= expires_at {
        return Err(Reason::Expired { expires_at });
    }
    match issued_at.saturating_sub(t) {
        seconds if seconds > limits.leeway => Err(Reason::NotYetValid { issued_at, seconds }),
        _ => Ok(()),
    }
}
