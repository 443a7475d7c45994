//! `ephor completions`: the parser as a script with which a shell completes commands.

use anyhow::Context as _;
use clap::Command;
use clap_complete::Shell;

use super::exit::{self, Outcome};

/// Prints a script with which a shell completes the commands of ephor.
///
/// Where the script goes is the shell's to say. For bash, in ~/.bashrc:
/// `source <(ephor completions bash)`; for fish:
/// `ephor completions fish > ~/.config/fish/completions/ephor.fish`; for zsh, in a folder
/// of its fpath: `ephor completions zsh > ~/.zfunc/_ephor`.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints the script for a parser.
pub fn run(args: &Args, mut parser: Command) -> Outcome {
    let mut script = Vec::new();
    // Not straight to standard output: a reader that has seen enough would be a panic
    // that `main` does not know.
    clap_complete::generate(args.shell, &mut parser, "ephor", &mut script);
    print!("{}", String::from_utf8(script).context("the script is not UTF-8")?);
    Ok(())
}
