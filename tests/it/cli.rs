//! The verbs of the command line as a script sees them: output and exit codes.

use std::process::{Command, Output};

use ephor_tests::{binary, component_path, data, event};
use serde_json::Value;

use crate::{GOOD, LISTED, with_good_policy};

pub fn ephor(args: &[&str]) -> Output {
    Command::new(binary()).args(args).output().expect("the binary starts")
}

pub fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
pub fn assert_exit(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}\n{}", out(output), String::from_utf8_lossy(&output.stderr));
}

#[test]
fn inspect_shows_what_a_component_says_about_itself() {
    let file = component_path("policies", GOOD);
    let file = file.to_str().expect("a path in UTF-8");
    let shown = ephor(&["policy", "inspect", file]);
    assert_exit(&shown, 0);
    let text = out(&shown);
    for part in [GOOD, "/data/description", "purpose", "legal basis", "sha256:", "ephor:policy/"] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    let shown = ephor(&["policy", "inspect", "--json", file]);
    assert_exit(&shown, 0);
    let document: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!(document["manifest"]["name"], GOOD);
    assert_eq!(document["bytes"], std::fs::metadata(file).expect("the component").len());
    assert!(event::text(&document, "digest").starts_with("sha256:"));
    assert!(document["manifest"]["settings_schema"].is_object(), "the schema is JSON, not text");
    for import in document["imports"].as_array().expect("a list") {
        assert!(import.as_str().is_some_and(|name| name.starts_with("ephor:policy/")), "{import}");
    }
    for field in document["manifest"]["fields"].as_array().expect("a list") {
        assert!(!event::text(field, "purpose").is_empty(), "{field}");
    }
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let folder = tempfile::tempdir().expect("a folder");
    let broken = folder.path().join("broken.wasm");
    std::fs::write(&broken, b"broken").expect("a file");
    let broken = broken.to_str().expect("a path in UTF-8");
    let config = folder.path().join("bad.toml");
    std::fs::write(&config, "[server]\nno-such-limit = 1\n").expect("a file");
    let config = config.to_str().expect("a path in UTF-8");
    let sample = data::sample_folder().join("retail.ndjson.gz");
    let sample = sample.to_str().expect("a path in UTF-8");
    for (args, code) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["policy", "inspect", "no-such-file.wasm"], 1),
        (&["no-such-verb"], 2),
        (&["serve", "--no-such-option"], 2),
        (&["serve", "--config", config], 2),
        (&["serve", "--dev", "--listen", "0.0.0.0:0"], 2),
        (&["serve", "--policies", "."], 2),
        (&["policy", "inspect", broken], 3),
        // Port 1 of this machine: nobody is there.
        (&["send", sample, "--to", "http://127.0.0.1:1"], 4),
    ] {
        let output = ephor(args);
        assert_eq!(output.status.code(), Some(code), "ephor {args:?}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(code == 0 || !output.stderr.is_empty(), "ephor {args:?} says why");
    }
    let help = out(&ephor(&["--help"]));
    for code in 0..=6 {
        assert!(help.lines().any(|line| line.trim_start().starts_with(&format!("{code} "))), "exit code {code} is in the help:\n{help}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn send_sums_up_what_came_of_a_file() {
    let server = with_good_policy("").await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events.ndjson");
    let events = (0..500).map(|id| event::listing(id, if id % 50 == 0 { LISTED } else { "LANTERN" }));
    std::fs::write(&file, event::ndjson(events)).expect("a file");
    let (file, url) = (file.to_str().expect("a path in UTF-8").to_string(), server.url(""));
    let send = |args: &[&str]| ephor(&[&["send", &file, "--to", &url], args].concat());

    let shown = send(&[]);
    assert_exit(&shown, 0);
    for part in [GOOD, "500 events", "events per second"] {
        assert!(out(&shown).contains(part), "{part:?} in\n{}", out(&shown));
    }
    // The same again: every answer is what was recorded.
    let shown = send(&["--json"]);
    assert_exit(&shown, 0);
    let summary: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!((summary["duplicates"].as_u64(), summary["out_of_order"].as_u64()), (Some(500), Some(0)), "{summary}");
    assert_eq!(
        (summary["judged"].as_u64(), summary["rejected"].as_u64(), summary["not_answered"].as_u64()),
        (Some(500), Some(0), Some(0)),
        "{summary}"
    );
    assert_eq!(summary["findings"][0]["findings"], 10, "{summary}");
    assert_eq!(summary["verdicts"]["allow"], 490, "{summary}");

    std::fs::write(&file, format!("{}\nbroken\n", event::listing(1_000, LISTED))).expect("a file");
    let shown = send(&["--json"]);
    assert_exit(&shown, 3);
    let summary: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!((summary["judged"].as_u64(), summary["rejected"].as_u64()), (Some(1), Some(1)), "{summary}");
}

/// A compressed file goes as it is.
#[tokio::test(flavor = "multi_thread")]
async fn send_takes_a_compressed_file() {
    let server = with_good_policy("").await;
    let sample = data::sample_folder().join("columbus.ndjson.gz");
    let shown = ephor(&["send", sample.to_str().expect("a path in UTF-8"), "--to", &server.url(""), "--json"]);
    assert_exit(&shown, 0);
    let summary: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!(summary["judged"], data::sample(data::Set::Columbus).len(), "{summary}");
}
