//! How the record stands: what is signed, who has co-signed it, and what has changed.

use maud::{Markup, html};

use super::super::context::Context;
use super::super::parts::{self, Column, number};
use crate::ledger::Durability;

/// Changes and gaps that are shown.
const SHOWN: usize = 12;

pub(super) fn ledger(context: &Context<'_>) -> Markup {
    let runtime = &context.shared.runtime;
    let body = match runtime.log() {
        None => parts::empty(context.text("home.no-ledger")),
        Some(log) => {
            let latest = log.latest();
            let witnessed = log.witnessed();
            html! {
                dl.facts {
                    dt { (context.text("record.entries")) }
                    dd { (number(*runtime.durable().borrow())) }
                    dt { (context.text("record.durability")) }
                    dd {
                        @match log.durability() {
                            Durability::Sync => (context.text("record.durability-sync")),
                            Durability::Os => (context.text("record.durability-os")),
                        }
                    }
                    dt { (context.text("record.checkpoint")) }
                    dd {
                        @match &latest {
                            Some((checkpoint, _)) => {
                                a href="/v1/log/checkpoint" { (context.count("record.checkpoint-of", checkpoint.size)) }
                                br; code { (checkpoint.root) }
                            }
                            None => (context.text("record.checkpoint-none")),
                        }
                    }
                    dt { (context.text("record.witnesses")) }
                    dd {
                        @if witnessed.witnesses.is_empty() {
                            (context.text("record.witnesses-none"))
                        } @else {
                            (context.text_with("record.witnesses-required", &[("n", &number(witnessed.required as u64)), ("size", &number(witnessed.final_size))]))
                            @for (name, size) in &witnessed.witnesses { br; (name) ": " (number(*size)) }
                        }
                    }
                    dt { (context.text("record.key")) }
                    dd { code { (log.key()) } }
                }
            }
        }
    };
    parts::live_section("record", context.text("record.title"), &body)
}

pub(super) fn changes(context: &Context<'_>) -> Markup {
    let overview = context.shared.overview.as_ref();
    let (changes, gaps) = overview
        .map(|overview| {
            overview.look(|sums| {
                let changes = sums.changes.iter().rev().filter(|change| context.viewer.sees_policy(&change.policy)).take(SHOWN);
                // What a source leaves out is about events of any policy.
                let shown = if context.viewer.is_whole() { SHOWN } else { 0 };
                let gaps = sums.gaps.iter().rev().take(shown);
                (changes.cloned().collect::<Vec<_>>(), gaps.cloned().collect::<Vec<_>>())
            })
        })
        .unwrap_or_default();
    let mut rows: Vec<(u64, Markup)> = Vec::new();
    for change in &changes {
        let row = html! {
            tr {
                td { (parts::time_micros(change.at)) span.note { br; (context.text("feed.entry")) " " (parts::event(change.sequence)) } }
                td { (what(context, change.what)) span.note { br; (context.text_with("changes.by", &[("who", &change.by)])) } }
                td.long { (parts::policy(&change.policy)) span.note { br; code { (change.release) } " " (parts::mode(context, change.mode)) } }
            }
        };
        rows.push((change.sequence, row));
    }
    for gap in &gaps {
        let said = match (gap.missing, gap.heartbeat) {
            (Some(missing), _) => context.count("changes.gap", missing),
            (None, heartbeat) => {
                let seconds = parts::duration(context, heartbeat.unwrap_or_default());
                context.text_with("changes.silence", &[("time", &seconds)])
            }
        };
        let row = html! {
            tr {
                td { (parts::time_micros(gap.at)) span.note { br; (context.text("feed.entry")) " " (parts::event(gap.sequence)) } }
                td { (said) }
                td.long { (gap.source) }
            }
        };
        rows.push((gap.sequence, row));
    }
    rows.sort_by_key(|(sequence, _)| std::cmp::Reverse(*sequence));
    let head = [
        Column::text(context.text("changes.when")),
        Column::text(context.text("changes.what")),
        Column::text(context.text("changes.whose")),
    ];
    let body = html! {
        @if rows.is_empty() {
            (parts::empty(context.text("changes.none")))
        } @else {
            @let shown = html! { @for (_, row) in rows.iter().take(SHOWN) { (row) } };
            div.stacked { (parts::table(context.text("changes.title"), &head, &shown)) }
        }
    };
    parts::live_section("changes", context.text("changes.title"), &body)
}

/// What became of a release.
fn what(context: &Context<'_>, what: &str) -> &'static str {
    match what {
        "install" => context.text("changes.install"),
        "promote" => context.text("changes.promote"),
        "demote" => context.text("changes.demote"),
        "withdraw" => context.text("changes.withdraw"),
        "remove" => context.text("changes.remove"),
        "stale" => context.text("changes.stale"),
        "stop" => context.text("changes.stop"),
        _ => context.text("changes.fresh"),
    }
}
