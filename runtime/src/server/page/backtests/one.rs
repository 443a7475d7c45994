//! One back-test: how far it is, and what came of it.

use std::sync::Arc;

use maud::{Markup, html};

use super::super::context::Context;
use super::super::layout::{Tab, layout};
use super::super::parts::{self, Column, Figure, Level, number};
use super::super::plot::{Ink, Panel, Plot, Series, bars};
use crate::backtest::{Against, Done, End, Example, Job, Kinds, Named, Request, State, Status};
use crate::server::backtests;
use crate::server::problem::Problem;
use crate::verdict::Decision;

/// Rows of a table of names.
const ROWS_MAX: usize = 15;

/// Seconds of an hour and of a day.
const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

pub(in super::super) fn view(context: &Context<'_>, id: u64) -> Result<Markup, Problem> {
    let job = find(context, id)?;
    let (status, done) = (job.status(), backtests::shown(&context.viewer, &job));
    let title = context.text_with("backtest.title", &[("id", &id.to_string())]);
    let body = html! {
        @if let Some(done) = &done {
            (headline(context, &job.request, done))
            (figures(context, done))
            (remarks(context, done))
        } @else {
            (progress(context, &job, &status))
        }
        (facts(context, &job, &status, done.as_deref()))
        @if let Some(done) = &done {
            @if done.report.changes.total() > 0 {
                (over_time(context, id, done))
                div.row { (verdicts(context, done)) (rules(context, done)) }
                (names(context, done))
                (examples(context, id, done))
            } @else {
                (verdicts(context, done))
            }
        }
        (parts::script("plot.js"))
        (parts::script("backtest.js"))
    };
    Ok(layout(context, &title, Some(Tab::Backtests), &body))
}

fn find(context: &Context<'_>, id: u64) -> Result<Arc<Job>, Problem> {
    backtests::find(context.shared, &context.viewer, id)
}

/// The release that is tried, with what is other in it.
pub(super) fn release(context: &Context<'_>, request: &Request) -> Markup {
    html! {
        @if request.release.is_empty() { (request.policy) } @else { (request.release) }
        @if request.changed { " " (context.text("backtest.changed")) }
    }
}

/// With what it is compared.
pub(super) fn against(context: &Context<'_>, request: &Request) -> Markup {
    html! {
        @match &request.against {
            Against::Recorded => (context.text("backtests.recorded")),
            Against::Release(release) => code { (release) },
        }
    }
}

/// How far it is, in a word.
pub(super) fn state(context: &Context<'_>, status: &Status) -> Markup {
    let (word, level) = match status.state {
        State::Waiting => (context.text("backtest.waiting"), "waiting"),
        State::Preparing => (context.text("backtest.preparing"), "running"),
        State::Running => (context.text("backtest.running"), "running"),
        State::Done => (context.text("backtest.done"), "done"),
        State::Failed => (context.text("backtest.failed"), "failed"),
        State::Cancelled => (context.text("backtest.cancelled"), "cancelled"),
    };
    html! { span class={ "state " (level) } { (word) } }
}

/// What came of it, in a sentence.
pub(super) fn sentence(context: &Context<'_>, request: &Request, done: &Done) -> String {
    let (new, gone) = done.new_and_gone();
    let (changed, events) = (done.report.changes.total(), done.report.events);
    let what = if request.changed { format!("{} {}", request.release, context.text("backtest.changed")) } else { request.release.clone() };
    if changed == 0 {
        return context.text_with("backtest.same", &[("release", &what), ("events", &number(events))]);
    }
    let values = [
        ("release", what.as_str()),
        ("changed", &number(changed)),
        ("events", &number(events)),
        ("share", &parts::percent(changed, events)),
        ("new", &number(new)),
        ("gone", &number(gone)),
    ];
    context.text_with("backtest.sentence", &values)
}

fn headline(context: &Context<'_>, request: &Request, done: &Done) -> Markup {
    html! {
        div class={ "card headline backtest-says" } {
            (compared_icon())
            p.says { (sentence(context, request, done)) }
            p.why {
                @match &request.against {
                    Against::Recorded if request.alone => (context.text("backtest.why-alone")),
                    Against::Recorded => (context.text("backtest.why-recorded")),
                    Against::Release(_) => (context.text("backtest.why-release")),
                }
            }
        }
    }
}

/// Two sides.
fn compared_icon() -> Markup {
    html! {
        svg.level viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" {
            path d="M3 4h6v12H3z" fill="none" stroke="currentColor" stroke-width="1.600" {}
            path d="M11 4h6v12h-6z" fill="currentColor" {}
        }
    }
}

fn figures(context: &Context<'_>, done: &Done) -> Markup {
    let Kinds { stricter, milder, findings } = done.report.changes;
    let (new, gone) = done.new_and_gone();
    let events = done.report.events;
    let of_events = |count: u64| Some(html! { (context.text_with("backtest.of-events", &[("share", &parts::percent(count, events))])) });
    let figure = |name, count: u64, remark| Figure { name, value: html! { (number(count)) }, remark, level: Level::Good };
    parts::figures(&[
        figure(context.text("backtest.events"), events, None),
        figure(context.text("backtest.stricter"), stricter, of_events(stricter)),
        figure(context.text("backtest.milder"), milder, of_events(milder)),
        figure(context.text("backtest.others"), findings, of_events(findings)),
        figure(context.text("backtest.new"), new, None),
        figure(context.text("backtest.gone"), gone, None),
    ])
}

/// What a reader has to know beside the figures.
fn remarks(context: &Context<'_>, done: &Done) -> Markup {
    let mut said = Vec::new();
    if done.not_kept > 0 {
        said.push(context.count("backtest.not-kept", done.not_kept));
    }
    if done.refused > 0 {
        said.push(context.count("backtest.not-taken", done.refused));
    }
    if done.verdict_events > 0 {
        said.push(context.count("backtest.verdict-events", done.verdict_events));
    }
    if done.warm_up > 0 {
        said.push(context.count("backtest.warmed-up", done.warm_up));
    } else if done.stateful {
        said.push(context.text("backtest.cold").to_string());
    }
    html! { @if !said.is_empty() { ul.remarks { @for one in said { li { (one) } } } } }
}

fn progress(context: &Context<'_>, job: &Job, status: &Status) -> Markup {
    let of = status.of.unwrap_or_default();
    let body = html! {
        p.says { span id="state" { (state(context, status)) } }
        @if status.state.is_over() {
            p lang="en" { (status.failure.as_deref().unwrap_or_default()) }
        } @else {
            progress id="bar" max=(of.max(1)) value=[(of > 0).then_some(status.events)] aria-label=(context.text("backtest.progress")) {}
            p id="counted" {
                @if of > 0 {
                    (context.text_with("backtests.so-far", &[("n", &number(status.events)), ("of", &number(of))])) " "
                    (context.text_with("backtest.rate", &[("n", &number(status.per_second as u64))]))
                }
            }
            p.note.unscripted { (context.text("backtest.reload")) " " a href={ "/backtests/" (job.id) } { (context.text("backtest.look-again")) } }
        }
        form method="post" action={ "/backtests/" (job.id) } {
            button type="submit" { @if status.state.is_over() { (context.text("backtest.forget")) } @else { (context.text("backtest.cancel")) } }
        }
    };
    html! { div id="running" data-backtest=[(!status.state.is_over()).then_some(job.id)] { (parts::section("progress", context.text("backtest.progress"), &body)) } }
}

fn facts(context: &Context<'_>, job: &Job, status: &Status, done: Option<&Done>) -> Markup {
    let request = &job.request;
    let end = |end: &Option<End>, otherwise: &str| match end {
        Some(End::Sequence(sequence)) => html! { (context.text("backtest.entry")) " " (parts::event(*sequence)) },
        Some(End::Time(time)) => html! { (time) " UTC" },
        None => html! { (otherwise) },
    };
    let body = html! {
        dl.facts {
            dt { (context.text("backtest.policy")) } dd { (parts::policy(&request.policy)) }
            dt { (context.text("backtests.release")) } dd { code { (release(context, request)) } }
            @if let Some(done) = done.filter(|_| request.changed) {
                dt { (context.text("backtest.judged-with")) } dd { @for release in done.after.values() { code { (release) } } }
            }
            dt { (context.text("backtests.against")) } dd { (against(context, request)) }
            dt { (context.text("backtest.period")) }
            dd { (end(&request.from, context.text("backtest.first"))) " – " (end(&request.until, context.text("backtest.last"))) }
            @if let Some((first, last)) = done.and_then(|done| done.report.span.as_ref()) {
                dt { (context.text("backtest.days")) } dd { (first) " – " (last) " UTC" }
            }
            dt { (context.text("backtest.by-whom")) } dd { (request.by) ", " (parts::time_micros(job.asked)) }
            @if let Some(reason) = &request.reason { dt { (context.text("backtest.why")) } dd { (reason) } }
            @if done.is_some() {
                dt { (context.text("backtest.took")) }
                dd { (format!("{:.1} s", status.seconds)) " " (context.text_with("backtest.rate", &[("n", &number(status.per_second as u64))])) }
            }
        }
        @if done.is_some() {
            div.buttons {
                a.button href={ "/v1/backtests/" (job.id) "/differences" } { (context.text("backtest.ndjson")) }
                a.button href={ "/v1/backtests/" (job.id) "/differences?format=csv" } { (context.text("backtest.csv")) }
                a.button href={ "/v1/backtests/" (job.id) } { (context.text("backtest.json")) }
                form method="post" action={ "/backtests/" (job.id) } { button type="submit" { (context.text("backtest.forget")) } }
            }
        }
    };
    parts::section("facts", context.text("backtest.facts"), &body)
}

/// The plot of a back-test that is done.
pub(in super::super) fn plot(context: &Context<'_>) -> Option<Plot> {
    let job = find(context, context.asked("id")?.parse().ok()?).ok()?;
    backtests::shown(&context.viewer, &job).map(|done| drawn(context, job.id, &done))
}

fn drawn(context: &Context<'_>, id: u64, done: &Done) -> Plot {
    let timeline = &done.report.timeline;
    let (first, last) = timeline.span().unwrap_or_default();
    let count = usize::try_from((last - first) / timeline.step_s + 1).unwrap_or(1).min(1_000);
    let mut all = vec![(0, Kinds::default()); count];
    for part in &timeline.parts {
        if let Some(place) = usize::try_from((part.from - first) / timeline.step_s).ok().and_then(|at| all.get_mut(at)) {
            *place = (part.events, part.changes);
        }
    }
    let per = context.text_with("backtest.per", &[("time", &length(context, timeline.step_s))]);
    let events = format!("{} {per}", context.text("backtest.events"));
    let changes = format!("{} {per}", context.text("backtest.changes"));
    let Kinds { stricter, milder, findings } = done.report.changes;
    let values =
        [("events", number(done.report.events)), ("stricter", number(stricter)), ("milder", number(milder)), ("others", number(findings))];
    let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let description = context.text_with("backtest.description", &values);
    let title = context.text_with("backtest.over-time-of", &[("id", &id.to_string())]);
    Plot::draw(title, description, |area| {
        let series = |name, ink, of: &dyn Fn(&(u64, Kinds)) -> u64| Series { name, ink, values: all.iter().map(of).collect() };
        let panels = [
            Panel { unit: &events, series: vec![series(context.text("backtest.events"), Ink::Allow, &|part| part.0)] },
            Panel {
                unit: &changes,
                series: vec![
                    series(context.text("backtest.stricter-short"), Ink::Deny, &|part| part.1.stricter),
                    series(context.text("backtest.milder-short"), Ink::Allow, &|part| part.1.milder),
                    series(context.text("backtest.others-short"), Ink::Undetermined, &|part| part.1.findings),
                ],
            },
        ];
        bars(area, first, timeline.step_s, &panels)
    })
}

/// How long a bar is.
fn length(context: &Context<'_>, seconds: i64) -> String {
    let n = |unit: i64| u64::try_from(seconds / unit).unwrap_or_default();
    match seconds {
        0..HOUR => context.count("frame.minutes", n(60)),
        HOUR..DAY => context.count("frame.hours", n(HOUR)),
        _ => context.count("frame.days", n(DAY)),
    }
}

fn over_time(context: &Context<'_>, id: u64, done: &Done) -> Markup {
    let head = [
        Column::text(context.text("verdicts.from")),
        Column::number(context.text("backtest.events")),
        Column::number(context.text("backtest.stricter")),
        Column::number(context.text("backtest.milder")),
        Column::number(context.text("backtest.others")),
    ];
    let rows = html! {
        @for part in &done.report.timeline.parts {
            tr {
                td { (parts::time_micros(part.from.saturating_mul(1_000_000))) }
                @for count in [part.events, part.changes.stricter, part.changes.milder, part.changes.findings] { td.number { (number(count)) } }
            }
        }
    };
    let table = parts::table(context.text("backtest.over-time"), &head, &rows);
    let body = drawn(context, id, done).to_markup(context, "backtest", &[("id", &id.to_string())], &table);
    parts::section("over-time", context.text("backtest.over-time"), &body)
}

fn verdicts(context: &Context<'_>, done: &Done) -> Markup {
    let head = [
        Column::text(context.text("backtest.verdict")),
        Column::number(context.text("backtest.before")),
        Column::number(context.text("backtest.after")),
    ];
    let rows = html! {
        @for (decision, sides) in &done.report.verdicts {
            tr { td { (parts::verdict(context, *decision)) } td.number { (number(sides.before)) } td.number { (number(sides.after)) } }
        }
    };
    let changes = [Column::text(context.text("backtest.change")), Column::number(context.text("backtest.changes"))];
    let changed = html! {
        @for transition in &done.report.transitions {
            tr { td { (became(context, transition.before, transition.after)) } td.number { (number(transition.count)) } }
        }
    };
    let body = html! {
        (parts::table(context.text("backtest.verdicts"), &head, &rows))
        @if !done.report.transitions.is_empty() { (parts::table(context.text("backtest.change"), &changes, &changed)) }
    };
    parts::section("verdicts", context.text("backtest.verdicts"), &body)
}

fn became(context: &Context<'_>, before: Decision, after: Decision) -> Markup {
    html! {
        span.became {
            (parts::verdict(context, before)) span aria-hidden="true" { "→" } span.heard { (context.text("backtest.becomes")) } (parts::verdict(context, after))
        }
    }
}

fn rules(context: &Context<'_>, done: &Done) -> Markup {
    let head = [
        Column::text(context.text("backtest.rule")),
        Column::number(context.text("backtest.before")),
        Column::number(context.text("backtest.after")),
        Column::number(context.text("backtest.gone-short")),
        Column::number(context.text("backtest.new-short")),
        Column::number(context.text("backtest.altered")),
    ];
    let rows = html! {
        @for rule in &done.report.rules {
            tr {
                td.long { (rule.rule) div.note { (parts::policy(&rule.policy)) } }
                @for count in [rule.findings.before, rule.findings.after, rule.disappeared, rule.appeared, rule.altered] { td.number { (number(count)) } }
            }
        }
    };
    parts::section("rules", context.text("backtest.by-rule"), &parts::table(context.text("backtest.by-rule"), &head, &rows))
}

/// Subjects and sources with the most changes.
fn names(context: &Context<'_>, done: &Done) -> Markup {
    let report = &done.report;
    let source = match &report.sources[..] {
        [only] => Some(only.name.as_str()),
        _ => None,
    };
    let subject = |name: &str| match source {
        Some(source) => parts::subject(source, name),
        None => html! { (name) },
    };
    html! {
        div.row {
            @if !report.subjects.is_empty() { (table_of(context, "by-subject", context.text("backtest.by-subject"), &report.subjects, &report.other_subjects, &subject)) }
            @if report.sources.len() > 1 {
                (table_of(context, "by-source", context.text("backtest.by-source"), &report.sources, &report.other_sources, &|name| html! { (name) }))
            }
        }
    }
}

fn table_of(context: &Context<'_>, id: &str, title: &str, all: &[Named], others: &Kinds, name: &dyn Fn(&str) -> Markup) -> Markup {
    let mut rest = *others;
    all.iter().skip(ROWS_MAX).for_each(|named| rest.merge(&named.changes));
    let largest = all.iter().take(ROWS_MAX).map(|named| named.changes.total()).max().unwrap_or_default();
    let head = [
        Column::text(context.text("backtest.name")),
        Column::number(context.text("backtest.stricter-short")),
        Column::number(context.text("backtest.milder-short")),
        Column::number(context.text("backtest.others-short")),
        Column::text(context.text("backtest.changes")),
    ];
    let row = |name: Markup, changes: &Kinds, bar: bool| {
        html! {
            tr {
                td { (name) }
                @for count in [changes.stricter, changes.milder, changes.findings] { td.number { (number(count)) } }
                td.bars.counted { (number(changes.total())) @if bar { (parts::bar(changes.total(), largest)) } }
            }
        }
    };
    let rows = html! {
        @for named in all.iter().take(ROWS_MAX) { (row(name(&named.name), &named.changes, true)) }
        @if rest.total() > 0 { (row(html! { em { (context.text("backtest.all-others")) } }, &rest, false)) }
    };
    parts::section(id, title, &parts::table(title, &head, &rows))
}

fn examples(context: &Context<'_>, id: u64, done: &Done) -> Markup {
    let head = [
        Column::number(context.text("feed.entry")),
        Column::text(context.text("backtest.happened")),
        Column::text(context.text("backtest.verdict")),
        Column::text(context.text("backtest.findings")),
        Column::text(context.text("feed.subject")),
    ];
    let rows = html! {
        @for example in &done.report.examples { (example_row(context, example)) }
    };
    let (shown, all) = (done.report.examples.len() as u64, done.report.changes.total());
    let body = html! {
        p.note {
            (context.text_with("backtest.examples-of", &[("n", &number(shown)), ("all", &number(all))])) " "
            @if all > done.differences_kept { (context.text_with("backtest.kept-only", &[("n", &number(done.differences_kept))])) " " }
            a href={ "/v1/backtests/" (id) "/differences?format=csv" } { (context.text("backtest.csv")) }
        }
        div.stacked { (parts::table(context.text("backtest.examples"), &head, &rows)) }
    };
    parts::section("examples", context.text("backtest.examples"), &body)
}

fn example_row(context: &Context<'_>, example: &Example) -> Markup {
    html! {
        tr {
            td.number data-is=(context.text("feed.entry")) { @if let Some(sequence) = example.sequence { (parts::event(sequence)) } @else { "–" } }
            td { (parts::time_text(&example.time)) @if example.timer { div.note { (context.text("backtest.timer")) } } }
            td { (became(context, example.before, example.after)) }
            td.long {
                @for (class, word, list) in [("gone", "backtest.is-gone", &example.disappeared), ("new", "backtest.is-new", &example.appeared)] {
                    @for found in list {
                        p class={ "difference " (class) } { span.heard { (context.text(word)) " " } (found.message) " " span.note { (found.rule) } }
                    }
                }
            }
            td.long {
                @match &example.subject {
                    Some(subject) => (parts::subject(&example.source, subject)),
                    None => (example.source),
                }
            }
        }
    }
}
