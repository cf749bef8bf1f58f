//! The one judgement, used by every node, every verifier and the tests.

use chancery_credential::{Audience, CertificateThumbprint, Claims, Verified};

use crate::clock::Clock;
use crate::facts::Facts;
use crate::inquiry::{Denial, Inquiry};
use crate::reason::Reason;
use crate::signed::Opened;
use crate::verdict::{Standing, Verdict};
use crate::view::View;

/// The bounds on a token's times, replicated settings of the cluster.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Seconds by which a clock that mints may be ahead of one that judges.
    pub leeway: u64,
    /// The longest lifetime, `exp - iat`, seconds. Under an hour in any case.
    pub ttl_cap: u64,
}

/// What the judge expects of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectations {
    /// `iss`, compared octet for octet.
    pub issuer: String,
    /// `aud`; none if it is not for the judge to say for whom the token is, as when
    /// its revocation is asked for.
    pub audience: Option<Audience>,
    /// Bounds on its times.
    pub limits: Limits,
}

/// What the bearer of a token proved.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// SHA-256 of the certificate whose key it proved in the TLS handshake
    /// (RFC 8705 §3).
    pub certificate: Option<CertificateThumbprint>,
}

/// Judges a token that its bearer presented, with the proof that came with it.
///
/// ```text
///   form and limits; typ, iss, aud as expected; alg is the key's own
/// ∧ issuer = view.issuer(kid), open or retired; issuer(jti) = issuer.number; the signature verifies
/// ∧ issuer.opened_at ≤ rev ≤ issuer.retired_at;  exp - iat ≤ cap
/// ∧ iat - leeway ≤ t < exp, where t = max(now, view.time)
/// ∧ proof satisfies cnf
/// ∧ view.floor ≤ rev
/// ∧ ∀ s ∈ {sub, act*, own*, set*, everything}: view.watermark(s) ≤ rev
/// ∧ ∀ t ∈ {jti} ∪ anc: t ∉ view.revoked ∧ issuer(t) is open or retired
/// ∧ kid is known, else Behind(kid);  rev ≤ view.revision, else Behind(rev)
/// ∧ view is fresh, else Stale
/// ```
///
/// Every ground for `Refused` comes before `Behind`, and `Behind` before `Stale`:
/// even an old view may refuse. So an unknown `kid` does not end the judgement; the
/// grounds that need no issuer are still looked at. Watermarks and ids are looked at
/// before the floor, and the clock is read last, which is why the grounds are not
/// taken in the order above.
///
/// **Issuers the view does not have.** Numbers are handed out in ascending order, so
/// a number up to the highest that the view has seen, and no longer there, has
/// *expired*: refused. A higher one is *unknown*:
///
/// - under the token's own `kid`: behind, once, until a proof was awaited;
/// - under an ancestor: an ancestor is minted before what derives from it, at a
///   `rev` no higher, under an issuer opened at or before that. So if the token's
///   `rev` is at most the view's revision, the view has seen every issuer that it
///   can rightly name, and an unknown one is a forgery: refused. If `rev` is higher,
///   the issuer may have been opened in between: behind, by that `rev`. For the same
///   reason an ancestor's issuer that was opened after `rev` is refused, so that no
///   later view accepts what an earlier one refused.
pub fn judge(
    token: &str,
    expected: &Expectations,
    proof: &Proof,
    view: &View,
    clock: &impl Clock,
) -> Verdict<Verified<Claims>> {
    judge_text(token, expected, Some(proof), view, clock).into()
}

/// Judges a token that someone else than its bearer asks about: [`judge`] without
/// the question of possession. It must never admit a caller.
pub fn check(
    token: &str,
    expected: &Expectations,
    view: &View,
    clock: &impl Clock,
) -> Verdict<Verified<Claims>> {
    judge_text(token, expected, None, view, clock).into()
}

/// Judges facts as if a token that states them had verified: [`judge`] without form,
/// signature and possession. Whoever states them answers for them.
pub fn judge_facts(
    facts: &Facts<'_>,
    limits: Limits,
    view: &View,
    clock: &impl Clock,
) -> Verdict<()> {
    let inquiry = Inquiry::begin(view);
    let judged = match inquiry.find_signer(&facts.key_id, &facts.token_id) {
        Ok(Some(signer)) => inquiry.conclude(facts, &signer, limits, clock),
        Ok(None) => Err(inquiry.conclude_unknown(facts, limits, clock)),
        Err(reason) => Err(reason.into()),
    };
    judged.map(|standing| ((), standing)).into()
}

fn judge_text(
    token: &str,
    expected: &Expectations,
    proof: Option<&Proof>,
    view: &View,
    clock: &impl Clock,
) -> Result<(Verified<Claims>, Standing), Denial> {
    let opened = Opened::of(token, expected, proof, view, clock)?;
    let standing = opened.conclude(expected.limits, clock)?;
    Ok((opened.into_claims(), standing))
}

/// `iss` and `aud` as expected.
pub(crate) fn is_addressed(claims: &Claims, expected: &Expectations) -> Result<(), Reason> {
    if claims.iss != expected.issuer {
        return Err(Reason::WrongIssuer {
            iss: claims.iss.clone(),
            expected: expected.issuer.clone(),
        });
    }
    match &expected.audience {
        Some(audience) if claims.aud != *audience => Err(Reason::WrongAudience {
            aud: claims.aud.clone(),
            expected: audience.clone(),
        }),
        _ => Ok(()),
    }
}

/// A token that is bound to nothing is a bearer token, and needs no proof.
pub(crate) fn is_satisfied(
    cnf: Option<&CertificateThumbprint>,
    proof: &Proof,
) -> Result<(), Reason> {
    match (cnf, &proof.certificate) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(Reason::ProofMissing),
        (Some(bound), Some(proved)) if bound == proved => Ok(()),
        (Some(_), Some(_)) => Err(Reason::ProofMismatch),
    }
}
