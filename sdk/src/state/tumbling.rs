use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::{Time, micros};

/// Something by the hour, by the day, by any fixed span: one `T` for each of the
/// latest windows.
///
/// Windows lie side by side from 1970-01-01T00:00:00Z on: window n has the times
/// from n times the width up to, but without, the next. So windows of a day are
/// days in UTC.
///
/// A late event counts in the window of its own time. Windows are kept up to a
/// number, the newest included; an event of an older one is refused, and the
/// policy decides what that means.
///
/// ```
/// use std::time::Duration;
/// use ephor_sdk::{state::{Counter, Tumbling}, time::Time};
///
/// const HOUR: Duration = Duration::from_secs(3_600);
/// let at = |hour: i64, minute: i64| Time((hour * 60 + minute) * 60_000_000);
/// let mut orders = Tumbling::<Counter>::default();
/// let mut count = |at: Time| orders.at(at, HOUR, 2).map(Counter::count);
/// assert_eq!(count(at(9, 10)), Some(1));
/// assert_eq!(count(at(9, 59)), Some(2));
/// assert_eq!(count(at(10, 0)), Some(1));
/// assert_eq!(count(at(9, 30)), Some(3), "late, but its hour is kept");
/// assert_eq!(count(at(11, 30)), Some(1));
/// assert_eq!(count(at(9, 31)), None, "only the latest two hours are kept");
/// assert_eq!(orders.get(at(10, 15)).map(|hour| hour.get()), Some(1));
/// ```
///
/// If the width changes, the windows so far cannot be told apart as the new ones
/// would have to be. They are dropped, and events are refused until a window
/// begins that lies behind all of them.
///
/// ```
/// # use std::time::Duration;
/// # use ephor_sdk::{state::{Counter, Tumbling}, time::Time};
/// # const HOUR: Duration = Duration::from_secs(3_600);
/// # let at = |hour: i64, minute: i64| Time((hour * 60 + minute) * 60_000_000);
/// # let mut orders = Tumbling::<Counter>::default();
/// # let _ = orders.at(at(9, 10), HOUR, 2);
/// assert!(orders.at(at(9, 30), HOUR / 4, 2).is_none());
/// assert!(orders.at(at(10, 0), HOUR / 4, 2).is_some());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tumbling<T> {
    /// In microseconds; 0 if there were no windows so far.
    width: i64,
    /// Windows before the one with this number are not kept.
    first: i64,
    /// By number after the first, ascending. Windows without events are not there.
    windows: Vec<(u32, T)>,
}

impl<T> Default for Tumbling<T> {
    fn default() -> Self {
        Self { width: 0, first: 0, windows: Vec::new() }
    }
}

impl<T: Default> Tumbling<T> {
    /// The window of a time, to put an event into; nothing if it is not kept.
    /// Windows are `width` wide, and the latest `keep` are kept.
    ///
    /// # Panics
    ///
    /// If `width` is less than a microsecond, or `keep` is 0.
    pub fn at(&mut self, at: Time, width: Duration, keep: u32) -> Option<&mut T> {
        let width = micros(width);
        assert!(width > 0 && keep > 0, "a window has a width, and at least one is kept");
        let number = at.0.div_euclid(width);
        let before_newest = i64::from(keep) - 1;
        if self.width == 0 {
            self.first = number.saturating_sub(before_newest);
        } else if self.width != width {
            let end = self.end();
            self.first = end.div_euclid(width) + i64::from(end.rem_euclid(width) > 0);
            self.windows.clear();
        }
        self.width = width;
        let newest = self.windows.last().map_or(number, |(newest, _)| number.max(self.first + i64::from(*newest)));
        self.drop_before(newest.saturating_sub(before_newest));

        let number = u32::try_from(number.saturating_sub(self.first)).ok()?;
        let place = match self.windows.binary_search_by_key(&number, |(number, _)| *number) {
            Ok(place) => place,
            Err(place) => {
                self.windows.insert(place, (number, T::default()));
                place
            }
        };
        Some(&mut self.windows[place].1)
    }

    fn drop_before(&mut self, first: i64) {
        if first > self.first {
            let passed = u32::try_from(first.saturating_sub(self.first)).unwrap_or(u32::MAX);
            self.windows.retain(|(number, _)| *number >= passed);
            for (number, _) in &mut self.windows {
                *number -= passed;
            }
            self.first = first;
        }
    }
}

impl<T> Tumbling<T> {
    /// The window of a time; nothing if it has no events or is not kept.
    #[must_use]
    pub fn get(&self, at: Time) -> Option<&T> {
        let number = at.0.checked_div_euclid(self.width)?.saturating_sub(self.first);
        let number = u32::try_from(number).ok()?;
        let place = self.windows.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(&self.windows[place].1)
    }

    /// The windows that have events, each with its beginning, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Time, &T)> {
        self.windows.iter().map(|(number, window)| (Time((self.first + i64::from(*number)).saturating_mul(self.width)), window))
    }

    /// In microseconds; 0 if there were no windows so far.
    pub(super) const fn width(&self) -> i64 {
        self.width
    }

    /// From here on all windows are kept.
    pub(super) const fn kept_from(&self) -> i64 {
        self.first.saturating_mul(self.width)
    }

    /// Where the latest window ends that was there.
    fn end(&self) -> i64 {
        let windows = self.windows.last().map_or(0, |(newest, _)| i64::from(*newest) + 1);
        (self.first + windows).saturating_mul(self.width)
    }
}
