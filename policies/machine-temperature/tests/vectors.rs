//! The vectors, and the settings that are published with the policy.

use ephor_sdk::testing::{Policy, vectors};
use machine_temperature::MachineTemperature;

#[test]
fn says_what_the_vectors_expect() {
    vectors::<MachineTemperature>("vectors");
}

#[test]
fn takes_the_published_settings() {
    let settings = include_str!("../settings.json");
    Policy::<MachineTemperature>::new(settings).expect("the settings are good");
}

#[test]
fn refuses_limits_that_no_machine_can_keep() {
    let refused = |settings: &str| Policy::<MachineTemperature>::new(settings).err().map(|errors| errors.to_string());
    let errors = refused(r#"{"hot": 10, "hot_samples": 0, "cold": 11}"#).expect("both are wrong");
    assert_eq!(errors, "/hot_samples: expected 1 or more\n/cold: expected no more than `hot`");
    assert_eq!(refused(r#"{"hot": 10, "hot_samples": 1, "cold": 10}"#), None);
}
