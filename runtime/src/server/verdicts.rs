//! `GET /v1/verdicts`: the ledger's entries as they become durable, from any sequence
//! on, as lines or as server-sent events; all of them, or, for somebody who looks on, the
//! latest of what comes, with a count of what was left out.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, VARY};
use hyper::http::request::Parts;
use hyper::{Method, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::watch;

use super::body::{self, FrameSender, ResponseBody};
use super::list::{limit, link};
use super::openapi::LINES;
use super::problem::{Cause, Problem};
use super::protocol::{preferred, query};
use super::viewer::Viewer;
use super::{Phase, Shared, log, sent_events};
use crate::ledger::entry::{ChangeEntry, Entry};
use crate::ledger::{Log, LogError};
use crate::policy::Mode;
use crate::runtime::Entries;
use crate::verdict::Decision;

/// Bytes of entries in one frame, about.
const FRAME_BYTES: usize = 128 << 10;

/// Entries of a page, at most.
pub(super) const LIMIT_MAX: usize = 1_000;

/// Bytes of a page, about, and entries that are looked at for one, at most.
const PAGE_BYTES: usize = 4 << 20;
const PAGE_ENTRIES: usize = 256 << 10;

/// Frames that wait for the client to read.
const FRAMES_MAX: usize = 4;

/// Between two frames for somebody who looks on.
const GLANCE: Duration = Duration::from_millis(500);

/// Entries that are looked at for such a frame, at most. Those before count as left out:
/// who looks on wants to see what is now.
const GLANCE_ENTRIES: u64 = 128 << 10;

/// Entries a second that somebody may ask to look on.
pub(super) const RATE_MAX: u32 = 1_000;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    /// The first sequence.
    from: u64,
    /// Whether to wait for what is still to come.
    follow: bool,
    /// Entries, at most; absent: all.
    limit: Option<usize>,
    policy: Option<String>,
    verdict: Option<Decision>,
    /// A release in this mode has findings.
    mode: Option<Mode>,
    subject: Option<String>,
    source: Option<String>,
    /// Entries a second at most, for somebody who looks on; all of them if that is not said.
    rate: Option<u32>,
}

impl Query {
    fn parse(text: &str) -> Result<Self, Problem> {
        let mut parsed = Query { from: 1, ..Query::default() };
        let wrong = |detail: String| Err(Problem::new(Cause::Query, detail));
        for (name, value) in query(text)? {
            match name.as_str() {
                "from" => match value.parse() {
                    Ok(from) => parsed.from = from,
                    Err(_) => return wrong(format!("from={value} is not a sequence.")),
                },
                "follow" => match value.parse() {
                    Ok(follow) => parsed.follow = follow,
                    Err(_) => return wrong(format!("follow={value} is neither true nor false.")),
                },
                "limit" => parsed.limit = Some(limit(&value, LIMIT_MAX)?),
                "policy" => parsed.policy = Some(value),
                "subject" => parsed.subject = Some(value),
                "source" => parsed.source = Some(value),
                "rate" => match value.parse().ok().filter(|rate| (2..=RATE_MAX).contains(rate)) {
                    Some(rate) => parsed.rate = Some(rate),
                    None => return wrong(format!("rate={value} is not a number of entries from 2 to {RATE_MAX}.")),
                },
                "verdict" => match Decision::ALL.into_iter().find(|decision| decision.name() == value) {
                    Some(decision) => parsed.verdict = Some(decision),
                    None => return wrong(format!("verdict={value} is none of {}.", Decision::ALL.map(Decision::name).join(", "))),
                },
                "mode" => match MODES.into_iter().find(|mode| mode.name() == value) {
                    Some(mode) => parsed.mode = Some(mode),
                    None => return wrong(format!("mode={value} is none of {}.", MODES.map(Mode::name).join(", "))),
                },
                // Others were refused before.
                _ => {}
            }
        }
        if parsed.follow && parsed.limit.is_some() {
            return wrong("A page ends where `follow` goes on; ask for one of limit and follow=true.".into());
        }
        Ok(parsed)
    }

    /// Whether only events, and what is like them, can have what is asked for.
    fn is_about_verdicts(&self) -> bool {
        self.verdict.is_some() || self.mode.is_some()
    }

    fn takes_all(&self) -> bool {
        self.policy.is_none() && self.subject.is_none() && self.source.is_none() && !self.is_about_verdicts()
    }

    /// Whether a line may be taken, by its bytes: true where only reading it can tell.
    fn may_take(&self, line: &str) -> bool {
        // Quotes within texts are written otherwise, so no text looks like the member.
        let says = || line.split_once("\"verdict\":\"").and_then(|(_, rest)| rest.split_once('"')).map(|(verdict, _)| verdict);
        let verdict = self.verdict.is_none_or(|verdict| says() == Some(verdict.name()));
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
                let found = |mode: Mode| {
                    let mut in_mode = event.asked.iter().filter(|asked| asked.mode == mode && is(&self.policy, Some(&asked.policy)));
                    in_mode.any(|asked| !asked.findings.is_empty())
                };
                self.policy.as_ref().is_none_or(asked)
                    && self.mode.is_none_or(found)
                    && self.verdict.is_none_or(|verdict| verdict == event.verdict)
                    && is(&self.subject, event.subject.as_deref())
                    && is(&self.source, Some(&event.source))
            }
            Entry::Timer(_, timer) => {
                self.subject.is_none()
                    && is(&self.policy, Some(&timer.policy))
                    && self.mode.is_none_or(|mode| mode == timer.mode && !timer.findings.is_empty())
                    && self.verdict.is_none_or(|verdict| verdict == timer.verdict)
                    && is(&self.source, Some(&timer.source))
            }
            _ if self.is_about_verdicts() => false,
            Entry::Gap(_, gap) => self.subject.is_none() && self.policy.is_none() && is(&self.source, Some(&gap.source)),
            Entry::Silence(_, silence) => self.subject.is_none() && self.policy.is_none() && is(&self.source, Some(&silence.source)),
            Entry::Change(_, change) => self.subject.is_none() && self.source.is_none() && is(&self.policy, Some(&change.policy)),
            Entry::Erasure(_, erasure) => {
                self.policy.is_none() && is(&self.subject, erasure.subject.as_deref()) && is(&self.source, erasure.source.as_deref())
            }
            Entry::Start(..) | Entry::Keep(..) | Entry::Configuration(..) => {
                self.subject.is_none() && self.source.is_none() && self.policy.is_none()
            }
        }
    }

    /// The address of the page that begins with an entry.
    fn page_from(&self, path: &str, from: u64) -> String {
        let mut address = format!("{path}?from={from}");
        let words = [
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("policy", self.policy.clone()),
            ("verdict", self.verdict.map(|verdict| verdict.name().to_string())),
            ("mode", self.mode.map(|mode| mode.name().to_string())),
            ("subject", self.subject.clone()),
            ("source", self.source.clone()),
        ];
        for (name, value) in words.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            address.push_str(&format!("&{name}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC)));
        }
        address
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
        (!viewer.is_whole()).then(|| Narrow { subject_is_open: viewer.subject_is_open(shared), viewer })
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

    /// What a client is shown of an entry that its query asks for.
    fn shown<'l>(narrow: Option<&Self>, line: &'l str, query: &Query) -> Option<Cow<'l, str>> {
        match narrow {
            None => query.takes(line).then_some(Cow::Borrowed(line)),
            Some(narrow) => narrow.line(line, query).map(Cow::Owned),
        }
    }
}

const MODES: [Mode; 3] = [Mode::Shadow, Mode::Canary, Mode::Enforce];

/// Answers the request: with a page, or with the head of an answer whose rest follows.
pub(super) async fn get(shared: &Arc<Shared>, parts: &Parts) -> Result<Response<ResponseBody>, Problem> {
    let log = log::of(shared)?;
    let mut query = Query::parse(parts.uri.query().unwrap_or_default())?;
    let events = preferred(&parts.headers, &[LINES, sent_events::MEDIA]) == Some(1);
    // A browser that lost its connection says what it had last (HTML, 9.2).
    if let Some(last) = parts.headers.get(LAST_EVENT_ID) {
        let last: Option<u64> = last.to_str().ok().and_then(|last| last.trim().parse().ok());
        let wrong = || Problem::new(Cause::Header, "Last-Event-ID is not a sequence.").at_header("last-event-id");
        query.from = last.ok_or_else(wrong)?.saturating_add(1);
    }
    if events && query.limit.is_some() {
        return Err(Problem::new(Cause::Query, "Server-sent events go on; ask for a page, with `limit`, as application/x-ndjson."));
    }
    query.follow |= events;
    if query.rate.is_some() && !events {
        let detail = "rate is for server-sent events, which say what was left out; ask with accept: text/event-stream.";
        return Err(Problem::new(Cause::Query, detail));
    }
    if let Some(policy) = &query.policy {
        check_known(shared, log, &Viewer::of(parts), policy).await?;
    }
    let narrow = Narrow::of(shared, parts).map(Arc::new);
    let mut response = match query.limit {
        Some(limit) => page(log, parts.uri.path(), query, narrow, limit).await?,
        None if parts.method == Method::HEAD => Response::new(ResponseBody::Full(None)),
        None => {
            let (frames_out, frames_in) = body::frames(FRAMES_MAX);
            let feed = Feed {
                log: Arc::clone(log),
                entries: shared.runtime.entries(query.from).ok_or_else(log::none)?,
                phase: shared.phase.clone(),
                patience: shared.limits.write_timeout(),
                events,
                follow: query.follow,
                query: Arc::new(query),
                narrow,
            };
            tokio::spawn(feed.run(frames_out));
            Response::new(ResponseBody::Stream(frames_in))
        }
    };
    let media = if events { sent_events::MEDIA } else { LINES };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// A policy that is in force, or was. A name that nobody ever had is a mistake, and not
/// a policy without findings.
async fn check_known(shared: &Shared, log: &Arc<Log>, viewer: &Viewer, policy: &str) -> Result<(), Problem> {
    let unknown = || {
        let detail = format!(
            "No policy named {policy:?} is in force, or ever was here; one that was published has its publisher's name before its own."
        );
        Err(Problem::new(Cause::NoSuchPolicy, detail))
    };
    // What is not shown is as if it were not there.
    if !viewer.sees_policy(policy) {
        return unknown();
    }
    if shared.runtime.policies().iter().any(|standing| standing.release.policy() == policy) {
        return Ok(());
    }
    let name = policy.to_string();
    let is_recorded = log::blocking(log, move |log| {
        for item in log.entries(1) {
            let (_, line) = item?;
            if let Ok(Some(change)) = ChangeEntry::read(line.as_bytes())
                && *change.policy == *name
            {
                return Ok(true);
            }
        }
        Ok(false)
    })
    .await?;
    match is_recorded {
        true => Ok(()),
        false => unknown(),
    }
}

/// So many entries, and where the next ones are.
async fn page(
    log: &Arc<Log>,
    path: &str,
    query: Query,
    narrow: Option<Arc<Narrow>>,
    limit: usize,
) -> Result<Response<ResponseBody>, Problem> {
    let path = path.to_string();
    let read = move |log: &Log| {
        let (mut body, mut count) = (Vec::new(), 0);
        for (looked_at, item) in log.entries(query.from).enumerate() {
            let (sequence, line) = item?;
            if count == limit || body.len() >= PAGE_BYTES || looked_at == PAGE_ENTRIES {
                return Ok((body, Some(query.page_from(&path, sequence))));
            }
            if let Some(line) = Narrow::shown(narrow.as_deref(), &line, &query) {
                count += 1;
                body.extend_from_slice(line.as_bytes());
                body.push(b'\n');
            }
        }
        Ok((body, None))
    };
    let (body, next) = log::blocking(log, read).await?;
    let mut response = Response::new(ResponseBody::full(body));
    if let Some(next) = next {
        link(&mut response, &next);
    }
    Ok(response)
}

/// One client that reads along.
struct Feed {
    log: Arc<Log>,
    entries: Entries,
    phase: watch::Receiver<Phase>,
    patience: Duration,
    events: bool,
    follow: bool,
    query: Arc<Query>,
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
            let Some((frame, more)) = read else { return };
            if !frame.is_empty() && frames.send(frame, self.patience).await.is_err() {
                return;
            }
            if more {
                continue;
            }
            if !self.follow {
                break;
            }
            if self.query.rate.is_some() {
                tokio::time::sleep(GLANCE).await;
            }
            // The next entry, the end of everything, or a sign of life.
            let phase = &mut self.phase;
            let stopping = async { phase.wait_for(|phase| *phase != Phase::Running).await.is_err() };
            let woken = tokio::select! {
                woken = self.entries.wait() => woken,
                _ = stopping => false,
                () = tokio::time::sleep(sent_events::KEEP_ALIVE) => {
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
    async fn glance(&mut self, rate: u32) -> Option<(Bytes, bool)> {
        let most = (f64::from(rate) * GLANCE.as_secs_f64()) as usize;
        let new = self.entries.next()..=self.entries.last();
        let (log, query, narrow, end) = (Arc::clone(&self.log), Arc::clone(&self.query), self.narrow.clone(), *new.end() + 1);
        let read = tokio::task::spawn_blocking(move || latest(&log, &query, narrow.as_deref(), &new, most)).await.ok()?;
        self.entries.on_to(end);
        read.inspect_err(|error| tracing::error!(%error, "The ledger cannot be read")).ok().map(|frame| (frame, false))
    }

    /// The next frame, and whether there may be more already.
    async fn read(&mut self) -> Option<(Bytes, bool)> {
        let (events, query, narrow) = (self.events, Arc::clone(&self.query), self.narrow.clone());
        let read = self.entries.read(Vec::new(), move |frame: &mut Vec<u8>, sequence, line| {
            if let Some(line) = Narrow::shown(narrow.as_deref(), &line, &query) {
                if events {
                    sent_events::write(frame, Some(sequence), None, &line);
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

/// Of the new entries the `most` latest that are asked for, as server-sent
/// events, and one more, `left-out`, with the number of those before.
fn latest(log: &Log, query: &Query, narrow: Option<&Narrow>, new: &RangeInclusive<u64>, most: usize) -> Result<Bytes, LogError> {
    let (from, durable) = (*new.start(), *new.end());
    let takes_all = query.takes_all() && narrow.is_none();
    let looked_at = if takes_all { most as u64 } else { GLANCE_ENTRIES };
    let first = from.max((durable + 1).saturating_sub(looked_at));
    // To whom a part is shown the number of the others is not said either.
    let mut left_out = if narrow.is_none() { first - from } else { 0 };
    let mut kept = VecDeque::with_capacity(most + 1);
    for item in log.entries(first) {
        let (sequence, line) = item?;
        if sequence > durable {
            break;
        }
        if let Some(line) = Narrow::shown(narrow, &line, query).map(Cow::into_owned) {
            kept.push_back((sequence, line));
            if kept.len() > most {
                kept.pop_front();
                left_out += 1;
            }
        }
    }
    let mut frame = Vec::new();
    for (sequence, line) in kept {
        sent_events::write(&mut frame, Some(sequence), None, &line);
    }
    if left_out > 0 {
        sent_events::write(&mut frame, Some(durable), Some("left-out"), &left_out.to_string());
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
            ..Query::default()
        };
        assert_eq!(parsed, expected);
        let plain = Query::parse("").expect("a query");
        assert_eq!((plain.from, plain.follow), (1, false));
        for (bad, names) in [
            ("from=x", "from=x"),
            ("verdict=no", "allow, flag"),
            ("mode=no", "shadow, canary"),
            ("limit=0", "limit=0"),
            ("limit=1001", "1 to 1000"),
            ("follow=1", "neither"),
            ("follow=true&limit=1", "one of"),
            ("rate=0", "from 2 to 1000"),
        ] {
            assert!(Query::parse(bad).is_err_and(|problem| problem.detail.contains(names)), "{bad}");
        }
    }

    #[test]
    fn a_page_says_where_the_next_one_is() {
        let asked = "/v1/verdicts?from=3&limit=2&policy=office%2Fgeofence&mode=shadow";
        let (path, text) = asked.split_once('?').expect("a query");
        assert_eq!(Query::parse(text).expect("a query").page_from(path, 3), asked);
    }

    #[test]
    fn a_look_at_the_bytes_leaves_nothing_out() {
        let query = Query::parse("verdict=deny&subject=a%22b").expect("a query");
        assert!(query.may_take(r#"{"subject":"a\"b","verdict":"deny"}"#), "what is written otherwise has to be read");
        assert!(!query.may_take(r#"{"subject":"a\"b","verdict":"allow"}"#));
        assert!(!Query::parse("source=%2Fshop").expect("a query").may_take(r#"{"source":"/other"}"#));
    }
}
