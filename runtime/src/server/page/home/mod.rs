//! The home view: are we judging everything, and how blind are we.

mod blind;
mod feed;
mod record;
mod rules;
mod sight;
mod verdicts;

use maud::{Markup, html};

use super::context::Context;
use super::layout::{Tab, layout};
use super::parts;

pub(super) use rules::policies;
pub(super) use verdicts::plot as verdicts;

pub(super) async fn view(context: &Context<'_>) -> Markup {
    let feed = feed::section(context).await;
    let body = html! {
        (sight::headline(context))
        (blind::section(context))
        (sight::figures(context))
        // Sums over all events are not for who may see a part of what was found.
        @if context.viewer.is_whole() { (verdicts::section(context)) }
        div.row {
            (rules::findings(context))
            (policies(context))
        }
        (feed)
        div.row {
            (record::ledger(context))
            (record::changes(context))
        }
        (parts::script("plot.js"))
        (parts::script("feed.js"))
    };
    layout(context, context.text("home.title"), Some(Tab::Home), &body)
}
