//! Completeness: whether a source that numbers its events has sent all of them.

use std::collections::{BTreeMap, HashMap};

/// Ranges of missing numbers that are kept for a source. Of one with more, the oldest
/// are given up: they stay in the ledger, and in the count.
const RANGES_MAX: usize = 1_000;

/// What sources with numbered events have sent.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    sources: HashMap<u32, Numbered>,
    /// Events of all sources that are missing.
    missing: u64,
}

#[derive(Debug)]
struct Numbered {
    /// The greatest number so far.
    last: u64,
    /// First and last of each range that is missing.
    ranges: BTreeMap<u64, u64>,
}

/// Numbers that were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    /// The row behind it.
    pub place: u32,
    pub source: u32,
    /// The number before it, and the one behind.
    pub after: u64,
    pub before: u64,
}

impl Gap {
    /// How many are missing.
    pub fn missing(&self) -> u64 {
        self.before - self.after - 1
    }
}

impl Numbers {
    /// A source has sent an event with a number, at this row. Gives what it left out
    /// before it. The first number of a source may be any.
    pub fn take(&mut self, source: u32, number: u64, place: u32) -> Option<Gap> {
        let numbered = match self.sources.entry(source) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(Numbered { last: number, ranges: BTreeMap::new() });
                return None;
            }
        };
        if number > numbered.last {
            let gap = Gap { place, source, after: numbered.last, before: number };
            numbered.last = number;
            let missing = gap.missing();
            if missing == 0 {
                return None;
            }
            numbered.ranges.insert(gap.after + 1, gap.before - 1);
            if numbered.ranges.len() > RANGES_MAX {
                numbered.ranges.pop_first();
            }
            self.missing = self.missing.saturating_add(missing);
            return Some(gap);
        }
        // One that was missing has come.
        let found = numbered.ranges.range(..=number).next_back().map(|(first, last)| (*first, *last));
        if let Some((first, last)) = found.filter(|(_, last)| number <= *last) {
            numbered.ranges.remove(&first);
            if first < number {
                numbered.ranges.insert(first, number - 1);
            }
            if number < last {
                numbered.ranges.insert(number + 1, last);
            }
            self.missing -= 1;
        }
        None
    }

    /// Events of all sources that are missing.
    pub fn missing(&self) -> u64 {
        self.missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_seen_and_filled() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.take(1, 810, 0), None, "a source may begin anywhere");
        assert_eq!(numbers.take(1, 811, 1), None);
        let gap = numbers.take(1, 815, 2).expect("three are missing");
        assert_eq!((gap.after, gap.before, gap.missing(), gap.place), (811, 815, 3, 2));
        assert_eq!(numbers.take(2, 815, 3), None, "each source has its own");
        for (number, missing) in [(813, 2), (813, 2), (800, 2), (812, 1), (814, 0), (815, 0)] {
            assert_eq!((numbers.take(1, number, 4), numbers.missing()), (None, missing), "{number}");
        }
        assert_eq!(numbers.take(1, 816, 5), None);
    }
}
