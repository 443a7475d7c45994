//! Synthetic measurements against an answer that was computed without any code of ours.

use ephor_sdk::serde_json::json;
use ephor_sdk::testing::{Policy, pseudonym};
use minimum_service::MinimumService;

#[path = "../../../tests/independent/answer.rs"]
mod answer;

/// A state that is larger has grown.
const MOST_BYTES: usize = 512;

#[test]
fn finds_what_the_answer_says() {
    answer::check(&mut answer::policy::<MinimumService>());
}

/// Somebody who measures all the time, but never often enough on a day.
#[test]
fn a_state_does_not_grow_with_measurements() {
    let mut policy = Policy::<MinimumService>::new(include_str!("../settings.json")).expect("the settings are good");
    let speeds = json!({"maximum": 100, "normal": 80, "minimum": 50});
    let events: Vec<_> = (0..600)
        .map(|at| {
            let (day, minute) = (at / 6, at % 6);
            let (month, day) = (1 + day / 28, 1 + day % 28);
            json!({
                "specversion": "1.0", "id": at.to_string(), "source": "/measuring", "type": "network.speed.measured",
                "time": format!("2026-{month:02}-{day:02}T10:{minute:02}:00Z"),
                "data": {"subscriber": "s-1", "download_kbps": 1, "upload_kbps": 1, "contract": {"download": speeds, "upload": speeds}},
            })
        })
        .collect();
    let key = [json!(pseudonym("follow the connection of each subscriber", &json!("s-1")))];
    let mut largest = 0;
    for event in events {
        assert!(policy.judge(&[event])[0].findings().is_empty());
        largest = largest.max(policy.encoded_state(&key).expect("a state").len());
    }
    assert!(largest <= MOST_BYTES, "the largest state has {largest} bytes");
}
