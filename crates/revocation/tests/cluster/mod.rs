//! A small cluster's view, and tokens that are in force on it.
#![allow(dead_code)] // Each test uses its part.

use std::time::Duration;

use chancery_credential::{
    CertificateThumbprint, Claims, EpochNumber, IssuerNumber, Lineage, NodeNumber, Revision,
    SigningKey, SpiffeId, Subject, TokenId,
};
use chancery_revocation::{
    BootTime, Change, Delta, Expectations, Limits, Now, Proof, Verdict, View, judge, judge_signing,
};

pub const LINEAGE: Lineage = Lineage {
    generation: 1,
    random: 0xfeed,
};
pub const LIMITS: Limits = Limits {
    leeway: 2,
    ttl_cap: 900,
};
/// Now, by the wall clock.
pub const WALL: u64 = 1_000_000;
/// Proofs are as of boot + 100 s and last this long.
pub const BOUND: Duration = Duration::from_secs(2);
pub const PROVED: BootTime = BootTime(100_000_000_000);

pub fn key(issuer: u32) -> SigningKey {
    SigningKey::from_seed(&[u8::try_from(issuer).unwrap(); 32])
}

pub fn opening(number: u32, opened_at: u64) -> Change {
    Change::IssuerOpened {
        number: IssuerNumber(number),
        node: NodeNumber(u64::from(number)),
        epoch: EpochNumber(1),
        opened_at: Revision(opened_at),
        key: Box::new(key(number).public()),
    }
}

pub fn retirement(number: u32, retired_at: u64) -> Change {
    Change::IssuerRetired {
        number: IssuerNumber(number),
        retired_at: Revision(retired_at),
    }
}

pub fn watermark(subject: &str, revision: u64) -> Change {
    Change::Watermark {
        subject: subject.parse::<Subject>().unwrap(),
        revision: Revision(revision),
    }
}

pub fn token_id(issuer: u32, random: u8) -> TokenId {
    TokenId::new(IssuerNumber(issuer), [random; 12])
}

pub fn agent(name: &str) -> SpiffeId {
    format!("spiffe://example.org/{name}").parse().unwrap()
}

pub fn certificate(byte: u8) -> CertificateThumbprint {
    CertificateThumbprint::of_certificate(&[byte])
}

pub fn delta(previous: u64, revision: u64, changes: &[Change]) -> Delta {
    Delta {
        previous: Revision(previous),
        revision: Revision(revision),
        changes: changes.to_vec(),
    }
}

/// At revision 20: issuer 1 (opened at 5) signs, issuer 2 (opened at 6) signed the
/// ancestors, issuer 3 has expired; the floor is 4.
pub fn view() -> View {
    let view = View::new(LINEAGE);
    let changes = [
        opening(1, 5),
        opening(2, 6),
        opening(3, 7),
        Change::IssuerExpired(IssuerNumber(3)),
        Change::Floor(Revision(4)),
        Change::Time(WALL - 1),
    ];
    view.apply(&delta(0, 20, &changes)).unwrap();
    view.prove_fresh(PROVED, BOUND);
    view
}

pub fn claims() -> Claims {
    Claims {
        iss: "https://chancery.example.org".to_owned(),
        sub: agent("planner"),
        aud: "https://files.example.org".parse().unwrap(),
        client_id: agent("courier"),
        iat: WALL - 10,
        exp: WALL + 290,
        jti: token_id(1, 1),
        scope: "files:read".parse().unwrap(),
        rev: Revision(10),
        own: vec!["alice".parse().unwrap(), "bob".parse().unwrap()],
        set: vec!["readers".parse().unwrap()],
        anc: vec![token_id(2, 2)],
        act: vec![agent("courier"), agent("broker")],
        cnf: Some(certificate(7)),
    }
}

/// Everything that a judgement takes.
pub struct Case {
    pub claims: Claims,
    pub signed_by: u32,
    pub text: fn(String) -> String,
    /// Published at revision 21.
    pub changes: Vec<Change>,
    pub expected: Expectations,
    pub proof: Proof,
    pub now: Now,
}

impl Case {
    /// A token in force, bound to a certificate that its bearer proved.
    pub fn in_force() -> Self {
        let claims = claims();
        Self {
            expected: Expectations {
                issuer: claims.iss.clone(),
                audience: Some(claims.aud.clone()),
                limits: LIMITS,
            },
            proof: Proof {
                certificate: claims.cnf,
            },
            claims,
            signed_by: 1,
            text: |token| token,
            changes: Vec::new(),
            now: Now {
                wall: WALL,
                boot: PROVED.plus(Duration::from_millis(500)),
            },
        }
    }

    pub fn view(&self) -> View {
        let view = view();
        view.apply(&delta(20, 21, &self.changes)).unwrap();
        view
    }

    pub fn token(&self) -> String {
        (self.text)(key(self.signed_by).token(&self.claims).unwrap())
    }

    pub fn judge_on(&self, view: &View) -> Verdict<Claims> {
        let token = self.token();
        let judged = judge(&token, &self.expected, &self.proof, view, &self.now);
        self.judge_signed(&token, view, &judged.clone().map(|_| ()));
        judged.map(chancery_credential::Verified::into_inner)
    }

    /// Whoever checks a signature once only, here or when the token was still in force,
    /// says the same.
    fn judge_signed(&self, token: &str, view: &View, judged: &Verdict<()>) {
        let first =
            |view: &View| judge_signing(token, &self.expected, &self.proof, view, &self.now);
        let (verdict, signed) = first(view);
        assert_eq!(verdict, *judged);
        assert!(signed.is_some() || !matches!(verdict, Verdict::Valid(..)));
        for signed in [signed, first(&self::view()).1].into_iter().flatten() {
            let again = signed.judge(&self.expected, &self.proof, view, &self.now);
            assert_eq!(again, *judged);
        }
    }

    pub fn judge(&self) -> Verdict<Claims> {
        self.judge_on(&self.view())
    }
}

/// The code of a refusal, or what else the verdict was.
pub fn outcome<T>(verdict: &Verdict<T>) -> String {
    match verdict {
        Verdict::Valid(..) => "VALID".to_owned(),
        Verdict::Refused(reason) => reason.code().to_owned(),
        Verdict::Behind(_) => "BEHIND".to_owned(),
        Verdict::Stale => "STALE".to_owned(),
        _ => "UNHEARD_OF".to_owned(),
    }
}
