//! The vectors, and the settings that are published with the policy.

use ephor_sdk::serde_json::{Value, json};
use ephor_sdk::testing::{Judged, Policy, vectors};
use purpose_limit::PurposeLimit;

#[test]
fn says_what_the_vectors_expect() {
    vectors::<PurposeLimit>("vectors");
}

#[test]
fn takes_the_published_settings() {
    let settings = include_str!("../settings.json");
    Policy::<PurposeLimit>::new(settings).expect("the settings are good");
}

#[test]
fn refuses_a_ground_that_is_good_for_nothing() {
    let errors = Policy::<PurposeLimit>::new(r#"{"grounds": {"a/b": []}}"#).err().expect("it is wrong").to_string();
    assert_eq!(errors, "/grounds/a~1b: expected a purpose that the ground is good for");
}

/// What is not kept is said, and nothing of it remains.
#[test]
fn keeps_no_more_than_it_can() {
    let happened = |kind: &str, second: u32, data: Value| json!({"type": kind, "source": "/s", "time": format!("2025-01-01T00:00:{second:02}Z"), "data": data});
    let given = |second, category: String| {
        happened("privacy.consent.given", second, json!({"subject": "u", "category": category, "purposes": ["x"]}))
    };
    let mut policy = Policy::<PurposeLimit>::new("{}").expect("the settings are good");
    let events: Vec<_> = (0..66).map(|number| given(0, format!("c{}", number % 65))).collect();
    let judged = policy.judge(&events);
    let refused = "the subject has consents to 64 pairs of category and purpose; no more are kept";
    assert_eq!(judged.iter().filter(|it| **it == Judged::Findings(Vec::new())).count(), 65);
    assert_eq!(judged[64], Judged::Undecided(refused.to_owned()));

    let named = |count: usize| {
        let recipients: Vec<_> = (0..count).map(|number| format!("r{number}")).collect();
        happened("privacy.consent.given", 0, json!({"subject": "u", "category": "c1", "purposes": ["x"], "recipients": recipients}))
    };
    let many = Judged::Undecided("the consent names more than 32 recipients, which are not kept".to_owned());
    assert_eq!(policy.judge(&[named(32), named(33)]), [Judged::Findings(Vec::new()), many]);

    let events: Vec<_> = (0..9).map(|second| given(second, "c0".to_owned())).collect();
    policy.judge(&events);
    let uses = [0, 1].map(|second| happened("privacy.data.used", second, json!({"subject": "u", "category": "c0", "purpose": "x"})));
    let late = "the use is too late: only the 8 latest consents and withdrawals of a category and purpose are kept";
    assert_eq!(policy.judge(&uses), [Judged::Undecided(late.to_owned()), Judged::Findings(Vec::new())]);
}
