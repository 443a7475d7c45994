//! The whole ledger: from commits to files and back, damaged in every way, on disks
//! that fail in every way.

use std::fs;
use std::path::PathBuf;

use super::checkpoint::{Frames, History};
use super::entry::{Asked, Entry, EventEntry, Evidence, Fault, Finding, Mode, Time, TimerEntry};
use super::faulty::{Failure, Faulty, Random};
use super::tree::{TileId, TileKind, bundle, verify_consistency};
use super::verify::{Severity, Verifier, verify};
use super::*;
use crate::digest::Digest;
use crate::verdict::{Action, Decision, FaultKind, Severity as Grade};

/// Small enough that some commits need several segments.
const SEGMENT: u64 = 12_000;

const SECOND: i64 = 1_000_000;

fn finding() -> Finding<'static> {
    Finding {
        rule: "outside".into(),
        action: Action::Flag,
        severity: Grade::High,
        message: "ended \"outside\"".into(),
        evidence: Evidence(vec![("zone".into(), "b".into())]),
        legal_basis: "§ 3".into(),
    }
}

fn event(sequence: u64) -> Entry<'static> {
    let arrived = 1_795_507_200 * SECOND + sequence as i64;
    let asked = Asked {
        policy: "geofence".into(),
        release: "0.1.0-ca2949c7d59a".into(),
        digest: Digest::of(b"component"),
        mode: Mode::Canary,
        columns: (!sequence.is_multiple_of(3)).then(|| Digest::of(b"columns")),
        findings: if sequence.is_multiple_of(10) { vec![finding()] } else { Vec::new() },
        fault: sequence.is_multiple_of(15).then(|| Fault { kind: FaultKind::Trap, detail: "unreachable".into() }),
    };
    Entry::Event(EventEntry {
        sequence,
        source: "urn:example:fleet".into(),
        id: sequence.to_string().into(),
        kind: "org.example.trip".into(),
        subject: sequence.is_multiple_of(2).then(|| "vehicle-4711".into()),
        time: sequence.is_multiple_of(5).then(|| "2026-11-24T07:59:59Z".into()),
        arrived: Time::from_micros(arrived),
        late: sequence.is_multiple_of(7),
        digest: Digest::of(&sequence.to_le_bytes()),
        verdict: Decision::ALL[sequence as usize % Decision::ALL.len()],
        asked: if sequence.is_multiple_of(4) { vec![asked] } else { Vec::new() },
    })
}

fn timer(sequence: u64) -> Entry<'static> {
    let timer = TimerEntry {
        policy: "geofence".into(),
        release: "0.1.0-ca2949c7d59a".into(),
        digest: Digest::of(b"component"),
        mode: Mode::Enforce,
        source: "urn:example:fleet".into(),
        key: Digest::of(b"a key"),
        due: Time::from_micros(1_795_507_100 * SECOND),
        arrived: Time::from_micros(1_795_507_200 * SECOND),
        verdict: Decision::Flag,
        findings: vec![finding()],
        fault: None,
    };
    Entry::Timer(sequence, timer)
}

/// So many entries, some of them of timers, and a change of every kind.
fn batch(first: u64, count: u64) -> Batch {
    let mut made = Batch { first, ..Batch::default() };
    for sequence in first..first + count {
        let entry = if sequence % 11 == 3 { timer(sequence) } else { event(sequence) };
        let start = made.lines.len();
        entry.write(&mut made.lines).expect("short enough");
        made.leaves.push(leaf_hash(&made.lines[start..]));
        made.lines.push(b'\n');
    }
    let (policy, source): (Arc<str>, Arc<str>) = ("geofence".into(), "urn:example:fleet".into());
    let key = |which: u64| -> Box<[u8]> { (first + which).to_le_bytes().into() };
    made.states = vec![
        StateChange::Form { policy: policy.clone(), form: b"1".to_vec() },
        StateChange::State { policy: policy.clone(), key: key(0), state: Some(vec![7; 40]) },
        StateChange::State { policy: policy.clone(), key: key(1), state: None },
        StateChange::Timer { policy: policy.clone(), key: key(0), timer: Some((1_795_507_300 * SECOND, source)) },
        StateChange::Timer { policy, key: key(1), timer: None },
        StateChange::Forgotten { policy: "price-fairness".into() },
    ];
    made
}

/// What a ledger holds: its lines, and how many changes of states.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Content {
    lines: Vec<String>,
    changes: usize,
}

impl Content {
    fn add(&mut self, batch: &Batch) {
        self.lines.extend(str::from_utf8(&batch.lines).expect("UTF-8").lines().map(str::to_string));
        self.changes += batch.states.len();
    }

    fn see(&mut self, record: &Record<'_>) {
        self.lines.extend(record.lines().map(|(_, line)| String::from_utf8(line.to_vec()).expect("UTF-8")));
        self.changes += record.states().count();
    }
}

fn open_on(storage: Arc<dyn Storage>, directory: &Path) -> Result<(Ledger, Content), OpenError> {
    let mut content = Content::default();
    let mut visit = |record: Record<'_>| {
        content.see(&record);
        Ok(())
    };
    let ledger = Ledger::open_on(storage, directory, SEGMENT, &mut visit)?;
    assert_eq!((ledger.next(), ledger.log().size()), (content.lines.len() as u64 + 1, content.lines.len() as u64));
    Ok((ledger, content))
}

fn commit(ledger: &mut Ledger, counts: &[u64]) -> Result<Vec<Batch>, (WriteError, Vec<Batch>)> {
    let mut next = ledger.next();
    let mut batches = Vec::new();
    for count in counts {
        batches.push(batch(next, *count));
        next += count;
    }
    match ledger.commit(batches.iter()) {
        Ok(committed) => {
            assert_eq!(committed.last(), next - 1);
            Ok(batches)
        }
        Err(error) => Err((error, batches)),
    }
}

/// A data directory with everything in it: several segments and checkpoints, a
/// tile, and at its end entries that are not signed yet. Started twice.
fn directory() -> (tempfile::TempDir, Content) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut content = Content::default();
    let mut work = |mut ledger: Ledger, commits: &[&[u64]]| {
        for (number, counts) in (1..).zip(commits) {
            let batches = commit(&mut ledger, counts).unwrap_or_else(|(error, _)| panic!("{error}"));
            batches.iter().for_each(|batch| content.add(batch));
            if number % 2 == 0 {
                ledger.checkpoint().expect("signed");
            }
        }
    };
    let disk = Arc::new(Disk::open(folder.path()).expect("a new directory"));
    let (ledger, _) = open_on(disk, folder.path()).expect("a new ledger");
    work(ledger, &[&[1], &[0, 20], &[30, 0, 9], &[100]]);
    // Segments of another size than before: that is no matter of the format.
    let mut found = Content::default();
    let mut visit = |record: Record<'_>| {
        found.see(&record);
        Ok(())
    };
    let ledger = Ledger::open(folder.path(), &mut visit).expect("opens again");
    work(ledger, &[&[60], &[50, 7], &[3], &[1], &[5]]);
    assert_eq!(found.lines, content.lines[..160]);
    (folder, content)
}

/// All files but the lock, which says nothing.
fn files(directory: &Path) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![directory.to_path_buf()], Vec::new());
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).expect("readable") {
            let path = item.expect("an item").path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("lock") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

#[track_caller]
fn assert_found(directory: &Path, context: &str) {
    let report = Verifier::new(directory).threads(1).run();
    assert!(!report.is_clean(), "{context}: not found");
}

#[test]
fn a_directory_has_its_published_files_and_is_clean() {
    use std::os::unix::fs::MetadataExt as _;
    let (folder, content) = directory();
    let report = verify(folder.path());
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.entries, report.checkpoints, report.signed, report.tiles), (286, 4, 281, 1));
    let names: Vec<String> =
        files(folder.path()).iter().map(|file| file.strip_prefix(folder.path()).expect("below").display().to_string()).collect();
    let (segments, others): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name.starts_with("journal/"));
    assert_eq!(others, ["FORMAT", "checkpoint", "checkpoints", "ledger.key", "ledger.pub", "tile/0/000"]);
    assert_eq!((segments.len() as u64, report.segments), (report.segments, segments.len() as u64));
    assert!(segments.len() > 2 && segments[0] == "journal/00000000000000000001.seg", "{segments:?}");
    let mode = |name: &str| fs::metadata(folder.path().join(name)).expect("there").mode() & 0o777;
    assert_eq!(mode("ledger.key"), 0o600);
    assert_eq!(mode("ledger.pub") & 0o137, 0, "nobody else writes, nobody unknown reads");
    let leaves = content.lines.iter().map(|line| leaf_hash(line.as_bytes()));
    assert_eq!(fs::read(folder.path().join("tile/0/000")).expect("a tile"), leaves.take(256).flat_map(|leaf| leaf.0).collect::<Vec<_>>());
}
