//! What an entry is about: an event with its verdict, a timer, or something else.

use maud::{Markup, html};

use super::read::{Found, Near};
use super::{Context, link};
use crate::ledger::entry::{Entry, EventEntry, TimerEntry};
use crate::server::page::{parts, policy};
use crate::verdict::{Decision, Handling};

/// The neighbours of an entry, and the nearest with findings.
pub fn walk(context: &Context<'_>, found: &Found) -> Markup {
    let Found { sequence, last, before, behind, .. } = found;
    let near = |near: &Near, text: &str, key: &str| match near {
        Near::At(at) => html! { a.button href=(link(*at)) rel=(key) { (text) " " (parts::number(*at)) } },
        Near::Nowhere => html! { span.note { (text) " " (context.text("event.near-none")) } },
        Near::Beyond(within) => {
            html! { span.note { (text) " " (context.text_with("event.near-beyond", &[("n", &parts::number(*within))])) } }
        }
    };
    html! {
        nav.walk aria-label=(context.text("event.walk")) {
            div.buttons {
                @if *sequence > 1 { a.button href=(link(sequence - 1)) rel="prev" { "← " (parts::number(sequence - 1)) } }
                @if sequence < last { a.button href=(link(sequence + 1)) rel="next" { (parts::number(sequence + 1)) " →" } }
            }
            div.buttons {
                (near(before, context.text("event.near-before"), "prev"))
                (near(behind, context.text("event.near-behind"), "next"))
            }
        }
    }
}

/// An event: its verdict, and what tells it from others.
pub fn event(context: &Context<'_>, event: &EventEntry<'_>) -> Markup {
    let body = html! {
        @if !context.viewer.is_whole() { p.note { (context.text("event.narrowed")) } }
        div.beside {
            p.judged { (parts::verdict(context, event.verdict)) " " (says(context, event.verdict)) }
        }
        @if let Some(handling) = event.handling { p { (handled(context, handling)) } }
        dl.facts {
            dt { (context.text("event.time")) }
            dd { @match event.time.as_deref() { Some(time) => (sent(time)), None => (context.text("event.no-time")) } }
            dt { (context.text("event.arrived")) }
            dd { (parts::time_micros(event.arrived.micros())) @if event.late { " " strong { (context.text("event.late")) } } }
            dt { (context.text("event.source")) } dd { code { (&*event.source) } }
            dt { (context.text("event.id")) } dd { code { (&*event.id) } }
            dt { (context.text("event.type")) } dd { code { (&*event.kind) } }
            dt { (context.text("event.subject")) }
            dd {
                @match event.subject.as_deref() {
                    Some(name) => (parts::subject(&event.source, name)),
                    None if context.sees_subjects() => (context.text("event.no-subject")),
                    None => (context.text("event.subject-withheld")),
                }
            }
            @if let Some(number) = event.number { dt { (context.text("event.number")) } dd { (parts::number(number)) } }
            // Whoever can guess an event whole could see that it was right.
            @if context.viewer.is_whole() { dt { (context.text("event.digest")) } dd { code.hash { (event.digest.hex()) } } }
            @if event.echo.is_some() { dt { (context.text("event.echo")) } dd { (context.text("event.echo-comes")) } }
        }
    };
    parts::section("verdict", context.text("event.verdict"), &body)
}

/// A verdict in a sentence.
fn says(context: &Context<'_>, decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => context.text("event.says-allow"),
        Decision::Flag => context.text("event.says-flag"),
        Decision::Undetermined => context.text("event.says-undetermined"),
        Decision::Deny => context.text("event.says-deny"),
    }
}

fn handled(context: &Context<'_>, handling: Handling) -> &'static str {
    match handling {
        Handling::LetPass => context.text("event.handled-pass"),
        Handling::Hold => context.text("event.handled-hold"),
        Handling::Refuse => context.text("event.handled-refuse"),
    }
}

/// A time as it was sent, which may be in any zone: shown as others are, if it is one.
fn sent(text: &str) -> Markup {
    match time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339) {
        Ok(at) => html! { (parts::time(at)) " " code.note { (text) } },
        Err(_) => html! { code { (text) } },
    }
}

/// Policies that were not asked because none of their releases was in force then.
pub fn without(context: &Context<'_>, event: &EventEntry<'_>) -> Markup {
    let names: Vec<&str> = event.without.iter().map(|name| &**name).collect();
    if names.is_empty() {
        return html! {};
    }
    let body = html! {
        p { (context.text("event.without-why")) }
        ul { @for name in names { li { (parts::policy(name)) } } }
    };
    parts::section("without", context.text("event.without"), &body)
}

/// A timer that fired.
pub fn timer(context: &Context<'_>, timer: &TimerEntry<'_>) -> Markup {
    let body = html! {
        p.judged { (parts::verdict(context, timer.verdict)) " " (context.text("event.timer-what")) }
        dl.facts {
            dt { (context.text("event.timer-due")) } dd { (parts::time_micros(timer.due.micros())) }
            dt { (context.text("event.arrived")) } dd { (parts::time_micros(timer.arrived.micros())) }
            dt { (context.text("event.timer-source")) } dd { code { (&*timer.source) } }
            dt { (context.text("event.timer-key")) } dd { code.hash { (timer.key.hex()) } }
        }
    };
    parts::section("verdict", context.text("event.timer"), &body)
}

/// An entry without a verdict.
pub fn other(context: &Context<'_>, entry: &Entry<'_>) -> Markup {
    let (title, what) = match entry {
        Entry::Gap(..) => (context.text("event.gap"), context.text("event.gap-what")),
        Entry::Silence(..) => (context.text("event.silence"), context.text("event.silence-what")),
        Entry::Change(..) => (context.text("event.change"), context.text("event.change-what")),
        Entry::Configuration(..) => (context.text("event.configuration"), context.text("event.configuration-what")),
        Entry::Start(..) => (context.text("event.start"), context.text("event.start-what")),
        Entry::Keep(..) => (context.text("event.keep"), context.text("event.keep-what")),
        Entry::Erasure(..) => (context.text("event.erasure"), context.text("event.erasure-what")),
        Entry::Event(_) | Entry::Timer(..) => return html! {},
    };
    let fact = |name: &str, value: Markup| html! { dt { (name) } dd { (value) } };
    let facts = match entry {
        Entry::Gap(_, gap) => html! {
            (fact(context.text("event.source"), html! { code { (&*gap.source) } }))
            (fact(context.text("event.gap-missing"), html! { (parts::number(gap.missing)) }))
            (fact(context.text("event.gap-between"), html! { (parts::number(gap.after)) " … " (parts::number(gap.before)) }))
            (fact(context.text("event.arrived"), parts::time_micros(gap.arrived.micros())))
        },
        Entry::Silence(_, silence) => html! {
            (fact(context.text("event.source"), html! { code { (&*silence.source) } }))
            @if let Some(last) = silence.last { (fact(context.text("event.silence-last"), parts::time_micros(last.micros()))) }
            (fact(context.text("event.silence-heartbeat"), html! { (parts::duration(context, silence.heartbeat)) }))
            (fact(context.text("event.noted"), parts::time_micros(silence.noted.micros())))
        },
        Entry::Change(_, change) => html! {
            (fact(context.text("event.policy"), parts::policy(&change.policy)))
            (fact(context.text("event.act"), html! { (policy::act(context, change.what.name(), change.mode)) " " (parts::mode(context, change.mode)) }))
            (fact(context.text("event.release"), html! { code { (&*change.release) } }))
            @if let Some(replaced) = &change.replaced { (fact(context.text("event.replaced"), html! { code { (&**replaced) } })) }
            (fact(context.text("event.by"), html! { (&*change.by) }))
            @if let Some(reason) = &change.reason { (fact(context.text("event.reason"), html! { (&**reason) })) }
            (fact(context.text("event.noted"), parts::time_micros(change.at.micros())))
        },
        Entry::Configuration(_, configuration) => html! {
            @for changed in &configuration.changed { (fact(context.text("event.configuration-key"), html! { code { (&**changed) } })) }
            (fact(context.text("event.by"), html! { (&*configuration.by) }))
            (fact(context.text("event.reason"), html! { (&*configuration.reason) }))
            (fact(context.text("event.noted"), parts::time_micros(configuration.at.micros())))
        },
        Entry::Start(_, start) => html! {
            (fact(context.text("event.version"), html! { code { (&*start.version) } }))
            (fact(context.text("event.noted"), parts::time_micros(start.at.micros())))
        },
        Entry::Keep(_, keep) => html! {
            (fact(context.text("event.keep-events"), html! { code { (&*keep.events) } @if let Some(days) = keep.days { " " (parts::number(days)) } }))
            (fact(context.text("event.noted"), parts::time_micros(keep.at.micros())))
        },
        Entry::Erasure(_, erasure) => html! {
            @if let Some(source) = &erasure.source { (fact(context.text("event.source"), html! { code { (&**source) } })) }
            @if let Some(id) = &erasure.id { (fact(context.text("event.id"), html! { code { (&**id) } })) }
            @if let Some(subject) = &erasure.subject { (fact(context.text("event.subject"), html! { code { (&**subject) } })) }
            @if let Some(through) = erasure.through { (fact(context.text("event.erasure-through"), html! { (parts::number(through)) })) }
            (fact(context.text("event.by"), html! { (&*erasure.by) }))
            @if let Some(reason) = &erasure.reason { (fact(context.text("event.reason"), html! { (&**reason) })) }
            (fact(context.text("event.noted"), parts::time_micros(erasure.at.micros())))
        },
        Entry::Event(_) | Entry::Timer(..) => html! {},
    };
    parts::section("about", title, &html! { p { (what) } dl.facts { (facts) } })
}

/// The entry as it stands in the log.
pub fn line(context: &Context<'_>, line: &str) -> Markup {
    let body = html! {
        p.note { (context.text("event.line-what")) }
        pre.line tabindex="0" aria-label=(context.text("event.line")) { code id="entry-line" { (line) } }
    };
    parts::section("line", context.text("event.line"), &body)
}
