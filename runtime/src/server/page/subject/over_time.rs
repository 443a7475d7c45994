//! What was found about a subject, over the time at which it happened.

use maud::{Markup, html};

use super::super::context::Context;
use super::super::parts;
use super::super::plot::{Ink, Panel, Plot, Series, bars};
use super::read::Entry;
use crate::verdict::Decision;

/// Bars, at most.
const BARS_MAX: i64 = 80;

/// How long a bar is at least, and the lengths that it can have.
const STEPS: [i64; 8] = [60, 900, 3_600, 6 * 3_600, 86_400, 7 * 86_400, 28 * 86_400, 364 * 86_400];

/// Entries by time and verdict.
struct Counted {
    from: i64,
    step: i64,
    /// In the order of [`Decision::ALL`].
    bars: Vec<[u64; 4]>,
}

impl Counted {
    fn of(entries: &[Entry]) -> Self {
        let seconds = |entry: &Entry| entry.at.div_euclid(1_000_000);
        let first = entries.iter().map(seconds).min().unwrap_or_default();
        let last = entries.iter().map(seconds).max().unwrap_or_default();
        let count = |step: i64| last.div_euclid(step) - first.div_euclid(step) + 1;
        let step = STEPS.into_iter().find(|step| count(*step) <= BARS_MAX).unwrap_or(364 * 86_400);
        // A single bar would fill the picture: there is room for twelve, at least.
        let margin = (12 - count(step) + 1).max(0) / 2;
        let from = (first.div_euclid(step) - margin) * step;
        let mut bars = vec![[0; 4]; usize::try_from(count(step) + 2 * margin).unwrap_or(1).min(10_000)];
        for entry in entries {
            let at = usize::try_from((seconds(entry) - from).div_euclid(step)).unwrap_or_default();
            if let Some(bar) = bars.get_mut(at) {
                bar[entry.verdict as usize] += 1;
            }
        }
        Counted { from, step, bars }
    }

    fn of_verdict(&self, decision: Decision) -> Vec<u64> {
        self.bars.iter().map(|bar| bar[decision as usize]).collect()
    }

    fn per(&self, context: &Context<'_>) -> &'static str {
        match self.step {
            60 => context.text("subject.per-minute"),
            900 => context.text("subject.per-quarter-hour"),
            3_600 => context.text("subject.per-hour"),
            21_600 => context.text("subject.per-quarter-day"),
            86_400 => context.text("subject.per-day"),
            604_800 => context.text("subject.per-week"),
            2_419_200 => context.text("subject.per-four-weeks"),
            _ => context.text("subject.per-year"),
        }
    }
}

/// The plot.
pub fn plot(context: &Context<'_>, subject: &str, entries: &[Entry]) -> Plot {
    let counted = Counted::of(entries);
    let unit = context.text_with("subject.unit", &[("per", counted.per(context))]);
    let series = |decision: Decision, name, ink| Series { name, ink, values: counted.of_verdict(decision) };
    let all = [
        series(Decision::Allow, context.text("words.allow"), Ink::Allow),
        series(Decision::Flag, context.text("words.flag"), Ink::Flag),
        series(Decision::Undetermined, context.text("words.undetermined"), Ink::Undetermined),
        series(Decision::Deny, context.text("words.deny"), Ink::Deny),
    ];
    let title = context.text_with("subject.plot", &[("subject", subject)]);
    let description = context.count("subject.plot-what", entries.len() as u64);
    // What is nowhere needs no colour.
    let drawn = || all.iter().filter(|series| series.values.iter().any(|value| *value > 0));
    Plot::draw(title, description, |area| {
        let series = drawn().map(|series| Series { name: series.name, ink: series.ink, values: series.values.clone() }).collect();
        bars(area, counted.from, counted.step, &[Panel { unit: &unit, series }])
    })
}

/// The section of the plot.
pub fn section(context: &Context<'_>, source: &str, subject: &str, entries: &[Entry]) -> Markup {
    let counted = Counted::of(entries);
    let head = parts::verdicts_over_time(context);
    let rows = html! {
        @for (at, bar) in counted.bars.iter().enumerate().filter(|(_, bar)| bar.iter().any(|count| *count > 0)) {
            tr {
                td { (parts::time_micros((counted.from + counted.step * at as i64) * 1_000_000)) }
                @for count in bar { td.number { (parts::number(*count)) } }
            }
        }
    };
    let table = parts::table(context.text("subject.over-time"), &head, &rows);
    let query = [("source", source), ("subject", subject)];
    let plot = plot(context, subject, entries).to_markup(context, "subject", &query, &table);
    parts::section("over-time", context.text("subject.over-time"), &html! { (plot) p.note { (context.text("subject.plot-note")) } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: i64) -> Entry {
        Entry { sequence: 1, at: at * 1_000_000, verdict: Decision::Deny, said: Vec::new(), faults: Vec::new() }
    }

    #[test]
    fn every_entry_is_in_a_bar() {
        for times in [vec![0], vec![-1, 0, 59], vec![1_000_000_000, 1_700_000_000], vec![i64::from(i32::MIN), i64::from(i32::MAX)]] {
            let counted = Counted::of(&times.iter().map(|at| entry(*at)).collect::<Vec<_>>());
            assert_eq!(counted.of_verdict(Decision::Deny).iter().sum::<u64>(), times.len() as u64, "{times:?}");
            assert!((12..=200).contains(&counted.bars.len()), "{times:?}: {}", counted.bars.len());
        }
    }
}
