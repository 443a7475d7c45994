//! Single steps in process, one after the other on the same events.

use std::hint::black_box;

use ephor::bench::{Form, Policy};
use ephor::column::Kind;
use ephor::ingest;
use ephor::policy::manifest::AskedForm;
use ephor::policy::publisher::FieldForm;
use ephor_tests::{binary, guest};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::order_limit::OrderLimit;
use crate::orders::Orders;
use crate::report::{Goal, Row};
use crate::{http, median, rounds, time};

/// Orders of the one batch.
const BATCH: usize = 1_024;

/// One rung: its name and the nanoseconds per event of each round.
struct Rung {
    name: &'static str,
    times: Vec<f64>,
}

fn rung<'r>(rungs: &'r [Rung], name: &str) -> &'r Rung {
    rungs.iter().find(|rung| rung.name == name).unwrap_or_else(|| panic!("no rung {name}"))
}

/// How many times as long as another rung this one takes, in each round.
fn ratios(rungs: &[Rung], name: &str, other: &str) -> Vec<f64> {
    let times = rung(rungs, name).times.iter().zip(&rung(rungs, other).times);
    times.map(|(one, other)| one / other).collect()
}

pub(crate) fn policies(threads: &Runtime) -> Vec<Row> {
    let orders = Orders::read();
    let (lines, settings, count) = (orders.events(BATCH), orders.settings.as_str(), BATCH);
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
    assert_eq!(expected as u64, orders.rejects_of(count), "the native rule");
    assert_eq!(columns.evaluate(&column_view), expected, "the rule over columns");
    assert_eq!(documents.evaluate(&document_view), expected, "the rule that parses");

    let mut rungs: Vec<Rung> =
        ["native rule", "columns in Wasm", "JSON parsed in the guest", "fresh instance per batch", "projection alone", "decoding alone"]
            .map(|name| Rung { name, times: Vec::new() })
            .into();
    for round in 0..=rounds() {
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

    println!("\n{count} orders in one batch, {expected} findings, median of {} rounds", rounds());
    println!("{:<28}{:>16}{:>14}", "", "ns per event", "to native");
    for rung in &rungs {
        let nanoseconds = median(rung.times.iter().copied());
        println!("{:<28}{nanoseconds:>16.1}{:>13.2}x", rung.name, median(ratios(&rungs, rung.name, "native rule")));
    }
    let row = |name: &str, of: &str, to: &str, yardstick: &str| {
        let (one, other) = (&rung(&rungs, of).times, &rung(&rungs, to).times);
        Row::ratios(name, one, other, yardstick).with("ns", one).with("ns, yardstick", other)
    };
    let in_wasm = "time of the same rule over columns in Wasm";
    vec![
        row("columns_vs_native", "columns in Wasm", "native rule", "time of the same rule native")
            .goal(Goal::AtMost(2.0))
            .stretch(", stretch 1.3")
            .line("one policy on columns"),
        row("json_in_guest_vs_columns", "JSON parsed in the guest", "columns in Wasm", in_wasm),
        row("fresh_instance_vs_columns", "fresh instance per batch", "columns in Wasm", in_wasm),
        row("projection_vs_columns", "projection alone", "columns in Wasm", in_wasm),
        row("decoding_vs_columns", "decoding alone", "columns in Wasm", in_wasm),
    ]
}

/// What the forms of fields cost for a value, reading it included.
pub(crate) fn forms() -> Vec<Row> {
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
    for round in 0..=rounds() {
        for (rung, (form, (_, kind, _, _, values))) in rungs.iter_mut().zip(forms.iter().zip(&rows)) {
            let time = time(values.len(), || assert_eq!(form.show(*kind, black_box(values)), values.len(), "every value is shown"));
            // The first round warms up.
            if round > 0 {
                rung.times.push(time);
            }
        }
    }
    println!("\nForms of fields, {VALUES} values, median of {} rounds", rounds());
    println!("{:<28}{:>16}", "", "ns per value");
    for rung in &rungs {
        println!("{:<28}{:>16.1}", rung.name, median(rung.times.iter().copied()));
    }
    let ratios = ratios(&rungs, "a text, pseudonym", "a text, plain");
    vec![Row::of("pseudonym_vs_plain", &ratios, "time to read the same text plain")]
}

pub(crate) fn whole_path(threads: &Runtime) -> Vec<Row> {
    let (events, rates) = threads.block_on(http::rounds(rounds()));
    println!("\n{events} sample events over HTTP on two connections, median of {} rounds", rounds());
    println!("{:<44}{:>18}", "", "events per second");
    for (name, own) in &rates {
        println!("{name:<44}{:>18.0}", median(own.iter().copied()));
    }
    let yardstick = "events per second of a hyper server that only parses the same lines, in one process with the client";
    let row = |name: &str, way: usize| Row::ratios(name, &rates[way].1, &rates[0].1, yardstick).with("events/s", &rates[way].1);
    vec![row("http_vs_parse_only", 1).goal(Goal::AtLeast(0.35)), row("http_minimal_vs_parse_only", 2)]
}
