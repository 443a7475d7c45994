//! The whole way of a rule: regulator, platform and auditor, as the README tells it,
//! and what each has to have seen in the end.

use std::path::Path;
use std::process::{Command, Stdio};

use ephor_tests::{binary, data, documents, target_dir, workspace};
use serde_json::Value;

/// Before the blocks of the README that belong to it.
const MARK: &str = "<!-- journey -->\n```sh\n";

/// Where the README's platform listens.
const ADDRESS: &str = "127.0.0.1:8790";

/// A port that nobody has.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

/// The entries of a ledger.
fn entries(ledger: &Path) -> Vec<Value> {
    let out = ledger.with_extension("ndjson");
    let output = Command::new(binary()).args(["log", "export", "--out"]).arg(&out).arg(ledger).output().expect("the binary starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = std::fs::read_to_string(&out).expect("the entries");
    lines.lines().map(|line| serde_json::from_str(line).expect("an entry")).collect()
}

#[test]
fn a_rule_goes_the_whole_way_that_the_readme_tells() {
    if std::env::var("EPHOR_WITHOUT_CURL").as_deref() == Ok("1") {
        return data::left_out("the whole way of a rule", "EPHOR_WITHOUT_CURL=1");
    }
    let blocks = documents::blocks("README.md", MARK);
    assert_eq!(blocks.len(), 5, "blocks of the README with the mark");
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    // As in a clone, but for the folders that are written to.
    for (name, place) in [("target", target_dir()), ("policies", workspace().join("policies")), ("tests", workspace().join("tests"))] {
        std::os::unix::fs::symlink(place, here.join(name)).expect("a link");
    }
    let script = blocks.join("\n").replace(ADDRESS, &format!("127.0.0.1:{}", free_port()));
    // The binary that is tested, under the name that the README has: a program, as there,
    // so that what is started in the background is the server and no shell around it. It
    // ends with the shell also where a step fails.
    std::fs::create_dir(here.join("bin")).expect("a folder");
    std::os::unix::fs::symlink(binary(), here.join("bin/ephor")).expect("a link");
    let script = format!("PATH=\"$PWD/bin:$PATH\"\ntrap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n{script}");
    let shell = Command::new("bash").args(["-euc", &script]).current_dir(here).stdin(Stdio::null()).output().expect("a shell");
    let (out, err) = (String::from_utf8_lossy(&shell.stdout), String::from_utf8_lossy(&shell.stderr));
    let log = std::fs::read_to_string(here.join("serve.log")).unwrap_or_default();
    assert!(shell.status.success(), "{out}\n{err}\n{log}");
    for part in [
        "Published version 1.0.0 of market-office/negative-list",
        "in mode enforce from entry",
        "It took the place of",
        "milder ones",
        "counts no longer",
        "Platforms stop judging by it",
        "Nothing is wrong with it.",
        "entries equal, byte for byte",
    ] {
        assert!(out.contains(part), "{part:?} in\n{out}\n{err}");
    }
    for jargon in ["TUF", "keyid", "metadata", "threshold"] {
        assert!(!out.contains(jargon), "{jargon:?} in\n{out}");
    }
    let note = std::fs::read_to_string(here.join("status.note")).expect("the signed status");
    assert!(note.starts_with("ephor status 1\n") && note.contains("\n\n— ephor.invalid/"), "{note}");

    let entries = entries(&here.join("ledger"));
    let changes: Vec<(&str, &str, &str)> = entries
        .iter()
        .filter(|entry| entry["change"]["policy"] == "market-office/negative-list")
        .map(|entry| &entry["change"])
        .map(|change| (change["what"].as_str().unwrap_or(""), change["mode"].as_str().unwrap_or(""), change["by"].as_str().unwrap_or("")))
        .collect();
    assert_eq!(
        changes,
        [
            ("install", "shadow", "market-office"),
            ("promote", "enforce", "platform operations"),
            ("install", "shadow", "market-office"),
            ("promote", "enforce", "platform operations"),
            ("withdraw", "enforce", "market-office: duty officer"),
        ]
    );
    let lists = entries.iter().filter(|entry| entry["change"]["policy"] == "market-office/sanctioned-party");
    let versions: Vec<&Value> = lists.map(|entry| &entry["change"]["lists"]["sanctions"]).collect();
    assert_eq!(versions, ["2024-05-03.twelve", "2024-05-04"]);

    // Every event of the sample, once, and never by two releases that count.
    let events: Vec<&Value> = entries.iter().filter(|entry| entry.get("verdict").is_some() && entry.get("timer").is_none()).collect();
    assert_eq!(events.len(), 28_611);
    let (mut shadow, mut counted) = (0, 0);
    for event in events {
        let asked = event["asked"].as_array().expect("who was asked");
        let counting = asked.iter().filter(|asked| asked["mode"] != "shadow").count();
        assert!(counting <= 1, "{event}");
        counted += counting;
        shadow += usize::from(counting == 0);
        if counting == 0 {
            assert_eq!(event["verdict"], "allow", "what is in shadow is in no verdict: {event}");
        }
    }
    assert!(shadow >= 9_600 && counted > 9_000, "{shadow} in shadow, {counted} counted");
}
