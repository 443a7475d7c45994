//! The vectors, and the settings that are published with the policy.

use ephor_sdk::serde_json::{Value, from_str, json};
use ephor_sdk::testing::{Policy, vectors};
use minimum_service::MinimumService;

const SETTINGS: &str = include_str!("../settings.json");

#[test]
fn says_what_the_vectors_expect() {
    vectors::<MinimumService>("vectors");
}

#[test]
fn takes_the_published_settings() {
    Policy::<MinimumService>::new(SETTINGS).expect("the settings are good");
}

#[test]
fn refuses_settings_that_cannot_be_met() {
    for (name, value) in [
        ("window_days", 0),
        ("days", 15),
        ("measurements_per_day", 0),
        ("maximum_percent", 101),
        ("days_at_maximum", 4),
        ("normal_percent", 0),
        ("days_below_minimum", 0),
        ("utc_offset_minutes", -841),
    ] {
        let mut settings: Value = from_str(SETTINGS).expect("JSON");
        settings[name] = json!(value);
        let Err(errors) = Policy::<MinimumService>::new(&settings.to_string()) else { panic!("{name} was taken") };
        assert!(errors.to_string().lines().any(|line| line.starts_with(&format!("/{name}: "))), "{errors}");
    }
}
