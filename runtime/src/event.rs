//! One CloudEvents 1.0 event, checked.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use crate::content::Content;
use crate::digest::Digest;

/// A piece of an event's text: a span of the text it came in where the value
/// stands there as it is, a string of its own where it was escaped or came in a
/// header.
///
/// Spans keep the decoding of a plain event free of allocations.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Span(Range<u32>),
    Own(Box<str>),
}

impl Piece {
    /// The piece as text; `text` is the event's own.
    fn of<'a>(&'a self, text: &'a str) -> &'a str {
        match self {
            Piece::Span(range) => &text[range.start as usize..range.end as usize],
            Piece::Own(own) => own,
        }
    }
}

/// Where the names of the data's members stand, for whoever looks for some of them: the
/// place in the data's text and the length of each, without its quotes.
///
/// Says nothing that is not in the text, so two events that differ in it only are the same.
/// Empty where nobody has looked: an object that is not written plainly, or none.
#[derive(Clone, Default)]
pub(crate) struct Members(pub Box<[(u32, u32)]>);

impl PartialEq for Members {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Members {}

/// What an event carries as data.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Data {
    /// No `data` and no `data_base64`.
    None,
    /// JSON source text, strictly checked.
    Json(Piece),
    /// Data that is not JSON. No field can be projected out of it.
    Opaque,
}

/// An event that the ingest checks accepted (CloudEvents 1.0.2).
///
/// The attributes are non-empty where the specification says so, `time` is an
/// RFC 3339 date-time, and JSON data is I-JSON (RFC 7493) within the limits:
/// unique names, no lone surrogates, integers in the signed 64-bit range, other
/// numbers finite.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// What came in, without white space around it: the JSON object in structured mode,
    /// the body in binary mode (empty where the body is not JSON).
    pub(crate) text: Box<str>,
    /// The body in binary mode, where that is not the text.
    pub(crate) body: Option<Box<[u8]>>,
    pub(crate) source: Piece,
    pub(crate) id: Piece,
    pub(crate) kind: Piece,
    pub(crate) subject: Option<Piece>,
    pub(crate) time: Option<Piece>,
    pub(crate) data: Data,
    pub(crate) members: Members,
    /// Every other attribute (`dataschema`, `datacontenttype`, extensions) by
    /// name, as JSON source text, in the order they came.
    pub(crate) other: Vec<(Piece, Piece)>,
    /// The attributes came in headers, where every value is text: an integer or a
    /// boolean is told by the type that a policy declares.
    pub(crate) in_headers: bool,
    /// Of what came in, so that another event of the same name is noticed.
    pub(crate) digest: Digest,
    /// `time` in microseconds since 1970.
    pub(crate) time_micros: Option<i64>,
    /// When it arrived, in microseconds since 1970; set where it is submitted,
    /// unless a replay has set it.
    pub(crate) arrived: Option<i64>,
}

impl Event {
    /// CloudEvents `source`, never empty.
    pub fn source(&self) -> &str {
        self.source.of(&self.text)
    }

    /// CloudEvents `id`, never empty.
    pub fn id(&self) -> &str {
        self.id.of(&self.text)
    }

    /// CloudEvents `type`, never empty.
    pub fn kind(&self) -> &str {
        self.kind.of(&self.text)
    }

    /// CloudEvents `subject`.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_ref().map(|piece| piece.of(&self.text))
    }

    /// CloudEvents `time`, an RFC 3339 date-time as it was sent.
    pub fn time(&self) -> Option<&str> {
        self.time.as_ref().map(|piece| piece.of(&self.text))
    }

    /// SHA-256 of what came in: the JSON text in structured mode, without white
    /// space around it; in binary mode the attributes in the order of their names,
    /// the media type and the body, as [`Digest::of_parts`].
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What came in, as it can be kept; its digest is the event's.
    pub fn content(&self) -> Content<'_> {
        if !self.in_headers {
            return Content::Structured(Cow::Borrowed(&self.text));
        }
        let borrow = Cow::Borrowed;
        let required = [("id", self.id()), ("source", self.source()), ("specversion", "1.0"), ("type", self.kind())];
        let mut attributes: Vec<_> = required.into_iter().map(|(name, value)| (borrow(name), borrow(value))).collect();
        attributes.extend(
            [("subject", self.subject()), ("time", self.time())]
                .into_iter()
                .filter_map(|(name, value)| Some((borrow(name), borrow(value?)))),
        );
        let mut media_type = borrow("");
        for (name, piece) in &self.other {
            // Quoted where the headers were read, so that it reads as JSON everywhere.
            let value = serde_json::from_str::<String>(piece.of(&self.text)).unwrap_or_default();
            match name.of(&self.text) {
                "datacontenttype" => media_type = Cow::Owned(value),
                name => attributes.push((borrow(name), Cow::Owned(value))),
            }
        }
        attributes.sort_unstable();
        let body = self.body.as_deref().unwrap_or(self.text.as_bytes());
        Content::Binary { attributes, media_type, body: Cow::Borrowed(body) }
    }

    /// The event with this time of arrival, in microseconds since 1970, instead of that
    /// at which it is submitted: for replaying what arrived before. What is recorded
    /// about an event depends on when it arrived.
    #[must_use]
    pub fn with_arrival(mut self, micros: i64) -> Self {
        self.arrived = Some(micros);
        self
    }

    /// Its `time` in microseconds since 1970.
    pub fn time_micros(&self) -> Option<i64> {
        self.time_micros
    }

    /// When it happened, in microseconds since 1970: its `time`, or when it arrived.
    pub(crate) fn happened(&self) -> i64 {
        self.time_micros.or(self.arrived).unwrap_or_default()
    }

    /// The source text of JSON data.
    pub fn data(&self) -> Option<&str> {
        match &self.data {
            Data::Json(piece) => Some(piece.of(&self.text)),
            Data::None | Data::Opaque => None,
        }
    }

    /// The source text of another attribute's JSON value.
    pub fn other(&self, name: &str) -> Option<&str> {
        self.others().find(|(known, _)| *known == name).map(|(_, source)| source)
    }

    /// Every other attribute by its name, with the source text of its JSON value, in the
    /// order in which they came.
    pub fn others(&self) -> impl Iterator<Item = (&str, &str)> {
        self.other.iter().map(|(name, piece)| (name.of(&self.text), piece.of(&self.text)))
    }

    /// The number that its source gave it: the `sequence` extension, where it is a
    /// whole number (CloudEvents, extension "Sequence").
    pub(crate) fn number(&self) -> Option<u64> {
        let source = self.other("sequence")?;
        let digits = source.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(source);
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    }

    /// Bytes of memory that the event takes, about.
    pub fn size(&self) -> usize {
        let own = |piece: &Piece| match piece {
            Piece::Span(_) => 0,
            Piece::Own(own) => own.len(),
        };
        let named = [&self.source, &self.id, &self.kind].into_iter().chain(&self.subject).chain(&self.time).map(own).sum::<usize>();
        let other = self.other.iter().map(|(name, piece)| own(name) + own(piece) + size_of::<(Piece, Piece)>()).sum::<usize>();
        let body = self.body.as_ref().map_or(0, |body| body.len());
        let members = size_of_val(&*self.members.0);
        size_of::<Self>() + self.text.len() + body + members + named + other
    }
}

/// Shows where an event is from, never what is in it: events end up in logs by
/// way of `Debug`.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("source", &self.source()).field("id", &self.id()).field("type", &self.kind()).finish_non_exhaustive()
    }
}
