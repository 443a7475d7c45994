//! A stand-in for a collector of traces: takes OTLP over HTTP and keeps what it was sent.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message as _;

use crate::PATIENCE;
use crate::receiver::{Received, Receiver, Reply};

/// A span as it was sent, its ids as digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Whose trace.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// That of the span that it is part of; empty at the beginning of a trace.
    pub parent: String,
    /// `tracestate`.
    pub state: String,
    /// What it is.
    pub name: String,
    /// SpanKind: 1 internal, 2 server, 5 consumer.
    pub kind: i32,
    /// Nanoseconds since 1970.
    pub began: u64,
    /// The same.
    pub ended: u64,
    /// Attributes as text.
    pub attributes: BTreeMap<String, String>,
    /// Traces that it is linked to.
    pub links: Vec<String>,
    /// `service.name`.
    pub service: String,
}

/// The stand-in; gone with the value.
pub struct Collector(Receiver);

impl Collector {
    /// Starts it on a port of its own.
    pub async fn start() -> Collector {
        let answer = |received: &Received| Reply::Status(if request(received).is_some() { 200 } else { 400 });
        Collector(Receiver::start(answer).await)
    }

    /// Its address, as a configuration has it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.0.address())
    }

    /// What it has.
    pub fn spans(&self) -> Vec<Span> {
        self.0.seen().iter().filter_map(request).flat_map(spans).collect()
    }

    /// A header of the latest request that it got.
    pub fn header(&self, name: &str) -> Option<String> {
        let seen = self.0.seen();
        let latest = seen.iter().rfind(|received| received.status == Some(200))?;
        Some(latest.headers.get(name)?.to_str().ok()?.to_string())
    }

    /// Whether a text stands in anything that it was sent.
    pub fn has(&self, text: &str) -> bool {
        self.0.seen().iter().any(|received| received.body.windows(text.len()).any(|window| window == text.as_bytes()))
    }

    /// The spans of a trace, once there is one of each of these names.
    ///
    /// # Panics
    ///
    /// If they never come, with those that did.
    pub async fn trace(&self, trace: &str, names: &[&str]) -> Vec<Span> {
        let begin = Instant::now();
        loop {
            let spans: Vec<Span> = self.spans().into_iter().filter(|span| span.trace == trace).collect();
            if names.iter().all(|name| spans.iter().any(|span| span.name == *name)) {
                return spans;
            }
            assert!(begin.elapsed() < PATIENCE, "waited for {names:?} in the trace {trace}; there are {:#?}", self.spans());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What it was sent; nothing if it is not for a collector of traces.
fn request(received: &Received) -> Option<ExportTraceServiceRequest> {
    let is_ours = received.path == "/v1/traces" && received.header("content-type") == "application/x-protobuf";
    ExportTraceServiceRequest::decode(received.body.clone()).ok().filter(|_| is_ours)
}

fn spans(request: ExportTraceServiceRequest) -> Vec<Span> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut found = Vec::new();
    for resource in request.resource_spans {
        let about = texts(resource.resource.map(|resource| resource.attributes).unwrap_or_default());
        let service = about.get("service.name").cloned().unwrap_or_default();
        found.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans).map(|span| Span {
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            state: span.trace_state,
            name: span.name,
            kind: span.kind,
            began: span.start_time_unix_nano,
            ended: span.end_time_unix_nano,
            attributes: texts(span.attributes),
            links: span.links.iter().map(|link| hex(&link.trace_id)).collect(),
            service: service.clone(),
        }));
    }
    found
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.into_iter().map(|attribute| (attribute.key, text(attribute.value))).collect()
}
