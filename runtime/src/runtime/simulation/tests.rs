//! How many runs, from which seed, and how long each: `EPHOR_SEEDS`, `EPHOR_SEED` and
//! `EPHOR_STEPS`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::model::{Mode, Order};
use super::{Counts, Run};
use crate::event::Event;
use crate::ingest;

/// Steps of a run.
const STEPS: u64 = 400;

fn read(text: &str) -> Option<Event> {
    ingest::structured(text.as_bytes(), &ingest::Limits::default()).ok()
}

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn add(all: &mut Counts, one: Counts) {
    all.steps += one.steps;
    all.events += one.events;
    all.answers += one.answers;
    all.changes += one.changes;
    all.entries += one.entries;
    all.starts += one.starts;
    all.failed_starts += one.failed_starts;
    all.power_cuts += one.power_cuts;
    all.disk_failures += one.disk_failures;
    all.cold_reads += one.cold_reads;
    all.checkpoints += one.checkpoints;
}

/// Each run is on one thread; runs are independent of each other.
#[test]
#[expect(clippy::print_stdout, reason = "how much was tried is part of what it says")]
fn du_03_du_19_whatever_fails_the_promises_hold() {
    let (first, count, steps) = (number("EPHOR_SEED", 1), number("EPHOR_SEEDS", 200), number("EPHOR_STEPS", STEPS));
    let (next, all, failed) = (AtomicU64::new(first), Mutex::new(Counts::default()), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return;
            }
            match catch_unwind(AssertUnwindSafe(|| Run::new(seed, read).run(steps))) {
                Ok(counts) => add(&mut all.lock().expect("no panic"), counts),
                Err(_) => failed.lock().expect("no panic").push(seed),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            std::thread::Builder::new().stack_size(32 << 20).spawn_scoped(scope, work).expect("a thread");
        }
    });
    let (counts, mut failed) = (*all.lock().expect("no panic"), failed.into_inner().expect("no panic"));
    failed.sort_unstable();
    println!("{count} seeds from {first} on: {counts:?}");
    assert!(
        failed.is_empty(),
        "{} of {count} runs failed: {failed:?}; the first again: EPHOR_SEED={} EPHOR_SEEDS=1",
        failed.len(),
        failed[0]
    );
    assert!(count < 100 || counts.power_cuts > count && counts.disk_failures > count / 4, "too little went wrong: {counts:?}");
}

/// What a release remembers in shadow was kept under a name that the release in force could
/// have, and in its place, or twice.
#[test]
fn whoever_is_tried_out_shares_states_with_nobody() {
    let begin = |release, mode| Order::Install { release, mode, from: None };
    let promote = Order::Promote { policy: "count", to: Mode::Enforce };
    let demote = Order::Demote { policy: "count" };
    let later = Order::Install { release: 4, mode: Mode::Enforce, from: Some(0) };
    let scripts = [
        vec![begin(3, Mode::Shadow), promote, begin(5, Mode::Enforce), begin(3, Mode::Shadow)],
        vec![begin(3, Mode::Enforce), later, demote.clone()],
        vec![begin(3, Mode::Enforce), demote, begin(5, Mode::Enforce)],
    ];
    for script in scripts {
        let mut run = Run::new(1, read);
        for order in script {
            run.hand_in(vec![order]);
            (0..20).for_each(|_| run.submit());
            run.close();
        }
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = || {
        let run = std::thread::Builder::new().stack_size(32 << 20).spawn(|| Run::new(7, read).run(STEPS));
        run.expect("a thread").join().expect("it holds")
    };
    assert_eq!(run(), run());
}
