//! Checks a data directory from its files alone, as an auditor does: nothing that the
//! runtime says about itself is believed.
//!
//! The records of the journal are read here by their description and not with the
//! journal's own reader, which stops at the first damage and may share a mistake with
//! the writer. Here everything is read that can be, and every damage is a
//! [`Finding`] with its file and offset.
//!
//! What it finds: any change in the journal, the checkpoints, the keys and the
//! tiles, and in what is kept of events. What it cannot find alone: a log rewritten as a whole by somebody who holds
//! its key, or cut back to an older state of all its files. For that it is given a
//! checkpoint that was kept elsewhere ([`Verifier::since`]), or witnesses' keys.
//!
//! Files of other rooms in the directory are not looked at, nor is the lock.

mod contents;
mod entries;
mod records;
mod releases;
mod report;
#[cfg(test)]
pub(super) mod tests;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io, thread};

use super::checkpoint::{Checkpoint, Frames, OpenError};
use super::keys::parse_seed;
use super::limits::Durability;
use super::note::{Algorithm, KeyError, Note, SignerKey, VerifierKey};
use super::tree::{Hash, TILE_BYTES, TILES, TileFiles, TileId, TileKind, TileStore, Tree};
use super::{blobs, kept, storage};
use crate::digest::Digest;
use records::{Chain, Checked, Echoed, GENESIS, JOURNAL, MAGIC, Record, SYNCED, check_all, check_line, checksum, cut, first_of, segment};

pub use super::entry::Subject;
pub use entries::{Entries, EntryLine};
pub use report::{Damage, Finding, Report, Severity, Tally};

/// The whole of the file `FORMAT`.
const FORMAT: &str = "ephor data 1\n";

/// The largest segment that is read: they are closed at 64 MiB, but one record may
/// go beyond.
const MAX_SEGMENT: u64 = 1 << 30;

/// How many findings are kept; more are counted.
const MAX_FINDINGS: usize = 10_000;

/// Checks a data directory under the key that is in it.
pub fn verify(directory: &Path) -> Report {
    Verifier::new(directory).run()
}

/// Checks that a line, without its `\n`, is the entry of this sequence, in the one form
/// that an entry has. For entries that came from elsewhere than a data directory. Says
/// what it is about.
///
/// # Errors
///
/// What is wrong with it.
pub fn check_entry(line: &[u8], sequence: u64) -> Result<Subject, Damage> {
    check_line(line, sequence, false, &mut Vec::with_capacity(line.len())).map(|entry| entry.subject())
}

/// Called with the bytes of the journal that are done, and all of them.
type Progress<'p> = Box<dyn FnMut(u64, u64) + 'p>;

/// A check of a data directory.
pub struct Verifier<'p> {
    directory: PathBuf,
    key: Option<VerifierKey>,
    witnesses: Vec<VerifierKey>,
    since: Vec<(PathBuf, Vec<u8>)>,
    threads: usize,
    /// Whether what is kept of events may be elsewhere.
    without_events: bool,
    progress: Option<Progress<'p>>,
}

impl fmt::Debug for Verifier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("directory", &self.directory).field("key", &self.key).finish_non_exhaustive()
    }
}

impl<'p> Verifier<'p> {
    /// A check under the key in the directory, on all processors.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        Verifier {
            directory: directory.into(),
            key: None,
            witnesses: Vec::new(),
            since: Vec::new(),
            threads,
            without_events: false,
            progress: None,
        }
    }

    /// The log's key as the caller knows it. Without it the directory vouches for
    /// itself: whoever rewrote all of it would have put in a key of their own.
    pub fn key(mut self, key: VerifierKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Keys of witnesses, whose cosignatures are then checked.
    pub fn witnesses(mut self, keys: impl IntoIterator<Item = VerifierKey>) -> Self {
        self.witnesses.extend(keys);
        self
    }

    /// A signed checkpoint that was kept elsewhere: the log has to extend it. `name`
    /// stands in findings.
    pub fn since(mut self, name: impl Into<PathBuf>, checkpoint: Vec<u8>) -> Self {
        self.since.push((name.into(), checkpoint));
        self
    }

    /// How many threads check entries; at least one.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// For a copy that was made without the content of events: that it is not there is no
    /// finding then.
    pub fn without_events(mut self) -> Self {
        self.without_events = true;
        self
    }

    /// Who is told how far the check is, once a segment.
    pub fn progress(mut self, progress: impl FnMut(u64, u64) + 'p) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// Checks everything.
    pub fn run(self) -> Report {
        let mut check = Check { verifier: self, report: Report::default(), targets: BTreeMap::new(), promised: BTreeMap::new() };
        check.strangers();
        let key = check.identity();
        check.checkpoints(key.as_ref());
        let tree = check.journal();
        check.tiles(tree);
        check.releases();
        check.contents();
        check.report
    }
}

/// A root that was signed, and where.
struct Target {
    root: Hash,
    file: PathBuf,
    offset: Option<u64>,
}

/// The tree as far as the entries are known, and the comparison with the tiles.
struct Grown {
    tree: Tree<Compare>,
    /// The entry from which on entries are missing.
    broken: Option<u64>,
}

struct Check<'p> {
    verifier: Verifier<'p>,
    report: Report,
    /// Signed roots by size.
    targets: BTreeMap<u64, Vec<Target>>,
    /// Entries that a verdict event is to come behind, with its digest.
    promised: BTreeMap<u64, Digest>,
}

impl Check<'_> {
    fn find(&mut self, severity: Severity, file: impl Into<PathBuf>, offset: Option<u64>, what: Damage) {
        if self.report.findings.len() < MAX_FINDINGS {
            self.report.findings.push(Finding { severity, file: file.into(), offset, what });
        } else {
            self.report.more += 1;
        }
    }

    /// A file of the directory; `None` if it is not there or, as a finding, cannot be
    /// read.
    fn read(&mut self, name: &str) -> Option<Vec<u8>> {
        match fs::read(self.verifier.directory.join(name)) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.find(Severity::Evidence, name, None, Damage::Unreadable(error.to_string()));
                None
            }
        }
    }

    /// What nothing of ours put into the directory.
    fn strangers(&mut self) {
        const OURS: [&str; 12] = [
            "FORMAT",
            "lock",
            "ledger.key",
            "ledger.pub",
            "journal",
            "checkpoint",
            "checkpoints",
            TILES,
            blobs::FOLDER,
            kept::FOLDER,
            "publishers",
            "backtests",
        ];
        let items = match fs::read_dir(&self.verifier.directory) {
            Ok(items) => items,
            Err(error) => return self.find(Severity::Evidence, "", None, Damage::Unreadable(error.to_string())),
        };
        for name in items.filter_map(|item| Some(item.ok()?.file_name())) {
            let text = name.to_str().unwrap_or_default();
            if OURS.contains(&text) {
                continue;
            }
            // A crash leaves a file on its way to replace another.
            let half = text.strip_suffix(storage::NEW).is_some_and(|text| OURS.contains(&text));
            let severity = if half { Severity::Unfinished } else { Severity::Evidence };
            self.find(severity, name, None, Damage::Unexpected);
        }
    }

    /// `FORMAT` and the keys. Gives the key that checkpoints have to be signed with.
    fn identity(&mut self) -> Option<VerifierKey> {
        match self.read("FORMAT") {
            Some(format) if format == FORMAT.as_bytes() => {}
            Some(_) => self.find(Severity::Evidence, "FORMAT", None, Damage::Format),
            None => self.find(Severity::Evidence, "FORMAT", None, Damage::Missing),
        }
        let stated = match self.read("ledger.pub") {
            Some(bytes) => {
                let text = std::str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix('\n'));
                let key = text.ok_or(KeyError::Form).and_then(VerifierKey::parse);
                let key = key.and_then(|key| {
                    if key.algorithm() == Algorithm::Ed25519 { Ok(key) } else { Err(KeyError::Algorithm(key.algorithm() as u8)) }
                });
                key.map_err(|error| self.find(Severity::Evidence, "ledger.pub", None, Damage::Key(error))).ok()
            }
            None => {
                self.find(Severity::Evidence, "ledger.pub", None, Damage::Missing);
                None
            }
        };
        // An auditor's copy has no secret. Where it is, it has to be the right one:
        // otherwise the next checkpoint would be signed with another key.
        if let (Some(bytes), Some(stated)) = (self.read("ledger.key"), &stated) {
            let seed = parse_seed(&bytes);
            let key = seed.and_then(|seed| SignerKey::new(stated.name(), Algorithm::Ed25519, &seed).ok());
            if key.is_none_or(|key| key.verifier() != stated) {
                self.find(Severity::Evidence, "ledger.key", None, Damage::Secret);
            }
        }
        let key = match (self.verifier.key.clone(), stated) {
            (Some(trusted), Some(stated)) if trusted != stated => {
                let what = Damage::OtherKey { found: stated.to_string(), expected: trusted.to_string() };
                self.find(Severity::Evidence, "ledger.pub", None, what);
                Some(trusted)
            }
            (trusted, stated) => trusted.or(stated),
        };
        self.report.origin = key.as_ref().map(|key| key.name().to_string());
        key
    }

    /// The history of checkpoints, the latest one, and those that the caller kept.
    fn checkpoints(&mut self, key: Option<&VerifierKey>) {
        const HISTORY: &str = "checkpoints";
        // In this order: a server that is running writes the history first, so what was
        // the latest one a moment ago is in it.
        let latest = self.read("checkpoint");
        let history = self.read(HISTORY).unwrap_or_default();
        let mut last: [Option<&[u8]>; 2] = [None, None];
        let (mut size, mut torn) = (0, false);
        for frame in Frames::new(&history) {
            let frame = match frame {
                Ok(frame) => frame,
                Err(bad) => {
                    let severity = if bad.torn { Severity::Unfinished } else { Severity::Evidence };
                    torn |= bad.torn;
                    self.find(severity, HISTORY, Some(bad.offset as u64), Damage::Frame(bad.what));
                    continue;
                }
            };
            last = [last[1], Some(frame.note)];
            let offset = Some(frame.offset as u64);
            let Some(checkpoint) = self.checkpoint(frame.note, key, HISTORY, offset) else { continue };
            self.report.checkpoints += 1;
            self.report.unsynced_checkpoints += u64::from(checkpoint.durability() == Durability::Os);
            if checkpoint.size < size {
                self.find(Severity::Evidence, HISTORY, offset, Damage::Shrinks { old: size, new: checkpoint.size });
            }
            size = checkpoint.size;
            self.report.signed = self.report.signed.max(size);
        }
        match (latest, last) {
            (None, [_, None]) => {}
            (None, [_, Some(_)]) => {
                // Without it nobody can tell whether what is torn was ever whole.
                let severity = if torn { Severity::Evidence } else { Severity::Derived };
                self.find(severity, "checkpoint", None, Damage::Missing);
            }
            (Some(latest), [_, Some(end)]) if latest == end => {}
            (Some(latest), [before, end]) => {
                // A crash between the two files leaves the one before, or its
                // signatures as they were before a witness's came.
                let readable = self.checkpoint(&latest, key, "checkpoint", None).is_some();
                let text = |bytes: &[u8]| Note::parse(bytes).ok().map(|note| note.text().to_string());
                let behind = readable && (Some(latest.as_slice()) == before || end.is_some_and(|end| text(end) == text(&latest)));
                if behind {
                    self.find(Severity::Unfinished, "checkpoint", None, Damage::Behind);
                } else {
                    self.find(Severity::Evidence, "checkpoint", None, Damage::NotInHistory);
                }
            }
        }
        for (name, bytes) in std::mem::take(&mut self.verifier.since) {
            self.checkpoint(&bytes, key, &name, None);
        }
    }

    /// Checks the signatures of a checkpoint and notes its root down, to be compared
    /// with the entries. Without a key its root is compared all the same.
    fn checkpoint(&mut self, bytes: &[u8], key: Option<&VerifierKey>, file: impl AsRef<Path>, offset: Option<u64>) -> Option<Checkpoint> {
        let opened = match key {
            Some(key) => Checkpoint::open(bytes, key),
            None => Note::parse(bytes).map_err(OpenError::from).and_then(|note| Ok((Checkpoint::parse(note.text())?, note))),
        };
        let cosigned = opened.and_then(|(checkpoint, note)| Ok((note.signers(&self.verifier.witnesses)?, checkpoint)));
        match cosigned {
            Ok((signed, checkpoint)) => {
                self.report.witnessed(signed.iter().map(|signed| signed.key.name()), checkpoint.size);
                let target = Target { root: checkpoint.root, file: file.as_ref().to_path_buf(), offset };
                self.targets.entry(checkpoint.size).or_default().push(target);
                Some(checkpoint)
            }
            Err(error) => {
                self.find(Severity::Evidence, file.as_ref(), offset, Damage::Checkpoint(error));
                None
            }
        }
    }

    /// The journal: its records, its entries, and the tree over them.
    fn journal(&mut self) -> Grown {
        let compare = Compare::new(&self.verifier.directory, self.report.signed);
        let mut grown = Grown { tree: Tree::new(compare), broken: None };
        self.reach(&grown);
        let segments = self.segments();
        let total: u64 = segments.iter().map(|(_, _, length)| length).sum();
        let mut done = 0;
        let mut chain = Chain { stored: vec![GENESIS], computed: None, next: 1, is_unsynced: false };
        for (place, (named, name, length)) in segments.iter().enumerate() {
            let file = Path::new(JOURNAL).join(name);
            let is_last = place + 1 == segments.len();
            if *length > MAX_SEGMENT {
                self.find(Severity::Evidence, &file, None, Damage::TooLarge(*length));
                chain.stored.clear();
            } else {
                match fs::read(self.verifier.directory.join(&file)) {
                    Ok(bytes) => self.segment(&bytes, *named, &file, is_last, &mut chain, &mut grown),
                    Err(error) => self.find(Severity::Evidence, &file, None, Damage::Unreadable(error.to_string())),
                }
            }
            self.report.segments += 1;
            done += length;
            if let Some(progress) = &mut self.verifier.progress {
                progress(done, total);
            }
        }
        self.report.root = grown.broken.is_none().then(|| grown.tree.root());
        // What was signed and is beyond the entries that are there, or behind a gap.
        let entries = self.report.entries;
        for (size, targets) in std::mem::take(&mut self.targets) {
            for target in targets {
                let what = match grown.broken {
                    Some(broken) => Damage::Uncheckable(broken),
                    None => Damage::CutBack { size, entries },
                };
                self.find(Severity::Evidence, target.file, target.offset, what);
            }
        }
        grown
    }

    /// The segments in order: the sequence in the name, the name, the length.
    fn segments(&mut self) -> Vec<(u64, String, u64)> {
        let mut segments = Vec::new();
        let folder = match fs::read_dir(self.verifier.directory.join(JOURNAL)) {
            Ok(folder) => folder,
            Err(error) => {
                let missing = error.kind() == io::ErrorKind::NotFound;
                self.find(Severity::Evidence, JOURNAL, None, if missing { Damage::Missing } else { Damage::Unreadable(error.to_string()) });
                return segments;
            }
        };
        for item in folder {
            let read = item.and_then(|item| Ok((item.file_name(), item.metadata()?)));
            let (name, metadata) = match read {
                Ok(read) => read,
                Err(error) => {
                    self.find(Severity::Evidence, JOURNAL, None, Damage::Unreadable(error.to_string()));
                    continue;
                }
            };
            match first_of(&name).filter(|_| metadata.is_file()) {
                Some(first) => segments.push((first, segment(first), metadata.len())),
                None => self.find(Severity::Evidence, Path::new(JOURNAL).join(&name), None, Damage::Unexpected),
            }
        }
        segments.sort_unstable();
        segments
    }

    /// One segment: cut into records, checked by all threads, put together in order.
    fn segment(&mut self, bytes: &[u8], named: u64, file: &Path, is_last: bool, chain: &mut Chain, grown: &mut Grown) {
        // Where what a crash left begins: a segment that was just begun has nothing.
        let mut end = bytes.is_empty().then_some(0);
        let before = chain.stored.clone();
        let (mut records, mut gaps) = cut(bytes, &mut chain.stored);
        let mut checked = check_all(bytes, &records, self.verifier.threads);
        if is_last && let Some(lost) = self.lost(bytes, &records, &checked, &gaps, chain) {
            self.find(Severity::Unfinished, file, Some(lost as u64), Damage::Lost((bytes.len() - lost) as u64));
            let kept = records.partition_point(|record| record.offset < lost);
            records.truncate(kept);
            checked.truncate(kept);
            gaps.clear();
            chain.stored = records.last().map_or(before, |record| vec![record.checksum]);
            end = Some(lost);
        }
        // At the end of the journal, what cannot be read is what a crash leaves.
        if is_last && gaps.last().is_some_and(|gap| gap.end == bytes.len()) {
            let gap = gaps.pop().unwrap_or_default();
            self.find(Severity::Unfinished, file, Some(gap.start as u64), Damage::Torn((gap.end - gap.start) as u64));
            end = Some(gap.start);
        }
        for gap in gaps {
            self.find(Severity::Evidence, file, Some(gap.start as u64), Damage::NoRecord((gap.end - gap.start) as u64));
        }
        for (record, mut checked) in records.iter().zip(checked) {
            // If the checksum before was itself what was changed, this record is held
            // against the one that should stand there.
            checked.matches = checked.matches
                || chain.computed.is_some_and(|previous| checksum(bytes, record, &checked.leaves, &previous) == record.checksum);
            let at_end = is_last && record.payload.end == bytes.len();
            // Of its header a crash may have left zeros, so it can say less, and no more.
            if at_end && !checked.matches && record.first <= chain.next {
                let there = (bytes.len() - record.offset) as u64;
                self.find(Severity::Unfinished, file, Some(record.offset as u64), Damage::Torn(there));
                end = Some(record.offset);
                break;
            }
            if record.offset == 0 && record.first != named {
                self.find(Severity::Evidence, file, Some(0), Damage::SegmentName { named, found: record.first });
            }
            self.record(record, checked, file, chain, grown);
        }
        if end == Some(0) && named != chain.next {
            self.find(Severity::Evidence, file, None, Damage::SegmentName { named, found: chain.next });
        }
        // In memory are the tiles of one segment, no more. This store does not fail: it
        // notes down what it cannot read.
        let _ = grown.tree.flush();
    }

    /// Where in the last segment what a power cut has taken begins, if that can be what is
    /// wrong with it: behind a record that was left to the operating system, and behind
    /// all that is signed. A sound record that was synced was only written when all before
    /// it was durable.
    fn lost(&self, bytes: &[u8], records: &[Record], checked: &[Checked], gaps: &[Range<usize>], chain: &Chain) -> Option<usize> {
        let bad = records.iter().zip(checked).find(|(_, checked)| !checked.matches).map(|(record, _)| record.offset);
        let lost = bad.into_iter().chain(gaps.first().map(|gap| gap.start)).min()?;
        let kept = records.partition_point(|record| record.offset < lost);
        let is_unsynced = records[..kept].last().map_or(chain.is_unsynced, |record| !record.is_synced);
        let next = checked[..kept].iter().fold(chain.next, |next, checked| next + checked.leaves.len() as u64);
        let is_refused = records[kept..].iter().zip(&checked[kept..]).any(|(record, checked)| record.is_synced && checked.matches);
        let says_synced = bytes[lost..].starts_with(&[&MAGIC[..], &[SYNCED]].concat());
        (is_unsynced && !says_synced && !is_refused && next > self.report.signed).then_some(lost)
    }

    /// Takes over what is known of the next record.
    fn record(&mut self, record: &Record, checked: Checked, file: &Path, chain: &mut Chain, grown: &mut Grown) {
        let offset = Some(record.offset as u64);
        let found = checked.leaves.len() as u64;
        let matches = checked.matches;
        chain.computed = (!matches).then_some(checked.computed);
        if !matches {
            let last = record.first.saturating_add(u64::from(record.count)).saturating_sub(1);
            self.find(Severity::Evidence, file, offset, Damage::Checksum { first: record.first, last });
        }
        if u64::from(record.count) != found {
            self.find(Severity::Evidence, file, offset, Damage::Count { said: record.count, found });
        }
        if record.first != chain.next {
            self.find(Severity::Evidence, file, offset, Damage::Sequence { expected: chain.next, found: record.first });
            // Entries that say the same as the header: others are missing. Otherwise
            // it is the header that was changed, and the entries are those expected.
            if checked.said == Some(record.first) {
                grown.broken = grown.broken.or(Some(chain.next));
                chain.next = record.first;
            }
        }
        for (at, what) in checked.findings {
            self.find(Severity::Evidence, file, Some(at as u64), what);
        }
        self.report.records += 1;
        self.report.entries += found;
        self.report.unsynced += u64::from(!record.is_synced);
        self.report.tally.merge(checked.tally);
        self.echoes(file, offset, checked.echoes);
        chain.is_unsynced = matches && !record.is_synced;
        chain.next = chain.next.saturating_add(found);
        if grown.broken.is_none() {
            for leaf in checked.leaves {
                grown.tree.push(leaf);
                self.reach(grown);
            }
        }
    }

    /// Holds verdict events against the entries that they are about. That some are still to
    /// come is no fault: a crash leaves them to the next start.
    fn echoes(&mut self, file: &Path, offset: Option<u64>, echoes: Vec<Echoed>) {
        for echoed in echoes {
            match echoed {
                Echoed::Promised(sequence, digest) => drop(self.promised.insert(sequence, digest)),
                Echoed::Kept(sequence, about, digest) => {
                    if about.and_then(|about| self.promised.remove(&about)) != Some(digest) {
                        self.find(Severity::Evidence, file, offset, Damage::Echo(sequence));
                    }
                }
            }
        }
    }

    /// Compares the root with what was signed at this size.
    fn reach(&mut self, grown: &Grown) {
        let size = grown.tree.size();
        // Nearly all sizes have no checkpoint; the first key is looked at for free.
        if self.targets.first_key_value().is_none_or(|(next, _)| *next != size) {
            return;
        }
        let found = grown.tree.root();
        for target in self.targets.remove(&size).unwrap_or_default() {
            if target.root != found {
                self.find(Severity::Evidence, target.file, target.offset, Damage::Rewritten { size, signed: target.root, found });
            }
        }
    }

    /// All files below `tiles/`.
    fn tiles(&mut self, mut grown: Grown) {
        let _ = grown.tree.flush();
        let size = grown.tree.size();
        let store = grown.tree.store_mut();
        self.report.tiles = store.compared;
        for finding in std::mem::take(&mut store.findings) {
            self.find(finding.severity, finding.file, finding.offset, finding.what);
        }
        let items = match fs::read_dir(self.verifier.directory.join(TILES)) {
            Ok(items) => items,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.find(Severity::Derived, TILES, None, Damage::Unreadable(error.to_string())),
        };
        for item in items {
            match item.and_then(|item| Ok((item.file_name(), item.metadata()?))) {
                Ok((name, metadata)) => {
                    let file = Path::new(TILES).join(&name);
                    let text = name.to_str().unwrap_or_default();
                    let level = text.parse::<u32>().ok().filter(|level| *level < 8 && level.to_string() == text);
                    let Some(level) = level.filter(|_| metadata.is_file()) else {
                        self.find(Severity::Derived, file, None, Damage::Unexpected);
                        continue;
                    };
                    // What is behind the last full tile that the entries give, and a
                    // file that can have none.
                    let full = size.checked_shr(8 * (level + 1)).unwrap_or(0) * TILE_BYTES;
                    if (metadata.len() > full || full == 0) && grown.broken.is_none() {
                        self.find(Severity::Derived, file, Some(full), Damage::Unexpected);
                    } else if metadata.len() % TILE_BYTES != 0 {
                        self.find(Severity::Derived, file, Some(metadata.len()), Damage::Missing);
                    }
                }
                Err(error) => self.find(Severity::Derived, TILES, None, Damage::Unreadable(error.to_string())),
            }
        }
    }
}

/// The number of the first hash in which two tiles differ.
fn first_difference(found: &[u8], expected: &[u8]) -> Option<u64> {
    if found == expected {
        return None;
    }
    let same = found.iter().zip(expected).take_while(|(one, other)| one == other).count();
    Some((same / Hash::LEN) as u64)
}

/// A store that compares what the entries give with what is on disk.
struct Compare {
    disk: TileFiles,
    /// Entries that are signed: tiles of what is behind them may not be written yet.
    signed: u64,
    /// No tiles are kept at all; that is one finding, not one for each.
    absent: bool,
    compared: u64,
    findings: Vec<Finding>,
}

impl Compare {
    fn new(directory: &Path, signed: u64) -> Self {
        let absent = !directory.join(TILES).exists();
        Compare { disk: TileFiles::new(directory), signed, absent, compared: 0, findings: Vec::new() }
    }

    fn find(&mut self, level: u8, offset: u64, what: Damage) {
        let file = Path::new(TILES).join(level.to_string());
        self.findings.push(Finding { severity: Severity::Derived, file, offset: Some(offset), what });
    }
}

impl TileStore for Compare {
    fn write(&mut self, tile: TileId, bytes: &[u8]) -> io::Result<()> {
        let TileKind::Hashes(level) = tile.kind else { return Ok(()) };
        let end = (tile.index + 1) << (8 * (u32::from(level) + 1));
        let offset = tile.index * TILE_BYTES;
        match self.disk.read(tile) {
            Ok(found) => {
                self.compared += 1;
                if let Some(at) = first_difference(&found, bytes) {
                    self.find(level, offset + at * Hash::LEN as u64, Damage::Tile(at));
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => {
                if end <= self.signed && !self.absent {
                    self.find(level, offset, Damage::Missing);
                } else if end <= self.signed && self.findings.is_empty() {
                    self.findings.push(Finding { severity: Severity::Derived, file: TILES.into(), offset: None, what: Damage::Missing });
                }
            }
            Err(error) => self.find(level, offset, Damage::Unreadable(error.to_string())),
        }
        Ok(())
    }

    fn read(&self, tile: TileId) -> io::Result<Vec<u8>> {
        self.disk.read(tile)
    }
}
