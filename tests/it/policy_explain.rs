//! `ephor policy explain`: findings of a server that is running, of its data directory, and
//! of lines that somebody has.

use std::process::{Command, Output};

use ephor_tests::client::LINES;
use ephor_tests::{Ephor, binary, component_path, event, policy, settings, target_dir, workspace};
use serde_json::{Value, json};

use crate::publishers::text;
use crate::{GOOD, LISTED};

const FULL: &str = "[ledger]\nevents = \"full\"\n";
const STATEFUL: &str = "idle-vehicle";

fn explain(args: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(["policy", "explain"]).args(args).arg("--cache").arg(target_dir().join("it-cache"));
    command.output().expect("the binary starts")
}

#[track_caller]
fn assert_said(output: &Output, code: i32, parts: &[&str]) {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} in\n{said}");
    }
}

#[track_caller]
fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

/// Events that a vector of the policy with timers has.
fn observations() -> Value {
    let vector = std::fs::read_to_string(workspace().join("policies/idle-vehicle/vectors/own-event.json")).expect("a vector");
    serde_json::from_str(&vector).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_is_explained_from_a_server_its_data_and_an_answer() {
    let (folder, data) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let data = data.path();
    let ephor = Ephor::start_in(data, FULL, &[]);
    ephor.put(GOOD, &policy(GOOD), &settings(GOOD)).await.succeeded();
    let sent = event::listing(1, LISTED).to_string();
    let answer = ephor.post(LINES, sent.clone()).await.succeeded().text();
    let sequence = event::sequence(&serde_json::from_str(&answer).expect("JSON")).to_string();
    let url = ephor.url("");
    let component = component_path("policies", GOOD);
    let (component, published) = (text(&component).to_string(), workspace().join("policies").join(GOOD).join("settings.json"));

    // The server on the same machine has the event and its salt.
    let with = ["--with", &component, "--settings", text(&published)];
    let by_server = explain(&[&[&sequence, "--server", &url, "--json"], &with[..]].concat());
    let said = document(&by_server);
    let of_policy = &said["policies"][0];
    assert_eq!((&said["verdict"], &of_policy["again"], &of_policy["committed"]), (&json!("deny"), &json!("same"), &json!(true)), "{said}");
    assert_eq!(of_policy["fields"][0]["value"], LISTED);
    let finding = &of_policy["findings"][0];
    assert_eq!((&finding["rule"], &finding["evidence"]), (&json!("listed-word"), &json!({"word": "CIGAR"})));
    assert!(finding["legal_basis"].as_str().is_some_and(|basis| basis.contains("article 13")), "{finding}");

    // The data directory has the release too; nothing has to be named.
    let by_data = explain(&[&sequence, "--from-data", text(data), "--lang", "zh"]);
    let parts = ["商品描述包含负面清单词语 CIGAR", "the entry commits to exactly these values", "it comes out the same", "ephor log prove"];
    assert_said(&by_data, 0, &parts);

    // Of an answer, with nothing else, it says what is in it; with component and event all.
    let file = folder.path().join("answer.json");
    std::fs::write(&file, &answer).expect("written");
    assert_said(&explain(&[text(&file)]), 0, &["Answer about entry", "word = CIGAR", "Not judged again: the release is not there"]);
    let original = folder.path().join("event.json");
    std::fs::write(&original, &sent).expect("written");
    let with_event = [&[text(&file), "--event", text(&original)], &with[..]].concat();
    assert_said(&explain(&with_event), 0, &["\"BOX OF CIGAR\"", "not checked: that takes the event's salt", "it comes out the same"]);

    // Another event, another release, and what is not there are refused.
    std::fs::write(&original, sent.replace(LISTED, "LANTERN")).expect("written");
    let from_data = [sequence.as_str(), "--from-data", text(data)];
    assert_said(&explain(&[&from_data[..], &["--event", text(&original)]].concat()), 3, &["this is not the event that was judged"]);
    let other = folder.path().join("settings.json");
    std::fs::write(&other, "{\"words\": [\"LANTERN\"]}").expect("written");
    let another = [&from_data[..], &["--with", &component, "--settings", text(&other)]].concat();
    assert_said(&explain(&another), 3, &["was judged by the release", "give the component, the settings and the lists of that release"]);
    assert_said(&explain(&[&from_data[..], &["--rule", "other"]].concat()), 2, &["the rule other was not found here; found: listed-word"]);
    assert_said(&explain(&[&from_data[..], &["--policy", "other"]].concat()), 2, &["other was not asked", GOOD]);
    assert_said(&explain(&["1000", "--from-data", text(data)]), 2, &["there is no entry 1,000"]);
    assert_said(&explain(&["7"]), 2, &["--from-data DIR or --server URL"]);
    assert_said(&explain(&["no-such-file"]), 2, &["neither the sequence of an entry nor a file"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_remembered_is_made_again_from_what_was_kept() {
    let (folder, data) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let data = data.path();
    let ephor = Ephor::start_in(data, FULL, &[]);
    let vector = observations();
    ephor.put(STATEFUL, &policy(STATEFUL), &vector["settings"].to_string()).await.succeeded();
    let events = vector["events"].as_array().expect("events").clone();
    ephor.post(LINES, event::ndjson(events)).await.succeeded();
    let entries = ephor.entries(1).await;
    let mut explained = 0;
    for line in &entries {
        let entry: Value = serde_json::from_str(line).expect("JSON");
        let is_flagged = entry["timer"]["verdict"] == "flag";
        if !is_flagged && entry["source"].is_null() {
            continue;
        }
        let said = document(&explain(&[&entry["sequence"].to_string(), "--from-data", text(data), "--json"]));
        assert_eq!(said["policies"][0]["again"], "same", "{said}");
        if is_flagged {
            assert_eq!(said["policies"][0]["findings"][0]["rule"], "idle");
            explained += 1;
        } else {
            assert_eq!(said["policies"][0]["committed"], true, "{said}");
        }
    }
    assert_eq!(explained, 1, "the vector has one wake that finds something");

    // An entry that says something else than comes out again does not hold.
    let flagged = entries.iter().find(|line| line.contains("\"timer\"") && line.contains("\"findings\"")).expect("a finding");
    let forged = folder.path().join("entry.json");
    std::fs::write(&forged, flagged.replace("\"hours\":\"24\"", "\"hours\":\"25\"")).expect("written");
    assert_said(&explain(&[text(&forged), "--from-data", text(data)]), 6, &["IT COMES OUT OTHERWISE", "does not come out again"]);

    // Without the events before it, it cannot be judged again, which is said.
    let component = component_path("policies", STATEFUL);
    std::fs::write(&forged, flagged).expect("written");
    let own = folder.path().join("settings.json");
    std::fs::write(&own, vector["settings"].to_string()).expect("written");
    let alone = explain(&[text(&forged), "--with", text(&component), "--settings", text(&own)]);
    assert_said(&alone, 0, &["Not judged again: what the policy remembered is not there"]);
}
