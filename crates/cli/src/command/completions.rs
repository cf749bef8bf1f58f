//! `chancery completions`: what a shell completes a command line with.

use clap::{Args, CommandFactory as _, ValueEnum};

use crate::{Chancery, failure::Failure, output::print};

const WHERE: &str = "\
Put it where the shell looks, and open another:
  bash  chancery completions bash > ~/.local/share/bash-completion/completions/chancery
        (make the directory first; needs the package bash-completion)
  zsh   chancery completions zsh > ~/.zfunc/_chancery
        (in ~/.zshrc, before compinit: fpath+=~/.zfunc)
  fish  chancery completions fish > ~/.config/fish/completions/chancery.fish
Or for this shell only:
  source <(chancery completions bash)";

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = WHERE)]
pub struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl From<Shell> for clap_complete::Shell {
    fn from(shell: Shell) -> Self {
        match shell {
            Shell::Bash => Self::Bash,
            Shell::Zsh => Self::Zsh,
            Shell::Fish => Self::Fish,
        }
    }
}

pub fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    print(script(args.shell)?.trim_end())
}

fn script(shell: Shell) -> Result<String, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        clap_complete::Shell::from(shell),
        &mut Chancery::command(),
        "chancery",
        &mut script,
    );
    String::from_utf8(script).map_err(Failure::local)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use std::{
        collections::BTreeSet,
        io::Write,
        process::{Command, Stdio},
    };

    use super::*;

    /// What bash offers after `words`, by the script and nothing else.
    fn offered(script: &str, words: &[&str]) -> BTreeSet<String> {
        let last = words.len();
        let line = words.join(" ");
        let ask = format!(
            "{script}\nCOMP_WORDS=({line} '')\nCOMP_CWORD={last}\n\
             _chancery chancery '' \"${{COMP_WORDS[{last}-1]}}\"\n\
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        // By its input: it is longer than one argument may be.
        let mut bash = Command::new("bash")
            .args(["--norc", "-s"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = bash.stdin.take().unwrap();
        input.write_all(ask.as_bytes()).unwrap();
        drop(input);
        let output = bash.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn bash_offers_every_command_of_every_group() {
        fn walk(command: &clap::Command, path: &[&str], script: &str) {
            let names: Vec<&str> = command
                .get_subcommands()
                .map(clap::Command::get_name)
                .collect();
            if names.is_empty() {
                return;
            }
            let offered = offered(script, path);
            for name in names {
                assert!(offered.contains(name), "{path:?} {name}: {offered:?}");
            }
            for inner in command.get_subcommands() {
                if inner.get_name() != "help" {
                    walk(inner, &[path, &[inner.get_name()]].concat(), script);
                }
            }
        }
        let mut chancery = Chancery::command();
        chancery.build();
        walk(&chancery, &["chancery"], &script(Shell::Bash).unwrap());
    }

    #[test]
    fn every_shell_has_a_script_that_names_the_newest_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell).unwrap();
            assert!(script.contains("completions"), "{shell:?}");
        }
    }

    #[test]
    fn the_help_says_where_each_script_goes() {
        for shell in Shell::value_variants() {
            let name = shell.to_possible_value().unwrap();
            let line = format!("chancery completions {} > ~/", name.get_name());
            assert!(WHERE.contains(&line), "{line}");
        }
    }
}
