//! The journal: batches in the order in which they were committed, in segment
//! files that only grow. Everything else in the ledger can be made again from it.
//!
//! What is appended becomes one record at the next commit: one write, one
//! `fdatasync`, however many batches share them. A record is written only after
//! the one before it is durable. That is what recovery rests on: a crash can tear
//! the last record of the last segment and nothing else, so any other damage is
//! damage, and is never cut away.
//!
//! Where syncing is left to the operating system ([`Durability::Os`]), a commit is the
//! write alone, and a power cut can tear all that was written since the latest
//! checkpoint. The records say of themselves that they were written so.
//!
//! `FORMAT.md` has the bytes. Knows nothing of what the lines say.

mod read;
mod record;
mod states;
#[cfg(test)]
mod tests;
mod walk;

use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use record::{Checksum, Pending, UNSYNCED, count_lines, seal};
use walk::{Finding, Walk};

use super::limits::Durability;
use super::storage::{File, Storage};
use super::tree::leaf_hash;

pub(crate) use read::Reader;
pub(crate) use record::{Batch, Record, StateChange, StateRef};
pub(crate) use states::StateAt;

/// The folder of the segments.
pub(super) const FOLDER: &str = "journal";

/// A segment takes no further record once it has so many bytes. Small enough to
/// copy and to check in one go, large enough that a terabyte is 16,384 files.
pub(super) const SEGMENT_BYTES: u64 = 64 << 20;

/// What is appended is committed without being asked to once it has so many bytes.
/// Bounds the memory, and what a crash has to tear.
const COMMIT_BYTES: usize = 16 << 20;

/// The payload of one record. More than any batch has, and less than what the
/// length field or a small machine's memory can hold.
const PAYLOAD_BYTES_MAX: usize = 256 << 20;

/// Bytes of states in one batch, at most; the rest of a record is for what goes with them.
pub(crate) const BATCH_BYTES_MAX: usize = PAYLOAD_BYTES_MAX - (1 << 20);

/// There is a known place to start reading from at least every so many bytes.
const POINT_BYTES: u64 = 64 << 10;

/// Where a record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Path of the segment in the data directory.
    pub file: String,
    /// First byte of the record.
    pub offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, byte {}", self.file, self.offset)
    }
}

/// What is wrong with the bytes at a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the file ends inside of a record: {have} bytes are left and {need} needed")]
    Short { have: u64, need: u64 },
    #[error("no record begins here")]
    Magic,
    #[error("a record of version {0}, which a newer release wrote if it is not damaged; this one knows the versions up to {UNSYNCED}")]
    Version(u8),
    #[error("the record's checksum does not fit its bytes and the record before it")]
    Checksum,
    #[error("the record begins with sequence {found}, and {expected} comes next")]
    Sequence { expected: u64, found: u64 },
    #[error("the record's checksum is right, but {0}; whoever wrote it was faulty")]
    Malformed(&'static str),
    #[error("entry {0} should be in this segment, and is not")]
    Missing(u64),
    #[error("what stands here is not the state that was written here")]
    State,
    #[error("not a segment's name")]
    Foreign,
    #[error("the segment's name says sequence {found}, and {expected} comes next; a segment is missing, or one too many")]
    Segment { expected: u64, found: u64 },
    #[error("{0}")]
    Refused(String),
}

impl Fault {
    /// What a person can do about it.
    fn remedy(&self) -> &'static str {
        match self {
            Fault::Version(_) => "Start the release that wrote it, or a newer one; or put the file back from a copy",
            Fault::Foreign => "Move it out of journal/, which holds segments only",
            Fault::Segment { .. } => "Put the missing segments back from a copy, and move strangers' files out of journal/",
            Fault::Refused(_) | Fault::Malformed(_) => "Start the release that wrote it, and report this; the file is as it was written",
            _ => "Put the file back from a copy; or keep this data directory as evidence and start with an empty one",
        }
    }
}

/// Bytes at the end of the journal that are no whole records. If commits were synced, one
/// of them was interrupted, and nobody was told that they are there. If that was left to
/// the operating system, the power went before it was done, and somebody may have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Torn {
    pub place: Place,
    /// Number of bytes that were cut off.
    pub bytes: u64,
    /// How they were written.
    pub durability: Durability,
    pub fault: Fault,
}

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Torn { place, bytes, fault, .. } = self;
        match self.durability {
            Durability::Sync => write!(f, "{place}: {bytes} bytes of an interrupted commit ({fault})"),
            Durability::Os => {
                write!(f, "{place}: {bytes} bytes that were written with durability \"os\" and did not all reach the disk ({fault})")
            }
        }
    }
}

/// What [`Journal::open`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// Sequence of the next entry.
    pub next: u64,
    pub records: u64,
    pub segments: u64,
    /// Was cut off; to be logged as a warning.
    pub torn: Option<Torn>,
}

/// The journal cannot be opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("{path}: {doing} failed: {source}. Nothing was given up; mend the disk or its permissions and start again")]
    Io { path: String, doing: &'static str, source: io::Error },
    #[error(
        "{place} (record {record} of the file, where entry {sequence} belongs): {fault}. This is no interrupted commit, so nothing was cut \
         off. {}", fault.remedy()
    )]
    Damaged { place: Place, record: u64, sequence: u64, fault: Fault },
    #[error(
        "the journal ends with entry {last}, but entry {known} was made durable: {}. Put back the missing files of journal/ from a copy; \
         nothing was cut off", torn.as_ref().map_or_else(|| "what followed is gone".to_string(), |torn| format!("the rest is damaged at {torn}"))
    )]
    Lost { last: u64, known: u64, torn: Option<Torn> },
}

/// A commit failed. The journal takes nothing any more; opened again, it has
/// everything that was durable before.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error(
        "{place}: {doing} failed: {source}. Whether the last commit is on the disk is open, and is settled by a restart: \
         mend the disk (is it full?) and start again"
    )]
    Io { place: Place, doing: &'static str, source: io::Error },
    #[error("the journal stopped when an earlier commit failed: {0}")]
    Poisoned(Arc<str>),
    #[error("a batch from entry {found} on, where {expected} comes next")]
    OutOfOrder { expected: u64, found: u64 },
    #[error("the leaf hash of entry {0} is not that of its line; nobody could read its record again")]
    Leaf(u64),
    #[error("a batch that says {claimed} entries and has {found} lines")]
    Lines { claimed: usize, found: usize },
    #[error("a batch of {bytes} bytes; a record holds {PAYLOAD_BYTES_MAX}")]
    TooLarge { bytes: usize },
}

/// An entry cannot be given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("there is no entry {sequence}; the last is {last}")]
    Unknown { sequence: u64, last: u64 },
    #[error("{path}: {doing} failed: {source}")]
    Io { path: String, doing: &'static str, source: io::Error },
    #[error("{place}: {fault}. The file was changed since the start; stop, and check the whole data directory")]
    Damaged { place: Place, fault: Fault },
}

/// A segment and places in it to read from, for what is durable.
#[derive(Debug)]
struct Segment {
    first: u64,
    /// Bytes of the segments before it.
    start: u64,
    /// End of the last durable record.
    end: u64,
    points: Vec<Point>,
}

/// A record that reading can begin with.
#[derive(Debug, Clone, Copy)]
struct Point {
    first: u64,
    offset: u64,
    /// What the record is chained to.
    before: Checksum,
}

impl Segment {
    fn add(&mut self, first: u64, entries: bool, offset: u64, end: u64, before: Checksum) {
        self.end = end;
        // A record without entries is no place to look for one.
        if entries && self.points.last().is_none_or(|last| offset - last.offset >= POINT_BYTES) {
            self.points.push(Point { first, offset, before });
        }
    }
}

/// What readers share with the writer.
#[derive(Debug, Default)]
struct Index {
    /// By first sequence.
    segments: Vec<Segment>,
    /// Sequence after the last durable entry.
    next: u64,
}

impl Index {
    /// Begins a segment behind the last; gives the bytes before it.
    fn begin(&mut self, first: u64) -> u64 {
        let start = self.segments.last().map_or(0, |last| last.start + last.end);
        self.segments.push(Segment { first, start, end: 0, points: Vec::new() });
        start
    }
}

/// The journal's one writer.
///
/// Not for use by several threads at once (`&mut`), but may move between them, so
/// that a thread of its own can wait for the disk. Readers are [`Journal::reader`].
#[derive(Debug)]
pub(crate) struct Journal {
    storage: Arc<dyn Storage>,
    index: Arc<RwLock<Index>>,
    reader: Reader,
    file: Box<dyn File>,
    /// Name of the segment being written.
    segment: u64,
    /// Bytes of the segments before it.
    start: u64,
    /// Where the next record goes.
    offset: u64,
    /// Checksum of the last record.
    before: Checksum,
    pending: Pending,
    /// See [`Journal::placed`].
    placed: Vec<u64>,
    segment_bytes: u64,
    durability: Durability,
    /// Whether the last record says that syncing is left to the operating system.
    is_marked: bool,
    /// Whether something was written behind the last sync.
    is_unsynced: bool,
    poison: Option<Arc<str>>,
}

impl Journal {
    /// Opens the journal in a data directory, or begins one, and shows every record
    /// to `visit`, in order: what is derived from the journal is made again here. An
    /// error from `visit` becomes one that names the record's place.
    ///
    /// `known` is the last entry that is known to have been durable, from a signed
    /// checkpoint, or 0. A journal that ends before it is refused. A segment takes no
    /// further record once it has `segment_bytes`.
    ///
    /// An interrupted commit at the end is cut off. Everything that was shown is
    /// durable on return, even if an earlier process died, or was refused a sync,
    /// before it knew that.
    pub fn open(
        storage: Arc<dyn Storage>,
        known: u64,
        segment_bytes: u64,
        durability: Durability,
        visit: &mut dyn FnMut(&Place, Record<'_>) -> Result<(), String>,
    ) -> Result<(Journal, Recovered), OpenError> {
        let io = |path: &str, doing| {
            let path = path.to_string();
            move |source| OpenError::Io { path, doing, source }
        };
        storage.create_dir(FOLDER).map_err(io(FOLDER, "making the folder"))?;
        storage.sync_dir("").map_err(io("", "syncing the data directory"))?;

        let mut walk = Walk::new(&*storage, known, visit);
        walk.run()?;
        let Walk { mut index, records, finding, tail, before, durability: last_durability, .. } = walk;
        let mut torn = None;
        if let Some(finding) = finding {
            let Finding { place, bytes, record, sequence, fault, torn: is_torn, durability } = finding;
            if !is_torn {
                return Err(OpenError::Damaged { place, record, sequence, fault });
            }
            torn = Some(Torn { place, bytes, durability, fault });
        }
        let last = index.next - 1;
        if last < known {
            return Err(OpenError::Lost { last, known, torn });
        }

        let segment = index.segments.last().map(|segment| (segment.first, segment.start, segment.end));
        let (file, segment, start, offset) = match segment {
            None => {
                let path = path_of(1);
                let file = storage.create(&path, false).map_err(io(&path, "making the first segment"))?;
                index.begin(1);
                (file, 1, 0, 0)
            }
            Some((first, start, end)) => {
                let path = path_of(first);
                let file = storage.open(&path, true).map_err(io(&path, "opening for writing"))?;
                if torn.is_some() {
                    file.set_len(end).map_err(io(&path, "cutting off what is not whole"))?;
                }
                // The bytes that were read may be in the system's cache and not on
                // the disk: an earlier process may have been killed before its sync,
                // or may have been told that it failed, after which the system takes
                // them for clean. Written again, they are dirty, and synced.
                if let Some((offset, bytes)) = tail {
                    file.write_at(offset, &bytes).map_err(io(&path, "writing the last records again"))?;
                }
                file.sync().map_err(io(&path, "syncing"))?;
                (file, first, start, end)
            }
        };
        storage.sync_dir(FOLDER).map_err(io(FOLDER, "syncing the folder"))?;

        let next = index.next;
        let recovered = Recovered { next, records, segments: index.segments.len() as u64, torn };
        let index = Arc::new(RwLock::new(index));
        let pending = Pending::new(next);
        let reader = Reader::new(storage.clone(), index.clone());
        let is_marked = last_durability == Durability::Os;
        let journal = Journal {
            storage,
            index,
            reader,
            file,
            segment,
            start,
            offset,
            before,
            pending,
            placed: Vec::new(),
            segment_bytes,
            durability,
            is_marked,
            is_unsynced: false,
            poison: None,
        };
        Ok((journal, recovered))
    }

    /// The sequence that the next batch has to begin with.
    pub fn next(&self) -> u64 {
        self.pending.next()
    }

    /// Takes a batch for the next commit. **Not durable on return**: that is what
    /// [`Journal::commit`] is for. Commits what was taken before by itself once it is
    /// much.
    ///
    /// After an error the journal is poisoned: every later call fails. Nothing is
    /// retried inside.
    pub fn append(&mut self, batch: &Batch) -> Result<(), WriteError> {
        self.usable()?;
        self.try_append(batch).map_err(|error| self.poisoned(error))
    }

    /// Commits what was appended: one record, one write, one sync. **Durable on
    /// return**, unless syncing is left to the operating system: then it is when that
    /// wrote it, or after [`Journal::settle`]. Does nothing if nothing was appended.
    ///
    /// After an error the journal is poisoned: every later call fails. Nothing is
    /// retried inside, because a second sync after a failed one may succeed without
    /// the bytes being anywhere. Whether they are is found out by opening again.
    pub fn commit(&mut self) -> Result<(), WriteError> {
        self.usable()?;
        self.try_commit().map_err(|error| self.poisoned(error))
    }

    /// Makes durable what was committed and is not. Does nothing where every commit is.
    ///
    /// After an error the journal is poisoned, as after one of [`Journal::commit`].
    pub fn settle(&mut self) -> Result<(), WriteError> {
        self.usable()?;
        self.try_settle().map_err(|error| self.poisoned(error))
    }

    /// Of every batch with changes that became durable since the last call, where its
    /// first change stands: bytes from the journal's beginning.
    pub fn placed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.placed)
    }

    /// Reads what is durable, on any thread, beside the writer.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    fn usable(&self) -> Result<(), WriteError> {
        self.poison.clone().map_or(Ok(()), |cause| Err(WriteError::Poisoned(cause)))
    }

    fn poisoned(&mut self, error: WriteError) -> WriteError {
        self.poison = Some(error.to_string().into());
        error
    }

    fn try_append(&mut self, batch: &Batch) -> Result<(), WriteError> {
        let Batch { first, ref lines, ref leaves, ref states } = *batch;
        let expected = self.next();
        if first != expected {
            return Err(WriteError::OutOfOrder { expected, found: first });
        }
        let found = count_lines(lines);
        if found != leaves.len() || lines.last().is_some_and(|byte| *byte != b'\n') {
            return Err(WriteError::Lines { claimed: leaves.len(), found });
        }
        if let Some(sequence) = mistaken(batch) {
            return Err(WriteError::Leaf(sequence));
        }
        let more = lines.len() + states.iter().map(StateChange::len).sum::<usize>();
        if !self.pending.is_empty() && self.pending.payload() + more > COMMIT_BYTES {
            self.try_commit()?;
        }
        let bytes = self.pending.payload() + more;
        if bytes > PAYLOAD_BYTES_MAX {
            return Err(WriteError::TooLarge { bytes });
        }
        self.pending.front.extend_from_slice(lines);
        self.pending.leaves.extend_from_slice(leaves);
        if !states.is_empty() {
            self.pending.batches.push(self.pending.states.len());
        }
        states.iter().for_each(|state| state.put(&mut self.pending.states));
        self.pending.changes += states.len() as u32;
        Ok(())
    }

    fn try_settle(&mut self) -> Result<(), WriteError> {
        if self.is_unsynced {
            let place = || Place { file: path_of(self.segment), offset: self.offset };
            self.file.sync().map_err(|source| WriteError::Io { place: place(), doing: "syncing", source })?;
            self.is_unsynced = false;
        }
        Ok(())
    }

    fn try_commit(&mut self) -> Result<(), WriteError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        // Behind the first sequence of the segment, for that is its name. A record
        // without entries cannot begin another one.
        if self.offset >= self.segment_bytes && self.pending.first > self.segment {
            self.roll()?;
        }
        let (first, count) = (self.pending.first, self.pending.leaves.len());
        let states = self.start + self.offset + self.pending.states_at() as u64;
        let (bytes, checksum) = seal(&mut self.pending, &self.before, self.durability);
        let io = |doing| {
            let place = Place { file: path_of(self.segment), offset: self.offset };
            move |source| WriteError::Io { place, doing, source }
        };
        self.file.write_at(self.offset, bytes).map_err(io("writing"))?;
        // The first record that says that those behind it may be lost is synced itself: so
        // a start knows it, whatever became of them.
        self.is_unsynced = self.durability == Durability::Os && self.is_marked;
        if !self.is_unsynced {
            self.file.sync().map_err(io("syncing"))?;
            self.is_marked = self.durability == Durability::Os;
        }

        let end = self.offset + bytes.len() as u64;
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(segment) = index.segments.last_mut() {
            segment.add(first, count > 0, self.offset, end, self.before);
        }
        index.next = first + count as u64;
        drop(index);
        (self.offset, self.before) = (end, checksum);
        self.placed.extend(self.pending.batches.iter().map(|at| states + *at as u64));
        self.pending.reset();
        Ok(())
    }

    /// Begins a segment. The one before is complete, and is durable before another is
    /// there: so what is not durable is always in the last one.
    fn roll(&mut self) -> Result<(), WriteError> {
        self.try_settle()?;
        let first = self.pending.first;
        let path = path_of(first);
        let io = |doing| {
            let place = Place { file: path.clone(), offset: 0 };
            move |source| WriteError::Io { place, doing, source }
        };
        let file = self.storage.create(&path, false).map_err(io("making the segment"))?;
        self.storage.sync_dir(FOLDER).map_err(io("syncing the folder of the segment"))?;
        (self.file, self.segment, self.offset) = (file, first, 0);
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        self.start = index.begin(first);
        Ok(())
    }
}

/// An entry whose leaf hash is not that of its line. Whoever made the hashes is trusted
/// with them, but for the first and the last of a batch: a mistake makes a record that
/// nobody can read, and most would show there.
fn mistaken(batch: &Batch) -> Option<u64> {
    let Batch { first, lines, leaves, .. } = batch;
    let body = lines.strip_suffix(b"\n").unwrap_or(lines);
    let is_end = |byte: &u8| *byte == b'\n';
    if leaf_hash(body.split(is_end).next()?) != *leaves.first()? {
        return Some(*first);
    }
    let [_, .., last] = &leaves[..] else { return None };
    (leaf_hash(body.rsplit(is_end).next()?) != *last).then(|| first + leaves.len() as u64 - 1)
}

/// Path of the segment that begins with a sequence.
fn path_of(first: u64) -> String {
    format!("{FOLDER}/{first:020}.seg")
}

/// The sequence in a segment's name, if it is one.
fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|first| plain && *first > 0)
}
