//! What each step of the way costs, on the same events and in one run: the rule
//! native, over columns in Wasm, parsing JSON in the guest, a fresh instance,
//! projection and decoding alone; look-ups in a list; the whole way over HTTP against a server that only
//! parses the same lines; what a ledger costs, and what a swap does.
//!
//! Rungs take turns, round by round, so that a machine that slows down slows all
//! of them; what is reported is the median. Ratios are taken within a round,
//! because two times of different rounds are not comparable.
#![expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]

mod durable;
mod http;
mod keys;
mod lists;
#[path = "../../guests/examples/order_limit.rs"]
mod order_limit;
mod orders;
mod swap;

use std::hint::black_box;
use std::time::{Duration, Instant};

use ephor::bench::{Form, Policy};
use ephor::column::Kind;
use ephor::ingest;
use ephor::policy::manifest::AskedForm;
use ephor::policy::publisher::FieldForm;
use ephor_tests::{binary, guest, target_dir};
use order_limit::OrderLimit;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Odd, so that the median is a round that took place.
const ROUNDS: usize = 9;
/// Calls of one rung in one round.
const CALLS: usize = 20;

/// One rung: its name and the time per event of each round.
struct Rung {
    name: &'static str,
    times: Vec<Duration>,
}

/// The middle one.
fn median<T: PartialOrd + Copy>(values: impl IntoIterator<Item = T>) -> T {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_by(|a, b| a.partial_cmp(b).expect("times are numbers"));
    values[values.len() / 2]
}

/// How many times as long as another rung this one takes.
fn ratio(rungs: &[Rung], name: &str, other: &str) -> f64 {
    let times = |name: &str| &rungs.iter().find(|rung| rung.name == name).unwrap_or_else(|| panic!("no rung {name}")).times;
    median(times(name).iter().zip(times(other)).map(|(one, other)| one.as_secs_f64() / other.as_secs_f64()))
}

/// Time per event of a call on all events.
fn time<T>(events: usize, mut call: impl FnMut() -> T) -> Duration {
    let begin = Instant::now();
    for _ in 0..CALLS {
        black_box(call());
    }
    begin.elapsed() / (CALLS * events) as u32
}

/// A comparison for `target/bench.json`.
fn row(name: &str, ratio: f64, yardstick: &str, goal: Option<(&str, bool)>) -> Value {
    let ratio = (ratio * 1_000.0).round() / 1_000.0;
    json!({"name": name, "ratio": ratio, "yardstick": yardstick, "goal": goal.map(|(goal, _)| goal), "met": goal.map(|(_, met)| met)})
}

fn policies(threads: &Runtime) -> Vec<Value> {
    let (lines, settings) = orders::orders();
    let settings = settings.as_str();
    let count = lines.len();
    let limits = ingest::Limits::default();
    let decode = || lines.iter().map(|line| ingest::structured(line.as_bytes(), &limits).expect("an event")).collect::<Vec<_>>();
    let events = decode();

    let values: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("an event")).collect();
    let native = ephor_sdk::testing::Policy::<OrderLimit>::new(settings).expect("the settings fit");
    let native_batch = native.columns(&values);
    let load = |name| async move { Policy::load(&binary(), &guest(name), settings.as_bytes(), &[]).await };
    let columns = threads.block_on(load("order_limit")).expect("a policy");
    let column_view = columns.view(&columns.project(&events));
    let documents = threads.block_on(load("json_in_guest")).expect("a policy");
    let document_view = documents.view(&documents.project(&events));

    // The same rule on the same events: all three find the same.
    let expected = native.judge_batch(&native_batch).findings.len();
    assert_eq!(expected, orders::rejects(&values, settings), "the native rule");
    assert_eq!(columns.evaluate(&column_view), expected, "the rule over columns");
    assert_eq!(documents.evaluate(&document_view), expected, "the rule that parses");

    let mut rungs: Vec<Rung> =
        ["native rule", "columns in Wasm", "JSON parsed in the guest", "fresh instance per batch", "projection alone", "decoding alone"]
            .map(|name| Rung { name, times: Vec::new() })
            .into();
    for round in 0..=ROUNDS {
        let times = [
            time(count, || native.judge_batch(black_box(&native_batch))),
            time(count, || columns.evaluate(black_box(&column_view))),
            time(count, || documents.evaluate(black_box(&document_view))),
            time(count, || columns.instantiate().expect("an instance")),
            time(count, || columns.view(&columns.project(black_box(&events)))),
            time(count, &decode),
        ];
        // The first round warms up.
        if round > 0 {
            for (rung, time) in rungs.iter_mut().zip(times) {
                rung.times.push(time);
            }
        }
    }

    println!("\n{count} orders in one batch, {expected} findings, median of {ROUNDS} rounds");
    println!("{:<28}{:>16}{:>14}", "", "ns per event", "to native");
    for rung in &rungs {
        let nanoseconds = median(rung.times.iter().copied()).as_nanos();
        println!("{:<28}{nanoseconds:>16}{:>13.2}x", rung.name, ratio(&rungs, rung.name, "native rule"));
    }
    let columns_vs_native = ratio(&rungs, "columns in Wasm", "native rule");
    vec![
        row("columns_vs_native", columns_vs_native, "time of the same rule native", Some(("<= 4", columns_vs_native <= 4.0))),
        row(
            "json_in_guest_vs_columns",
            ratio(&rungs, "JSON parsed in the guest", "columns in Wasm"),
            "time of the same rule over columns in Wasm",
            None,
        ),
        row(
            "fresh_instance_vs_columns",
            ratio(&rungs, "fresh instance per batch", "columns in Wasm"),
            "time of the same rule over columns in Wasm",
            None,
        ),
        row(
            "projection_vs_columns",
            ratio(&rungs, "projection alone", "columns in Wasm"),
            "time of the same rule over columns in Wasm",
            None,
        ),
        row("decoding_vs_columns", ratio(&rungs, "decoding alone", "columns in Wasm"), "time of the same rule over columns in Wasm", None),
    ]
}

/// What the forms of fields cost for a value, reading it included.
fn forms() -> Vec<Value> {
    const VALUES: usize = 4_096;
    let word = |word: &str| FieldForm::from(word);
    let coarse = |step, unit: Option<&str>, geohash: Option<u8>| {
        let axis = geohash.map(|_| "latitude".to_string());
        FieldForm { form: "coarse".into(), step, unit: unit.map(str::to_string), geohash, axis, ..FieldForm::default() }
    };
    let texts: Vec<String> = (0..VALUES).map(|n| format!("\"1380013{n:04}\"")).collect();
    let integers: Vec<String> = (0..VALUES).map(|n| (n * 7_919).to_string()).collect();
    let floats: Vec<String> = (0..VALUES).map(|n| format!("39.{:06}", n * 217)).collect();
    let times: Vec<String> = (0..VALUES).map(|n| format!("\"2026-02-{:02}T12:{:02}:{:02}Z\"", 1 + n % 28, n / 60 % 60, n % 60)).collect();
    let mask = FieldForm { keep: Some(4), ..word("mask") };
    let rows: [(&str, Kind, AskedForm, FieldForm, &[String]); 10] = [
        ("a text, plain", Kind::Text, AskedForm::Plain, word("plain"), &texts),
        ("a text, pseudonym", Kind::Text, AskedForm::Pseudonym, word("pseudonym"), &texts),
        ("a text, masked", Kind::Text, AskedForm::Mask, mask, &texts),
        ("an integer, plain", Kind::Integer, AskedForm::Plain, word("plain"), &integers),
        ("an integer, to a step", Kind::Integer, AskedForm::Coarse, coarse(Some(100.0), None, None), &integers),
        ("a float, plain", Kind::Float, AskedForm::Plain, word("plain"), &floats),
        ("a float, to a step", Kind::Float, AskedForm::Coarse, coarse(Some(0.1), None, None), &floats),
        ("a float, to a geohash of 6", Kind::Float, AskedForm::Coarse, coarse(None, None, Some(6)), &floats),
        ("a time, plain", Kind::Time, AskedForm::Plain, word("plain"), &times),
        ("a time, to the month", Kind::Time, AskedForm::Coarse, coarse(None, Some("month"), None), &times),
    ];
    let forms: Vec<Form> = rows.iter().map(|(_, kind, asked, form, _)| Form::new(*kind, *asked, form.clone()).expect("a form")).collect();
    let mut rungs: Vec<Rung> = rows.iter().map(|(name, ..)| Rung { name, times: Vec::new() }).collect();
    for round in 0..=ROUNDS {
        for (rung, (form, (_, kind, _, _, values))) in rungs.iter_mut().zip(forms.iter().zip(&rows)) {
            let time = time(values.len(), || assert_eq!(form.show(*kind, black_box(values)), values.len(), "every value is shown"));
            // The first round warms up.
            if round > 0 {
                rung.times.push(time);
            }
        }
    }
    println!("\nForms of fields, {VALUES} values, median of {ROUNDS} rounds");
    println!("{:<28}{:>16}", "", "ns per value");
    for rung in &rungs {
        println!("{:<28}{:>16}", rung.name, median(rung.times.iter().copied()).as_nanos());
    }
    vec![row("pseudonym_vs_plain", ratio(&rungs, "a text, pseudonym", "a text, plain"), "time to read the same text plain", None)]
}

fn whole_path(threads: &Runtime) -> Vec<Value> {
    let (events, rates) = threads.block_on(http::rounds(ROUNDS));
    println!("\n{events} sample events over HTTP on two connections, median of {ROUNDS} rounds");
    println!("{:<44}{:>18}{:>18}", "", "events per second", "to parse-only");
    let shares: Vec<f64> = rates.iter().map(|(_, own)| median(own.iter().zip(&rates[0].1).map(|(one, parse)| one / parse))).collect();
    for ((name, own), share) in rates.iter().zip(&shares) {
        println!("{name:<44}{:>18.0}{share:>17.2}x", median(own.iter().copied()));
    }
    let yardstick = "events per second of a hyper server that only parses the same lines";
    vec![
        row("http_vs_parse_only", shares[1], yardstick, Some((">= 0.35", shares[1] >= 0.35))),
        row("http_minimal_vs_parse_only", shares[2], yardstick, None),
    ]
}

fn main() {
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    if keys::run_asked(&threads) {
        return;
    }
    // One part alone, while working on it; then the file has the rest no more.
    let only = std::env::var("EPHOR_BENCH_ONLY").ok();
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    let mut rows = Vec::new();
    if wanted("policies") {
        rows.extend(policies(&threads));
    }
    if wanted("forms") {
        rows.extend(forms());
    }
    if wanted("lists") {
        rows.extend(lists::report(&threads));
    }
    if wanted("http") {
        rows.extend(whole_path(&threads));
    }
    if wanted("durable") {
        rows.extend(threads.block_on(durable::report(ROUNDS)));
    }
    if wanted("swap") {
        rows.extend(threads.block_on(swap::report()));
    }
    if wanted("keys") {
        rows.extend(keys::report());
    }
    let path = target_dir().join("bench.json");
    std::fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&rows).expect("JSON"))).expect("target/bench.json can be written");
    println!("\n{:<30}{:>9}  {:<10} met", "ratio", "", "goal");
    for row in &rows {
        let met = match row["met"].as_bool() {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        println!("{:<30}{:>9}  {:<10} {met}", row["name"].as_str().unwrap_or_default(), row["ratio"], row["goal"].as_str().unwrap_or(""));
    }
    println!("\nwritten to {}", path.display());
}
