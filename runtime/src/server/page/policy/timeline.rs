//! What became of a policy's releases, one change after the other.

use maud::{Markup, html};

use super::super::context::Context;
use super::super::parts;
use super::act;
use crate::overview::Moved;

/// Changes that are shown.
const SHOWN_MAX: usize = 100;

/// The section of changes, the latest first.
pub fn section(context: &Context<'_>, moved: &[Moved]) -> Markup {
    let from = context.shared.overview.as_ref().map_or(0, |overview| overview.look(|sums| sums.from));
    let body = html! {
        @if moved.is_empty() { (parts::empty(context.text("policy.no-changes"))) }
        ol.timeline {
            @for change in moved.iter().rev().take(SHOWN_MAX) {
                li class=(if change.replaced.is_some() { "swap" } else { change.what }) {
                    p {
                        strong { (act(context, change.what, change.mode)) } " " (parts::mode(context, change.mode)) " " code { (change.release) }
                        @if let Some(replaced) = &change.replaced { " " (context.text("policy.in-place-of")) " " code { (replaced) } }
                    }
                    p.note {
                        (parts::time_micros(change.at)) " · "
                        (context.text("policy.entry")) " " (parts::event(change.sequence)) " · "
                        (context.text_with("policy.by", &[("who", &change.by)]))
                        @if let Some(reason) = &change.reason { " · " (reason) }
                        @if let Some(state) = change.state.as_deref().and_then(|state| states(context, state)) { " · " (state) }
                    }
                }
            }
        }
        @if from > 1 { p.note { (context.text_with("policy.counted-from", &[("n", &parts::number(from))])) } }
        @if moved.len() > SHOWN_MAX { p.note { (context.text_with("policy.changes-more", &[("n", &parts::number((moved.len() - SHOWN_MAX) as u64))])) } }
    };
    parts::section("timeline", context.text("policy.timeline"), &body)
}

/// What became of the states, where there were some.
fn states(context: &Context<'_>, word: &str) -> Option<&'static str> {
    match word {
        "kept" => Some(context.text("policy.states-kept")),
        "migrated" => Some(context.text("policy.states-migrated")),
        "reset" => Some(context.text("policy.states-reset")),
        _ => None,
    }
}
