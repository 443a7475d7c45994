//! `ephor grant …`: what publishers were granted.

mod check;

use super::exit::Outcome;

#[derive(clap::Subcommand)]
pub enum Verb {
    /// Holds what a policy asks for against what its publisher was granted.
    Check(check::Args),
}

pub fn run(verb: &Verb) -> Outcome {
    match verb {
        Verb::Check(args) => check::run(args),
    }
}
