//! `ephor package`: a component as an OCI artefact, so that it travels the way that a
//! platform's other programs do. What makes it a release is signed in a repository.

pub mod pull;
pub mod push;

use std::path::PathBuf;

use anyhow::Context as _;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};

use super::exit::{Exit, Failed, Or as _, Outcome};

/// The media types of the Wasm OCI artefact layout.
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const LAYER: &str = "application/wasm";

/// What can be done with a package.
#[derive(clap::Subcommand)]
pub enum Verb {
    Push(push::Args),
    Pull(pull::Args),
}

pub fn run(verb: Verb) -> Outcome {
    match verb {
        Verb::Push(args) => push::run(&args),
        Verb::Pull(args) => pull::run(&args),
    }
}

/// A place in a registry, and how to get in.
#[derive(clap::Args)]
struct Place {
    /// Where: REGISTRY/NAME:TAG, or REGISTRY/NAME@sha256:… to pull.
    #[arg(value_name = "REFERENCE")]
    reference: Reference,
    /// Speaks HTTP without TLS, as to a registry on this machine.
    #[arg(long)]
    plain_http: bool,
    /// Name to log in with.
    #[arg(long, value_name = "NAME", requires = "password_file")]
    user: Option<String>,
    /// File with the password, or the token, to log in with.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
}

impl Place {
    fn client(&self) -> Outcome<(Client, RegistryAuth)> {
        let protocol = if self.plain_http { ClientProtocol::Http } else { ClientProtocol::Https };
        // Whether a component fits the machine is not asked here: there is one.
        let config = ClientConfig { protocol, platform_resolver: None, ..ClientConfig::default() };
        let client = Client::try_from(config).context("cannot set up a client for registries")?;
        let auth = match (&self.user, &self.password_file) {
            (Some(user), Some(file)) => {
                let read = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()));
                RegistryAuth::Basic(user.clone(), read.or_exit(Exit::Usage)?.trim_end().into())
            }
            _ => RegistryAuth::Anonymous,
        };
        Ok((client, auth))
    }
}

/// A registry that did not do what it was asked.
fn failed_at(place: &Place, error: oci_client::errors::OciDistributionError) -> Failed {
    use oci_client::errors::OciDistributionError as E;
    let exit = match &error {
        E::RequestError(error) if error.is_connect() || error.is_timeout() => Exit::Unreachable,
        E::AuthenticationFailure(_) | E::UnauthorizedError { .. } | E::ImageManifestNotFoundError(_) | E::DigestError(_) => Exit::Refused,
        _ => Exit::Failed,
    };
    let error = anyhow::Error::new(error).context(format!("the registry of {} did not do it", place.reference));
    Failed { exit, error }
}
