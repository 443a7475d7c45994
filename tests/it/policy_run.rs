//! `ephor policy run`: verdicts on events, explained rule by rule.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ephor_tests::{binary, component_path, event, target_dir, workspace};
use serde_json::{Value, json};

use crate::publishers::text;
use crate::{GOOD, LISTED};

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs the verb with a component of the library, on events from standard input.
fn run(policy: &str, events: &str, args: &[&str]) -> Output {
    run_file(&component_path("policies", policy), events, args)
}

fn run_file(component: &Path, events: &str, args: &[&str]) -> Output {
    let cache = target_dir().join("it-cache");
    let mut child = Command::new(binary())
        .args(["policy", "run", text(component), "--event", "-", "--cache", text(&cache)])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // It may refuse before it reads.
    let _ = child.stdin.take().expect("standard input").write_all(events.as_bytes());
    child.wait_with_output().expect("it ends")
}

#[track_caller]
fn assert_said(output: &Output, code: i32, parts: &[&str]) {
    let said = format!("{}{}", out(output), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} in\n{said}");
    }
}

fn lines(output: &Output) -> Vec<Value> {
    out(output).lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn one_event_is_explained_rule_by_rule() {
    let sent = serde_json::to_string_pretty(&event::listing("é1", LISTED)).expect("JSON");
    let output = run(GOOD, &sent, &["--lang", "zh"]);
    let basis = "legal basis  E-Commerce Law of the People's Republic of China, article 13";
    let parts =
        ["event é1 of /tests, retail.invoice.line: deny", "/data/description  plain  \"BOX OF CIGAR\"", "listed-word: deny, severity high"];
    assert_said(&output, 0, &[&parts[..], &["商品描述包含负面清单词语 CIGAR", basis, "rests on     word = CIGAR", "fuel "]].concat());
    assert_said(&run(GOOD, &sent, &[]), 0, &["the description contains the listed word CIGAR"]);
}

#[test]
fn what_was_absent_unreadable_or_not_asked_about_is_said() {
    let mut events = vec![event::listing(1, "LANTERN"), event::listing(2, "x"), event::listing(3, "x"), event::listing(4, "x")];
    events[1]["data"]["description"] = json!(17);
    events[2]["data"] = json!({});
    events[3]["type"] = json!("other.type");
    let input = event::ndjson(events) + "nonsense\n";
    let output = run(GOOD, &input, &[]);
    let parts = [
        "event 1 of /tests, retail.invoice.line: allow",
        "listed-word: nothing found",
        "unreadable: it is a number, and must be a string",
        "not asked, for the event cannot be read: /data/description is a number",
        "/data/description  plain  absent",
        "event 4 of /tests, other.type: not asked",
        "the policy is asked about retail.invoice.line, retail.cancellation.line only",
        "standard input:5: this is no event",
        "1 event was not taken",
    ];
    assert_said(&output, 3, &parts);
    // Scripts get the same, and one line for all at the end.
    let lines = lines(&run(GOOD, &input, &["--json"]));
    let verdicts: Vec<&str> = lines.iter().filter_map(|line| line["verdict"].as_str()).collect();
    assert_eq!(verdicts, ["allow", "undetermined", "allow", "not-asked"]);
    assert_eq!(lines[1]["fields"][0]["unreadable"], "a number");
    assert_eq!((&lines[2]["fields"][0]["absent"], &lines[1]["fault"]["kind"]), (&json!(true), &json!("unreadable")));
    let summary = &lines[4]["summary"];
    assert_eq!((&summary["events"], &summary["judged"], &summary["not_taken"]), (&json!(4), &json!(3), &json!(1)));
    assert_eq!((&summary["rules"]["listed-word"], &summary["faults"]["unreadable"]), (&json!(0), &json!(1)));
}

#[test]
fn a_stream_keeps_state_and_lets_timers_fire() {
    let vector = std::fs::read_to_string(workspace().join("policies/idle-vehicle/vectors/own-event.json")).expect("a vector");
    let vector: Value = serde_json::from_str(&vector).expect("JSON");
    let folder = tempfile::tempdir().expect("a folder");
    let settings = folder.path().join("settings.json");
    std::fs::write(&settings, vector["settings"].to_string()).expect("written");
    let events = vector["events"].as_array().expect("events").clone();
    let output = run("idle-vehicle", &event::ndjson(events.clone()), &["--settings", text(&settings), "--state", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = lines(&output);
    // What the vector says of wakes is what is said here.
    let mut woken = Vec::new();
    for (before, line) in lines.iter().enumerate() {
        for one in line["woken"].as_array().into_iter().flatten() {
            let found: Vec<Value> = one["findings"]
                .as_array()
                .expect("findings")
                .iter()
                .map(|finding| json!({"rule": finding["rule"], "evidence": finding["evidence"]}))
                .collect();
            woken.push(json!({"before": before, "at": one["due"], "key": one["key"], "expect": found}));
        }
    }
    let sorted = |mut all: Vec<Value>| {
        all.sort_by_key(Value::to_string);
        all
    };
    assert_eq!(sorted(woken), sorted(vector["wakes"].as_array().expect("wakes").clone()));
    // The first event finds nothing remembered, the second what the first left.
    assert_eq!(lines[0]["state"]["before"], Value::Null);
    assert_eq!(lines[0]["state"]["after"], lines[1]["state"]["before"]);
    assert_ne!(lines[1]["state"]["after"], lines[1]["state"]["before"]);
    assert_eq!(lines[0]["state"]["key"], json!(["Veo", "v1"]));
    let shown = run("idle-vehicle", &event::ndjson(events), &["--settings", text(&settings), "--found", "--state"]);
    assert_said(&shown, 0, &["[\"Veo\",\"v1\"] was woken for 2026-08-05T06:35:20Z: flag", "idle: flag", "remembers of [\"Veo\",\"v1\"]"]);
    assert_said(&shown, 0, &["6 timers fired"]);
    assert!(!out(&shown).contains("event 1 of"), "nothing is said about it: {}", out(&shown));
}

#[test]
fn lists_are_bound_by_their_names() {
    let payment = json!({"specversion": "1.0", "id": "1", "source": "/bank", "type": "payment.order", "time": "2026-01-02T03:04:05Z", "data": {"counterparty": "36"}});
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("list.json");
    std::fs::write(&list, "{\"36\": \"AEROCARIBBEAN AIRLINES\"}").expect("written");
    let named = format!("sanctions={}", text(&list));
    let output = run("sanctioned-party", &payment.to_string(), &["--list", &named]);
    assert_said(&output, 0, &["listed-party: deny, severity critical", "name = AEROCARIBBEAN AIRLINES"]);
    assert_said(&run("sanctioned-party", &payment.to_string(), &[]), 3, &["the policy is not taken", "sanctions"]);
    std::fs::write(&list, "{\n  \"36\": 7\n}").expect("written");
    assert_said(&run("sanctioned-party", &payment.to_string(), &["--list", &named]), 3, &["list.json:2:", "a JSON object of strings"]);
    assert_said(&run("sanctioned-party", &payment.to_string(), &["--list", "sanctions"]), 2, &["NAME=FILE"]);
}

#[test]
fn a_stream_is_summed_up() {
    let events = event::ndjson((0..40).map(|id| event::listing(id, if id % 4 == 0 { LISTED } else { "LANTERN" })));
    let output = run(GOOD, &events, &["--summary"]);
    assert_said(&output, 0, &["negative-list 0.1.0-", " on 40 events", "listed-word", "Fuel "]);
    let shown = out(&output);
    let count = |name: &str| {
        shown
            .lines()
            .find(|line| line.trim_start().starts_with(name))
            .map(|line| line.trim().rsplit(' ').next().expect("a number").to_string())
    };
    assert_eq!(["judged", "allow", "deny", "listed-word"].map(|name| count(name).unwrap_or_default()), ["40", "30", "10", "10"], "{shown}");
    // What the policy is at fault for is told from what the event is.
    let loops = run_file(&component_path("guests", "loops"), &event::ndjson([event::listing(1, "boom")]), &[]);
    assert_said(&loops, 0, &["undetermined", "ended, for it used up its fuel", "no answer: fuel"]);
}

#[test]
fn what_cannot_be_run_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let empty: PathBuf = folder.path().join("empty");
    std::fs::write(&empty, "").expect("written");
    let run = |args: &[&str]| Command::new(binary()).args(["policy", "run"]).args(args).output().expect("the binary starts");
    let component = component_path("policies", GOOD);
    assert_said(&run(&[text(folder.path()), "--event", text(&empty)]), 2, &["is empty; give at least one event"]);
    std::fs::write(&empty, event::listing(1, "x").to_string()).expect("written");
    assert_said(&run(&[text(folder.path()), "--event", text(&empty)]), 2, &["has no Cargo.toml"]);
    assert_said(&run(&[text(&component), "--event", "no-such-file"]), 2, &["cannot open no-such-file"]);
    assert_said(&run(&[text(&empty), "--event", text(&empty)]), 3, &["the policy is not taken"]);
}
