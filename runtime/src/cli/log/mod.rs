//! `ephor log`: what an auditor does with a log, from its data directory or from a
//! server, with nothing of the runtime.

pub mod compare;
pub mod export;
pub mod fetch;
pub mod proofs;
pub mod prove;
pub mod source;
pub mod tail;
pub mod verify;
pub mod verify_proof;

mod parquet;
mod remote;
mod report;

use std::io;
use std::path::Path;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::exit::Outcome;

/// What can be done with a log.
#[derive(clap::Subcommand)]
pub enum Verb {
    Verify(verify::Args),
    Prove(prove::Args),
    VerifyProof(verify_proof::Args),
    Compare(compare::Args),
    Tail(tail::Args),
    Export(export::Args),
}

pub fn run(verb: Verb) -> Outcome {
    match verb {
        Verb::Verify(args) => verify::run(args),
        Verb::Prove(args) => prove::run(args),
        Verb::VerifyProof(args) => verify_proof::run(args),
        Verb::Compare(args) => compare::run(args),
        Verb::Tail(args) => tail::run(args),
        Verb::Export(args) => export::run(args),
    }
}

/// A bar over entries, or over bytes; nothing where standard error is no terminal.
fn bar(length: u64, is_bytes: bool) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr_with_hz(10));
    let template = match is_bytes {
        true => "{wide_bar:.cyan/dim} {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta}",
        false => "{wide_bar:.cyan/dim} {human_pos} of {human_len} entries  {per_sec}  {eta}",
    };
    bar.set_style(ProgressStyle::with_template(template).expect("the templates are constants of this file"));
    bar
}

/// Permissions of any file that a program writes: what the user's mask leaves of them.
const MODE: u32 = 0o666;

/// Puts a file where there may be an older one, whole or not at all.
pub fn replace(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    replace_with(file, bytes, MODE)
}

/// The same with what the user's mask leaves of these permissions.
pub fn replace_with(file: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut draft = draft_with(file, mode)?;
    draft.write_all(bytes).and_then(|()| draft.as_file().sync_all()).with_context(|| format!("cannot write {}", file.display()))?;
    put(draft, file)
}

/// A file beside another, which it is going to replace.
pub fn draft(file: &Path) -> anyhow::Result<tempfile::NamedTempFile> {
    draft_with(file, MODE)
}

fn draft_with(file: &Path, mode: u32) -> anyhow::Result<tempfile::NamedTempFile> {
    use std::os::unix::fs::PermissionsExt as _;
    let permissions = std::fs::Permissions::from_mode(mode);
    let made = tempfile::Builder::new().prefix(".ephor-").permissions(permissions).tempfile_in(folder(file));
    made.with_context(|| format!("cannot write {}", file.display()))
}

/// Puts it there.
pub fn put(draft: tempfile::NamedTempFile, file: &Path) -> anyhow::Result<()> {
    let done = || -> io::Result<()> {
        draft.persist(file)?;
        std::fs::File::open(folder(file))?.sync_all()
    };
    done().with_context(|| format!("cannot write {}", file.display()))
}

fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether whoever reads our output has gone, which ends a listing and is no failure.
fn is_closed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// An error of the ledger says its cause itself; in a chain it would be said twice.
pub fn in_full<T, E: std::fmt::Display>(result: Result<T, E>) -> anyhow::Result<T> {
    result.map_err(|error| anyhow::anyhow!("{error}"))
}
