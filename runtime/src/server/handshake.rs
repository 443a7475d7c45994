//! The handshake of a connection: bounded in time, and never in the way of others.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Shared;
use super::metrics::Handshake;
use super::peer::ClientCertificate;
use crate::tls::Door;

/// What every TLS connection begins with: the type of a handshake's record (RFC 8446,
/// section 5.1).
const RECORD_OF_HANDSHAKE: u8 = 22;

/// For who speaks HTTP to a door that is not for that: closed without a word, it would look
/// like a server that is broken.
const IN_CLEAR: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 47\r\nconnection: close\r\n\r\nThis server speaks TLS: write https://, please\n";

/// What the two ends have agreed to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    /// Of a name in ALPN (RFC 7301); others were not offered.
    fn of(name: &[u8]) -> Option<Protocol> {
        match name {
            b"h2" => Some(Protocol::Http2),
            b"http/1.1" => Some(Protocol::Http1),
            _ => None,
        }
    }
}

/// A connection after its handshake.
pub(super) struct Met {
    pub(super) stream: TlsStream<TcpStream>,
    pub(super) certificate: Option<ClientCertificate>,
    /// When the door changes that has taken it.
    pub(super) changes: watch::Receiver<u64>,
    /// Absent if the client does not know ALPN.
    pub(super) protocol: Option<Protocol>,
}

/// Does the handshake with a client whose first byte is there; nothing if that ends the
/// connection.
pub(super) async fn meet(shared: &Shared, door: &Door, mut stream: TcpStream, first: u8, address: SocketAddr) -> Option<Met> {
    let patience = shared.limits.tls.handshake_timeout();
    if first != RECORD_OF_HANDSHAKE {
        shared.counters.handshake(Handshake::Clear);
        // What is left unread would take the answer with it.
        let _ = stream.try_read(&mut [0; 4_096]);
        let _ = timeout(patience, stream.write_all(IN_CLEAR)).await;
        let _ = timeout(patience, stream.shutdown()).await;
        return None;
    }
    // Before the door is looked at: what changes during the handshake is a change.
    let changes = door.changes();
    let stream = match timeout(patience, TlsAcceptor::from(door.config()).accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            shared.counters.handshake(Handshake::Failed);
            tracing::debug!(%address, %error, "No handshake");
            return None;
        }
        Err(_) => {
            shared.counters.handshake(Handshake::Late);
            tracing::debug!(%address, "The handshake took too long");
            return None;
        }
    };
    shared.counters.handshake(Handshake::Done);
    let session = stream.get_ref().1;
    let certificate = session.peer_certificates().and_then(<[_]>::first).map(ClientCertificate::of);
    let protocol = session.alpn_protocol().and_then(Protocol::of);
    Some(Met { certificate, changes, protocol, stream })
}
