//! The search for a subject.

use maud::{Markup, html};

use super::super::context::Context;
use super::super::layout::{Tab, layout};
use super::super::parts::{self, Column};
use super::{NAME_BYTES_MAX, overview};
use crate::overview::{SubjectKey, SubjectSum};
use crate::server::problem::Problem;

/// Subjects that are shown.
const SHOWN_MAX: usize = 100;

/// The subjects whose name begins with what is asked for, those that are exactly that
/// first, and then those with the latest findings.
///
/// # Errors
///
/// If there is no ledger.
pub(in crate::server) fn view(context: &Context<'_>) -> Result<Markup, Problem> {
    // Which subjects there are follows from what all policies found.
    if !context.viewer.is_whole() {
        return Ok(narrowed(context));
    }
    let begin = context.asked("q").unwrap_or_default();
    let begin = &begin[..begin.floor_char_boundary(NAME_BYTES_MAX)];
    let (found, matching, known, from) = overview(context)?.look(|sums| {
        let matching = || sums.subjects().filter(|(key, _)| key.subject.starts_with(begin));
        let exact = matching().filter(|(key, _)| *key.subject == *begin);
        let others = matching().filter(|(key, _)| *key.subject != *begin);
        let found = exact.chain(others).take(SHOWN_MAX).map(|(key, sum)| (key.clone(), sum.clone()));
        (found.collect::<Vec<(SubjectKey, SubjectSum)>>(), matching().count() as u64, sums.subjects().count() as u64, sums.from)
    });
    let head = [
        Column::text(context.text("event.subject")),
        Column::text(context.text("event.source")),
        Column::number(context.text("subject.entries")),
        Column::number(context.text("subject.last")),
    ];
    let rows = html! {
        @for (key, sum) in &found {
            tr {
                th scope="row" { (parts::subject(&key.source, &key.subject)) }
                td.long { code { (key.source) } }
                td.number data-is=(context.text("subject.entries")) { (parts::number(sum.verdicts.iter().sum())) }
                td.number data-is=(context.text("subject.last")) { (sum.entries.back().map(|last| parts::number(*last)).unwrap_or_default()) }
            }
        }
    };
    let what = match begin.is_empty() {
        true => context.text("subject.latest-subjects").to_string(),
        false => context.text_with("subject.matching", &[("n", &parts::number(matching)), ("q", begin)]),
    };
    let body = html! {
        (form(context, begin))
        section.card {
            p { (what) }
            @if found.is_empty() {
                (parts::empty(if begin.is_empty() { context.text("subject.none") } else { context.text("subject.no-match") }))
            } @else { div.stacked { (parts::table(context.text("subject.all"), &head, &rows)) } }
            p.note {
                (context.text_with("subject.known", &[("n", &parts::number(known))])) " "
                @if matching > SHOWN_MAX as u64 { (context.text_with("subject.shown", &[("n", &parts::number(SHOWN_MAX as u64))])) " " }
                @if from > 1 { (context.text_with("subject.from", &[("n", &parts::number(from))])) }
            }
        }
    };
    Ok(layout(context, context.text("subject.all"), Some(Tab::Subjects), &body))
}

/// Where a viewer of some policies types a subject, if they may see subjects at all.
fn narrowed(context: &Context<'_>) -> Markup {
    let body = html! {
        section.card {
            @if context.sees_subjects() {
                p { (context.text("subject.narrowed")) }
                form.filters method="get" action="/subject" role="search" {
                    label.field { (context.text("event.source")) input name="source" required maxlength="512" autocomplete="off" spellcheck="false"; }
                    label.field { (context.text("event.subject")) input name="subject" required maxlength="512" autocomplete="off" spellcheck="false"; }
                    button type="submit" { (context.text("subject.find")) }
                }
            } @else { p { (context.text("subject.withheld")) } }
        }
    };
    layout(context, context.text("subject.all"), Some(Tab::Subjects), &body)
}

/// The search.
pub fn form(context: &Context<'_>, begin: &str) -> Markup {
    html! {
        form.filters.search method="get" action="/subjects" role="search" {
            label.field { (context.text("subject.search")) input type="search" name="q" value=(begin) maxlength="512" autocomplete="off" spellcheck="false"; }
            button type="submit" { (context.text("subject.find")) }
        }
    }
}
