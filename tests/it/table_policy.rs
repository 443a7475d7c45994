//! Rules in a file: what becomes of them, and that they judge as rules in Rust do.

use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use ephor_tests::client::Version;
use ephor_tests::data::{self, Set};
use ephor_tests::{Ephor, event, policy, settings, target_dir, workspace};
use serde_json::Value;

use crate::GOOD;
use crate::policy_new::{ephor, said};
use crate::publishers::text;

/// The policy of the library that is there in both ways.
fn twin() -> PathBuf {
    workspace().join("policies").join(GOOD).join("rules.toml")
}

/// The component that a file of rules becomes.
fn built(rules: &Path, name: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let built = said(&ephor(folder.path(), &["policy", "build", text(rules), "--out", text(folder.path())]), 0);
    assert!(built.contains(name) && built.contains("sha256:"), "{built}");
    std::fs::read(folder.path().join(format!("{name}.wasm"))).expect("a component")
}

#[test]
fn the_twin_passes_the_vectors_of_the_policy_in_rust() {
    let cache = target_dir().join("it-cache");
    let tested = said(&ephor(workspace(), &["policy", "test", text(&twin()), "--cache", text(&cache)]), 0);
    assert!(tested.contains("natively: left out") && tested.contains("all as expected"), "{tested}");
}

/// Answers to all events, each without what names the release.
async fn answers(component: &[u8], events: &[String]) -> Vec<String> {
    let ephor = Ephor::start(&["--in-memory"]);
    ephor.put(GOOD, component, &settings(GOOD)).await.succeeded();
    let (mut sending, mut answers) = ephor.stream(Version::Http1, &[]).await;
    let bodies: Vec<Bytes> = events.chunks(512).map(|chunk| Bytes::from(format!("{}\n", chunk.join("\n")))).collect();
    let sender = tokio::spawn(async move {
        for body in bodies {
            if !sending.send(body).await {
                return;
            }
        }
    });
    assert_eq!(answers.status().await, 200);
    let mut said = Vec::with_capacity(events.len());
    while let Some(answer) = answers.next().await {
        assert!(answer.get("faults").is_none(), "an event that was not judged: {answer}");
        let findings: Vec<Value> = event::findings(&answer, GOOD)
            .map(|finding| {
                let mut finding = finding.clone();
                let members = finding.as_object_mut().expect("a finding");
                members.retain(|name, _| name != "release");
                finding
            })
            .collect();
        said.push(format!("{} {} {}", event::text(&answer, "id"), event::text(&answer, "verdict"), Value::from(findings)));
    }
    sender.await.expect("the sender ends");
    assert_eq!(said.len(), events.len(), "every event has one answer");
    said
}

async fn assert_alike(events: &[String], found: usize) {
    let (one, other) = (answers(&policy(GOOD), events).await, answers(&built(&twin(), GOOD), events).await);
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one, other);
    }
    let with_findings = one.iter().filter(|answer| answer.contains("\"rule\"")).count();
    assert!(with_findings >= found, "{with_findings} events with findings");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_twin_finds_the_same_in_the_sample() {
    assert_alike(&data::sample(Set::Retail), 1_500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_twin_finds_the_same_in_the_full_data() {
    let Some(folder) = data::full_folder() else {
        data::left_out("rules in a file on the full data", "there is no ../shared/data, and EPHOR_DATA names no folder that has it");
        return;
    };
    assert_alike(&data::full(&folder, Set::Retail), 1_500).await;
}

#[test]
fn a_new_file_of_rules_passes_its_vectors() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = said(&ephor(folder.path(), &["policy", "new", "new-table", "--table", "--legal-basis", "An act, \"§ 5\""]), 0);
    let own = folder.path().join("new-table");
    for next in ["cd new-table", "ephor policy build", "ephor policy test"] {
        assert!(made.contains(next), "{next:?} in\n{made}");
    }
    assert!(!own.join("Cargo.toml").exists());
    // Without cargo or rustc: there is none on this path.
    let mut build = Command::new(ephor_tests::binary());
    let output = build.args(["policy", "build"]).current_dir(&own).env("PATH", "").env_remove("CARGO").env_remove("RUSTC").output();
    said(&output.expect("the binary starts"), 0);
    let component = own.join("target/policies/new-table.wasm");
    assert_eq!(std::fs::read(component.with_extension("settings.json")).ok(), std::fs::read(own.join("settings.json")).ok());
    let tested = said(&ephor(&own, &["policy", "test", "--cache", text(&target_dir().join("it-cache"))]), 0);
    assert!(tested.contains("new-table 0.1.0 as a component") && tested.contains("all as expected"), "{tested}");
    let inspected = said(&ephor(&own, &["policy", "inspect", "--json", text(&component)]), 0);
    let document: Value = serde_json::from_str(&inspected).expect("JSON");
    assert_eq!(document["manifest"]["rules"][0]["legal_basis"], "An act, \"§ 5\"");
    assert!(document["manifest"]["keyed"].is_null());
}

/// A window, a list and settings in one file, over the host's own states and look-ups.
#[test]
fn windows_and_lists_of_a_file_are_kept_by_the_host() {
    let book = std::fs::read_to_string(workspace().join("sdk/book/table.md")).expect("the book");
    let (_, rest) = book.split_once("```toml\n").expect("a file in the book");
    let (rules, _) = rest.split_once("```").expect("its end");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.toml"), rules).expect("written");
    std::fs::create_dir(folder.path().join("vectors")).expect("a folder");
    let event = |minute: u32, merchant: &str, amount: &str| {
        format!(
            r#"{{"specversion": "1.0", "id": "{minute}-{merchant}{}", "source": "/shop", "type": "shop.order.placed", "time": "2026-01-02T09:{minute:02}:00Z", "data": {{"merchant": "{merchant}"{amount}}}}}"#,
            amount.len()
        )
    };
    let large = r#", "amount": 800.5"#;
    let events = [
        event(0, "m-1", large),
        event(1, "m-1", large),
        event(1, "licensed", large),
        event(2, "m-1", large),
        event(2, "m-1", r#", "amount": 3"#),
        event(3, "m-1", ""),
        event(4, "m-1", large),
        event(4, "licensed", large),
        event(5, "licensed", large),
        event(6, "licensed", large),
        r#"{"specversion": "1.0", "id": "last", "source": "/shop", "type": "shop.order.placed", "time": "2026-01-02T11:30:00Z", "data": {"merchant": "m-1", "amount": 501}}"#.to_string(),
        event(3, "m-1", large),
    ];
    let found = r#"[{"rule": "many-large", "evidence": {"merchant": "m-1", "count": "4"}}]"#;
    let late = r#"{"undecided": "rule many-large: the event is too late for the window large"}"#;
    let expect = ["[]", "[]", "[]", "[]", "[]", "[]", found, "[]", "[]", "[]", "[]", late];
    let vector = format!(
        r#"{{"settings": {{"limit": 500}}, "lists": {{"licences": {{"licensed": ""}}}}, "events": [{}], "expect": [{}]}}"#,
        events.join(","),
        expect.join(",")
    );
    std::fs::write(folder.path().join("vectors/all.json"), vector).expect("written");
    let (_, rest) = book.split_once("```json\n").expect("vectors in the book");
    let (vectors, _) = rest.split_once("```").expect("their end");
    std::fs::write(folder.path().join("vectors/book.json"), vectors).expect("written");
    let cache = target_dir().join("it-cache");
    let tested = said(&ephor(folder.path(), &["policy", "test", "--cache", text(&cache)]), 0);
    assert!(tested.contains("big-orders 1.0.0 as a component") && tested.contains("all as expected"), "{tested}");
}

/// Whoever sends an event chooses the length of its texts; that must not be a way around a rule.
#[test]
fn a_long_text_is_judged_within_the_fuel_of_an_event() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = r#"
name = "long-texts"
version = "1.0.0"
summary = "Counts the different words of a text."
events = ["*"]
[[field]]
name = "text"
pointer = "/data/text"
kind = "text"
purpose = "count its words"
[[rule]]
id = "wordy"
action = "flag"
severity = "low"
legal_basis = "none"
message.en = "{count} different words"
when = "event.text.words().distinct().size() > 1"
evidence.count = "event.text.words().distinct().size()"
"#;
    std::fs::write(folder.path().join("rules.toml"), rules).expect("written");
    std::fs::create_dir(folder.path().join("vectors")).expect("a folder");
    let words: Vec<String> = (0..2_000).map(|number| format!("w{}", number % 1_500)).collect();
    let vector = serde_json::json!({
        "settings": {},
        "events": [{"specversion": "1.0", "id": "1", "source": "/shop", "type": "a", "data": {"text": words.join(" ")}}],
        "expect": [[{"rule": "wordy", "evidence": {"count": "1500"}}]],
    });
    std::fs::write(folder.path().join("vectors/long.json"), vector.to_string()).expect("written");
    let cache = target_dir().join("it-cache");
    let tested = said(&ephor(folder.path(), &["policy", "test", "--cache", text(&cache)]), 0);
    assert!(tested.contains("all as expected"), "{tested}");
}

#[test]
fn what_is_wrong_in_a_file_is_said_with_line_column_and_remedy() {
    let good = std::fs::read_to_string(twin()).expect("the rules");
    for (right, wrong, expected) in [
        (
            "listedWholeWords(settings.words)",
            "listedWholeWord(settings.words)",
            "there is no function `listedWholeWord`; did you mean `listedWholeWords`?",
        ),
        ("legal_basis = ", "# ", "missing field `legal_basis`; name the act and the article that the rule carries out"),
        (
            "kind = \"text\"",
            "kind = \"integer\"",
            "`listedWholeWords` does not take integer, list of text; it is called as text.listedWholeWords(list of text)",
        ),
    ] {
        assert!(good.contains(right), "{right}");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("rules.toml");
        std::fs::write(&file, good.replacen(right, wrong, 1)).expect("written");
        let error = said(&ephor(folder.path(), &["policy", "build", text(&file)]), 3);
        let (_, place) = error.split_once(&format!("{}:", text(&file))).unwrap_or_else(|| panic!("the file in {error}"));
        let mut parts = place.splitn(3, ':');
        let is_number = |part: Option<&str>| part.is_some_and(|part| part.parse::<usize>().is_ok_and(|number| number > 0));
        assert!(is_number(parts.next()) && is_number(parts.next()), "line and column in {error}");
        assert!(error.contains(expected), "{expected:?} in\n{error}");
        assert!(!folder.path().join("target").exists(), "nothing is made of it");
    }
}

/// Which compiler made the module, and where it ran.
fn compiler() -> Value {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").current_dir(workspace()).output().expect("rustc starts");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_string();
    let commit = line("commit-hash:");
    serde_json::json!({ "release": line("release:"), "commit": commit, "host": line("host:") })
}

/// The prebuilt module is in the repository, so it is held against its source: byte for
/// byte with the compiler that made it, and otherwise by what it says about events.
#[test]
fn the_prebuilt_module_is_what_its_source_gives() {
    let out = tempfile::tempdir().expect("a folder");
    let mut build = Command::new(ephor_tests::binary());
    build.args(["policy", "build", "sdk/table/guest", "--out", text(out.path())]).current_dir(workspace());
    said(&build.env("CARGO_TARGET_DIR", target_dir()).output().expect("the binary starts"), 0);
    let made = target_dir().join("policy/wasm32-unknown-unknown/release/ephor_table_guest.wasm");
    let made = std::fs::read(made).expect("the module");
    let recorded = std::fs::read_to_string(workspace().join("sdk/table/guest.json")).expect("what made the module");
    let recorded: Value = serde_json::from_str(&recorded).expect("JSON");
    if recorded == compiler() {
        let is_same = made == ephor_table::author::GUEST;
        assert!(is_same, "sdk/table/guest.wasm is not what sdk/table/guest gives; run `make table`, and commit both files that it writes");
        return;
    }
    // Another compiler gives other bytes for the same source.
    let program = ephor_table::author::compile(&std::fs::read_to_string(twin()).expect("the rules")).expect("good rules");
    let module = ephor_table::author::install(&made, &program.to_bytes().expect("bytes")).expect("a module for rules");
    let component =
        wit_component::ComponentEncoder::default().validate(true).module(&module).and_then(|mut it| it.encode()).expect("a component");
    let file = out.path().join("made.wasm");
    std::fs::write(&file, component).expect("written");
    let policy = workspace().join("policies").join(GOOD);
    let cache = target_dir().join("it-cache");
    let tested = ephor(workspace(), &["policy", "test", text(&policy), "--no-native", "--component", text(&file), "--cache", text(&cache)]);
    assert!(said(&tested, 0).contains("all as expected"));
}

#[test]
fn a_module_that_takes_no_rules_is_refused() {
    let install = |module: &[u8]| ephor_table::author::install(module, b"x").map_err(|error| error.to_string());
    assert!(install(b"\0asm\x01\0\0\0").expect_err("no data").contains("nothing in it is marked"));
    assert!(install(b"no module").is_err());
    let twice = wat::parse_str("(module (memory 1) (data (i32.const 0) \"ephor:table/slot\") (data (i32.const 64) \"ephor:table/slot\"))");
    assert!(install(&twice.expect("a module")).expect_err("two places").contains("more than one place"));
    let passive = wat::parse_str("(module (memory 1) (data \"ephor:table/slot........\"))").expect("a module");
    assert!(install(&passive).expect_err("passive").contains("not in memory from the start"));
    let too_much = ephor_table::author::install(ephor_table::author::GUEST, &vec![0; ephor_table::program::PROGRAM_BYTES_MAX + 1]);
    assert!(too_much.expect_err("too large").to_string().contains("at most 65536"));
    // What is put in is where the module looks for it, and all else stays.
    let module = ephor_table::author::install(ephor_table::author::GUEST, &[7; 300]).expect("room");
    assert!(wasmparser::validate(&module).is_ok());
    assert!(memchr::memmem::find(&module, &[7; 300]).is_some());
}
