//! Reading the records of a segment by their description.

use std::ffi::OsStr;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use sha2::{Digest as _, Sha256};

use super::{Damage, Tally};
use crate::digest::Digest;
use crate::ledger::entry::Entry;
use crate::ledger::tree::{Hash, leaf_hash};
use crate::reserved;

/// The folder of the segments.
pub(super) const JOURNAL: &str = "journal";

/// The name of the segment that begins with this sequence.
pub(super) fn segment(first: u64) -> String {
    format!("{first:020}.seg")
}

/// The sequence that a segment begins with, by its name; nothing for any other name.
pub(super) fn first_of(name: &OsStr) -> Option<u64> {
    let first = name.to_str()?.strip_suffix(".seg")?.parse().ok()?;
    (*name == *segment(first)).then_some(first)
}

/// What a record of the journal begins with.
pub(super) const MAGIC: &[u8; 4] = b"EPHB";

/// The versions of records: of those that were synced before they were answered for, and
/// of those that were left to the operating system.
pub(super) const SYNCED: u8 = 1;
pub(super) const UNSYNCED: u8 = 2;

/// Whether bytes can be the beginning of a record.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC) && matches!(bytes.get(4), Some(&(SYNCED | UNSYNCED)))
}

/// Magic, version, length of the payload (u32), first sequence (u64), number of
/// entries (u32).
pub(super) const HEADER: usize = 4 + 1 + 4 + 8 + 4;

/// The header and the checksum after it.
pub(super) const PREFIX: usize = HEADER + 32;

/// What stands for the checksum before the first record.
pub(super) const GENESIS: [u8; 32] = [0; 32];

/// How many bytes of records a thread takes at a time.
const SHARE: usize = 1 << 20;

/// Where the check of the records is.
pub(super) struct Chain {
    /// What the checksum before the next record may be. Two after damage: what is
    /// written there, and what came before it.
    pub stored: Vec<[u8; 32]>,
    /// What the checksum of the last record should have been, if it was another.
    pub computed: Option<[u8; 32]>,
    /// The sequence that comes next.
    pub next: u64,
    /// Whether the last sound record was left to the operating system.
    pub is_unsynced: bool,
}

/// A record as it lies in a segment.
pub(super) struct Record {
    pub offset: usize,
    /// Whether it was synced before it was answered for.
    pub is_synced: bool,
    pub first: u64,
    pub count: u32,
    pub checksum: [u8; 32],
    pub previous: Vec<[u8; 32]>,
    pub payload: Range<usize>,
}

/// The parts of a payload: the entries' lines and the states, or `None` if the
/// lengths do not add up. Looks at eight bytes, so that it can be asked anywhere.
pub(super) fn sections(payload: &[u8]) -> Option<Range<usize>> {
    let (length, rest) = payload.split_first_chunk::<4>()?;
    let lines = u32::from_le_bytes(*length) as usize;
    let (length, states) = rest.get(lines..)?.split_first_chunk::<4>()?;
    (u32::from_le_bytes(*length) as usize == states.len()).then_some(4..4 + lines)
}

/// The record at this place, if one can be there: magic, version, a length that the
/// file has, and a payload whose parts add up to it.
pub(super) fn record_at(bytes: &[u8], offset: usize) -> Option<Record> {
    let rest = bytes.get(offset..)?;
    let (prefix, rest) = rest.split_first_chunk::<PREFIX>()?;
    if !begins(prefix) {
        return None;
    }
    let length = u32::from_le_bytes(prefix[5..9].try_into().ok()?) as usize;
    sections(rest.get(..length)?)?;
    record_of(bytes, offset, offset + PREFIX + length)
}

/// A record from here to there, whatever its magic, version and length say.
fn record_of(bytes: &[u8], offset: usize, end: usize) -> Option<Record> {
    let prefix = bytes.get(offset..)?.first_chunk::<PREFIX>()?;
    let payload = offset + PREFIX..end;
    sections(bytes.get(payload.clone())?)?;
    Some(Record {
        offset,
        is_synced: prefix[4] == SYNCED,
        first: u64::from_le_bytes(prefix[9..17].try_into().ok()?),
        count: u32::from_le_bytes(prefix[17..21].try_into().ok()?),
        checksum: prefix[HEADER..].try_into().ok()?,
        previous: Vec::new(),
        payload,
    })
}

/// Cuts a segment into records, and gives the ranges in which there is none. `stored`
/// is what the checksum before may be, and is left as what it may be after.
pub(super) fn cut(bytes: &[u8], stored: &mut Vec<[u8; 32]>) -> (Vec<Record>, Vec<Range<usize>>) {
    let (mut records, mut gaps) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < bytes.len() {
        let record = record_at(bytes, at).or_else(|| {
            // Not a sound record. If the next one begins where its payload would
            // end, its entries can still be read.
            let next = next_record(bytes, at + 1).unwrap_or(bytes.len());
            let record = record_of(bytes, at, next);
            if record.is_none() {
                gaps.push(at..next);
                let written = bytes.get(at + HEADER..at + PREFIX).filter(|_| next >= at + PREFIX);
                stored.truncate(1);
                stored.extend(written.and_then(|written| <[u8; 32]>::try_from(written).ok()));
                at = next;
            }
            record
        });
        if let Some(mut record) = record {
            record.previous = std::mem::replace(stored, vec![record.checksum]);
            at = record.payload.end;
            records.push(record);
        }
    }
    (records, gaps)
}

/// Where the next sound record begins.
pub(super) fn next_record(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += bytes.get(at..)?.windows(MAGIC.len()).position(|window| window == MAGIC)?;
        if record_at(bytes, at).is_some() {
            return Some(at);
        }
        at += 1;
    }
}

/// The checksum of a record after this one: over its header, and its lines by their
/// leaf hashes.
pub(super) fn checksum(bytes: &[u8], record: &Record, leaves: &[Hash], previous: &[u8; 32]) -> [u8; 32] {
    let header = &bytes[record.offset..record.offset + HEADER];
    let payload = &bytes[record.payload.clone()];
    let Some(lines) = sections(payload) else { return GENESIS };
    let mut hasher = Sha256::new().chain_update(previous).chain_update(header).chain_update(&payload[..lines.start]);
    leaves.iter().for_each(|leaf| hasher.update(leaf.as_bytes()));
    hasher.chain_update(&payload[lines.end..]).finalize().into()
}

/// What a thread says about a record.
#[derive(Default)]
pub(super) struct Checked {
    /// Whether its checksum is right after one of those that may stand before it.
    pub matches: bool,
    /// The checksum that it should have.
    pub computed: [u8; 32],
    /// The hashes of its lines.
    pub leaves: Vec<Hash>,
    /// The sequence that its first entry says it has.
    pub said: Option<u64>,
    /// Its entries by what they are about.
    pub tally: Tally,
    /// What its entries say of verdict events.
    pub echoes: Vec<Echoed>,
    /// Lines that are not what they should be, with their offset.
    pub findings: Vec<(usize, Damage)>,
}

/// What an entry has to do with verdict events.
pub(super) enum Echoed {
    /// One comes behind it: its sequence, and the digest of the event.
    Promised(u64, Digest),
    /// It is the entry of one: its sequence, that of the entry it is about, its digest.
    Kept(u64, Option<u64>, Digest),
}

impl Echoed {
    fn of(entry: &Entry<'_>) -> impl Iterator<Item = Self> + use<> {
        let kept = match entry {
            Entry::Event(event) if reserved::is_own_source(&event.source) => {
                Some(Echoed::Kept(event.sequence, event.id.parse().ok(), event.digest))
            }
            _ => None,
        };
        let promised = entry.echo().map(|echo| Echoed::Promised(entry.sequence(), Digest::of(echo.text.as_bytes())));
        kept.into_iter().chain(promised)
    }
}

/// Checks records on several threads. Results are in the order of the records.
pub(super) fn check_all(bytes: &[u8], records: &[Record], threads: usize) -> Vec<Checked> {
    // Shares of about one size: records have one entry or thousands.
    let mut shares: Vec<Range<usize>> = Vec::new();
    let mut size = SHARE;
    for (place, record) in records.iter().enumerate() {
        if size >= SHARE {
            shares.push(place..place);
            size = 0;
        }
        size += record.payload.len() + PREFIX;
        if let Some(share) = shares.last_mut() {
            share.end = place + 1;
        }
    }
    let check = |share: &Range<usize>| records[share.clone()].iter().map(|record| check_record(bytes, record)).collect::<Vec<_>>();
    if threads < 2 || shares.len() < 2 {
        return shares.iter().flat_map(check).collect();
    }
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(shares.len()));
    thread::scope(|scope| {
        for _ in 0..threads.min(shares.len()) {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(share) = shares.get(place) else { break };
                    let checked = check(share);
                    results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((place, checked));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_unstable_by_key(|(place, _)| *place);
    results.into_iter().flat_map(|(_, checked)| checked).collect()
}

fn check_record(bytes: &[u8], record: &Record) -> Checked {
    let mut checked = Checked::default();
    let Some(lines) = sections(&bytes[record.payload.clone()]) else { return checked };
    let mut at = record.payload.start + lines.start;
    let end = record.payload.start + lines.end;
    let mut written = Vec::new();
    while at < end {
        let rest = &bytes[at..end];
        let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let line = &rest[..length];
        let sequence = record.first.wrapping_add(checked.leaves.len() as u64);
        checked.leaves.push(leaf_hash(line));
        match check_line(line, sequence, length == rest.len(), &mut written) {
            Ok(entry) => {
                checked.said = checked.said.or(Some(sequence));
                checked.tally.add(entry.subject());
                checked.echoes.extend(Echoed::of(&entry));
            }
            Err(what) => checked.findings.push((at, what)),
        }
        at += length + 1;
    }
    for previous in &record.previous {
        checked.computed = checksum(bytes, record, &checked.leaves, previous);
        checked.matches = checked.computed == record.checksum;
        if checked.matches {
            break;
        }
    }
    checked
}

/// Checks an entry's line. Gives the entry.
pub(super) fn check_line<'l>(line: &'l [u8], sequence: u64, unterminated: bool, written: &mut Vec<u8>) -> Result<Entry<'l>, Damage> {
    let unreadable = |reason: String| Damage::Entry { sequence, reason };
    if unterminated {
        return Err(unreadable("the line has no end".to_string()));
    }
    let entry = Entry::parse(line).map_err(|error| unreadable(error.to_string()))?;
    if entry.sequence() != sequence {
        return Err(Damage::Sequence { expected: sequence, found: entry.sequence() });
    }
    written.clear();
    entry.write(written).map_err(|error| unreadable(error.to_string()))?;
    if written == line { Ok(entry) } else { Err(Damage::NotCanonical(sequence)) }
}
