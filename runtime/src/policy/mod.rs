//! What a policy is: its manifest, the release in force, what it was granted.
//!
//! Knows nothing of HTTP, and nothing of how a component is run.

pub mod coarse;
pub mod form;
pub mod grant;
pub mod language;
pub mod manifest;
pub mod mode;
pub mod pseudonym;
pub mod publisher;
pub mod release;
pub mod statement;

pub use grant::{Grant, Granted};
pub use language::Language;
pub use manifest::Manifest;
pub use mode::{Handling, Mode, Validity};
pub use publisher::Publisher;
pub use release::{Bound, Release};
pub use statement::Statement;
