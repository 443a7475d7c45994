//! Events in every mode: what is taken is an event by another reader's word, and what is
//! refused has the reason that is given.
//!
//! The first line is `structured`, `batch` or `binary`. In binary mode lines with headers
//! follow, up to an empty one.

use std::collections::BTreeMap;

use ephor::event::Event;
use ephor::ingest::{self, Limits, Place, Rejection, RejectionKind};
use ephor::reserved;
use serde_json::Value;

use super::json::{Json, Not, read};
use super::{headed, heading, is_pointer};

pub fn body(bytes: &[u8]) {
    let (mode, rest) = headed(bytes);
    match mode {
        b"batch" => batch(rest),
        b"binary" => {
            binary(rest);
        }
        _ => {
            structured(rest);
        }
    }
}

/// Bounds that short inputs reach.
fn limits() -> Limits {
    Limits { event_bytes_max: 8 << 10, attribute_bytes_max: 64, attributes_max: 12, depth_max: 8, batch_events_max: 4, ..Limits::default() }
}

/// Reads one event in structured mode and holds it against what it should be.
pub fn structured(text: &[u8]) -> Option<(Event, Json)> {
    let limits = limits();
    match ingest::structured(text, &limits) {
        Ok(event) => {
            let text = std::str::from_utf8(text).expect("an event is UTF-8");
            let json = read(text).expect("an event is JSON");
            is_as_written(&event, &json, text);
            is_strict(&json, &limits);
            is_read_again(&event, &limits);
            Some((event, json))
        }
        Err(rejection) => {
            has_reason(&rejection, text, &limits);
            None
        }
    }
}

fn is_as_written(event: &Event, json: &Json, text: &str) {
    // The parser that everybody has reads the same.
    let value: Value = serde_json::from_str(text).expect("serde_json takes it");
    let is = |name: &str, found: Option<&str>| {
        let written = match json.get(name) {
            Some(Json::Text(text)) => Some(text.as_str()),
            None | Some(Json::Null) => None,
            other => panic!("{name} is {other:?}"),
        };
        assert_eq!(found, written, "{name}");
        assert_eq!(value[name].as_str(), written, "{name}, by serde_json");
    };
    is("specversion", Some("1.0"));
    is("id", Some(event.id()));
    is("source", Some(event.source()));
    is("type", Some(event.kind()));
    is("subject", event.subject());
    is("time", event.time());
    assert!(!event.id().is_empty() && !event.source().is_empty() && !event.kind().is_empty());
    assert_eq!(event.time().is_some(), event.time_micros().is_some());
    let data = event.data().map(|data| read(data).expect("data is JSON"));
    assert_eq!(data.as_ref(), json.get("data"), "data");
    for (name, source) in event.others() {
        assert_eq!(Some(&read(source).expect("JSON")), json.get(name), "{name}");
    }
    let Json::Object(members) = json else { panic!("an event is an object") };
    let own = ["specversion", "id", "source", "type", "subject", "time", "data", "data_base64"];
    let others = members.iter().filter(|(name, value)| !own.contains(&name.as_str()) && *value != Json::Null).count();
    assert_eq!(event.others().count(), others);
}

/// An event that is taken is read the same by every parser.
fn is_strict(json: &Json, limits: &Limits) {
    assert!(!json.has_duplicates(), "a name is there twice");
    assert!(!json.has_unfit_numbers(), "a number does not fit");
    assert!(json.levels() <= limits.depth_max, "{} levels", json.levels());
}

/// What is kept of an event is the event.
fn is_read_again(event: &Event, limits: &Limits) {
    let content = event.content();
    assert_eq!(content.digest(), *event.digest());
    let again = ingest::content(&content, limits).expect("what was an event is one");
    assert_eq!(again.content(), content);
    assert_eq!((again.source(), again.id(), again.kind(), again.subject()), (event.source(), event.id(), event.kind(), event.subject()));
    assert_eq!((again.time_micros(), again.data(), again.digest()), (event.time_micros(), event.data(), event.digest()));
    // What came in headers comes back in the order of the names.
    let in_order = |event: &'_ Event| event.others().map(|(name, value)| (name.to_string(), value.to_string())).collect::<BTreeMap<_, _>>();
    assert_eq!(in_order(&again), in_order(event));
    let parts = content.parts();
    if content.attributes().next().is_some() {
        assert_eq!(ephor::content::Content::of_parts(&parts).as_ref(), Some(&content));
    }
}

/// What is refused has the fault that is named.
fn has_reason(rejection: &Rejection, text: &[u8], limits: &Limits) {
    let Rejection { kind, place, detail, .. } = rejection;
    assert!(detail.len() <= 520, "{} bytes of detail", detail.len());
    if let Place::Pointer(pointer) = place {
        assert!(is_pointer(pointer) || pointer.ends_with('…'), "{pointer:?} is no pointer");
        assert!(pointer.len() <= 1_030);
    }
    let utf8 = std::str::from_utf8(text);
    let bad_text = utf8.is_err() || text.starts_with(b"\xEF\xBB\xBF");
    if bad_text || *kind == RejectionKind::Encoding {
        assert!(
            matches!(kind, RejectionKind::Encoding | RejectionKind::TooLarge) && (bad_text || text.len() > limits.event_bytes_max),
            "{rejection}"
        );
        return;
    }
    let json = read(utf8.unwrap_or_default());
    let Ok(json) = json else {
        // Whatever was wrong in front of that is said in the place of it.
        assert!(json == Err(Not::Deep) || *kind != RejectionKind::Reserved, "{rejection}");
        return;
    };
    let text_of = |name| match json.get(name) {
        Some(Json::Text(text)) => text.as_str(),
        _ => "",
    };
    let has = |name| !matches!(json.get(name), None | Some(Json::Null));
    let members = if let Json::Object(members) = &json { members.len() } else { 0 };
    let holds = match kind {
        // A text is held against this reader, which is as strict.
        RejectionKind::Syntax | RejectionKind::Encoding => false,
        RejectionKind::Depth => json.levels() > limits.depth_max,
        RejectionKind::DuplicateName => json.has_duplicates(),
        RejectionKind::Number => json.has_unfit_numbers(),
        RejectionKind::MissingAttribute => ["specversion", "id", "source", "type"].iter().any(|name| !has(name)),
        RejectionKind::InvalidAttribute => members > 0 && matches!(place, Place::Pointer(pointer) if !pointer.is_empty()),
        RejectionKind::SpecVersion => text_of("specversion") != "1.0",
        RejectionKind::TooLarge => text.len() > limits.event_bytes_max || members > limits.attributes_max,
        RejectionKind::Reserved => reserved::is_own_source(text_of("source")) || reserved::is_own_type(text_of("type")),
        RejectionKind::NotAnEvent => !matches!(json, Json::Object(_)),
    };
    assert!(holds, "{rejection}");
}

/// Each item of a batch is judged as if it were alone.
fn batch(text: &[u8]) {
    let limits = limits();
    let Ok(items) = ingest::batch(text, &limits) else { return };
    assert!(items.len() <= limits.batch_events_max);
    let text = std::str::from_utf8(text).expect("a batch is UTF-8");
    match read(text) {
        Ok(Json::Array(expected)) => {
            for (item, expected) in items.iter().zip(&expected) {
                let Ok(event) = item else { continue };
                assert!(matches!(expected.get("id"), Some(Json::Text(id)) if id == event.id()));
                is_strict(expected, &limits);
                is_read_again(event, &limits);
            }
            assert_eq!(items.len(), expected.len());
        }
        // What is wrong inside of an item is that item's fault.
        Err(_) => assert!(items.iter().any(Result::is_err), "a batch of events is JSON"),
        Ok(other) => panic!("a batch is an array, and this is {other:?}"),
    }
}

/// Reads one event in binary mode and holds it against what it should be.
pub fn binary(bytes: &[u8]) -> Option<Event> {
    let limits = limits();
    let (lines, body) = heading(bytes);
    let mut headers: Vec<(String, &[u8])> = Vec::new();
    let mut content_type = None;
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        // As hyper gives them: names in lower case, values without white space around.
        let (name, value) = (String::from_utf8_lossy(&line[..colon]).to_lowercase(), line[colon + 1..].trim_ascii());
        match name.as_str() {
            "content-type" => content_type = std::str::from_utf8(value).ok(),
            _ => headers.push((name, value)),
        }
    }
    let given = headers.iter().map(|(name, value)| (name.as_str(), *value));
    match ingest::binary(given, content_type, body, &limits) {
        Ok(event) => {
            if let Some(data) = event.data() {
                let json = read(data).expect("data is JSON");
                assert!(!json.has_duplicates() && !json.has_unfit_numbers() && json.levels() < limits.depth_max);
            }
            is_read_again(&event, &limits);
            Some(event)
        }
        Err(rejection) => {
            let Rejection { kind, place, .. } = &rejection;
            let json = std::str::from_utf8(body).ok().map(read);
            let found = |holds: fn(&Json) -> bool| json.as_ref().is_some_and(|json| json.as_ref().is_ok_and(holds));
            match kind {
                RejectionKind::Syntax => assert_eq!(json, Some(Err(Not::Json)), "{rejection}"),
                RejectionKind::DuplicateName if !matches!(place, Place::Header(_)) => {
                    assert!(!found(|json| !json.has_duplicates()), "{rejection}");
                }
                RejectionKind::Number => assert!(!found(|json| !json.has_unfit_numbers()), "{rejection}"),
                RejectionKind::Depth => assert!(!found(|json| json.levels() < 8), "{rejection}"),
                _ => {}
            }
            None
        }
    }
}
