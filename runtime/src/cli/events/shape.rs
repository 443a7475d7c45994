//! What events look like: which places they have, how often something stands there, and
//! what.

use std::collections::HashMap;
use std::fmt;

use ephor::column::time_micros;
use ephor::event::Event;
use serde::Deserializer;
use serde::de::{Deserialize, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::pattern;
use super::random::Random;
use super::values::{Reservoir, Values};
use crate::cli::table::plain;

/// Most places that are learned, of all types of events together. An object whose names
/// are data, such as one by the number of a customer, has as many as there are customers.
pub const PLACES_MAX: usize = 1_000;

/// Longest pointer of a place: no policy may declare a longer one.
const POINTER_BYTES_MAX: usize = 1_024;

/// Items of one array that are learned from.
const ITEMS_MAX: usize = 100;

/// Examples of a place, and their longest in characters.
const EXAMPLES_MAX: usize = 3;
const EXAMPLE_LETTERS_MAX: usize = 40;

/// Patterns of texts, and lengths of arrays, that are kept of a place.
const KEPT_MAX: usize = 32;

/// Most decimals that are told apart; a 64-bit number has no more.
const DECIMALS_MAX: usize = 17;

/// What a JSON value is. A time is a text that a policy can declare as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Null,
    Boolean,
    Integer,
    Number,
    Text,
    Time,
    Object,
    Array,
}

impl Sort {
    pub const ALL: [Sort; 8] = [Sort::Null, Sort::Boolean, Sort::Integer, Sort::Number, Sort::Text, Sort::Time, Sort::Object, Sort::Array];

    /// The word used in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Sort::Null => "null",
            Sort::Boolean => "boolean",
            Sort::Integer => "integer",
            Sort::Number => "number",
            Sort::Text => "text",
            Sort::Time => "time",
            Sort::Object => "object",
            Sort::Array => "array",
        }
    }
}

/// What is needed, and what is bounded, while all of a sample is learned.
pub struct Learner {
    pub random: Random,
    /// Places that were learned.
    places: usize,
    /// Values in places that were not.
    pub beyond: u64,
    /// The time of the event that is being learned.
    pub moment: Option<i64>,
}

impl Default for Learner {
    fn default() -> Self {
        // Which of many values are kept is the same each time.
        Learner { random: Random::new(0), places: 0, beyond: 0, moment: None }
    }
}

/// A place in the events of one type, and the places inside it.
#[derive(Default)]
pub struct Place {
    /// RFC 6901 JSON Pointer from the event; `*` as its last step stands for every item of
    /// an array.
    pub pointer: String,
    /// The last step, as it is in the event.
    pub name: String,
    counts: [u64; Sort::ALL.len()],
    /// How often it was `true`.
    pub truths: u64,
    pub integers: Option<(i64, i64)>,
    pub numbers: Option<(f64, f64)>,
    /// Most digits behind the point.
    pub decimals: usize,
    pub times: Times,
    /// All but objects and arrays.
    pub values: Values,
    /// Fit for a table.
    pub examples: Vec<String>,
    pub patterns: Reservoir<String>,
    /// Shortest and longest array, and some lengths.
    pub length: Option<(usize, usize)>,
    pub lengths: Reservoir<usize>,
    pub children: Vec<Place>,
    by_name: HashMap<String, usize>,
    pub items: Option<Box<Place>>,
}

/// Times of a place.
#[derive(Default)]
pub struct Times {
    /// The earliest and the latest, in microseconds since 1970.
    pub range: Option<(i64, i64)>,
    /// How much later than the event's own time they are, at least and at most.
    pub lag: Option<(i64, i64)>,
    /// The greatest common divisor of all.
    common: u64,
}

impl Times {
    fn take(&mut self, micros: i64, moment: Option<i64>) {
        widen(&mut self.range, micros);
        if let Some(moment) = moment {
            widen(&mut self.lag, micros.saturating_sub(moment));
        }
        self.common = common_divisor(self.common, micros.unsigned_abs());
    }

    /// The longest of the usual units that all times are whole numbers of, in microseconds.
    pub fn unit(&self) -> i64 {
        const UNITS: [i64; 5] = [86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000, 1_000];
        UNITS.into_iter().find(|unit| self.common.is_multiple_of(unit.unsigned_abs())).unwrap_or(1)
    }
}

fn common_divisor(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

fn widen<T: PartialOrd + Copy>(range: &mut Option<(T, T)>, value: T) {
    let (least, most) = range.get_or_insert((value, value));
    if value < *least {
        *least = value;
    }
    if value > *most {
        *most = value;
    }
}

impl Place {
    /// Learns an event, as the place that all others are in.
    pub fn take_event(&mut self, event: &Event, learner: &mut Learner) {
        self.count(Sort::Object);
        for (name, text) in [("subject", event.subject()), ("time", event.time())] {
            if let Some(text) = text
                && let Some(place) = self.child(name, learner)
            {
                place.take_text(text, learner);
            }
        }
        for (name, source) in event.others().chain(event.data().map(|data| ("data", data))) {
            if let Some(place) = self.child(name, learner) {
                place.take(source, learner);
            }
        }
    }

    /// Learns a value from its JSON text, which was checked when the event was read.
    fn take(&mut self, source: &str, learner: &mut Learner) {
        match source.as_bytes().first() {
            Some(b'n') => self.count(Sort::Null),
            Some(b't' | b'f') => {
                self.count(Sort::Boolean);
                self.truths += u64::from(source == "true");
                self.take_value(source);
            }
            Some(b'"') => {
                if let Ok(text) = serde_json::from_str::<String>(source) {
                    self.take_text(&text, learner);
                }
            }
            Some(b'{') => self.take_object(source, learner),
            Some(b'[') => self.take_array(source, learner),
            _ => self.take_number(source),
        }
    }

    fn take_text(&mut self, text: &str, learner: &mut Learner) {
        match time_micros(text) {
            Some(micros) => {
                self.count(Sort::Time);
                self.times.take(micros, learner.moment);
            }
            None => {
                self.count(Sort::Text);
                self.patterns.take(KEPT_MAX, &mut learner.random, || pattern::of(text));
            }
        }
        self.take_value(&Value::from(text).to_string());
    }

    /// As a policy would read it: what has a fraction or an exponent is no integer.
    fn take_number(&mut self, source: &str) {
        if let Ok(integer) = source.parse::<i64>() {
            self.count(Sort::Integer);
            widen(&mut self.integers, integer);
        } else if let Some(number) = source.parse::<f64>().ok().filter(|number| number.is_finite()) {
            self.count(Sort::Number);
            widen(&mut self.numbers, number);
            self.decimals = self.decimals.max(decimals(source, number));
        }
        self.take_value(source);
    }

    fn take_object(&mut self, source: &str, learner: &mut Learner) {
        self.count(Sort::Object);
        let Ok(Members(members)) = serde_json::from_str(source) else { return };
        if members.is_empty() {
            self.take_example(source);
        }
        for (name, value) in members {
            if let Some(place) = self.child(&name, learner) {
                place.take(value.get(), learner);
            }
        }
    }

    fn take_array(&mut self, source: &str, learner: &mut Learner) {
        self.count(Sort::Array);
        self.take_example(source);
        let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(source) else { return };
        widen(&mut self.length, items.len());
        self.lengths.take(KEPT_MAX, &mut learner.random, || items.len());
        if items.is_empty() {
            return;
        }
        if self.items.is_none() {
            self.items = learner.place(format!("{}/*", self.pointer), "*").map(Box::new);
        }
        if let Some(place) = &mut self.items {
            for item in items.into_iter().take(ITEMS_MAX) {
                place.take(item.get(), learner);
            }
        }
    }

    fn take_value(&mut self, json: &str) {
        self.values.take(json);
        self.take_example(json);
    }

    fn take_example(&mut self, json: &str) {
        if self.examples.len() < EXAMPLES_MAX {
            let example = shown(json);
            if !self.examples.contains(&example) {
                self.examples.push(example);
            }
        }
    }

    /// The place of that name inside; nothing if there are too many places to learn it.
    fn child(&mut self, name: &str, learner: &mut Learner) -> Option<&mut Place> {
        let at = match self.by_name.get(name) {
            Some(at) => *at,
            None => {
                let place = learner.place(self.pointer.clone() + &step(name), name)?;
                self.by_name.insert(name.to_string(), self.children.len());
                self.children.push(place);
                self.children.len() - 1
            }
        };
        self.children.get_mut(at)
    }

    fn count(&mut self, sort: Sort) {
        self.counts[sort as usize] += 1;
    }

    /// How often it was of this sort.
    pub fn of(&self, sort: Sort) -> u64 {
        self.counts[sort as usize]
    }

    /// How often it was there at all.
    pub fn seen(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What it was, with how often.
    pub fn sorts(&self) -> Vec<(Sort, u64)> {
        Sort::ALL.into_iter().map(|sort| (sort, self.of(sort))).filter(|(_, count)| *count > 0).collect()
    }

    /// The same in words, most frequent first.
    pub fn sorts_in_words(&self) -> String {
        let mut sorts = self.sorts();
        sorts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        match &sorts[..] {
            [(sort, _)] => sort.name().to_string(),
            _ => {
                let words = sorts.iter().map(|(sort, count)| format!("{} {}", sort.name(), share(*count, self.seen())));
                words.collect::<Vec<_>>().join(", ")
            }
        }
    }

    /// Whether it is an attribute that says how to read the event, and nothing else.
    pub fn is_technical(&self) -> bool {
        ["/datacontenttype", "/dataschema"].contains(&self.pointer.as_str())
    }

    /// The places inside that a policy could declare, from the outside in: not the objects
    /// that are only there for what is in them, and nothing inside of arrays.
    pub fn places(&self) -> Vec<&Place> {
        let mut places = Vec::new();
        self.add_places(&mut places);
        places
    }

    fn add_places<'p>(&'p self, places: &mut Vec<&'p Place>) {
        for child in &self.children {
            let is_object = child.seen() == child.of(Sort::Object) + child.of(Sort::Null);
            if !is_object || child.children.is_empty() {
                places.push(child);
            }
            child.add_places(places);
        }
    }
}

impl Learner {
    /// A new place, if there is room for it.
    fn place(&mut self, pointer: String, name: &str) -> Option<Place> {
        if self.places >= PLACES_MAX || pointer.len() > POINTER_BYTES_MAX {
            self.beyond += 1;
            return None;
        }
        self.places += 1;
        Some(Place { pointer, name: name.to_string(), ..Place::default() })
    }
}

/// One step of a JSON Pointer (RFC 6901, section 3).
fn step(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The members of an object in their order, which a map would lose.
struct Members<'e>(Vec<(String, &'e RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OfMembers)
    }
}

struct OfMembers;

impl<'de> Visitor<'de> for OfMembers {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(member) = members.next_entry()? {
            found.push(member);
        }
        Ok(Members(found))
    }
}

/// Digits behind the point.
fn decimals(source: &str, number: f64) -> usize {
    let plain = if source.contains(['e', 'E']) { number.to_string() } else { source.to_string() };
    plain.split_once('.').map_or(0, |(_, decimals)| decimals.len()).min(DECIMALS_MAX)
}

/// A JSON value fit for a table: not too long, and control characters are shown.
pub fn shown(json: &str) -> String {
    let mut letters = json.chars();
    let begin: String = letters.by_ref().take(EXAMPLE_LETTERS_MAX).collect();
    let end = match letters.next() {
        None => "",
        Some(_) if json.starts_with('"') => "…\"",
        Some(_) => "…",
    };
    plain(&begin) + end
}

/// A time in RFC 3339, in UTC; nothing for one of a year that has no four digits.
pub fn rfc3339(micros: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).ok()?.format(&Rfc3339).ok()
}

/// A share of a whole, for people. What is not all is never 100 %, and what is something
/// never 0.
pub fn share(part: u64, whole: u64) -> String {
    if part == whole {
        return "100 %".into();
    }
    match u128::from(part) * 1_000 / u128::from(whole.max(1)) {
        0 if part > 0 => "<0.1 %".into(),
        thousandths => format!("{}.{} %", thousandths / 10, thousandths % 10),
    }
}

#[cfg(test)]
pub mod tests {
    use ephor::ingest::{Limits, structured};

    use super::*;

    /// The shape of events with these data.
    pub fn learned(data: &[&str]) -> Place {
        let (mut root, mut learner) = (Place::default(), Learner::default());
        for (id, data) in data.iter().enumerate() {
            let text = format!(r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"t","data":{data}}}"#);
            root.take_event(&structured(text.as_bytes(), &Limits::default()).expect("an event"), &mut learner);
        }
        root
    }

    fn place<'p>(root: &'p Place, pointer: &str) -> &'p Place {
        root.places().into_iter().find(|place| place.pointer == pointer).unwrap_or_else(|| panic!("no place {pointer}"))
    }

    #[test]
    fn objects_are_walked_and_arrays_are_not() {
        let root = learned(&[r#"{"b":{"y":1,"x/~":[{"in":"side"}]},"a":{},"n":null}"#, r#"{"b":null,"c":"text"}"#, r#"{"c":{"d":true}}"#]);
        let pointers: Vec<&str> = root.places().iter().map(|place| place.pointer.as_str()).collect();
        assert_eq!(pointers, ["/data/b/y", "/data/b/x~1~0", "/data/a", "/data/n", "/data/c", "/data/c/d"]);
        assert_eq!(place(&root, "/data/b/y").seen(), 1);
        assert_eq!(place(&root, "/data/c").sorts(), [(Sort::Text, 1), (Sort::Object, 1)]);
        assert_eq!(place(&root, "/data/c").sorts_in_words(), "text 50.0 %, object 50.0 %");
        let items = place(&root, "/data/b/x~1~0").items.as_ref().expect("items");
        assert_eq!(items.children[0].pointer, "/data/b/x~1~0/*/in");
    }

    #[test]
    fn sorts_are_told_apart_as_a_policy_reads_them() {
        for (json, sort) in [
            ("null", Sort::Null),
            ("false", Sort::Boolean),
            ("-3", Sort::Integer),
            ("9223372036854775807", Sort::Integer),
            ("3.0", Sort::Number),
            ("3e2", Sort::Number),
            (r#""3""#, Sort::Text),
            (r#""2026-02-26""#, Sort::Text),
            (r#""2026-02-26 18:31:58Z""#, Sort::Text),
            (r#""2026-02-26T18:31:58+01:00""#, Sort::Time),
            ("[]", Sort::Array),
            ("{}", Sort::Object),
        ] {
            assert_eq!(place(&learned(&[json]), "/data").sorts(), [(sort, 1)], "{json}");
        }
    }

    #[test]
    fn numbers_and_times_have_bounds() {
        let root = learned(&["-2", "7", "1.25", "-0.5", "4e-3", r#""2026-01-02T03:04:00Z""#, r#""2026-01-02T03:05:00+01:00""#]);
        let place = place(&root, "/data");
        assert_eq!((place.integers, place.numbers, place.decimals), (Some((-2, 7)), Some((-0.5, 1.25)), 3));
        let (earliest, latest) = place.times.range.expect("times");
        assert_eq!((latest - earliest, place.times.unit()), (59 * 60_000_000, 60_000_000));
    }

    #[test]
    fn examples_are_short_and_show_control_characters() {
        let long = format!(r#""{}""#, "x".repeat(100));
        let root = learned(&[r#""a\u001b[31m\u009b""#, r#""a\u001b[31m\u009b""#, &long, "1", "2"]);
        let examples = &place(&root, "/data").examples;
        assert_eq!(examples[0], r#""a\u001b[31m\u{9b}""#);
        assert_eq!(examples[1].chars().count(), EXAMPLE_LETTERS_MAX + 2);
        assert!(examples[1].ends_with("x…\"") && examples.len() == EXAMPLES_MAX && examples[2] == "1", "{examples:?}");
    }

    #[test]
    fn places_are_bounded() {
        let wide: Vec<String> = (0..PLACES_MAX).map(|name| format!(r#""n{name}":1"#)).collect();
        let wide = format!("{{{}}}", wide.join(","));
        let deep = format!(r#"{{"{}":1}}"#, "x".repeat(POINTER_BYTES_MAX));
        let (mut root, mut learner) = (Place::default(), Learner::default());
        for data in [&deep, &wide, &wide] {
            root.child("data", &mut learner).expect("there is room").take(data, &mut learner);
        }
        // One of them is /data itself.
        assert_eq!(root.places().len(), PLACES_MAX - 1);
        assert_eq!(learner.beyond, 3);
    }

    #[test]
    fn shares_are_never_rounded_to_all_or_nothing() {
        for (part, whole, text) in [(3, 3, "100 %"), (9_999, 10_000, "99.9 %"), (1, 10_000, "<0.1 %"), (0, 5, "0.0 %"), (1, 3, "33.3 %")] {
            assert_eq!(share(part, whole), text);
        }
    }
}
