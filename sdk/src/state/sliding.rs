use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::state::Count;
use crate::state::steps::Steps;
use crate::time::{Time, micros};

/// The events of a moving span of time, each with a value: what happened in the
/// last hour, at any moment.
///
/// It keeps the events, so it has a bound; where a [`Rate`](crate::state::Rate)
/// is good enough it is smaller.
///
/// ```
/// use std::time::Duration;
/// use ephor_sdk::{state::{Count, Sliding}, time::Time};
///
/// const HOUR: Duration = Duration::from_secs(3_600);
/// let at = |minute: i64| Time(minute * 60_000_000);
/// // Events of two hours are kept, and not more than 100: so the hour before an
/// // event that is up to an hour late is there as a whole.
/// let mut refunds = Sliding::<i64>::default();
/// for (minute, cents) in [(0, 100), (50, 200), (70, 400)] {
///     assert!(refunds.add(at(minute), cents, 2 * HOUR, 100));
/// }
/// let hour = refunds.window(at(70), HOUR);
/// assert_eq!((hour.count(), hour.sum()), (Count::exactly(2), Some(600)));
///
/// // A late event takes its own place.
/// assert!(refunds.add(at(60), 800, 2 * HOUR, 100));
/// assert_eq!(refunds.window(at(60), HOUR).sum(), Some(1_000), "without minute 0, which is an hour before");
/// assert_eq!(refunds.window(at(70), HOUR).sum(), Some(1_400));
///
/// // Nothing is added to what is dropped, and windows that reach so far are incomplete.
/// assert!(refunds.add(at(180), 1, 2 * HOUR, 100));
/// assert!(!refunds.add(at(60), 1, 2 * HOUR, 100));
/// assert_eq!(refunds.window(at(119), HOUR).count(), Count::at_least(1));
/// assert_eq!(refunds.window(at(180), HOUR).count(), Count::exactly(1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sliding<T> {
    /// The time of the latest event that was dropped.
    dropped: Option<i64>,
    /// Ascending by time; of one time in the order in which they came.
    events: Steps<T>,
}

impl<T> Default for Sliding<T> {
    fn default() -> Self {
        Self { dropped: None, events: Steps::default() }
    }
}

impl<T> Sliding<T> {
    /// Adds an event in the place of its time, and drops what is `keep` before it
    /// or more; and the earliest, if there are more than `bound`. Returns whether
    /// the event is kept: it is not if one of its time or later was dropped.
    pub fn add(&mut self, at: Time, value: T, keep: Duration, bound: usize) -> bool {
        if self.dropped.is_some_and(|dropped| at.0 <= dropped) {
            return false;
        }
        let place = self.events.0.partition_point(|(time, _)| *time <= at.0);
        self.events.0.insert(place, (at.0, value));
        self.drop_until(at.0.saturating_sub(micros(keep)));
        if let Some(beyond) = self.events.0.len().checked_sub(bound + 1) {
            self.drop_until(self.events.0[beyond].0);
        }
        self.dropped.is_none_or(|dropped| at.0 > dropped)
    }

    /// The events after `end` less `width`, up to and with those at `end`.
    #[must_use]
    pub fn window(&self, end: Time, width: Duration) -> Window<'_, T> {
        let start = end.0.saturating_sub(micros(width));
        let from = self.events.0.partition_point(|(time, _)| *time <= start);
        let to = self.events.0.partition_point(|(time, _)| *time <= end.0);
        Window { events: &self.events.0[from..to.max(from)], is_complete: self.dropped.is_none_or(|dropped| start >= dropped) }
    }

    /// Drops the events up to and with that time.
    fn drop_until(&mut self, time: i64) {
        let count = self.events.0.partition_point(|(at, _)| *at <= time);
        if let Some((dropped, _)) = self.events.0.drain(..count).last() {
            self.dropped = Some(dropped);
        }
    }
}

/// Some events of a [`Sliding`].
#[derive(Clone, Copy, Debug)]
pub struct Window<'state, T> {
    events: &'state [(i64, T)],
    is_complete: bool,
}

impl<'state, T> Window<'state, T> {
    /// How many events there are: at least those that are kept.
    #[must_use]
    pub fn count(&self) -> Count {
        let count = self.events.len() as u64;
        if self.is_complete { Count::exactly(count) } else { Count::at_least(count) }
    }

    /// Whether all events of the window are kept.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// The events that are kept, ascending by time.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Time, &'state T)> + ExactSizeIterator + use<'state, T> {
        self.events.iter().map(|(time, value)| (Time(*time), value))
    }
}

impl Window<'_, i64> {
    /// The sum of the values; nothing if the window is incomplete or the sum
    /// does not fit into 64 bits.
    #[must_use]
    pub fn sum(&self) -> Option<i64> {
        let sum = self.events.iter().map(|(_, value)| i128::from(*value)).sum::<i128>();
        i64::try_from(sum).ok().filter(|_| self.is_complete)
    }
}
