//! Who is at the other end of a connection, as far as the connection itself says.

use std::net::SocketAddr;

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
