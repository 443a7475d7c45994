//! Event time, and the timers that fire by it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::time;

/// How often a key is woken right before one event.
pub(super) const MOST_WAKES_IN_A_PLACE: usize = 64;

const MICROS_PER_SECOND: i64 = 1_000_000;

/// An event as timers see it.
pub(super) struct Place<'events> {
    source: &'events str,
    /// Microseconds since the epoch; absent: when the event arrived.
    time: Option<i64>,
    /// Its key, if the policy is asked about it.
    key: Option<&'events str>,
}

impl<'events> Place<'events> {
    pub(super) fn of(event: &'events Value, key: Option<&'events str>) -> Self {
        let attribute = |name: &str| event.get(name).and_then(Value::as_str);
        Self { source: attribute("source").unwrap_or_default(), time: attribute("time").and_then(time::parse).map(|time| time.0), key }
    }
}

/// The timer of a key.
#[derive(Clone)]
pub(super) struct Timer {
    pub(super) at: i64,
    /// That of the key's latest event.
    source: String,
}

/// The timers of all keys, and how far each source is.
#[derive(Default)]
pub(super) struct Timers {
    /// In microseconds.
    lateness: i64,
    /// The greatest event time by source.
    marks: HashMap<String, i64>,
    by_key: HashMap<String, Timer>,
    /// The same timers by source: times with keys.
    by_source: HashMap<String, BTreeSet<(i64, String)>>,
}

impl Timers {
    pub(super) fn allow_lateness(&mut self, seconds: u32) {
        self.lateness = i64::from(seconds) * MICROS_PER_SECOND;
    }

    pub(super) fn get(&self, key: &str) -> Option<i64> {
        self.by_key.get(key).map(|timer| timer.at)
    }

    /// Whether a timer fires right before the event.
    pub(super) fn fires(&self, place: &Place<'_>) -> bool {
        self.own(place).is_some() || self.first_of_source(place).is_some()
    }

    /// Takes out the timers that fire right before the event, by time and key.
    pub(super) fn take(&mut self, place: &Place<'_>) -> BTreeMap<(i64, String), Timer> {
        let mut fired = BTreeMap::new();
        while let Some((at, key)) = self.own(place).or_else(|| self.first_of_source(place)) {
            if let Some(timer) = self.replace(&key, None) {
                fired.insert((at, key), timer);
            }
        }
        fired
    }

    /// Takes note of the event itself: its time, and that it is its key's latest.
    pub(super) fn pass(&mut self, place: &Place<'_>) {
        let mark = self.mark_after(place);
        if let Some(mark) = mark {
            self.marks.insert(place.source.to_owned(), mark);
        }
        if let Some(key) = place.key
            && let Some(timer) = self.by_key.get(key)
            && timer.source != place.source
        {
            let at = timer.at;
            self.set(key, at, place);
        }
    }

    /// What the event's row wishes.
    pub(super) fn wish(&mut self, place: &Place<'_>, at: Option<i64>) {
        let Some(key) = place.key else { return };
        match at {
            Some(at) => self.set(key, at, place),
            None => {
                self.replace(key, None);
            }
        }
    }

    /// What a key wishes that was woken by a timer.
    pub(super) fn wish_again(&mut self, key: &str, woken_by: &Timer, at: i64) {
        self.replace(key, Some(Timer { at, source: woken_by.source.clone() }));
    }

    fn set(&mut self, key: &str, at: i64, place: &Place<'_>) {
        self.replace(key, Some(Timer { at, source: place.source.to_owned() }));
    }

    fn replace(&mut self, key: &str, timer: Option<Timer>) -> Option<Timer> {
        let was = match &timer {
            Some(timer) => self.by_key.insert(key.to_owned(), timer.clone()),
            None => self.by_key.remove(key),
        };
        if let Some(was) = &was
            && let Some(timers) = self.by_source.get_mut(&was.source)
        {
            timers.remove(&(was.at, key.to_owned()));
        }
        if let Some(Timer { at, source }) = timer {
            self.by_source.entry(source).or_default().insert((at, key.to_owned()));
        }
        was
    }

    /// An event without a time is one of now: it moves no mark.
    fn mark_after(&self, place: &Place<'_>) -> Option<i64> {
        let mark = self.marks.get(place.source).copied();
        mark.max(place.time)
    }

    fn own(&self, place: &Place<'_>) -> Option<(i64, String)> {
        let key = place.key?;
        let timer = self.by_key.get(key)?;
        let time = place.time.or_else(|| self.mark_after(place))?;
        (time >= timer.at).then(|| (timer.at, key.to_owned()))
    }

    fn first_of_source(&self, place: &Place<'_>) -> Option<(i64, String)> {
        let watermark = self.mark_after(place)?.saturating_sub(self.lateness);
        let first = self.by_source.get(place.source)?.first()?;
        (watermark >= first.0).then(|| first.clone())
    }
}
