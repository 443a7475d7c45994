//! The server's side: what it shows and whom it takes, as its files are now.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::sync::watch;

use super::settings::{ClientCertificates, Settings};
use super::validity::{self, Validity};
use super::{FileError, files, provider};
use crate::stamp::Stamp;

/// So long before it ends a certificate is warned about.
const WARN_BEFORE: Duration = Duration::from_secs(14 * 86_400);

/// And so often.
const WARN_EVERY: Duration = Duration::from_secs(86_400);

/// Why a door cannot be opened with these files.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// A file is not as it should be.
    #[error("server.tls.{key}: {source}")]
    File {
        /// The key that names it.
        key: &'static str,
        /// What is wrong with it.
        source: FileError,
    },
    /// What is in a file cannot be used.
    #[error("server.tls.{key}: {}: {reason}", file.display())]
    Unusable {
        /// The key that names it.
        key: &'static str,
        /// Which file.
        file: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// What new connections are met with. Clones are the same door.
#[derive(Clone)]
pub struct Door(Arc<Inner>);

struct Inner {
    now: RwLock<Now>,
    follow: Mutex<Follow>,
    /// How often it went over to other files or settings.
    changes: watch::Sender<u64>,
}

/// What was read last.
#[derive(Clone)]
struct Now {
    settings: Settings,
    config: Arc<ServerConfig>,
    validity: Validity,
}

/// How the files looked; nothing for one that was not there.
#[derive(Debug)]
struct Follow {
    taken: Vec<Option<Stamp>>,
    seen: Vec<Option<Stamp>>,
    warned: Option<Instant>,
}

impl Door {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// If one of them cannot be used.
    pub fn open(settings: &Settings) -> Result<Door, DoorError> {
        let stamps = stamps(settings);
        let now = Now::read(settings)?;
        let follow = Follow { taken: stamps.clone(), seen: stamps, warned: None };
        let door = Door(Arc::new(Inner { now: RwLock::new(now), follow: Mutex::new(follow), changes: watch::Sender::new(0) }));
        door.say("Certificate read");
        door.warn();
        Ok(door)
    }

    /// What the next handshake is done with.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.now().config)
    }

    /// Tells when the door goes over to other files or settings: whom it has let in before
    /// it might not let in then.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// When the certificate ends, in seconds since 1970.
    pub fn expires(&self) -> u64 {
        self.now().validity.until
    }

    /// Goes over to other settings.
    ///
    /// # Errors
    ///
    /// If their files cannot be used; then everything stays as it is.
    pub fn settle(&self, settings: &Settings) -> Result<(), DoorError> {
        let stamps = stamps(settings);
        let new = Now::read(settings)?;
        let before = self.now().validity;
        if new.validity.is_over() && !before.is_over() {
            let reason = format!("it has expired on {}", validity::day(new.validity.until));
            return Err(DoorError::Unusable { key: "certificate", file: settings.certificate.clone(), reason });
        }
        *self.0.now.write().unwrap_or_else(PoisonError::into_inner) = new;
        self.0.changes.send_modify(|changes| *changes += 1);
        *self.follow() = Follow { taken: stamps.clone(), seen: stamps, warned: None };
        self.warn();
        Ok(())
    }

    /// Reads the files again and says in the log what came of it.
    pub fn read_again(&self, why: &str) {
        let Now { settings, .. } = self.now();
        self.follow().taken = stamps(&settings);
        match self.settle(&settings) {
            Ok(()) => self.say(why),
            Err(error) => tracing::error!(why, %error, "New TLS files not taken over; those that were read before go on"),
        }
    }

    /// Reads the files again if they have changed, and warns of a certificate that ends
    /// soon. To be called every half second or so: a change is taken when two looks in a row
    /// find the same, so that a file that is being written is not.
    pub fn look(&self) {
        let stamps = stamps(&self.now().settings);
        let is_new = {
            let mut follow = self.follow();
            let is_new = stamps == follow.seen && stamps != follow.taken && stamps.iter().all(Option::is_some);
            follow.seen = stamps;
            is_new
        };
        match is_new {
            true => self.read_again("TLS files changed"),
            false => self.warn(),
        }
    }

    fn say(&self, why: &str) {
        let now = self.now();
        let names = validity::names(&now.validity.certificate).join(", ");
        tracing::info!(why, %names, until = validity::day(now.validity.until), "TLS is ready");
    }

    /// Says once a day that the certificate ends soon, or has ended.
    fn warn(&self) {
        let validity = self.now().validity;
        if validity.left() > WARN_BEFORE && !validity.is_early() {
            return;
        }
        let mut follow = self.follow();
        if follow.warned.is_some_and(|warned| warned.elapsed() < WARN_EVERY) {
            return;
        }
        follow.warned = Some(Instant::now());
        let (from, until) = (validity::day(validity.from), validity::day(validity.until));
        match (validity.is_over(), validity.is_early()) {
            (true, _) => tracing::error!(until, "The TLS certificate has expired: clients refuse it"),
            (_, true) => tracing::error!(from, "The TLS certificate is not valid yet: clients refuse it"),
            _ => tracing::warn!(until, days = validity.left().as_secs() / 86_400, "The TLS certificate expires soon"),
        }
    }

    fn now(&self) -> Now {
        self.0.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn follow(&self) -> std::sync::MutexGuard<'_, Follow> {
        self.0.follow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Now {
    fn read(settings: &Settings) -> Result<Now, DoorError> {
        let Settings { certificate, key, .. } = settings;
        let chain = files::certificates(certificate).map_err(|source| DoorError::File { key: "certificate", source })?;
        let own_key = files::key(key).map_err(|source| DoorError::File { key: "key", source })?;
        if files::is_open_to_all(key) {
            tracing::warn!(key = %key.display(), "Everybody on this machine can read the private key; `chmod o-rwx` it");
        }
        let unusable = |reason: String| DoorError::Unusable { key: "certificate", file: certificate.clone(), reason };
        let validity = chain.first().and_then(Validity::of).ok_or_else(|| unusable("it has no readable dates".into()))?;
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| unusable(error.to_string()))?;
        let verifier = verifier(settings)?;
        let asks = verifier.offer_client_auth();
        let mut config = builder.with_client_cert_verifier(verifier).with_single_cert(chain, own_key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => unusable(format!("{} is the key of another certificate", key.display())),
            error => unusable(error.to_string()),
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if asks {
            // A resumed session is as good as the certificate that it began with, which may
            // have ended since.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Now { settings: settings.clone(), config: Arc::new(config), validity })
    }
}

/// Whom the door lets in.
fn verifier(settings: &Settings) -> Result<Arc<dyn ClientCertVerifier>, DoorError> {
    if settings.client_authorities.is_empty() {
        return Ok(WebPkiClientVerifier::no_client_auth());
    }
    let mut roots = RootCertStore::empty();
    for file in &settings.client_authorities {
        let key = "client-authorities";
        for certificate in files::certificates(file).map_err(|source| DoorError::File { key, source })? {
            let added = roots.add(certificate);
            added.map_err(|error| DoorError::Unusable { key, file: file.clone(), reason: error.to_string() })?;
        }
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    for file in &settings.revoked {
        builder = builder.with_crls(files::revoked(file).map_err(|source| DoorError::File { key: "revoked", source })?);
    }
    builder = match settings.client_certificates {
        ClientCertificates::Optional => builder.allow_unauthenticated(),
        ClientCertificates::Required => builder,
    };
    builder.enforce_revocation_expiration().build().map_err(|error| {
        let file = settings.revoked.first().or(settings.client_authorities.first()).cloned().unwrap_or_default();
        DoorError::Unusable { key: "revoked", file, reason: error.to_string() }
    })
}

fn stamps(settings: &Settings) -> Vec<Option<Stamp>> {
    settings.files().map(|(_, file)| Stamp::of(file)).collect()
}
