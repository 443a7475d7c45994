//! The policies of the library, each on its own data and through the whole runtime:
//! what they find against `answer.json` beside them, which scripts in
//! `tests/independent` computed without any code of ours; and the table of it in
//! `policies/README.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ephor::runtime::Answer;
use ephor::{Runtime, ingest};
use ephor_tests::data::{self, Set};
use ephor_tests::{Ephor, binary, documents, event, ledger, policy, settings, target_dir, workspace};
use serde_json::Value;

use crate::stateful::{digest, stream};

const BEGIN: &str = "<!-- library: written by tests/it/library.rs -->\n";
const END: &str = "<!-- /library -->";
/// The document that it stands in.
const README: &str = "policies/README.md";

/// A policy and what it must find.
struct Case {
    policy: String,
    folder: PathBuf,
    answer: Value,
}

/// Of one policy on one set of events: how many findings each rule has, and where.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    events: u64,
    rules: BTreeMap<String, u64>,
    digest: String,
}

impl Case {
    /// All policies of the library, by name.
    fn all() -> Vec<Case> {
        let mut cases = Vec::new();
        for entry in fs::read_dir(workspace().join("policies")).expect("policies/") {
            let folder = entry.expect("an entry of policies/").path();
            if !folder.is_dir() {
                continue;
            }
            let path = folder.join("answer.json");
            let text = fs::read(&path)
                .unwrap_or_else(|error| panic!("every policy has an answer that was computed without it: {}: {error}", path.display()));
            let answer = serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let policy = folder.file_name().expect("a folder has a name").to_string_lossy().into_owned();
            cases.push(Case { policy, folder, answer });
        }
        cases.sort_by(|one, other| one.policy.cmp(&other.policy));
        cases
    }

    fn set(&self) -> Option<Set> {
        let name = self.answer.get("set")?;
        let set = [Set::Columbus, Set::Retail, Set::Nab].into_iter().find(|set| name == set.name());
        Some(set.unwrap_or_else(|| panic!("{}: there is no set {name}", self.policy)))
    }

    /// The committed events.
    fn events(&self) -> Vec<String> {
        match self.set() {
            Some(set) => data::sample(set),
            None => data::committed(&workspace().join(format!("tests/data/library/{}.ndjson.gz", self.policy))),
        }
    }

    /// The lists that it looks things up in: named with its answer, or as the tables in its
    /// folder are.
    fn lists(&self) -> Vec<String> {
        match self.answer["lists"].as_object() {
            Some(lists) => lists.keys().cloned().collect(),
            None => tables(&self.folder),
        }
    }

    /// Judges events with the policy alone, with the lists that its folder has tables of.
    async fn judge(&self, settings: &str, events: Vec<String>) -> Found {
        // No server takes what only a runtime itself submits.
        let is_own = |event: &String| event.contains("\"source\":\"urn:ephor:");
        let entries = match events.iter().any(is_own) {
            true => self.inside(settings, &events).await,
            false => self.served(settings, events).await,
        };
        self.found(&entries)
    }

    /// The entries of a runtime in this process, which is given the runtime's own events as
    /// a replay is.
    async fn inside(&self, settings: &str, events: &[String]) -> Vec<Value> {
        assert!(self.lists().is_empty(), "lists are only given to a server");
        let folder = tempfile::tempdir().expect("a folder");
        let builder = Runtime::builder().worker(binary()).cache(target_dir().join("it-cache")).data(folder.path());
        let runtime = builder.verdict_events_given().build().expect("a runtime");
        runtime.install(policy(&self.policy), settings.as_bytes().to_vec()).await.expect("the policy is taken");
        let read = |line: &String| ingest::any_structured(line.as_bytes(), &ingest::Limits::default()).expect("an event");
        let judged = runtime.submit(events.iter().map(read).collect()).await.expect("it runs").await.expect("it answers");
        assert!(judged.answers.iter().all(|answer| matches!(answer, Answer::Judged(_))), "every event has a verdict");
        let log = runtime.log().expect("a ledger").clone();
        let entries = log.entries(1).map(|entry| ledger::parse(&entry.expect("readable").1)).collect();
        drop(log);
        runtime.close().await;
        entries
    }

    /// The entries of a server that was sent the events.
    async fn served(&self, settings: &str, events: Vec<String>) -> Vec<Value> {
        let lists: Vec<Vec<u8>> = self
            .lists()
            .into_iter()
            .map(|list| {
                let path = target_dir().join(format!("policies/lists/{list}.list"));
                fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; `make components` builds it", path.display()))
            })
            .collect();
        let component = policy(&self.policy);
        let mut parts: Vec<(&str, &[u8])> = vec![("component", &component), ("settings", settings.as_bytes())];
        parts.extend(lists.iter().map(|list| ("list", list.as_slice())));

        let ephor = Ephor::start(&[]);
        ephor.put_parts(&self.policy, &parts).await.succeeded();
        stream(&ephor, events, |answer| assert!(answer["verdict"].is_string(), "{answer}")).await;
        ephor.get("/v1/verdicts").await.expect(200).lines()
    }

    /// What entries say that the policy found.
    fn found(&self, entries: &[Value]) -> Found {
        let (mut places, mut rules, mut number) = (Vec::new(), BTreeMap::new(), 0);
        for entry in entries {
            let asked = match ledger::subject(entry) {
                "event" => {
                    number += 1;
                    entry["asked"].as_array().expect("asked").iter().collect()
                }
                "timer" => vec![&entry["timer"]],
                _ => continue,
            };
            // A timer is found before the event that comes next.
            let place = if ledger::subject(entry) == "event" { number - 1 } else { number };
            for asked in asked.into_iter().filter(|asked| asked["policy"] == self.policy.as_str()) {
                for finding in asked["findings"].as_array().into_iter().flatten() {
                    let rule = event::text(finding, "rule");
                    *rules.entry(rule.to_string()).or_insert(0) += 1;
                    places.push(format!("{place} {rule}"));
                }
            }
        }
        Found { events: number, rules, digest: digest(places) }
    }

    /// Holds what was found against an answer, and gives the lines of the table.
    fn hold(&self, found: &Found, answer: &Value) -> Vec<String> {
        let expected: BTreeMap<String, u64> = serde_json::from_value(answer["rules"].clone()).expect("rules and how often");
        let events = answer["events"].as_u64().expect("how many events");
        let mut lines = Vec::new();
        for (rule, expected) in &expected {
            let found = found.rules.get(rule).copied().unwrap_or_default();
            let (policy, data) = (&self.policy, event::text(&self.answer, "data"));
            lines.push(format!(
                "| [{policy}]({policy}) | `{rule}` | {} | {data} | {} | {} |",
                grouped(events),
                grouped(*expected),
                grouped(found)
            ));
        }
        let expected = Found {
            events,
            rules: expected.into_iter().filter(|(_, count)| *count > 0).collect(),
            digest: event::text(answer, "digest").to_string(),
        };
        assert_eq!(*found, expected, "{}: what was found, and what was computed without any code of ours", self.policy);
        lines
    }
}

/// The lists that a policy has tables of.
fn tables(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder of a policy").map(|entry| entry.expect("an entry").path());
    let mut names: Vec<String> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "csv"))
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// `541,909`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn every_policy_finds_what_was_computed_without_it() {
    let table = documents::part(README, BEGIN, END);

    let full = data::full_folder();
    if full.is_none() {
        data::left_out("the library on the full data", "there is no ../shared/data, and EPHOR_DATA names no folder that has it");
    }
    let mut lines = Vec::new();
    for case in Case::all() {
        let own = settings(&case.policy);
        let committed = case.answer.get("settings").map_or_else(|| own.clone(), Value::to_string);
        let found = case.judge(&committed, case.events()).await;
        let committed = case.hold(&found, &case.answer);
        match (&full, case.answer.get("full"), case.set()) {
            (Some(folder), Some(answer), Some(set)) => {
                let found = case.judge(&own, data::full(folder, set)).await;
                lines.extend(case.hold(&found, answer));
            }
            // The table has the full data where there is an answer for it; without the
            // data its lines cannot be had again, and stay.
            (None, Some(_), Some(_)) => {
                let own = format!("| [{}](", case.policy);
                lines.extend(table.lines().filter(|line| line.starts_with(&own)).map(str::to_string));
            }
            _ => lines.extend(committed),
        }
    }
    let made = format!("\n| policy | rule | events | data | computed | found |\n|---|---|--:|---|--:|--:|\n{}\n\n", lines.join("\n"));
    documents::part_is_up_to_date(README, BEGIN, END, &made);
}
