use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::ledger::faulty::{Failure, Faulty, Random};
use crate::ledger::storage::{self, Disk};

/// Small enough that a handful of batches needs several segments.
const SEGMENT: u64 = 2_000;

/// A batch whose content follows from its place, its size and a seed, so that what
/// is read can be held against what was written.
fn batch(first: u64, count: u32, seed: u64) -> Batch {
    let mut random = Random(seed ^ first << 20);
    let mut lines = Vec::new();
    for sequence in first..first + u64::from(count) {
        let filler = "x".repeat(random.below(120));
        lines.extend_from_slice(format!("{{\"sequence\":{sequence},\"seed\":{seed},\"filler\":\"{filler}\"}}\n").as_bytes());
    }
    let change = |_| {
        let key: Vec<u8> = random.next().to_le_bytes().into();
        let state = random.coin().then(|| vec![b'E'; random.below(60)]);
        StateChange { policy: ["one", "", "drei🚲"][random.below(3)].into(), key: key.into(), state }
    };
    let changes = if count == 0 { 1 } else { count as usize / 2 };
    let states = (0..changes).map(change).collect();
    Batch { first, lines, count, states }
}

/// What a journal holds: its lines and its states, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Content {
    lines: Vec<String>,
    states: Vec<(String, Vec<u8>, Option<Vec<u8>>)>,
}

impl Content {
    fn add(&mut self, batch: &Batch) {
        let text = str::from_utf8(&batch.lines).expect("UTF-8");
        self.lines.extend(text.lines().map(str::to_string));
        self.states.extend(batch.states.iter().map(|one| (one.policy.to_string(), one.key.to_vec(), one.state.clone())));
    }

    fn see(&mut self, record: Record<'_>) {
        for (sequence, line) in record.lines() {
            assert_eq!(sequence, self.lines.len() as u64 + 1, "sequences are dense");
            self.lines.push(String::from_utf8(line.to_vec()).expect("UTF-8"));
        }
        let owned = |one: StateRef<'_>| (one.policy.to_string(), one.key.to_vec(), one.state.map(<[u8]>::to_vec));
        self.states.extend(record.states().map(owned));
    }
}

fn open_known(disk: &Faulty, known: u64) -> Result<(Journal, Recovered, Content), OpenError> {
    let mut content = Content::default();
    let mut visit = |_: &Place, record: Record<'_>| {
        content.see(record);
        Ok(())
    };
    let (journal, recovered) = Journal::open_with(Arc::new(disk.clone()), known, SEGMENT, &mut visit)?;
    assert_eq!(recovered.next, content.lines.len() as u64 + 1);
    Ok((journal, recovered, content))
}

fn open(disk: &Faulty) -> (Journal, Recovered, Content) {
    open_known(disk, 0).unwrap_or_else(|error| panic!("opens: {error}"))
}

/// Every line, by both ways of reading.
fn assert_reads(journal: &Journal, content: &Content) {
    let scanned: Vec<(u64, String)> = journal.scan(1).collect::<Result<_, _>>().expect("readable");
    let expected: Vec<(u64, String)> = (1..).zip(content.lines.iter().cloned()).collect();
    assert_eq!(scanned, expected);
    for (sequence, line) in expected {
        assert_eq!(journal.read(sequence).expect("readable"), line);
    }
    let beyond = content.lines.len() as u64 + 1;
    for sequence in [0, beyond, u64::MAX] {
        let found = journal.read(sequence);
        assert!(matches!(found, Err(ReadError::Unknown { .. })), "{sequence}: {found:?}");
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
            journal.sync()
        };
        if let Err(error) = work() {
            let text = error.to_string();
            assert!(text.contains("journal/") && text.contains("byte") && text.contains("start again"), "{text}");
            assert!(matches!(journal.append(&commit[0]), Err(WriteError::Poisoned(_))), "never takes anything again");
            assert!(matches!(journal.sync(), Err(WriteError::Poisoned(_))), "never syncs again");
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
    journal.sync().expect("goes on");
    drop(journal);
    let mut with_more = content.clone();
    with_more.add(&more);
    assert_eq!(open(&disk.crashed(18)).2, with_more, "{context}");
    assert!(check_all(&disk.crashed(19)).findings.is_empty(), "{context}");
    content
}

fn check_all(disk: &Faulty) -> Checked {
    check(disk, &mut |_, _| Ok(())).expect("readable")
}

#[test]
fn every_operation_fails_in_every_way_and_nothing_is_lost() {
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
fn every_operation_of_a_recovery_fails_in_every_way_and_nothing_is_lost() {
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
fn a_full_disk_stops_the_journal_and_a_restart_goes_on() {
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
fn bytes_that_only_the_cache_has_are_written_again() {
    let mut lost_without = false;
    for seed in 0..20 {
        let disk = Faulty::new(seed);
        let (mut journal, ..) = open(&disk);
        journal.append(&batch(1, 9, seed)).expect("taken");
        disk.fail(disk.operations().len() + 1, Failure::Halfway);
        journal.sync().expect_err("the sync fails");
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
                journal.sync().expect("synced");
            }
            let operations = trial.operations().len();
            disk.fail((at * operations as f64) as usize, Failure::ALL[failure]);

            let mut open_ones = Vec::new();
            if let Ok((mut journal, ..)) = open_known(&disk, 0) {
                for commit in &commits {
                    let done = commit.iter().try_for_each(|batch| journal.append(batch)).and_then(|()| journal.sync());
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
        let found = check_all(&disk);
        prop_assert_eq!(found.findings, vec![]);
        prop_assert_eq!(found.next, content.lines.len() as u64 + 1);
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
    let checked = check_all(&Faulty::with(files));
    let opened = open_known(&Faulty::with(files), 0);
    assert!(!checked.findings.is_empty(), "{context}: not found by a check");
    match opened {
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("journal/"), "names the file: {text}");
            assert!(checked.findings.iter().any(|finding| !finding.torn), "{context}: {error}, and {checked:?}");
        }
        Ok((_, recovered, content)) => {
            let torn = recovered.torn.unwrap_or_else(|| panic!("{context}: opens as if nothing was wrong"));
            assert!(checked.findings[0].torn && checked.findings[0].place == torn.place, "{context}: {checked:?}");
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
    let checked = check_all(&Faulty::with(&files));
    assert_eq!((checked.next, checked.findings), (content.lines.len() as u64 + 1, vec![]));
    assert_eq!(checked.segments, files.len() as u64);
    assert!(files.len() > 2, "{} segments", files.len());
}

#[test]
fn every_changed_byte_is_found() {
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
fn every_truncation_is_found() {
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
fn a_check_goes_on_behind_damage() {
    let (mut files, content) = small();
    let (first, last) = (files.keys().next().expect("a file").clone(), files.keys().next_back().expect("a file").clone());
    files.get_mut(&first).expect("the file")[HEADER + 10] ^= 1;
    let bytes = files.get_mut(&last).expect("the file");
    let at = bytes.len() - 1;
    bytes[at] ^= 1;
    let checked = check_all(&Faulty::with(&files));
    let [one, two] = checked.findings.as_slice() else { panic!("{checked:?}") };
    assert_eq!((one.place.offset, &one.fault, one.torn), (0, &Fault::Checksum, false));
    assert_eq!((&two.place.file, two.torn), (&last, true));
    assert!(checked.records >= 4 && checked.next > content.lines.len() as u64 / 2, "{checked:?}");
}

#[test]
fn a_newer_record_is_refused_and_never_cut_off() {
    let (mut files, _) = small();
    let last = files.keys().next_back().expect("a file").clone();
    let at = records(&files[&last]).last().expect("a record").start;
    files.get_mut(&last).expect("the file")[at + 4] = 2;
    let disk = Faulty::with(&files);
    let error = open_known(&disk, 0).expect_err("newer").to_string();
    assert!(error.contains("version 2") && error.contains("newer release") && error.contains(&format!("byte {at}")), "{error}");
    assert_eq!(disk.files(), files);
}

/// States are a policy's to choose, so they may hold what looks like a record.
#[test]
fn a_record_in_a_states_bytes_is_not_taken_for_one() {
    let disk = Faulty::new(0);
    let (mut journal, ..) = open(&disk);
    let mut inner = Pending::new(2);
    inner.front.extend_from_slice(b"forged\n");
    inner.count = 1;
    let (forged, _) = seal(&mut inner, &NOTHING);
    let mut evil = batch(1, 4, 0);
    evil.states.push(StateChange { policy: "p".into(), key: [1].into(), state: Some(forged.repeat(40)) });
    journal.append(&evil).expect("taken");
    let write = disk.operations().len();
    disk.fail(write, Failure::Halfway);
    journal.sync().expect_err("torn");
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
    let error = Journal::open_with(Arc::new(Faulty::with(&files)), 0, SEGMENT, &mut visit).expect_err("refused").to_string();
    assert!(error.contains("entry 5 is no entry") && error.contains("journal/00000000000000000001.seg, byte "), "{error}");
}

#[test]
fn what_does_not_follow_is_refused() {
    type Spoil = fn(&mut Batch);
    let cases: [(Spoil, &str); 4] = [
        (|batch| batch.first = 7, "where 1 comes next"),
        (|batch| batch.count += 1, "has 3 lines"),
        (|batch| batch.lines.truncate(batch.lines.len() - 1), "has 2 lines"),
        (|batch| batch.states.push(StateChange { policy: "p".repeat(70_000).into(), key: [].into(), state: None }), "holds"),
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
fn much_is_committed_without_being_asked() {
    let disk = Faulty::new(0);
    let (mut journal, ..) = open(&disk);
    let big = |first: u64| {
        let mut lines = vec![b'x'; COMMIT_BYTES / 2];
        lines.push(b'\n');
        Batch { first, lines, count: 1, states: Vec::new() }
    };
    for first in 1..=3 {
        journal.append(&big(first)).expect("taken");
    }
    assert_eq!((journal.next(), journal.reader().next()), (4, 3), "the first two, each for itself");
    assert!(matches!(journal.read(3), Err(ReadError::Unknown { sequence: 3, last: 2 })), "what is not durable is not shown");
    drop(journal);
    assert_eq!(open(&disk.crashed(0)).1.next, 3);
}

#[test]
fn readers_see_what_is_durable_and_go_on() {
    let disk = Faulty::new(0);
    let (mut journal, ..) = open(&disk);
    let mut scan = journal.scan(2);
    let mut content = Content::default();
    let mut next = 1;
    let mut seen = 1;
    for (round, count) in [1, 2, 0, 30, 1, 0, 25, 3].into_iter().enumerate() {
        let made = batch(next, count, round as u64);
        journal.append(&made).expect("taken");
        assert!(scan.next().is_none(), "not before it is durable");
        journal.sync().expect("synced");
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
fn a_file_that_changes_later_is_noticed_by_who_reads_it() {
    let (files, content) = small();
    for name in files.keys() {
        for record in records(&files[name]) {
            for at in record {
                let disk = Faulty::with(&files);
                let (journal, ..) = open(&disk);
                let file = disk.open(name, true).expect("the file");
                let byte = files[name][at] ^ 0x10;
                file.write_at(at as u64, &[byte]).expect("written");
                let mut failed = false;
                for (sequence, line) in (1..).zip(&content.lines) {
                    match journal.read(sequence) {
                        Ok(read) => assert_eq!(read, *line, "{name} byte {at}: nothing false is given out"),
                        Err(error) => {
                            failed = true;
                            assert!(error.to_string().contains(name.as_str()), "{error}");
                        }
                    }
                }
                let scanned = journal.scan(1).any(|item| item.is_err());
                // A record without entries is read by nobody but the next start.
                let _ = failed;
                assert!(scanned || check_all(&disk).findings.len() == 1, "{name} byte {at}");
            }
        }
    }
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
        let opened = Journal::open(disk, 0, &mut |_, record| {
            bytes += record.lines.len();
            Ok(())
        });
        let (journal, recovered) = opened.expect("opens");
        (journal, recovered, bytes, began.elapsed())
    };
    let mut line = vec![b'x'; 449];
    line.push(b'\n');
    let (mut journal, ..) = open();
    let began = Instant::now();
    for commit in 0..80u64 {
        let batch = Batch { first: commit * 4_096 + 1, lines: line.repeat(4_096), count: 4_096, states: Vec::new() };
        journal.append(&batch).expect("taken");
        journal.sync().expect("synced");
    }
    let took = began.elapsed();
    assert_eq!(journal.read(200_000).expect("readable").len(), 449);
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
        journal.read(sequence).expect("readable");
    }
    println!("disk: read of one entry in a record of 4,096: {:.2?}", began.elapsed() / 101);
    assert!(storage::read(&Disk::read_only(folder.path()).expect("readable"), "FORMAT").is_ok());
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
    fn create(&self, _: &str) -> io::Result<Box<dyn File>> {
        Ok(Box::new(NowhereFile(self.0.clone())))
    }
    fn open(&self, _: &str, _: bool) -> io::Result<Box<dyn File>> {
        self.create("")
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
    let (mut journal, _) = Journal::open(Arc::new(nowhere), 0, &mut |_, _| Ok(())).expect("opens");
    let mut line = vec![b'x'; 449];
    line.push(b'\n');
    let lines = line.repeat(4_096);
    let (mut appends, mut syncs) = (std::time::Duration::ZERO, std::time::Duration::ZERO);
    for commit in 0..500u64 {
        let batch = Batch { first: commit * 4_096 + 1, lines: lines.clone(), count: 4_096, states: Vec::new() };
        let began = Instant::now();
        journal.append(&batch).expect("taken");
        appends += began.elapsed();
        let began = Instant::now();
        journal.sync().expect("synced");
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
    let (mut journal, _) = Journal::open_with(Arc::new(disk.clone()), 0, u64::MAX, &mut |_, _| Ok(())).expect("opens");
    for first in [1, 4, 7] {
        journal.append(&batch(first, 3, 0)).expect("taken");
        journal.sync().expect("synced");
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
