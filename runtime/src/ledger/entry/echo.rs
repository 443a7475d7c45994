//! The verdict event of an entry: what the runtime submits about what it has said
//! (`FORMAT.md`, "Verdict events").
//!
//! Here, because the check of a ledger has to make it again: it is a function of the entry.

use std::ops::Range;

use serde::Serialize;

use super::{Entry, EventEntry, Evidence, Finding, TimerEntry, string};
use crate::reserved::{self, VERDICT_TYPE};
use crate::verdict::{Action, Decision, FaultKind, Handling, Mode, Severity};

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

/// What the `data` of a verdict event has. What is told to other systems has more than what
/// the runtime submits to itself, and everything that this has (`outgoing/FORMAT.md`).
#[derive(Serialize)]
pub(crate) struct Document<'a> {
    /// Of the entry that it is about; also the event's `id`.
    pub sequence: u64,
    /// Steps from what came from outside: 1 for a verdict on such an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<About<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timer: Option<AboutTimer<'a>>,
    pub verdict: Decision,
    /// Only told to others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handling: Option<Handling>,
    pub findings: Vec<Found<'a>>,
    /// Only told to others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Failed<'a>>,
}

/// The event that was judged.
#[derive(Serialize)]
pub(crate) struct About<'a> {
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
pub(crate) struct AboutTimer<'a> {
    policy: &'a str,
    source: &'a str,
    due: String,
}

/// A finding, without its evidence: that was taken out of fields which were granted to
/// whoever found it, and to nobody else.
#[derive(Serialize)]
pub(crate) struct Found<'a> {
    policy: &'a str,
    rule: &'a str,
    action: Action,
    severity: Severity,
    mode: Mode,
    /// Only told to others.
    #[serde(flatten)]
    more: Option<More<'a>>,
}

/// What else is told of a finding outside of the runtime.
#[derive(Serialize)]
pub(crate) struct More<'a> {
    release: &'a str,
    legal_basis: &'a str,
    /// With the evidence in it, so only where that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<&'a Evidence<'a>>,
}

/// A policy that failed to answer.
#[derive(Serialize)]
pub(crate) struct Failed<'a> {
    pub policy: &'a str,
    pub release: &'a str,
    pub mode: Mode,
    pub kind: FaultKind,
}

fn found<'a>(policy: &'a str, mode: Mode, findings: &'a [Finding<'_>]) -> impl Iterator<Item = Found<'a>> {
    findings.iter().map(move |finding| Found::new(policy, mode, finding))
}

impl<'a> About<'a> {
    pub fn new(event: &'a EventEntry<'_>) -> Self {
        let EventEntry { source, id, kind, subject, time, .. } = event;
        About { source, id, r#type: kind, subject: subject.as_deref(), time: time.as_deref() }
    }
}

impl<'a> AboutTimer<'a> {
    pub fn new(timer: &'a TimerEntry<'_>) -> Self {
        AboutTimer { policy: &timer.policy, source: &timer.source, due: timer.due.to_string() }
    }
}

impl<'a> Found<'a> {
    fn new(policy: &'a str, mode: Mode, finding: &'a Finding<'_>) -> Self {
        let Finding { rule, action, severity, .. } = finding;
        Found { policy, rule, action: *action, severity: *severity, mode, more: None }
    }

    /// As it is told outside of the runtime; with its evidence or without.
    pub fn told(policy: &'a str, release: &'a str, mode: Mode, finding: &'a Finding<'_>, with_evidence: bool) -> Self {
        let message = with_evidence.then_some(&*finding.message);
        let evidence = with_evidence.then_some(&finding.evidence);
        let more = More { release, legal_basis: &finding.legal_basis, message, evidence };
        Found { more: Some(more), ..Found::new(policy, mode, finding) }
    }
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
    let EventEntry { sequence, source, time, arrived, verdict, asked, .. } = event;
    let document = Document {
        sequence: *sequence,
        depth: Some(event.echo?),
        event: Some(About::new(event)),
        timer: None,
        verdict: *verdict,
        handling: None,
        findings: asked.iter().flat_map(|asked| found(&asked.policy, asked.mode, &asked.findings)).collect(),
        faults: Vec::new(),
    };
    let happened = time.as_deref().map_or_else(|| arrived.to_string(), str::to_string);
    Some(echo_of(&document, source, event.subject.as_deref(), &happened, arrived.micros()))
}

/// A timer has fired when it was due. Whom it was about only its policy knows.
fn of_timer(sequence: u64, timer: &TimerEntry<'_>) -> Option<Echo> {
    let TimerEntry { policy, mode, source, due, arrived, verdict, findings, .. } = timer;
    let document = Document {
        sequence,
        depth: Some(timer.echo?),
        event: None,
        timer: Some(AboutTimer::new(timer)),
        verdict: *verdict,
        handling: None,
        findings: found(policy, *mode, findings).collect(),
        faults: Vec::new(),
    };
    Some(echo_of(&document, source, None, &due.to_string(), arrived.micros()))
}

fn echo_of(document: &Document<'_>, judged: &str, subject: Option<&str>, time: &str, arrived: i64) -> Echo {
    let source = reserved::verdicts_on(judged);
    let subject = subject_of(judged, subject);
    let (text, data) = structured(document, &source, subject, time);
    Echo { text, id: document.sequence.to_string(), source, subject: subject.into(), time: time.into(), data, arrived }
}

/// Where what it is about has no subject, its own is the source that it is about: so there
/// always is one, which a policy can have for its key.
pub(crate) fn subject_of<'a>(judged: &'a str, subject: Option<&'a str>) -> &'a str {
    subject.unwrap_or(reserved::judged_by(judged).unwrap_or(judged))
}

/// A verdict event in structured mode, and where its `data` is in it.
pub(crate) fn structured(document: &Document<'_>, source: &str, subject: &str, time: &str) -> (String, Range<usize>) {
    let id = document.sequence.to_string();
    let mut text = Vec::with_capacity(512);
    let attributes = [
        ("specversion", "1.0"),
        ("id", id.as_str()),
        ("source", source),
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
    (String::from_utf8_lossy(&text).into_owned(), data)
}
