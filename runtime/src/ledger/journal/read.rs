//! Reading what is durable, beside the writer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::record::{Checksum, HEADER, Header, lines_only, parse};
use super::{Fault, Index, Place, ReadError, path_of};
use crate::ledger::storage::{File, Storage};

/// Records that are kept for whoever asks for another entry of them.
const CACHED_RECORDS: usize = 4;

/// Larger records are not kept.
const CACHED_BYTES_MAX: usize = 8 << 20;

/// Reads what is durable, beside the writer. Cheap to clone; may be used by several
/// threads at once. Goes on working when the writer has failed.
///
/// Every record's checksum is checked when it is read, so a disk that changes its
/// mind later is noticed; but by [`Reader::scan_unchecked`].
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) index: Arc<RwLock<Index>>,
    /// The records that were asked for last, the latest at the end.
    cache: Arc<Mutex<VecDeque<Arc<Lines>>>>,
}

/// The lines of one record.
#[derive(Debug)]
struct Lines {
    first: u64,
    text: String,
    /// Where each line ends in the text, and how long the text is.
    ends: Vec<u32>,
}

impl Lines {
    fn has(&self, sequence: u64) -> bool {
        sequence >= self.first && sequence - self.first < self.ends.len() as u64
    }

    fn get(&self, sequence: u64) -> Option<&str> {
        let at = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        let end = *self.ends.get(at)? as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize + 1 };
        self.text.get(start..end)
    }
}

impl Reader {
    pub(super) fn new(storage: Arc<dyn Storage>, index: Arc<RwLock<Index>>) -> Self {
        Reader { storage, index, cache: Arc::default() }
    }

    /// Sequence after the last durable entry.
    pub fn next(&self) -> u64 {
        self.index.read().unwrap_or_else(PoisonError::into_inner).next
    }

    /// Shows the lines of some entries, without their `\n`. The sequences are
    /// ascending, and each record that one is in is read once, and kept for a while.
    /// Stops at the first that cannot be read.
    pub fn read_many(&self, sequences: &[u64], mut visit: impl FnMut(u64, &str)) -> Result<(), ReadError> {
        let mut lines: Option<Arc<Lines>> = None;
        for sequence in sequences.iter().copied() {
            if lines.as_ref().is_none_or(|lines| !lines.has(sequence)) {
                lines = Some(self.lines_of(sequence)?);
            }
            if let Some(line) = lines.as_ref().and_then(|lines| lines.get(sequence)) {
                visit(sequence, line);
            }
        }
        Ok(())
    }

    /// The lines from a sequence on, without their `\n`, with their sequences. Ends
    /// behind what is durable at that time, and goes on if asked again later; after
    /// an error it has ended for good. Holds one record and one open file.
    pub fn scan(&self, from: u64) -> Scan {
        Scan { seek: Seek::of(self), next: from.max(1), lines: None, failed: false }
    }

    /// The same without looking whether what is read is what was written: for sums that
    /// nothing rests on, which would cost as much as writing does otherwise.
    pub fn scan_unchecked(&self, from: u64) -> Scan {
        Scan { seek: Seek { checks: false, ..Seek::of(self) }, ..self.scan(from) }
    }

    /// The record that an entry is in, from the cache or from the disk.
    fn lines_of(&self, sequence: u64) -> Result<Arc<Lines>, ReadError> {
        let cache = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut cache = cache();
            if let Some(at) = cache.iter().position(|lines| lines.has(sequence))
                && let Some(lines) = cache.remove(at)
            {
                cache.push_back(lines.clone());
                return Ok(lines);
            }
        }
        let mut seek = Seek::of(self);
        let lines = seek.lines(sequence)?.ok_or_else(|| ReadError::Unknown { sequence, last: self.next() - 1 })?;
        if lines.text.len() <= CACHED_BYTES_MAX {
            let mut cache = cache();
            if cache.len() == CACHED_RECORDS {
                cache.pop_front();
            }
            cache.push_back(lines.clone());
        }
        Ok(lines)
    }

    /// Where to begin reading for an entry, if it is durable.
    fn find(&self, sequence: u64) -> Option<Cursor> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        if sequence == 0 || sequence >= index.next {
            return None;
        }
        let at = index.segments.partition_point(|segment| segment.points.first().is_some_and(|point| point.first <= sequence));
        let segment = index.segments.get(at.checked_sub(1)?)?;
        let at = segment.points.partition_point(|point| point.first <= sequence);
        let point = segment.points.get(at.checked_sub(1)?)?;
        Some(Cursor { segment: segment.first, offset: point.offset, end: segment.end, before: point.before })
    }
}

/// Where in the journal somebody reads.
#[derive(Debug)]
struct Cursor {
    segment: u64,
    offset: u64,
    end: u64,
    before: Checksum,
}

/// Reads records, one behind the other where it can.
#[derive(Debug)]
struct Seek {
    reader: Reader,
    /// The open segment and the record to read next.
    place: Option<(Box<dyn File>, Cursor)>,
    /// Whether checksums are.
    checks: bool,
}

impl Seek {
    fn of(reader: &Reader) -> Self {
        Seek { reader: reader.clone(), place: None, checks: true }
    }

    /// The lines of the record that an entry is in, which is not one before the last
    /// that was read. `None` if it is not durable yet.
    fn lines(&mut self, sequence: u64) -> Result<Option<Arc<Lines>>, ReadError> {
        // Where the last record ended the next one begins, unless that is beyond what
        // was durable when the place was looked up, or in the next segment.
        let mut looked_up = false;
        loop {
            let Some((file, cursor)) = self.place.as_mut().filter(|(_, cursor)| cursor.offset < cursor.end) else {
                let Some(cursor) = self.reader.find(sequence) else { return Ok(None) };
                let path = path_of(cursor.segment);
                if looked_up {
                    // The index says that the entry is there, and no header does.
                    let place = Place { file: path, offset: cursor.offset };
                    return Err(ReadError::Damaged { place, fault: Fault::Missing(sequence) });
                }
                looked_up = true;
                let file = self.reader.storage.open(&path, false).map_err(|source| ReadError::Io { path, doing: "opening", source })?;
                self.place = Some((file, cursor));
                continue;
            };
            let place = Place { file: path_of(cursor.segment), offset: cursor.offset };
            let damaged = |fault| ReadError::Damaged { place: place.clone(), fault };
            let io = |source| ReadError::Io { path: place.file.clone(), doing: "reading", source };

            let mut bytes = vec![0; HEADER];
            let read = file.read_at(cursor.offset, &mut bytes).map_err(io)?;
            let header = Header::parse(&bytes[..read]).map_err(damaged)?;
            let len = HEADER + header.payload;
            let end = cursor.offset + len as u64;
            if end > cursor.end {
                return Err(damaged(Fault::Short { have: cursor.end - cursor.offset, need: len as u64 }));
            }
            let before = cursor.before;
            (cursor.offset, cursor.before) = (end, header.checksum);
            if header.first.saturating_add(u64::from(header.count)) <= sequence {
                // Not the one. If its header lies, the one that follows will not fit.
                continue;
            }
            bytes.resize(len, 0);
            let read = file.read_at(place.offset, &mut bytes).map_err(io)?;
            let (bytes, mut leaves) = (&bytes[..read], Vec::new());
            let text = match self.checks {
                true => parse(bytes, &before, header.first, &mut leaves).map(|(_, record)| record.lines),
                false => lines_only(bytes),
            };
            let text = text.map_err(damaged)?.to_string();
            if header.first > sequence {
                return Err(damaged(Fault::Sequence { expected: sequence, found: header.first }));
            }
            let ends = memchr::memchr_iter(b'\n', text.as_bytes()).map(|end| end as u32).collect();
            return Ok(Some(Arc::new(Lines { first: header.first, text, ends })));
        }
    }
}

/// Lines of the journal, in order.
#[derive(Debug)]
pub(crate) struct Scan {
    seek: Seek,
    next: u64,
    /// The record that the next line is in, unless it is in the one behind.
    lines: Option<Arc<Lines>>,
    failed: bool,
}

impl Scan {
    fn line(&mut self) -> Result<Option<(u64, String)>, ReadError> {
        if self.lines.as_ref().is_none_or(|lines| !lines.has(self.next)) {
            self.lines = self.seek.lines(self.next)?;
        }
        let Some(line) = self.lines.as_ref().and_then(|lines| lines.get(self.next)) else { return Ok(None) };
        let item = (self.next, line.to_string());
        self.next += 1;
        Ok(Some(item))
    }
}

impl Iterator for Scan {
    type Item = Result<(u64, String), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let line = self.line().transpose()?;
        self.failed = line.is_err();
        Some(line)
    }
}

#[cfg(test)]
impl Reader {
    /// The line of an entry, without its `\n`.
    pub fn read(&self, sequence: u64) -> Result<String, ReadError> {
        let mut found = String::new();
        self.read_many(&[sequence], |_, line| found = line.to_string())?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::faulty::Faulty;
    use crate::ledger::journal::{Batch, Durability, Journal};
    use crate::ledger::tree::leaf_hash;

    /// A journal of records of this many entries each.
    fn journal(disk: &Faulty, records: u64, entries: u64) -> Journal {
        let (mut journal, _) = Journal::open(Arc::new(disk.clone()), 0, u64::MAX, Durability::Sync, &mut |_, _| Ok(())).expect("opens");
        for record in 0..records {
            let mut batch = Batch { first: record * entries + 1, ..Batch::default() };
            for sequence in batch.first..batch.first + entries {
                let line = format!("entry {sequence}");
                batch.leaves.push(leaf_hash(line.as_bytes()));
                batch.lines.extend_from_slice(line.as_bytes());
                batch.lines.push(b'\n');
            }
            journal.append(&batch).and_then(|()| journal.commit()).expect("committed");
        }
        journal
    }

    /// How many records were read: for each, its segment is opened once.
    fn reads(disk: &Faulty, from: usize) -> usize {
        disk.operations()[from..].iter().filter(|what| what.starts_with("open")).count()
    }

    #[test]
    fn a_record_is_read_once_for_all_that_is_wanted_of_it() {
        let disk = Faulty::new(0);
        let reader = journal(&disk, 10, 50).reader();
        let from = disk.operations().len();
        let wanted: Vec<u64> = (1..=500).filter(|sequence| sequence % 7 < 3 && !(100..300).contains(sequence)).collect();
        let mut seen = Vec::new();
        reader.read_many(&wanted, |sequence, line| seen.push((sequence, line.to_string()))).expect("readable");
        assert_eq!(seen, wanted.iter().map(|sequence| (*sequence, format!("entry {sequence}"))).collect::<Vec<_>>());
        assert_eq!(reads(&disk, from), 6, "of ten records four have nothing that is wanted");
        let mut before = Vec::new();
        let error = reader.read_many(&[499, 500, 501], |sequence, _| before.push(sequence)).expect_err("there is no 501");
        assert!(matches!(error, ReadError::Unknown { sequence: 501, last: 500 }), "{error}");
        assert_eq!(before, [499, 500]);
    }

    #[test]
    fn the_records_asked_for_last_are_kept() {
        let disk = Faulty::new(0);
        let reader = journal(&disk, CACHED_RECORDS as u64 + 1, 3).reader();
        let count = |sequence: u64| {
            let from = disk.operations().len();
            assert_eq!(reader.clone().read(sequence).expect("readable"), format!("entry {sequence}"));
            reads(&disk, from)
        };
        assert_eq!([1, 2, 3, 4, 1, 7, 10].map(count), [1, 0, 0, 1, 0, 1, 1]);
        assert_eq!(count(13), 1, "one more than are kept");
        assert_eq!([1, 13].map(count), [0, 0], "what was asked for lately stays");
        assert_eq!(count(4), 1, "what was not goes");
    }

    #[test]
    fn du_08_reading_fails_and_is_tried_again() {
        let disk = Faulty::new(0);
        let reader = journal(&disk, 3, 3).reader();
        for operation in 0.. {
            disk.fail(disk.operations().len() + operation, crate::ledger::faulty::Failure::Before);
            let read = reader.read(5);
            assert!(read.is_err() || operation > 2, "{read:?}");
            if read.is_ok() {
                break;
            }
        }
        assert_eq!(reader.read(5).expect("readable"), "entry 5");
    }
}
