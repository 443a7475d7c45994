//! The whole ledger: from commits to files and back, damaged in every way, on disks
//! that fail in every way.

mod audit;
mod order;
mod unsynced;

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::checkpoint::{Checkpoint, Frames, History};
use super::entry::{
    Asked, ChangeEntry, Entry, ErasureEntry, EventEntry, Evidence, Fault, Finding, GapEntry, SilenceEntry, StartEntry, Time, TimerEntry,
    What,
};
use super::faulty::{Failure, Faulty};
use super::tree::{TileId, TileKind, bundle, verify_consistency};
use super::verify::tests::files;
use super::verify::{Verifier, verify};
use super::*;
use crate::digest::Digest;
use crate::verdict::{Action, Decision, FaultKind, Handling, Mode, Severity as Grade};

/// Small enough that some commits need several segments.
const SEGMENT: u64 = 8_000;

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
        lists: Evidence::default(),
        mode: Mode::Canary,
        stale: sequence.is_multiple_of(8),
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
        number: sequence.is_multiple_of(3).then_some(sequence),
        arrived: Time::from_micros(arrived),
        late: sequence.is_multiple_of(7),
        echo: sequence.is_multiple_of(11).then_some(1),
        digest: Digest::of(&sequence.to_le_bytes()),
        verdict: Decision::ALL[sequence as usize % Decision::ALL.len()],
        handling: sequence.is_multiple_of(6).then_some(Handling::Hold),
        without: if sequence.is_multiple_of(9) { vec!["fleet-cap".into()] } else { Vec::new() },
        asked: if sequence.is_multiple_of(4) { vec![asked] } else { Vec::new() },
    })
}

fn timer(sequence: u64) -> Entry<'static> {
    let timer = TimerEntry {
        echo: Some(1),
        policy: "geofence".into(),
        release: "0.1.0-ca2949c7d59a".into(),
        digest: Digest::of(b"component"),
        lists: Evidence(vec![("zones".into(), "2026-11".into())]),
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

fn gap(sequence: u64) -> Entry<'static> {
    let arrived = Time::from_micros(1_795_507_200 * SECOND);
    Entry::Gap(sequence, GapEntry { source: "urn:example:fleet".into(), after: 811, before: 815, missing: 3, arrived })
}

fn silence(sequence: u64) -> Entry<'static> {
    let noted = Time::from_micros(1_795_507_200 * SECOND);
    let last = sequence.is_multiple_of(2).then(|| Time::from_micros(1_795_507_100 * SECOND));
    Entry::Silence(sequence, SilenceEntry { source: "urn:example:fleet".into(), last, heartbeat: 60, noted })
}

fn change(sequence: u64) -> Entry<'static> {
    let at = Time::from_micros(1_795_507_200 * SECOND);
    let change = ChangeEntry {
        what: What::Install,
        policy: "transport-office/geofence".into(),
        release: "0.1.0-ca2949c7d59a".into(),
        digest: Digest::of(b"component"),
        lists: Evidence(vec![("zones".into(), "2026-11".into())]),
        statement: Some(Digest::of(b"statement")),
        mode: Mode::Canary,
        share: Some(500),
        from: Some(at),
        until: None,
        replaced: Some("0.0.9-0123456789ab".into()),
        state: Some("kept".into()),
        by: "transport-office".into(),
        reason: None,
        at,
    };
    Entry::Change(sequence, change)
}

fn start(sequence: u64) -> Entry<'static> {
    Entry::Start(sequence, StartEntry { version: "0.1.0".into(), at: Time::from_micros(1_795_507_200 * SECOND) })
}

fn erasure(sequence: u64) -> Entry<'static> {
    let erasure = ErasureEntry {
        source: Some("urn:example:fleet".into()),
        id: sequence.is_multiple_of(2).then(|| "7".into()),
        subject: Some("vehicle-4711".into()),
        through: None,
        by: "privacy office".into(),
        reason: sequence.is_multiple_of(3).then(|| "asked for".into()),
        at: Time::from_micros(1_795_507_200 * SECOND),
    };
    Entry::Erasure(sequence, erasure)
}

/// So many entries, some of them of something else than an event, and a change of every
/// kind.
fn batch(first: u64, count: u64) -> Batch {
    let mut made = Batch { first, ..Batch::default() };
    for sequence in first..first + count {
        let entry = match sequence % 11 {
            3 => timer(sequence),
            5 => gap(sequence),
            7 => change(sequence),
            8 => silence(sequence),
            9 => start(sequence),
            10 => erasure(sequence),
            _ => event(sequence),
        };
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
        StateChange::Line { policy: "price-fairness".into(), line: b"{}".to_vec() },
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
    open_as(storage, directory, Durability::Sync)
}

fn open_as(storage: Arc<dyn Storage>, directory: &Path, durability: Durability) -> Result<(Ledger, Content), OpenError> {
    let mut content = Content::default();
    let mut visit = |record: Record<'_>| {
        content.see(&record);
        Ok(())
    };
    let ledger = Ledger::open_on(storage, directory, SEGMENT, durability, &mut visit)?;
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
    work(ledger, &[&[1], &[0, 20], &[30, 0, 9], &[50], &[25], &[25]]);
    // Segments of another size than before: that is no matter of the format.
    let mut found = Content::default();
    let mut visit = |record: Record<'_>| {
        found.see(&record);
        Ok(())
    };
    let ledger = Ledger::open(folder.path(), &Limits::default(), &mut visit).expect("opens again");
    work(ledger, &[&[60], &[50, 7], &[3], &[1], &[5]]);
    assert_eq!(found.lines, content.lines[..160]);
    (folder, content)
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
    assert_eq!((report.entries, report.checkpoints, report.signed, report.tiles), (286, 5, 281, 1));
    let names: Vec<String> =
        files(folder.path()).iter().map(|file| file.strip_prefix(folder.path()).expect("below").display().to_string()).collect();
    let (segments, others): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name.starts_with("journal/"));
    assert_eq!(others, ["FORMAT", "checkpoint", "checkpoints", "ledger.key", "ledger.pub", "tiles/0"]);
    assert_eq!((segments.len() as u64, report.segments), (report.segments, segments.len() as u64));
    assert!(segments.len() > 2 && segments[0] == "journal/00000000000000000001.seg", "{segments:?}");
    let mode = |name: &str| fs::metadata(folder.path().join(name)).expect("there").mode() & 0o777;
    assert_eq!(mode("ledger.key"), 0o600);
    assert_eq!(mode("ledger.pub") & 0o137, 0, "nobody else writes, nobody unknown reads");
    let leaves = content.lines.iter().map(|line| leaf_hash(line.as_bytes()));
    assert_eq!(fs::read(folder.path().join("tiles/0")).expect("a tile"), leaves.take(256).flat_map(|leaf| leaf.0).collect::<Vec<_>>());
}

#[test]
fn tl_08_every_changed_removed_and_added_byte_is_found() {
    let (folder, _) = directory();
    every_byte_counts(folder.path());
}

/// Changes, removes and adds bytes of all files of a directory, most of them one by one,
/// and sees to it that each is found.
pub(super) fn every_byte_counts(folder: &Path) {
    for file in files(folder) {
        let good = fs::read(&file).expect("a file");
        let step = if good.len() < 2_000 { 1 } else { (good.len() / 200) | 1 };
        let found = |bytes: &[u8], what: &str, at: usize| {
            fs::write(&file, bytes).expect("written");
            assert_found(folder, &format!("{}, byte {at} {what}", file.display()));
        };
        for at in (0..good.len()).step_by(step) {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << (at % 8);
            found(&bytes, "changed", at);
            bytes.remove(at);
            found(&bytes, "removed", at);
            bytes = good.clone();
            bytes.insert(at, if at % 2 == 0 { good[at] } else { b'0' });
            found(&bytes, "added", at);
        }
        found(&[&good[..], b"\n"].concat(), "added", good.len());
        found(&good[..good.len() - 1], "removed", good.len() - 1);
        found(b"", "and all others removed", 0);
        fs::write(&file, good).expect("written");
    }
    assert!(verify(folder).is_clean());
}

/// Removes and swaps all files of a directory, and sees to it that it is found.
pub(super) fn every_file_counts(folder: &Path) {
    let files = files(folder);
    let name = |file: &Path| file.strip_prefix(folder).expect("below").display().to_string();
    for one in &files {
        let good = fs::read(one).expect("a file");
        fs::remove_file(one).expect("removed");
        // Without the secret it is an auditor's copy.
        assert_eq!(verify(folder).is_clean(), one.ends_with("ledger.key"), "without {}", name(one));
        fs::write(one, &good).expect("written");
        for other in files.iter().filter(|other| *other != one) {
            let others = fs::read(other).expect("a file");
            fs::write(one, &others).expect("written");
            assert_found(folder, &format!("{} in the place of {}", name(other), name(one)));
            fs::write(other, &good).expect("written");
            assert_found(folder, &format!("{} and {} swapped", name(one), name(other)));
            fs::write(other, &others).expect("written");
            fs::remove_file(one).expect("removed");
            fs::write(one, &good).expect("written");
        }
    }
    assert!(verify(folder).is_clean());
}

#[test]
fn every_removed_added_and_swapped_file_is_found() {
    let (folder, _) = directory();
    every_file_counts(folder.path());
    let files = files(folder.path());
    let strangers = [
        "notes.txt",
        "checkpoint.new",
        "ledger.key.new",
        "FORMAT.new",
        "checkpoints.old",
        ".hidden",
        "journal/notes.txt",
        "journal/00000000000000000000.seg",
        "journal/00000000000000000002.seg",
        "journal/00000000000000000999.seg",
        "journal/00000000000000000999.seg.new",
        "journal/1.seg",
        "tile",
        "tiles.old",
        "tiles/00",
        "tiles/0.new",
        "tiles/1",
        "tiles/7",
        "tiles/8",
        "tiles/readme",
    ];
    for stranger in strangers {
        let path = folder.path().join(stranger);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        for bytes in files.iter().map(|file| fs::read(file).expect("a file")).chain([Vec::new()]) {
            fs::write(&path, bytes).expect("written");
            assert_found(folder.path(), &format!("{stranger} added"));
        }
        fs::remove_file(&path).expect("removed");
    }
    for stranger in ["folder", "journal/folder"] {
        fs::create_dir(folder.path().join(stranger)).expect("made");
        assert_found(folder.path(), stranger);
        fs::remove_dir(folder.path().join(stranger)).expect("removed");
    }
    assert!(verify(folder.path()).is_clean());
}

#[test]
fn what_is_derived_is_made_again_at_the_next_start() {
    let (folder, content) = directory();
    let tile = folder.path().join("tiles/0");
    let good = fs::read(&tile).expect("a tile");
    let mut changed = good.clone();
    changed[4_000] ^= 1;
    let damages: [&dyn Fn(); 6] = [
        &|| fs::remove_dir_all(folder.path().join("tiles")).expect("removed"),
        &|| fs::write(&tile, &changed).expect("written"),
        &|| fs::write(&tile, &good[..good.len() / 2]).expect("written"),
        &|| fs::write(&tile, b"").expect("written"),
        &|| fs::remove_file(folder.path().join("checkpoint")).expect("removed"),
        &|| fs::write(folder.path().join("checkpoint.new"), b"half a check").expect("written"),
    ];
    for (number, damage) in damages.iter().enumerate() {
        damage();
        let report = verify(folder.path());
        assert!(!report.is_clean() && report.is_sound(), "{number}: {report}");
        let mut found = Content::default();
        let mut visit = |record: Record<'_>| {
            found.see(&record);
            Ok(())
        };
        drop(Ledger::open(folder.path(), &Limits::default(), &mut visit).unwrap_or_else(|error| panic!("{number}: {error}")));
        assert_eq!(found, content);
        let report = verify(folder.path());
        assert!(report.is_clean(), "{number}: {report}");
    }
}

#[test]
fn what_the_log_says_holds() {
    let (folder, content) = directory();
    let ledger = Ledger::open(folder.path(), &Limits::default(), &mut |_| Ok(())).expect("opens");
    let log = ledger.log();
    let (checkpoint, _) = log.latest().expect("signed");
    assert_eq!((log.size(), checkpoint.size), (286, 281));
    for (index, line) in content.lines.iter().enumerate() {
        let sequence = index as u64 + 1;
        match log.proof(sequence) {
            Ok(proof) => {
                let (proven, _) = proof.verify(line.as_bytes(), log.key(), &[]).expect("holds");
                assert_eq!((proven, proof.index), (checkpoint.clone(), index as u64));
            }
            Err(LogError::Unsigned(unsigned)) => assert!(unsigned == sequence && sequence > 281),
            Err(error) => panic!("{sequence}: {error}"),
        }
    }
    for sequence in [0, 287, u64::MAX] {
        assert!(matches!(log.proof(sequence), Err(LogError::Unsigned(_))), "{sequence}");
    }
    let history = fs::read(folder.path().join("checkpoints")).expect("a file");
    let signed = Frames::new(&history).map(|frame| Checkpoint::open(frame.expect("whole").note, log.key()).expect("signed").0);
    let signed: Vec<Checkpoint> = signed.collect();
    for (old, new) in signed.iter().zip(&signed[1..]) {
        let proof = log.consistency(old.size, new.size).expect("in range");
        verify_consistency(old.size, new.size, &old.root, &new.root, &proof).expect("holds");
    }
    let tile = |index, width| TileId { kind: TileKind::Entries, index, width };
    let lines = |range: std::ops::Range<usize>| bundle(content.lines[range].iter().map(String::as_bytes));
    assert_eq!(log.tile(tile(0, 256)).expect("readable"), lines(0..256));
    assert_eq!(log.tile(tile(1, 30)).expect("readable"), lines(256..286));
    for beyond in [tile(1, 31), tile(1, 256), tile(2, 1), tile(u64::MAX, 256)] {
        assert_eq!(log.tile(beyond).expect("readable"), None);
    }
    assert_eq!(log.tile(TileId::full(0, 0)).expect("readable"), Some(fs::read(folder.path().join("tiles/0")).expect("a tile")));

    let entries: Vec<(u64, String)> = log.entries(200).collect::<Result<_, _>>().expect("readable");
    assert_eq!(entries, (200..).zip(content.lines[199..].iter().cloned()).collect::<Vec<_>>());
    let mut seen = Vec::new();
    log.read_many(&[1, 2, 50, 51, 250, 286], |sequence, line| seen.push((sequence, line.to_string()))).expect("readable");
    assert_eq!(seen, [1, 2, 50, 51, 250, 286].map(|sequence| (sequence, content.lines[sequence as usize - 1].clone())));
    assert!(log.read_many(&[286, 287], |_, _| {}).is_err());
}

/// Damage that a start must not go on with, or write over.
#[test]
fn tl_08_tl_17_damaged_evidence_is_refused_and_left_as_it_is() {
    let (folder, _) = directory();
    let path = |name: &str| folder.path().join(name);
    let read = |name: &str| fs::read(path(name)).expect("a file");
    let all = || -> Vec<(PathBuf, Vec<u8>)> {
        files(folder.path()).into_iter().map(|file| (file.clone(), fs::read(file).expect("a file"))).collect()
    };
    let refused = |damage: &dyn Fn(), says: &[&str]| {
        let good = all();
        damage();
        let bad = all();
        let error = Ledger::open(folder.path(), &Limits::default(), &mut |_| Ok(())).err().expect(says[0]).to_string();
        says.iter().for_each(|says| assert!(error.contains(says), "{says:?}: {error}"));
        assert!(all() == bad, "{says:?}: left as it is");
        good.into_iter().for_each(|(file, bytes)| fs::write(file, bytes).expect("written"));
    };
    let write = |name: &str, bytes: &[u8]| fs::write(path(name), bytes).expect("written");

    refused(&|| fs::remove_file(path("ledger.key")).expect("removed"), &["ledger.key is missing"]);
    refused(&|| write("ledger.key", b"0123\n"), &["ledger.key: is not 64"]);
    refused(&|| write("ledger.key", format!("{}\n", "ab".repeat(32)).as_bytes()), &["is not the public half"]);
    refused(&|| write("ledger.pub", b"\n"), &["ledger.pub: a verifier key has three parts", "from a copy"]);
    refused(&|| write("FORMAT", b"ephor data 2\n"), &["ephor data 2"]);

    let history = read("checkpoints");
    let offsets: Vec<usize> = Frames::new(&history).map(|frame| frame.expect("whole").offset).collect();
    let last = offsets[4];
    let mut changed = history.clone();
    changed[offsets[2] - 5] ^= 1;
    refused(&|| write("checkpoints", &changed), &["checkpoints", "damaged at byte", "from a copy"]);
    // What is gone or damaged at the end is not taken for something that never was.
    for end in [0, offsets[1], last - 1, last, last + 1, last + 100, history.len() - 1] {
        refused(&|| write("checkpoints", &history[..end]), &["checkpoints", "from a copy"]);
    }
    let mut changed = history;
    changed[last + 120] ^= 1;
    refused(&|| write("checkpoints", &changed), &["checkpoints", "from a copy"]);
    refused(&|| fs::remove_file(path("checkpoints")).expect("removed"), &["checkpoints", "from a copy"]);

    let last = files(&path("journal")).pop().expect("a segment");
    let bytes = fs::read(&last).expect("a segment");
    refused(&|| fs::write(&last, &bytes[..bytes.len() / 2]).expect("written"), &["entry 281 was made durable"]);
    refused(&|| fs::remove_file(&last).expect("removed"), &["entry 281 was made durable"]);
    refused(&|| fs::remove_dir_all(path("journal")).expect("removed"), &["entry 281 was made durable"]);

    // Another journal, whole in itself, under the same key.
    let other = tempfile::tempdir().expect("a folder");
    ["FORMAT", "ledger.key", "ledger.pub"].iter().for_each(|name| fs::write(other.path().join(name), read(name)).expect("written"));
    let mut ledger = Ledger::open(other.path(), &Limits::default(), &mut |_| Ok(())).expect("a new ledger");
    assert!(commit(&mut ledger, &[100, 181, 9]).is_ok());
    drop(ledger);
    ["checkpoint", "checkpoints"].iter().for_each(|name| fs::write(other.path().join(name), read(name)).expect("written"));
    drop(Ledger::open(other.path(), &Limits::default(), &mut |_| Ok(())).expect("the same entries"));
    let foreign = tempfile::tempdir().expect("a folder");
    ["FORMAT", "ledger.key", "ledger.pub"].iter().for_each(|name| fs::write(foreign.path().join(name), read(name)).expect("written"));
    let mut ledger = Ledger::open(foreign.path(), &Limits::default(), &mut |_| Ok(())).expect("a new ledger");
    let mut changed = batch(1, 290);
    let at = changed.lines.windows(5).position(|window| window == b"fleet").expect("there");
    changed.lines[at] = b'F';
    changed.leaves = changed.lines.split(|byte| *byte == b'\n').take(290).map(leaf_hash).collect();
    ledger.commit([&changed].into_iter()).expect("written");
    drop(ledger);
    ["checkpoint", "checkpoints"].iter().for_each(|name| fs::write(foreign.path().join(name), read(name)).expect("written"));
    let error = Ledger::open(foreign.path(), &Limits::default(), &mut |_| Ok(())).err().expect("rewritten").to_string();
    assert!(error.contains("checkpoints, byte 0: over the first 21 entries"), "{error}");
}

/// What one life of a ledger does.
#[derive(Debug, Clone)]
enum Step {
    /// Batches with so many entries, with one sync.
    Commit(Vec<u64>),
    Checkpoint,
}

fn steps() -> Vec<Step> {
    let commit = |counts: &[u64]| Step::Commit(counts.to_vec());
    let (one, two) = ([commit(&[3]), Step::Checkpoint, commit(&[0]), commit(&[20, 0, 12])], [commit(&[9]), Step::Checkpoint, commit(&[1])]);
    [&one[..], &[Step::Checkpoint, Step::Checkpoint], &two].concat()
}

/// What was acknowledged in a life and before it, and what was begun when it ended.
#[derive(Debug, Clone, Default)]
struct Life {
    content: Content,
    /// Signed notes, in order.
    signed: Vec<String>,
    committing: Vec<Batch>,
    signing: bool,
    failed: bool,
}

/// A disk with nothing but the mark of a data directory.
pub(super) fn marked(seed: u64) -> Faulty {
    let disk = Faulty::new(seed);
    storage::replace(&disk, "FORMAT", b"ephor data 1\n", false).expect("written");
    disk.killed()
}

fn latest(ledger: &Ledger) -> Option<String> {
    ledger.log().latest().map(|(_, note)| note.to_string())
}

/// Opens, commits and signs until something fails.
fn live(disk: &Faulty, folder: &Path, steps: &[Step], before: &Life) -> Life {
    let mut life = before.clone();
    let Ok((mut ledger, _)) = open_on(Arc::new(disk.clone()), folder) else { return Life { failed: true, ..life } };
    for step in steps {
        match step {
            Step::Commit(counts) => match commit(&mut ledger, counts) {
                Ok(batches) => batches.iter().for_each(|batch| life.content.add(batch)),
                Err((_, batches)) => {
                    assert!(commit(&mut ledger, &[1]).is_err(), "never takes anything again");
                    return Life { committing: batches, failed: true, ..life };
                }
            },
            Step::Checkpoint => {
                if ledger.checkpoint().is_err() {
                    ledger.checkpoint().expect_err("never signs again");
                    return Life { signing: true, failed: true, ..life };
                }
                let note = latest(&ledger).filter(|note| life.signed.last() != Some(note));
                life.signed.extend(note);
            }
        }
    }
    life
}

/// The files of a disk, and the tiles of a folder, in one place for the check.
pub(super) fn together(disk: &Faulty, tiles: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let read = |file: PathBuf| {
        let bytes = fs::read(&file).expect("a tile");
        (file.strip_prefix(tiles).expect("below").to_path_buf(), bytes)
    };
    let on_disk = disk.files().into_iter().map(|(name, bytes)| (PathBuf::from(name), bytes));
    fs::create_dir(folder.path().join("journal")).expect("made");
    for (name, bytes) in on_disk.chain(files(tiles).into_iter().map(read)) {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        fs::write(file, bytes).expect("written");
    }
    folder
}

/// The notes in the history of a disk, all of them good.
fn notes(disk: &Faulty, context: &str) -> Vec<String> {
    let history = disk.files().remove("checkpoints").unwrap_or_default();
    let (resumed, whole) = History::resume(&history).unwrap_or_else(|bad| panic!("{context}: {bad}"));
    assert_eq!(whole, history.len(), "{context}");
    let notes: Vec<String> =
        Frames::new(&history).map(|frame| String::from_utf8(frame.expect("whole").note.to_vec()).expect("UTF-8")).collect();
    assert_eq!(resumed.len(), notes.len() as u64);
    notes
}

/// A ledger has all that was acknowledged, and of what was begun everything or
/// nothing.
fn assert_holds(disk: &Faulty, folder: &Path, life: &Life, context: &str) {
    // The check says of what a crash leaves that it is no damage, once there is a
    // ledger at all.
    if disk.files().contains_key("ledger.pub") {
        let report = verify(together(disk, folder).path());
        assert!(report.is_sound(), "{context}: {report}");
    }
    let (mut ledger, content) = open_on(Arc::new(disk.clone()), folder).unwrap_or_else(|error| panic!("{context}: {error}"));
    let mut with_last = life.content.clone();
    life.committing.iter().for_each(|batch| with_last.add(batch));
    assert!(content == life.content || content == with_last, "{context}: holds {content:?}");
    let signed = notes(disk, context);
    assert!(signed.starts_with(&life.signed) && signed.len() <= life.signed.len() + usize::from(life.signing), "{context}: {signed:?}");
    assert_eq!(latest(&ledger).as_ref(), signed.last(), "{context}");
    let file = disk.files().get("checkpoint").map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(file.as_ref(), signed.last(), "{context}: the latest checkpoint");

    // What a start has shown is durable.
    let crashed = disk.crashed(17);
    let (_, again) = open_on(Arc::new(crashed.clone()), folder).unwrap_or_else(|error| panic!("{context}, again: {error}"));
    assert_eq!((again, notes(&crashed, context)), (content.clone(), signed.clone()), "{context}");
    // And it goes on.
    let mut with_more = content;
    let more = commit(&mut ledger, &[2, 1]).unwrap_or_else(|(error, _)| panic!("{context}: {error}"));
    more.iter().for_each(|batch| with_more.add(batch));
    ledger.checkpoint().unwrap_or_else(|error| panic!("{context}: {error}"));
    drop(ledger);
    let crashed = disk.crashed(18);
    let (ledger, found) = open_on(Arc::new(crashed.clone()), folder).unwrap_or_else(|error| panic!("{context}, later: {error}"));
    assert_eq!((found, notes(&crashed, context).len()), (with_more, signed.len() + 1), "{context}");
    assert_eq!(ledger.log().latest().map(|(checkpoint, _)| checkpoint.size), Some(ledger.next() - 1));
    let report = verify(together(&crashed, folder).path());
    assert!(report.is_clean(), "{context}: {report}");
}

#[test]
fn du_02_du_07_every_operation_fails_in_every_way_and_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let operations = {
        let disk = marked(0);
        let life = live(&disk, folder.path(), &steps(), &Life::default());
        assert!(!life.failed && life.signed.len() == 3);
        let segments = disk.operations().iter().filter(|what| what.starts_with("create journal")).count();
        assert!(segments > 1, "{:?}", disk.operations());
        disk.operations().len()
    };
    for operation in 0..operations {
        for failure in Failure::ALL {
            let disk = marked(operation as u64);
            disk.fail(operation, failure);
            let life = live(&disk, folder.path(), &steps(), &Life::default());
            let what = disk.operations()[operation].clone();
            assert!(life.failed, "{what} failed {failure:?} and nobody noticed");
            for seed in 0..8 {
                assert_holds(&disk.crashed(seed), folder.path(), &life, &format!("{what} {failure:?}, crash {seed}"));
            }
            assert_holds(&disk.killed(), folder.path(), &life, &format!("{what} {failure:?}, killed"));
        }
    }
}

/// Starts after an interrupted commit, an interrupted checkpoint, and a checkpoint
/// that is in the system's cache and on no disk.
#[test]
fn du_02_du_07_every_operation_of_a_start_fails_in_every_way_and_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let find = |what: &str| {
        let disk = marked(0);
        live(&disk, folder.path(), &steps(), &Life::default());
        disk.operations().iter().rposition(|operation| operation.starts_with(what)).expect("there is one")
    };
    let interrupted = [
        (find("write_at journal"), Failure::Halfway),
        (find("sync journal"), Failure::Halfway),
        (find("write_at checkpoints"), Failure::Halfway),
        (find("sync checkpoints"), Failure::Halfway),
        (find("rename checkpoint.new"), Failure::Before),
        (find("write_at checkpoint.new"), Failure::Halfway),
    ];
    for (point, how) in interrupted {
        let broken = |seed: u64| {
            let disk = marked(seed);
            disk.fail(point, how);
            let life = live(&disk, folder.path(), &steps(), &Life::default());
            assert!(life.failed);
            (disk.killed(), life)
        };
        let operations = {
            let (disk, _) = broken(0);
            open_on(Arc::new(disk.clone()), folder.path()).expect("opens");
            disk.operations().len()
        };
        for operation in 0..operations {
            for failure in Failure::ALL {
                let (disk, life) = broken(operation as u64);
                disk.fail(operation, failure);
                let opened = open_on(Arc::new(disk.clone()), folder.path()).is_ok();
                let context = format!("start after {point}: {} {failure:?}", disk.operations()[operation]);
                assert!(!opened, "{context}");
                for seed in 0..2 {
                    assert_holds(&disk.crashed(seed), folder.path(), &life, &format!("{context}, crash {seed}"));
                }
                assert_holds(&disk.killed(), folder.path(), &life, &format!("{context}, killed"));
            }
        }
    }
}

/// How the disk of a life fails, and what the next one finds.
#[derive(Debug, Clone)]
struct Fate {
    /// Which operation fails, from the first to the last.
    at: f64,
    failure: Failure,
    /// The power goes, not the process alone.
    crash: Option<u64>,
    /// What becomes of the tiles, which are never synced.
    tiles: u8,
}

fn fate() -> impl Strategy<Value = Fate> {
    let failure = prop::sample::select(Failure::ALL.to_vec());
    (0.0f64..1.0, failure, any::<Option<u64>>(), 0u8..4).prop_map(|(at, failure, crash, tiles)| Fate { at, failure, crash, tiles })
}

fn life() -> impl Strategy<Value = Vec<Step>> {
    let commit = prop::collection::vec(prop_oneof![0u64..4, 0u64..90], 1..4).prop_map(Step::Commit);
    prop::collection::vec(prop_oneof![2 => commit, 1 => Just(Step::Checkpoint)], 1..9)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn many_bad_lives_lose_nothing_that_was_acknowledged(lives in prop::collection::vec((life(), fate()), 1..6), seed in any::<u64>()) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut disk = marked(seed);
        let mut before = Life::default();
        for (number, (steps, Fate { at, failure, crash, tiles })) in lives.into_iter().enumerate() {
            let operations = {
                let trial = disk.killed();
                let elsewhere = tempfile::tempdir().expect("a folder");
                assert!(!live(&trial, elsewhere.path(), &steps, &before).failed);
                trial.operations().len()
            };
            disk.fail((at * operations as f64) as usize, failure);
            let life = live(&disk, folder.path(), &steps, &before);
            disk = crash.map_or_else(|| disk.killed(), |seed| disk.crashed(seed));
            let tile = folder.path().join("tiles/0");
            if tile.exists() {
                match tiles {
                    0 => fs::remove_file(&tile).expect("removed"),
                    1 => fs::write(&tile, b"").expect("written"),
                    2 => fs::write(&tile, [7; 8_192]).expect("written"),
                    _ => {}
                }
            }
            assert_holds(&disk, folder.path(), &life, &format!("life {number}"));
            let (ledger, content) = open_on(Arc::new(disk.clone()), folder.path()).expect("opens");
            let log = ledger.log();
            for (index, line) in content.lines.iter().enumerate().step_by(37) {
                let proof = log.proof(index as u64 + 1).expect("all is signed");
                proof.verify(line.as_bytes(), log.key(), &[]).expect("holds");
            }
            before = Life { content, signed: notes(&disk, "the next life"), ..Life::default() };
        }
    }
}

#[test]
fn a_secret_is_adopted_once() {
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    drop(Ledger::open(one.path(), &Limits::default(), &mut |_| Ok(())).expect("a new ledger"));
    let secret = fs::read(one.path().join(keys::SECRET)).expect("its secret");
    for _ in 0..2 {
        adopt(two.path(), &secret).expect("adopted");
    }
    let salt = |folder: &tempfile::TempDir| {
        Ledger::open(folder.path(), &Limits::default(), &mut |_| Ok(())).expect("opens").secrets().salt("/s", "1")
    };
    assert_eq!(salt(&one), salt(&two));
    assert!(adopt(two.path(), &[b'0'; 64]).is_err(), "not a secret");
    let other = [[b'0'; 64].as_slice(), b"\n"].concat();
    assert!(adopt(two.path(), &other).is_err_and(|error| error.to_string().contains("another one")));
}
