//! A request as part of a trace: whose it is, what it is called in the log, and its span.
//!
//! The caller's `traceparent` is followed (W3C Trace Context); a request without one begins
//! a trace of its own, if the share of those that is configured wants it.

use std::sync::Arc;
use std::time::Instant;

use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

use super::Shared;
use super::body::ResponseBody;
use crate::trace::{Context, Kind, Sink, Span};

/// A request on its way.
pub(super) struct Followed {
    began: Instant,
    route: &'static str,
    method: &'static str,
    /// The caller's.
    parent: Option<Context>,
    /// Its own, if there is a caller's, or if it is wanted.
    own: Option<Context>,
    sink: Option<Arc<dyn Sink>>,
}

impl Followed {
    pub(super) fn begin(shared: &Shared, parts: &Parts, route: &'static str) -> Self {
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let parent = header("traceparent").and_then(|text| Context::parse(text, header("tracestate")));
        let sink = shared.runtime.traces();
        let own = match (&parent, sink) {
            (Some(parent), _) => Some(parent.child()),
            (None, Some(sink)) => Some(Context::root(true)).filter(|root| sink.samples(root.trace())),
            (None, None) => None,
        };
        let sink = sink.filter(|_| own.as_ref().is_some_and(Context::is_sampled)).cloned();
        Followed { began: Instant::now(), route, method: method(parts), parent, own, sink }
    }

    /// Its place in a trace that somebody wants to see.
    pub(super) fn context(&self) -> Option<&Context> {
        self.own.as_ref().filter(|_| self.sink.is_some())
    }

    /// What marks the log's lines about it; nothing where nobody traces.
    pub(super) fn log(&self) -> tracing::Span {
        match &self.own {
            Some(own) => tracing::info_span!("request", trace_id = own.trace_id(), span_id = own.span_id()),
            None => tracing::Span::none(),
        }
    }

    /// The head of its answer is there; the body may go on for long.
    pub(super) fn answered(self, shared: &Shared, response: &mut Response<ResponseBody>) {
        shared.counters.took(self.route, self.began.elapsed(), self.context());
        let (Some(sink), Some(own)) = (self.sink, self.own) else { return };
        let status = response.status();
        let span = Span {
            parent: self.parent.as_ref().map(Context::span),
            is_remote: self.parent.is_some(),
            context: own,
            kind: Kind::Server,
            name: format!("{} {}", self.method, self.route).into(),
            began: self.began,
            ended: self.began,
            attributes: vec![
                ("http.request.method", self.method.into()),
                ("http.route", self.route.into()),
                ("http.response.status_code", u64::from(status.as_u16()).into()),
            ],
            links: Vec::new(),
            failure: failure(status),
        };
        response.extensions_mut().insert(Sending(Arc::new(Told { sink, span })));
    }
}

/// An answer that is being sent. The span ends with the last of it.
#[derive(Clone)]
pub(super) struct Sending(#[expect(dead_code, reason = "it does its work when it is dropped")] Arc<Told>);

struct Told {
    sink: Arc<dyn Sink>,
    span: Span,
}

impl Drop for Told {
    fn drop(&mut self) {
        self.span.ended = Instant::now();
        self.sink.take(vec![self.span.clone()]);
    }
}

/// The method, of a closed set (OpenTelemetry, semantic conventions for HTTP).
fn method(parts: &Parts) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "DELETE"].into_iter().find(|known| *known == parts.method.as_str()).unwrap_or("_OTHER")
}

/// Only what went wrong on this side is an error of the span (same source).
fn failure(status: StatusCode) -> Option<&'static str> {
    status.is_server_error().then_some("the request failed")
}
