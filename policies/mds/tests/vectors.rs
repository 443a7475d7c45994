//! The vectors, the settings that are published with the policy, and settings that are wrong.

use ephor_sdk::serde_json::{Value, json};
use ephor_sdk::testing::{Policy, vectors};
use mds::Mds;

#[test]
fn says_what_the_vectors_expect() {
    vectors::<Mds>("vectors");
}

#[test]
fn takes_the_published_settings() {
    let settings = include_str!("../settings.json");
    Policy::<Mds>::new(settings).expect("the settings are good");
}

fn refused(settings: &Value) -> String {
    Policy::<Mds>::new(&settings.to_string()).err().map(|errors| errors.to_string()).expect("the settings are wrong")
}

#[test]
fn refuses_settings_with_their_places() {
    let square = json!([[[0, 0], [1, 0], [1, 1], [0, 0]]]);
    let geography =
        |id: &str, coordinates: &Value| json!({"id": id, "name": id, "geometry": {"type": "Polygon", "coordinates": coordinates}});
    let rule = |id: &str, place: &str, limit: Value| json!({"id": id, "name": id, "geographies": [place], "limit": limit});
    let settings = json!({
        "zone": "UTC0", "seen_within_minutes": 60, "moved_degrees": 2,
        "geographies": [geography("a", &square), geography("a", &square), geography("b", &json!([[[39, -103], [1, 0], [1, 1], [0, 0]]]))],
        "policies": [
            {"id": "p", "name": "p", "start_ms": 2, "end_ms": 2, "rules": [
                rule("r", "a", json!({"kind": "no_ride"})),
                rule("r", "c", json!({"kind": "time", "maximum_minutes": 0})),
                {"id": "s", "name": "s", "geographies": [], "limit": {"kind": "none"}},
            ]},
            {"id": "p", "name": "q", "rules": []},
        ],
    });
    assert_eq!(
        refused(&settings).lines().collect::<Vec<_>>(),
        [
            "/moved_degrees: expected 0 to 1",
            "/geographies/1/id: another geography has this id",
            "/geographies/2/geometry/coordinates/0/0: expected longitude (-180 to 180), then latitude (-90 to 90)",
            "/policies/0/end_ms: expected a time after `start_ms`",
            "/policies/0/rules/1/id: another rule has this id",
            "/policies/0/rules/1/geographies/0: there is no geography with the id \"c\"",
            "/policies/0/rules/1/limit/maximum_minutes: expected 1 or more; `no_vehicles` is for places where none may be",
            "/policies/0/rules/2/geographies: expected one or more",
            "/policies/1/id: another policy has this id",
        ]
    );
    for (pointer, value, problem) in [
        ("/zone", json!("America/New_York"), "/zone: \"America/New_York\" is no POSIX time zone"),
        ("/policies/0/rules/0/limit/kind", json!("no_flights"), "unknown variant `no_flights`"),
        ("/policies/0/rules/0/days", json!(["mon"]), "/policies/0/rules/0/days/0: unknown variant `mon`"),
        ("/policies/0/rules/0/from", json!("7:00"), "/policies/0/rules/0/from: \"7:00\" is no time of day"),
    ] {
        let mut settings = settings.clone();
        let (parent, member) = pointer.rsplit_once('/').expect("a pointer");
        settings.pointer_mut(parent).expect("a place")[member] = value;
        let refused = refused(&settings);
        assert!(refused.contains(problem), "{pointer}: {refused}");
    }
}

/// A vehicle that is not seen any more is forgotten, so that states do not pile up.
#[test]
fn forgets_what_is_gone() {
    let observation = |time: &str, vehicle: &str| {
        json!({"type": "mobility.vehicle.observed", "source": "/columbus/gbfs/veo", "time": time,
            "data": {"provider": "Veo", "vehicle_id": vehicle, "lat": 39.9, "lng": -83.1, "is_available": true}})
    };
    let mut policy = Policy::<Mds>::new(include_str!("../settings.json")).expect("the settings are good");
    let key = ["Veo".into(), "v1".into()];
    policy.judge(&[observation("2026-08-03T12:00:00Z", "v1"), observation("2026-08-03T12:00:00Z", "v2")]);
    assert!(policy.encoded_state(&key).is_some_and(|state| state.len() < 60) && policy.timer(&key).is_some());
    policy.judge(&[observation("2026-08-04T00:00:00Z", "v2")]);
    assert!(policy.encoded_state(&key).is_some(), "twelve hours are within what is allowed");
    policy.judge(&[observation("2026-08-04T00:02:00Z", "v2")]);
    assert!(policy.encoded_state(&key).is_none() && policy.timer(&key).is_none());
}
