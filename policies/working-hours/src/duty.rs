//! When a driver was on duty, as far as the signals tell.

use ephor_sdk::prelude::*;

/// A time on duty, from its beginning up to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Duty {
    pub(crate) start: Time,
    pub(crate) end: Time,
}

/// What the signals of a driver say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Duties {
    /// By time; they do not overlap.
    pub(crate) known: Vec<Duty>,
    /// From a signal on duty to the next that could be its end, where that is longer than
    /// anybody is on duty: a signal is missing in between, or somebody was.
    pub(crate) too_long: Vec<Duty>,
}

impl Duties {
    /// `signals` are ascending by time: whether the driver went on duty, or off. Going on
    /// duty while on duty, or off while off, changes nothing. `longest` is in microseconds.
    pub(crate) fn of(signals: impl Iterator<Item = (Time, bool)>, longest: i64) -> Self {
        let mut duties = Self::default();
        let mut since: Option<Time> = None;
        for (time, is_on) in signals {
            let Some(start) = since else {
                since = is_on.then_some(time);
                continue;
            };
            let duty = Duty { start, end: time };
            if duty.micros() > longest {
                duties.too_long.push(duty);
                since = is_on.then_some(time);
            } else if !is_on {
                duties.known.push(duty);
                since = None;
            }
        }
        duties
    }
}

impl Duty {
    pub(crate) const fn micros(self) -> i64 {
        self.end.micros_since(self.start)
    }

    /// The part of it within `[from, to)`, in microseconds.
    pub(crate) fn within(self, from: i64, to: i64) -> i64 {
        (self.end.0.min(to) - self.start.0.max(from)).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known, and what is too long.
    fn duties(signals: &[(i64, bool)]) -> [Vec<(i64, i64)>; 2] {
        let Duties { known, too_long } = Duties::of(signals.iter().map(|&(time, is_on)| (Time(time), is_on)), 10);
        [known, too_long].map(|duties| duties.into_iter().map(|duty| (duty.start.0, duty.end.0)).collect())
    }

    #[test]
    fn signals_that_are_missing_or_come_twice() {
        assert_eq!(duties(&[(0, true), (5, false), (7, true), (8, false)]), [vec![(0, 5), (7, 8)], vec![]]);
        assert_eq!(duties(&[(0, true), (4, true), (5, false), (6, false)]), [vec![(0, 5)], vec![]]);
        assert_eq!(duties(&[(1, false), (3, true)]), [vec![], vec![]]);
        assert_eq!(duties(&[(0, true), (10, false)]), [vec![(0, 10)], vec![]]);
        assert_eq!(duties(&[(0, true), (11, false), (12, true), (13, false)]), [vec![(12, 13)], vec![(0, 11)]]);
        assert_eq!(duties(&[(0, true), (11, true), (13, false)]), [vec![(11, 13)], vec![(0, 11)]]);
    }

    #[test]
    fn a_part_of_a_duty() {
        let duty = Duty { start: Time(10), end: Time(20) };
        assert_eq!([duty.within(0, 15), duty.within(15, 30), duty.within(0, 30), duty.within(20, 30)], [5, 5, 10, 0]);
    }
}
