//! Reading the journal from its first byte to its last, and telling an interrupted
//! commit from damage.

use std::collections::VecDeque;
use std::io;
use std::num::NonZero;
use std::thread::{self, ScopedJoinHandle};

use super::record::{Checksum, FIELDS, HEADER, Hashed, Header, MAGIC, NOTHING, Record, SYNCED, Sections, parse_hashed};
use super::{FOLDER, Fault, Index, OpenError, Place, first_of, path_of};
use crate::ledger::limits::Durability;
use crate::ledger::storage::{self, Storage};

/// How much may be hashed in search of a record behind a damaged one. Only a file
/// that was made for it comes near.
const SEARCH_BYTES_MAX: usize = 1 << 30;

/// Bytes of a segment below which it is hashed without spreading.
const SPREAD_BYTES_MIN: usize = 1 << 20;

/// Something wrong with the journal's files.
#[derive(Debug)]
pub(super) struct Finding {
    pub place: Place,
    /// Number of bytes that could not be read as records.
    pub bytes: u64,
    /// Which record of its segment it is; the first is 1.
    pub record: u64,
    /// The entry that should have come here.
    pub sequence: u64,
    pub fault: Fault,
    /// What an interrupted commit looks like, or what a power cut leaves where syncing
    /// was left to the operating system; and what opening would cut off.
    pub torn: bool,
    /// Which of the two.
    pub durability: Durability,
}

/// Whoever is shown each record.
pub(super) type Visit<'w> = &'w mut dyn FnMut(&Place, Record<'_>) -> Result<(), String>;

/// What was read, up to the first thing that is wrong.
pub(super) struct Walk<'w> {
    storage: &'w dyn Storage,
    /// The last entry that is known to have been durable.
    known: u64,
    visit: Visit<'w>,
    pub index: Index,
    /// Checksum of the last record.
    pub before: Checksum,
    /// How it was written.
    pub durability: Durability,
    pub records: u64,
    pub finding: Option<Finding>,
    /// Offset and bytes of what may be in the system's cache only: the last segment's
    /// last record, and those before it that were not synced one by one.
    pub tail: Option<(u64, Vec<u8>)>,
}

/// A segment in memory, with the leaf hashes of its lines.
struct Loaded {
    bytes: Vec<u8>,
    hashed: Hashed,
}

impl Loaded {
    fn read(storage: &dyn Storage, first: u64) -> io::Result<Self> {
        let bytes = storage::read(storage, &path_of(first))?;
        let threads = if bytes.len() < SPREAD_BYTES_MIN { 1 } else { thread::available_parallelism().map_or(1, NonZero::get) };
        let hashed = Hashed::of(&bytes, threads);
        Ok(Loaded { bytes, hashed })
    }
}

impl<'w> Walk<'w> {
    pub fn new(storage: &'w dyn Storage, known: u64, visit: Visit<'w>) -> Self {
        let index = Index { segments: Vec::new(), next: 1 };
        Walk { storage, known, visit, index, before: NOTHING, durability: Durability::Sync, records: 0, finding: None, tail: None }
    }

    pub fn run(&mut self) -> Result<(), OpenError> {
        let listed = self.storage.list(FOLDER);
        let mut names = listed.map_err(|source| OpenError::Io { path: FOLDER.to_string(), doing: "listing", source })?;
        // Twenty digits, so that the order of the names is that of the sequences.
        names.sort_unstable();
        let mut segments = VecDeque::new();
        for name in names {
            match first_of(&name) {
                Some(first) => segments.push_back(first),
                None => {
                    self.note(format!("{FOLDER}/{name}"), 0, 0, 0, Fault::Foreign);
                }
            }
        }
        let storage = self.storage;
        thread::scope(|scope| {
            let mut ahead: Option<ScopedJoinHandle<'_, io::Result<Loaded>>> = None;
            while self.finding.is_none()
                && let Some(first) = segments.pop_front()
            {
                let loaded = match ahead.take() {
                    Some(ahead) => ahead.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked)),
                    None => Loaded::read(storage, first),
                };
                // While a large segment is shown, the next one is read and hashed.
                if loaded.as_ref().is_ok_and(|loaded| loaded.bytes.len() >= SPREAD_BYTES_MIN) {
                    ahead = segments.front().map(|next| {
                        let next = *next;
                        scope.spawn(move || Loaded::read(storage, next))
                    });
                }
                self.segment(first, loaded, segments.is_empty())?;
            }
            Ok(())
        })
    }

    fn note(&mut self, file: String, offset: u64, bytes: u64, record: u64, fault: Fault) -> &mut Finding {
        let (place, sequence) = (Place { file, offset }, self.index.next);
        let durability = Durability::Sync;
        self.finding.get_or_insert(Finding { place, bytes, record, sequence, fault, torn: false, durability })
    }

    fn segment(&mut self, first: u64, loaded: io::Result<Loaded>, last: bool) -> Result<(), OpenError> {
        let path = path_of(first);
        let expected = self.index.next;
        if first != expected {
            self.note(path, 0, 0, 1, Fault::Segment { expected, found: first });
            return Ok(());
        }
        let Loaded { bytes, mut hashed } = loaded.map_err(|source| OpenError::Io { path: path.clone(), doing: "reading", source })?;
        let start = self.index.begin(first);
        self.tail = None;
        let (mut at, mut number) = (0, 0);
        // Where the records begin that may be in the cache only.
        let (mut tail, mut is_open) = (0, false);
        while at < bytes.len() {
            number += 1;
            let rest = &bytes[at..];
            let mut leaves = Vec::new();
            let (header, mut record) = match parse_hashed(rest, (&mut hashed, at), &self.before, self.index.next, &mut leaves) {
                Ok(parsed) => parsed,
                Err(fault) => {
                    // Behind a record that was not synced, another one may be lost; but one
                    // that says that it was synced was only written when all were durable.
                    let is_synced = self.durability == Durability::Sync || rest.starts_with(&[&MAGIC[..], &[SYNCED]].concat());
                    let durability = if is_synced { Durability::Sync } else { Durability::Os };
                    let next = find_record(rest, &self.before, durability);
                    let newer = matches!(fault, Fault::Version(_));
                    // Right, but not what comes next: no crash makes that.
                    let sound = matches!(fault, Fault::Sequence { .. } | Fault::Malformed(_));
                    // Nor does one move a record up: what it loses of the header's fields
                    // is zero, so the sequence can only become smaller.
                    let ahead = Header::parse(rest).is_ok_and(|header| header.first > self.index.next);
                    let torn = last && next.is_none() && !newer && !sound && !ahead;
                    let finding = self.note(path, at as u64, next.unwrap_or(rest.len()) as u64, number, fault);
                    (finding.torn, finding.durability) = (torn, durability);
                    break;
                }
            };
            let end = at + HEADER + header.payload;
            record.place += start + at as u64;
            let place = Place { file: path.clone(), offset: at as u64 };
            if let Err(refused) = (self.visit)(&place, record) {
                self.note(path, at as u64, 0, number, Fault::Refused(refused));
                return Ok(());
            }
            if let Some(segment) = self.index.segments.last_mut() {
                segment.add(header.first, header.count > 0, at as u64, end as u64, self.before);
            }
            self.before = header.checksum;
            self.index.next += u64::from(header.count);
            self.durability = header.durability;
            // A checkpoint is signed when all is durable that is written.
            let is_known = header.first <= self.known && self.index.next - 1 <= self.known;
            let may_be_lost = header.durability == Durability::Os && !is_known;
            if !(is_open && may_be_lost) {
                tail = at;
            }
            is_open = may_be_lost;
            self.records += 1;
            at = end;
        }
        if at > 0 {
            self.tail = Some((tail as u64, bytes[tail..at].to_vec()));
        }
        Ok(())
    }
}

/// Looks behind a damaged record for one that is whole, and gives where it is. Finding
/// one means that the damaged one was durable: the next is never written before. Among
/// records that were not synced, only one that was means that.
///
/// A record is told from bytes that only look like one (states are a policy's to
/// choose) by its checksum, which has to be chained to what stands, or should
/// stand, before it.
fn find_record(bytes: &[u8], before: &Checksum, durability: Durability) -> Option<usize> {
    let mut budget = SEARCH_BYTES_MAX;
    // What a following record may be chained to: the checksum that the damaged
    // record says, if the damage is elsewhere in it ...
    let mut chained: Vec<Checksum> = Vec::new();
    chained.extend(bytes.get(FIELDS..HEADER).and_then(|stated| Checksum::try_from(stated).ok()));
    let mut at = 1;
    while let Some(found) = find(&bytes[at.min(bytes.len())..], &MAGIC) {
        at += found;
        let rest = &bytes[at..];
        // ... or the checksum that it should say, if that is what is damaged. Its end
        // is where the next record begins.
        let payload = bytes.get(HEADER..at);
        if let (Ok(header), Some(payload)) = (Header::parse(rest), payload)
            && let Some(own) = rest.get(HEADER..HEADER + header.payload)
        {
            budget = budget.checked_sub(payload.len() + own.len())?;
            let damaged = Header::parse(bytes).ok().and_then(|header| Sections::of(payload, header.count).ok());
            let should = damaged.map(|sections| sections.checksum(before, &bytes[..FIELDS]));
            // Two records in a row may be damaged, so the stated checksum of whatever
            // looked like a record last counts as well.
            if (durability == Durability::Sync || header.durability == Durability::Sync)
                && let Ok(own) = Sections::of(own, header.count)
            {
                let candidates = chained.first().into_iter().chain(chained.last()).chain(&should);
                for candidate in candidates {
                    if own.checksum(candidate, &rest[..FIELDS]) == header.checksum {
                        return Some(at);
                    }
                }
            }
            chained.truncate(1);
            chained.push(header.checksum);
        }
        at += 1;
    }
    None
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
