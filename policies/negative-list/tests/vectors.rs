//! The vectors, and the settings that are published with the policy.

use ephor_sdk::testing::{Policy, vectors};
use negative_list::NegativeList;

#[test]
fn says_what_the_vectors_expect() {
    vectors::<NegativeList>("vectors");
}

#[test]
fn takes_the_published_settings() {
    let settings = include_str!("../settings.json");
    Policy::<NegativeList>::new(settings).expect("the settings are good");
}
