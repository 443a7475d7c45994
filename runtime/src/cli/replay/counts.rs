//! What a replay found, counted from the entries that it made.

use std::collections::BTreeMap;

use comfy_table::Cell;
use ephor::policy::manifest::Action;
use ephor::reserved;
use ephor::verdict::Decision;
use serde::Serialize;

use super::entry::{Asked, Entry};
use crate::cli::table::{self, plain};

/// How often a rule of a release was found, or a release failed to answer.
#[derive(Debug, Serialize)]
struct Found {
    policy: String,
    release: String,
    /// The rule, or the kind of fault.
    rule: String,
    /// Absent for a fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<Action>,
    count: u64,
    first_sequence: u64,
    last_sequence: u64,
}

/// The entries so far.
#[derive(Debug, Default)]
pub struct Counts {
    pub entries: u64,
    /// By verdict, of events and of timers.
    events: [u64; Decision::ALL.len()],
    timers: [u64; Decision::ALL.len()],
    /// The runtime's own events, which are not among the others.
    own: [u64; Decision::ALL.len()],
    /// By policy, release, rule and whether it is a fault.
    found: BTreeMap<(String, String, String, bool), Found>,
}

impl Counts {
    /// Counts an entry.
    pub fn add(&mut self, sequence: u64, line: &str) -> anyhow::Result<()> {
        self.entries += 1;
        match Entry::read(line)? {
            Entry::Event(event) => {
                let counts = if reserved::is_own_source(&event.source) { &mut self.own } else { &mut self.events };
                counts[event.verdict as usize] += 1;
                event.asked.iter().for_each(|asked| self.asked(sequence, asked));
            }
            Entry::Timer(timer) => {
                self.timers[timer.verdict as usize] += 1;
                self.asked(sequence, &timer.asked);
            }
            Entry::Change(_) | Entry::Start(_) | Entry::Other(..) => {}
        }
        Ok(())
    }

    fn asked(&mut self, sequence: u64, asked: &Asked<'_>) {
        for finding in &asked.findings {
            self.one(sequence, asked, &finding.rule, Some(finding.action));
        }
        if let Some(fault) = &asked.fault {
            self.one(sequence, asked, &fault.kind, None);
        }
    }

    fn one(&mut self, sequence: u64, asked: &Asked<'_>, rule: &str, action: Option<Action>) {
        let key = (asked.policy.to_string(), asked.release.to_string(), rule.to_string(), action.is_none());
        let found = self.found.entry(key).or_insert_with_key(|(policy, release, rule, _)| Found {
            policy: policy.clone(),
            release: release.clone(),
            rule: rule.clone(),
            action,
            count: 0,
            first_sequence: sequence,
            last_sequence: sequence,
        });
        found.count += 1;
        found.last_sequence = sequence;
    }

    /// Prints verdicts, findings, and faults where there are any.
    pub fn print(&self, heading: &str) {
        let has_own = self.own != [0; Decision::ALL.len()];
        let columns = ["verdict", "events", "timers", "verdict events"];
        let mut rows = table::table(&columns[..if has_own { 4 } else { 3 }]);
        for decision in Decision::ALL {
            let at = decision as usize;
            let mut row = vec![table::decision(decision), table::number(self.events[at]), table::number(self.timers[at])];
            row.extend(has_own.then(|| table::number(self.own[at])));
            rows.add_row(row);
        }
        table::print(heading, &rows);
        let (faults, findings): (Vec<&Found>, Vec<&Found>) = self.found.values().partition(|found| found.action.is_none());
        for (heading, column, list) in [
            ("Findings by policy, release and rule (places are sequence numbers)", "rule", findings),
            ("Faults: policies that failed to answer", "fault", faults),
        ] {
            if list.is_empty() {
                continue;
            }
            let mut rows = table::table(&["policy", "release", column, "action", "count", "first at", "last at"]);
            for found in list {
                rows.add_row([
                    Cell::new(plain(&found.policy)),
                    Cell::new(plain(&found.release)),
                    Cell::new(plain(&found.rule)),
                    found.action.map_or_else(|| table::decision(Decision::Undetermined), table::action),
                    table::number(found.count),
                    table::number(found.first_sequence),
                    table::number(found.last_sequence),
                ]);
            }
            table::print(heading, &rows);
        }
    }

    /// The same for scripts.
    pub fn to_json(&self) -> serde_json::Value {
        let by_verdict = |counts: &[u64]| -> serde_json::Map<String, serde_json::Value> {
            Decision::ALL.iter().map(|decision| (decision.name().to_string(), counts[*decision as usize].into())).collect()
        };
        let (faults, findings): (Vec<&Found>, Vec<&Found>) = self.found.values().partition(|found| found.action.is_none());
        serde_json::json!({
            "entries": self.entries,
            "verdicts": by_verdict(&self.events),
            "timers": by_verdict(&self.timers),
            "verdict_events": by_verdict(&self.own),
            "findings": findings,
            "faults": faults,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::{event, finding, timer};
    use super::*;

    #[test]
    fn events_and_timers_are_counted_by_verdict_and_rule() {
        let mut counts = Counts::default();
        let found = format!("\"findings\":[{},{}]", finding("r", "A"), finding("r", "B"));
        counts.add(1, &event(1, "1", "flag", &found)).expect("an entry");
        counts.add(2, &timer(2, "k", "undetermined", r#""fault":{"kind":"trap","detail":"d"}"#)).expect("an entry");
        counts.add(3, &event(3, "2", "allow", "")).expect("an entry");
        counts.add(4, r#"{"sequence":4,"gap":{"missing":1}}"#).expect("an entry");
        let json = counts.to_json();
        assert_eq!(
            (&json["verdicts"]["flag"], &json["verdicts"]["allow"], &json["timers"]["undetermined"]),
            (&1.into(), &1.into(), &1.into())
        );
        assert_eq!((&json["findings"][0]["count"], &json["faults"][0]["rule"], &json["entries"]), (&2.into(), &"trap".into(), &4.into()));
        assert!(counts.add(5, "broken").is_err());
        let own = event(6, "1", "flag", "").replace("\"source\":\"", "\"source\":\"urn:ephor:verdicts#");
        counts.add(6, &own).expect("an entry");
        let json = counts.to_json();
        assert_eq!((&json["verdicts"]["flag"], &json["verdict_events"]["flag"]), (&1.into(), &1.into()));
    }
}
