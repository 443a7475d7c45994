//! What is sent: every event, and what has to be said of it, follows from who sends it and
//! from its number.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::event;
use crate::random::Random;

/// The policy that finds something in some events.
pub const GOOD: &str = "negative-list";
/// The policy that counts the events of each customer, across swaps.
pub const COUNTER: &str = "stateful-trap";
/// The policy that fails on some events.
pub const MOODY: &str = "moody";

/// Customers of each source.
const CUSTOMERS: u64 = 50;

/// Days that fit between the first and now.
const DAYS: u64 = 17_000;

/// What an event makes of the policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Nothing.
    Plain,
    /// [`GOOD`] finds something.
    Listed,
    /// [`MOODY`] fails, with a fault of this kind.
    Fault(&'static str),
}

impl Mood {
    /// That of one event.
    pub fn of(source: usize, number: u64) -> Mood {
        match Random::new((source as u64) << 48 | number).below(4_000) {
            0..=1 => Mood::Fault("fuel"),
            2..=3 => Mood::Fault("memory"),
            4..=13 => Mood::Fault("trap"),
            14..=513 => Mood::Listed,
            _ => Mood::Plain,
        }
    }

    fn description(self) -> String {
        match self {
            Mood::Plain => "LANTERN".into(),
            Mood::Listed => "BOX OF CIGAR".into(),
            Mood::Fault(kind) => format!("moody: {kind}"),
        }
    }

    /// Holds an answer against it; gives the count in it.
    ///
    /// # Panics
    ///
    /// If something else was said.
    pub fn check(self, answer: &Value) -> u64 {
        assert_eq!(event::findings(answer, GOOD).count(), usize::from(self == Mood::Listed), "{self:?}: {answer}");
        assert_eq!(event::findings(answer, MOODY).count(), 0, "{self:?}: {answer}");
        let faults = answer["faults"].as_array().map(Vec::as_slice).unwrap_or_default();
        let found: Vec<(&str, &str)> = faults.iter().map(|fault| (event::text(fault, "policy"), event::text(fault, "kind"))).collect();
        match self {
            Mood::Fault(kind) => assert_eq!(found, [(MOODY, kind)], "{answer}"),
            _ => assert_eq!(found, [], "{answer}"),
        }
        let mut counts = event::findings(answer, COUNTER);
        let (Some(count), None) = (counts.next(), counts.next()) else { panic!("not exactly one count: {answer}") };
        let count = event::text(&count["evidence"], "count");
        count.parse().unwrap_or_else(|error| panic!("{error}: {answer}"))
    }
}

/// The customer of an event; nobody else's events are of a source's customers.
pub fn customer(source: usize, number: u64) -> String {
    format!("c{source}-{}", Random::new(number << 8 | source as u64).below(CUSTOMERS))
}

/// An event, as it is sent.
pub fn text(source: usize, number: u64, day: u64) -> String {
    // Months of 28 days, so that every day has a date.
    let (year, month, day) = (1971 + day / 336, 1 + day % 336 / 28, 1 + day % 28);
    let (description, customer) = (Mood::of(source, number).description(), customer(source, number));
    format!(
        r#"{{"specversion":"1.0","id":"{number}","source":"/soak/{source}","type":"retail.invoice.line","subject":"sku/{}","time":"{year}-{month:02}-{day:02}T03:04:05Z","datacontenttype":"application/json","data":{{"invoice":"1","sku":"1","description":"{description}","quantity":1,"unit_price":1.0,"customer":"{customer}","country":"x"}}}}"#,
        number % 10
    )
}

/// The events' own time: it begins in 1971, and moves on by days.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    begin: Instant,
    day: Duration,
}

impl Clock {
    /// One whose days are enough for a run.
    pub fn new(run: Duration) -> Clock {
        // With room for a run that takes longer than it was meant to.
        Clock { begin: Instant::now(), day: (run * 2 / DAYS as u32).max(Duration::from_millis(250)) }
    }

    /// The day that it is.
    pub fn day(&self) -> u64 {
        (self.begin.elapsed().as_millis() / self.day.as_millis()) as u64
    }

    /// The days in a time, and one more: those that have begun.
    pub fn days_in(&self, time: Duration) -> u64 {
        (time.as_millis() / self.day.as_millis()) as u64 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates_that_move_on() {
        let time = |day| event::text(&serde_json::from_str::<Value>(&text(1, 2, day)).expect("JSON"), "time").to_string();
        assert_eq!(
            [0, 27, 28, 335, 336].map(time),
            ["1971-01-01T03:04:05Z", "1971-01-28T03:04:05Z", "1971-02-01T03:04:05Z", "1971-12-28T03:04:05Z", "1972-01-01T03:04:05Z"]
        );
        assert!(time(DAYS).as_str() < "2022");
    }

    #[test]
    fn every_kind_of_event_comes() {
        for kind in ["fuel", "memory", "trap"] {
            assert!((0..20_000).any(|number| Mood::of(1, number) == Mood::Fault(kind)), "{kind}");
        }
        let listed = (0..20_000).filter(|number| Mood::of(1, *number) == Mood::Listed).count();
        assert!((2_000..3_000).contains(&listed), "{listed}");
    }
}
