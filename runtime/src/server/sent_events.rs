//! Server-sent events (HTML, 9.2): how each is written, and how often there is one at
//! least.

use std::time::Duration;

/// The media type.
pub(super) const MEDIA: &str = "text/event-stream";

/// A sign of life for whoever waits for the next event, so that a proxy does not take
/// the connection for dead.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Writes one. A browser that loses its connection says the `id` that it had last; without
/// a name it is a message. `data` has no line breaks: each would begin another field.
pub(super) fn write(out: &mut Vec<u8>, id: Option<u64>, name: Option<&str>, data: &str) {
    if let Some(id) = id {
        out.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    if let Some(name) = name {
        out.extend_from_slice(format!("event: {name}\n").as_bytes());
    }
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(data.as_bytes());
    out.extend_from_slice(b"\n\n");
}
