//! All policies that are judged with.

use maud::{Markup, html};

use super::super::context::Context;
use super::super::layout::{Tab, layout};
use super::super::parts::{self, Column};
use crate::runtime::Standing;

/// The list of policies.
pub(in crate::server) fn view(context: &Context<'_>) -> Markup {
    let mut standing = context.shared.runtime.policies();
    standing.retain(|standing| context.viewer.sees(standing.release.policy()));
    let head = [
        Column::text(context.text("policy.policy")),
        Column::text(context.text("policy.mode")),
        Column::text(context.text("policy.what")),
        Column::number(context.text("policy.since-column")),
        Column::number(context.text("policy.events")),
        Column::number(context.text("policy.found")),
        Column::number(context.text("policy.faults")),
    ];
    let body = match standing.is_empty() {
        true => parts::empty(context.text("policy.none")),
        false => parts::table(context.text("policy.all"), &head, &html! { @for one in &standing { (row(context, one)) } }),
    };
    let title = context.text("policy.all");
    layout(context, title, Some(Tab::Policies), &html! { section.card { p.note { (context.text("policy.all-what")) } (body) } })
}

fn row(context: &Context<'_>, standing: &Standing) -> Markup {
    let (release, shown) = (&standing.release, &standing.shown);
    html! {
        tr {
            th scope="row" { (parts::policy(release.policy())) br; code.note { (release.id) } }
            td { (parts::mode(context, standing.mode)) }
            td.long lang="en" { (release.manifest.summary) }
            td.number { (parts::number(standing.since)) }
            td.number { (parts::number(shown.events)) }
            td.number { (parts::number(shown.found)) }
            td.number { (parts::number(shown.faults)) }
        }
    }
}
