//! Reading the entries of a data directory beside whoever writes to it.
//!
//! Like the check, this reads records by their description. It takes no lock and
//! changes nothing, so a server may be running on the directory. Each record's
//! checksum is held against the one before it, so what is shown is what was written;
//! that it is also what was signed, only the tree over all entries can say.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::records::{GENESIS, HEADER, JOURNAL, PREFIX, SYNCED, begins, checksum, first_of, next_record, record_at, sections, segment};
use super::{Damage, Finding, Severity};
use crate::ledger::tree::{Hash, leaf_hash};

/// The longest payload of a record (`FORMAT.md`, "A record").
const PAYLOAD_BYTES_MAX: u64 = 268_435_456;

/// An entry as it lies in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryLine {
    /// Its place in the log; the first is 1.
    pub sequence: u64,
    /// The line, without its `\n`. Its form is not checked here.
    pub line: Vec<u8>,
    /// Its leaf hash (RFC 6962, section 2.1).
    pub leaf: Hash,
}

/// The entries of a data directory from a sequence on, in order.
///
/// Ends where the journal ends at that time, and goes on if it is asked again later,
/// so that a log can be followed by asking now and then. A record that is still being
/// written is not shown; one that is written, but not durable yet, may be. After an
/// error it has ended for good.
///
/// An error is a [`Finding`] of the same kind as in a check's report.
#[derive(Debug)]
pub struct Entries {
    directory: PathBuf,
    /// The sequence that is given next.
    next: u64,
    /// Where to read on; absent before the first record was looked for.
    place: Option<Place>,
    /// The entries of a record, and how many of them were given.
    read: Vec<EntryLine>,
    given: usize,
    failed: bool,
}

/// Between two records of a segment.
#[derive(Debug)]
struct Place {
    /// The sequence in the segment's name.
    segment: u64,
    file: File,
    offset: u64,
    /// The sequence that the next record begins with.
    upcoming: u64,
    /// The checksum of the record before.
    before: [u8; 32],
    /// Whether that was left to the operating system.
    is_unsynced: bool,
}

impl Entries {
    /// The entries of this directory from `from` on; 0 is taken for 1.
    pub fn new(directory: impl Into<PathBuf>, from: u64) -> Self {
        Entries { directory: directory.into(), next: from.max(1), place: None, read: Vec::new(), given: 0, failed: false }
    }

    /// Finds the segment that has the next entry, or would have it.
    fn begin(&self) -> Result<Option<Place>, Box<Finding>> {
        let segments = segments(&self.directory)?;
        match segments.first() {
            // Made with the first entry.
            None => return Ok(None),
            Some(1) => {}
            Some(first) => return Err(finding(JOURNAL, None, Damage::Sequence { expected: 1, found: *first })),
        }
        let at = segments.partition_point(|first| *first <= self.next).saturating_sub(1);
        let (before, is_unsynced) = match at.checked_sub(1) {
            Some(before) => self.last_checksum(segments[before])?,
            None => (GENESIS, false),
        };
        self.open(segments[at], before, is_unsynced).map(Some)
    }

    fn open(&self, first: u64, before: [u8; 32], is_unsynced: bool) -> Result<Place, Box<Finding>> {
        let name = Path::new(JOURNAL).join(segment(first));
        match File::open(self.directory.join(&name)) {
            Ok(file) => Ok(Place { segment: first, file, offset: 0, upcoming: first, before, is_unsynced }),
            Err(error) => Err(finding(name, None, Damage::Unreadable(error.to_string()))),
        }
    }

    /// The checksum that the last record of a whole segment has in its header, and whether
    /// that record was left to the operating system.
    fn last_checksum(&self, first: u64) -> Result<([u8; 32], bool), Box<Finding>> {
        let mut place = self.open(first, GENESIS, false)?;
        let length = place.length()?;
        while place.offset < length {
            match place.header(length)? {
                Some(header) if header.end <= length => place.pass(&header),
                _ => return Err(place.damaged(Damage::NoRecord(length - place.offset))),
            }
        }
        Ok((place.before, place.is_unsynced))
    }

    /// Reads the record that the next entry is in; `false` if it is not there yet.
    fn load(&mut self) -> Result<bool, Box<Finding>> {
        loop {
            let Some(place) = &mut self.place else {
                self.place = self.begin()?;
                if self.place.is_none() {
                    return Ok(false);
                }
                continue;
            };
            let length = place.length()?;
            if place.offset == length {
                let Some(following) = segments(&self.directory)?.into_iter().find(|first| *first > place.segment) else {
                    return Ok(false);
                };
                // The next segment is begun when this one is whole, and then no more is
                // written to it. Its length is from before it was looked for.
                if place.offset < place.length()? {
                    continue;
                }
                if following != place.upcoming {
                    return Err(place.damaged(Damage::Sequence { expected: place.upcoming, found: following }));
                }
                let (before, is_unsynced) = (place.before, place.is_unsynced);
                self.place = Some(self.open(following, before, is_unsynced)?);
                continue;
            }
            let Some(header) = place.header(length)?.filter(|header| header.end <= length) else {
                return place.unfinished(&self.directory, length);
            };
            if header.first != place.upcoming {
                // Of a header a crash may have left zeros, so it can say less, and no more.
                if header.first < place.upcoming && place.record(&header)?.is_none() && place.is_end(&self.directory, length)? {
                    return Ok(false);
                }
                return Err(place.damaged(Damage::Sequence { expected: place.upcoming, found: header.first }));
            }
            let following = header.first.saturating_add(u64::from(header.count));
            if header.first < self.next && following <= self.next {
                // Not the one. If its header lies, the one that follows will not fit.
                place.pass(&header);
                continue;
            }
            let Some(read) = place.record(&header)? else { return place.unfinished(&self.directory, length) };
            if read.len() as u64 != u64::from(header.count) {
                return Err(place.damaged(Damage::Count { said: header.count, found: read.len() as u64 }));
            }
            place.pass(&header);
            if read.is_empty() {
                continue;
            }
            self.given = usize::try_from(self.next - header.first).unwrap_or(usize::MAX);
            self.read = read;
            return Ok(true);
        }
    }
}

/// What a record says about itself.
struct Header {
    is_synced: bool,
    first: u64,
    count: u32,
    checksum: [u8; 32],
    /// Where the record ends.
    end: u64,
}

impl Place {
    /// Goes behind a record.
    fn pass(&mut self, header: &Header) {
        (self.before, self.is_unsynced, self.offset) = (header.checksum, !header.is_synced, header.end);
        self.upcoming = header.first.saturating_add(u64::from(header.count));
    }

    fn length(&self) -> Result<u64, Box<Finding>> {
        let metadata = self.file.metadata();
        metadata.map(|metadata| metadata.len()).map_err(|error| self.damaged(Damage::Unreadable(error.to_string())))
    }

    fn damaged(&self, what: Damage) -> Box<Finding> {
        finding(Path::new(JOURNAL).join(segment(self.segment)), Some(self.offset), what)
    }

    fn bytes(&self, end: u64) -> Result<Vec<u8>, Box<Finding>> {
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(self.offset)).unwrap_or(0)];
        match self.file.read_exact_at(&mut bytes, self.offset) {
            Ok(()) => Ok(bytes),
            Err(error) => Err(self.damaged(Damage::Unreadable(error.to_string()))),
        }
    }

    /// The header of the record here, if there can be one.
    fn header(&self, length: u64) -> Result<Option<Header>, Box<Finding>> {
        if length.saturating_sub(self.offset) < PREFIX as u64 {
            return Ok(None);
        }
        let bytes = self.bytes(self.offset + PREFIX as u64)?;
        let read = |prefix: &[u8]| {
            let prefix = prefix.first_chunk::<PREFIX>().filter(|prefix| begins(*prefix))?;
            let payload = u64::from(u32::from_le_bytes(prefix[5..9].try_into().ok()?));
            Some(Header {
                is_synced: prefix[4] == SYNCED,
                first: u64::from_le_bytes(prefix[9..17].try_into().ok()?),
                count: u32::from_le_bytes(prefix[17..21].try_into().ok()?),
                checksum: prefix[HEADER..].try_into().ok()?,
                end: self.offset + PREFIX as u64 + payload,
            })
            .filter(|_| payload <= PAYLOAD_BYTES_MAX)
        };
        Ok(read(&bytes))
    }

    /// The entries of the record here; absent if its checksum does not fit.
    fn record(&self, header: &Header) -> Result<Option<Vec<EntryLine>>, Box<Finding>> {
        let bytes = self.bytes(header.end)?;
        let Some(record) = record_at(&bytes, 0) else { return Ok(None) };
        let Some(lines) = sections(&bytes[PREFIX..]) else { return Ok(None) };
        let lines = &bytes[PREFIX + lines.start..PREFIX + lines.end];
        let lines = lines.strip_suffix(b"\n").map(|lines| lines.split(|byte| *byte == b'\n')).into_iter().flatten();
        let entries: Vec<EntryLine> = (record.first..)
            .zip(lines)
            .map(|(sequence, line)| EntryLine { sequence, line: line.to_vec(), leaf: leaf_hash(line) })
            .collect();
        let leaves: Vec<Hash> = entries.iter().map(|entry| entry.leaf).collect();
        let sound = checksum(&bytes, &record, &leaves, &self.before) == record.checksum;
        Ok(sound.then_some(entries))
    }

    /// What it means that no sound record is here: one that is being written if nothing
    /// is behind it, what a power cut has taken if it was left to the operating system,
    /// and damage otherwise.
    fn unfinished(&self, directory: &Path, length: u64) -> Result<bool, Box<Finding>> {
        if self.is_end(directory, length)? {
            return Ok(false);
        }
        Err(self.damaged(match self.header(length)? {
            Some(header) => {
                let last = header.first.saturating_add(u64::from(header.count)).saturating_sub(1);
                Damage::Checksum { first: header.first, last }
            }
            None => {
                let rest = self.bytes(length)?;
                Damage::NoRecord(next_record(&rest, 1).unwrap_or(rest.len()) as u64)
            }
        }))
    }

    /// Whether nothing is behind what is here that says that it was durable.
    fn is_end(&self, directory: &Path, length: u64) -> Result<bool, Box<Finding>> {
        let rest = self.bytes(length)?;
        // Where records were not synced, only one that was says that those before it were.
        let mut behind = std::iter::successors(next_record(&rest, 1), |at| next_record(&rest, at + 1));
        let is_end = behind.all(|at| self.is_unsynced && rest[at + 4] != SYNCED);
        Ok(is_end && segments(directory)?.last() == Some(&self.segment))
    }
}

impl Iterator for Entries {
    type Item = Result<EntryLine, Box<Finding>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        if self.given >= self.read.len() {
            self.read.clear();
            self.given = 0;
            match self.load() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(finding) => {
                    self.failed = true;
                    return Some(Err(finding));
                }
            }
        }
        let entry = self.read.get_mut(self.given)?;
        self.given += 1;
        self.next = entry.sequence + 1;
        let line = std::mem::take(&mut entry.line);
        Some(Ok(EntryLine { line, ..*entry }))
    }
}

fn finding(file: impl Into<PathBuf>, offset: Option<u64>, what: Damage) -> Box<Finding> {
    Box::new(Finding { severity: Severity::Evidence, file: file.into(), offset, what })
}

/// The sequences that segments begin with, in order.
fn segments(directory: &Path) -> Result<Vec<u64>, Box<Finding>> {
    let unreadable = |error: io::Error| finding(JOURNAL, None, Damage::Unreadable(error.to_string()));
    let mut segments = Vec::new();
    for item in fs::read_dir(directory.join(JOURNAL)).map_err(unreadable)? {
        segments.extend(first_of(&item.map_err(unreadable)?.file_name()));
    }
    segments.sort_unstable();
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::super::records::MAGIC;
    use super::*;

    /// A directory with segments of records, written by their description; each number
    /// is how many entries a record has.
    fn directory(segments: &[&[u64]]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join(JOURNAL)).expect("a folder");
        let (mut before, mut next) = (GENESIS, 1);
        for records in segments {
            let (name, mut bytes) = (segment(next), Vec::new());
            for count in *records {
                let lines: Vec<String> = (next..next + count).map(line).collect();
                let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
                let length = (text.len() as u32).to_le_bytes();
                let mut record = [&MAGIC[..], &[SYNCED], &(text.len() as u32 + 10).to_le_bytes(), &next.to_le_bytes()].concat();
                record.extend_from_slice(&(*count as u32).to_le_bytes());
                let mut hasher = Sha256::new().chain_update(before).chain_update(&record).chain_update(length);
                lines.iter().for_each(|line| hasher.update(leaf_hash(line.as_bytes()).as_bytes()));
                before = hasher.chain_update(2u32.to_le_bytes()).chain_update(b"ok").finalize().into();
                bytes.extend([&record[..], &before, &length, text.as_bytes(), &2u32.to_le_bytes(), b"ok"].concat());
                next += count;
            }
            fs::write(folder.path().join(JOURNAL).join(name), bytes).expect("written");
        }
        folder
    }

    fn line(sequence: u64) -> String {
        format!("{{\"sequence\":{sequence}}}")
    }

    fn sequences(directory: &Path, from: u64) -> Result<Vec<u64>, Box<Finding>> {
        Entries::new(directory, from)
            .map(|entry| {
                let entry = entry?;
                assert_eq!((&entry.line[..], entry.leaf), (line(entry.sequence).as_bytes(), leaf_hash(line(entry.sequence).as_bytes())));
                Ok(entry.sequence)
            })
            .collect()
    }

    #[test]
    fn reading_begins_anywhere() {
        let folder = directory(&[&[3, 1, 0, 40], &[2, 0, 1], &[5]]);
        for from in 0..=53 {
            assert_eq!(sequences(folder.path(), from), Ok((from.max(1)..=52).collect()), "from {from}");
        }
        assert_eq!(sequences(directory(&[]).path(), 1), Ok(vec![]));
        assert_eq!(sequences(directory(&[&[]]).path(), 1), Ok(vec![]));
    }

    #[test]
    fn what_is_being_written_is_waited_for() {
        let (folder, following) = (directory(&[&[3], &[2, 4]]), segment(10));
        let last = folder.path().join(JOURNAL).join(segment(4));
        let whole = fs::read(&last).expect("a file");
        let cut = next_record(&whole, 1).expect("two records");
        for length in cut..whole.len() {
            fs::write(&last, &whole[..length]).expect("written");
            let mut entries = Entries::new(folder.path(), 2);
            let read = |entries: &mut Entries| entries.map(|entry| entry.map(|entry| entry.sequence)).collect::<Result<Vec<_>, _>>();
            assert_eq!(read(&mut entries), Ok(vec![2, 3, 4, 5]), "{length}");
            fs::write(&last, &whole).expect("written");
            assert_eq!(read(&mut entries), Ok(vec![6, 7, 8, 9]), "{length}");
            fs::write(folder.path().join(JOURNAL).join(&following), b"").expect("written");
            assert!(entries.next().is_none());
            fs::remove_file(folder.path().join(JOURNAL).join(&following)).expect("removed");
        }
    }

    #[test]
    fn zeros_for_what_a_power_cut_took_are_waited_for_too() {
        let folder = directory(&[&[3], &[2, 4]]);
        let last = folder.path().join(JOURNAL).join(segment(4));
        let whole = fs::read(&last).expect("a file");
        let cut = next_record(&whole, 1).expect("two records");
        for from in cut..whole.len() - 1 {
            let mut torn = whole.clone();
            torn[from..].fill(0);
            fs::write(&last, &torn).expect("written");
            let mut entries = Entries::new(folder.path(), 6);
            assert!(entries.next().is_none(), "{}", from - cut);
            assert_eq!(sequences(folder.path(), 2), Ok(vec![2, 3, 4, 5]), "{}", from - cut);
            fs::write(&last, &whole).expect("written");
            let read: Result<Vec<u64>, _> = entries.map(|entry| entry.map(|entry| entry.sequence)).collect();
            assert_eq!(read, Ok(vec![6, 7, 8, 9]), "{}", from - cut);
        }
    }

    #[test]
    fn damage_is_an_error_and_what_is_before_it_is_shown() {
        let folder = directory(&[&[3, 1], &[2, 4]]);
        let first = folder.path().join(JOURNAL).join(segment(1));
        let good = fs::read(&first).expect("a file");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&first, bad).expect("written");
            let mut entries = Entries::new(folder.path(), 1);
            let shown: Vec<_> = entries.by_ref().map_while(Result::ok).collect();
            assert!(shown.len() == 3 || shown.is_empty(), "byte {at}");
            assert!(entries.next().is_none(), "it has ended for good");
            assert!(sequences(folder.path(), 1).is_err(), "byte {at}");
        }
        fs::remove_file(&first).expect("removed");
        assert!(sequences(folder.path(), 1).is_err() && sequences(folder.path(), 5).is_err());
        let folder = directory(&[&[3], &[2], &[4]]);
        fs::remove_file(folder.path().join(JOURNAL).join(segment(4))).expect("removed");
        let finding = sequences(folder.path(), 1).expect_err("entries are missing");
        assert_eq!(finding.what, Damage::Sequence { expected: 4, found: 6 });
    }
}
