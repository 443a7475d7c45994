//! Ephor: supervision rules as sandboxed programs, run next to a platform's own
//! event stream.
//!
//! A CloudEvent comes in, every policy in force that asks about its type is shown
//! the fields that it declared, and a verdict comes out: the strictest of what
//! they find. [`Runtime`] is the whole of it for a program that embeds it;
//! [`server`] puts it behind HTTP.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use ephor::{Runtime, ingest};
//!
//! // The `ephor` binary compiles policies in processes of its own; without `worker` this
//! // program does, if it calls `ephor::sandbox::worker::main` when its first argument is
//! // `compile-worker`.
//! let runtime = Runtime::builder().worker("/usr/bin/ephor").data("/var/lib/shop/ephor").build()?;
//! let policy = std::fs::read("negative-list.wasm")?;
//! runtime.install(policy, br#"{"words":["KNIFE"]}"#.to_vec()).await?;
//!
//! // Verdicts as they are recorded, from any sequence on; none is left out.
//! let mut verdicts = runtime.verdicts(1);
//! tokio::spawn(async move {
//!     while let Some(Ok(notice)) = verdicts.next().await {
//!         println!("{}: {:?}", notice.sequence, notice.verdict);
//!     }
//! });
//!
//! // An event, and its verdict once that is durable.
//! let event = br#"{"specversion":"1.0","id":"1","source":"/shop","type":"retail.invoice.line"}"#;
//! let event = ingest::structured(event, &ingest::Limits::default())?;
//! let judged = runtime.submit(vec![event]).await?.await?;
//! println!("{:?}", judged.answers[0].verdict());
//!
//! // What was taken is judged and recorded before this returns.
//! runtime.close().await;
//! # Ok(()) }
//! ```
//!
//! `examples/embed.rs` is a whole service around it; [`outgoing`] tells verdicts to other
//! systems.
//!
//! The modules in the order in which an event meets them; `runtime/README.md` has
//! the picture, and what each of them must not know.

pub mod access;
pub mod config;
pub mod server;

pub mod outgoing;

pub mod ingest;
pub mod runtime;
mod sequencer;

mod projection;
pub mod state;
mod stats;
pub mod telemetry;
pub mod trace;

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
mod scan;
#[doc(hidden)]
pub mod stamp;
mod table;
pub mod tls;
pub mod verdict;

#[doc(hidden)]
pub mod bench;
#[doc(hidden)]
pub mod fuzz;
#[cfg(test)]
mod testing;

pub use config::Config;
pub use policy::{Grant, Publisher};
pub use reference::List;
pub use runtime::{Runtime, Swap};
pub use sandbox::{LoadError, inspect};
