//! The vectors, and the settings that are published with the policy.

use ephor_sdk::serde_json::{Value, from_str, json};
use ephor_sdk::testing::{Policy, vectors};
use statement_of_reasons::StatementOfReasons;

const SETTINGS: &str = include_str!("../settings.json");

#[test]
fn says_what_the_vectors_expect() {
    vectors::<StatementOfReasons>("vectors");
}

#[test]
fn takes_the_published_settings() {
    Policy::<StatementOfReasons>::new(SETTINGS).expect("the settings are good");
}

/// What `change` makes of the published settings is refused at `pointer`.
fn is_refused(pointer: &str, change: impl FnOnce(&mut Value)) {
    let mut settings: Value = from_str(SETTINGS).expect("JSON");
    change(&mut settings);
    let Err(errors) = Policy::<StatementOfReasons>::new(&settings.to_string()) else { panic!("{pointer} was taken") };
    let errors = errors.to_string();
    assert!(errors.lines().count() == 1 && errors.starts_with(&format!("{pointer}: ")), "{errors}");
}

#[test]
fn refuses_fields_that_a_statement_does_not_have() {
    is_refused("/required", |it| it["required"] = json!(["catgory"]));
    is_refused("/values/catgory", |it| it["values"]["catgory"] = json!(["x"]));
    is_refused("/max_chars/catgory", |it| it["max_chars"]["catgory"] = json!(1));
    is_refused("/required_if/0/requires/0", |it| it["required_if"][0]["requires"] = json!(["catgory"]));
}

#[test]
fn refuses_conditions_that_cannot_come_true() {
    is_refused("/required_if/0/value", |it| it["required_if"][0]["value"] = json!("DECISION_VISIBILITY_ELSE"));
    is_refused("/ground_contradictions/0/categories", |it| it["ground_contradictions"][0]["categories"] = json!(["NONE"]));
}

#[test]
fn refuses_phrases_that_every_text_has() {
    is_refused("/automated_phrases/0", |it| it["automated_phrases"] = json!([" "]));
    is_refused("/ground_contradictions/0/phrases/1", |it| it["ground_contradictions"][0]["phrases"] = json!(["sex", ""]));
}
