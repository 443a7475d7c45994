//! What each step of the way costs, on the same events and in one run: the rule
//! native, over columns in Wasm, parsing JSON in the guest, a fresh instance,
//! projection and decoding alone; look-ups in a list; many policies; state; the whole way
//! over HTTP against servers that only parse, or have the rule built in; what a ledger
//! costs, and what a swap does; starting, and standing still; other engines.
//!
//! Rungs take turns, round by round, so that a machine that slows down slows all
//! of them; what is reported is the median. Ratios are taken within a round,
//! because two times of different rounds are not comparable.
//!
//! `EPHOR_BENCH_ROUNDS` says how many rounds, `EPHOR_BENCH_SECONDS` how long one of single
//! requests takes, `EPHOR_BENCH_SWAPS` how many swaps there are, `EPHOR_BENCH_KEYS` how many
//! keys the policy with state has, `EPHOR_BENCH_ONLY` which parts are run (`policies,served`):
//! `policies`, `many`, `served`, `twin`, `start`, `swap`, `peers`, `forms`, `lists`, `http`,
//! `durable`, `keys`. `plots` is run only if it is named.
#![expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]

mod document;
mod durable;
mod http;
mod keys;
mod lists;
mod machine;
mod many;
#[path = "../../guests/examples/order_limit.rs"]
mod order_limit;
mod orders;
mod peers;
mod plots;
mod report;
#[path = "../../peers/src/rule.rs"]
mod rule;
mod rungs;
mod served;
mod spine;
mod start;
mod swap;
mod sync;
mod twin;

use std::hint::black_box;
use std::time::Instant;

use ephor_tests::target_dir;
use serde_json::Value;

/// Rounds, if nothing else is said. Odd, so that the median is a round that took place.
const ROUNDS: usize = 9;
/// Calls of one rung in one round.
const CALLS: usize = 20;

/// A number that the environment may say.
fn setting(name: &str, default: usize) -> usize {
    match std::env::var(name) {
        Ok(text) => text.replace('_', "").parse().unwrap_or_else(|_| panic!("{name} is no number: {text:?}")),
        Err(_) => default,
    }
}

/// How many rounds there are.
fn rounds() -> usize {
    setting("EPHOR_BENCH_ROUNDS", ROUNDS).max(1)
}

/// The middle one.
fn median<T: PartialOrd + Copy>(values: impl IntoIterator<Item = T>) -> T {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_by(|a, b| a.partial_cmp(b).expect("times are numbers"));
    values[values.len() / 2]
}

/// Nanoseconds per event of a call on all events.
fn time<T>(events: usize, mut call: impl FnMut() -> T) -> f64 {
    let begin = Instant::now();
    for _ in 0..CALLS {
        black_box(call());
    }
    begin.elapsed().as_secs_f64() * 1e9 / (CALLS * events) as f64
}

fn main() {
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    if keys::run_asked(&threads) {
        return;
    }
    // Some parts alone, while working on them; then the file has the rest no more.
    let only = std::env::var("EPHOR_BENCH_ONLY").ok();
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only.split(',').any(|only| only == part));
    if only.is_some() && wanted("plots") {
        plots::report(&threads);
    }
    let mut rows = Vec::new();
    if wanted("policies") {
        rows.extend(rungs::policies(&threads));
    }
    if wanted("many") {
        rows.extend(threads.block_on(many::report()));
    }
    if wanted("served") {
        rows.extend(served::report());
    }
    if wanted("twin") {
        rows.extend(threads.block_on(twin::report()));
    }
    if wanted("start") {
        rows.extend(start::report());
    }
    if wanted("swap") {
        rows.extend(threads.block_on(swap::report()));
    }
    let peers = if wanted("peers") { peers::report(&threads) } else { Value::Null };
    if wanted("forms") {
        rows.extend(rungs::forms());
    }
    if wanted("lists") {
        rows.extend(lists::report(&threads));
    }
    if wanted("http") {
        rows.extend(rungs::whole_path(&threads));
    }
    if wanted("durable") {
        rows.extend(threads.block_on(durable::report(rounds())));
    }
    if wanted("keys") {
        rows.extend(keys::report());
    }
    report::print(&rows);
    let machine = machine::describe();
    let path = target_dir().join("bench.json");
    report::write(&path, &rows, &machine, &peers);
    let page = document::write(&rows, &machine, &peers);
    println!("\nwritten to {} and {}", path.display(), page.display());
}
