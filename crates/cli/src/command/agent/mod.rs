//! `chancery agent`: who may mint what, and on whose account.

pub(crate) mod bounds;
mod change;
pub(crate) mod grant;
mod read;
mod view;

pub(super) use grant::{Grant, GrantView};

use clap::Subcommand;

use crate::{
    failure::Failure,
    key_files::{self, KeyArgs},
    output::Output,
};

/// Agents.
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// Make an agent's key, where the agent runs
    Key(KeyArgs),
    /// Register an agent
    Register(change::RegisterArgs),
    /// Show one agent
    Get(read::GetArgs),
    /// List agents
    List(read::ListArgs),
    /// Change an agent's bounds; taking anything away kills what it holds
    ///
    /// What is not given stays. What is given stands in place of all that was there: --grant of all
    /// its own grants, --owner of all owners, --public-key of all keys. Who changed the agent at
    /// the same moment is not undone: the later of the two is refused, and looks again.
    Update(change::UpdateArgs),
    /// End a registration for good, with all that it holds
    Remove(change::RemoveArgs),
}

impl AgentCommand {
    pub async fn run(&self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Key(args) => key_files::make(args, output),
            Self::Register(args) => change::register(args, output).await,
            Self::Get(args) => read::get(args, output).await,
            Self::List(args) => read::list(args, output).await,
            Self::Update(args) => change::update(args, output).await,
            Self::Remove(args) => change::remove(args, output).await,
        }
    }
}
