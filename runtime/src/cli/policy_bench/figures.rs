//! What was measured: how it is written down, and how it is held against what was measured
//! before.

use std::path::Path;

use anyhow::Context as _;
use comfy_table::Cell;
use serde::{Deserialize, Serialize};

use crate::cli::exit::{Exit, Or as _, Outcome, failed};
use crate::cli::table::{self, grouped, plain};

/// A figure of several rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    pub median: f64,
    /// Half of the rounds are between these.
    pub low: f64,
    pub high: f64,
}

impl Spread {
    /// Of at least one round.
    pub fn of(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        let last = rounds.len().saturating_sub(1);
        let at = |index: usize| rounds.get(index).copied().unwrap_or_default();
        Spread { median: at(last / 2), low: at(last / 4), high: at((last * 3).div_ceil(4)) }
    }

    fn overlaps(self, other: Spread) -> bool {
        self.low <= other.high && other.low <= self.high
    }

    /// How far the middle half is apart, in percent of the median.
    fn percent(self) -> f64 {
        (self.high - self.low) / self.median.max(f64::MIN_POSITIVE) * 100.0
    }

    fn show(self, unit: &str) -> String {
        let digits = if self.median < 10.0 { 2 } else { 0 };
        format!("{:.digits$}{unit} ({:.digits$}–{:.digits$})", self.median, self.low, self.high)
    }
}

/// All figures of a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    pub policy: String,
    pub release: String,
    /// Over events, settings, lists and the events of a batch: what figures that can be
    /// compared have in common.
    pub measured_on: String,
    pub events: u64,
    /// Events that the policy is given.
    pub rows: u64,
    pub findings: u64,
    pub batch: usize,
    pub rounds: usize,
    /// Nanoseconds for each event; absent where there is no crate.
    pub native_ns: Option<Spread>,
    pub component_ns: Spread,
    /// Within the same round.
    pub ratio: Option<Spread>,
    /// For each event; the same on every machine.
    pub fuel: f64,
    /// Bytes of memory of the call that took the most.
    pub memory_bytes: u64,
    pub component_bytes: u64,
}

impl Figures {
    pub fn read(file: &Path) -> Outcome<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display())).or_exit(Exit::Usage)?;
        serde_json::from_str(&text)
            .map_err(|error| {
                anyhow::anyhow!(
                    "{}:{}:{}: not figures of `ephor policy bench --save`: {error}",
                    file.display(),
                    error.line(),
                    error.column()
                )
            })
            .or_exit(Exit::Usage)
    }

    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self).context("cannot write figures")? + "\n";
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    pub fn print(&self) {
        let mut rows = table::table(&["", "native", "component"]);
        let none = || "–".to_string();
        let native = self.native_ns.map_or_else(none, |spread| spread.show(" ns"));
        rows.add_row([Cell::new("an event"), table::right(native), table::right(self.component_ns.show(" ns"))]);
        if let Some(ratio) = self.ratio {
            rows.add_row([Cell::new("as long as native"), table::right("1".into()), table::right(ratio.show("x"))]);
        }
        rows.add_row([Cell::new("fuel of an event"), table::right(none()), table::right(fuel(self.fuel))]);
        rows.add_row([Cell::new("memory of a call"), table::right(none()), table::right(table::size(self.memory_bytes))]);
        rows.add_row([Cell::new("size"), table::right(none()), table::right(table::size(self.component_bytes))]);
        let Figures { policy, release, rows: given, findings, batch, rounds, .. } = self;
        let heading = format!(
            "{} {}: {} events in batches of {}, {} findings",
            plain(policy),
            plain(release),
            grouped(*given),
            grouped(*batch as u64),
            grouped(*findings)
        );
        table::print(&heading, &rows);
        println!("Times are medians of {rounds} rounds that took turns, and in brackets the middle half of them; {}.", self.noise());
        println!("Native and component judge the same columns; reading them out of events is the host's, once for all policies.");
    }

    fn noise(&self) -> String {
        let spread = self.native_ns.map_or(0.0, Spread::percent).max(self.component_ns.percent());
        format!("this machine's noise is {spread:.0} % of them")
    }

    /// Prints how the figures differ from earlier ones.
    pub fn compare(&self, before: &Figures, file: &Path) -> Outcome {
        if self.policy != before.policy || self.measured_on != before.measured_on {
            let problem = format!(
                "{} is about {} on other events, settings, lists or batches; figures of different work cannot be compared: measure it again with --save",
                file.display(),
                plain(&before.policy)
            );
            return Err(failed(Exit::Usage, problem));
        }
        let mut rows = table::table(&["", "before", "now", "change", ""]);
        let mut time = |name: &str, unit: &str, before: Option<Spread>, now: Option<Spread>| {
            let (Some(before), Some(now)) = (before, now) else { return };
            let note = if now.overlaps(before) { "within the noise" } else { "beyond the noise" };
            rows.add_row([
                Cell::new(name),
                table::right(before.show(unit)),
                table::right(now.show(unit)),
                table::right(percent(before.median, now.median)),
                Cell::new(note),
            ]);
        };
        time("native, an event", " ns", before.native_ns, self.native_ns);
        time("component, an event", " ns", Some(before.component_ns), Some(self.component_ns));
        time("as long as native", "x", before.ratio, self.ratio);
        let exact = [
            ("fuel of an event", fuel(before.fuel), fuel(self.fuel), percent(before.fuel, self.fuel)),
            (
                "memory of a call",
                table::size(before.memory_bytes),
                table::size(self.memory_bytes),
                percent(before.memory_bytes as f64, self.memory_bytes as f64),
            ),
            (
                "size",
                table::size(before.component_bytes),
                table::size(self.component_bytes),
                percent(before.component_bytes as f64, self.component_bytes as f64),
            ),
        ];
        for (name, before, now, change) in exact {
            rows.add_row([Cell::new(name), table::right(before), table::right(now), table::right(change), Cell::new("exact")]);
        }
        table::print(&format!("Against {}, release {}", file.display(), plain(&before.release)), &rows);
        println!(
            "Times are beyond the noise where the middle halves of the rounds do not overlap. They depend on the machine and on what else it \
             does; fuel, memory and size do not."
        );
        Ok(())
    }

    /// By how much more fuel an event takes than before, in percent.
    pub fn more_fuel(&self, before: &Figures) -> f64 {
        (self.fuel / before.fuel.max(f64::MIN_POSITIVE) - 1.0) * 100.0
    }
}

fn fuel(fuel: f64) -> String {
    grouped(fuel.round() as u64)
}

fn percent(before: f64, now: f64) -> String {
    match before == now {
        true => "none".into(),
        false => format!("{:+.1} %", (now / before.max(f64::MIN_POSITIVE) - 1.0) * 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_middle_half_of_the_rounds() {
        let spread = Spread::of((1..=9).rev().map(f64::from).collect());
        assert_eq!((spread.low, spread.median, spread.high), (3.0, 5.0, 7.0));
        assert_eq!(Spread::of(vec![2.0, 1.0, 3.0]), Spread { median: 2.0, low: 1.0, high: 3.0 });
        assert_eq!(Spread::of(vec![4.0]), Spread { median: 4.0, low: 4.0, high: 4.0 });
        assert!(spread.overlaps(Spread::of(vec![7.0])) && !spread.overlaps(Spread::of(vec![7.5])));
        assert_eq!((percent(2.0, 3.0).as_str(), percent(2.0, 2.0).as_str()), ("+50.0 %", "none"));
    }
}
