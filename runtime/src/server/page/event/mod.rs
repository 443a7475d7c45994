//! The view of one entry: what was said of an event, by whom and on which clause, what each
//! policy saw of it, and the proof that the entry is in the log.

mod asked;
mod picture;
mod proof;
mod read;
mod show;

use std::sync::Arc;

use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use maud::{Markup, html};
use serde::Serialize;

use super::context::Context;
use super::layout::{Tab, layout};
use super::parts;
use super::route::Viewed;
use crate::ledger::entry::{Entry, EventEntry, TimerEntry};
use crate::ledger::tree::Hash;
use crate::server::body::ResponseBody;
use crate::server::problem::{Cause, Problem};
use crate::server::viewer::Viewer;
use crate::server::{contents, log};
use read::Found;

/// Where the view of an entry is.
pub(in crate::server) fn link(sequence: u64) -> String {
    format!("/event/{sequence}")
}

/// The view of an entry.
///
/// # Errors
///
/// If there is none of this sequence for this viewer.
pub(in crate::server) async fn view(context: &Context<'_>, sequence: u64) -> Result<Viewed, Problem> {
    let log = log::of(context.shared)?;
    let (runtime, with_raw, viewer) = (context.shared.runtime.clone(), context.sees_content(), context.viewer.clone());
    let reading = Arc::clone(log);
    let counts = move |line: &str| read::has_findings(line) && is_about(&viewer, line);
    let found = log::blocking(log, move |_| read::read(&runtime, &reading, sequence, with_raw, counts)).await?;
    let Some(found) = found else { return Ok(unknown(context, sequence, log.size())) };
    if matches!(found.raw, Some(Ok(_))) {
        contents::note(&context.caller, sequence);
    }
    let entry = Entry::parse(found.line.as_bytes()).map_err(|_| unreadable(sequence))?;
    let shown = match context.viewer.is_whole() {
        true => Some(entry),
        false => entry.narrowed(|policy| context.viewer.sees_policy(policy), context.sees_subjects()),
    };
    let Some(entry) = shown else { return Ok(missing(context, log.size(), context.text("event.not-yours"))) };
    let title = context.text_with("event.title", &[("n", &parts::number(sequence))]);
    let body = html! {
        (show::walk(context, &found))
        @match &entry {
            Entry::Event(event) => (of_event(context, event, &found)),
            Entry::Timer(_, timer) => (of_timer(context, timer)),
            other => (show::other(context, other)),
        }
        // What others' policies said is in the line as well.
        @if context.viewer.is_whole() {
            (show::line(context, &found.line))
            (proof::section(context, &found))
            (parts::script("proof.js"))
        } @else {
            (parts::section("line", context.text("event.line"), &html! { p.note { (context.text("event.line-withheld")) } }))
        }
    };
    Ok(layout(context, &title, Some(Tab::Entries), &body).into())
}

/// There is no entry of this sequence.
fn unknown(context: &Context<'_>, sequence: u64, last: u64) -> Viewed {
    let n = parts::number(sequence);
    let says = match last {
        0 => context.text_with("event.unknown-empty", &[("n", &n)]),
        last => context.text_with("event.unknown", &[("n", &n), ("last", &parts::number(last))]),
    };
    missing(context, last, &says)
}

/// What to do where an entry is not to be had.
fn missing(context: &Context<'_>, last: u64, says: &str) -> Viewed {
    let body = html! {
        div.card.empty {
            p { (says) }
            (go(context))
            @if last > 0 { p { a href=(link(last)) { (context.text("event.go-last")) } } }
            p { a href="/" { (context.text("frame.to-home")) } }
        }
    };
    Viewed { status: StatusCode::NOT_FOUND, markup: layout(context, context.text("event.unknown-title"), Some(Tab::Entries), &body) }
}

/// Where a sequence is typed.
fn go(context: &Context<'_>) -> Markup {
    html! {
        form.filters method="get" action="/event" {
            label.field { (context.text("event.go")) input name="sequence" inputmode="numeric" pattern="[0-9]*" required autocomplete="off"; }
            button type="submit" { (context.text("event.go-button")) }
        }
    }
}

/// Where an entry is looked for, if nothing was typed yet.
fn search(context: &Context<'_>, last: u64) -> Markup {
    let body = html! {
        p { (context.text("event.find-what")) }
        (go(context))
        @if last > 0 { p { a href=(link(last)) { (context.text("event.go-last")) ": " (parts::number(last)) } } }
        @else { (parts::empty(context.text("event.none-yet"))) }
    };
    let body = html! { (parts::section("find", context.text("event.find"), &body)) };
    layout(context, context.text("event.all"), Some(Tab::Entries), &body)
}

/// The view of the entry whose sequence was typed, or where one is typed.
///
/// # Errors
///
/// As for [`view`], and if it is no sequence.
pub(in crate::server) async fn asked_for(context: &Context<'_>) -> Result<Viewed, Problem> {
    let typed = context.asked("sequence").map(|typed| typed.trim().replace(',', ""));
    match typed.as_deref().map(str::parse) {
        Some(Ok(sequence)) => view(context, sequence).await,
        None => Ok(search(context, log::of(context.shared)?.size()).into()),
        Some(Err(_)) => Ok(missing(context, log::of(context.shared)?.size(), context.text("event.no-sequence"))),
    }
}

fn of_event(context: &Context<'_>, event: &EventEntry<'_>, found: &Found) -> Markup {
    html! {
        (show::event(context, event))
        @for asked in &event.asked {
            (asked::section(context, asked, found.raw.as_ref()))
        }
        @if event.asked.is_empty() {
            (parts::section("asked", context.text("event.asked"), &parts::empty(context.text("event.nobody-asked"))))
        }
        (show::without(context, event))
    }
}

fn of_timer(context: &Context<'_>, timer: &TimerEntry<'_>) -> Markup {
    html! {
        (show::timer(context, timer))
        (asked::timer(context, timer))
    }
}

fn unreadable(sequence: u64) -> Problem {
    Problem::new(Cause::Internal, format!("Entry {sequence} cannot be read by this version."))
}

/// Whether a line has findings of policies that the viewer sees.
fn is_about(viewer: &Viewer, line: &str) -> bool {
    if viewer.is_whole() {
        return true;
    }
    match Entry::parse(line.as_bytes()) {
        Ok(Entry::Event(event)) => event.asked.iter().any(|asked| viewer.sees_policy(&asked.policy) && !asked.findings.is_empty()),
        Ok(Entry::Timer(_, timer)) => viewer.sees_policy(&timer.policy) && !timer.findings.is_empty(),
        _ => false,
    }
}

/// The line of an entry, byte for byte, for the proof button.
///
/// # Errors
///
/// If there is none of this sequence for this viewer.
pub(in crate::server) async fn entry(context: &Context<'_>, sequence: u64) -> Result<Response<ResponseBody>, Problem> {
    let log = log::of(context.shared)?;
    let line = log::blocking(log, move |log| read::line(log, sequence)).await?;
    match line.filter(|_| context.viewer.is_whole()) {
        Some(line) => Ok(json(line)),
        None => Err(Problem::new(Cause::NotFound, format!("There is no entry {sequence} for you."))),
    }
}

/// Hashes of a proof, in base64.
#[derive(Serialize)]
struct Path {
    path: Vec<String>,
}

/// For the proof button: the path of an entry in the tree of `size` entries, or with `from`
/// the proof that the tree of `size` entries begins with that of `from`.
///
/// # Errors
///
/// If a number is missing, or the log is not as large.
pub(in crate::server) async fn path(context: &Context<'_>, sequence: u64) -> Result<Response<ResponseBody>, Problem> {
    let log = log::of(context.shared)?;
    let asked = |name: &str| context.asked(name).map(|value| value.parse::<u64>()).transpose();
    let (Ok(Some(size)), Ok(from)) = (asked("size"), asked("from")) else {
        return Err(Problem::new(Cause::Query, "Say the tree's `size`, and `from` for what it is to begin with, as numbers of entries."));
    };
    let hashes = log::blocking(log, move |log| match from {
        Some(from) => log.consistency(from, size),
        None => log.path(sequence, size),
    });
    let encode = |hash: &Hash| base64::Engine::encode(&base64::prelude::BASE64_STANDARD, hash.0);
    let path = Path { path: hashes.await?.iter().map(encode).collect() };
    let path = serde_json::to_string(&path).map_err(|error| {
        tracing::error!(%error, "A path could not be rendered");
        Problem::new(Cause::Internal, "The path could not be rendered; the log says more.")
    })?;
    Ok(json(path))
}

fn json(body: String) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
