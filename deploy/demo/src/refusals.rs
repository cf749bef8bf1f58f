//! What every node refuses after a revocation and after a suspension, with the
//! consistency token of the change demanded of it.

use crate::{
    Outcome,
    agent::{self, AUDIENCE, CERTIFICATE, PROFILE, SCOPE},
    chancery::{Answer, Chancery, text},
    cluster::{Cluster, Node},
    say,
};

/// Revokes one of two tokens: each node refuses that one, and takes the other.
pub async fn after_revoking(chancery: &Chancery, cluster: &Cluster) -> Outcome<()> {
    for (node, file) in cluster.nodes.iter().zip(["revoked.token", "other.token"]) {
        mint(chancery, node, file).await?;
    }
    let revoked = chancery
        .run(&[
            "token",
            "revoke",
            "revoked.token",
            "--reason",
            "leaked in a log",
        ])
        .await?;
    let demanded = text(&revoked, "/committed/consistency_token");
    for node in &cluster.nodes {
        refuses(chancery, node, "revoked.token", &demanded, "TOKEN_REVOKED").await?;
        match verify(chancery, node, "other.token", &demanded).await? {
            Answer::Done(_) => say::seen(format!("node {} takes the other token", node.number)),
            Answer::Refused { reason, message } => {
                return Err(format!(
                    "node {} refused a token that nobody revoked [{reason}]: {message}",
                    node.number
                )
                .into());
            }
        }
    }
    Ok(())
}

/// Suspends the agent: each node refuses what it holds, and mints nothing more.
pub async fn after_suspending(chancery: &Chancery, cluster: &Cluster) -> Outcome<()> {
    let suspended = chancery
        .run(&[
            "suspend",
            "agent",
            &agent::id(),
            "--reason",
            "it behaves oddly",
        ])
        .await?;
    let demanded = text(&suspended, "/committed/consistency_token");
    for node in &cluster.nodes {
        refuses(chancery, node, "other.token", &demanded, "AGENT_REVOKED").await?;
        let words = mint_words(node, "never.token");
        let words: Vec<_> = words
            .iter()
            .copied()
            .chain(["--min-revision", demanded.as_str()])
            .collect();
        say::typed(&words);
        match chancery.ask(&words).await? {
            Answer::Refused { reason, .. } if reason == "AGENT_SUSPENDED" => {
                say::seen(format!("node {} mints nothing: {reason}", node.number));
            }
            other => {
                return Err(format!(
                    "node {} was asked to mint for a suspended agent: {other:?}",
                    node.number
                )
                .into());
            }
        }
    }
    Ok(())
}

async fn mint(chancery: &Chancery, node: &Node, file: &str) -> Outcome<()> {
    chancery.run(&mint_words(node, file)).await?;
    Ok(())
}

fn mint_words<'a>(node: &'a Node, file: &'a str) -> [&'a str; 12] {
    [
        "token",
        "mint",
        "--profile",
        PROFILE,
        "--endpoint",
        &node.api,
        "--audience",
        AUDIENCE,
        "--scope",
        SCOPE,
        "--out",
        file,
    ]
}

/// A refusal for another reason is not the one that was promised.
async fn refuses(
    chancery: &Chancery,
    node: &Node,
    file: &str,
    demanded: &str,
    expected: &str,
) -> Outcome<()> {
    match verify(chancery, node, file, demanded).await? {
        Answer::Refused { reason, .. } if reason == expected => {
            say::seen(format!("node {} refuses {file}: {reason}", node.number));
            Ok(())
        }
        other => Err(format!(
            "node {} had to refuse {file} as of {demanded}: {other:?}",
            node.number
        )
        .into()),
    }
}

async fn verify(chancery: &Chancery, node: &Node, file: &str, demanded: &str) -> Outcome<Answer> {
    let words = [
        "token",
        "verify",
        file,
        "--endpoint",
        &node.api,
        "--audience",
        AUDIENCE,
        "--certificate",
        CERTIFICATE,
        "--min-revision",
        demanded,
    ];
    say::typed(&words);
    chancery.ask(&words).await
}
