//! The vectors, and the settings that are published with the policy.

use dominance_watch::DominanceWatch;
use ephor_sdk::serde_json::{Value, json};
use ephor_sdk::testing::{Policy, vectors};

#[test]
fn says_what_the_vectors_expect() {
    vectors::<DominanceWatch>("vectors");
}

#[test]
fn takes_the_published_settings() {
    let settings = include_str!("../settings.json");
    Policy::<DominanceWatch>::new(settings).expect("the settings are good");
}

#[test]
fn refuses_settings_that_make_no_sense() {
    let settings = r#"{"window_hours": 0, "grace_hours": 1, "minimum_volume": 0, "most_operators": 2}"#;
    let errors = Policy::<DominanceWatch>::new(settings).err().expect("all are wrong").to_string();
    assert_eq!(
        errors,
        "/window_hours: expected 1 to 8784\n\
         /grace_hours: expected no more than two windows: each window that is open is kept\n\
         /minimum_volume: expected 1 or more: of nothing there are no shares\n\
         /most_operators: expected 3 to 64: the shares of three are added up"
    );
}

/// A market does not grow with its events, its operators or its age.
#[test]
fn states_stay_small() {
    let mut policy = Policy::<DominanceWatch>::new(include_str!("../settings.json")).expect("the settings are good");
    let key = ["rides", "Springfield", "rides"].map(Value::from);
    for hour in 0..2_000 {
        let (day, hour) = (1 + hour / 24, hour % 24);
        let operator = format!("operator {}", day * hour % 40);
        let data = json!({"category": "rides", "area": "Springfield", "unit": "rides", "operator": operator, "amount": 1_000_000_000_u64});
        let time = format!("2026-{:02}-{:02}T{hour:02}:00:00Z", 1 + day / 28, 1 + day % 28);
        policy.judge(&[json!({"type": "market.volume.reported", "source": "/m", "time": time, "data": data})]);
        let bytes = policy.encoded_state(&key).expect("a state").len();
        assert!(bytes < 1_024, "{bytes} bytes");
    }
}
