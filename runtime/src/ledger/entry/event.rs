//! The entry of an event, and what the releases that were asked said about it.

use schemars::JsonSchema;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::fields::{Evidence, Hex, Lists, Text, Time, digest, hex, member, number, present, present_digest, strings};
use crate::digest::Digest;
use crate::verdict::{Action, Decision, FaultKind, Handling, Mode, Severity};

/// What is recorded about one event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventEntry<'a> {
    /// The event's place in the total order; the first is 1.
    pub sequence: u64,
    #[serde(borrow)]
    pub source: Text<'a>,
    #[serde(borrow)]
    pub id: Text<'a>,
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    #[serde(borrow, default, deserialize_with = "present")]
    #[schemars(with = "Text<'a>")]
    pub subject: Option<Text<'a>>,
    /// As it was sent.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schemars(with = "Text<'a>")]
    pub time: Option<Text<'a>>,
    /// What its source gave it (CloudEvents `sequence` extension), if it numbers its
    /// events.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "u64")]
    pub number: Option<u64>,
    pub arrived: Time,
    /// It happened before the watermark of its source. Left out if not.
    #[serde(default)]
    pub late: bool,
    /// An event about this verdict comes behind it, so many steps from what came from
    /// outside. Left out if none does.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "u32")]
    pub echo: Option<u32>,
    /// Of the event's bytes.
    #[serde(deserialize_with = "digest")]
    #[schemars(with = "Hex")]
    pub digest: Digest,
    pub verdict: Decision,
    /// What the platform does with the event, if it is undetermined.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Handling")]
    pub handling: Option<Handling>,
    /// The releases that were asked, in the order of their policies' names; of one
    /// policy first the one in force, then the one that is tried out.
    #[serde(borrow)]
    pub asked: Vec<Asked<'a>>,
    /// Policies that ask about the event's type and had no release in force at its
    /// time. Left out if empty.
    #[serde(borrow, default)]
    pub without: Vec<Text<'a>>,
}

impl EventEntry<'_> {
    /// When the event happened: its own time, or when it arrived.
    pub fn happened(&self) -> Time {
        let own = self.time.as_deref().and_then(|time| OffsetDateTime::parse(time, &Rfc3339).ok());
        let micros = own.and_then(|time| i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000)).ok());
        micros.map_or(self.arrived, Time::from_micros)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.write_members(out, true);
    }

    /// All of it behind the sequence. One that is narrowed says that in the place of the
    /// digest: whoever can guess an event whole could see by that that it was right.
    pub(super) fn write_members(&self, out: &mut Vec<u8>, is_whole: bool) {
        member(out, b",\"source\":", &self.source);
        member(out, b",\"id\":", &self.id);
        member(out, b",\"type\":", &self.kind);
        if let Some(subject) = &self.subject {
            member(out, b",\"subject\":", subject);
        }
        if let Some(time) = &self.time {
            member(out, b",\"time\":", time);
        }
        if let Some(of_source) = self.number {
            out.extend_from_slice(b",\"number\":");
            number(out, of_source);
        }
        out.extend_from_slice(b",\"arrived\":\"");
        self.arrived.write(out);
        out.push(b'"');
        if self.late {
            out.extend_from_slice(b",\"late\":true");
        }
        if let Some(depth) = self.echo {
            out.extend_from_slice(b",\"echo\":");
            number(out, depth.into());
        }
        if is_whole {
            out.extend_from_slice(b",\"digest\":\"");
            hex(out, &self.digest);
            out.push(b'"');
        } else {
            out.extend_from_slice(b",\"narrowed\":true");
        }
        out.extend_from_slice(b",\"verdict\":\"");
        out.extend_from_slice(self.verdict.name().as_bytes());
        if let Some(handling) = self.handling {
            out.extend_from_slice(b"\",\"handling\":\"");
            out.extend_from_slice(handling.name().as_bytes());
        }
        out.push(b'"');
        self.write_asked(out);
        out.push(b'}');
    }

    /// What the policies said, behind the verdict.
    pub(super) fn write_asked(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"asked\":[");
        for (index, asked) in self.asked.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            asked.write(out);
        }
        out.push(b']');
        for (index, policy) in self.without.iter().enumerate() {
            member(out, if index == 0 { b",\"without\":[" } else { b"," }, policy);
        }
        if !self.without.is_empty() {
            out.push(b']');
        }
    }
}

/// What stands in the place of names that are left out.
const LEFT_OUT: &str = "…";

impl EventEntry<'_> {
    /// Makes the line so many bytes shorter, and its place known: of those that were asked
    /// the last are left out, first such as have said nothing, then names of policies
    /// without a release. Behind the others stands one that no policy is called, with the
    /// digest of all that was to stand there.
    pub fn leave_out(&mut self, bytes: usize) {
        let mut whole = Vec::new();
        self.write_asked(&mut whole);
        let mut line = Vec::new();
        let mark = Asked {
            policy: LEFT_OUT.into(),
            release: LEFT_OUT.into(),
            digest: Digest::of(&whole),
            lists: Evidence::default(),
            mode: Mode::Shadow,
            stale: false,
            columns: None,
            findings: Vec::new(),
            fault: None,
        };
        mark.write(&mut line);
        let mut over = bytes + line.len() + 1;
        for any in [false, true] {
            self.asked.reverse();
            self.asked.retain(|asked| {
                if over == 0 || !any && (!asked.findings.is_empty() || asked.fault.is_some()) {
                    return true;
                }
                line.clear();
                asked.write(&mut line);
                over = over.saturating_sub(line.len() + 1);
                false
            });
            self.asked.reverse();
        }
        self.asked.push(mark);
        if over > 0 && !self.without.is_empty() {
            over += LEFT_OUT.len() + 3;
            while over > 0
                && let Some(policy) = self.without.pop()
            {
                over = over.saturating_sub(policy.len() + 3);
            }
            self.without.push(LEFT_OUT.into());
        }
    }
}

/// What one release said.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked<'a> {
    #[serde(borrow)]
    pub policy: Text<'a>,
    /// Version and short digest, for people.
    #[serde(borrow)]
    pub release: Text<'a>,
    /// Over component, settings and lists.
    #[serde(deserialize_with = "digest")]
    #[schemars(with = "Hex")]
    pub digest: Digest,
    /// The versions of the reference lists that it looks things up in, by name, in its
    /// own order. Left out if it has none.
    #[serde(borrow, default)]
    pub lists: Lists<'a>,
    /// What its findings count for here.
    pub mode: Mode,
    /// What its publisher says was out of date. Left out if not.
    #[serde(default)]
    pub stale: bool,
    /// Commits to what the release saw: SHA-256 over the event's salt and the values.
    /// Left out if it could not be given the event.
    #[serde(default, deserialize_with = "present_digest")]
    #[schemars(with = "Hex")]
    pub columns: Option<Digest>,
    /// Left out if empty.
    #[serde(borrow, default)]
    pub findings: Vec<Finding<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    #[schemars(with = "Fault<'a>")]
    pub fault: Option<Fault<'a>>,
}

/// One rule's statement.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "EntryFinding")]
pub(crate) struct Finding<'a> {
    #[serde(borrow)]
    pub rule: Text<'a>,
    pub action: Action,
    pub severity: Severity,
    #[serde(borrow)]
    pub message: Text<'a>,
    #[serde(borrow)]
    pub evidence: Evidence<'a>,
    #[serde(borrow)]
    pub legal_basis: Text<'a>,
}

/// Why a release did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "EntryFault")]
pub(crate) struct Fault<'a> {
    pub kind: FaultKind,
    #[serde(borrow)]
    pub detail: Text<'a>,
}

impl Asked<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        member(out, b"{\"policy\":", &self.policy);
        release(out, &self.release, &self.digest, &self.lists);
        out.extend_from_slice(b",\"mode\":\"");
        out.extend_from_slice(self.mode.name().as_bytes());
        out.push(b'"');
        if self.stale {
            out.extend_from_slice(b",\"stale\":true");
        }
        if let Some(columns) = &self.columns {
            out.extend_from_slice(b",\"columns\":\"");
            hex(out, columns);
            out.push(b'"');
        }
        said(out, &self.findings, self.fault.as_ref());
        out.push(b'}');
    }
}

/// Writes which release of a policy it is: behind the policy's name, in the entry of
/// whatever names one. The versions of its lists are left out if there are none.
pub(super) fn release(out: &mut Vec<u8>, name: &str, release: &Digest, lists: &Lists<'_>) {
    member(out, b",\"release\":", name);
    out.extend_from_slice(b",\"digest\":\"");
    hex(out, release);
    out.push(b'"');
    if !lists.0.is_empty() {
        out.extend_from_slice(b",\"lists\":");
        strings(out, lists);
    }
}

/// Writes what a release said: members that are left out if they are empty.
pub(super) fn said(out: &mut Vec<u8>, findings: &[Finding<'_>], fault: Option<&Fault<'_>>) {
    if !findings.is_empty() {
        out.extend_from_slice(b",\"findings\":[");
        for (index, finding) in findings.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            finding.write(out);
        }
        out.push(b']');
    }
    if let Some(fault) = fault {
        out.extend_from_slice(b",\"fault\":{\"kind\":\"");
        out.extend_from_slice(fault.kind.name().as_bytes());
        member(out, b"\",\"detail\":", &fault.detail);
        out.push(b'}');
    }
}

impl Finding<'_> {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        member(out, b"{\"rule\":", &self.rule);
        out.extend_from_slice(b",\"action\":\"");
        out.extend_from_slice(self.action.name().as_bytes());
        out.extend_from_slice(b"\",\"severity\":\"");
        out.extend_from_slice(self.severity.name().as_bytes());
        member(out, b"\",\"message\":", &self.message);
        out.extend_from_slice(b",\"evidence\":");
        strings(out, &self.evidence);
        member(out, b",\"legal_basis\":", &self.legal_basis);
        out.push(b'}');
    }
}
