//! Holds a policy, natively, against its `answer.json`, which a script beside this file
//! computed of the events in `tests/data/library`. A module of the policies' own tests.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use ephor_sdk::serde_json::{self, Value};
use ephor_sdk::testing::{Judged, Policy};
use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

/// As many events as a host takes together, more or less.
const BATCH: usize = 256;

fn read(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_reader(BufReader::new(file)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The policy with the settings that its answer holds for: those that are published with
/// it, unless the answer has others.
pub(crate) fn policy<P: ephor_sdk::Policy>() -> Policy<P> {
    let settings = read("answer.json").get("settings").cloned().unwrap_or_else(|| read("settings.json"));
    Policy::new(&settings.to_string()).expect("the settings are good")
}

/// The events, and what the policy says of each.
pub(crate) fn judge<P: ephor_sdk::Policy>(policy: &mut Policy<P>) -> Vec<(Value, Judged)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(concat!("../../tests/data/library/", env!("CARGO_PKG_NAME"), ".ndjson.gz"));
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = BufReader::new(MultiGzDecoder::new(file)).lines();
    let events: Vec<Value> = lines.map(|line| serde_json::from_str(&line.expect("UTF-8")).expect("an event in JSON")).collect();
    let judged: Vec<_> = events.chunks(BATCH).flat_map(|batch| policy.judge(batch)).collect();
    events.into_iter().zip(judged).collect()
}

/// Panics unless the policy finds what `answer.json` says, event by event, and is undecided
/// about as many events.
pub(crate) fn check<P: ephor_sdk::Policy>(policy: &mut Policy<P>) {
    let (answer, judged) = (read("answer.json"), judge(policy));
    assert_eq!(answer["events"], judged.len());
    let rules = ephor_sdk::describe::<P>().rules;
    let mut counts: BTreeMap<_, u64> = rules.into_iter().map(|rule| (rule.id, 0)).collect();
    let (mut lines, mut undecided) = (Vec::new(), 0_u64);
    for (index, (_, said)) in judged.iter().enumerate() {
        match said {
            Judged::Findings(_) => {}
            Judged::Undecided(_) => undecided += 1,
            Judged::Unreadable(pointer) => panic!("event {index}: {pointer} is unreadable"),
        }
        for finding in said.findings() {
            *counts.entry(finding.rule.clone()).or_default() += 1;
            lines.push(format!("{index} {}\n", finding.rule));
        }
    }
    lines.sort();
    let digest: String = Sha256::digest(lines.concat()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(answer["rules"], serde_json::to_value(counts).expect("counts are JSON"));
    assert_eq!(answer["digest"], digest);
    if let Some(expected) = answer.get("undecided") {
        assert_eq!(*expected, undecided, "undecided");
    }
}
