//! What the program tells of itself: its log, its traces, and the figures of its process.
//!
//! The one room that knows OpenTelemetry and sets up `tracing`. The other rooms log with
//! `tracing`'s macros, hand spans to a [`Sink`](crate::trace::Sink) and count in
//! [`Stats`](crate::runtime::Runtime::stats); what none of them ever gives away is the
//! content of an event.

pub mod collector;
pub mod log;
pub mod process;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the server tells of itself; `/metrics` needs no setting.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The log, on standard error.
    pub log: log::Settings,
    /// Traces of requests, from the caller through the policies to the ledger, for a
    /// collector that takes OTLP over HTTP.
    pub traces: collector::Settings,
}
