//! What a swap costs under full load: how long it takes from a release to the first
//! verdict by it, what becomes of the events meanwhile, and of those that wait.
//!
//! Every swap is one to settings that were never there before, so each is compiled; that
//! is done by a process of its own while events are judged.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ephor::policy::Grant;
use ephor::runtime::{Answer, By, Offer};
use ephor::{Runtime, ingest};
use ephor_tests::data::{self, Set};
use ephor_tests::{binary, policy, settings, target_dir};
use serde_json::json;

use crate::report::{Goal, Row};
use crate::{median, setting};

/// Swaps, if nothing else is said.
const SWAPS: usize = 50;

/// At least so many events for each of them.
const EVENTS: u64 = 40_000;

/// Events that are submitted together, and who submits them at the same time.
const GROUP: usize = 100;
const CLIENTS: usize = 4;

/// Around a swap, before and behind.
const AROUND: Duration = Duration::from_millis(500);

/// Between two swaps.
const REST: Duration = Duration::from_millis(1_500);

const SWAPPED: &str = "negative-list";

/// What came of a run.
struct Outcome {
    /// From a release to the first verdict by it.
    first_verdicts: Vec<Duration>,
    events: u64,
    lost: u64,
    doubled: u64,
    /// 99th percentile of an answer's time, around swaps and otherwise.
    around: Duration,
    steady: Duration,
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[(times.len() - 1) * 99 / 100]
}

fn offer(name: &str, settings: String, publisher: Option<String>) -> Offer {
    Offer { publisher, grant: Grant::development(), ..Offer::development(policy(name).into(), settings.into_bytes().into()) }
}

async fn run(policies: usize, swaps: usize) -> Outcome {
    let folder: PathBuf = target_dir().join("bench-data").join("swap");
    let _ = fs::remove_dir_all(&folder);
    // No cache: what was compiled in an earlier run must not help.
    let runtime = Runtime::builder().worker(binary()).data(&folder).build().expect("a runtime");
    let others = (1..policies).map(|number| offer(SWAPPED, settings(SWAPPED), Some(format!("office-{number}"))));
    let offers = others.chain([offer(SWAPPED, settings(SWAPPED), None)]).collect();
    runtime.publish(offers, By::new("bench")).await.expect("policies in force");
    let before = runtime.log().expect("a ledger").size();

    let lines: Arc<Vec<String>> = Arc::new(data::sample(Set::Retail));
    let (stop, newest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let begin = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (runtime, lines, stop, newest) = (runtime.clone(), lines.clone(), stop.clone(), newest.clone());
            tokio::spawn(async move {
                let limits = ingest::Limits::default();
                let (mut times, mut sequences, mut sent) = (Vec::new(), Vec::new(), 0u64);
                while !stop.load(Ordering::Relaxed) {
                    let event = |number: u64| {
                        let line = &lines[number as usize % lines.len()];
                        let line = line.replacen("\"id\":\"", &format!("\"id\":\"{client}-{number}-"), 1);
                        // The sample's year begins anew with each round: by one source, its
                        // events would be refused then, outside of the horizon of its ids.
                        let round = number as usize / lines.len();
                        let line = line.replacen("\"source\":\"", &format!("\"source\":\"/{client}/{round}"), 1);
                        ingest::structured(line.as_bytes(), &limits).expect("an event")
                    };
                    let events = (sent..sent + GROUP as u64).map(event).collect();
                    sent += GROUP as u64;
                    let asked = Instant::now();
                    let judged = runtime.submit(events).await.expect("runs").await.expect("answers");
                    times.push((asked.duration_since(begin), asked.elapsed()));
                    for answer in &judged.answers {
                        if let Answer::Judged(recorded) = answer {
                            sequences.push(recorded.sequence());
                            newest.fetch_max(recorded.sequence(), Ordering::Relaxed);
                        }
                    }
                }
                (times, sequences, sent)
            })
        })
        .collect();
    tokio::time::sleep(REST).await;

    let swapped: Mutex<Vec<Duration>> = Mutex::new(Vec::new());
    let mut first_verdicts = Vec::new();
    let mut number = 0;
    while number < swaps || newest.load(Ordering::Relaxed) < EVENTS * swaps as u64 {
        let words: Vec<String> = vec!["CIGAR".into(), format!("WORD{policies}X{number}")];
        let asked = Instant::now();
        let published = runtime.publish(vec![offer(SWAPPED, json!({ "words": words }).to_string(), None)], By::new("bench")).await;
        let first = published.expect("a swap")[0].sequence;
        // The first event behind the change was answered.
        while newest.load(Ordering::Relaxed) < first {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        if number < swaps {
            first_verdicts.push(asked.elapsed());
        }
        swapped.lock().expect("nobody panicked").push(begin.elapsed());
        number += 1;
        tokio::time::sleep(REST).await;
    }
    stop.store(true, Ordering::Relaxed);

    let (mut times, mut sequences, mut sent) = (Vec::new(), Vec::new(), 0);
    for client in clients {
        let (its_times, its_sequences, its_sent) = client.await.expect("a client ends well");
        times.extend(its_times);
        sequences.extend(its_sequences);
        sent += its_sent;
    }
    sequences.sort_unstable();
    let given = sequences.len() as u64;
    sequences.dedup();
    let entries = runtime.log().expect("a ledger").size() - before;
    runtime.close().await;
    let _ = fs::remove_dir_all(&folder);
    assert_eq!(entries, sent + number as u64, "an entry for each event and each swap");
    let swapped = swapped.into_inner().expect("nobody panicked");
    let (around, steady): (Vec<_>, Vec<_>) = times.into_iter().partition(|(at, took)| {
        let near = |swap: &Duration| *at < *swap + AROUND && *at + *took + AROUND > *swap;
        swapped.iter().any(near)
    });
    let [around, steady] = [around, steady].map(|times| p99(times.into_iter().map(|(_, took)| took).collect()));
    Outcome { first_verdicts, events: sent, lost: sent - sequences.len() as u64, doubled: given - sequences.len() as u64, around, steady }
}

pub(crate) async fn report() -> Vec<Row> {
    let swaps = setting("EPHOR_BENCH_SWAPS", SWAPS).max(1);
    println!("\n{swaps} swaps under load ({CLIENTS} clients, groups of {GROUP} events, every answer after its sync)");
    println!(
        "{:<14}{:>12}{:>8}{:>9}{:>22}{:>12}{:>14}{:>14}{:>9}",
        "policies", "events", "lost", "doubled", "first verdict, median", "max", "p99 steady", "p99 around", "ratio"
    );
    let mut rows = Vec::new();
    for policies in [1, 20] {
        let outcome = run(policies, swaps).await;
        let ms = |time: &Duration| time.as_secs_f64() * 1e3;
        let first_verdicts: Vec<f64> = outcome.first_verdicts.iter().map(ms).collect();
        let (around, steady) = (ms(&outcome.around), ms(&outcome.steady));
        println!(
            "{policies:<14}{:>12}{:>8}{:>9}{:>19.1} ms{:>9.1} ms{steady:>11.2} ms{around:>11.2} ms{:>8.2}x",
            outcome.events,
            outcome.lost,
            outcome.doubled,
            median(first_verdicts.iter().copied()),
            first_verdicts.iter().copied().fold(0.0, f64::max),
            around / steady,
        );
        let name = |name: &str| if policies == 1 { name.to_string() } else { format!("{name}_{policies}_policies") };
        let loaded = format!("{swaps} swaps, {policies} loaded");
        let none = |name: &str, count: u64, what: &str| {
            let row = Row::of(name, &[count as f64], format!("{what}; {loaded}"));
            row.unit(" events").goal(Goal::AtMost(0.0)).line("a release under load")
        };
        let p99 = Row::ratios(name("swap_p99_vs_steady"), &[around], &[steady], format!("p99 of an answer between swaps; {loaded}"));
        rows.push(p99.with("ms, around", &[around]).with("ms, steady", &[steady]).goal(Goal::AtMost(1.2)).line("a release under load"));
        rows.push(none(&name("swap_lost"), outcome.lost, "none without a verdict"));
        rows.push(none(&name("swap_doubled"), outcome.doubled, "none with two"));
        rows.push(
            Row::of(name("swap_first_verdict"), &first_verdicts, format!("from a release to the first verdict by it; {loaded}"))
                .unit(" ms"),
        );
    }
    rows
}
