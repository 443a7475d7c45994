//! A real series against answers that were computed without any code of ours.

use ephor_sdk::serde_json::{Value, json};
use ephor_sdk::testing::Policy;
use machine_envelope::MachineEnvelope;

#[path = "../../../tests/independent/answer.rs"]
mod answer;

#[test]
fn finds_what_the_answer_says() {
    answer::check(&mut answer::policy::<MachineEnvelope>());
}

/// How often each rule is found in the temperature under these limits.
fn count(limits: Value) -> [usize; 3] {
    let judged = answer::judge(
        &mut Policy::<MachineEnvelope>::new(&json!({"items": {"temperature": limits}}).to_string()).expect("the settings are good"),
    );
    ["above-limit", "below-limit", "fast-change"]
        .map(|rule| judged.iter().flat_map(|(_, said)| said.findings()).filter(|finding| finding.rule == rule).count())
}

/// Counted by who prepared the data: 33 times 6 samples in a row above 100, and 5 steps
/// of more than 10 between two samples, of which two follow each other.
#[test]
fn without_hysteresis_it_is_what_was_counted_in_the_series() {
    assert_eq!(count(json!({"high": 100, "samples": 6, "per_minute": 2})), [33, 0, 4]);
}

/// A machine that is outside and back by turns is one episode, or many.
#[test]
fn with_hysteresis_episodes_are_fewer() {
    let [narrow, wide] = [0, 5].map(|back_by| count(json!({"high": 100, "samples": 6, "back_by": back_by}))[0]);
    assert!(wide < narrow, "{wide}, {narrow}");
}
