//! `chancery token`: mint, verify, inspect, revoke.

pub(crate) mod inspect;
mod mint;
mod revoke;
mod verify;

use clap::Subcommand;

use crate::{failure::Failure, output::Output};

/// Tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Mint a token, as the agent whose key is proved
    Mint(mint::MintArgs),
    /// Ask a node whether a token is in force
    Verify(verify::VerifyArgs),
    /// Show what a token says, without asking whether any of it is true
    Inspect(inspect::InspectArgs),
    /// Kill one token, and what was derived from it
    Revoke(revoke::RevokeArgs),
}

impl TokenCommand {
    pub async fn run(&self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Mint(args) => mint::run(args, output).await,
            Self::Verify(args) => verify::run(args, output).await,
            Self::Inspect(args) => inspect::run(args, output),
            Self::Revoke(args) => revoke::run(args, output).await,
        }
    }
}
