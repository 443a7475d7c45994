//! Days and hours of a point in time.

/// A point in time by the calendar, in the proleptic Gregorian one.
#[derive(Debug, PartialEq, Eq)]
pub struct Moment {
    pub year: i64,
    /// From 1.
    pub month: i64,
    /// From 1.
    pub day: i64,
    /// From 0, which is 1 January.
    pub day_of_year: i64,
    /// From 0, which is Sunday.
    pub day_of_week: i64,
    /// Within the day.
    pub micros: i64,
}

const DAY: i64 = 86_400_000_000;

impl Moment {
    /// Microseconds since 1970-01-01T00:00:00Z, seen so many minutes east of UTC.
    pub fn of(micros: i64, minutes_east: i64) -> Self {
        let micros = micros.saturating_add(minutes_east * 60_000_000);
        let (since_1970, micros) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
        // In years that begin in March the leap day is the last; 400 years have 146,097 days.
        let days = since_1970 + 719_468;
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let (month, after_new_year) = if shifted < 10 { (shifted + 3, 0) } else { (shifted - 9, 1) };
        let year = year_of_era + days.div_euclid(146_097) * 400 + after_new_year;
        let leap = i64::from(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
        // 1 March is day 59, or 60.
        let day_of_year = if after_new_year == 1 { of_year - 306 } else { of_year + 59 + leap };
        Self { year, month, day, day_of_year, day_of_week: (since_1970 + 4).rem_euclid(7), micros }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_the_calendar() {
        let at = |micros, east| {
            let Moment { year, month, day, day_of_year, day_of_week, micros } = Moment::of(micros, east);
            [year, month, day, day_of_year, day_of_week, micros / 3_600_000_000]
        };
        assert_eq!(at(0, 0), [1970, 1, 1, 0, 4, 0]);
        assert_eq!(at(-1, 0), [1969, 12, 31, 364, 3, 23]);
        assert_eq!(at(1_772_130_718_500_000, 0), [2026, 2, 26, 56, 4, 18]);
        assert_eq!(at(1_772_130_718_500_000, 480), [2026, 2, 27, 57, 5, 2]);
        assert_eq!(at(1_709_164_800_000_000, 0), [2024, 2, 29, 59, 4, 0]);
        assert_eq!(at(1_735_603_200_000_000, 0), [2024, 12, 31, 365, 2, 0]);
    }
}
