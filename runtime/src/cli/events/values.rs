//! What stands in a place, within bounds: which values, how many different ones, and some
//! of many.

use std::collections::{BTreeMap, HashSet};

use super::random::{DIGEST, Random, digest};

/// Most values of a place that are counted one by one, and their longest in bytes.
const FEW_MAX: usize = 64;
const FEW_BYTES_MAX: usize = 128;

/// Most values of a place that are told apart.
pub const DISTINCT_MAX: usize = 256;

/// The values of a place, in JSON.
pub enum Values {
    /// Each with how often it came.
    Few(BTreeMap<String, u64>),
    /// Their digests, up to one more than are told apart.
    Many(HashSet<u64>),
}

impl Default for Values {
    fn default() -> Self {
        Values::Few(BTreeMap::new())
    }
}

impl Values {
    /// Takes one more.
    pub fn take(&mut self, json: &str) {
        let own = digest(DIGEST, json.as_bytes());
        match self {
            Values::Few(counts) => {
                if let Some(count) = counts.get_mut(json) {
                    *count += 1;
                } else if counts.len() < FEW_MAX && json.len() <= FEW_BYTES_MAX {
                    counts.insert(json.to_string(), 1);
                } else {
                    let known = counts.keys().map(|value| digest(DIGEST, value.as_bytes()));
                    *self = Values::Many(known.chain([own]).collect());
                }
            }
            Values::Many(digests) if digests.len() <= DISTINCT_MAX => {
                digests.insert(own);
            }
            Values::Many(_) => {}
        }
    }

    /// How many different ones there are; more than [`DISTINCT_MAX`] where nobody knows.
    pub fn distinct(&self) -> usize {
        match self {
            Values::Few(counts) => counts.len(),
            Values::Many(digests) => digests.len(),
        }
    }

    /// Each with how often it came, most frequent first; nothing where there are many.
    pub fn counts(&self) -> Vec<(&str, u64)> {
        let Values::Few(counts) = self else { return Vec::new() };
        let mut counts: Vec<(&str, u64)> = counts.iter().map(|(value, count)| (value.as_str(), *count)).collect();
        // Those that came as often stay in the order of their text.
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }
}

/// Some of many things, each as likely to be kept as any other, however many come.
pub struct Reservoir<T> {
    kept: Vec<T>,
    seen: u64,
}

impl<T> Default for Reservoir<T> {
    fn default() -> Self {
        Reservoir { kept: Vec::new(), seen: 0 }
    }
}

impl<T> Reservoir<T> {
    /// One more came; it is made only if it is kept.
    pub fn take(&mut self, kept_max: usize, random: &mut Random, make: impl FnOnce() -> T) {
        self.seen += 1;
        if self.kept.len() < kept_max {
            self.kept.push(make());
            return;
        }
        // Algorithm R: the one that came last is kept as likely as those before it.
        let at = usize::try_from(random.below(self.seen)).unwrap_or(usize::MAX);
        if let Some(place) = self.kept.get_mut(at) {
            *place = make();
        }
    }

    /// One of those that were kept; nothing where none came.
    pub fn one(&self, random: &mut Random) -> Option<&T> {
        let count = self.kept.len() as u64;
        if count == 0 { None } else { self.kept.get(random.below(count) as usize) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_are_counted_and_many_told_apart_up_to_a_bound() {
        let mut values = Values::default();
        for value in ["2", "1", "2"] {
            values.take(value);
        }
        assert_eq!((values.counts(), values.distinct()), (vec![("2", 2), ("1", 1)], 2));
        for value in 0..200 {
            values.take(&value.to_string());
        }
        assert_eq!((values.counts(), values.distinct()), (vec![], 200));
        for value in 0..10_000 {
            values.take(&value.to_string());
        }
        assert_eq!(values.distinct(), DISTINCT_MAX + 1);
    }

    #[test]
    fn a_long_value_is_not_kept() {
        let mut values = Values::default();
        values.take("1");
        values.take(&"2".repeat(FEW_BYTES_MAX + 1));
        values.take("1");
        assert_eq!((values.counts(), values.distinct()), (vec![], 2));
    }

    #[test]
    fn some_of_many_are_from_everywhere() {
        let (mut some, mut random) = (Reservoir::default(), Random::new(1));
        assert_eq!(some.one(&mut random), None);
        for value in 0..10_000 {
            some.take(100, &mut random, || value);
        }
        assert_eq!(some.kept.len(), 100);
        let late = some.kept.iter().filter(|value| **value >= 5_000).count();
        assert!((30..70).contains(&late), "{late} of the second half");
        assert!(some.one(&mut random).is_some());
    }
}
