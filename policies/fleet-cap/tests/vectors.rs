//! The vectors, and the settings that are published with the policy.

use ephor_sdk::testing::{Policy, vectors};
use fleet_cap::FleetCap;

#[test]
fn says_what_the_vectors_expect() {
    vectors::<FleetCap>("vectors");
}

#[test]
fn takes_the_published_settings() {
    let settings = include_str!("../settings.json");
    Policy::<FleetCap>::new(settings).expect("the settings are good");
}
