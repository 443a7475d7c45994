//! Entries of the ledger: JSON lines in one form only.
//!
//! The form: members in the order of the fields below, those that are empty left
//! out; no white space; integers in plain digits; strings in UTF-8 with the escapes
//! that JSON demands and no others (`\"`, `\\`, `\b`, `\f`, `\n`, `\r`, `\t`,
//! `\u00xx` in lower case for other control characters). An entry has exactly one
//! line, and a line that reads as an entry but is written otherwise is none:
//! digests, proofs and comparisons are over these bytes.
//!
//! Written by hand instead of through serde because this runs once per event.
//!
//! An entry is about an event, and then its second member is `source`; or it is about
//! something else, and then its second and last member has the name of that.

mod change;
mod configuration;
mod echo;
mod event;
mod fields;
mod kept;
mod other;
mod silence;
#[cfg(test)]
mod tests;
mod view;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::digest::Digest;
use fields::parse_digest;

pub(crate) use change::{ChangeEntry, What};
pub(crate) use configuration::ConfigurationEntry;
pub(crate) use echo::{About, AboutTimer, Document, Echo, Failed, Found, structured, subject_of};
pub(crate) use event::{Asked, EventEntry, Fault, Finding};
pub(crate) use fields::{Evidence, Lists, Time, number, string};
pub(crate) use kept::{AboutContent, ErasureEntry, KeepEntry};
pub(crate) use other::{GapEntry, StartEntry, TimerEntry};
pub(crate) use silence::SilenceEntry;

/// The longest line, without its `\n`: an entry of a C2SP tile has its length in 16
/// bits.
pub(crate) const ENTRY_BYTES_MAX: usize = 65_535;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    Event(EventEntry<'a>),
    /// With its sequence.
    Timer(u64, TimerEntry<'a>),
    /// With its sequence.
    Gap(u64, GapEntry<'a>),
    /// With its sequence.
    Silence(u64, SilenceEntry<'a>),
    /// With its sequence.
    Change(u64, ChangeEntry<'a>),
    /// With its sequence.
    Start(u64, StartEntry<'a>),
    /// With its sequence.
    Keep(u64, KeepEntry<'a>),
    /// With its sequence.
    Erasure(u64, ErasureEntry<'a>),
    /// With its sequence.
    Configuration(u64, ConfigurationEntry<'a>),
}

impl JsonSchema for Entry<'_> {
    fn schema_name() -> Cow<'static, str> {
        "Entry".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let other = |subject: Subject, about: Schema| {
            let name = subject.name();
            json_schema!({
                "type": "object",
                "required": ["sequence", name],
                "properties": { "sequence": { "type": "integer", "minimum": 1 }, name: about },
                "additionalProperties": false,
            })
        };
        let others = [
            other(Subject::Timer, generator.subschema_for::<TimerEntry<'_>>()),
            other(Subject::Gap, generator.subschema_for::<GapEntry<'_>>()),
            other(Subject::Silence, generator.subschema_for::<SilenceEntry<'_>>()),
            other(Subject::Change, generator.subschema_for::<ChangeEntry<'_>>()),
            other(Subject::Start, generator.subschema_for::<StartEntry<'_>>()),
            other(Subject::Keep, generator.subschema_for::<KeepEntry<'_>>()),
            other(Subject::Erasure, generator.subschema_for::<ErasureEntry<'_>>()),
            other(Subject::Configuration, generator.subschema_for::<ConfigurationEntry<'_>>()),
        ];
        let events = [generator.subschema_for::<EventEntry<'_>>(), generator.subschema_for::<view::NarrowedEvent>()];
        let all = events.into_iter().chain(others);
        json_schema!({ "description": "One entry of the ledger.", "oneOf": all.collect::<Vec<_>>() })
    }
}

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// An event.
    Event,
    /// A timer that fired.
    Timer,
    /// Numbers that a source left out.
    Gap,
    /// A source that fell silent.
    Silence,
    /// A change of the releases in force.
    Change,
    /// A start of the runtime.
    Start,
    /// How much of events is kept from here on.
    Keep,
    /// The end of what was kept of some of them.
    Erasure,
    /// Another configuration from here on.
    Configuration,
}

impl Subject {
    /// The word: for all but events also the name of the entry's second member.
    pub fn name(self) -> &'static str {
        match self {
            Subject::Event => "event",
            Subject::Timer => "timer",
            Subject::Gap => "gap",
            Subject::Silence => "silence",
            Subject::Change => "change",
            Subject::Start => "start",
            Subject::Keep => "keep",
            Subject::Erasure => "erasure",
            Subject::Configuration => "configuration",
        }
    }

    /// What an entry with a second member of this name is about; an event's entry has
    /// none of these names.
    pub fn named(name: &str) -> Option<Self> {
        use Subject as S;
        let others = [S::Timer, S::Gap, S::Silence, S::Change, S::Start, S::Keep, S::Erasure, S::Configuration];
        others.into_iter().find(|subject| subject.name() == name)
    }

    /// Whether a replay takes such entries over as they stand. All others come of what it
    /// does again: events, and what was done to the runtime.
    pub fn is_taken_over(self) -> bool {
        match self {
            Subject::Silence | Subject::Keep | Subject::Erasure | Subject::Configuration => true,
            Subject::Event | Subject::Timer | Subject::Gap | Subject::Change | Subject::Start => false,
        }
    }
}

/// An entry is longer than a tile can hold. Nothing was written; whoever made the
/// entry has to make it shorter, and to say so in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {sequence} has {bytes} bytes; it must not have more than {ENTRY_BYTES_MAX}")]
pub(crate) struct OversizedEntry {
    pub sequence: u64,
    pub bytes: usize,
}

/// A line is not an entry.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EntryError {
    #[error("not an entry: {0}")]
    Json(#[from] serde_json::Error),
    #[error("reads as an entry, but is written otherwise from byte {at} of the line on")]
    NotCanonical { at: usize },
    #[error("has {0} bytes; an entry must not have more than {ENTRY_BYTES_MAX}")]
    Oversized(usize),
}

/// An entry that is about something else than an event, as it stands in its line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Other<'a> {
    sequence: u64,
    #[serde(borrow, default)]
    timer: Option<TimerEntry<'a>>,
    #[serde(borrow, default)]
    gap: Option<GapEntry<'a>>,
    #[serde(borrow, default)]
    silence: Option<SilenceEntry<'a>>,
    #[serde(borrow, default)]
    change: Option<ChangeEntry<'a>>,
    #[serde(borrow, default)]
    start: Option<StartEntry<'a>>,
    #[serde(borrow, default)]
    keep: Option<KeepEntry<'a>>,
    #[serde(borrow, default)]
    erasure: Option<ErasureEntry<'a>>,
    #[serde(borrow, default)]
    configuration: Option<ConfigurationEntry<'a>>,
}

impl<'a> Entry<'a> {
    /// Its place in the total order; the first is 1.
    pub fn sequence(&self) -> u64 {
        match self {
            Entry::Event(event) => event.sequence,
            Entry::Timer(sequence, _)
            | Entry::Gap(sequence, _)
            | Entry::Silence(sequence, _)
            | Entry::Change(sequence, _)
            | Entry::Start(sequence, _)
            | Entry::Keep(sequence, _)
            | Entry::Erasure(sequence, _)
            | Entry::Configuration(sequence, _) => *sequence,
        }
    }

    /// What it is about.
    pub fn subject(&self) -> Subject {
        match self {
            Entry::Event(_) => Subject::Event,
            Entry::Timer(..) => Subject::Timer,
            Entry::Gap(..) => Subject::Gap,
            Entry::Silence(..) => Subject::Silence,
            Entry::Change(..) => Subject::Change,
            Entry::Start(..) => Subject::Start,
            Entry::Keep(..) => Subject::Keep,
            Entry::Erasure(..) => Subject::Erasure,
            Entry::Configuration(..) => Subject::Configuration,
        }
    }

    /// The same at another place.
    pub fn at(self, sequence: u64) -> Self {
        match self {
            Entry::Event(event) => Entry::Event(EventEntry { sequence, ..event }),
            Entry::Timer(_, timer) => Entry::Timer(sequence, timer),
            Entry::Gap(_, gap) => Entry::Gap(sequence, gap),
            Entry::Silence(_, silence) => Entry::Silence(sequence, silence),
            Entry::Change(_, change) => Entry::Change(sequence, change),
            Entry::Start(_, start) => Entry::Start(sequence, start),
            Entry::Keep(_, keep) => Entry::Keep(sequence, keep),
            Entry::Erasure(_, erasure) => Entry::Erasure(sequence, erasure),
            Entry::Configuration(_, configuration) => Entry::Configuration(sequence, configuration),
        }
    }

    /// Writes the entry's line, without `\n`. Writes nothing if it is too long.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), OversizedEntry> {
        let start = out.len();
        out.reserve(512);
        out.extend_from_slice(b"{\"sequence\":");
        number(out, self.sequence());
        match self {
            Entry::Event(event) => event.write(out),
            Entry::Timer(_, timer) => timer.write(out),
            Entry::Gap(_, gap) => gap.write(out),
            Entry::Silence(_, silence) => silence.write(out),
            Entry::Change(_, change) => change.write(out),
            Entry::Start(_, start) => start.write(out),
            Entry::Keep(_, keep) => keep.write(out),
            Entry::Erasure(_, erasure) => erasure.write(out),
            Entry::Configuration(_, configuration) => configuration.write(out),
        }
        let bytes = out.len() - start;
        if bytes > ENTRY_BYTES_MAX {
            out.truncate(start);
            return Err(OversizedEntry { sequence: self.sequence(), bytes });
        }
        Ok(())
    }

    /// Reads an entry from a line of the ledger, without checking that it is written
    /// in the one form: for lines that are covered by a checksum of our own.
    pub fn parse(line: &'a [u8]) -> Result<Self, EntryError> {
        match is_event(line) {
            true => Ok(Entry::Event(serde_json::from_slice(line)?)),
            false => {
                let Other { sequence, timer, gap, silence, change, start, keep, erasure, configuration } = serde_json::from_slice(line)?;
                let all = [
                    timer.map(|timer| Entry::Timer(sequence, timer)),
                    gap.map(|gap| Entry::Gap(sequence, gap)),
                    silence.map(|silence| Entry::Silence(sequence, silence)),
                    change.map(|change| Entry::Change(sequence, change)),
                    start.map(|start| Entry::Start(sequence, start)),
                    keep.map(|keep| Entry::Keep(sequence, keep)),
                    erasure.map(|erasure| Entry::Erasure(sequence, erasure)),
                    configuration.map(|configuration| Entry::Configuration(sequence, configuration)),
                ];
                let mut all = all.into_iter().flatten();
                match (all.next(), all.next()) {
                    (Some(entry), None) => Ok(entry),
                    _ => Err(EntryError::NotCanonical { at: 0 }),
                }
            }
        }
    }

    /// Reads an entry from a line that anybody may have written.
    pub fn parse_canonical(line: &'a [u8]) -> Result<Self, EntryError> {
        if line.len() > ENTRY_BYTES_MAX {
            return Err(EntryError::Oversized(line.len()));
        }
        let entry = Entry::parse(line)?;
        let mut written = Vec::with_capacity(line.len());
        entry.write(&mut written).map_err(|error| EntryError::Oversized(error.bytes))?;
        if written != line {
            let at = written.iter().zip(line).position(|(one, other)| one != other);
            return Err(EntryError::NotCanonical { at: at.unwrap_or(written.len().min(line.len())) });
        }
        Ok(entry)
    }
}

/// Whether the second member of a line in the one form is that of an event's entry.
fn is_event(line: &[u8]) -> bool {
    has_second(line, "source")
}

/// Whether the second member of a line in the one form has this name.
fn has_second(line: &[u8], name: &str) -> bool {
    let comma = line.iter().position(|byte| *byte == b',').unwrap_or(line.len());
    let rest = line[comma..].strip_prefix(b",\"").and_then(|rest| rest.strip_prefix(name.as_bytes()));
    rest.is_some_and(|rest| rest.starts_with(b"\":"))
}

/// What tells an event from others, from the front of its entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity<'a> {
    pub source: Cow<'a, str>,
    pub id: Cow<'a, str>,
    /// As it was sent.
    pub time: Option<Cow<'a, str>>,
    pub number: Option<u64>,
    pub arrived: Time,
    /// An event about the verdict on it comes behind.
    pub echo: Option<u64>,
    /// Of the event's bytes.
    pub digest: Digest,
}

impl<'a> Identity<'a> {
    /// Reads the front of a line in the one form, and no further; nothing for an entry
    /// that is not about an event. For opening a ledger, where every line is read.
    pub fn read(line: &'a [u8]) -> Result<Option<Self>, EntryError> {
        if !is_event(line) {
            return Ok(None);
        }
        Identity::front(line).map(Some).ok_or_else(|| match Entry::parse_canonical(line) {
            Err(error) => error,
            Ok(_) => EntryError::NotCanonical { at: 0 },
        })
    }

    fn front(line: &'a [u8]) -> Option<Self> {
        let mut rest = line.strip_prefix(b"{\"sequence\":")?;
        let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
        rest = &rest[digits..];
        let source = take_string(&mut rest, b",\"source\":")?;
        let id = take_string(&mut rest, b",\"id\":")?;
        take_string(&mut rest, b",\"type\":")?;
        take_string(&mut rest, b",\"subject\":");
        let time = take_string(&mut rest, b",\"time\":");
        let number = take_number(&mut rest, b",\"number\":");
        let arrived = Time::parse(&take_string(&mut rest, b",\"arrived\":")?)?;
        rest = rest.strip_prefix(b",\"late\":true").unwrap_or(rest);
        let echo = take_number(&mut rest, b",\"echo\":");
        let digest = parse_digest(&take_string(&mut rest, b",\"digest\":")?)?;
        Some(Identity { source, id, time, number, arrived, echo, digest })
    }
}

/// Takes a member off the front: its name with what precedes it, and a number.
fn take_number(rest: &mut &[u8], name: &[u8]) -> Option<u64> {
    let text = rest.strip_prefix(name)?;
    let digits = text.iter().position(|byte| !byte.is_ascii_digit())?;
    let number = str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
    *rest = &text[digits..];
    Some(number)
}

/// Takes a member off the front: its name with what precedes it, and a string.
fn take_string<'a>(rest: &mut &'a [u8], name: &[u8]) -> Option<Cow<'a, str>> {
    let text = rest.strip_prefix(name)?;
    let inner = text.strip_prefix(b"\"")?;
    let end = memchr::memchr2(b'"', b'\\', inner)?;
    if inner[end] == b'"' {
        *rest = &inner[end + 1..];
        return str::from_utf8(&inner[..end]).ok().map(Cow::Borrowed);
    }
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<String>();
    let string = values.next()?.ok()?;
    *rest = &text[values.byte_offset()..];
    Some(Cow::Owned(string))
}
