//! Running what strangers wrote. The only room that knows wasmtime.
//!
//! A component comes in ([`load`]), goes through a static gate ([`gate`]), is
//! described, configured and compiled in a child process that can be thrown away
//! ([`worker`]), and comes back as code ([`code`]) that is kept in an
//! authenticated cache ([`cache`]). From then on every call runs in an instance
//! of its own ([`call`]) within limits ([`limits`]), and looks things up in the
//! lists of its release ([`lookup`]). Which limits those are, depends on the language
//! that the component is written in (`language`).
//!
//! Knows nothing of HTTP, of storage, or of where columns come from.

mod bindings;
mod cache;
mod call;
mod code;
mod engine;
pub(crate) mod error;
mod gate;
mod image;
mod language;
pub mod limits;
mod load;
mod lookup;
mod migrate;
#[cfg(test)]
pub(crate) mod native;
pub mod worker;

pub(crate) use call::{Keys, Outcome, Said};
pub(crate) use engine::{INSTANCES_MAX, Sandbox};
pub(crate) use image::{Image, Lists};
pub(crate) use language::language;
pub(crate) use load::Loader;

pub use error::{LoadError, SettingsError};
pub use limits::Limits;
pub use load::{Ahead, Inspection, inspect, rehearse};

/// Reads a component as a worker does before anything compiles it: what it imports and
/// exports.
pub(crate) fn read(component: &[u8], limits: &Limits) -> Result<(Vec<String>, Vec<String>), LoadError> {
    gate::check(component, &limits.gate).map(|gate::Seen { imports, exports }| (imports, exports))
}
