//! Whether a run has shown that nothing grows.

use std::process::{ExitStatus, Output};

use super::account::Auditor;
use super::sample::{Phase, Sample};
use super::{POLICIES, Soak, clients};
use crate::ledger;

/// Bytes that anonymous memory may grow by over the second half of the load, beside
/// [`ENTRY_BYTES`]: what an allocator moves by.
const GROWTH_BYTES: f64 = 24.0 * 1024.0 * 1024.0;

/// Bytes that each entry may cost for good; the module says of what.
const ENTRY_BYTES: f64 = 1.0;

/// Maps of compiled code that there may be more after the load than before: none. A release
/// that stays has one, and there is a release each second.
const CODE_MORE: u64 = 0;

/// Memory maps in all that there may be more. The pool has room for 128 instances
/// (`INSTANCES_MAX` in `sandbox/engine.rs`); the place of each becomes two maps when it is used
/// for the first time, and a new release takes one that was not used lately. The others are
/// stacks and arenas of threads.
const MAPS_MORE: u64 = 2 * 128 + 64;

/// Open files that there may be more. A release that stays is one, the image of its memory.
const FILES_MORE: u64 = 4;

/// Threads that there may be more: those that wait for blocking work end after ten seconds
/// without.
const THREADS_MORE: u64 = 8;

/// One thing that has to hold.
#[derive(Debug, Clone)]
pub struct Check {
    /// What.
    pub what: &'static str,
    /// How it was, and how it had to be.
    pub found: String,
    /// Whether it holds.
    pub passed: bool,
}

impl Check {
    fn new(what: &'static str, passed: bool, found: String) -> Check {
        Check { what, found, passed }
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// All seconds.
    pub samples: Vec<Sample>,
    /// What had to hold.
    pub checks: Vec<Check>,
    /// What was done, in a line.
    pub summary: String,
    /// What the server has printed.
    pub log: String,
}

impl Outcome {
    /// Whether all holds.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }

    /// What had to hold, one thing a line.
    pub fn table(&self) -> String {
        let line = |check: &Check| format!("{} {}: {}\n", if check.passed { "pass" } else { "FAIL" }, check.what, check.found);
        self.checks.iter().map(line).collect()
    }

    pub(super) fn of(
        samples: Vec<Sample>,
        soak: &Soak,
        auditor: &Auditor,
        answered: u64,
        stopped: ExitStatus,
        verified: &Output,
        log: String,
    ) -> Outcome {
        let mut checks = vec![
            Check::new("each event has one entry", auditor.events == answered, format!("{answered} answered, {} entries", auditor.events)),
            Check::new("the server ends well", stopped.success(), stopped.to_string()),
            Check::new("log verify", verified.status.success(), ledger::printed(verified).lines().last().unwrap_or_default().to_string()),
        ];
        checks.extend(held(&samples));
        let swaps = samples.last().map_or(0, |last| last.swaps);
        let expected = soak.swaps_min();
        checks.push(Check::new("releases were swapped", swaps >= expected, format!("{swaps} swaps, at least {expected} were to be")));
        checks.push(Check::new(
            "every change is an entry",
            auditor.changes == swaps + POLICIES.len() as u64,
            format!("{} changes, {swaps} of them swaps", auditor.changes),
        ));
        let load: Vec<&Sample> = samples.iter().filter(|sample| sample.phase == Phase::Load).collect();
        let rate = match (load.first(), load.last()) {
            (Some(first), Some(last)) if last.at > first.at => (last.answered - first.answered) as f64 / (last.at - first.at),
            _ => 0.0,
        };
        let vanished = samples.last().map_or(0, |last| last.vanished);
        let faults = auditor.faults.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ");
        let summary = format!(
            "{} s of load, {answered} events in all, {rate:.0} a second under load, from {} sources; {swaps} swaps; {vanished} clients vanished; faults: {faults}",
            soak.load.as_secs(),
            clients::SOURCES
        );
        Outcome { samples, checks, summary, log }
    }
}

/// A figure by its name, and how much more it may be.
type Figure = (&'static str, fn(&Sample) -> u64, u64);

/// What is held: memory while there is load, everything else before and after.
fn held(samples: &[Sample]) -> Vec<Check> {
    let of = |phase: Phase| samples.iter().filter(move |sample| sample.phase == phase);
    let mut checks = Vec::new();
    let load: Vec<&Sample> = of(Phase::Load).collect();
    let second_half = &load[load.len() / 2..];
    checks.push(match (second_half.first(), second_half.last()) {
        (Some(first), Some(last)) if second_half.len() >= 3 => {
            let span = last.at - first.at;
            let points: Vec<(f64, f64)> = second_half.iter().map(|sample| (sample.at, sample.anonymous as f64)).collect();
            let (growth, entries) = (slope(&points) * span, (last.answered - first.answered) as f64);
            let bound = GROWTH_BYTES + ENTRY_BYTES * entries;
            let mib = |bytes: f64| bytes / 1024.0 / 1024.0;
            let found = format!(
                "{:+.1} MiB over the last {span:.0} s and {entries} entries, of {:.0} MiB; bound {:.1} MiB",
                mib(growth),
                mib(last.anonymous as f64),
                mib(bound)
            );
            Check::new("anonymous memory does not grow", growth <= bound, found)
        }
        _ => Check::new("anonymous memory does not grow", false, "too few samples".into()),
    });
    let figures: [Figure; 4] = [
        ("maps of code", |sample| sample.code, CODE_MORE),
        ("memory maps", |sample| sample.maps, MAPS_MORE),
        ("open files", |sample| sample.files, FILES_MORE),
        ("threads", |sample| sample.threads, THREADS_MORE),
    ];
    for (what, read, more) in figures {
        // What ends later than others is given the whole rest.
        let (before, after) = (of(Phase::WarmRest).next_back().map(read), of(Phase::Rest).next_back().map(read));
        let passed = matches!((before, after), (Some(before), Some(after)) if after <= before + more);
        let number = |count: Option<u64>| count.map_or_else(|| "none".to_string(), |count| count.to_string());
        checks.push(Check::new(what, passed, format!("{} before, {} after; at most {more} more", number(before), number(after))));
    }
    if let Some(last) = of(Phase::Rest).next_back() {
        checks.push(Check::new("no instance is left", last.instances == 0, last.instances.to_string()));
        checks.push(Check::new("nothing waits", last.queue == 0, last.queue.to_string()));
        checks.push(Check::new("policies in force", last.policies == POLICIES.len() as u64, last.policies.to_string()));
        // One is the feed, the other asks for the figures.
        checks.push(Check::new("connections", last.connections <= 2, last.connections.to_string()));
    }
    checks
}

/// How fast something grows: the median of the slopes between all pairs of points (Theil
/// and Sen), which single outliers do not move.
fn slope(points: &[(f64, f64)]) -> f64 {
    let pairs = points.iter().enumerate().flat_map(|(at, one)| points[at + 1..].iter().map(move |other| (one, other)));
    let mut slopes: Vec<f64> =
        pairs.filter(|(one, other)| other.0 > one.0).map(|(one, other)| (other.1 - one.1) / (other.0 - one.0)).collect();
    slopes.sort_by(f64::total_cmp);
    slopes.get(slopes.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(at: u64, phase: Phase) -> Sample {
        Sample {
            at: at as f64,
            phase,
            rss: 0,
            pss: 0,
            anonymous: 100 << 20,
            maps: 500,
            code: 3,
            files: 20,
            threads: 10,
            probe: None,
            answered: at * 1_000,
            entries: at * 1_000,
            swaps: at,
            vanished: 0,
            instances: 0,
            queue: 0,
            connections: 2,
            policies: POLICIES.len() as u64,
            keys: 0,
            faults: 0,
        }
    }

    fn run() -> Vec<Sample> {
        let phase = |at| match at {
            0..10 => Phase::WarmRest,
            10..110 => Phase::Load,
            _ => Phase::Rest,
        };
        (0..120).map(|at| second(at, phase(at))).collect()
    }

    fn failed(samples: &[Sample]) -> Vec<&'static str> {
        held(samples).into_iter().filter(|check| !check.passed).map(|check| check.what).collect()
    }

    #[test]
    fn what_stays_as_it_was_passes() {
        let mut samples = run();
        assert_eq!(failed(&samples), [] as [&str; 0]);
        // A peak is no growth, and neither is what comes before the second half.
        samples[80].anonymous = 900 << 20;
        samples.iter_mut().skip(30).for_each(|sample| sample.anonymous += 200 << 20);
        assert_eq!(failed(&samples), [] as [&str; 0]);
    }

    #[test]
    fn what_grows_fails() {
        let mut samples = run();
        samples.iter_mut().for_each(|sample| sample.anonymous += sample.at as u64 * (1 << 20));
        assert_eq!(failed(&samples), ["anonymous memory does not grow"]);
        let mut samples = run();
        samples
            .iter_mut()
            .for_each(|sample| (sample.maps, sample.code, sample.files) = (500 + sample.swaps * 11, 3 + sample.swaps, 20 + sample.swaps));
        assert_eq!(failed(&samples), ["maps of code", "memory maps", "open files"]);
        let mut samples = run();
        samples.iter_mut().for_each(|sample| (sample.instances, sample.queue, sample.connections, sample.policies) = (1, 1, 3, 4));
        assert_eq!(failed(&samples), ["no instance is left", "nothing waits", "policies in force", "connections"]);
        assert_eq!(
            failed(&run()[..20]),
            ["maps of code", "memory maps", "open files", "threads"],
            "without a rest at the end nobody knows what is left"
        );
        assert_eq!(failed(&run()[..12])[0], "anonymous memory does not grow", "too little of a load shows nothing");
    }
}
