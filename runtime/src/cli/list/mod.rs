//! `ephor list`: reference lists from tables, and what is in them.

mod build;
mod diff;
mod inspect;
mod rows;

use std::path::Path;

use anyhow::Context as _;
use ephor::List;

use super::exit::{Exit, Or as _, Outcome};

/// What can be done with reference lists.
#[derive(clap::Subcommand)]
pub enum Verb {
    Build(build::Args),
    Diff(diff::Args),
    Inspect(inspect::Args),
}

pub fn run(verb: &Verb) -> Outcome {
    match verb {
        Verb::Build(args) => build::run(args),
        Verb::Diff(args) => diff::run(args),
        Verb::Inspect(args) => inspect::run(args),
    }
}

/// The list in a file.
pub fn open(file: &Path) -> Outcome<List> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    List::open(bytes.into()).with_context(|| file.display().to_string()).or_exit(Exit::Refused)
}
