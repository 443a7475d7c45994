//! What a recorded ledger says about how it came to be: which events in which order,
//! when they arrived, what was changed between them, and what was noted.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ephor::digest::Digest;
use ephor::event::Event;
use ephor::ledger::verify::{Entries, EntryLine, Finding, Subject};
use ephor::policy::{Mode, Validity};
use ephor::reserved;
use ephor::runtime::{By, verdict_event};

use super::entry::{Entry, EventEntry, TimerEntry};
use super::finder::Name;
use crate::cli::exit::{Exit, Outcome, failed};
use crate::cli::table::{self, grouped};

/// What is to be done next, as it was recorded.
#[derive(Debug)]
pub enum Step {
    /// The server was started, at this time (microseconds since 1970).
    Start(i64),
    /// The releases in force were changed.
    Change(Box<Change>),
    /// An event came.
    Event(Moment),
    /// The runtime submitted an event about an entry before, out of which it is made again.
    Verdict(Box<Event>),
    /// Something was noted that follows from neither: it is taken over as it stands.
    Noted(String),
}

/// A recorded change of the releases in force.
#[derive(Debug)]
pub struct Change {
    pub what: String,
    pub policy: String,
    /// Version and short digest.
    pub release: String,
    /// 64 hexadecimal digits.
    pub digest: String,
    /// Its reference lists and their versions, in the order of its manifest.
    pub lists: Vec<(String, String)>,
    pub statement: Option<Digest>,
    pub mode: Mode,
    pub share: u16,
    pub validity: Validity,
    pub by: By,
}

/// A recorded event.
#[derive(Debug)]
pub struct Moment {
    pub source: String,
    pub id: String,
    pub digest: Name,
    /// Microseconds since 1970.
    pub arrived: i64,
}

/// Reads a data directory.
pub struct Script {
    directory: PathBuf,
    entries: Entries,
    /// Verdict events that are still to come, by the entries that they are about.
    echoes: HashMap<String, Event>,
    /// Entries that were read.
    pub read: u64,
}

impl Script {
    pub fn open(directory: &Path) -> Self {
        Script { directory: directory.to_path_buf(), entries: Entries::new(directory, 1), echoes: HashMap::new(), read: 0 }
    }

    /// The next step, with the sequence of its entry.
    pub fn next(&mut self) -> Outcome<Option<(u64, Step)>> {
        for entry in self.entries.by_ref() {
            let (sequence, line) = text_of(&self.directory, entry)?;
            self.read = sequence;
            let bad = |what: &str| failed(Exit::Failed, format!("entry {}: {what} cannot be read", grouped(sequence)));
            let micros = |text: &str| micros_of(text).ok_or_else(|| bad("a time"));
            let digest = |text: &str| Digest::from_hex(text).ok_or_else(|| bad("a digest"));
            let entry = Entry::read(&line)?;
            if let Entry::Event(EventEntry { echo: Some(_), .. }) | Entry::Timer(TimerEntry { echo: Some(_), .. }) = &entry
                && let Some(event) = verdict_event(&line).map_err(|_| bad("what the verdict event is made of"))?
            {
                self.echoes.insert(event.id().to_string(), event);
            }
            let step = match entry {
                // They follow from the events.
                Entry::Timer(_) | Entry::Other("gap", _) => continue,
                Entry::Event(event) if reserved::is_own_source(&event.source) => match self.echoes.remove(&*event.id) {
                    Some(event) => Step::Verdict(Box::new(event)),
                    None => {
                        let (sequence, about) = (grouped(sequence), table::plain(&event.id));
                        let why = format!("entry {sequence} is about the verdict of entry {about}, and none comes behind that");
                        return Err(failed(Exit::Refused, why));
                    }
                },
                Entry::Start(start) => Step::Start(micros(&start.at)?),
                Entry::Change(change) => Step::Change(Box::new(Change {
                    what: change.what.to_string(),
                    policy: change.policy.to_string(),
                    release: change.release.to_string(),
                    digest: change.digest.to_string(),
                    lists: change.lists.0.iter().map(|(name, version)| (name.to_string(), version.to_string())).collect(),
                    statement: change.statement.as_deref().map(digest).transpose()?,
                    mode: change.mode,
                    share: change.share.unwrap_or_default(),
                    validity: Validity {
                        from: change.from.as_deref().map(micros).transpose()?,
                        until: change.until.as_deref().map(micros).transpose()?,
                    },
                    by: By {
                        who: change.by.to_string(),
                        reason: change.reason.as_deref().map(str::to_string),
                        at: Some(micros(&change.at)?),
                    },
                })),
                Entry::Event(event) => Step::Event(Moment {
                    digest: *digest(&event.digest)?.bytes(),
                    arrived: micros(&event.arrived)?,
                    source: event.source.to_string(),
                    id: event.id.to_string(),
                }),
                Entry::Other(name, _) if Subject::named(name).is_some_and(Subject::is_taken_over) => Step::Noted(line),
                Entry::Other(name, _) => {
                    let (name, sequence) = (table::plain(name), grouped(sequence));
                    let why =
                        format!("entry {sequence} is of the kind {name:?}, which does not follow from events, so it cannot be replayed");
                    return Err(failed(Exit::Refused, why));
                }
            };
            return Ok(Some((sequence, step)));
        }
        Ok(None)
    }
}

/// All entries of a data directory: sequence and line.
pub fn lines(directory: &Path) -> impl Iterator<Item = Outcome<(u64, String)>> + use<> {
    let directory = directory.to_path_buf();
    Entries::new(&directory, 1).map(move |entry| text_of(&directory, entry))
}

fn text_of(directory: &Path, entry: Result<EntryLine, Box<Finding>>) -> Outcome<(u64, String)> {
    let damaged = |finding: Box<Finding>| failed(Exit::Damaged, format!("{}: {finding}", directory.display()));
    let EntryLine { sequence, line, .. } = entry.map_err(damaged)?;
    match String::from_utf8(line) {
        Ok(line) => Ok((sequence, line)),
        Err(_) => Err(failed(Exit::Damaged, format!("entry {} is not UTF-8", grouped(sequence)))),
    }
}

/// Microseconds since 1970 of a time as entries have it.
fn micros_of(text: &str) -> Option<i64> {
    let time = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_microsecond() {
        assert_eq!(micros_of("1970-01-01T00:00:01.000002Z"), Some(1_000_002));
        assert_eq!(micros_of("1969-12-31T23:59:59.999999Z"), Some(-1));
        assert_eq!(micros_of("9999-12-31T23:59:59.999999Z"), Some(253_402_300_799_999_999));
        assert_eq!(micros_of("yesterday"), None);
    }
}
