//! `ephor log verify-proof`: whether a proof proves, without log and network.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use ephor::ledger::checkpoint::{Checkpoint, EntryProof};
use ephor::ledger::note::{MAX_NOTE, VerifierKey};
use ephor::ledger::tree::{leaf_hash, verify_inclusion};
use serde_json::json;

use super::in_full;
use super::source::{log_key, witness_key};
use crate::cli::exit::{self, Exit, Or as _, Outcome, failed};
use crate::cli::table::{self, plain};

/// Longest proof that is read: a path has 64 hashes at most.
const PROOF_BYTES_MAX: u64 = MAX_NOTE as u64 + 64 * 1024;

/// Checks that an entry is in a log; needs the proof and the entry, and the key of the
/// log or of a witness that one trusts.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// The proof (C2SP tlog-proof).
    proof: PathBuf,
    /// The entry: one line.
    #[arg(long, value_name = "FILE")]
    entry: PathBuf,
    /// The log's key, or a file with it. Without it, witnesses have to vouch.
    #[arg(long, value_name = "VKEY", value_parser = log_key, required_unless_present = "witness")]
    key: Option<VerifierKey>,
    /// The key of a witness, or a file with it: it must have signed the checkpoint.
    #[arg(long, value_name = "VKEY", value_parser = witness_key)]
    witness: Vec<VerifierKey>,
    /// How many of the witnesses must have signed [default: all].
    #[arg(long, value_name = "NUMBER", requires = "witness")]
    quorum: Option<usize>,
    /// Prints what was proved as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Outcome {
    let quorum = args.quorum.unwrap_or(args.witness.len());
    if quorum > args.witness.len() || (quorum == 0 && args.key.is_none()) {
        return Err(failed(Exit::Usage, format!("{quorum} of {} witnesses cannot be asked for", args.witness.len())));
    }
    let length =
        std::fs::metadata(&args.proof).with_context(|| format!("cannot read {}", args.proof.display())).or_exit(Exit::Usage)?.len();
    if length > PROOF_BYTES_MAX {
        return Err(failed(Exit::Damaged, format!("{} has {length} bytes, more than a proof can have", args.proof.display())));
    }
    let read = |file: &PathBuf| std::fs::read(file).with_context(|| format!("cannot read {}", file.display())).or_exit(Exit::Usage);
    let (bytes, line) = (read(&args.proof)?, read(&args.entry)?);
    let proof =
        in_full(EntryProof::parse(&bytes)).with_context(|| format!("{} is not a proof", args.proof.display())).or_exit(Exit::Damaged)?;
    let held = check(&args, &proof, line.strip_suffix(b"\n").unwrap_or(&line));
    let (checkpoint, signed) = held.context("the proof does not hold").or_exit(Exit::Damaged)?;
    if signed.len() < quorum {
        let text = format!("the entry is in the log, but {} of {quorum} witnesses have signed: {}", signed.len(), signed.join(", "));
        return Err(failed(Exit::Damaged, plain(&text)));
    }
    print(&args, &proof, &checkpoint, &signed).context("cannot print")?;
    Ok(())
}

/// The checkpoint, and the names of the witnesses that have signed it.
fn check(args: &Args, proof: &EntryProof, entry: &[u8]) -> anyhow::Result<(Checkpoint, Vec<String>)> {
    let checkpoint = match &args.key {
        Some(key) => in_full(proof.verify(entry, key, &[]))?.0,
        None => {
            let checkpoint = Checkpoint::parse(proof.checkpoint.text())?;
            verify_inclusion(&leaf_hash(entry), proof.index, checkpoint.size, &proof.path, &checkpoint.root)?;
            checkpoint
        }
    };
    let signed = proof.checkpoint.signers(&args.witness)?;
    Ok((checkpoint, signed.iter().map(|signed| signed.key.name().to_string()).collect()))
}

fn print(args: &Args, proof: &EntryProof, checkpoint: &Checkpoint, signed: &[String]) -> std::io::Result<()> {
    let sequence = proof.index.saturating_add(1);
    let mut out = std::io::stdout().lock();
    if args.json {
        let document = json!({
            "holds": true,
            "sequence": sequence,
            "log": checkpoint.origin,
            "entries": checkpoint.size,
            "root": checkpoint.root.to_string(),
            "log_key_checked": args.key.is_some(),
            "witnesses": signed,
        });
        serde_json::to_writer_pretty(&mut out, &document)?;
        return writeln!(out);
    }
    writeln!(out, "The entry is number {} of the log {}.", table::grouped(sequence), plain(&checkpoint.origin))?;
    let by = match (args.key.is_some(), signed) {
        (true, []) => "the log".to_string(),
        (true, witnesses) => format!("the log and {}", witnesses.join(", ")),
        (false, witnesses) => witnesses.join(", "),
    };
    writeln!(out, "Checkpoint: {} entries, tree {}, signed by {}.", table::grouped(checkpoint.size), checkpoint.root, plain(&by))
}
