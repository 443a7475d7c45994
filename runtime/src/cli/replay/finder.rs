//! Finds the event that an entry is about, in files that have the events in about the
//! order in which they were recorded, and in memory that does not grow with them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;

use anyhow::Context as _;
use ephor::content::Content;
use ephor::event::Event;
use ephor::ingest::{self, Limits};

use crate::cli::exit::{Exit, Outcome, failed};
use crate::cli::files::{Rejected, Stream};
use crate::cli::table;

/// Bytes of events in memory that came earlier in the files than in the log. More of
/// them wait in a file.
const HELD_BYTES_MAX: usize = 256 << 20;

/// Events that are read from one file in search of one, before another file is tried.
const STRIDE: u64 = 512;

/// A SHA-256 digest of an event's bytes.
pub type Name = [u8; 32];

/// An event that was read and not asked for yet.
enum Held {
    Event(Box<Event>),
    /// Where its content is in the file of those for which there was no room.
    Spilled {
        offset: u64,
        length: usize,
        /// The lengths of its parts, if it came in headers.
        parts: Option<Box<[u32]>>,
    },
}

/// Reads streams side by side.
pub struct Finder {
    streams: Vec<Stream>,
    limits: Limits,
    held: HashMap<Name, Held>,
    held_bytes: usize,
    held_bytes_max: usize,
    spill: Option<File>,
    spilled: u64,
    /// The stream in which a source was seen last.
    homes: HashMap<Box<str>, usize>,
    /// Whose turn it is.
    turn: usize,
}

/// The event of an entry.
pub struct Wanted<'a> {
    pub sequence: u64,
    pub source: &'a str,
    pub id: &'a str,
    pub digest: Name,
}

impl Finder {
    pub fn new(streams: Vec<Stream>, limits: Limits) -> Self {
        Finder {
            streams,
            limits,
            held: HashMap::new(),
            held_bytes: 0,
            held_bytes_max: HELD_BYTES_MAX,
            spill: None,
            spilled: 0,
            homes: HashMap::new(),
            turn: 0,
        }
    }

    /// The event.
    ///
    /// # Errors
    ///
    /// If the files do not have it.
    pub async fn find(&mut self, wanted: &Wanted<'_>) -> Outcome<Event> {
        if let Some(event) = self.take(&wanted.digest)? {
            return Ok(event);
        }
        let mut tries = 0;
        while let Some(at) = self.stream(wanted.source, tries) {
            let Some(event) = self.streams[at].next().await? else { continue };
            tries += 1;
            match self.homes.get_mut(event.source()) {
                Some(home) => *home = at,
                None => drop(self.homes.insert(event.source().into(), at)),
            }
            if *event.digest().bytes() == wanted.digest {
                return Ok(event);
            }
            self.hold(event)?;
        }
        Err(self.missing(wanted)?)
    }

    /// Where to go on reading: the stream that the source was in last, and from time to
    /// time another one.
    fn stream(&mut self, source: &str, tries: u64) -> Option<usize> {
        let stride = tries / STRIDE;
        if let Some(home) = self.homes.get(source)
            && stride.is_multiple_of(2)
            && !self.streams[*home].ended
        {
            return Some(*home);
        }
        if tries.is_multiple_of(STRIDE) {
            self.turn += 1;
        }
        let count = self.streams.len();
        (0..count).map(|offset| (self.turn + offset) % count).find(|at| !self.streams[*at].ended)
    }

    fn take(&mut self, name: &Name) -> anyhow::Result<Option<Event>> {
        match self.held.remove(name) {
            None => Ok(None),
            Some(Held::Event(event)) => {
                self.held_bytes -= event.size();
                Ok(Some(*event))
            }
            Some(Held::Spilled { offset, length, parts }) => self.unspill(offset, length, parts.as_deref()).map(Some),
        }
    }

    fn hold(&mut self, event: Event) -> anyhow::Result<()> {
        let name = *event.digest().bytes();
        // The same bytes again: one of them is enough.
        if self.held.contains_key(&name) {
            return Ok(());
        }
        let size = event.size();
        let held = if self.held_bytes + size <= self.held_bytes_max {
            self.held_bytes += size;
            Held::Event(Box::new(event))
        } else {
            self.spill(&event).context("cannot put events aside in a temporary file")?
        };
        self.held.insert(name, held);
        Ok(())
    }

    fn spill(&mut self, event: &Event) -> io::Result<Held> {
        let file = match &mut self.spill {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        let content = event.content();
        let (mut length, mut parts) = (0, Vec::new());
        for part in content.parts() {
            file.write_all(part)?;
            length += part.len();
            parts.push(part.len() as u32);
        }
        let offset = self.spilled;
        self.spilled += length as u64;
        let parts = matches!(content, Content::Binary { .. }).then(|| parts.into_boxed_slice());
        Ok(Held::Spilled { offset, length, parts })
    }

    fn unspill(&self, offset: u64, length: usize, parts: Option<&[u32]>) -> anyhow::Result<Event> {
        let mut bytes = vec![0; length];
        let file = self.spill.as_ref().context("nothing was put aside")?;
        file.read_exact_at(&mut bytes, offset).context("cannot read what was put aside")?;
        let read = match parts {
            None => ingest::structured(&bytes, &self.limits),
            Some(lengths) => {
                let mut rest = &bytes[..];
                let parts: Option<Vec<&[u8]>> = lengths.iter().map(|length| rest.split_off(..*length as usize)).collect();
                let content = parts.and_then(|parts| Content::of_parts(&parts)).context("what was put aside has other parts")?;
                ingest::content(&content, &self.limits)
            }
        };
        read.context("what was put aside is an event no more")
    }

    /// What to say about an event that is not there. Everything was read, and what was
    /// not asked for is still held.
    fn missing(&self, wanted: &Wanted<'_>) -> anyhow::Result<crate::cli::exit::Failed> {
        let mut other = None;
        for held in self.held.values() {
            let spilled;
            let event = match held {
                Held::Event(event) => event,
                Held::Spilled { offset, length, parts } => {
                    spilled = self.unspill(*offset, *length, parts.as_deref())?;
                    &spilled
                }
            };
            if (event.source(), event.id()) == (wanted.source, wanted.id) {
                other = Some(*event.digest());
            }
        }
        let Wanted { sequence, source, id, digest } = wanted;
        let event = format!("entry {} is about event {} of {}", table::grouped(*sequence), table::plain(id), table::plain(source));
        let digest = ephor::digest::hex(digest);
        let why = match other {
            Some(other) => format!(
                "the files have it with other bytes: their digest is {}, and that of the recorded event {digest}. One of them was changed, or it came in headers and is not archived as it came",
                other.hex()
            ),
            None if self.streams.iter().any(|stream| stream.rejected.erased > 0) => {
                format!(
                    "it is not among what is kept (digest {digest}); the content of some events was erased, and without all of them nothing can be checked"
                )
            }
            None => format!("the files do not have it (digest {digest})"),
        };
        Ok(failed(Exit::Refused, format!("{event}: {why}")))
    }

    /// Reads the rest. The number of events that no entry was about, and lines that were
    /// no events.
    pub async fn finish(mut self) -> anyhow::Result<(u64, Rejected)> {
        let mut left = self.held.len() as u64;
        let mut rejected = Rejected::default();
        for mut stream in std::mem::take(&mut self.streams) {
            while stream.next().await?.is_some() {
                left += 1;
            }
            rejected.merge(stream.rejected);
        }
        Ok((left, rejected))
    }
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressBar;

    use super::*;

    fn event(source: &str, id: usize) -> String {
        format!(r#"{{"specversion":"1.0","id":"{id}","source":"{source}","type":"t"}}"#)
    }

    /// A finder over files with these lines.
    fn finder(folder: &tempfile::TempDir, files: &[Vec<String>]) -> Finder {
        let open = |(at, lines): (usize, &Vec<String>)| {
            let path = folder.path().join(at.to_string());
            std::fs::write(&path, lines.join("\n")).expect("written");
            Stream::open(vec![path], &Limits::default(), &ProgressBar::hidden())
        };
        Finder::new(files.iter().enumerate().map(open).collect(), Limits::default())
    }

    async fn find(finder: &mut Finder, source: &str, id: usize, line: &str) -> Outcome<Event> {
        let digest = *ephor::digest::Digest::of(line.as_bytes()).bytes();
        finder.find(&Wanted { sequence: 7, source, id: &id.to_string(), digest }).await
    }

    #[tokio::test]
    async fn events_are_found_in_any_order_with_little_memory() {
        let folder = tempfile::tempdir().expect("a folder");
        let lines = |source: &str| (0..3_000).map(|id| event(source, id)).collect::<Vec<_>>();
        let mut finder = finder(&folder, &[lines("/a"), lines("/b")]);
        // Room for some hundred events only.
        finder.held_bytes_max = 100_000;
        // Both files at the same time, the second one in blocks that are turned round.
        for block in 0..30 {
            for at in 0..100 {
                for (source, id) in [("/a", block * 100 + at), ("/b", block * 100 + 99 - at)] {
                    let found = find(&mut finder, source, id, &event(source, id)).await.expect("found");
                    assert_eq!((found.source(), found.id()), (source, id.to_string().as_str()));
                }
            }
            assert!(finder.held_bytes <= finder.held_bytes_max);
        }
        let (left, rejected) = finder.finish().await.expect("readable");
        assert_eq!((left, rejected.lines), (0, 0));
    }

    #[tokio::test]
    async fn what_does_not_fit_waits_in_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let lines: Vec<String> = (0..500).map(|id| event("/a", id)).collect();
        let mut finder = finder(&folder, std::slice::from_ref(&lines));
        finder.held_bytes_max = 10_000;
        for id in (0..500).rev() {
            assert_eq!(find(&mut finder, "/a", id, &lines[id]).await.expect("found").id(), id.to_string());
        }
        assert!(finder.spilled > 10_000);
    }

    #[tokio::test]
    async fn a_missing_event_and_a_changed_one_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut finder = finder(&folder, &[vec![event("/a", 1), event("/a", 1), event("/a", 2)]]);
        let error = find(&mut finder, "/a", 3, &event("/a", 3)).await.expect_err("missing").error.to_string();
        assert!(error.contains("entry 7 is about event 3 of /a: the files do not have it"), "{error}");
        let error = find(&mut finder, "/a", 2, &event("/b", 2)).await.expect_err("changed").error.to_string();
        assert!(error.contains("other bytes"), "{error}");
        assert_eq!(finder.finish().await.expect("readable").0, 2, "one of the three is there twice");
    }
}
