//! What was measured: as JSON, and as tables.

use std::collections::BTreeMap;

use comfy_table::Cell;
use serde::Serialize;

use crate::cli::policy_bench::figures::Spread;
use crate::cli::table::{self, grouped, plain};

/// All figures.
#[derive(Debug, Serialize)]
pub struct Figures {
    pub events: u64,
    /// Of all events, as JSON.
    pub bytes: u64,
    pub rounds: usize,
    /// What an answer means for the disk, where there is a ledger.
    pub durability: &'static str,
    pub durable_per_second: Spread,
    pub in_memory_per_second: Spread,
    pub stages: Vec<Stage>,
    pub policies: Vec<OfPolicy>,
    pub verdicts: BTreeMap<&'static str, u64>,
    /// Events with an id that another one before them has, and the same content.
    pub repeated: u64,
    /// Events that were not taken.
    pub refused: u64,
    /// Why the first of them was not.
    pub refusal: Option<String>,
}

/// A part of the way, with the ledger.
#[derive(Debug, Serialize)]
pub struct Stage {
    pub stage: String,
    pub ns_per_event: f64,
    /// Of all parts together.
    pub share: f64,
}

impl Stage {
    /// The parts in the order in which an event goes through them.
    pub fn shares(mut parts: Vec<(String, f64)>) -> Vec<Stage> {
        let place = |stage: &str| ORDER.iter().position(|(name, _)| *name == stage).unwrap_or(ORDER.len());
        parts.sort_by_key(|(stage, _)| place(stage));
        let all: f64 = parts.iter().map(|(_, ns)| ns).sum();
        parts
            .into_iter()
            .map(|(stage, ns_per_event)| Stage { stage, ns_per_event, share: ns_per_event / all.max(f64::MIN_POSITIVE) })
            .collect()
    }
}

/// A policy, given the events that it is asked about.
#[derive(Debug, Serialize)]
pub struct OfPolicy {
    pub policy: String,
    pub release: String,
    /// Events that it is given.
    pub events: u64,
    /// Nanoseconds per event, one by one; absent if it is given none.
    pub batch_1_ns: Option<Spread>,
    /// The same in batches of 1,024 events.
    pub batch_1024_ns: Option<Spread>,
    /// On the whole path.
    pub findings: u64,
    pub faults: BTreeMap<&'static str, u64>,
}

/// The parts of the way, and what is done there.
const ORDER: [(&str, &str); 9] = [
    ("decode", "JSON to a checked event, on the thread of its connection"),
    ("admit", "known ids, numbers and watermarks of sources"),
    ("project", "fields out of events, for all policies at once"),
    ("load", "states that are not in memory"),
    ("evaluate", "all policies"),
    ("combine", "verdicts of what they say"),
    ("record", "entries, with commitments to what was seen"),
    ("commit", "entries and states to the disk, and the tree"),
    ("answer", "verdicts to whoever waits"),
];

impl Figures {
    pub fn print(&self) {
        let mut whole = table::table(&["", "events per second", "µs per event"]);
        let in_memory = "in memory".to_string();
        for (name, rate) in
            [(format!("with a ledger ({})", self.durability), self.durable_per_second), (in_memory, self.in_memory_per_second)]
        {
            let spread = format!("{} ({}–{})", whole_number(rate.median), whole_number(rate.low), whole_number(rate.high));
            whole.add_row([Cell::new(name), table::right(spread), table::right(format!("{:.2}", 1e6 / rate.median))]);
        }
        let heading = format!("{} events of {} the whole way in this process", grouped(self.events), table::size(self.bytes));
        table::print(&heading, &whole);

        let mut stages = table::table(&["", "ns per event", "of all", ""]);
        for stage in &self.stages {
            let what = ORDER.iter().find(|(name, _)| *name == stage.stage).map_or("", |(_, what)| what);
            let (ns, share) = (format!("{:.0}", stage.ns_per_event), format!("{:.0} %", stage.share * 100.0));
            stages.add_row([Cell::new(&stage.stage), table::right(ns), table::right(share), Cell::new(what)]);
        }
        table::print("Where the time goes, with a ledger; parts overlap, so they are more than the whole", &stages);

        let mut policies = table::table(&["policy", "events", "ns, one by one", "ns, batches of 1,024", "findings", "faults"]);
        for policy in &self.policies {
            let ns = |spread: Option<Spread>| table::right(spread.map_or_else(|| "–".into(), |spread| whole_number(spread.median)));
            let faults: Vec<String> = policy.faults.iter().map(|(kind, count)| format!("{} {kind}", grouped(*count))).collect();
            policies.add_row([
                Cell::new(format!("{} {}", plain(&policy.policy), plain(&policy.release))),
                table::number(policy.events),
                ns(policy.batch_1_ns),
                ns(policy.batch_1024_ns),
                table::number(policy.findings),
                if faults.is_empty() { table::ought_to_be_zero(0) } else { Cell::new(faults.join(", ")) },
            ]);
        }
        table::print("Each policy alone, time of an event; findings and faults are those of the whole way", &policies);
        let verdicts: Vec<String> = self.verdicts.iter().map(|(verdict, count)| format!("{} {verdict}", grouped(*count))).collect();
        println!("\nVerdicts: {}; {} were here before.", verdicts.join(", "), grouped(self.repeated));
        if let Some(refusal) = &self.refusal {
            println!("{} events were not taken; the first: {}", grouped(self.refused), plain(refusal));
        }
        println!("Figures are medians of {} rounds, in brackets the middle half of them.", self.rounds);
    }
}

fn whole_number(value: f64) -> String {
    grouped(value.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_in_the_order_of_the_way_and_are_a_whole() {
        let parts = [("answer", 1.0), ("evaluate", 2.0), ("decode", 5.0)].map(|(stage, ns)| (stage.to_string(), ns));
        let stages = Stage::shares(parts.into());
        let names: Vec<&str> = stages.iter().map(|stage| stage.stage.as_str()).collect();
        assert_eq!(names, ["decode", "evaluate", "answer"]);
        assert_eq!(stages.iter().map(|stage| stage.share).sum::<f64>(), 1.0);
        assert!(Stage::shares(vec![("decode".into(), 0.0)])[0].share == 0.0);
    }
}
