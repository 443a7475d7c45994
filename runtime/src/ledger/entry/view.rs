//! What somebody is shown of an entry who may see some policies only.
//!
//! It is a view and not the entry: it is not the leaf that proofs are about, and says so.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::json;

use super::Entry;
use super::event::EventEntry;
use super::fields::number;
use crate::verdict::{Decision, strictest};

impl<'a> Entry<'a> {
    /// The part of an entry that concerns these policies; nothing if that is none of it.
    /// An event's verdict is then the one that these policies give, and its subject is
    /// left out unless it is `open`.
    pub(crate) fn narrowed(self, sees: impl Fn(&str) -> bool, subject_is_open: bool) -> Option<Self> {
        match self {
            Entry::Event(event) => event.narrowed(sees, subject_is_open).map(Entry::Event),
            Entry::Timer(sequence, timer) => sees(&timer.policy).then_some(Entry::Timer(sequence, timer)),
            Entry::Change(sequence, change) => sees(&change.policy).then_some(Entry::Change(sequence, change)),
            Entry::Gap(..) | Entry::Silence(..) | Entry::Start(..) | Entry::Keep(..) | Entry::Erasure(..) | Entry::Configuration(..) => {
                None
            }
        }
    }

    /// Writes an entry that was narrowed as one line of JSON: one that is about a policy
    /// as it stands in the ledger, an event's with `"narrowed":true` in it.
    pub(crate) fn write_view(&self, out: &mut Vec<u8>) {
        match self {
            Entry::Event(event) => {
                out.extend_from_slice(b"{\"sequence\":");
                number(out, event.sequence);
                event.write_members(out, false);
            }
            // It is no longer than the line that it was read from.
            other => drop(other.write(out)),
        }
    }
}

/// What is shown of an event's entry to whoever sees some policies only, to say so in
/// schemas.
pub(super) enum NarrowedEvent {}

impl JsonSchema for NarrowedEvent {
    fn schema_name() -> Cow<'static, str> {
        "NarrowedEvent".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut whole = EventEntry::json_schema(generator).to_value();
        if let Some(members) = whole["properties"].as_object_mut() {
            members.retain(|name, _| !matches!(name.as_str(), "digest" | "handling" | "echo" | "number"));
            members.insert("narrowed".into(), json!({ "const": true }));
        }
        if let Some(required) = whole["required"].as_array_mut() {
            required.retain(|name| name != "digest");
            required.push("narrowed".into());
        }
        whole["description"] = "The part of an event's entry that concerns the policies of whoever asks; no leaf of the log.".into();
        whole.try_into().unwrap_or_default()
    }
}

impl EventEntry<'_> {
    /// The verdict that some of its policies give without the others.
    pub(crate) fn verdict_of(&self, is_of: impl Fn(&str) -> bool) -> Decision {
        let counted = || self.asked.iter().filter(|asked| asked.mode.counts() && is_of(&asked.policy));
        let found = counted().flat_map(|asked| &asked.findings).map(|finding| finding.action);
        strictest(found, counted().any(|asked| asked.fault.is_some()))
    }

    fn narrowed(mut self, sees: impl Fn(&str) -> bool, subject_is_open: bool) -> Option<Self> {
        self.asked.retain(|asked| sees(&asked.policy));
        self.without.retain(|policy| sees(policy));
        if self.asked.is_empty() && self.without.is_empty() {
            return None;
        }
        self.verdict = self.verdict_of(|_| true);
        // What the platform does with it follows from all policies, as does whether an
        // event about the verdict comes behind.
        (self.handling, self.echo, self.number) = (None, None, None);
        self.subject = self.subject.filter(|_| subject_is_open);
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = concat!(
        r#"{"sequence":7,"source":"/s","id":"1","type":"t","subject":"rider 5","number":3,"arrived":"2026-01-02T03:04:05.000000Z","echo":1,"digest":""#,
        "0000000000000000000000000000000000000000000000000000000000000001",
        r#"","verdict":"deny","asked":[{"policy":"a/x","release":"1","digest":"0000000000000000000000000000000000000000000000000000000000000002","mode":"enforce","findings":[{"rule":"r","action":"flag","severity":"low","message":"m","evidence":{"k":"v"},"legal_basis":"l"}]},"#,
        r#"{"policy":"b/y","release":"1","digest":"0000000000000000000000000000000000000000000000000000000000000003","mode":"enforce","findings":[{"rule":"q","action":"deny","severity":"low","message":"secret","evidence":{},"legal_basis":"l"}]}],"without":["b/z"]}"#,
    );

    fn view(sees: &str, subject_is_open: bool) -> Option<String> {
        let entry = Entry::parse_canonical(LINE.as_bytes()).expect("an entry");
        let mut out = Vec::new();
        entry.narrowed(|policy| policy.starts_with(sees), subject_is_open)?.write_view(&mut out);
        Some(String::from_utf8(out).expect("UTF-8"))
    }

    #[test]
    fn one_publisher_sees_its_own_findings_and_the_verdict_that_they_give() {
        let seen = view("a/", false).expect("a view");
        let json: serde_json::Value = serde_json::from_str(&seen).expect("JSON");
        assert_eq!((&json["verdict"], &json["narrowed"], json["asked"].as_array().map(Vec::len)), (&"flag".into(), &true.into(), Some(1)));
        for hidden in ["secret", "b/", "rider", "echo", "number"] {
            assert!(!seen.contains(hidden), "{hidden}: {seen}");
        }
        assert!(json.get("digest").is_none() && json.get("without").is_none());
        assert!(view("a/", true).expect("a view").contains("rider 5"));
        assert_eq!(view("c/", true), None);
        let other = view("b/", false).expect("a view");
        assert!(other.contains("\"verdict\":\"deny\"") && other.contains("b/z") && !other.contains("a/x"), "{other}");
    }
}
