//! Why something that came in is not an event.

use std::fmt;

use crate::event::Event;
use crate::reserved;

/// The class of a problem with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RejectionKind {
    /// Not JSON (RFC 8259).
    Syntax,
    /// Not UTF-8, or a byte order mark.
    Encoding,
    /// More levels of objects and arrays than allowed.
    Depth,
    /// An object has two members of one name (RFC 7493, section 2.3).
    DuplicateName,
    /// A number that does not fit: an integer beyond 64 bits, or not finite as
    /// IEEE 754 binary64.
    Number,
    /// A required attribute is not there.
    MissingAttribute,
    /// An attribute has a value that CloudEvents does not allow.
    InvalidAttribute,
    /// `specversion` is not 1.0.
    SpecVersion,
    /// More bytes, attributes or events than allowed.
    TooLarge,
    /// Its source or its type is one that only the runtime itself uses.
    Reserved,
    /// JSON, but not an object (or not an array of them, in batch mode).
    NotAnEvent,
}

impl RejectionKind {
    /// All kinds, for closed sets of metric labels.
    pub const ALL: [RejectionKind; 11] = [
        RejectionKind::Syntax,
        RejectionKind::Encoding,
        RejectionKind::Depth,
        RejectionKind::DuplicateName,
        RejectionKind::Number,
        RejectionKind::MissingAttribute,
        RejectionKind::InvalidAttribute,
        RejectionKind::SpecVersion,
        RejectionKind::TooLarge,
        RejectionKind::Reserved,
        RejectionKind::NotAnEvent,
    ];

    /// The word used in answers and metrics.
    pub fn name(self) -> &'static str {
        match self {
            RejectionKind::Syntax => "syntax",
            RejectionKind::Encoding => "encoding",
            RejectionKind::Depth => "depth",
            RejectionKind::DuplicateName => "duplicate-name",
            RejectionKind::Number => "number",
            RejectionKind::MissingAttribute => "missing-attribute",
            RejectionKind::InvalidAttribute => "invalid-attribute",
            RejectionKind::SpecVersion => "spec-version",
            RejectionKind::TooLarge => "too-large",
            RejectionKind::Reserved => "reserved",
            RejectionKind::NotAnEvent => "not-an-event",
        }
    }

    /// A short sentence, the same for every rejection of the kind.
    pub fn title(self) -> &'static str {
        match self {
            RejectionKind::Syntax => "The event is not valid JSON",
            RejectionKind::Encoding => "The event is not valid UTF-8 text",
            RejectionKind::Depth => "The event is nested too deeply",
            RejectionKind::DuplicateName => "An object has two members of the same name",
            RejectionKind::Number => "A number does not fit",
            RejectionKind::MissingAttribute => "A required CloudEvents attribute is missing",
            RejectionKind::InvalidAttribute => "A CloudEvents attribute has an invalid value",
            RejectionKind::SpecVersion => "The CloudEvents version is not supported",
            RejectionKind::TooLarge => "The event is too large",
            RejectionKind::Reserved => "The name is reserved for events of the runtime itself",
            RejectionKind::NotAnEvent => "This is not a CloudEvent",
        }
    }
}

/// Where in the request the problem is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// RFC 6901 JSON Pointer into the event.
    Pointer(String),
    /// Name of an HTTP header.
    Header(String),
    /// The body as a whole.
    Body,
}

/// Something that came in is not an event: what is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The class of the problem.
    pub kind: RejectionKind,
    /// Where it is.
    pub place: Place,
    /// What is wrong there and what would be right.
    pub detail: String,
    /// The event's `source`, if it could be read.
    pub source: Option<String>,
    /// The event's `id`, if it could be read.
    pub id: Option<String>,
}

impl Rejection {
    pub(super) fn new(kind: RejectionKind, place: Place, detail: impl Into<String>) -> Self {
        let place = match place {
            Place::Pointer(pointer) => Place::Pointer(cut(pointer, 1_024)),
            other => other,
        };
        Rejection { kind, place, detail: cut(detail.into(), 512), source: None, id: None }
    }
}

/// An event from outside: it does not pass for one of the runtime's own. `place` says
/// where an attribute is.
pub(super) fn from_outside(event: Event, place: impl Fn(&str) -> Place) -> Result<Event, Rejection> {
    let (name, prefix) = match (reserved::is_own_source(event.source()), reserved::is_own_type(event.kind())) {
        (true, _) => ("source", reserved::SOURCES),
        (false, true) => ("type", reserved::TYPES),
        (false, false) => return Ok(event),
    };
    let detail = format!(
        "begins with {prefix:?}, and such events the runtime submits itself, about its own verdicts; leave them out: they are made again wherever they are needed"
    );
    let (source, id) = (Some(event.source().to_string()), Some(event.id().to_string()));
    Err(Rejection { source, id, ..Rejection::new(RejectionKind::Reserved, place(name), detail) })
}

// Not derived: thiserror takes a field named `source` for an error's cause.
impl std::error::Error for Rejection {}

/// At most so many bytes: what is wrong can repeat what came in, which is the
/// client's to choose and ours to hold.
fn cut(mut text: String, bytes_max: usize) -> String {
    let end = text.floor_char_boundary(bytes_max);
    if end < text.len() {
        text.truncate(end);
        text.push('…');
    }
    text
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Pointer(pointer) => write!(f, "{} at {pointer:?}: {}", self.kind.title(), self.detail),
            Place::Header(name) => write!(f, "{} in header {name}: {}", self.kind.title(), self.detail),
            Place::Body => write!(f, "{}: {}", self.kind.title(), self.detail),
        }
    }
}
