//! `ephor import`: rules that somebody published in a format of their own, as settings
//! of a policy of the library.

mod mds;

use super::exit::Outcome;

/// What can be imported.
#[derive(clap::Subcommand)]
pub enum Verb {
    Mds(mds::Args),
}

pub fn run(verb: &Verb) -> Outcome {
    match verb {
        Verb::Mds(args) => mds::run(args),
    }
}
