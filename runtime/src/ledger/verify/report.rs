//! What a check found, for programs and for people.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::FORMAT;
use crate::ledger::checkpoint::{FrameDamage, OpenError};
use crate::ledger::entry::Subject;
use crate::ledger::kept::FrameFault;
use crate::ledger::note::KeyError;
use crate::ledger::tree::Hash;

/// What a finding means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// As a crash leaves it: the last write was cut short. The next start puts it
    /// right, and nothing that was answered is lost by it, or it says so
    /// ([`Damage::Lost`]).
    Unfinished,
    /// Something that is derived is missing or damaged. It can be removed, and the
    /// next start makes it again.
    Derived,
    /// The evidence itself is damaged.
    Evidence,
}

impl Severity {
    /// The word used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Unfinished => "unfinished",
            Severity::Derived => "derived",
            Severity::Evidence => "evidence",
        }
    }
}

/// What is wrong at a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The operating system cannot read it.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// A file that has to be there.
    #[error("is missing")]
    Missing,
    /// A file that nothing put there.
    #[error("does not belong here")]
    Unexpected,
    /// It is named by the digest of other bytes.
    #[error("is not what its name says: the bytes have another digest")]
    NotItsName,
    /// More than can be read.
    #[error("has {0} bytes, more than a segment can have")]
    TooLarge(u64),
    /// Another format, or none.
    #[error("is not {FORMAT:?}: the directory is of another version, or the file was changed")]
    Format,
    /// The public key is not one.
    #[error("is not the public key of a log: {0}")]
    Key(KeyError),
    /// The public key is a good one, but not that of the log asked about.
    #[error("is the key {found}, not {expected} as given")]
    OtherKey {
        /// The key in the file.
        found: String,
        /// The key that the caller trusts.
        expected: String,
    },
    /// The secret key is malformed, or does not belong to the public one.
    #[error("is not the secret half of the log's key")]
    Secret,
    /// A segment's name is not that of its first entry.
    #[error("is named for entry {named}, and begins with {found}")]
    SegmentName {
        /// The sequence in its name.
        named: u64,
        /// The first sequence in it.
        found: u64,
    },
    /// The last record is not whole.
    #[error("the last record is not whole, as a crash leaves it: the next start cuts its {0} bytes off")]
    Torn(u64),
    /// The end of the journal was left to the operating system, and is not whole.
    #[error(
        "is torn from here on, as a power cut leaves what was written with durability \"os\": the next start cuts {0} bytes off; what was \
         answered for in them is lost"
    )]
    Lost(u64),
    /// No record begins here.
    #[error("no record can be read for {0} bytes")]
    NoRecord(u64),
    /// A record is not what was written, or does not stand where it was written.
    #[error(
        "the checksum of the record of entries {first} to {last} does not match: it was changed, or one before it was changed, removed or swapped"
    )]
    Checksum {
        /// The record's first sequence.
        first: u64,
        /// Its last.
        last: u64,
    },
    /// A record has other entries than its header says.
    #[error("the record says that it has {said} entries, and has {found}")]
    Count {
        /// The number in the header.
        said: u32,
        /// The number of lines.
        found: u64,
    },
    /// Entries are missing, doubled or out of order.
    #[error("entry {found} stands where {expected} should")]
    Sequence {
        /// The sequence that should come.
        expected: u64,
        /// The sequence that does.
        found: u64,
    },
    /// A line is not an entry.
    #[error("entry {sequence} cannot be read: {reason}")]
    Entry {
        /// The sequence that it should have.
        sequence: u64,
        /// What the parser says.
        reason: String,
    },
    /// A line says what an entry says, but not in the one form that an entry has.
    #[error("entry {0} is not in the canonical form")]
    NotCanonical(u64),
    /// A frame of the history of checkpoints.
    #[error("{0}")]
    Frame(FrameDamage),
    /// A checkpoint that is not to be believed.
    #[error("the checkpoint is not to be believed: {0}")]
    Checkpoint(OpenError),
    /// A checkpoint is of a smaller log than the one before it.
    #[error("the checkpoint has {new} entries, and the one before it {old}")]
    Shrinks {
        /// The size before.
        old: u64,
        /// The size after.
        new: u64,
    },
    /// The log was rewritten: what was signed is not what is there.
    #[error("the log is not the one that was signed: over the first {size} entries the root is {found}, and {signed} was signed")]
    Rewritten {
        /// The size of the checkpoint.
        size: u64,
        /// The root in it.
        signed: Hash,
        /// The root over the entries that are there.
        found: Hash,
    },
    /// The log is shorter than it was.
    #[error("the log was cut back: {size} entries were signed, and {entries} are there")]
    CutBack {
        /// The size of the checkpoint.
        size: u64,
        /// The number of entries.
        entries: u64,
    },
    /// Entries before this point are missing, so that no root can be computed.
    #[error("cannot be checked against the entries, because of the damage in the journal at entry {0}")]
    Uncheckable(u64),
    /// An event that the runtime is said to have submitted does not come of its entries.
    #[error("entry {0} is of a verdict event, and the entry that it is about does not say so, or has one already, or has another one")]
    Echo(u64),
    /// The latest checkpoint is not the last of the history.
    #[error("is not the last checkpoint of the history, but the next start makes it so")]
    Behind,
    /// The latest checkpoint is none of the history.
    #[error("is none of the last checkpoints of the history")]
    NotInHistory,
    /// What is kept ends with something that no entry is about yet.
    #[error("ends with content that was being written, as a crash leaves it: the next start cuts it off")]
    KeptTorn,
    /// Kept content cannot be read.
    #[error("{0}")]
    Kept(FrameFault),
    /// A frame says that its events arrived at another time than their entries do.
    #[error("the frame that ends with the event with sequence {0} says another arrival than the entries of its events")]
    KeptArrival(u64),
    /// Kept content is not what was judged.
    #[error("the content of the event with sequence {0} has another digest than its entry says")]
    Content(u64),
    /// What was to be kept is gone, and no entry says why.
    #[error("the content of {events} events, with sequences {first} to {last}, is to be kept, and is not here")]
    NoContent {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
        /// How many they are.
        events: u64,
    },
    /// Content is here that no entry says is kept.
    #[error("no entry says that content with sequence {0} is kept")]
    NotToBeKept(u64),
    /// Content is here that was erased.
    #[error("the content of the event with sequence {sequence} is here, and entry {by} says that it is erased")]
    NotErased {
        /// Which event.
        sequence: u64,
        /// The entry that says so.
        by: u64,
    },
    /// Content is gone, and the entry that it refers to does not say so.
    #[error("the content of the event with sequence {sequence} is marked as erased by entry {by}, which does not say that")]
    NotToBeErased {
        /// Which event.
        sequence: u64,
        /// The entry that it refers to.
        by: u64,
    },
    /// How far erasures are carried out.
    #[error("says that erasures are carried out up to an entry that is no erasure")]
    Erased,
    /// An erasure was recorded and not carried out yet.
    #[error("the erasure of entry {0} is not carried out yet: the next start does it")]
    ErasureBehind(u64),
    /// A tile has other hashes than the entries give.
    #[error("the tile is not that of the entries, beginning with its hash {0}")]
    Tile(u64),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// In which file, below the data directory.
    pub file: PathBuf,
    /// Where in the file.
    pub offset: Option<u64>,
    /// What.
    pub what: Damage,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity.name(), self.file.display())?;
        if let Some(offset) = self.offset {
            write!(f, ", byte {offset}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Entries that note that something is missing, or what is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Gaps in a source's numbers: events that were held back, or lost on their way.
    pub gaps: u64,
    /// Sources that fell silent for longer than their heartbeat.
    pub silences: u64,
    /// Times that somebody said how much is kept of events.
    pub keeps: u64,
    /// Erasures of what was kept.
    pub erasures: u64,
}

impl Tally {
    /// Counts an entry by what it is about.
    pub fn add(&mut self, subject: Subject) {
        match subject {
            Subject::Gap => self.gaps += 1,
            Subject::Silence => self.silences += 1,
            Subject::Keep => self.keeps += 1,
            Subject::Erasure => self.erasures += 1,
            Subject::Event | Subject::Timer | Subject::Change | Subject::Start | Subject::Configuration => {}
        }
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: Tally) {
        self.gaps += other.gaps;
        self.silences += other.silences;
        self.keeps += other.keeps;
        self.erasures += other.erasures;
    }
}

/// What was checked, and what was found. The default is that nothing was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Name of the log, if its key could be read.
    pub origin: Option<String>,
    /// Entries read.
    pub entries: u64,
    /// Those that note that something is missing, or what is kept.
    pub tally: Tally,
    /// Root over them; `None` if entries are missing.
    pub root: Option<Hash>,
    /// Segments of the journal.
    pub segments: u64,
    /// Records in them.
    pub records: u64,
    /// Records that were not synced before they were answered for.
    pub unsynced: u64,
    /// Good checkpoints in the history.
    pub checkpoints: u64,
    /// Those that say that their log leaves syncing to the operating system.
    pub unsynced_checkpoints: u64,
    /// Size of the largest good checkpoint. What is behind it is not signed yet.
    pub signed: u64,
    /// Tiles compared.
    pub tiles: u64,
    /// Events whose content is here, as their entries say.
    pub kept: u64,
    /// Events whose content was erased, be it that its time was over.
    pub erased: u64,
    /// For each witness asked about that has signed: its name and the largest size.
    pub witnesses: BTreeMap<String, u64>,
    /// All that is wrong, in the order of the check.
    pub findings: Vec<Finding>,
    /// Further findings, beyond what a report keeps.
    pub more: u64,
}

impl Report {
    /// Notes that witnesses have signed a checkpoint of this size.
    pub fn witnessed<'n>(&mut self, names: impl IntoIterator<Item = &'n str>, size: u64) {
        for name in names {
            let largest = self.witnesses.entry(name.to_string()).or_default();
            *largest = size.max(*largest);
        }
    }

    /// Whether there is nothing to say.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether the evidence is whole, even if something is to be put right.
    pub fn is_sound(&self) -> bool {
        self.more == 0 && self.findings.iter().all(|finding| finding.severity < Severity::Evidence)
    }
}

/// One line for what was checked and one for each finding.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} entries, ", grouped(self.entries))?;
        match &self.root {
            Some(root) => write!(f, "tree {root}, ")?,
            None => f.write_str("no tree, ")?,
        }
        write!(f, "{} checkpoints", grouped(self.checkpoints))?;
        if self.signed < self.entries {
            write!(f, " (the last {} entries are not signed yet)", grouped(self.entries - self.signed))?;
        }
        write!(f, ", {} tiles, {} witnesses", grouped(self.tiles), self.witnesses.len())?;
        self.findings.iter().try_for_each(|finding| write!(f, "\n{finding}"))?;
        if self.more > 0 {
            write!(f, "\nand {} more", grouped(self.more))?;
        }
        Ok(())
    }
}

/// A number with a comma between thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
