//! What a verb is told about its connection to a server; the same for all of them.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use ephor::tls;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use rustls::ClientConfig;

use super::client::{Target, Way};
use super::exit::{Exit, Or as _, Outcome, failed};

/// The environment variable with the token for a server.
const TOKEN: &str = "EPHOR_TOKEN";

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
    /// A file with the bearer token to show to the server [default: the token in the
    /// environment variable EPHOR_TOKEN, if there is one].
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    token_file: Option<PathBuf>,
}

impl Connection {
    /// The server, to be spoken to in this way. Every verb that opens a connection gets its
    /// target from here.
    ///
    /// # Errors
    ///
    /// If a file cannot be used, or does not go with the server's address.
    pub fn to(&self, at: &Target) -> Outcome<Target> {
        Ok(at.by(Way { tls: self.tls(at)?, headers: self.headers()? }))
    }

    /// What goes with every request.
    fn headers(&self) -> Outcome<HeaderMap> {
        let token = match &self.token_file {
            Some(file) => {
                let text = std::fs::read_to_string(file).with_context(|| format!("cannot read the token in {}", file.display()));
                Some(text.or_exit(Exit::Usage)?)
            }
            None => std::env::var(TOKEN).ok().filter(|token| !token.is_empty()),
        };
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let value = HeaderValue::try_from(format!("Bearer {}", token.trim()));
            // The error would have the token in it.
            let mut value = value.map_err(|_| failed(Exit::Usage, "the token is none: it has characters that no header takes"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(headers)
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
