//! Traces for a collector: OTLP over HTTP, as protobuf.
//!
//! One thread of its own sends what has ended. In front of it is a queue with a bound; what
//! finds it full is dropped and counted, so a collector that is slow or gone costs events
//! nothing.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stats::{OutcomeLabel, Stats};
use crate::trace::{self, Kind, Sink, Span, Value};

/// Spans that are sent together, and how long the first of them waits for others.
const SEND_SPANS: usize = 512;
const SEND_DELAY: Duration = Duration::from_secs(1);

/// Where a collector takes traces, below its address (OTLP, section "OTLP/HTTP Request").
const PATH: &str = "/v1/traces";

/// Traces of requests for a collector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where the collector takes OTLP over HTTP: its address, or a whole URL where it does not
    /// take traces under `/v1/traces`. Without it nothing is traced.
    #[schemars(extend("examples" = ["http://127.0.0.1:4318"]))]
    pub endpoint: Option<String>,
    /// The share of requests without a trace of their own that are traced. Whether one with a
    /// `traceparent` is, its caller has decided.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample: f64,
    /// A file of headers for the collector, such as its token: `NAME: VALUE`, one a line.
    /// Those in the environment variables `OTEL_EXPORTER_OTLP_TRACES_HEADERS` and
    /// `OTEL_EXPORTER_OTLP_HEADERS` are sent too. Relative to the folder of the configuration.
    #[schemars(extend("examples" = ["collector.headers"]))]
    pub headers_file: Option<PathBuf>,
    /// What the traces say they are of (`service.name`).
    pub service: String,
    /// Milliseconds that the collector has for an answer.
    #[schemars(range(min = 1, max = 600_000))]
    pub timeout_ms: u64,
    /// Spans that may wait to be sent. Beyond it they are dropped, and counted in
    /// `ephor_trace_spans_total`.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub queue_spans_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { endpoint: None, sample: 0.01, headers_file: None, service: "ephor".into(), timeout_ms: 5_000, queue_spans_max: 16_384 }
    }
}

impl Settings {
    /// What is wrong with the address, if something is.
    pub fn problem(&self) -> Option<String> {
        let endpoint = self.endpoint.as_ref()?;
        match url::Url::parse(endpoint) {
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                Some(format!("begins with {}:; write http:// or https:// and the collector's address", url.scheme()))
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                Some("has a user or a password in it; put an authorization header into headers-file".into())
            }
            Ok(url) if url.host_str().is_none_or(str::is_empty) => Some("names no host; write it as in http://127.0.0.1:4318".into()),
            Ok(_) => None,
            Err(error) => Some(format!("is no URL ({error}); write it as in http://127.0.0.1:4318")),
        }
    }

    /// The URL that is sent to.
    fn url(&self) -> Option<String> {
        let endpoint = self.endpoint.as_ref()?;
        let is_base = url::Url::parse(endpoint).is_ok_and(|url| matches!(url.path(), "" | "/"));
        Some(if is_base { format!("{}{PATH}", endpoint.trim_end_matches('/')) } else { endpoint.clone() })
    }
}

/// Traces cannot be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// The file of headers is of no use.
    #[error("telemetry.traces.headers-file: {}: {problem}", file.display())]
    Headers {
        /// Which file.
        file: PathBuf,
        /// What is wrong; never what is in it.
        problem: String,
    },
    /// The client cannot be made.
    #[error("telemetry.traces: {0}")]
    Client(String),
}

/// Sends spans to a collector.
pub struct Collector {
    sender: Sender<Message>,
    waiting: Arc<AtomicUsize>,
    waiting_max: usize,
    /// Traces of which the first 8 bytes are below it are wanted.
    sampled_below: u64,
    /// Whether all are.
    samples_all: bool,
    spans: Family<OutcomeLabel, Counter>,
}

enum Message {
    Spans(Vec<Span>),
    /// Everything before it is sent, or not to be.
    Flush(Sender<()>),
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl Collector {
    /// Begins to send; nothing if no collector is configured. Relative paths begin at `base`.
    ///
    /// # Errors
    ///
    /// If nothing could be sent, whatever the collector does.
    pub fn start(settings: &Settings, base: &Path) -> Result<Option<Arc<Collector>>, CollectorError> {
        let Some(url) = settings.url() else { return Ok(None) };
        let client = |error: &dyn fmt::Display| CollectorError::Client(error.to_string());
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .with_endpoint(url)
            .with_timeout(Duration::from_millis(settings.timeout_ms))
            .with_headers(headers(settings.headers_file.as_ref().map(|file| base.join(file)))?);
        let mut exporter = exporter.build().map_err(|error| client(&error))?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        exporter.set_resource(&Resource::builder().with_service_name(settings.service.clone()).with_attribute(version).build());
        let (sender, receiver) = mpsc::channel();
        let (waiting, spans) = (Arc::new(AtomicUsize::new(0)), Family::<OutcomeLabel, Counter>::default());
        for outcome in ["sent", "dropped", "failed"] {
            drop(spans.get_or_create(&OutcomeLabel { outcome }));
        }
        let sending = Sending { exporter, waiting: waiting.clone(), spans: spans.clone(), is_failing: false };
        thread::Builder::new().name("traces".into()).spawn(move || sending.run(&receiver)).map_err(|error| client(&error))?;
        Ok(Some(Arc::new(Collector {
            sender,
            waiting,
            waiting_max: settings.queue_spans_max,
            sampled_below: (settings.sample * u64::MAX as f64) as u64,
            samples_all: settings.sample >= 1.0,
            spans,
        })))
    }

    /// Adds its counts to a page.
    pub fn register(&self, stats: &Stats) {
        stats.register(|registry| {
            registry.register("trace_spans", "Spans of traces, by whether a collector has them", self.spans.clone());
        });
    }

    /// Waits until everything that has ended is sent, so long at most. Says whether it is.
    pub fn flush(&self, patience: Duration) -> bool {
        let (done, flushed) = mpsc::channel();
        self.sender.send(Message::Flush(done)).is_ok() && flushed.recv_timeout(patience).is_ok()
    }
}

impl Sink for Collector {
    fn samples(&self, trace: [u8; 16]) -> bool {
        let (first, _) = trace.split_at(8);
        self.samples_all || first.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte)) < self.sampled_below
    }

    fn take(&self, spans: Vec<Span>) {
        let count = spans.len();
        let before = self.waiting.fetch_add(count, Ordering::Relaxed);
        if before + count > self.waiting_max || self.sender.send(Message::Spans(spans)).is_err() {
            self.waiting.fetch_sub(count, Ordering::Relaxed);
            self.spans.get_or_create(&OutcomeLabel { outcome: "dropped" }).inc_by(count as u64);
        }
    }
}

/// The thread that sends.
struct Sending {
    exporter: opentelemetry_otlp::SpanExporter,
    waiting: Arc<AtomicUsize>,
    spans: Family<OutcomeLabel, Counter>,
    is_failing: bool,
}

impl Sending {
    fn run(mut self, receiver: &Receiver<Message>) {
        let mut spans: Vec<Span> = Vec::new();
        let mut since = Instant::now();
        loop {
            let message = match spans.is_empty() {
                true => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => receiver.recv_timeout(SEND_DELAY.saturating_sub(since.elapsed())),
            };
            match message {
                Ok(Message::Spans(more)) => {
                    if spans.is_empty() {
                        since = Instant::now();
                    }
                    spans.extend(more);
                    if spans.len() >= SEND_SPANS {
                        self.send(std::mem::take(&mut spans));
                    }
                }
                Ok(Message::Flush(done)) => {
                    self.send(std::mem::take(&mut spans));
                    // Whoever asked may have no more patience.
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => self.send(std::mem::take(&mut spans)),
                Err(RecvTimeoutError::Disconnected) => return self.send(spans),
            }
        }
    }

    fn send(&mut self, spans: Vec<Span>) {
        if spans.is_empty() {
            return;
        }
        let count = spans.len();
        let now = Now { instant: Instant::now(), time: SystemTime::now() };
        let scope = InstrumentationScope::builder("ephor").with_version(env!("CARGO_PKG_VERSION")).build();
        let sent = block_on(self.exporter.export(spans.into_iter().map(|span| data(span, now, &scope)).collect()));
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        let outcome = if sent.is_ok() { "sent" } else { "failed" };
        self.spans.get_or_create(&OutcomeLabel { outcome }).inc_by(count as u64);
        // Said once, until it is otherwise.
        if let Err(error) = &sent
            && !self.is_failing
        {
            tracing::warn!(%error, "The collector does not take traces; they are dropped and counted until it does");
        }
        if sent.is_ok() && self.is_failing {
            tracing::info!("The collector takes traces again");
        }
        self.is_failing = sent.is_err();
    }
}

/// One moment on both clocks.
#[derive(Clone, Copy)]
struct Now {
    instant: Instant,
    time: SystemTime,
}

impl Now {
    fn time(self, of: Instant) -> SystemTime {
        self.time - self.instant.saturating_duration_since(of)
    }
}

fn data(span: Span, now: Now, scope: &InstrumentationScope) -> SpanData {
    let attribute = |(name, value): (&'static str, Value)| match value {
        Value::Text(text) => KeyValue::new(name, text.into_owned()),
        Value::Integer(number) => KeyValue::new(name, number),
    };
    let link = |context: trace::Context| Link::new(place(&context, false), Vec::new(), 0);
    let mut links = SpanLinks::default();
    links.links = span.links.into_iter().map(link).collect();
    SpanData {
        span_context: place(&span.context, false),
        parent_span_id: span.parent.map_or(SpanId::INVALID, SpanId::from_bytes),
        parent_span_is_remote: span.is_remote,
        span_kind: match span.kind {
            Kind::Server => SpanKind::Server,
            Kind::Consumer => SpanKind::Consumer,
            Kind::Internal => SpanKind::Internal,
        },
        name: span.name,
        start_time: now.time(span.began),
        end_time: now.time(span.ended),
        attributes: span.attributes.into_iter().map(attribute).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links,
        status: span.failure.map_or(Status::Unset, Status::error),
        instrumentation_scope: scope.clone(),
    }
}

fn place(context: &trace::Context, is_remote: bool) -> SpanContext {
    // One that is none is of no use to whoever gets it.
    let state = context.state().and_then(|state| state.parse().ok()).unwrap_or(TraceState::NONE);
    let flags = if context.is_sampled() { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    SpanContext::new(TraceId::from_bytes(context.trace()), SpanId::from_bytes(context.span()), flags, is_remote, state)
}

/// Reads a file of headers. An error names lines and never shows them.
fn headers(file: Option<PathBuf>) -> Result<HashMap<String, String>, CollectorError> {
    let Some(file) = file else { return Ok(HashMap::new()) };
    let wrong = |problem: String| CollectorError::Headers { file: file.clone(), problem };
    let text = std::fs::read_to_string(&file).map_err(|error| wrong(error.to_string()))?;
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let header = |(line, number): (&str, usize)| {
        let (name, value) = line.split_once(':').ok_or_else(|| wrong(format!("line {number} is not NAME: VALUE")))?;
        let (name, value) = (name.trim(), value.trim());
        let is_token = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if !is_token || !value.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b)) {
            return Err(wrong(format!("line {number} is no header")));
        }
        Ok((name.to_string(), value.to_string()))
    };
    lines.map(header).collect()
}

/// Runs a future to its end on this thread, which is not one of tokio's: the client blocks.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (mut future, mut context) = (pin!(future), Context::from_waker(&waker));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(endpoint: &str) -> Settings {
        Settings { endpoint: Some(endpoint.into()), ..Settings::default() }
    }

    #[test]
    fn an_address_alone_gets_the_path_of_traces() {
        let url = |endpoint: &str| of(endpoint).url().expect("a URL");
        assert_eq!(url("http://127.0.0.1:4318"), "http://127.0.0.1:4318/v1/traces");
        assert_eq!(url("http://127.0.0.1:4318/"), "http://127.0.0.1:4318/v1/traces");
        assert_eq!(url("https://collector.example/in/traces"), "https://collector.example/in/traces");
        assert_eq!(Settings::default().url(), None);
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said() {
        for (endpoint, expected) in [
            ("http://127.0.0.1:4318", None),
            ("grpc://127.0.0.1:4317", Some("write http:// or https://")),
            ("127.0.0.1:4318", Some("is no URL")),
            ("http://me:secret@collector.example", Some("headers-file")),
        ] {
            match (of(endpoint).problem(), expected) {
                (None, None) => {}
                (Some(problem), Some(expected)) => {
                    assert!(problem.contains(expected) && !problem.contains("secret"), "{endpoint}: {problem}");
                }
                (problem, _) => panic!("{endpoint}: {problem:?}"),
            }
        }
    }

    #[test]
    fn headers_are_read_and_never_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("headers");
        std::fs::write(&file, "# the token\nAuthorization: Bearer abc:def\n\nx-team:  one\n").expect("written");
        let read = headers(Some(file.clone())).expect("headers");
        assert_eq!((read["Authorization"].as_str(), read["x-team"].as_str(), read.len()), ("Bearer abc:def", "one", 2));
        std::fs::write(&file, "ok: 1\nBearer abcdef\n").expect("written");
        let error = headers(Some(file)).expect_err("no header").to_string();
        assert!(error.contains("line 2") && !error.contains("abcdef"), "{error}");
    }

    #[test]
    fn a_share_of_traces_is_wanted() {
        let with = |sample: f64| {
            // Nobody listens there.
            let settings = Settings { sample, ..of("http://127.0.0.1:9") };
            Collector::start(&settings, Path::new("")).expect("a collector").expect("one is configured")
        };
        let traces: Vec<[u8; 16]> = (0..1_000).map(|_| trace::Context::root(true).trace()).collect();
        let share = |sample: f64| {
            let collector = with(sample);
            traces.iter().filter(|trace| collector.samples(**trace)).count()
        };
        assert_eq!((share(0.0), share(1.0)), (0, 1_000));
        assert!((150..350).contains(&share(0.25)), "{}", share(0.25));
    }
}
