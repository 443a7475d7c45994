//! Policies that remember and wait, on real events, through the whole runtime: what
//! the ledger says that they found, against answers that were computed without any
//! code of ours (`tests/independent`).

use bytes::Bytes;
use ephor_tests::client::Version;
use ephor_tests::data::{self, Set};
use ephor_tests::{Ephor, event, ledger, policy, workspace};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::cold::{COLD, bound, reads};

const POLICIES: [(&str, Set); 3] = [("price-fairness", Set::Retail), ("machine-temperature", Set::Nab), ("idle-vehicle", Set::Columbus)];

fn answers(which: &str) -> Value {
    let path = workspace().join("tests/independent/answers.json");
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice::<Value>(&text).expect("answers.json is JSON")[which].take()
}

/// Streams events and looks at all answers.
pub async fn stream(ephor: &Ephor, events: Vec<String>, look: impl Fn(&Value)) {
    let (mut sending, mut answers) = ephor.stream(Version::Http1, &[]).await;
    let expected = events.len();
    let sender = tokio::spawn(async move {
        for chunk in events.chunks(512) {
            assert!(sending.send(Bytes::from(chunk.join("\n") + "\n")).await, "the server takes all");
        }
    });
    assert_eq!(answers.status().await, 200);
    let mut count = 0;
    while let Some(answer) = answers.next().await {
        look(&answer);
        count += 1;
    }
    sender.await.expect("the sender ends");
    assert_eq!(count, expected, "every event has one verdict");
}

/// A time as the scripts write it: without the zeros of a fraction.
fn plain(time: &str) -> String {
    let text = time.strip_suffix('Z').expect("UTC").trim_end_matches('0');
    format!("{}Z", if text.contains('.') { text.trim_end_matches('.') } else { time.trim_end_matches('Z') })
}

/// What the entries of events and timers say that a policy found, as the scripts in
/// `tests/independent` write it; and how often a timer found nothing.
fn found(entries: &[Value], policy: &str) -> (Vec<String>, u64) {
    let (mut found, mut nothing, mut number) = (Vec::new(), 0, 0);
    for entry in entries {
        let Some(timer) = entry.get("timer") else {
            for asked in entry["asked"].as_array().expect("asked").iter().filter(|asked| asked["policy"] == policy) {
                for finding in asked["findings"].as_array().into_iter().flatten() {
                    found.push(match policy {
                        "price-fairness" => format!("{number} {}", event::text(&finding["evidence"], "product")),
                        _ => format!("{number} {}", event::text(finding, "rule")),
                    });
                }
            }
            number += 1;
            continue;
        };
        if timer["policy"] != policy {
            continue;
        }
        let Some(finding) = timer.get("findings") else {
            nothing += 1;
            continue;
        };
        let values = ["provider", "vehicle", "since", "last", "hours"].map(|name| event::text(&finding[0]["evidence"], name).to_string());
        found.push(format!("{number} {} {}", plain(event::text(timer, "due")), values.join(" ")));
    }
    (found, nothing)
}

/// The SHA-256 of findings as the scripts write it: of sorted lines.
pub fn digest(mut lines: Vec<String>) -> String {
    lines.sort();
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(line);
        hash.update("\n");
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Puts one policy in force, streams its events, and holds what the ledger has
/// against the answer.
async fn check(config: &str, name: &str, events: Vec<String>, answer: &Value) -> Ephor {
    let ephor = Ephor::start_with(config, &[]);
    ephor.put(name, &policy(name), &answer["settings"].to_string()).await.succeeded();
    let count = events.len();
    // In two parts: states of the first are on the disk before the second begins, however
    // slow that is, so that those that have no room have to be read.
    let mut first = events;
    let second = first.split_off(count / 2);
    for part in [first, second] {
        stream(&ephor, part, |answer| assert!(answer["verdict"].is_string() && answer.get("faults").is_none(), "{answer}")).await;
    }
    let mut entries = ephor.get("/v1/verdicts").await.expect(200).lines();
    let events = entries.iter().filter(|entry| ledger::subject(entry) == "event").count();
    assert_eq!((events, json!(events)), (count, answer["events"].clone()), "{name}: one entry for each event");
    let sequences = entries.iter().map(event::sequence);
    assert!(sequences.eq(1..=entries.len() as u64), "{name}: sequences are dense");
    let change = entries.remove(0);
    assert_eq!((&change["change"]["what"], &change["change"]["policy"]), (&json!("install"), &json!(name)), "the policy comes first");
    assert!(entries.iter().all(|entry| ["event", "timer"].contains(&ledger::subject(entry))), "{name}: and nothing else is there");
    let (found, nothing) = found(&entries, name);
    match name {
        "machine-temperature" => {
            let of = |rule: &str| found.iter().filter(|line| line.ends_with(rule)).count();
            assert_eq!((json!(of("too-hot")), json!(of("too-cold"))), (answer["too_hot"].clone(), answer["too_cold"].clone()));
        }
        "idle-vehicle" => assert_eq!((json!(found.len()), json!(nothing)), (answer["findings"].clone(), answer["forgotten"].clone())),
        _ => assert_eq!(json!(found.len()), answer["findings"]),
    }
    assert_eq!(digest(found), event::text(answer, "digest"), "{name}: every finding is as computed, in its place");
    ephor
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_gives_its_answers() {
    let answers = answers("sample");
    for (name, set) in POLICIES {
        let ephor = check("", name, data::sample(set), &answers[name]).await;
        assert_eq!(reads(&ephor), 0.0, "{name}: all states have room in memory");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_gives_its_answers_where_states_are_cold() {
    let answers = answers("sample");
    for (name, set) in POLICIES {
        for config in [COLD, &bound(64 << 10)] {
            let ephor = check(config, name, data::sample(set), &answers[name]).await;
            // There are four machines, of which all are in every batch.
            assert!(reads(&ephor) > 0.0 || name == "machine-temperature", "{name}, {config}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_full_data_gives_its_answers() {
    let Some(folder) = data::full_folder() else {
        data::left_out("stateful policies on the full data", "there is no ../shared/data, and EPHOR_DATA names no folder that has it");
        return;
    };
    let answers = answers("full");
    assert_eq!((&answers["price-fairness"]["findings"], &answers["idle-vehicle"]["findings"]), (&json!(2_970), &json!(7_089)));
    assert_eq!([&answers["machine-temperature"]["too_hot"], &answers["machine-temperature"]["too_cold"]], [33, 1_539]);
    for (name, set) in POLICIES {
        check("", name, data::full(&folder, set), &answers[name]).await;
    }
}
