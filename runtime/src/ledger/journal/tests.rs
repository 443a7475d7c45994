use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use proptest::prelude::*;

use super::record::{HEADER, Header, NOTHING};
use super::*;
use crate::ledger::faulty::{Failure, Faulty, Random};
use crate::ledger::storage::Disk;
use crate::ledger::tree::leaf_hash;

/// Small enough that a handful of batches needs several segments.
const SEGMENT: u64 = 2_000;

/// A batch whose content follows from its place, its size and a seed, so that what
/// is read can be held against what was written. Its states have changes of all
/// kinds.
fn batch(first: u64, count: u32, seed: u64) -> Batch {
    let mut random = Random(seed ^ first << 20);
    let mut made = Batch { first, ..Batch::default() };
    for sequence in first..first + u64::from(count) {
        let filler = "x".repeat(random.below(120));
        let line = format!("{{\"sequence\":{sequence},\"seed\":{seed},\"filler\":\"{filler}\"}}");
        made.leaves.push(leaf_hash(line.as_bytes()));
        made.lines.extend_from_slice(line.as_bytes());
        made.lines.push(b'\n');
    }
    let changes = if count == 0 { 1 } else { count / 2 };
    made.states = (0..changes).map(|_| change(&mut random)).collect();
    made
}

fn change(random: &mut Random) -> StateChange {
    let policy = ["one", "", "drei🚲"][random.below(3)].into();
    let key = random.next().to_le_bytes()[..random.below(9)].into();
    match random.below(7) {
        0 => StateChange::State { policy, key, state: None },
        1 => StateChange::State { policy, key, state: Some(vec![b'E'; random.below(60)]) },
        2 => StateChange::Form { policy, form: vec![0xf0; random.below(40)] },
        3 => StateChange::Forgotten { policy },
        6 => StateChange::Line { policy, line: vec![b'{'; random.below(40)] },
        4 => StateChange::Timer { policy, key, timer: Some((random.next() as i64, ["", "urn:a"][random.below(2)].into())) },
        _ => StateChange::Timer { policy, key, timer: None },
    }
}

fn owned(change: StateRef<'_>) -> StateChange {
    match change {
        StateRef::State { policy, key, state } => {
            StateChange::State { policy: policy.into(), key: key.into(), state: state.map(<[u8]>::to_vec) }
        }
        StateRef::Timer { policy, key, timer } => {
            StateChange::Timer { policy: policy.into(), key: key.into(), timer: timer.map(|(at, source)| (at, source.into())) }
        }
        StateRef::Form { policy, form } => StateChange::Form { policy: policy.into(), form: form.to_vec() },
        StateRef::Forgotten { policy } => StateChange::Forgotten { policy: policy.into() },
        StateRef::Line { policy, line } => StateChange::Line { policy: policy.into(), line: line.to_vec() },
    }
}

/// What a journal holds: its lines and its states, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Content {
    lines: Vec<String>,
    states: Vec<StateChange>,
}

impl Content {
    fn add(&mut self, batch: &Batch) {
        let text = str::from_utf8(&batch.lines).expect("UTF-8");
        self.lines.extend(text.lines().map(str::to_string));
        self.states.extend_from_slice(&batch.states);
    }

    fn see(&mut self, record: Record<'_>) {
        assert_eq!(record.lines().count(), record.leaves.len());
        for ((sequence, line), leaf) in record.lines().zip(record.leaves) {
            assert_eq!(sequence, self.lines.len() as u64 + 1, "sequences are dense");
            assert_eq!(*leaf, leaf_hash(line));
            self.lines.push(String::from_utf8(line.to_vec()).expect("UTF-8"));
        }
        self.states.extend(record.states().map(|(_, change)| owned(change)));
    }
}

fn open_known(disk: &Faulty, known: u64) -> Result<(Journal, Recovered, Content), OpenError> {
    let mut content = Content::default();
    let mut visit = |_: &Place, record: Record<'_>| {
        content.see(record);
        Ok(())
    };
    let (journal, recovered) = Journal::open(Arc::new(disk.clone()), known, SEGMENT, Durability::Sync, &mut visit)?;
    assert_eq!(recovered.next, content.lines.len() as u64 + 1);
    Ok((journal, recovered, content))
}

fn open(disk: &Faulty) -> (Journal, Recovered, Content) {
    open_known(disk, 0).unwrap_or_else(|error| panic!("opens: {error}"))
}

/// The entry of a sequence, as somebody reads it who wants no other.
fn read(journal: &Journal, sequence: u64) -> Option<Result<String, ReadError>> {
    Some(journal.reader().scan(sequence).next()?.map(|(found, line)| {
        assert_eq!(found, sequence);
        line
    }))
}

/// Every line, read one after another, one alone, and with others left out.
fn assert_reads(journal: &Journal, content: &Content) {
    let reader = journal.reader();
    let scanned: Vec<(u64, String)> = reader.scan(1).collect::<Result<_, _>>().expect("readable");
    let expected: Vec<(u64, String)> = (1..).zip(content.lines.iter().cloned()).collect();
    assert_eq!(scanned, expected);
    assert_eq!(reader.scan_unchecked(1).collect::<Result<Vec<_>, _>>().expect("readable"), expected);
    assert_eq!(reader.next(), expected.len() as u64 + 1);
    for (sequence, line) in &expected {
        assert_eq!(reader.read(*sequence).expect("readable"), *line);
    }
    let some: Vec<(u64, String)> = expected.into_iter().filter(|(sequence, _)| sequence % 3 == 0 || sequence % 7 == 0).collect();
    let sequences: Vec<u64> = some.iter().map(|(sequence, _)| *sequence).collect();
    let mut seen = Vec::new();
    reader.read_many(&sequences, |sequence, line| seen.push((sequence, line.to_string()))).expect("readable");
    assert_eq!(seen, some);
    for sequence in [content.lines.len() as u64 + 1, u64::MAX] {
        assert!(read(journal, sequence).is_none(), "{sequence}");
        assert!(matches!(reader.read(sequence), Err(ReadError::Unknown { .. })), "{sequence}");
    }
}

/// Batches to be committed: each inner list shares one sync.
fn commits(seed: u64) -> Vec<Vec<Batch>> {
    let mut next = 1;
    let mut random = Random(seed);
    let mut one = |count: u32| {
        let made = batch(next, count, random.next());
        next += u64::from(count);
        made
    };
    vec![vec![one(1)], vec![one(0)], vec![one(3), one(0), one(9)], vec![one(14)], vec![one(1), one(1)], vec![one(20)], vec![one(2)]]
}

/// Opens, writes and syncs until something fails. Gives what was acknowledged, the
/// batches that were handed over and not acknowledged, and whether anything failed.
fn run(disk: &Faulty, commits: &[Vec<Batch>]) -> (Content, Vec<Batch>, bool) {
    let mut acknowledged = Content::default();
    let Ok((mut journal, ..)) = open_known(disk, 0) else { return (acknowledged, Vec::new(), true) };
    for commit in commits {
        let mut work = || -> Result<(), WriteError> {
            for batch in commit {
                journal.append(batch)?;
            }
            journal.commit()
        };
        if let Err(error) = work() {
            let text = error.to_string();
            assert!(text.contains("journal/") && text.contains("byte") && text.contains("start again"), "{text}");
            assert!(matches!(journal.append(&commit[0]), Err(WriteError::Poisoned(_))), "never takes anything again");
            assert!(matches!(journal.commit(), Err(WriteError::Poisoned(_))), "never syncs again");
            assert_reads(&journal, &acknowledged);
            return (acknowledged, commit.clone(), true);
        }
        commit.iter().for_each(|batch| acknowledged.add(batch));
    }
    (acknowledged, Vec::new(), false)
}

/// A journal holds what was acknowledged, and of the last commit everything or
/// nothing. Gives what it holds.
fn assert_holds(disk: &Faulty, acknowledged: &Content, open_ones: &[Batch], context: &str) -> Content {
    let (mut journal, _, content) = open_known(disk, acknowledged.lines.len() as u64).unwrap_or_else(|error| panic!("{context}: {error}"));
    let mut with_last = acknowledged.clone();
    open_ones.iter().for_each(|batch| with_last.add(batch));
    assert!(content == *acknowledged || content == with_last, "{context}: holds\n{content:?}\nand not\n{acknowledged:?}");
    assert_reads(&journal, &content);

    // What was shown is durable now, and the journal goes on.
    let (_, _, again) = open(&disk.crashed(17));
    assert_eq!(again, content, "{context}: what a start has shown is durable");
    let more = batch(journal.next(), 3, 99);
    journal.append(&more).expect("goes on");
    journal.commit().expect("goes on");
    drop(journal);
    let mut with_more = content.clone();
    with_more.add(&more);
    assert_eq!(open(&disk.crashed(18)).2, with_more, "{context}");
    assert_eq!(open(&disk.crashed(19)).1.torn, None, "{context}");
    content
}

#[test]
fn du_02_du_07_every_operation_fails_in_every_way_and_nothing_is_lost() {
    let commits = commits(1);
    // The second half works on a directory that a crash left behind.
    let count = {
        let disk = Faulty::new(0);
        let (.., failed) = run(&disk, &commits);
        assert!(!failed);
        let writes = disk.operations().iter().filter(|what| what.starts_with("create journal")).count();
        assert!(writes > 2, "several segments: {:?}", disk.operations());
        disk.operations().len()
    };
    let mut survived = [0, 0];
    for operation in 0..count {
        for failure in Failure::ALL {
            let disk = Faulty::new(operation as u64);
            disk.fail(operation, failure);
            let (acknowledged, open_ones, failed) = run(&disk, &commits);
            let what = disk.operations()[operation].clone();
            assert!(failed, "{what} failed {failure:?} and nobody noticed");
            for seed in 0..12 {
                let context = format!("{what} {failure:?}, crash {seed}");
                let content = assert_holds(&disk.crashed(seed), &acknowledged, &open_ones, &context);
                survived[usize::from(content != acknowledged)] += 1;
            }
            // The process ends, the machine goes on; only later the power goes.
            assert_holds(&disk.killed(), &acknowledged, &open_ones, &format!("{what} {failure:?}, killed"));
        }
    }
    assert!(survived[0] > 0 && survived[1] > 0, "both outcomes of an interrupted commit were seen: {survived:?}");
}

#[test]
fn du_02_du_07_every_operation_of_a_recovery_fails_in_every_way_and_nothing_is_lost() {
    let commits = commits(2);
    let torn = |seed: u64| {
        let disk = Faulty::new(seed);
        let (journal, ..) = open(&disk);
        drop(journal);
        let total = {
            let trial = disk.killed();
            run(&trial, &commits);
            trial.operations().len()
        };
        // The last operation but one is the write of the last commit.
        let disk = disk.killed();
        disk.fail(total - 2, Failure::Halfway);
        let (acknowledged, open_ones, failed) = run(&disk, &commits);
        assert!(failed, "{:?}", disk.operations());
        (disk.killed(), acknowledged, open_ones)
    };
    let (disk, acknowledged, _) = torn(3);
    let count = {
        let trial = disk.killed();
        let (_, recovered, content) = open(&trial);
        assert!(recovered.torn.is_some(), "{recovered:?}");
        assert_eq!(content, acknowledged);
        trial.operations().len()
    };
    for operation in 0..count {
        for failure in Failure::ALL {
            let (disk, acknowledged, open_ones) = torn(operation as u64);
            disk.fail(operation, failure);
            let context = format!("operation {operation} of the recovery {failure:?}");
            assert!(open_known(&disk, 0).is_err(), "{context}");
            for seed in 0..12 {
                assert_holds(&disk.crashed(seed), &acknowledged, &open_ones, &context);
            }
            assert_holds(&disk.killed(), &acknowledged, &open_ones, &context);
        }
    }
}

#[test]
fn du_05_a_full_disk_stops_the_journal_and_a_restart_goes_on() {
    let disk = Faulty::new(4);
    let commits = commits(4);
    let write = {
        let trial = Faulty::new(4);
        run(&trial, &commits);
        trial.operations().iter().rposition(|what| what.starts_with("write_at")).expect("a write")
    };
    disk.fail(write, Failure::Halfway);
    let (acknowledged, open_ones, failed) = run(&disk, &commits);
    assert!(failed && !open_ones.is_empty());
    let (_, recovered, content) = open(&disk.killed());
    assert_eq!(content, acknowledged);
    let torn = recovered.torn.expect("half a record").to_string();
    assert!(torn.contains("journal/0000") && torn.contains("interrupted commit"), "{torn}");
    assert_holds(&disk.killed(), &acknowledged, &open_ones, "full disk");
}

/// After a failed sync the system shows bytes that are on no disk. What a restart
/// shows of them must be durable all the same.
#[test]
fn du_07_bytes_that_only_the_cache_has_are_written_again() {
    let mut lost_without = false;
    for seed in 0..20 {
        let disk = Faulty::new(seed);
        let (mut journal, ..) = open(&disk);
        journal.append(&batch(1, 9, seed)).expect("taken");
        disk.fail(disk.operations().len() + 1, Failure::Halfway);
        journal.commit().expect_err("the sync fails");
        let disk = disk.killed();
        lost_without |= open(&disk.crashed(0)).2.lines.is_empty();
        let (_, recovered, _) = open(&disk);
        assert_eq!((recovered.next, recovered.torn), (10, None), "the cache has it all");
        assert_eq!(open(&disk.crashed(1)).1.next, 10, "and now the disk, too");
    }
    assert!(lost_without, "the disk did lack the bytes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_crash_at_any_point_loses_nothing_that_was_acknowledged(
        sizes in prop::collection::vec(prop::collection::vec(0u32..12, 1..4), 1..10),
        lives in prop::collection::vec((0.0f64..1.0, 0usize..3, any::<u64>(), any::<bool>()), 1..4),
        seed in any::<u64>(),
    ) {
        let mut disk = Faulty::new(seed);
        let mut content = Content::default();
        for (at, failure, crash, killed) in lives {
            let first = content.lines.len() as u64 + 1;
            let mut next = first;
            let mut random = Random(crash);
            let commits: Vec<Vec<Batch>> = sizes.iter().map(|sizes| sizes.iter().map(|count| {
                let made = batch(next, *count, random.next());
                next += u64::from(*count);
                made
            }).collect()).collect();
            // How many operations there would be, to fail one of them.
            let trial = disk.killed();
            let mut before = content.clone();
            let (mut journal, _, found) = open(&trial);
            prop_assert_eq!(&found, &before);
            for commit in &commits {
                commit.iter().for_each(|batch| journal.append(batch).expect("taken"));
                journal.commit().expect("synced");
            }
            let operations = trial.operations().len();
            disk.fail((at * operations as f64) as usize, Failure::ALL[failure]);

            let mut open_ones = Vec::new();
            if let Ok((mut journal, ..)) = open_known(&disk, 0) {
                for commit in &commits {
                    let done = commit.iter().try_for_each(|batch| journal.append(batch)).and_then(|()| journal.commit());
                    if done.is_err() {
                        open_ones.clone_from(commit);
                        break;
                    }
                    commit.iter().for_each(|batch| before.add(batch));
                }
            }
            disk = if killed { disk.killed() } else { disk.crashed(crash) };
            let (journal, _, found) = open_known(&disk, before.lines.len() as u64).expect("opens");
            let mut with_last = before.clone();
            open_ones.iter().for_each(|batch| with_last.add(batch));
            prop_assert!(found == before || found == with_last);
            assert_reads(&journal, &found);
            content = found;
        }
        let (_, recovered, found) = open(&disk.killed());
        prop_assert_eq!((recovered.torn, found), (None, content));
    }
}

/// The files of a small journal, and what it holds.
fn small() -> (BTreeMap<String, Vec<u8>>, Content) {
    let disk = Faulty::new(7);
    let (content, ..) = run(&disk, &commits(7));
    (disk.files(), content)
}

/// Where the records of a file are.
fn records(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut at, mut found) = (0, Vec::new());
    while at < bytes.len() {
        let end = at + HEADER + Header::parse(&bytes[at..]).expect("a header").payload;
        found.push(at..end);
        at = end;
    }
    found
}

/// What a changed journal may do: be refused; or, if only its last record is hurt,
/// open without that one and say so. `whole` has what was there before.
fn assert_found(files: &BTreeMap<String, Vec<u8>>, whole: &Content, context: &str) {
    let disk = Faulty::with(files);
    match open_known(&disk, 0) {
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("journal/"), "names the file: {text}");
            assert_eq!(disk.files(), *files, "{context}: nothing was cut off");
        }
        Ok((_, recovered, content)) => {
            let torn = recovered.torn.unwrap_or_else(|| panic!("{context}: opens as if nothing was wrong"));
            let last_file = files.keys().next_back().expect("a file");
            assert_eq!((&torn.place.file, torn.place.offset + torn.bytes), (last_file, files[last_file].len() as u64), "{context}");
            assert!(content.lines.len() < whole.lines.len() || content == *whole, "{context}");
            assert_eq!(content.lines, whole.lines[..content.lines.len()], "{context}: nothing false is shown");
            let last = whole.lines.len() as u64;
            if (content.lines.len() as u64) < last {
                // A checkpoint that covers the record keeps it from being cut off.
                let kept = Faulty::with(files);
                let error = open_known(&kept, last).expect_err("an entry is missing");
                assert!(matches!(error, OpenError::Lost { .. }), "{error}");
                assert_eq!(kept.files(), *files, "nothing was cut off");
            }
        }
    }
}

#[test]
fn an_untouched_journal_is_sound() {
    let (files, content) = small();
    let (_, recovered, found) = open(&Faulty::with(&files));
    assert_eq!((recovered.torn, recovered.segments, found), (None, files.len() as u64, content));
    assert!(files.len() > 2, "{} segments", files.len());
}

#[test]
fn du_09_every_changed_byte_is_found() {
    let (files, content) = small();
    let last_file = files.keys().next_back().expect("a file").clone();
    for (name, bytes) in &files {
        let last_record = if *name == last_file { records(bytes).last().expect("a record").start } else { usize::MAX };
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut files = files.clone();
                files.get_mut(name).expect("the file")[at] ^= flip;
                let context = format!("{name}, byte {at} ^ {flip:#x}");
                assert_found(&files, &content, &context);
                if at < last_record {
                    let error = open_known(&Faulty::with(&files), 0).expect_err(&context);
                    assert!(matches!(&error, OpenError::Damaged { place, .. } if place.file == *name), "{context}: {error}");
                }
            }
        }
    }
}

#[test]
fn du_10_every_truncation_is_found() {
    let (files, content) = small();
    let last_file = files.keys().next_back().expect("a file").clone();
    for (name, bytes) in &files {
        let boundaries: Vec<usize> = records(bytes).iter().map(|record| record.start).collect();
        for len in 0..bytes.len() {
            let mut files = files.clone();
            files.get_mut(name).expect("the file").truncate(len);
            let context = format!("{name} cut to {len}");
            if *name == last_file && boundaries.contains(&len) {
                // As if the last records had never been: only a checkpoint tells.
                let error = open_known(&Faulty::with(&files), content.lines.len() as u64).expect_err(&context);
                assert!(matches!(error, OpenError::Lost { .. }), "{error}");
                continue;
            }
            assert_found(&files, &content, &context);
        }
    }
}

#[test]
fn every_byte_taken_out_or_put_in_is_found() {
    let (files, content) = small();
    for (name, bytes) in &files {
        for at in 0..bytes.len() {
            let mut less = files.clone();
            less.get_mut(name).expect("the file").remove(at);
            assert_found(&less, &content, &format!("{name} without byte {at}"));
        }
        for at in 0..=bytes.len() {
            let mut more = files.clone();
            more.get_mut(name).expect("the file").insert(at, b'E');
            assert_found(&more, &content, &format!("{name} with another byte at {at}"));
        }
    }
}

#[test]
fn records_taken_out_doubled_and_swapped_are_found() {
    let (files, content) = small();
    let last = content.lines.len() as u64;
    let all: Vec<(String, Vec<u8>)> =
        files.iter().flat_map(|(name, bytes)| records(bytes).into_iter().map(|range| (name.clone(), bytes[range].to_vec()))).collect();
    let build = |list: &[(String, Vec<u8>)]| {
        let mut built: BTreeMap<String, Vec<u8>> = files.keys().map(|name| (name.clone(), Vec::new())).collect();
        for (name, bytes) in list {
            built.get_mut(name).expect("the file").extend_from_slice(bytes);
        }
        built
    };
    assert_eq!(build(&all), files);
    for one in 0..all.len() {
        let mut without = all.clone();
        without.remove(one);
        if one + 1 < all.len() {
            assert_found(&build(&without), &content, &format!("without record {one}"));
        } else {
            let error = open_known(&Faulty::with(&build(&without)), last).expect_err("the last is missing");
            assert!(matches!(error, OpenError::Lost { .. }), "{error}");
        }
        for other in 0..=all.len() {
            let mut doubled = all.clone();
            doubled.insert(other, all[one].clone());
            assert_found(&build(&doubled), &content, &format!("record {one} again before record {other}"));
        }
        for other in one + 1..all.len() {
            let mut swapped = all.clone();
            let (low, high) = (all[one].1.clone(), all[other].1.clone());
            (swapped[one].1, swapped[other].1) = (high, low);
            assert_found(&build(&swapped), &content, &format!("records {one} and {other} swapped"));
        }
    }
}

#[test]
fn files_taken_out_renamed_and_added_are_found() {
    let (files, content) = small();
    let names: Vec<String> = files.keys().cloned().collect();
    for name in &names {
        let mut without = files.clone();
        let bytes = without.remove(name).expect("the file");
        if name != names.last().expect("a file") {
            assert_found(&without, &content, &format!("without {name}"));
        } else {
            let error = open_known(&Faulty::with(&without), content.lines.len() as u64).expect_err("the last is missing");
            assert!(matches!(error, OpenError::Lost { .. }), "{error}");
        }
        without.insert("journal/00000000000000000999.seg".into(), bytes);
        assert_found(&without, &content, &format!("{name} renamed"));
        for added in ["00000000000000000002.seg", "00000000000000000999.seg", "1.seg", "notes.txt", "00000000000000000000.seg"] {
            let mut more = files.clone();
            more.insert(format!("journal/{added}"), files[name].clone());
            assert_found(&more, &content, &format!("{added} added"));
        }
        for other in names.iter().filter(|other| *other > name) {
            let mut swapped = files.clone();
            swapped.insert(name.clone(), files[other].clone());
            swapped.insert(other.clone(), files[name].clone());
            assert_found(&swapped, &content, &format!("{name} and {other} swapped"));
        }
    }
}

#[test]
fn du_17_a_newer_record_is_refused_and_never_cut_off() {
    let (mut files, _) = small();
    let last = files.keys().next_back().expect("a file").clone();
    let at = records(&files[&last]).last().expect("a record").start;
    files.get_mut(&last).expect("the file")[at + 4] = 3;
    let disk = Faulty::with(&files);
    let error = open_known(&disk, 0).expect_err("newer").to_string();
    assert!(error.contains("version 3") && error.contains("newer release") && error.contains(&format!("byte {at}")), "{error}");
    assert_eq!(disk.files(), files);
}

/// `FORMAT.md`, word for word: two records, with every kind of change.
#[test]
fn du_17_a_record_has_its_published_bytes() {
    use sha2::{Digest as _, Sha256};
    let long = |bytes: &[u8]| [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat();
    let record = |before: [u8; 32], first: u64, lines: &[&str], changes: u32, states: &[u8]| {
        let entries: String = lines.iter().flat_map(|line| [*line, "\n"]).collect();
        let states = long(&[&changes.to_le_bytes()[..], states].concat());
        let payload = [long(entries.as_bytes()), states.clone()].concat();
        let numbers = [&(payload.len() as u32).to_le_bytes()[..], &first.to_le_bytes(), &(lines.len() as u32).to_le_bytes()].concat();
        let fields = [&b"EPHB\x01"[..], &numbers].concat();
        let mut covered = [&before[..], &fields, &(entries.len() as u32).to_le_bytes()].concat();
        lines.iter().for_each(|line| covered.extend_from_slice(&Sha256::digest([b"\0", line.as_bytes()].concat())));
        covered.extend_from_slice(&states);
        let checksum: [u8; 32] = Sha256::digest(covered).into();
        ([&fields[..], &checksum, &payload].concat(), checksum)
    };
    let (p, k) = (long(b"p"), long(b"key"));
    let states = [
        [&[0][..], &p, &k].concat(),
        [&[1][..], &p, &k, &long(b"state")].concat(),
        [&[2][..], &p, &long(b"form")].concat(),
        [&[3][..], &p].concat(),
        [&[6][..], &p, &long(b"line")].concat(),
        [&[4][..], &p, &k, &(-7i64).to_le_bytes(), &long(b"urn:s")].concat(),
        [&[5][..], &p, &k].concat(),
    ];
    let (one, checksum) = record([0; 32], 1, &["{\"a\":1}", "", "{}"], 7, &states.concat());
    let (two, _) = record(checksum, 4, &[], 1, &states[3]);

    let disk = Faulty::new(0);
    let (mut journal, ..) = open(&disk);
    let (policy, key): (Arc<str>, Box<[u8]>) = ("p".into(), b"key".as_slice().into());
    let batch = Batch {
        first: 1,
        lines: b"{\"a\":1}\n\n{}\n".to_vec(),
        leaves: ["{\"a\":1}", "", "{}"].iter().map(|line| leaf_hash(line.as_bytes())).collect(),
        states: vec![
            StateChange::State { policy: policy.clone(), key: key.clone(), state: None },
            StateChange::State { policy: policy.clone(), key: key.clone(), state: Some(b"state".to_vec()) },
            StateChange::Form { policy: policy.clone(), form: b"form".to_vec() },
            StateChange::Forgotten { policy: policy.clone() },
            StateChange::Line { policy: policy.clone(), line: b"line".to_vec() },
            StateChange::Timer { policy: policy.clone(), key: key.clone(), timer: Some((-7, "urn:s".into())) },
            StateChange::Timer { policy: policy.clone(), key, timer: None },
        ],
    };
    journal.append(&batch).and_then(|()| journal.commit()).expect("written");
    let forgotten = Batch { first: 4, states: vec![StateChange::Forgotten { policy }], ..Batch::default() };
    journal.append(&forgotten).and_then(|()| journal.commit()).expect("written");
    assert_eq!(disk.files(), BTreeMap::from([("journal/00000000000000000001.seg".to_string(), [one, two].concat())]));
}

/// States are a policy's to choose, so they may hold what looks like a record.
#[test]
fn a_record_in_a_states_bytes_is_not_taken_for_one() {
    let disk = Faulty::new(0);
    let (mut journal, ..) = open(&disk);
    let mut inner = Pending::new(2);
    inner.front.extend_from_slice(b"forged\n");
    inner.leaves.push(leaf_hash(b"forged"));
    let (forged, _) = seal(&mut inner, &NOTHING, Durability::Sync);
    let mut evil = batch(1, 4, 0);
    evil.states.push(StateChange::State { policy: "p".into(), key: [1].into(), state: Some(forged.repeat(40)) });
    journal.append(&evil).expect("taken");
    let write = disk.operations().len();
    disk.fail(write, Failure::Halfway);
    journal.commit().expect_err("torn");
    let (_, recovered, content) = open(&disk.killed());
    assert!(recovered.torn.is_some() && content.lines.is_empty(), "cut off, not refused: {recovered:?}");
}

#[test]
fn what_a_visitor_refuses_is_named() {
    let (files, _) = small();
    let mut count = 0;
    let mut visit = |_: &Place, _: Record<'_>| {
        count += 1;
        if count == 3 { Err("entry 5 is no entry".to_string()) } else { Ok(()) }
    };
    let error = Journal::open(Arc::new(Faulty::with(&files)), 0, SEGMENT, Durability::Sync, &mut visit).expect_err("refused").to_string();
    assert!(error.contains("entry 5 is no entry") && error.contains("journal/00000000000000000001.seg, byte "), "{error}");
}

#[test]
fn what_does_not_follow_is_refused() {
    type Spoil = fn(&mut Batch);
    let huge = |batch: &mut Batch| {
        let (policy, key) = ("p".into(), [].into());
        batch.states.push(StateChange::State { policy, key, state: Some(vec![0; PAYLOAD_BYTES_MAX]) });
    };
    let cases: [(Spoil, &str); 7] = [
        (|batch| batch.leaves[0] = leaf_hash(b"x"), "the leaf hash of entry 1"),
        (|batch| batch.leaves[2] = leaf_hash(b"x"), "the leaf hash of entry 3"),
        (|batch| batch.first = 7, "where 1 comes next"),
        (|batch| batch.leaves.truncate(2), "says 2 entries and has 3 lines"),
        (|batch| batch.lines.truncate(batch.lines.len() - 1), "has 2 lines"),
        (|batch| batch.lines.push(b'x'), "has 3 lines"),
        (huge, "a record holds"),
    ];
    for (spoil, says) in cases {
        let disk = Faulty::new(0);
        let (mut journal, ..) = open(&disk);
        let mut spoiled = batch(1, 3, 0);
        spoil(&mut spoiled);
        let error = journal.append(&spoiled).expect_err(says).to_string();
        assert!(error.contains(says), "{error}");
        assert!(matches!(journal.append(&batch(1, 3, 0)), Err(WriteError::Poisoned(_))));
        assert_eq!(open(&disk.crashed(0)).1.next, 1);
    }
}

#[test]
fn a_line_that_is_no_text_is_found_by_a_start() {
    let disk = Faulty::new(0);
    let (mut journal, ..) = open(&disk);
    journal.append(&batch(1, 2, 0)).expect("taken");
    journal.commit().expect("synced");
    let line = [0xff];
    let lines = [&line[..], b"\n"].concat();
    journal.append(&Batch { first: 3, lines, leaves: vec![leaf_hash(&line)], states: Vec::new() }).expect("taken");
    journal.commit().expect("synced");
    assert!(read(&journal, 3).is_some_and(|line| line.is_err()));
    drop(journal);
    let error = open_known(&disk, 0).expect_err("not what may be there").to_string();
    assert!(error.contains("a line is not UTF-8"), "{error}");
}

#[test]
fn much_is_committed_without_being_asked() {
    let disk = Faulty::new(0);
    let (mut journal, ..) = open(&disk);
    let big = |first: u64| {
        let mut lines = vec![b'x'; COMMIT_BYTES / 2];
        let leaves = vec![leaf_hash(&lines)];
        lines.push(b'\n');
        Batch { first, lines, leaves, states: Vec::new() }
    };
    for first in 1..=3 {
        journal.append(&big(first)).expect("taken");
    }
    assert_eq!((journal.next(), journal.reader().next()), (4, 3), "the first two, each for itself");
    assert!(read(&journal, 3).is_none(), "what is not durable is not shown");
    drop(journal);
    assert_eq!(open(&disk.crashed(0)).1.next, 3);
}

#[test]
fn readers_see_what_is_durable_and_go_on() {
    let disk = Faulty::new(0);
    let (mut journal, ..) = open(&disk);
    let mut scan = journal.reader().scan(2);
    let mut content = Content::default();
    let mut next = 1;
    let mut seen = 1;
    for (round, count) in [1, 2, 0, 30, 1, 0, 25, 3].into_iter().enumerate() {
        let made = batch(next, count, round as u64);
        journal.append(&made).expect("taken");
        assert!(scan.next().is_none(), "not before it is durable");
        journal.commit().expect("synced");
        content.add(&made);
        next += u64::from(count);
        for item in scan.by_ref() {
            let (sequence, line) = item.expect("readable");
            seen += 1;
            assert_eq!((sequence, &line), (seen, &content.lines[sequence as usize - 1]));
        }
        assert_eq!(seen, (next - 1).max(1));
    }
}

#[test]
fn du_09_a_file_that_changes_later_is_noticed_by_who_reads_it() {
    let (files, content) = small();
    for name in files.keys() {
        for record in records(&files[name]) {
            for at in record {
                let disk = Faulty::with(&files);
                let (journal, ..) = open(&disk);
                let file = disk.open(name, true).expect("the file");
                let byte = files[name][at] ^ 0x10;
                file.write_at(at as u64, &[byte]).expect("written");
                for (sequence, line) in (1..).zip(&content.lines) {
                    match journal.reader().read(sequence) {
                        Ok(read) => assert_eq!(read, *line, "{name} byte {at}: nothing false is given out"),
                        Err(error) => assert!(error.to_string().contains(name.as_str()), "{error}"),
                    }
                }
                // A record without entries is read by nobody but the next start.
                let scanned = journal.reader().scan(1).any(|item| item.is_err());
                let last = content.lines.len() as u64;
                assert!(scanned || open_known(&disk.killed(), last).is_err(), "{name} byte {at}");
            }
        }
    }
}

/// A batch of entries of 449 bytes, to measure with.
fn uniform(count: usize) -> Batch {
    let mut line = vec![b'x'; 449];
    let leaves = vec![leaf_hash(&line); count];
    line.push(b'\n');
    Batch { first: 1, lines: line.repeat(count), leaves, states: Vec::new() }
}

/// On a real disk, with rollover at its real size, and a second life.
#[test]
#[expect(clippy::print_stdout, reason = "the figures are what the test is for")]
fn on_a_disk() {
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a folder");
    let open = || {
        let disk: Arc<dyn Storage> = Arc::new(Disk::open(folder.path()).expect("a data directory"));
        let mut bytes = 0;
        let began = Instant::now();
        let opened = Journal::open(disk, 0, SEGMENT_BYTES, Durability::Sync, &mut |_, record| {
            bytes += record.lines.len();
            Ok(())
        });
        let (journal, recovered) = opened.expect("opens");
        (journal, recovered, bytes, began.elapsed())
    };
    let mut batch = uniform(4_096);
    let (mut journal, ..) = open();
    let began = Instant::now();
    for commit in 0..80u64 {
        batch.first = commit * 4_096 + 1;
        journal.append(&batch).expect("taken");
        journal.commit().expect("synced");
    }
    let took = began.elapsed();
    assert_eq!(read(&journal, 200_000).expect("there").expect("readable").len(), 449);
    drop(journal);
    let (journal, recovered, bytes, opened) = open();
    assert_eq!((recovered.next, recovered.segments), (80 * 4_096 + 1, 3));
    println!(
        "disk: 80 commits of 1.8 MB in {took:.0?}; opened {:.0} MB in {opened:.0?} ({:.2} GB/s)",
        bytes as f64 / 1e6,
        bytes as f64 / 1e9 / opened.as_secs_f64()
    );
    let began = Instant::now();
    for sequence in (1..=100_000).step_by(997) {
        read(&journal, sequence).expect("there").expect("readable");
    }
    println!("disk: read of one entry in a record of 4,096: {:.2?}", began.elapsed() / 101);
}

/// A disk that takes everything and keeps nothing, to measure the journal alone.
#[derive(Default)]
struct Nowhere(Arc<AtomicU64>);

struct NowhereFile(Arc<AtomicU64>);

impl Storage for Nowhere {
    fn create_dir(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn list(&self, _: &str) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
    fn create(&self, _: &str, _: bool) -> io::Result<Box<dyn File>> {
        Ok(Box::new(NowhereFile(self.0.clone())))
    }
    fn open(&self, _: &str, _: bool) -> io::Result<Box<dyn File>> {
        self.create("", false)
    }
    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn remove(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn sync_dir(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
}

impl File for NowhereFile {
    fn len(&self) -> io::Result<u64> {
        Ok(0)
    }
    fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
    fn write_at(&self, _: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what the test is for")]
fn speed_without_the_disk() {
    let nowhere = Nowhere::default();
    let written = nowhere.0.clone();
    let (mut journal, _) = Journal::open(Arc::new(nowhere), 0, SEGMENT_BYTES, Durability::Sync, &mut |_, _| Ok(())).expect("opens");
    let mut batch = uniform(4_096);
    let (mut appends, mut syncs) = (std::time::Duration::ZERO, std::time::Duration::ZERO);
    for commit in 0..500u64 {
        batch.first = commit * 4_096 + 1;
        let began = Instant::now();
        journal.append(&batch).expect("taken");
        appends += began.elapsed();
        let began = Instant::now();
        journal.commit().expect("synced");
        syncs += began.elapsed();
    }
    let bytes = written.load(Ordering::Relaxed) as f64 / 1e9;
    println!(
        "journal: append {:.2} GB/s, seal (SHA-256) {:.2} GB/s, both {:.2} GB/s",
        bytes / appends.as_secs_f64(),
        bytes / syncs.as_secs_f64(),
        bytes / (appends + syncs).as_secs_f64()
    );
}

/// Without the record before it, the last one looks like a commit that was torn;
/// but a torn one never says a sequence that is too high.
#[test]
fn a_record_that_moved_up_is_not_taken_for_a_torn_one() {
    let disk = Faulty::new(0);
    let (mut journal, _) = Journal::open(Arc::new(disk.clone()), 0, u64::MAX, Durability::Sync, &mut |_, _| Ok(())).expect("opens");
    for first in [1, 4, 7] {
        journal.append(&batch(first, 3, 0)).expect("taken");
        journal.commit().expect("synced");
    }
    let mut files = disk.files();
    let bytes = files.values_mut().next().expect("a file");
    let second = records(bytes)[1].clone();
    // Nor does a changed byte anywhere in it make the two behind it go.
    for at in second.clone() {
        let mut changed = disk.files();
        changed.values_mut().next().expect("a file")[at] ^= 0x20;
        let error = open_known(&Faulty::with(&changed), 0).expect_err("damage");
        assert!(matches!(error, OpenError::Damaged { sequence: 4, .. }), "byte {at}: {error}");
    }
    bytes.drain(second);
    let disk = Faulty::with(&files);
    let error = open_known(&disk, 0).expect_err("damage");
    assert!(matches!(error, OpenError::Damaged { sequence: 4, fault: Fault::Checksum, .. }), "{error}");
    assert_eq!(disk.files(), files, "nothing was cut off");
}
