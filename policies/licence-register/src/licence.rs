//! What the register has for a merchant: `SCOPE FROM/UNTIL`, and more of them behind
//! semicolons.

use std::fmt;
use std::time::Duration;

use ephor_sdk::time::Time;

const SECONDS_PER_MINUTE: u64 = 60;
/// Stands for an end that is open, as in ISO 8601-2.
const OPEN: &str = "..";

/// A day of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day {
    year: u16,
    month: u8,
    day: u8,
}

impl Day {
    /// The day of a time where clocks are so many minutes ahead of UTC. Nothing if
    /// its year does not have four digits.
    pub(crate) fn of(time: Time, minutes_ahead: i32) -> Option<Self> {
        let ahead = Duration::from_secs(u64::from(minutes_ahead.unsigned_abs()) * SECONDS_PER_MINUTE);
        let local = if minutes_ahead < 0 { time - ahead } else { time + ahead };
        Self::read(local.to_string().split('T').next()?)
    }

    /// Reads `2026-12-31`; nothing if there is no such day.
    fn read(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let is_shaped =
            bytes.len() == 10 && (0..10).all(|at| if at == 4 || at == 7 { bytes[at] == b'-' } else { bytes[at].is_ascii_digit() });
        if !is_shaped {
            return None;
        }
        let (year, month, day) = (text[..4].parse().ok()?, text[5..7].parse().ok()?, text[8..].parse().ok()?);
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        (1..=days).contains(&day).then_some(Self { year, month, day })
    }
}

impl fmt::Display for Day {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day } = self;
        write!(out, "{year:04}-{month:02}-{day:02}")
    }
}

/// One licence of a merchant. Both days belong to it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Licence<'a> {
    pub(crate) scope: &'a str,
    pub(crate) from: Day,
    /// Nothing if it has no end.
    pub(crate) until: Option<Day>,
}

impl Licence<'_> {
    pub(crate) fn covers(&self, day: Day) -> bool {
        self.from <= day && self.until.is_none_or(|until| day <= until)
    }
}

/// Whether a text is the name of a scope.
pub(crate) fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Reads what the register has for a merchant; the error says which part is wrong.
pub(crate) fn read(value: &str) -> Result<Vec<Licence<'_>>, String> {
    value.split(';').map(|part| one(part.trim_matches(' '))).collect()
}

fn one(part: &str) -> Result<Licence<'_>, String> {
    let problem = |what: &str| format!("{what} in `{part}`; expected a licence such as `food-sale 2024-01-01/2026-12-31`");
    let (scope, days) = part.split_once(' ').ok_or_else(|| problem("no blank behind a scope"))?;
    if !is_scope(scope) {
        return Err(problem("no scope of lower-case letters, digits and hyphens"));
    }
    let (from, until) = days.split_once('/').ok_or_else(|| problem("no slash between two days"))?;
    let from = Day::read(from).ok_or_else(|| problem("no day to begin with"))?;
    let until = match until {
        OPEN => None,
        until => Some(Day::read(until).ok_or_else(|| problem("no day to end with"))?),
    };
    if until.is_some_and(|until| until < from) {
        return Err(problem("an end before the beginning"));
    }
    Ok(Licence { scope, from, until })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for day in ["2024-02-29", "2000-02-29", "2026-12-31", "0001-01-01"] {
            assert_eq!(Day::read(day).map(|day| day.to_string()), Some(day.to_owned()));
        }
        for no_day in [
            "2025-02-29",
            "1900-02-29",
            "2026-04-31",
            "2026-13-01",
            "2026-00-10",
            "2026-01-00",
            "2026-1-1",
            "+026-01-01",
            "2026-01-01 ",
            "2026/01/01",
            "",
        ] {
            assert_eq!(Day::read(no_day), None, "{no_day}");
        }
    }

    #[test]
    fn a_day_begins_where_the_zone_says() {
        // 2026-02-26T18:31:58.5Z
        let time = Time(1_772_130_718_500_000);
        let day = |minutes| Day::of(time, minutes).map(|day| day.to_string());
        assert_eq!(day(0).as_deref(), Some("2026-02-26"));
        assert_eq!(day(480).as_deref(), Some("2026-02-27"));
        assert_eq!(day(-840).as_deref(), Some("2026-02-26"));
        assert_eq!(Day::of(Time(i64::MAX), 0), None);
    }

    #[test]
    fn reads_licences_and_says_what_is_wrong() {
        let licences = read("business 2019-03-01/..; food-sale 2024-01-01/2026-12-31").expect("two licences");
        assert_eq!(licences.iter().map(|it| it.scope).collect::<Vec<_>>(), ["business", "food-sale"]);
        for (value, problem) in [
            ("", "no blank behind a scope"),
            ("food", "no blank behind a scope"),
            ("Food 2024-01-01/..", "no scope"),
            ("food 2024-01-01", "no slash"),
            ("food 2024-02-30/..", "no day to begin with"),
            ("food 2024-01-01/", "no day to end with"),
            ("food 2024-01-02/2024-01-01", "an end before the beginning"),
            ("food 2024-01-01/..;", "no blank behind a scope"),
        ] {
            assert!(read(value).expect_err(value).starts_with(problem), "{value}");
        }
    }
}
