//! Verdicts as JSON.
//!
//! The only place that turns a verdict into an answer, and it takes nothing but
//! a `Recorded` one: what the ledger does not hold cannot be said.
//!
//! Written by hand instead of through serde because a clean event's answer is
//! five short members, and this runs once per event.

use serde_json::{Value, json};

use super::problem::{self, Cause, Problem};
use crate::event::Event;
use crate::ingest::{Place, Rejection};
use crate::ledger::entry::{Entry, number, string};
use crate::ledger::{Answer, Line, Recorded, Refusal};
use crate::verdict::{Action, Decision, Finding, Handling, Severity, Verdict, is_overridden};

/// Where in its request an item without a verdict stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// Line of a stream, the first is 1.
    Line(u64),
    /// Index in a batch, the first is 0.
    Index(usize),
}

/// Writes what became of one event.
pub(super) fn answer(out: &mut Vec<u8>, event: &Event, answer: &Answer, at: Option<At>) {
    match answer {
        Answer::Judged(recorded) => verdict(out, event, recorded),
        Answer::Again(recorded) => again(out, recorded),
        Answer::Refused(refusal) => refused(out, event, refusal, at),
    }
}

/// Writes what was recorded when the event was here for the first time: the same
/// members as then, from the entry, and that it is a duplicate.
fn again(out: &mut Vec<u8>, recorded: &Recorded<Line>) {
    let Ok(Entry::Event(entry)) = Entry::parse(recorded.get().as_bytes()) else {
        // The line was checked against its checksum just now, and whoever wrote it
        // wrote an entry.
        return problem::write(out, Cause::Internal, "The recorded entry cannot be read.", &Place::Body, &[]);
    };
    out.extend_from_slice(b"{\"source\":");
    string(out, &entry.source);
    out.extend_from_slice(b",\"id\":");
    string(out, &entry.id);
    out.extend_from_slice(b",\"sequence\":");
    number(out, entry.sequence);
    out.extend_from_slice(b",\"duplicate\":true,\"verdict\":\"");
    out.extend_from_slice(entry.verdict.name().as_bytes());
    handling(out, entry.handling);
    out.extend_from_slice(b"\",\"findings\":[");
    // What does not count is in the entry and in no answer.
    let asked = || entry.asked.iter().filter(|asked| asked.mode.counts());
    let findings = asked().flat_map(|asked| asked.findings.iter().map(move |finding| (asked, finding)));
    for (index, (asked, finding)) in findings.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let evidence = finding.evidence.0.iter().map(|(name, value)| (&**name, &**value));
        Said {
            policy: &asked.policy,
            release: &asked.release,
            rule: &finding.rule,
            action: finding.action,
            severity: finding.severity,
            message: &finding.message,
            legal_basis: &finding.legal_basis,
            overridden: is_overridden(entry.verdict, finding.action),
        }
        .write(out, evidence);
    }
    out.push(b']');
    let faults = asked().filter_map(|asked| Some((asked, asked.fault.as_ref()?)));
    for (index, (asked, one)) in faults.enumerate() {
        out.extend_from_slice(if index == 0 { b",\"faults\":[" } else { b"," });
        fault(out, &asked.policy, &asked.release, one.kind.name(), &one.detail);
    }
    if asked().any(|asked| asked.fault.is_some()) {
        out.push(b']');
    }
    out.push(b'}');
}

/// Writes why an event was not taken, in the place of its verdict.
fn refused(out: &mut Vec<u8>, event: &Event, refusal: &Refusal, at: Option<At>) {
    out.extend_from_slice(b"{\"source\":");
    string(out, event.source());
    out.extend_from_slice(b",\"id\":");
    string(out, event.id());
    out.extend_from_slice(b",\"error\":");
    Problem::from(refusal).write(out);
    if let Some(at) = at {
        place(out, at);
    }
    out.push(b'}');
}

/// Writes what the policies say about one event.
fn verdict(out: &mut Vec<u8>, event: &Event, recorded: &Recorded<Verdict>) {
    let verdict = recorded.get();
    out.extend_from_slice(b"{\"source\":");
    string(out, event.source());
    out.extend_from_slice(b",\"id\":");
    string(out, event.id());
    out.extend_from_slice(b",\"sequence\":");
    number(out, recorded.sequence());
    out.extend_from_slice(b",\"verdict\":\"");
    out.extend_from_slice(verdict.decision.name().as_bytes());
    handling(out, verdict.handling());
    out.extend_from_slice(b"\",\"findings\":[");
    for (index, one) in verdict.findings.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        finding(out, one, verdict.decision);
    }
    out.push(b']');
    if !verdict.faults.is_empty() {
        out.extend_from_slice(b",\"faults\":[");
        for (index, one) in verdict.faults.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            fault(out, one.release.policy(), &one.release.id, one.kind.name(), &one.detail);
        }
        out.push(b']');
    }
    out.push(b'}');
}

/// Continues behind the verdict's word.
fn handling(out: &mut Vec<u8>, handling: Option<Handling>) {
    if let Some(handling) = handling {
        out.extend_from_slice(b"\",\"handling\":\"");
        out.extend_from_slice(handling.name().as_bytes());
    }
}

fn finding(out: &mut Vec<u8>, finding: &Finding, decision: Decision) {
    let rule = finding.rule();
    Said {
        policy: finding.release.policy(),
        release: &finding.release.id,
        rule: &rule.id,
        action: finding.action,
        severity: rule.severity,
        message: &finding.message(),
        legal_basis: &rule.legal_basis,
        overridden: is_overridden(decision, finding.action),
    }
    .write(out, finding.evidence.iter().map(|(name, value)| (name.as_str(), value.as_str())));
}

/// A finding, made now or recorded before.
struct Said<'f> {
    policy: &'f str,
    release: &'f str,
    rule: &'f str,
    action: Action,
    severity: Severity,
    message: &'f str,
    legal_basis: &'f str,
    overridden: bool,
}

impl Said<'_> {
    fn write<'f>(&self, out: &mut Vec<u8>, evidence: impl Iterator<Item = (&'f str, &'f str)> + Clone) {
        out.extend_from_slice(b"{\"policy\":");
        string(out, self.policy);
        out.extend_from_slice(b",\"release\":");
        string(out, self.release);
        out.extend_from_slice(b",\"rule\":");
        string(out, self.rule);
        out.extend_from_slice(b",\"action\":\"");
        out.extend_from_slice(self.action.name().as_bytes());
        out.extend_from_slice(b"\",\"severity\":\"");
        out.extend_from_slice(self.severity.name().as_bytes());
        out.extend_from_slice(b"\",\"message\":");
        string(out, self.message);
        out.extend_from_slice(b",\"evidence\":{");
        let mut first = true;
        for (index, (name, value)) in evidence.clone().enumerate() {
            // An object has each name once; the first is also the one in the message.
            if evidence.clone().take(index).any(|(earlier, _)| earlier == name) {
                continue;
            }
            if !first {
                out.push(b',');
            }
            first = false;
            string(out, name);
            out.push(b':');
            string(out, value);
        }
        out.extend_from_slice(b"},\"legal_basis\":");
        string(out, self.legal_basis);
        out.extend_from_slice(if self.overridden { b",\"overridden\":true}" } else { b"}" });
    }
}

fn fault(out: &mut Vec<u8>, policy: &str, release: &str, kind: &str, detail: &str) {
    out.extend_from_slice(b"{\"policy\":");
    string(out, policy);
    out.extend_from_slice(b",\"release\":");
    string(out, release);
    out.extend_from_slice(b",\"kind\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"detail\":");
    string(out, detail);
    out.push(b'}');
}

/// Writes why an item is no valid event, in the place of its verdict.
pub(super) fn rejection(out: &mut Vec<u8>, rejection: &Rejection, at: At) {
    out.push(b'{');
    for (name, value) in [("source", &rejection.source), ("id", &rejection.id)] {
        if let Some(value) = value {
            string(out, name);
            out.push(b':');
            string(out, value);
            out.push(b',');
        }
    }
    out.extend_from_slice(b"\"error\":");
    problem::write(out, Cause::Event(rejection.kind), &rejection.detail, &rejection.place, &[]);
    place(out, at);
    out.push(b'}');
}

/// Writes why a line is no event at all, in the place of its verdict.
pub(super) fn no_event(out: &mut Vec<u8>, cause: Cause, detail: &str, at: At) {
    out.extend_from_slice(b"{\"error\":");
    problem::write(out, cause, detail, &Place::Body, &[]);
    place(out, at);
    out.push(b'}');
}

/// Writes why a stream ends before its body does. Has no `line` of its own, which
/// tells it from a line's error; `from_line` is the first that was not judged.
pub(super) fn end(out: &mut Vec<u8>, cause: Cause, detail: &str, from_line: u64) {
    out.extend_from_slice(b"{\"error\":");
    problem::write(out, cause, detail, &Place::Body, &[]);
    out.extend_from_slice(b",\"from_line\":");
    number(out, from_line);
    out.push(b'}');
}

fn place(out: &mut Vec<u8>, at: At) {
    match at {
        At::Line(line) => {
            out.extend_from_slice(b",\"line\":");
            number(out, line);
        }
        At::Index(index) => {
            out.extend_from_slice(b",\"index\":");
            number(out, index as u64);
        }
    }
}

/// The schema of a verdict as it is written above; that of a finding and of a fault are
/// given.
pub(super) fn verdict_schema(finding: &Value, fault: &Value) -> Value {
    json!({
        "description": "What the policies say about one event together.",
        "type": "object",
        "required": ["source", "id", "sequence", "verdict", "findings"],
        "properties": {
            "source": { "type": "string" },
            "id": { "type": "string" },
            "sequence": { "type": "integer", "minimum": 1, "description": "The event's place in the total order, and that of its entry." },
            "duplicate": { "const": true, "description": "It was here before, and this is what was recorded then." },
            "verdict": { "$ref": "#/components/schemas/Decision" },
            "handling": { "enum": ["let-pass", "hold", "refuse"], "description": "What the platform does with the event, if it is undetermined." },
            "findings": { "type": "array", "items": finding },
            "faults": { "type": "array", "minItems": 1, "items": fault, "description": "Policies that failed to answer." },
        },
    })
}

pub(super) fn finding_schema() -> Value {
    json!({
        "description": "One rule's statement about one event.",
        "type": "object",
        "required": ["policy", "release", "rule", "action", "severity", "message", "evidence", "legal_basis"],
        "properties": {
            "policy": { "type": "string", "description": "NAME, or PUBLISHER/NAME." },
            "release": { "type": "string", "description": "Version and short digest." },
            "rule": { "type": "string" },
            "action": { "$ref": "#/components/schemas/Action" },
            "severity": { "$ref": "#/components/schemas/Severity" },
            "message": { "type": "string", "description": "In the first language of the rule." },
            "evidence": { "type": "object", "additionalProperties": { "type": "string" } },
            "legal_basis": { "type": "string" },
            "overridden": { "const": true, "description": "The verdict is less strict than this finding asks for: its publisher may not deny." },
        },
    })
}

pub(super) fn fault_schema() -> Value {
    json!({
        "description": "Why a policy did not answer.",
        "type": "object",
        "required": ["policy", "release", "kind", "detail"],
        "properties": {
            "policy": { "type": "string" },
            "release": { "type": "string" },
            "kind": { "$ref": "#/components/schemas/FaultKind" },
            "detail": { "type": "string" },
        },
    })
}

/// Of what stands in the place of a verdict, and of what ends a stream.
pub(super) fn error_schema() -> Value {
    json!({
        "description": "Why there is no verdict on an item; with `from_line`, why a stream ended before its body did.",
        "type": "object",
        "required": ["error"],
        "properties": {
            "source": { "type": "string" },
            "id": { "type": "string" },
            "error": { "$ref": "#/components/schemas/Problem" },
            "line": { "type": "integer", "minimum": 1, "description": "Of a stream; the first is 1." },
            "index": { "type": "integer", "minimum": 0, "description": "In an array." },
            "from_line": { "type": "integer", "minimum": 1, "description": "The first line that was not judged." },
        },
    })
}

pub(super) fn summary_schema() -> Value {
    let count = json!({ "type": "integer", "minimum": 0 });
    json!({
        "description": "What closes the answers to lines if clean events are left out.",
        "type": "object",
        "required": ["summary"],
        "properties": {
            "summary": {
                "type": "object",
                "required": ["events", "rejected"],
                "properties": {
                    "events": count,
                    "rejected": count,
                    "duplicates": count,
                    "first_sequence": count,
                    "last_sequence": count,
                },
            },
        },
    })
}

/// What closes a stream that left clean events out.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) events: u64,
    pub(super) rejected: u64,
    /// Of the events, those that were here before.
    pub(super) duplicates: u64,
    /// First and last sequence of the others.
    pub(super) sequences: Option<(u64, u64)>,
}

impl Summary {
    pub(super) fn count(&mut self, answer: &Answer) {
        match answer {
            Answer::Judged(recorded) => self.judged(recorded.sequence()),
            Answer::Again(_) => {
                self.events += 1;
                self.duplicates += 1;
            }
            Answer::Refused(_) => self.rejected += 1,
        }
    }

    fn judged(&mut self, sequence: u64) {
        self.events += 1;
        self.sequences = Some((self.sequences.map_or(sequence, |(first, _)| first), sequence));
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"summary\":{\"events\":");
        number(out, self.events);
        out.extend_from_slice(b",\"rejected\":");
        number(out, self.rejected);
        if self.duplicates > 0 {
            out.extend_from_slice(b",\"duplicates\":");
            number(out, self.duplicates);
        }
        if let Some((first, last)) = self.sequences {
            out.extend_from_slice(b",\"first_sequence\":");
            number(out, first);
            out.extend_from_slice(b",\"last_sequence\":");
            number(out, last);
        }
        out.extend_from_slice(b"}}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_without_events_has_no_sequences() {
        let mut out = Vec::new();
        Summary::default().write(&mut out);
        assert_eq!(out, br#"{"summary":{"events":0,"rejected":0}}"#);
        let mut summary = Summary { rejected: 1, ..Summary::default() };
        summary.judged(4);
        summary.judged(5);
        out.clear();
        summary.write(&mut out);
        assert_eq!(out, br#"{"summary":{"events":2,"rejected":1,"first_sequence":4,"last_sequence":5}}"#);
    }

    #[test]
    fn an_error_says_where_it_stood() {
        let mut out = Vec::new();
        no_event(&mut out, Cause::LineTooLong, "x", At::Line(3));
        let value: Value = serde_json::from_slice(&out).expect("json");
        assert_eq!(value["line"], 3);
        assert_eq!(value["error"]["status"], 413);
    }

    #[test]
    fn the_error_that_ends_a_stream_is_no_line_s() {
        let mut out = Vec::new();
        end(&mut out, Cause::Stopping, "x", 3);
        let value: Value = serde_json::from_slice(&out).expect("json");
        assert_eq!((value.get("line"), &value["from_line"]), (None, &serde_json::json!(3)));
    }
}
