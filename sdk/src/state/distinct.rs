use std::borrow::Borrow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::state::Count;

/// Counts different values: exactly up to a bound, and says when it is beyond.
///
/// It keeps the values, so the bound is also one on its size. Choose it a little
/// above the limit that the rule asks about.
///
/// ```
/// use ephor_sdk::state::{Count, Distinct};
///
/// let mut customers = Distinct::<String>::default();
/// assert_eq!(customers.see("17850", 2), Count::exactly(1));
/// assert_eq!(customers.see("17850", 2), Count::exactly(1));
/// assert_eq!(customers.see("13047", 2), Count::exactly(2));
/// // A third is not kept. From here on nobody knows whether one was there before.
/// assert_eq!(customers.see("12583", 2), Count::at_least(3));
/// assert_eq!(customers.see("12583", 2), Count::at_least(3));
/// assert_eq!(customers.has("17850"), Some(true));
/// assert_eq!(customers.has("12583"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(serialize = "T: Serialize", deserialize = "T: Deserialize<'de> + Ord"))]
pub struct Distinct<T> {
    kept: BTreeSet<T>,
    /// Whether there was a value that is not kept.
    is_beyond: bool,
}

impl<T> Default for Distinct<T> {
    fn default() -> Self {
        Self { kept: BTreeSet::new(), is_beyond: false }
    }
}

impl<T: Ord> Distinct<T> {
    /// Counts the value, unless it was counted before, and returns how many
    /// there are now. At most `bound` values are kept.
    pub fn see<Q>(&mut self, value: &Q, bound: usize) -> Count
    where
        T: Borrow<Q>,
        Q: Ord + ToOwned<Owned = T> + ?Sized,
    {
        if !self.kept.contains(value) {
            if self.kept.len() < bound && !self.is_beyond {
                self.kept.insert(value.to_owned());
            } else {
                self.is_beyond = true;
            }
        }
        self.count()
    }

    /// Whether the value was seen; nothing if that is not known.
    #[must_use]
    pub fn has<Q: Ord + ?Sized>(&self, value: &Q) -> Option<bool>
    where
        T: Borrow<Q>,
    {
        match self.kept.contains(value) {
            false if self.is_beyond => None,
            known => Some(known),
        }
    }
}

impl<T> Distinct<T> {
    /// How many different values there were.
    #[must_use]
    pub fn count(&self) -> Count {
        let kept = self.kept.len() as u64;
        if self.is_beyond { Count::at_least(kept + 1) } else { Count::exactly(kept) }
    }
}
