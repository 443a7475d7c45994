//! How much an event may be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bounds on what is accepted as an event. Each has its own error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Bytes of one event: a JSON object, an NDJSON line, or a binary-mode body.
    /// CloudEvents asks intermediaries to forward 64 KiB (section "Size Limits");
    /// this leaves room for more.
    #[schemars(range(min = 64, max = 64 << 20))]
    pub event_bytes_max: usize,
    /// Bytes of one attribute's value.
    // More, and an entry could be longer than a tile can hold.
    #[schemars(range(min = 16, max = 4 << 10))]
    pub attribute_bytes_max: usize,
    /// Attributes of one event, extensions included.
    #[schemars(range(min = 4, max = 10_000))]
    pub attributes_max: usize,
    /// Levels of objects and arrays in an event; the event itself is the first.
    /// At most 100, so that checking never runs out of stack.
    // The parser itself stops at 128.
    #[schemars(range(min = 1, max = 100))]
    pub depth_max: usize,
    /// Events of one batch-mode request.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub batch_events_max: usize,
    /// Bytes of one batch-mode request body after decompression. Single events
    /// are bounded by `event_bytes_max`, streams have no end.
    #[schemars(range(min = 64, max = 1 << 30))]
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
