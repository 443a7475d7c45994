//! `ephor log verify`: everything that a log says about itself, computed again.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use ephor::ledger::note::VerifierKey;
use ephor::ledger::verify::{Report, Verifier};

use super::report::Checked;
use super::source::{Source, log_key, note_file, witness_key};
use super::{bar, is_closed, remote};
use crate::cli::connection::Connection;
use crate::cli::exit::{self, Exit, Outcome, failed};
use crate::cli::local;

/// Checks a log from its bytes alone: every record, entry, tile, checkpoint and key.
///
/// Of a data directory all files are read; a server may be running on it. From a
/// server come the latest checkpoint, all entries that it covers, and the tiles.
///
/// What bytes alone cannot say is whether the whole was replaced by somebody who
/// holds its key. Checkpoints that were kept elsewhere (--since) and witnesses can.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// The data directory, or the URL of a server.
    #[arg(value_name = "DIR|URL")]
    source: Source,
    #[command(flatten)]
    connection: Connection,
    /// The log's key as you know it, or a file with it. Without it, the log vouches
    /// for itself.
    #[arg(long, value_name = "VKEY", value_parser = log_key)]
    key: Option<VerifierKey>,
    /// A signed checkpoint that you kept: the log has to extend it.
    #[arg(long, value_name = "CHECKPOINT-FILE")]
    since: Vec<PathBuf>,
    /// The key of a witness, or a file with it: what it has signed is checked.
    #[arg(long, value_name = "VKEY", value_parser = witness_key)]
    witness: Vec<VerifierKey>,
    /// For a copy without the content of events (without its folder `events`): that it is
    /// not there is no damage then. What is there is checked all the same.
    #[arg(long)]
    without_events: bool,
    /// Prints the report as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(mut args: Args) -> Outcome {
    args.source = args.source.by(&args.connection)?;
    let mut since = Vec::new();
    for file in &args.since {
        // What is no checkpoint at all is a slip on the command line, and nothing that
        // the log is to be blamed for.
        let (_, note) = note_file(file)?;
        since.push((file.clone(), note.to_string().into_bytes()));
    }
    let begun = Instant::now();
    let (report, key) = match &args.source {
        Source::Directory(directory) => {
            if !["FORMAT", "journal", "checkpoints"].iter().any(|name| directory.join(name).exists()) {
                return Err(failed(Exit::Usage, format!("{} is no data directory", directory.display())));
            }
            let shown = bar(0, true);
            let mut verifier = Verifier::new(directory).witnesses(args.witness.clone()).progress(|done, total| {
                shown.set_length(total);
                shown.set_position(done);
            });
            if let Some(key) = &args.key {
                verifier = verifier.key(key.clone());
            }
            if args.without_events {
                verifier = verifier.without_events();
            }
            let report = since.into_iter().fold(verifier, |verifier, (name, note)| verifier.since(name, note)).run();
            shown.finish_and_clear();
            let stated = std::fs::read_to_string(directory.join("ledger.pub")).ok();
            let stated = stated.and_then(|text| VerifierKey::parse(text.trim_end_matches('\n')).ok());
            (report, args.key.clone().or(stated))
        }
        Source::Server(target) => {
            let shown = bar(0, false);
            let check = remote::Check { key: args.key.clone(), witnesses: args.witness.clone(), since };
            let done = local::block_on(check.run(target, &shown));
            shown.finish_and_clear();
            done?
        }
    };
    say(args, report, key, begun)
}

fn say(args: Args, report: Report, key: Option<VerifierKey>, begun: Instant) -> Outcome {
    let checked = Checked {
        source: args.source,
        report,
        key,
        is_given: args.key.is_some(),
        witnesses: args.witness,
        seconds: begun.elapsed().as_secs_f64(),
    };
    let printed = if args.json { checked.print_json() } else { checked.print() };
    // Somebody who has seen enough is still told by the exit code.
    printed.or_else(|error| if is_closed(&error) { Ok(()) } else { Err(error) }).context("cannot print the report")?;
    checked.verdict()
}
