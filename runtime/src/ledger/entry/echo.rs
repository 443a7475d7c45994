//! The verdict event of an entry: what the runtime submits about what it has said
//! (`FORMAT.md`, "Verdict events").
//!
//! Here, because the check of a ledger has to make it again: it is a function of the entry.

use std::ops::Range;

use serde::Serialize;

use super::{Entry, EventEntry, Finding, TimerEntry, string};
use crate::reserved::{self, VERDICT_TYPE};
use crate::verdict::{Action, Decision, Mode, Severity};

/// A verdict event, in structured mode.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Echo {
    pub text: String,
    pub id: String,
    pub source: String,
    pub subject: String,
    pub time: String,
    /// Where its `data` is in the text.
    pub data: Range<usize>,
    /// When it counts as having arrived, in microseconds since 1970: with what it is about,
    /// so nothing in its entry depends on when it was made.
    pub arrived: i64,
}

/// What the `data` of a verdict event has.
#[derive(Serialize)]
struct Document<'a> {
    /// Of the entry that it is about; also the event's `id`.
    sequence: u64,
    /// Steps from what came from outside: 1 for a verdict on such an event.
    depth: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<About<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timer: Option<AboutTimer<'a>>,
    verdict: Decision,
    findings: Vec<Found<'a>>,
}

/// The event that was judged.
#[derive(Serialize)]
struct About<'a> {
    source: &'a str,
    id: &'a str,
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<&'a str>,
}

/// The timer that fired.
#[derive(Serialize)]
struct AboutTimer<'a> {
    policy: &'a str,
    source: &'a str,
    due: String,
}

/// A finding, without its evidence: that was taken out of fields which were granted to
/// whoever found it, and to nobody else.
#[derive(Serialize)]
struct Found<'a> {
    policy: &'a str,
    rule: &'a str,
    action: Action,
    severity: Severity,
    mode: Mode,
}

fn found<'a>(policy: &'a str, mode: Mode, findings: &'a [Finding<'_>]) -> impl Iterator<Item = Found<'a>> {
    findings.iter().map(move |finding| {
        let Finding { rule, action, severity, .. } = finding;
        Found { policy, rule, action: *action, severity: *severity, mode }
    })
}

impl Entry<'_> {
    /// The event about its verdict, if it says that one comes behind it.
    pub fn echo(&self) -> Option<Echo> {
        match self {
            Entry::Event(event) => of_event(event),
            Entry::Timer(sequence, timer) => of_timer(*sequence, timer),
            Entry::Gap(..)
            | Entry::Silence(..)
            | Entry::Change(..)
            | Entry::Start(..)
            | Entry::Keep(..)
            | Entry::Erasure(..)
            | Entry::Configuration(..) => None,
        }
    }
}

fn of_event(event: &EventEntry<'_>) -> Option<Echo> {
    let EventEntry { sequence, source, id, kind, subject, time, arrived, verdict, asked, .. } = event;
    let (subject, time) = (subject.as_deref(), time.as_deref());
    let document = Document {
        sequence: *sequence,
        depth: event.echo?,
        event: Some(About { source, id, r#type: kind, subject, time }),
        timer: None,
        verdict: *verdict,
        findings: asked.iter().flat_map(|asked| found(&asked.policy, asked.mode, &asked.findings)).collect(),
    };
    let happened = time.map_or_else(|| arrived.to_string(), str::to_string);
    Some(echo_of(&document, source, subject, &happened, arrived.micros()))
}

/// A timer has fired when it was due. Whom it was about only its policy knows.
fn of_timer(sequence: u64, timer: &TimerEntry<'_>) -> Option<Echo> {
    let TimerEntry { policy, mode, source, due, arrived, verdict, findings, .. } = timer;
    let document = Document {
        sequence,
        depth: timer.echo?,
        event: None,
        timer: Some(AboutTimer { policy, source, due: due.to_string() }),
        verdict: *verdict,
        findings: found(policy, *mode, findings).collect(),
    };
    Some(echo_of(&document, source, None, &due.to_string(), arrived.micros()))
}

/// Where what it is about has no subject, its own is the source that it is about: so there
/// always is one, which a policy can have for its key.
fn echo_of(document: &Document<'_>, judged: &str, subject: Option<&str>, time: &str, arrived: i64) -> Echo {
    let (id, source) = (document.sequence.to_string(), reserved::verdicts_on(judged));
    let subject = subject.unwrap_or(reserved::judged_by(judged).unwrap_or(judged));
    let mut text = Vec::with_capacity(512);
    let attributes = [
        ("specversion", "1.0"),
        ("id", &id),
        ("source", &source),
        ("type", VERDICT_TYPE),
        ("subject", subject),
        ("time", time),
        ("datacontenttype", "application/json"),
    ];
    for (name, value) in attributes {
        text.extend_from_slice(if text.is_empty() { b"{\"" } else { b",\"" });
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b"\":");
        string(&mut text, value);
    }
    text.extend_from_slice(b",\"data\":");
    let start = text.len();
    // Texts, words and numbers: there is no such value that JSON cannot have.
    text.extend(serde_json::to_vec(document).unwrap_or_default());
    let data = start..text.len();
    text.push(b'}');
    let text = String::from_utf8_lossy(&text).into_owned();
    Echo { text, id, source, subject: subject.into(), time: time.into(), data, arrived }
}
