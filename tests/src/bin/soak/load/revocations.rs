//! Tokens that are revoked, and refused from then on.

use std::time::Duration;

use chancery_client::{Error, meta, v1};
use chancery_tests::{agent::wanted, call};
use futures::future::join_all;
use v1::{
    revocation_service_client::RevocationServiceClient, token_service_client::TokenServiceClient,
};

use super::{Held, Load, checks::verification, each};

/// Revocations under way at once.
const AT_A_TIME: usize = 4;

/// Mints and revokes, `rate` a second or as many as the machine takes.
pub async fn revoke(load: &Load<'_>, rate: u32) {
    let period = Duration::from_secs(1) * u32::try_from(AT_A_TIME).unwrap() / rate.max(1);
    let lanes = (0..AT_A_TIME).map(|lane| async move {
        let mut pace = each(period);
        for turn in 0.. {
            pace.tick().await;
            if load.is_over() {
                return;
            }
            let number = turn * AT_A_TIME + lane;
            load.ask("revoke", revoke_one(load, number)).await;
        }
    });
    join_all(lanes).await;
}

async fn revoke_one(load: &Load<'_>, number: usize) -> Result<(), Error> {
    let caller = &load.steady[number % load.steady.len()];
    let minted = caller.client.mint(wanted()).await?;
    let mut held = Held::of(minted, caller);
    let request = v1::RevokeRequest {
        meta: meta("a long run")?,
        credential: Some(v1::revoke_request::Credential::Token(held.token.clone())),
    };
    let revoked = call!(load.operator, RevocationServiceClient::revoke, request)?;
    held.min_revision = revoked.committed.unwrap_or_default().consistency_token;
    let shop = &load.shops[number % load.shops.len()];
    let answer = call!(shop, TokenServiceClient::verify, verification(held))?;
    let refused = answer.verdict() == v1::verify_response::Verdict::Refused;
    load.must("verify: refused once revoked", refused, "it was valid");
    Ok(())
}
