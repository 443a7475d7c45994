//! Entries that are not about an event.

use schemars::JsonSchema;
use serde::Deserialize;

use super::event::{Fault, Finding, release, said};
use super::fields::{Hex, Lists, Text, Time, digest, hex, member, number, present};
use crate::digest::Digest;
use crate::verdict::{Decision, Mode};

/// A timer that fired, and what its policy said then.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimerEntry<'a> {
    /// As in the entry of an event.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "u32")]
    pub echo: Option<u32>,
    #[serde(borrow)]
    pub policy: Text<'a>,
    /// Version and short digest, for people.
    #[serde(borrow)]
    pub release: Text<'a>,
    /// Over component, settings and lists.
    #[serde(deserialize_with = "digest")]
    #[schemars(with = "Hex")]
    pub digest: Digest,
    /// As in the entry of an event.
    #[serde(borrow, default)]
    pub lists: Lists<'a>,
    pub mode: Mode,
    /// Whose watermark it waited for.
    #[serde(borrow)]
    pub source: Text<'a>,
    /// HMAC of policy and key: the same for the same key, and names nobody.
    #[serde(deserialize_with = "digest")]
    #[schemars(with = "Hex")]
    pub key: Digest,
    /// The event time that it was set for.
    pub due: Time,
    /// When the event arrived before which it fired.
    pub arrived: Time,
    pub verdict: Decision,
    /// Left out if empty.
    #[serde(borrow, default)]
    pub findings: Vec<Finding<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    #[schemars(with = "Fault<'a>")]
    pub fault: Option<Fault<'a>>,
}

impl TimerEntry<'_> {
    /// Whether a line in the one form is a timer's entry that an event about its verdict
    /// comes behind. Reads no further than needed.
    pub fn has_echo(line: &[u8]) -> bool {
        let comma = line.iter().position(|byte| *byte == b',').unwrap_or(line.len());
        line[comma..].starts_with(b",\"timer\":{\"echo\":")
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"timer\":{");
        if let Some(depth) = self.echo {
            out.extend_from_slice(b"\"echo\":");
            number(out, depth.into());
            out.push(b',');
        }
        member(out, b"\"policy\":", &self.policy);
        release(out, &self.release, &self.digest, &self.lists);
        out.extend_from_slice(b",\"mode\":\"");
        out.extend_from_slice(self.mode.name().as_bytes());
        member(out, b"\",\"source\":", &self.source);
        out.extend_from_slice(b",\"key\":\"");
        hex(out, &self.key);
        out.extend_from_slice(b"\",\"due\":\"");
        self.due.write(out);
        out.extend_from_slice(b"\",\"arrived\":\"");
        self.arrived.write(out);
        out.extend_from_slice(b"\",\"verdict\":\"");
        out.extend_from_slice(self.verdict.name().as_bytes());
        out.push(b'"');
        said(out, &self.findings, self.fault.as_ref());
        out.extend_from_slice(b"}}");
    }
}

/// Events that a source has numbered and that did not come, noted when a later one
/// did. They may come yet.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GapEntry<'a> {
    #[serde(borrow)]
    pub source: Text<'a>,
    /// The number before the gap, and the one behind it.
    pub after: u64,
    pub before: u64,
    /// How many are between.
    pub missing: u64,
    /// When the event behind the gap arrived.
    pub arrived: Time,
}

impl GapEntry<'_> {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        member(out, b",\"gap\":{\"source\":", &self.source);
        for (name, value) in [("after", self.after), ("before", self.before), ("missing", self.missing)] {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            number(out, value);
        }
        out.extend_from_slice(b",\"arrived\":\"");
        self.arrived.write(out);
        out.extend_from_slice(b"\"}}");
    }
}

/// The runtime was started again. Policies that were not published are out of force until
/// they are put in force again; whatever happened since the entry before was not seen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartEntry<'a> {
    /// Of the program.
    #[serde(borrow)]
    pub version: Text<'a>,
    pub at: Time,
}

impl StartEntry<'_> {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        member(out, b",\"start\":{\"version\":", &self.version);
        out.extend_from_slice(b",\"at\":\"");
        self.at.write(out);
        out.extend_from_slice(b"\"}}");
    }
}
