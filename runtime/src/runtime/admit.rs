//! Once: which of the submitted events are new, which were here already, and how
//! late they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::heartbeats::{Heartbeats, Silence};
use super::numbers::{Gap, Numbers};
use super::timed::Course;
use crate::event::Event;
use crate::ledger::{Ids, Known};
use crate::reserved;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// What a submitted event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// Not seen before.
    New,
    /// Here already, under this sequence, with the same bytes.
    Again(u64),
    /// Another event of the same source and id is here already, under this sequence.
    Reused(u64),
    /// So old that it is not known any more whether it was here: what happened
    /// before this time (microseconds since 1970) is forgotten.
    Outside(i64),
    /// It passes for one of the runtime's own, and is none.
    Reserved,
}

/// One event that is to be judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fresh {
    /// Its place among the submitted events.
    pub at: usize,
    /// It happened before the watermark of its source.
    pub late: bool,
}

/// What submitted events are.
pub(super) struct Admitted {
    /// One per event.
    pub slots: Vec<Slot>,
    /// The new ones, in order.
    pub fresh: Vec<Fresh>,
    /// How their sources' watermarks move.
    pub course: Course,
    /// Numbers that sources have left out, by row.
    pub gaps: Vec<Gap>,
}

/// Remembers who was here.
pub(super) struct Admission {
    ids: Ids,
    numbers: Numbers,
    heartbeats: Heartbeats,
    /// False without a ledger: then there is nothing that a second answer could
    /// come from.
    remembers: bool,
    /// Microseconds that the watermark of a source is behind its latest event.
    lateness: i64,
}

impl Admission {
    /// What comes from this time on (microseconds since 1970) is listened for.
    pub fn new(mut ids: Ids, numbers: Numbers, mut heartbeats: Heartbeats, now: i64, remembers: bool, lateness_s: u64) -> Self {
        heartbeats.start(now, |name| ids.source(name));
        Admission { ids, numbers, heartbeats, remembers, lateness: i64::try_from(lateness_s).unwrap_or(i64::MAX / 2_000_000) * 1_000_000 }
    }

    /// Tells new events from known ones. The new ones get sequences from `next` on. The
    /// runtime's own are taken only where they come from itself, or from a replay.
    pub fn admit(&mut self, events: &[&Event], next: u64, takes_own: bool) -> Admitted {
        let mut fresh = Vec::with_capacity(events.len());
        let (mut course, mut gaps) = (Course::default(), Vec::new());
        let slots = events
            .iter()
            .enumerate()
            .map(|(at, event)| {
                if !takes_own && (reserved::is_own_source(event.source()) || reserved::is_own_type(event.kind())) {
                    return Slot::Reserved;
                }
                let happened = event.happened();
                if let Some(judged) = reserved::judged_by(event.source()) {
                    // The runtime's own: made once, and as late as what it is about. It
                    // says nothing about how far its source has come.
                    let source = self.ids.source(judged);
                    course.push(source, happened, self.ids.mark(source).map_or(i64::MIN, |mark| mark.saturating_sub(self.lateness)));
                    fresh.push(Fresh { at, late: false });
                    return Slot::New;
                }
                let source = self.ids.source(event.source());
                let slot = match self.remembers {
                    true => self.slot(event, source, happened, next + fresh.len() as u64),
                    false => Slot::New,
                };
                if slot == Slot::New {
                    let watermark = |mark: i64| mark.saturating_sub(self.lateness);
                    let late = self.ids.mark(source).is_some_and(|mark| happened < watermark(mark));
                    let arrived = event.arrived.unwrap_or(happened);
                    let mark = self.ids.advance(source, bounded(happened, arrived));
                    self.heartbeats.heard(source, event.source(), arrived);
                    course.push(source, happened, watermark(mark));
                    if let Some(number) = event.number() {
                        gaps.extend(self.numbers.take(source, number, fresh.len() as u32));
                    }
                    fresh.push(Fresh { at, late });
                }
                slot
            })
            .collect();
        Admitted { slots, fresh, course, gaps }
    }

    /// Gives new events other sequences than they got when they were admitted;
    /// `sequence` has them by row.
    pub fn renumber(&mut self, events: &[&Event], fresh: &[Fresh], first: u64, slots: &mut [Slot], sequence: impl Fn(usize) -> u64) {
        let renumbered = |old: u64| match old.checked_sub(first) {
            Some(row) => sequence(row as usize),
            None => old,
        };
        for slot in slots {
            match slot {
                Slot::Again(old) | Slot::Reused(old) => *old = renumbered(*old),
                Slot::New | Slot::Outside(_) | Slot::Reserved => {}
            }
        }
        if self.remembers {
            for (row, fresh) in fresh.iter().enumerate() {
                let event = events[fresh.at];
                if reserved::judged_by(event.source()).is_some() {
                    continue;
                }
                let (key, source) = (self.ids.key(event.source(), event.id()), self.ids.source(event.source()));
                self.ids.insert(&key, source, sequence(row), event.digest(), event.happened());
            }
        }
    }

    /// Numbered events that are missing.
    pub fn missing(&self) -> u64 {
        self.numbers.missing()
    }

    /// Declares heartbeats, at this time, in the place of those before.
    pub fn declare(&mut self, declared: &BTreeMap<String, u64>, now: i64) {
        for name in declared.keys().filter(|name| !name.contains('*')) {
            self.ids.source(name);
        }
        self.heartbeats.declare(declared, now, self.ids.names());
    }

    /// Sources that have fallen silent by this time (microseconds since 1970) and were
    /// not noted yet.
    pub fn silences(&mut self, now: i64) -> Vec<Silence> {
        self.heartbeats.silences(now)
    }

    /// It is recorded that a source is silent.
    pub fn noted_silent(&mut self, name: &str) {
        let source = self.ids.source(name);
        self.heartbeats.noted(source, name);
    }

    /// Sources that are silent.
    pub fn silent(&self) -> u64 {
        self.heartbeats.silent()
    }

    /// The name of a source.
    pub fn source(&self, source: u32) -> Arc<str> {
        self.ids.name(source).clone()
    }

    fn slot(&mut self, event: &Event, source: u32, happened: i64, sequence: u64) -> Slot {
        let key = self.ids.key(event.source(), event.id());
        match self.ids.take(&key, source, sequence, event.digest(), happened) {
            Known::New => Slot::New,
            Known::Same(sequence) => Slot::Again(sequence),
            Known::Other(sequence) => Slot::Reused(sequence),
            Known::Outside { from } => Slot::Outside(from),
        }
    }
}

/// The time to which an event moves its source's mark: a clock that is far ahead
/// must not make everything else late for good.
pub(super) fn bounded(happened: i64, arrived: i64) -> i64 {
    happened.min(arrived.saturating_add(DAY))
}
