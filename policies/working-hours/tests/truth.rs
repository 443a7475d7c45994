//! Synthetic signals against an answer that was computed without any code of ours.

use ephor_sdk::serde_json::{Value, json};
use ephor_sdk::testing::{Judged, Policy, pseudonym};
use working_hours::WorkingHours;

#[path = "../../../tests/independent/answer.rs"]
mod answer;

#[test]
fn finds_what_the_answer_says() {
    answer::check(&mut answer::policy::<WorkingHours>());
}

/// A signal of `d-1`, so many seconds after a midnight.
fn signal(second: u32, kind: &str) -> Value {
    let (day, hour, minute) = (2 + second / 86_400, second / 3_600 % 24, second / 60 % 60);
    json!({
        "specversion": "1.0", "id": second.to_string(), "source": "/rides", "type": format!("mobility.driver.{kind}-duty"),
        "time": format!("2026-03-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60), "data": {"driver": "d-1"},
    })
}

/// On and off every minute: nobody works like that, and the state stays bounded.
#[test]
fn a_driver_who_signals_all_the_time_is_undecided() {
    let mut policy = Policy::<WorkingHours>::new(include_str!("../settings.json")).expect("the settings are good");
    let key = [json!(pseudonym("add up the hours of each driver", &json!("d-1")))];
    let judged: Vec<_> = (0..600).flat_map(|at| policy.judge(&[signal(at * 60, if at % 2 == 0 { "on" } else { "off" })])).collect();
    let undecided = judged.iter().filter(|said| matches!(said, Judged::Undecided(_))).count();
    assert_eq!(undecided, 600 - 512);
    assert!(judged[512..].iter().all(|said| matches!(said, Judged::Undecided(_))));
    let state = policy.encoded_state(&key).expect("a state").len();
    assert!(state <= 6 * 1_024, "the state has {state} bytes");
    // Days later it can be judged again.
    let later = policy.judge(&[signal(6 * 86_400, "on"), signal(6 * 86_400 + 4 * 3_600 + 60, "off")]);
    assert_eq!(later[1].findings()[0].rule, "no-break");
}
