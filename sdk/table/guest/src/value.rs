//! Values, and what can be asked of two.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use ephor_sdk::evidence::IntoEvidence as _;
use ephor_sdk::time::Time;

/// What an expression gives.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// `true` or `false`
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number that is not below this, and may be any above it: what a window knows that
    /// had more events than it keeps.
    AtLeast(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Time(i64),
    /// Microseconds.
    Duration(i64),
    /// Values of one type.
    List(Rc<Vec<Value<'a>>>),
}

impl<'a> Value<'a> {
    /// A list.
    pub fn list(values: Vec<Value<'a>>) -> Self {
        Self::List(Rc::new(values))
    }

    /// The same without a copy of its text.
    pub fn borrowed(&'a self) -> Self {
        match self {
            Self::Text(text) => Self::Text(Cow::Borrowed(text)),
            other => other.clone(),
        }
    }

    /// As it stands in the evidence, and as `string(…)` gives it.
    pub fn text(&self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => text.clone(),
            Self::Boolean(value) => Cow::Owned(value.into_evidence()),
            Self::Integer(value) => Cow::Owned(value.into_evidence()),
            Self::AtLeast(value) => Cow::Owned(format!("at least {value}")),
            Self::Float(value) => Cow::Owned(value.into_evidence()),
            Self::Time(micros) => Cow::Owned(Time(*micros).into_evidence()),
            Self::Duration(micros) => Cow::Owned(seconds(*micros)),
            Self::List(values) => {
                let texts: Vec<_> = values.iter().map(Value::text).collect();
                Cow::Owned(texts.join(", "))
            }
        }
    }

    /// Whether both are the same. Integers and floats are compared as numbers.
    pub fn equals(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Self::List(one), Value::List(other)) => {
                one.len() == other.len() && one.iter().zip(other.iter()).all(|(one, other)| one.equals(other))
            }
            _ => self.compare(other) == Some(Ordering::Equal),
        }
    }

    /// An order of all values of one type, for sorting: lists by their first difference.
    pub fn order(&self, other: &Value<'_>) -> Ordering {
        match (self, other) {
            (Self::List(one), Value::List(other)) => {
                let differences = one.iter().zip(other.iter()).map(|(one, other)| one.order(other));
                differences.fold(Ordering::Equal, Ordering::then).then(one.len().cmp(&other.len()))
            }
            _ => self.compare(other).unwrap_or(Ordering::Equal),
        }
    }

    /// Which is the greater; nothing if one is no number, or they are of two types.
    pub fn compare(&self, other: &Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (Self::Boolean(one), Value::Boolean(other)) => Some(one.cmp(other)),
            (Self::Integer(one), Value::Integer(other)) => Some(one.cmp(other)),
            (Self::Float(one), Value::Float(other)) => one.partial_cmp(other),
            (Self::Integer(one), Value::Float(other)) => mixed(*one, *other),
            (Self::Float(one), Value::Integer(other)) => mixed(*other, *one).map(Ordering::reverse),
            (Self::Text(one), Value::Text(other)) => Some(one.as_ref().cmp(other.as_ref())),
            (Self::Time(one), Value::Time(other)) | (Self::Duration(one), Value::Duration(other)) => Some(one.cmp(other)),
            _ => None,
        }
    }
}

/// A duration in seconds, as CEL writes it: `90s`, `0.25s`.
fn seconds(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let (whole, rest) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    let fraction = format!(".{rest:06}");
    let fraction = if rest == 0 { "" } else { fraction.trim_end_matches('0') };
    format!("{sign}{whole}{fraction}s")
}

/// Compares exactly: not every integer is a float.
fn mixed(integer: i64, float: f64) -> Option<Ordering> {
    /// The first float above all integers of 64 bits.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if float.is_nan() {
        return None;
    }
    if float >= BEYOND {
        return Some(Ordering::Less);
    }
    if float < -BEYOND {
        return Some(Ordering::Greater);
    }
    let whole = float.trunc();
    Some(integer.cmp(&(whole as i64)).then_with(|| whole.partial_cmp(&float).unwrap_or(Ordering::Equal)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_exactly() {
        for (integer, float, expected) in [
            (1, 1.0, Ordering::Equal),
            (1, 1.5, Ordering::Less),
            (-1, -1.5, Ordering::Greater),
            (i64::MAX, 9_223_372_036_854_775_808.0, Ordering::Less),
            (i64::MIN, -9_223_372_036_854_775_808.0, Ordering::Equal),
            ((1 << 53) + 1, 9_007_199_254_740_992.0, Ordering::Greater),
        ] {
            assert_eq!(Value::Integer(integer).compare(&Value::Float(float)), Some(expected), "{integer} {float}");
            assert_eq!(Value::Float(float).compare(&Value::Integer(integer)), Some(expected.reverse()), "{float} {integer}");
        }
        assert_eq!(Value::Integer(0).compare(&Value::Float(f64::NAN)), None);
    }

    #[test]
    fn values_as_texts() {
        assert_eq!([90_000_000, 250_000, -1_500_000, 0].map(seconds), ["90s", "0.25s", "-1.5s", "0s"]);
        assert_eq!(Value::list(vec![Value::Integer(1), Value::Integer(2)]).text(), "1, 2");
        assert_eq!(Value::Float(2000.0).text(), "2000");
    }
}
