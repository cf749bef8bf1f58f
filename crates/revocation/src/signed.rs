//! A token whose signature was checked once, to be judged as often as it is presented.

use chancery_credential::{Claims, KeyId, UnverifiedToken, Verified};

use crate::clock::Clock;
use crate::facts::Facts;
use crate::inquiry::{Denial, Inquiry, Signer};
use crate::judge::{Expectations, Limits, Proof, is_addressed, is_satisfied};
use crate::reason::Reason;
use crate::verdict::{Standing, Verdict};
use crate::view::View;

/// What is left of a token once its signature has verified under the key of its `kid`:
/// a signature that verified does so for ever. Everything else can change, and is judged
/// each time, whether the issuer is still there too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedToken {
    /// What the signature verified under.
    key_id: KeyId,
    claims: Verified<Claims>,
}

impl SignedToken {
    /// What it says.
    #[must_use]
    pub const fn claims(&self) -> &Verified<Claims> {
        &self.claims
    }

    /// [`judge`](crate::judge()) of the same token, without checking its signature again.
    pub fn judge(
        &self,
        expected: &Expectations,
        proof: &Proof,
        view: &View,
        clock: &impl Clock,
    ) -> Verdict<()> {
        let judged = self.judge_again(expected, proof, view, clock);
        judged.map(|standing| ((), standing)).into()
    }

    fn judge_again(
        &self,
        expected: &Expectations,
        proof: &Proof,
        view: &View,
        clock: &impl Clock,
    ) -> Result<Standing, Denial> {
        let limits = expected.limits;
        is_addressed(&self.claims, expected)?;
        is_satisfied(self.claims.cnf.as_ref(), proof)?;
        let facts = Facts::of(self.key_id, &self.claims);
        let inquiry = Inquiry::begin(view);
        match inquiry.find_signer(&self.key_id, &self.claims.jti)? {
            // Its key is the one of `kid`, so the signature is its own.
            Some(signer) => inquiry.conclude(&facts, &signer, limits, clock),
            None => Err(inquiry.conclude_unknown(&facts, limits, clock)),
        }
    }
}

/// [`judge`](crate::judge()) of a token that is presented for the first time. With the
/// verdict comes what can be judged without its signature from now on, if that verified:
/// also when the token was refused for something else, or is beyond the view.
pub fn judge_signing(
    token: &str,
    expected: &Expectations,
    proof: &Proof,
    view: &View,
    clock: &impl Clock,
) -> (Verdict<()>, Option<SignedToken>) {
    let opened = match Opened::of(token, expected, Some(proof), view, clock) {
        Ok(opened) => opened,
        Err(denial) => return (Err(denial).into(), None),
    };
    let judged = opened.conclude(expected.limits, clock);
    let verdict = judged.map(|standing| ((), standing)).into();
    (verdict, Some(opened.signed))
}

/// A token whose signature has verified, as somebody inquires about it: the one path from
/// a text to its signature.
pub(crate) struct Opened<'v> {
    inquiry: Inquiry<'v>,
    signer: Signer,
    signed: SignedToken,
}

impl<'v> Opened<'v> {
    /// `proof` is what its bearer proved; none when somebody else asks.
    pub(crate) fn of(
        token: &str,
        expected: &Expectations,
        proof: Option<&Proof>,
        view: &'v View,
        clock: &impl Clock,
    ) -> Result<Self, Denial> {
        let token = UnverifiedToken::parse(token).map_err(Reason::from)?;
        is_addressed(token.claims(), expected)?;
        if let Some(proof) = proof {
            is_satisfied(token.claims().cnf.as_ref(), proof)?;
        }
        let key_id = token.key_id();
        let inquiry = Inquiry::begin(view);
        let Some(signer) = inquiry.find_signer(&key_id, &token.claims().jti)? else {
            let facts = Facts::of(key_id, token.claims());
            return Err(inquiry.conclude_unknown(&facts, expected.limits, clock));
        };
        let claims = token
            .verify(&signer.issuer.key)
            .map_err(|_| Reason::BadSignature)?;
        Ok(Self {
            inquiry,
            signer,
            signed: SignedToken { key_id, claims },
        })
    }

    /// Whether what it says is in force.
    pub(crate) fn conclude(&self, limits: Limits, clock: &impl Clock) -> Result<Standing, Denial> {
        let facts = Facts::of(self.signed.key_id, &self.signed.claims);
        self.inquiry.conclude(&facts, &self.signer, limits, clock)
    }

    pub(crate) fn into_claims(self) -> Verified<Claims> {
        self.signed.claims
    }
}
