//! How events are made that look like those of a sample.
//!
//! What a text says is never taken over, only its pattern, unless it is one of a few that
//! come again and again: a country, a state, a unit. Those are named, so that whoever
//! makes events can see whether there are names of people among them.

use std::fmt::Write as _;

use ephor::column::time_micros;
use serde_json::Value;

use super::pattern;
use super::random::Random;
use super::sample::{Number, Sample};
use super::shape::{Place, Sort, rfc3339};

/// A text is one of a few if the texts of its place come again so often on average, and
/// itself so often at least.
const REPEATS: u64 = 10;
const REPEATS_OF_ONE: u64 = 3;

/// How much later an event is than the one before, in microseconds, where the sample does
/// not say.
const GAP: i64 = 1_000_000;

/// From so many bytes of an event on, arrays and texts stay empty. Drawn one by one, they
/// can all be long at once, and an event has its bound.
const ROOM_BYTES: usize = 128 * 1024;

/// A number is written without exponent between these.
const PLAIN_LEAST: f64 = 1e-5;
const PLAIN_MOST: f64 = 1e15;

/// How the values of a place are made.
struct Recipe<'s> {
    place: &'s Place,
    /// In JSON.
    name: String,
    sorts: Vec<(Sort, u64)>,
    /// Texts that are taken over, in JSON.
    texts: Vec<(String, u64)>,
    children: Vec<Recipe<'s>>,
    items: Option<Box<Recipe<'s>>>,
}

impl<'s> Recipe<'s> {
    /// Where texts are taken over is added to `copied`, and where they must not be is in
    /// `masked`.
    fn of(place: &'s Place, masked: &[String], copied: &mut Vec<Copied<'s>>) -> Self {
        let inside = |mask: &String| place.pointer.strip_prefix(mask.as_str());
        let is_masked = masked.iter().filter_map(inside).any(|rest| rest.is_empty() || rest.starts_with('/'));
        let texts = if is_masked { Vec::new() } else { repeated(place) };
        if !texts.is_empty() && !place.is_technical() {
            copied.push(Copied { pointer: &place.pointer, texts: texts.len() });
        }
        Recipe {
            place,
            name: json(&place.name),
            sorts: place.sorts(),
            texts,
            children: place.children.iter().map(|child| Recipe::of(child, masked, copied)).collect(),
            items: place.items.as_ref().map(|items| Box::new(Recipe::of(items, masked, copied))),
        }
    }
}

/// A place whose texts are taken over.
pub struct Copied<'s> {
    pub pointer: &'s str,
    /// How many different ones.
    pub texts: usize,
}

/// The texts of a place that come again and again.
fn repeated(place: &Place) -> Vec<(String, u64)> {
    let is_text = |json: &str| serde_json::from_str::<String>(json).is_ok_and(|text| time_micros(&text).is_none());
    let texts: Vec<(&str, u64)> = place.values.counts().into_iter().filter(|(json, _)| is_text(json)).collect();
    let least = match place.is_technical() {
        // Made up it would not be understood, and it says nothing about anybody.
        true => 1,
        false if place.of(Sort::Text) >= REPEATS * texts.len() as u64 => REPEATS_OF_ONE,
        false => return Vec::new(),
    };
    texts.into_iter().filter(|(_, count)| *count >= least).map(|(json, count)| (json.to_string(), count)).collect()
}

fn json(text: &str) -> String {
    Value::from(text).to_string()
}

/// Makes events, the same ones from the same sample and seed.
pub struct Maker<'s> {
    kinds: Vec<(Kind<'s>, u64)>,
    draft: Draft<'s>,
}

/// A type of events.
struct Kind<'s> {
    /// In JSON.
    name: String,
    sources: Vec<(usize, u64)>,
    root: Recipe<'s>,
}

/// The event that is being made, and what it goes on from.
struct Draft<'s> {
    sample: &'s Sample,
    random: Random,
    /// What all ids begin with: no other sample or seed has it.
    run: u64,
    made: u64,
    /// The time of the latest event.
    clock: i64,
    /// The number that each source gave last.
    numbers: Vec<Option<Number>>,
    /// The time of this event.
    moment: Option<i64>,
    text: String,
}

impl<'s> Maker<'s> {
    /// `masked` are places where no text is taken over. Gives those as well where texts are.
    pub fn new(sample: &'s Sample, seed: u64, masked: &[String]) -> (Self, Vec<Copied<'s>>) {
        let mut copied = Vec::new();
        let kinds = sample.shapes.iter().map(|shape| {
            let mut root = Recipe::of(&shape.root, masked, &mut copied);
            // Other times go by that of the event; and what comes before the data always
            // has room.
            root.children.sort_by_key(|child| match child.place.pointer.as_str() {
                "/time" => 0,
                "/data" => 2,
                _ => 1,
            });
            let sources = shape.sources.iter().map(|(source, count)| (*source, *count)).collect();
            (Kind { name: json(&shape.kind), sources, root }, shape.events)
        });
        let kinds = kinds.collect();
        let mut random = Random::new(seed);
        let run = random.any() ^ sample.digest;
        let numbers = sample.sources.iter().map(|source| source.number).collect();
        let clock = sample.latest.unwrap_or_default();
        let draft = Draft { sample, random, run, made: 0, clock, numbers, moment: None, text: String::new() };
        (Maker { kinds, draft }, copied)
    }

    /// The next event, in JSON without line ends.
    pub fn event(&mut self) -> &str {
        let Maker { kinds, draft } = self;
        draft.text.clear();
        // There is a type, because a sample has events.
        if let Some(kind) = draft.random.one_of(kinds.as_slice()) {
            draft.event(kind);
        }
        &draft.text
    }
}

impl Draft<'_> {
    fn event(&mut self, kind: &Kind<'_>) {
        // Where no source of the type was learned, the first source of all will do.
        let source = self.random.one_of(&kind.sources).copied().unwrap_or_default();
        let name = self.sample.sources.get(source).map_or("/", |source| source.name.as_str());
        self.made += 1;
        self.moment = None;
        let (run, made, name) = (self.run, self.made, json(name));
        let _ = write!(self.text, r#"{{"specversion":"1.0","id":"{run:016x}-{made:06}","source":{name},"type":{}"#, kind.name);
        for recipe in &kind.root.children {
            if !self.random.happens(recipe.place.seen(), kind.root.place.seen()) {
                continue;
            }
            self.member(recipe, false);
            match recipe.place.pointer.as_str() {
                "/time" => self.next_time(),
                "/sequence" if self.numbers.get(source).is_some_and(Option::is_some) => self.next_number(source, recipe.place),
                _ => self.value(recipe),
            }
        }
        self.text.push('}');
    }

    /// Begins a member of an object.
    fn member(&mut self, recipe: &Recipe<'_>, is_first: bool) {
        if !is_first {
            self.text.push(',');
        }
        self.text.push_str(&recipe.name);
        self.text.push(':');
    }

    /// The time of the event: as much later than the one before as events of the sample are.
    fn next_time(&mut self) {
        let gap = self.sample.gaps.one(&mut self.random).copied().unwrap_or(GAP);
        self.clock = self.clock.saturating_add(gap);
        self.moment = Some(self.clock);
        self.push_time(self.clock);
    }

    /// The number after the one that the source gave last: so none is left out.
    fn next_number(&mut self, source: usize, place: &Place) {
        let Some(Some(number)) = self.numbers.get_mut(source) else { return };
        number.value = number.value.saturating_add(1);
        let Number { value, width } = *number;
        // An integer of an attribute has 32 bits.
        let _ = if place.of(Sort::Integer) > 0 && i32::try_from(value).is_ok() {
            write!(self.text, "{value}")
        } else {
            write!(self.text, "\"{value:0width$}\"")
        };
    }

    fn value(&mut self, recipe: &Recipe<'_>) {
        let place = recipe.place;
        match self.random.one_of(&recipe.sorts) {
            None | Some(Sort::Null) => self.text.push_str("null"),
            Some(Sort::Boolean) => {
                let is_true = self.random.happens(place.truths, place.of(Sort::Boolean));
                self.text.push_str(if is_true { "true" } else { "false" });
            }
            Some(Sort::Integer) => {
                let (least, most) = place.integers.unwrap_or_default();
                let _ = write!(self.text, "{}", self.random.between(least, most));
            }
            Some(Sort::Number) => self.number(place),
            Some(Sort::Text) => self.free_text(recipe),
            Some(Sort::Time) => self.time(place),
            Some(Sort::Object) => self.object(recipe),
            Some(Sort::Array) => self.array(recipe),
        }
    }

    fn number(&mut self, place: &Place) {
        let (least, most) = place.numbers.unwrap_or_default();
        let part = self.random.part();
        // The difference of the two could be beyond all numbers.
        let value = (least * (1.0 - part) + most * part).clamp(least, most);
        let size = least.abs().max(most.abs());
        // With a point or an exponent in any case: it is no integer in the sample.
        let decimals = place.decimals.max(1);
        let _ = if (PLAIN_LEAST..PLAIN_MOST).contains(&size) || size == 0.0 {
            write!(self.text, "{value:.decimals$}")
        } else {
            write!(self.text, "{value:e}")
        };
    }

    fn free_text(&mut self, recipe: &Recipe<'_>) {
        if let Some(text) = self.random.one_of(&recipe.texts) {
            self.text.push_str(text);
            return;
        }
        let pattern = recipe.place.patterns.one(&mut self.random).filter(|_| self.text.len() < ROOM_BYTES);
        let text = pattern.map_or_else(String::new, |pattern| pattern::fill(pattern, &mut self.random));
        self.text.push_str(&json(&text));
    }

    /// A time as far from that of the event as times of the sample are; without one, between
    /// the earliest and the latest.
    fn time(&mut self, place: &Place) {
        let times = &place.times;
        let (earliest, latest) = match (self.moment, times.lag) {
            (Some(moment), Some((least, most))) => (moment.saturating_add(least), moment.saturating_add(most)),
            _ => times.range.unwrap_or_default(),
        };
        let micros = self.random.between(earliest, latest);
        let unit = times.unit();
        self.push_time(micros.div_euclid(unit) * unit);
    }

    fn push_time(&mut self, micros: i64) {
        // A sample at the end of the year 9999 cannot go on.
        let time = rfc3339(micros).unwrap_or_else(|| "9999-12-31T23:59:59Z".into());
        self.text.push_str(&json(&time));
    }

    fn object(&mut self, recipe: &Recipe<'_>) {
        self.text.push('{');
        let mut is_first = true;
        for child in &recipe.children {
            if self.random.happens(child.place.seen(), recipe.place.of(Sort::Object)) {
                self.member(child, is_first);
                self.value(child);
                is_first = false;
            }
        }
        self.text.push('}');
    }

    fn array(&mut self, recipe: &Recipe<'_>) {
        self.text.push('[');
        let length = recipe.place.lengths.one(&mut self.random).copied().unwrap_or_default();
        if let Some(items) = &recipe.items {
            for at in 0..length {
                if self.text.len() >= ROOM_BYTES {
                    break;
                }
                if at > 0 {
                    self.text.push(',');
                }
                self.value(items);
            }
        }
        self.text.push(']');
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ephor::event::Event;
    use ephor::ingest::{Limits, structured};

    use super::super::sample::tests::learned;
    use super::*;

    /// So many events like these lines.
    async fn made(lines: &[String], count: usize, seed: u64, masked: &[&str]) -> Vec<String> {
        let sample = learned(lines.iter().cloned(), None, None).await.expect("events");
        let masked: Vec<String> = masked.iter().map(ToString::to_string).collect();
        let (mut maker, _) = Maker::new(&sample, seed, &masked);
        (0..count).map(|_| maker.event().to_string()).collect()
    }

    fn line(id: usize, more: &str, data: &str) -> String {
        format!(r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"t"{more},"data":{data}}}"#)
    }

    fn lines(data: &[&str]) -> Vec<String> {
        data.iter().enumerate().map(|(id, data)| line(id, "", data)).collect()
    }

    /// As the server reads it.
    fn read(line: &str) -> Event {
        structured(line.as_bytes(), &Limits::default()).unwrap_or_else(|rejection| panic!("{rejection} in {line}"))
    }

    fn data(line: &str) -> Value {
        serde_json::from_str(read(line).data().unwrap_or("null")).expect("JSON")
    }

    #[tokio::test]
    async fn events_are_valid_and_come_again_from_the_same_seed() {
        let lines = lines(&[
            r#"{"n":1,"f":2.50,"b":true,"t":"Anna Berg","nothing":null,"big":1e300,"small":1e-20,"o":{"in":"side"},"a":[{"x":1},{"x":"y"}]}"#,
            r#"{"n":-9223372036854775808,"f":0.5,"b":false,"t":"\"\\\u0007\u2028","big":-1e300,"small":2e-20,"o":{},"a":[]}"#,
            r#"{"n":9223372036854775807,"t":"","when":"2026-01-02T03:04:05Z","a":[[[1]]],"o":null}"#,
            r#"[1]"#,
        ]);
        let one = made(&lines, 500, 7, &[]).await;
        let ids: BTreeSet<String> = one.iter().map(|line| read(line).id().to_string()).collect();
        assert_eq!(ids.len(), 500);
        assert_eq!(one, made(&lines, 500, 7, &[]).await);
        assert_ne!(one, made(&lines, 500, 8, &[]).await);
        // Another sample, the same seed: not the same ids.
        let other = made(&lines[1..], 500, 7, &[]).await;
        assert!(other.iter().all(|line| !ids.contains(read(line).id())));
        assert!(one.iter().any(|line| data(line).is_array()) && one.iter().any(|line| data(line)["o"]["in"].is_string()));
    }

    #[tokio::test]
    async fn free_text_is_not_taken_over_and_texts_that_repeat_are() {
        let lines: Vec<String> = (0..60)
            .map(|id| {
                let country = if id == 0 { "Atlantis" } else { ["France", "United Kingdom"][id % 2] };
                line(id, &format!(r#","subject":"person-{id}""#), &format!(r#"{{"name":"Anna Berg {id:04}","country":"{country}"}}"#))
            })
            .collect();
        let sample = learned(lines.iter().cloned(), None, None).await.expect("events");
        let (mut maker, copied) = Maker::new(&sample, 1, &[]);
        assert_eq!(copied.iter().map(|copied| (copied.pointer, copied.texts)).collect::<Vec<_>>(), [("/data/country", 2)]);
        let mut countries = BTreeSet::new();
        for _ in 0..200 {
            let text = maker.event().to_string();
            assert!(!text.contains("Anna") && !text.contains("Berg") && !text.contains("person"), "{text}");
            assert_eq!(pattern::of(data(&text)["name"].as_str().expect("a text")), "Aaaa Aaaa 0000");
            countries.insert(data(&text)["country"].as_str().expect("a text").to_string());
        }
        // The one that is alone is nobody's to find.
        assert_eq!(countries.into_iter().collect::<Vec<_>>(), ["France", "United Kingdom"]);
        let masked = made(&lines, 50, 1, &["/data"]).await;
        assert!(masked.iter().all(|line| !line.contains("France") && !line.contains("United")));
    }

    #[tokio::test]
    async fn values_stay_within_what_was_seen() {
        let lines: Vec<String> = (0..100)
            .map(|id| line(id, "", &if id % 4 == 0 { format!(r#"{{"n":{id},"f":{}.25}}"#, id / 10) } else { format!(r#"{{"n":{id}}}"#) }))
            .collect();
        let made = made(&lines, 1_000, 1, &[]).await;
        let numbers: Vec<i64> = made.iter().map(|line| data(line)["n"].as_i64().expect("an integer")).collect();
        assert!(numbers.iter().all(|number| (0..100).contains(number)) && numbers.iter().collect::<BTreeSet<_>>().len() > 90);
        let there = made.iter().filter(|line| data(line)["f"].is_f64()).count();
        assert!((200..300).contains(&there), "{there}");
        for line in made.iter().filter(|line| line.contains("\"f\"")) {
            assert!((0.25..=9.25).contains(&data(line)["f"].as_f64().expect("a number")), "{line}");
            let decimals = line.rsplit_once('.').map(|(_, rest)| rest.trim_end_matches('}').len());
            assert_eq!(decimals, Some(2), "{line}");
        }
    }

    #[tokio::test]
    async fn times_and_numbers_go_on_from_the_sample() {
        let lines: Vec<String> = (0..10)
            .map(|id| {
                let more = format!(r#","time":"2026-01-02T03:{id:02}:00Z","sequence":"{:04}""#, id + 1);
                line(id, &more, &format!(r#"{{"until":"2026-01-02T04:{id:02}:00Z"}}"#))
            })
            .collect();
        for (at, line) in made(&lines, 5, 1, &[]).await.iter().enumerate() {
            let (event, minute) = (read(line), 10 + at);
            assert_eq!(event.time(), Some(format!("2026-01-02T03:{minute}:00Z").as_str()));
            assert_eq!(event.other("sequence"), Some(format!("\"00{}\"", 11 + at).as_str()));
            assert_eq!(data(line)["until"], format!("2026-01-02T04:{minute}:00Z"));
        }
    }

    #[tokio::test]
    async fn events_stay_within_the_bound_of_an_event() {
        // Nested arrays of which some are long: as many of them would be too long.
        let texts = vec![format!("\"{}\"", "x".repeat(200)); 900].join(",");
        let rows = ["[1]"; 90].join(",");
        let lines = lines(&[&format!("[[{texts}]]"), &format!("[{rows}]")]);
        for line in made(&lines, 200, 1, &[]).await {
            read(&line);
        }
    }
}
