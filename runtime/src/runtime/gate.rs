//! What a release has shown since it began: whether it answers, what it costs, and
//! where it differs from the release in force. What its promotion is decided by.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;

use crate::policy::publisher::Gate as Gates;
use crate::verdict::Decision;

/// Differences that are kept as examples: the first ones, and as many of the latest.
const EXAMPLES_MAX: usize = 10;

/// Each doubling of a time has so many buckets, so that a percentile is within a
/// fifth.
const BUCKETS_PER_DOUBLING: u64 = 4;

/// An event about which two releases of a policy say different things.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Difference {
    /// The event's place in the total order.
    pub sequence: u64,
    /// The event's source.
    pub source: String,
    /// The event's id.
    pub id: String,
    /// What the release in force says.
    pub in_force: Decision,
    /// What the release that is tried out says.
    pub candidate: Decision,
}

/// What a release has shown since it began, in this process. Events, and what it said of
/// them, are counted while it is tried out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Shown {
    /// Events that it was asked about.
    pub events: u64,
    /// Events of those on which it failed to answer.
    pub faults: u64,
    /// Events of those on which it would have decided to flag or to deny.
    pub found: u64,
    /// Events about which it says something else than the release in force. Zero
    /// without one.
    pub differences: u64,
    /// Time per event, in microseconds: the median over its calls.
    pub p50_us: f64,
    /// The 99th percentile.
    pub p99_us: f64,
    /// Time that it took in all, as a share of the time of one core since it began.
    pub core_share: f64,
    /// Of the differences the first ones and the latest.
    pub examples: Vec<Difference>,
}

impl Shown {
    /// Faults among its events, from 0 to 1.
    pub fn fault_share(&self) -> f64 {
        share(self.faults, self.events)
    }

    /// What is missing for a promotion through this gate, one by one.
    pub fn lacks(&self, gate: &Gates) -> Vec<String> {
        let mut lacks = Vec::new();
        if self.events < gate.events_min {
            lacks.push(format!("it has judged {} events of the {} that are asked for", self.events, gate.events_min));
        }
        if self.fault_share() > gate.fault_share_max {
            lacks.push(format!(
                "it failed on {} of {} events, which is more than {} %",
                self.faults,
                self.events,
                gate.fault_share_max * 100.0
            ));
        }
        if self.p99_us > gate.p99_us_max as f64 {
            lacks.push(format!("an event takes {} µs at the 99th percentile, at most {} are allowed", self.p99_us, gate.p99_us_max));
        }
        if self.core_share > gate.core_share_max {
            lacks.push(format!(
                "it took {:.3} of the time of a core since it began, at most {} are allowed",
                self.core_share, gate.core_share_max
            ));
        }
        if self.difference_share() > gate.difference_share_max {
            lacks.push(format!(
                "it differs from the release in force on {} of {} events, which is more than {} %",
                self.differences,
                self.events,
                gate.difference_share_max * 100.0
            ));
        }
        lacks
    }

    /// Differences among its events, from 0 to 1.
    pub fn difference_share(&self) -> f64 {
        share(self.differences, self.events)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Counts what a release shows.
#[derive(Debug)]
pub(super) struct Gate {
    begun: Instant,
    counts: Mutex<Counts>,
}

impl Default for Gate {
    fn default() -> Self {
        Gate { begun: Instant::now(), counts: Mutex::default() }
    }
}

#[derive(Debug, Default)]
struct Counts {
    took: Duration,
    events: u64,
    faults: u64,
    found: u64,
    differences: u64,
    /// Events by time per event.
    times: Vec<u64>,
    examples: Vec<Difference>,
}

impl Gate {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It was asked about so many events, failed on so many, and found something in so many.
    pub fn asked(&self, events: u64, faults: u64, found: u64) {
        let mut counts = self.counts();
        counts.events += events;
        counts.faults += faults;
        counts.found += found;
    }

    /// Judging so many events took so long.
    pub fn took(&self, events: u64, time: Duration) {
        if events == 0 {
            return;
        }
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) / events;
        let bucket = bucket(nanos);
        let mut counts = self.counts();
        if counts.times.len() <= bucket {
            counts.times.resize(bucket + 1, 0);
        }
        counts.times[bucket] += events;
        counts.took += time;
    }

    /// It differs from the release in force.
    pub fn differs(&self, difference: Difference) {
        let mut counts = self.counts();
        counts.differences += 1;
        if counts.examples.len() == 2 * EXAMPLES_MAX {
            counts.examples.remove(EXAMPLES_MAX);
        }
        counts.examples.push(difference);
    }

    pub fn shown(&self) -> Shown {
        let counts = self.counts();
        Shown {
            events: counts.events,
            faults: counts.faults,
            found: counts.found,
            differences: counts.differences,
            p50_us: percentile(&counts.times, 0.5),
            p99_us: percentile(&counts.times, 0.99),
            core_share: counts.took.as_secs_f64() / self.begun.elapsed().as_secs_f64().max(1e-6),
            examples: counts.examples.clone(),
        }
    }
}

fn bucket(nanos: u64) -> usize {
    let nanos = nanos.max(BUCKETS_PER_DOUBLING);
    let doublings = u64::from(nanos.ilog2());
    let quarter = (nanos >> (doublings - 2)) & (BUCKETS_PER_DOUBLING - 1);
    (doublings * BUCKETS_PER_DOUBLING + quarter) as usize
}

/// In microseconds, the upper end of the bucket.
fn percentile(times: &[u64], part: f64) -> f64 {
    let total: u64 = times.iter().sum();
    let wanted = (total as f64 * part).ceil() as u64;
    let mut below = 0;
    for (bucket, count) in times.iter().enumerate() {
        below += count;
        if *count > 0 && below >= wanted {
            let (doublings, quarter) = (bucket as u64 / BUCKETS_PER_DOUBLING, bucket as u64 % BUCKETS_PER_DOUBLING);
            let nanos = (BUCKETS_PER_DOUBLING + quarter + 1) as f64 / BUCKETS_PER_DOUBLING as f64 * 2f64.powi(doublings as i32);
            return (nanos / 10.0).round() / 100.0;
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_fifth() {
        let gate = Gate::default();
        for nanos in 1..=1_000u64 {
            gate.took(1, Duration::from_nanos(nanos * 100));
        }
        let shown = gate.shown();
        for (found, exact) in [(shown.p50_us, 50.0), (shown.p99_us, 99.0)] {
            assert!(found >= exact && found <= exact * 1.26, "{found} for {exact}");
        }
        assert_eq!(Gate::default().shown(), Shown::default());
    }

    #[test]
    fn the_share_of_a_core_is_over_the_time_since_it_began() {
        let gate = Gate::default();
        gate.took(2, Duration::from_secs(3_600));
        gate.took(1, Duration::from_secs(3_600));
        let before = gate.begun.elapsed().as_secs_f64();
        let share = gate.shown().core_share;
        let after = gate.begun.elapsed().as_secs_f64();
        assert!(share * before <= 7_200.0 * 1.001 && share * after >= 7_200.0 * 0.999, "{share} of {before} to {after}");
    }

    #[test]
    fn what_is_missing_is_said_one_by_one() {
        let gates = Gates { events_min: 1_000, ..Gates::default() };
        let good = Shown { events: 1_000, p99_us: 10.0, ..Shown::default() };
        assert_eq!(good.lacks(&gates), Vec::<String>::new());
        let bad = Shown { events: 10, faults: 5, differences: 5, p99_us: 1e6, core_share: 1.5, ..Shown::default() };
        assert_eq!(bad.lacks(&gates).len(), 5, "{:?}", bad.lacks(&gates));
    }

    #[test]
    fn the_first_and_the_latest_differences_are_kept() {
        let gate = Gate::default();
        for sequence in 1..=100 {
            let (source, id) = ("/s".to_string(), sequence.to_string());
            gate.differs(Difference { sequence, source, id, in_force: Decision::Allow, candidate: Decision::Deny });
        }
        let shown = gate.shown();
        let kept: Vec<u64> = shown.examples.iter().map(|example| example.sequence).collect();
        assert_eq!((shown.differences, kept), (100, (1..=10).chain(91..=100).collect()));
    }
}
