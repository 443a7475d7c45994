//! What a recorded ledger says about how it came to be: which events in which order,
//! when they arrived, and which releases were asked.

use std::path::{Path, PathBuf};

use ephor::ledger::verify::{Entries, EntryLine, Finding};

use super::entry::{Asked, Entry, bytes_of};
use super::finder::Name;
use crate::cli::exit::{Exit, Outcome, failed};
use crate::cli::table::{self, grouped};

/// A release that an entry names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Of the entry.
    pub sequence: u64,
    pub policy: String,
    /// Version and short digest.
    pub release: String,
    /// 64 hexadecimal digits.
    pub digest: String,
    /// Its reference lists and their versions, in the order of its manifest.
    pub lists: Vec<(String, String)>,
}

/// A recorded event, with what was recorded right before it because of it.
#[derive(Debug)]
pub struct Moment {
    pub sequence: u64,
    pub source: String,
    pub id: String,
    pub kind: String,
    pub digest: Name,
    /// Microseconds since 1970.
    pub arrived: i64,
    /// Releases that were in force.
    pub needs: Vec<Need>,
    /// Policies that lost their states by being taken out of force at some time after
    /// the moment before, as far as is known.
    pub forgotten: Vec<String>,
}

impl Moment {
    /// Whether a policy was asked about the event or one of its timers.
    pub fn asks(&self, policy: &str) -> bool {
        self.needs.iter().any(|need| need.policy == policy)
    }
}

/// Reads a data directory.
pub struct Script {
    directory: PathBuf,
    entries: Entries,
    /// Entries that were read.
    pub read: u64,
}

impl Script {
    pub fn open(directory: &Path) -> Self {
        Script { directory: directory.to_path_buf(), entries: Entries::new(directory, 1), read: 0 }
    }

    /// The next event.
    pub fn next(&mut self) -> Outcome<Option<Moment>> {
        let mut needs = Vec::new();
        while let Some(entry) = self.entries.next() {
            let (sequence, line) = text_of(&self.directory, entry)?;
            self.read = sequence;
            let need = |asked: &Asked<'_>| Need {
                sequence,
                policy: asked.policy.to_string(),
                release: asked.release.to_string(),
                digest: asked.digest.to_string(),
                lists: asked.lists.0.iter().map(|(name, version)| (name.to_string(), version.to_string())).collect(),
            };
            match Entry::read(&line)? {
                Entry::Timer(timer) => needs.push(need(&timer.asked)),
                // It follows from the events.
                Entry::Other("gap", _) => {}
                Entry::Other(name, _) => {
                    let name = table::plain(name);
                    let sequence = grouped(sequence);
                    let why =
                        format!("entry {sequence} is of the kind {name:?}, which does not follow from events, so it cannot be replayed");
                    return Err(failed(Exit::Refused, why));
                }
                Entry::Event(event) => {
                    let bad = |what: &str| failed(Exit::Failed, format!("entry {sequence}: {what} cannot be read"));
                    needs.extend(event.asked.iter().map(need));
                    return Ok(Some(Moment {
                        sequence,
                        digest: bytes_of(&event.digest).ok_or_else(|| bad("the digest"))?,
                        arrived: micros_of(&event.arrived).ok_or_else(|| bad("the time of arrival"))?,
                        source: event.source.to_string(),
                        id: event.id.to_string(),
                        kind: event.kind.to_string(),
                        needs,
                        forgotten: self.entries.forgotten(),
                    }));
                }
            }
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
