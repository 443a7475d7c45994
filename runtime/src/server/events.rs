//! `POST /v1/events`: which of the four forms it is, and the answers of the
//! three that come whole.

use std::sync::Arc;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;

use super::answer::{self, At};
use super::body::{Coding, RequestBody, ResponseBody};
use super::clients::Ticket;
use super::problem::{Cause, Problem};
use super::{Shared, stream};
use crate::event::Event;
use crate::ingest::{self, Rejection};
use crate::runtime::{Answer, Judged, SubmitError};
use crate::trace::Context;

/// The forms that events come in (CloudEvents 1.0.2, HTTP binding, section 3,
/// and lines).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Binary,
    Structured,
    Batch,
    Lines,
}

/// Answers the request.
pub(super) async fn post(
    shared: &Arc<Shared>,
    parts: &Parts,
    trace: Option<&Context>,
    body: &mut RequestBody,
) -> Result<Response<ResponseBody>, Problem> {
    let (headers, ticket) = (&parts.headers, Ticket::of(parts));
    let form = form(headers)?;
    body.decode(Coding::of(headers)?);
    if form == Form::Lines {
        return stream::post(shared, headers, ticket, trace.cloned(), body.take()).await;
    }
    let limits = &shared.limits;
    let ingest = &shared.options.ingest;
    // One byte more than an event may have: the event's own check then says so.
    let event_max = ingest.event_bytes_max;
    let bytes_max = if form == Form::Batch { ingest.batch_bytes_max } else { event_max.saturating_add(1) };
    let body = body.collect(bytes_max, limits.body_idle_timeout(), limits.body_timeout(), &shared.room).await.map_err(|mut problem| {
        if form != Form::Batch && matches!(problem.cause, Cause::BodyTooLarge | Cause::ExpandedTooLarge) {
            problem.detail = format!("An event has at most {event_max} bytes.");
        }
        problem
    })?;
    let take = |events: usize| ticket.as_ref().map_or(Ok(()), |ticket| ticket.take(events, body.len()));
    if form != Form::Batch {
        take(1)?;
    }
    match form {
        Form::Batch => batch(shared, trace, &body, take).await,
        Form::Structured => one(shared, trace, ingest::structured(&body, ingest)).await,
        Form::Binary | Form::Lines => one(shared, trace, binary(shared, headers, &body)).await,
    }
}

fn binary(shared: &Shared, headers: &HeaderMap, body: &Bytes) -> Result<Event, Rejection> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let fields = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    ingest::binary(fields, content_type, body, &shared.options.ingest)
}

async fn one(shared: &Shared, trace: Option<&Context>, event: Result<Event, Rejection>) -> Result<Response<ResponseBody>, Problem> {
    let event = event.map_err(|rejection| {
        shared.counters.rejected(rejection.kind.name());
        Problem::from(rejection)
    })?;
    let judged = judge(shared, trace, vec![event]).await?;
    let mut out = Vec::with_capacity(256);
    for (event, answer) in judged.events.iter().zip(&judged.answers) {
        if let Answer::Refused(refusal) = answer {
            return Err(Problem::from(refusal));
        }
        answer::answer(&mut out, event, answer, None);
    }
    out.push(b'\n');
    Ok(json(out))
}

async fn batch(
    shared: &Shared,
    trace: Option<&Context>,
    body: &[u8],
    take: impl FnOnce(usize) -> Result<(), Problem>,
) -> Result<Response<ResponseBody>, Problem> {
    let items = ingest::batch(body, &shared.options.ingest).map_err(|rejection| {
        shared.counters.rejected(rejection.kind.name());
        Problem::from(rejection)
    })?;
    let mut events = Vec::with_capacity(items.len());
    // `None` stands for the next event.
    let mut slots = Vec::with_capacity(items.len());
    for item in items {
        slots.push(match item {
            Ok(event) => {
                events.push(event);
                None
            }
            Err(rejection) => {
                shared.counters.rejected(rejection.kind.name());
                Some(rejection)
            }
        });
    }
    take(slots.len())?;
    let nothing_valid = events.is_empty() && !slots.is_empty();
    let judged = if events.is_empty() { None } else { Some(judge(shared, trace, events).await?) };
    let mut answers = judged.iter().flat_map(|judged| judged.events.iter().zip(&judged.answers));
    let mut out = Vec::with_capacity(slots.len() * 128 + 2);
    out.push(b'[');
    for (index, slot) in slots.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match slot {
            Some(rejection) => answer::rejection(&mut out, rejection, At::Index(index)),
            None => match answers.next() {
                Some((event, answer)) => answer::answer(&mut out, event, answer, Some(At::Index(index))),
                None => return Err(Problem::new(Cause::Internal, "The runtime answered for fewer events than it was given.")),
            },
        }
    }
    out.push(b']');
    if nothing_valid {
        let detail = format!("None of the {} items is a valid event; `items` says why, one by one.", slots.len());
        return Err(Problem::new(Cause::NothingValid, detail).with("items", out));
    }
    out.push(b'\n');
    Ok(json(out))
}

/// Submits without waiting for room: a client that sends whole requests is
/// better told to come back than kept.
async fn judge(shared: &Shared, trace: Option<&Context>, events: Vec<Event>) -> Result<Judged, Problem> {
    let retry_after_s = shared.limits.retry_after_s;
    let pending = shared.runtime.try_submit_in(events, trace).map_err(|error| match error {
        SubmitError::Full { .. } => {
            let detail = format!("Nothing of the request was taken. Send it again in {retry_after_s} s, or stream lines as application/x-ndjson: a stream waits.");
            Problem::new(Cause::QueueFull, detail).retry_after(retry_after_s)
        }
        SubmitError::Stopped(_) => stopped(shared, "Nothing of the request was taken."),
    })?;
    let unknown = "It is not known whether the events were judged; send them again: what was recorded is answered from the record.";
    pending.await.map_err(|_| stopped(shared, unknown))
}

/// Why the runtime takes nothing any more.
pub(super) fn stopped(shared: &Shared, consequence: &str) -> Problem {
    match shared.runtime.failure() {
        Some(failure) => Problem::new(Cause::LedgerFailed, format!("{failure}. {consequence}")),
        None => Problem::new(Cause::Stopping, format!("The runtime stopped. {consequence}")).retry_after(shared.limits.retry_after_s),
    }
}

/// An answer in JSON.
pub(super) fn json(body: impl Into<Bytes>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    let media = MediaType::of(headers)?;
    let form = match media.as_ref().map(|media| media.essence.as_str()) {
        Some("application/cloudevents+json") => Form::Structured,
        Some("application/cloudevents-batch+json") => Form::Batch,
        Some("application/x-ndjson") => Form::Lines,
        // The HTTP binding (3.1) takes everything that begins so for structured
        // mode, in a format that is not ours.
        Some(other) if other.starts_with("application/cloudevents") => {
            let detail = format!("{other} is an event format that is not taken; the JSON format is.");
            return Err(Problem::new(Cause::MediaType, detail).at_header("content-type"));
        }
        _ if headers.keys().any(|name| name.as_str().starts_with("ce-")) => return Ok(Form::Binary),
        Some(other) => {
            let detail = format!(
                "{other} without ce- headers is not taken. Send application/cloudevents+json, application/cloudevents-batch+json, application/x-ndjson, or any type with the event's attributes in ce- headers."
            );
            return Err(Problem::new(Cause::MediaType, detail).at_header("content-type"));
        }
        None => {
            let detail = "The request has neither a content type nor ce- headers. Send application/cloudevents+json, application/cloudevents-batch+json, application/x-ndjson, or the event's attributes in ce- headers.";
            return Err(Problem::new(Cause::MediaType, detail).at_header("content-type"));
        }
    };
    // In binary mode the charset is the data's own affair; here it is the event's.
    if let Some(charset) = media.and_then(|media| media.charset)
        && !charset.eq_ignore_ascii_case("utf-8")
    {
        let detail = format!("charset={charset} is not taken; events in JSON are UTF-8.");
        return Err(Problem::new(Cause::Charset, detail).at_header("content-type"));
    }
    Ok(form)
}

/// A `Content-Type`, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MediaType {
    /// Type and subtype in lower case.
    pub(super) essence: String,
    charset: Option<String>,
}

impl MediaType {
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(CONTENT_TYPE).iter();
        let Some(value) = values.next() else { return Ok(None) };
        // Two that differ would let a proxy see one and us the other.
        if values.next().is_some() {
            return Err(Problem::new(Cause::MediaType, "The content type is there more than once.").at_header("content-type"));
        }
        let text =
            value.to_str().map_err(|_| Problem::new(Cause::MediaType, "The content type is not ASCII text.").at_header("content-type"))?;
        Ok(Some(Self::parse(text)))
    }

    fn parse(text: &str) -> Self {
        let mut parts = text.split(';');
        let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let charset = parts
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
            .map(|(_, value)| value.trim().trim_matches('"').to_owned());
        MediaType { essence, charset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &[(&'static str, &'static str)]) -> Result<Form, Cause> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        form(&headers).map_err(|problem| problem.cause)
    }

    #[test]
    fn the_content_type_says_which_form_it_is() {
        for (value, expected) in [
            ("application/cloudevents+json", Form::Structured),
            ("Application/CloudEvents+JSON; charset=UTF-8", Form::Structured),
            ("application/cloudevents-batch+json;charset=\"utf-8\"", Form::Batch),
            ("application/x-ndjson ; foo=bar", Form::Lines),
        ] {
            assert_eq!(of(&[("content-type", value)]), Ok(expected), "{value}");
        }
    }

    #[test]
    fn any_other_type_is_binary_if_there_are_attributes() {
        assert_eq!(of(&[("ce-id", "1"), ("content-type", "text/plain; charset=latin1")]), Ok(Form::Binary));
        assert_eq!(of(&[("ce-id", "1")]), Ok(Form::Binary));
        assert_eq!(of(&[("content-type", "application/json")]), Err(Cause::MediaType));
        assert_eq!(of(&[]), Err(Cause::MediaType));
    }

    #[test]
    fn a_structured_type_wins_over_attributes_in_headers() {
        assert_eq!(of(&[("ce-id", "1"), ("content-type", "application/cloudevents+json")]), Ok(Form::Structured));
        assert_eq!(of(&[("ce-id", "1"), ("content-type", "application/cloudevents+avro")]), Err(Cause::MediaType));
    }

    #[test]
    fn another_charset_and_a_second_type_are_refused() {
        assert_eq!(of(&[("content-type", "application/x-ndjson; charset=utf-16")]), Err(Cause::Charset));
        let twice = [("content-type", "application/x-ndjson"), ("content-type", "application/x-ndjson")];
        assert_eq!(of(&twice), Err(Cause::MediaType));
    }
}
