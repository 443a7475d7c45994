//! Civil time: the date, the weekday and the time of day that clocks show in a place.
//!
//! For rules such as "Monday to Friday, 07:00 to 19:00". A policy has no table of
//! time zones, and what it says must be the same next year, whatever parliaments
//! decide until then. So a zone comes with the settings, as the text that POSIX
//! has for `TZ`: an offset, and perhaps the rule of daylight saving time.
//!
//! ```
//! use ephor_sdk::prelude::*;
//! use ephor_sdk::zone::{TimeOfDay, Weekday, Zone};
//!
//! #[settings]
//! struct Settings {
//!     /// Where the rule holds.
//!     zone: Zone,
//!     /// When it begins to hold on each day.
//!     from: TimeOfDay,
//! }
//!
//! let settings = r#"{"zone": "EST5EDT,M3.2.0,M11.1.0", "from": "07:00"}"#;
//! let settings: Settings = ephor_sdk::serde_json::from_str(settings).unwrap();
//! // One second before clocks go from 2 to 3.
//! let time = Time(1_772_953_199_000_000);
//! let local = settings.zone.local(time);
//! assert_eq!((time.to_string(), local.to_string()), ("2026-03-08T06:59:59Z".into(), "2026-03-08T01:59:59-05:00".into()));
//! assert!(local.weekday == Weekday::Sunday && local.time_of_day < settings.from);
//!
//! let time = time + std::time::Duration::from_secs(1);
//! assert_eq!(settings.zone.local(time).to_string(), "2026-03-08T03:00:00-04:00");
//! assert_eq!(settings.zone.start_of_day(time).to_string(), "2026-03-08T05:00:00Z");
//! ```
//!
//! | zone | text |
//! |---|---|
//! | UTC | `UTC0` |
//! | China, the whole year | `CST-8` or `<+08>-8` |
//! | Germany | `CET-1CEST,M3.5.0,M10.5.0/3` |
//! | New York, Ohio | `EST5EDT,M3.2.0,M11.1.0` |
//!
//! The sign is POSIX's: west of Greenwich is positive. A text holds for all years
//! alike, so for events of years that had another rule it has to be another text:
//! `EST5EDT,M3.2.0,M11.1.0` is right from 2007 on. On many systems the last line of a
//! file in `/usr/share/zoneinfo` is the text of that zone.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::evidence::IntoEvidence;
use crate::settings::settings;
use crate::time::{MICROS_PER_SECOND, SECONDS_PER_DAY, Time, date, day_number, days_in};

/// A time zone: an offset from UTC, and perhaps a rule of daylight saving time.
///
/// In settings a POSIX `TZ` string (IEEE Std 1003.1-2024, section 8.3). Hours of a
/// change may be -167 to 167, as in RFC 9636. Names of offsets are not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Offsets are seconds east of Greenwich.
    standard: i32,
    summer: Option<Summer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Summer {
    offset: i32,
    begin: Change,
    end: Change,
}

/// When clocks change in each year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    day: Day,
    /// Seconds from 00:00 of the day, on a clock that has not changed yet.
    second: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    /// `Jn`: from 1 to 365; February 29 is not counted.
    NoLeap(i64),
    /// `n`: from 0 to 365; February 29 is counted.
    Ordinal(i64),
    /// `Mm.n.d`: the n-th weekday of a month, 0 is Sunday; the last one for 5.
    Weekday { month: i64, n: i64, weekday: i64 },
}

impl Day {
    /// Counted from 1970-01-01.
    fn in_year(self, year: i64) -> i64 {
        match self {
            // From March on a day that is not counted has been passed.
            Self::NoLeap(n) if n >= 60 => day_number(year, 3, 1) + n - 60,
            Self::NoLeap(n) => day_number(year, 1, 1) + n - 1,
            Self::Ordinal(n) => day_number(year, 1, 1) + n,
            Self::Weekday { month, n, weekday } => {
                let first = day_number(year, month, 1);
                // 1970-01-04 was a Sunday.
                let of_month = (weekday - (first - 3)).rem_euclid(7) + 7 * (n - 1);
                first + if of_month < days_in(year, month) { of_month } else { of_month - 7 }
            }
        }
    }
}

/// A point at which clocks change, in seconds since 1970.
#[derive(Clone, Copy)]
struct Transition {
    at: i64,
    before: i32,
    after: i32,
}

impl Zone {
    /// What clocks in this zone show at a time.
    #[must_use]
    pub fn local(&self, time: Time) -> Local {
        Local::at(time, self.offset(time.0.div_euclid(MICROS_PER_SECOND)))
    }

    /// When the local day of a time begins: at 00:00; at the first one if clocks
    /// show it twice; when they go past it if they do not show it.
    #[must_use]
    pub fn start_of_day(&self, time: Time) -> Time {
        let second = time.0.div_euclid(MICROS_PER_SECOND);
        let midnight = (second + i64::from(self.offset(second))).div_euclid(SECONDS_PER_DAY) * SECONDS_PER_DAY;
        let offsets = [self.standard, self.summer.map_or(self.standard, |summer| summer.offset)];
        let shown = offsets.map(|offset| midnight - i64::from(offset)).into_iter().zip(offsets);
        let shown = shown.filter(|&(at, offset)| self.offset(at) == offset).map(|(at, _)| at).min();
        let skipped = || {
            let passes = |it: &Transition| it.at + i64::from(it.before) <= midnight && midnight < it.at + i64::from(it.after);
            self.transitions(midnight).into_iter().find(passes).map(|it| it.at)
        };
        let start = shown.or_else(skipped).unwrap_or(second);
        Time(start.saturating_mul(MICROS_PER_SECOND))
    }

    /// Seconds east of Greenwich at a time, in seconds since 1970.
    fn offset(&self, second: i64) -> i32 {
        let passed = self.transitions(second).into_iter().filter(|it| it.at <= second);
        // Where one summer ends as the next begins there is no winter: the later one in the list counts.
        passed.max_by_key(|it| it.at).map_or(self.standard, |it| it.after)
    }

    /// Those of the year and of the ones beside it: a change may be seven days away from its day.
    fn transitions(&self, second: i64) -> Vec<Transition> {
        let Some(Summer { offset, begin, end }) = self.summer else { return Vec::new() };
        let (year, ..) = date((second + i64::from(self.standard)).div_euclid(SECONDS_PER_DAY));
        let change = |change: Change, year: i64, before: i32, after: i32| {
            let on_clock = change.day.in_year(year) * SECONDS_PER_DAY + i64::from(change.second);
            Transition { at: on_clock - i64::from(before), before, after }
        };
        let ends = (year - 1..=year + 1).map(|year| change(end, year, offset, self.standard));
        let begins = (year - 1..=year + 1).map(|year| change(begin, year, self.standard, offset));
        ends.chain(begins).collect()
    }
}

/// A text is not a time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneError {
    text: String,
    /// What would be right, and behind which part of the text.
    expected: &'static str,
    behind: usize,
}

impl fmt::Display for ZoneError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, expected, behind } = self;
        write!(out, "{text:?} is no POSIX time zone, such as \"EST5EDT,M3.2.0,M11.1.0\" or \"<+08>-8\": ")?;
        // What people write instead.
        if text.contains('/') && !text.contains(',') {
            return out.write_str("what a name of the tz database means changes with the versions of that");
        }
        match text.get(..*behind) {
            None | Some("") => write!(out, "expected {expected} at its beginning"),
            Some(read) => write!(out, "expected {expected} behind {read:?}"),
        }
    }
}

impl std::error::Error for ZoneError {}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Self, ZoneError> {
        let mut reader = Reader { text, at: 0 };
        let zone = reader.zone();
        zone.map_err(|expected| ZoneError { text: text.to_owned(), expected, behind: reader.at })
    }
}

/// Reads a text from left to right; fails with what it expected where it is.
struct Reader<'t> {
    text: &'t str,
    at: usize,
}

type Read<T> = Result<T, &'static str>;

impl Reader<'_> {
    fn zone(&mut self) -> Read<Zone> {
        self.name()?;
        let standard = -self.clock(24, "an offset from UTC in hours, 24 at most,")?;
        let mut summer = None;
        if !self.is_at_end() {
            self.name()?;
            // Clocks go forward by an hour unless another offset is given.
            let offset = if self.is_next(b',') { standard + 3_600 } else { -self.clock(24, "`,` or an offset from UTC")? };
            summer = Some(Summer { offset, begin: self.change()?, end: self.change()? });
        }
        if self.is_at_end() { Ok(Zone { standard, summer }) } else { Err("nothing") }
    }

    /// A name of three letters or more, or of other characters in angle brackets.
    fn name(&mut self) -> Read<()> {
        let quoted = self.take(b'<');
        let is_part = |byte: u8| byte.is_ascii_alphabetic() || quoted && (byte.is_ascii_digit() || b"+-".contains(&byte));
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest.iter().take_while(|byte| is_part(**byte)).count();
        if length < 3 {
            return Err("a name of three letters or more");
        }
        self.at += length;
        if quoted && !self.take(b'>') { Err("`>`") } else { Ok(()) }
    }

    /// `,day` or `,day/time`.
    fn change(&mut self) -> Read<Change> {
        if !self.take(b',') {
            return Err("`,` and the day on which clocks change, such as M3.2.0,");
        }
        let day = if self.take(b'J') {
            Day::NoLeap(self.number(1, 365, "a day from 1 to 365")?)
        } else if self.take(b'M') {
            let month = self.number(1, 12, "a month from 1 to 12")?;
            let n = self.after_dot()?.number(1, 5, "a week from 1 to 5")?;
            let weekday = self.after_dot()?.number(0, 6, "a weekday from 0 (Sunday) to 6")?;
            Day::Weekday { month, n, weekday }
        } else {
            Day::Ordinal(self.number(0, 365, "a day such as M3.2.0, J60 or 59")?)
        };
        let second = if self.take(b'/') { self.clock(167, "a time in hours, 167 at most,")? } else { 2 * 3_600 };
        Ok(Change { day, second })
    }

    fn after_dot(&mut self) -> Read<&mut Self> {
        if self.take(b'.') { Ok(self) } else { Err("`.`") }
    }

    /// `[+-]hh[:mm[:ss]]` in seconds.
    fn clock(&mut self, hours_max: i64, expected: &'static str) -> Read<i32> {
        let sign = if self.take(b'-') { -1 } else { 1 };
        if sign == 1 {
            self.take(b'+');
        }
        let mut seconds = self.number(0, hours_max, expected)? * 3_600;
        if self.take(b':') {
            seconds += self.number(0, 59, "minutes from 0 to 59")? * 60;
            if self.take(b':') {
                seconds += self.number(0, 59, "seconds from 0 to 59")?;
            }
        }
        // 168 hours at most.
        Ok(sign * seconds as i32)
    }

    fn number(&mut self, least: i64, most: i64, expected: &'static str) -> Read<i64> {
        let rest = &self.text[self.at..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number = rest[..digits].parse().ok().filter(|number| (least..=most).contains(number)).ok_or(expected)?;
        self.at += digits;
        Ok(number)
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.is_next(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn is_next(&self, byte: u8) -> bool {
        self.text.as_bytes().get(self.at) == Some(&byte)
    }

    fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }
}

/// What clocks show in a zone.
///
/// Displayed as RFC 3339 with the zone's offset: `2026-03-08T01:59:59-05:00`. Parts
/// of a second are not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// The day in the calendar.
    pub date: Date,
    /// Its weekday.
    pub weekday: Weekday,
    /// How late it is.
    pub time_of_day: TimeOfDay,
    /// Seconds by which clocks are ahead of UTC.
    pub offset: i32,
}

impl Local {
    fn at(time: Time, offset: i32) -> Self {
        let seconds = time.0.div_euclid(MICROS_PER_SECOND) + i64::from(offset);
        let (day, second) = (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY));
        let (year, month, of_month) = date(day);
        Self {
            // A time of 64 bits is within 300,000 years of 1970.
            date: Date { year: year as i32, month: month as u8, day: of_month as u8 },
            weekday: Weekday::of(day),
            time_of_day: TimeOfDay(second as u32),
            offset,
        }
    }
}

impl fmt::Display for Local {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { date, time_of_day, offset, .. } = self;
        let (sign, ahead) = if *offset < 0 { ('-', -offset) } else { ('+', *offset) };
        write!(out, "{date}T{time_of_day}{sign}{:02}:{:02}", ahead / 3_600, ahead / 60 % 60)?;
        // RFC 3339 has no seconds there, and no zone of this century has any.
        if ahead % 60 != 0 { write!(out, ":{:02}", ahead % 60) } else { Ok(()) }
    }
}

/// A day in the proleptic Gregorian calendar, displayed as `2026-03-08`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// The year; 0 is the one before the year 1.
    pub year: i32,
    /// From 1 to 12.
    pub month: u8,
    /// From 1 to 31.
    pub day: u8,
}

impl fmt::Display for Date {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day } = self;
        write!(out, "{year:04}-{month:02}-{day:02}")
    }
}

/// A day of the week. In settings its English name: `"monday"`.
#[settings]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    const ALL: [Self; 7] = [Self::Monday, Self::Tuesday, Self::Wednesday, Self::Thursday, Self::Friday, Self::Saturday, Self::Sunday];

    /// Of a day counted from 1970-01-01, which was a Thursday.
    fn of(day: i64) -> Self {
        Self::ALL[(day + 3).rem_euclid(7) as usize]
    }

    /// The day before.
    #[must_use]
    pub fn before(self) -> Self {
        Self::ALL[(self as usize + 6) % 7]
    }
}

/// A time of day, in seconds from 00:00. In settings `"07:00"` or `"07:00:30"`, up to
/// `"24:00"`, the end of the day, which no clock shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(u32);

impl TimeOfDay {
    /// Seconds from 00:00.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.0
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:02}:{:02}:{:02}", self.0 / 3_600, self.0 / 60 % 60, self.0 % 60)
    }
}

/// A text is not a time of day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeOfDayError(String);

impl fmt::Display for TimeOfDayError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?} is no time of day, such as \"07:00\", \"19:30:00\" or \"24:00\"", self.0)
    }
}

impl std::error::Error for TimeOfDayError {}

impl FromStr for TimeOfDay {
    type Err = TimeOfDayError;

    fn from_str(text: &str) -> Result<Self, TimeOfDayError> {
        let part = |part: &str, below: u32| {
            let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse::<u32>().ok().filter(|&number| digits && number < below)
        };
        let parts: Vec<_> = text.split(':').collect();
        let seconds = match parts[..] {
            [hour, minute] => part(hour, 25).zip(part(minute, 60)).map(|(hour, minute)| hour * 3_600 + minute * 60),
            [hour, minute, second] => {
                let of_minute = part(minute, 60).zip(part(second, 60)).map(|(minute, second)| minute * 60 + second);
                part(hour, 25).zip(of_minute).map(|(hour, rest)| hour * 3_600 + rest)
            }
            _ => None,
        };
        seconds.filter(|&seconds| i64::from(seconds) <= SECONDS_PER_DAY).map(Self).ok_or_else(|| TimeOfDayError(text.to_owned()))
    }
}

impl IntoEvidence for Local {
    fn into_evidence(self) -> String {
        self.to_string()
    }
}

impl IntoEvidence for Date {
    fn into_evidence(self) -> String {
        self.to_string()
    }
}

impl IntoEvidence for TimeOfDay {
    fn into_evidence(self) -> String {
        self.to_string()
    }
}

/// Types that settings have as a text.
macro_rules! by_text {
    ($($type:ident: $about:literal, $example:literal;)*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "description": $about, "examples": [$example]})
            }
        }
    )*};
}
by_text! {
    Zone: "A time zone as POSIX writes it in TZ: offset from UTC, west is positive, and rule of daylight saving time.", "EST5EDT,M3.2.0,M11.1.0";
    TimeOfDay: "A time of day: hours and minutes, perhaps seconds, up to 24:00.", "07:00";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse;
    use proptest::prelude::*;

    fn zone(text: &str) -> Zone {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn time(text: &str) -> Time {
        parse(text).unwrap_or_else(|| panic!("{text} is a time"))
    }

    /// How many days a month has, by asking whether RFC 3339 has the day.
    fn days_in(year: i64, month: i64) -> i64 {
        (28..=31).rev().find(|day| parse(&format!("{year:04}-{month:02}-{day:02}T00:00:00Z")).is_some()).expect("a month")
    }

    /// Midnight in UTC of the n-th Sunday of a month; the last one for 5. Found day by day.
    fn sunday(year: i64, month: i64, n: usize) -> i64 {
        let midnights =
            (1..=days_in(year, month)).map(|day| time(&format!("{year:04}-{month:02}-{day:02}T00:00:00Z")).0 / MICROS_PER_SECOND);
        // 1970-01-04 was a Sunday.
        let sundays: Vec<_> = midnights.filter(|midnight| (midnight / SECONDS_PER_DAY - 3).rem_euclid(7) == 0).collect();
        if n == 5 { sundays[sundays.len() - 1] } else { sundays[n - 1] }
    }

    /// Offsets by the words of the law, in seconds: Energy Policy Act of 2005, section 110 (from the
    /// second Sunday of March, 2:00, to the first of November, 2:00); Directive 2000/84/EC (from the
    /// last Sunday of March, 1:00 UTC, to the last of October, 1:00 UTC).
    fn by_law(place: &str, seconds: i64, year: i64) -> i32 {
        let hour = 3_600;
        let summer = match place {
            "Ohio" => sunday(year, 3, 2) + 7 * hour..sunday(year, 11, 1) + 6 * hour,
            _ => sunday(year, 3, 5) + hour..sunday(year, 10, 5) + hour,
        };
        let winter = if place == "Ohio" { -5 } else { 1 };
        (winter + i32::from(summer.contains(&seconds))) * 3_600
    }

    /// A day in spring or in autumn; not near the ends of a year, and not near one of the other.
    fn day(is_spring: bool) -> impl Strategy<Value = String> {
        let (months, days) = if is_spring { (3..=5, 50..=150_u16) } else { (8..=10, 210..=310) };
        let by_weekday = (months, 1..=5, 0..=6).prop_map(|(month, week, weekday)| format!("M{month}.{week}.{weekday}"));
        let without_leap_day = days.clone().prop_map(|day| format!("J{day}"));
        prop_oneof![by_weekday, without_leap_day, days.prop_map(|day| day.to_string())]
    }

    proptest! {
        #[test]
        fn offsets_are_those_of_the_law(year in 2007..2100_i64, at in 0..366 * SECONDS_PER_DAY) {
            let seconds = time(&format!("{year:04}-01-02T00:00:00Z")).0 / MICROS_PER_SECOND + at % (363 * SECONDS_PER_DAY);
            for (place, text) in [("Ohio", "EST5EDT,M3.2.0,M11.1.0"), ("Germany", "CET-1CEST,M3.5.0,M10.5.0/3")] {
                let local = zone(text).local(Time(seconds * MICROS_PER_SECOND));
                prop_assert_eq!(local.offset, by_law(place, seconds, year), "{} at {}", place, seconds);
            }
        }

        #[test]
        fn a_day_begins_at_its_start(micros in -60_000_000_000_000_000..250_000_000_000_000_000_i64) {
            for text in ["EST5EDT,M3.2.0,M11.1.0", "<+08>-8", "CET-1CEST,M3.5.0,M10.5.0/3", "EET-2EEST,M3.5.0/0,M10.5.0/0", "<-03>3<-02>,M3.5.0/-2,M10.5.0/-1"] {
                let (zone, time) = (zone(text), Time(micros));
                let (start, local) = (zone.start_of_day(time), zone.local(time));
                prop_assert!(start <= time && time.micros_since(start) < 25 * 3_600 * MICROS_PER_SECOND);
                prop_assert_eq!(zone.local(start).date, local.date);
                prop_assert!(zone.local(Time(start.0 - 1)).date < local.date);
            }
        }

        /// The library that many programs have their time zones from. In a component it takes 62 KB
        /// for what is wanted of it here, and this takes 23.
        #[test]
        fn offsets_are_those_of_jiff(
            (spring, autumn) in (day(true), day(false)),
            is_north in any::<bool>(),
            times in ["(/-?[0-9]{1,2}(:[0-5][0-9])?)?", "(/-?[0-9]{1,2}(:[0-5][0-9](:[0-5][0-9])?)?)?"],
            offsets in ["-?([0-9]|1[0-4])(:[0-5][0-9])?", "(-?([0-9]|1[0-4])(:[0-5][0-9])?)?"],
            seconds in prop::collection::vec(-10_000_000_000..100_000_000_000_i64, 40),
        ) {
            let (begin, end) = if is_north { (spring, autumn) } else { (autumn, spring) };
            let text = format!("<+X1>{}ABC{},{begin}{},{end}{}", offsets[0], offsets[1], times[0], times[1]);
            let (zone, theirs) = (zone(&text), jiff::tz::TimeZone::posix(&text).expect("a zone"));
            for second in seconds {
                let expected = theirs.to_offset(jiff::Timestamp::from_second(second).expect("in range")).seconds();
                let local = zone.local(Time(second * MICROS_PER_SECOND));
                prop_assert_eq!(local.offset, expected, "{} at {}", text, second);
            }
        }

        #[test]
        fn whatever_the_text_and_time(text in "[A-Z<>+,./0-9M-]{0,30}", micros in any::<i64>()) {
            if let Ok(zone) = text.parse::<Zone>() {
                let _ = zone.local(Time(micros));
                let _ = zone.start_of_day(Time(micros));
            }
        }
    }

    #[test]
    fn the_edges_of_daylight_saving_time() {
        for (text, at, local, start) in [
            ("EST5EDT,M3.2.0,M11.1.0", "2026-11-01T05:59:59Z", "2026-11-01T01:59:59-04:00", "2026-11-01T04:00:00Z"),
            ("EST5EDT,M3.2.0,M11.1.0", "2026-11-01T06:00:00Z", "2026-11-01T01:00:00-05:00", "2026-11-01T04:00:00Z"),
            // Clocks in Beirut go from 0 to 1, and back to 23 of the day before.
            ("EET-2EEST,M3.5.0/0,M10.5.0/0", "2026-03-28T22:00:00Z", "2026-03-29T01:00:00+03:00", "2026-03-28T22:00:00Z"),
            ("EET-2EEST,M3.5.0/0,M10.5.0/0", "2026-10-24T21:00:00Z", "2026-10-24T23:00:00+02:00", "2026-10-23T21:00:00Z"),
            ("<+0545>-5:45", "2026-01-01T00:00:00.5Z", "2026-01-01T05:45:00+05:45", "2025-12-31T18:15:00Z"),
            ("NST3:30NDT,M3.2.0,M11.1.0", "2026-07-01T00:00:00Z", "2026-06-30T21:30:00-02:30", "2026-06-30T02:30:00Z"),
            // South of the equator summer goes over the end of the year.
            ("AEST-10AEDT,M10.1.0,M4.1.0/3", "2026-12-31T13:30:00Z", "2027-01-01T00:30:00+11:00", "2026-12-31T13:00:00Z"),
            // All year, as RFC 9636 writes it.
            ("EST5EDT,0/0,J365/25", "2026-12-31T23:30:00Z", "2026-12-31T19:30:00-04:00", "2026-12-31T04:00:00Z"),
            ("EST5EDT,0/0,J365/25", "2027-01-01T04:00:00Z", "2027-01-01T00:00:00-04:00", "2027-01-01T04:00:00Z"),
            // A change that comes before its day, over the end of a year.
            ("ABC0ABD,J1/-24,J100", "2026-12-31T00:00:00Z", "2026-12-31T01:00:00+01:00", "2026-12-31T00:00:00Z"),
            ("UTC0", "0000-01-01T00:00:00Z", "0000-01-01T00:00:00+00:00", "0000-01-01T00:00:00Z"),
            ("CST-8", "9999-12-31T23:00:00Z", "10000-01-01T07:00:00+08:00", "9999-12-31T16:00:00Z"),
        ] {
            let (zone, at) = (zone(text), time(at));
            assert_eq!((zone.local(at).to_string().as_str(), zone.start_of_day(at).to_string().as_str()), (local, start), "{text} at {at}");
        }
    }

    #[test]
    fn weekdays() {
        for (day, weekday) in [("1970-01-01", Weekday::Thursday), ("1969-12-28", Weekday::Sunday), ("2026-08-10", Weekday::Monday)] {
            assert_eq!(zone("UTC0").local(time(&format!("{day}T12:00:00Z"))).weekday, weekday, "{day}");
        }
        assert_eq!((Weekday::Monday.before(), Weekday::Sunday.before()), (Weekday::Sunday, Weekday::Saturday));
    }

    #[test]
    fn what_is_no_zone_is_refused_in_words() {
        for (text, part) in [
            ("", "expected a name of three letters or more at its beginning"),
            ("America/New_York", "what a name of the tz database means changes"),
            ("ES5", "expected a name of three letters or more at its beginning"),
            ("EST", "expected an offset from UTC in hours, 24 at most, behind \"EST\""),
            ("UTC+99", "expected an offset from UTC in hours, 24 at most, behind \"UTC+\""),
            ("EST5:60", "expected minutes from 0 to 59 behind \"EST5:\""),
            ("EST5EDT", "expected `,` or an offset from UTC behind \"EST5EDT\""),
            ("EST5EDT,M3.2.0", "expected `,` and the day on which clocks change, such as M3.2.0, behind \"EST5EDT,M3.2.0\""),
            ("EST5EDT,M13.2.0,M11.1.0", "expected a month from 1 to 12 behind \"EST5EDT,M\""),
            ("EST5EDT,M3.2.7,M11.1.0", "expected a weekday from 0 (Sunday) to 6 behind \"EST5EDT,M3.2.\""),
            ("EST5EDT,M3.2.0/168,M11.1.0", "expected a time in hours, 167 at most, behind \"EST5EDT,M3.2.0/\""),
            ("EST5EDT,J0,J1", "expected a day from 1 to 365 behind \"EST5EDT,J\""),
            ("<+08-8", "expected `>` behind \"<+08-8\""),
            ("EST5 ", "expected a name of three letters or more behind \"EST5\""),
            ("EST5EDT,0,J365/25x", "expected nothing behind \"EST5EDT,0,J365/25\""),
            ("ÄÖÜ5", "expected a name of three letters or more at its beginning"),
        ] {
            let error = text.parse::<Zone>().expect_err(text).to_string();
            assert!(error.ends_with(part) || text.contains("America") && error.contains(part), "{text}: {error}");
            assert!(error.starts_with(&format!("{text:?} is no POSIX time zone, such as ")), "{error}");
        }
    }

    #[test]
    fn times_of_day() {
        for (text, shown) in [("07:00", "07:00:00"), ("23:59:59", "23:59:59"), ("24:00", "24:00:00"), ("00:00", "00:00:00")] {
            assert_eq!(text.parse::<TimeOfDay>().expect(text).to_string(), shown);
        }
        for text in ["", "7:00", "07", "07:60", "24:00:01", "25:00", "07:00:00:00", "+7:00", "07:00Z", "０７:00"] {
            let error = text.parse::<TimeOfDay>().expect_err(text);
            assert_eq!(error.to_string(), format!("{text:?} is no time of day, such as \"07:00\", \"19:30:00\" or \"24:00\""));
        }
    }
}
