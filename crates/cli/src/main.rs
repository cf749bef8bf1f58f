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
    failure::{EXIT_CODES, Failure, Kind},
    output::{Format, Output},
};

/// A replicated credential authority for AI agents and other machines
///
/// To try it, type `chancery dev ./cluster`: it runs a node on loopback and prints what to type next.
/// Commands that call a cluster find it in a profile: `--profile DIR`, or CHANCERY_PROFILE.
#[derive(Debug, Parser)]
#[command(name = "chancery", version, after_help = EXIT_CODES, max_term_width = 100)]
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
    let chancery = match Chancery::try_parse() {
        Ok(chancery) => chancery,
        Err(error) => return not_understood(&error),
    };
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

/// What clap says, in the form that was asked for. Help and version are no faults.
fn not_understood(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && asks_for_json(std::env::args().skip(1)) {
        let text = error.render().to_string();
        let failure = Failure::usage(text.trim_start_matches("error: ").trim_end())
            .next("`chancery --help`, or `--help` behind a command, shows what there is");
        eprintln!("{}", plain::plain_json(&failure.for_programs().to_string()));
    } else {
        // Where it cannot be printed, there is nobody to tell.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Kind::Usage.exit_code()))
}

/// Of a command line that was not understood.
fn asks_for_json(arguments: impl Iterator<Item = String>) -> bool {
    let words: Vec<String> = arguments.take_while(|word| word != "--").collect();
    words.iter().any(|word| word == "--output=json")
        || words
            .windows(2)
            .any(|pair| matches!(pair, [option, form] if option == "--output" && form == "json"))
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
    fn who_asked_for_json_is_told_faults_in_json() {
        let asks = |line: &str| asks_for_json(line.split(' ').map(ToOwned::to_owned));
        assert!(asks("tokens --output json") && asks("--output=json tokens"));
        assert!(!asks("tokens --output table") && !asks("tokens -- --output json"));
        assert!(!asks("--output"));
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
