//! Verdicts over time.

use maud::{Markup, html};

use super::super::context::{Context, link};
use super::super::parts::{self, number};
use super::super::plot::{Ink, Panel, Plot, Series, bars};
use crate::overview::{Counts, Resolution};
use crate::verdict::Decision;

/// How far the plot looks back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Period {
    #[default]
    Hour,
    Day,
    Week,
    Quarter,
}

impl Period {
    const ALL: [Period; 4] = [Period::Hour, Period::Day, Period::Week, Period::Quarter];

    /// The word in the address.
    fn name(self) -> &'static str {
        match self {
            Period::Hour => "hour",
            Period::Day => "day",
            Period::Week => "week",
            Period::Quarter => "quarter",
        }
    }

    fn of(context: &Context<'_>) -> Self {
        let asked = context.asked("period");
        Period::ALL.into_iter().find(|period| Some(period.name()) == asked).unwrap_or_default()
    }

    fn text(self, context: &Context<'_>) -> &'static str {
        match self {
            Period::Hour => context.text("verdicts.hour"),
            Period::Day => context.text("verdicts.day"),
            Period::Week => context.text("verdicts.week"),
            Period::Quarter => context.text("verdicts.quarter"),
        }
    }

    /// What is counted for how long, of how many periods together, and how many of those.
    fn bars(self) -> (Resolution, i64, i64) {
        match self {
            Period::Hour => (Resolution::Minute, 1, 60),
            Period::Day => (Resolution::Minute, 15, 96),
            Period::Week => (Resolution::Hour, 2, 84),
            Period::Quarter => (Resolution::Day, 1, 91),
        }
    }

    fn per(self, context: &Context<'_>) -> &'static str {
        match self {
            Period::Hour => context.text("verdicts.per-minute"),
            Period::Day => context.text("verdicts.per-quarter-hour"),
            Period::Week => context.text("verdicts.per-two-hours"),
            Period::Quarter => context.text("verdicts.per-day"),
        }
    }
}

/// What is drawn: the seconds of a bar, and each bar with its begin.
fn counted(context: &Context<'_>, period: Period) -> (i64, Vec<(i64, Counts)>) {
    let (resolution, together, count) = period.bars();
    let step = resolution.seconds() * together;
    let last = context.now.unix_timestamp().div_euclid(step) * step;
    let first = last - step * (count - 1);
    let periods = match &context.shared.overview {
        Some(overview) => overview.look(|sums| sums.periods(resolution, first, last + step - 1)),
        None => Vec::new(),
    };
    let mut bars: Vec<(i64, Counts)> = (0..count).map(|index| (first + index * step, Counts::default())).collect();
    for (start, counts) in periods {
        if let Some((_, sum)) = usize::try_from((start - first).div_euclid(step)).ok().and_then(|index| bars.get_mut(index)) {
            for (all, more) in sum.verdicts.iter_mut().zip(counts.verdicts) {
                *all += more;
            }
        }
    }
    (step, bars)
}

/// The plot of the period that was asked for.
pub(in super::super) fn plot(context: &Context<'_>) -> Plot {
    let period = Period::of(context);
    let (step, counted) = counted(context, period);
    let from = counted.first().map(|(start, _)| *start).unwrap_or_default();
    let of = |decision: Decision| counted.iter().map(|(_, counts)| counts.of(decision)).collect::<Vec<u64>>();
    let per = period.per(context);
    let all = context.text_with("verdicts.all", &[("per", per)]);
    let found = context.text_with("verdicts.found", &[("per", per)]);
    let events = counted.iter().map(|(_, counts)| counts.events()).sum::<u64>();
    let description = context.text_with(
        "verdicts.description",
        &[
            ("events", &number(events)),
            ("flag", &number(of(Decision::Flag).iter().sum())),
            ("undetermined", &number(of(Decision::Undetermined).iter().sum())),
            ("deny", &number(of(Decision::Deny).iter().sum())),
        ],
    );
    let title = format!("{}: {}", context.text("verdicts.title"), period.text(context));
    Plot::draw(title, description, |area| {
        let series = |name, ink, values| Series { name, ink, values };
        let panels = [
            Panel {
                unit: &all,
                series: vec![series(
                    context.text("verdicts.all-name"),
                    Ink::Allow,
                    counted.iter().map(|(_, counts)| counts.events()).collect(),
                )],
            },
            Panel {
                unit: &found,
                series: vec![
                    series(context.text("words.flag"), Ink::Flag, of(Decision::Flag)),
                    series(context.text("words.undetermined"), Ink::Undetermined, of(Decision::Undetermined)),
                    series(context.text("words.deny"), Ink::Deny, of(Decision::Deny)),
                ],
            },
        ];
        bars(area, from, step, &panels)
    })
}

pub(super) fn section(context: &Context<'_>) -> Markup {
    let period = Period::of(context);
    let body = html! {
        nav.beside aria-label=(context.text("verdicts.period")) {
            div.switch {
                @for one in Period::ALL {
                    a href=(link("/", &[("period", one.name())])) aria-current=[(one == period).then_some("true")] { (one.text(context)) }
                }
            }
        }
        @if context.shared.overview.is_some() {
            (plot(context).to_markup(context, "verdicts", &[("period", period.name())], &table(context, period)))
        } @else {
            (parts::empty(context.text("home.no-ledger")))
        }
    };
    parts::live_section("verdicts", context.text("verdicts.title"), &body)
}

/// The same numbers as text, the latest first, without periods in which nothing was.
fn table(context: &Context<'_>, period: Period) -> Markup {
    let (_, counted) = counted(context, period);
    let head = parts::verdicts_over_time(context);
    let rows = html! {
        @for (start, counts) in counted.iter().rev().filter(|(_, counts)| counts.events() > 0) {
            tr {
                td { (parts::time_micros(start * 1_000_000)) }
                @for decision in Decision::ALL { td.number { (number(counts.of(decision))) } }
            }
        }
    };
    parts::table(context.text("verdicts.title"), &head, &rows)
}
