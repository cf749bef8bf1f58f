//! The agent whose tokens this is about.

use std::time::Instant;

use crate::{
    Outcome,
    chancery::{Chancery, number, text},
    cluster::{Cluster, TRUST_DOMAIN},
    say,
};

/// Who the tokens are for.
pub const AUDIENCE: &str = "https://ledger.demo.internal/v1";
pub const SCOPE: &str = "ledger:read";
/// The agent's directory, a profile.
pub const PROFILE: &str = "billing";
/// What presents the agent's key; its tokens are bound to it.
pub const CERTIFICATE: &str = "billing/identity.pem";

/// The agent's id.
pub fn id() -> String {
    format!("spiffe://{TRUST_DOMAIN}/billing")
}

/// Makes the agent's key where the agent is, and registers its public half.
pub async fn register(chancery: &Chancery) -> Outcome<()> {
    chancery.run(&["owner", "add", "payments"]).await?;
    chancery.run(&["agent", "key", PROFILE]).await?;
    chancery
        .run(&[
            "agent",
            "register",
            &id(),
            "--owner",
            "payments",
            "--public-key",
            "billing/identity.pub",
            "--grant",
            "https://ledger.demo.internal/* ledger:read ledger:write",
        ])
        .await?;
    Ok(())
}

/// Mints on the first node, verifies on each other.
pub async fn mint_and_verify(chancery: &Chancery, cluster: &Cluster) -> Outcome<()> {
    let [first, others @ ..] = cluster.nodes.as_slice() else {
        return Err("no nodes".into());
    };
    let minted = chancery
        .run(&[
            "token",
            "mint",
            "--profile",
            PROFILE,
            "--endpoint",
            &first.api,
            "--audience",
            AUDIENCE,
            "--scope",
            SCOPE,
            "--out",
            "first.token",
        ])
        .await?;
    let (token_id, revision) = (
        text(&minted, "/token_id"),
        text(&minted, "/consistency_token"),
    );
    say::seen(format!("node {} minted {token_id}", first.number));
    for node in others {
        let began = Instant::now();
        let verified = chancery
            .run(&[
                "token",
                "verify",
                "first.token",
                "--endpoint",
                &node.api,
                "--audience",
                AUDIENCE,
                "--certificate",
                CERTIFICATE,
                "--min-revision",
                &revision,
            ])
            .await?;
        let subject = text(&verified, "/claims/subject");
        if subject != id() || text(&verified, "/claims/token_id") != token_id {
            return Err(format!("node {} verified another token", node.number).into());
        }
        say::seen(format!(
            "node {}: valid, for {subject}; its state was {} ms old; the command took {}",
            node.number,
            number(&verified, "/age_ms"),
            say::ms(began.elapsed())
        ));
    }
    Ok(())
}
