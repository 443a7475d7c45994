//! `GET /v1/verdicts`: the ledger's entries as they become durable, from any sequence
//! on, as lines or as server-sent events; all of them, or, for somebody who looks on, the
//! latest of what comes, with a count of what was left out.

use std::collections::VecDeque;
use std::mem;
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
use super::viewer::Viewer;
use super::{Phase, Shared, log};
use crate::ledger::entry::Entry;
use crate::ledger::{Log, LogError};
use crate::verdict::Decision;

/// Bytes of entries in one frame, about.
const FRAME_BYTES: usize = 128 << 10;

/// Entries that are looked at for one frame, at most, where most are left out.
const FRAME_ENTRIES: usize = 16 << 10;

/// Frames that wait for the client to read.
const FRAMES_MAX: usize = 4;

/// Between two frames for somebody who looks on.
const GLANCE: Duration = Duration::from_millis(500);

/// Entries that are looked at for such a frame, at most. Those before count as left out:
/// who looks on wants to see what is now.
const GLANCE_ENTRIES: u64 = 128 << 10;

/// Entries a second that somebody may ask to look on.
const RATE_MAX: u32 = 1_000;

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
    /// Entries a second at most, for somebody who looks on; all of them if that is not said.
    rate: Option<u32>,
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
                "rate" => {
                    let rate = value.parse().ok().filter(|rate| (2..=RATE_MAX).contains(rate));
                    parsed.rate = Some(rate.ok_or_else(|| format!("rate={value} is not a number of entries from 2 to {RATE_MAX}"))?);
                }
                "verdict" => {
                    let words = || Decision::ALL.map(Decision::name).join(", ");
                    let known = Decision::ALL.into_iter().find(|decision| decision.name() == value);
                    parsed.verdict = Some(known.ok_or_else(|| format!("verdict={value} is none of {}", words()))?);
                }
                other => return Err(format!("{other} is not known; there are from, follow, policy, verdict, subject, source and rate")),
            }
        }
        Ok(parsed)
    }

    fn takes_all(&self) -> bool {
        self.policy.is_none() && self.verdict.is_none() && self.subject.is_none() && self.source.is_none()
    }

    /// Whether a line may be taken, by its bytes: true where only reading it can tell.
    fn may_take(&self, line: &str) -> bool {
        let verdict = self.verdict.is_none_or(|verdict| line.contains(&format!("\"verdict\":\"{}\"", verdict.name())));
        let plain = |text: &String| text.bytes().all(|byte| byte != b'"' && byte != b'\\' && byte >= b' ');
        let names = [&self.policy, &self.subject, &self.source];
        verdict && names.into_iter().flatten().all(|name| !plain(name) || line.contains(name.as_str()))
    }

    fn takes(&self, line: &str) -> bool {
        if self.takes_all() {
            return true;
        }
        self.may_take(line) && Entry::parse(line.as_bytes()).is_ok_and(|entry| self.takes_entry(&entry))
    }

    fn takes_entry(&self, entry: &Entry<'_>) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| Some(wanted) == found);
        match entry {
            Entry::Event(event) => {
                let asked = |policy: &String| event.asked.iter().any(|asked| *asked.policy == **policy);
                self.policy.as_ref().is_none_or(asked)
                    && self.verdict.is_none_or(|verdict| verdict == event.verdict)
                    && is(&self.subject, event.subject.as_deref())
                    && is(&self.source, Some(&event.source))
            }
            Entry::Timer(_, timer) => {
                self.subject.is_none()
                    && is(&self.policy, Some(&timer.policy))
                    && self.verdict.is_none_or(|verdict| verdict == timer.verdict)
                    && is(&self.source, Some(&timer.source))
            }
            Entry::Gap(_, gap) => {
                self.subject.is_none() && self.policy.is_none() && self.verdict.is_none() && is(&self.source, Some(&gap.source))
            }
            Entry::Silence(_, silence) => {
                self.subject.is_none() && self.policy.is_none() && self.verdict.is_none() && is(&self.source, Some(&silence.source))
            }
            Entry::Change(_, change) => {
                self.subject.is_none() && self.source.is_none() && self.verdict.is_none() && is(&self.policy, Some(&change.policy))
            }
            Entry::Erasure(_, erasure) => {
                self.policy.is_none()
                    && self.verdict.is_none()
                    && is(&self.subject, erasure.subject.as_deref())
                    && is(&self.source, erasure.source.as_deref())
            }
            Entry::Start(..) | Entry::Keep(..) => {
                self.subject.is_none() && self.source.is_none() && self.verdict.is_none() && self.policy.is_none()
            }
        }
    }
}

/// What a client is shown of entries, where that is not everything.
struct Narrow {
    viewer: Viewer,
    /// Whether its publishers were all granted the subject of events as it is.
    subject_is_open: bool,
}

impl Narrow {
    /// Nothing, for whoever sees everything.
    fn of(shared: &Shared, parts: &Parts) -> Option<Self> {
        let viewer = Viewer::of(parts);
        let names = viewer.narrowed_to()?;
        let publishers = shared.options.publishers.as_deref();
        let is_plain =
            |name: &String| publishers.and_then(|publishers| publishers.grant(name)).is_some_and(|grant| grant.is_plain("/subject"));
        Some(Narrow { subject_is_open: names.iter().all(is_plain), viewer })
    }

    /// What is shown of an entry, as a line, if something is and the query asks for it.
    fn line(&self, line: &str, query: &Query) -> Option<String> {
        let entry = Entry::parse(line.as_bytes()).ok()?;
        let entry = entry.narrowed(|policy| self.viewer.sees_policy(policy), self.subject_is_open)?;
        // The query is about what is shown: whether it is found would tell the rest.
        if !query.takes_entry(&entry) {
            return None;
        }
        let mut out = Vec::new();
        entry.write_view(&mut out);
        String::from_utf8(out).ok()
    }
}

/// Answers the request. Returns with the head of the answer, the rest follows.
pub(super) fn get(shared: &Arc<Shared>, parts: &Parts) -> Result<Response<ResponseBody>, Problem> {
    let log = log::of(shared)?;
    let mut query =
        Query::parse(parts.uri.query().unwrap_or_default()).map_err(|detail| Problem::new(Cause::Query, format!("{detail}.")))?;
    let events = wants_events(&parts.headers);
    // A browser that lost its connection says what it had last (HTML, 9.2).
    if let Some(last) = parts.headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()) {
        let last: u64 = last.parse().map_err(|_| Problem::new(Cause::Query, format!("Last-Event-ID: {last} is not a sequence.")))?;
        query.from = last.saturating_add(1);
    }
    query.follow |= events;
    if query.rate.is_some() && !events {
        let detail = "rate is for server-sent events, which say what was left out; ask with accept: text/event-stream.";
        return Err(Problem::new(Cause::Query, detail));
    }
    let (frames_out, frames_in) = body::frames(FRAMES_MAX);
    let feed = Feed {
        log: Arc::clone(log),
        durable: shared.runtime.durable(),
        phase: shared.phase.clone(),
        patience: shared.limits.write_timeout(),
        events,
        query,
        narrow: Narrow::of(shared, parts).map(Arc::new),
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
    log: Arc<Log>,
    durable: watch::Receiver<u64>,
    phase: watch::Receiver<Phase>,
    patience: Duration,
    events: bool,
    query: Query,
    /// Absent for whoever sees everything.
    narrow: Option<Arc<Narrow>>,
}

impl Feed {
    async fn run(mut self, frames: FrameSender) {
        loop {
            let read = match self.query.rate {
                Some(rate) => self.glance(rate).await,
                None => self.read().await,
            };
            let Some((frame, next, more)) = read else { return };
            self.query.from = next;
            if !frame.is_empty() && frames.send(frame, self.patience).await.is_err() {
                return;
            }
            if more {
                continue;
            }
            if !self.query.follow {
                break;
            }
            if self.query.rate.is_some() {
                tokio::time::sleep(GLANCE).await;
            }
            // The next entry, the end of everything, or a sign of life.
            let from = self.query.from;
            let (durable, phase) = (&mut self.durable, &mut self.phase);
            // What is waited for gives out a lock, which must not be held any longer.
            let entries = async { durable.wait_for(|durable| *durable >= from).await.is_ok() };
            let stopping = async { phase.wait_for(|phase| *phase != Phase::Running).await.is_err() };
            let woken = tokio::select! {
                woken = entries => woken,
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

    /// A frame for somebody who looks on: the latest entries of what is new, and how many
    /// were left out.
    async fn glance(&mut self, rate: u32) -> Option<(Bytes, u64, bool)> {
        let most = (f64::from(rate) * GLANCE.as_secs_f64()) as usize;
        let durable = *self.durable.borrow();
        let (log, query) = (Arc::clone(&self.log), mem::take(&mut self.query));
        let narrow = self.narrow.clone();
        let read = tokio::task::spawn_blocking(move || {
            let read = latest(&log, &query, narrow.as_deref(), durable, most);
            let next = query.from.max(durable + 1);
            (query, read.map(|frame| (frame, next, false)))
        });
        let (query, read) = read.await.ok()?;
        self.query = query;
        read.inspect_err(|error| tracing::error!(%error, "The ledger cannot be read")).ok()
    }

    /// The next frame, the sequence that follows it, and whether there may be more
    /// already.
    async fn read(&mut self) -> Option<(Bytes, u64, bool)> {
        let (log, events, query) = (Arc::clone(&self.log), self.events, mem::take(&mut self.query));
        let narrow = self.narrow.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut frame = Vec::new();
            let mut next = query.from;
            let mut more = false;
            for (count, item) in log.entries(query.from).enumerate() {
                let (sequence, line) = match item {
                    Ok(item) => item,
                    Err(error) => return (query, Err(error)),
                };
                next = sequence + 1;
                let narrowed = narrow.as_ref().map(|narrow| narrow.line(&line, &query));
                let shown = match &narrowed {
                    None => query.takes(&line).then_some(&*line),
                    Some(narrowed) => narrowed.as_deref(),
                };
                if let Some(line) = shown {
                    if events {
                        frame.extend_from_slice(format!("id: {sequence}\ndata: {line}\n\n").as_bytes());
                    } else {
                        frame.extend_from_slice(line.as_bytes());
                        frame.push(b'\n');
                    }
                }
                if frame.len() >= FRAME_BYTES || count + 1 == FRAME_ENTRIES {
                    more = true;
                    break;
                }
            }
            (query, Ok::<_, LogError>((Bytes::from(frame), next, more)))
        });
        let (query, read) = read.await.ok()?;
        self.query = query;
        read.inspect_err(|error| tracing::error!(%error, "The ledger cannot be read")).ok()
    }
}

/// Of the entries up to `durable` the `most` latest that are asked for, as server-sent
/// events, and one more, `left-out`, with the number of those before.
fn latest(log: &Log, query: &Query, narrow: Option<&Narrow>, durable: u64, most: usize) -> Result<Bytes, LogError> {
    let takes_all = query.takes_all() && narrow.is_none();
    let looked_at = if takes_all { most as u64 } else { GLANCE_ENTRIES };
    let first = query.from.max((durable + 1).saturating_sub(looked_at));
    // To whom a part is shown the number of the others is not said either.
    let mut left_out = if narrow.is_none() { first - query.from } else { 0 };
    let mut kept = VecDeque::with_capacity(most + 1);
    for item in log.entries(first) {
        let (sequence, line) = item?;
        if sequence > durable {
            break;
        }
        let shown = match narrow {
            None => query.takes(&line).then_some(line),
            Some(narrow) => narrow.line(&line, query),
        };
        if let Some(line) = shown {
            kept.push_back((sequence, line));
            if kept.len() > most {
                kept.pop_front();
                left_out += 1;
            }
        }
    }
    let mut frame = String::new();
    for (sequence, line) in kept {
        frame.push_str(&format!("id: {sequence}\ndata: {line}\n\n"));
    }
    if left_out > 0 {
        frame.push_str(&format!("id: {durable}\nevent: left-out\ndata: {left_out}\n\n"));
    }
    Ok(frame.into())
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
            rate: None,
        };
        assert_eq!(parsed, expected);
        assert_eq!(Query::parse("").map(|query| (query.from, query.follow)), Ok((1, false)));
        for (bad, names) in [
            ("from=x", "from=x"),
            ("verdict=no", "allow, flag"),
            ("limit=1", "limit is not known"),
            ("follow=1", "neither"),
            ("rate=0", "from 2 to 1000"),
        ] {
            assert!(Query::parse(bad).is_err_and(|detail| detail.contains(names)), "{bad}");
        }
    }

    #[test]
    fn a_look_at_the_bytes_leaves_nothing_out() {
        let query = Query::parse("verdict=deny&subject=a%22b").expect("a query");
        assert!(query.may_take(r#"{"subject":"a\"b","verdict":"deny"}"#), "what is written otherwise has to be read");
        assert!(!query.may_take(r#"{"subject":"a\"b","verdict":"allow"}"#));
        assert!(!Query::parse("source=%2Fshop").expect("a query").may_take(r#"{"source":"/other"}"#));
    }
}
