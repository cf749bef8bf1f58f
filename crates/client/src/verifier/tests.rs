//! What a verifier says of tokens, by views of every age.

#![allow(clippy::unwrap_used, clippy::panic)]

use chancery_credential::{Claims, IssuerNumber, Lineage, Revision};
use chancery_revocation::{Change, Reason};
use futures::{FutureExt, future::join_all, poll};

use super::{
    fixture::{AUDIENCE, BOUND, Fixture, bound_to, claims, id, opening, token},
    *,
};

fn ledger() -> Expectations {
    Expectations::of(AUDIENCE.parse().unwrap())
}

fn bearer() -> Proof {
    Proof::default()
}

impl Fixture {
    fn now(&self, token: &str) -> Result<Accepted, Rejected> {
        self.verifier.verify_now(token, &ledger(), &bearer())
    }

    /// The code of a refusal.
    fn refused(&self, token: &str) -> &'static str {
        match self.now(token) {
            Err(Rejected::Refused(reason)) => reason.code(),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_token_in_force_is_accepted_without_waiting() {
    let fixture = Fixture::strict();
    let token = token(&claims());
    for _ in 0..2 {
        let expected = ledger();
        let proof = bearer();
        let verifying = fixture.verifier.verify(&token, &expected, &proof);
        let accepted = verifying.now_or_never().expect("it waited").unwrap();
        assert_eq!(*accepted, claims());
        assert_eq!(accepted.standing().revision, Revision(20));
        assert_eq!(accepted.standing().age, Duration::from_millis(500));
        assert!(!accepted.is_outside_the_promise());
    }
    assert_eq!(fixture.verifier.0.signatures.len(), 1);
}

/// A signature that was checked is no word about anything else.
#[tokio::test]
async fn what_was_accepted_before_is_judged_anew_each_time() {
    type Change = chancery_revocation::Change;
    let dies = |changes: &[Change]| {
        let fixture = Fixture::strict();
        let token = token(&claims());
        fixture.now(&token).unwrap();
        fixture.publish(21, changes);
        fixture.refused(&token)
    };
    let agent = "agent:spiffe://example.org/planner".parse().unwrap();
    let suspended = Change::Watermark {
        subject: agent,
        revision: Revision(21),
    };
    assert_eq!(dies(&[Change::TokenRevoked(id(1, 1))]), "TOKEN_REVOKED");
    assert_eq!(
        dies(&[Change::IssuerRevoked(IssuerNumber(1))]),
        "ISSUER_REVOKED"
    );
    assert_eq!(
        dies(&[Change::IssuerExpired(IssuerNumber(1))]),
        "ISSUER_EXPIRED"
    );
    assert_eq!(dies(&[suspended]), "AGENT_REVOKED");

    let fixture = Fixture::strict();
    let token = token(&claims());
    fixture.now(&token).unwrap();
    let elsewhere = Expectations::of("https://other.example/v1".parse().unwrap());
    let other = fixture.verifier.verify_now(&token, &elsewhere, &bearer());
    assert!(matches!(
        other,
        Err(Rejected::Refused(Reason::WrongAudience { .. }))
    ));
    fixture.dial.pass(Duration::from_secs(290));
    assert_eq!(
        fixture.refused(&token),
        "EXPIRED",
        "however old the view is"
    );
}

#[tokio::test]
async fn one_octet_more_or_less_is_another_token() {
    let fixture = Fixture::strict();
    let genuine = token(&claims());
    fixture.now(&genuine).unwrap();
    let (signed, signature) = genuine.rsplit_once('.').unwrap();
    let other = Claims {
        jti: id(1, 2),
        ..claims()
    };
    let other = token(&other);
    let (_, foreign) = other.rsplit_once('.').unwrap();
    assert_ne!(signature, foreign);
    assert_eq!(
        fixture.refused(&format!("{signed}.{foreign}")),
        "BAD_SIGNATURE"
    );
    assert_eq!(fixture.refused(&format!("{genuine}A")), "MALFORMED");
    assert_eq!(
        fixture.verifier.0.signatures.len(),
        1,
        "only what verified is kept"
    );
}

#[tokio::test]
async fn a_token_is_its_bearers_only_with_the_certificate_that_it_is_bound_to() {
    let fixture = Fixture::strict();
    let token = token(&bound_to(b"mine"));
    let with = |certificate: Option<&[u8]>| {
        let certificate =
            certificate.map(chancery_credential::CertificateThumbprint::of_certificate);
        let proof = Proof { certificate };
        fixture.verifier.verify_now(&token, &ledger(), &proof)
    };
    assert!(with(Some(b"mine")).is_ok());
    assert_eq!(
        with(None).unwrap_err(),
        Rejected::Refused(Reason::ProofMissing)
    );
    let other = with(Some(b"another")).unwrap_err();
    assert_eq!(other, Rejected::Refused(Reason::ProofMismatch));
}

#[tokio::test]
async fn scopes_that_are_asked_for_have_to_be_there() {
    let fixture = Fixture::strict();
    let token = token(&claims());
    let asked = |scopes: &str| {
        let expected = Expectations {
            scopes: scopes.parse().unwrap(),
            ..ledger()
        };
        fixture.verifier.verify_now(&token, &expected, &bearer())
    };
    assert!(asked("ledger:read").is_ok());
    let missing = asked("ledger:read ledger:write").unwrap_err();
    let write = "ledger:write".parse().unwrap();
    assert_eq!(missing, Rejected::InsufficientScope(write));
}

#[tokio::test]
async fn a_view_that_is_too_old_accepts_nothing_and_still_refuses() {
    let fixture = Fixture::strict();
    let (good, revoked) = (
        token(&claims()),
        Claims {
            jti: id(1, 3),
            ..claims()
        },
    );
    fixture.publish(21, &[Change::TokenRevoked(id(1, 3))]);
    fixture.dial.pass(BOUND - Duration::from_millis(501));
    assert!(fixture.now(&good).is_ok());
    fixture.dial.pass(Duration::from_millis(1));
    assert_eq!(fixture.now(&good).unwrap_err(), Rejected::Stale);
    assert_eq!(fixture.refused(&token(&revoked)), "TOKEN_REVOKED");
    assert_eq!(fixture.verifier.age(), None);
}

#[tokio::test]
async fn whoever_accepts_by_an_old_view_is_told_so_and_not_for_ever() {
    let at_most = Duration::from_secs(10);
    let stale = WhenStale::AcceptOutsideThePromise { at_most };
    let fixture = Fixture::new(stale, Duration::ZERO);
    let good = token(&claims());
    fixture.publish(21, &[Change::TokenRevoked(id(1, 3))]);
    assert!(!fixture.now(&good).unwrap().is_outside_the_promise());
    fixture.dial.pass(BOUND);
    let accepted = fixture.now(&good).unwrap();
    assert!(accepted.is_outside_the_promise());
    assert_eq!(accepted.standing().age, BOUND + Duration::from_millis(500));
    let revoked = Claims {
        jti: id(1, 3),
        ..claims()
    };
    assert_eq!(fixture.refused(&token(&revoked)), "TOKEN_REVOKED");
    fixture.dial.pass(at_most - Duration::from_millis(501));
    assert!(fixture.now(&good).is_ok());
    fixture.dial.pass(Duration::from_millis(1));
    assert_eq!(fixture.now(&good).unwrap_err(), Rejected::Stale);
}

#[tokio::test]
async fn before_it_was_fresh_once_a_verifier_accepts_nothing_whatever_the_policy() {
    let at_most = Duration::from_secs(1_000);
    let stale = WhenStale::AcceptOutsideThePromise { at_most };
    let mut fixture = Fixture::new(stale, Duration::ZERO);
    let good = token(&claims());
    fixture.now(&good).unwrap();
    // A restored cluster: whatever was known is of another life.
    let restored = Lineage {
        generation: 2,
        random: 9,
    };
    fixture.follow(Arc::new(View::new(restored)));
    assert_eq!(fixture.now(&good).unwrap_err(), Rejected::Unsure);
    fixture.publish(30, &[opening(2)]);
    assert_eq!(
        fixture.refused(&good),
        "ISSUER_EXPIRED",
        "a lower number is over"
    );
}

#[tokio::test]
async fn all_that_are_ahead_of_the_view_wait_for_one_answer() {
    let fixture = Fixture::strict();
    let young = Claims {
        rev: Revision(25),
        ..claims()
    };
    let young = token(&young);
    assert_eq!(fixture.now(&young).unwrap_err(), Rejected::Unsure);
    let (expected, proof) = (ledger(), bearer());
    let mut all = Box::pin(join_all(
        (0..100).map(|_| fixture.verifier.verify(&young, &expected, &proof)),
    ));
    assert!(poll!(&mut all).is_pending());
    fixture.publish(25, &[]);
    assert!(poll!(&mut all).is_pending(), "no node has said how it is");
    fixture.answer();
    for outcome in all.await {
        assert_eq!(outcome.unwrap().standing().revision, Revision(25));
    }
}

#[tokio::test]
async fn what_no_answer_reaches_is_refused_and_what_none_comes_for_is_not_known() {
    let beyond = Claims {
        rev: Revision(1_000),
        ..claims()
    };
    let beyond = token(&beyond);
    let (expected, proof) = (ledger(), bearer());
    let fixture = Fixture::strict();
    let mut verifying = Box::pin(fixture.verifier.verify(&beyond, &expected, &proof));
    assert!(poll!(&mut verifying).is_pending());
    fixture.answer();
    let refused = verifying.await.unwrap_err();
    let unknown = Reason::RevisionUnknown(Revision(1_000));
    assert_eq!(refused, Rejected::Refused(unknown));

    let impatient = Fixture::new(WhenStale::Refuse, Duration::ZERO);
    let unsure = impatient.verifier.verify(&beyond, &expected, &proof).await;
    assert_eq!(unsure.unwrap_err(), Rejected::Unsure);
}

#[tokio::test]
async fn a_verifier_that_reaches_nobody_says_why_it_is_not_ready() {
    let fixture = Fixture::strict();
    let not_ready = fixture.verifier.ready(Duration::ZERO).await.unwrap_err();
    assert_eq!(not_ready.last, "no node was asked yet");
    fixture.answer();
    fixture.verifier.ready(Duration::ZERO).await.unwrap();
}
