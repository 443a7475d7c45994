//! What a look-up costs: in a list, in a native map of the same entries, and by a policy
//! that looks every row up; with the real list where it is.

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use ephor::bench::Policy;
use ephor::reference::Draft;
use ephor::{List, ingest};
use ephor_tests::{binary, data, policy, settings};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::report::Row;
use crate::{median, rounds, time};

/// Look-ups of one round; a batch of the policy.
const KEYS: usize = 1_024;

/// The last version of the real list; without it one of the same size is made here.
fn entries() -> Vec<(String, String)> {
    let read = |folder: &Path| {
        let file = std::fs::File::open(folder.join("sdn_last.csv.gz")).ok()?;
        let text = std::io::read_to_string(flate2::read::MultiGzDecoder::new(file)).ok()?;
        // The number has no comma or quote; of the rest only how long it is matters.
        let row = |line: &str| line.split_once(',').map(|(number, name)| (number.to_string(), name.to_string()));
        Some(text.lines().skip(1).filter_map(row).filter(|(number, _)| number.parse::<u32>().is_ok()).collect::<Vec<_>>())
    };
    let mut entries = data::sanctions_folder().as_deref().and_then(read).unwrap_or_else(|| {
        data::left_out("the real sanctions list", "there is no ../shared/data; a list of the same size takes its place");
        (0..15_000).map(|number| ((number * 3).to_string(), format!("PARTY NUMBER {number} OF A LIST"))).collect()
    });
    entries.sort();
    entries.dedup_by(|one, other| one.0 == other.0);
    entries
}

pub(crate) fn report(threads: &Runtime) -> Vec<Row> {
    let entries = entries();
    let mut draft = Draft::new("sanctions", "1", &["number", "name"]).expect("a draft");
    for (key, value) in &entries {
        draft.push(key, value).expect("an entry");
    }
    let list: Arc<List> = Arc::new(draft.finish().expect("a list"));
    let map: HashMap<&str, &str> = entries.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();

    // One in sixteen is listed, in no order.
    let listed = |at: usize| entries[at * 7_919 % entries.len()].0.clone();
    let keys: Vec<String> = (0..KEYS).map(|at| if at.is_multiple_of(16) { listed(at) } else { format!("9{at:05}") }).collect();
    let found = keys.iter().filter(|key| map.contains_key(key.as_str())).count();
    assert_eq!(keys.iter().filter(|key| list.contains(key)).count(), found, "both find the same");

    let (worker, component, settings) = (binary(), policy("sanctioned-party"), settings("sanctioned-party"));
    let loaded = Policy::load(&worker, &component, settings.as_bytes(), std::slice::from_ref(&list));
    let policy = threads.block_on(loaded).expect("a policy");
    let limits = ingest::Limits::default();
    let payment = |key: &String| {
        let event = json!({"specversion": "1.0", "id": key, "source": "/bank", "type": "payment.order", "data": {"counterparty": key}});
        ingest::structured(event.to_string().as_bytes(), &limits).expect("an event")
    };
    let events: Vec<_> = keys.iter().map(payment).collect();
    let view = policy.view(&policy.project(&events));
    assert_eq!(policy.evaluate(&view), found, "the policy finds the same");

    let names = ["native map", "list", "policy that looks every row up", "opening the list"];
    let mut times: Vec<[f64; 4]> = Vec::new();
    for round in 0..=rounds() {
        let of_round = [
            time(KEYS, || keys.iter().filter(|key| map.contains_key(black_box(key.as_str()))).count()),
            time(KEYS, || keys.iter().filter(|key| list.get(black_box(key.as_str())).is_some()).count()),
            time(KEYS, || policy.evaluate(black_box(&view))),
            time(entries.len(), || List::open(list.bytes().clone()).expect("a list")),
        ];
        // The first round warms up.
        if round > 0 {
            times.push(of_round);
        }
    }
    let ratios = |one: usize, other: usize| -> Vec<f64> { times.iter().map(|round| round[one] / round[other]).collect() };
    println!("\n{} entries, {KEYS} look-ups of which {found} find something, median of {} rounds", entries.len(), rounds());
    println!("{:<36}{:>12}{:>22}", "", "ns each", "millions per second");
    for (at, name) in names.iter().enumerate() {
        let each = median(times.iter().map(|round| round[at]));
        println!("{name:<36}{:>12.0}{:>22.1}", each, 1e3 / each);
    }
    let yardstick = "time of a look-up in a native map of the same entries";
    vec![Row::of("list_vs_native_map", &ratios(1, 0), yardstick), Row::of("listed_policy_vs_native_map", &ratios(2, 0), yardstick)]
}
