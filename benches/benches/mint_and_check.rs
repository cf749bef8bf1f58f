//! A mint's signature beside the raw one, and judgements over views of three
//! sizes: read them as ratios, not as times.

#![allow(clippy::unwrap_used)]

use std::hint::black_box;

use chancery_benches::{ISSUER, claims, key, now, view};
use chancery_credential::KeyId;
use chancery_revocation::{Expectations, Facts, Limits, Proof, judge, judge_facts};
use criterion::{Criterion, criterion_group, criterion_main};

fn mint(criterion: &mut Criterion) {
    let (key, claims) = (key(), claims());
    let token = key.token(&claims).unwrap();
    let signing_input = token.as_bytes().to_vec();
    criterion.bench_function("raw signature of a token's length", |bencher| {
        bencher.iter(|| key.sign(black_box(&signing_input)));
    });
    let mut buffer = Vec::with_capacity(2048);
    criterion.bench_function("token, claims to text", |bencher| {
        bencher.iter(|| {
            buffer.clear();
            key.sign_token(black_box(&claims), &mut buffer).unwrap();
        });
    });
}

fn check(criterion: &mut Criterion) {
    let (key, claims) = (key(), claims());
    let token = key.token(&claims).unwrap();
    let key_id: KeyId = key.public().key_id();
    let limits = Limits {
        leeway: 2,
        ttl_cap: 900,
    };
    let expected = Expectations {
        issuer: ISSUER.to_owned(),
        audience: None,
        limits,
    };
    let proof = Proof {
        certificate: claims.cnf,
    };
    for revoked in [0, 10_000, 100_000] {
        let view = view(revoked);
        criterion.bench_function(&format!("judge a token, {revoked} revoked"), |bencher| {
            bencher.iter(|| judge(black_box(&token), &expected, &proof, &view, &now()));
        });
        let facts = Facts::of(key_id, &claims);
        criterion.bench_function(&format!("judge its facts, {revoked} revoked"), |bencher| {
            bencher.iter(|| judge_facts(black_box(&facts), limits, &view, &now()));
        });
    }
}

criterion_group!(benches, mint, check);
criterion_main!(benches);
