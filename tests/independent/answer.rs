//! Holds a policy, natively, against its `answer.json`, which a script beside this
//! file computed of the events in `tests/data/library`. A module of the policies' own
//! tests.

use std::collections::BTreeMap;
use std::path::Path;

use ephor_sdk::serde_json::{self, Value, json};
use ephor_sdk::testing::{Judged, Policy};

#[expect(dead_code, reason = "what is there for the sample and the full data is not for these events")]
#[path = "native.rs"]
mod native;

/// Judges all events and compares how many there are, how many findings each rule
/// has, how many events are undecided, and the digest over event and rule of all
/// findings. `policy` is made of the settings that the answer holds for.
pub(crate) fn check<P: ephor_sdk::Policy>(policy: impl FnOnce(&str) -> Policy<P>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("answer.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let answer: Value = serde_json::from_str(&text).expect("answer.json is JSON");
    let mut policy = policy(&answer["settings"].to_string());
    let mut rules: BTreeMap<&str, u64> = <P::Rule as ephor_sdk::rule::Rules>::RULES.iter().map(|rule| (rule.id, 0)).collect();
    let (mut count, mut undecided, mut found) = (0_u64, 0_u64, Vec::new());
    // Beside the sample.
    for batch in native::sample(concat!("../library/", env!("CARGO_PKG_NAME"))) {
        for (event, judged) in (count..).zip(policy.judge(&batch)) {
            match &judged {
                Judged::Undecided(_) => undecided += 1,
                Judged::Unreadable(pointer) => panic!("event {event}: {pointer} is unreadable"),
                Judged::Findings(_) => {}
            }
            for finding in judged.findings() {
                *rules.get_mut(finding.rule.as_str()).expect("a rule of the policy") += 1;
                found.push(format!("{event} {}", finding.rule));
            }
        }
        count += batch.len() as u64;
    }
    assert_eq!(
        json!({"events": count, "undecided": undecided, "rules": rules}),
        json!({"events": answer["events"], "undecided": answer["undecided"], "rules": answer["rules"]})
    );
    assert_eq!(native::digest(found), answer["digest"]);
}
