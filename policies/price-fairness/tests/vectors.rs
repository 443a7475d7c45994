//! The vectors, and the settings that are published with the policy.

use ephor_sdk::testing::{Policy, vectors};
use price_fairness::PriceFairness;

#[test]
fn says_what_the_vectors_expect() {
    vectors::<PriceFairness>("vectors");
}

#[test]
fn takes_the_published_settings() {
    let settings = include_str!("../settings.json");
    Policy::<PriceFairness>::new(settings).expect("the settings are good");
}

#[test]
fn refuses_to_forbid_equal_prices() {
    assert!(Policy::<PriceFairness>::new(r#"{"percent": 99}"#).is_err());
    assert!(Policy::<PriceFairness>::new(r#"{"percent": 100}"#).is_ok());
}
