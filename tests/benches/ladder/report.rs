//! What comes out of a run: rows, each a ratio with its yardstick and its goal; the table of
//! the lines that have goals; `target/bench.json`.

use std::path::Path;

use serde_json::{Value, json};

use crate::median;

/// A line of the table: what is measured, and against what. The order is that of the table.
pub(crate) const LINES: [(&str, &str); 10] = [
    ("one policy on columns, batch 1,024", "same Rust code, native, same columns"),
    ("ten policies on the same events", "one policy"),
    ("100 loaded policies of which one matches the event type", "1 loaded"),
    (
        "whole path, NDJSON over HTTP, three stateless policies, durable, verdicts streamed back",
        "hyper server that reads the same lines and only parses them",
    ),
    ("whole path, one event per request, durable, 1,024 connections", "hyper server with the rule built in, native"),
    ("stateful policy, one million keys, Zipf", "stateless twin"),
    ("one event per request, 64 connections, ledger syncing left to the operating system", "the same native hyper server"),
    ("cold start to ready with 20 cached policies", "process start of a hyper hello server"),
    ("memory, 100 policies loaded, idle", "1 policy"),
    ("a release under load", "steady state"),
];

/// What a figure has to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn is_met(self, ratio: f64) -> bool {
        match self {
            Goal::AtMost(most) => ratio <= most,
            Goal::AtLeast(least) => ratio >= least,
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Goal::AtMost(most) => format!("at most {most}{unit}"),
            Goal::AtLeast(least) => format!("at least {least}{unit}"),
        }
    }
}

/// One figure.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    name: String,
    ratio: f64,
    /// What stands behind the figure: nothing behind a ratio.
    unit: &'static str,
    yardstick: String,
    goal: Option<Goal>,
    /// What the goal is beyond itself.
    stretch: &'static str,
    /// The line of the table.
    line: Option<usize>,
    rounds: usize,
    /// Half of the rounds are between these.
    spread: Option<(f64, f64)>,
    /// Figures that the ratio was made of, for whoever asks what a ratio hides.
    of: Vec<(&'static str, f64)>,
}

impl Row {
    /// The median of the rounds.
    pub fn of(name: impl Into<String>, rounds: &[f64], yardstick: impl Into<String>) -> Row {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        let spread = (sorted.len() > 1).then(|| (sorted[last / 4], sorted[(last * 3).div_ceil(4)]));
        let ratio = median(sorted);
        let (name, yardstick) = (name.into(), yardstick.into());
        Row { name, ratio, unit: "", yardstick, goal: None, stretch: "", line: None, rounds: rounds.len(), spread, of: Vec::new() }
    }

    /// Ratios of two figures of the same rounds.
    pub fn ratios(name: impl Into<String>, one: &[f64], other: &[f64], yardstick: impl Into<String>) -> Row {
        let ratios: Vec<f64> = one.iter().zip(other).map(|(one, other)| one / other).collect();
        Row::of(name, &ratios, yardstick)
    }

    pub fn unit(self, unit: &'static str) -> Row {
        Row { unit, ..self }
    }

    pub fn goal(self, goal: Goal) -> Row {
        Row { goal: Some(goal), ..self }
    }

    pub fn stretch(self, stretch: &'static str) -> Row {
        Row { stretch, ..self }
    }

    /// Which line of the table it belongs to: the beginning of what that says.
    pub fn line(self, what: &str) -> Row {
        let line = LINES.iter().position(|(line, _)| line.starts_with(what));
        Row { line: Some(line.unwrap_or_else(|| panic!("no line of the table begins with {what:?}"))), ..self }
    }

    /// A figure of the ratio: the median of its rounds.
    pub fn with(mut self, name: &'static str, rounds: &[f64]) -> Row {
        self.of.push((name, median(rounds.to_vec())));
        self
    }

    fn met(&self) -> Option<bool> {
        self.goal.map(|goal| goal.is_met(self.ratio))
    }

    fn goal_text(&self) -> String {
        let goal = self.goal.map(|goal| goal.text(self.unit)).unwrap_or_default();
        format!("{goal}{}", self.stretch)
    }

    fn figure(&self) -> String {
        format!("{}{}", short(self.ratio), self.unit)
    }

    fn spread_text(&self) -> String {
        self.spread.map_or_else(|| "–".into(), |(low, high)| format!("{}–{}", short(low), short(high)))
    }

    fn json(&self) -> Value {
        let of: serde_json::Map<String, Value> =
            self.of.iter().map(|(name, value)| ((*name).to_string(), json!(rounded(*value)))).collect();
        json!({
            "name": self.name,
            "what": self.line.map(|line| LINES[line].0),
            "ratio": rounded(self.ratio),
            "unit": if self.unit.is_empty() { "ratio" } else { self.unit.trim() },
            "yardstick": self.yardstick,
            "goal": self.goal.map(|_| self.goal_text()),
            "met": self.met(),
            "rounds": self.rounds,
            "spread": self.spread.map(|(low, high)| [rounded(low), rounded(high)]),
            "of": of,
        })
    }
}

fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

/// A number with three digits that say something.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

const UNMEASURED: &str = "not measured in this run";

/// The lines of the table with their rows: cells, as many in each.
fn lines(rows: &[Row]) -> Vec<[String; 6]> {
    let mut cells = Vec::new();
    for (number, (what, yardstick)) in LINES.iter().enumerate() {
        let of_line: Vec<&Row> = rows.iter().filter(|row| row.line == Some(number)).collect();
        if of_line.is_empty() {
            cells.push([(*what).into(), (*yardstick).into(), UNMEASURED.into(), String::new(), String::new(), "–".into()]);
        }
        for (at, row) in of_line.into_iter().enumerate() {
            let what = if at == 0 { (*what).to_string() } else { String::from("  – the same") };
            let met = match row.met() {
                Some(true) => "met",
                Some(false) => "NOT met",
                None => "no goal",
            };
            cells.push([what, row.yardstick.clone(), row.figure(), row.spread_text(), row.goal_text(), met.into()]);
        }
    }
    cells
}

const HEAD: [&str; 6] = ["what", "yardstick in the same run", "measured", "middle half of the rounds", "goal", ""];

/// Prints the table with goals, and what else was measured.
pub(crate) fn print(rows: &[Row]) {
    let cells = lines(rows);
    println!("\n{}", "─".repeat(100));
    for [what, yardstick, figure, spread, goal, met] in &cells {
        match figure == UNMEASURED {
            true => println!("{what}\n    {UNMEASURED}"),
            false => println!("{what}\n    {met:<8} {figure:<12} middle half {spread}; {goal}; against: {yardstick}"),
        }
    }
    println!("{}", "─".repeat(100));
    let others: Vec<&Row> = rows.iter().filter(|row| row.line.is_none()).collect();
    for row in others {
        let met = row.met().map_or("", |met| if met { "met" } else { "NOT met" });
        println!("{:<34}{:>12}  {:<18} {met:<8} {}", row.name, row.figure(), row.goal_text(), row.yardstick);
    }
    let missed = rows.iter().filter(|row| row.met() == Some(false)).count();
    println!("\n{} goals met, {missed} not", rows.iter().filter(|row| row.met() == Some(true)).count());
}

fn table_row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// The tables as Markdown.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let mut text = format!("| {} |\n|{}\n", HEAD.join(" | "), "---|".repeat(HEAD.len()));
    for mut cells in lines(rows) {
        if cells[5] == "NOT met" {
            cells[5] = "**NOT met**".into();
        }
        text.push_str(&table_row(&cells));
    }
    text.push_str("\nWhat these ratios are made of, and what else was measured:\n\n| name | measured | middle half | rounds | against | made of |\n|---|---|---|---|---|---|\n");
    for row in rows {
        let of: Vec<String> = row.of.iter().map(|(name, value)| format!("{name} {}", short(*value))).collect();
        let name = format!("`{}`", row.name);
        text.push_str(&table_row(&[name, row.figure(), row.spread_text(), row.rounds.to_string(), row.yardstick.clone(), of.join(", ")]));
    }
    text
}

/// Writes the rows, and what peers came to.
pub(crate) fn write(path: &Path, rows: &[Row], machine: &Value, peers: &Value) {
    let rows: Vec<Value> = rows.iter().map(Row::json).collect();
    let text = serde_json::to_string_pretty(&json!({"machine": machine, "rows": rows, "peers": peers})).expect("JSON");
    std::fs::write(path, format!("{text}\n")).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
