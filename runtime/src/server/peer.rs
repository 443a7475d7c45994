//! Who is at the other end of a connection, as far as the connection itself says.

use std::net::SocketAddr;

use rustls::pki_types::CertificateDer;

use crate::digest::Digest;
use crate::tls;

/// The other end of a connection.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// Where it connects from.
    pub(super) address: SocketAddr,
    /// What it has shown of itself in the handshake, checked against the authorities
    /// that the configuration names. Absent in clear, and where none was asked for.
    pub(super) certificate: Option<ClientCertificate>,
}

/// A client's certificate (RFC 5280), already verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientCertificate {
    /// SHA-256 of its DER encoding.
    pub(super) fingerprint: [u8; 32],
    /// Names of its subject alternative name extension: DNS names, and URIs.
    pub(super) names: Vec<String>,
}

impl ClientCertificate {
    /// What a certificate says that was verified.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> ClientCertificate {
        ClientCertificate { fingerprint: *Digest::of(certificate).bytes(), names: tls::names(certificate) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_known_by_its_digest_and_names() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut parameters = rcgen::CertificateParams::new(["fleet.example".to_string(), "127.0.0.1".into()]).expect("names");
        parameters.subject_alt_names.push(rcgen::SanType::URI("urn:example:fleet".try_into().expect("a URI")));
        let made = parameters.self_signed(&key).expect("a certificate");
        let seen = ClientCertificate::of(made.der());
        assert_eq!(seen.names, ["fleet.example", "urn:example:fleet"], "addresses are no names of anybody");
        assert_eq!(seen.fingerprint, *Digest::of(made.der()).bytes());
        assert_eq!(ClientCertificate::of(&CertificateDer::from(vec![0])).names, Vec::<String>::new());
    }
}
