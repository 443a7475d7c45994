//! `GET /v1/verdicts`: the ledger's entries as they become durable, from any sequence
//! on, as lines or as server-sent events.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Response};
use percent_encoding::percent_decode_str;
use tokio::sync::watch;

use super::body::{self, FrameSender, ResponseBody};
use super::problem::{Cause, Problem};
use super::{Phase, Shared, log};
use crate::ledger::entry::Entry;
use crate::runtime::Entries;
use crate::verdict::Decision;

/// Bytes of entries in one frame, about.
const FRAME_BYTES: usize = 128 << 10;

/// Frames that wait for the client to read.
const FRAMES_MAX: usize = 4;

/// A sign of life for whoever waits for the next entry, so that a proxy does not take
/// the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    /// The first sequence.
    from: u64,
    /// Whether to wait for what is still to come.
    follow: bool,
    policy: Option<String>,
    verdict: Option<Decision>,
    subject: Option<String>,
    source: Option<String>,
}

impl Query {
    fn parse(query: &str) -> Result<Self, String> {
        let mut parsed = Query { from: 1, ..Query::default() };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value =
                percent_decode_str(&value.replace('+', " ")).decode_utf8().map_err(|_| format!("{name} is not UTF-8"))?.into_owned();
            match name {
                "from" => parsed.from = value.parse().map_err(|_| format!("from={value} is not a sequence"))?,
                "follow" => {
                    parsed.follow = match value.as_str() {
                        "true" | "" => true,
                        "false" => false,
                        _ => return Err(format!("follow={value} is neither true nor false")),
                    }
                }
                "policy" => parsed.policy = Some(value),
                "subject" => parsed.subject = Some(value),
                "source" => parsed.source = Some(value),
                "verdict" => {
                    let words = || Decision::ALL.map(Decision::name).join(", ");
                    let known = Decision::ALL.into_iter().find(|decision| decision.name() == value);
                    parsed.verdict = Some(known.ok_or_else(|| format!("verdict={value} is none of {}", words()))?);
                }
                other => return Err(format!("{other} is not known; there are from, follow, policy, verdict, subject and source")),
            }
        }
        Ok(parsed)
    }

    fn takes_all(&self) -> bool {
        self.policy.is_none() && self.verdict.is_none() && self.subject.is_none() && self.source.is_none()
    }

    fn takes(&self, line: &str) -> bool {
        if self.takes_all() {
            return true;
        }
        let is = |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| Some(wanted) == found);
        match Entry::parse(line.as_bytes()) {
            Ok(Entry::Event(event)) => {
                let asked = |policy: &String| event.asked.iter().any(|asked| *asked.policy == **policy);
                self.policy.as_ref().is_none_or(asked)
                    && self.verdict.is_none_or(|verdict| verdict == event.verdict)
                    && is(&self.subject, event.subject.as_deref())
                    && is(&self.source, Some(&event.source))
            }
            Ok(Entry::Timer(_, timer)) => {
                self.subject.is_none()
                    && is(&self.policy, Some(&timer.policy))
                    && self.verdict.is_none_or(|verdict| verdict == timer.verdict)
                    && is(&self.source, Some(&timer.source))
            }
            Ok(Entry::Gap(_, gap)) => {
                self.subject.is_none() && self.policy.is_none() && self.verdict.is_none() && is(&self.source, Some(&gap.source))
            }
            Ok(Entry::Silence(_, silence)) => {
                self.subject.is_none() && self.policy.is_none() && self.verdict.is_none() && is(&self.source, Some(&silence.source))
            }
            Ok(Entry::Change(_, change)) => {
                self.subject.is_none() && self.source.is_none() && self.verdict.is_none() && is(&self.policy, Some(&change.policy))
            }
            Ok(Entry::Erasure(_, erasure)) => {
                self.policy.is_none()
                    && self.verdict.is_none()
                    && is(&self.subject, erasure.subject.as_deref())
                    && is(&self.source, erasure.source.as_deref())
            }
            Ok(Entry::Start(..) | Entry::Keep(..)) => {
                self.subject.is_none() && self.source.is_none() && self.verdict.is_none() && self.policy.is_none()
            }
            Err(_) => false,
        }
    }
}

/// Answers the request. Returns with the head of the answer, the rest follows.
pub(super) fn get(shared: &Arc<Shared>, parts: &Parts) -> Result<Response<ResponseBody>, Problem> {
    log::of(shared)?;
    let mut query =
        Query::parse(parts.uri.query().unwrap_or_default()).map_err(|detail| Problem::new(Cause::Query, format!("{detail}.")))?;
    let events = wants_events(&parts.headers);
    // A browser that lost its connection says what it had last (HTML, 9.2).
    if let Some(last) = parts.headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()) {
        let last: u64 = last.parse().map_err(|_| Problem::new(Cause::Query, format!("Last-Event-ID: {last} is not a sequence.")))?;
        query.from = last.saturating_add(1);
    }
    query.follow |= events;
    let (frames_out, frames_in) = body::frames(FRAMES_MAX);
    let follow = query.follow;
    let feed = Feed {
        entries: shared.runtime.entries(query.from).ok_or_else(log::none)?,
        phase: shared.phase.clone(),
        patience: shared.limits.write_timeout(),
        events,
        follow,
        query: Arc::new(query),
    };
    tokio::spawn(feed.run(frames_out));
    let mut response = Response::new(ResponseBody::Stream(frames_in));
    let media = if events { "text/event-stream" } else { "application/x-ndjson" };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn wants_events(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|part| part.split(';').next())
        .any(|media| media.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// One client that reads along.
struct Feed {
    entries: Entries,
    phase: watch::Receiver<Phase>,
    patience: Duration,
    events: bool,
    follow: bool,
    query: Arc<Query>,
}

impl Feed {
    async fn run(mut self, frames: FrameSender) {
        loop {
            let Some((frame, more)) = self.read().await else { return };
            if !frame.is_empty() && frames.send(frame, self.patience).await.is_err() {
                return;
            }
            if more {
                continue;
            }
            if !self.follow {
                break;
            }
            // The next entry, the end of everything, or a sign of life.
            let phase = &mut self.phase;
            let stopping = async { phase.wait_for(|phase| *phase != Phase::Running).await.is_err() };
            let woken = tokio::select! {
                woken = self.entries.wait() => woken,
                _ = stopping => false,
                () = tokio::time::sleep(KEEP_ALIVE) => {
                    let sign: &'static [u8] = if self.events { b": nothing new\n\n" } else { b"\n" };
                    frames.send(Bytes::from_static(sign), self.patience).await.is_ok()
                }
            };
            if !woken {
                break;
            }
        }
        frames.complete();
    }

    /// The next frame, and whether there may be more already.
    async fn read(&mut self) -> Option<(Bytes, bool)> {
        let (events, query) = (self.events, Arc::clone(&self.query));
        let read = self.entries.read(Vec::new(), move |frame: &mut Vec<u8>, sequence, line| {
            if query.takes(&line) {
                if events {
                    frame.extend_from_slice(format!("id: {sequence}\ndata: {line}\n\n").as_bytes());
                } else {
                    frame.extend_from_slice(line.as_bytes());
                    frame.push(b'\n');
                }
            }
            if frame.len() < FRAME_BYTES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let read = read.await.inspect_err(|error| tracing::error!(%error, "The ledger cannot be read"));
        read.ok().map(|(frame, more)| (Bytes::from(frame), more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_what_is_asked_for() {
        let parsed = Query::parse("from=7&follow=true&policy=geofence&verdict=deny&subject=a%20b&source=%2Fshop").expect("a query");
        let expected = Query {
            from: 7,
            follow: true,
            policy: Some("geofence".into()),
            verdict: Some(Decision::Deny),
            subject: Some("a b".into()),
            source: Some("/shop".into()),
        };
        assert_eq!(parsed, expected);
        assert_eq!(Query::parse("").map(|query| (query.from, query.follow)), Ok((1, false)));
        for (bad, names) in
            [("from=x", "from=x"), ("verdict=no", "allow, flag"), ("limit=1", "limit is not known"), ("follow=1", "neither")]
        {
            assert!(Query::parse(bad).is_err_and(|detail| detail.contains(names)), "{bad}");
        }
    }
}
