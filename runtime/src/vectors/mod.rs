//! Vectors: what a policy says about which events, as its author has written it down.
//!
//! A vector is a JSON document. The SDK runs it natively; here a component is held
//! against it, in a runtime of its own, far from what is in force ([`run`]). A
//! publisher's releases are held against theirs before they are taken, and authors do it
//! with `ephor policy test`.
//!
//! Knows nothing of where vectors are kept, nor of what becomes of what differs.

mod keys;
mod read;
mod rewrite;
mod run;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use read::{Place, Problem, Vector};
pub use rewrite::Unwritable;
pub use run::{RunError, run};

/// What is said about an event, or about a key that is woken.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Said {
    /// What was found; nothing, if there is nothing to find.
    Findings(Vec<Found>),
    /// The policy cannot decide, and why.
    Undecided(String),
    /// The policy was not asked: the value at this JSON Pointer is missing or mistyped.
    Unreadable(String),
    /// The policy gave no answer, and how. No vector can expect that.
    Failed(String),
}

/// One rule's statement.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// The rule's id.
    pub rule: String,
    /// What the finding rests on.
    #[serde(default)]
    pub evidence: Evidence,
}

/// Names and values in the order in which they were given. It is the same evidence in
/// any order.
#[derive(Debug, Clone, Default)]
pub struct Evidence(Vec<(String, String)>);

/// A key that is woken.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Woken {
    /// Right before which event, counted from 0.
    pub before: u64,
    /// What its timer was set for, in microseconds since the Unix epoch.
    pub at: i64,
    /// The values of the key's fields; absent if no event of the vector has such a key.
    pub key: Option<Vec<Value>>,
    /// What is said.
    pub said: Said,
}

/// What a component says about a vector's events.
#[derive(Debug)]
pub struct Ran {
    /// About each event.
    pub events: Vec<Said>,
    /// The keys that were woken, in order.
    pub wakes: Vec<Woken>,
    /// How long it took, with loading the component.
    pub took: Duration,
}

/// Where a component says something else than a vector expects.
#[derive(Debug)]
pub struct Differences<'v> {
    /// Events, in order.
    pub events: Vec<EventDiffers<'v>>,
    /// Keys that are woken: those of the vector in its order, then those that it does not
    /// have.
    pub wakes: Vec<WakeDiffers<'v>>,
}

/// An event about which something else is said.
#[derive(Debug)]
pub struct EventDiffers<'v> {
    /// The event's index.
    pub event: usize,
    /// What the vector has; absent if it has nothing for this event.
    pub expected: Option<&'v Said>,
    /// What the component says.
    pub found: &'v Said,
}

/// A key that is woken otherwise than expected.
#[derive(Debug)]
pub enum WakeDiffers<'v> {
    /// It is woken, and something else is said.
    Says {
        /// The index among the wakes of the vector.
        index: usize,
        /// What the vector has.
        expected: &'v Woken,
        /// What the component says.
        found: &'v Woken,
    },
    /// It is not woken.
    Missing {
        /// The index among the wakes of the vector.
        index: usize,
        /// What the vector has.
        expected: &'v Woken,
    },
    /// It is woken, and the vector does not have that.
    Surplus {
        /// What the component says.
        found: &'v Woken,
    },
}

impl Evidence {
    /// The first value of each name, as in a message.
    fn first_of<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut known = HashSet::new();
        let first = pairs.filter(|(name, _)| known.insert(*name));
        Evidence(first.map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn sorted(&self) -> BTreeMap<&str, &str> {
        self.iter().collect()
    }
}

impl PartialEq for Evidence {
    fn eq(&self, other: &Self) -> bool {
        self.sorted() == other.sorted()
    }
}

impl Eq for Evidence {}

impl Hash for Evidence {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.sorted().hash(state);
    }
}

impl<'de> Deserialize<'de> for Evidence {
    /// Of a name that is there twice the last value counts, as in the SDK.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Evidence;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Evidence, A::Error> {
                let mut evidence: Vec<(String, String)> = Vec::new();
                let mut known: HashMap<String, usize> = HashMap::new();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    match known.get(&name) {
                        Some(at) => evidence[*at].1 = value,
                        None => {
                            known.insert(name.clone(), evidence.len());
                            evidence.push((name, value));
                        }
                    }
                }
                Ok(Evidence(evidence))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// In words, for messages of one line.
impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Said::Findings(found) if found.is_empty() => f.write_str("nothing"),
            Said::Findings(found) => {
                let one = |found: &Found| {
                    let evidence: Vec<String> = found.evidence.iter().map(|(name, value)| format!("{name} {value:?}")).collect();
                    format!("{} ({})", found.rule, evidence.join(", "))
                };
                f.write_str(&found.iter().map(one).collect::<Vec<_>>().join(" and "))
            }
            Said::Undecided(reason) => write!(f, "that it cannot decide ({reason})"),
            Said::Unreadable(pointer) => write!(f, "that {pointer} cannot be read"),
            Said::Failed(problem) => write!(f, "nothing, for it failed ({problem})"),
        }
    }
}

impl Woken {
    /// What its timer was set for, in RFC 3339.
    pub fn time(&self) -> String {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.at) * 1_000).ok();
        // No calendar of four digits has such a time; nobody can have written it either.
        time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{} microseconds since 1970", self.at))
    }

    /// The values of its key as a list, for people.
    pub fn key_shown(&self) -> String {
        match &self.key {
            Some(key) => Value::from(key.as_slice()).to_string(),
            None => "that no event has".into(),
        }
    }
}

impl Differences<'_> {
    /// Whether everything is as expected.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.wakes.is_empty()
    }
}

impl Vector<'_> {
    /// Holds what a component says against what is expected. Keys may be woken in any
    /// order.
    pub fn differences<'v>(&'v self, ran: &'v Ran) -> Differences<'v> {
        let mut events = Vec::new();
        for (event, found) in ran.events.iter().enumerate() {
            let expected = self.expect.get(event);
            if expected != Some(found) {
                events.push(EventDiffers { event, expected, found });
            }
        }
        let listed = |wakes: &'v [Woken]| wakes.iter().enumerate().collect::<Listed<'v>>();
        let same = pair(listed(&self.wakes), listed(&ran.wakes), |woken| woken);
        let place = |woken: &'v Woken| (woken.before, woken.at, &woken.key);
        let Pairs { pairs, missing, surplus } = pair(same.missing, same.surplus, place);
        let mut wakes: Vec<(usize, WakeDiffers<'v>)> = Vec::new();
        wakes.extend(pairs.into_iter().map(|(index, expected, found)| (index, WakeDiffers::Says { index, expected, found })));
        wakes.extend(missing.into_iter().map(|(index, expected)| (index, WakeDiffers::Missing { index, expected })));
        wakes.sort_by_key(|(index, _)| *index);
        let wakes = wakes.into_iter().map(|(_, differs)| differs);
        let surplus = surplus.into_iter().map(|(_, found)| WakeDiffers::Surplus { found });
        Differences { events, wakes: wakes.chain(surplus).collect() }
    }
}

/// Wakes with their indices.
type Listed<'v> = Vec<(usize, &'v Woken)>;

/// What of two lists belongs together, and what is left.
struct Pairs<'v> {
    /// The index in the first list, what stands there, and what there is in the second.
    pairs: Vec<(usize, &'v Woken, &'v Woken)>,
    missing: Listed<'v>,
    surplus: Listed<'v>,
}

/// Puts together what has the same mark, each once.
fn pair<'v, M: Eq + Hash>(expected: Listed<'v>, found: Listed<'v>, mark: impl Fn(&'v Woken) -> M) -> Pairs<'v> {
    let mut waiting: HashMap<M, VecDeque<(usize, &'v Woken)>> = HashMap::new();
    for (index, woken) in found {
        waiting.entry(mark(woken)).or_default().push_back((index, woken));
    }
    let (mut pairs, mut missing) = (Vec::new(), Vec::new());
    for (index, woken) in expected {
        match waiting.get_mut(&mark(woken)).and_then(VecDeque::pop_front) {
            Some((_, other)) => pairs.push((index, woken, other)),
            None => missing.push((index, woken)),
        }
    }
    let mut surplus: Listed<'v> = waiting.into_values().flatten().collect();
    surplus.sort_by_key(|(index, _)| *index);
    Pairs { pairs, missing, surplus }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn woken(before: u64, key: &str, rule: &str) -> Woken {
        let said = Said::Findings(vec![Found { rule: rule.into(), evidence: Evidence::default() }]);
        Woken { before, at: 1_000_000, key: Some(vec![key.into()]), said }
    }

    fn wake(before: u64, key: &str, rule: &str) -> String {
        format!(r#"{{"before": {before}, "at": "1970-01-01T00:00:01Z", "key": ["{key}"], "expect": [{{"rule": "{rule}"}}]}}"#)
    }

    #[test]
    fn evidence_is_the_same_in_any_order() {
        let read = |text: &str| serde_json::from_str::<Evidence>(text).expect("evidence");
        let (one, other) = (read(r#"{"a": "1", "b": "2"}"#), read(r#"{"b": "2", "a": "1"}"#));
        assert_eq!(one, other);
        assert_eq!(other.iter().next(), Some(("b", "2")), "and keeps its own");
        assert_ne!(one, read(r#"{"a": "1", "b": "3"}"#));
        assert_eq!(Evidence::first_of([("a", "1"), ("a", "2"), ("b", "2")].into_iter()), one);
    }

    #[test]
    fn wakes_are_paired_whatever_their_order() {
        let wakes = [wake(1, "a", "x"), wake(1, "b", "x"), wake(1, "b", "x"), wake(2, "c", "x"), wake(3, "d", "x")].join(", ");
        let text = format!(r#"{{"settings": {{}}, "events": [], "expect": [], "wakes": [{wakes}]}}"#);
        let vector = Vector::parse(&text).expect("a vector");
        let ran = |wakes: Vec<Woken>| Ran { events: Vec::new(), wakes, took: Duration::ZERO };
        let all = ran(vec![woken(3, "d", "x"), woken(1, "b", "x"), woken(2, "c", "x"), woken(1, "a", "x"), woken(1, "b", "x")]);
        assert!(vector.differences(&all).is_empty());
        let other = ran(vec![woken(1, "b", "x"), woken(1, "a", "x"), woken(2, "c", "y"), woken(4, "d", "x")]);
        let differences = vector.differences(&other);
        let [missing, says, late, surplus] = &differences.wakes[..] else { panic!("four: {:?}", differences.wakes) };
        assert!(matches!(missing, WakeDiffers::Missing { index: 2, .. }), "of two the second: {missing:?}");
        assert!(matches!(says, WakeDiffers::Says { index: 3, .. }), "{says:?}");
        assert!(matches!(late, WakeDiffers::Missing { index: 4, .. }), "{late:?}");
        assert!(matches!(surplus, WakeDiffers::Surplus { found } if found.before == 4), "{surplus:?}");
    }

    #[test]
    fn times_are_written_as_they_are_read() {
        let at = |at| Woken { at, ..woken(0, "a", "x") }.time();
        assert_eq!((at(0), at(1_500_000)), ("1970-01-01T00:00:00Z".to_string(), "1970-01-01T00:00:01.5Z".to_string()));
        assert!(at(i64::MAX).contains("microseconds"));
    }
}
