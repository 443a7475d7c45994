//! What a certificate says about itself: from when until when it is valid, and for whom.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage};

/// The time that a certificate is valid for.
#[derive(Debug, Clone)]
pub(super) struct Validity {
    pub(super) certificate: CertificateDer<'static>,
    /// Seconds since 1970; both are in it.
    pub(super) from: u64,
    pub(super) until: u64,
}

impl Validity {
    /// Nothing if that cannot be read.
    pub(super) fn of(certificate: &CertificateDer<'static>) -> Option<Validity> {
        let leaf = EndEntityCert::try_from(certificate).ok()?;
        // Dates are looked at before anything else; and an error has the date that was
        // missed, which nothing else of the library gives.
        let at = |seconds| {
            let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            leaf.verify_for_usage(&[], &[], &[], time, KeyUsage::server_auth(), None, None).err()
        };
        let from = match at(0) {
            Some(Error::CertNotValidYet { not_before, .. }) => not_before.as_secs(),
            _ => 0,
        };
        let until = match at(u64::MAX) {
            Some(Error::CertExpired { not_after, .. }) => not_after.as_secs(),
            _ => return None,
        };
        Some(Validity { certificate: certificate.clone(), from, until })
    }

    pub(super) fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    pub(super) fn is_early(&self) -> bool {
        self.from > now()
    }

    /// How long it goes on.
    pub(super) fn left(&self) -> Duration {
        Duration::from_secs(self.until.saturating_sub(now()))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The DNS names and URIs in a certificate's subject alternative name (RFC 5280, section
/// 4.2.1.6); those that are malformed are left out.
pub fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(leaf) = EndEntityCert::try_from(certificate) else { return Vec::new() };
    leaf.valid_dns_names().chain(leaf.valid_uri_names()).map(str::to_string).collect()
}

/// A moment, for people.
pub(super) fn day(seconds: u64) -> String {
    let moment = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    moment.map_or_else(|| format!("{seconds} s after 1970"), |moment| moment.to_string())
}
