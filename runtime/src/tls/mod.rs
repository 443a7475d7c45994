//! TLS (RFC 5246, RFC 8446): certificates and keys from files, for the server and for the
//! command line. Knows nothing of HTTP.

mod client;
mod files;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

pub use client::{Client, ClientError};
pub use files::FileError;

/// Named, not taken from the process: which one that has is up to every crate in it.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
