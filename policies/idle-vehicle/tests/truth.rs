//! Real vehicles against answers that were computed without any code of ours,
//! among them when each timer fires.

use std::collections::BTreeMap;

use ephor_sdk::serde_json::{Value, json};
use ephor_sdk::testing::{Judged, Policy};
use idle_vehicle::IdleVehicle;

#[path = "../../../tests/independent/native.rs"]
mod native;

fn check(answer: &Value, batches: impl Iterator<Item = Vec<Value>>) {
    let mut policy = Policy::<IdleVehicle>::new(&answer["settings"].to_string()).expect("the settings are good");
    let (mut count, mut forgotten, mut found) = (0, 0, Vec::new());
    let mut by_provider = BTreeMap::<String, u64>::new();
    for batch in batches {
        let judged = policy.judge(&batch);
        assert!(judged.iter().all(|it| *it == Judged::Findings(Vec::new())), "only timers find something");
        count += batch.len();
        for woken in policy.take_woken() {
            let [finding] = woken.judged.findings() else {
                assert_eq!(woken.judged, Judged::Findings(Vec::new()));
                forgotten += 1;
                continue;
            };
            let of = |name: &str| finding.evidence[name].as_str();
            assert_eq!(json!([of("provider"), of("vehicle")]), json!(woken.key));
            *by_provider.entry(of("provider").to_owned()).or_default() += 1;
            let names = ["provider", "vehicle", "since", "last", "hours"].map(of);
            found.push(format!("{} {} {}", woken.before, woken.at, names.join(" ")));
        }
    }
    let said = json!({"events": count, "findings": found.len(), "forgotten": forgotten, "by_provider": by_provider});
    for (name, value) in said.as_object().expect("an object") {
        assert_eq!(*value, answer[name], "{name}");
    }
    assert_eq!(native::digest(found), answer["digest"]);
}

#[test]
fn the_sample_gives_its_answers() {
    check(&native::answer("sample"), native::sample("columbus"));
}

#[test]
fn the_full_data_gives_its_answers() {
    let answer = native::answer("full");
    assert_eq!((&answer["findings"], &answer["fired_by"]), (&json!(7_089), &json!({"own_event": 399, "watermark": 6_690})));
    if let Some(batches) = native::full("columbus") {
        check(&answer, batches);
    }
}
