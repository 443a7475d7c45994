//! Dates as statements have them: a day, perhaps with a time of day that says nothing.

/// The number of the day counted from 1970-01-01, in the proleptic Gregorian
/// calendar. `2025-07-01`, `2025-07-01 00:00:00` and `2025-07-01T12:30:00Z` are one
/// day; whatever follows the day is not read. Nothing if it is no date.
pub(crate) fn day(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    if !rest.is_empty() && !rest.starts_with([' ', 'T', 't', '-']) {
        return None;
    }
    let mut parts = date.split('-').map(|part| {
        let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| part.parse::<i64>().ok()).flatten()
    });
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let fits = date.as_bytes()[4] == b'-' && date.as_bytes()[7] == b'-';
    (fits && (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day)).then(|| number(year, month, day))
}

fn days_in(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts in years that begin in March, so that the leap day is the last of a year.
fn number(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted() {
        for (text, expected) in [
            ("1970-01-01", Some(0)),
            ("1969-12-31", Some(-1)),
            ("2000-02-29 23:59:59", Some(11_016)),
            ("2000-03-01T00:00:00Z", Some(11_017)),
            ("2025-07-01 00:00:00", Some(20_270)),
            ("2025-12-08-17", Some(20_430)),
            ("0000-03-01", Some(-719_468)),
        ] {
            assert_eq!(day(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "",
            "2025-7-1",
            "2025-02-29",
            "2025-13-01",
            "2025-00-10",
            "01.07.2025",
            "2025-07-011",
            "+025-07-01",
            "2025-07-0é",
            "20250-7-01",
        ] {
            assert_eq!(day(text), None, "{text}");
        }
    }
}
