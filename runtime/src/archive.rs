//! What a ledger has of events: their entries, and their content where that is kept.

use std::iter::Peekable;
use std::path::Path;

use crate::event::Event;
use crate::ingest::{self, Rejection};
use crate::ledger::entry::{Entry, EventEntry};
use crate::ledger::{Kept, KeptError, KeptEvents, Log, LogError};
use crate::reserved;

/// What a ledger has of events cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The entries cannot.
    #[error("cannot read what was recorded: {0}")]
    Log(#[from] LogError),
    /// The contents cannot.
    #[error("cannot read what is kept of events: {0}")]
    Kept(#[from] KeptError),
    /// What was recorded is no entry.
    #[error("not an entry that this program knows: {0}")]
    NoEntry(String),
    /// What is kept is no event, within these limits.
    #[error("what is kept of the event with sequence {sequence} is none any more: {rejection}")]
    NoEvent {
        /// Which.
        sequence: u64,
        /// Why.
        rejection: Box<Rejection>,
    },
    /// What is kept is another event.
    #[error("what is kept of the event with sequence {0} has another digest than its entry says; check the whole data directory")]
    Changed(u64),
}

/// Which events: by their sequences and by when they happened, each end included in the
/// sequences and the last excluded in the times. Times in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period {
    pub from: u64,
    pub until: u64,
    pub after: i64,
    pub before: i64,
}

impl Period {
    pub fn contains(&self, sequence: u64, happened: i64) -> bool {
        (self.from..=self.until).contains(&sequence) && (self.after..self.before).contains(&happened)
    }
}

/// An event that was recorded.
pub(crate) struct Occurrence {
    pub sequence: u64,
    /// When it happened, in microseconds since 1970.
    pub happened: i64,
    /// What was recorded since the event before: timers, mostly.
    pub before: Vec<String>,
    /// Its entry.
    pub line: String,
    /// A verdict event.
    pub is_own: bool,
    /// As it arrived; nothing if its content is not there any more.
    pub event: Option<Event>,
}

/// Recorded events in order, up to a sequence.
pub(crate) struct Recorded {
    lines: Box<dyn Iterator<Item = Result<(u64, String), LogError>> + Send>,
    /// Absent if only entries are wanted.
    kept: Option<Peekable<KeptEvents>>,
    until: u64,
    limits: ingest::Limits,
    /// Of which events the content is wanted.
    wants: Wants,
}

/// Says of an entry whether the content of its event is wanted.
pub(crate) type Wants = Box<dyn Fn(&EventEntry<'_>) -> bool + Send>;

impl Recorded {
    /// The entries alone.
    pub fn entries(log: &Log, from: u64, until: u64) -> Self {
        Recorded { lines: Box::new(log.entries(from)), kept: None, until, limits: ingest::Limits::default(), wants: Box::new(|_| true) }
    }

    /// Entries with contents.
    pub fn with_contents(
        log: &Log,
        data: &Path,
        limits: &ingest::Limits,
        from: u64,
        until: u64,
        wants: Wants,
    ) -> Result<Self, ArchiveError> {
        let kept = KeptEvents::open_from(data, from)?.peekable();
        Ok(Recorded { kept: Some(kept), limits: limits.clone(), wants, ..Recorded::entries(log, from, until) })
    }

    /// The next event; nothing behind the last one.
    pub fn next(&mut self) -> Result<Option<Occurrence>, ArchiveError> {
        let mut before = Vec::new();
        for entry in self.lines.by_ref() {
            let (sequence, line) = entry?;
            if sequence > self.until {
                break;
            }
            let Some(source) = source_of(&line) else {
                before.push(line);
                continue;
            };
            let is_own = reserved::is_own_source(source);
            let Entry::Event(entry) = Entry::parse(line.as_bytes()).map_err(|error| ArchiveError::NoEntry(error.to_string()))? else {
                return Err(ArchiveError::NoEntry(line));
            };
            let (happened, arrived, digest) = (entry.happened().micros(), entry.arrived.micros(), entry.digest);
            let event = match if (self.wants)(&entry) { self.content(sequence)? } else { None } {
                None => None,
                Some(Kept::Erased { .. }) => None,
                Some(Kept::Content(content)) => {
                    let event = ingest::content(&content, &self.limits)
                        .map_err(|rejection| ArchiveError::NoEvent { sequence, rejection: Box::new(rejection) })?;
                    if *event.digest() != digest {
                        return Err(ArchiveError::Changed(sequence));
                    }
                    Some(event.with_arrival(arrived))
                }
            };
            return Ok(Some(Occurrence { sequence, happened, before, line, is_own, event }));
        }
        Ok(None)
    }

    fn content(&mut self, sequence: u64) -> Result<Option<Kept>, ArchiveError> {
        let Some(kept) = &mut self.kept else { return Ok(None) };
        loop {
            match kept.peek() {
                Some(Ok((at, _))) if *at > sequence => return Ok(None),
                None => return Ok(None),
                Some(_) => {}
            }
            let Some(next) = kept.next() else { return Ok(None) };
            let (at, content) = next?;
            if at == sequence {
                return Ok(Some(content));
            }
        }
    }
}

/// The source in the entry of an event, as it stands in the line, with all that follows;
/// nothing for other entries. A name of the runtime's own needs no escape.
pub(crate) fn source_of(line: &str) -> Option<&str> {
    let (_, rest) = line.strip_prefix("{\"sequence\":")?.split_once(",\"")?;
    rest.strip_prefix("source\":\"")
}
