//! Who gets through to a protected service, and what the others are told.

#![allow(clippy::unwrap_used)]

use std::convert::Infallible;

use chancery_credential::Claims;
use http::{StatusCode, header::WWW_AUTHENTICATE};
use tower::{ServiceExt, service_fn};

use super::*;
use crate::verifier::{
    WhenStale,
    fixture::{AUDIENCE, BOUND, Fixture, bound_to, claims, id, token},
};

/// What is answered to a request with these headers: status and challenge.
async fn answered(
    fixture: &Fixture,
    scopes: &str,
    headers: &[(&'static str, &str)],
    certificate: Option<&[u8]>,
) -> (StatusCode, String, HeaderMap) {
    let protect = Protect::new(fixture.verifier.clone(), AUDIENCE.parse().unwrap());
    let protect = protect.with_scopes(scopes.parse().unwrap());
    let service = service_fn(async |request: Request<()>| {
        let accepted = request.extensions().get::<Accepted>().unwrap();
        assert_eq!(accepted.sub, claims().sub);
        Ok::<_, Infallible>(Response::new(String::from("served")))
    });
    let mut request = Request::new(());
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    if let Some(certificate) = certificate {
        request
            .extensions_mut()
            .insert(ClientCertificate::of(certificate));
    }
    let response = protect.layer(service).oneshot(request).await.unwrap();
    let is_served = response.body() == "served";
    assert_eq!(
        is_served,
        response.status() == StatusCode::OK && !response.headers().contains_key("grpc-status")
    );
    assert!(is_served || response.body().is_empty(), "it says too much");
    let challenge = response.headers().get(WWW_AUTHENTICATE);
    let challenge = challenge.map_or("", |challenge| challenge.to_str().unwrap());
    (
        response.status(),
        challenge.to_owned(),
        response.headers().clone(),
    )
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test]
async fn over_http_each_is_told_what_to_do_and_no_more() {
    let fixture = Fixture::new(WhenStale::Refuse, std::time::Duration::ZERO);
    let good = bearer(&token(&claims()));
    let revoked = Claims {
        jti: id(1, 9),
        ..claims()
    };
    let revoked = bearer(&token(&revoked));
    fixture.publish(21, &[chancery_revocation::Change::TokenRevoked(id(1, 9))]);
    let insufficient = "Bearer error=\"insufficient_scope\", scope=\"ledger:write\"";
    let refused = "Bearer error=\"invalid_token\"";
    let unreadable = "Bearer error=\"invalid_request\"";
    for (headers, scopes, status, challenge) in [
        (vec![("authorization", &*good)], "ledger:read", 200, ""),
        (vec![], "ledger:read", 401, "Bearer"),
        (
            vec![("authorization", "Basic x")],
            "ledger:read",
            401,
            "Bearer",
        ),
        (
            vec![("authorization", &*revoked)],
            "ledger:read",
            401,
            refused,
        ),
        (
            vec![("authorization", "Bearer nonsense")],
            "ledger:read",
            401,
            refused,
        ),
        (
            vec![("authorization", &*good)],
            "ledger:write",
            403,
            insufficient,
        ),
        (
            vec![("authorization", &*good), ("authorization", &*good)],
            "ledger:read",
            400,
            unreadable,
        ),
    ] {
        let (said, told, _) = answered(&fixture, scopes, &headers, None).await;
        assert_eq!((said.as_u16(), &*told), (status, challenge), "{headers:?}");
    }
    fixture.dial.pass(BOUND);
    let headers = [("authorization", &*good)];
    let (said, told, headers) = answered(&fixture, "ledger:read", &headers, None).await;
    assert_eq!((said.as_u16(), &*told), (503, ""));
    assert_eq!(headers["retry-after"], "1");
}

#[tokio::test]
async fn over_grpc_the_same_is_a_status() {
    let fixture = Fixture::new(WhenStale::Refuse, std::time::Duration::ZERO);
    let good = bearer(&token(&claims()));
    let grpc = ("content-type", "application/grpc+proto");
    let status = async |headers: &[(&'static str, &str)], scopes| {
        let (status, _, headers) = answered(&fixture, scopes, headers, None).await;
        assert_eq!(status, StatusCode::OK);
        let status = headers.get("grpc-status");
        status.map_or(0, |status| status.to_str().unwrap().parse().unwrap())
    };
    assert_eq!(
        status(&[grpc, ("authorization", &good)], "ledger:read").await,
        0
    );
    assert_eq!(
        status(&[grpc, ("authorization", &good)], "ledger:write").await,
        7
    );
    assert_eq!(status(&[grpc], "ledger:read").await, 16);
    assert_eq!(
        status(&[grpc, ("authorization", "Bearer x")], "ledger:read").await,
        16
    );
    fixture.dial.pass(BOUND);
    assert_eq!(
        status(&[grpc, ("authorization", &good)], "ledger:read").await,
        14
    );
}

#[tokio::test]
async fn a_bound_token_needs_the_certificate_of_the_connection() {
    let fixture = Fixture::strict();
    let bound = bearer(&token(&bound_to(b"mine")));
    let headers = [("authorization", &*bound)];
    for (certificate, expected) in [
        (Some(&b"mine"[..]), 200),
        (Some(&b"another"[..]), 401),
        (None, 401),
    ] {
        let (said, ..) = answered(&fixture, "ledger:read", &headers, certificate).await;
        assert_eq!(said.as_u16(), expected);
    }
}
