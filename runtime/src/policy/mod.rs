//! What a policy is: its manifest, the release in force, what it was granted.
//!
//! Knows nothing of HTTP, and nothing of how a component is run.

pub mod grant;
pub mod manifest;
pub mod release;

pub use grant::Granted;
pub use manifest::Manifest;
pub use release::{Bound, Release};
