use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::state::Count;
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
/// // Events of the last two hours are kept, and not more than 100: the hour before
/// // any event that is up to an hour late is there as a whole.
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
/// // What is not kept is not added, and windows that reach so far are incomplete.
/// assert!(refunds.add(at(180), 1, 2 * HOUR, 100));
/// assert!(!refunds.add(at(60), 1, 2 * HOUR, 100));
/// assert_eq!(refunds.window(at(119), HOUR).count(), Count::at_least(1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sliding<T> {
    /// All events after this time are there; absent: all are.
    since: Option<i64>,
    /// Ascending by time; of one time in the order in which they came.
    events: Vec<(i64, T)>,
}

impl<T> Default for Sliding<T> {
    fn default() -> Self {
        Self { since: None, events: Vec::new() }
    }
}

impl<T> Sliding<T> {
    /// Adds an event in the place of its time. Events are kept for the time
    /// `keep` before the latest one, and at most `bound` of them, the latest.
    /// Returns whether the event is kept.
    pub fn add(&mut self, at: Time, value: T, keep: Duration, bound: usize) -> bool {
        if self.since.is_some_and(|since| at.0 <= since) {
            return false;
        }
        let place = self.events.partition_point(|(time, _)| *time <= at.0);
        self.events.insert(place, (at.0, value));
        let latest = self.events[self.events.len() - 1].0;
        self.drop_until(latest.saturating_sub(micros(keep)));
        if let Some(beyond) = self.events.len().checked_sub(bound + 1) {
            self.drop_until(self.events[beyond].0);
        }
        self.since.is_none_or(|since| at.0 > since)
    }

    /// The events after `end` less `width`, up to and with those at `end`.
    #[must_use]
    pub fn window(&self, end: Time, width: Duration) -> Window<'_, T> {
        let start = end.0.saturating_sub(micros(width));
        let from = self.events.partition_point(|(time, _)| *time <= start);
        let to = self.events.partition_point(|(time, _)| *time <= end.0);
        Window { events: &self.events[from..to.max(from)], is_complete: self.since.is_none_or(|since| start >= since) }
    }

    /// Drops the events up to and with that time.
    fn drop_until(&mut self, time: i64) {
        let dropped = self.events.partition_point(|(at, _)| *at <= time);
        if dropped > 0 || self.since.is_some() {
            self.since = self.since.max(Some(time));
        }
        self.events.drain(..dropped);
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

/// Times are written as what they are after the one before, which takes a few
/// bytes instead of eight.
impl<T: Serialize> Serialize for Sliding<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Steps<'state, T>(i64, &'state [(i64, T)]);

        impl<T: Serialize> Serialize for Steps<'_, T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut last = self.0;
                serializer.collect_seq(self.1.iter().map(|(time, value)| {
                    let step = time.wrapping_sub(last);
                    last = *time;
                    (step, value)
                }))
            }
        }

        (self.since, Steps(self.since.unwrap_or_default(), &self.events)).serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Sliding<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (since, mut events) = <(Option<i64>, Vec<(i64, T)>)>::deserialize(deserializer)?;
        let mut last = since.unwrap_or_default();
        for (time, _) in &mut events {
            last = last.wrapping_add(*time);
            *time = last;
        }
        Ok(Self { since, events })
    }
}
