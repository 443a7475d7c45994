//! What a verb is told about its connection to a server; the same for all of them.

use std::path::PathBuf;
use std::sync::Arc;

use ephor::tls;
use hyper::header::HeaderMap;
use rustls::ClientConfig;

use super::client::{Target, Way};
use super::exit::{Exit, Or as _, Outcome, failed};

/// How to speak to the server.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Connection {
    /// Authorities that the server's certificate has to come from (PEM), with https://
    /// [default: those of the system].
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    ca: Option<PathBuf>,
    /// A certificate to show to the server, with its chain (PEM).
    #[arg(long, value_name = "FILE", requires = "certificate_key", help_heading = "Connection")]
    certificate: Option<PathBuf>,
    /// The private key of that certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "certificate", help_heading = "Connection")]
    certificate_key: Option<PathBuf>,
}

impl Connection {
    /// The server, to be spoken to in this way. Every verb that opens a connection gets its
    /// target from here.
    ///
    /// # Errors
    ///
    /// If a file cannot be used, or does not go with the server's address.
    pub fn to(&self, at: &Target) -> Outcome<Target> {
        Ok(at.by(Way { tls: self.tls(at)?, headers: self.headers() }))
    }

    /// What goes with every request.
    fn headers(&self) -> HeaderMap {
        HeaderMap::new()
    }

    fn tls(&self, at: &Target) -> Outcome<Option<Arc<ClientConfig>>> {
        if !at.is_secure() {
            return match self.ca.is_some() || self.certificate.is_some() {
                true => Err(failed(Exit::Usage, format!("--ca and --certificate are for servers at https://, not for {at}"))),
                false => Ok(None),
            };
        }
        let certificate = self.certificate.clone().zip(self.certificate_key.clone());
        let client = tls::Client { authorities: self.ca.clone(), certificate };
        client.open().or_exit(Exit::Usage).map(Some)
    }
}
