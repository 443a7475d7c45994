//! Events that tests send, and what comes back for them.

use serde_json::{Value, json};

/// A retail invoice line: what the guests and `negative-list` are asked about.
pub fn listing(id: impl std::fmt::Display, description: &str) -> Value {
    json!({
        "specversion": "1.0",
        "id": id.to_string(),
        "source": "/tests",
        "type": "retail.invoice.line",
        "subject": "sku/1",
        "time": "2026-01-02T03:04:05Z",
        "datacontenttype": "application/json",
        "data": {"invoice": "1", "sku": "1", "description": description, "quantity": 1, "unit_price": 1.0, "customer": "c", "country": "x"},
    })
}

/// One event a line.
pub fn ndjson(events: impl IntoIterator<Item = Value>) -> String {
    events.into_iter().map(|event| format!("{event}\n")).collect()
}

/// The answers' findings of one policy.
pub fn findings<'a>(answer: &'a Value, policy: &'a str) -> impl Iterator<Item = &'a Value> {
    entries(answer, "findings", policy)
}

/// The answers' faults of one policy.
pub fn faults<'a>(answer: &'a Value, policy: &'a str) -> impl Iterator<Item = &'a Value> {
    entries(answer, "faults", policy)
}

fn entries<'a>(answer: &'a Value, list: &str, policy: &'a str) -> impl Iterator<Item = &'a Value> {
    let entries = answer[list].as_array().map(Vec::as_slice).unwrap_or_default();
    entries.iter().filter(move |entry| entry["policy"] == policy)
}

/// A string member.
///
/// # Panics
///
/// If it is not there, with the whole value.
pub fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("no text {member:?} in {value}"))
}

/// The sequence of an answer.
///
/// # Panics
///
/// If it has none, with the whole answer.
pub fn sequence(answer: &Value) -> u64 {
    answer["sequence"].as_u64().unwrap_or_else(|| panic!("no sequence in {answer}"))
}
