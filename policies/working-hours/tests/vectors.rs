//! The vectors, and the settings that are published with the policy.

use ephor_sdk::serde_json::{Value, from_str, json};
use ephor_sdk::testing::{Policy, vectors};
use working_hours::WorkingHours;

const SETTINGS: &str = include_str!("../settings.json");

#[test]
fn says_what_the_vectors_expect() {
    vectors::<WorkingHours>("vectors");
}

#[test]
fn takes_the_published_settings() {
    Policy::<WorkingHours>::new(SETTINGS).expect("the settings are good");
}

#[test]
fn refuses_settings_that_cannot_be_met() {
    for (name, value) in [
        ("continuous_minutes", 0),
        ("break_minutes", 0),
        ("day_minutes", 1_441),
        ("daily_rest_minutes", 1_440),
        ("longest_duty_minutes", 1_441),
        ("utc_offset_minutes", 841),
    ] {
        let mut settings: Value = from_str(SETTINGS).expect("JSON");
        settings[name] = json!(value);
        let Err(errors) = Policy::<WorkingHours>::new(&settings.to_string()) else { panic!("{name} was taken") };
        let errors = errors.to_string();
        assert!(errors.lines().count() == 1 && errors.starts_with(&format!("/{name}: ")), "{errors}");
    }
}
