//! Times, durations and offsets as they are written.

/// A duration in microseconds, as CEL and Go write it: `1h30m`, `90s`, `1.5h`, `-2m`.
///
/// # Errors
///
/// With what to write.
pub(super) fn duration(text: &str) -> Result<i64, String> {
    const REMEDY: &str = "write hours, minutes and seconds, such as \"24h\", \"1h30m\" or \"90s\"";
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    if rest.is_empty() {
        return Err(REMEDY.to_owned());
    }
    let mut sum: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(REMEDY)?;
        let (digits, unit) = rest.split_at(end);
        let length = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let (unit, after) = unit.split_at(length);
        let micros: i128 = match unit {
            "h" => 3_600_000_000,
            "m" => 60_000_000,
            "s" => 1_000_000,
            "ms" => 1_000,
            "us" => 1,
            "d" => return Err("a day is written as \"24h\", a week as \"168h\"".to_owned()),
            _ => return Err(REMEDY.to_owned()),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if digits.len() > 18 || whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return Err(REMEDY.to_owned());
        }
        let number = |digits: &str| if digits.is_empty() { Ok(0) } else { digits.parse::<i128>().map_err(|_| REMEDY.to_owned()) };
        sum += number(whole)? * micros + number(fraction)? * micros / 10_i128.pow(fraction.len() as u32);
        rest = after;
    }
    i64::try_from(sum * sign).map_err(|_| "write a shorter one".to_owned())
}

/// Minutes east of UTC: `+08:00`, `-05:30`, `Z`, `UTC`.
pub(super) fn offset(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "UTC") {
        return Some(0);
    }
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let two = |text: &str| (text.len() == 2 && text.bytes().all(|it| it.is_ascii_digit())).then(|| text.parse::<i64>().ok()).flatten();
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes) = (two(hours).filter(|it| *it < 24)?, two(minutes).filter(|it| *it < 60)?);
    Some(sign * (hours * 60 + minutes))
}

/// An RFC 3339 date-time in microseconds since 1970-01-01T00:00:00Z. TOML has the same
/// format, and its reader checks days and months.
pub(super) fn time(text: &str) -> Option<i64> {
    let toml::value::Datetime { date: Some(date), time: Some(time), offset: Some(offset) } = text.parse().ok()? else { return None };
    let minutes = match offset {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => i64::from(minutes),
    };
    // Days are counted in years that begin in March, so that the leap day is the last.
    let (year, month) = (i64::from(date.year) - i64::from(date.month <= 2), (i64::from(date.month) + 9) % 12);
    let day = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + i64::from(date.day)
        - 1
        - 719_468;
    let seconds =
        day * 86_400 + i64::from(time.hour) * 3_600 + (i64::from(time.minute) - minutes) * 60 + i64::from(time.second.unwrap_or(0).min(59));
    let second_60 = time.second == Some(60);
    let micros = if second_60 { 999_999 } else { i64::from(time.nanosecond.unwrap_or(0) / 1_000) };
    Some(seconds * 1_000_000 + micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, micros) in
            [("1h30m", 5_400_000_000), ("90s", 90_000_000), ("1.5h", 5_400_000_000), ("-2m", -120_000_000), ("250ms", 250_000), ("0s", 0)]
        {
            assert_eq!(duration(text), Ok(micros), "{text}");
        }
        for text in ["", "-", "1", "h", "1x", "1..5h", "99999999999999h", "1h 30m"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(duration("1d").expect_err("no days").contains("24h"));
    }

    #[test]
    fn times_and_offsets() {
        for (text, micros) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-02-26T18:31:58.5Z", 1_772_130_718_500_000),
            ("2026-02-27T02:31:58.5+08:00", 1_772_130_718_500_000),
            ("2024-02-29T23:59:60Z", 1_709_251_199_999_999),
            ("0000-03-01T00:00:00Z", -62_162_035_200_000_000),
        ] {
            assert_eq!(time(text), Some(micros), "{text}");
        }
        for text in ["2026-02-26", "2026-02-30T00:00:00Z", "2026-02-26T18:31:58", "soon"] {
            assert_eq!(time(text), None, "{text}");
        }
        assert_eq!(["+08:00", "-05:30", "Z", "02:00"].map(offset), [Some(480), Some(-330), Some(0), Some(120)]);
        assert_eq!(["Asia/Shanghai", "+8", "+24:00", ""].map(offset), [None; 4]);
    }
}
