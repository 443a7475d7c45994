//! Real statements, and the examples of the Commission, against answers that were
//! computed without any code of ours.

use std::collections::BTreeSet;

use ephor_sdk::serde_json::{Value, from_str};
use ephor_sdk::testing::Judged;
use statement_of_reasons::StatementOfReasons;

#[path = "../../../tests/independent/answer.rs"]
mod answer;

/// What was counted in the two files of real rows, by their names.
const TRUTH: &str = include_str!("truth.json");

#[test]
fn finds_what_the_answer_says() {
    answer::check(&mut answer::policy::<StatementOfReasons>());
}

/// The ids of the statements that a rule finds.
fn found(judged: &[(Value, Judged)], rule: &str) -> BTreeSet<String> {
    let broken = judged.iter().filter(|(_, said)| said.findings().iter().any(|finding| finding.rule == rule));
    broken.map(|(event, _)| event["data"]["uuid"].as_str().expect("a text").to_owned()).collect()
}

#[test]
fn the_real_rows_give_what_was_counted_in_them() {
    let (judged, truth) = (answer::judge(&mut answer::policy::<StatementOfReasons>()), from_str::<Value>(TRUTH).expect("JSON"));
    let truth: Vec<&Value> = truth.as_object().expect("an object").values().collect();
    let ids = |name: &str| -> BTreeSet<String> {
        truth.iter().flat_map(|file| file[name].as_array().expect("a list")).map(|id| id.as_str().expect("a text").to_owned()).collect()
    };
    let number = |name: &str| truth.iter().map(|file| file[name].as_u64().expect("a number")).sum::<u64>();
    for (name, rule) in [
        ("category_not_in_current_enum", "unknown-value"),
        ("days_content_to_application_gt_30", "old-content"),
        ("ground_says_sexual_but_category_is_speech", "ground-contradicts-category"),
        ("not_automated_decision_but_text_says_automated", "automation-contradicted"),
    ] {
        assert_eq!(found(&judged, rule), ids(name), "{name}");
    }
    assert_eq!(found(&judged, "duplicate-statement").len() as u64, number("duplicate_uuid"));
    // Not a rule: the law allows it, and wants it to be said. The examples are partly automated.
    let automated = judged.iter().filter(|(event, _)| event["data"]["automated_decision"] == "AUTOMATED_DECISION_FULLY").count();
    assert_eq!(automated as u64, number("fully_automated"));
}

/// Six of them have dates that are a day apart the wrong way round.
#[test]
fn the_commissions_examples_are_clean() {
    let judged = answer::judge(&mut answer::policy::<StatementOfReasons>());
    let examples: Vec<_> = judged.iter().filter(|(event, _)| event["data"]["platform_name"] == "Platform 1").collect();
    assert_eq!(examples.len(), 11);
    for (event, said) in examples {
        assert_eq!(*said, Judged::Findings(Vec::new()), "{event}");
    }
}
