//! Where a log is: a data directory, or a server.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use bytes::Bytes;
use ephor::ledger::checkpoint::Checkpoint;
use ephor::ledger::note::{Algorithm, KeyError, MAX_NOTE, Note, VerifierKey};
use ephor::ledger::tree::{Hash, TILE_WIDTH, Tree, unbundle, verify_consistency};
use ephor::ledger::verify::{Entries, EntryLine, Finding};

use super::fetch::{Fetcher, entry_bundle};
use super::in_full;
use super::proofs::{Nowhere, Prover, Tiles};
use crate::cli::client::Target;
use crate::cli::connection::Connection;
use crate::cli::exit::{Exit, Failed, Or as _, Outcome, failed};

/// A data directory, or the URL of a server.
#[derive(Debug, Clone)]
pub enum Source {
    Directory(PathBuf),
    Server(Target),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.contains("://") {
            true => text.parse().map(Source::Server),
            false => Ok(Source::Directory(PathBuf::from(text))),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Directory(path) => path.display().fmt(f),
            Source::Server(target) => target.fmt(f),
        }
    }
}

/// A log at its latest checkpoint, whose signature was checked.
pub struct Signed {
    pub checkpoint: Checkpoint,
    pub note: Note,
    /// The key that it is signed with: as given, or as the log says itself.
    pub key: VerifierKey,
    pub prover: Prover,
    /// What messages call it.
    pub place: String,
}

impl Signed {
    /// The root over the first entries, so many of them, of the log that was signed.
    ///
    /// It is proved: the hashes lead from it to the signed root. Where they do not, they
    /// are damaged or of another log, and say nothing about the signed one.
    pub async fn root(&mut self, size: u64) -> Outcome<Hash> {
        if size == 0 {
            return Ok(Hash::of_nothing());
        }
        let root = self.prover.root(size).await?;
        let proof = self.prover.consistency(size, self.checkpoint.size).await?;
        match verify_consistency(size, self.checkpoint.size, &root, &self.checkpoint.root, &proof) {
            Ok(()) => Ok(root),
            Err(error) => {
                let text = format!("the hashes of {} do not lead to its signed root ({error}); see `ephor log verify`", self.place);
                Err(failed(Exit::Failed, text))
            }
        }
    }
}

impl Source {
    /// The same; a server is spoken to in this way.
    pub fn by(&self, connection: &Connection) -> Outcome<Source> {
        match self {
            Source::Directory(directory) => Ok(Source::Directory(directory.clone())),
            Source::Server(target) => connection.to(target).map(Source::Server),
        }
    }

    /// The log at its latest checkpoint. A directory is read up to there, beside a
    /// server that may be writing to it.
    pub async fn signed(&self, key: Option<&VerifierKey>) -> Outcome<Signed> {
        let (mut fetcher, stated) = match self {
            Source::Directory(directory) => (None, key.is_none().then(|| stated_key(directory)).transpose()?),
            Source::Server(target) => {
                let mut fetcher = Fetcher::new(target);
                let stated = if key.is_none() { Some(fetcher.verifier().await?) } else { None };
                (Some(fetcher), stated)
            }
        };
        let Some(key) = key.cloned().or(stated) else { return Err(failed(Exit::Failed, "the log has no key")) };
        let bytes = match &mut fetcher {
            Some(fetcher) => fetcher.checkpoint().await?,
            None => self.latest()?,
        };
        let bytes = bytes.ok_or_else(|| failed(Exit::Failed, format!("nothing is signed yet in {self}; try again in a moment")))?;
        let opened = in_full(Checkpoint::open(&bytes, &key)).with_context(|| format!("the checkpoint of {self} is not to be believed"));
        let (checkpoint, note) = opened.or_exit(Exit::Damaged)?;
        let tiles = match (self, fetcher) {
            (_, Some(fetcher)) => Tiles::Server(Box::new(fetcher)),
            (Source::Directory(directory), None) => Tiles::Tree(Box::new(tree(directory, checkpoint.size)?)),
            (Source::Server(target), None) => Tiles::Server(Box::new(Fetcher::new(target))),
        };
        Ok(Signed { prover: Prover::new(tiles, checkpoint.size), checkpoint, note, key, place: self.to_string() })
    }

    /// The latest checkpoint's bytes, not believed yet; absent if there is none.
    pub async fn checkpoint(&self) -> Outcome<Option<Bytes>> {
        match self {
            Source::Directory(_) => self.latest(),
            Source::Server(target) => Fetcher::new(target).checkpoint().await,
        }
    }

    /// How many entries the latest checkpoint says there are, whoever signed it.
    pub async fn size(&self) -> Outcome<u64> {
        let Some(bytes) = self.checkpoint().await? else { return Ok(0) };
        let note = Note::parse(&bytes).with_context(|| format!("the checkpoint of {self}")).or_exit(Exit::Damaged)?;
        let checkpoint = Checkpoint::parse(note.text()).with_context(|| format!("the checkpoint of {self}")).or_exit(Exit::Damaged)?;
        Ok(checkpoint.size)
    }

    fn latest(&self) -> Outcome<Option<Bytes>> {
        let Source::Directory(directory) = self else { return Ok(None) };
        let file = directory.join("checkpoint");
        match std::fs::read(&file) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && directory.join("FORMAT").exists() => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{}: is this a data directory?", file.display())).or_exit(Exit::Usage),
        }
    }

    /// The entry of a sequence. `signed` has at least so many entries.
    pub async fn entry(&self, sequence: u64, signed: &mut Signed) -> Outcome<Vec<u8>> {
        let line = match (self, signed.prover.server()) {
            (Source::Directory(directory), _) => {
                let mut entries = Entries::new(directory, sequence);
                entries.next().transpose().map_err(damaged)?.map(|entry| entry.line)
            }
            (Source::Server(_), None) => None,
            (Source::Server(_), Some(fetcher)) => {
                let index = sequence.saturating_sub(1);
                let tile = entry_bundle(index / TILE_WIDTH, signed.checkpoint.size);
                let bytes = fetcher.tile(tile).await?;
                let entries = bytes.as_deref().and_then(unbundle);
                entries.and_then(|entries| entries.get((index % TILE_WIDTH) as usize).map(|entry| entry.to_vec()))
            }
        };
        line.ok_or_else(|| failed(Exit::Failed, format!("entry {sequence} cannot be read from {self}")))
    }
}

/// A journal that cannot be read.
pub fn damaged(finding: Box<Finding>) -> Failed {
    failed(Exit::Damaged, finding)
}

/// The tree over the first entries of a directory.
fn tree(directory: &Path, size: u64) -> Outcome<Tree<Nowhere>> {
    let mut tree = Tree::new(Nowhere);
    for entry in Entries::new(directory, 1) {
        if tree.size() == size {
            break;
        }
        let EntryLine { leaf, .. } = entry.map_err(damaged)?;
        tree.push(leaf);
    }
    if tree.size() < size {
        let text = format!("{}: {size} entries were signed, and {} are there: the log was cut back", directory.display(), tree.size());
        return Err(failed(Exit::Damaged, text));
    }
    Ok(tree)
}

/// The key in a data directory.
fn stated_key(directory: &Path) -> Outcome<VerifierKey> {
    key_file(&directory.join("ledger.pub")).or_exit(Exit::Usage)
}

fn key_file(file: &Path) -> anyhow::Result<VerifierKey> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read the key in {}", file.display()))?;
    VerifierKey::parse(text.trim_end_matches('\n')).with_context(|| file.display().to_string())
}

/// A verifier key, or a file with one.
fn any_key(text: &str) -> Result<VerifierKey, String> {
    match VerifierKey::parse(text) {
        // A path has the form of no key.
        Err(KeyError::Form | KeyError::Name(_)) if Path::new(text).exists() => {
            key_file(Path::new(text)).map_err(|error| format!("{error:#}"))
        }
        other => other.map_err(|error| format!("{error}; there is no file of that name either")),
    }
}

/// The key of a log, or a file with it.
pub fn log_key(text: &str) -> Result<VerifierKey, String> {
    match any_key(text)? {
        key if key.algorithm() == Algorithm::Ed25519 => Ok(key),
        _ => Err("this is a witness's key; a log signs with another kind".into()),
    }
}

/// The key of a witness, or a file with it.
pub fn witness_key(text: &str) -> Result<VerifierKey, String> {
    match any_key(text)? {
        key if key.algorithm() == Algorithm::Cosignature => Ok(key),
        _ => Err("this is a log's key; a witness signs with another kind".into()),
    }
}

/// A signed checkpoint in a file. Nothing in it is checked yet.
pub fn note_file(file: &Path) -> Outcome<(Checkpoint, Note)> {
    let read = || -> anyhow::Result<(Checkpoint, Note)> {
        let length = std::fs::metadata(file)?.len();
        anyhow::ensure!(length <= MAX_NOTE as u64, "has {length} bytes, more than a checkpoint can have");
        let note = Note::parse(&std::fs::read(file)?)?;
        Ok((Checkpoint::parse(note.text())?, note))
    };
    read().with_context(|| format!("{} is not a signed checkpoint", file.display())).or_exit(Exit::Usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

    #[test]
    fn a_source_is_a_url_or_a_directory() {
        for good in ["http://127.0.0.1:1", "https://h"] {
            assert!(matches!(good.parse(), Ok(Source::Server(_))), "{good}");
        }
        assert!(matches!("data".parse(), Ok(Source::Directory(_))));
        for bad in ["ftp://h", "http://", "https://"] {
            assert!(bad.parse::<Source>().is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_given_as_text_or_as_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        std::fs::write(&file, format!("{KEY}\n")).expect("written");
        let file = file.to_str().expect("UTF-8");
        assert_eq!(log_key(file).expect("a key"), log_key(KEY).expect("a key"));
        assert!(witness_key(KEY).is_err());
        assert!(log_key("no-such-file").is_err_and(|error| error.contains("no file")));
        assert!(log_key(&KEY.replace("530d", "530e")).is_err());
    }
}
