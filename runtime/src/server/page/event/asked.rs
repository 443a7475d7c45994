//! What one release said of an event, and what it saw of it.

use maud::{Markup, html};

use super::Context;
use crate::digest::Digest;
use crate::event::Event;
use crate::ingest;
use crate::ledger::entry::{Asked, Evidence, Fault, Finding, TimerEntry};
use crate::runtime::{RawEvent, RawEventError, Standing};
use crate::server::page::parts::{self, Column, Level};
use crate::server::page::policy;
use crate::trial::{Seen, SeenValue, View};
use crate::verdict::{Decision, FaultKind, strictest};

/// A release that is judged with, by its digest.
fn standing(context: &Context<'_>, policy: &str, digest: &Digest) -> Option<Standing> {
    let mut all = context.shared.runtime.policies().into_iter();
    all.find(|standing| standing.release.policy() == policy && standing.release.digest == *digest)
}

/// What a release said, what it rests on, and what it saw.
pub fn section(context: &Context<'_>, asked: &Asked<'_>, raw: Option<&Result<RawEvent, RawEventError>>) -> Markup {
    let standing = standing(context, &asked.policy, &asked.digest);
    let body = html! {
        p.beside-start {
            (outcome(context, &asked.findings, asked.fault.as_ref()))
            (parts::mode(context, asked.mode))
            span { (context.text("event.release")) " " code { (&*asked.release) } }
            @if asked.stale { strong { (context.text("event.stale")) } }
        }
        @if let Some(standing) = &standing { p.note { (standing.release.manifest.summary) } }
        (findings(context, &asked.findings, asked.fault.as_ref(), standing.as_ref()))
        (seen(context, asked, standing.as_ref(), raw))
        (parts_of(context, asked, standing.as_ref()))
    };
    card(&asked.policy, &asked.release, &body)
}

/// The same of a timer, which fires without an event.
pub fn timer(context: &Context<'_>, timer: &TimerEntry<'_>) -> Markup {
    let standing = standing(context, &timer.policy, &timer.digest);
    let body = html! {
        p.beside-start {
            (outcome(context, &timer.findings, timer.fault.as_ref()))
            (parts::mode(context, timer.mode))
            span { (context.text("event.release")) " " code { (&*timer.release) } }
        }
        @if let Some(standing) = &standing { p.note { (standing.release.manifest.summary) } }
        (findings(context, &timer.findings, timer.fault.as_ref(), standing.as_ref()))
        p.note { (context.text("event.timer-saw")) }
    };
    card(&timer.policy, &timer.release, &body)
}

fn card(name: &str, release: &str, body: &Markup) -> Markup {
    // Two releases of a policy may have been asked.
    let id = format!("asked-{}-{}", name.replace('/', "-"), release.replace('.', "-"));
    html! {
        section.card.asked id=(id) aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (parts::policy(name)) }
            (body)
        }
    }
}

fn outcome(context: &Context<'_>, findings: &[Finding<'_>], fault: Option<&Fault<'_>>) -> Markup {
    parts::verdict(context, strictest(findings.iter().map(|finding| finding.action), fault.is_some()))
}

fn findings(context: &Context<'_>, findings: &[Finding<'_>], fault: Option<&Fault<'_>>, standing: Option<&Standing>) -> Markup {
    html! {
        @for finding in findings {
            article class={ "finding " (finding.action.name()) } {
                p.says lang=[spoken(context, finding, standing)] { (parts::says(context.language, standing.map(|standing| &*standing.release), finding)) }
                dl.facts {
                    dt { (context.text("event.clause")) } dd.clause { (&*finding.legal_basis) }
                    dt { (context.text("event.rule")) }
                    dd { code { (&*finding.rule) } " · " (asks(context, finding)) " · " (parts::severity(context, finding.severity)) }
                    @if !finding.evidence.0.is_empty() { dt { (context.text("event.evidence")) } dd { (evidence(&finding.evidence)) } }
                }
            }
        }
        @match fault {
            Some(fault) => (no_answer(context, fault)),
            None if findings.is_empty() => p { (context.text("event.found-nothing")) },
            None => {}
        }
    }
}

fn asks(context: &Context<'_>, finding: &Finding<'_>) -> &'static str {
    match Decision::from(finding.action) {
        Decision::Deny => context.text("event.asks-deny"),
        _ => context.text("event.asks-flag"),
    }
}

/// The language of what a finding says, where it is known and another than the page's.
fn spoken<'s>(context: &Context<'_>, finding: &Finding<'_>, standing: Option<&'s Standing>) -> Option<&'s str> {
    let rule = standing?.release.manifest.rules.iter().find(|rule| rule.id == *finding.rule)?;
    let own = rule.messages.iter().find(|message| parts::is_in(context.language, &message.language));
    let spoken = own.or(rule.messages.first())?.language.as_str();
    (!parts::is_in(context.language, spoken)).then_some(spoken)
}

fn evidence(evidence: &Evidence<'_>) -> Markup {
    html! {
        ul.evidence {
            @for (name, value) in &evidence.0 { li { span.name { (&**name) } " = " code { (&**value) } } }
        }
    }
}

fn no_answer(context: &Context<'_>, fault: &Fault<'_>) -> Markup {
    let why = match fault.kind {
        FaultKind::Unreadable => context.text("event.fault-unreadable"),
        FaultKind::Undecided => context.text("event.fault-undecided"),
        FaultKind::Fuel => context.text("event.fault-fuel"),
        FaultKind::Memory => context.text("event.fault-memory"),
        FaultKind::Trap => context.text("event.fault-trap"),
        FaultKind::Output => context.text("event.fault-output"),
        FaultKind::Timeout => context.text("event.fault-timeout"),
        FaultKind::Abandoned => context.text("event.fault-abandoned"),
        FaultKind::Stale => context.text("event.fault-stale"),
    };
    html! {
        article.finding.fault {
            p.says { (Level::Uncertain.icon()) " " (why) }
            p { code { (&*fault.detail) } }
        }
    }
}

/// The fields that the release saw, each in its form; with what stood in them, where the
/// event is kept and may be shown.
fn seen(context: &Context<'_>, asked: &Asked<'_>, standing: Option<&Standing>, raw: Option<&Result<RawEvent, RawEventError>>) -> Markup {
    html! {
        h3 { (context.text("event.saw")) }
        @match standing {
            Some(standing) => {
                @let view = View::new(&standing.release.manifest, standing.grant.clone());
                @let event = raw.map(|raw| event(context, raw));
                @match event {
                    Some(Ok((event, salt))) => {
                        (values(context, &view.fields(&event)))
                        (committed(context, asked, Some(view.commitment(&event, &salt))))
                    }
                    Some(Err(why)) => { (forms(context, standing)) p.note { (why) } (committed(context, asked, None)) }
                    None => { (forms(context, standing)) p.note { (context.text("event.content-withheld")) } (committed(context, asked, None)) }
                }
            }
            None => { p.note { (context.text("event.release-gone")) } (committed(context, asked, None)) }
        }
    }
}

/// The event as it came in, with its salt; or why it is not there.
fn event(context: &Context<'_>, raw: &Result<RawEvent, RawEventError>) -> Result<(Event, [u8; 32]), String> {
    match raw {
        Ok(raw) => match ingest::content(&raw.content, &context.shared.options.ingest) {
            Ok(event) => Ok((event, raw.salt)),
            Err(_) => Err(context.text("event.content-unreadable").to_string()),
        },
        Err(RawEventError::NotKept(_)) => Err(context.text("event.content-not-kept").to_string()),
        Err(RawEventError::Erased { by, .. }) => Err(context.text_with("event.content-erased", &[("by", &parts::number(*by))])),
        Err(_) => Err(context.text("event.content-unreadable").to_string()),
    }
}

fn values(context: &Context<'_>, fields: &[Seen]) -> Markup {
    let head = [
        Column::text(context.text("event.field")),
        Column::text(context.text("event.value")),
        Column::text(context.text("event.form")),
        Column::text(context.text("event.purpose")),
    ];
    let rows = html! {
        @for field in fields {
            tr {
                th.pointer scope="row" { code { (field.pointer) } }
                td.long data-is=(context.text("event.value")) {
                    @match &field.value {
                        SeenValue::Absent => span.note { (context.text("event.value-absent")) },
                        SeenValue::Mistyped(found) => strong { (context.text_with("event.value-mistyped", &[("found", found)])) },
                        SeenValue::Value(value) => code { (value) },
                    }
                }
                td data-is=(context.text("event.form")) { (policy::form(context, &field.form)) }
                td.long data-is=(context.text("event.purpose")) { (field.purpose) }
            }
        }
    };
    html! { div.stacked { (parts::table(context.text("event.saw"), &head, &rows)) } }
}

/// The fields without what stood in them.
fn forms(context: &Context<'_>, standing: &Standing) -> Markup {
    let head =
        [Column::text(context.text("event.field")), Column::text(context.text("event.form")), Column::text(context.text("event.purpose"))];
    let rows = html! {
        @for field in &standing.release.manifest.fields {
            tr {
                th.pointer scope="row" { code { (field.pointer) } }
                td data-is=(context.text("event.form")) { (policy::form(context, &policy::granted(standing, field))) }
                td.long data-is=(context.text("event.purpose")) { (field.purpose) }
            }
        }
    };
    html! { div.stacked { (parts::table(context.text("event.saw"), &head, &rows)) } }
}

/// The commitment in the entry, held against what is shown.
fn committed(context: &Context<'_>, asked: &Asked<'_>, shown: Option<Digest>) -> Markup {
    let Some(columns) = asked.columns else { return html! { p.note { (context.text("event.not-given")) } } };
    let (level, says) = match shown {
        Some(shown) if shown == columns => (Some(Level::Good), context.text("event.committed")),
        Some(_) => (Some(Level::Uncertain), context.text("event.committed-otherwise")),
        None => (None, context.text("event.commitment")),
    };
    html! {
        p.committed { @if let Some(level) = level { (level.icon()) " " } (says) " " code.hash { (columns.hex()) } }
    }
}

/// What the release was made of.
fn parts_of(context: &Context<'_>, asked: &Asked<'_>, standing: Option<&Standing>) -> Markup {
    html! {
        details {
            summary { (context.text("event.made-of")) }
            dl.facts {
                dt { (context.text("event.release-digest")) } dd { code.hash { (asked.digest.hex()) } }
                @if let Some(standing) = standing {
                    dt { (context.text("event.component")) } dd { code.hash { (standing.release.component.hex()) } }
                    dt { (context.text("event.settings")) } dd { code.hash { (standing.release.settings.hex()) } }
                }
                @for (name, version) in &asked.lists.0 {
                    dt { (context.text("event.list")) " " (&**name) } dd { (&**version) }
                }
            }
        }
    }
}
