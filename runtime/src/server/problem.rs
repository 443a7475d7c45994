//! Errors as `application/problem+json` (RFC 9457), and the one table that says
//! which cause gets which status.

use hyper::header::{ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::body::ResponseBody;
use crate::ingest::{Place, Rejection, RejectionKind};
use crate::ledger::Refusal;
use crate::ledger::entry::string;

/// Content types that `POST /v1/events` takes, for the `Accept` of a 415.
const EVENT_TYPES: &str = "application/cloudevents+json, application/cloudevents-batch+json, application/x-ndjson";
/// And those that `PUT /v1/policies/{name}` takes.
const POLICY_TYPES: &str = "application/wasm, application/json, multipart/form-data";

/// Why a request, or a part of it, is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The event itself is at fault.
    Event(RejectionKind),
    /// A line is longer than an event may be.
    LineTooLong,
    /// Another event has this source and id.
    IdReused,
    /// Too old for anybody to know whether it was here before.
    OutsideHorizon,
    /// What a query asks for is not known.
    Query,
    /// A header does not say what it should.
    Header,
    /// The body is no note.
    Cosignature,
    /// A checkpoint that the log does not remember.
    UnknownCheckpoint,
    /// A witness that the log was not told of.
    UnknownWitness,
    /// The server keeps no ledger.
    NoLedger,
    /// The disk failed; nothing is taken any more.
    LedgerFailed,
    /// The request has not one valid event.
    NothingValid,
    /// No such path.
    NotFound,
    /// Of an event only the digest is there.
    NotKept,
    /// The content of an event was erased.
    Erased,
    /// No such policy.
    NoSuchPolicy,
    /// The client wants the answer in a form that it does not come in.
    NotAcceptable,
    /// The address is longer than the limits allow.
    UriTooLong,
    /// What an act is made conditional on does not hold.
    Precondition,
    /// The path has other methods; these.
    Method(&'static str),
    /// The content type is none that the path takes.
    MediaType,
    /// The content type is none that a policy is published with.
    PolicyMediaType,
    /// The content type of an act is not JSON.
    ActMediaType,
    /// A charset other than UTF-8.
    Charset,
    /// A content coding other than gzip and zstd.
    ContentCoding,
    /// More header than the limits allow.
    HeaderTooLarge,
    /// More body than the limits allow, as it was sent.
    BodyTooLarge,
    /// More body than the limits allow, once it is expanded.
    ExpandedTooLarge,
    /// A compressed stream expands more than the limits allow.
    ExpansionRatio,
    /// The compressed body does not decode.
    Corrupt,
    /// The body stopped coming.
    BodyIdle,
    /// The body takes too long as a whole.
    BodySlow,
    /// The body ended before its announced end.
    BodyCut,
    /// The multipart body is malformed or has other parts than it should.
    Multipart,
    /// The queue of events is full.
    QueueFull,
    /// Too many bytes of other requests' bodies are held.
    Crowded,
    /// The server is about to stop.
    Stopping,
    /// Only in development mode.
    DevelopmentOnly,
    /// Nobody has shown who sends this, or not so that it holds.
    Unauthenticated,
    /// Whoever sends this may not do it.
    Forbidden,
    /// A page of another site sends this.
    ForeignSite,
    /// A token is in the URL.
    TokenInUrl,
    /// The client sends more than it may.
    TooMany,
    /// The `Host` is not the loopback interface.
    ForeignHost,
    /// The policy could not be put in force; the word is the load error's.
    Load(&'static str),
    /// A release has not shown what its promotion asks for.
    Gate,
    /// No event is kept that could be judged again.
    NothingKept,
    /// No such back-test.
    NoSuchBacktest,
    /// No release that could be tried.
    NoSuchRelease,
    /// A back-test has no result, or not yet.
    NotDone,
    /// Too many back-tests wait.
    BacktestsFull,
    /// A publisher's repository cannot be followed.
    Repository,
    /// The machine did not let a component be loaded.
    Worker,
    /// A bug of ours. The details are in the log.
    Internal,
}

impl Cause {
    /// The table: status, kind and title of every cause.
    fn row(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Cause::Event(kind @ RejectionKind::TooLarge) => (S::PAYLOAD_TOO_LARGE, kind.name(), kind.title()),
            Cause::Event(kind) => (S::BAD_REQUEST, kind.name(), kind.title()),
            Cause::LineTooLong => (S::PAYLOAD_TOO_LARGE, "line-too-long", "The line is longer than an event may be"),
            Cause::IdReused => (S::CONFLICT, "id-reused", "Another event has this source and id"),
            Cause::OutsideHorizon => (S::CONFLICT, "outside-horizon", "Too old to know whether it was here before"),
            Cause::Query => (S::BAD_REQUEST, "query", "The query asks for something that is not known"),
            Cause::Header => (S::BAD_REQUEST, "header", "A header does not say what it should"),
            Cause::Cosignature => (S::BAD_REQUEST, "cosignature", "This is no checkpoint with a cosignature"),
            Cause::UnknownCheckpoint => (S::CONFLICT, "unknown-checkpoint", "The checkpoint is none of the latest"),
            Cause::UnknownWitness => (S::FORBIDDEN, "unknown-witness", "No witness of this log has signed"),
            Cause::NoLedger => (S::NOT_FOUND, "no-ledger", "This server keeps no ledger"),
            Cause::LedgerFailed => (S::INTERNAL_SERVER_ERROR, "ledger-failed", "The ledger failed, and nothing is taken any more"),
            Cause::NothingValid => (S::BAD_REQUEST, "nothing-valid", "Nothing in the request is a valid event"),
            Cause::NotFound => (S::NOT_FOUND, "not-found", "There is nothing at this path"),
            Cause::NotKept => (S::NOT_FOUND, "not-kept", "No more than the digest is kept of this"),
            Cause::Erased => (S::GONE, "erased", "The content of this event was erased"),
            Cause::NoSuchPolicy => (S::NOT_FOUND, "no-such-policy", "No policy of this name is in force"),
            Cause::NotAcceptable => (S::NOT_ACCEPTABLE, "not-acceptable", "It does not come in a form that is wanted"),
            Cause::UriTooLong => (S::URI_TOO_LONG, "uri-too-long", "The address is too long"),
            Cause::Precondition => (S::PRECONDITION_FAILED, "precondition", "It does not stand as the condition says"),
            Cause::Method(_) => (S::METHOD_NOT_ALLOWED, "method", "This path has other methods"),
            Cause::MediaType => (S::UNSUPPORTED_MEDIA_TYPE, "media-type", "The content type is not one that this path takes"),
            Cause::PolicyMediaType => {
                (S::UNSUPPORTED_MEDIA_TYPE, "policy-media-type", "The content type is not one that a policy is published with")
            }
            Cause::ActMediaType => (S::UNSUPPORTED_MEDIA_TYPE, "act-media-type", "What is to be done is not said in JSON"),
            Cause::Charset => (S::UNSUPPORTED_MEDIA_TYPE, "charset", "Only UTF-8 is taken"),
            Cause::ContentCoding => (S::UNSUPPORTED_MEDIA_TYPE, "content-coding", "The content coding is not one that is taken"),
            Cause::HeaderTooLarge => (S::REQUEST_HEADER_FIELDS_TOO_LARGE, "header-too-large", "The header is too large"),
            Cause::BodyTooLarge => (S::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large"),
            Cause::ExpandedTooLarge => (S::PAYLOAD_TOO_LARGE, "expanded-too-large", "The body is too large once it is expanded"),
            Cause::ExpansionRatio => (S::PAYLOAD_TOO_LARGE, "expansion-ratio", "The body expands to too many times its size"),
            Cause::Corrupt => (S::BAD_REQUEST, "corrupt-body", "The compressed body does not decode"),
            Cause::BodyIdle => (S::REQUEST_TIMEOUT, "body-idle", "The body stopped coming"),
            Cause::BodySlow => (S::REQUEST_TIMEOUT, "body-slow", "The body took too long"),
            Cause::BodyCut => (S::BAD_REQUEST, "body-cut", "The body ended before its end"),
            Cause::Multipart => (S::BAD_REQUEST, "multipart", "The multipart body is not as it should be"),
            Cause::QueueFull => (S::SERVICE_UNAVAILABLE, "queue-full", "The queue of events is full"),
            Cause::Crowded => (S::SERVICE_UNAVAILABLE, "crowded", "Too many requests come in at once"),
            Cause::Stopping => (S::SERVICE_UNAVAILABLE, "stopping", "The server is about to stop"),
            Cause::DevelopmentOnly => (S::FORBIDDEN, "development-only", "Only in development mode"),
            Cause::Unauthenticated => (S::UNAUTHORIZED, "unauthenticated", "Who sends this is not known"),
            Cause::Forbidden => (S::FORBIDDEN, "forbidden", "Whoever sends this may not do it"),
            Cause::ForeignSite => (S::FORBIDDEN, "foreign-site", "Not from a page of another site"),
            Cause::TokenInUrl => (S::BAD_REQUEST, "token-in-url", "A token does not belong into a URL"),
            Cause::TooMany => (S::TOO_MANY_REQUESTS, "too-many", "More than one client may send"),
            Cause::ForeignHost => (S::FORBIDDEN, "foreign-host", "Only under the name of the loopback interface"),
            Cause::Load(kind) => (S::UNPROCESSABLE_ENTITY, kind, "The policy was not put in force"),
            Cause::Gate => (S::CONFLICT, "gate", "The release has not shown what is asked for"),
            Cause::NothingKept => (S::CONFLICT, "nothing-kept", "No events are kept that could be judged again"),
            Cause::NoSuchBacktest => (S::NOT_FOUND, "no-such-backtest", "There is no such back-test"),
            Cause::NoSuchRelease => (S::NOT_FOUND, "no-such-release", "This cannot be tried"),
            Cause::NotDone => (S::CONFLICT, "not-done", "The back-test has no result"),
            Cause::BacktestsFull => (S::SERVICE_UNAVAILABLE, "backtests-full", "Too many back-tests wait"),
            Cause::Repository => (S::BAD_GATEWAY, "repository", "The publisher's repository is not followed right now"),
            Cause::Worker => (S::INTERNAL_SERVER_ERROR, "worker", "The policy could not be loaded on this machine"),
            Cause::Internal => (S::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side"),
        }
    }

    /// The last part of the problem's type; also the label of the metric.
    pub(crate) fn kind(self) -> &'static str {
        self.row().1
    }

    pub(crate) fn status(self) -> StatusCode {
        self.row().0
    }

    /// What it is, in a sentence without its end.
    pub(super) fn title(self) -> &'static str {
        self.row().2
    }

    /// The problem's type.
    pub(super) fn urn(self) -> String {
        format!("urn:ephor:problem:{}", self.kind())
    }

    /// Whether it may say when to come back.
    pub(super) fn asks_back(self) -> bool {
        matches!(self, Cause::QueueFull | Cause::Crowded | Cause::Stopping | Cause::BacktestsFull | Cause::TooMany)
    }
}

/// One problem: its cause, what exactly happened, and where.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) cause: Cause,
    /// What a person needs to mend it.
    pub(crate) detail: String,
    pub(crate) place: Place,
    /// Further members as JSON source text: name and value.
    pub(crate) more: Vec<(&'static str, Vec<u8>)>,
    /// Seconds until it is worth trying again.
    pub(crate) retry_after_s: Option<u64>,
}

impl Problem {
    pub(crate) fn new(cause: Cause, detail: impl Into<String>) -> Self {
        Problem { cause, detail: detail.into(), place: Place::Body, more: Vec::new(), retry_after_s: None }
    }

    /// At a header field.
    pub(crate) fn at_header(mut self, name: &str) -> Self {
        self.place = Place::Header(name.to_owned());
        self
    }

    /// With a time to come back.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// With another member, given as JSON source text.
    pub(crate) fn with(mut self, name: &'static str, json: Vec<u8>) -> Self {
        self.more.push((name, json));
        self
    }

    /// Writes the problem as a JSON object.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write(out, self.cause, &self.detail, &self.place, &self.more);
    }

    pub(crate) fn response(&self) -> Response<ResponseBody> {
        let mut body = Vec::with_capacity(256);
        self.write(&mut body);
        body.push(b'\n');
        let mut response = Response::new(ResponseBody::full(body));
        *response.status_mut() = self.cause.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.cause {
            Cause::Method(allow) => {
                headers.insert(ALLOW, HeaderValue::from_static(allow));
            }
            // RFC 9110, 15.5.16: a 415 says what would have been taken.
            Cause::MediaType => {
                headers.insert(ACCEPT, HeaderValue::from_static(EVENT_TYPES));
            }
            Cause::PolicyMediaType => {
                headers.insert(ACCEPT, HeaderValue::from_static(POLICY_TYPES));
            }
            Cause::ActMediaType => {
                headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
            }
            // RFC 6750, section 3: without credentials, no error code.
            Cause::Unauthenticated => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"ephor\""));
            }
            Cause::ContentCoding => {
                headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd"));
            }
            _ => {}
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        let text = |value: String| Value::from(value).to_string().into_bytes();
        match refusal {
            Refusal::IdReused { sequence, recorded, sent } => {
                let detail = "An event with this source and id is recorded already, with other content. Send a new event under a new id.";
                Problem::new(Cause::IdReused, detail)
                    .with("sequence", sequence.to_string().into_bytes())
                    .with("recorded_digest", text(recorded.to_string()))
                    .with("sent_digest", text(sent.to_string()))
            }
            Refusal::OutsideHorizon { from } => {
                let detail = format!(
                    "Ids of this source are remembered for what happened from {from} on. Whether this older event was here before cannot be known, so it is not taken; `ledger.horizon-days` in the configuration makes the horizon wider."
                );
                Problem::new(Cause::OutsideHorizon, detail)
            }
            Refusal::Reserved => Problem::new(Cause::Event(RejectionKind::Reserved), format!("{refusal}; leave it out.")),
        }
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let mut problem = Problem::new(Cause::Event(rejection.kind), rejection.detail);
        problem.place = rejection.place;
        for (name, value) in [("source", rejection.source), ("id", rejection.id)] {
            if let Some(value) = value {
                let mut json = Vec::new();
                string(&mut json, &value);
                problem.more.push((name, json));
            }
        }
        problem
    }
}

/// Another crate's message, lower case and without an end, as a sentence.
pub(super) fn sentence(error: &impl ToString) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return text };
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{}{}{end}", first.to_uppercase(), chars.as_str())
}

/// The schema of what is written below. Some kinds have further members.
pub(super) fn schema() -> Value {
    json!({
        "description": "Why a request, or a part of it, is refused (RFC 9457).",
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": { "type": "string", "pattern": "^urn:ephor:problem:[a-z-]+$", "description": "What it is, for programs." },
            "title": { "type": "string", "description": "What it is, for people." },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "detail": { "type": "string", "description": "What happened, and what would be right." },
            "pointer": { "type": "string", "description": "The place in the body, as a JSON Pointer (RFC 6901)." },
            "header": { "type": "string", "description": "The header at fault." },
            "source": { "type": "string", "description": "Of the event at fault." },
            "id": { "type": "string", "description": "Of the event at fault." },
            "sequence": { "type": "integer", "description": "Of the entry that it is about." },
            "recorded_digest": { "$ref": "#/components/schemas/Digest" },
            "sent_digest": { "$ref": "#/components/schemas/Digest" },
            "erasure": { "type": "integer", "description": "The sequence of the entry that says who erased it." },
            "items": { "type": "array", "description": "What is wrong with each item.", "items": { "$ref": "#/components/schemas/NoVerdict" } },
            "errors": {
                "description": "Everything that is wrong, each with its place.",
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["pointer", "message"],
                    "properties": { "pointer": { "type": "string" }, "message": { "type": "string" } },
                },
            },
            "shown": { "$ref": "#/components/schemas/Shown" },
            "code": { "type": "string", "description": "Why a repository is not followed, for programs." },
        },
    })
}

/// Writes a problem's members, in the order of RFC 9457 section 3.1, as one
/// JSON object.
pub(super) fn write(out: &mut Vec<u8>, cause: Cause, detail: &str, place: &Place, more: &[(&'static str, Vec<u8>)]) {
    let (status, kind, title) = cause.row();
    out.extend_from_slice(b"{\"type\":");
    string(out, &format!("urn:ephor:problem:{kind}"));
    out.extend_from_slice(b",\"title\":");
    string(out, title);
    out.extend_from_slice(b",\"status\":");
    out.extend_from_slice(status.as_str().as_bytes());
    out.extend_from_slice(b",\"detail\":");
    string(out, detail);
    match place {
        Place::Pointer(pointer) => {
            out.extend_from_slice(b",\"pointer\":");
            string(out, pointer);
        }
        Place::Header(header) => {
            out.extend_from_slice(b",\"header\":");
            string(out, header);
        }
        Place::Body => {}
    }
    for (name, json) in more {
        out.push(b',');
        string(out, name);
        out.push(b':');
        out.extend_from_slice(json);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const OWN: [Cause; 41] = [
        Cause::Header,
        Cause::NothingKept,
        Cause::NoSuchBacktest,
        Cause::NoSuchRelease,
        Cause::NotDone,
        Cause::BacktestsFull,
        Cause::LineTooLong,
        Cause::NothingValid,
        Cause::NotFound,
        Cause::NotKept,
        Cause::Erased,
        Cause::NoSuchPolicy,
        Cause::NotAcceptable,
        Cause::UriTooLong,
        Cause::Precondition,
        Cause::Method("GET"),
        Cause::MediaType,
        Cause::PolicyMediaType,
        Cause::ActMediaType,
        Cause::Charset,
        Cause::ContentCoding,
        Cause::HeaderTooLarge,
        Cause::BodyTooLarge,
        Cause::ExpandedTooLarge,
        Cause::ExpansionRatio,
        Cause::Corrupt,
        Cause::BodyIdle,
        Cause::BodySlow,
        Cause::BodyCut,
        Cause::Multipart,
        Cause::QueueFull,
        Cause::Stopping,
        Cause::DevelopmentOnly,
        Cause::Unauthenticated,
        Cause::Forbidden,
        Cause::ForeignSite,
        Cause::TokenInUrl,
        Cause::TooMany,
        Cause::ForeignHost,
        Cause::Worker,
        Cause::Internal,
    ];

    #[test]
    fn every_cause_has_a_kind_of_its_own_and_an_error_status() {
        let mut kinds = BTreeSet::new();
        for cause in OWN.into_iter().chain(RejectionKind::ALL.into_iter().map(Cause::Event)) {
            assert!(kinds.insert(cause.kind()), "{} is there twice", cause.kind());
            assert!(cause.status().is_client_error() || cause.status().is_server_error());
        }
    }

    #[test]
    fn an_event_at_fault_is_a_400_and_one_too_large_a_413() {
        assert_eq!(Cause::Event(RejectionKind::DuplicateName).status(), 400);
        assert_eq!(Cause::Event(RejectionKind::TooLarge).status(), 413);
    }

    #[test]
    fn a_problem_names_the_place_and_is_json() {
        let problem = Problem::new(Cause::Charset, "a \"quoted\"\nword").at_header("content-type").with("line", b"3".to_vec());
        let mut out = Vec::new();
        problem.write(&mut out);
        let value: Value = serde_json::from_slice(&out).expect("json");
        assert_eq!(value["type"], "urn:ephor:problem:charset");
        assert_eq!(value["status"], 415);
        assert_eq!(value["header"], "content-type");
        assert_eq!(value["detail"], "a \"quoted\"\nword");
        assert_eq!(value["line"], 3);
    }

    #[test]
    fn foreign_messages_become_sentences() {
        assert_eq!(sentence(&"incomplete stream"), "Incomplete stream.");
        assert_eq!(sentence(&"Done."), "Done.");
        assert_eq!(sentence(&""), "");
    }

    #[test]
    fn a_method_that_is_not_there_says_which_are() {
        let response = Problem::new(Cause::Method("GET, HEAD"), "").response();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()[ALLOW], "GET, HEAD");
    }
}
