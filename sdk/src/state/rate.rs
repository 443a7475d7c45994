use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::state::{Count, Tumbling};
use crate::time::{Time, micros};

/// How many events there were in the last hour, at any moment, in a few numbers:
/// however many events there are, it keeps one count for each part of the span.
///
/// So it does not know where in a part an event was, and says how far off it can
/// be: only the part that a window begins in is in doubt.
///
/// ```
/// use std::time::Duration;
/// use ephor_sdk::{state::{Count, Rate}, time::Time};
///
/// const HOUR: Duration = Duration::from_secs(3_600);
/// let at = |minute: i64| Time(minute * 60_000_000);
/// let mut logins = Rate::default();
/// for minute in [3, 8, 31, 62] {
///     assert!(logins.count(at(minute), HOUR, 12));
/// }
/// // The hour up to minute 62 begins in the part from 0 to 5, which has one.
/// assert_eq!(logins.window(at(62), HOUR), Count::between(3, 4));
/// assert_eq!(logins.window(at(62), HOUR).is_more_than(2), Some(true));
/// assert_eq!(logins.window(at(64), Duration::from_secs(300)), Count::exactly(1));
///
/// // A late event counts in its own part, as long as that is kept: an hour at least.
/// assert!(logins.count(at(58), HOUR, 12));
/// assert_eq!(logins.window(at(62), HOUR), Count::between(4, 5));
/// for minute in 90..180 {
///     logins.count(at(minute), HOUR, 12);
/// }
/// assert_eq!(logins.window(at(179), HOUR), Count::between(60, 65));
/// assert!(!logins.count(at(62), HOUR, 12));
/// assert_eq!(logins.window(at(130), HOUR), Count::at_least(15));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    parts: Tumbling<u64>,
    /// The time of the latest event.
    latest: Time,
}

impl Rate {
    /// Counts an event at its time. Counts are kept for the latest parts of a
    /// `span`, and one more: a span that begins within a part touches so many.
    /// Returns whether the event is counted.
    ///
    /// If the length of a part changes, the counts are dropped, and events are
    /// refused until a part begins that lies behind all of them.
    ///
    /// # Panics
    ///
    /// If there are no parts, or they have no length.
    pub fn count(&mut self, at: Time, span: Duration, parts: u16) -> bool {
        let width = u64::try_from(micros(span)).unwrap_or_default().div_ceil(u64::from(parts));
        let Some(count) = self.parts.at(at, Duration::from_micros(width), usize::from(parts) + 1) else { return false };
        *count += 1;
        self.latest = self.latest.max(at);
        true
    }

    /// How many events there were after `end` less `span`, up to and with those
    /// at `end`.
    #[must_use]
    pub fn window(&self, end: Time, span: Duration) -> Count {
        let start = end.0.saturating_sub(micros(span));
        let width = self.parts.width();
        let (mut least, mut most) = (0, 0);
        for (begin, &count) in self.parts.iter() {
            let last = begin.0.saturating_add(width - 1);
            if begin <= end && last > start {
                most += count;
                // No event of a part is after the latest of all.
                let ends_inside = last <= end.0 || self.latest <= end;
                if begin.0 > start && ends_inside {
                    least += count;
                }
            }
        }
        let is_known = self.parts.complete_from().is_none_or(|from| start >= from - 1);
        if is_known { Count::between(least, most) } else { Count::at_least(least) }
    }
}
