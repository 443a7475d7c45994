//! Other engines with the same rule on the same events, which `tests/peers` has built and
//! measured in a process of its own, and ours beside them. What is held against each other
//! is the share of the rate that the same native code has in the same process.

use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::Instant;

use ephor::bench::Policy;
use ephor::ingest;
use ephor_tests::{binary, data, guest, target_dir};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::orders::Orders;
use crate::report::short;
use crate::rule::{Order, Rule};
use crate::{median, rounds};

/// Events of a batch: as when one comes alone, and as under load.
const BATCHES: [usize; 2] = [1, 1_024];

/// All of them, dearest last; nothing of others if they were not built.
pub(crate) fn report(threads: &Runtime) -> Value {
    let orders = Orders::read();
    let mut items = others(&orders);
    items.extend(ours(threads, &orders));
    items.sort_by(|one, other| other["share"].as_f64().unwrap_or_default().total_cmp(&one["share"].as_f64().unwrap_or_default()));
    println!("\nThe rule on one event, from JSON text to whether it is rejected, one thread");
    println!("{:<44}{:>10}{:>12}{:>20}", "", "version", "ns", "of native's rate");
    for item in &items {
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_string();
        let figure = |name: &str| short(item[name].as_f64().unwrap_or_default());
        println!("{:<44}{:>10}{:>12}{:>20}", text("name"), text("version"), figure("ns"), figure("share"));
    }
    items.into()
}

fn others(orders: &Orders) -> Vec<Value> {
    let built = target_dir().join("peers");
    let (program, plugin) = (built.join("release/ephor-peers"), built.join("wasm32-unknown-unknown/release/peer_plugin.wasm"));
    if !program.exists() || !plugin.exists() {
        data::left_out("other engines", "they are not built; `make bench` builds them");
        return Vec::new();
    }
    let (events, settings) = orders.write();
    let mut command = Command::new(program);
    command.arg(events).arg(settings).arg(plugin).arg(rounds().to_string());
    let output = command.stderr(Stdio::inherit()).output().expect("the peers start");
    assert!(output.status.success(), "the peers ended with {}", output.status);
    let items: Vec<Value> = serde_json::from_slice(&output.stdout).expect("the peers' figures");
    let expected = orders.rejects_of(orders.documents.len());
    assert!(items.iter().all(|item| item["rejects"].as_u64() == Some(expected)), "all reject {expected} orders: {items:?}");
    items
}

/// From an event's bytes to the findings of the policy: decoded, projected, evaluated.
fn ours(threads: &Runtime, orders: &Orders) -> Vec<Value> {
    let rule = Rule::new(&orders.settings).expect("settings");
    let count = orders.documents.len();
    let lines = orders.events(count);
    let (worker, component) = (binary(), guest("order_limit"));
    let loaded = Policy::load(&worker, &component, orders.settings.as_bytes(), &[]);
    let policy = threads.block_on(loaded).expect("a policy");
    let limits = ingest::Limits::default();
    let natively = || {
        let rejects = |document: &String| {
            let order: Order = serde_json::from_str(black_box(document)).expect("an order");
            u64::from(rule.rejects(&order))
        };
        orders.documents.iter().map(rejects).sum::<u64>()
    };
    let over_columns = |batch: usize| {
        let mut rejects = 0;
        for lines in lines.chunks(batch) {
            let events: Vec<_> = lines.iter().map(|line| ingest::structured(line.as_bytes(), &limits).expect("an event")).collect();
            rejects += policy.judge(&policy.prepare(&events)).findings;
        }
        rejects
    };
    let expected = orders.rejects_of(count);
    let timed = |run: &dyn Fn() -> u64, passes: u32| {
        let begin = Instant::now();
        for _ in 0..passes {
            assert_eq!(run(), expected, "all find the same");
        }
        begin.elapsed().as_secs_f64() * 1e9 / (f64::from(passes) * count as f64)
    };
    let mut times: [Vec<f64>; 3] = Default::default();
    for round in 0..=rounds() {
        let of_round = [timed(&natively, 20), timed(&|| over_columns(BATCHES[0]), 1), timed(&|| over_columns(BATCHES[1]), 10)];
        // The first round warms up.
        if round > 0 {
            times.iter_mut().zip(of_round).for_each(|(times, time)| times.push(time));
        }
    }
    let item = |batch: usize, own: &Vec<f64>| {
        let shares = times[0].iter().zip(own).map(|(native, own)| native / own);
        json!({
            "name": format!("Ephor, over columns, batch {batch}"), "version": env!("CARGO_PKG_VERSION"), "licence": "Apache-2.0",
            "measured": "the order as a CloudEvent, checked as one; fields taken out; an instance of its own for the batch, under fuel and limits; findings with evidence",
            "ns": median(own.iter().copied()), "share": median(shares), "rejects": expected, "events": count, "rounds": rounds(),
        })
    };
    vec![item(BATCHES[0], &times[1]), item(BATCHES[1], &times[2])]
}
