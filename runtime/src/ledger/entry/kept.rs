//! What is kept of the events themselves, beside their entries, and what is not any more.

use schemars::JsonSchema;
use serde::Deserialize;

use super::fields::{Text, Time, member, number_member, present, text_member, time_member};
use super::{Entry, EntryError, Subject, has_second};
use crate::ledger::limits::Keep;

/// What is kept of events from here on. Before the first entry of this kind it is the
/// digest in each entry and no more.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeepEntry<'a> {
    /// `digest`, `full`, or `days`.
    #[serde(borrow)]
    pub events: Text<'a>,
    /// For how many; left out but for `days`.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "u64")]
    pub days: Option<u64>,
    pub at: Time,
}

impl<'a> KeepEntry<'a> {
    /// The entry that says so.
    pub fn new(keep: Keep, at: i64) -> Self {
        let days = match keep {
            Keep::Days(days) => Some(u64::from(days)),
            Keep::Digest | Keep::Full => None,
        };
        KeepEntry { events: keep.name().into(), days, at: Time::from_micros(at) }
    }

    /// What it says; nothing if that is nothing that this release knows.
    pub fn keep(&self) -> Option<Keep> {
        Some(match (&*self.events, self.days) {
            ("digest", None) => Keep::Digest,
            ("full", None) => Keep::Full,
            ("days", Some(days)) => Keep::Days(u16::try_from(days).ok()?),
            _ => return None,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        member(out, b",\"keep\":{\"events\":", &self.events);
        if let Some(days) = self.days {
            number_member(out, "days", days);
        }
        time_member(out, "at", self.at);
        out.extend_from_slice(b"}}");
    }
}

/// The content of events is gone, of all before this entry of which everything holds that
/// is said here. Their entries stay, and what proves them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErasureEntry<'a> {
    /// Those of this source.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schemars(with = "Text<'a>")]
    pub source: Option<Text<'a>>,
    /// The one with this id; only together with its source.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schemars(with = "Text<'a>")]
    pub id: Option<Text<'a>>,
    /// Those about this subject.
    #[serde(borrow, default, deserialize_with = "present")]
    #[schemars(with = "Text<'a>")]
    pub subject: Option<Text<'a>>,
    /// Those with sequences up to this one.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "u64")]
    pub through: Option<u64>,
    /// Who wanted it.
    #[serde(borrow)]
    pub by: Text<'a>,
    #[serde(borrow, default, deserialize_with = "present")]
    #[schemars(with = "Text<'a>")]
    pub reason: Option<Text<'a>>,
    pub at: Time,
}

impl ErasureEntry<'_> {
    /// Whether it is about an event, if that comes before it.
    pub fn covers(&self, sequence: u64, source: &str, id: &str, subject: Option<&str>) -> bool {
        let is = |wanted: &Option<Text<'_>>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| found == Some(wanted));
        self.through.is_none_or(|through| sequence <= through)
            && is(&self.source, Some(source))
            && is(&self.id, Some(id))
            && is(&self.subject, subject)
    }

    /// Whether it comes of how long events are kept, and is about all up to its
    /// `through`.
    pub fn is_expiry(&self) -> bool {
        self.source.is_none() && self.id.is_none() && self.subject.is_none()
    }

    /// The same, with nothing borrowed.
    pub fn into_owned(self) -> ErasureEntry<'static> {
        let own = |text: Option<Text<'_>>| text.map(|text| Text::from(text.0.into_owned()));
        ErasureEntry {
            source: own(self.source),
            id: own(self.id),
            subject: own(self.subject),
            through: self.through,
            by: Text::from(self.by.0.into_owned()),
            reason: own(self.reason),
            at: self.at,
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"erasure\":{");
        let begin = out.len();
        for (name, text) in [("source", &self.source), ("id", &self.id), ("subject", &self.subject)] {
            if let Some(text) = text {
                text_member(out, name, text);
            }
        }
        if let Some(through) = self.through {
            number_member(out, "through", through);
        }
        text_member(out, "by", &self.by);
        if let Some(reason) = &self.reason {
            text_member(out, "reason", reason);
        }
        time_member(out, "at", self.at);
        // Every member was written as one that follows another.
        out.remove(begin);
        out.extend_from_slice(b"}}");
    }
}

/// What a line says of the content of events, if it is of this kind; no more of others is
/// looked at than the name of their second member.
pub(crate) enum AboutContent<'a> {
    Keep(KeepEntry<'a>),
    Erasure(ErasureEntry<'a>),
}

impl<'a> AboutContent<'a> {
    /// Reads a line in the one form.
    pub fn read(line: &'a [u8]) -> Result<Option<Self>, EntryError> {
        if ![Subject::Keep, Subject::Erasure].iter().any(|subject| has_second(line, subject.name())) {
            return Ok(None);
        }
        match Entry::parse(line)? {
            Entry::Keep(_, keep) => Ok(Some(AboutContent::Keep(keep))),
            Entry::Erasure(_, erasure) => Ok(Some(AboutContent::Erasure(erasure))),
            _ => Err(EntryError::NotCanonical { at: 0 }),
        }
    }
}
