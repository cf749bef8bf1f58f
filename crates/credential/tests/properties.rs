//! What holds for every input, tried on many.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod forge;

use chancery_credential::{
    Audience, AudiencePattern, CertificateThumbprint, Claims, ConsistencyToken, Ed25519PublicKey,
    Grant, Lineage, PeerPublicKey, PeerSigningKey, Revision, Scope, ScopePattern, Scopes,
    SigningKey, SpiffeId, Subject, TokenId, UnverifiedToken,
};
use proptest::collection::vec;
use proptest::prelude::*;

use forge::{CLAIMS, HEADER, compact, with_payload};

fn agent() -> impl Strategy<Value = SpiffeId> {
    "spiffe://[a-z0-9._-]{1,12}(/[A-Za-z0-9_-]{1,8}){1,3}".prop_map(|text| text.parse().unwrap())
}

fn scope() -> impl Strategy<Value = Scope> {
    "[a-z]{1,3}([:/.][a-z]{1,3}){0,2}".prop_map(|text| text.parse().unwrap())
}

fn audience() -> impl Strategy<Value = Audience> {
    r#"[!-)+-~]{1,40}"#.prop_map(|text| text.parse().unwrap())
}

prop_compose! {
    fn claims()(
        (iss, sub, aud) in (r#"[!-~]{1,40}"#, agent(), audience()),
        (iat, ttl, rev) in (0..u64::MAX / 2, 1..u64::MAX / 2, any::<u64>()),
        (jti, anc) in (any::<[u8; 16]>(), vec(any::<[u8; 16]>(), 0..=8)),
        scopes in vec(scope(), 0..6),
        own in vec("[A-Za-z0-9._@-]{1,12}", 0..=8),
        set in vec("[A-Za-z0-9._@-]{1,12}", 0..=8),
        act in vec(agent(), 0..=8),
        cnf in proptest::option::of(any::<[u8; 32]>()),
    ) -> Claims {
        Claims {
            iss,
            client_id: act.first().unwrap_or(&sub).clone(),
            sub,
            aud,
            iat,
            exp: iat + ttl,
            jti: TokenId::from_bytes(jti),
            scope: Scopes::new(scopes).unwrap(),
            rev: Revision(rev),
            own: own.iter().map(|name| name.parse().unwrap()).collect(),
            set: set.iter().map(|name| name.parse().unwrap()).collect(),
            anc: anc.into_iter().map(TokenId::from_bytes).collect(),
            act,
            cnf: cnf.map(CertificateThumbprint::from_bytes),
        }
    }
}

/// JSON, half of it of the kind that a strict reader has to look into.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f32>().prop_map(|number| format!("{number:e}")),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(CLAIMS.to_owned()),
    ];
    leaf.prop_recursive(20, 64, 4, |inner| {
        let name = prop_oneof!["iss|sub|act|cnf|aud|exp|iat", "[a-c]"];
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|list| format!("[{}]", list.join(","))),
            vec((name, inner), 0..4).prop_map(|members| {
                let members: Vec<String> = members
                    .into_iter()
                    .map(|(name, value)| format!(r#""{name}":{value}"#))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// Whoever reads a payload that is accepted here reads the same: the reader with
/// the fewest opinions agrees.
fn agrees_with_a_lenient_reader(payload: &str) -> Result<(), TestCaseError> {
    let token = with_payload(payload.as_bytes());
    if let Ok(token) = UnverifiedToken::parse(&token) {
        let lenient: serde_json::Value = serde_json::from_str(payload).unwrap();
        let claims = token.claims();
        prop_assert_eq!(lenient["sub"].as_str(), Some(claims.sub.as_str()));
        prop_assert_eq!(lenient["aud"].as_str(), Some(claims.aud.as_str()));
        prop_assert_eq!(lenient["exp"].as_u64(), Some(claims.exp));
        prop_assert_eq!(lenient.get("cnf").is_some(), claims.cnf.is_some());
    }
    Ok(())
}

proptest! {
    #[test]
    fn reading_never_panics(text in any::<String>(), bytes in vec(any::<u8>(), 0..300)) {
        let lossy = String::from_utf8_lossy(&bytes);
        for text in [&text, &*lossy] {
            let _ = UnverifiedToken::parse(text);
            let _ = text.parse::<SpiffeId>();
            let _ = text.parse::<Subject>();
            let _ = text.parse::<Scopes>();
            let _ = text.parse::<ScopePattern>();
            let _ = text.parse::<AudiencePattern>();
            let _ = text.parse::<TokenId>();
            let _ = text.parse::<ConsistencyToken>();
        }
        let _ = UnverifiedToken::parse(&compact(&bytes, CLAIMS.as_bytes()));
        let _ = UnverifiedToken::parse(&compact(HEADER.as_bytes(), &bytes));
        let _ = Ed25519PublicKey::parse(&bytes);
        let _ = PeerPublicKey::from_spki(&bytes);
        let _ = PeerSigningKey::from_pkcs8_der(&bytes);
    }

    #[test]
    fn reading_any_json_never_panics(json in json(), name in "[a-z0-9#_]{1,9}") {
        let _ = UnverifiedToken::parse(&compact(json.as_bytes(), CLAIMS.as_bytes()));
        agrees_with_a_lenient_reader(&json)?;
        agrees_with_a_lenient_reader(&CLAIMS.replace('}', &format!(r#","{name}":{json}}}"#)))?;
        agrees_with_a_lenient_reader(&CLAIMS.replace('}', &format!(r#","act":{json}}}"#)))?;
    }

    #[test]
    fn a_payload_with_noise_is_read_as_others_read_it(
        at in 0..CLAIMS.len(), cut in 0..4_usize, noise in "[ -~]{0,4}"
    ) {
        let end = (at + cut).min(CLAIMS.len());
        agrees_with_a_lenient_reader(&format!("{}{noise}{}", &CLAIMS[..at], &CLAIMS[end..]))?;
    }

    #[test]
    fn what_is_signed_is_read_back(seed in any::<[u8; 32]>(), claims in claims()) {
        let key = SigningKey::from_seed(&seed);
        let token = key.token(&claims).unwrap();
        let read = UnverifiedToken::parse(&token).unwrap();
        prop_assert_eq!(read.key_id(), key.public().key_id());
        prop_assert_eq!(read.claims(), &claims);
        let verified = read.verify(&key.public()).unwrap();
        prop_assert_eq!(key.token(&verified).unwrap(), token);
    }

    #[test]
    fn a_changed_bit_is_refused(claims in claims(), at in any::<prop::sample::Index>()) {
        let key = SigningKey::from_seed(&[7; 32]);
        let mut bytes = key.token(&claims).unwrap().into_bytes();
        let at = at.index(bytes.len() * 8);
        bytes[at / 8] ^= 1 << (at % 8);
        if let Ok(changed) = String::from_utf8(bytes) {
            let read = UnverifiedToken::parse(&changed);
            prop_assert!(read.map_or(true, |token| token.verify(&key.public()).is_err()));
        }
    }

    #[test]
    fn an_id_is_what_its_grammar_says(text in "(spiffe://)?[a-z./A_%-]{0,10}(/[a.A_/%-]{0,6})?") {
        let plain = |text: &str, capitals: bool| {
            !text.is_empty()
                && text.chars().all(|letter| {
                    matches!(letter, 'a'..='z' | '0'..='9' | '.' | '_' | '-')
                        || (capitals && letter.is_ascii_uppercase())
                })
        };
        let mut parts = text.split('/');
        let expected = parts.next() == Some("spiffe:")
            && parts.next() == Some("")
            && parts.next().is_some_and(|domain| plain(domain, false))
            && parts.clone().next().is_some()
            && parts.all(|segment| plain(segment, true) && segment != "." && segment != "..");
        let id = text.parse::<SpiffeId>();
        prop_assert_eq!(id.is_ok(), expected, "{:?}", text);
        if let Ok(id) = id {
            prop_assert_eq!(format!("spiffe://{}{}", id.trust_domain(), id.path()), text);
        }
    }

    #[test]
    fn texts_have_one_spelling(text in "[A-Za-z0-9_-]{22}", word in any::<[u64; 3]>()) {
        if let Ok(id) = text.parse::<TokenId>() {
            prop_assert_eq!(id.to_string(), text);
        }
        let [generation, random, revision] = word;
        let lineage = Lineage { generation, random };
        let token = ConsistencyToken { lineage, revision: Revision(revision) };
        prop_assert_eq!(token.to_string().parse(), Ok(token));
    }

    #[test]
    fn a_grant_that_covers_permits_all_that_the_other_does(
        wide in grant(), narrow in grant(), audience in "[ab]([:/][ab]){0,2}",
        scopes in "([ab]([:/.][ab]){0,2}( [ab]([:/.][ab]){0,2})?)?",
    ) {
        let (audience, scopes) = (audience.parse().unwrap(), scopes.parse().unwrap());
        prop_assert!(wide.covers(&wide));
        if wide.covers(&narrow) && narrow.permits(&audience, &scopes) {
            prop_assert!(wide.permits(&audience, &scopes));
        }
    }
}

fn grant() -> impl Strategy<Value = Grant> {
    let audience = r"[ab]([:/][ab]){0,2}([:/]\*)?|\*";
    let scope = r"[ab]([:/.][ab]){0,2}([:/.]\*)?|\*";
    (audience, vec(scope, 0..3), 0..3_u32, any::<bool>()).prop_map(
        |(audience, scopes, max_ttl_seconds, bearer)| Grant {
            audience: audience.parse().unwrap(),
            scopes: scopes.iter().map(|scope| scope.parse().unwrap()).collect(),
            max_ttl_seconds,
            bearer,
        },
    )
}
