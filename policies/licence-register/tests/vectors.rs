//! The vectors, and the settings that are published with the policy.

use ephor_sdk::testing::{Policy, vectors};
use licence_register::LicenceRegister;

#[test]
fn says_what_the_vectors_expect() {
    vectors::<LicenceRegister>("vectors");
}

#[test]
fn takes_the_published_settings() {
    let settings = include_str!("../settings.json");
    Policy::<LicenceRegister>::new(settings).expect("the settings are good");
}

#[test]
fn refuses_settings_that_make_no_sense() {
    let settings = r#"{"scopes": {"a/b": "Food", "own": "food"}, "otherwise": "", "exempt": ["own"], "utc_offset_minutes": 841}"#;
    let errors = Policy::<LicenceRegister>::new(settings).err().expect("all are wrong").to_string();
    assert_eq!(
        errors,
        "/scopes/a~1b: expected a scope as the register has them: lower-case letters, digits and hyphens\n\
         /otherwise: expected a scope as the register has them: lower-case letters, digits and hyphens\n\
         /exempt: `own` is in `scopes` too: it cannot both need a licence and none\n\
         /utc_offset_minutes: expected -840 to 840"
    );
}
