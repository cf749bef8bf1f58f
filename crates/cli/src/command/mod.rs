//! The commands: one file, or folder, a group.

pub(crate) mod agent;
mod completions;
mod dev;
mod epoch;
mod grant_set;
mod history;
mod init;
mod join;
mod node;
mod operator;
mod owner;
mod principal;
mod records;
mod serve;
mod service;
mod settings;
pub(crate) mod token;
mod verb;
mod watch;
mod whoami;

use clap::Subcommand;

use crate::{failure::Failure, output::Output};

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Try it: a node of its own on loopback, and what to type next
    Dev(dev::DevArgs),

    /// Where the operator is: found a cluster from the first node's request file
    Init(init::InitArgs),
    /// On a node: install the admission file that the operator made
    Join(join::JoinArgs),
    /// On a node: run it
    ///
    /// Its `admin_listen`, on loopback, answers over plain HTTP: `/livez` (the process runs),
    /// `/readyz` (it serves: fresh, with a settled key, not draining; else 503 and why) and `/metrics`
    /// (Prometheus).
    Serve(serve::ServeArgs),

    /// Nodes: request, add, renew, promote, demote, transfer, remove, replace, readmit, status, list
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// Operators, and their roles
    #[command(subcommand)]
    Operator(operator::OperatorCommand),
    /// Services, and their audiences
    #[command(subcommand)]
    Service(service::ServiceCommand),
    /// Owners, on whose account agents act
    #[command(subcommand)]
    Owner(owner::OwnerCommand),
    /// Agents, and what they may mint
    #[command(subcommand)]
    Agent(agent::AgentCommand),
    /// Grant sets: grants that many agents share
    #[command(subcommand)]
    GrantSet(grant_set::GrantSetCommand),
    /// Tokens: mint, verify, inspect, revoke
    #[command(subcommand)]
    Token(token::TokenCommand),

    /// What the subject holds is dead for good, and it cannot mint until it is resumed
    Suspend(verb::VerbArgs),
    /// Let a subject mint again; what was dead stays dead
    Resume(verb::VerbArgs),
    /// What the subject holds is dead; it can mint anew at once
    Revoke(verb::VerbArgs),
    /// Signing keys: show, rotate, revoke
    #[command(subcommand)]
    Epoch(epoch::EpochCommand),
    /// The replicated settings: show, explain, set
    #[command(subcommand)]
    Settings(settings::SettingsCommand),
    /// Who asked for what, through whom, why, and what became of it
    History(history::HistoryArgs),
    /// What was minted, from a node's own files: verify, find
    #[command(subcommand)]
    Records(records::RecordsCommand),
    /// Show every change of what is in force, as it happens
    Watch(watch::WatchArgs),
    /// Show who the cluster takes you for
    Whoami(whoami::WhoAmIArgs),
    /// Print what a shell completes command lines with
    Completions(completions::CompletionsArgs),
}

impl Command {
    pub async fn run(&self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Dev(args) => dev::run(args, output).await,
            Self::Init(args) => init::run(args, output),
            Self::Join(args) => join::run(args, output),
            Self::Serve(args) => serve::run(args).await,
            Self::Node(command) => command.run(output).await,
            Self::Operator(command) => command.run(output).await,
            Self::Service(command) => command.run(output).await,
            Self::Owner(command) => command.run(output).await,
            Self::Agent(command) => command.run(output).await,
            Self::GrantSet(command) => command.run(output).await,
            Self::Token(command) => command.run(output).await,
            Self::Suspend(args) => verb::suspend(args, output).await,
            Self::Resume(args) => verb::resume(args, output).await,
            Self::Revoke(args) => verb::revoke_held(args, output).await,
            Self::Epoch(command) => command.run(output).await,
            Self::Settings(command) => command.run(output).await,
            Self::History(args) => history::run(args, output).await,
            Self::Records(command) => command.run(output),
            Self::Watch(args) => watch::run(args, output).await,
            Self::Whoami(args) => whoami::run(args, output).await,
            Self::Completions(args) => completions::run(args),
        }
    }
}
