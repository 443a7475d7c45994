//! Points in time.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(crate) const SECONDS_PER_DAY: i64 = 86_400;

/// Microseconds since 1970-01-01T00:00:00Z, leap seconds ignored.
///
/// Displayed as RFC 3339 in UTC, with as many decimals as it needs:
/// `2026-02-26T18:31:58.5Z`.
///
/// ```
/// use std::time::Duration;
/// use ephor_sdk::time::Time;
///
/// let noon = Time(1_772_107_200_000_000);
/// assert_eq!((noon + Duration::from_secs(90)).to_string(), "2026-02-26T12:01:30Z");
/// assert!(noon - Duration::from_secs(3_600) < noon);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(pub i64);

impl Time {
    /// Microseconds from `earlier` to this time; negative if `earlier` is
    /// later, and at the limit of the type if it would not fit.
    #[must_use]
    pub const fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A duration in microseconds, at the limit of the type if it would not fit.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Stays at the limit of the type if the sum would not fit.
impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }
}

/// Stays at the limit of the type if the difference would not fit.
impl Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_euclid(MICROS_PER_SECOND);
        let micros = self.0.rem_euclid(MICROS_PER_SECOND);
        let (year, month, day) = date(seconds.div_euclid(SECONDS_PER_DAY));
        let second = seconds.rem_euclid(SECONDS_PER_DAY);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if micros != 0 {
            let decimals = format!("{micros:06}");
            write!(out, ".{}", decimals.trim_end_matches('0'))?;
        }
        out.write_str("Z")
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic
/// Gregorian calendar.
///
/// Counts in years that begin in March, so that the leap day is the last of a
/// year, and in eras of 400 years, which all have 146,097 days.
pub(crate) const fn date(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let january_or_february = month <= 2;
    (year_of_era + era * 400 + january_or_february as i64, month, day)
}

/// Reads an RFC 3339 date-time (section 5.6) as the host does: the second 60
/// is the last microsecond of its minute, finer fractions are cut off.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn parse(text: &str) -> Option<Time> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = bytes.get(from..to)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        Some(digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
    };
    let is = |at: usize, any_of: &[u8]| bytes.get(at).is_some_and(|byte| any_of.contains(byte));

    let separators = is(4, b"-") && is(7, b"-") && is(10, b"Tt") && is(13, b":") && is(16, b":");
    if !separators {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let in_range = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !in_range {
        return None;
    }

    let mut at = 19;
    let mut micros = 0;
    if is(at, b".") {
        let digits = bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        let kept = digits.min(6);
        micros = number(at + 1, at + 1 + kept)?;
        for _ in kept..6 {
            micros *= 10;
        }
        at += 1 + digits;
    }
    let (second, micros) = if second == 60 { (59, 999_999) } else { (second, micros) };
    let east = if is(at, b"Zz") {
        at += 1;
        0
    } else {
        let sign = if is(at, b"+") {
            1
        } else if is(at, b"-") {
            -1
        } else {
            return None;
        };
        let (hours, minutes) = (number(at + 1, at + 3)?, number(at + 4, at + 6)?);
        if !is(at + 3, b":") || hours > 23 || minutes > 59 {
            return None;
        }
        at += 6;
        sign * (hours * 3_600 + minutes * 60)
    };
    if at != bytes.len() {
        return None;
    }
    let seconds = day_number(year, month, day) * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second - east;
    Some(Time(seconds * MICROS_PER_SECOND + micros))
}

pub(crate) const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The inverse of [`date`].
pub(crate) const fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let year_of_era = year.rem_euclid(400);
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    year.div_euclid(400) * 146_097 + of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        for (text, micros, shown) in [
            ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"),
            ("2026-02-26T18:31:58.500Z", 1_772_130_718_500_000, "2026-02-26T18:31:58.5Z"),
            ("2024-02-29t23:59:60z", 1_709_251_199_999_999, "2024-02-29T23:59:59.999999Z"),
            ("1969-12-31T19:00:00.0000019-05:00", 1, "1970-01-01T00:00:00.000001Z"),
            ("0000-03-01T00:00:00Z", -62_162_035_200_000_000, "0000-03-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999999+00:00", 253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(parse(text), Some(Time(micros)), "{text}");
            assert_eq!(Time(micros).to_string(), shown, "{text}");
        }
    }

    #[test]
    fn refuses() {
        for text in [
            "",
            "2026-02-26",
            "2026-02-26T18:31:58",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-02-26T24:00:00Z",
            "2026-02-26T18:31:58.Z",
            "2026-02-26T18:31:58Z ",
            "2026-02-26 18:31:58Z",
            "2026-02-26T18:31:58+0100",
            "2026-02-26T18:31:61Z",
            "+026-02-26T18:31:58Z",
            "2026-02-2éT18:31:58Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
