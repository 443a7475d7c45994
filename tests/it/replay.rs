//! `ephor replay`: a recorded ledger made again from the archived events, byte for byte,
//! and back-tests.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ephor_tests::client::LINES;
use ephor_tests::data::{self, Set};
use ephor_tests::{Ephor, binary, event, guest, ledger, policy, raw, settings, target_dir, write_policy};
use serde_json::{Value, json};

use crate::{GOOD, LISTED};

/// Entries of a recording before the first event: one for each policy.
const POLICIES: usize = 2;

/// A policy that counts a customer's lines.
const COUNTING: &str = "stateful-trap";

/// The word that is added to the list, which many lines have.
const ADDED: &str = "LANTERN";

/// Folders of one test.
struct Room(tempfile::TempDir);

impl Room {
    /// With a folder `policies` that has the good policy and the counting one, and a
    /// folder `later` with the settings that come later.
    fn new() -> Room {
        let room = Room(tempfile::tempdir().expect("a folder"));
        for folder in ["policies", "later"] {
            std::fs::create_dir(room.path(folder)).expect("a folder");
        }
        write_policy(&room.path("policies"), GOOD, Some(&policy(GOOD)), Some(&settings(GOOD)));
        write_policy(&room.path("policies"), COUNTING, Some(&guest("stateful_trap")), None);
        write_policy(&room.path("later"), GOOD, Some(&policy(GOOD)), Some(&with_one_word_more()));
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("a path in UTF-8").to_string()
    }

    fn write(&self, name: &str, content: &str) -> String {
        std::fs::write(self.path(name), content).expect("a file");
        self.text(name)
    }

    /// A server that records in `recorded`, with both policies in force.
    async fn recording(&self) -> Ephor {
        let ephor = Ephor::start(&["--data", &self.text("recorded")]);
        ephor.put(GOOD, &policy(GOOD), &settings(GOOD)).await.succeeded();
        ephor.put(COUNTING, &guest("stateful_trap"), "{}").await.succeeded();
        ephor
    }

    /// Replays with the policies of the room, and these arguments.
    fn replay(&self, args: &[&str]) -> Output {
        let policies = self.text("policies");
        ephor_replay(&[&["--policies", &policies], args].concat())
    }

    /// Checks what was recorded against a file of events.
    fn check(&self, events: &str, args: &[&str]) -> Output {
        let (recorded, later) = (self.text("recorded"), self.text("later"));
        self.replay(&[&["--events", events, "--check", &recorded, "--releases", &later, "--json"], args].concat())
    }
}

/// Runs `ephor replay`, with the compiled code of all tests.
pub fn ephor_replay(args: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("replay").args(args).arg("--cache").arg(target_dir().join("it-cache"));
    command.output().expect("the binary starts")
}

pub fn with_one_word_more() -> String {
    let mut settings: Value = serde_json::from_str(&settings(GOOD)).expect("settings in JSON");
    settings["words"].as_array_mut().expect("a list of words").push(ADDED.into());
    settings.to_string()
}

/// The report of a run that ended with this code.
#[track_caller]
pub fn report(output: &Output, code: i32) -> Value {
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{error}");
    serde_json::from_str(&out).unwrap_or_else(|problem| panic!("{problem} in {out}\n{error}"))
}

/// What a run that ended with this code says on standard error.
#[track_caller]
fn complaint(output: &Output, code: i32) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{}\n{error}", String::from_utf8_lossy(&output.stdout));
    error
}

/// Holds the report of a check against what it is when all entries are equal.
#[track_caller]
pub fn assert_equal(output: &Output, entries: usize) -> Value {
    let report = report(output, 0);
    assert_eq!((&report["all_equal"], &report["entries"]["equal"]), (&json!(true), &json!(entries)), "{report}");
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn dt_05_a_recorded_ledger_is_made_again_byte_for_byte() {
    let room = Room::new();
    let lines = data::sample(Set::Retail);
    let (first, second) = lines.split_at(lines.len() / 2);
    let events = data::sample_folder().join("retail.ndjson.gz");
    let events = events.to_str().expect("a path in UTF-8");
    let small = room.write("small.toml", "[spine]\nbatch-events-max = 7\nthreads = 1\n");
    let other = room.write("other.toml", "[spine]\nthreads = 2\n");
    let (copy, recorded) = (room.text("copy"), room.text("recorded"));

    let ephor = room.recording().await;
    ephor.post(LINES, first.join("\n")).await.succeeded();
    // The server is still there, and has its lock.
    let recorded_first = POLICIES + first.len();
    let half = assert_equal(&room.check(events, &["--data", &copy]), recorded_first);
    assert_eq!(half["events_in_no_entry"], second.len(), "{half}");
    let swap = ephor.put_settings(GOOD, &with_one_word_more()).await.succeeded().json();
    assert_eq!(event::sequence(&swap), recorded_first as u64 + 2, "the first event behind its entry: {swap}");
    ephor.post(LINES, second.join("\n")).await.succeeded();
    drop(ephor);

    let all = POLICIES + lines.len() + 1;
    for config in [&small, &other] {
        let whole = assert_equal(&room.check(events, &["--config", config]), all);
        assert_eq!((&whole["swaps"], &whole["events_in_no_entry"], &whole["resumed"]), (&json!(1), &json!(0), &json!(0)), "{whole}");
    }
    // The copy goes on where it ended, and is not taken for a new one without being told.
    assert!(complaint(&room.check(events, &["--data", &copy]), 2).contains("--resume"));
    let whole = assert_equal(&room.check(events, &["--data", &copy, "--resume", "--config", &small]), all);
    assert_eq!(whole["resumed"], recorded_first, "{whole}");
    assert!(complaint(&room.check(events, &["--data", &recorded, "--resume"]), 2).contains("same directory"));

    // In other words, for people; and from several files in another order.
    let parts = [room.write("a.ndjson", &second.join("\n")), room.write("b.ndjson", &first.join("\n"))];
    // What was in force is kept beside the ledger, so that no other folder is needed.
    let shown = ephor_replay(&["--events", &parts[0], &parts[1], "--check", &recorded]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.status.success() && text.contains("28,614 entries equal"), "{text}");

    // What cannot be checked is said.
    std::fs::rename(room.path("recorded/releases"), room.path("kept-releases")).expect("the releases are put elsewhere");
    let shown = room.replay(&["--events", events, "--check", &recorded]);
    let why = complaint(&shown, 3);
    assert!(why.contains("entry 14,308 put the release") && why.contains(GOOD) && why.contains("--releases"), "{why}");
    let why = complaint(&ephor_replay(&["--events", events, "--check", &recorded]), 3);
    assert!(why.contains("entry 1 put the release") && why.contains(GOOD) && why.contains("--releases"), "{why}");
    // Other folders that have them are as good.
    assert_equal(&room.check(events, &[]), all);
    std::fs::rename(room.path("kept-releases"), room.path("recorded/releases")).expect("the releases are put back");
    let last = lines.last().expect("events");
    assert!(last.contains("\"quantity\":"), "{last}");
    let changed = lines[..lines.len() - 1].join("\n") + "\n" + &last.replace("\"quantity\":", "\"quantity\":1");
    let why = complaint(&room.check(&room.write("changed.ndjson", &changed), &[]), 3);
    assert!(why.contains("entry 28,614") && why.contains("other bytes"), "{why}");
    let why = complaint(&room.check(&parts[0], &[]), 3);
    assert!(why.contains("entry 3 ") && why.contains("do not have it"), "{why}");
    // Without the key there are no such salts.
    std::fs::rename(room.path("recorded/ledger.key"), room.path("kept.key")).expect("the key is put elsewhere");
    assert!(complaint(&room.check(events, &[]), 2).contains("--key"));
    assert_equal(&room.check(events, &["--key", &room.text("kept.key")]), all);
}

/// Under other limits something else is said, and that is found.
#[tokio::test(flavor = "multi_thread")]
async fn dt_05_an_entry_that_comes_out_differently_is_named() {
    let room = Room::new();
    let ephor = room.recording().await;
    let mut lines: Vec<Value> = (0..50).map(|id| event::listing(id, LISTED)).collect();
    // Their source numbers them, and leaves three out: an entry of its own.
    for (id, line) in lines.iter_mut().enumerate() {
        line["sequence"] = (if id < 20 { id } else { id + 3 }).to_string().into();
    }
    // Two hours before the others.
    lines[40]["time"] = "2026-01-02T01:04:05Z".into();
    ephor.judge(lines.clone()).await;
    drop(ephor);
    let events = room.write("events.ndjson", &event::ndjson(lines));
    assert_equal(&room.check(&events, &[]), POLICIES + 51);
    let patient = room.write("patient.toml", "[spine]\nlateness-s = 86400\n");
    let found = report(&room.check(&events, &["--config", &patient]), 6);
    assert_eq!((&found["entries"]["equal"], &found["entries"]["different"]), (&json!(POLICIES + 50), &json!(1)), "{found}");
    let difference = &found["entries"]["differences"][0];
    assert_eq!(
        (&difference["sequence"], &difference["members"]),
        (&json!(44), &json!([{"pointer": "/late", "recorded": true, "replayed": null}])),
        "{difference}"
    );
    let shown = room.replay(&["--events", &events, "--check", &room.text("recorded"), "--config", &patient]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.status.code() == Some(6) && text.contains("Entry 44, different") && text.contains("/late"), "{text}");
}

/// A silence follows from the clock: it is taken over as it was recorded.
#[tokio::test(flavor = "multi_thread")]
async fn silences_are_taken_over_at_their_places() {
    let room = Room::new();
    let config = "[ledger]\ncheckpoint-ms = 20\n[spine.heartbeats]\n\"/tests\" = 1\n\"/never\" = 1\n";
    let recorded = room.text("recorded");
    let ephor = Ephor::start_with(config, &["--data", &recorded]);
    ephor.put(GOOD, &policy(GOOD), &settings(GOOD)).await.succeeded();
    let mut lines: Vec<Value> = (0..30).map(|id| event::listing(id, LISTED)).collect();
    for (id, line) in lines.iter_mut().enumerate() {
        line["sequence"] = (if id < 15 { id } else { id + 3 }).to_string().into();
    }
    for (part, silences) in lines.chunks(15).zip([2, 3]) {
        // Before the second part a gap is noted as well, and behind each a silence.
        ephor.judge(part.to_vec()).await;
        let noted = || raw::get(ephor.address(), "/v1/verdicts").text().matches("\"silence\":").count();
        ephor.wait_until("both are silent", || noted() == silences);
    }
    assert_eq!(ephor.metric("ephor_silent_sources", ""), 2.0);
    let entries = ephor.get("/v1/verdicts").await.expect(200).lines();
    let silences: Vec<&Value> = entries.iter().filter(|entry| entry.get("silence").is_some()).collect();
    assert_eq!((silences.len(), silences[2]), (3, entries.last().expect("entries")), "one is the last entry");
    let signed = || ledger::Checkpoint::in_directory(&room.path("recorded")).filter(|checkpoint| checkpoint.size == entries.len() as u64);
    ephor.wait_until("all is signed", || signed().is_some());
    drop(ephor);
    let events = room.write("events.ndjson", &event::ndjson(lines));
    // Also if the replay has the server's configuration: its own clock has no say.
    let file = room.write("server.toml", config);
    for (copy, args) in [("one", &[][..]), ("two", &["--config", &file])] {
        let copy = room.text(copy);
        assert_equal(&room.check(&events, &[&["--data", &copy], args].concat()), entries.len());
        let replayed = ledger::Checkpoint::in_directory(Path::new(&copy)).expect("signed");
        assert_eq!(Some((replayed.size, replayed.root)), signed().map(|checkpoint| (checkpoint.size, checkpoint.root)), "the same tree");
    }
}

/// What is seen of policies that come and go.
#[tokio::test(flavor = "multi_thread")]
async fn states_that_were_dropped_or_kept_are_so_in_the_replay() {
    let room = Room::new();
    let lines = data::sample(Set::Retail)[..6_000].to_vec();
    let mut parts = lines.chunks(1_000);
    let mut ephor = room.recording().await;
    let mut send = async |ephor: &Ephor| {
        let part = parts.next().expect("a part");
        ephor.post(LINES, part.join("\n")).await.succeeded();
    };
    send(&ephor).await;
    ephor.remove(COUNTING).await.succeeded();
    send(&ephor).await;
    ephor.put(COUNTING, &guest("stateful_trap"), "{}").await.succeeded();
    send(&ephor).await;
    // Out and in again, with nothing in between.
    ephor.remove(COUNTING).await.succeeded();
    ephor.put(COUNTING, &guest("stateful_trap"), "{}").await.succeeded();
    send(&ephor).await;
    // Not there after a restart, and back after another one: its states stayed.
    for back in [false, true] {
        drop(ephor);
        ephor = Ephor::start(&["--data", &room.text("recorded")]);
        ephor.put(GOOD, &policy(GOOD), &settings(GOOD)).await.succeeded();
        if back {
            ephor.put(COUNTING, &guest("stateful_trap"), "{}").await.succeeded();
        }
        send(&ephor).await;
    }
    // Nine times a policy came or went, and there were two starts.
    let recorded = ledger::subjects(&ephor.entries(1).await);
    let of = |subject: &str| recorded.iter().filter(|is| **is == subject).count();
    assert_eq!((of("event"), of("change"), of("start"), recorded.len()), (lines.len(), 9, 2, lines.len() + 11));
    drop(ephor);
    let events = room.write("events.ndjson", &lines.join("\n"));
    let small = room.write("small.toml", "[spine]\nbatch-events-max = 7\nthreads = 1\n");
    for config in [&[][..], &["--config", &small]] {
        assert_equal(&room.check(&events, config), recorded.len());
    }
}

/// A timer's entry stands right before the event that made it fire.
#[tokio::test(flavor = "multi_thread")]
async fn timers_fire_at_the_same_places() {
    const TIMED: &str = "idle-vehicle";
    let room = Room::new();
    write_policy(&room.path("policies"), TIMED, Some(&policy(TIMED)), Some(&settings(TIMED)));
    let ephor = room.recording().await;
    ephor.put(TIMED, &policy(TIMED), &settings(TIMED)).await.succeeded();
    ephor.post(LINES, data::sample(Set::Columbus).join("\n")).await.succeeded();
    let recorded = ledger::subjects(&ephor.entries(1).await);
    let of = |subject: &str| recorded.iter().filter(|is| **is == subject).count();
    let (events, changes, timers) = (of("event"), of("change"), of("timer"));
    assert_eq!((events, changes, events + changes + timers), (data::sample(Set::Columbus).len(), POLICIES + 1, recorded.len()));
    assert!(timers > 0, "no timer has fired");
    drop(ephor);
    let events = data::sample_folder().join("columbus.ndjson.gz");
    let events = events.to_str().expect("a path in UTF-8");
    let small = room.write("small.toml", "[spine]\nbatch-events-max = 7\nthreads = 1\n");
    let found = assert_equal(&room.check(events, &["--config", &small]), recorded.len());
    assert_eq!(found["recorded"], recorded.len(), "{found}");
}

/// Nothing depends on when a replay was made, and an interrupted one goes on.
#[test]
fn replays_of_one_archive_are_the_same() {
    let room = Room::new();
    let lines = data::sample(Set::Retail)[..4_000].to_vec();
    let key = room.write("ledger.key", &format!("{}\n", "0123456789abcdef".repeat(4)));
    let (one, two) = (room.text("one"), room.text("two"));
    let (part, whole) = (room.write("part.ndjson", &lines[..1_500].join("\n")), room.write("whole.ndjson", &lines.join("\n")));
    let counts = report(&room.replay(&["--events", &whole, "--data", &one, "--key", &key, "--json"]), 0);
    let sum: u64 = counts["verdicts"].as_object().expect("verdicts").values().filter_map(Value::as_u64).sum();
    // Both policies have an entry as well.
    assert_eq!((sum, &counts["entries"], &counts["judged"]), (4_000, &json!(4_002), &json!(4_000)), "{counts}");
    assert_eq!(counts["findings"].as_array().map(Vec::len), Some(2), "{counts}");
    report(&room.replay(&["--events", &part, "--data", &two, "--key", &key, "--json"]), 0);
    let counts = report(&room.replay(&["--events", &whole, "--data", &two, "--key", &key, "--resume", "--json"]), 0);
    assert_eq!((&counts["resumed"], &counts["judged"], &counts["entries"]), (&json!(1_502), &json!(2_500), &json!(4_002)), "{counts}");
    let root = |data: &str| {
        let checkpoint = std::fs::read_to_string(Path::new(data).join("checkpoint")).expect("a checkpoint");
        checkpoint.lines().take(3).map(str::to_string).collect::<Vec<_>>()
    };
    assert_eq!(root(&one), root(&two), "origin, size and root");
    // The same events once more are known.
    let twice = format!("{}\n{}\nbroken\n", lines[..10].join("\n"), lines[..10].join("\n"));
    let counts = report(&room.replay(&["--events", &room.write("twice.ndjson", &twice), "--json"]), 3);
    assert_eq!((&counts["judged"], &counts["duplicates"], &counts["rejected"]), (&json!(10), &json!(10), &json!(1)), "{counts}");
}

#[test]
fn a_back_test_counts_what_one_word_more_changes() {
    let room = Room::new();
    let listed: Value = serde_json::from_str(&settings(GOOD)).expect("settings in JSON");
    let listed: HashSet<&str> = listed["words"].as_array().expect("words").iter().filter_map(Value::as_str).collect();
    // Counted here, without any code of ours.
    let (mut found, mut denied_now, mut days, mut all) = (0u64, 0u64, HashSet::new(), 0u64);
    for line in data::sample(Set::Retail) {
        all += 1;
        let line: Value = serde_json::from_str(&line).expect("an event");
        let description = line["data"]["description"].as_str().unwrap_or_default().to_uppercase();
        let words: HashSet<&str> = description.split(|c: char| !c.is_alphanumeric()).collect();
        if words.contains(ADDED) {
            found += 1;
            denied_now += u64::from(words.is_disjoint(&listed));
            days.insert(event::text(&line, "time")[..10].to_string());
        }
    }
    assert!(denied_now > 50, "{denied_now} lines are enough");

    let events = data::sample_folder().join("retail.ndjson.gz");
    let (events, page) = (events.to_str().expect("a path in UTF-8"), room.text("report.html"));
    let (before, after) = (room.text(&format!("policies/{GOOD}.wasm")), room.text("later"));
    let args = ["--events", events, "--against", &before, "--with", &after, "--html", &page, "--examples", "7"];
    let report = report(&ephor_replay(&[&args[..], &["--json"]].concat()), 0);
    let [rule] = &report["rules"].as_array().expect("rules")[..] else { panic!("one rule: {report}") };
    assert_eq!(
        (&report["events"], &rule["appeared"], &rule["disappeared"], &rule["altered"]),
        (&json!(all), &json!(found), &json!(0), &json!(0)),
        "{rule}"
    );
    assert_eq!(report["changes"], json!({"stricter": denied_now, "milder": 0, "findings": found - denied_now}), "{report}");
    assert_eq!(report["verdicts"]["deny"]["after"].as_u64(), report["verdicts"]["deny"]["before"].as_u64().map(|count| count + denied_now));
    assert_eq!(report["transitions"][0], json!({"before": "allow", "after": "deny", "count": denied_now}));
    assert_eq!((report["days"].as_array().map(Vec::len), &report["sources"][0]["name"]), (Some(days.len()), &json!("/uci/online-retail")));
    let examples = report["examples"].as_array().expect("examples");
    assert_eq!(examples.len(), 7);
    for example in examples {
        assert_eq!(event::text(&example["appeared"][0], "message"), format!("the description contains the listed word {ADDED}"));
    }
    assert_ne!(report["before"][GOOD], report["after"][GOOD]);

    let html = std::fs::read_to_string(&page).expect("the page");
    assert_well_formed(&html);
    assert!(!html.contains("http") && !html.contains("<script") && html.contains("<svg") && html.contains("prefers-color-scheme"));
    let shown = ephor_replay(&args);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.status.success() && text.contains("By subject") && text.contains(ADDED), "{text}");
    // The same release on both sides changes nothing.
    let same = ephor_replay(&["--events", events, "--against", &before, "--with", &room.text("policies"), "--json"]);
    let same: Value = serde_json::from_slice(&same.stdout).expect("a report");
    let counted = same["rules"].as_array().expect("rules").iter().find(|rule| rule["policy"] == COUNTING).expect("the counting policy");
    assert!(counted["appeared"].as_u64() > Some(20_000), "a policy that is there on one side only: {counted}");
    let same = ephor_replay(&["--events", events, "--against", &before, "--with", &before, "--json"]);
    let same: Value = serde_json::from_slice(&same.stdout).expect("a report");
    assert_eq!(same["changes"], json!({"stricter": 0, "milder": 0, "findings": 0}));
}

/// Every element that is opened is closed, in order.
#[track_caller]
fn assert_well_formed(page: &str) {
    let body = page.strip_prefix("<!DOCTYPE html>").expect("a doctype");
    let mut open = Vec::new();
    for piece in body.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').expect("a tag ends");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "elements are closed in order");
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().expect("a name"));
        }
    }
    assert!(open.is_empty(), "{open:?} are closed");
}

/// The whole retail stream, with a swap while it is being sent.
#[tokio::test(flavor = "multi_thread")]
async fn the_full_data_is_made_again_byte_for_byte() {
    let Some(folder) = data::full_folder() else {
        return data::left_out("replay of the full data", "there is no ../shared/data, and EPHOR_DATA names no folder that has it");
    };
    let lines = data::full(&folder, Set::Retail).len();
    let events = target_dir().join("data/retail.ndjson");
    let events = events.to_str().expect("a path in UTF-8");
    let room = Room::new();
    let ephor = room.recording().await;
    let mut sender = Command::new(binary());
    sender.args(["send", events, "--to", &ephor.url(""), "--json"]).stdout(std::process::Stdio::null());
    let mut sender = sender.spawn().expect("the binary starts");
    ephor.wait_until("a third of the events is judged", || ephor.metric("ephor_events_total", "") > lines as f64 / 3.0);
    ephor.put_settings(GOOD, &with_one_word_more()).await.succeeded();
    let sent = tokio::task::spawn_blocking(move || sender.wait()).await.expect("the sender is waited for").expect("it ends");
    assert!(sent.success(), "{sent}");
    drop(ephor);
    let other = room.write("other.toml", "[spine]\nbatch-events-max = 97\nthreads = 1\n");
    let whole = assert_equal(&room.check(events, &["--config", &other]), POLICIES + lines + 1);
    assert_eq!((lines, &whole["swaps"]), (541_909, &json!(1)), "{whole}");
}
