//! Events from a file or from standard input: a single one, an array, or one on each line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::Context as _;
use ephor::event::Event;
use ephor::ingest::{self, Limits};
use flate2::read::MultiGzDecoder;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::cli::exit::{Exit, Or as _, Outcome, failed};
use crate::cli::table::plain;

/// Bytes of a document that is not one event on each line.
const DOCUMENT_BYTES_MAX: u64 = 64 << 20;

/// An event, or why there is none, and where it stands.
pub struct Item {
    /// `FILE:LINE`, or `FILE, event N` of an array.
    pub place: String,
    pub event: Result<Event, String>,
}

/// Events, one after the other.
pub struct Input {
    name: String,
    limits: Limits,
    lines: Box<dyn BufRead>,
    number: usize,
    /// Items that were read ahead, the next one last.
    ahead: Vec<Item>,
}

impl Input {
    /// Opens a file; `-` is standard input.
    pub fn open(path: &Path) -> Outcome<Self> {
        let (name, input): (String, Box<dyn Read>) = match path == Path::new("-") {
            true => ("standard input".into(), Box::new(std::io::stdin())),
            false => {
                let file = File::open(path).with_context(|| format!("cannot open {}", path.display())).or_exit(Exit::Usage)?;
                (path.display().to_string(), Box::new(file))
            }
        };
        let mut lines: Box<dyn BufRead> = Box::new(BufReader::new(input));
        let is_packed = lines.fill_buf().with_context(|| format!("cannot read {name}"))?.starts_with(&[0x1f, 0x8b]);
        if is_packed {
            lines = Box::new(BufReader::new(MultiGzDecoder::new(lines)));
        }
        let mut input = Input { name, limits: Limits::default(), lines, number: 0, ahead: Vec::new() };
        input.begin()?;
        Ok(input)
    }

    /// Looks at the first line: whether it is an event by itself, or the beginning of a
    /// document that goes on.
    fn begin(&mut self) -> Outcome {
        let Some(first) = self.line()? else {
            return Err(failed(Exit::Usage, format!("{} is empty; give at least one event", self.name)));
        };
        let trimmed = first.trim();
        if trimmed.starts_with('{') && serde_json::from_str::<IgnoredAny>(trimmed).is_ok() {
            let item = self.item(trimmed, format!("{}:{}", self.name, self.number));
            self.ahead.push(item);
            return Ok(());
        }
        let mut document = "\n".repeat(self.number.saturating_sub(1)) + &first;
        let read = (&mut self.lines).take(DOCUMENT_BYTES_MAX).read_to_string(&mut document);
        read.with_context(|| format!("cannot read {}", self.name))?;
        let wrong = |error: &serde_json::Error| {
            let place = format!("{}:{}:{}", self.name, error.line(), error.column());
            failed(
                Exit::Refused,
                format!("{place}: this is no JSON: {error}; give one event, an array of events, or one event on each line"),
            )
        };
        if document.trim_start().starts_with('[') {
            let all: Vec<&RawValue> = serde_json::from_str(&document).map_err(|error| wrong(&error))?;
            let items = all.iter().enumerate().map(|(at, raw)| self.item(raw.get(), format!("{}, event {at}", self.name)));
            self.ahead = items.collect();
            self.ahead.reverse();
            return Ok(());
        }
        match serde_json::from_str::<IgnoredAny>(&document) {
            Ok(_) => self.ahead.push(self.item(document.trim(), format!("{}:{}", self.name, self.number))),
            // Lines of which the first is broken are lines all the same.
            Err(error) if document.trim().lines().nth(1).is_some_and(|second| serde_json::from_str::<IgnoredAny>(second).is_ok()) => {
                let mut items = Vec::new();
                for (at, line) in document.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                    items.push(self.item(line.trim(), format!("{}:{}", self.name, at + 1)));
                }
                drop(error);
                items.reverse();
                self.ahead = items;
            }
            Err(error) => return Err(wrong(&error)),
        }
        Ok(())
    }

    /// The next line that is not blank.
    fn line(&mut self) -> Outcome<Option<String>> {
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).with_context(|| format!("cannot read line {} of {}", self.number + 1, self.name));
            if read.or_exit(Exit::Refused)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if !line.trim().is_empty() {
                return Ok(Some(line));
            }
        }
    }

    fn item(&self, text: &str, place: String) -> Item {
        Item { place, event: ingest::any_structured(text.as_bytes(), &self.limits).map_err(|rejection| plain(&rejection.to_string())) }
    }

    /// The next event.
    pub fn next(&mut self) -> Outcome<Option<Item>> {
        if let Some(item) = self.ahead.pop() {
            return Ok(Some(item));
        }
        let Some(line) = self.line()? else { return Ok(None) };
        Ok(Some(self.item(line.trim(), format!("{}:{}", self.name, self.number))))
    }
}

/// All events of a file that has one, for verbs that are about one.
pub fn only(path: &Path) -> Outcome<Event> {
    let mut input = Input::open(path)?;
    let Some(Item { place, event }) = input.next()? else {
        return Err(failed(Exit::Usage, format!("{} has no event", path.display())));
    };
    if input.next()?.is_some() {
        return Err(failed(Exit::Usage, format!("{} has several events; give the one that it is about", path.display())));
    }
    event.map_err(|why| failed(Exit::Refused, format!("{place}: this is no event: {why}")))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn event(id: &str) -> String {
        format!(r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"t"}}"#)
    }

    fn read(text: &[u8]) -> Outcome<Vec<(String, Result<String, String>)>> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("events");
        std::fs::write(&file, text).expect("written");
        let mut input = Input::open(&file)?;
        let mut items = Vec::new();
        while let Some(Item { place, event }) = input.next()? {
            let place = place.replace(file.to_str().expect("UTF-8"), "F");
            items.push((place, event.map(|event| event.id().to_string())));
        }
        Ok(items)
    }

    #[test]
    fn one_event_an_array_or_lines() {
        let items = |text: &str| {
            let read = read(text.as_bytes()).expect("events");
            read.into_iter().map(|(place, id)| format!("{place} {}", id.expect("an event"))).collect::<Vec<_>>()
        };
        let spread = event("1").replace(',', ",\n  ");
        assert_eq!(items(&spread), ["F:1 1"]);
        assert_eq!(items(&format!("[{},\n{}]", event("1"), event("2"))), ["F, event 0 1", "F, event 1 2"]);
        assert_eq!(items(&format!("\n{}\n\n{}\n", event("1"), event("2"))), ["F:2 1", "F:4 2"]);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(format!("{}\n{}\n", event("1"), event("2")).as_bytes()).expect("packed");
        assert_eq!(read(&packed.finish().expect("packed")).expect("events").len(), 2);
    }

    #[test]
    fn what_is_no_event_has_its_place() {
        let items = read(format!("{}\n{{\"id\":1}}\nbroken\n{}\n", event("1"), event("2")).as_bytes()).expect("lines");
        let wrong: Vec<&str> = items.iter().filter(|(_, event)| event.is_err()).map(|(place, _)| place.as_str()).collect();
        assert_eq!((items.len(), wrong), (4, vec!["F:2", "F:3"]));
        let items = read(format!("broken\n{}\n", event("2")).as_bytes()).expect("lines");
        assert!(items[0].1.is_err() && items[1].1.is_ok());
        let Err(failed) = read(b"{\"specversion\":\n \"1.0\",,}") else { panic!("that is no JSON") };
        let error = failed.error.to_string();
        assert!(error.contains(":2:8: "), "{error}");
        assert!(read(b"").is_err());
    }
}
