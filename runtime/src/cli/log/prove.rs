//! `ephor log prove`: an entry, and the proof that it is in the log.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use ephor::ledger::checkpoint::EntryProof;
use ephor::ledger::note::VerifierKey;

use super::source::{Source, log_key};
use super::{in_full, replace};
use crate::cli::connection::Connection;
use crate::cli::exit::{self, Exit, Or as _, Outcome, failed};
use crate::cli::{local, table};

/// Proves that an entry is in a log, to somebody who has neither the log nor a
/// connection to it.
///
/// The proof (C2SP tlog-proof) has the place of the entry, the hashes that lead from
/// it to the root, and the signed checkpoint. `ephor log verify-proof` checks it, as
/// any other program for such proofs does. What a server is writing can be read at
/// the same time; an entry can be proved once a checkpoint covers it.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// The entry's sequence; the first is 1.
    sequence: u64,
    /// The data directory, or the URL of a server.
    #[arg(long, value_name = "DIR|URL")]
    from: Source,
    #[command(flatten)]
    connection: Connection,
    /// Where the proof goes [default: standard output].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where the entry goes, which has to be handed over with the proof [default:
    /// standard output if the proof goes to a file, standard error otherwise].
    #[arg(long, value_name = "FILE")]
    entry: Option<PathBuf>,
    /// The log's key as you know it, or a file with it [default: the log's own].
    #[arg(long, value_name = "VKEY", value_parser = log_key)]
    key: Option<VerifierKey>,
}

pub fn run(mut args: Args) -> Outcome {
    args.from = args.from.by(&args.connection)?;
    let Some(index) = args.sequence.checked_sub(1) else { return Err(failed(Exit::Usage, "the first entry has the sequence 1")) };
    let (proof, line) = local::block_on(prove(&args, index))?;
    match &args.entry {
        Some(file) => replace(file, &line)?,
        None if args.out.is_some() => std::io::stdout().write_all(&line).context("cannot print the entry")?,
        None => std::io::stderr().write_all(&line).context("cannot print the entry")?,
    }
    match &args.out {
        Some(file) => replace(file, proof.to_string().as_bytes())?,
        None => write!(std::io::stdout(), "{proof}").context("cannot print the proof")?,
    }
    Ok(())
}

/// The proof, checked, and the entry's line with its `\n`.
async fn prove(args: &Args, index: u64) -> Outcome<(EntryProof, Vec<u8>)> {
    let mut signed = args.from.signed(args.key.as_ref()).await?;
    let size = signed.checkpoint.size;
    if index >= size {
        let text = format!("entry {} is in no signed checkpoint yet; the latest has {} entries", args.sequence, table::grouped(size));
        return Err(failed(Exit::Failed, text));
    }
    let path = signed.prover.inclusion(index, size).await?;
    let mut line = args.from.entry(args.sequence, &mut signed).await?;
    let proof = EntryProof { extra: None, index, path, checkpoint: signed.note };
    let held = in_full(proof.verify(&line, &signed.key, &[]));
    let what = || format!("the entry and the hashes in {} do not lead to its signed root; see `ephor log verify`", args.from);
    held.with_context(what).or_exit(Exit::Damaged)?;
    line.push(b'\n');
    Ok((proof, line))
}
