//! Reading what is durable, beside the writer.

use std::sync::{Arc, PoisonError, RwLock};

use super::record::{Checksum, HEADER, Header, LINES, parse};
use super::{FOLDER, Fault, Index, Place, ReadError, path_of};
use crate::ledger::storage::{File, Storage};

/// Reads what is durable, beside the writer. Cheap to clone; may be used by several
/// threads at once. Goes on working when the writer has failed.
///
/// Every record's checksum is checked when it is read, so a disk that changes its
/// mind later is noticed.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) index: Arc<RwLock<Index>>,
}

impl Reader {
    /// Sequence after the last durable entry.
    pub fn next(&self) -> u64 {
        self.index.read().unwrap_or_else(PoisonError::into_inner).next
    }

    /// The lines from a sequence on, without their `\n`, with their sequences. Ends
    /// behind what is durable at that time, and goes on if asked again later; after
    /// an error it has ended for good. Holds one record and one open file.
    pub fn scan(&self, from: u64) -> Scan {
        Scan { reader: self.clone(), next: from.max(1), place: None, lines: Vec::new(), given: 0, record: None, failed: false }
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

/// Lines of the journal, in order.
#[derive(Debug)]
pub(crate) struct Scan {
    reader: Reader,
    next: u64,
    /// The open segment and the record to read next.
    place: Option<(Box<dyn File>, Cursor)>,
    /// Lines that were read and not given out yet, and the record that they are of.
    lines: Vec<u8>,
    given: usize,
    record: Option<Place>,
    failed: bool,
}

impl Scan {
    /// Goes on with this entry, which must not be before the one that comes next. What
    /// is read already is used.
    pub fn seek(&mut self, sequence: u64) {
        while self.next < sequence && self.given < self.lines.len() {
            let rest = &self.lines[self.given..];
            let len = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            self.given += len;
            self.next += 1;
        }
        if self.next < sequence {
            (self.next, self.place) = (sequence, None);
        }
    }

    /// Reads the record that the next line is in. `None` if it is not durable yet.
    fn load(&mut self) -> Result<Option<()>, ReadError> {
        // Where the last record ended the next one begins, unless that is beyond what
        // was durable when the place was looked up, or in the next segment.
        let mut looked_up = false;
        loop {
            let Some((file, cursor)) = self.place.as_mut().filter(|(_, cursor)| cursor.offset < cursor.end) else {
                let Some(cursor) = self.reader.find(self.next) else { return Ok(None) };
                let path = path_of(cursor.segment);
                if looked_up {
                    // The index says that the entry is there, and no header does.
                    let place = Place { file: path, offset: cursor.offset };
                    return Err(ReadError::Damaged { place, fault: Fault::Missing(self.next) });
                }
                looked_up = true;
                let file = self.reader.storage.open(&path, false).map_err(|source| ReadError::Io { path, doing: "opening", source })?;
                self.place = Some((file, cursor));
                continue;
            };
            let path = path_of(cursor.segment);
            let place = Place { file: path.clone(), offset: cursor.offset };
            let damaged = |fault| ReadError::Damaged { place: place.clone(), fault };
            let io = |source| ReadError::Io { path: path.clone(), doing: "reading", source };

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
            if header.first.saturating_add(u64::from(header.count)) <= self.next {
                // Not the one. If its header lies, the one that follows will not fit.
                continue;
            }
            bytes.resize(len, 0);
            let read = file.read_at(place.offset, &mut bytes).map_err(io)?;
            let mut leaves = Vec::new();
            let (_, record) = parse(&bytes[..read], &before, header.first, &mut leaves).map_err(damaged)?;
            if record.first > self.next {
                return Err(damaged(Fault::Sequence { expected: self.next, found: record.first }));
            }
            let skipped: usize = record.lines().take_while(|(sequence, _)| *sequence < self.next).map(|(_, line)| line.len() + 1).sum();
            let lines = LINES..LINES + record.lines.len();
            bytes.truncate(lines.end);
            (self.lines, self.given) = (bytes, lines.start + skipped);
            self.record = Some(place);
            return Ok(Some(()));
        }
    }
}

impl Scan {
    fn line(&mut self) -> Result<Option<(u64, String)>, ReadError> {
        if self.given == self.lines.len() && self.load()?.is_none() {
            return Ok(None);
        }
        let rest = &self.lines[self.given..];
        let len = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let Ok(line) = str::from_utf8(&rest[..len]) else {
            let place = self.record.clone().unwrap_or_else(|| Place { file: FOLDER.to_string(), offset: 0 });
            return Err(ReadError::Damaged { place, fault: Fault::Malformed("a line is not UTF-8") });
        };
        let item = (self.next, line.to_string());
        self.next += 1;
        self.given = (self.given + len + 1).min(self.lines.len());
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
