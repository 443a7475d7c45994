//! A real machine against answers that were computed without any code of ours.

use ephor_sdk::serde_json::Value;
use ephor_sdk::testing::{Judged, Policy};
use machine_temperature::MachineTemperature;

#[path = "../../../tests/independent/native.rs"]
mod native;

fn check(answer: &Value, batches: impl Iterator<Item = Vec<Value>>) {
    let mut policy = Policy::<MachineTemperature>::new(&answer["settings"].to_string()).expect("the settings are good");
    let (mut count, mut found) = (0_u64, Vec::new());
    for batch in batches {
        for (event, judged) in (count..).zip(policy.judge(&batch)) {
            assert!(matches!(judged, Judged::Findings(_)), "event {event}: {judged:?}");
            let findings = judged.findings().iter();
            found.extend(findings.map(|finding| format!("{event} {}", finding.rule)));
        }
        count += batch.len() as u64;
    }
    let of = |rule: &str| found.iter().filter(|line| line.ends_with(rule)).count() as u64;
    let expected = ["events", "too_hot", "too_cold"].map(|name| answer[name].as_u64().expect("a number"));
    assert_eq!([count, of("too-hot"), of("too-cold")], expected);
    assert_eq!(native::digest(found), answer["digest"]);
}

#[test]
fn the_sample_gives_its_answers() {
    check(&native::answer("sample"), native::sample("nab"));
}

#[test]
fn the_full_data_gives_its_answers() {
    let answer = native::answer("full");
    assert_eq!([&answer["too_hot"], &answer["too_cold"]], [33, 1_539]);
    if let Some(batches) = native::full("nab") {
        check(&answer, batches);
    }
}
