//! Which rules found what, and which policies are judged with.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::super::context::Context;
use super::super::parts::{self, Column, number, percent};
use crate::runtime::Mode;

/// Rules that are shown.
const RULES_SHOWN: usize = 25;

pub(super) fn findings(context: &Context<'_>) -> Markup {
    let mut rules = match &context.shared.overview {
        Some(overview) => overview.look(|sums| sums.rules.iter().map(|(key, sum)| (key.clone(), sum.clone())).collect::<Vec<_>>()),
        None => Vec::new(),
    };
    rules.retain(|(key, _)| context.viewer.sees_policy(&key.policy));
    rules.sort_by(|(a, one), (b, other)| other.findings.cmp(&one.findings).then_with(|| a.cmp(b)));
    let largest = rules.first().map(|(_, sum)| sum.findings).unwrap_or_default();
    let head = [
        Column::text(context.text("rules.rule")),
        Column::number(context.text("rules.findings")),
        Column::text(context.text("rules.share")),
        Column::text(context.text("rules.last")),
    ];
    let rows = html! {
        @for (key, sum) in rules.iter().take(RULES_SHOWN) {
            tr {
                th scope="row" { (key.rule) " " (parts::mode(context, key.mode)) span.note { br; (parts::policy(&key.policy)) } }
                td.number data-is=(context.text("rules.findings")) { (number(sum.findings)) }
                td.bars { (parts::bar(sum.findings, largest)) }
                td data-is=(context.text("rules.last")) { (parts::time_micros(sum.at)) }
            }
        }
    };
    let body = html! {
        @if rules.is_empty() {
            (parts::empty(context.text("rules.none")))
        } @else {
            div.stacked { (parts::table(context.text("rules.title"), &head, &rows)) }
            @if rules.len() > RULES_SHOWN { p.note { (context.count("rules.more", (rules.len() - RULES_SHOWN) as u64)) } }
        }
    };
    parts::live_section("rules", context.text("rules.title"), &body)
}

/// What policies have said in all.
#[derive(Default)]
struct Said {
    findings: BTreeMap<(String, Mode), u64>,
    faults: BTreeMap<String, u64>,
}

impl Said {
    fn of(context: &Context<'_>) -> Self {
        let mut said = Said::default();
        let Some(overview) = &context.shared.overview else { return said };
        overview.look(|sums| {
            for (key, sum) in &sums.rules {
                *said.findings.entry((key.policy.to_string(), key.mode)).or_default() += sum.findings;
            }
            for ((policy, _), count) in &sums.faults {
                *said.faults.entry(policy.to_string()).or_default() += count;
            }
        });
        said
    }
}

pub(in super::super) fn policies(context: &Context<'_>) -> Markup {
    let mut standing = context.shared.runtime.policies();
    standing.retain(|standing| context.viewer.sees_policy(standing.release.policy()));
    let said = Said::of(context);
    let head = [
        Column::text(context.text("policies.policy")),
        Column::number(context.text("policies.since")),
        Column::number(context.text("policies.findings")),
        Column::number(context.text("policies.faults")),
    ];
    let rows = html! {
        @for one in &standing {
            @let policy = one.release.policy();
            tr {
                th scope="row" {
                    (parts::policy(policy)) " " (parts::mode(context, one.mode))
                    @if one.mode == Mode::Canary { " " (percent(u64::from(one.share), 10_000)) }
                    @if one.stale.is_some() { " " span.badge.flag { (context.text("policies.stale")) } }
                    span.note { br; (one.release.manifest.summary) br; code { (one.release.id) } }
                }
                td.number data-is=(context.text("policies.since")) { (parts::event(one.since)) }
                td.number data-is=(context.text("policies.findings")) { (number(said.findings.get(&(policy.to_string(), one.mode)).copied().unwrap_or_default())) }
                td.number data-is=(context.text("policies.faults")) { (number(said.faults.get(policy).copied().unwrap_or_default())) }
            }
        }
    };
    let body = html! {
        @if standing.is_empty() {
            (parts::empty(context.text("policies.none")))
        } @else {
            div.stacked { (parts::table(context.text("policies.title"), &head, &rows)) }
        }
    };
    parts::live_section("policies", context.text("policies.title"), &body)
}
