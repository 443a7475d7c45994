//! Coarse values: each is the lowest of its step, the beginning of its hour, the middle
//! of its cell.
//!
//! Made coarse again, a value stays what it is; and of two values the greater never
//! becomes the lesser.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::{Date, Month, OffsetDateTime, Time};

use crate::column::{Cell, Kind};

/// Steps beyond which a float stays as it is: it has hardly a digit to lose, and the
/// number of steps would not be exact.
const STEPS_MAX: f64 = (1u64 << 50) as f64;

/// The longest geohash that a position can be coarse to: 30 bits for each axis.
pub const GEOHASH_MAX: u8 = 12;

/// A unit of time, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are all there is to say")]
pub enum Unit {
    Minute,
    Hour,
    Day,
    Month,
    Year,
}

impl Unit {
    /// The word used in configuration and tables, the same that serde has.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Minute => "minute",
            Unit::Hour => "hour",
            Unit::Day => "day",
            Unit::Month => "month",
            Unit::Year => "year",
        }
    }
}

/// Which half of a position a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    /// From -90 to 90 degrees.
    Latitude,
    /// From -180 to 180 degrees.
    Longitude,
}

impl Axis {
    /// The word used in configuration and tables, the same that serde has.
    pub fn name(self) -> &'static str {
        match self {
            Axis::Latitude => "latitude",
            Axis::Longitude => "longitude",
        }
    }
}

/// How exact a value stays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Coarse {
    /// A number becomes the greatest multiple of this that is not above it. Whole for
    /// integers.
    Step(f64),
    /// A number keeps its first two digits, the others are zero: 1234 becomes 1200. For
    /// fields that the platform grants plain and the policy asks for coarse.
    Digits,
    /// A time becomes the beginning of its minute, hour, day, month or year in UTC.
    Unit(Unit),
    /// A latitude or longitude in degrees becomes that of the middle of the geohash
    /// cell that it is in.
    Geohash {
        /// Characters of the geohash, from 1 to 12.
        length: u8,
        /// Which half of the position it is.
        axis: Axis,
    },
}

impl fmt::Display for Coarse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Coarse::Step(step) => write!(f, "step {step}"),
            Coarse::Digits => f.write_str("two digits"),
            Coarse::Unit(unit) => write!(f, "to the {}", unit.name()),
            Coarse::Geohash { length, axis } => write!(f, "geohash {length}, {}", axis.name()),
        }
    }
}

impl Coarse {
    /// What a policy gets that asks for a field coarse which the platform grants plain;
    /// absent for kinds that cannot be coarse.
    pub fn of_plain(kind: Kind) -> Option<Coarse> {
        match kind {
            Kind::Integer | Kind::Float => Some(Coarse::Digits),
            Kind::Time => Some(Coarse::Unit(Unit::Hour)),
            Kind::Boolean | Kind::Text | Kind::Json => None,
        }
    }

    /// Why values of a kind cannot be made coarse in this way, if they cannot.
    pub fn misfit(self, kind: Kind) -> Option<&'static str> {
        match (self, kind) {
            (Coarse::Step(step), Kind::Integer) if step.fract() != 0.0 => Some("an integer needs a step that is whole"),
            (Coarse::Step(_) | Coarse::Digits, Kind::Integer | Kind::Float) => None,
            (Coarse::Unit(_), Kind::Time) | (Coarse::Geohash { .. }, Kind::Float) => None,
            (Coarse::Step(_) | Coarse::Digits, _) => Some("a step is for integers and floats"),
            (Coarse::Unit(_), _) => Some("a unit is for times"),
            (Coarse::Geohash { .. }, _) => Some("a geohash is for floats, in degrees"),
        }
    }

    pub(crate) fn integer(self, value: i64) -> Cell<'static> {
        match self {
            // Steps are from 1 to 1e15 (`super::publisher`), so whole ones are exact. There is
            // no integer below the least; it is its own step.
            Coarse::Step(step) => {
                let step = step as i64;
                Cell::Integer(value.div_euclid(step).checked_mul(step).unwrap_or(i64::MIN))
            }
            Coarse::Digits => Cell::Integer(two_digits_of_integer(value)),
            Coarse::Unit(_) | Coarse::Geohash { .. } => Cell::Absent,
        }
    }

    pub(crate) fn float(self, value: f64) -> Cell<'static> {
        match self {
            Coarse::Step(step) => Cell::Float(floor(value, step)),
            Coarse::Digits => Cell::Float(two_digits(value)),
            Coarse::Geohash { length, axis } => match middle(value, length, axis) {
                Some(middle) => Cell::Float(middle),
                None => Cell::Mistyped(match axis {
                    Axis::Latitude => "a number that is no latitude",
                    Axis::Longitude => "a number that is no longitude",
                }),
            },
            Coarse::Unit(_) => Cell::Absent,
        }
    }

    pub(crate) fn time(self, micros: i64) -> Cell<'static> {
        match self {
            // Times come from RFC 3339, so their years have four digits and the library
            // knows them.
            Coarse::Unit(unit) => begin(micros, unit).map_or(Cell::Absent, Cell::Time),
            _ => Cell::Absent,
        }
    }
}

/// The greatest multiple of the step that is not above the value.
///
/// The multiples, each rounded to a float, are a fixed grid, so that what is on it stays
/// where it is; division alone would take it down a step now and then. Where the step is
/// one of so many parts, such as 0.1, they are counted in parts: 0.7 is 7 / 10, and not
/// 7 * 0.1, which is more.
fn floor(value: f64, step: f64) -> f64 {
    if value.abs() >= step * STEPS_MAX {
        return value;
    }
    let parts = (1.0 / step).round();
    let in_parts = parts > 1.0 && 1.0 / parts == step;
    let at = |count: f64| if in_parts { count / parts } else { count * step };
    let count = (value / step).floor();
    if at(count) > value {
        at(count - 1.0)
    } else if at(count + 1.0) <= value {
        at(count + 1.0)
    } else {
        at(count)
    }
}

fn two_digits_of_integer(value: i64) -> i64 {
    let digits = value.unsigned_abs().checked_ilog10().unwrap_or_default();
    // At most 10^17: an integer has 19 digits.
    let step = 10i64.pow(digits.saturating_sub(1));
    value / step * step
}

/// The shortest decimal that reads as the number, with all but two digits cut off.
fn two_digits(value: f64) -> f64 {
    let text = format!("{value:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return value };
    // Sign, digit, point, digit.
    let end = digits.find('.').map_or(digits.len(), |point| (point + 2).min(digits.len()));
    format!("{}e{exponent}", &digits[..end]).parse().unwrap_or(value)
}

fn begin(micros: i64, unit: Unit) -> Option<i64> {
    const MINUTE: i64 = 60_000_000;
    let step = match unit {
        Unit::Minute => MINUTE,
        Unit::Hour => 60 * MINUTE,
        Unit::Day => 24 * 60 * MINUTE,
        Unit::Month | Unit::Year => {
            let date = OffsetDateTime::from_unix_timestamp(micros.div_euclid(1_000_000)).ok()?.date();
            let month = if unit == Unit::Month { date.month() } else { Month::January };
            let first = Date::from_calendar_date(date.year(), month, 1).ok()?;
            return first.with_time(Time::MIDNIGHT).assume_utc().unix_timestamp().checked_mul(1_000_000);
        }
    };
    Some(micros.div_euclid(step) * step)
}

/// The middle of the geohash cell that a coordinate is in, along its axis. Absent for
/// what is no coordinate.
///
/// Halves of halves of 90 and 180 have few digits: every bound and every middle is
/// exact.
fn middle(value: f64, length: u8, axis: Axis) -> Option<f64> {
    let bits = 5 * u32::from(length);
    // The bits take turns, longitude first.
    let (bound, bits) = match axis {
        Axis::Latitude => (90.0, bits / 2),
        Axis::Longitude => (180.0, bits.div_ceil(2)),
    };
    if !(-bound..=bound).contains(&value) {
        return None;
    }
    let (mut low, mut high) = (-bound, bound);
    for _ in 0..bits {
        let middle = (low + high) / 2.0;
        (low, high) = if value >= middle { (middle, high) } else { (low, middle) };
    }
    Some((low + high) / 2.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::column::time_micros;

    #[test]
    fn numbers_go_down_to_their_step() {
        for (value, step, expected) in [(1_234, 100.0, 1_200), (-1, 100.0, -100), (0, 7.0, 0), (i64::MIN, 100.0, i64::MIN)] {
            assert_eq!(Coarse::Step(step).integer(value), Cell::Integer(expected), "{value} to {step}");
        }
        for (value, step, expected) in [
            (0.7, 0.1, 0.7),
            (0.3, 0.1, 0.3),
            (0.29, 0.01, 0.29),
            (12.5, 5.0, 10.0),
            (-0.1, 0.5, -0.5),
            (7.1, 2.5, 5.0),
            (1e300, 0.1, 1e300),
        ] {
            assert_eq!(Coarse::Step(step).float(value), Cell::Float(expected), "{value} to {step}");
        }
    }

    #[test]
    fn without_a_step_two_digits_are_left() {
        for (value, expected) in [(1_234, 1_200), (-1_299, -1_200), (99, 99), (7, 7), (0, 0), (i64::MIN, -9_200_000_000_000_000_000)] {
            assert_eq!(Coarse::Digits.integer(value), Cell::Integer(expected), "{value}");
        }
        for (value, expected) in [(1_234.5, 1_200.0), (0.012_99, 0.012), (-1e-7, -1e-7), (9.99e22, 9.9e22), (0.0, 0.0)] {
            assert_eq!(Coarse::Digits.float(value), Cell::Float(expected), "{value}");
        }
    }

    #[test]
    fn times_go_back_to_the_beginning_of_their_unit() {
        let micros = |text: &str| time_micros(text).expect("a time");
        for (text, unit, expected) in [
            ("2024-02-29T23:59:59.999999Z", Unit::Minute, "2024-02-29T23:59:00Z"),
            ("2024-02-29T23:59:59.999999Z", Unit::Hour, "2024-02-29T23:00:00Z"),
            ("2024-02-29T23:59:59.999999Z", Unit::Day, "2024-02-29T00:00:00Z"),
            ("2024-02-29T23:59:59.999999Z", Unit::Month, "2024-02-01T00:00:00Z"),
            ("2024-02-29T23:59:59.999999Z", Unit::Year, "2024-01-01T00:00:00Z"),
            // In UTC it is still the year before.
            ("2024-01-01T07:59:59+08:00", Unit::Year, "2023-01-01T00:00:00Z"),
            ("1969-12-31T23:59:59.5Z", Unit::Day, "1969-12-31T00:00:00Z"),
            ("0001-01-01T00:00:00.5Z", Unit::Month, "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(Coarse::Unit(unit).time(micros(text)), Cell::Time(micros(expected)), "{text} to the {}", unit.name());
        }
    }

    /// The geohash of a position, by the letters that everybody uses.
    fn geohash(latitude: f64, longitude: f64, length: u8) -> String {
        const LETTERS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let (mut bounds, mut text) = ([(-180.0, 180.0), (-90.0, 90.0)], String::new());
        for at in 0..usize::from(length) {
            let mut letter = 0;
            for bit in 0..5 {
                let axis = (at * 5 + bit) % 2;
                let (low, high) = &mut bounds[axis];
                let middle = (*low + *high) / 2.0;
                letter *= 2;
                if [longitude, latitude][axis] >= middle {
                    letter += 1;
                    *low = middle;
                } else {
                    *high = middle;
                }
            }
            text.push(char::from(LETTERS[letter]));
        }
        text
    }

    /// The two examples of Wikipedia's article on geohashes, and a place in Columbus.
    #[test]
    fn pv_02_positions_are_in_the_middle_of_their_geohash_cell() {
        for (latitude, longitude, hash, middle_latitude, middle_longitude) in [
            (57.64911, 10.40744, "u4pruydqqvj", 57.649_110_630_154_61, 10.407_439_693_808_556),
            (42.605, -5.603, "ezs42", 42.604_980_468_75, -5.603_027_343_75),
            (39.961_176, -82.998_794, "dphgr6", 39.960_021_972_656_25, -82.996_215_820_312_5),
        ] {
            let length = hash.len() as u8;
            assert_eq!(geohash(latitude, longitude, length), hash);
            let of = |value, axis| match (Coarse::Geohash { length, axis }).float(value) {
                Cell::Float(value) => value,
                other => panic!("{other:?}"),
            };
            let (lat, lon) = (of(latitude, Axis::Latitude), of(longitude, Axis::Longitude));
            assert!((lat - middle_latitude).abs() < 1e-12 && (lon - middle_longitude).abs() < 1e-12, "{hash}: {lat} {lon}");
            assert_eq!(geohash(lat, lon, length), hash, "the middle is in the cell");
        }
        for (value, axis) in [(90.1, Axis::Latitude), (-180.5, Axis::Longitude)] {
            assert!(matches!(Coarse::Geohash { length: 6, axis }.float(value), Cell::Mistyped(_)), "{value}");
        }
    }

    fn coarse() -> impl Strategy<Value = Coarse> {
        prop_oneof![
            (1u64..1_000_000).prop_map(|step| Coarse::Step(step as f64)),
            (1e-6f64..1e6).prop_map(Coarse::Step),
            Just(Coarse::Digits),
            prop::sample::select(vec![Unit::Minute, Unit::Hour, Unit::Day, Unit::Month, Unit::Year]).prop_map(Coarse::Unit),
            (1..=GEOHASH_MAX, prop::sample::select(vec![Axis::Latitude, Axis::Longitude]))
                .prop_map(|(length, axis)| Coarse::Geohash { length, axis }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn coarse_is_idempotent_and_monotone(
            coarse in coarse(),
            one in prop_oneof![-180.0..180.0f64, any::<f64>().prop_filter("finite", |value| value.is_finite())],
            other in prop_oneof![-180.0..180.0f64, any::<f64>().prop_filter("finite", |value| value.is_finite())],
            integers in (any::<i64>(), any::<i64>()),
            // The times that RFC 3339 can say.
            times in (-62_135_596_800_000_000i64..253_402_300_800_000_000, -62_135_596_800_000_000i64..253_402_300_800_000_000),
        ) {
            let mut pairs = Vec::new();
            for kind in [Kind::Integer, Kind::Float, Kind::Time] {
                if coarse.misfit(kind).is_some() {
                    continue;
                }
                let show = |nth: usize| match kind {
                    Kind::Integer => [Cell::Integer(integers.0), Cell::Integer(integers.1)][nth].clone(),
                    Kind::Float => [Cell::Float(one), Cell::Float(other)][nth].clone(),
                    _ => [Cell::Time(times.0), Cell::Time(times.1)][nth].clone(),
                };
                pairs.push((show(0), show(1)));
            }
            let make = |cell: Cell<'static>| match cell {
                Cell::Integer(value) => coarse.integer(value),
                Cell::Float(value) => coarse.float(value),
                Cell::Time(value) => coarse.time(value),
                other => other,
            };
            let value = |cell: &Cell<'_>| match cell {
                Cell::Integer(value) | Cell::Time(value) => Some((*value, 0.0)),
                Cell::Float(value) => Some((0, *value)),
                _ => None,
            };
            for (one, other) in pairs {
                let (coarse_one, coarse_other) = (make(one.clone()), make(other.clone()));
                prop_assert_eq!(make(coarse_one.clone()), coarse_one.clone(), "made coarse again it stays");
                if let (Some(a), Some(b), Some(x), Some(y)) = (value(&coarse_one), value(&coarse_other), value(&one), value(&other)) {
                    prop_assert!((x <= y && a <= b) || (y <= x && b <= a), "{:?} {:?} became {:?} {:?}", one, other, coarse_one, coarse_other);
                }
            }
        }
    }
}
