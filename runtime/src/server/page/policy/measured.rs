//! What a policy has shown: what it found, what it cost, where it failed to answer, and
//! where a release that is tried out differs from the one in force.

use maud::{Markup, html};

use super::super::context::Context;
use super::super::parts::{self, Column, Figure, Level};
use crate::overview::{RuleKey, RuleSum};
use crate::runtime::{Shown, Standing};
use crate::stats::PolicyLabel;
use crate::verdict::{FaultKind, Mode};

/// Everything that was counted.
pub fn section(context: &Context<'_>, name: &str, standing: &[Standing]) -> Markup {
    html! {
        (found(context, name))
        @for one in standing { (cost(context, one)) }
        @for one in standing.iter().filter(|one| one.mode != Mode::Enforce) { (difference(context, one)) }
        (publisher(context, name))
    }
}

/// Findings by rule, and faults by kind, as far as the overview has counted.
fn found(context: &Context<'_>, name: &str) -> Markup {
    let Some(overview) = &context.shared.overview else { return html! {} };
    let (from, mut rules, mut faults) = overview.look(|sums| {
        let rules = sums.rules.iter().filter(|(key, _)| *key.policy == *name).map(|(key, sum)| (key.clone(), sum.clone()));
        let faults = sums.faults.iter().filter(|((policy, _), _)| **policy == *name).map(|((_, kind), count)| (*kind, *count));
        (sums.from, rules.collect::<Vec<(RuleKey, RuleSum)>>(), faults.collect::<Vec<(FaultKind, u64)>>())
    });
    rules.sort_by(|(one, first), (other, second)| second.findings.cmp(&first.findings).then_with(|| one.cmp(other)));
    faults.sort_by_key(|(kind, _)| kind.name());
    let largest = rules.iter().map(|(_, sum)| sum.findings).max().unwrap_or_default();
    let head = [
        Column::text(context.text("event.rule")),
        Column::text(context.text("policy.mode")),
        Column::number(context.text("policy.findings")),
        Column::text(context.text("policy.share-column")),
        Column::text(context.text("policy.last")),
    ];
    let rows = html! {
        @for (key, sum) in &rules {
            tr {
                th scope="row" { code { (key.rule) } }
                td { (parts::mode(context, key.mode)) }
                td.number { (parts::number(sum.findings)) }
                td.bars { (parts::bar(sum.findings, largest)) }
                td { (parts::event(sum.last)) " · " (parts::time_micros(sum.at)) }
            }
        }
    };
    let body = html! {
        @if rules.is_empty() { (parts::empty(context.text("policy.no-findings"))) } @else { (parts::table(context.text("policy.findings-by-rule"), &head, &rows)) }
        @if !faults.is_empty() {
            p { (context.text("policy.no-answers")) }
            ul { @for (kind, count) in &faults { li { code { (kind.name()) } ": " (parts::number(*count)) } } }
        }
        p.note { (context.text_with("policy.counted-from", &[("n", &parts::number(from.max(1)))])) }
    };
    parts::live_section("findings", context.text("policy.findings-by-rule"), &body)
}

/// What a release costs, since it began in this process.
fn cost(context: &Context<'_>, standing: &Standing) -> Markup {
    let Shown { events, faults, found, p50_us, p99_us, core_share, .. } = &standing.shown;
    let label = PolicyLabel { policy: standing.release.policy().to_string() };
    let stats = context.shared.runtime.stats();
    let fuel = stats.fuel.get_or_create(&label).get();
    let micros = |micros: f64| html! { (format!("{micros:.1}")) " µs" };
    let figure = |name, value: Markup, remark: Option<Markup>, level| Figure { name, value, remark, level };
    let no_answer = if *faults == 0 { Level::Good } else { Level::Uncertain };
    // Of a release in force these are not counted.
    let tried = [
        figure(context.text("policy.events"), html! { (parts::number(*events)) }, None, Level::Good),
        figure(
            context.text("policy.found"),
            html! { (parts::number(*found)) },
            Some(html! { (parts::percent(*found, *events)) }),
            Level::Good,
        ),
        figure(
            context.text("policy.faults"),
            html! { (parts::number(*faults)) },
            Some(html! { (parts::percent(*faults, *events)) }),
            no_answer,
        ),
    ];
    let all = [
        figure(context.text("policy.time"), micros(*p50_us), Some(html! { "p99 " (micros(*p99_us)) }), Level::Good),
        figure(context.text("policy.core"), html! { (format!("{:.2}%", core_share * 100.0)) }, None, Level::Good),
    ];
    let figures: Vec<Figure<'_>> = tried.into_iter().filter(|_| standing.mode != Mode::Enforce).chain(all).collect();
    let body = html! {
        p { (parts::mode(context, standing.mode)) " " code { (standing.release.id) } }
        (parts::figures(&figures))
        p.note {
            (context.text("policy.cost-what")) " "
            (context.text_with("policy.fuel", &[("fuel", &parts::number(fuel))]))
        }
    };
    parts::live_section(&format!("cost-{}", standing.release.digest.short()), context.text("policy.cost"), &body)
}

/// Where a release that is tried out says something else than the one in force.
fn difference(context: &Context<'_>, standing: &Standing) -> Markup {
    let shown = &standing.shown;
    let publishers = context.shared.options.publishers.as_deref();
    let gate = standing.release.publisher.as_deref().and_then(|publisher| publishers?.gate(publisher));
    let lacks = gate.map(|gate| shown.lacks(&gate));
    let head = [
        Column::number(context.text("policy.entry")),
        Column::text(context.text("policy.in-force-says")),
        Column::text(context.text("policy.candidate-says")),
        Column::text(context.text("event.id")),
    ];
    let rows = html! {
        @for example in &shown.examples {
            tr {
                td.number { (parts::event(example.sequence)) }
                td { (parts::verdict(context, example.in_force)) }
                td { (parts::verdict(context, example.candidate)) }
                td.long { code { (example.id) } }
            }
        }
    };
    let values = [
        ("n", parts::number(shown.differences)),
        ("all", parts::number(shown.events)),
        ("share", parts::percent(shown.differences, shown.events)),
    ];
    let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let body = html! {
        p { (context.text_with("policy.differs", &values)) }
        @if !shown.examples.is_empty() { (parts::table(context.text("policy.difference"), &head, &rows)) p.note { (context.text("policy.examples")) } }
        @if let Some(lacks) = &lacks {
            @if lacks.is_empty() { p { (Level::Good.icon()) " " (context.text("policy.gate-open")) } } @else {
                p { (context.text("policy.gate-lacks")) }
                ul lang="en" { @for lack in lacks { li { (lack) } } }
            }
        }
    };
    parts::live_section("difference", context.text("policy.difference"), &body)
}

/// How the policy's publisher stands.
fn publisher(context: &Context<'_>, name: &str) -> Markup {
    let Some((publisher, _)) = name.split_once('/') else { return html! {} };
    let all = context.shared.options.publishers.as_deref().map(crate::publishers::Publishers::status).unwrap_or_default();
    let Some(status) = all.into_iter().find(|status| status.publisher == publisher) else { return html! {} };
    let own = |policy: &str| policy == name;
    let body = html! {
        dl.facts {
            dt { (context.text("policy.publisher")) } dd { (status.publisher) }
            dt { (context.text("policy.checked")) }
            dd { @match status.checked { Some(at) => (parts::time(at)), None => (context.text("policy.never")) } }
            @if let Some(expires) = status.expires { dt { (context.text("policy.expires")) } dd { (parts::time(expires)) } }
            @if status.stale_s > 0 { dt { (context.text("policy.stale-for")) } dd { strong { (parts::duration(context, status.stale_s)) } } }
            @if let Some(problem) = &status.problem { dt { (context.text("policy.problem")) } dd lang="en" { (problem.message) } }
            @for pending in status.pending.iter().filter(|pending| own(&pending.policy)) {
                dt { (context.text("policy.pending")) } dd { (pending.version) ", " (parts::time(pending.valid_from)) }
            }
            @for refused in status.refused.iter().filter(|refused| own(&refused.policy)) {
                dt { (context.text("policy.refused")) } dd lang="en" { (refused.version) ": " (refused.message) }
            }
        }
    };
    parts::live_section("publisher", context.text("policy.publisher-stands"), &body)
}
