//! A source that fell silent.

use schemars::JsonSchema;
use serde::Deserialize;

use super::fields::{Text, Time, member, number, present};
use super::{Entry, EntryError, Subject, has_second};

/// A source of which nothing new came for longer than its heartbeat, noted once. It ends
/// with the source's next event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SilenceEntry<'a> {
    #[serde(borrow)]
    pub source: Text<'a>,
    /// When its latest event arrived. Left out if none ever did.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Time")]
    pub last: Option<Time>,
    /// Seconds within which something was to come of it.
    pub heartbeat: u64,
    /// When it was noted.
    pub noted: Time,
}

impl<'a> SilenceEntry<'a> {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        member(out, b",\"silence\":{\"source\":", &self.source);
        if let Some(last) = self.last {
            out.extend_from_slice(b",\"last\":\"");
            last.write(out);
            out.push(b'"');
        }
        out.extend_from_slice(b",\"heartbeat\":");
        number(out, self.heartbeat);
        out.extend_from_slice(b",\"noted\":\"");
        self.noted.write(out);
        out.extend_from_slice(b"\"}}");
    }

    /// Reads a line in the one form if it is of this kind; looks at no more of others
    /// than the name of their second member.
    pub fn read(line: &'a [u8]) -> Result<Option<Self>, EntryError> {
        if !has_second(line, Subject::Silence.name()) {
            return Ok(None);
        }
        match Entry::parse(line)? {
            Entry::Silence(_, silence) => Ok(Some(silence)),
            _ => Err(EntryError::NotCanonical { at: 0 }),
        }
    }
}
