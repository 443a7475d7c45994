//! Many keys: what they take in memory where there is room for all of their states, and
//! where there is not; and what it costs that states are read from the disk then.
//!
//! Each run is a process of its own, so that its memory is its own too.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use ephor::event::Event;
use ephor::runtime::Limits;
use ephor::{Runtime, ingest};
use ephor_tests::{binary, policy, settings, target_dir};
use serde_json::{Value, json};

use crate::report::{Goal, Row};

/// Holds the number of keys and the bound of a run, in a process that is to make one.
const RUN: &str = "EPHOR_BENCH_KEYS_RUN";

/// A million has to fit into a gigabyte; ten million are to work on a small machine.
const FEW: u64 = 1_000_000;
const MANY: u64 = 10_000_000;

/// What states may take in memory: room for all, and for a tenth of the many.
const ALL: usize = 16 << 30;
const SOME: usize = 80 << 20;

/// Events on keys that have a state already, the k-th most frequent with a frequency of
/// 1/k (Zipf).
const DRAWN: u64 = 1_000_000;

/// Events that are submitted together.
const TOGETHER: u64 = 1_000;

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

/// The number of a key that is drawn: the first few are drawn as often as all others, and
/// are spread over the time in which they came.
pub(crate) fn drawn(number: u64, keys: u64) -> u64 {
    // SplitMix64, so that each run draws the same.
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    let uniform = (mixed >> 11) as f64 / (1u64 << 53) as f64;
    let rank = (keys as f64).powf(uniform) as u64;
    rank.wrapping_mul(7_919) % keys
}

fn event(id: u64, key: u64) -> Event {
    let text = format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/keys","type":"mobility.vehicle.observed","data":{{"provider":"Veo","snapshot_id":"{key}"}}}}"#
    );
    ingest::structured(text.as_bytes(), &ingest::Limits::default()).expect("an event")
}

/// Submits events of these keys, several batches at the same time; events per second.
async fn send(runtime: &Runtime, first: u64, count: u64, key: impl Fn(u64) -> u64) -> f64 {
    let begin = Instant::now();
    let mut waiting = std::collections::VecDeque::new();
    for from in (first..first + count).step_by(TOGETHER as usize) {
        let events = (from..(from + TOGETHER).min(first + count)).map(|id| event(id, key(id))).collect();
        waiting.push_back(runtime.submit(events).await.expect("running"));
        if waiting.len() == 8 {
            waiting.pop_front().expect("one").await.expect("running");
        }
    }
    for pending in waiting {
        pending.await.expect("running");
    }
    count as f64 / begin.elapsed().as_secs_f64()
}

/// A figure of the runtime's.
fn metric(runtime: &Runtime, name: &str) -> f64 {
    let page = runtime.stats().encode();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).expect("a figure");
    line.parse().expect("a number")
}

async fn run(keys: u64, bound: usize) -> Value {
    let folder = target_dir().join("bench-data").join("keys");
    let _ = fs::remove_dir_all(&folder);
    let spine = Limits { state_bytes_max: 16 << 30, state_memory_bytes_max: bound, ..Limits::default() };
    let start = async || {
        let builder = Runtime::builder().worker(binary()).cache(target_dir().join("it-cache"));
        let runtime = builder.spine(spine.clone()).data(&folder).build().expect("a runtime");
        runtime.install(policy("fleet-cap"), settings("fleet-cap").into_bytes()).await.expect("a policy in force");
        runtime
    };
    let runtime = start().await;
    // What the first ones take is not for keys.
    send(&runtime, 0, 20_000, |id| id).await;
    let before = resident();
    let filled = send(&runtime, 20_000, keys - 20_000, |id| id).await;
    let after = resident();
    let rate = send(&runtime, keys, DRAWN, |id| drawn(id, keys)).await;
    assert_eq!(metric(&runtime, "ephor_state_keys"), keys as f64);
    let reads = metric(&runtime, "ephor_state_reads_total");
    let journal: u64 =
        fs::read_dir(folder.join("journal")).expect("a folder").map(|file| file.expect("a file").metadata().expect("a size").len()).sum();
    runtime.close().await;
    let begin = Instant::now();
    let runtime = start().await;
    let opened = begin.elapsed().as_secs_f64();
    assert_eq!(metric(&runtime, "ephor_state_keys"), keys as f64, "a start takes up all states");
    send(&runtime, keys + DRAWN, 1_000, |id| drawn(id, keys)).await;
    runtime.close().await;
    let _ = fs::remove_dir_all(folder);
    let each = after.saturating_sub(before) as f64 / (keys - 20_000) as f64;
    json!({"filled": filled, "resident": after, "each": each, "rate": rate, "reads": reads, "journal": journal, "opened": opened})
}

/// Makes a run, if this process is there for that.
pub(crate) fn run_asked(threads: &tokio::runtime::Runtime) -> bool {
    let Ok(asked) = std::env::var(RUN) else { return false };
    let (keys, bound) = asked.split_once(' ').expect("keys and bound");
    let figures = threads.block_on(run(keys.parse().expect("a number"), bound.parse().expect("a number")));
    println!("{figures}");
    true
}

fn in_a_process(keys: u64, bound: usize) -> Value {
    let own = std::env::current_exe().expect("the path of this program");
    let output = Command::new(own).env(RUN, format!("{keys} {bound}")).stderr(Stdio::inherit()).output().expect("this program starts");
    assert!(output.status.success(), "{}", output.status);
    serde_json::from_slice(&output.stdout).expect("figures")
}

pub(crate) fn report() -> Vec<Row> {
    println!("\nKeys of one policy, one event each, then {DRAWN} events of which the k-th most frequent key has 1/k");
    println!(
        "{:<12}{:>14}{:>14}{:>14}{:>14}{:>14}{:>16}{:>14}{:>14}",
        "keys", "bound MiB", "resident MiB", "bytes each", "filled /s", "drawn /s", "states read", "journal MiB", "start s"
    );
    let runs = [(FEW, ALL), (FEW, SOME / 10), (MANY, ALL), (MANY, SOME)].map(|(keys, bound)| {
        let run = in_a_process(keys, bound);
        let figure = |name: &str| run[name].as_f64().unwrap_or(f64::NAN);
        let bound = if bound == ALL { "all".to_string() } else { (bound >> 20).to_string() };
        println!(
            "{keys:<12}{bound:>14}{:>14.0}{:>14.0}{:>14.0}{:>14.0}{:>16.0}{:>14.0}{:>14.1}",
            figure("resident") / 1_048_576.0,
            figure("each"),
            figure("filled"),
            figure("rate"),
            figure("reads"),
            figure("journal") / 1_048_576.0,
            figure("opened")
        );
        run
    });
    let of = |run: usize, name: &str| runs[run][name].as_f64().unwrap_or(f64::NAN);
    let gib = of(0, "resident") / (1u64 << 30) as f64;
    vec![
        Row::of("million_keys_gib", &[gib], "resident memory").unit(" GiB").goal(Goal::AtMost(1.0)),
        Row::ratios("cold_vs_hot", &[of(3, "rate")], &[of(2, "rate")], "events per second with all states in memory, ten million keys"),
        Row::ratios("cold_vs_hot_memory", &[of(3, "resident")], &[of(2, "resident")], "resident memory of the same"),
    ]
}
