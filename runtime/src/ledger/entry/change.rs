//! The entry of a change of the releases in force.

use schemars::JsonSchema;
use serde::Deserialize;

use super::event::release;
use super::fields::{Hex, Lists, Text, Time, digest, hex, member, number_member, present, present_digest, text_member, time_member};
use super::{Entry, EntryError, Subject, has_second};
use crate::digest::Digest;
use crate::verdict::Mode;

/// What became of a release, between the entries before and behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It was put in force, or began in shadow or canary.
    Install,
    /// It counts for more than before.
    Promote,
    /// It counts for less than before.
    Demote,
    /// It is out of force, because its publisher or the platform took it back.
    Withdraw,
    /// The policy is out of force, with everything that it remembered.
    Remove,
    /// What its publisher says is out of date; it is asked all the same.
    Stale,
    /// What its publisher says is out of date, and it is not asked until that is over.
    Stop,
    /// What its publisher says is up to date again.
    Fresh,
}

impl What {
    /// The word used in entries, the same that serde has.
    pub fn name(self) -> &'static str {
        match self {
            What::Install => "install",
            What::Promote => "promote",
            What::Demote => "demote",
            What::Withdraw => "withdraw",
            What::Remove => "remove",
            What::Stale => "stale",
            What::Stop => "stop",
            What::Fresh => "fresh",
        }
    }
}

/// A change of the releases in force.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeEntry<'a> {
    pub what: What,
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
    /// Of the signed statement that it came with; left out for one that was not signed.
    #[serde(default, deserialize_with = "present_digest")]
    #[schemars(with = "Hex")]
    pub statement: Option<Digest>,
    /// From here on.
    pub mode: Mode,
    /// Keys for which a canary counts, of ten thousand; left out for other modes.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "u64")]
    pub share: Option<u64>,
    /// The first event time at which it is in force; left out if that is any.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Time")]
    pub from: Option<Time>,
    /// The first event time at which it is in force no more.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Time")]
    pub until: Option<Time>,
    /// The release that it took the place of.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schemars(with = "Text<'a>")]
    pub replaced: Option<Text<'a>>,
    /// What became of the states: `none`, `kept`, `migrated`, `reset`.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schemars(with = "Text<'a>")]
    pub state: Option<Text<'a>>,
    /// Who did it.
    #[serde(borrow)]
    pub by: Text<'a>,
    #[serde(borrow, default, deserialize_with = "present")]
    #[schemars(with = "Text<'a>")]
    pub reason: Option<Text<'a>>,
    pub at: Time,
}

impl<'a> ChangeEntry<'a> {
    /// Reads a line in the one form if it is of this kind; looks at no more of others
    /// than the name of their second member.
    pub fn read(line: &'a [u8]) -> Result<Option<Self>, EntryError> {
        if !has_second(line, Subject::Change.name()) {
            return Ok(None);
        }
        match Entry::parse(line)? {
            Entry::Change(_, change) => Ok(Some(change)),
            _ => Err(EntryError::NotCanonical { at: 0 }),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"change\":{\"what\":\"");
        out.extend_from_slice(self.what.name().as_bytes());
        member(out, b"\",\"policy\":", &self.policy);
        release(out, &self.release, &self.digest, &self.lists);
        if let Some(statement) = &self.statement {
            out.extend_from_slice(b",\"statement\":\"");
            hex(out, statement);
            out.push(b'"');
        }
        out.extend_from_slice(b",\"mode\":\"");
        out.extend_from_slice(self.mode.name().as_bytes());
        out.push(b'"');
        if let Some(share) = self.share {
            number_member(out, "share", share);
        }
        for (name, time) in [("from", self.from), ("until", self.until)] {
            if let Some(time) = time {
                time_member(out, name, time);
            }
        }
        for (name, text) in [("replaced", &self.replaced), ("state", &self.state)] {
            if let Some(text) = text {
                text_member(out, name, text);
            }
        }
        text_member(out, "by", &self.by);
        if let Some(reason) = &self.reason {
            text_member(out, "reason", reason);
        }
        time_member(out, "at", self.at);
        out.extend_from_slice(b"}}");
    }
}
