//! Verdict events about real invoices against an answer that was computed without any code
//! of ours, and how much is remembered of a subject.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};

use credit_standing::CreditStanding;
use ephor_sdk::serde_json::{self, Value, json};
use ephor_sdk::testing::{Judged, Policy};
use sha2::{Digest as _, Sha256};

/// Events that are judged together.
const BATCH: usize = 200;

/// A subject with more findings than are kept has a state as large as this, not more.
const MOST_BYTES: usize = 256 * 20;

fn events() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/library/credit-standing.ndjson.gz");
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines();
    lines.map(|line| serde_json::from_str(&line.expect("a line")).expect("an event in JSON")).collect()
}

#[test]
fn real_verdicts_give_the_independent_answer() {
    let answer: Value = serde_json::from_str(include_str!("../answer.json")).expect("answer.json");
    let published: Value = serde_json::from_str(include_str!("../settings.json")).expect("settings.json");
    assert_eq!(answer["settings"], published);
    let mut policy = Policy::<CreditStanding>::new(&answer["settings"].to_string()).expect("the settings are good");
    let events = events();
    let (mut lines, mut rules, mut largest) = (Vec::new(), BTreeMap::<String, u64>::new(), 0);
    for (batch, first) in events.chunks(BATCH).zip((0..).step_by(BATCH)) {
        for (judged, at) in policy.judge(batch).iter().zip(first..) {
            assert!(matches!(judged, Judged::Findings(_)), "event {at}: {judged:?}");
            for finding in judged.findings() {
                lines.push(format!("{at} {}\n", finding.rule));
                *rules.entry(finding.rule.clone()).or_default() += 1;
            }
        }
        for event in batch {
            largest = policy.encoded_state(&[event["subject"].clone()]).map_or(largest, |state| largest.max(state.len()));
        }
    }
    lines.sort();
    let digest: String = Sha256::digest(lines.concat()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        json!({"events": events.len(), "rules": rules, "digest": digest}),
        json!({"events": answer["events"], "rules": answer["rules"], "digest": answer["digest"]})
    );
    assert!((1_000..=MOST_BYTES).contains(&largest), "the largest state has {largest} bytes");
}
