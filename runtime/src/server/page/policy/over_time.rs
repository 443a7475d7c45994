//! What a policy's rules found lately, over the time of arrival.

use maud::{Markup, html};

use super::super::context::{Context, link};
use super::super::parts::{self, Column};
use super::super::plot::{Ink, Panel, Plot, Series, bars};
use crate::overview::{Recent, Resolution};

/// Rules that are drawn, those with the most findings.
const DRAWN_MAX: usize = 3;

/// How far the plot looks back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Period {
    Hour,
    Week,
}

impl Period {
    const ALL: [Period; 2] = [Period::Hour, Period::Week];

    fn name(self) -> &'static str {
        match self {
            Period::Hour => "hour",
            Period::Week => "week",
        }
    }

    fn text(self, context: &Context<'_>) -> &'static str {
        match self {
            Period::Hour => context.text("verdicts.hour"),
            Period::Week => context.text("verdicts.week"),
        }
    }

    fn per(self, context: &Context<'_>) -> &'static str {
        match self {
            Period::Hour => context.text("policy.per-minute"),
            Period::Week => context.text("policy.per-two-hours"),
        }
    }

    /// What is counted, seconds of a bar, and bars.
    fn bars(self) -> (Resolution, i64, i64) {
        match self {
            Period::Hour => (Resolution::Minute, 60, 60),
            Period::Week => (Resolution::Hour, 7_200, 84),
        }
    }
}

/// What is drawn.
struct Counted {
    period: Period,
    from: i64,
    step: i64,
    /// Rules with their findings, bar by bar.
    rules: Vec<(String, Vec<u64>)>,
}

impl Counted {
    fn of(context: &Context<'_>, name: &str) -> Self {
        let recent = recent(context, name);
        let now = context.now.unix_timestamp();
        let asked = Period::ALL.into_iter().find(|period| Some(period.name()) == context.asked("period"));
        let is_new = recent.iter().all(|(_, _, recent)| recent.periods(Resolution::Hour).all(|(start, _)| start > now - 7_200));
        let period = asked.unwrap_or(if is_new { Period::Hour } else { Period::Week });
        let (resolution, step, count) = period.bars();
        let from = (now.div_euclid(step) - count + 1) * step;
        let mut rules: Vec<(String, Vec<u64>)> = Vec::new();
        for (rule, _, recent) in recent {
            if !rules.iter().any(|(known, _)| *known == rule) {
                if rules.len() == DRAWN_MAX {
                    continue;
                }
                rules.push((rule.clone(), vec![0; count as usize]));
            }
            let Some((_, values)) = rules.iter_mut().find(|(known, _)| *known == rule) else { continue };
            for (start, findings) in recent.periods(resolution) {
                let at = usize::try_from((start - from).div_euclid(step)).ok();
                if let Some(value) = at.and_then(|at| values.get_mut(at)) {
                    *value += findings;
                }
            }
        }
        Counted { period, from, step, rules }
    }
}

/// A policy's rules, with all findings and the latest, those with the most first.
fn recent(context: &Context<'_>, name: &str) -> Vec<(String, u64, Recent)> {
    let Some(overview) = &context.shared.overview else { return Vec::new() };
    let mut rules = overview.look(|sums| {
        let own = sums.rules.iter().filter(|(key, _)| *key.policy == *name);
        let with = own.filter_map(|(key, sum)| Some((key.rule.to_string(), sum.findings, sums.recent.get(key)?.clone())));
        with.collect::<Vec<_>>()
    });
    rules.sort_by(|(one, first, _), (other, second, _)| second.cmp(first).then_with(|| one.cmp(other)));
    rules
}

/// The plot of a policy.
pub fn plot(context: &Context<'_>, name: &str) -> Plot {
    let Counted { period, from, step, rules } = Counted::of(context, name);
    let per = period.per(context);
    let units: Vec<String> = rules.iter().map(|(rule, _)| context.text_with("policy.plot-unit", &[("rule", rule), ("per", per)])).collect();
    let all = rules.iter().flat_map(|(_, values)| values).sum();
    let title = format!("{}: {}", context.text_with("policy.plot", &[("policy", name)]), period.text(context));
    Plot::draw(title, context.count("policy.plot-what", all), |area| {
        let mut panels = Vec::new();
        for (unit, (rule, values)) in units.iter().zip(&rules) {
            panels.push(Panel { unit, series: vec![Series { name: rule, ink: Ink::Flag, values: values.clone() }] });
        }
        bars(area, from, step, &panels)
    })
}

/// The section of the plot; nothing before there are findings.
pub fn section(context: &Context<'_>, name: &str) -> Markup {
    let counted = Counted::of(context, name);
    if counted.rules.is_empty() {
        return html! {};
    }
    let mut head = vec![Column::text(context.text("verdicts.from"))];
    head.extend(counted.rules.iter().map(|(rule, _)| Column::number(rule)));
    let bars = (0..counted.rules.first().map_or(0, |(_, values)| values.len())).rev();
    let row = |at: usize| counted.rules.iter().map(move |(_, values)| values.get(at).copied().unwrap_or_default());
    let rows = html! {
        @for at in bars.filter(|at| row(*at).any(|findings| findings > 0)) {
            tr {
                td { (parts::time_micros((counted.from + counted.step * at as i64) * 1_000_000)) }
                @for findings in row(at) { td.number { (parts::number(findings)) } }
            }
        }
    };
    let table = parts::table(context.text("policy.over-time"), &head, &rows);
    let query = [("policy", name), ("period", counted.period.name())];
    let body = html! {
        nav.beside aria-label=(context.text("verdicts.period")) {
            div.switch {
                @for one in Period::ALL {
                    a href=(link(context.path, &[("period", one.name())])) aria-current=[(one == counted.period).then_some("true")] { (one.text(context)) }
                }
            }
        }
        (plot(context, name).to_markup(context, "findings", &query, &table))
    };
    parts::live_section("over-time", context.text("policy.over-time"), &body)
}
