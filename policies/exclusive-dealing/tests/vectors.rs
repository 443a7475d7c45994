//! The vectors, and the settings that are published with the policy.

use ephor_sdk::serde_json::json;
use ephor_sdk::testing::{Policy, vectors};
use exclusive_dealing::ExclusiveDealing;

#[test]
fn says_what_the_vectors_expect() {
    vectors::<ExclusiveDealing>("vectors");
}

#[test]
fn takes_the_published_settings() {
    let settings = include_str!("../settings.json");
    Policy::<ExclusiveDealing>::new(settings).expect("the settings are good");
}

#[test]
fn refuses_settings_that_make_no_sense() {
    let settings = r#"{"before_days": 0, "recent_days": 1, "after_days": 91, "least_days": 2, "ranking_percent": 0, "fee_points": 0}"#;
    let errors = Policy::<ExclusiveDealing>::new(settings).err().expect("all are wrong").to_string();
    assert_eq!(
        errors,
        "/before_days: expected 1 to 90\n\
         /after_days: expected 1 to 90\n\
         /recent_days: expected no more than `before_days`, of which they are the latest\n\
         /least_days: expected 1 or more, and no more than `recent_days` and `after_days`\n\
         /ranking_percent: expected 1 or more: what stays as it is is no punishment\n\
         /fee_points: expected 1 or more: what stays as it is is no punishment"
    );
}

/// A merchant does not grow with its reports or its age.
#[test]
fn states_stay_small() {
    let mut policy = Policy::<ExclusiveDealing>::new(include_str!("../settings.json")).expect("the settings are good");
    let key = ["M1".into()];
    for hour in 0..3_000 {
        let (day, hour) = (hour / 24, hour % 24);
        let time = format!("2025-{:02}-{:02}T{hour:02}:00:00Z", 1 + day / 28, 1 + day % 28);
        let report = |kind: &str, data| json!({"type": format!("market.merchant.{kind}"), "source": "/p", "time": time, "data": data});
        policy.judge(&[
            report("presence", json!({"merchant": "M1", "elsewhere": day})),
            report("ranking", json!({"merchant": "M1", "position": 1_000_000, "peers": 1_000_000})),
            report("fee", json!({"merchant": "M1", "rate": 10_000, "peers": 10_000})),
        ]);
        let bytes = policy.encoded_state(&key).expect("a state").len();
        assert!(bytes < 1_024, "{bytes} bytes");
    }
}
