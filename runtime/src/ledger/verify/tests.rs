use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::records::{HEADER, MAGIC, SYNCED, next_record};
use super::report::grouped;
use super::*;
use crate::ledger::checkpoint::History;
use crate::ledger::tree::leaf_hash;

const SEED: [u8; 32] = [5; 32];

fn key() -> SignerKey {
    SignerKey::new("example.com/log", Algorithm::Ed25519, &SEED).expect("a good name")
}

fn witness() -> SignerKey {
    SignerKey::new("witness.example/w", Algorithm::Cosignature, &[6; 32]).expect("a good name")
}

fn line(sequence: u64, verdict: &str) -> String {
    format!(
        r#"{{"sequence":{sequence},"source":"/scooters/columbus","id":"{sequence:08x}","type":"org.example.trip","subject":"device-{}","time":"2026-11-24T08:00:00Z","arrived":"2026-11-24T08:00:00.000000Z","digest":"{}","verdict":"{verdict}","asked":[{{"policy":"geofence","release":"0.1.0-ca2949c7d59a","digest":"{}","mode":"enforce","columns":"{}"}}]}}"#,
        sequence % 97,
        "ab".repeat(32),
        "cd".repeat(32),
        "ef".repeat(32)
    )
}

/// Writes the records of a journal by their description.
struct Writer {
    directory: PathBuf,
    previous: [u8; 32],
    segment: PathBuf,
    next: u64,
}

impl Writer {
    fn new(directory: &Path) -> Self {
        fs::create_dir_all(directory.join("journal")).expect("a folder");
        let mut writer = Writer { directory: directory.to_path_buf(), previous: GENESIS, segment: PathBuf::new(), next: 1 };
        writer.roll();
        writer
    }

    fn roll(&mut self) {
        self.segment = self.directory.join(format!("journal/{:020}.seg", self.next));
        fs::write(&self.segment, b"").expect("written");
    }

    fn batch(&mut self, lines: &[String]) {
        use io::Write as _;
        let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        let states = b"some states";
        let payload = [&(text.len() as u32).to_le_bytes()[..], text.as_bytes(), &(states.len() as u32).to_le_bytes(), states].concat();
        let mut record =
            [&MAGIC[..], &[SYNCED], &(payload.len() as u32).to_le_bytes(), &self.next.to_le_bytes(), &(lines.len() as u32).to_le_bytes()]
                .concat();
        let mut hasher = Sha256::new().chain_update(self.previous).chain_update(&record).chain_update((text.len() as u32).to_le_bytes());
        lines.iter().for_each(|line| hasher.update(leaf_hash(line.as_bytes()).as_bytes()));
        self.previous = hasher.chain_update((states.len() as u32).to_le_bytes()).chain_update(states).finalize().into();
        record.extend(self.previous);
        record.extend(payload);
        fs::OpenOptions::new().append(true).open(&self.segment).and_then(|mut file| file.write_all(&record)).expect("written");
        self.next += lines.len() as u64;
    }
}

/// A data directory: batches of these sizes, a new segment and a cosigned
/// checkpoint after every second of them, tiles, keys.
fn directory(batches: &[u64], verdict: impl Fn(u64) -> &'static str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    fs::write(path.join("FORMAT"), FORMAT).expect("written");
    fs::write(path.join("lock"), b"").expect("written");
    fs::write(path.join("ledger.pub"), format!("{}\n", key().verifier())).expect("written");
    fs::write(path.join("ledger.key"), format!("{}\n", Hash(SEED))).expect("written");
    let (mut writer, mut tree, mut history, mut bytes) = (Writer::new(path), Tree::new(TileFiles::new(path)), History::new(), Vec::new());
    for (number, size) in (1..).zip(batches) {
        let lines: Vec<String> = (writer.next..writer.next + size).map(|sequence| line(sequence, verdict(sequence))).collect();
        writer.batch(&lines);
        lines.iter().for_each(|line| tree.push(leaf_hash(line.as_bytes())));
        if number % 2 == 0 {
            let checkpoint = Checkpoint { origin: "example.com/log".into(), size: tree.size(), root: tree.root(), extensions: Vec::new() };
            let mut note = checkpoint.sign(&key()).expect("can be signed");
            note.cosign(&witness(), 1_800_000_000 + number);
            bytes.extend(history.append(&note));
            fs::write(path.join("checkpoint"), note.to_string()).expect("written");
            writer.roll();
        }
    }
    fs::write(path.join("checkpoints"), bytes).expect("written");
    tree.flush().expect("written");
    folder
}

fn allow(_: u64) -> &'static str {
    "allow"
}

fn small() -> tempfile::TempDir {
    directory(&[2, 1, 3, 1, 1], allow)
}

/// All files but the lock, which holds nothing.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
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

fn segment(directory: &Path, place: usize) -> PathBuf {
    files(&directory.join("journal")).swap_remove(place)
}

#[test]
fn a_whole_directory_is_clean() {
    let folder = directory(&[100, 1, 156, 40, 3], allow);
    let report = Verifier::new(folder.path()).witnesses([witness().verifier().clone()]).run();
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.entries, report.records, report.segments, report.checkpoints, report.signed, report.tiles), (300, 5, 3, 2, 297, 1));
    assert_eq!(report.witnesses.into_iter().collect::<Vec<_>>(), [("witness.example/w".to_string(), 297)]);
    let text = verify(folder.path()).to_string();
    assert!(text.starts_with("300 entries, tree ") && text.contains("2 checkpoints (the last 3 entries are not signed yet)"), "{text}");
    // An auditor's copy, without the secret.
    fs::remove_file(folder.path().join("ledger.key")).expect("removed");
    assert!(verify(folder.path()).is_clean());
}

/// What is read here by description is what the journal writes.
#[test]
fn the_journal_writes_what_is_read_here() {
    use crate::ledger::journal::{Batch, Journal, SEGMENT_BYTES, StateChange};
    use crate::ledger::storage::Disk;
    use std::sync::Arc;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data");
    let disk: Arc<dyn storage::Storage> = Arc::new(Disk::open(&path).expect("a new directory"));
    let (mut journal, _) = Journal::open(disk, 0, SEGMENT_BYTES, Durability::Sync, &mut |_, _| Ok(())).expect("a new journal");
    let mut tree = Tree::new(TileFiles::new(&path));
    for count in [3u32, 1, 0, 300, 2] {
        let first = journal.next();
        let lines: Vec<String> = (first..first + u64::from(count)).map(|sequence| line(sequence, "allow")).collect();
        let states = vec![StateChange::State {
            policy: "geofence".into(),
            key: b"key".as_slice().into(),
            state: (count != 1).then(|| b"state".to_vec()),
        }];
        let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        let leaves = lines.iter().map(|line| leaf_hash(line.as_bytes())).collect();
        journal.append(&Batch { first, lines: text.into_bytes(), leaves, states }).expect("in order");
        journal.commit().expect("written");
        lines.iter().for_each(|line| tree.push(leaf_hash(line.as_bytes())));
    }
    tree.flush().expect("written");
    drop(journal);
    fs::write(path.join("ledger.pub"), format!("{}\n", key().verifier())).expect("written");
    let checkpoint = Checkpoint { origin: "example.com/log".into(), size: tree.size(), root: tree.root(), extensions: Vec::new() };
    let note = checkpoint.sign(&key()).expect("can be signed");
    fs::write(path.join("checkpoints"), History::new().append(&note)).expect("written");
    fs::write(path.join("checkpoint"), note.to_string()).expect("written");
    let report = verify(&path);
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.entries, report.records, report.signed, report.root), (306, 5, 306, Some(tree.root())));
    for file in files(&path.join("journal")) {
        let good = fs::read(&file).expect("a file");
        for at in (0..good.len()).step_by(1009) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            fs::write(&file, bad).expect("written");
            assert!(!verify(&path).is_sound(), "byte {at}");
        }
        fs::write(&file, good).expect("written");
    }
}

#[test]
fn a_new_directory_is_clean() {
    let folder = directory(&[], allow);
    assert!(verify(folder.path()).is_clean());
    assert_eq!(grouped(702_470), "702,470");
    assert_eq!((grouped(0), grouped(999), grouped(1_000)), ("0".into(), "999".into(), "1,000".into()));
}

#[test]
fn a_verdict_event_comes_of_an_entry_that_says_so_and_once() {
    let promised = line(1, "deny").replacen("\"digest\"", "\"echo\":1,\"digest\"", 1);
    let entry = crate::ledger::entry::Entry::parse(promised.as_bytes()).expect("an entry");
    let right = Digest::of(entry.echo().expect("one comes behind it").text.as_bytes());
    let kept = |sequence: u64, digest: Digest| {
        format!(
            r#"{{"sequence":{sequence},"source":"urn:ephor:verdicts#/scooters/columbus","id":"1","type":"dev.ephor.verdict.v1","arrived":"2026-11-24T08:00:00.000000Z","digest":"{}","verdict":"allow","asked":[]}}"#,
            digest.hex()
        )
    };
    let found = |lines: &[String]| {
        let folder = directory(&[], allow);
        Writer::new(folder.path()).batch(lines);
        let report = verify(folder.path());
        report.findings.into_iter().map(|finding| finding.what).collect::<Vec<_>>()
    };
    assert_eq!(found(&[promised.clone(), kept(2, right)]), []);
    assert_eq!(found(std::slice::from_ref(&promised)), [], "it is still to come");
    assert_eq!(found(&[promised.clone(), kept(2, right), kept(3, right)]), [Damage::Echo(3)]);
    assert_eq!(found(&[promised, kept(2, Digest::of(b"another"))]), [Damage::Echo(2)]);
    assert_eq!(found(&[line(1, "deny"), kept(2, right)]), [Damage::Echo(2)]);
}

#[test]
fn tl_08_every_changed_byte_of_every_file_is_found() {
    let folder = small();
    for file in files(folder.path()) {
        let good = fs::read(&file).expect("a file");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(&file, &bad).expect("written");
            let report = Verifier::new(folder.path()).threads(1).run();
            assert!(!report.is_clean(), "{} byte {at}", file.display());
        }
        fs::write(&file, good).expect("written");
    }
    assert!(verify(folder.path()).is_clean());
}

#[test]
fn every_removed_or_added_byte_and_file_is_found() {
    let folder = small();
    for file in files(folder.path()) {
        let good = fs::read(&file).expect("a file");
        for at in 0..=good.len() {
            let mut added = good.clone();
            added.insert(at, b'0');
            fs::write(&file, &added).expect("written");
            assert!(!Verifier::new(folder.path()).threads(1).run().is_clean(), "{} byte added at {at}", file.display());
            if at < good.len() {
                let mut removed = good.clone();
                removed.remove(at);
                fs::write(&file, &removed).expect("written");
                assert!(!Verifier::new(folder.path()).threads(1).run().is_clean(), "{} byte removed at {at}", file.display());
            }
        }
        fs::remove_file(&file).expect("removed");
        // Without the secret it is an auditor's copy; the last segment of this one
        // is behind the last checkpoint, and a log may end there.
        if !file.ends_with("ledger.key") && file != folder.path().join("journal/00000000000000000008.seg") {
            assert!(!verify(folder.path()).is_clean(), "{} removed", file.display());
        }
        fs::write(&file, good).expect("written");
    }
    assert!(verify(folder.path()).is_clean());
}

#[test]
fn tl_08_damage_is_named_with_its_place_and_the_rest_is_still_checked() {
    let folder = directory(&[100, 1, 156, 40, 3], allow);
    let first = segment(folder.path(), 0);
    let mut bytes = fs::read(&first).expect("a file");
    // In the 51st entry: "columbus" becomes "columbuS", and it is still an entry.
    let at = bytes.windows(14).position(|window| window == br#"{"sequence":51"#).expect("there");
    let source = at + bytes[at..].windows(8).position(|window| window == b"columbus").expect("there");
    bytes[source + 7] = b'S';
    // And one bit of the checksum of another record.
    let mut other = fs::read(segment(folder.path(), 1)).expect("a file");
    other[HEADER] ^= 1;
    fs::write(&first, &bytes).expect("written");
    fs::write(segment(folder.path(), 1), other).expect("written");
    let report = verify(folder.path());
    let of = |file: &str| report.findings.iter().filter(|finding| finding.file == Path::new(file)).collect::<Vec<_>>();
    assert_eq!((report.entries, report.records), (300, 5));
    let journal = of("journal/00000000000000000001.seg");
    assert_eq!(journal.len(), 1, "{report}");
    assert_eq!((journal[0].offset, &journal[0].what), (Some(0), &Damage::Checksum { first: 1, last: 100 }));
    // The changed checksum of the third record does not make the fourth a finding.
    assert_eq!(
        of("journal/00000000000000000102.seg").iter().map(|finding| &finding.what).collect::<Vec<_>>(),
        [&Damage::Checksum { first: 102, last: 257 }]
    );
    // The tile names the entry: its 51st hash.
    assert_eq!(
        of("tiles/0").iter().map(|finding| (&finding.what, finding.offset)).collect::<Vec<_>>(),
        [(&Damage::Tile(50), Some(50 * 32))]
    );
    assert_eq!(of("checkpoints").iter().filter(|finding| matches!(finding.what, Damage::Rewritten { .. })).count(), 2);
    assert!(!report.is_sound());
}

#[test]
fn tl_09_removed_swapped_and_doubled_records_and_segments_are_evidence() {
    let folder = small();
    let second = segment(folder.path(), 1);
    let good = fs::read(&second).expect("a file");
    let cut = next_record(&good, 1).expect("two records");
    let (one, two) = good.split_at(cut);
    for (what, bytes) in [
        ("first removed", two.to_vec()),
        ("second removed", one.to_vec()),
        ("swapped", [two, one].concat()),
        ("doubled", [one, one, two].concat()),
    ] {
        fs::write(&second, bytes).expect("written");
        let report = verify(folder.path());
        assert!(!report.is_sound(), "{what}: {report}");
    }
    fs::write(&second, &good).expect("written");
    fs::rename(&second, folder.path().join("journal/00000000000000000005.seg")).expect("renamed");
    assert!(!verify(folder.path()).is_sound());
    fs::remove_file(folder.path().join("journal/00000000000000000005.seg")).expect("removed");
    let report = verify(folder.path());
    assert!(report.findings.iter().any(|finding| finding.what == Damage::Sequence { expected: 4, found: 8 }), "{report}");
    assert!(report.findings.iter().any(|finding| finding.what == Damage::Uncheckable(4)), "{report}");
    assert_eq!(report.root, None);
}

#[test]
fn a_torn_tail_is_unfinished_unless_it_was_signed() {
    let folder = small();
    let last = segment(folder.path(), 2);
    let good = fs::read(&last).expect("a file");
    for length in 1..good.len() {
        fs::write(&last, &good[..length]).expect("written");
        let report = verify(folder.path());
        assert_eq!(
            report.findings.iter().map(|finding| finding.severity).collect::<Vec<_>>(),
            [Severity::Unfinished],
            "{length}: {report}"
        );
        assert_eq!(report.entries, 7);
    }
    // A length that reached the disk before some of the bytes did.
    for from in (0..good.len()).step_by(3) {
        for to in (from + 1..=good.len()).step_by(7) {
            let mut holed = good.clone();
            holed[from..to].fill(0);
            if holed == good {
                continue;
            }
            fs::write(&last, holed).expect("written");
            let report = Verifier::new(folder.path()).threads(1).run();
            let found: Vec<Severity> = report.findings.iter().map(|finding| finding.severity).collect();
            assert_eq!(found, [Severity::Unfinished], "{from} to {to}: {report}");
        }
    }
    // It is named for what comes next, whatever is left in it.
    let other = folder.path().join("journal/00000000000000000009.seg");
    fs::rename(&last, &other).expect("renamed");
    for left in [&b""[..], &good[..good.len() / 2], &vec![0; good.len()]] {
        fs::write(&other, left).expect("written");
        let report = verify(folder.path());
        assert!(report.findings.iter().any(|finding| finding.what == Damage::SegmentName { named: 9, found: 8 }), "{report}");
    }
    fs::remove_file(&other).expect("removed");
    let signed = segment(folder.path(), 1);
    let good = fs::read(&signed).expect("a file");
    fs::write(&signed, &good[..good.len() - 1]).expect("written");
    let report = verify(folder.path());
    assert!(report.findings.iter().any(|finding| finding.what == Damage::CutBack { size: 7, entries: 6 }), "{report}");
    assert!(!report.is_sound());
}

#[test]
fn tl_09_tl_10_a_log_rewritten_with_its_key_is_found_by_a_checkpoint_kept_elsewhere() {
    let honest = small();
    let kept = fs::read(honest.path().join("checkpoint")).expect("a file");
    let rewritten = directory(&[2, 1, 3, 1, 1], |sequence| if sequence == 3 { "deny" } else { "allow" });
    assert!(verify(rewritten.path()).is_clean(), "nothing in it says so");
    let report = Verifier::new(rewritten.path()).since("kept", kept.clone()).run();
    assert!(
        matches!(report.findings.as_slice(), [Finding { what: Damage::Rewritten { size: 7, .. }, file, .. }] if file == Path::new("kept")),
        "{report}"
    );
    // An old backup.
    let older = directory(&[2, 1], allow);
    let report = Verifier::new(older.path()).since("kept", kept.clone()).run();
    assert!(matches!(report.findings.as_slice(), [Finding { what: Damage::CutBack { size: 7, entries: 3 }, .. }]), "{report}");
    assert!(Verifier::new(honest.path()).since("kept", kept).run().is_clean());
    // Somebody else's key.
    let other = SignerKey::new("example.com/log", Algorithm::Ed25519, &[1; 32]).expect("a good name");
    let report = Verifier::new(honest.path()).key(other.verifier().clone()).run();
    assert!(report.findings.iter().any(|finding| matches!(finding.what, Damage::OtherKey { .. })), "{report}");
    assert!(report.findings.iter().any(|finding| matches!(finding.what, Damage::Checkpoint(_))), "{report}");
}

#[test]
fn a_latest_checkpoint_that_is_behind_is_unfinished_and_another_is_evidence() {
    let folder = small();
    let history = fs::read(folder.path().join("checkpoints")).expect("a file");
    let frames: Vec<_> = Frames::new(&history).map(|frame| frame.expect("whole").note.to_vec()).collect();
    fs::write(folder.path().join("checkpoint"), &frames[0]).expect("written");
    let report = verify(folder.path());
    assert!(matches!(report.findings.as_slice(), [Finding { severity: Severity::Unfinished, what: Damage::Behind, .. }]), "{report}");
    let foreign = Checkpoint { origin: "example.com/log".into(), size: 0, root: Hash::of_nothing(), extensions: Vec::new() }
        .sign(&key())
        .expect("can be signed");
    fs::write(folder.path().join("checkpoint"), foreign.to_string()).expect("written");
    assert!(!verify(folder.path()).is_sound());
}

#[test]
fn tiles_are_compared_and_strangers_named() {
    let folder = directory(&[100, 1, 156, 40, 3], allow);
    let path = folder.path();
    let good = fs::read(path.join("tiles/0")).expect("a level");
    let found = |file: &str| {
        let report = verify(path);
        assert!(report.is_sound() && report.tiles <= 1, "all of it is derived: {report}");
        let all: Vec<_> = report.findings.into_iter().filter(|finding| finding.file == Path::new(file)).collect();
        all.into_iter().map(|finding| (finding.offset, finding.what)).collect::<Vec<_>>()
    };
    for (bytes, expected) in [
        (good.repeat(2), vec![(Some(8_192), Damage::Unexpected)]),
        ([&good[..], b"x"].concat(), vec![(Some(8_192), Damage::Unexpected)]),
        (good[..8_191].to_vec(), vec![(Some(0), Damage::Missing), (Some(8_191), Damage::Missing)]),
        (Vec::new(), vec![(Some(0), Damage::Missing)]),
        (vec![0; 8_192], vec![(Some(0), Damage::Tile(0))]),
    ] {
        fs::write(path.join("tiles/0"), bytes).expect("written");
        assert_eq!(found("tiles/0"), expected);
    }
    fs::write(path.join("tiles/0"), good).expect("written");
    for stranger in ["tiles/1", "tiles/7", "tiles/8", "tiles/00", "tiles/+0", "tiles/0.new", "tiles/readme"] {
        for bytes in [&b""[..], b"x", &[0; 8_192]] {
            fs::write(path.join(stranger), bytes).expect("written");
            assert!(matches!(found(stranger)[..], [(_, Damage::Unexpected)]), "{stranger}");
        }
        fs::remove_file(path.join(stranger)).expect("removed");
    }
    assert!(verify(path).is_clean());
    fs::remove_dir_all(path.join("tiles")).expect("removed");
    assert_eq!(found("tiles"), [(None, Damage::Missing)]);
}

#[test]
fn entries_that_are_not_canonical_are_found() {
    for (wrong, expected) in [
        (line(2, "allow").replace(r#""id":"#, r#""id": "#), Damage::NotCanonical(2)),
        (line(3, "allow"), Damage::Sequence { expected: 2, found: 3 }),
    ] {
        let folder = directory(&[], allow);
        Writer::new(folder.path()).batch(&[line(1, "allow"), wrong]);
        let report = verify(folder.path());
        assert_eq!(report.findings.iter().map(|finding| finding.what.clone()).collect::<Vec<_>>(), [expected], "{report}");
    }
    let folder = directory(&[], allow);
    Writer::new(folder.path()).batch(&["{}".into(), "not JSON".into(), String::new()]);
    assert_eq!(verify(folder.path()).findings.len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damage_anywhere_in_a_larger_directory_is_found(file in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0u8..8, threads in 1usize..4) {
        let folder = directory(&[100, 1, 156, 40, 3, 300], allow);
        let files = files(folder.path());
        let file = &files[file.index(files.len())];
        let mut bytes = fs::read(file).expect("a file");
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            fs::write(file, bytes).expect("written");
            prop_assert!(!Verifier::new(folder.path()).threads(threads).run().is_clean());
        }
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), magic in any::<prop::sample::Index>(), file in 0usize..6) {
        let folder = small();
        let mut bytes = bytes;
        let at = magic.index(bytes.len() + 1);
        bytes.splice(at..at, [&MAGIC[..], &[SYNCED, 20, 0, 0, 0]].concat());
        let files = files(folder.path());
        fs::write(&files[file % files.len()], bytes).expect("written");
        prop_assert!(!verify(folder.path()).is_clean());
    }
}
