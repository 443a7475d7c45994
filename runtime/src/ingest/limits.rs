//! How much an event may be.

use serde::{Deserialize, Serialize};

/// Bounds on what is accepted as an event. Each has its own error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Bytes of one event: a JSON object, an NDJSON line, or a binary-mode body.
    /// CloudEvents asks intermediaries to forward 64 KiB (section "Size Limits");
    /// this leaves room for more.
    pub event_bytes_max: usize,
    /// Bytes of one attribute's value.
    pub attribute_bytes_max: usize,
    /// Attributes of one event, extensions included.
    pub attributes_max: usize,
    /// Levels of objects and arrays in an event; the event itself is the first.
    /// At most 100, so that checking never runs out of stack.
    pub depth_max: usize,
    /// Events of one batch-mode request.
    pub batch_events_max: usize,
    /// Bytes of one batch-mode request body after decompression. Single events
    /// are bounded by `event_bytes_max`, streams have no end.
    pub batch_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            event_bytes_max: 256 << 10,
            attribute_bytes_max: 4 << 10,
            attributes_max: 64,
            depth_max: 32,
            batch_events_max: 10_000,
            batch_bytes_max: 8 << 20,
        }
    }
}
