//! A stand-in for a collector of traces: takes OTLP over HTTP and keeps what it was sent.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message as _;
use tokio::net::TcpListener;

use crate::PATIENCE;

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

/// The stand-in. It ends with the test's runtime.
#[derive(Debug, Clone)]
pub struct Collector {
    address: SocketAddr,
    got: Arc<Mutex<Got>>,
}

#[derive(Debug, Default)]
struct Got {
    spans: Vec<Span>,
    /// Of the latest request.
    headers: HeaderMap,
    /// Everything, as it came.
    raw: Vec<u8>,
}

impl Collector {
    /// Starts it on a port of its own.
    pub async fn start() -> Collector {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let collector = Collector { address: listener.local_addr().expect("an address"), got: Arc::default() };
        let own = collector.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let own = own.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| own.clone().answer(request));
                    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        collector
    }

    /// Its address, as a configuration has it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let is_ours =
            head.uri.path() == "/v1/traces" && head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/x-protobuf");
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let mut response = Response::new(Full::default());
        match ExportTraceServiceRequest::decode(body.clone()) {
            Ok(request) if is_ours => {
                let mut got = self.got.lock().unwrap_or_else(PoisonError::into_inner);
                got.spans.extend(spans(request));
                got.headers = head.headers;
                got.raw.extend_from_slice(&body);
            }
            _ => *response.status_mut() = StatusCode::BAD_REQUEST,
        }
        Ok(response)
    }

    /// What it has.
    pub fn spans(&self) -> Vec<Span> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner).spans.clone()
    }

    /// A header of the latest request that it got.
    pub fn header(&self, name: &str) -> Option<String> {
        let got = self.got.lock().unwrap_or_else(PoisonError::into_inner);
        got.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_string)
    }

    /// Whether a text stands in anything that it was sent.
    pub fn has(&self, text: &str) -> bool {
        let got = self.got.lock().unwrap_or_else(PoisonError::into_inner);
        got.raw.windows(text.len()).any(|window| window == text.as_bytes())
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
