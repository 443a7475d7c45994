//! Real vehicles against answers that were computed without any code of ours.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use ephor_sdk::serde_json::{self, Value, json};
use ephor_sdk::testing::{Judged, Policy};
use flate2::read::MultiGzDecoder;
use mds::Mds;
use sha2::{Digest as _, Sha256};

#[test]
fn the_events_of_the_library_give_their_answer() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let answer: Value = serde_json::from_str(include_str!("../answer.json")).expect("answer.json is JSON");
    let published: Value = serde_json::from_str(include_str!("../settings.json")).expect("settings.json is JSON");
    assert_eq!(answer["settings"], published);
    let file = File::open(here.join("../../tests/data/library/mds.ndjson.gz")).expect("the events");
    let lines = BufReader::new(MultiGzDecoder::new(file)).lines();
    let events: Vec<Value> = lines.map(|line| serde_json::from_str(&line.expect("UTF-8")).expect("an event")).collect();

    let mut policy = Policy::<Mds>::new(&answer["settings"].to_string()).expect("the settings are good");
    let rules = answer["rules"].as_object().expect("an object");
    let mut counts: BTreeMap<&str, u64> = rules.keys().map(|rule| (rule.as_str(), 0)).collect();
    let (mut undecided, mut lines) = (0_u64, Vec::new());
    for (batch, first) in events.chunks(256).zip((0..).step_by(256)) {
        for (judged, index) in policy.judge(batch).iter().zip(first..) {
            let _: u64 = index;
            match judged {
                Judged::Findings(findings) => {
                    for finding in findings {
                        *counts.get_mut(finding.rule.as_str()).expect("answer.json has every rule") += 1;
                        lines.push(format!("{index} {}\n", finding.rule));
                    }
                }
                Judged::Undecided(_) => undecided += 1,
                Judged::Unreadable(pointer) => panic!("event {index}: {pointer}"),
            }
        }
    }
    assert!(policy.take_woken().iter().all(|woken| woken.judged == Judged::Findings(Vec::new())), "timers find nothing");
    lines.sort();
    let digest: String = Sha256::digest(lines.concat()).iter().map(|byte| format!("{byte:02x}")).collect();
    let said = json!({"events": events.len(), "rules": counts, "undecided": undecided, "digest": digest});
    for (name, value) in said.as_object().expect("an object") {
        assert_eq!(*value, answer[name], "{name}");
    }
    assert!(undecided > 0 && counts.values().filter(|count| **count > 0).count() >= 4);
}
