//! Who a server lets in, as its configuration says.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use ephor::Config;
use ephor::access::Access;

use super::config;
use super::exit::{Exit, Or as _, Outcome, failed};

/// The ways in, if the configuration has any. Without, the server listens on this machine
/// only.
pub fn open(config: &Config, file: Option<&Path>, listen: SocketAddr) -> Outcome<Option<Arc<Access>>> {
    let access = Access::open(&config.access, &config::base(file)).context("cannot know who is let in").or_exit(Exit::Usage)?;
    match &access {
        None if !listen.ip().is_loopback() => Err(failed(
            Exit::Usage,
            format!(
                "on {listen}, beyond this machine, nobody is let in unknown: make a token with `ephor token create NAME --role operator --tokens tokens.json`, \
                 and write [access] and tokens = \"tokens.json\" into the configuration"
            ),
        )),
        None => Ok(None),
        Some(_) => {
            tracing::info!("Whoever sends something has to show who they are; what is not permitted is refused");
            Ok(access.map(Arc::new))
        }
    }
}
