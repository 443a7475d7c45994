//! A sample of events, and what is learned of it: the types, the sources, how events
//! follow each other, and the shape of each type.
//!
//! However long the sample is, what is kept of it has bounds, and what is beyond them is
//! counted.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use ephor::event::Event;
use ephor::ingest::Limits;

use super::random::{DIGEST, digest};
use super::shape::{Learner, PLACES_MAX, Place};
use super::values::Reservoir;
use crate::cli::exit::{Exit, Or as _, Outcome, failed};
use crate::cli::files::{Rejected, Stream, bytes_of, files_of};
use crate::cli::send::progress;
use crate::cli::table::grouped;

/// Most types, and sources, that are learned.
const TYPES_MAX: usize = 32;
const SOURCES_MAX: usize = 1_000;

/// Distances in time, from one event to the next, that are kept.
const GAPS_MAX: usize = 1_000;

/// What was learned.
#[derive(Default)]
pub struct Sample {
    pub events: u64,
    /// Most frequent first.
    pub shapes: Vec<Shape>,
    pub sources: Vec<Source>,
    /// The latest time of an event, in microseconds since 1970.
    pub latest: Option<i64>,
    /// How much later an event is than all before it; events that are earlier do not count.
    pub gaps: Reservoir<i64>,
    /// Of the ids.
    pub digest: u64,
    pub rejected: Rejected,
    /// Events of types, and of sources, that were too many to be learned.
    beyond_types: u64,
    beyond_sources: u64,
    by_type: HashMap<String, usize>,
    by_source: HashMap<String, usize>,
    learner: Learner,
    /// Events that were not asked for, by their types.
    others: BTreeMap<String, u64>,
}

/// The events of one type.
pub struct Shape {
    pub kind: String,
    pub events: u64,
    /// Places in `Sample::sources`, with how many events are from there.
    pub sources: BTreeMap<usize, u64>,
    pub root: Place,
}

/// Where events are from.
pub struct Source {
    pub name: String,
    /// The greatest number that it gave an event, if it numbers them.
    pub number: Option<Number>,
}

/// The number of an event (CloudEvents, extension "Sequence").
#[derive(Clone, Copy)]
pub struct Number {
    pub value: u64,
    /// Digits that it has at least.
    pub width: usize,
}

impl Number {
    fn of(event: &Event) -> Option<Self> {
        let source = event.other("sequence")?;
        let digits = source.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(source);
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let width = if digits.starts_with('0') { digits.len() } else { 0 };
        Some(Number { value: digits.parse().ok()?, width })
    }
}

/// The files of a sample.
pub fn files(paths: &[PathBuf]) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        files.extend(files_of(path).or_exit(Exit::Usage)?);
    }
    Ok(files)
}

impl Sample {
    /// Learns the events of files: all, or those of one type, up to a limit.
    pub async fn read(files: Vec<PathBuf>, kind: Option<&str>, limit: Option<u64>) -> Outcome<Self> {
        let bar = progress(bytes_of(&files), "");
        let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        let mut stream = Stream::open(files, &Limits::default(), &bar);
        let mut sample = Sample { digest: DIGEST, ..Sample::default() };
        while limit.is_none_or(|limit| sample.events < limit) {
            let Some(event) = stream.next().await? else { break };
            if kind.is_none_or(|kind| kind == event.kind()) {
                sample.take(&event);
            } else {
                sample.pass_over(&event);
            }
        }
        bar.finish_and_clear();
        sample.rejected = stream.rejected;
        sample.shapes.sort_by(|one, other| other.events.cmp(&one.events).then_with(|| one.kind.cmp(&other.kind)));
        if sample.events > 0 {
            return Ok(sample);
        }
        match kind {
            Some(kind) if !sample.others.is_empty() => Err(failed(Exit::Usage, sample.no_such_type(kind))),
            _ => Err(failed(Exit::Refused, sample.no_events(&names))),
        }
    }

    fn take(&mut self, event: &Event) {
        self.events += 1;
        self.digest = digest(self.digest, event.id().as_bytes());
        self.take_time(event);
        let source = self.source(event);
        let Some(at) = self.shape(event.kind()) else {
            self.beyond_types += 1;
            return;
        };
        let Sample { shapes, learner, .. } = self;
        let shape = &mut shapes[at];
        shape.events += 1;
        if let Some(source) = source {
            *shape.sources.entry(source).or_default() += 1;
        }
        shape.root.take_event(event, learner);
    }

    fn take_time(&mut self, event: &Event) {
        let time = event.time_micros();
        self.learner.moment = time;
        let Some(time) = time else { return };
        if let Some(latest) = self.latest {
            if time < latest {
                return;
            }
            self.gaps.take(GAPS_MAX, &mut self.learner.random, || time - latest);
        }
        self.latest = Some(time);
    }

    /// The place of an event's source, if it is learned.
    fn source(&mut self, event: &Event) -> Option<usize> {
        let at = match self.by_source.get(event.source()) {
            Some(at) => *at,
            None if self.sources.len() < SOURCES_MAX => {
                let name = event.source().to_string();
                self.by_source.insert(name.clone(), self.sources.len());
                self.sources.push(Source { name, number: None });
                self.sources.len() - 1
            }
            None => {
                self.beyond_sources += 1;
                return None;
            }
        };
        if let Some(number) = Number::of(event) {
            let known = &mut self.sources[at].number;
            if known.is_none_or(|known| known.value < number.value) {
                *known = Some(number);
            }
        }
        Some(at)
    }

    /// The place of a type's shape, if it is learned.
    fn shape(&mut self, kind: &str) -> Option<usize> {
        if let Some(at) = self.by_type.get(kind) {
            return Some(*at);
        }
        if self.shapes.len() >= TYPES_MAX {
            return None;
        }
        let at = self.shapes.len();
        self.by_type.insert(kind.to_string(), at);
        self.shapes.push(Shape { kind: kind.to_string(), events: 0, sources: BTreeMap::new(), root: Place::default() });
        Some(at)
    }

    fn pass_over(&mut self, event: &Event) {
        if let Some(count) = self.others.get_mut(event.kind()) {
            *count += 1;
        } else if self.others.len() < TYPES_MAX {
            self.others.insert(event.kind().to_string(), 1);
        }
    }

    fn no_such_type(&self, kind: &str) -> String {
        let mut others: Vec<(&String, &u64)> = self.others.iter().collect();
        others.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let others: Vec<String> = others.iter().map(|(kind, count)| format!("{kind} ({})", events(**count))).collect();
        let more = if others.len() == TYPES_MAX { ", and perhaps more" } else { "" };
        format!("the sample has no event of the type {kind:?}; it has {}{more}", others.join(", "))
    }

    fn no_events(&self, names: &[String]) -> String {
        let names = match names {
            [] => "the sample".to_string(),
            [name] => name.clone(),
            [first, rest @ ..] => format!("{first} and {} more", rest.len()),
        };
        match self.not_taken() {
            Some(not_taken) => format!("no events in {names}: {not_taken}"),
            None => format!("no events in {names}; expected one CloudEvent in JSON on each line"),
        }
    }

    fn not_taken(&self) -> Option<String> {
        let Rejected { lines, first, .. } = &self.rejected;
        let first = first.as_ref()?;
        Some(match lines {
            1 => format!("1 line is no event: {first}"),
            _ => format!("{} lines are no events. The first: {first}", grouped(*lines)),
        })
    }

    /// An error where lines of the sample were left out because they are no events.
    pub fn whole(&self) -> Outcome {
        self.not_taken().map_or(Ok(()), |not_taken| Err(failed(Exit::Refused, not_taken)))
    }

    /// What was too much to be learned, in words.
    pub fn cuts(&self) -> Vec<String> {
        let max = |max: usize| grouped(max as u64);
        [
            (self.beyond_types, format!("Left out: {} of further types; {} types are learned.", events(self.beyond_types), max(TYPES_MAX))),
            (
                self.beyond_sources,
                format!("Left out: {} from further sources; {} sources are learned.", events(self.beyond_sources), max(SOURCES_MAX)),
            ),
            (
                self.learner.beyond,
                format!(
                    "Left out: what stands in further places, {} times; {} places are learned. An object whose names are data has many.",
                    grouped(self.learner.beyond),
                    max(PLACES_MAX)
                ),
            ),
        ]
        .into_iter()
        .filter_map(|(count, text)| (count > 0).then_some(text))
        .collect()
    }
}

/// So many events.
pub fn events(count: u64) -> String {
    if count == 1 { "1 event".into() } else { format!("{} events", grouped(count)) }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// What is learned of these lines.
    pub async fn learned(lines: impl IntoIterator<Item = String>, kind: Option<&str>, limit: Option<u64>) -> Outcome<Sample> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("sample.ndjson");
        std::fs::write(&file, lines.into_iter().map(|line| line + "\n").collect::<String>()).expect("written");
        Sample::read(vec![file], kind, limit).await
    }

    fn event(id: u64, kind: &str, source: &str, more: &str) -> String {
        format!(r#"{{"specversion":"1.0","id":"{id}","source":"{source}","type":"{kind}"{more}}}"#)
    }

    #[tokio::test]
    async fn types_come_with_their_sources_most_frequent_first() {
        let lines = (0..10).map(|id| event(id, if id % 3 == 0 { "rare" } else { "usual" }, if id < 5 { "/a" } else { "/b" }, ""));
        let sample = learned(lines, None, None).await.expect("events");
        let shapes: Vec<_> = sample.shapes.iter().map(|shape| (shape.kind.as_str(), shape.events)).collect();
        assert_eq!(shapes, [("usual", 6), ("rare", 4)]);
        assert_eq!(sample.shapes[1].sources, BTreeMap::from([(0, 2), (1, 2)]));
        assert!(sample.whole().is_ok() && sample.cuts().is_empty());
    }

    #[tokio::test]
    async fn one_type_and_a_number_of_events_can_be_asked_for() {
        let lines = || (0..10).map(|id| event(id, if id % 2 == 0 { "even" } else { "odd" }, "/a", ""));
        let sample = learned(lines(), Some("odd"), Some(3)).await.expect("events");
        assert_eq!((sample.events, sample.shapes.len(), sample.shapes[0].kind.as_str()), (3, 1, "odd"));
        let error = learned(lines(), Some("o*"), None).await.err().expect("no such type");
        assert_eq!(error.exit, Exit::Usage);
        assert_eq!(error.error.to_string(), "the sample has no event of the type \"o*\"; it has even (5 events), odd (5 events)");
    }

    #[tokio::test]
    async fn lines_that_are_no_events_are_counted_and_the_first_is_named() {
        let lines = [event(1, "t", "/a", ""), "broken".into(), event(2, "t", "/a", ""), "{}".into()];
        let sample = learned(lines, None, None).await.expect("events");
        assert_eq!(sample.events, 2);
        let error = sample.whole().expect_err("two are none");
        let text = error.error.to_string();
        assert!(error.exit == Exit::Refused && text.starts_with("2 lines are no events. The first: ") && text.contains("line 2"), "{text}");
        for (lines, part) in [(vec![], "expected one CloudEvent in JSON"), (vec!["broken".to_string()], "1 line is no event")] {
            let error = learned(lines, None, None).await.err().expect("no events");
            assert!(error.exit == Exit::Refused && error.error.to_string().contains(part), "{}", error.error);
        }
    }

    #[tokio::test]
    async fn what_follows_what_is_learned() {
        let times = ["03:00:00", "03:00:05", "02:00:00", "03:00:05"];
        let lines = times.iter().zip(["8", "0009", "7", "none"]).zip(0..);
        let lines =
            lines.map(|((time, number), id)| event(id, "t", "/a", &format!(r#","time":"2026-01-02T{time}Z","sequence":"{number}""#)));
        let sample = learned(lines, None, None).await.expect("events");
        let number = sample.sources[0].number.expect("a number");
        assert_eq!((number.value, number.width), (9, 4));
        let mut random = super::super::random::Random::new(1);
        let mut gaps: Vec<i64> = (0..100).filter_map(|_| sample.gaps.one(&mut random).copied()).collect();
        gaps.sort_unstable();
        gaps.dedup();
        assert_eq!(gaps, [0, 5_000_000]);
        assert_eq!(sample.latest, ephor::column::time_micros("2026-01-02T03:00:05Z"));
    }

    #[tokio::test]
    async fn types_and_sources_are_bounded() {
        let lines = (0..1_100).map(|id| event(id, &format!("t{}", id % 40), &format!("/{id}"), ""));
        let sample = learned(lines, None, None).await.expect("events");
        assert_eq!((sample.shapes.len(), sample.sources.len()), (TYPES_MAX, SOURCES_MAX));
        let cuts = sample.cuts();
        assert!(cuts.len() == 2 && cuts[1].starts_with("Left out: 100 events from further sources"), "{cuts:?}");
    }
}
