//! Promise 4 on a bad disk: a full one, torn and damaged files, and directories that
//! are somebody else's. Nothing acknowledged is lost, and what cannot be taken up is
//! refused by name, with what to do, and left as it is. DU-05, DU-06, DU-09, DU-10,
//! DU-17.
//!
//! Failing writes and syncs, one by one, are tested inside of the ledger, over a file
//! layer that fails; these tests are about the whole program.

use std::io::{BufRead as _, BufReader, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use ephor_tests::book::Book;
use ephor_tests::client::{BATCH, EVENT, Version};
use ephor_tests::ledger::{self, Checkpoint};
use ephor_tests::random::Random;
use ephor_tests::{Ephor, Refused, data, event};

use crate::LISTED;

/// No checkpoint is signed while a test runs.
const UNSIGNED: &str = "[ledger]\ncheckpoint-ms = 3600000";
/// Everything is covered by a checkpoint soon.
const SIGNED: &str = "[ledger]\ncheckpoint-ms = 20";

/// The first segment, in a data directory.
pub const SEGMENT: &str = "journal/00000000000000000001.seg";

/// Bytes of a record before its payload; FORMAT.md.
const HEADER: usize = 53;

/// A record of a segment.
#[derive(Debug, Clone)]
pub struct Record {
    pub bytes: Range<usize>,
    /// Sequence of its first entry.
    pub first: u64,
    entries: u64,
}

/// Takes a segment apart by the lengths that its records say.
pub fn records(segment: &[u8]) -> Vec<Record> {
    let number = |at: usize, len: usize| segment[at..at + len].iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    let (mut records, mut at) = (Vec::new(), 0);
    while at < segment.len() {
        assert!(segment[at..].starts_with(b"EPHB") && matches!(segment[at + 4], 1 | 2), "a record begins at {at}");
        let end = at + HEADER + number(at + 5, 4) as usize;
        records.push(Record { bytes: at..end, first: number(at + 9, 8), entries: number(at + 17, 4) });
        at = end;
    }
    assert_eq!(at, segment.len(), "the last record is whole");
    records
}

/// A data directory that a killed process left, and what was in it.
struct Left {
    _folder: tempfile::TempDir,
    data: PathBuf,
    book: Book,
    /// All entries.
    lines: Vec<String>,
    segment: Vec<u8>,
    records: Vec<Record>,
    copies: usize,
}

impl Left {
    /// Five commits of three events. With `signed`, a checkpoint covers them.
    async fn new(signed: bool) -> Left {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let ephor = Ephor::start_in(&data, if signed { SIGNED } else { UNSIGNED }, &[]);
        let mut book = Book::default();
        for commit in 0..5 {
            let texts: Vec<String> = (0..3).map(|number| noted(&mut book, format!("{commit}-{number}"))).collect();
            let answers = ephor.post(BATCH, format!("[{}]", texts.join(","))).await.expect(200).json();
            answers.as_array().expect("a batch answers with an array").iter().for_each(|answer| book.take(answer.clone()));
        }
        let lines = ephor.entries(1).await;
        book.assert_recorded(&lines);
        assert_eq!(lines.len(), 15);
        let covered = || Checkpoint::in_directory(&data).map_or(0, |checkpoint| checkpoint.size);
        if signed {
            ephor.wait_until("a checkpoint covers all", || covered() == 15);
        }
        ephor.kill();
        let segment = std::fs::read(data.join(SEGMENT)).expect("the first segment");
        let records = records(&segment);
        let last = records.last().expect("records");
        assert_eq!((records.iter().map(|record| record.entries).sum::<u64>(), last.first), (15, 13), "{records:?}");
        assert!(signed || covered() < last.first, "the last commit is covered by a checkpoint that came early");
        Left { _folder: folder, data, book, lines, segment, records, copies: 0 }
    }

    fn last(&self) -> &Record {
        self.records.last().expect("records")
    }

    /// A copy of the directory.
    fn copy(&mut self) -> PathBuf {
        self.copies += 1;
        let copy = self.data.with_file_name(format!("copy-{}", self.copies));
        ledger::copy(&self.data, &copy);
        copy
    }

    /// A copy with another first segment.
    fn with_segment(&mut self, segment: &[u8]) -> PathBuf {
        let copy = self.copy();
        std::fs::write(copy.join(SEGMENT), segment).expect("a segment");
        copy
    }
}

/// Notes a new event; its text.
fn noted(book: &mut Book, id: String) -> String {
    let event = event::listing(id, LISTED);
    let text = event.to_string();
    book.note(event);
    text
}

/// A start that has to fail: says what and where, changes nothing.
#[track_caller]
fn assert_refused(data: &Path, what: &str, says: &[&str]) {
    let before = ledger::files(data);
    let Refused { status, log } = match Ephor::try_start_in(data, UNSIGNED, &[]) {
        Err(refused) => refused,
        Ok(ephor) => panic!("{what}: started all the same\n{}", ephor.log()),
    };
    assert!(status.code().is_some_and(|code| code != 0), "{what}: ended with {status}\n{log}");
    assert!(!log.contains("panicked"), "{what}: an error, not a panic\n{log}");
    for part in says {
        assert!(log.contains(part), "{what}: {part:?} in\n{log}");
    }
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, bytes)| format!("{name}: {}", bytes.len())).collect::<Vec<_>>();
    let after = ledger::files(data);
    assert!(before == after, "{what}: the directory was changed: {:?} is {:?} now", names(&before), names(&after));
}

/// What `log verify` says about damage.
#[track_caller]
fn assert_found(data: &Path, what: &str) {
    let output = ledger::verify(data);
    let printed = ledger::printed(&output);
    assert!(output.status.code().is_some_and(|code| code != 0), "{what}: `log verify` ended with {}\n{printed}", output.status);
    assert!(!printed.contains("panicked"), "{what}: `log verify` panicked\n{printed}");
}

/// A commit that was interrupted anywhere is cut off: nobody had an answer. Here its
/// clients had one, for it was torn afterwards, and no checkpoint tells; they send
/// their events again, and get new verdicts with the next sequences, behind the start.
#[tokio::test(flavor = "multi_thread")]
async fn du_10_a_torn_last_commit_is_cut_off() {
    const CUTS: usize = 40;
    let mut left = Left::new(false).await;
    let last = left.last().clone();
    let kept = (last.first - 1) as usize;
    let lost: Vec<String> = left.lines[kept..].iter().map(|line| event::text(&ledger::parse(line), "id").to_string()).collect();
    for number in 0..CUTS {
        // The header byte by byte, then in steps. Every other time the length of the
        // file was durable and the bytes were not: those read as zeros.
        let len = last.bytes.len();
        let into = if number < 12 { number * 5 } else { HEADER + (number - 11) * (len - HEADER) / (CUTS - 11) };
        let (at, zeros) = (last.bytes.start + into.min(len - 1), number % 2 == 1);
        let mut segment = left.segment[..at].to_vec();
        if zeros {
            segment.resize(left.segment.len(), 0);
        }
        let what = format!("cut at {at} of {:?}{}", last.bytes, if zeros { ", then zeros" } else { "" });
        if segment == left.segment {
            // It ends with zeros: nothing is torn.
            continue;
        }
        let data = left.with_segment(&segment);
        let verified = ledger::verify(&data);
        // Nothing where nothing of it is there; else unfinished, which is no damage.
        let expected = if segment.len() > last.bytes.start { 5 } else { 0 };
        assert_eq!(verified.status.code(), Some(expected), "{what}:\n{}", ledger::printed(&verified));
        let ephor = Ephor::start_in(&data, UNSIGNED, &[]);
        if segment.len() > last.bytes.start {
            ephor.wait_until("the log warns of what was cut off", || {
                ephor.log().lines().any(|line| line.contains("WARN") && line.contains(SEGMENT))
            });
        }
        let entries = ephor.entries(1).await;
        assert_eq!((&entries[..kept], ledger::subjects(&entries[kept..])), (&left.lines[..kept], vec!["start"]), "{what}");
        ledger::assert_dense(&entries, 1);
        let answers = ephor.judge(lost.iter().map(|id| left.book.sent(id).event.clone())).await;
        for (answer, sequence) in answers.iter().zip(last.first + 1..) {
            assert_eq!((event::sequence(answer), answer.get("duplicate")), (sequence, None), "{what}: {answer}");
        }
        let started = entries;
        let entries = ephor.entries(1).await;
        assert_eq!((entries.len(), &entries[..=kept]), (left.lines.len() + 1, &started[..]), "{what}");
        // And what was cut off does not come back.
        ephor.kill();
        let ephor = (number % 8 == 0).then(|| Ephor::start_in(&data, UNSIGNED, &[]));
        if let Some(ephor) = ephor {
            let again = ephor.entries(1).await;
            let (before, behind) = again.split_at(entries.len());
            assert_eq!((before, ledger::subjects(behind)), (&entries[..], vec!["start"]), "{what}: after another start");
        }
        std::fs::remove_dir_all(&data).expect("the own copy");
    }
}

/// What a checkpoint covers was acknowledged. If it is gone, that is no interrupted
/// commit, whatever it looks like.
#[tokio::test(flavor = "multi_thread")]
async fn du_10_what_a_checkpoint_covers_is_never_cut_off() {
    let mut left = Left::new(true).await;
    let last = left.last().clone();
    for into in [0, 1, 20, HEADER, HEADER + 100, last.bytes.len() - 1] {
        for zeros in [false, true] {
            let mut segment = left.segment[..last.bytes.start + into].to_vec();
            if zeros {
                segment.resize(left.segment.len(), 0);
            }
            if segment == left.segment {
                continue;
            }
            let what = format!("{into} bytes of the last record are left, zeros behind: {zeros}");
            let data = left.with_segment(&segment);
            assert_refused(&data, &what, &["journal", "copy"]);
            assert_found(&data, &what);
        }
    }
    let data = left.with_segment(&[]);
    assert_refused(&data, "nothing is left", &["journal", "copy"]);
    assert_found(&data, "nothing is left");
    std::fs::remove_file(data.join(SEGMENT)).expect("the segment");
    assert_refused(&data, "the segment is gone", &["journal", "copy"]);
    assert_found(&data, "the segment is gone");
}

/// Damage before the last record is no interrupted commit.
#[tokio::test(flavor = "multi_thread")]
async fn du_09_du_10_damage_in_the_middle_is_refused_by_name() {
    let mut left = Left::new(false).await;
    let [first, second, third] = [0, 1, 2].map(|at| left.records[at].bytes.clone());
    let mut random = Random::from_env("EPHOR_DISK_SEED");
    // Magic, version, length, sequence, count, checksum, the lengths inside, the rest.
    let mut places: Vec<usize> = [0, 4, 5, 8, 9, 16, 17, 20, 21, 52, 53, 56, 57, second.len() - 1].to_vec();
    places.extend((0..6).map(|_| random.below(second.len() as u64) as usize));
    for place in places {
        let bit = 1u8 << random.below(8);
        let mut segment = left.segment.clone();
        segment[second.start + place] ^= bit;
        let what = format!("byte {place} of the second record, bit {bit:#04x}");
        let data = left.with_segment(&segment);
        assert_refused(&data, &what, &[SEGMENT, &second.start.to_string()]);
        assert_found(&data, &what);
    }

    let of = |range: &Range<usize>| left.segment[range.clone()].to_vec();
    let rest = left.segment[third.end..].to_vec();
    let whole: [(&str, Vec<u8>); 6] = [
        ("the first record is gone", left.segment[first.end..].to_vec()),
        ("the second record is gone", [of(&first), of(&third), rest.clone()].concat()),
        ("the second record is there twice", [of(&first), of(&second), of(&second), of(&third), rest.clone()].concat()),
        ("two records have changed places", [of(&first), of(&third), of(&second), rest.clone()].concat()),
        ("a byte is missing", [of(&first), of(&second)[1..].to_vec(), of(&third), rest.clone()].concat()),
        ("a byte too many", [of(&first), b"E".to_vec(), of(&second), of(&third), rest].concat()),
    ];
    for (what, segment) in whole {
        let data = left.with_segment(&segment);
        assert_refused(&data, what, &[SEGMENT]);
        assert_found(&data, what);
    }
}

/// Whatever is not a data directory of this format, whole and with its keys.
#[tokio::test(flavor = "multi_thread")]
async fn du_17_what_is_no_sound_data_directory_is_refused_by_name() {
    type Change<'c> = &'c dyn Fn(&Path);
    let write = |path: PathBuf, text: &str| std::fs::write(path, text).expect("a file");
    let mut left = Left::new(true).await;
    let cases: [(&str, Change, &[&str]); 10] = [
        ("a newer format", &|data| write(data.join("FORMAT"), "ephor data 2\n"), &["FORMAT", "ephor data 2", "release"]),
        ("an unknown format", &|data| write(data.join("FORMAT"), "another program\n"), &["FORMAT", "another program"]),
        ("an empty FORMAT", &|data| write(data.join("FORMAT"), ""), &["FORMAT"]),
        ("no FORMAT", &|data| std::fs::remove_file(data.join("FORMAT")).expect("FORMAT"), &["FORMAT"]),
        ("something else in journal/", &|data| write(data.join("journal/notes.txt"), "mine"), &["journal/notes.txt"]),
        (
            "a segment under another name",
            &|data| {
                let (from, to) = (data.join(SEGMENT), data.join("journal/00000000000000000002.seg"));
                std::fs::rename(from, to).expect("the segment");
            },
            &["journal/00000000000000000002.seg"],
        ),
        // With a new one, nothing that was signed or salted before could be held against it.
        ("no key", &|data| std::fs::remove_file(data.join("ledger.key")).expect("the key"), &["ledger.key"]),
        ("a key that is none", &|data| write(data.join("ledger.key"), "secret\n"), &["ledger.key"]),
        // Without them, nothing would tell that acknowledged entries are gone.
        ("no checkpoints", &|data| std::fs::remove_file(data.join("checkpoints")).expect("the checkpoints"), &["checkpoints"]),
        (
            "a changed checkpoint",
            &|data| {
                let path = data.join("checkpoints");
                let mut bytes = std::fs::read(&path).expect("the checkpoints");
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                std::fs::write(path, bytes).expect("the checkpoints");
            },
            &["checkpoints"],
        ),
    ];
    for (what, change, says) in cases {
        let data = left.copy();
        change(&data);
        assert_refused(&data, what, says);
    }

    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path().join("holiday.jpg"), "a beach");
    let name = folder.path().to_str().expect("a path in UTF-8");
    assert_refused(folder.path(), "somebody's folder", &[name, "holiday.jpg"]);
    let file = folder.path().join("holiday.jpg");
    let Err(Refused { status, log }) = Ephor::try_start_in(&file, UNSIGNED, &[]) else { panic!("a file for a directory") };
    assert!(!status.success() && log.contains("holiday.jpg"), "{log}");
}

/// One process writes to a directory; the next one may as soon as it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn tl_11_a_second_process_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let ephor = Ephor::start_in(&data, SIGNED, &[]);
    let first = ephor.judge([event::listing(1, LISTED), event::listing(2, LISTED)]).await;
    let Err(Refused { status, log }) = Ephor::try_start_in(&data, SIGNED, &[]) else { panic!("two processes with one directory") };
    let name = data.to_str().expect("a path in UTF-8");
    assert!(!status.success() && log.contains("another process") && log.contains(name), "{status}\n{log}");

    // It has not disturbed the first one, and neither does reading.
    ephor.wait_until("a checkpoint covers all", || Checkpoint::in_directory(&data).is_some_and(|checkpoint| checkpoint.size == 2));
    let verified = ledger::verify(&data);
    assert!(verified.status.success(), "{}", ledger::printed(&verified));
    let third = ephor.judge([event::listing(3, LISTED)]).await.remove(0);
    assert_eq!(event::sequence(&third), 3);
    ephor.kill();

    let ephor = Ephor::start_in(&data, SIGNED, &[]);
    let again = ephor.judge([event::listing(1, LISTED)]).await.remove(0);
    assert_eq!(ledger::unmarked(again), (first[0].clone(), true));
    assert_eq!(ledger::subjects(&ephor.entries(1).await), ["event", "event", "event", "start"]);
}

/// Copies a data directory that is being written to, in the order that FORMAT.md says:
/// what is signed first, then what it is about.
fn copy_beside(data: &Path, copy: &Path) {
    std::fs::create_dir(copy).expect("a folder");
    for name in ["checkpoint", "checkpoints"] {
        std::fs::copy(data.join(name), copy.join(name)).expect("a copy");
    }
    ledger::copy(&data.join("journal"), &copy.join("journal"));
    for entry in std::fs::read_dir(data).expect("a data directory") {
        let entry = entry.expect("an entry of a folder");
        let (from, to) = (entry.path(), copy.join(entry.file_name()));
        // What is on its way to replace another may be gone by now.
        if to.exists() || from.extension().is_some_and(|extension| extension == "new") {
            continue;
        }
        if from.is_dir() {
            ledger::copy(&from, &to);
        } else {
            std::fs::copy(from, to).expect("a copy");
        }
    }
}

/// A copy that is taken beside a server that writes is whole up to a checkpoint, and what
/// is behind it is no more than a crash leaves.
#[tokio::test(flavor = "multi_thread")]
async fn du_18_a_copy_that_was_taken_under_load_is_whole_up_to_a_checkpoint() {
    const COPIES: usize = 12;
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let config = "[ledger]\ncheckpoint-ms = 20\nevents = \"full\"\n";
    let ephor = Ephor::start_in(&data, config, &[]);
    ephor.judge([event::listing("first", LISTED)]).await;
    ephor.wait_until("something is signed", || Checkpoint::in_directory(&data).is_some());
    let remote = ephor.remote();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let load = tokio::spawn(async move {
        let mut sent = 0;
        while !*stopped.borrow() {
            let texts: Vec<String> = (sent..sent + 50).map(|id| event::listing(format!("l-{id}"), LISTED).to_string()).collect();
            let answer = remote.post(BATCH, format!("[{}]", texts.join(","))).await.expect("it is there");
            answer.expect(200);
            sent += 50;
        }
        sent
    });
    let mut sizes = Vec::new();
    for number in 0..COPIES {
        let copy = folder.path().join(format!("copy-{number}"));
        let signed = Checkpoint::in_directory(&data).map_or(0, |checkpoint| checkpoint.size);
        tokio::task::block_in_place(|| copy_beside(&data, &copy));
        let verified = ledger::verify(&copy);
        let said = ledger::printed(&verified);
        assert!(matches!(verified.status.code(), Some(0 | 5)), "copy {number}: {}\n{said}", verified.status);
        let covered = Checkpoint::in_directory(&copy).expect("signed").size;
        assert!(covered >= signed, "copy {number} is not older than what was signed when it began");
        sizes.push(covered);
    }
    stop.send_replace(true);
    let sent = load.await.expect("the load ends well");
    assert!(sizes[COPIES - 1] > sizes[0], "entries came while copies were taken: {sizes:?}");
    let all = ephor.entries(1).await;
    assert_eq!(ledger::events(&all).len(), sent + 1);
    ephor.kill();
    // The last one can be started, has what its checkpoint covers, and is clean then.
    let copy = folder.path().join(format!("copy-{}", COPIES - 1));
    let ephor = Ephor::start_in(&copy, config, &[]);
    let lines = ephor.entries(1).await;
    let covered = sizes[COPIES - 1] as usize;
    assert_eq!(lines[..covered], all[..covered]);
    assert!(ephor.stop().success());
    let verified = ledger::verify(&copy);
    assert!(verified.status.success(), "{}", ledger::printed(&verified));
}

/// Posts events until one is not acknowledged, and checks that this was said as it
/// should be, and that nothing is taken from then on.
async fn fill(ephor: &mut Ephor, book: &mut Book) {
    // Many times more than there is room for.
    for commit in 0..5_000 {
        let texts: Vec<String> = (0..8).map(|number| noted(book, format!("{commit}-{number}"))).collect();
        let answer = ephor.post(BATCH, format!("[{}]", texts.join(","))).await;
        if answer.status == 200 {
            answer.json().as_array().expect("a batch answers with an array").iter().for_each(|answer| book.take(answer.clone()));
            continue;
        }
        assert!(commit > 0, "there is room at first: {}", answer.text());
        for answer in [answer, ephor.post(EVENT, noted(book, format!("{commit}-later"))).await] {
            let problem = answer.expect(500).json();
            assert_eq!(problem["type"], "urn:ephor:problem:ledger-failed", "{problem}");
            let detail = event::text(&problem, "detail");
            assert!(["journal/", "tile/", "checkpoint"].iter().any(|file| detail.contains(file)), "says which file: {problem}");
        }
        assert!(ephor.is_alive(), "it is there to say why");
        return;
    }
    panic!("the disk is not full after {} events", book.len());
}

/// With room again, everything that was acknowledged is there, and the rest is taken.
async fn assert_recovers(data: &Path, start: impl Fn() -> Ephor, book: &mut Book) {
    let ephor = start();
    let lines = ephor.entries(1).await;
    book.assert_recorded(&lines);
    let events: Vec<_> = book.all().map(|sent| sent.event.clone()).collect();
    let answered = book.answered().count();
    assert!(answered > 0 && answered < events.len(), "{answered} of {} events were answered", events.len());
    let answers = ephor.judge(events).await;
    let duplicates = answers.iter().filter(|answer| answer.get("duplicate").is_some()).count();
    assert_eq!(duplicates, ledger::events(&lines).len(), "what is recorded is known again");
    answers.into_iter().for_each(|answer| book.take(answer));
    let lines = ephor.entries(1).await;
    book.assert_recorded(&lines);
    assert_eq!(ledger::events(&lines).len(), book.len(), "every event has an entry");
    assert!(ephor.stop().success());
    // Not on a path of another namespace, which only the server sees.
    if data.exists() {
        let verified = ledger::verify(data);
        assert!(verified.status.success(), "{}", ledger::printed(&verified));
    }
}

/// A shell that limits the size of every file of what it becomes: writes that go beyond
/// are cut short, then fail. The signal that comes with it is ignored, as the server
/// itself may do.
const LIMITED: [&str; 3] = ["sh", "-c", "trap '' XFSZ; ulimit -f 128; exec \"$0\" \"$@\""];

/// The limit: 128 blocks of 512 bytes.
const LIMIT: u64 = 128 * 512;

fn limited(data: &Path) -> Ephor {
    Ephor::try_start_through(&LIMITED, data, UNSIGNED, &[]).unwrap_or_else(|Refused { status, log }| panic!("{status}\n{log}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn du_06_a_file_that_may_not_grow_stops_the_ledger_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut book = Book::default();
    let mut ephor = limited(&data);
    fill(&mut ephor, &mut book).await;
    let len = std::fs::metadata(data.join(SEGMENT)).expect("the segment").len();
    assert!(len <= LIMIT, "the limit holds: {len}");
    ephor.kill();
    assert_recovers(&data, || Ephor::start_in(&data, UNSIGNED, &[]), &mut book).await;
}

/// A stream says from which line on nothing is known.
#[tokio::test(flavor = "multi_thread")]
async fn du_06_a_stream_ends_where_the_disk_is_full() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut book = Book::default();
    let ephor = limited(&data);
    for version in [Version::Http1, Version::Http2] {
        let (mut sending, mut answers) = ephor.stream(version, &[]).await;
        let mut line = 0;
        let end = loop {
            line += 1;
            assert!(line < 50_000, "the disk is not full after {} events", book.len());
            let text = noted(&mut book, format!("{version:?}-{line}"));
            if !sending.send(format!("{text}\n")).await {
                break answers.next().await;
            }
            match answers.next().await {
                Some(answer) if answer.get("error").is_none() && answer.get("type").is_none() => book.take(answer),
                end => break end,
            }
        };
        let end = end.unwrap_or_else(|| panic!("{version:?}: the stream broke off without a word"));
        // A stream that never had an answer is a problem document as a whole.
        let problem = end.get("error").unwrap_or(&end);
        assert_eq!(problem["type"], "urn:ephor:problem:ledger-failed", "{version:?}: {end}");
        if version == Version::Http1 {
            assert_eq!(end["from_line"], line, "{end}");
            assert_eq!(answers.next().await, None, "nothing follows");
        }
    }
    ephor.kill();
    assert_recovers(&data, || Ephor::start_in(&data, UNSIGNED, &[]), &mut book).await;
}

/// A small file system of its own, in namespaces of its own, so that nobody has to be
/// root. Gone with the shell that holds it.
struct SmallDisk {
    shell: Child,
    orders: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
}

impl SmallDisk {
    /// Mounts one on a folder; nothing, with the reason, where that is not allowed.
    fn mount(folder: &Path, size: &str) -> Result<SmallDisk, String> {
        const SCRIPT: &str = "mount -t tmpfs -o size=\"$1\" tmpfs \"$0\" && echo mounted && \
            while read size; do mount -o remount,size=\"$size\" \"$0\" && echo resized; done";
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT]).arg(folder).arg(size);
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut shell = spawned.map_err(|error| format!("`unshare` does not start: {error}"))?;
        let (orders, replies) = (shell.stdin.take(), BufReader::new(shell.stdout.take().expect("piped")));
        let mut disk = SmallDisk { shell, orders, replies };
        if disk.reply() != "mounted" {
            return Err("a file system cannot be mounted in a user namespace".to_string());
        }
        let through = disk.through();
        let entered = Command::new(&through[0]).args(&through[1..]).arg("true").stderr(Stdio::null()).status();
        match entered {
            Ok(status) if status.success() => Ok(disk),
            failed => Err(format!("`nsenter` does not enter a user namespace: {failed:?}")),
        }
    }

    fn reply(&mut self) -> String {
        let mut line = String::new();
        let _ = self.replies.read_line(&mut line);
        line.trim().to_string()
    }

    fn resize(&mut self, size: &str) {
        let orders = self.orders.as_mut().expect("the shell takes orders");
        writeln!(orders, "{size}").expect("the shell takes orders");
        assert_eq!(self.reply(), "resized");
    }

    /// What a command line has to begin with to be run where the file system is.
    fn through(&self) -> Vec<String> {
        let shell = self.shell.id().to_string();
        ["nsenter", "--target", &shell, "--user", "--mount", "--preserve-credentials"].map(str::to_string).to_vec()
    }

    fn start(&self, data: &Path) -> Result<Ephor, Refused> {
        let through = self.through();
        let through: Vec<&str> = through.iter().map(String::as_str).collect();
        Ephor::try_start_through(&through, data, UNSIGNED, &[])
    }
}

/// The shell ends with its orders.
impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.shell.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn du_05_a_full_disk_stops_the_ledger_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut disk = match SmallDisk::mount(folder.path(), "256k") {
        Ok(disk) => disk,
        Err(why) => return data::left_out("a full disk", &why),
    };
    let data = folder.path().join("data");
    let mut book = Book::default();
    let mut ephor = disk.start(&data).unwrap_or_else(|Refused { status, log }| panic!("{status}\n{log}"));
    fill(&mut ephor, &mut book).await;
    ephor.kill();
    // As long as there is no room, a start succeeds, for what was torn is cut off, or
    // it says what is missing.
    match disk.start(&data) {
        Ok(ephor) => {
            book.assert_recorded(&ephor.entries(1).await);
            ephor.kill();
        }
        Err(Refused { status, log }) => {
            assert!(status.code().is_some_and(|code| code != 0) && log.contains("No space left"), "{status}\n{log}");
        }
    }
    disk.resize("16m");
    let start = || disk.start(&data).unwrap_or_else(|Refused { status, log }| panic!("{status}\n{log}"));
    assert_recovers(&data, start, &mut book).await;
}
