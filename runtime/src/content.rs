//! What came in as one event, byte for byte, apart from how it is understood: what its
//! digest is over, and what can be kept of it.

use std::borrow::Cow;

use serde::Deserialize;

use crate::digest::Digest;

/// The media type of an event in the CloudEvents JSON format.
const STRUCTURED: &str = "application/cloudevents+json";

/// The content of an event, in the mode in which it was sent (CloudEvents HTTP protocol
/// binding 1.0.2, section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content<'a> {
    /// Structured or batched mode: a JSON object, without white space around it.
    Structured(Cow<'a, str>),
    /// Binary mode: attributes in headers, data in the body.
    Binary {
        /// Names and values, `specversion` among them, in the order of the names.
        attributes: Vec<(Cow<'a, str>, Cow<'a, str>)>,
        /// The `content-type`; empty if there was none.
        media_type: Cow<'a, str>,
        /// The body as it came.
        body: Cow<'a, [u8]>,
    },
}

impl Content<'_> {
    /// The digest that stands in the event's entry: SHA-256 of the JSON text in
    /// structured mode; in binary mode [`Digest::of_parts`] over name and value of each
    /// attribute, the media type and the body.
    pub fn digest(&self) -> Digest {
        match self {
            Content::Structured(text) => Digest::of(text.as_bytes()),
            Content::Binary { .. } => Digest::of_parts(&self.parts()),
        }
    }

    /// The media type of [`Content::body`]; empty if it has none.
    pub fn media_type(&self) -> &str {
        match self {
            Content::Structured(_) => STRUCTURED,
            Content::Binary { media_type, .. } => media_type,
        }
    }

    /// What the body of a request with this event has.
    pub fn body(&self) -> &[u8] {
        match self {
            Content::Structured(text) => text.as_bytes(),
            Content::Binary { body, .. } => body,
        }
    }

    /// Attributes that go into headers: none in structured mode.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        let attributes = match self {
            Content::Structured(_) => &[][..],
            Content::Binary { attributes, .. } => attributes,
        };
        attributes.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The same, with nothing borrowed.
    pub fn into_owned(self) -> Content<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Content::Structured(text) => Content::Structured(own(text)),
            Content::Binary { attributes, media_type, body } => Content::Binary {
                attributes: attributes.into_iter().map(|(name, value)| (own(name), own(value))).collect(),
                media_type: own(media_type),
                body: Cow::Owned(body.into_owned()),
            },
        }
    }

    /// Bytes that it has, about.
    pub(crate) fn size(&self) -> usize {
        match self {
            Content::Structured(text) => text.len(),
            Content::Binary { .. } => self.parts().iter().map(|part| part.len() + 4).sum(),
        }
    }

    /// In binary mode what the digest is over: names and values in turns, then media type
    /// and body. In structured mode the text.
    pub fn parts(&self) -> Vec<&[u8]> {
        match self {
            Content::Structured(text) => vec![text.as_bytes()],
            Content::Binary { attributes, media_type, body } => {
                let named = attributes.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
                named.chain([media_type.as_bytes(), body]).collect()
            }
        }
    }

    /// The content in binary mode that these are the parts of.
    pub fn of_parts<'a>(parts: &[&'a [u8]]) -> Option<Content<'a>> {
        let [named @ .., media_type, body] = parts else { return None };
        let text = |bytes: &'a [u8]| str::from_utf8(bytes).ok().map(Cow::Borrowed);
        let (pairs, []) = named.as_chunks::<2>() else { return None };
        let attributes = pairs.iter().map(|[name, value]| Some((text(name)?, text(value)?)));
        Some(Content::Binary { attributes: attributes.collect::<Option<_>>()?, media_type: text(media_type)?, body: Cow::Borrowed(body) })
    }

    /// What names the event, if it is one.
    pub(crate) fn names(&self) -> Option<Names<'_>> {
        match self {
            Content::Structured(text) => serde_json::from_str(text).ok(),
            Content::Binary { attributes, .. } => {
                let get = |name| attributes.iter().find(|(known, _)| known == name).map(|(_, value)| Cow::Borrowed(&**value));
                Some(Names { source: get("source")?, id: get("id")?, subject: get("subject") })
            }
        }
    }
}

/// What an event says of whom it is about, and which one it is.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Names<'a> {
    #[serde(borrow)]
    pub source: Cow<'a, str>,
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// `null` is as good as absent (CloudEvents JSON format 1.0.2, section 2.2).
    #[serde(borrow, default)]
    pub subject: Option<Cow<'a, str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary() -> Content<'static> {
        let attributes = [("id", "1"), ("source", "/café"), ("specversion", "1.0"), ("subject", "a"), ("type", "t")];
        Content::Binary {
            attributes: attributes.map(|(name, value)| (name.into(), value.into())).to_vec(),
            media_type: "text/plain".into(),
            body: b"\xff body".into(),
        }
    }

    #[test]
    fn a_content_is_made_again_of_its_parts() {
        let content = binary();
        let parts = content.parts();
        assert_eq!(Content::of_parts(&parts), Some(content.clone()));
        assert_eq!(content.digest(), Digest::of_parts(&parts));
        assert_eq!(Content::of_parts(&parts[1..]), None, "a name without a value");
        assert_eq!(Content::of_parts(&[b"\xff", b"", b"", b""]), None, "a name that is no text");
        assert_eq!(content.size(), parts.iter().map(|part| part.len() + 4).sum::<usize>());
        assert_eq!(content.clone().into_owned(), content);
    }

    #[test]
    fn names_are_read_in_both_modes() {
        let content = binary();
        let names = content.names().expect("named");
        assert_eq!((&*names.source, &*names.id, names.subject.as_deref()), ("/café", "1", Some("a")));
        let text = |text: &'static str| Content::Structured(text.into());
        let content = text(r#"{"data":{"subject":"inner"},"source":"/caf\u00e9","id":"1","subject":null}"#);
        let names = content.names().expect("named");
        assert_eq!((&*names.source, &*names.id, names.subject), ("/café", "1", None));
        assert_eq!(text(r#"{"source":"/s"}"#).names(), None);
    }

    #[test]
    fn a_content_is_shown_as_it_was_sent() {
        let content = binary();
        assert_eq!((content.media_type(), content.body(), content.attributes().count()), ("text/plain", &b"\xff body"[..], 5));
        let content = Content::Structured("{}".into());
        assert_eq!((content.media_type(), content.body(), content.attributes().count()), ("application/cloudevents+json", &b"{}"[..], 0));
        assert_eq!(content.digest(), Digest::of(b"{}"));
    }
}
