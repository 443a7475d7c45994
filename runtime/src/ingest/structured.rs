//! Structured and batch mode: events in the CloudEvents JSON format.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use serde::de::{self, Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Limits;
use super::attribute::{self, REQUIRED, SPEC_VERSION};
use super::json::{self, Name};
use super::plain;
use super::rejection::{Place, Rejection, RejectionKind, from_outside};
use crate::column::time_micros;
use crate::digest::Digest;
use crate::event::{Data, Event, Members, Piece};

/// Reads one event in the JSON format (CloudEvents JSON format 1.0.2, section 3).
///
/// The object may have any attributes; `null` stands for an absent one. `data`
/// is any JSON value; `data_base64` is checked and otherwise opaque.
///
/// # Errors
///
/// What is wrong with it, with the JSON pointer at fault; also if it has the source or
/// the type of the runtime's own events.
pub fn structured(text: &[u8], limits: &Limits) -> Result<Event, Rejection> {
    from_outside(any_structured(text, limits)?, |name| Place::Pointer(json::step(name)))
}

/// The same, also for the runtime's own events: for whoever tries a policy on what it
/// would be shown. A runtime does not take them.
///
/// # Errors
///
/// What is wrong with it, with the JSON pointer at fault.
pub fn any_structured(text: &[u8], limits: &Limits) -> Result<Event, Rejection> {
    if text.len() > limits.event_bytes_max {
        let detail = format!("the event has {} bytes, at most {}", text.len(), limits.event_bytes_max);
        return Err(Rejection::new(RejectionKind::TooLarge, Place::Body, detail));
    }
    read(utf8(text)?, limits)
}

/// Reads a JSON array of events (section 4), each by itself.
///
/// # Errors
///
/// If the body is not a JSON array, or has more items than allowed. What is
/// wrong with single items stands in their places.
pub fn batch(body: &[u8], limits: &Limits) -> Result<Vec<Result<Event, Rejection>>, Rejection> {
    let text = utf8(body)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut too_many = false;
    let items = deserializer.deserialize_seq(Items { max: limits.batch_events_max, too_many: &mut too_many });
    let items = items.and_then(|items| deserializer.end().map(|()| items)).map_err(|error| {
        if too_many {
            let detail = format!("the batch has more than {} events; send them as application/x-ndjson", limits.batch_events_max);
            return Rejection::new(RejectionKind::TooLarge, Place::Body, detail);
        }
        if error.is_data() {
            let detail = "a batch is a JSON array of events; send a single event as application/cloudevents+json";
            return Rejection::new(RejectionKind::NotAnEvent, Place::Pointer(String::new()), detail);
        }
        let fault = json::syntax(&error, String::new());
        Rejection::new(fault.kind, Place::Pointer(fault.pointer), fault.detail)
    })?;
    Ok(items.into_iter().map(|item| structured(item.get().as_bytes(), limits)).collect())
}

/// The items of an array, read no further than the bound.
struct Items<'s> {
    max: usize,
    too_many: &'s mut bool,
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(item) = items.next_element()? {
            if found.len() == self.max {
                *self.too_many = true;
                return Err(de::Error::custom("too many"));
            }
            found.push(item);
        }
        Ok(found)
    }
}

pub(super) fn utf8(bytes: &[u8]) -> Result<&str, Rejection> {
    let refuse = |detail: String| Rejection::new(RejectionKind::Encoding, Place::Body, detail);
    // RFC 8259, section 8.1.
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err(refuse("begins with a byte order mark; leave it out".into()));
    }
    std::str::from_utf8(bytes).map_err(|error| refuse(format!("byte {} is not UTF-8", error.valid_up_to())))
}

/// The attributes read so far. Kept outside the visitor, so that a rejection
/// can name the event.
#[derive(Default)]
pub(super) struct Draft<'de> {
    pub(super) specversion: Option<Cow<'de, str>>,
    pub(super) id: Option<Cow<'de, str>>,
    pub(super) source: Option<Cow<'de, str>>,
    pub(super) kind: Option<Cow<'de, str>>,
    pub(super) subject: Option<Cow<'de, str>>,
    pub(super) time: Option<Cow<'de, str>>,
    /// The same in microseconds since 1970.
    pub(super) time_micros: Option<i64>,
    /// The source text of JSON data.
    pub(super) data: Option<&'de str>,
    pub(super) members: Members,
    opaque: bool,
    /// Every other attribute with the source text of its value.
    pub(super) other: Vec<(Cow<'de, str>, &'de str)>,
    count: usize,
    /// Names that were `null`: absent, but a second one is still a duplicate.
    unset: Vec<Cow<'de, str>>,
}

fn read(text: &str, limits: &Limits) -> Result<Event, Rejection> {
    match plain::read(text, limits).map(|draft| draft.whole(text)) {
        Some(Ok(event)) => Ok(event),
        // The parser finds what is missing too, after everything else that may be wrong.
        Some(Err(_)) | None => parsed(text, limits),
    }
}

/// What the parser reads, which knows everything that JSON may be, and says what is wrong.
pub(super) fn parsed(text: &str, limits: &Limits) -> Result<Event, Rejection> {
    let mut draft = Draft::default();
    let mut problem = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let outcome =
        deserializer.deserialize_map(Envelope { draft: &mut draft, problem: &mut problem, limits }).and_then(|()| deserializer.end());
    let outcome = match outcome {
        Err(error) => Err(problem.unwrap_or_else(|| {
            if error.is_data() {
                let detail = "an event is a JSON object";
                return Rejection::new(RejectionKind::NotAnEvent, Place::Pointer(String::new()), detail);
            }
            let fault = json::syntax(&error, String::new());
            Rejection::new(fault.kind, Place::Pointer(fault.pointer), fault.detail)
        })),
        Ok(()) => Ok(()),
    };
    match outcome {
        Ok(()) => draft.whole(text),
        Err(rejection) => Err(draft.named(rejection)),
    }
}

fn required(draft: &Draft<'_>) -> Result<(), Rejection> {
    for name in REQUIRED {
        let there = match name {
            "specversion" => draft.specversion.is_some(),
            "id" => draft.id.is_some(),
            "source" => draft.source.is_some(),
            _ => draft.kind.is_some(),
        };
        if !there {
            let detail = format!("every event has the attribute {name:?}");
            return Err(Rejection::new(RejectionKind::MissingAttribute, Place::Pointer(json::step(name)), detail));
        }
    }
    Ok(())
}

impl Draft<'_> {
    /// The event, if it has what every event has.
    pub(super) fn whole(self, text: &str) -> Result<Event, Rejection> {
        match required(&self) {
            Ok(()) => Ok(self.finish(text)),
            Err(rejection) => Err(self.named(rejection)),
        }
    }

    /// A rejection, with what names the event.
    fn named(self, rejection: Rejection) -> Rejection {
        Rejection { source: self.source.map(Cow::into_owned), id: self.id.map(Cow::into_owned), ..rejection }
    }

    fn finish(self, text: &str) -> Event {
        // Everything that was read is inside.
        let text = text.trim_matches(json::WHITE_SPACE);
        let piece = |part: Cow<'_, str>| match part {
            Cow::Borrowed(part) => span(text, part),
            Cow::Owned(own) => Piece::Own(own.into()),
        };
        let data = match self.data {
            Some(source) => Data::Json(span(text, source)),
            None if self.opaque => Data::Opaque,
            None => Data::None,
        };
        Event {
            source: self.source.map_or(Piece::Span(0..0), piece),
            id: self.id.map_or(Piece::Span(0..0), piece),
            kind: self.kind.map_or(Piece::Span(0..0), piece),
            subject: self.subject.map(piece),
            time: self.time.map(piece),
            data,
            members: self.members,
            other: self.other.into_iter().map(|(name, value)| (piece(name), span(text, value))).collect(),
            in_headers: false,
            digest: Digest::of(text.as_bytes()),
            time_micros: self.time_micros,
            arrived: None,
            text: text.into(),
            body: None,
        }
    }
}

/// Where `part`, borrowed from `text`, is in it.
fn span(text: &str, part: &str) -> Piece {
    let start = part.as_ptr().addr() - text.as_ptr().addr();
    // An event is far below 4 GiB: `Limits` bounds it, and 32 bits halve it.
    Piece::Span(start as u32..(start + part.len()) as u32)
}

struct Envelope<'s, 'de> {
    draft: &'s mut Draft<'de>,
    problem: &'s mut Option<Rejection>,
    limits: &'s Limits,
}

impl<'de> Visitor<'de> for Envelope<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key_seed(Name)? {
            let value: &RawValue = members.next_value()?;
            if let Err(problem) = self.draft.take(name, value, self.limits) {
                *self.problem = Some(problem);
                return Err(de::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

impl<'de> Draft<'de> {
    fn take(&mut self, name: Cow<'de, str>, value: &'de RawValue, limits: &Limits) -> Result<(), Rejection> {
        let at = |kind, detail: String| Rejection::new(kind, Place::Pointer(json::step(&name)), detail);
        let duplicate = || at(RejectionKind::DuplicateName, "the attribute is there twice".into());
        self.count += 1;
        if self.count > limits.attributes_max {
            return Err(at(RejectionKind::TooLarge, format!("the event has more than {} attributes", limits.attributes_max)));
        }
        if self.unset.contains(&name) {
            return Err(duplicate());
        }
        let source = value.get();
        if &*name == "data" {
            if self.data.is_some() {
                return Err(duplicate());
            }
            if self.opaque {
                return Err(at(RejectionKind::InvalidAttribute, "an event has data or data_base64, not both".into()));
            }
            json::check(source, 1, limits.depth_max)
                .map_err(|fault| Rejection::new(fault.kind, Place::Pointer(format!("/data{}", fault.pointer)), fault.detail))?;
            self.data = Some(source);
            return Ok(());
        }
        // Section 2.3: null stands for an attribute that is not set.
        if source == "null" {
            if self.has(&name) {
                return Err(duplicate());
            }
            self.unset.push(name);
            return Ok(());
        }
        if &*name == "data_base64" {
            if self.opaque {
                return Err(duplicate());
            }
            if self.data.is_some() {
                return Err(at(RejectionKind::InvalidAttribute, "an event has data or data_base64, not both".into()));
            }
            let text = string(value).map_err(|detail| at(RejectionKind::InvalidAttribute, detail))?;
            if base64::engine::general_purpose::STANDARD.decode(text.as_bytes()).is_err() {
                return Err(at(RejectionKind::InvalidAttribute, "is not Base64 (RFC 4648, section 4)".into()));
            }
            self.opaque = true;
            return Ok(());
        }
        let check_text = |text: &str| attribute::check(&name, text, limits).map_err(|detail| at(RejectionKind::InvalidAttribute, detail));
        let slot = match &*name {
            "specversion" => &mut self.specversion,
            "id" => &mut self.id,
            "source" => &mut self.source,
            "type" => &mut self.kind,
            "subject" => &mut self.subject,
            "time" => &mut self.time,
            _ => {
                attribute::check_name(&name).map_err(|detail| at(RejectionKind::InvalidAttribute, detail))?;
                if self.other.iter().any(|(known, _)| *known == name) {
                    return Err(duplicate());
                }
                match source.as_bytes().first() {
                    Some(b'"') => check_text(&string(value).map_err(|detail| at(RejectionKind::InvalidAttribute, detail))?)?,
                    Some(b't' | b'f') if !is_text(&name) => {}
                    // Section "Type System": an Integer has 32 bits.
                    Some(_) if !is_text(&name) && source.parse::<i32>().is_ok() => {}
                    _ if is_text(&name) => return Err(at(RejectionKind::InvalidAttribute, "must be a string".into())),
                    _ => return Err(at(RejectionKind::InvalidAttribute, "must be a string, a boolean or a 32-bit integer".into())),
                }
                self.other.push((name, source));
                return Ok(());
            }
        };
        if slot.is_some() {
            return Err(duplicate());
        }
        let text = string(value).map_err(|detail| at(RejectionKind::InvalidAttribute, detail))?;
        if &*name == "specversion" && text != SPEC_VERSION {
            return Err(at(RejectionKind::SpecVersion, format!("is {text:?}; this runtime reads {SPEC_VERSION:?}")));
        }
        check_text(&text)?;
        let time = (&*name == "time").then(|| time_micros(&text)).flatten();
        *slot = Some(text);
        self.time_micros = self.time_micros.or(time);
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        match name {
            "specversion" => self.specversion.is_some(),
            "id" => self.id.is_some(),
            "source" => self.source.is_some(),
            "type" => self.kind.is_some(),
            "subject" => self.subject.is_some(),
            "time" => self.time.is_some(),
            "data_base64" => self.opaque,
            _ => self.other.iter().any(|(known, _)| known == name),
        }
    }
}

/// Attributes outside the draft's own slots that are always strings.
pub(super) fn is_text(name: &str) -> bool {
    matches!(name, "datacontenttype" | "dataschema")
}

/// A JSON value as the string that it must be.
fn string(value: &RawValue) -> Result<Cow<'_, str>, String> {
    let text = value.get();
    match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) if !inner.contains('\\') => Ok(Cow::Borrowed(inner)),
        Some(_) => serde_json::from_str(text).map(Cow::Owned).map_err(|error| error.to_string()),
        None => Err("must be a string".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Event, Rejection> {
        structured(text.as_bytes(), &Limits::default())
    }

    #[test]
    fn an_event_keeps_what_it_says() {
        let event = read(
            r#" {"specversion":"1.0","id":"A\u0031","source":"/s","type":"t","subject":"x","time":"2026-01-02T03:04:05+01:00","region":"eu","n":7,"gone":null,"data":{"a":[1]}} "#,
        )
        .expect("a valid event");
        assert_eq!((event.id(), event.source(), event.kind(), event.subject()), ("A1", "/s", "t", Some("x")));
        assert_eq!(event.time(), Some("2026-01-02T03:04:05+01:00"));
        assert_eq!((event.other("region"), event.other("n"), event.other("gone")), (Some("\"eu\""), Some("7"), None));
        assert_eq!(event.data(), Some(r#"{"a":[1]}"#));
    }

    #[test]
    fn a_rejection_names_the_place_and_the_event() {
        use RejectionKind::{DuplicateName, InvalidAttribute, MissingAttribute, NotAnEvent, Reserved, SpecVersion, Syntax, TooLarge};
        for (text, kind, pointer) in [
            (r#"{"id":"1","source":"/s","type":"t"}"#, MissingAttribute, "/specversion"),
            (r#"{"specversion":"1.0","id":null,"source":"/s","type":"t"}"#, MissingAttribute, "/id"),
            (r#"{"specversion":"0.3","id":"1","source":"/s","type":"t"}"#, SpecVersion, "/specversion"),
            (r#"{"specversion":"1.0","id":"","source":"/s","type":"t"}"#, InvalidAttribute, "/id"),
            (r#"{"specversion":"1.0","id":1,"source":"/s","type":"t"}"#, InvalidAttribute, "/id"),
            (r#"{"specversion":"1.0","id":"1","id":"2","source":"/s","type":"t"}"#, DuplicateName, "/id"),
            (r#"{"specversion":"1.0","x":null,"x":1}"#, DuplicateName, "/x"),
            (r#"{"specversion":"1.0","x":1,"x":null}"#, DuplicateName, "/x"),
            (r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"yesterday"}"#, InvalidAttribute, "/time"),
            (r#"{"specversion":"1.0","Region":"eu"}"#, InvalidAttribute, "/Region"),
            (r#"{"specversion":"1.0","region":{"a":1}}"#, InvalidAttribute, "/region"),
            (r#"{"specversion":"1.0","n":4294967296}"#, InvalidAttribute, "/n"),
            (r#"{"data":1,"data_base64":"AA=="}"#, InvalidAttribute, "/data_base64"),
            (r#"{"data_base64":"?"}"#, InvalidAttribute, "/data_base64"),
            (r#"{"data":{"a":{"b":1,"b":2}}}"#, DuplicateName, "/data/a/b"),
            (r#"{"specversion":"1.0","id":"1","source":"urn:ephor:verdicts#/s","type":"t"}"#, Reserved, "/source"),
            (r#"{"specversion":"1.0","id":"1","source":"/s","type":"dev.ephor.verdict.v1"}"#, Reserved, "/type"),
            ("[]", NotAnEvent, ""),
            ("7", NotAnEvent, ""),
            (r#"{"specversion":"1.0""#, Syntax, ""),
        ] {
            let rejection = read(text).expect_err(text);
            assert_eq!((rejection.kind, rejection.place), (kind, Place::Pointer(pointer.into())), "{text}");
        }
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(300_000));
        assert_eq!(read(&long).expect_err("too long").kind, TooLarge);
        let named = read(r#"{"id":"7","source":"/s","specversion":"2.0"}"#).expect_err("version");
        assert_eq!((named.source.as_deref(), named.id.as_deref()), (Some("/s"), Some("7")));
    }

    #[test]
    fn a_batch_judges_each_item_by_itself() {
        let good = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;
        let items = batch(format!("[{good},{{}},{good}]").as_bytes(), &Limits::default()).expect("an array");
        assert_eq!(items.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(batch(good.as_bytes(), &Limits::default()).expect_err("no array").kind, RejectionKind::NotAnEvent);
        assert_eq!(batch(b"[1,", &Limits::default()).expect_err("cut").kind, RejectionKind::Syntax);
    }
}
