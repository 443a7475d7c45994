//! Syncing left to the operating system: the end of a process loses nothing, a power cut
//! nothing that is signed; what it takes is named, and other damage is refused as ever.

use std::collections::BTreeMap;

use super::super::note::Note;
use super::*;

/// What a life acknowledged, and what of it has to survive a power cut.
#[derive(Debug, Default)]
struct Loose {
    life: Life,
    /// Lines that were there at the start, or at a checkpoint after it.
    settled: usize,
}

/// Opens, commits and signs until something fails.
fn live_loose(disk: &Faulty, folder: &Path, steps: &[Step]) -> Loose {
    let mut loose = Loose::default();
    let life = &mut loose.life;
    let Ok((mut ledger, _)) = open_as(Arc::new(disk.clone()), folder, Durability::Os) else {
        life.failed = true;
        return loose;
    };
    for step in steps {
        match step {
            Step::Commit(counts) => match commit(&mut ledger, counts) {
                Ok(batches) => batches.iter().for_each(|batch| life.content.add(batch)),
                Err((_, batches)) => {
                    assert!(commit(&mut ledger, &[1]).is_err() && ledger.checkpoint().is_err(), "never takes anything again");
                    (life.committing, life.failed) = (batches, true);
                    return loose;
                }
            },
            Step::Checkpoint => {
                if ledger.checkpoint().is_err() {
                    ledger.checkpoint().expect_err("never signs again");
                    (life.signing, life.failed) = (true, true);
                    return loose;
                }
                assert_eq!(ledger.unsettled(), 0);
                loose.settled = life.content.lines.len();
                let note = latest(&ledger).filter(|note| life.signed.last() != Some(note));
                life.signed.extend(note);
            }
        }
    }
    loose
}

/// More commits between two checkpoints than the other tests have: here several of them
/// can be lost together.
fn loose_steps() -> Vec<Step> {
    let commit = |counts: &[u64]| Step::Commit(counts.to_vec());
    let before = [commit(&[3]), commit(&[1]), commit(&[9, 0, 2]), Step::Checkpoint, commit(&[0])];
    [&before[..], &[commit(&[4]), commit(&[2]), commit(&[12]), commit(&[1]), Step::Checkpoint, commit(&[1]), commit(&[7])]].concat()
}

/// A ledger has what it has to have, goes on, and what it has shown is durable. Gives how
/// many acknowledged lines are lost, and how many bytes of that were named.
fn assert_holds_loose(disk: &Faulty, folder: &Path, Loose { life, settled }: &Loose, killed: bool, context: &str) -> (usize, u64) {
    if disk.files().contains_key("ledger.pub") {
        let report = verify(together(disk, folder).path());
        assert!(report.is_sound(), "{context}: {report}");
    }
    let opened = open_as(Arc::new(disk.clone()), folder, Durability::Os);
    let (ledger, content) = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
    let mut with_last = life.content.clone();
    life.committing.iter().for_each(|batch| with_last.add(batch));
    let (count, acknowledged) = (content.lines.len(), life.content.lines.len());
    let least = if killed { acknowledged } else { *settled };
    assert!(
        with_last.lines.starts_with(&content.lines) && count >= least,
        "{context}: holds {count} lines of {acknowledged}, {least} at least"
    );
    let signed = notes(disk, context);
    assert!(signed.starts_with(&life.signed) && signed.len() <= life.signed.len() + usize::from(life.signing), "{context}: {signed:?}");
    let lost = ledger.lost_bytes();
    drop(ledger);

    // A start has made durable what it has shown, and in the other mode all holds as ever.
    let crashed = disk.crashed(17);
    let (mut ledger, again) = open_on(Arc::new(crashed.clone()), folder).unwrap_or_else(|error| panic!("{context}, again: {error}"));
    assert_eq!((&again, ledger.lost_bytes()), (&content, 0), "{context}");
    let mut with_more = content;
    let more = commit(&mut ledger, &[2, 1]).unwrap_or_else(|(error, _)| panic!("{context}: {error}"));
    more.iter().for_each(|batch| with_more.add(batch));
    drop(ledger);
    let crashed = crashed.crashed(18);
    let (mut ledger, found) = open_on(Arc::new(crashed.clone()), folder).unwrap_or_else(|error| panic!("{context}, later: {error}"));
    assert_eq!(found, with_more, "{context}");
    ledger.checkpoint().unwrap_or_else(|error| panic!("{context}: {error}"));
    let report = verify(together(&crashed, folder).path());
    assert!(report.is_clean(), "{context}: {report}");
    (acknowledged.saturating_sub(count), lost)
}

#[test]
fn every_operation_fails_in_every_way_and_nothing_that_is_signed_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let operations = {
        let disk = marked(0);
        let loose = live_loose(&disk, folder.path(), &loose_steps());
        assert!(!loose.life.failed && loose.life.signed.len() == 2);
        let operations = disk.operations();
        let segments = operations.iter().filter(|what| what.starts_with("create journal")).count();
        assert!(segments > 1, "{operations:?}");
        operations.len()
    };
    for operation in 0..operations {
        for failure in Failure::ALL {
            let disk = marked(operation as u64);
            disk.fail(operation, failure);
            let loose = live_loose(&disk, folder.path(), &loose_steps());
            let what = disk.operations()[operation].clone();
            assert!(loose.life.failed, "{what} failed {failure:?} and nobody noticed");
            for seed in 0..8 {
                assert_holds_loose(&disk.crashed(seed), folder.path(), &loose, false, &format!("{what} {failure:?}, crash {seed}"));
            }
            assert_holds_loose(&disk.killed(), folder.path(), &loose, true, &format!("{what} {failure:?}, killed"));
        }
    }
}

#[test]
fn a_power_cut_takes_what_is_not_signed_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = marked(0);
    let loose = live_loose(&disk, folder.path(), &loose_steps());
    assert_eq!((loose.settled, loose.life.content.lines.len()), (34, 42));
    let (lost, named) = assert_holds_loose(&disk.killed(), folder.path(), &loose, true, "killed");
    assert_eq!((lost, named), (0, 0), "the end of the process alone loses nothing");
    let (mut losses, mut named) = (0, 0);
    for seed in 0..200 {
        let (lost, bytes) = assert_holds_loose(&disk.crashed(seed), folder.path(), &loose, false, &format!("crash {seed}"));
        losses += usize::from(lost > 0);
        named += usize::from(lost > 0 && bytes > 0);
    }
    assert!(losses > 100 && named > 50, "{losses} power cuts took something, {named} of them left something to see");
}

/// All files, and the last segment of a ledger that was never signed: a record that was
/// synced, and four that were not.
fn unsigned() -> (BTreeMap<String, Vec<u8>>, String, Vec<usize>) {
    let (disk, folder) = (marked(3), tempfile::tempdir().expect("a folder"));
    for (durability, commits) in [(Durability::Sync, 1), (Durability::Os, 4)] {
        let (mut ledger, _) = open_as(Arc::new(disk.clone()), folder.path(), durability).expect("opens");
        for _ in 0..commits {
            commit(&mut ledger, &[2]).unwrap_or_else(|(error, _)| panic!("{error}"));
        }
        assert_eq!(ledger.unsettled(), if durability == Durability::Os { 8 } else { 0 });
    }
    let files = disk.files();
    let segment = "journal/00000000000000000001.seg".to_string();
    let bytes = &files[&segment];
    let starts: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"EPHB")).collect();
    assert_eq!(starts.iter().map(|at| bytes[at + 4]).collect::<Vec<_>>(), [1, 2, 2, 2, 2], "how it was written stands in each record");
    (files, segment, starts)
}

fn open_files(files: &BTreeMap<String, Vec<u8>>, durability: Durability) -> Result<(Ledger, Content), String> {
    let folder = tempfile::tempdir().expect("a folder");
    open_as(Arc::new(Faulty::with(files)), folder.path(), durability).map_err(|error| error.to_string())
}

#[test]
fn a_hole_is_cut_off_where_nothing_was_synced_behind_it() {
    let (files, segment, starts) = unsigned();
    for (hole, left) in [(2, 4), (3, 6), (4, 8)] {
        for durability in [Durability::Sync, Durability::Os] {
            let mut files = files.clone();
            let bytes = files.get_mut(&segment).expect("there");
            let (from, length) = (starts[hole], bytes.len());
            bytes[from + 20..from + 300].fill(0);
            let report = verify(together(&Faulty::with(&files), tempfile::tempdir().expect("a folder").path()).path());
            assert!(report.is_sound() && !report.is_clean(), "{report}");
            let says = format!("unfinished: {segment}, byte {from}: is torn from here on");
            assert!(report.to_string().contains(&says) && report.to_string().contains(&(length - from).to_string()), "{report}");
            let (ledger, content) = open_files(&files, durability).expect("opens");
            assert_eq!((content.lines.len(), ledger.lost_bytes()), (left, (length - from) as u64), "hole {hole}");
        }
    }
}

#[test]
fn other_damage_is_refused_as_ever() {
    let (files, segment, starts) = unsigned();
    // In what was synced, and in the first record that was not, which was synced as well.
    for damaged in [0, 1] {
        let mut files = files.clone();
        files.get_mut(&segment).expect("there")[starts[damaged] + 100] ^= 1;
        let error = open_files(&files, Durability::Os).err().expect("refused");
        assert!(error.contains(&format!("byte {}", starts[damaged])) && error.contains("nothing was cut off"), "{error}");
    }
    // Something that was synced is behind it: then it was on the disk.
    let disk = Faulty::with(&files);
    let folder = tempfile::tempdir().expect("a folder");
    let (mut ledger, _) = open_on(Arc::new(disk.clone()), folder.path()).expect("opens");
    commit(&mut ledger, &[1]).unwrap_or_else(|(error, _)| panic!("{error}"));
    drop(ledger);
    for damaged in [2, 3, 4] {
        let mut files = disk.files();
        files.get_mut(&segment).expect("there")[starts[damaged] + 100] ^= 1;
        for durability in [Durability::Sync, Durability::Os] {
            let error = open_files(&files, durability).err().expect("refused");
            assert!(error.contains(&format!("byte {}", starts[damaged])), "{error}");
        }
        assert!(!verify(together(&Faulty::with(&files), folder.path()).path()).is_sound());
    }
    // A checkpoint covers it.
    let disk = Faulty::with(&files);
    let (mut ledger, _) = open_as(Arc::new(disk.clone()), folder.path(), Durability::Os).expect("opens");
    ledger.checkpoint().expect("signed");
    drop(ledger);
    let mut files = disk.files();
    files.get_mut(&segment).expect("there")[starts[3] + 100] ^= 1;
    let error = open_files(&files, Durability::Os).err().expect("refused");
    assert!(error.contains("entry 10 was made durable"), "{error}");
    assert!(!verify(together(&Faulty::with(&files), folder.path()).path()).is_sound());
}

#[test]
fn every_checkpoint_says_how_the_log_is_kept() {
    let (disk, folder) = (marked(0), tempfile::tempdir().expect("a folder"));
    for (durability, expected) in [(Durability::Os, "ephor durability os"), (Durability::Sync, "")] {
        let (mut ledger, _) = open_as(Arc::new(disk.clone()), folder.path(), durability).expect("opens");
        commit(&mut ledger, &[3]).unwrap_or_else(|(error, _)| panic!("{error}"));
        ledger.checkpoint().expect("signed");
        let (checkpoint, note) = ledger.log().latest().expect("signed");
        let note = Note::parse(note.to_string().as_bytes()).expect("a note");
        assert_eq!((note.text().lines().nth(3).unwrap_or_default(), checkpoint.durability()), (expected, durability));
        assert_eq!(ledger.log().durability(), durability);
    }
    let report = verify(together(&disk, folder.path()).path());
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.unsynced, report.unsynced_checkpoints, report.checkpoints, report.records), (1, 1, 2, 2));
}
