//! What is read for the view of an entry: its line, what is around it, its proof, and the
//! event itself where that is kept.

use crate::ledger::checkpoint::{Checkpoint, EntryProof};
use crate::ledger::entry::Entry;
use crate::ledger::{Log, LogError};
use crate::runtime::{RawEvent, RawEventError, Runtime};

/// Entries that are looked at for the next one with findings, in each direction.
const LOOK: u64 = 4_096;

/// Entries that are read at once.
const CHUNK: u64 = 256;

/// An entry, with what belongs to it.
pub struct Found {
    pub sequence: u64,
    /// The line, without its `\n`.
    pub line: String,
    /// The nearest entries with findings, before and behind.
    pub before: Near,
    pub behind: Near,
    /// The last entry of the log.
    pub last: u64,
    /// The proof on the latest checkpoint; absent if no checkpoint has the entry yet.
    pub proof: Option<Proof>,
    /// The event as it came in; absent for an entry that is about something else, and
    /// where nobody asked for it.
    pub raw: Option<Result<RawEvent, RawEventError>>,
}

/// The nearest entry of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Near {
    At(u64),
    /// There is none in the whole log.
    Nowhere,
    /// None within so many entries; it was looked at no more of them.
    Beyond(u64),
}

/// A proof, with the checkpoint that it is on.
pub struct Proof {
    pub proof: EntryProof,
    pub checkpoint: Checkpoint,
}

/// Reads an entry; nothing if the log has none of that sequence. Reads the disk. `with_raw`
/// says whether the event itself may be shown, and `counts` which lines have findings.
///
/// # Errors
///
/// If the log cannot be read.
pub fn read(runtime: &Runtime, log: &Log, sequence: u64, with_raw: bool, counts: impl Fn(&str) -> bool) -> Result<Option<Found>, LogError> {
    let Some(line) = line(log, sequence)? else { return Ok(None) };
    let last = log.size();
    let is_event = matches!(Entry::parse(line.as_bytes()), Ok(Entry::Event(_)));
    Ok(Some(Found {
        sequence,
        before: before(log, sequence, &counts)?,
        behind: behind(log, sequence, last, &counts)?,
        last,
        proof: proof(log, sequence)?,
        raw: (is_event && with_raw).then(|| runtime.raw_event(sequence)),
        line,
    }))
}

/// The line of an entry; nothing if there is none.
///
/// # Errors
///
/// If the log cannot be read.
pub fn line(log: &Log, sequence: u64) -> Result<Option<String>, LogError> {
    if !(1..=log.size()).contains(&sequence) {
        return Ok(None);
    }
    let mut line = None;
    log.read_many(&[sequence], |_, text| line = Some(text.to_string()))?;
    Ok(line)
}

fn proof(log: &Log, sequence: u64) -> Result<Option<Proof>, LogError> {
    match log.proof(sequence) {
        Ok(proof) => match Checkpoint::parse(proof.checkpoint.text()) {
            Ok(checkpoint) => Ok(Some(Proof { proof, checkpoint })),
            Err(error) => Err(LogError::Read(error.to_string())),
        },
        Err(LogError::Unsigned(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn behind(log: &Log, sequence: u64, last: u64, counts: &impl Fn(&str) -> bool) -> Result<Near, LogError> {
    let end = last.min(sequence.saturating_add(LOOK));
    let mut next = sequence + 1;
    while next <= end {
        let to = end.min(next + CHUNK - 1);
        let mut found = None;
        let sequences: Vec<u64> = (next..=to).collect();
        log.read_many(&sequences, |sequence, line| {
            if found.is_none() && counts(line) {
                found = Some(sequence);
            }
        })?;
        if let Some(found) = found {
            return Ok(Near::At(found));
        }
        next = to + 1;
    }
    Ok(if end == last { Near::Nowhere } else { Near::Beyond(LOOK) })
}

fn before(log: &Log, sequence: u64, counts: &impl Fn(&str) -> bool) -> Result<Near, LogError> {
    let begin = sequence.saturating_sub(LOOK).max(1);
    let mut end = sequence;
    while end > begin {
        let from = end.saturating_sub(CHUNK).max(begin);
        let mut found = None;
        let sequences: Vec<u64> = (from..end).collect();
        log.read_many(&sequences, |sequence, line| {
            if counts(line) {
                found = Some(sequence);
            }
        })?;
        if let Some(found) = found {
            return Ok(Near::At(found));
        }
        end = from;
    }
    Ok(if begin == 1 { Near::Nowhere } else { Near::Beyond(LOOK) })
}

/// Whether a line has findings: a member of that name can stand nowhere else, because a
/// quotation mark inside a string is escaped.
pub fn has_findings(line: &str) -> bool {
    line.contains(",\"findings\":[{")
}
