//! Judging on behalf of others: what a verdict means on the wire, and the one
//! proof that `Behind` may wait for.

use chancery_credential::{Audience, Claims, SpiffeId, Verified};
use chancery_revocation::{
    Behind, Expectations, Facts, Limits, Proof, Reason, Standing, Verdict, check, judge,
    judge_facts,
};
use chancery_wire::v1;
use tonic::{Code, Status};

use super::{Desk, consistency::stale};
use crate::{
    caller::{Caller, Identity, refuse},
    clock::SystemClock,
};

/// The outcome for a verifier.
pub(super) enum Judgement<T> {
    /// In force, by a state of this standing.
    Valid(T, Standing),
    /// Not in force: the reason's code, and what it says.
    Refused(&'static str, String),
}

/// What is known after one proof.
enum Settled<T> {
    Judged(Judgement<T>),
    /// Beyond what even that proof reaches.
    Beyond(Behind),
}

impl<T> Settled<T> {
    /// What is still beyond everything committed is refused.
    fn told(self, beyond: impl FnOnce(Behind)) -> Judgement<T> {
        match self {
            Self::Judged(judgement) => judgement,
            Self::Beyond(behind) => {
                beyond(behind);
                refused(&behind.refused())
            }
        }
    }
}

impl Desk {
    /// Judges a token with the proof that came with it; without one, as a check
    /// by somebody else than its bearer.
    pub(super) async fn judge_token(
        &self,
        token: &str,
        audience: Option<Audience>,
        proof: Option<Proof>,
    ) -> Result<Judgement<Verified<Claims>>, Status> {
        let expected = self.expectations(audience)?;
        let view = self.consensus.view();
        let judgement = self.settle(|| match &proof {
            Some(proof) => judge(token, &expected, proof, view, &SystemClock),
            None => check(token, &expected, view, &SystemClock),
        });
        judgement.await.map(|settled| settled.told(alarm))
    }

    /// The same, of facts without a signature: beyond everything committed, they
    /// say nothing of anybody's key.
    pub(super) async fn judge_facts(&self, facts: &Facts<'_>) -> Result<Judgement<()>, Status> {
        let limits = self.expectations(None)?.limits;
        let view = self.consensus.view();
        let judgement = self.settle(|| judge_facts(facts, limits, view, &SystemClock));
        judgement.await.map(|settled| settled.told(|_| ()))
    }

    /// A credential that this state does not reach yet waits for one proof begun
    /// after the call arrived.
    async fn settle<T>(&self, judge: impl Fn() -> Verdict<T>) -> Result<Settled<T>, Status> {
        let verdict = match judge() {
            Verdict::Behind(behind) => {
                self.catch_up(behind).await?;
                judge()
            }
            verdict => verdict,
        };
        match verdict {
            Verdict::Valid(value, standing) => {
                Ok(Settled::Judged(Judgement::Valid(value, standing)))
            }
            Verdict::Refused(reason) => Ok(Settled::Judged(refused(&reason))),
            Verdict::Behind(behind) => Ok(Settled::Beyond(behind)),
            _ => Err(stale()),
        }
    }

    async fn catch_up(&self, behind: Behind) -> Result<(), Status> {
        match behind {
            Behind::Revision(revision) => self.reach(revision).await,
            Behind::Issuer(_) => self.next_proof().await,
        }
    }

    pub(super) fn expectations(&self, audience: Option<Audience>) -> Result<Expectations, Status> {
        let settings = self.consensus.directory().settings().ok_or_else(stale)?;
        let limits = Limits {
            leeway: settings.leeway_s,
            ttl_cap: settings.ttl_cap_s,
        };
        Ok(Expectations {
            issuer: settings.issuer_url.clone(),
            audience,
            limits,
        })
    }

    /// A service judges tokens for its own audiences; an operator any.
    pub(super) fn may_judge(&self, caller: &Caller, audience: &Audience) -> Result<(), Status> {
        if !matches!(caller.identity, Identity::Service { .. }) {
            return Ok(());
        }
        let directory = self.consensus.directory();
        let service = caller.key.and_then(|key| directory.principal(&key));
        if service.is_some_and(|service| service.audiences().contains(audience)) {
            return Ok(());
        }
        if self.age_ms().is_none() {
            return Err(stale());
        }
        Err(refuse(
            Code::PermissionDenied,
            "OTHER_AUDIENCE",
            format!("the service does not stand for audience `{audience}`"),
            "verify tokens for the audiences that the service is registered with",
        ))
    }
}

fn refused<T>(reason: &Reason) -> Judgement<T> {
    Judgement::Refused(reason.code(), reason.to_string())
}

/// The signature verified, and nobody honest signs with a `rev` that was never
/// committed.
pub(super) fn alarm(behind: Behind) {
    if let Behind::Revision(revision) = behind {
        tracing::error!(
            %revision,
            "a token with a signature that verifies is beyond everything committed: an issuer's \
             key may be in other hands"
        );
        metrics::counter!("chancery_tokens_beyond_total").increment(1);
    }
}

pub(super) fn claims(claims: &Claims, key_id: String) -> v1::TokenClaims {
    v1::TokenClaims {
        issuer: claims.iss.clone(),
        subject: claims.sub.to_string(),
        audience: claims.aud.to_string(),
        client_id: claims.client_id.to_string(),
        issued_at: claims.iat,
        expires_at: claims.exp,
        token_id: claims.jti.to_string(),
        scopes: claims.scope.iter().map(ToString::to_string).collect(),
        revision: claims.rev.0,
        owners: claims.own.iter().map(ToString::to_string).collect(),
        grant_sets: claims.set.iter().map(ToString::to_string).collect(),
        ancestors: claims.anc.iter().map(ToString::to_string).collect(),
        actors: claims.act.iter().map(SpiffeId::to_string).collect(),
        certificate_thumbprint: claims.cnf.map(|cnf| cnf.to_string()).unwrap_or_default(),
        key_id,
    }
}
