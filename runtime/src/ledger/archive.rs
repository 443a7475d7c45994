//! A data directory of somebody else, read from outside: an auditor's copy, or the one
//! that a running server is just writing to. Nothing in it is changed, and its lock is
//! left alone.

use std::fmt;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use super::OpenError;
use super::journal::{self, Record, StateRef};
use super::keys;
use super::storage::{Disk, ReadOnly};

/// Commits that are read ahead.
const COMMITS_AHEAD: usize = 8;

/// The entries of a data directory, in order. The checksum of every commit is checked
/// before its entries are given, and so is that it follows the one before.
///
/// Reads what is there when it gets to it: with a server that is writing, it ends
/// somewhere near the latest entry.
pub struct Entries {
    commits: Receiver<Result<Part, ArchiveError>>,
    /// Entries of the commit that is being given, and how many of its bytes were.
    lines: String,
    given: usize,
    next: u64,
    /// Policies that lost their states in it.
    lost: Vec<String>,
    forgotten: Vec<String>,
    torn: Option<String>,
    ended: bool,
}

/// What the thread that reads has to say.
enum Part {
    Commit(Commit),
    /// Bytes behind the last commit.
    Torn(String),
}

struct Commit {
    first: u64,
    lines: String,
    forgotten: Vec<String>,
}

/// The entries cannot be read any further.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ArchiveError(String);

impl Entries {
    /// Begins to read a data directory.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn open(directory: &Path) -> Result<Self, ArchiveError> {
        let storage = ReadOnly::open(directory).map_err(|error| ArchiveError(error.to_string()))?;
        let (sender, commits) = mpsc::sync_channel(COMMITS_AHEAD);
        let name = directory.display().to_string();
        let read = move || {
            let looked = journal::look(&storage, &mut |_, record| {
                let commit = Commit::of(&record)?;
                // Nobody waits for it any more.
                sender.send(Ok(Part::Commit(commit))).map_err(|_| String::new())
            });
            let last = match looked {
                Ok(None) => return,
                Ok(Some(torn)) => Ok(Part::Torn(torn.to_string())),
                Err(error) => Err(ArchiveError(format!("{name}/{error}"))),
            };
            let _ = sender.send(last);
        };
        thread::Builder::new()
            .name("archive".into())
            .spawn(read)
            .map_err(|error| ArchiveError(format!("no thread to read with: {error}")))?;
        Ok(Entries { commits, lines: String::new(), given: 0, next: 1, lost: Vec::new(), forgotten: Vec::new(), torn: None, ended: false })
    }

    /// Policies that lost their states by being taken out of force, in commits whose
    /// entries have all been given, since this was asked last.
    pub fn forgotten(&mut self) -> Vec<String> {
        std::mem::take(&mut self.forgotten)
    }

    /// What lies behind the last entry, once that was given: an interrupted commit, or
    /// one that is being written.
    pub fn torn(&self) -> Option<&str> {
        self.torn.as_deref()
    }
}

impl Commit {
    fn of(record: &Record<'_>) -> Result<Self, String> {
        let lines = std::str::from_utf8(record.lines).map_err(|_| "its entries are not UTF-8".to_string())?.to_string();
        let forgotten = record.states().filter_map(|change| match change {
            StateRef::Forgotten { policy } => Some(policy.to_string()),
            StateRef::State { .. } | StateRef::Timer { .. } | StateRef::Form { .. } => None,
        });
        Ok(Commit { first: record.first, lines, forgotten: forgotten.collect() })
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").field("next", &self.next).field("torn", &self.torn).finish_non_exhaustive()
    }
}

impl Iterator for Entries {
    /// An entry's sequence and its line, without `\n`.
    type Item = Result<(u64, String), ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.given == self.lines.len() {
            self.forgotten.append(&mut self.lost);
            if self.ended {
                return None;
            }
            match self.commits.recv() {
                Ok(Ok(Part::Commit(Commit { first, lines, forgotten }))) => {
                    (self.next, self.lines, self.given, self.lost) = (first, lines, 0, forgotten);
                }
                Ok(Ok(Part::Torn(torn))) => self.torn = Some(torn),
                Ok(Err(error)) => {
                    self.ended = true;
                    return Some(Err(error));
                }
                Err(_) => self.ended = true,
            }
        }
        let rest = &self.lines[self.given..];
        let length = memchr::memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
        let entry = (self.next, rest[..length].to_string());
        self.given = (self.given + length + 1).min(self.lines.len());
        self.next += 1;
        Some(Ok(entry))
    }
}

/// Makes a data directory that has the secret of another ledger (the content of its
/// `ledger.key`), so that both make the same salts, and what they record about the same
/// events can be compared. Does nothing to one that has the secret already.
///
/// Both sign with the same key. What the new one signs is for whoever made it, and must
/// not be published: two checkpoints of one log that differ are what a log is accused by.
///
/// # Errors
///
/// If the directory is something else, is in use, or has another secret.
pub fn adopt(directory: &Path, secret: &[u8]) -> Result<(), OpenError> {
    let disk = Disk::open(directory).map_err(|error| OpenError::Directory(error.to_string()))?;
    keys::adopt(&disk, secret).map_err(|error| OpenError::Keys { directory: directory.display().to_string(), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Batch, Ledger, StateChange, leaf_hash};

    /// A directory with two commits of two entries each; the second forgets a policy.
    fn written(directory: &Path) {
        let mut ledger = Ledger::open(directory, &mut |_| Ok(())).expect("a new ledger");
        for first in [1, 3] {
            let entries = [format!("{{\"n\":{first}}}"), format!("{{\"n\":{}}}", first + 1)];
            let leaves = entries.iter().map(|line| leaf_hash(line.as_bytes())).collect();
            let states = match first {
                1 => vec![],
                _ => vec![StateChange::Forgotten { policy: "p".into() }],
            };
            let lines = entries.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect();
            ledger.commit([Batch { first, lines, leaves, states }].iter()).expect("committed");
        }
    }

    #[test]
    fn entries_are_read_beside_the_writer_and_nothing_is_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        written(folder.path());
        let _writer = Disk::open(folder.path()).expect("locked by somebody");
        let mut entries = Entries::open(folder.path()).expect("a data directory");
        for sequence in 1..=4 {
            assert_eq!(entries.forgotten(), Vec::<String>::new(), "before entry {sequence}");
            let entry = entries.next().expect("an entry").expect("readable");
            assert_eq!(entry, (sequence, format!("{{\"n\":{sequence}}}")));
        }
        assert!(entries.next().is_none() && entries.next().is_none() && entries.torn().is_none());
        assert_eq!(entries.forgotten(), ["p"]);
    }

    #[test]
    fn a_torn_end_is_the_end_and_damage_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        written(folder.path());
        let segment = folder.path().join("journal/00000000000000000001.seg");
        let whole = std::fs::read(&segment).expect("the segment");
        std::fs::write(&segment, &whole[..whole.len() - 1]).expect("cut");
        let mut entries = Entries::open(folder.path()).expect("a data directory");
        assert_eq!(entries.by_ref().filter_map(Result::ok).count(), 2);
        assert!(entries.torn().is_some_and(|torn| torn.contains("interrupted")));

        let at = whole.windows(6).position(|bytes| bytes == b"{\"n\":1").expect("the first entry") + 5;
        let mut other = whole;
        other[at] = b'7';
        std::fs::write(&segment, &other).expect("changed");
        let mut entries = Entries::open(folder.path()).expect("a data directory");
        let error = entries.next().expect("an answer").expect_err("damaged");
        assert!(error.to_string().contains("checksum"), "{error}");
        assert!(entries.next().is_none());
    }

    #[test]
    fn what_is_no_data_directory_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(Entries::open(folder.path()).is_err());
        assert!(Entries::open(&folder.path().join("nothing")).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing was made");
    }

    #[test]
    fn a_secret_is_adopted_once() {
        let [one, two] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        drop(Ledger::open(one.path(), &mut |_| Ok(())).expect("a new ledger"));
        let secret = std::fs::read(one.path().join(keys::SECRET)).expect("its secret");
        for _ in 0..2 {
            adopt(two.path(), &secret).expect("adopted");
        }
        let [one, two] = [one, two].map(|folder| {
            let ledger = Ledger::open(folder.path(), &mut |_| Ok(())).expect("opens");
            (ledger.secrets().salt("/s", "1"), folder)
        });
        assert_eq!(one.0, two.0);
        assert!(adopt(two.1.path(), &[b'0'; 64]).is_err(), "not a secret");
        let other = [[b'0'; 64].as_slice(), b"\n"].concat();
        assert!(adopt(two.1.path(), &other).is_err_and(|error| error.to_string().contains("another one")));
    }
}
