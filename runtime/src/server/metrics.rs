//! The server's own counters, and the page that shows them among the runtime's.
//!
//! Labels come from closed sets: a route by its name, a status by its class, a
//! rejection by its kind. Nothing that a client chooses becomes a label.

use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::Shared;
use super::body::ResponseBody;
use super::problem::Cause;
use crate::ingest::RejectionKind;
use crate::stats::{self, Seconds};
use crate::trace::Context;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RejectionLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandshakeLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BoundLabels {
    bound: &'static str,
}

/// What came of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handshake {
    Done,
    /// One of the two did not like what the other had to show, or say.
    Failed,
    /// It took too long.
    Late,
    /// The client did not begin one.
    Clear,
}

impl Handshake {
    const ALL: [Handshake; 4] = [Handshake::Done, Handshake::Failed, Handshake::Late, Handshake::Clear];

    fn name(self) -> &'static str {
        match self {
            Handshake::Done => "done",
            Handshake::Failed => "failed",
            Handshake::Late => "late",
            Handshake::Clear => "clear",
        }
    }
}

/// What the server counts about itself.
#[derive(Debug, Clone)]
pub(super) struct Counters {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabel, Seconds, fn() -> Seconds>,
    problems: Family<RejectionLabels, Counter>,
    rejections: Family<RejectionLabels, Counter>,
    throttled: Family<BoundLabels, Counter>,
    connections: Gauge,
    handshakes: Family<HandshakeLabels, Counter>,
    expiry: Gauge,
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            requests: Family::default(),
            seconds: Family::new_with_constructor(stats::seconds as fn() -> Seconds),
            problems: Family::default(),
            rejections: Family::default(),
            throttled: Family::default(),
            connections: Gauge::default(),
            handshakes: Family::default(),
            expiry: Gauge::default(),
        }
    }
}

impl Counters {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("http_requests", "Requests answered, by route and class of status", self.requests.clone());
        let (name, help) = ("http_request", "Time to the head of the answer, by route");
        registry.register_with_unit(name, help, Unit::Seconds, self.seconds.clone());
        registry.register("http_problems", "Requests that were refused or failed, by why", self.problems.clone());
        registry.register("events_rejected", "Items that were no valid event, by what was wrong", self.rejections.clone());
        registry.register(
            "http_throttled",
            "Requests refused, and submissions of streams that waited, by the bound of one client",
            self.throttled.clone(),
        );
        registry.register("http_connections", "Open connections", self.connections.clone());
        // A series that begins with the first error hides it: its rate needs a
        // zero before.
        for kind in RejectionKind::ALL {
            drop(self.rejections.get_or_create(&RejectionLabels { kind: kind.name() }));
        }
        drop(self.rejections.get_or_create(&RejectionLabels { kind: Cause::LineTooLong.kind() }));
        for cause in [Cause::QueueFull, Cause::LedgerFailed, Cause::Internal] {
            drop(self.problems.get_or_create(&RejectionLabels { kind: cause.kind() }));
        }
    }

    pub(super) fn throttled(&self, bound: &'static str) {
        self.throttled.get_or_create(&BoundLabels { bound }).inc();
    }

    /// What there is with TLS only.
    pub(super) fn register_tls(&self, registry: &mut Registry) {
        registry.register("tls_handshakes", "TLS handshakes, by what came of them", self.handshakes.clone());
        registry.register("tls_certificate_expiry_seconds", "When the TLS certificate ends, in seconds since 1970", self.expiry.clone());
        for outcome in Handshake::ALL {
            drop(self.handshakes.get_or_create(&HandshakeLabels { outcome: outcome.name() }));
        }
    }

    pub(super) fn handshake(&self, outcome: Handshake) {
        self.handshakes.get_or_create(&HandshakeLabels { outcome: outcome.name() }).inc();
    }

    pub(super) fn answered(&self, route: &'static str, status: StatusCode) {
        let status = match status.as_u16() {
            100..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        self.requests.get_or_create(&RequestLabels { route, status }).inc();
    }

    /// How long a request took, and a trace of it.
    pub(super) fn took(&self, route: &'static str, took: Duration, example: Option<&Context>) {
        stats::observe(&self.seconds.get_or_create(&RouteLabel { route }), took, example);
    }

    /// A request was refused, or failed.
    pub(super) fn problem(&self, kind: &'static str) {
        self.problems.get_or_create(&RejectionLabels { kind }).inc();
    }

    pub(super) fn rejected(&self, kind: &'static str) {
        self.rejections.get_or_create(&RejectionLabels { kind }).inc();
    }

    /// Counts a connection for as long as the guard lives.
    pub(super) fn connection(&self) -> OpenConnection {
        self.connections.inc();
        OpenConnection(self.connections.clone())
    }
}

/// An open connection.
pub(super) struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The runtime's metrics and the server's as one OpenMetrics page.
pub(super) fn get(shared: &Shared) -> Response<ResponseBody> {
    if let Some(door) = &shared.door {
        shared.counters.expiry.set(i64::try_from(door.expires()).unwrap_or(i64::MAX));
    }
    let mut response = Response::new(ResponseBody::full(shared.runtime.stats().encode()));
    let openmetrics = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, openmetrics);
    response
}
