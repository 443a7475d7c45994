use std::fmt;

use serde::{Deserialize, Serialize};

use crate::evidence::IntoEvidence;

/// Counts up.
///
/// ```
/// use ephor_sdk::state::Counter;
///
/// let mut orders = Counter::default();
/// assert_eq!(orders.count(), 1);
/// assert_eq!(orders.count(), 2);
/// assert_eq!(orders.get(), 2);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Counter(u64);

impl Counter {
    /// Counts one more, and returns how many there are now. Stays at the
    /// greatest number that the type has.
    pub fn count(&mut self) -> u64 {
        self.0 = self.0.saturating_add(1);
        self.0
    }

    /// How many there were.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A number of which it is known how well it is known.
///
/// ```
/// use ephor_sdk::state::Count;
///
/// assert_eq!(Count::exactly(7).is_more_than(5), Some(true));
/// // Nobody knows whether 7 or more are more than 10.
/// assert_eq!(Count::at_least(7).is_more_than(10), None);
/// assert_eq!(Count::at_least(7).is_more_than(6), Some(true));
/// assert_eq!(Count::between(7, 9).is_more_than(9), Some(false));
/// assert_eq!(Count::between(7, 9).to_string(), "7 to 9");
/// ```
///
/// A rule should say `undecided` where the answer is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    least: u64,
    /// Absent: as many as one likes.
    most: Option<u64>,
}

impl Count {
    /// A count that is known.
    #[must_use]
    pub const fn exactly(number: u64) -> Self {
        Self { least: number, most: Some(number) }
    }

    /// A count that may be any number from this one on.
    #[must_use]
    pub const fn at_least(number: u64) -> Self {
        Self { least: number, most: None }
    }

    /// A count within bounds, both included.
    #[must_use]
    pub const fn between(least: u64, most: u64) -> Self {
        Self { least, most: Some(most) }
    }

    /// The smallest number that it can be.
    #[must_use]
    pub const fn least(self) -> u64 {
        self.least
    }

    /// The greatest number that it can be, if there is one.
    #[must_use]
    pub const fn most(self) -> Option<u64> {
        self.most
    }

    /// Whether it is above the limit; nothing if that is not known.
    #[must_use]
    pub fn is_more_than(self, limit: u64) -> Option<bool> {
        match self.most {
            _ if self.least > limit => Some(true),
            Some(most) if most <= limit => Some(false),
            _ => None,
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.most {
            Some(most) if most == self.least => write!(out, "{most}"),
            Some(most) => write!(out, "{} to {most}", self.least),
            None => write!(out, "at least {}", self.least),
        }
    }
}

impl IntoEvidence for Count {
    fn into_evidence(self) -> String {
        self.to_string()
    }
}

impl IntoEvidence for Counter {
    fn into_evidence(self) -> String {
        self.0.to_string()
    }
}
