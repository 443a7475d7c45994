use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::state::steps::Steps;
use crate::time::{Time, micros};

/// Something by the hour, by the day, by any fixed span: one `T` for each of the
/// latest windows.
///
/// Windows lie side by side from 1970-01-01T00:00:00Z on: window n has the times
/// from n times the width up to, but without, the next. So windows of a day are
/// days in UTC.
///
/// A late event counts in the window of its own time. Of the windows that have
/// events the latest are kept, up to a number; an event of an older one is
/// refused, and the policy decides what that means. A time that is wrong by years
/// takes up one window, so keep one or two more than the rule needs.
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
/// assert_eq!(count(at(9, 31)), None, "only two hours are kept, the latest");
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
    /// The number of the first window of which all events may be there; absent:
    /// all windows.
    from: Option<i64>,
    /// By number, ascending. Windows without events are not there.
    windows: Steps<T>,
}

impl<T> Default for Tumbling<T> {
    fn default() -> Self {
        Self { width: 0, from: None, windows: Steps::default() }
    }
}

impl<T: Default> Tumbling<T> {
    /// The window of a time, to put an event into; nothing if it is not kept.
    /// Windows are `width` wide, and the latest `keep` that have events are kept.
    ///
    /// # Panics
    ///
    /// If `width` is less than a microsecond, or `keep` is 0.
    pub fn at(&mut self, at: Time, width: Duration, keep: usize) -> Option<&mut T> {
        let width = micros(width);
        assert!(width > 0 && keep > 0, "a window has a width, and at least one is kept");
        if self.width != width {
            self.begin_anew(width);
        }
        let number = at.0.div_euclid(width);
        if self.from.is_some_and(|from| number < from) {
            return None;
        }
        let place = match self.place(number) {
            Ok(place) => place,
            Err(place) => {
                let beyond = (self.windows.0.len() + 1).saturating_sub(keep);
                if place < beyond {
                    self.from = Some(number + 1);
                    return None;
                }
                if let Some((last_dropped, _)) = self.windows.0.drain(..beyond).last() {
                    self.from = Some(last_dropped + 1);
                }
                self.windows.0.insert(place - beyond, (number, T::default()));
                place - beyond
            }
        };
        Some(&mut self.windows.0[place].1)
    }

    /// From the first window on that begins behind all windows so far.
    fn begin_anew(&mut self, width: i64) {
        let next = self.windows.0.last().map(|(newest, _)| newest + 1).or(self.from);
        self.from = next.map(|next| {
            let end = next.saturating_mul(self.width);
            end.div_euclid(width) + i64::from(end.rem_euclid(width) > 0)
        });
        self.windows.0.clear();
        self.width = width;
    }
}

impl<T> Tumbling<T> {
    /// The window of a time; nothing if it has no events or is not kept.
    #[must_use]
    pub fn get(&self, at: Time) -> Option<&T> {
        let place = self.place(at.0.checked_div_euclid(self.width)?).ok()?;
        Some(&self.windows.0[place].1)
    }

    /// The windows that have events, each with its beginning, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Time, &T)> + ExactSizeIterator {
        self.windows.0.iter().map(|(number, window)| (Time(number.saturating_mul(self.width)), window))
    }

    fn place(&self, number: i64) -> Result<usize, usize> {
        self.windows.0.binary_search_by_key(&number, |(number, _)| *number)
    }

    /// In microseconds; 0 if there were no windows so far.
    pub(super) const fn width(&self) -> i64 {
        self.width
    }

    /// Where the first window begins of which all events are there.
    pub(super) fn complete_from(&self) -> Option<i64> {
        self.from.map(|from| from.saturating_mul(self.width))
    }
}
