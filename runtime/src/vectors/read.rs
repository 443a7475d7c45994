//! A vector as it is written: its members, where each stands, and what is wrong with it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Found, Said, Woken};
use crate::column::time_micros;

/// Seconds by which events may be late where a vector does not say it; the same as in
/// the SDK.
const LATENESS_S: u64 = 60;

const JSON: &str = "a vector is one JSON object; mend the JSON there";
const MEMBERS: &str =
    "a vector has `settings`, `events` and `expect`, and where it needs them `about`, `lists`, `lateness_s` and `wakes`; mend it there";
const LISTS: &str = r#"write reference lists as {"NAME": {"KEY": "VALUE"}}, as the policy names them"#;
const EVENTS: &str = "`events` is a list of CloudEvents in their JSON format";
const EXPECT: &str = r#"`expect` has for each event a list of findings, such as [{"rule": "ID", "evidence": {"NAME": "VALUE"}}], or {"undecided": "REASON"}, or {"unreadable": "POINTER"}"#;
const WAKES: &str = r#"write each key that a timer wakes as {"before": 1, "at": "2026-08-03T00:01:00Z", "key": ["VALUE"], "expect": []}"#;
const ONE_FOR_EACH: &str = "`expect` has one entry for each event; `ephor policy test --update` writes what the component says";

/// A place in a text, both counted from 1; the column in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which line.
    pub line: usize,
    /// Which byte of the line.
    pub column: usize,
}

impl Place {
    fn of(text: &str, offset: usize) -> Self {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let line = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        Place { line: before.iter().filter(|byte| **byte == b'\n').count() + 1, column: before.len() - line + 1 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} column {}", self.line, self.column)
    }
}

/// Something in a vector is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at {place}")]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What is wrong there.
    pub what: String,
    /// What would be right.
    pub remedy: &'static str,
}

impl Problem {
    /// What serde says about a part of the text that begins at an offset.
    fn of(text: &str, begin: usize, error: &serde_json::Error, remedy: &'static str) -> Self {
        let (start, column) = (Place::of(text, begin), error.column().max(1));
        let place = match error.line() {
            0 | 1 => Place { line: start.line, column: start.column + column - 1 },
            line => Place { line: start.line + line - 1, column },
        };
        let said = error.to_string();
        let end = format!(" at line {} column {}", error.line(), error.column());
        Problem { place, what: said.strip_suffix(&end).unwrap_or(&said).to_string(), remedy }
    }
}

/// A vector: what a policy says about which events.
#[derive(Debug)]
pub struct Vector<'a> {
    pub(super) text: &'a str,
    pub(super) members: Members<'a>,
    pub(super) lists: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) events: Vec<&'a RawValue>,
    pub(super) expect: Vec<Said>,
    /// As they are written.
    pub(super) expect_raw: Vec<&'a RawValue>,
    pub(super) wakes: Vec<Woken>,
    pub(super) wakes_raw: Vec<RawWake<'a>>,
}

/// The members of a vector as they are written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Members<'a> {
    /// For the reader.
    #[serde(default, rename = "about")]
    _about: String,
    #[serde(borrow)]
    pub settings: &'a RawValue,
    /// Reference lists by name: values by key.
    #[serde(borrow, default, deserialize_with = "present")]
    pub lists: Option<&'a RawValue>,
    #[serde(default = "lateness")]
    pub lateness_s: u64,
    #[serde(borrow)]
    pub events: &'a RawValue,
    #[serde(borrow, default, deserialize_with = "present")]
    pub expect: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub wakes: Option<&'a RawValue>,
}

fn lateness() -> u64 {
    LATENESS_S
}

/// A member that may be left out, but is not `null`.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A wake as it is written: all of it, and what it expects.
#[derive(Debug)]
pub(super) struct RawWake<'a> {
    pub whole: &'a RawValue,
    pub expect: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WakeMembers<'a> {
    /// The index of the event before which a key is woken.
    before: u64,
    /// What its timer was set for.
    at: String,
    /// The values of the key's fields.
    key: Vec<Value>,
    #[serde(borrow)]
    expect: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Otherwise {
    Undecided(String),
    Unreadable(String),
}

impl<'a> Vector<'a> {
    /// Reads a vector. Whether it has an entry in `expect` for each event is not looked
    /// at: [`Vector::complete`] does that.
    ///
    /// # Errors
    ///
    /// What is wrong with it first, with its place.
    pub fn parse(text: &'a str) -> Result<Self, Problem> {
        let members: Members<'a> = serde_json::from_str(text).map_err(|error| {
            let remedy = if error.is_data() { MEMBERS } else { JSON };
            Problem::of(text, 0, &error, remedy)
        })?;
        let lists = match members.lists {
            Some(lists) => part(text, lists, LISTS)?,
            None => BTreeMap::new(),
        };
        let events = part::<Vec<&'a RawValue>>(text, members.events, EVENTS)?;
        let expect_raw = match members.expect {
            Some(expect) => part::<Vec<&'a RawValue>>(text, expect, EXPECT)?,
            None => Vec::new(),
        };
        let expect = expect_raw.iter().map(|raw| said(text, raw)).collect::<Result<Vec<_>, _>>()?;
        let (mut wakes, mut wakes_raw) = (Vec::new(), Vec::new());
        if let Some(written) = members.wakes {
            for whole in part::<Vec<&'a RawValue>>(text, written, WAKES)? {
                let WakeMembers { before, at, key, expect } = part::<WakeMembers<'a>>(text, whole, WAKES)?;
                let problem = || {
                    let what = format!("`at` of a wake is no RFC 3339 date-time: {at}");
                    Problem { place: Place::of(text, begin(text, whole)), what, remedy: WAKES }
                };
                let micros = time_micros(&at).ok_or_else(problem)?;
                wakes.push(Woken { before, at: micros, key: Some(key), said: said(text, expect)? });
                wakes_raw.push(RawWake { whole, expect });
            }
        }
        Ok(Vector { text, members, lists, events, expect, expect_raw, wakes, wakes_raw })
    }

    /// Whether something is expected of each event.
    ///
    /// # Errors
    ///
    /// If it is not.
    pub fn complete(&self) -> Result<(), Problem> {
        let (events, entries) = (self.events.len(), self.expect.len());
        let (at, what) = match self.members.expect {
            None => (self.members.events, format!("{events} events, but no `expect`")),
            Some(expect) if events != entries => (expect, format!("{events} events, but {entries} entries in `expect`")),
            Some(_) => return Ok(()),
        };
        Err(Problem { place: self.place(at), what, remedy: ONE_FOR_EACH })
    }

    /// How many events it has.
    pub fn event_count(&self) -> usize {
        self.events.len()
    }

    /// How many keys it expects to be woken.
    pub fn wake_count(&self) -> usize {
        self.wakes.len()
    }

    /// The ids of the rules that it expects to be found, each as often as it does.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        let said = self.expect.iter().chain(self.wakes.iter().map(|woken| &woken.said));
        let found = said.filter_map(|said| match said {
            Said::Findings(found) => Some(found),
            Said::Undecided(_) | Said::Unreadable(_) | Said::Failed(_) => None,
        });
        found.flatten().map(|found| found.rule.as_str())
    }

    /// Where the settings stand.
    pub fn settings_place(&self) -> Place {
        self.place(self.members.settings)
    }

    /// Where the reference lists stand; the settings, if there are none.
    pub fn lists_place(&self) -> Place {
        self.place(self.members.lists.unwrap_or(self.members.settings))
    }

    /// Where it stands what is expected of an event; the event, if nothing is.
    pub fn expect_place(&self, event: usize) -> Place {
        let written = self.expect_raw.get(event).or_else(|| self.events.get(event));
        self.place(written.copied().unwrap_or(self.members.events))
    }

    /// Where a wake stands; all of them, without an index.
    pub fn wake_place(&self, index: Option<usize>) -> Place {
        let written = index.and_then(|index| self.wakes_raw.get(index)).map(|raw| raw.whole);
        self.place(written.or(self.members.wakes).or(self.members.expect).unwrap_or(self.members.events))
    }

    /// What is wrong with an event.
    pub(super) fn event_problem(&self, event: usize, what: String, remedy: &'static str) -> Problem {
        let at = self.events.get(event).copied().unwrap_or(self.members.events);
        Problem { place: self.place(at), what: format!("event {event}: {what}"), remedy }
    }

    /// What is wrong with a list.
    pub(super) fn list_problem(&self, what: String) -> Problem {
        Problem { place: self.lists_place(), what, remedy: LISTS }
    }

    /// Where a part of the text stands in it.
    pub(super) fn span(&self, raw: &RawValue) -> Range<usize> {
        let begin = begin(self.text, raw);
        begin..begin + raw.get().len()
    }

    fn place(&self, raw: &RawValue) -> Place {
        Place::of(self.text, begin(self.text, raw))
    }
}

/// Where in a text a value begins that was read from it without copying.
pub(super) fn begin(text: &str, raw: &RawValue) -> usize {
    raw.get().as_ptr().addr().saturating_sub(text.as_ptr().addr())
}

/// Reads a part of the text, so that what is wrong there has its place in the whole.
fn part<'a, T: Deserialize<'a>>(text: &str, raw: &'a RawValue, remedy: &'static str) -> Result<T, Problem> {
    serde_json::from_str(raw.get()).map_err(|error| Problem::of(text, begin(text, raw), &error, remedy))
}

/// Told apart by hand: serde's own way forgets what was wrong, and where.
fn said(text: &str, raw: &RawValue) -> Result<Said, Problem> {
    match raw.get().as_bytes().first() {
        Some(b'[') => Ok(Said::Findings(part::<Vec<Found>>(text, raw, EXPECT)?)),
        Some(b'{') => Ok(match part::<Otherwise>(text, raw, EXPECT)? {
            Otherwise::Undecided(reason) => Said::Undecided(reason),
            Otherwise::Unreadable(pointer) => Said::Unreadable(pointer),
        }),
        _ => {
            let what = "neither a list of findings nor an object".to_string();
            Err(Problem { place: Place::of(text, begin(text, raw)), what, remedy: EXPECT })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{
  "about": "für Leser",
  "settings": {"most": 2},
  "events": [
    {"id": "0"}, {"id": "1"},
    {"id": "2"}
  ],
  "expect": [
    [{"rule": "too-many", "evidence": {"n": "3"}}],
    {"unreadable": "/data/n"},
    []
  ],
  "wakes": [
    {"before": 1, "at": "1970-01-01T00:00:01Z", "key": ["a", 1], "expect": {"undecided": "why"}}
  ]
}
"#;

    #[test]
    fn every_part_has_its_place() {
        let vector = Vector::parse(GOOD).expect("a vector");
        vector.complete().expect("complete");
        assert_eq!((vector.event_count(), vector.wake_count()), (3, 1));
        assert_eq!(vector.settings_place(), Place { line: 3, column: 15 });
        assert_eq!(vector.lists_place(), vector.settings_place());
        assert_eq!(vector.expect_place(1), Place { line: 10, column: 5 });
        assert_eq!(vector.wake_place(Some(0)), Place { line: 14, column: 5 });
        assert_eq!(vector.wake_place(None), Place { line: 13, column: 12 });
        assert_eq!(&GOOD[vector.span(vector.expect_raw[1])], r#"{"unreadable": "/data/n"}"#);
        assert_eq!(&GOOD[vector.span(vector.wakes_raw[0].expect)], r#"{"undecided": "why"}"#);
        let woken = &vector.wakes[0];
        assert_eq!((woken.at, &woken.said), (1_000_000, &Said::Undecided("why".into())));
    }

    #[track_caller]
    fn problem(text: &str) -> Problem {
        match Vector::parse(text) {
            Err(problem) => problem,
            Ok(vector) => vector.complete().expect_err("something is wrong"),
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (right, wrong, line, part) in [
            ("\"/data/n\"}", "\"/data/n\"", 11, "key must be a string"),
            ("\"rule\"", "\"rul\"", 9, "unknown field `rul`"),
            ("{\"unreadable\": \"/data/n\"}", "{\"unread\": \"/data/n\"}", 10, "unknown variant `unread`"),
            ("{\"unreadable\": \"/data/n\"}", "7", 10, "neither a list"),
            ("\"n\": \"3\"", "\"n\": 3", 9, "invalid type: integer `3`, expected a string"),
            ("\"settings\"", "\"setting\"", 3, "unknown field `setting`"),
            ("\"before\": 1", "\"before\": -1", 14, "invalid value: integer `-1`"),
            ("1970-01", "70-01", 14, "no RFC 3339 date-time: 70-01"),
            ("{\"id\": \"1\"},", "", 8, "2 events, but 3 entries in `expect`"),
        ] {
            let problem = problem(&GOOD.replace(right, wrong));
            assert_eq!(problem.place.line, line, "{problem} for {wrong}");
            assert!(problem.what.contains(part) && !problem.what.contains("at line"), "{problem} for {wrong}");
        }
        assert_eq!(problem("").place, Place { line: 1, column: 1 });
        assert!(problem(r#"{"settings": {}, "events": []}"#).what.contains("no `expect`"));
        assert!(problem(r#"{"settings": {}, "events": [], "expect": [], "wakes": null}"#).what.contains("null"));
        let column = problem(r#"{"settings": {}, "events": [], "expect": [7]}"#).place.column;
        assert_eq!(column, 43);
    }
}
