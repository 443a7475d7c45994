//! Real invoices against answers that were computed without any code of ours.

use ephor_sdk::serde_json::Value;
use ephor_sdk::testing::{Judged, Policy};
use price_fairness::PriceFairness;

#[path = "../../../tests/independent/native.rs"]
mod native;

/// A state that is larger has grown.
const MOST_BYTES: usize = 96;

fn check(answer: &Value, batches: impl Iterator<Item = Vec<Value>>) {
    let mut policy = Policy::<PriceFairness>::new(&answer["settings"].to_string()).expect("the settings are good");
    let (mut count, mut largest, mut found) = (0_u64, 0, Vec::new());
    for batch in batches {
        for (event, judged) in (count..).zip(policy.judge(&batch)) {
            assert!(matches!(judged, Judged::Findings(_)), "event {event}: {judged:?}");
            let findings = judged.findings().iter();
            found.extend(findings.map(|finding| format!("{event} {}", finding.evidence["product"])));
        }
        for event in &batch {
            largest = policy.encoded_state(&[event["data"]["sku"].clone()]).map_or(largest, |state| largest.max(state.len()));
        }
        count += batch.len() as u64;
    }
    assert_eq!((count, found.len() as u64), (number(answer, "events"), number(answer, "findings")));
    assert_eq!(native::digest(found), answer["digest"]);
    assert!((1..=MOST_BYTES).contains(&largest), "the largest state has {largest} bytes");
}

fn number(answer: &Value, name: &str) -> u64 {
    answer[name].as_u64().expect("a number")
}

#[test]
fn the_sample_gives_its_answers() {
    check(&native::answer("sample"), native::sample("retail"));
}

#[test]
fn the_full_data_gives_its_answers() {
    let answer = native::answer("full");
    assert_eq!(number(&answer, "findings"), 2_970);
    if let Some(batches) = native::full("retail") {
        check(&answer, batches);
    }
}
