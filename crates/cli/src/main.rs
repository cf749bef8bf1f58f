//! `chancery`: the one binary. Nodes, operators and agents use it alike.
//!
//! It decides nothing about credentials: it runs a node (`chancery-server`),
//! calls a cluster (`chancery-client`), or handles the files between the two.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "the comments on arguments are the help text, for the terminal"
)]
#![forbid(unsafe_code)]

mod cluster;
mod command;
mod failure;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod fuzz_targets;
mod key_files;
mod order;
mod output;
mod plain;
mod plain_log;
mod profile;
mod read;
mod secret_input;
mod span;
mod subject;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    command::Command,
    failure::{EXIT_CODES, Failure},
    output::{Format, Output},
};

/// A replicated credential authority for AI agents and other machines
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, max_term_width = 100)]
struct Chancery {
    /// Answers for people [default], or for programs: then errors are JSON too, on standard error
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "table",
        value_name = "table|json",
        hide_possible_values = true,
        hide_default_value = true
    )]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let chancery = Chancery::parse();
    let output = Output::new(chancery.output);
    match run(&chancery.command, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if output.is_json() {
                eprintln!("{}", plain::plain_json(&failure.for_programs().to_string()));
            } else {
                eprintln!("{}", failure.for_people());
            }
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

/// One thread is enough here: a node makes the runtimes that it works on.
fn run(command: &Command, output: Output) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::local)?
        .block_on(command.run(output))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_fits_together() {
        Chancery::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does() {
        fn walk(command: &clap::Command) {
            assert!(
                command.get_about().is_some(),
                "`{}` has no description",
                command.get_name()
            );
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{}: {}",
                    command.get_name(),
                    argument.get_id()
                );
            }
            command.get_subcommands().for_each(walk);
        }
        let mut chancery = Chancery::command();
        chancery.build();
        chancery
            .get_subcommands()
            .filter(|command| command.get_name() != "help")
            .for_each(walk);
    }
}
