//! The vectors; the library's events against an answer that was computed without this
//! code; and how much of what is labelled is found, and how much of what is found is labelled.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use ephor_sdk::serde_json::{Value, from_str};
use ephor_sdk::testing::{Judged, Policy, vectors};
use flate2::read::MultiGzDecoder;
use personal_data_leak::{Kind, PersonalDataLeak, Scanner};

#[path = "../../../tests/independent/answer.rs"]
mod answer;

const RULES: [&str; 6] = ["identity-number", "payment-card", "bank-account", "sole-trader-code", "phone-number", "email-address"];

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn lines(name: &str) -> Vec<Value> {
    let path: PathBuf = folder().join("../../tests/data/library").join(name);
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = BufReader::new(MultiGzDecoder::new(file)).lines();
    lines.map(|line| from_str(&line.expect("a line")).expect("JSON")).collect()
}

#[test]
fn says_what_the_vectors_expect() {
    vectors::<PersonalDataLeak>("vectors");
}

#[test]
fn refuses_settings_that_name_nothing() {
    let settings = r#"{"expected": [{"pointer": "/database", "rules": ["phone-number", "shoe-size"]}, {"pointer": "/data", "rules": []}]}"#;
    let error = Policy::<PersonalDataLeak>::new(settings).err().expect("bad settings").to_string();
    assert!(error.contains("/expected/0/pointer: ") && error.contains("/expected/0/rules/1: ") && error.lines().count() == 2, "{error}");
}

#[test]
fn nested_too_deep_is_undecided() {
    let mut data = Value::from("13800138000");
    for _ in 0..200 {
        data = Value::from(vec![data]);
    }
    let event = ephor_sdk::serde_json::json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "message.sent", "data": data});
    let mut policy = Policy::<PersonalDataLeak>::new("{}").expect("good settings");
    let judged = policy.judge(&[event]);
    assert!(matches!(&judged[0], Judged::Undecided(reason) if reason.starts_with("/data cannot be read: ")), "{judged:?}");
}

#[test]
fn the_events_give_their_answer() {
    answer::check(&mut answer::policy::<PersonalDataLeak>());
}

/// What stands in evidence is there for good: no value, nor any long part of one.
#[test]
fn evidence_has_no_value() {
    let mut policy = Policy::<PersonalDataLeak>::new("{}").expect("good settings");
    let labels = lines("personal-data-leak.labels.ndjson.gz");
    let events = lines("personal-data-leak.ndjson.gz");
    let mut looked = 0;
    for ((event, judged), labels) in events.iter().zip(policy.judge(&events)).zip(&labels) {
        for label in labels.as_array().expect("labels") {
            let text = text_at(event, label);
            let (start, end) = (number(&label[2]), number(&label[3]));
            let value: Vec<char> = text.chars().skip(start).take(end - start).collect();
            for part in value.windows(5).map(String::from_iter) {
                for finding in judged.findings() {
                    assert!(!finding.evidence["mask"].contains(&part), "{finding:?}");
                    looked += 1;
                }
            }
        }
    }
    assert!(looked > 5_000, "{looked} parts");
}

fn number(value: &Value) -> usize {
    value.as_u64().and_then(|it| usize::try_from(it).ok()).expect("a number")
}

fn text_at(event: &Value, label: &Value) -> String {
    match event.pointer(label[1].as_str().expect("a pointer")).expect("what the label points at") {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Every text of an event with its pointer and name; the names of these events are nobody's.
fn texts(value: &Value, pointer: &str, name: Option<&str>, found: &mut Vec<(String, Option<String>, String)>) {
    match value {
        Value::String(text) => found.push((pointer.to_owned(), name.map(str::to_owned), text.clone())),
        Value::Number(number) if number.is_u64() => found.push((pointer.to_owned(), name.map(str::to_owned), number.to_string())),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                texts(item, &format!("{pointer}/{index}"), name, found);
            }
        }
        Value::Object(members) => {
            for (member, item) in members {
                let escaped = member.replace('~', "~0").replace('/', "~1");
                texts(item, &format!("{pointer}/{escaped}"), Some(member), found);
            }
        }
        _ => {}
    }
}

/// How the labelled values and those that were found compare.
#[derive(Default)]
struct Figures {
    labelled: u32,
    found: u32,
    /// Labelled values that something was found in, and what was found in labelled ones.
    recalled: u32,
    right: u32,
    exact: u32,
    /// Events that have a label, a finding, both.
    events: [u32; 3],
}

fn share(part: u32, whole: u32) -> String {
    format!("{:.3}", f64::from(part) / f64::from(whole))
}

/// The table in README.md, by values: one that overlaps a label of its kind is right.
fn table(which: std::ops::Range<usize>) -> (String, Vec<Figures>) {
    let scanner = Scanner::new();
    let mut all: Vec<Figures> = RULES.iter().map(|_| Figures::default()).collect();
    let events = lines("personal-data-leak.ndjson.gz");
    let labels = lines("personal-data-leak.labels.ndjson.gz");
    assert_eq!(events.len(), labels.len());
    for (event, labels) in events.iter().zip(&labels).skip(which.start).take(which.len()) {
        let mut found: Vec<(usize, String, usize, usize)> = Vec::new();
        let mut read = Vec::new();
        texts(&event["data"], "/data", None, &mut read);
        for (pointer, name, text) in read {
            for span in scanner.spans(&text, name.as_deref()) {
                let place = |byte: usize| text[..byte].chars().count();
                found.push((span.kind as usize, pointer.clone(), place(span.range.start), place(span.range.end)));
            }
        }
        let kind = |label: &Value| RULES.iter().position(|rule| label[0] == *rule).expect("a rule");
        let labelled: Vec<(usize, String, usize, usize)> = labels
            .as_array()
            .expect("labels")
            .iter()
            .map(|label| (kind(label), label[1].as_str().expect("a pointer").to_owned(), number(&label[2]), number(&label[3])))
            .collect();
        type Place = (usize, String, usize, usize);
        let meet = |one: &Place, other: &Place| one.0 == other.0 && one.1 == other.1 && one.2 < other.3 && other.2 < one.3;
        for (rule, figures) in all.iter_mut().enumerate() {
            let (ours, theirs) = (found.iter().filter(|it| it.0 == rule), labelled.iter().filter(|it| it.0 == rule));
            let (mut has, mut is) = (0, 0);
            for it in ours {
                has = 1;
                figures.found += 1;
                figures.right += u32::from(labelled.iter().any(|label| meet(it, label)));
                figures.exact += u32::from(labelled.contains(it));
            }
            for label in theirs {
                is = 1;
                figures.labelled += 1;
                figures.recalled += u32::from(found.iter().any(|it| meet(it, label)));
            }
            for (count, one) in figures.events.iter_mut().zip([is, has, is & has]) {
                *count += one;
            }
        }
    }
    let mut rows = String::new();
    for (rule, it) in RULES.iter().zip(&all).filter(|(_, it)| it.labelled > 0) {
        let Figures { labelled, found, recalled, right, exact, events: [is, has, both] } = *it;
        let (recall, precision) = (share(recalled, labelled), share(right, found));
        let (by_event, right_events) = (share(both, is), share(both, has));
        let _ = writeln!(rows, "| `{rule}` | {labelled} | {found} | {recall} | {precision} | {exact} | {by_event} | {right_events} |");
    }
    (rows, all)
}

#[test]
fn figures_are_those_of_the_readme() {
    let readme = include_str!("../README.md");
    let (real, _) = table(0..1_500);
    let (whole, figures) = table(0..usize::MAX);
    assert!(readme.contains(&real) && readme.contains(&whole), "README.md should have\n{real}\nand\n{whole}");
    for (rule, it) in RULES.iter().zip(&figures) {
        let [recall, precision] = [(it.recalled, it.labelled), (it.right, it.found)].map(|(part, all)| f64::from(part) / f64::from(all));
        let (least_recall, least_precision) = if *rule == "phone-number" { (0.95, 0.98) } else { (0.99, 0.98) };
        assert!(recall >= least_recall && precision >= least_precision, "{rule}: recall {recall}, precision {precision}");
    }
    assert_eq!(Kind::Email as usize, RULES.len() - 1, "kinds are in the order of the rules");
}
