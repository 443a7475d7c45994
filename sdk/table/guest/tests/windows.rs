//! Windows: what is counted of each key, and what is said where it is not known.

use ephor_sdk::wit::ephor::policy::columns::{Column, Integers, Texts};
use ephor_sdk::wit::ephor::policy::evaluation::{Batch, Keys, Outcome};
use ephor_table::author::compile;
use ephor_table_guest::Judge;

const FIELDS: &str = r#"
name = "test"
version = "0.1.0"
summary = "Tests."
events = ["*"]
[[field]]
name = "shop"
pointer = "/data/shop"
kind = "text"
purpose = "test"
[[field]]
name = "time"
pointer = "/time"
kind = "time"
purpose = "test"
[[field]]
name = "cents"
pointer = "/data/cents"
kind = "integer"
optional = true
purpose = "test"
[[field]]
name = "customer"
pointer = "/data/customer"
kind = "text"
purpose = "test"
[key]
fields = ["shop"]
[[rule]]
id = "r"
action = "flag"
severity = "low"
legal_basis = "none"
message.en = "x"
evidence.value = "windows.w"
"#;

/// Shop, minute, cents, customer.
type Event = (&'static str, i64, Option<i64>, &'static str);

fn texts(values: impl Iterator<Item = &'static str>) -> Texts {
    let (mut text, mut offsets) = (String::new(), vec![0]);
    for value in values {
        text.push_str(value);
        offsets.push(text.len() as u32);
    }
    let rows = offsets.len() - 1;
    Texts { present: bits((0..rows).map(|_| true)), offsets, text }
}

fn bits(values: impl Iterator<Item = bool>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (row, value) in values.enumerate() {
        if row % 8 == 0 {
            bytes.push(0);
        }
        if let Some(last) = bytes.last_mut() {
            *last |= u8::from(value) << (row % 8);
        }
    }
    bytes
}

/// Keeps the states of shops between batches, as a host does.
struct Host {
    judge: Judge,
    states: Vec<(&'static str, Option<Vec<u8>>)>,
}

impl Host {
    fn of(window: &str, when: &str) -> Self {
        let text = format!("{FIELDS}{when}\n[[window]]\nname = \"w\"\n{window}\n");
        let program = compile(&text).unwrap_or_else(|problems| panic!("{window}: {problems:?}"));
        Self { judge: Judge::new(program, "{}").expect("no settings"), states: Vec::new() }
    }

    fn judge(&mut self, events: &[Event]) -> Outcome {
        let mut shops: Vec<&'static str> = Vec::new();
        let of_row = events.iter().map(|(shop, ..)| {
            let known = shops.iter().position(|known| known == shop);
            known.unwrap_or_else(|| {
                shops.push(shop);
                shops.len() - 1
            }) as u32
        });
        let of_row = of_row.collect();
        let state = |shop: &&str| self.states.iter().find(|(known, _)| known == shop).and_then(|(_, state)| state.clone());
        let batch = Batch {
            rows: events.len() as u32,
            columns: vec![
                Column::Texts(texts(events.iter().map(|event| event.0))),
                Column::Times(Integers {
                    present: bits(events.iter().map(|_| true)),
                    values: events.iter().map(|event| event.1 * 60_000_000).collect(),
                }),
                Column::Integers(Integers {
                    present: bits(events.iter().map(|event| event.2.is_some())),
                    values: events.iter().map(|event| event.2.unwrap_or_default()).collect(),
                }),
                Column::Texts(texts(events.iter().map(|event| event.3))),
            ],
            keys: Some(Keys { of_row, states: shops.iter().map(state).collect() }),
        };
        let outcome = self.judge.evaluate(&batch);
        for changed in &outcome.states {
            let shop = shops[changed.key as usize];
            self.states.retain(|(known, _)| *known != shop);
            self.states.push((shop, changed.state.clone()));
        }
        outcome
    }
}

/// What each event gives: the window as evidence, `-` for none, or why it is undecided.
fn said(window: &str, when: &str, events: &[Event]) -> Vec<String> {
    let read = |outcomes: Vec<Outcome>, batches: Vec<usize>| -> Vec<String> {
        let mut all = Vec::new();
        for (outcome, rows) in outcomes.into_iter().zip(batches) {
            for row in 0..rows as u32 {
                let undecided = outcome.undecided.iter().find(|it| it.row == row).map(|it| it.reason.clone());
                let found = outcome.findings.iter().find(|it| it.row == row).map(|it| it.evidence[0].value.clone());
                all.push(undecided.or(found).unwrap_or_else(|| "-".to_owned()));
            }
        }
        all
    };
    let together = read(vec![Host::of(window, when).judge(events)], vec![events.len()]);
    let mut apart = Host::of(window, when);
    let outcomes = events.iter().map(|event| apart.judge(std::slice::from_ref(event))).collect();
    assert_eq!(read(outcomes, vec![1; events.len()]), together, "batches make no difference");
    together
}

#[test]
fn a_sliding_count_moves_with_the_events() {
    let events = [
        ("a", 0, None, "x"),
        ("a", 30, None, "x"),
        ("b", 31, None, "x"),
        ("a", 60, None, "x"),
        ("a", 50, None, "x"),
        ("a", 300, None, "x"),
        ("a", 60, None, "x"),
    ];
    // The event at 60 is an hour after that at 0, which is out; the one at 50 is late.
    assert_eq!(
        said("kind = \"count\"\nover = \"1h\"", "when = \"true\"", &events),
        ["1", "2", "1", "2", "3", "1", "rule r: the event is too late for the window w"]
    );
}

#[test]
fn what_a_window_does_not_keep_still_decides_what_it_can() {
    let events: Vec<Event> = (0..6).map(|minute| ("a", minute, None, "x")).collect();
    let window = "kind = \"count\"\nover = \"1h\"\nmost = 3";
    assert_eq!(said(window, "when = \"windows.w > 2\"", &events)[2..], ["3", "at least 3", "at least 3", "at least 3"]);
    assert_eq!(said(window, "when = \"2 >= windows.w\"", &events)[2..], ["-", "-", "-", "-"]);
    let unknown = "rule r: the window w had more than the 3 that it keeps, or was not seen as a whole";
    assert_eq!(said(window, "when = \"windows.w > 3\"", &events)[2..], ["-", unknown, unknown, unknown]);
    // In a list it is no number that is another one.
    for list in ["4 in [windows.w]", "[windows.w] == [4]", "[1].map(n, windows.w).exists(w, w == 4)", "-windows.w == -4"] {
        assert_eq!(said(window, &format!("when = \"{list}\""), &events)[2..], ["-", unknown, unknown, unknown], "{list}");
    }
    assert_eq!(
        said(window, "when = \"windows.w * 2 > 3\"", &events)[2..],
        ["6", unknown, unknown, unknown].map(|it| if it == "6" { "3" } else { it })
    );
}

#[test]
fn sums_leave_out_what_does_not_count_and_refuse_what_cannot() {
    let events = [
        ("a", 0, Some(100), "x"),
        ("a", 1, Some(-30), "x"),
        ("a", 2, None, "x"),
        ("a", 3, Some(5), "x"),
        ("a", 4, Some(i64::MAX), "x"),
        ("a", 5, Some(1), "x"),
    ];
    let beyond = "window w: a sum does not fit into 64 bits";
    assert_eq!(
        said("kind = \"sum\"\nof = \"event.cents\"\nover = \"1h\"", "when = \"true\"", &events),
        ["100", "70", "window w: /data/cents is not there", "75", beyond, "76"]
    );
    let counted =
        "kind = \"sum\"\nof = \"event.cents\"\nwhen = \"has(event.cents) && event.cents > 0\"\nover = \"1h\"\nshape = \"tumbling\"";
    let events = [
        ("a", 0, Some(100), "x"),
        ("a", 1, Some(-30), "x"),
        ("a", 2, None, "x"),
        ("a", 61, Some(5), "x"),
        ("a", 59, Some(1), "x"),
        ("a", 62, Some(i64::MAX), "x"),
        ("a", 63, Some(1), "x"),
    ];
    assert_eq!(
        said(counted, "when = \"true\"", &events),
        ["100", "100", "100", "5", "101", "window w: a sum does not fit into 64 bits", "6"],
        "what is undecided is not remembered"
    );
}

#[test]
fn a_sum_is_known_whole_or_not_at_all() {
    let events: Vec<Event> = (0..4).map(|minute| ("a", minute, Some(1), "x")).collect();
    let window = "kind = \"sum\"\nof = \"event.cents\"\nover = \"1h\"\nmost = 2";
    let unknown = "rule r: the window w had more than the 2 that it keeps, or was not seen as a whole";
    // What was not judged is not remembered, so the next event finds two again.
    assert_eq!(said(window, "when = \"windows.w > 0\"", &events), ["1", "2", unknown, unknown]);
}

#[test]
fn different_values_are_counted_once() {
    let events = [("a", 0, None, "x"), ("a", 1, None, "y"), ("a", 2, None, "x"), ("a", 61, None, "z"), ("a", 62, None, "y")];
    let window = |shape: &str| format!("kind = \"distinct\"\nof = \"event.customer\"\nover = \"1h\"\nshape = \"{shape}\"\nmost = 2");
    assert_eq!(said(&window("tumbling"), "when = \"true\"", &events), ["1", "2", "2", "1", "2"]);
    let events = &events[..3];
    assert_eq!(said(&window("sliding"), "when = \"true\"", events), ["1", "2", "at least 2"]);
}

#[test]
fn states_of_other_windows_are_not_read() {
    let mut one = Host::of("kind = \"count\"\nover = \"1h\"", "when = \"true\"");
    one.judge(&[("a", 0, None, "x")]);
    let mut other = Host::of("kind = \"count\"\nover = \"2h\"", "when = \"true\"");
    other.states.clone_from(&one.states);
    let outcome = other.judge(&[("a", 1, None, "x")]);
    assert!(outcome.undecided[0].reason.starts_with("the state of the key cannot be read: "), "{:?}", outcome.undecided);
    assert!(outcome.states.is_empty(), "it stays as it was");
}
