//! The vectors, and the settings that are published with the policy.

use ephor_sdk::testing::{Policy, vectors};
use idle_vehicle::IdleVehicle;

#[test]
fn says_what_the_vectors_expect() {
    vectors::<IdleVehicle>("vectors");
}

#[test]
fn takes_the_published_settings() {
    let settings = include_str!("../settings.json");
    Policy::<IdleVehicle>::new(settings).expect("the settings are good");
}

#[test]
fn refuses_limits_that_make_no_sense() {
    let refused = |settings: &str| Policy::<IdleVehicle>::new(settings).err().map(|errors| errors.to_string());
    let errors = refused(r#"{"hours": 0, "seen_within_hours": 1, "moved_degrees": -0.1}"#).expect("all are wrong");
    assert_eq!(errors, "/hours: expected 1 or more\n/seen_within_hours: expected no more than `hours`\n/moved_degrees: expected 0 to 1");
    assert_eq!(refused(r#"{"hours": 1, "seen_within_hours": 1, "moved_degrees": 0}"#), None);
}

/// A vehicle that is not seen any more is forgotten, so that states do not pile up.
#[test]
fn forgets_what_is_gone() {
    let observation = |hour: u32, vehicle: &str| {
        ephor_sdk::serde_json::json!({
            "type": "mobility.vehicle.observed", "source": "/columbus/gbfs/veo", "time": format!("2026-08-{:02}T{:02}:00:00Z", 1 + hour / 24, hour % 24),
            "data": {"provider": "Veo", "vehicle_id": vehicle, "lat": 39.96, "lng": -83.0}
        })
    };
    let mut policy = Policy::<IdleVehicle>::new(include_str!("../settings.json")).expect("the settings are good");
    let key = ["Veo".into(), "v1".into()];
    policy.judge(&[observation(0, "v1"), observation(1, "v2")]);
    assert!(policy.encoded_state(&key).is_some() && policy.timer(&key).is_some());
    policy.judge(&[observation(25, "v2")]);
    assert!(policy.encoded_state(&key).is_none() && policy.timer(&key).is_none());
}
