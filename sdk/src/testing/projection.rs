//! Events to columns, as the contract says.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::forms;
use crate::reference::column;
use crate::time;
use crate::wit::ephor::policy::{
    columns::{Booleans, Column, Floats, Integers},
    evaluation::{Batch, Keys},
    manifest::{Field, Form, Kind, Manifest},
};

/// Whether `text` matches `pattern`, in which `*` is any run of characters.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// The pointer of the first field that keeps the policy from being asked.
pub(super) fn unreadable<'m>(manifest: &'m Manifest, event: &Value) -> Option<&'m str> {
    let unreadable = |field: &&Field| match (at(event, &field.pointer), field.form) {
        (None, _) => field.required,
        (Some(value), Form::Pseudonym) => !forms::has_pseudonym(value),
        (Some(value), _) => !is(value, field.kind),
    };
    manifest.fields.iter().find(unreadable).map(|field| field.pointer.as_str())
}

/// What the policy sees of a field, in a readable event.
fn seen<'e>(event: &'e Value, field: &Field) -> Option<Cow<'e, Value>> {
    at(event, &field.pointer).map(|value| forms::show(field, value))
}

fn at<'e>(event: &'e Value, pointer: &str) -> Option<&'e Value> {
    event.pointer(pointer).filter(|value| !value.is_null())
}

fn is(value: &Value, kind: Kind) -> bool {
    match kind {
        Kind::Boolean => value.is_boolean(),
        Kind::Integer => value.is_i64(),
        Kind::Float => value.is_number(),
        Kind::Text => value.is_string(),
        Kind::Time => value.as_str().and_then(time::parse).is_some(),
        Kind::Json => true,
    }
}

/// One text for each list of values, so that equal values have the same key.
pub(super) fn key(values: &[Value]) -> String {
    Value::from(values).to_string()
}

pub(super) fn key_of(manifest: &Manifest, event: &Value) -> String {
    let indices = manifest.keyed.iter().flat_map(|keyed| &keyed.key);
    let values: Vec<_> = indices
        .map(|&index| {
            let field = &manifest.fields[usize::from(index)];
            let value = seen(event, field).expect("a field of the key is required");
            // Two spellings of one point in time, or of one number, are one key.
            match field.kind {
                Kind::Time => value.as_str().and_then(time::parse).map(|time| time.0).into(),
                Kind::Float => value.as_f64().map(|float| float + 0.0).into(),
                _ => value.into_owned(),
            }
        })
        .collect();
    key(&values)
}

/// The keys in the order of their first rows, and for each row the index of its key.
pub(super) fn distinct(keys: &[String]) -> (Vec<String>, Vec<u32>) {
    let mut names = Vec::new();
    let mut seen = HashMap::new();
    let of_row = keys
        .iter()
        .map(|key| {
            *seen.entry(key).or_insert_with(|| {
                names.push(key.clone());
                u32::try_from(names.len() - 1).expect("rows are counted in 32 bits")
            })
        })
        .collect();
    (names, of_row)
}

/// `events` are readable ones, `keys` has one for each.
pub(super) fn batch(manifest: &Manifest, events: &[&Value], keys: &[String], states: &BTreeMap<String, Vec<u8>>) -> Batch {
    let columns = manifest.fields.iter().map(|field| {
        let values: Vec<_> = events.iter().map(|event| seen(event, field)).collect();
        let values: Vec<_> = values.iter().map(Option::as_deref).collect();
        fill(field.kind, &values)
    });
    Batch {
        rows: u32::try_from(events.len()).expect("rows are counted in 32 bits"),
        columns: columns.collect(),
        keys: manifest.keyed.is_some().then(|| {
            let (names, of_row) = distinct(keys);
            let states = names.iter().map(|name| states.get(name).cloned()).collect();
            Keys { of_row, states }
        }),
    }
}

fn fill(kind: Kind, values: &[Option<&Value>]) -> Column {
    let present = bitmap(values.iter().map(Option::is_some));
    let integers = |read: fn(&Value) -> Option<i64>| Integers {
        present: present.clone(),
        values: values.iter().map(|it| it.and_then(read).unwrap_or_default()).collect(),
    };
    match kind {
        Kind::Boolean => {
            Column::Booleans(Booleans { present, values: bitmap(values.iter().map(|it| it.and_then(Value::as_bool) == Some(true))) })
        }
        Kind::Integer => Column::Integers(integers(Value::as_i64)),
        Kind::Time => Column::Times(integers(|value| value.as_str().and_then(time::parse).map(|time| time.0))),
        Kind::Float => {
            Column::Floats(Floats { present, values: values.iter().map(|it| it.and_then(Value::as_f64).unwrap_or_default()).collect() })
        }
        Kind::Text => {
            let texts: Vec<_> = values.iter().map(|it| it.and_then(Value::as_str)).collect();
            Column::Texts(column(&texts))
        }
        Kind::Json => {
            let texts: Vec<_> = values.iter().map(|it| it.map(Value::to_string)).collect();
            Column::Json(column(&texts))
        }
    }
}

fn bitmap(bits: impl ExactSizeIterator<Item = bool>) -> Vec<u8> {
    let mut bitmap = vec![0; bits.len().div_ceil(8)];
    for (row, bit) in bits.enumerate() {
        bitmap[row / 8] |= u8::from(bit) << (row % 8);
    }
    bitmap
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("retail.*.line", "retail.invoice.line", true),
            ("retail.*.line", "retail..line", true),
            ("retail.*.line", "retail.line", false),
            ("retail.*.line", "retail.a.b.line", true),
            ("*", "", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*ab*ab", "ab", false),
            ("*ab*ab", "abxab", true),
            ("a*b*c", "abcbc", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }
}
