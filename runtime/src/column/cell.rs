//! One field of one event.

use std::borrow::Cow;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Kind;

/// The value of a field in an event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell<'e> {
    /// Not there, or `null`.
    Absent,
    /// Of another type than declared; what it is instead.
    Mistyped(&'static str),
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(Cow<'e, str>),
    /// Microseconds since the Unix epoch.
    Time(i64),
    /// JSON source text.
    Json(&'e str),
}

impl<'e> Cell<'e> {
    /// Reads a JSON value, given as its source text, as a field of this type.
    pub(crate) fn read(kind: Kind, source: &'e str) -> Self {
        let first = source.as_bytes().first();
        if first == Some(&b'n') {
            return Cell::Absent;
        }
        match (kind, first) {
            (Kind::Json, _) => Cell::Json(source),
            (Kind::Boolean, Some(b't')) => Cell::Boolean(true),
            (Kind::Boolean, Some(b'f')) => Cell::Boolean(false),
            // "-" alone cannot be: the text was checked. Whatever is no integer
            // has a fraction or an exponent.
            (Kind::Integer, Some(b'-' | b'0'..=b'9')) => match source.parse() {
                Ok(value) => Cell::Integer(value),
                Err(_) => Cell::Mistyped("a number with a fraction or an exponent"),
            },
            (Kind::Float, Some(b'-' | b'0'..=b'9')) => match source.parse::<f64>() {
                Ok(value) if value.is_finite() => Cell::Float(value),
                _ => Cell::Mistyped("a number that is not finite"),
            },
            (Kind::Text, Some(b'"')) => match unescape(source) {
                Some(text) => Cell::Text(text),
                None => Cell::Mistyped("a broken string"),
            },
            (Kind::Time, Some(b'"')) => match unescape(source) {
                Some(text) => Cell::read_time(&text),
                None => Cell::Mistyped("a broken string"),
            },
            (_, first) => Cell::Mistyped(describe(first)),
        }
    }

    /// An attribute's text as a field of this type.
    pub(crate) fn read_text(kind: Kind, text: &'e str) -> Self {
        match kind {
            Kind::Text => Cell::Text(Cow::Borrowed(text)),
            Kind::Time => Cell::read_time(text),
            _ => Cell::Mistyped("a string"),
        }
    }

    /// An attribute that came in a header, given as a JSON string, as a field of
    /// this type: its text is what the JSON value would be (CloudEvents, section
    /// "Type System", canonical string representation).
    pub(crate) fn read_header(kind: Kind, source: &'e str) -> Self {
        let inner = source.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        match (kind, inner) {
            (Kind::Boolean, Some("true")) => Cell::Boolean(true),
            (Kind::Boolean, Some("false")) => Cell::Boolean(false),
            // A header is not JSON that was checked: only what JSON would accept
            // as a number is one.
            (Kind::Integer | Kind::Float, Some(inner)) if serde_json::from_str::<serde_json::Number>(inner).is_ok() => {
                Cell::read(kind, inner.trim())
            }
            (Kind::Boolean | Kind::Integer | Kind::Float, _) => Cell::Mistyped("a string"),
            _ => Cell::read(kind, source),
        }
    }

    /// Reads a JSON value of whatever type, as long as it is a single one: a string, a
    /// number or a boolean.
    pub(crate) fn read_scalar(source: &'e str) -> Self {
        match source.as_bytes().first() {
            Some(b'"') => Cell::read(Kind::Text, source),
            Some(b't' | b'f') => Cell::read(Kind::Boolean, source),
            Some(b'-' | b'0'..=b'9') => match Cell::read(Kind::Integer, source) {
                Cell::Mistyped(_) if source.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) => Cell::read(Kind::Float, source),
                // As a float it would be equal to its neighbours.
                Cell::Mistyped(_) => Cell::Mistyped("an integer beyond 64 bits"),
                integer => integer,
            },
            _ => Cell::read(Kind::Boolean, source),
        }
    }

    /// An attribute's text, given as JSON: what stands in a header where the attribute
    /// is in one.
    pub(crate) fn read_attribute(source: &'e str) -> Self {
        match source.as_bytes().first() {
            Some(b't' | b'f' | b'-' | b'0'..=b'9') => Cell::Text(Cow::Borrowed(source)),
            _ => Cell::read(Kind::Text, source),
        }
    }

    /// The value as JSON: a time in microseconds, and nothing for what is absent or mistyped.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Cell::Absent | Cell::Mistyped(_) => Value::Null,
            Cell::Boolean(value) => (*value).into(),
            Cell::Integer(value) | Cell::Time(value) => (*value).into(),
            // Negative zero is zero, as in a key.
            Cell::Float(value) => (value + 0.0).into(),
            Cell::Text(text) => Value::from(&**text),
            Cell::Json(source) => serde_json::from_str(source).unwrap_or_default(),
        }
    }

    fn read_time(text: &str) -> Self {
        match time_micros(text) {
            Some(micros) => Cell::Time(micros),
            None => Cell::Mistyped("a string that is no RFC 3339 date-time"),
        }
    }

    /// Appends the value with its type and, where it can differ, its length: no two
    /// lists of values have the same bytes.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut put = |tag: u8, value: &[u8]| {
            out.push(tag);
            out.extend_from_slice(value);
        };
        match self {
            Cell::Boolean(value) => put(b'b', &[u8::from(*value)]),
            Cell::Integer(value) => put(b'i', &value.to_le_bytes()),
            // Negative zero is zero: they are equal as numbers.
            Cell::Float(value) => put(b'f', &(value + 0.0).to_bits().to_le_bytes()),
            Cell::Time(value) => put(b'm', &value.to_le_bytes()),
            Cell::Text(value) => {
                put(b't', &(value.len() as u64).to_le_bytes());
                out.extend_from_slice(value.as_bytes());
            }
            Cell::Json(value) => {
                put(b'j', &(value.len() as u64).to_le_bytes());
                out.extend_from_slice(value.as_bytes());
            }
            Cell::Absent | Cell::Mistyped(_) => put(b'-', &[]),
        }
    }
}

/// An RFC 3339 date-time (section 5.6), in microseconds since 1970; finer fractions
/// are cut off. The library takes any separator between date and time; the grammar
/// has "T" alone.
pub fn time_micros(text: &str) -> Option<i64> {
    if !matches!(text.as_bytes().get(10), Some(b'T' | b't')) {
        return None;
    }
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000)).ok()
}

fn unescape(source: &str) -> Option<Cow<'_, str>> {
    let inner = source.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(source).ok().map(Cow::Owned)
}

fn describe(first: Option<&u8>) -> &'static str {
    match first {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'-' | b'0'..=b'9') => "a number",
        _ => "nothing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_the_type_that_is_declared() {
        assert_eq!(Cell::read_header(Kind::Integer, "\"7\""), Cell::Integer(7));
        assert_eq!(Cell::read_header(Kind::Boolean, "\"true\""), Cell::Boolean(true));
        assert_eq!(Cell::read_header(Kind::Text, "\"7\""), Cell::Text("7".into()));
        for (kind, source) in [(Kind::Integer, "\"007\""), (Kind::Float, "\"1.\""), (Kind::Boolean, "\"tomorrow\"")] {
            assert_eq!(Cell::read_header(kind, source), Cell::Mistyped("a string"), "{source}");
        }
    }

    #[test]
    fn a_scalar_is_read_with_the_type_that_it_has() {
        for (source, expected) in [
            ("\"1\"", Cell::Text("1".into())),
            ("1", Cell::Integer(1)),
            ("1.0", Cell::Float(1.0)),
            ("1e2", Cell::Float(100.0)),
            ("true", Cell::Boolean(true)),
            ("null", Cell::Absent),
            ("9223372036854775808", Cell::Mistyped("an integer beyond 64 bits")),
            ("{}", Cell::Mistyped("an object")),
            ("[1]", Cell::Mistyped("an array")),
        ] {
            assert_eq!(Cell::read_scalar(source), expected, "{source}");
        }
        for (source, expected) in [("7", "7"), ("\"7\"", "7"), ("true", "true")] {
            assert_eq!(Cell::read_attribute(source), Cell::Text(expected.into()), "{source}");
        }
    }

    #[test]
    fn each_type_reads_its_own_json_and_nothing_else() {
        use Cell::{Absent, Boolean, Float, Integer, Json, Mistyped, Text, Time};
        for (kind, source, expected) in [
            (Kind::Boolean, "true", Boolean(true)),
            (Kind::Boolean, "0", Mistyped("a number")),
            (Kind::Integer, "-9223372036854775808", Integer(i64::MIN)),
            (Kind::Integer, "1.0", Mistyped("a number with a fraction or an exponent")),
            (Kind::Integer, "\"1\"", Mistyped("a string")),
            (Kind::Float, "2", Float(2.0)),
            (Kind::Float, "-1.5e3", Float(-1500.0)),
            (Kind::Text, r#""a\n\u00e9""#, Text("a\né".into())),
            (Kind::Text, "{}", Mistyped("an object")),
            (Kind::Time, r#""1970-01-01T01:00:00.0000019+01:00""#, Time(1)),
            (Kind::Time, r#""1969-12-31T23:59:59.9999999Z""#, Time(-1)),
            (Kind::Time, r#""2026-02-30T00:00:00Z""#, Mistyped("a string that is no RFC 3339 date-time")),
            (Kind::Time, r#""2026-02-26 18:31:58Z""#, Mistyped("a string that is no RFC 3339 date-time")),
            (Kind::Json, "[1, 2]", Json("[1, 2]")),
            (Kind::Json, "null", Absent),
            (Kind::Text, "null", Absent),
        ] {
            assert_eq!(Cell::read(kind, source), expected, "{kind} from {source}");
        }
    }
}
