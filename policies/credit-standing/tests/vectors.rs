//! The vectors, and the settings that are published with the policy.

use credit_standing::CreditStanding;
use ephor_sdk::serde_json::{self, Value, json};
use ephor_sdk::testing::{Policy, vectors};

#[test]
fn says_what_the_vectors_expect() {
    vectors::<CreditStanding>("vectors");
}

#[test]
fn takes_the_published_settings() {
    Policy::<CreditStanding>::new(include_str!("../settings.json")).expect("the settings are good");
}

#[test]
fn refuses_terms_that_make_no_sense() {
    let refused = |name: &str, value: Value| {
        let mut settings: Value = serde_json::from_str(include_str!("../settings.json")).expect("settings.json");
        settings[name] = value;
        Policy::<CreditStanding>::new(&settings.to_string()).err().map(|errors| errors.to_string())
    };
    let thresholds = |watch: u32, restricted: u32, serious: u32| json!({"watch": watch, "restricted": restricted, "serious": serious});
    assert_eq!(refused("days", json!(0)).as_deref(), Some("/days: expected 1 to 3660\n/full_days: expected no more than `days`"));
    assert_eq!(refused("full_days", json!(366)).as_deref(), Some("/full_days: expected no more than `days`"));
    let equal = refused("thresholds", thresholds(8, 8, 40)).expect("refused");
    assert!(equal.starts_with("/thresholds: expected each to be higher"), "{equal}");
    let high = refused("thresholds", thresholds(8, 20, 129)).expect("refused");
    assert!(high.starts_with("/thresholds/serious: expected no more than 128"), "{high}");
    assert!(refused("by_rule", json!({"p/r": 1001})).expect("refused").starts_with("/points: expected no more than 1000"));
    assert_eq!(refused("days", json!(181)), None);
}
