//! Every bound of the HTTP surface, with the reason for its number.
//!
//! What one event may be is bounded in `ingest::Limits`; here is what one
//! connection and one request may cost.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clients::Clients;
use crate::tls;

/// Bounds of the HTTP surface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Connections open at the same time. Further ones wait in the system's
    /// queue. Each costs at most its read buffer and the answers in flight.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_max: usize,
    /// Header fields of one request. CloudEvents in binary mode needs about ten.
    #[schemars(range(min = 1, max = 10_000))]
    pub headers_max: usize,
    /// Bytes of all header fields of one request together. In binary mode the
    /// attributes of the event are here.
    #[schemars(range(min = 256, max = 1 << 20))]
    pub header_bytes_max: usize,
    /// HTTP/2 streams open at the same time on one connection.
    #[schemars(range(min = 1, max = 100_000))]
    pub streams_max: u32,
    /// HTTP/2 streams of one connection that the client has reset and that the server has
    /// not begun with. One that opens and resets them faster (CVE-2023-44487) is sent away.
    #[schemars(range(min = 1, max = 100_000))]
    pub streams_reset_max: usize,
    /// HTTP/2 streams that the server itself has reset on one connection because of errors
    /// of the client (CVE-2025-8671). A client with more is sent away.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub streams_failed_max: usize,
    /// Bytes that an HTTP/2 client may send ahead on one stream.
    #[schemars(range(min = 16_384, max = (1u32 << 31) - 1))]
    pub stream_window_bytes: u32,
    /// Bytes that an HTTP/2 client may send ahead on one connection.
    #[schemars(range(min = 65_535, max = (1u32 << 31) - 1))]
    pub connection_window_bytes: u32,
    /// Bytes of one HTTP/2 frame.
    #[schemars(range(min = 16_384, max = (1 << 24) - 1))]
    pub frame_bytes_max: u32,
    /// Bytes of answers that wait to be sent on one HTTP/2 stream.
    #[schemars(range(min = 1_024, max = 1 << 30))]
    pub send_buffer_bytes_max: usize,
    /// Bytes that are read at once of an HTTP/1.1 connection, and with that the memory of
    /// one. Much smaller, and a stream pays for many reads.
    #[schemars(range(min = 8_192, max = 1 << 30))]
    pub read_buffer_bytes_max: usize,
    /// Milliseconds between two pings on an HTTP/2 connection.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub ping_interval_ms: u64,
    /// Milliseconds for the answer to a ping; a client that gives none is gone.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub ping_timeout_ms: u64,
    /// Milliseconds a new connection may stay silent. hyper has no such limit.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub first_byte_timeout_ms: u64,
    /// Milliseconds for a whole header; also how long an HTTP/1.1 connection
    /// stays open between two requests.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub header_timeout_ms: u64,
    /// Milliseconds without a further byte of a body that is not a stream.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub body_idle_timeout_ms: u64,
    /// Milliseconds for the whole of a body that is not a stream: a byte every
    /// nine seconds is not idle, and still holds a connection for ever.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub body_timeout_ms: u64,
    /// Milliseconds without a further byte of a stream's body. A stream that
    /// has nothing to say keeps itself alive with blank lines.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub stream_idle_timeout_ms: u64,
    /// Milliseconds that a client may leave answers unread before it is taken
    /// for gone.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub write_timeout_ms: u64,
    /// Bytes of all bodies together that are held before they are judged, streams
    /// aside. Beyond it a request is refused with a time to come back: many
    /// connections with many HTTP/2 streams each would otherwise add up.
    #[schemars(range(min = 1 << 20, max = 1u64 << 41))]
    pub bodies_bytes_max: usize,
    /// Milliseconds without a request after which an HTTP/2 connection is
    /// closed.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub idle_timeout_ms: u64,
    /// Milliseconds that open requests are given when the server stops.
    #[schemars(range(min = 0, max = 86_400_000))]
    pub drain_timeout_ms: u64,
    /// How many times its own size the body of a compressed stream may expand
    /// to, counted from its second mebibyte. Lines of JSON that differ only in
    /// a counter reached 28 with gzip and 79 with zstd; a bomb reaches 1,000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub expansion_ratio_max: u64,
    /// Events that a stream submits together at most. Fewer are submitted
    /// whenever nothing more has arrived.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub stream_batch_events_max: usize,
    /// Bytes of lines that a stream submits together at most.
    #[schemars(range(min = 1, max = 1 << 30))]
    pub stream_batch_bytes_max: usize,
    /// Submissions of one stream whose verdicts are still to come. With these
    /// on their way the stream stops reading, and flow control stops the client.
    #[schemars(range(min = 1, max = 10_000))]
    pub stream_submissions_max: usize,
    /// Bytes of a policy's component.
    #[schemars(range(min = 1, max = 1 << 30))]
    pub component_bytes_max: usize,
    /// Bytes of a policy's settings. Boundaries of a city as GeoJSON fit.
    #[schemars(range(min = 1, max = 1 << 30))]
    pub settings_bytes_max: usize,
    /// Bytes of a reference list that comes with a policy. A sanctions list of 15,000
    /// names has one megabyte.
    #[schemars(range(min = 1, max = 1 << 30))]
    pub list_bytes_max: usize,
    /// Seconds after which a refused client is asked to come back.
    #[schemars(range(min = 0, max = 86_400))]
    pub retry_after_s: u64,
    /// What one client may send; 0: no bound. A client is a name that was shown, or else an
    /// address, of IPv6 its first 64 bits. A request beyond a bound is refused with a time to
    /// come back, a stream waits.
    pub clients: Clients,
    /// Repositories of releases that are served as they are under
    /// `/v1/repositories/NAME/`: folders by name, relative to the folder of the
    /// configuration.
    #[schemars(extend("examples" = [{"transport-office": "/srv/transport-office"}]))]
    pub repositories: BTreeMap<String, PathBuf>,
    /// TLS at this server's own door, in versions 1.2 and 1.3, with HTTP/2 and HTTP/1.1 in it.
    /// Without it the server listens in clear: on this machine, or behind a proxy that does
    /// TLS.
    ///
    /// The files are PEM, relative to the folder of the configuration. They are read again
    /// when they change, and on SIGHUP; what cannot be used is said in the log, and what was
    /// read before goes on.
    pub tls: tls::Settings,
}

/// A server would be reached from beyond this machine without what that takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{address} is reached from beyond this machine, where everybody on the way reads and changes what is sent in clear: \
     name a certificate and its key in the configuration ([server.tls], `certificate` and `key`; `ephor tls init` makes them), \
     or write `elsewhere = true` there if a proxy in front does TLS"
)]
pub struct ExposedError {
    address: SocketAddr,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections_max: 1_024,
            headers_max: 64,
            header_bytes_max: 16 * 1024,
            streams_max: 100,
            streams_reset_max: 20,
            streams_failed_max: 1_024,
            stream_window_bytes: 1024 * 1024,
            connection_window_bytes: 2 * 1024 * 1024,
            frame_bytes_max: 64 * 1024,
            send_buffer_bytes_max: 400 * 1024,
            read_buffer_bytes_max: 256 * 1024,
            ping_interval_ms: 20_000,
            ping_timeout_ms: 10_000,
            first_byte_timeout_ms: 5_000,
            header_timeout_ms: 5_000,
            body_idle_timeout_ms: 10_000,
            body_timeout_ms: 30_000,
            stream_idle_timeout_ms: 60_000,
            write_timeout_ms: 30_000,
            bodies_bytes_max: 128 * 1024 * 1024,
            idle_timeout_ms: 60_000,
            drain_timeout_ms: 10_000,
            expansion_ratio_max: 100,
            stream_batch_events_max: 1_024,
            stream_batch_bytes_max: 1024 * 1024,
            stream_submissions_max: 128,
            component_bytes_max: 32 * 1024 * 1024,
            settings_bytes_max: 4 * 1024 * 1024,
            list_bytes_max: 16 * 1024 * 1024,
            retry_after_s: 1,
            clients: Clients::default(),
            repositories: BTreeMap::new(),
            tls: tls::Settings::default(),
        }
    }
}

impl Limits {
    /// What a server with these limits can take over of others while it runs: all but what
    /// its connections have in common, and whether there is TLS.
    #[must_use]
    pub fn taking_over(&self, others: &Limits) -> Limits {
        let tls = match self.tls.is_on() && others.tls.is_on() {
            true => others.tls.clone(),
            false => self.tls.clone(),
        };
        Limits { connections_max: self.connections_max, bodies_bytes_max: self.bodies_bytes_max, tls, ..others.clone() }
    }

    /// Whether a server with these limits may listen on an address.
    ///
    /// # Errors
    ///
    /// With what has to be said first, if others than this machine reach it.
    pub fn may_listen(&self, address: SocketAddr) -> Result<(), ExposedError> {
        match address.ip().is_loopback() || self.tls.is_on() || self.tls.elsewhere {
            true => Ok(()),
            false => Err(ExposedError { address }),
        }
    }

    pub(super) fn ping_interval(&self) -> Duration {
        Duration::from_millis(self.ping_interval_ms)
    }

    pub(super) fn ping_timeout(&self) -> Duration {
        Duration::from_millis(self.ping_timeout_ms)
    }

    pub(super) fn first_byte_timeout(&self) -> Duration {
        Duration::from_millis(self.first_byte_timeout_ms)
    }

    pub(super) fn header_timeout(&self) -> Duration {
        Duration::from_millis(self.header_timeout_ms)
    }

    pub(super) fn body_idle_timeout(&self) -> Duration {
        Duration::from_millis(self.body_idle_timeout_ms)
    }

    pub(super) fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }

    pub(super) fn stream_idle_timeout(&self) -> Duration {
        Duration::from_millis(self.stream_idle_timeout_ms)
    }

    pub(super) fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout_ms)
    }

    pub(super) fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms)
    }

    pub(super) fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }
}
