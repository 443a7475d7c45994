//! `ephor openapi`: the HTTP API of `ephor serve` as a document.

use ephor::server::openapi;

use super::exit::{self, Outcome};

/// Prints the OpenAPI 3.1 document of the HTTP API.
///
/// The same that a server gives out at /v1/openapi.json; /v1/docs shows it as a page.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {}

/// Prints it.
pub fn run(_: &Args) -> Outcome {
    print!("{}", openapi::document());
    Ok(())
}
