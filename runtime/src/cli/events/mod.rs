//! `ephor events`: what a server has kept of events, and that it goes; what sample events
//! look like, and test events that look the same.
//!
//! [`infer`] and [`generate`] learn from a sample with the same code: [`sample`] reads it,
//! [`shape`] is what its events look like.

mod fields;
mod generate;
mod infer;
mod pattern;
mod random;
mod recipe;
mod sample;
mod server;
mod shape;
mod values;

use super::exit::Outcome;
use super::local;

/// What can be done with events.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Writes an event as it was sent to standard output; its attributes, if they were
    /// sent in headers, and its salt go to standard error. With the salt, what policies
    /// saw can be held against the commitments in the entry.
    Get(server::Get),
    /// Takes the content of events away for good. Their entries stay, with everything
    /// that proves them, and another entry says who wanted it.
    Erase(server::Erase),
    Infer(infer::Args),
    Generate(generate::Args),
}

pub fn run(verb: &Verb) -> Outcome {
    local::block_on(async {
        match verb {
            Verb::Get(args) => server::get(args).await,
            Verb::Erase(args) => server::erase(args).await,
            Verb::Infer(args) => infer::run(args).await,
            Verb::Generate(args) => generate::run(args).await,
        }
    })
}
