//! `GET /v1/events/{sequence}` and `POST /v1/erasures`: what is kept of events, and that it
//! goes.

use std::sync::Arc;

use hyper::Response;
use hyper::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::body::{RequestBody, ResponseBody};
use super::guard::Caller;
use super::policies::{check_local, render, stopped};
use super::problem::{Cause, Problem, sentence};
use crate::digest;
use crate::runtime::{Erase, EraseError, RawEvent, RawEventError};

/// What is encoded in attributes' headers (CloudEvents HTTP binding 1.0.2, section
/// 3.1.3.2).
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// The event as it was sent, in the mode in which it was, with its salt.
pub(super) async fn get(shared: &Arc<Shared>, parts: &Parts, sequence: u64) -> Result<Response<ResponseBody>, Problem> {
    check_local(shared, parts)?;
    let runtime = shared.runtime.clone();
    let read = tokio::task::spawn_blocking(move || runtime.raw_event(sequence)).await;
    let RawEvent { content, salt, .. } = match read {
        Ok(Ok(event)) => event,
        Ok(Err(error)) => return Err(not_given(&error)),
        Err(error) => {
            tracing::error!(%error, "Reading an event broke down");
            return Err(Problem::new(Cause::Internal, "Reading the event broke down; the log says more."));
        }
    };
    note(&Caller::of(parts), sequence);
    let mut response = Response::new(ResponseBody::full(content.body().to_vec()));
    let headers = response.headers_mut();
    for (name, value) in content.attributes() {
        let value = utf8_percent_encode(value, ENCODED).to_string();
        // Both were headers before.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(format!("ce-{name}")), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    if let Ok(media_type) = HeaderValue::from_str(content.media_type())
        && !media_type.is_empty()
    {
        headers.insert(CONTENT_TYPE, media_type);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Whoever sent the event chose bytes and type. A browser that is led here must not run
    // them as if they were the server's own.
    for (name, value) in
        [(CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (CONTENT_DISPOSITION, "attachment")]
    {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(salt) = HeaderValue::try_from(digest::hex(&salt)) {
        headers.insert("ephor-salt", salt);
    }
    Ok(response)
}

/// Says in the log that somebody was given the content of an event.
pub(super) fn note(Caller(identity): &Caller, sequence: u64) {
    let by = identity.as_ref().map(|identity| identity.to_string());
    tracing::info!(sequence, by, "The content of an event was given out");
}

fn not_given(error: &RawEventError) -> Problem {
    let (cause, by) = match error {
        RawEventError::Unknown(_) | RawEventError::NoEvent { .. } => (Cause::NotFound, None),
        RawEventError::NotKept(_) => (Cause::NotKept, None),
        RawEventError::Erased { by, .. } => (Cause::Erased, Some(*by)),
        RawEventError::Read(_) | RawEventError::Log(_) | RawEventError::Changed(_) => {
            tracing::error!(%error, "The content of an event cannot be read");
            (Cause::Internal, None)
        }
    };
    let problem = Problem::new(cause, sentence(error));
    match by {
        Some(by) => problem.with("erasure", by.to_string().into_bytes()),
        None => problem,
    }
}

/// What is to go, and who wants it: events about a subject, about a subject of a source,
/// or the one with a source and an id.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Erasure", extend("anyOf" = which()))]
pub(super) struct Act {
    /// Whom or what they are about.
    subject: Option<String>,
    /// Where they come from.
    source: Option<String>,
    /// The id of one, together with its source.
    id: Option<String>,
    /// Who wants it: a person or a role. Asked of whoever has not shown who they are (`access`); of others
    /// the server knows it.
    #[serde(default)]
    #[schemars(regex(pattern = r"\S"))]
    by: String,
    /// Why.
    reason: Option<String>,
}

/// Which members go together.
fn which() -> Value {
    let text = json!({ "type": "string", "pattern": r"^[^\x00-\x1f\x7f-\x9f]+$" });
    let text_or_none = json!({ "anyOf": [text, { "type": "null" }] });
    json!([
        { "required": ["subject"], "properties": { "subject": text, "source": text_or_none, "id": { "type": "null" } } },
        { "required": ["source", "id"], "properties": { "source": text, "id": text, "subject": { "type": "null" } } },
    ])
}

/// Erases the content of events. Answers once it is gone.
pub(super) async fn erase(shared: &Arc<Shared>, parts: &Parts, body: &mut RequestBody) -> Result<Response<ResponseBody>, Problem> {
    let Act { subject, source, id, by, reason } = super::act::read(shared, parts, body).await?;
    let by = super::act::by(parts, by, reason)?;
    let runtime = shared.runtime.clone();
    // In a task of its own: a client that hangs up must not leave it half done.
    match tokio::spawn(async move { runtime.erase(Erase { subject, source, id }, by).await }).await {
        Ok(Ok(erased)) => render(&erased),
        Ok(Err(error)) => Err(match error {
            EraseError::Stopped(_) => stopped(),
            EraseError::Unclear => Problem::new(Cause::Query, sentence(&error)),
            EraseError::NothingKept => Problem::new(Cause::NotKept, sentence(&error)),
            EraseError::Failed { sequence, .. } => {
                Problem::new(Cause::Internal, sentence(&error)).with("sequence", sequence.to_string().into_bytes())
            }
        }),
        Err(error) => {
            tracing::error!(%error, "An erasure broke down");
            Err(Problem::new(Cause::Internal, "The erasure broke down; the log says more."))
        }
    }
}
