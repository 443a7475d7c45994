//! From what came in to checked events: the CloudEvents 1.0.2 JSON format, and
//! the attributes of its HTTP binding.
//!
//! Knows nothing of policies: whether something is an event must not depend on
//! who is going to judge it. Everything is judged by itself; a rejection says
//! what is wrong and where, and nothing else is affected.

mod attribute;
mod binary;
mod json;
mod limits;
mod lines;
mod plain;
mod rejection;
mod structured;

pub use binary::{binary, content};
pub use limits::Limits;
pub use lines::{LineTooLong, Lines};
pub use rejection::{Place, Rejection, RejectionKind};
pub use structured::{any_structured, batch, structured};
