//! What the program asks the operating system for, and what it does when that says no: the
//! order in which files are made durable, a sync that fails once, reads that fail, a disk
//! that is slow, a witness that is killed between remembering and signing.
//!
//! strace shows the calls and answers some of them itself. Debian's package comes with
//! `.ci/run`; `EPHOR_WITHOUT_STRACE=1` leaves these tests out, and says so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use ephor_tests::book::Book;
use ephor_tests::client::EVENT;
use ephor_tests::ledger::{self, Checkpoint};
use ephor_tests::{Ephor, PATIENCE, Refused, binary, data, event, soon};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::LISTED;
use crate::disk::SEGMENT;

/// No checkpoint is signed while a test runs.
const UNSIGNED: &str = "[ledger]\ncheckpoint-ms = 3600000";
/// Everything is covered by a checkpoint soon.
const SIGNED: &str = "[ledger]\ncheckpoint-ms = 20";

fn is_left_out() -> bool {
    if std::env::var("EPHOR_WITHOUT_STRACE").as_deref() == Ok("1") {
        data::left_out("what is asked of the operating system", "EPHOR_WITHOUT_STRACE=1");
        return true;
    }
    let tried = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
    let works = tried.as_ref().is_ok_and(|output| output.status.success());
    assert!(works, "strace runs: install Debian's package strace where processes may be traced, or set EPHOR_WITHOUT_STRACE=1 ({tried:?})");
    false
}

/// Calls that were traced.
struct Trace {
    folder: tempfile::TempDir,
}

impl Trace {
    fn new() -> Trace {
        Trace { folder: tempfile::tempdir().expect("a folder") }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("calls")
    }

    /// The command line that runs another under strace: beside it, so that who starts it
    /// has the program itself for a child.
    fn through(&self, options: &[&str]) -> Vec<String> {
        let own = ["strace", "-D", "-f", "-q", "-y", "-s", "400", "-o"].map(str::to_string);
        own.into_iter().chain([text(&self.file())]).chain(options.iter().map(|option| option.to_string())).collect()
    }

    /// A server under it.
    fn start(&self, options: &[&str], data: &Path, config: &str) -> Result<Ephor, Refused> {
        let through = self.through(options);
        let through: Vec<&str> = through.iter().map(String::as_str).collect();
        Ephor::try_start_through(&through, data, config, &[])
    }

    /// A command of the program under it, to its end.
    fn run(&self, options: &[&str], args: &[&str]) -> Output {
        // Not beside it here: the calls are all written when strace itself has ended.
        let through: Vec<String> = self.through(options).into_iter().filter(|option| option != "-D").collect();
        Command::new(&through[0]).args(&through[1..]).arg(binary()).args(args).output().expect("strace starts")
    }

    /// What strace has written, once it has seen the end of everybody.
    fn text(&self) -> String {
        let begin = Instant::now();
        loop {
            let text = std::fs::read_to_string(self.file()).expect("the calls");
            let of = |line: &str| line.split_once(' ').map(|(process, call)| (process.to_string(), call.trim_start().starts_with("+++ ")));
            let (ended, seen): (BTreeSet<_>, BTreeSet<_>) = text.lines().filter_map(of).partition(|(_, ends)| *ends);
            if !ended.is_empty() && seen.into_iter().all(|(process, _)| ended.contains(&(process, true))) {
                return text;
            }
            assert!(begin.elapsed() < PATIENCE, "waited {PATIENCE:?} until strace has ended");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The calls in the order in which they returned, each whole, without its process.
    fn calls(&self) -> Vec<String> {
        let (mut begun, mut calls) = (BTreeMap::new(), Vec::new());
        for line in self.text().lines() {
            let Some((process, call)) = line.split_once(' ') else { continue };
            let call = call.trim_start();
            if call.starts_with("+++ ") || call.starts_with("--- ") {
                continue;
            }
            if let Some(beginning) = call.strip_suffix("<unfinished ...>") {
                begun.insert(process.to_string(), beginning.trim_end().to_string());
            } else if call.starts_with("<... ") {
                let (Some(beginning), Some((_, end))) = (begun.remove(process), call.split_once("resumed>")) else { continue };
                calls.push(format!("{beginning}{end}"));
            } else {
                calls.push(call.to_string());
            }
        }
        calls
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_string()
}

/// A folder as the kernel calls it.
fn real(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().canonicalize().expect("it is there")
}

/// The path of the file that a call is about: `fsync(13</data>)` is about `/data`.
fn path_of(call: &str) -> &str {
    call.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(path, _)| path)
}

#[tokio::test(flavor = "multi_thread")]
async fn du_11_files_are_made_written_synced_renamed_and_their_folder_synced_in_this_order() {
    if is_left_out() {
        return;
    }
    let (folder, trace) = (tempfile::tempdir().expect("a folder"), Trace::new());
    let data = real(&folder).join("data");
    let options = ["-e", "trace=openat,pwrite64,fsync,fdatasync,rename"];
    let ephor = trace.start(&options, &data, SIGNED).unwrap_or_else(|Refused { status, log }| panic!("{status}\n{log}"));
    for number in 0..3 {
        ephor.judge([event::listing(number, LISTED)]).await;
        ephor.wait_until("it is signed", || Checkpoint::in_directory(&data).is_some_and(|checkpoint| checkpoint.size == number + 1));
    }
    assert!(ephor.stop().success());

    let below = |path: &str| path.starts_with(&*data.to_string_lossy());
    let (mut dirty, mut nameless): (BTreeSet<String>, BTreeMap<String, String>) = Default::default();
    let (mut replaced, mut committed) = (Vec::new(), 0);
    for call in trace.calls() {
        let (name, _) = call.split_once('(').unwrap_or_default();
        // What openat gives is decoded behind the equals sign, and is what was made.
        let path = if name == "openat" { path_of(call.rsplit_once(" = ").unwrap_or_default().1) } else { path_of(&call) };
        match name {
            "openat" if call.contains("O_CREAT") && below(path) && !path.ends_with("/lock") && !call.contains("/tiles/") => {
                nameless.insert(path.to_string(), call.clone());
            }
            "pwrite64" if below(path) && !path.contains("/tiles/") => {
                assert!(path.ends_with(".new") || !nameless.contains_key(path), "written before its name is durable: {call}");
                dirty.insert(path.to_string());
            }
            "fdatasync" => {
                committed += u64::from(path.contains("/journal/") && dirty.contains(path));
                dirty.remove(path);
            }
            "fsync" => nameless.retain(|file, _| Path::new(file).parent() != Some(Path::new(path))),
            "rename" => {
                let names: Vec<&str> = call.split('"').skip(1).step_by(2).collect();
                let [from, to] = names[..] else { panic!("two names: {call}") };
                if !below(to) {
                    continue;
                }
                assert!(!dirty.contains(from), "renamed before its bytes are durable: {call}");
                nameless.remove(from);
                nameless.insert(to.to_string(), call.clone());
                replaced.push(to.to_string());
            }
            _ => {}
        }
    }
    assert!(dirty.is_empty() && nameless.is_empty(), "at the end all is durable: {dirty:?} {nameless:?}");
    let times = |name: &str| replaced.iter().filter(|path| path.ends_with(name)).count();
    assert_eq!((times("/FORMAT"), times("/ledger.key"), times("/ledger.pub")), (1, 1, 1), "{replaced:?}");
    assert!(times("/checkpoint") >= 3 && committed >= 3, "{} checkpoints and {committed} commits were seen", times("/checkpoint"));
}

/// Sends one event; the answer goes to the book. Gives what was said if it is none.
async fn send(ephor: &Ephor, book: &mut Book, id: u64) -> Option<Value> {
    let event = event::listing(id, LISTED);
    book.note(event.clone());
    let answer = ephor.post(EVENT, event.to_string()).await;
    match answer.status.as_u16() {
        200 => book.take(answer.json()),
        _ => return Some(answer.expect(500).json()),
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn du_07_a_sync_that_fails_once_is_never_tried_again() {
    if is_left_out() {
        return;
    }
    let (folder, trace) = (tempfile::tempdir().expect("a folder"), Trace::new());
    let data = real(&folder).join("data");
    let segment = text(&data.join(SEGMENT));
    let calls = "trace=pwrite64,fdatasync";
    let options = ["-P", &segment, "-e", calls, "-e", "inject=fdatasync:error=EIO:when=4"];
    let mut ephor = trace.start(&options, &data, UNSIGNED).unwrap_or_else(|Refused { status, log }| panic!("{status}\n{log}"));
    let (mut book, mut refused) = (Book::default(), Vec::new());
    for id in 0..12 {
        refused.extend(send(&ephor, &mut book, id).await);
    }
    assert_eq!(book.answered().count() + refused.len(), 12);
    assert!(book.answered().count() > 0 && refused.len() > 1, "some were answered before it failed: {refused:?}");
    for problem in &refused {
        assert_eq!(problem["type"], "urn:ephor:problem:ledger-failed", "{problem}");
        assert!(event::text(problem, "detail").contains("journal/"), "says which file: {problem}");
    }
    assert_eq!(ephor.get("/readyz").await.status, 503);
    assert!(ephor.is_alive(), "it is there to say why");
    ephor.kill();
    let seen = trace.calls();
    let failed = seen.iter().position(|call| call.contains("(INJECTED)")).expect("a sync failed");
    assert!(seen[failed].starts_with("fdatasync"), "{}", seen[failed]);
    assert_eq!(seen[failed + 1..], [] as [String; 0], "nothing is written or synced behind it");

    // The next start reads what is in the system's cache: it writes that again before it
    // relies on it, and syncs.
    let trace = Trace::new();
    let ephor = trace.start(&["-P", &segment, "-e", calls], &data, UNSIGNED);
    let ephor = ephor.unwrap_or_else(|Refused { status, log }| panic!("{status}\n{log}"));
    let lines = ephor.entries(1).await;
    book.assert_recorded(&lines);
    let events: Vec<Value> = book.all().map(|sent| sent.event.clone()).collect();
    ephor.judge(events).await.into_iter().for_each(|answer| book.take(answer));
    book.assert_recorded(&ephor.entries(1).await);
    assert!(ephor.stop().success());
    let seen = trace.calls();
    let names: Vec<&str> = seen.iter().filter_map(|call| Some(call.split_once('(')?.0)).collect();
    assert_eq!(names[..2], ["pwrite64", "fdatasync"], "the last record again, and a sync: {seen:?}");
    let record = seen[0].rsplit_once(" = ").and_then(|(_, bytes)| bytes.parse::<u64>().ok());
    assert!(record.is_some_and(|bytes| bytes > 53), "a whole record: {}", seen[0]);
    let verified = ledger::verify(&data);
    assert!(verified.status.success(), "{}", ledger::printed(&verified));
}

/// A directory of 300 entries, so that it has a tile. They are signed, and nobody writes to it.
async fn some_log(data: &Path) {
    let ephor = Ephor::start_in(data, SIGNED, &[]);
    for round in 0..3u64 {
        ephor.judge((round * 100..round * 100 + 100).map(|id| event::listing(id, LISTED))).await;
    }
    ephor.wait_until("it is signed", || Checkpoint::in_directory(data).is_some_and(|checkpoint| checkpoint.size == 300));
    assert!(ephor.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn du_08_a_read_that_fails_names_the_file_and_gives_nothing() {
    if is_left_out() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let data = real(&folder).join("data");
    some_log(&data).await;
    let (whole, out) = (text(&data), text(&folder.path().join("out")));
    assert!(ledger::verify(&data).status.success());
    for name in [SEGMENT, "checkpoints", "checkpoint", "ledger.pub", "FORMAT", "tiles/0"] {
        let file = text(&data.join(name));
        // An error, and a file that ends before it should.
        for (inject, what) in [("inject=read,pread64:error=EIO", "EIO"), ("inject=read,pread64:retval=0", "nothing more")] {
            let options = ["-P", &file, "-e", "trace=read,pread64", "-e", inject];
            let trace = Trace::new();
            let output = trace.run(&options, &["log", "verify", &whole]);
            let said = ledger::printed(&output);
            assert!(trace.calls().iter().any(|call| call.contains("INJECTED")), "{name}: it is read");
            assert!(matches!(output.status.code(), Some(5 | 6)), "{name}, {what}: {}\n{said}", output.status);
            assert!(!said.contains("panicked"), "{name}, {what}:\n{said}");
            // A journal without its end is named by the checkpoints that it does not reach.
            let named = said.contains(name) || name == SEGMENT && said.contains("the log was cut back: 300 entries were signed");
            assert!(named, "{name}, {what}:\n{said}");
            if what == "EIO" {
                assert!(said.contains(name) && said.contains("Input/output error"), "{name}:\n{said}");
            }
        }
    }
    // Nothing is exported or proved that was not read, and there is no start.
    let segment = text(&data.join(SEGMENT));
    let options = ["-P", &segment, "-e", "trace=read,pread64", "-e", "inject=read,pread64:error=EIO"];
    for args in [&["log", "export", &whole, "--out", &out][..], &["log", "prove", "7", "--from", &whole, "--out", &out]] {
        let output = Trace::new().run(&options, args);
        let said = ledger::printed(&output);
        assert!(output.status.code().is_some_and(|code| code != 0) && said.contains(SEGMENT), "{args:?}: {}\n{said}", output.status);
        assert!(!Path::new(&out).exists(), "{args:?}: no part of it is left");
    }
    let before = ledger::files(&data);
    let Err(Refused { status, log }) = Trace::new().start(&options, &data, UNSIGNED) else { panic!("started without its journal") };
    assert!(!status.success() && log.contains(SEGMENT) && log.contains("Input/output error"), "{status}\n{log}");
    assert!(ledger::files(&data) == before, "the directory was changed");
    assert!(ledger::verify(&data).status.success(), "and nothing was wrong with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn du_15_a_slow_disk_refuses_what_it_cannot_take_and_loses_nothing() {
    const EVENTS: u64 = 160;
    const CONFIG: &str = "[ledger]\ncheckpoint-ms = 3600000\n[spine]\nqueue-events-max = 32\nbatch-events-max = 8\n";
    if is_left_out() {
        return;
    }
    let (folder, trace) = (tempfile::tempdir().expect("a folder"), Trace::new());
    let data = real(&folder).join("data");
    let segment = text(&data.join(SEGMENT));
    // Every sync of the journal takes half a second.
    let options = ["-P", &segment, "-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_exit=500000"];
    let ephor = trace.start(&options, &data, CONFIG).unwrap_or_else(|Refused { status, log }| panic!("{status}\n{log}"));
    let before = ephor.resident_bytes();
    let mut book = Book::default();
    let texts: Vec<String> = (0..EVENTS)
        .map(|id| event::listing(id, LISTED))
        .map(|event| {
            book.note(event.clone());
            event.to_string()
        })
        .collect();
    let (mut taken, mut refused) = (0, 0);
    // All at once; what is refused is sent again when it was said that it may be.
    let mut left = texts;
    for round in 0.. {
        assert!(round < 40, "{} events are still refused", left.len());
        let mut sending = JoinSet::new();
        for text in left.drain(..) {
            let remote = ephor.remote();
            sending.spawn(async move { (remote.post(EVENT, text.clone()).await, text) });
        }
        while let Some(sent) = soon("an answer from a slow disk", sending.join_next()).await {
            let (answer, text) = sent.expect("it ends");
            let answer = answer.expect("everybody is answered");
            match answer.status.as_u16() {
                200 => {
                    taken += 1;
                    book.take(answer.json());
                }
                _ => {
                    let answer = answer.expect(503);
                    assert_eq!(answer.json()["type"], "urn:ephor:problem:queue-full", "{}", answer.text());
                    assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
                    refused += 1;
                    left.push(text);
                }
            }
        }
        if left.is_empty() {
            break;
        }
    }
    assert!(refused > 0 && taken == EVENTS, "{taken} taken, {refused} times refused");
    let grown = ephor.resident_bytes().saturating_sub(before);
    assert!(grown < 128 << 20, "{grown} bytes more for {EVENTS} events");
    let lines = ephor.entries(1).await;
    book.assert_recorded(&lines);
    assert_eq!(ledger::events(&lines).len() as u64, EVENTS, "each is recorded once");
    ephor.kill();
    assert!(trace.calls().iter().filter(|call| call.contains("DELAYED")).count() > 4, "syncs were slow");
    let verified = ledger::verify(&data);
    assert!(verified.status.success(), "{}", ledger::printed(&verified));
}

/// The size in a witness's memory.
fn remembered(state: &str) -> Option<u64> {
    std::fs::read_to_string(state).ok()?.lines().nth(1)?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn tl_07_a_witness_remembers_durably_before_it_signs_and_is_never_set_back() {
    if is_left_out() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let real = real(&folder);
    let path = |name: &str| text(&real.join(name));
    let made = Command::new(binary()).args(["witness", "keygen", "example.com/w", "--out", &path("key")]).output().expect("it starts");
    let config = format!("[ledger]\ncheckpoint-ms = 20\nwitnesses = [{:?}]", ledger::printed(&made).trim_end());
    let data = real.join("data");
    let ephor = Ephor::start_in(&data, &config, &[]);
    let mut sent = 0;
    let signed = || Checkpoint::in_directory(&data).map_or(0, |checkpoint| checkpoint.size);
    let mut grow = async || {
        sent += 1;
        ephor.judge([event::listing(sent, LISTED)]).await;
        ephor.wait_until("it is signed", || signed() == sent);
        sent
    };
    let (url, key, state, secret) = (ephor.url(""), path("data/ledger.pub"), path("state"), path("key"));
    let args = ["witness", "--log", &url, "--key", &key, "--state", &state, "--witness-key", &secret, "--once"];
    let standing = async || ephor.get("/v1/log/witnesses").await.expect(200).json()["witnesses"]["example.com/w"].clone();

    let size = grow().await;
    let trace = Trace::new();
    let output = trace.run(&["-e", "trace=fsync,fdatasync,rename,renameat,renameat2,write,writev,sendto,sendmsg"], &args);
    assert!(output.status.success(), "{}", ledger::printed(&output));
    let calls = trace.calls();
    let at = |what: &dyn Fn(&String) -> bool| calls.iter().position(what).unwrap_or_else(|| panic!("it is called: {calls:#?}"));
    let named = at(&|call| call.starts_with("rename") && call.contains(&format!("\"{state}\"")));
    let bytes = calls[..named].iter().any(|call| call.starts_with("fsync") && call.contains("/.ephor-"));
    let durable = named + calls[named..].iter().position(|call| call.starts_with("fsync")).expect("the folder is synced");
    let said = at(&|call| call.contains("POST /v1/log/cosignatures"));
    assert!(
        bytes && path_of(&calls[durable]) == text(&real) && durable < said,
        "written, synced, named, the name synced, then said: {calls:#?}"
    );
    assert_eq!((remembered(&state), standing().await), (Some(size), size.into()));

    // Killed on the way, at each of these calls, it has said no more than it remembers.
    for call in ["rename,renameat,renameat2", "fsync"] {
        for when in 1..=2 {
            let size = grow().await;
            let before = remembered(&state).expect("a memory");
            let inject = format!("inject={call}:signal=KILL:when={when}");
            let output = Trace::new().run(&["-e", &format!("trace={call}"), "-e", &inject], &args);
            let (now, told) = (remembered(&state).expect("whole, or as it was"), standing().await.as_u64().expect("a size"));
            assert!(now == before || now == size, "{call} {when}: {now}");
            assert!(told <= now, "{call} {when}: it has signed {told}, and remembers {now}");
            // A second call of the kind may not come.
            assert!(output.status.success() == (told == size), "{call} {when}: {}", output.status);
        }
    }
    let output = Command::new(binary()).args(args).output().expect("it starts");
    assert!(output.status.success(), "{}", ledger::printed(&output));
    assert_eq!((remembered(&state), standing().await), (Some(signed()), signed().into()));
}
