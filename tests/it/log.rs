//! The log as an auditor and a witness see it: checked, proved, compared and followed
//! from outside, and by a second implementation that shares nothing with the first.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ephor_tests::{Ephor, binary, data, event, policy, settings, workspace};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;
use serde_json::Value;

use crate::{GOOD, LISTED};

/// The exit codes of the command line for a log that is not as it should be.
const UNFINISHED: i32 = 5;
const DAMAGED: i32 = 6;

/// A log: its data directory, the server that may be running on it, and a folder for
/// what a test keeps.
struct Log {
    folder: tempfile::TempDir,
    server: Option<Ephor>,
    sent: u64,
}

impl Log {
    /// A server with so many entries, all of them signed: the first is that of its policy,
    /// the others are those of events.
    async fn of(entries: u64) -> Log {
        Log::made(tempfile::tempdir().expect("a folder"), "", "LANTERN", entries).await
    }

    async fn made(folder: tempfile::TempDir, config: &str, description: &str, entries: u64) -> Log {
        let mut log = Log { folder, server: None, sent: 0 };
        log.start(config).await;
        log.send(entries - 1, description);
        log
    }

    async fn start(&mut self, config: &str) {
        let server = Ephor::start_with(config, &["--data", &self.data("")]);
        server.put(GOOD, &policy(GOOD), &settings(GOOD)).await.succeeded();
        self.server = Some(server);
    }

    /// Sends events that were not sent before, and waits until they are signed.
    fn send(&mut self, count: u64, description: &str) {
        let events = (self.sent..self.sent + count).map(|id| event::listing(id, if id % 50 == 0 { LISTED } else { description }));
        let file = self.file("events.ndjson");
        std::fs::write(&file, event::ndjson(events)).expect("a file");
        self.sent += count;
        let server = self.server.as_ref().expect("a server is running");
        passes(&["send", &file, "--to", &server.url("")]);
        server.wait_until("all entries are signed", || self.signed() == self.sent + 1);
    }

    /// Stops it, and has it end what it writes behind a checkpoint.
    fn stop(&mut self) {
        assert!(self.server.take().is_none_or(|server| server.stop().success()));
    }

    /// The number of entries in the latest checkpoint.
    fn signed(&self) -> u64 {
        let text = std::fs::read_to_string(self.data("checkpoint")).unwrap_or_default();
        text.lines().nth(1).and_then(|size| size.parse().ok()).unwrap_or_default()
    }

    /// A path in the data directory.
    fn data(&self, file: &str) -> String {
        text(&self.folder.path().join("data").join(file))
    }

    /// A path beside it.
    fn file(&self, name: &str) -> String {
        text(&self.folder.path().join(name))
    }

    fn url(&self) -> String {
        self.server.as_ref().expect("a server is running").url("")
    }

    /// Another log with the same key, which nobody but its owner can make.
    fn twin(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("data")).expect("a folder");
        for name in ["FORMAT", "ledger.key", "ledger.pub"] {
            std::fs::copy(self.data(name), folder.path().join("data").join(name)).expect("a copy");
        }
        folder
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_string()
}

fn ephor(args: &[&str]) -> Output {
    Command::new(binary()).args(args).output().expect("the binary starts")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a verb that has to end with this code.
#[track_caller]
fn ends(code: i32, args: &[&str]) -> String {
    let output = ephor(args);
    assert_eq!(output.status.code(), Some(code), "ephor {args:?}\n{}", said(&output));
    said(&output)
}

#[track_caller]
fn passes(args: &[&str]) -> String {
    ends(0, args)
}

/// The report of `log verify`, which has to end with this code.
#[track_caller]
fn report(code: i32, args: &[&str]) -> Value {
    let output = ephor(&[&["log", "verify", "--json"], args].concat());
    assert_eq!(output.status.code(), Some(code), "ephor log verify {args:?}\n{}", said(&output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// What the second implementation says.
#[track_caller]
fn checker(args: &[&str]) -> bool {
    let script = workspace().join("tests/independent/checker.py");
    let output = Command::new("python3").arg("-B").arg(script).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("python3 is missing ({error}): the second implementation of proofs runs on it"));
    match output.status.code() {
        Some(0) => true,
        Some(1) => false,
        _ => panic!("checker.py {args:?}\n{}", said(&output)),
    }
}

/// All files of a data directory but the lock, by path from there.
fn files(directory: &Path) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![directory.to_path_buf()], Vec::new());
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(folder).expect("a folder") {
            let path = item.expect("an item").path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("lock") {
                files.push(path.strip_prefix(directory).expect("below it").to_path_buf());
            }
        }
    }
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn tl_08_a_log_is_checked_from_its_files_and_every_changed_file_is_named() {
    let mut log = Log::of(300).await;
    log.stop();
    let data = log.data("");
    let clean = passes(&["log", "verify", &data]);
    assert!(clean.starts_with("300 entries, tree ") && clean.contains(" 0 gaps, 0 witnesses\n"), "{clean}");
    let clean = report(0, &[&data, "--key", &log.data("ledger.pub"), "--since", &log.data("checkpoint")]);
    assert_eq!((&clean["outcome"], &clean["entries"], &clean["signed"]), (&"clean".into(), &300.into(), &300.into()), "{clean}");
    assert_eq!((&clean["gaps"], &clean["key_given"], &clean["findings"]), (&0.into(), &true.into(), &Value::Array(vec![])), "{clean}");

    for name in files(Path::new(&data)) {
        let (file, name) = (Path::new(&data).join(&name), text(&name));
        let good = std::fs::read(&file).expect("a file");
        for at in [0, good.len() / 2, good.len().saturating_sub(1)].into_iter().filter(|at| *at < good.len()) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&file, bad).expect("written");
            let code = ephor(&["log", "verify", &data]).status.code();
            assert!(code == Some(DAMAGED) || code == Some(UNFINISHED), "{name}, byte {at}: {code:?}");
            let found = report(code.unwrap_or_default(), &[&data]);
            let findings = found["findings"].as_array().expect("a list");
            assert!(findings.iter().any(|finding| finding["file"] == *name), "{name}, byte {at}: {found}");
            assert!(findings.iter().all(|finding| !event::text(finding, "remedy").is_empty()), "{found}");
            if ["journal/", "ledger.", "releases/"].iter().any(|beginning| name.starts_with(beginning)) {
                assert_eq!(code, Some(DAMAGED), "{name}, byte {at}: {found}");
            }
        }
        std::fs::write(&file, good).expect("written");
    }

    // Of the policy that was put in force, component and settings are kept; nothing else
    // belongs beside them.
    let kept = files(Path::new(&log.data("releases")));
    assert_eq!(kept.len(), 2, "{kept:?}");
    let stray = log.data("releases/notes.txt");
    std::fs::write(&stray, "mine").expect("written");
    let found = report(DAMAGED, &[&data]);
    assert_eq!(
        (found["findings"].as_array().map(Vec::len), &found["findings"][0]["file"]),
        (Some(1), &"releases/notes.txt".into()),
        "{found}"
    );
    std::fs::remove_file(stray).expect("removed");
    report(0, &[&data]);

    // What a crash leaves is not damage.
    let last = files(Path::new(&data)).into_iter().rfind(|name| name.starts_with("journal")).expect("a segment");
    let last = Path::new(&data).join(last);
    let good = std::fs::read(&last).expect("a file");
    std::fs::write(&last, [&good[..], b"EPHB\x01"].concat()).expect("written");
    let found = report(UNFINISHED, &[&data]);
    assert_eq!((&found["outcome"], &found["entries"]), (&"unfinished".into(), &300.into()), "{found}");
    std::fs::write(&last, good).expect("written");
    report(0, &[&data]);
    ends(2, &["log", "verify", &log.file("no-such-directory")]);
    ends(2, &["log", "verify", &data, "--key", "no-key"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_checked_over_http() {
    let mut log = Log::of(100).await;
    std::fs::copy(log.data("checkpoint"), log.file("kept")).expect("a copy");
    log.send(500, "LANTERN");
    let (url, key, kept) = (log.url(), log.data("ledger.pub"), log.file("kept"));
    let checked = report(0, &[&url, "--key", &key, "--since", &kept]);
    assert_eq!((&checked["outcome"], &checked["entries"], &checked["signed"]), (&"clean".into(), &600.into(), &600.into()), "{checked}");
    assert_eq!(checked["root"], report(0, &[&log.data("")])["root"], "files and server have one log");
    let own = passes(&["log", "verify", &url]);
    assert!(own.starts_with("600 entries, tree ") && own.contains("vouches for itself"), "{own}");
    // Somebody else's key, and somebody else's checkpoint.
    let other = Log::of(10).await;
    report(DAMAGED, &[&url, "--key", &other.data("ledger.pub")]);
    report(DAMAGED, &[&url, "--since", &other.data("checkpoint")]);
    ends(2, &["log", "verify", &url, "--since", &log.file("no-such-file")]);
    ends(4, &["log", "verify", "http://127.0.0.1:1"]);
}

/// What a source held back is in the log, and in the report about it.
#[tokio::test(flavor = "multi_thread")]
async fn tl_16_gaps_of_sources_are_counted() {
    let mut log = Log { folder: tempfile::tempdir().expect("a folder"), server: None, sent: 0 };
    log.start("").await;
    let server = log.server.as_ref().expect("it was started");
    let numbered = |number: u32| {
        let mut event = event::listing(number, "LANTERN");
        event["sequence"] = number.to_string().into();
        event
    };
    server.judge([811, 815, 816, 818].map(numbered)).await;
    server.wait_until("all entries are signed", || log.signed() == 7);
    // The policy's entry, four events, and two gaps.
    for from in [log.data(""), log.url()] {
        let found = report(0, &[&from]);
        assert_eq!((&found["entries"], &found["gaps"]), (&7.into(), &2.into()), "{found}");
    }
    assert!(passes(&["log", "verify", &log.url()]).contains("1 checkpoint, 2 gaps, 0 witnesses"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tl_12_an_entry_is_proved_to_somebody_without_the_log() {
    let log = Log::of(300).await;
    let (proof, entry, key) = (log.file("proof"), log.file("entry"), log.data("ledger.pub"));
    // From the files that the server is writing to, and from the server.
    for from in [log.data(""), log.url()] {
        for sequence in [1, 2, 255, 256, 257, 300] {
            passes(&["log", "prove", &sequence.to_string(), "--from", &from, "--out", &proof, "--entry", &entry]);
            let line: Value = serde_json::from_slice(&std::fs::read(&entry).expect("the entry")).expect("JSON");
            assert_eq!(event::sequence(&line), sequence, "{line}");
            let held = passes(&["log", "verify-proof", &proof, "--entry", &entry, "--key", &key, "--json"]);
            let held: Value = serde_json::from_str(&held).expect("JSON");
            assert_eq!((&held["sequence"], &held["entries"]), (&sequence.into(), &300.into()), "{held}");
            assert!(checker(&["inclusion", &proof, &entry]), "the second implementation, entry {sequence} from {from}");
        }
        ends(1, &["log", "prove", "301", "--from", &from]);
        ends(2, &["log", "prove", "0", "--from", &from]);
    }
    let other = Log::of(2).await;
    ends(DAMAGED, &["log", "verify-proof", &proof, "--entry", &entry, "--key", &other.data("ledger.pub")]);
    ends(2, &["log", "verify-proof", &proof, "--entry", &entry]);
    ends(DAMAGED, &["log", "prove", "1", "--from", &log.data(""), "--key", &other.data("ledger.pub")]);
    let line = std::fs::read_to_string(&entry).expect("the entry");
    std::fs::write(&entry, line.replace("\"verdict\":\"", "\"verdict\":\"no-")).expect("written");
    ends(DAMAGED, &["log", "verify-proof", &proof, "--entry", &entry, "--key", &key]);
    assert!(!checker(&["inclusion", &proof, &entry]), "neither does the second implementation believe it");
    // On standard output is nothing but the proof.
    let shown = ephor(&["log", "prove", "300", "--from", &log.data("")]);
    assert_eq!((&shown.stdout, &shown.stderr), (&std::fs::read(&proof).expect("the proof"), &line.into_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn tl_15_one_checkpoint_extends_another_or_does_not() {
    let mut log = Log::of(100).await;
    let (old, new, proof) = (log.file("old"), log.data("checkpoint"), log.file("proof.json"));
    std::fs::copy(&new, &old).expect("a copy");
    log.send(500, "LANTERN");
    let twin = Log::made(log.twin(), "", "CANDLE", 700).await;
    for from in [log.data(""), log.url()] {
        passes(&["log", "compare", &old, &new, "--from", &from, "--proof", &proof]);
        assert!(checker(&["consistency", &old, &new, &proof]), "the second implementation, from {from}");
        ends(DAMAGED, &["log", "compare", &new, &old, "--from", &from]);
        ends(1, &["log", "compare", &old, &twin.data("checkpoint"), "--from", &from]);
    }
    // Signed by the same key, and yet another history.
    for from in [twin.data(""), twin.url()] {
        let refuted = ends(DAMAGED, &["log", "compare", &old, &twin.data("checkpoint"), "--from", &from, "--json"]);
        assert!(refuted.contains("\"extends\":false"), "{refuted}");
    }
    passes(&["log", "compare", &old, &old, "--key", &log.data("ledger.pub")]);
    ends(2, &["log", "compare", &old, &new]);
    // The proof is about these two, and no others.
    assert!(!checker(&["consistency", &old, &twin.data("checkpoint"), &proof]));
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_exported_and_the_second_implementation_finds_the_same_root() {
    let log = Log::of(600).await;
    let whole = log.file("entries.ndjson");
    passes(&["log", "export", &log.data(""), "--out", &whole]);
    let lines = std::fs::read_to_string(&whole).expect("the entries");
    assert_eq!(lines.lines().count(), 600);
    assert!(checker(&["root", &log.data("checkpoint"), &whole]), "the second implementation finds the signed root");
    let changed = log.file("changed.ndjson");
    std::fs::write(&changed, lines.replacen("\"allow\"", "\"deny\"", 1)).expect("written");
    assert!(!checker(&["root", &log.data("checkpoint"), &changed]));

    let (packed, part) = (log.file("entries.ndjson.gz"), log.file("part.ndjson"));
    passes(&["log", "export", &log.url(), "--out", &packed]);
    let mut unpacked = String::new();
    let file = std::fs::File::open(&packed).expect("the entries");
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut unpacked).expect("gzip");
    assert!(unpacked == lines, "files and server have the same entries");
    for from in [log.data(""), log.url()] {
        passes(&["log", "export", &from, "--from", "250", "--to", "515", "--out", &part]);
        let expected: String = lines.split_inclusive('\n').skip(249).take(266).collect();
        assert!(std::fs::read_to_string(&part).expect("a part") == expected, "entries 250 to 515 of {from}");
        ends(2, &["log", "export", &from, "--to", "601", "--out", &log.file("beyond")]);
        ends(2, &["log", "export", &from, "--from", "601", "--out", &log.file("beyond")]);
    }
    assert!(!Path::new(&log.file("beyond")).exists(), "a file appears when it is whole");
}

/// What pyarrow says about a table, where python3 has it.
const PYARROW: &str = "
import sys, pyarrow.parquet as parquet
table = parquet.read_table(sys.argv[1])
findings = sum(len(of_one or []) for of_one in table['findings'].to_pylist())
found = next(of_one[0] for of_one in table['findings'].to_pylist() if of_one)
print(table.num_rows, sum(table['sequence'].to_pylist()), findings, found['rule'], found['evidence'], table['arrived'].type)
print(*table['entry'].to_pylist(), sep='\\n')
";

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_exported_as_a_table_that_others_read() {
    let log = Log::of(600).await;
    let (whole, table) = (log.file("entries.ndjson"), log.file("entries.parquet"));
    passes(&["log", "export", &log.data(""), "--out", &whole]);
    let lines = std::fs::read_to_string(&whole).expect("the entries");
    for from in [log.data(""), log.url()] {
        passes(&["log", "export", &from, "--format", "parquet", "--out", &table]);
        let file = std::fs::File::open(&table).expect("the table");
        let reader = SerializedFileReader::new(file).expect("a table");
        let last = reader.metadata().file_metadata().schema_descr().root_schema().get_fields().len() - 1;
        let rows = reader.get_row_iter(None).expect("rows").map(|row| row.expect("a row"));
        let entries: String = rows.map(|row| format!("{}\n", row.get_string(last).expect("a line"))).collect();
        assert!(entries == lines, "the table of {from} has every line");
    }
    let output = Command::new("python3").args(["-B", "-c", PYARROW, &table]).output().expect("python3 starts");
    if said(&output).contains("No module named 'pyarrow'") {
        return data::left_out("a table as pyarrow reads it (its own reader has read it)", "python3 has no pyarrow");
    }
    let count = lines.lines().count();
    let sum = count * (count + 1) / 2;
    let expected = format!("{count} {sum} 12 listed-word {{\"word\":\"CIGAR\"}} timestamp[us, tz=UTC]\n{lines}");
    assert_eq!(said(&output), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_shown_as_they_come() {
    let mut log = Log::of(20).await;
    for from in [log.data(""), log.url()] {
        let shown = passes(&["log", "tail", &from, "--from", "15"]);
        assert_eq!(shown.lines().count(), 6, "{shown}");
        assert_eq!(passes(&["log", "tail", &from]).lines().count(), 10);
    }
    let follow = |from: String| {
        let mut child = Command::new(binary())
            .args(["log", "tail", &from, "--from", "18", "--follow"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        (child, lines)
    };
    let followers = [follow(log.data("")), follow(log.url())];
    log.send(30, "LANTERN");
    for (mut child, lines) in followers {
        for (expected, line) in (18..=50).zip(lines) {
            let entry: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
            assert_eq!(event::sequence(&entry), expected);
        }
        child.kill().and_then(|()| child.wait()).expect("ends");
    }
}

/// The server's configuration for these witnesses.
fn witnessed_by(keys: &[&str]) -> String {
    format!("[ledger]\nwitnesses = {keys:?}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn tl_07_tl_09_tl_15_a_witness_co_signs_a_log_and_refuses_a_rewritten_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = text(&folder.path().join("witness.key"));
    let key = passes(&["witness", "keygen", "example.com/witness", "--out", &secret]);
    let key = key.trim_end();
    ends(2, &["witness", "keygen", "example.com/witness", "--out", &secret]);
    let mut log = Log::made(folder, &witnessed_by(&[key]), "LANTERN", 300).await;
    let (state, log_key) = (log.file("state"), log.data("ledger.pub"));
    let watch = |url: &str, secret: &str, code: i32| {
        ends(code, &["witness", "--log", url, "--key", &log_key, "--state", &state, "--witness-key", secret, "--once"])
    };

    // Nobody asked this one, whose key is made by the way.
    let refused = watch(&log.url(), &log.file("another.key"), 3);
    assert!(refused.contains("witness.invalid/"), "names the key to configure: {refused}");
    watch(&log.url(), &secret, 0);
    let seen = std::fs::read_to_string(&state).expect("a memory");
    assert_eq!(seen.lines().nth(1), Some("300"), "{seen}");
    let checked = report(0, &[&log.url(), "--key", &log_key, "--witness", key]);
    assert_eq!(checked["witnesses"]["example.com/witness"], 300, "{checked}");
    log.send(300, "LANTERN");
    watch(&log.url(), &secret, 0);
    // The proof carries the cosignature; the witness alone is enough to believe it.
    let (proof, entry) = (log.file("proof"), log.file("entry"));
    passes(&["log", "prove", "7", "--from", &log.url(), "--out", &proof, "--entry", &entry]);
    passes(&["log", "verify-proof", &proof, "--entry", &entry, "--witness", key]);
    passes(&["log", "verify-proof", &proof, "--entry", &entry, "--key", &log_key, "--witness", key]);

    // The owner writes the log anew: longer, with the right key, and every proof holds.
    let forged = Log::made(log.twin(), &witnessed_by(&[key]), "CANDLE", 700).await;
    report(0, &[&forged.url(), "--key", &log_key]);
    let found = watch(&forged.url(), &secret, DAMAGED);
    assert!(found.contains("600 entries") && found.contains("700 entries"), "names both: {found}");
    let kept = std::fs::read_dir(log.folder.path()).expect("a folder").filter_map(|item| item.ok()?.file_name().into_string().ok());
    let mut evidence: Vec<String> = kept.filter(|name| name.starts_with("state.fork-")).map(|name| log.file(&name)).collect();
    assert_eq!(evidence.len(), 2, "{evidence:?}");
    evidence.sort_by_key(|file| std::fs::read_to_string(file).ok().and_then(|note| note.lines().nth(1)?.parse::<u64>().ok()));
    ends(DAMAGED, &["log", "compare", &evidence[0], &evidence[1], "--from", &forged.url()]);
    assert_eq!(report(0, &[&forged.url(), "--witness", key])["witnesses"], serde_json::json!({}), "it was not signed");
    // Or cuts it back to an old copy.
    let short = Log::made(log.twin(), &witnessed_by(&[key]), "LANTERN", 10).await;
    watch(&short.url(), &secret, DAMAGED);
    // The honest log goes on.
    watch(&log.url(), &secret, 0);
}

/// The files of a witness beside a log, and its look at it.
struct Witness<'l> {
    log: &'l Log,
    secret: String,
    state: String,
    log_key: String,
}

impl Witness<'_> {
    fn looks(&self, url: &str, code: i32) -> String {
        ends(code, &["witness", "--log", url, "--key", &self.log_key, "--state", &self.state, "--witness-key", &self.secret, "--once"])
    }

    /// Entries that it remembers.
    fn remembers(&self) -> u64 {
        let text = std::fs::read_to_string(&self.state).expect("a memory");
        text.lines().nth(1).and_then(|size| size.parse().ok()).unwrap_or_else(|| panic!("a checkpoint: {text}"))
    }

    /// What it has kept as evidence: signed notes, by size.
    fn evidence(&self) -> Vec<String> {
        let kept =
            std::fs::read_dir(self.log.folder.path()).expect("a folder").filter_map(|item| item.ok()?.file_name().into_string().ok());
        let notes = kept.filter(|name| name.starts_with("state.fork-")).map(|name| self.log.file(&name));
        let mut notes: Vec<String> = notes.collect();
        notes.sort_by_key(|file| std::fs::read_to_string(file).ok().and_then(|note| note.lines().nth(1)?.parse::<u64>().ok()));
        notes
    }
}

/// A log that a witness watches, whose key is in its configuration.
async fn witnessed(entries: u64) -> (Log, String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = text(&folder.path().join("witness.key"));
    let key = passes(&["witness", "keygen", "example.com/witness", "--out", &secret]).trim_end().to_string();
    let log = Log::made(folder, &witnessed_by(&[&key]), "LANTERN", entries).await;
    (log, secret, key)
}

/// What a log says to a note that comes back, by what is wrong with it.
#[tokio::test(flavor = "multi_thread")]
async fn tl_07_what_is_no_cosignature_of_this_log_is_refused_by_what_it_is() {
    let (log, secret, _) = witnessed(20).await;
    let witness = Witness { log: &log, secret, state: log.file("state"), log_key: log.data("ledger.pub") };
    let server = log.server.as_ref().expect("it is running");
    let post = async |note: &str| server.post_to("/v1/log/cosignatures", "text/plain; charset=utf-8", note.to_string()).await;
    let latest = std::fs::read_to_string(log.data("checkpoint")).expect("signed");

    // The log refuses it for its own reasons: remembered is it all the same, for it was
    // seen before it was signed.
    let stranger = Witness { secret: log.file("stranger.key"), ..witness };
    stranger.looks(&log.url(), 3);
    assert_eq!(stranger.remembers(), 20);
    let witness = Witness { secret: log.file("witness.key"), ..stranger };

    let cases = [
        ("no note", "hello".to_string(), 400, "urn:ephor:problem:cosignature"),
        ("nobody has signed it but the log", latest.clone(), 403, "urn:ephor:problem:unknown-witness"),
        ("another size", latest.replacen("\n20\n", "\n21\n", 1), 409, "urn:ephor:problem:unknown-checkpoint"),
        ("another log", latest.replacen("ephor.invalid/", "ephor.invalid/x", 1), 409, "urn:ephor:problem:unknown-checkpoint"),
    ];
    for (what, note, status, kind) in cases {
        let refused = post(&note).await.expect(status).json();
        assert_eq!(refused["type"], kind, "{what}: {refused}");
    }
    witness.looks(&log.url(), 0);
    let signed = std::fs::read_to_string(log.data("checkpoint")).expect("signed");
    assert_eq!(signed.lines().count(), latest.lines().count() + 1, "the cosignature stands below: {signed}");
    // Its own signature with a byte changed, under the name that the log knows.
    let (before, own) = signed.trim_end().rsplit_once(' ').expect("a signature");
    let mut letters: Vec<char> = own.chars().collect();
    let middle = letters.len() / 2;
    letters[middle] = if letters[middle] == 'A' { 'B' } else { 'A' };
    let changed = format!("{before} {}\n", letters.into_iter().collect::<String>());
    assert_eq!(post(&changed).await.expect(403).json()["type"], "urn:ephor:problem:unknown-witness");
    // Said again, it is taken again, and nothing is doubled.
    assert_eq!(post(&signed).await.status, 204);
    assert_eq!(std::fs::read_to_string(log.data("checkpoint")).expect("signed"), signed);
    let standing = server.get("/v1/log/witnesses").await.expect(200).json();
    assert_eq!(standing["witnesses"]["example.com/witness"], 20, "{standing}");

    // Two at once with one memory could sign two histories.
    let mut watching = Command::new(binary())
        .args(["witness", "--log", &log.url(), "--key", &witness.log_key, "--state", &witness.state, "--witness-key", &witness.secret])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut said = BufReader::new(watching.stdout.take().expect("piped")).lines();
    assert!(said.next().expect("a line").expect("UTF-8").starts_with("watching "));
    assert!(witness.looks(&log.url(), 2).contains("another witness"));
    watching.kill().and_then(|()| watching.wait()).expect("ends");
    let in_memory = Ephor::start(&["--in-memory"]);
    let refused = in_memory.post_to("/v1/log/cosignatures", "text/plain; charset=utf-8", latest).await.expect(404).json();
    assert_eq!(refused["type"], "urn:ephor:problem:no-ledger", "{refused}");
}

/// Somebody puts the disk of an hour ago back. The log cannot know of itself; whoever has
/// seen more does, says so before signing anything, and keeps what proves it.
#[tokio::test(flavor = "multi_thread")]
async fn tl_10_a_log_restored_from_an_old_copy_is_found_by_whoever_saw_more() {
    let (mut log, secret, key) = witnessed(100).await;
    log.stop();
    let backup = log.folder.path().join("backup");
    ephor_tests::ledger::copy(Path::new(&log.data("")), &backup);
    log.start(&witnessed_by(&[&key])).await;
    // The start, and its policy again.
    log.sent += 2;
    log.send(300, "LANTERN");
    {
        let witness = Witness { log: &log, secret: secret.clone(), state: log.file("state"), log_key: log.data("ledger.pub") };
        witness.looks(&log.url(), 0);
        assert_eq!(witness.remembers(), log.signed());
    }
    let seen = log.signed();
    let kept = log.file("kept");
    std::fs::copy(log.data("checkpoint"), &kept).expect("a copy");
    log.stop();
    let state = log.file("state");

    // As it was put back, before anybody starts it.
    let found = report(DAMAGED, &[&text(&backup), "--since", &kept]);
    assert!(found.to_string().contains("kept"), "{found}");
    report(0, &[&text(&backup)]);
    // And running: first it is too short, later it is as long and another one.
    let server = Ephor::start_in(&backup, &witnessed_by(&[&key]), &[]);
    let signed = || ephor_tests::ledger::Checkpoint::in_directory(&backup).map_or(0, |checkpoint| checkpoint.size);
    let witness = Witness { log: &log, secret, state, log_key: log.data("ledger.pub") };
    let said = witness.looks(&server.url(""), DAMAGED);
    assert!(said.contains("cut back") && said.contains(&seen.to_string()), "{said}");
    report(DAMAGED, &[&server.url(""), "--key", &witness.log_key, "--since", &kept]);
    server.judge((0..400).map(|id| event::listing(format!("again-{id}"), "CANDLE"))).await;
    server.wait_until("it is signed", || signed() > seen);
    let said = witness.looks(&server.url(""), DAMAGED);
    assert!(said.contains("rewritten"), "{said}");
    assert_eq!(witness.remembers(), seen, "it keeps to what it has seen");
    let standing = server.get("/v1/log/witnesses").await.expect(200).json();
    assert_eq!(standing["witnesses"]["example.com/witness"], 0, "nothing of it was signed: {standing}");
    let evidence = witness.evidence();
    assert!(evidence.len() >= 2, "{evidence:?}");
    for note in &evidence {
        passes(&["log", "compare", note, note, "--key", &witness.log_key]);
    }
    // What it has can still be taken out of it.
    passes(&["log", "export", &text(&backup), "--out", &log.file("entries.ndjson")]);
    assert!(server.stop().success());
}

/// Two logs with one key show two trees of one size, to two people. Where their checkpoints
/// meet, both together are the proof.
#[tokio::test(flavor = "multi_thread")]
async fn tl_11_two_trees_of_one_size_under_one_key_prove_themselves() {
    let (log, secret, key) = witnessed(200).await;
    let twin = Log::made(log.twin(), &witnessed_by(&[&key]), "CANDLE", 200).await;
    let (one, other, log_key) = (log.data("checkpoint"), twin.data("checkpoint"), log.data("ledger.pub"));
    assert_eq!((log.signed(), twin.signed()), (200, 200));
    // Each is whole in itself.
    for url in [log.url(), twin.url()] {
        report(0, &[&url, "--key", &log_key]);
    }
    let refuted = ends(DAMAGED, &["log", "compare", &one, &other, "--key", &log_key]);
    assert!(refuted.contains(&one) && refuted.contains(&other) && refuted.contains("200 entries"), "names both: {refuted}");
    let proof = log.file("proof.json");
    std::fs::write(&proof, r#"{"old":200,"new":200,"path":[]}"#).expect("written");
    assert!(checker(&["consistency", &one, &one, &proof]) && !checker(&["consistency", &one, &other, &proof]));
    report(DAMAGED, &[&log.url(), "--key", &log_key, "--since", &other]);

    let witness = Witness { log: &log, secret, state: log.file("state"), log_key };
    witness.looks(&log.url(), 0);
    let said = witness.looks(&twin.url(), DAMAGED);
    assert!(said.contains("rewritten") && said.matches("200 entries").count() == 2, "{said}");
    let evidence = witness.evidence();
    assert_eq!(evidence.len(), 2, "{evidence:?}");
    ends(DAMAGED, &["log", "compare", &evidence[0], &evidence[1], "--key", &witness.log_key]);
}
