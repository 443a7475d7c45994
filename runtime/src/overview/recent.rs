//! When a rule found something lately.

use std::collections::VecDeque;

use super::sums::Resolution;

/// Minutes and hours with findings that are kept of a rule; 4 KB at most.
const MINUTES_MAX: usize = 120;
const HOURS_MAX: usize = 168;

/// Findings by the minute and by the hour in which they arrived: the latest ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recent {
    minutes: VecDeque<(i64, u32)>,
    hours: VecDeque<(i64, u32)>,
}

impl Recent {
    /// Findings by period, each with its begin in seconds since the Unix epoch, the latest
    /// last. Periods without findings are left out; of days there are none.
    pub fn periods(&self, resolution: Resolution) -> impl Iterator<Item = (i64, u64)> {
        let periods = match resolution {
            Resolution::Minute => Some(&self.minutes),
            Resolution::Hour => Some(&self.hours),
            Resolution::Day => None,
        };
        periods.into_iter().flatten().map(|(start, count)| (*start, u64::from(*count)))
    }

    pub(super) fn count(&mut self, seconds: i64) {
        for (periods, resolution, max) in
            [(&mut self.minutes, Resolution::Minute, MINUTES_MAX), (&mut self.hours, Resolution::Hour, HOURS_MAX)]
        {
            let start = seconds.div_euclid(resolution.seconds()) * resolution.seconds();
            match periods.back_mut() {
                // A clock that went back counts to where it was.
                Some((last, count)) if *last >= start => *count = count.saturating_add(1),
                _ => super::sums::push(periods, (start, 1), max),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_periods_are_kept() {
        let mut recent = Recent::default();
        for second in (0..200 * 3_600).step_by(1_800) {
            recent.count(second);
        }
        recent.count(0);
        let hours: Vec<(i64, u64)> = recent.periods(Resolution::Hour).collect();
        assert_eq!((hours.len(), hours[0], hours[167]), (HOURS_MAX, (32 * 3_600, 2), (199 * 3_600, 3)));
        assert_eq!(recent.periods(Resolution::Minute).count(), MINUTES_MAX);
    }
}
