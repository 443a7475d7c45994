//! The views of subjects: what was found about one merchant, vehicle or machine over time,
//! and the search for one.
//!
//! Subjects and sources come from outside: they stand in the query of an address, are
//! encoded there, and are text everywhere else.

mod list;
mod over_time;
mod read;

use std::sync::Arc;

use hyper::StatusCode;
use maud::{Markup, html};

use super::context::{self, Context};
use super::layout::{Tab, layout};
use super::parts::{self, Column};
use super::plot::Plot;
use super::route::Viewed;
use crate::ledger::Log;
use crate::overview::{Overview, SubjectSum};
use crate::server::log;
use crate::server::problem::{Cause, Problem};
use crate::verdict::Decision;
use read::{Entry, Found};

pub(in crate::server) use list::view as list;

/// Bytes of a source or subject that are looked for: no event has a longer one.
const NAME_BYTES_MAX: usize = 4 << 10;

/// What is known of subjects.
fn overview<'c>(context: &'c Context<'_>) -> Result<&'c Arc<Overview>, Problem> {
    let missing = || Problem::new(Cause::NoLedger, context.text("subject.no-ledger"));
    context.shared.overview.as_ref().ok_or_else(missing)
}

/// The view of a subject, which the query names.
///
/// # Errors
///
/// If nothing is known of it.
pub(in crate::server) async fn view(context: &Context<'_>) -> Result<Viewed, Problem> {
    let (source, subject) = (context.asked("source").unwrap_or_default(), context.asked("subject").unwrap_or_default());
    if !context.sees_subjects() {
        return Ok(missing(context, StatusCode::FORBIDDEN, &html! { p { (context.text("subject.withheld")) } }));
    }
    if source.len() > NAME_BYTES_MAX || subject.len() > NAME_BYTES_MAX || subject.is_empty() {
        return Ok(missing(context, StatusCode::BAD_REQUEST, &html! { p { (context.text("subject.unclear")) } }));
    }
    let Some((sum, from, found)) = find(context, source, subject).await? else { return Ok(unknown(context, source, subject)) };
    // What others found is not for a viewer of some policies.
    let all: u64 = if context.viewer.is_whole() { sum.verdicts.iter().sum() } else { found.entries.len() as u64 };
    let body = html! {
        (list::form(context, ""))
        (about(context, source, &found))
        (over_time::section(context, source, subject, &found.entries))
        (rules(context, &found))
        (entries(context, &found.entries, all, from))
        (parts::script("plot.js"))
    };
    Ok(layout(context, subject, Some(Tab::Subjects), &body).into())
}

/// What is known of a subject: its sum, the first entry that was counted, and what the
/// ledger has; nothing if there is nothing for this viewer.
async fn find(context: &Context<'_>, source: &str, subject: &str) -> Result<Option<(SubjectSum, u64, Found)>, Problem> {
    let sum = overview(context)?.look(|sums| sums.subject(source, subject).cloned().map(|sum| (sum, sums.from)));
    let Some((sum, from)) = sum else { return Ok(None) };
    let (viewer, language) = (context.viewer.clone(), context.language);
    let standing = context.shared.runtime.policies();
    let sequences: Vec<u64> = sum.entries.iter().copied().collect();
    let reading = move |log: &Log| read::read(log, &sequences, &standing, language, |policy| viewer.sees_policy(policy));
    let found = log::blocking(log::of(context.shared)?, reading).await?;
    Ok((!found.entries.is_empty()).then_some((sum, from, found)))
}

/// The plot of the subject that the query names, if anything is known of it.
///
/// # Errors
///
/// If the ledger cannot be read.
pub(in crate::server) async fn plot(context: &Context<'_>) -> Result<Option<Plot>, Problem> {
    let (source, subject) = (context.asked("source").unwrap_or_default(), context.asked("subject").unwrap_or_default());
    let found = if context.sees_subjects() { find(context, source, subject).await? } else { None };
    Ok(found.map(|(_, _, found)| over_time::plot(context, subject, &found.entries)))
}

/// Nothing is known of a subject.
fn unknown(context: &Context<'_>, source: &str, subject: &str) -> Viewed {
    let all = context::link("/v1/verdicts", &[("subject", subject), ("source", source)]);
    let says = html! {
        p { (context.text_with("subject.unknown", &[("subject", subject), ("source", source)])) }
        @if context.viewer.is_whole() { p { (context.text("subject.unknown-log")) " " a href=(all) { code { (all) } } } }
    };
    missing(context, StatusCode::NOT_FOUND, &says)
}

/// What to do where a subject is not to be had.
fn missing(context: &Context<'_>, status: StatusCode, says: &Markup) -> Viewed {
    let body = html! {
        div.card.empty {
            (says)
            @if context.sees_subjects() { (list::form(context, "")) }
            p { a href="/subjects" { (context.text("subject.all")) } }
        }
    };
    Viewed { status, markup: layout(context, context.text("subject.unknown-title"), Some(Tab::Subjects), &body) }
}

/// Whose it is, and how often it was found in what.
fn about(context: &Context<'_>, source: &str, found: &Found) -> Markup {
    let body = html! {
        dl.facts {
            dt { (context.text("event.source")) } dd { code { (source) } }
            dt { (context.text("subject.counts")) }
            dd {
                ul.counts {
                    @for (decision, count) in Decision::ALL.into_iter().rev().zip(found.verdicts.iter().rev()).filter(|(_, count)| **count > 0) {
                        li { (parts::verdict(context, decision)) " " (parts::number(*count)) }
                    }
                }
            }
        }
    };
    parts::section("about", context.text("subject.about"), &body)
}

fn rules(context: &Context<'_>, found: &Found) -> Markup {
    let largest = found.rules.iter().map(|rule| rule.findings).max().unwrap_or_default();
    let head = [
        Column::text(context.text("event.rule")),
        Column::text(context.text("event.clause")),
        Column::number(context.text("policy.findings")),
        Column::text(context.text("subject.share")),
    ];
    let rows = html! {
        @for rule in &found.rules {
            tr {
                th scope="row" { (parts::policy(&rule.policy)) br; code { (rule.rule) } " " (parts::mode(context, rule.mode)) }
                td.long.clause { (rule.clause) }
                td.number data-is=(context.text("policy.findings")) { (parts::number(rule.findings)) }
                td.bars { (parts::bar(rule.findings, largest)) }
            }
        }
    };
    let body = match found.rules.is_empty() {
        true => parts::empty(context.text("subject.only-faults")),
        false => html! { div.stacked { (parts::table(context.text("subject.rules"), &head, &rows)) } },
    };
    parts::section("rules", context.text("subject.rules"), &body)
}

/// The entries, the latest first, and what is not among them.
fn entries(context: &Context<'_>, entries: &[Entry], all: u64, from: u64) -> Markup {
    let head = [
        Column::number(context.text("policy.entry")),
        Column::text(context.text("event.time")),
        Column::text(context.text("event.verdict")),
        Column::text(context.text("subject.said")),
    ];
    let rows = html! {
        @for entry in entries.iter().rev() {
            tr {
                td.number data-is=(context.text("policy.entry")) { (parts::event(entry.sequence)) }
                td { (parts::time_micros(entry.at)) }
                td { (parts::verdict(context, entry.verdict)) }
                td.long {
                    @for said in &entry.said { p { (said.message) " " code.note { (said.rule) } " " (parts::mode(context, said.mode)) } }
                    @for fault in &entry.faults { p.note { (context.text_with("subject.fault", &[("policy", fault)])) } }
                }
            }
        }
    };
    let shown = entries.len() as u64;
    let body = html! {
        div.stacked { (parts::table(context.text("subject.entries"), &head, &rows)) }
        p.note {
            (context.text("subject.not-counted")) " "
            @if all > shown {
                (context.text_with("subject.latest", &[("n", &parts::number(shown)), ("all", &parts::number(all))])) " "
            }
            @if from > 1 { (context.text_with("subject.from", &[("n", &parts::number(from))])) }
        }
    };
    parts::section("entries", context.text("subject.entries"), &body)
}
