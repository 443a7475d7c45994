//! TLS (RFC 5246, RFC 8446): certificates and keys from files, for the server and for the
//! command line. Knows nothing of HTTP.
//!
//! `settings` is what an operator says, `files` reads what is named there, `door` is the
//! server's side and follows the files, `client` is the other side, and `validity` is what a
//! certificate says about itself.

mod client;
mod door;
mod files;
mod settings;
mod validity;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

pub use client::{Client, ClientError};
pub use door::{Door, DoorError};
pub use files::FileError;
pub use settings::{ClientCertificates, Settings};
pub use validity::names;

/// Named, not taken from the process: which one that has is up to every crate in it.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
