//! A record, byte by byte: how it is put together and taken apart.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use sha2::{Digest as _, Sha256};

use super::{COMMIT_BYTES, Fault};
use crate::ledger::limits::Durability;
use crate::ledger::tree::{Hash, leaf_hash};

pub(super) const MAGIC: [u8; 4] = *b"EPHB";
/// The version of a record says when it was durable: of one that was synced before it
/// was answered for, and of one that was left to the operating system.
pub(super) const SYNCED: u8 = 1;
pub(super) const UNSYNCED: u8 = 2;

/// Magic, version, payload length, first sequence, count.
pub(super) const FIELDS: usize = 4 + 1 + 4 + 8 + 4;
/// The fields and the checksum behind them.
pub(super) const HEADER: usize = FIELDS + CHECKSUM;
const CHECKSUM: usize = 32;

/// SHA-256 of what precedes a record, and of the record.
pub(super) type Checksum = [u8; CHECKSUM];

/// What the first record of a journal is chained to.
pub(super) const NOTHING: Checksum = [0; CHECKSUM];

/// Where the lines begin in a record.
pub(super) const LINES: usize = HEADER + 4;

/// What one evaluated batch leaves behind. It is committed whole or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Sequence of the first line.
    pub first: u64,
    /// One entry per line; every line ends with `\n`.
    pub lines: Vec<u8>,
    /// The leaf hash of each line, without its `\n`.
    pub leaves: Vec<Hash>,
    /// In the order in which they happened.
    pub states: Vec<StateChange>,
}

/// What a policy remembers from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StateChange {
    /// A key has this state, or none any more.
    State { policy: Arc<str>, key: Box<[u8]>, state: Option<Vec<u8>> },
    /// A key wants to be woken at this event time (microseconds since 1970) by the
    /// watermark of this source, or not any more.
    Timer { policy: Arc<str>, key: Box<[u8]>, timer: Option<(i64, Arc<str>)> },
    /// The policy's states and timers are gone, and those to come have this form.
    Form { policy: Arc<str>, form: Vec<u8> },
    /// The policy's states, timers and form are gone.
    Forgotten { policy: Arc<str> },
    /// The policy's releases are these, as the runtime writes them down; empty for none.
    Line { policy: Arc<str>, line: Vec<u8> },
}

/// A [`StateChange`] as it stands in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StateRef<'a> {
    State { policy: &'a str, key: &'a [u8], state: Option<&'a [u8]> },
    Timer { policy: &'a str, key: &'a [u8], timer: Option<(i64, &'a str)> },
    Form { policy: &'a str, form: &'a [u8] },
    Forgotten { policy: &'a str },
    Line { policy: &'a str, line: &'a [u8] },
}

/// A record whose checksum was right and whose sections are whole: one or more
/// batches that were committed together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub first: u64,
    /// Where the first of its changes stands: bytes from the journal's beginning.
    pub(super) place: u64,
    /// Every line ends with `\n`.
    pub lines: &'a str,
    /// One for each line.
    pub leaves: &'a [Hash],
    changes: u32,
    states: &'a [u8],
}

impl<'a> Record<'a> {
    /// Sequence and line, without its `\n`.
    pub fn lines(&self) -> impl Iterator<Item = (u64, &'a [u8])> + use<'a> {
        let lines = self.lines.as_bytes();
        let body = lines.strip_suffix(b"\n").unwrap_or(lines);
        (self.first..).zip(body.split(|byte| *byte == b'\n')).take(self.leaves.len())
    }

    /// What policies remember from now on, in the order in which it happened; with the
    /// place of each in the journal.
    pub fn states(&self) -> impl Iterator<Item = (u64, StateRef<'a>)> + use<'a> {
        let (mut rest, end) = (self.states, self.place + self.states.len() as u64);
        // Read to the end once before, when the record was taken apart.
        (0..self.changes).map_while(move |_| Some((end - rest.len() as u64, StateRef::take(&mut rest)?)))
    }
}

/// The record that is being put together.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub first: u64,
    /// Room for header and length, then the lines.
    pub front: Vec<u8>,
    pub leaves: Vec<Hash>,
    pub changes: u32,
    pub states: Vec<u8>,
    /// Where in `states` batches that have changes begin.
    pub batches: Vec<usize>,
}

impl Pending {
    pub fn new(first: u64) -> Self {
        Pending { first, front: vec![0; LINES], ..Pending::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.leaves.is_empty() && self.changes == 0
    }

    pub fn next(&self) -> u64 {
        self.first + self.leaves.len() as u64
    }

    /// Where the changes begin, from the record's first byte on.
    pub fn states_at(&self) -> usize {
        self.front.len() + 4 + 4
    }

    /// Bytes of the payload.
    pub fn payload(&self) -> usize {
        self.front.len() - HEADER + 4 + 4 + self.states.len()
    }

    /// Begins the next record, in the same memory unless that is unusually much.
    pub fn reset(&mut self) {
        self.first = self.next();
        self.leaves.clear();
        self.batches.clear();
        self.changes = 0;
        for buffer in [&mut self.front, &mut self.states] {
            buffer.clear();
            buffer.shrink_to(COMMIT_BYTES);
        }
        self.front.resize(LINES, 0);
    }
}

/// Puts a record's parts together: gives its bytes and its checksum.
pub(super) fn seal<'a>(pending: &'a mut Pending, before: &Checksum, durability: Durability) -> (&'a [u8], Checksum) {
    let payload = pending.payload();
    let lines = pending.front.len() - LINES;
    // Bounded by PAYLOAD_BYTES_MAX when they were appended.
    let front = &mut pending.front;
    front[HEADER..LINES].copy_from_slice(&(lines as u32).to_le_bytes());
    let states = front.len();
    front.extend_from_slice(&(4 + pending.states.len() as u32).to_le_bytes());
    front.extend_from_slice(&pending.changes.to_le_bytes());
    front.extend_from_slice(&pending.states);
    debug_assert_eq!(front.len(), HEADER + payload);
    front[..4].copy_from_slice(&MAGIC);
    front[4] = match durability {
        Durability::Sync => SYNCED,
        Durability::Os => UNSYNCED,
    };
    front[5..9].copy_from_slice(&(payload as u32).to_le_bytes());
    front[9..17].copy_from_slice(&pending.first.to_le_bytes());
    front[17..21].copy_from_slice(&(pending.leaves.len() as u32).to_le_bytes());
    let checksum = checksum(before, &front[..FIELDS], lines as u32, &pending.leaves, &front[states..]);
    front[FIELDS..HEADER].copy_from_slice(&checksum);
    (&pending.front, checksum)
}

/// The checksum of a record. It covers the lines by their leaf hashes, which the tree
/// needs as well: so every line is hashed once.
fn checksum(before: &Checksum, fields: &[u8], lines: u32, leaves: &[Hash], states: &[u8]) -> Checksum {
    let mut hasher = Sha256::new().chain_update(before).chain_update(fields).chain_update(lines.to_le_bytes());
    for leaf in leaves {
        hasher.update(leaf.as_bytes());
    }
    hasher.chain_update(states).finalize().into()
}

/// A payload taken apart, as far as its checksum needs it.
pub(super) struct Sections<'a> {
    /// Every line ends with `\n`, if there are lines.
    lines: &'a [u8],
    leaves: Vec<Hash>,
    /// With its length.
    states: &'a [u8],
}

impl<'a> Sections<'a> {
    pub fn of(payload: &'a [u8], count: u32) -> Result<Self, &'static str> {
        Sections::with(payload, count, None)
    }

    /// The same with the leaf hashes, if they were made before.
    fn with(payload: &'a [u8], count: u32, hashed: Option<Vec<Hash>>) -> Result<Self, &'static str> {
        let mut rest = payload;
        let lines = take_long(&mut rest).ok_or("its entries are cut short")?;
        if lines.last().is_some_and(|byte| *byte != b'\n') {
            return Err("its last line has no end");
        }
        let leaves = hashed.unwrap_or_else(|| leaves_of(lines, count));
        if leaves.len() != count as usize {
            return Err("it has another number of lines than it says");
        }
        Ok(Sections { lines, leaves, states: rest })
    }

    pub fn checksum(&self, before: &Checksum, fields: &[u8]) -> Checksum {
        checksum(before, fields, self.lines.len() as u32, &self.leaves, self.states)
    }
}

/// The leaf hash of each line.
fn leaves_of(lines: &[u8], count: u32) -> Vec<Hash> {
    // A damaged count must not make room for what is not there.
    let mut leaves = Vec::with_capacity((count as usize).min(lines.len()));
    if !lines.is_empty() {
        let body = lines.strip_suffix(b"\n").unwrap_or(lines);
        leaves.extend(body.split(|byte| *byte == b'\n').map(leaf_hash));
    }
    leaves
}

/// The leaf hashes of a segment's records, each with the offset of its record. Made
/// ahead of reading them, as that can be done by several threads: of what looks like
/// records, one after another, up to the first that does not.
#[derive(Debug, Default)]
pub(super) struct Hashed(VecDeque<(usize, Vec<Hash>)>);

impl Hashed {
    pub fn of(bytes: &[u8], threads: usize) -> Self {
        let mut records = Vec::new();
        let mut at = 0;
        while let Some(rest) = bytes.get(at..)
            && let Ok(header) = Header::parse(rest)
            && let Some(mut payload) = rest.get(HEADER..HEADER + header.payload)
        {
            if let Some(lines) = take_long(&mut payload) {
                records.push((at, lines, header.count));
            }
            at += HEADER + header.payload;
        }
        let threads = threads.min(records.len());
        if threads < 2 {
            return Hashed(records.into_iter().map(|(at, lines, count)| (at, leaves_of(lines, count))).collect());
        }
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            while let Some((at, lines, count)) = records.get(next.fetch_add(1, Ordering::Relaxed)) {
                done.push((*at, leaves_of(lines, *count)));
            }
            done
        };
        let mut done = thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut done = work();
            // What a thread that panicked had is missing here, and made when it is read.
            others.into_iter().for_each(|other| done.extend(other.join().unwrap_or_default()));
            done
        });
        done.sort_unstable_by_key(|(at, _)| *at);
        Hashed(done.into())
    }

    /// Those of the record at this offset; offsets only grow.
    fn take(&mut self, offset: usize) -> Option<Vec<Hash>> {
        while self.0.front().is_some_and(|(at, _)| *at < offset) {
            self.0.pop_front();
        }
        self.0.pop_front_if(|(at, _)| *at == offset).map(|(_, leaves)| leaves)
    }
}

/// Number of `\n`. In pieces of which a byte can hold the count, so that 32 of them
/// are counted at once.
pub(super) fn count_lines(lines: &[u8]) -> usize {
    let count = |piece: &[u8]| piece.iter().fold(0u8, |count, byte| count.wrapping_add(u8::from(*byte == b'\n')));
    lines.chunks(192).map(|piece| usize::from(count(piece))).sum()
}

/// Takes so many bytes off the front, if there are so many.
fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(take(rest, 4)?.try_into().ok()?))
}

fn take_long<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = take_u32(rest)?;
    take(rest, len as usize)
}

fn put_long(out: &mut Vec<u8>, bytes: &[u8]) {
    // Bounded by the record's bound, which was checked.
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// The byte that a change begins with.
mod kind {
    pub const NO_STATE: u8 = 0;
    pub const STATE: u8 = 1;
    pub const FORM: u8 = 2;
    pub const FORGOTTEN: u8 = 3;
    pub const TIMER: u8 = 4;
    pub const NO_TIMER: u8 = 5;
    pub const LINE: u8 = 6;
}

impl Batch {
    /// Where its changes of states stand in the journal, if its first change of any kind
    /// stands at this place; in their order.
    pub fn places(&self, first: u64) -> Vec<u64> {
        let mut next = first;
        let mut places = Vec::with_capacity(self.states.len());
        for change in &self.states {
            if matches!(change, StateChange::State { .. }) {
                places.push(next);
            }
            next += change.len() as u64;
        }
        places
    }
}

/// Bytes of a key's state in a record, with everything that belongs to it, if key and
/// state together have so many.
pub(super) fn state_len(policy: &str, bytes: usize) -> usize {
    1 + 4 + policy.len() + 4 + 4 + bytes
}

impl StateChange {
    /// Bytes that it takes in a record.
    pub(super) fn len(&self) -> usize {
        let long = |bytes: &[u8]| 4 + bytes.len();
        1 + match self {
            StateChange::State { policy, key, state } => long(policy.as_bytes()) + long(key) + state.as_deref().map_or(0, long),
            StateChange::Timer { policy, key, timer } => {
                long(policy.as_bytes()) + long(key) + timer.as_ref().map_or(0, |(_, source)| 8 + long(source.as_bytes()))
            }
            StateChange::Form { policy, form: bytes } | StateChange::Line { policy, line: bytes } => long(policy.as_bytes()) + long(bytes),
            StateChange::Forgotten { policy } => long(policy.as_bytes()),
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let mut begin = |kind: u8, policy: &str| {
            out.push(kind);
            put_long(out, policy.as_bytes());
        };
        match self {
            StateChange::State { policy, key, state: None } => {
                begin(kind::NO_STATE, policy);
                put_long(out, key);
            }
            StateChange::State { policy, key, state: Some(state) } => {
                begin(kind::STATE, policy);
                put_long(out, key);
                put_long(out, state);
            }
            StateChange::Form { policy, form } => {
                begin(kind::FORM, policy);
                put_long(out, form);
            }
            StateChange::Forgotten { policy } => begin(kind::FORGOTTEN, policy),
            StateChange::Line { policy, line } => {
                begin(kind::LINE, policy);
                put_long(out, line);
            }
            StateChange::Timer { policy, key, timer: Some((at, source)) } => {
                begin(kind::TIMER, policy);
                put_long(out, key);
                out.extend_from_slice(&at.to_le_bytes());
                put_long(out, source.as_bytes());
            }
            StateChange::Timer { policy, key, timer: None } => {
                begin(kind::NO_TIMER, policy);
                put_long(out, key);
            }
        }
    }
}

impl<'a> StateRef<'a> {
    /// Takes a change off the front.
    pub(super) fn take(rest: &mut &'a [u8]) -> Option<Self> {
        let [kind] = *take(rest, 1)? else { return None };
        let policy = str::from_utf8(take_long(rest)?).ok()?;
        Some(match kind {
            kind::NO_STATE => StateRef::State { policy, key: take_long(rest)?, state: None },
            kind::STATE => StateRef::State { policy, key: take_long(rest)?, state: Some(take_long(rest)?) },
            kind::FORM => StateRef::Form { policy, form: take_long(rest)? },
            kind::FORGOTTEN => StateRef::Forgotten { policy },
            kind::LINE => StateRef::Line { policy, line: take_long(rest)? },
            kind::TIMER => {
                let key = take_long(rest)?;
                let at = i64::from_le_bytes(take(rest, 8)?.try_into().ok()?);
                StateRef::Timer { policy, key, timer: Some((at, str::from_utf8(take_long(rest)?).ok()?)) }
            }
            kind::NO_TIMER => StateRef::Timer { policy, key: take_long(rest)?, timer: None },
            _ => return None,
        })
    }
}

/// A record's header, as it stands there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub durability: Durability,
    pub payload: usize,
    pub first: u64,
    pub count: u32,
    pub checksum: Checksum,
}

impl Header {
    /// Reads the header at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Header, Fault> {
        let short = || Fault::Short { have: bytes.len() as u64, need: HEADER as u64 };
        let mut rest = bytes;
        let magic = take(&mut rest, 4).ok_or_else(short)?;
        if magic != MAGIC {
            return Err(Fault::Magic);
        }
        let version = take(&mut rest, 1).ok_or_else(short)?[0];
        let durability = match version {
            SYNCED => Durability::Sync,
            UNSYNCED => Durability::Os,
            // No release ever wrote it: torn, or damaged.
            0 => return Err(Fault::Magic),
            newer => return Err(Fault::Version(newer)),
        };
        let mut parsed = || -> Option<Header> {
            let payload = take_u32(&mut rest)? as usize;
            let first = u64::from_le_bytes(take(&mut rest, 8)?.try_into().ok()?);
            let count = take_u32(&mut rest)?;
            let checksum = take(&mut rest, CHECKSUM)?.try_into().ok()?;
            Some(Header { durability, payload, first, count, checksum })
        };
        parsed().ok_or_else(short)
    }
}

/// Takes the record at the start of `bytes` apart: whole, chained to `before`, and
/// the one that comes next. Its leaf hashes go to `leaves`. The places of its changes are
/// counted from its own first byte.
pub(super) fn parse<'a>(bytes: &'a [u8], before: &Checksum, next: u64, leaves: &'a mut Vec<Hash>) -> Result<(Header, Record<'a>), Fault> {
    parse_hashed(bytes, (&mut Hashed::default(), 0), before, next, leaves)
}

/// The same where leaf hashes may have been made before, for the record at an offset.
pub(super) fn parse_hashed<'a>(
    bytes: &'a [u8],
    (hashed, offset): (&mut Hashed, usize),
    before: &Checksum,
    next: u64,
    leaves: &'a mut Vec<Hash>,
) -> Result<(Header, Record<'a>), Fault> {
    let (header, payload) = take_apart(bytes)?;
    let Ok(sections) = Sections::with(payload, header.count, hashed.take(offset)) else { return Err(Fault::Checksum) };
    if sections.checksum(before, &bytes[..FIELDS]) != header.checksum {
        return Err(Fault::Checksum);
    }
    if header.first != next {
        return Err(Fault::Sequence { expected: next, found: header.first });
    }
    if next.checked_add(u64::from(header.count)).is_none() {
        return Err(Fault::Malformed("its sequences go beyond what is possible"));
    }
    let mut rest = sections.states;
    let mut states = take_long(&mut rest).ok_or(Fault::Malformed("its states are cut short"))?;
    if !rest.is_empty() {
        return Err(Fault::Malformed("there are bytes behind its sections"));
    }
    let changes = take_u32(&mut states).ok_or(Fault::Malformed("its states are cut short"))?;
    let mut unread = states;
    for _ in 0..changes {
        StateRef::take(&mut unread).ok_or(Fault::Malformed("its states are cut short"))?;
    }
    if !unread.is_empty() {
        return Err(Fault::Malformed("there are bytes behind its states"));
    }
    let lines = text_of(sections.lines)?;
    *leaves = sections.leaves;
    let place = (HEADER + payload.len() - states.len()) as u64;
    Ok((header, Record { first: header.first, place, lines, leaves, changes, states }))
}

/// The lines of the record at the start of `bytes`, and nothing looked at but what it takes
/// to find them: neither its checksum nor the record before it.
pub(super) fn lines_only(bytes: &[u8]) -> Result<&str, Fault> {
    let (_, mut payload) = take_apart(bytes)?;
    text_of(take_long(&mut payload).ok_or(Fault::Checksum)?)
}

/// The header and the payload of the record at the start of `bytes`.
fn take_apart(bytes: &[u8]) -> Result<(Header, &[u8]), Fault> {
    let header = Header::parse(bytes)?;
    let need = HEADER + header.payload;
    let payload = bytes.get(HEADER..need).ok_or(Fault::Short { have: bytes.len() as u64, need: need as u64 })?;
    Ok((header, payload))
}

fn text_of(lines: &[u8]) -> Result<&str, Fault> {
    str::from_utf8(lines).map_err(|_| Fault::Malformed("a line is not UTF-8"))
}
