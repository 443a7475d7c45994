//! `/v1/status`: what is judged with, since when, and how it stands, as a note that the
//! ledger's key has signed. Kept, it proves what ran where.

use hyper::Response;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, VARY};
use hyper::http::request::Parts;
use schemars::JsonSchema;
use serde::Serialize;
use time::OffsetDateTime;

use super::Shared;
use super::body::ResponseBody;
use super::problem::{Cause, Problem};
use super::protocol::preferred;
use super::releases::{self, View};
use super::viewer::Viewer;
use crate::ledger::Durability;
use crate::outgoing::DestinationStatus;
use crate::publishers::PublisherStatus;

/// The first line of the note. No checkpoint begins so, and no status like one.
const FIRST_LINE: &str = "ephor status 1";

#[derive(Serialize, JsonSchema)]
pub(super) struct Status {
    /// When this was said.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    at: OffsetDateTime,
    /// The program.
    version: &'static str,
    /// Whether it takes events.
    ready: bool,
    /// What an answer means for the disk: `sync`, `os`, or `none` if nothing is kept.
    durability: &'static str,
    /// The last committed entry.
    entries: u64,
    /// The latest signed checkpoint: entries and root.
    checkpoint: Option<Signed>,
    /// Whose releases and repositories these are; absent if they are all that there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    narrowed_to: Option<Vec<String>>,
    releases: Vec<View>,
    publishers: Vec<PublisherStatus>,
    /// Other systems that are told verdicts; none to whom a part is shown.
    outgoing: Vec<DestinationStatus>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SignedHead")]
struct Signed {
    entries: u64,
    root: String,
}

/// The status: a signed note, or JSON alone for who asks for that.
pub(super) fn get(shared: &Shared, parts: &Parts) -> Result<Response<ResponseBody>, Problem> {
    let (runtime, viewer) = (&shared.runtime, Viewer::of(parts));
    let latest = runtime.log().and_then(|log| log.latest());
    let checkpoint = latest.map(|(checkpoint, _)| Signed { entries: checkpoint.size, root: checkpoint.root.to_string() });
    // Whom the platform tells what, and why that fails, is no publisher's affair.
    let outgoing = shared.options.outgoing.as_ref().filter(|_| viewer.is_whole());
    let now = OffsetDateTime::now_utc();
    let status = Status {
        at: now.replace_nanosecond(0).unwrap_or(now),
        version: env!("CARGO_PKG_VERSION"),
        ready: runtime.is_ready() && runtime.failure().is_none(),
        durability: runtime.durability().map_or("none", Durability::name),
        entries: *runtime.durable().borrow(),
        checkpoint,
        narrowed_to: viewer.narrowed_to(),
        releases: releases::views(shared, &viewer),
        publishers: releases::publishers(shared, &viewer),
        outgoing: outgoing.map(|outgoing| outgoing.status()).unwrap_or_default(),
    };
    let json = serde_json::to_string_pretty(&status).map_err(|error| {
        tracing::error!(%error, "The status could not be rendered");
        Problem::new(Cause::Internal, "The status could not be rendered; the log says more.")
    })?;
    let wants_json = preferred(&parts.headers, &["text/plain", "application/json"]) == Some(1);
    let (body, kind) = match runtime.sign(&format!("{FIRST_LINE}\n{json}\n")) {
        Some(note) if !wants_json => (note.to_string(), "text/plain; charset=utf-8"),
        _ => (format!("{json}\n"), "application/json"),
    };
    let mut response = Response::new(ResponseBody::full(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    Ok(response)
}
