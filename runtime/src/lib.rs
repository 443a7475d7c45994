//! Ephor: supervision rules as sandboxed programs, run next to a platform's own
//! event stream.
//!
//! A CloudEvent comes in, every policy in force that asks about its type is shown
//! the fields that it declared, and a verdict comes out: the strictest of what
//! they find. [`Runtime`] is the whole of it for a program that embeds it;
//! [`server`] puts it behind HTTP.
//!
//! The modules in the order in which an event meets them; `runtime/README.md` has
//! the picture, and what each of them must not know.

pub mod access;
pub mod config;
pub mod server;

pub mod ingest;
pub mod runtime;
mod sequencer;

mod projection;
pub mod state;
mod stats;

pub mod archive;
pub mod backtest;
pub mod overview;
pub mod places;
pub mod publishers;
pub mod repository;
pub mod trial;
pub mod vectors;

pub mod policy;
pub mod reference;
pub mod sandbox;

pub mod ledger;

pub mod column;
pub mod content;
pub mod digest;
pub mod event;
pub mod reserved;
mod table;
pub mod tls;
pub mod verdict;

#[doc(hidden)]
pub mod bench;
#[cfg(test)]
mod testing;

pub use config::Config;
pub use policy::{Grant, Publisher};
pub use reference::List;
pub use runtime::{Runtime, Swap};
pub use sandbox::{LoadError, inspect};
