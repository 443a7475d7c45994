//! Binary mode: attributes in headers, data in the body (CloudEvents HTTP
//! protocol binding 1.0.2, section 3.1).

use std::borrow::Cow;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode, percent_encode};

use super::Limits;
use super::attribute::{self, REQUIRED, SPEC_VERSION};
use super::json;
use super::rejection::{Place, Rejection, RejectionKind, from_outside};
use super::structured::{any_structured, structured, utf8};
use crate::column::time_micros;
use crate::content::Content;
use crate::digest::Digest;
use crate::event::{Data, Event, Members, Piece};
use crate::reserved;

/// Prefix of the headers that hold attributes.
const PREFIX: &str = "ce-";

/// Reads one event from headers and body.
///
/// `headers` has lower-case names and may hold others than `ce-`; values are
/// percent-decoded (section 3.1.3.2). A body of a JSON media type, or without
/// any, is `data`; any other is opaque, and no field can be projected out of it.
///
/// # Errors
///
/// What is wrong with it, with the header or the JSON pointer at fault.
pub fn binary<'a>(
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    content_type: Option<&str>,
    body: &[u8],
    limits: &Limits,
) -> Result<Event, Rejection> {
    let mut attributes: Vec<(&str, String)> = Vec::new();
    let outcome = read(headers, content_type, body, limits, &mut attributes);
    let outcome = outcome.and_then(|event| from_outside(event, |name| Place::Header(format!("{PREFIX}{name}"))));
    outcome.map_err(|mut rejection| {
        let mut take = |name| attributes.iter().position(|(known, _)| *known == name).map(|at| attributes.swap_remove(at).1);
        rejection.source = take("source");
        rejection.id = take("id");
        rejection
    })
}

fn read<'a>(
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    content_type: Option<&str>,
    body: &[u8],
    limits: &Limits,
    attributes: &mut Vec<(&'a str, String)>,
) -> Result<Event, Rejection> {
    for (header, value) in headers {
        let Some(name) = header.strip_prefix(PREFIX) else { continue };
        let at = |kind, detail: String| Rejection::new(kind, Place::Header(header.to_string()), detail);
        attribute::check_name(name).map_err(|detail| at(RejectionKind::InvalidAttribute, detail))?;
        if matches!(name, "data" | "datacontenttype") {
            let detail = "data comes in the body and its media type in content-type (section 3.1.1)";
            return Err(at(RejectionKind::InvalidAttribute, detail.into()));
        }
        if attributes.iter().any(|(known, _)| *known == name) {
            return Err(at(RejectionKind::DuplicateName, "the header is there twice".into()));
        }
        if attributes.len() == limits.attributes_max {
            return Err(at(RejectionKind::TooLarge, format!("the event has more than {} attributes", limits.attributes_max)));
        }
        let value = percent_decode(&unquoted(value))
            .decode_utf8()
            .map_err(|_| at(RejectionKind::Encoding, "is not UTF-8 after percent-decoding".into()))?
            .into_owned();
        if name == "specversion" && value != SPEC_VERSION {
            return Err(at(RejectionKind::SpecVersion, format!("is {value:?}; this runtime reads {SPEC_VERSION:?}")));
        }
        attribute::check(name, &value, limits).map_err(|detail| at(RejectionKind::InvalidAttribute, detail))?;
        attributes.push((name, value));
    }
    for name in REQUIRED {
        if !attributes.iter().any(|(known, _)| *known == name) {
            let detail =
                format!("every event has the attribute {name:?}; in structured mode the content type is application/cloudevents+json");
            return Err(Rejection::new(RejectionKind::MissingAttribute, Place::Header(format!("{PREFIX}{name}")), detail));
        }
    }
    if let Some(content_type) = content_type {
        attribute::check("datacontenttype", content_type, limits)
            .map_err(|detail| Rejection::new(RejectionKind::InvalidAttribute, Place::Header("content-type".into()), detail))?;
    }
    if body.len() > limits.event_bytes_max {
        let detail = format!("the body has {} bytes, at most {}", body.len(), limits.event_bytes_max);
        return Err(Rejection::new(RejectionKind::TooLarge, Place::Body, detail));
    }
    let (text, data) = if body.is_empty() {
        ("", Data::None)
    } else if content_type.is_none_or(attribute::is_json) {
        let text = utf8(body)?;
        json::check(text, 1, limits.depth_max)
            .map_err(|fault| Rejection::new(fault.kind, Place::Pointer(format!("/data{}", fault.pointer)), fault.detail))?;
        let trimmed = text.trim_matches(json::WHITE_SPACE);
        (trimmed, Data::Json(Piece::Span(0..trimmed.len() as u32)))
    } else {
        ("", Data::Opaque)
    };
    let digest = digest(attributes, content_type, body);
    let body = (text.as_bytes() != body).then(|| body.into());
    Ok(Event { body, ..event(attributes, content_type, text, data, digest) })
}

/// A header's value without the quotes and escapes of a quoted string (RFC 9110,
/// section 5.6.4), which the binding allows (section 3.1.3.2).
fn unquoted(value: &[u8]) -> Cow<'_, [u8]> {
    let Some(inner) = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) else { return Cow::Borrowed(value) };
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        plain.push(if byte == b'\\' { bytes.next().unwrap_or(byte) } else { byte });
    }
    Cow::Owned(plain)
}

/// The digest of an event in binary mode, whatever the order of its headers.
fn digest(attributes: &[(&str, String)], content_type: Option<&str>, body: &[u8]) -> Digest {
    let mut sorted: Vec<_> = attributes.iter().map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(value.as_str()))).collect();
    sorted.sort_unstable();
    let media_type = Cow::Borrowed(content_type.unwrap_or_default());
    Content::Binary { attributes: sorted, media_type, body: Cow::Borrowed(body) }.digest()
}

fn event(attributes: &[(&str, String)], content_type: Option<&str>, text: &str, data: Data, digest: Digest) -> Event {
    let get = |name| attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| Piece::Own(value.as_str().into()));
    let quoted = |value: &str| Piece::Own(serde_json::Value::from(value).to_string().into());
    let mut other: Vec<(Piece, Piece)> = attributes
        .iter()
        .filter(|(name, _)| !matches!(*name, "specversion" | "id" | "source" | "type" | "subject" | "time"))
        .map(|(name, value)| (Piece::Own((*name).into()), quoted(value)))
        .collect();
    if let Some(content_type) = content_type {
        other.push((Piece::Own("datacontenttype".into()), quoted(content_type)));
    }
    let time_micros = attributes.iter().find(|(name, _)| *name == "time").and_then(|(_, value)| time_micros(value));
    Event {
        source: get("source").unwrap_or(Piece::Span(0..0)),
        id: get("id").unwrap_or(Piece::Span(0..0)),
        kind: get("type").unwrap_or(Piece::Span(0..0)),
        subject: get("subject"),
        time: get("time"),
        data,
        members: Members::default(),
        other,
        in_headers: true,
        digest,
        time_micros,
        arrived: None,
        text: text.into(),
        body: None,
    }
}

/// Reads an event again of what came in as it, or of what the runtime submitted itself.
///
/// # Errors
///
/// If it is none within these limits. They are for what comes from outside: the runtime's
/// own events have more to say than what they are about.
pub fn content(content: &Content<'_>, limits: &Limits) -> Result<Event, Rejection> {
    let Content::Binary { media_type, body, .. } = content else {
        if let Some(event) = own(content.body()) {
            return Ok(event);
        }
        return structured(content.body(), limits);
    };
    let headers: Vec<(String, String)> = content
        .attributes()
        .map(|(name, value)| (format!("{PREFIX}{name}"), percent_encode(value.as_bytes(), NON_ALPHANUMERIC).to_string()))
        .collect();
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    binary(headers, Some(&**media_type).filter(|media_type| !media_type.is_empty()), body, limits)
}

/// What the runtime submitted itself, if that is what it is: in one form only, so its first
/// letters tell.
fn own(text: &[u8]) -> Option<Event> {
    // An entry has at most 64 KiB, and such an event repeats no more than its attributes.
    const LIMITS: Limits = Limits {
        event_bytes_max: 1 << 20,
        attribute_bytes_max: 16 << 10,
        attributes_max: 16,
        depth_max: 16,
        batch_events_max: 1,
        batch_bytes_max: 1 << 20,
    };
    let id = text.strip_prefix(br#"{"specversion":"1.0","id":""#)?;
    let digits = id.iter().position(|byte| !byte.is_ascii_digit())?;
    let source = id[digits..].strip_prefix(br#"","source":""#)?;
    source.starts_with(reserved::SOURCES.as_bytes()).then(|| any_structured(text, &LIMITS).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &[u8]); 5] =
        [("ce-specversion", b"1.0"), ("ce-id", b"caf%C3%A9"), ("ce-source", b"/s"), ("ce-type", b"t"), ("ce-region", b"eu")];

    fn read(change: &[(&'static str, &'static [u8])], content_type: Option<&str>, body: &[u8]) -> Result<Event, Rejection> {
        let kept = GOOD.into_iter().filter(|(name, _)| !change.iter().any(|(other, _)| other == name));
        let headers = kept.chain(change.iter().copied().filter(|(_, value)| !value.is_empty()));
        binary(headers, content_type, body, &Limits::default())
    }

    #[test]
    fn headers_are_attributes_and_the_body_is_data() {
        let event = read(&[], Some("application/json; charset=utf-8"), b" {\"a\":1}\n").expect("a valid event");
        assert_eq!((event.id(), event.other("region")), ("café", Some("\"eu\"")));
        assert_eq!(event.data(), Some(r#"{"a":1}"#));
        assert_eq!(read(&[], Some("text/plain"), b"{").expect("opaque").data(), None);
        assert_eq!(read(&[], None, b"1").expect("JSON").data(), Some("1"));
    }

    #[test]
    fn quoted_values_are_unquoted_before_they_are_decoded() {
        let event = read(&[("ce-id", br#""a \"b\" %41""#)], None, b"").expect("a valid event");
        assert_eq!(event.id(), r#"a "b" A"#);
    }

    #[test]
    fn an_event_is_read_again_of_its_content() {
        let bodies: [(Option<&str>, &[u8]); 4] =
            [(Some("application/json"), b" {\"a\":1}\n"), (None, b""), (Some("text/plain"), b"\xff"), (None, b"[1]")];
        for (content_type, body) in bodies {
            for change in [&[][..], &[("ce-subject", b"a%22\xc3\xa9".as_slice()), ("ce-time", b"2026-01-02T03:04:05Z")]] {
                let event = read(change, content_type, body).expect("a valid event");
                assert_eq!((event.content().digest(), event.content().body()), (*event.digest(), body));
                let again = content(&event.content(), &Limits::default()).expect("an event");
                assert!(again == event, "{again:?}");
            }
        }
        let text = br#" {"specversion":"1.0","id":"1","source":"/s","type":"t","data":[1]} "#;
        let event = structured(text, &Limits::default()).expect("a valid event");
        assert_eq!((event.content().digest(), event.content().body()), (*event.digest(), text.trim_ascii()));
        assert!(content(&event.content(), &Limits::default()).expect("an event") == event);
    }

    #[test]
    fn a_rejection_names_the_header() {
        use RejectionKind::{Encoding, InvalidAttribute, MissingAttribute, Reserved, SpecVersion};
        for (change, kind, header) in [
            (("ce-id", b"" as &'static [u8]), MissingAttribute, "ce-id"),
            (("ce-specversion", b"1.1"), SpecVersion, "ce-specversion"),
            (("ce-id", b"%FF"), Encoding, "ce-id"),
            (("ce-time", b"now"), InvalidAttribute, "ce-time"),
            (("ce-data", b"1"), InvalidAttribute, "ce-data"),
            (("ce-my_region", b"eu"), InvalidAttribute, "ce-my_region"),
            (("ce-source", b"urn%3Aephor:verdicts"), Reserved, "ce-source"),
            (("ce-type", b"dev.ephor.verdict.v1"), Reserved, "ce-type"),
        ] {
            let rejection = read(&[change], None, b"").expect_err(header);
            assert_eq!((rejection.kind, rejection.place), (kind, Place::Header(header.into())));
        }
        let deep = read(&[], None, &[b"[".repeat(40), b"]".repeat(40)].concat()).expect_err("deep");
        assert_eq!(deep.kind, RejectionKind::Depth);
    }
}
