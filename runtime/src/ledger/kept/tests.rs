//! Kept content with its ledger: from events to files and back, damaged in every way, on
//! disks that fail in every way.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::ledger::entry::{AboutContent, Entry, ErasureEntry, EventEntry, Identity, KeepEntry, Time};
use crate::ledger::faulty::{Failure, Faulty, Random};
use crate::ledger::storage::Disk;
use crate::ledger::tests::{every_byte_counts, every_file_counts, marked, together};
use crate::ledger::verify::{Damage, Severity, Verifier, verify};
use crate::ledger::{Batch, Durability, Keep, Ledger, OpenError, Storage, leaf_hash};
use crate::verdict::Decision;

/// Small enough that a few batches need several segments.
const SEGMENT: u64 = 2_500;

const DAY: i64 = 86_400_000_000;

/// When events arrive: one a second.
fn arrival(sequence: u64) -> i64 {
    1_795_507_200_000_000 + sequence as i64 * 1_000_000
}

/// One of three subjects, or none.
fn subject(sequence: u64) -> Option<String> {
    (!sequence.is_multiple_of(4)).then(|| format!("vehicle-{}", sequence % 4))
}

fn content(sequence: u64) -> Content<'static> {
    let (id, subject) = (sequence.to_string(), subject(sequence));
    if sequence.is_multiple_of(5) {
        let mut random = Random(sequence);
        let mut attributes = vec![("id", id), ("source", "/s".into()), ("specversion", "1.0".into()), ("type", "t".into())];
        attributes.extend(subject.map(|subject| ("subject", subject)));
        attributes.sort();
        return Content::Binary {
            attributes: attributes.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            media_type: "text/plain".into(),
            // Nothing that packs, so that frames have several sectors.
            body: (0..90).flat_map(|_| random.next().to_le_bytes()).collect::<Vec<u8>>().into(),
        };
    }
    let subject = subject.map(|subject| format!(r#""subject":"{subject}","#)).unwrap_or_default();
    Content::Structured(format!(r#"{{"specversion":"1.0",{subject}"id":"{id}","source":"/s","type":"t","data":{}}}"#, id.repeat(9)).into())
}

fn event(sequence: u64) -> Entry<'static> {
    Entry::Event(EventEntry {
        sequence,
        source: "/s".into(),
        id: sequence.to_string().into(),
        kind: "t".into(),
        subject: subject(sequence).map(Into::into),
        time: None,
        number: None,
        arrived: Time::from_micros(arrival(sequence)),
        late: false,
        echo: None,
        digest: content(sequence).digest(),
        verdict: Decision::Allow,
        handling: None,
        asked: Vec::new(),
        without: Vec::new(),
    })
}

fn erasure(subject: &str) -> ErasureEntry<'static> {
    ErasureEntry {
        source: None,
        id: None,
        subject: Some(subject.to_string().into()),
        through: None,
        by: "privacy office".into(),
        reason: None,
        at: Time::from_micros(arrival(0)),
    }
}

fn expiry(through: u64) -> ErasureEntry<'static> {
    ErasureEntry { subject: None, through: Some(through), ..erasure("") }
}

fn batch(entries: &[Entry<'_>]) -> Batch {
    let mut batch = Batch { first: entries.first().map_or(1, Entry::sequence), ..Batch::default() };
    for entry in entries {
        let start = batch.lines.len();
        entry.write(&mut batch.lines).expect("short enough");
        batch.leaves.push(leaf_hash(&batch.lines[start..]));
        batch.lines.push(b'\n');
    }
    batch
}

/// A ledger that keeps events.
struct Keeping {
    ledger: Ledger,
    writer: Writer,
    account: Account,
}

fn refused(problem: String) -> OpenError {
    OpenError::Kept { directory: String::new(), problem }
}

/// Why a life ended.
#[derive(Debug)]
struct Failed;

impl Keeping {
    fn open(storage: Arc<dyn Storage>, directory: &Path, keep: Keep) -> Result<Self, OpenError> {
        let mut account = Account::default();
        let mut visit = |record: crate::ledger::Record<'_>| {
            for (sequence, line) in record.lines() {
                if Identity::read(line).expect("an entry").is_some() {
                    account.event(sequence);
                } else if let Some(entry) = AboutContent::read(line).expect("an entry") {
                    account.note(sequence, entry)?;
                }
            }
            Ok(())
        };
        let ledger = Ledger::open_on(storage, directory, crate::ledger::SEGMENT_BYTES, Durability::Sync, &mut visit)?;
        let writer = ledger.kept(keep, &account)?.expect("something is to be kept").with_segments(SEGMENT);
        let behind = writer.archive().catch_up(&account.erasures).map_err(|error| refused(error.to_string()))?;
        if !behind.is_empty() {
            return Err(refused("erasures are behind".into()));
        }
        Ok(Keeping { ledger, writer, account })
    }

    fn commit(&mut self, batches: &[Batch]) -> Result<(), Failed> {
        self.ledger.commit(batches.iter()).map(drop).map_err(|_| Failed)
    }

    /// Says what is kept, if that was not said.
    fn keep(&mut self, keep: Keep) -> Result<(), Failed> {
        if self.account.keep == keep {
            return Ok(());
        }
        let entry = Entry::Keep(self.ledger.next(), KeepEntry::new(keep, arrival(0)));
        self.commit(&[batch(&[entry])])
    }

    /// Batches of events, with one sync. Gives their sequences.
    fn events(&mut self, counts: &[u64]) -> Result<Vec<u64>, Failed> {
        let (mut next, mut batches, mut all) = (self.ledger.next(), Vec::new(), Vec::new());
        for count in counts {
            let sequences: Vec<u64> = (next..next + count).collect();
            for sequence in &sequences {
                self.writer.push(*sequence, arrival(*sequence), &content(*sequence)).map_err(|_| Failed)?;
            }
            self.writer.write().map_err(|_| Failed)?;
            if *count > 0 {
                batches.push(batch(&sequences.iter().map(|sequence| event(*sequence)).collect::<Vec<_>>()));
            }
            next += count;
            all.extend(sequences);
        }
        self.writer.sync().map_err(|_| Failed)?;
        self.commit(&batches)?;
        Ok(all)
    }

    /// Records an erasure and carries it out.
    fn erase(&mut self, entry: ErasureEntry<'static>) -> Result<u64, Failed> {
        let sequence = self.ledger.next();
        self.writer.end_segment().map_err(|_| Failed)?;
        self.commit(&[batch(&[Entry::Erasure(sequence, entry.clone())])])?;
        let archive = self.writer.archive();
        let events = archive.erase(&Erasure { sequence, entry }).map_err(|_| Failed)?;
        archive.done(sequence).map_err(|_| Failed)?;
        Ok(events)
    }
}

/// What one life does.
#[derive(Debug, Clone)]
enum Step {
    Events(Vec<u64>),
    Erase(&'static str),
    Expire(u64),
    Checkpoint,
}

fn steps() -> Vec<Step> {
    vec![
        Step::Events(vec![3]),
        Step::Events(vec![4, 0, 9]),
        Step::Checkpoint,
        Step::Erase("vehicle-1"),
        Step::Events(vec![1]),
        Step::Expire(5),
        Step::Events(vec![12, 2]),
        Step::Erase("vehicle-2"),
        Step::Expire(19),
        Step::Events(vec![2]),
    ]
}

/// Lives until something fails. Gives the events that were answered for, and whether
/// something failed.
fn live(disk: &Faulty, folder: &Path, steps: &[Step]) -> (Vec<u64>, bool) {
    let mut answered = Vec::new();
    let Ok(mut keeping) = Keeping::open(Arc::new(disk.clone()), folder, Keep::Full) else { return (answered, true) };
    if keeping.keep(Keep::Full).is_err() {
        return (answered, true);
    }
    for step in steps {
        let done = match step {
            Step::Events(counts) => keeping.events(counts).map(|events| answered.extend(events)),
            Step::Erase(subject) => keeping.erase(erasure(subject)).map(drop),
            Step::Expire(through) => keeping.erase(expiry(*through)).map(drop),
            Step::Checkpoint => keeping.ledger.checkpoint().map_err(|_| Failed),
        };
        if done.is_err() {
            return (answered, true);
        }
    }
    (answered, false)
}

/// Everything that was answered for is here or was erased, of everything else the same
/// holds as of its entry, and what was erased is gone.
fn assert_holds(disk: &Faulty, folder: &Path, answered: &[u64], context: &str) {
    if disk.files().contains_key("ledger.pub") {
        let report = verify(together(disk, folder).path());
        assert!(report.is_sound(), "{context}: {report}");
    }
    let open =
        |disk: &Faulty| Keeping::open(Arc::new(disk.clone()), folder, Keep::Full).unwrap_or_else(|error| panic!("{context}: {error}"));
    let mut keeping = open(disk);
    assert_content(&keeping, answered, context);
    keeping.keep(Keep::Full).expect("goes on");
    let more = keeping.events(&[3, 1]).expect("goes on");
    keeping.erase(erasure("vehicle-3")).expect("goes on");
    keeping.ledger.checkpoint().expect("goes on");
    drop(keeping);
    let crashed = disk.crashed(5);
    let keeping = open(&crashed);
    assert_content(&keeping, &[answered, &more].concat(), context);
    let report = verify(together(&crashed, folder).path());
    assert!(report.is_clean(), "{context}: {report}");
}

fn assert_content(keeping: &Keeping, answered: &[u64], context: &str) {
    let (archive, log) = (keeping.writer.archive(), keeping.ledger.log());
    let mut kept_from = None;
    let lines: BTreeMap<u64, String> = log.entries(1).map(|entry| entry.expect("readable")).collect();
    for sequence in answered {
        assert!(lines.contains_key(sequence), "{context}: event {sequence} was answered for");
    }
    for (sequence, line) in &lines {
        match Entry::parse(line.as_bytes()).expect("an entry") {
            Entry::Keep(..) => kept_from = Some(*sequence),
            Entry::Event(entry) => {
                let subject = entry.subject.as_deref();
                let erased =
                    |erasure: &&Erasure| erasure.sequence > *sequence && erasure.entry.covers(*sequence, &entry.source, &entry.id, subject);
                let erasures: Vec<u64> = keeping.account.erasures.iter().filter(erased).map(|erasure| erasure.sequence).collect();
                let expired = keeping.account.erasures.iter().filter(erased).any(|erasure| erasure.entry.is_expiry());
                let found = archive.get(*sequence).expect("readable");
                match found {
                    Some(Kept::Content(content)) => {
                        assert!(erasures.is_empty() && content == self::content(*sequence), "{context}: {sequence}");
                    }
                    Some(Kept::Erased { by }) => assert!(erasures.contains(&by), "{context}: {sequence} by {by}"),
                    None => assert!(expired || kept_from.is_none(), "{context}: the content of event {sequence}"),
                }
            }
            _ => {}
        }
    }
}

#[test]
fn du_02_du_07_every_operation_fails_in_every_way_and_no_content_is_lost_or_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let operations = {
        let disk = marked(0);
        let (answered, failed) = live(&disk, folder.path(), &steps());
        assert!(!failed && answered.len() == 33, "{answered:?}");
        let segments = disk.operations().iter().filter(|what| what.starts_with("create events") && what.ends_with(".kept")).count();
        let removed = disk.operations().iter().any(|what| what.starts_with("remove events") && what.ends_with(".kept"));
        assert!(segments > 3 && removed, "{:?}", disk.operations());
        disk.operations().len()
    };
    for operation in 0..operations {
        for failure in Failure::ALL {
            let disk = marked(operation as u64);
            disk.fail(operation, failure);
            let (answered, failed) = live(&disk, folder.path(), &steps());
            let what = disk.operations()[operation].clone();
            // What cannot be read goes all the same once all of it is over.
            let is_read = ["open events", "len events", "read_at events"].iter().any(|reads| what.starts_with(reads));
            assert!(failed || is_read, "{what} failed {failure:?} and nobody noticed");
            for seed in 0..3 {
                assert_holds(&disk.crashed(seed), folder.path(), &answered, &format!("{what} {failure:?}, crash {seed}"));
            }
            assert_holds(&disk.killed(), folder.path(), &answered, &format!("{what} {failure:?}, killed"));
        }
    }
}

/// A start after a crash between content and entries, in the middle of an erasure, and
/// behind one that was recorded only.
#[test]
fn du_02_du_07_every_operation_of_a_start_fails_in_every_way_and_no_content_is_lost_or_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let find = |what: &str, nth: usize| {
        let disk = marked(0);
        live(&disk, folder.path(), &steps());
        let operations = disk.operations();
        // A segment's own name is not to be taken for that of its replacement.
        let is = |operation: &str| if what.ends_with(".kept") { operation == what } else { operation.starts_with(what) };
        let found = operations.iter().enumerate().filter(|(_, operation)| is(operation));
        found.map(|(at, _)| at).nth(nth).unwrap_or_else(|| panic!("{what}: {operations:?}"))
    };
    let interrupted = [
        (find("write_at journal", 3), Failure::Before),
        (find("write_at events", 2), Failure::Halfway),
        (find("rename events", 1), Failure::Before),
        (find("write_at events/erased.new", 1), Failure::Halfway),
        (find("remove events/00000000000000000002.kept", 0), Failure::Before),
    ];
    for (point, how) in interrupted {
        let broken = |seed: u64| {
            let disk = marked(seed);
            disk.fail(point, how);
            let (answered, failed) = live(&disk, folder.path(), &steps());
            assert!(failed);
            (disk.killed(), answered)
        };
        let operations = {
            let (disk, _) = broken(0);
            Keeping::open(Arc::new(disk.clone()), folder.path(), Keep::Full).expect("opens");
            disk.operations().len()
        };
        for operation in 0..operations {
            for failure in Failure::ALL {
                let (disk, answered) = broken(operation as u64);
                disk.fail(operation, failure);
                let opened = Keeping::open(Arc::new(disk.clone()), folder.path(), Keep::Full).is_ok();
                let context = format!("start after {point}: {} {failure:?}", disk.operations()[operation]);
                assert!(!opened, "{context}");
                assert_holds(&disk.crashed(operation as u64), folder.path(), &answered, &format!("{context}, crash"));
                assert_holds(&disk.killed(), folder.path(), &answered, &format!("{context}, killed"));
            }
        }
    }
}

/// A directory on a disk with everything in it.
fn directory() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Arc::new(Disk::open(folder.path()).expect("a new directory"));
    let mut keeping = Keeping::open(disk, folder.path(), Keep::Full).expect("a new ledger");
    // Nobody has said yet that anything is kept.
    keeping.commit(&[batch(&[event(1)])]).expect("written");
    keeping.keep(Keep::Full).expect("written");
    keeping.events(&[3, 9]).expect("written");
    assert_eq!(keeping.erase(expiry(8)).expect("erased"), 6);
    keeping.events(&[12]).expect("written");
    assert!(keeping.erase(erasure("vehicle-1")).expect("erased") > 2);
    keeping.events(&[2, 3]).expect("written");
    keeping.ledger.checkpoint().expect("signed");
    folder
}

#[test]
fn du_09_every_change_of_what_is_kept_is_found() {
    let folder = directory();
    let report = verify(folder.path());
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.tally.keeps, report.tally.erasures, report.kept + report.erased), (1, 2, 29));
    every_byte_counts(folder.path());
    every_file_counts(folder.path());
    for stranger in ["notes.txt", "00000000000000000009.kept", "00000000000000000999.kept", "1.kept", "erased.new", "erased.old", "x.new"] {
        let path = folder.path().join(FOLDER).join(stranger);
        for bytes in [&b""[..], b"EPHK", &fs::read(folder.path().join(FOLDER).join(ERASED)).expect("a file")] {
            fs::write(&path, bytes).expect("written");
            assert!(!verify(folder.path()).is_clean(), "{stranger}");
        }
        fs::remove_file(&path).expect("removed");
    }
    assert!(verify(folder.path()).is_clean());
}

#[test]
fn a_copy_without_content_is_sound_if_that_is_said() {
    let folder = directory();
    fs::remove_dir_all(folder.path().join(FOLDER)).expect("removed");
    let report = verify(folder.path());
    assert_eq!(report.findings.iter().map(|finding| &finding.what).collect::<Vec<_>>(), [&Damage::Missing], "{report}");
    assert!(Verifier::new(folder.path()).without_events().run().is_clean());
    let disk = Arc::new(Disk::open(folder.path()).expect("opens"));
    let error = Keeping::open(disk, folder.path(), Keep::Full).err().expect("its content is gone").to_string();
    assert!(error.contains("is to be kept") && error.contains("from a copy"), "{error}");
}

#[test]
fn content_that_is_damaged_is_refused_where_it_is_read_and_nothing_is_cut_off() {
    let folder = directory();
    let segments = |folder: &Path| {
        let mut found: Vec<_> = fs::read_dir(folder.join(FOLDER)).expect("a folder").map(|item| item.expect("an item").path()).collect();
        found.retain(|path| path.extension().is_some_and(|ending| ending == "kept"));
        found.sort();
        found
    };
    let last = segments(folder.path()).pop().expect("a segment");
    let good = fs::read(&last).expect("a segment");
    let mut bad = good.clone();
    *bad.last_mut().expect("bytes") ^= 1;
    fs::write(&last, &bad).expect("written");
    let disk = Arc::new(Disk::open(folder.path()).expect("opens"));
    let error = Keeping::open(disk, folder.path(), Keep::Full).err().expect("damaged").to_string();
    assert!(error.contains("checksum") && error.contains("events/"), "{error}");
    assert_eq!(fs::read(&last).expect("a segment"), bad);
    fs::write(&last, &good).expect("written");

    let first = segments(folder.path()).remove(0);
    let mut bad = fs::read(&first).expect("a segment");
    bad[100] ^= 1;
    fs::write(&first, &bad).expect("written");
    let disk = Arc::new(Disk::open(folder.path()).expect("opens"));
    let keeping = Keeping::open(disk, folder.path(), Keep::Full).expect("the end is whole");
    let archive = keeping.writer.archive();
    let sequence = first_of(first.file_name().and_then(|name| name.to_str()).expect("a name")).expect("a segment");
    assert!(archive.get(sequence).is_err_and(|error| error.to_string().contains("from a copy")));
    let report = verify(folder.path());
    assert!(
        report.findings.iter().any(|finding| finding.severity == Severity::Evidence && matches!(finding.what, Damage::Kept(_))),
        "{report}"
    );
}

#[test]
fn a_damaged_segment_keeps_nothing_else_from_being_erased_and_goes_in_its_time() {
    let folder = directory();
    let listed = || segments(&Disk::open(folder.path()).expect("opens")).expect("a folder");
    let (first, second) = (listed()[0], listed()[1]);
    let path = folder.path().join(path_of(first));
    let mut bad = fs::read(&path).expect("a segment");
    bad[100] ^= 1;
    fs::write(&path, &bad).expect("written");
    let disk = Arc::new(Disk::open(folder.path()).expect("opens"));
    let mut keeping = Keeping::open(disk, folder.path(), Keep::Full).expect("the end is whole");
    assert!(keeping.erase(erasure("vehicle-2")).is_err());
    let archive = keeping.writer.archive();
    for sequence in (second..33).filter(|sequence| subject(*sequence).as_deref() == Some("vehicle-2") && *sequence != 28) {
        let kept = archive.get(sequence).expect("readable");
        assert!(matches!(kept, Some(Kept::Erased { .. })), "{sequence}: {kept:?}");
    }
    keeping.erase(expiry(second - 1)).expect("it is over, whatever it was");
    assert!(!path.exists());
    keeping.ledger.checkpoint().expect("signed");
    drop(keeping);
    let report = verify(folder.path());
    assert!(report.is_clean(), "{report}");
}

#[test]
fn what_is_over_is_gone_by_whole_segments() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Faulty::with(&marked(1).files());
    let mut keeping = Keeping::open(Arc::new(disk), folder.path(), Keep::Days(30)).expect("a new ledger");
    keeping.keep(Keep::Days(30)).expect("written");
    let mut at = arrival(0);
    let mut expected = Vec::new();
    for day in 0..4u64 {
        // Half a day each: a segment is of no more than a day.
        for _ in 0..2 {
            let sequence = keeping.ledger.next();
            keeping.writer.push(sequence, at, &content(sequence)).expect("written");
            keeping.writer.write().expect("written");
            keeping.writer.sync().expect("written");
            keeping.commit(&[batch(&[event(sequence)])]).expect("written");
            expected.push((sequence, day));
            at += DAY / 2;
        }
    }
    let archive = keeping.writer.archive();
    assert_eq!(archive.expired(arrival(0)).expect("readable"), None);
    assert_eq!(archive.expired(arrival(0) + DAY / 2).expect("readable"), None, "the later half is not over");
    let Some(Expired { through }) = archive.expired(arrival(0) + DAY).expect("readable") else { panic!("a day is over") };
    assert_eq!(through, expected[1].0);
    assert_eq!(keeping.erase(expiry(through)).expect("erased"), 2);
    assert_eq!((archive.get(expected[0].0).expect("readable"), archive.get(expected[1].0).expect("readable")), (None, None));
    assert_eq!(archive.get(expected[2].0).expect("readable"), Some(Kept::Content(content(expected[2].0))));
    assert!(archive.expired(at + DAY).expect("readable").is_some_and(|expired| expired.through == expected[7].0));
}

#[test]
fn a_directory_is_read_beside_whoever_writes_to_it() {
    let folder = directory();
    let read: Vec<(u64, Kept)> = KeptEvents::open(folder.path()).expect("a folder").collect::<Result<_, _>>().expect("whole");
    assert!(read.windows(2).all(|pair| pair[0].0 < pair[1].0));
    let erased = read.iter().filter(|(_, kept)| matches!(kept, Kept::Erased { .. })).count();
    assert!(erased > 2 && read.len() > 20 + erased / 2, "{read:?}");
    for (sequence, kept) in read {
        assert!(matches!(kept, Kept::Erased { .. }) || kept == Kept::Content(content(sequence)));
    }
    let elsewhere = tempfile::tempdir().expect("a folder");
    assert_eq!(KeptEvents::open(elsewhere.path()).expect("nothing there").count(), 0);
}
