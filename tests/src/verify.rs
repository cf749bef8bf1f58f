//! What the nodes say of a token, and what a verifier says that knows only the
//! published keys.

use chancery_client::{Idempotence, v1};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use v1::token_service_client::TokenServiceClient;

use crate::{
    agent::{AUDIENCE, Agent},
    cluster::{Cluster, ISSUER},
    jwks,
};

/// The reason why `token`, presented with `agent`'s certificate, is refused at a
/// node whose state is at least that of `min_revision`; `None` when it is valid.
pub async fn verdict(
    cluster: &Cluster,
    position: usize,
    agent: &Agent,
    token: &str,
    min_revision: &str,
) -> Option<String> {
    let request = v1::VerifyRequest {
        token: token.to_owned(),
        audience: AUDIENCE.to_owned(),
        certificate_sha256: agent
            .identity()
            .certificate_thumbprint()
            .as_bytes()
            .to_vec(),
        min_revision: min_revision.to_owned(),
    };
    let response = cluster
        .operator_at(position)
        .call(Idempotence::Repeatable, |channel| {
            let request = request.clone();
            async move { TokenServiceClient::new(channel).verify(request).await }
        })
        .await
        .unwrap();
    match response.verdict() {
        v1::verify_response::Verdict::Valid => None,
        _ => Some(response.reason),
    }
}

/// What an unrelated JOSE library says, with the keys that a node publishes.
///
/// # Errors
/// Why it refuses.
pub async fn by_jose(cluster: &Cluster, position: usize, token: &str) -> Result<(), String> {
    let (line, body) = jwks::fetch(&cluster.nodes[position].api(), &cluster.root()).await;
    assert!(line.contains("200"), "{line}");
    let keys: JwkSet = serde_json::from_str(&body).unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    assert_eq!(header.alg, Algorithm::EdDSA);
    let key = keys
        .find(&header.kid.unwrap())
        .ok_or("no such key is published")?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[ISSUER]);
    let key = DecodingKey::from_jwk(key).unwrap();
    jsonwebtoken::decode::<serde_json::Value>(token, &key, &validation)
        .map(|_| ())
        .map_err(|error| error.to_string())
}
