//! What became of all events of a stream.

use std::collections::BTreeMap;
use std::sync::Arc;

use comfy_table::Cell;
use ephor::policy::Release;
use ephor::trial::{Said, Tried};
use ephor::verdict::Decision;
use serde_json::{Value, json};

use crate::cli::table::{self, grouped, plain};

pub struct Tally {
    release: Arc<Release>,
    events: u64,
    not_asked: u64,
    again: u64,
    refused: u64,
    no_events: u64,
    /// By the words for verdicts.
    verdicts: BTreeMap<&'static str, u64>,
    /// By rule, of events and of timers.
    rules: BTreeMap<String, u64>,
    /// By the words for faults.
    faults: BTreeMap<&'static str, u64>,
    woken: u64,
    fuel: u64,
    fuel_max: u64,
    fuel_max_at: String,
}

impl Tally {
    pub fn new(release: Arc<Release>) -> Self {
        Tally {
            release,
            events: 0,
            not_asked: 0,
            again: 0,
            refused: 0,
            no_events: 0,
            verdicts: BTreeMap::new(),
            rules: BTreeMap::new(),
            faults: BTreeMap::new(),
            woken: 0,
            fuel: 0,
            fuel_max: 0,
            fuel_max_at: String::new(),
        }
    }

    pub fn no_event(&mut self) {
        self.no_events += 1;
    }

    pub fn add(&mut self, tried: &Tried) {
        self.events += 1;
        match &tried.said {
            Said::NotAsked => self.not_asked += 1,
            Said::Again => self.again += 1,
            Said::Refused(_) => self.refused += 1,
            Said::Judged { decision, findings, fault } => {
                *self.verdicts.entry(decision.name()).or_default() += 1;
                findings.iter().for_each(|finding| self.found(&finding.rule().id));
                if let Some((kind, _)) = fault {
                    *self.faults.entry(kind.name()).or_default() += 1;
                }
            }
        }
        for woken in &tried.woken {
            self.woken += 1;
            woken.findings.iter().for_each(|(rule, _)| self.found(rule));
            if let Some((kind, _)) = &woken.fault {
                *self.faults.entry(kind.name()).or_default() += 1;
            }
        }
        self.fuel += tried.fuel;
        if tried.fuel > self.fuel_max {
            (self.fuel_max, self.fuel_max_at) = (tried.fuel, tried.event.id().to_string());
        }
    }

    fn found(&mut self, rule: &str) {
        *self.rules.entry(rule.to_string()).or_default() += 1;
    }

    /// Events that were none, or that no platform would have taken.
    pub fn not_taken(&self) -> u64 {
        self.no_events + self.refused
    }

    fn judged(&self) -> u64 {
        self.verdicts.values().sum()
    }

    pub fn print(&self, waiting: u64) {
        let mut rows = table::table(&["of the events", "count"]);
        rows.add_row([Cell::new("judged"), table::number(self.judged())]);
        for decision in Decision::ALL {
            rows.add_row([
                Cell::new(format!("  {}", decision.name())),
                table::number(self.verdicts.get(decision.name()).copied().unwrap_or_default()),
            ]);
        }
        for (name, count) in &self.faults {
            rows.add_row([Cell::new(format!("no answer: {name}")), table::number(*count)]);
        }
        for (name, count) in [("of types that it is not asked about", self.not_asked), ("there before", self.again)] {
            if count > 0 {
                rows.add_row([Cell::new(name), table::number(count)]);
            }
        }
        if self.not_taken() > 0 {
            rows.add_row([Cell::new("not taken"), table::ought_to_be_zero(self.not_taken())]);
        }
        let release = &self.release;
        table::print(&format!("{} {} on {} events", plain(release.policy()), plain(&release.id), grouped(self.events)), &rows);
        let mut rows = table::table(&["rule", "found"]);
        for rule in &release.manifest.rules {
            rows.add_row([Cell::new(plain(&rule.id)), table::number(self.rules.get(&rule.id).copied().unwrap_or_default())]);
        }
        println!("{rows}");
        if release.manifest.keyed.as_ref().is_some_and(|keyed| keyed.timers) {
            println!("{} timers fired, {} are still waiting for their time.", grouped(self.woken), grouped(waiting));
        }
        if let Some(mean) = self.fuel.checked_div(self.judged()) {
            println!("Fuel {} an event, at most {} (event {}).", grouped(mean), grouped(self.fuel_max), plain(&self.fuel_max_at));
        }
    }

    pub fn json(&self, waiting: u64) -> Value {
        let rules: serde_json::Map<String, Value> = self
            .release
            .manifest
            .rules
            .iter()
            .map(|rule| (rule.id.clone(), self.rules.get(&rule.id).copied().unwrap_or_default().into()))
            .collect();
        json!({
            "policy": self.release.policy(), "release": self.release.id, "digest": self.release.digest,
            "events": self.events, "judged": self.judged(), "not_asked": self.not_asked, "again": self.again, "not_taken": self.not_taken(),
            "verdicts": self.verdicts, "rules": rules, "faults": self.faults,
            "timers": {"fired": self.woken, "waiting": waiting},
            "fuel": {"total": self.fuel, "max": self.fuel_max, "max_event": self.fuel_max_at},
        })
    }
}
