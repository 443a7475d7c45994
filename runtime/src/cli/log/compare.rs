//! `ephor log compare`: whether one checkpoint extends another.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ephor::ledger::checkpoint::Checkpoint;
use ephor::ledger::note::{Note, VerifierKey};
use ephor::ledger::tree::{Hash, verify_consistency};
use serde_json::json;

use super::source::{Source, log_key, note_file};
use super::{in_full, replace};
use crate::cli::connection::Connection;
use crate::cli::exit::{self, Exit, Failed, Or as _, Outcome, failed};
use crate::cli::table::grouped;
use crate::cli::{local, table};

/// Proves or refutes that the log of one checkpoint begins with that of another, that
/// is, that nothing was changed or removed in between.
///
/// The hashes for that come from the log; they are checked, and need not be trusted.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// The older checkpoint, signed.
    old: PathBuf,
    /// The newer one.
    new: PathBuf,
    /// Where the log is: a data directory, or the URL of a server. Not needed for
    /// checkpoints of one size.
    #[arg(long, value_name = "DIR|URL")]
    from: Option<Source>,
    #[command(flatten)]
    connection: Connection,
    /// The log's key as you know it, or a file with it. Without it and without --from,
    /// no signature is checked.
    #[arg(long, value_name = "VKEY", value_parser = log_key)]
    key: Option<VerifierKey>,
    /// Writes the proof as JSON: old, new, and the path in hexadecimal digits.
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    /// Prints the result as JSON.
    #[arg(long)]
    json: bool,
}

/// A checkpoint from a file.
struct Kept {
    file: PathBuf,
    checkpoint: Checkpoint,
    note: Note,
}

impl Kept {
    fn read(file: &Path) -> Outcome<Self> {
        let (checkpoint, note) = note_file(file)?;
        Ok(Kept { file: file.to_path_buf(), checkpoint, note })
    }

    /// Checks its signature.
    fn signed_by(&self, key: &VerifierKey) -> Outcome {
        let opened = in_full(Checkpoint::open(self.note.to_string().as_bytes(), key));
        opened.map(|_| ()).with_context(|| format!("{} is not to be believed", self.file.display())).or_exit(Exit::Damaged)
    }

    fn describe(&self) -> String {
        format!("{} ({} entries, tree {})", self.file.display(), grouped(self.checkpoint.size), self.checkpoint.root)
    }
}

pub fn run(args: Args) -> Outcome {
    let (old, new) = (Kept::read(&args.old)?, Kept::read(&args.new)?);
    if old.checkpoint.origin != new.checkpoint.origin {
        let text = format!("they are of two logs: {:?} and {:?}", old.checkpoint.origin, new.checkpoint.origin);
        return Err(failed(Exit::Damaged, text));
    }
    if let Some(key) = &args.key {
        old.signed_by(key)?;
        new.signed_by(key)?;
    }
    if old.checkpoint.size > new.checkpoint.size {
        let text = format!("{} has fewer entries than {}: a log does not shrink", new.describe(), old.describe());
        return Err(refuted(&args, text));
    }
    let proof = match &args.from {
        None if old.checkpoint.size == 0 || old.checkpoint.size == new.checkpoint.size => Vec::new(),
        None => return Err(failed(Exit::Usage, "the hashes between the two have to come from the log: name it with --from")),
        Some(from) => local::block_on(prove(&args, &from.by(&args.connection)?, &old, &new))?,
    };
    let sizes = (old.checkpoint.size, new.checkpoint.size);
    // Every log begins with the empty one; a proof would say nothing (RFC 9162).
    if sizes.0 > 0 {
        let held = verify_consistency(sizes.0, sizes.1, &old.checkpoint.root, &new.checkpoint.root, &proof);
        held.map_err(|error| refuted(&args, format!("{} does not extend {}: {error}", new.describe(), old.describe())))?;
    }
    if let Some(file) = &args.proof {
        let path: Vec<String> = proof.iter().map(Hash::to_string).collect();
        let document = json!({"old": sizes.0, "new": sizes.1, "path": path});
        replace(file, format!("{document}\n").as_bytes())?;
    }
    print(&args, &old, &new, &proof).context("cannot print")?;
    Ok(())
}

/// The proof that the log has, after a look whether it is the log of both.
async fn prove(args: &Args, from: &Source, old: &Kept, new: &Kept) -> Outcome<Vec<Hash>> {
    let mut signed = from.signed(args.key.as_ref()).await?;
    for kept in [old, new] {
        if args.key.is_none() {
            kept.signed_by(&signed.key)?;
        }
    }
    if signed.checkpoint.size < new.checkpoint.size {
        let text = format!("{from} has {} signed entries only, fewer than {}", grouped(signed.checkpoint.size), new.describe());
        return Err(failed(Exit::Failed, text));
    }
    for kept in [new, old] {
        let found = signed.root(kept.checkpoint.size).await?;
        if found != kept.checkpoint.root {
            let text = format!("{} is not a state of the log at {from}, which has the tree {found} over them", kept.describe());
            return Err(refuted(args, text));
        }
    }
    signed.prover.consistency(old.checkpoint.size, new.checkpoint.size).await
}

/// The two do not go together.
fn refuted(args: &Args, text: String) -> Failed {
    if args.json {
        println!("{}", json!({"extends": false, "why": text}));
    }
    failed(Exit::Damaged, text)
}

fn print(args: &Args, old: &Kept, new: &Kept, proof: &[Hash]) -> std::io::Result<()> {
    let added = new.checkpoint.size - old.checkpoint.size;
    let mut out = std::io::stdout().lock();
    if args.json {
        let document = json!({
            "extends": true,
            "log": new.checkpoint.origin,
            "old": {"entries": old.checkpoint.size, "root": old.checkpoint.root.to_string()},
            "new": {"entries": new.checkpoint.size, "root": new.checkpoint.root.to_string()},
            "hashes": proof.len(),
            "signatures_checked": args.key.is_some() || args.from.is_some(),
        });
        serde_json::to_writer_pretty(&mut out, &document)?;
        return writeln!(out);
    }
    writeln!(out, "{}\nextends\n{}", table::plain(&new.describe()), table::plain(&old.describe()))?;
    writeln!(out, "by {} entries, with a proof of {} hashes.", grouped(added), proof.len())?;
    if args.key.is_none() && args.from.is_none() {
        writeln!(out, "No signature was checked; give the log's key with --key.")?;
    }
    Ok(())
}
