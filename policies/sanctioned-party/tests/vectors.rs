//! The vectors, and the settings that are published with the policy.

use ephor_sdk::testing::{Policy, vectors};
use sanctioned_party::SanctionedParty;

#[test]
fn says_what_the_vectors_expect() {
    vectors::<SanctionedParty>("vectors");
}

#[test]
fn takes_the_published_settings() {
    let settings = include_str!("../settings.json");
    Policy::<SanctionedParty>::new(settings).expect("the settings are good");
}
