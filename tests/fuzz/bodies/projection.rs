//! Fields out of events, held against look-ups in the parsed value: `serde_json`'s, and those
//! of another reader. Each line is a pointer and a type, up to an empty one; then an event in
//! structured mode, or behind a line `binary` one in binary mode.

use ephor::column::{Kind, time_micros};
use ephor::event::Event;
use ephor::fuzz::{Shown, project};
use ephor::policy::Manifest;
use serde_json::{Value, json};

use super::json::{Json, integer, read};
use super::{event, heading};

pub fn body(bytes: &[u8]) {
    let (lines, rest) = heading(bytes);
    let fields: Vec<(String, Kind)> = lines.into_iter().take(16).filter_map(field).collect();
    if fields.is_empty() {
        return;
    }
    if let Some(rest) = rest.strip_prefix(b"binary\n") {
        let Some(event) = event::binary(rest) else { return };
        for ((pointer, kind), shown) in fields.iter().zip(project(&event, &fields)) {
            is_of_header(&event, pointer, *kind, &shown);
        }
        return;
    }
    let Some((event, json)) = event::structured(rest) else { return };
    let value: Value = serde_json::from_slice(rest).expect("an event is JSON");
    let together = project(&event, &fields);
    for (field, shown) in fields.iter().zip(&together) {
        let (pointer, kind) = field;
        let written = json.pointer(pointer);
        is_shown(pointer, *kind, written, shown);
        is_by_serde(*kind, value.pointer(pointer), shown);
        // What one policy is shown does not depend on what others are.
        assert_eq!(project(&event, std::slice::from_ref(field)), std::slice::from_ref(shown), "{pointer}");
    }
}

/// A field that a manifest may have.
fn field(line: &[u8]) -> Option<(String, Kind)> {
    let (pointer, kind) = std::str::from_utf8(line).ok()?.rsplit_once(' ')?;
    let kind: Kind = serde_json::from_value(kind.into()).ok()?;
    let manifest = json!({
        "name": "a", "version": "1", "summary": "", "events": ["*"], "keyed": null, "lists": [], "settings_schema": "",
        "fields": [{"pointer": pointer, "kind": kind, "required": false, "purpose": "p"}],
        "rules": [{"id": "a", "action": "flag", "severity": "low", "legal_basis": "p", "messages": [{"language": "en", "text": ""}]}],
    });
    let manifest: Manifest = serde_json::from_value(manifest).expect("a manifest");
    manifest.problems().is_empty().then(|| (pointer.to_string(), kind))
}

/// Attributes that are texts in every event that has them.
const TEXTS: [&str; 6] = ["/id", "/source", "/type", "/subject", "/time", "/specversion"];

fn is_shown(pointer: &str, kind: Kind, written: Option<&Json>, shown: &Shown) {
    let Some(written) = written.filter(|value| **value != Json::Null) else {
        return assert_eq!(*shown, Shown::Absent, "{pointer} as {kind}");
    };
    match (kind, written, shown) {
        (Kind::Boolean, Json::Boolean(value), Shown::Boolean(found)) => assert_eq!(found, value),
        (Kind::Integer, Json::Number(text), Shown::Integer(found)) => assert_eq!(integer(text), Some(Some(*found)), "{text}"),
        (Kind::Integer, Json::Number(text), Shown::Mistyped(_)) => assert_eq!(integer(text), None, "{text}"),
        (Kind::Float, Json::Number(text), Shown::Float(found)) => assert_eq!(text.parse().map(f64::to_bits), Ok(found.to_bits()), "{text}"),
        (Kind::Text, Json::Text(text), Shown::Text(found)) => assert_eq!(found, text),
        (Kind::Time, Json::Text(text), Shown::Time(found)) => {
            assert_eq!(time_micros(text), Some(*found), "{text:?}");
            is_moment(text, *found);
        }
        (Kind::Time, Json::Text(text), Shown::Mistyped(_)) => assert_eq!(time_micros(text), None, "{text:?}"),
        (Kind::Json, _, Shown::Json(source)) => assert_eq!(read(source).as_ref(), Ok(written)),
        (Kind::Json, _, Shown::Mistyped(_)) if TEXTS.contains(&pointer) => {}
        (_, _, Shown::Mistyped(_)) => {
            let fits = match written {
                Json::Boolean(_) => kind == Kind::Boolean,
                Json::Number(_) => matches!(kind, Kind::Integer | Kind::Float),
                Json::Text(_) => matches!(kind, Kind::Text | Kind::Time),
                _ => false,
            };
            assert!(!fits && kind != Kind::Json, "{pointer} as {kind} is {written:?}, shown as {shown:?}");
        }
        _ => panic!("{pointer} as {kind} is {written:?}, shown as {shown:?}"),
    }
}

/// The same by serde_json, whose numbers may be off by a last digit.
fn is_by_serde(kind: Kind, found: Option<&Value>, shown: &Shown) {
    let found = found.unwrap_or(&Value::Null);
    match shown {
        Shown::Absent => assert!(found.is_null(), "{found}"),
        Shown::Mistyped(_) => assert!(!found.is_null(), "{found}"),
        Shown::Boolean(value) => assert_eq!(found.as_bool(), Some(*value)),
        // It reads -0 as a float.
        Shown::Integer(value) => assert_eq!(found.as_i64().or_else(|| found.as_f64().filter(|zero| *zero == 0.0).map(|_| 0)), Some(*value)),
        Shown::Float(value) => {
            let other = found.as_f64().expect("a number");
            assert!((other - value).abs() <= (value.abs() * f64::EPSILON).max(5e-324), "{other} and {value}");
        }
        Shown::Text(text) => assert_eq!(found.as_str(), Some(text.as_str())),
        Shown::Time(_) => assert!(found.is_string() && kind == Kind::Time),
        Shown::Json(source) => assert_eq!(&serde_json::from_str::<Value>(source).expect("JSON"), found),
    }
}

/// A date-time, counted by hand (RFC 3339, section 5.6).
fn is_moment(text: &str, micros: i64) {
    let bytes = text.as_bytes();
    let number = |range: std::ops::Range<usize>| {
        text.get(range).and_then(|digits| digits.parse::<i64>().ok()).unwrap_or_else(|| panic!("{text:?} has no number"))
    };
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let (hour, minute, second) = (number(11..13), number(14..16), number(17..19));
    let zone = text.len() - if bytes.ends_with(b"Z") || bytes.ends_with(b"z") { 1 } else { 6 };
    let offset = match bytes[zone] {
        b'Z' | b'z' => 0,
        sign => (number(zone + 1..zone + 3) * 60 + number(zone + 4..zone + 6)) * if sign == b'-' { -60 } else { 60 },
    };
    let fraction: String = text[19..zone].trim_start_matches('.').chars().chain("000000".chars()).take(6).collect();
    // A leap second is whatever it is taken for.
    if second == 60 {
        return;
    }
    // Days from 0000-03-01, so that a leap day is the last of its year.
    let (shifted, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = shifted * 365 + shifted.div_euclid(4) - shifted.div_euclid(100) + shifted.div_euclid(400) + (153 * month + 2) / 5 + day
        - 1
        - 719_468;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset;
    assert_eq!(micros, seconds * 1_000_000 + fraction.parse::<i64>().expect("digits"), "{text:?}");
}

/// What a header holds is the text of what the value would be.
fn is_of_header(event: &Event, pointer: &str, kind: Kind, shown: &Shown) {
    let name = &pointer[1..];
    if name == "data" || name.starts_with("data/") {
        let data = event.data().map(|data| read(data).expect("data is JSON"));
        let inside = data.as_ref().and_then(|data| data.pointer(&name["data".len()..]));
        return is_shown(pointer, kind, inside, shown);
    }
    let text = match name {
        "id" => Some(event.id().to_string()),
        "source" => Some(event.source().to_string()),
        "type" => Some(event.kind().to_string()),
        "subject" => event.subject().map(str::to_string),
        "time" => event.time().map(str::to_string),
        "specversion" => Some("1.0".to_string()),
        other => event.other(other).map(|source| serde_json::from_str(source).expect("a text")),
    };
    let Some(text) = text else {
        return assert_eq!(*shown, Shown::Absent, "{pointer} as {kind}");
    };
    let is_text = TEXTS.contains(&pointer);
    match (kind, shown) {
        (Kind::Text, Shown::Text(found)) => assert_eq!(*found, text),
        (Kind::Time, Shown::Time(found)) => is_moment(&text, *found),
        (Kind::Json, Shown::Json(source)) => assert_eq!(read(source), Ok(Json::Text(text))),
        (Kind::Boolean, Shown::Boolean(found)) => assert!(!is_text && text == found.to_string()),
        (Kind::Integer, Shown::Integer(found)) => {
            assert!(!is_text && read(&text).is_ok(), "{text:?}");
            assert_eq!(text.trim().parse(), Ok(*found), "{text:?}");
        }
        (Kind::Float, Shown::Float(found)) => {
            assert!(!is_text && read(&text).is_ok(), "{text:?}");
            assert_eq!(text.trim().parse().map(f64::to_bits), Ok(found.to_bits()), "{text:?}");
        }
        (Kind::Text, _) => panic!("{pointer} is {text:?}, shown as {shown:?}"),
        (_, Shown::Mistyped(_)) => {}
        _ => panic!("{pointer} as {kind} is {text:?}, shown as {shown:?}"),
    }
}
