//! What was said, in order, for good: entries that nobody can change unseen.
//!
//! The journal ([`journal`]) is all there is: an append-only file of records, one for
//! each sync. Everything else is derived from it and made again at every start: the
//! Merkle tree over the entries ([`tree`], `log`), and what the runtime remembers.
//! Signed checkpoints ([`checkpoint`], [`note`]) say what the log was at a time, and
//! [`verify`] checks all of it from the files alone. `FORMAT.md` has every byte.
//!
//! The only room that makes a [`Recorded`], and only what is recorded can become an
//! answer. Knows nothing of policies beyond the words of a verdict.

mod answer;
pub(crate) mod blobs;
pub mod checkpoint;
pub(crate) mod entry;
#[cfg(test)]
pub(crate) mod faulty;
mod ids;
mod journal;
pub(crate) mod kept;
mod keys;
mod limits;
mod log;
pub mod note;
mod storage;
#[cfg(test)]
mod tests;
pub mod tree;
pub mod verify;
mod witnesses;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use journal::{Journal, SEGMENT_BYTES};
use kept::{Account, Writer};
use keys::Keys;
use log::Growing;
use storage::{Disk, Storage};
use witnesses::Witnesses;

pub use answer::{Answer, Line, Refusal};
pub(crate) use ids::{Ids, Known};
pub(crate) use journal::{BATCH_BYTES_MAX, Batch, Reader, Record, StateAt, StateChange, StateRef};
pub use kept::{FrameFault, Kept, KeptEvents, ReadError as KeptError};
pub use keys::KeysError;
pub(crate) use keys::Secrets;
pub use limits::{Durability, Keep, Limits};
pub use log::{Log, LogError, SignedError};
pub(crate) use tree::{Hash, leaf_hash};
pub use witnesses::{CosignError, Witnessed};

/// Something that has its place in the ledger. What is not recorded is not
/// answered.
#[derive(Debug, Clone)]
pub struct Recorded<T> {
    sequence: u64,
    value: T,
}

impl<T> Recorded<T> {
    /// The event's place in the runtime's total order; the first is 1.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What was recorded.
    pub fn get(&self) -> &T {
        &self.value
    }
}

/// The knowledge that every entry up to a sequence is committed: durable, unless syncing
/// is left to the operating system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Committed {
    last: u64,
}

impl Committed {
    /// The sequence of the last committed entry.
    pub fn last(self) -> u64 {
        self.last
    }

    /// What was recorded under a sequence; nothing if that is not committed.
    pub fn record<T>(self, sequence: u64, value: T) -> Option<Recorded<T>> {
        (sequence <= self.last).then_some(Recorded { sequence, value })
    }
}

/// For a runtime without a ledger, where being judged is all there is.
pub(crate) fn in_memory() -> Committed {
    Committed { last: u64::MAX }
}

/// A data directory cannot be taken up. Nothing in it was given up.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not one, or another process has it.
    #[error("{0}")]
    Directory(String),
    /// Its keys cannot be used.
    #[error("{directory}/{error}")]
    Keys {
        /// Which directory.
        directory: String,
        /// What is wrong.
        error: KeysError,
    },
    /// Its journal is damaged or cannot be read.
    #[error("{directory}/{problem}")]
    Journal {
        /// Which directory.
        directory: String,
        /// Where and what, and what to do.
        problem: String,
    },
    /// What is kept of events is not what its entries say.
    #[error("{directory}/{problem}")]
    Kept {
        /// Which directory.
        directory: String,
        /// Where and what, and what to do.
        problem: String,
    },
    /// A witness in the configuration is none.
    #[error("ledger.witnesses: {key:?} is not the key of a witness: {error}")]
    Witness {
        /// The key as it was given.
        key: String,
        /// What is wrong with it.
        error: note::KeyError,
    },
    /// What was signed does not fit what is there.
    #[error("{directory}/{error}")]
    Signed {
        /// Which directory.
        directory: String,
        /// What does not fit.
        error: SignedError,
    },
}

/// The ledger takes nothing any more. Opened again, it has everything that was
/// durable before.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error(transparent)]
    Journal(#[from] journal::WriteError),
    #[error("{0}. Mend the disk (is it full?) and start again")]
    Signed(#[from] SignedError),
}

/// The ledger of a data directory, for the one thread that writes to it.
pub(crate) struct Ledger {
    directory: PathBuf,
    storage: Arc<dyn Storage>,
    journal: Journal,
    log: Arc<Log>,
    secrets: Secrets,
    /// Entries that are on the disk for certain.
    settled: u64,
    /// Bytes of what was answered for, or may have been, and was lost before the start.
    lost: u64,
}

impl Ledger {
    /// Opens a data directory, or makes one, and shows every record to `visit`, in
    /// order; an error from there becomes one that names the record's place.
    pub fn open(directory: &Path, limits: &Limits, visit: &mut dyn FnMut(Record<'_>) -> Result<(), String>) -> Result<Self, OpenError> {
        let witnesses = Witnesses::new(&limits.witnesses, limits.witnesses_required)?;
        let disk = Disk::open(directory).map_err(|error| OpenError::Directory(error.to_string()))?;
        let ledger = Ledger::open_on(Arc::new(disk), directory, SEGMENT_BYTES, limits.durability, visit)?;
        ledger.log.watched_by(witnesses);
        if limits.durability == Durability::Os {
            tracing::warn!(
                "DURABILITY IS LEFT TO THE OPERATING SYSTEM (ledger.durability = \"os\"): a power cut loses what was answered for since \
                 the latest checkpoint; every checkpoint says so"
            );
        }
        Ok(ledger)
    }

    /// For the simulation: opens what is a data directory on any storage, or makes it one.
    #[cfg(test)]
    pub fn open_in(
        storage: Arc<dyn Storage>,
        directory: &Path,
        segment_bytes: u64,
        limits: &Limits,
        visit: &mut dyn FnMut(Record<'_>) -> Result<(), String>,
    ) -> Result<Self, OpenError> {
        storage::mark(&*storage, directory).map_err(|error| OpenError::Directory(error.to_string()))?;
        Ledger::open_on(storage, directory, segment_bytes, limits.durability, visit)
    }

    /// The same on any storage. Tiles are below `directory`, which errors name.
    fn open_on(
        storage: Arc<dyn Storage>,
        directory: &Path,
        segment_bytes: u64,
        durability: Durability,
        visit: &mut dyn FnMut(Record<'_>) -> Result<(), String>,
    ) -> Result<Self, OpenError> {
        let name = || directory.display().to_string();
        let Keys { signer, secrets } = Keys::open(&*storage).map_err(|error| OpenError::Keys { directory: name(), error })?;
        let signed = |error| OpenError::Signed { directory: name(), error };
        let mut growing = Growing::open(storage.clone(), directory, signer).map_err(signed)?;
        let known = growing.known();
        let mut rewritten = None;
        let opened = Journal::open(storage.clone(), known, segment_bytes, durability, &mut |_, record| {
            if let Err(error) = growing.push(record.leaves) {
                let text = error.to_string();
                rewritten = Some(error);
                return Err(text);
            }
            visit(record)
        });
        let (journal, recovered) = match (opened, rewritten) {
            (_, Some(error)) => return Err(signed(error)),
            (Err(error), None) => return Err(OpenError::Journal { directory: name(), problem: error.to_string() }),
            (Ok(opened), None) => opened,
        };
        let mut lost = 0;
        match &recovered.torn {
            Some(torn) if torn.durability == Durability::Os => {
                lost = torn.bytes;
                tracing::error!(
                    %torn, from = recovered.next, signed = known,
                    "LOST: entries from this sequence on were answered for, and are not on the disk; they were cut off. Their events have to \
                     be sent again. What is signed is whole"
                );
            }
            Some(torn) => tracing::warn!(%torn, "An interrupted commit was cut off; nobody was told that it was there"),
            None => {}
        }
        tracing::info!(entries = recovered.next - 1, records = recovered.records, segments = recovered.segments, "Ledger open");
        let log = Arc::new(growing.finish(journal.reader(), durability).map_err(signed)?);
        Ok(Ledger { directory: directory.to_path_buf(), storage, journal, log, secrets, settled: recovered.next - 1, lost })
    }

    /// The sequence of the next entry.
    pub fn next(&self) -> u64 {
        self.journal.next()
    }

    /// Of every batch with changes that became durable since the last call, where its
    /// first change stands in the journal.
    pub fn placed(&mut self) -> Vec<u64> {
        self.journal.placed()
    }

    /// The journal, for reading.
    pub fn reader(&self) -> Reader {
        self.journal.reader()
    }

    /// The log, for reading.
    pub fn log(&self) -> Arc<Log> {
        self.log.clone()
    }

    /// Whether it is a replay of another ledger: what that says of keeping the content of
    /// events is not said of this one, which keeps none.
    pub fn is_replay(&self) -> bool {
        self.log.is_replay()
    }

    /// Takes up what is kept of events. `account` is what the entries say; nothing is there
    /// to be written to if nothing is to be kept and nothing ever was.
    pub fn kept(&self, keep: Keep, account: &Account) -> Result<Option<Writer>, OpenError> {
        let wrong = |problem: String| OpenError::Kept { directory: self.directory.display().to_string(), problem };
        if self.is_replay() {
            return Ok(None);
        }
        let is_there = match self.storage.list(kept::FOLDER) {
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(wrong(format!("{}: listing failed: {error}", kept::FOLDER))),
        };
        if keep == Keep::Digest && account.needed() == 0 && !is_there {
            return Ok(None);
        }
        let is_daily = matches!(keep, Keep::Days(_));
        let writer = Writer::open(self.storage.clone(), self.journal.next() - 1, account.needed(), is_daily);
        writer.map(Some).map_err(|error| wrong(error.to_string()))
    }

    /// What the ledger's secret makes.
    pub fn secrets(&self) -> Secrets {
        self.secrets.clone()
    }

    /// Entries that were answered for and of which nobody knows whether they are on the
    /// disk: none where every commit is synced.
    pub fn unsettled(&self) -> u64 {
        (self.journal.next() - 1).saturating_sub(self.settled)
    }

    /// Bytes that were cut off at the start although they may have been answered for:
    /// they were written with [`Durability::Os`], and the power went.
    pub fn lost_bytes(&self) -> u64 {
        self.lost
    }

    /// Commits batches, all with one sync where that is possible. Durable on return,
    /// unless syncing is left to the operating system.
    pub fn commit<'b>(&mut self, batches: impl Iterator<Item = &'b Batch> + Clone) -> Result<Committed, WriteError> {
        for batch in batches.clone() {
            self.journal.append(batch)?;
        }
        self.journal.commit()?;
        for batch in batches {
            self.log.extend(&batch.leaves);
        }
        let last = self.journal.next() - 1;
        if self.log.durability() == Durability::Sync {
            self.settled = last;
        }
        Ok(Committed { last })
    }

    /// Makes durable what was left to the operating system.
    pub fn settle(&mut self) -> Result<(), WriteError> {
        self.journal.settle()?;
        self.settled = self.journal.next() - 1;
        Ok(())
    }

    /// Signs the log as it is now, if it grew. What is signed is durable before.
    pub fn checkpoint(&mut self) -> Result<(), WriteError> {
        self.settle()?;
        Ok(self.log.checkpoint()?)
    }
}

/// Makes a data directory that has the secret of another ledger (the content of its
/// `ledger.key`), so that both make the same salts, and what they record about the same
/// events can be compared. Does nothing to one that has the secret already.
///
/// Both sign with the same key, but the new one under another name (with `.replay` at its
/// end), so that nothing that it signs passes for a checkpoint of the other.
///
/// # Errors
///
/// If the directory is something else, is in use, or has another secret.
pub fn adopt(directory: &Path, secret: &[u8]) -> Result<(), OpenError> {
    let disk = Disk::open(directory).map_err(|error| OpenError::Directory(error.to_string()))?;
    keys::adopt(&disk, secret).map_err(|error| OpenError::Keys { directory: directory.display().to_string(), error })
}

/// The digest of the event that an entry's line is about.
pub(crate) fn event_digest(line: &str) -> Option<crate::digest::Digest> {
    Some(entry::Identity::read(line.as_bytes()).ok()??.digest)
}

/// A time in microseconds since 1970 as entries have it.
pub(crate) fn time_text(micros: i64) -> String {
    entry::Time::from_micros(micros).to_string()
}
