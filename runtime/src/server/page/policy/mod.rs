//! The views of policies: what one says in prose and law, what it sees, which releases of
//! it judged since when, and what they cost and found.

mod list;
mod measured;
mod over_time;
mod release;
mod timeline;

use hyper::StatusCode;
use maud::{Markup, html};

use super::context::Context;
use super::layout::{Tab, layout};
use super::parts::{self, Level};
use super::plot::Plot;
use super::route::Viewed;
use crate::overview::Moved;
use crate::policy::manifest::Field;
use crate::runtime::{Stale, Standing};
use crate::verdict::Mode;

pub(in crate::server) use list::view as list;

/// The view of a policy, by its full name.
pub(in crate::server) fn view(context: &Context<'_>, name: &str) -> Viewed {
    let standing: Vec<Standing> = context.shared.runtime.policies();
    let standing: Vec<Standing> = standing.into_iter().filter(|standing| standing.release.policy() == name).collect();
    let moved = moved(context, name);
    if !context.viewer.sees_policy(name) || (standing.is_empty() && moved.is_empty()) {
        return unknown(context);
    }
    let body = html! {
        (stands(context, &standing))
        @for one in &standing { (release::section(context, one, standing.len() > 1)) }
        (timeline::section(context, &moved))
        (over_time::section(context, name))
        (measured::section(context, name, &standing))
        (parts::script("plot.js"))
    };
    layout(context, name, Some(Tab::Policies), &body).into()
}

/// The plot of the policy that the query names; nothing for one that nobody knows here.
pub(in crate::server) fn plot(context: &Context<'_>) -> Option<Plot> {
    let name = context.asked("policy").filter(|name| context.viewer.sees_policy(name))?;
    Some(over_time::plot(context, name))
}

/// Nothing is known of a policy with this name, or this viewer does not see it.
fn unknown(context: &Context<'_>) -> Viewed {
    let mut known: Vec<String> = context.shared.runtime.policies().iter().map(|standing| standing.release.policy().to_string()).collect();
    known.dedup();
    known.retain(|name| context.viewer.sees_policy(name));
    let body = html! {
        div.card.empty {
            p { (context.text("policy.unknown")) }
            @if known.is_empty() { p { (context.text("policy.none")) } } @else {
                p { (context.text("policy.known")) }
                ul { @for name in &known { li { (parts::policy(name)) } } }
            }
            p { a href="/" { (context.text("frame.to-home")) } }
        }
    };
    Viewed { status: StatusCode::NOT_FOUND, markup: layout(context, context.text("policy.unknown-title"), Some(Tab::Policies), &body) }
}

/// The changes of a policy's releases that are known, the earliest first.
fn moved(context: &Context<'_>, name: &str) -> Vec<Moved> {
    let of = |overview: &std::sync::Arc<crate::overview::Overview>| {
        overview.look(|sums| sums.changes.iter().filter(|moved| *moved.policy == *name).cloned().collect())
    };
    context.shared.overview.as_ref().map(of).unwrap_or_default()
}

/// How it stands, in a sentence.
fn stands(context: &Context<'_>, standing: &[Standing]) -> Markup {
    let in_force = standing.iter().rev().find(|standing| standing.mode == Mode::Enforce);
    let tried = standing.iter().find(|standing| standing.mode != Mode::Enforce);
    let stale = standing.iter().find_map(|standing| standing.stale);
    let (level, says) = match (in_force, tried, stale) {
        (_, _, Some(Stale::Stop)) => (Level::Bad, context.text("policy.stands-stopped")),
        (_, _, Some(Stale::Keep)) => (Level::Uncertain, context.text("policy.stands-stale")),
        (Some(_), None, None) => (Level::Good, context.text("policy.stands-in-force")),
        (Some(_), Some(_), None) => (Level::Good, context.text("policy.stands-both")),
        (None, Some(_), None) => (Level::Uncertain, context.text("policy.stands-tried")),
        (None, None, None) => (Level::Bad, context.text("policy.stands-gone")),
    };
    html! {
        div class={ "card headline " (level.name()) } {
            (level.icon())
            p.says { (says) }
            @for one in in_force.into_iter().chain(tried) {
                p.why {
                    (parts::mode(context, one.mode)) " " code { (one.release.id) } " "
                    @if one.mode == Mode::Canary { (context.text_with("policy.share", &[("share", &parts::percent(one.share.into(), 10_000))])) " " }
                    (context.text("policy.since")) " "
                    (parts::event(one.since))
                }
            }
        }
    }
}

/// What became of a release, in a word.
pub(super) fn act(context: &Context<'_>, what: &str, mode: Mode) -> &'static str {
    match what {
        "install" if mode != Mode::Enforce => context.text("policy.act-begin"),
        "install" => context.text("policy.act-install"),
        "promote" => context.text("policy.act-promote"),
        "demote" => context.text("policy.act-demote"),
        "withdraw" => context.text("policy.act-withdraw"),
        "remove" => context.text("policy.act-remove"),
        "stale" => context.text("policy.act-stale"),
        "stop" => context.text("policy.act-stop"),
        "fresh" => context.text("policy.act-fresh"),
        _ => context.text("policy.act-other"),
    }
}

/// The form in which a release sees a field, as `policy explain` writes it.
pub(super) fn granted(standing: &Standing, field: &Field) -> String {
    let mark = standing.grant.show(field).mark();
    // What tells one publisher's pseudonyms from another's is for nobody to read.
    if mark.starts_with("pseudonym") { "pseudonym".to_string() } else { mark }
}

/// A form in the viewer's language, with what it takes exactly.
pub(super) fn form(context: &Context<'_>, mark: &str) -> Markup {
    let (word, exactly) = mark.split_once(' ').map_or((mark, None), |(word, rest)| (word, Some(rest)));
    let name = match word {
        "plain" => context.text("policy.form-plain"),
        "pseudonym" => context.text("policy.form-pseudonym"),
        "mask" => context.text("policy.form-mask"),
        "coarse" => context.text("policy.form-coarse"),
        _ => context.text("policy.form-absent"),
    };
    html! { span class={ "form " (word) } { (name) @if let Some(exactly) = exactly { " " (exactly) } } }
}
