//! The vectors, and the settings that are published with the policy.

use ephor_sdk::testing::{Policy, vectors};
use machine_envelope::MachineEnvelope;

#[test]
fn says_what_the_vectors_expect() {
    vectors::<MachineEnvelope>("vectors");
}

#[test]
fn takes_the_published_settings() {
    let settings = include_str!("../settings.json");
    Policy::<MachineEnvelope>::new(settings).expect("the settings are good");
}

#[test]
fn refuses_envelopes_that_say_nothing() {
    for (limits, pointer) in [
        (r#"{}"#, "/items/oil~1in"),
        (r#"{"high": 1}"#, "/items/oil~1in"),
        (r#"{"high": 1, "samples": 0}"#, "/items/oil~1in/samples"),
        (r#"{"per_minute": -1}"#, "/items/oil~1in/per_minute"),
        (r#"{"high": 1, "samples": 1, "back_by": -1}"#, "/items/oil~1in/back_by"),
        (r#"{"low": 0, "high": 3, "samples": 1, "back_by": 2}"#, "/items/oil~1in"),
    ] {
        let settings = format!(r#"{{"items": {{"oil/in": {limits}}}}}"#);
        let Err(errors) = Policy::<MachineEnvelope>::new(&settings) else { panic!("{limits} was taken") };
        let errors = errors.to_string();
        assert!(errors.lines().count() == 1 && errors.starts_with(&format!("{pointer}: ")), "{errors}");
    }
    for limits in [r#"{"per_minute": 0}"#, r#"{"low": 0, "high": 4, "samples": 1, "back_by": 2}"#] {
        let settings = format!(r#"{{"items": {{"oil/in": {limits}}}}}"#);
        assert!(Policy::<MachineEnvelope>::new(&settings).is_ok(), "{limits}");
    }
}
