//! `/v1/backtests`: what would have been said, had another release been in force.
//!
//! Asking is an act: from this machine, in JSON, with who wants it. Progress comes as
//! server-sent events, differences as lines or as a table.

use std::io::{BufRead as _, BufReader};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::body::{self, FrameSender, RequestBody, ResponseBody};
use super::events::MediaType;
use super::guard::Caller;
use super::openapi::{CSV, JSON, LINES};
use super::policies::{check_json, check_local, read_parts, refused, render};
use super::problem::{Cause, Problem, sentence};
use super::protocol::{preferred, query};
use super::viewer::Viewer;
use super::{Phase, Shared, sent_events};
use crate::access::Role;
use crate::backtest::{Against, BacktestError, Backtests, Change, Done, End, Example, Job, KnownRelease, Request, Status};
use crate::runtime::Revision;

/// Bytes of a request but for the settings that may be in it.
const REQUEST_BYTES_MAX: usize = 32 << 10;

/// The part of a multipart body that says what is asked.
const PART: &str = "request";

/// Frames that wait for the client to read.
const FRAMES_MAX: usize = 4;

/// Bytes of one frame of differences, about.
const FRAME_BYTES: usize = 128 << 10;

/// Between two frames of progress.
const STEP: Duration = Duration::from_millis(250);

/// What is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BacktestRequest")]
pub(super) struct Asked {
    /// The policy's full name.
    policy: String,
    /// The release that is tried, by its id or digest; without it the one in force.
    #[serde(default)]
    release: String,
    /// Settings in the place of the release's own. Only in development mode.
    #[schemars(with = "Option<serde_json::Value>")]
    settings: Option<Box<RawValue>>,
    /// `recorded`, which is the default, or another release of the policy.
    against: Option<String>,
    /// The first event, by sequence or by when it happened.
    from: Option<End>,
    /// The last event.
    until: Option<End>,
    /// Whether events before the period build up states; they do, if nothing is said.
    warm_up: Option<bool>,
    /// Who wants it: a person or a role. Asked of whoever has not shown who they are (`access`); of others
    /// the server knows it.
    #[serde(default)]
    #[schemars(regex(pattern = r"\S"))]
    by: String,
    /// Why.
    reason: Option<String>,
}

/// A back-test, as a client sees it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Backtest")]
pub(super) struct View<'a> {
    /// Its number.
    id: u64,
    /// When it was asked for.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    asked: OffsetDateTime,
    #[serde(flatten)]
    request: &'a Request,
    #[serde(flatten)]
    status: Status,
    /// In one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Done>,
}

impl<'a> View<'a> {
    /// With the result, where there is one and it is wanted.
    fn of(job: &'a Job, done: Option<&'a Done>, whole: bool) -> Self {
        View {
            id: job.id,
            asked: OffsetDateTime::from_unix_timestamp_nanos(i128::from(job.asked) * 1_000).unwrap_or(OffsetDateTime::UNIX_EPOCH),
            request: &job.request,
            status: job.status(),
            summary: done.map(|done| summary(&job.request.release, done)),
            result: done.filter(|_| whole),
        }
    }
}

/// What came of it, in one sentence.
fn summary(release: &str, done: &Done) -> String {
    let (new, gone) = done.new_and_gone();
    let (changed, events) = (done.report.changes.total(), done.report.events);
    format!("Judged with {release} instead, {changed} of {events} events would be other: {new} findings new, {gone} gone.")
}

/// All of them, the latest first, without their results.
pub(super) fn list(shared: &Shared, parts: &Parts) -> Result<Response<ResponseBody>, Problem> {
    #[derive(Serialize)]
    struct List<'a> {
        backtests: Vec<View<'a>>,
    }
    let viewer = Viewer::of(parts);
    let mut jobs = shared.options.backtests.all();
    jobs.retain(|job| is_for(&viewer, &job.request));
    let done: Vec<Option<Arc<Done>>> = jobs.iter().map(|job| job.done()).collect();
    let backtests = jobs.iter().zip(&done).map(|(job, done)| View::of(job, done.as_deref(), false)).collect();
    render(&List { backtests })
}

/// The releases that can be tried: those that the ledger knows.
pub(super) async fn releases(shared: &Arc<Shared>, parts: &Parts) -> Result<Response<ResponseBody>, Problem> {
    #[derive(Serialize)]
    struct List {
        releases: Vec<KnownRelease>,
    }
    let releases = known(shared, &Viewer::of(parts)).await?;
    render(&List { releases })
}

/// The releases that the ledger knows and somebody may see, by policy, the latest first.
pub(super) async fn known(shared: &Arc<Shared>, viewer: &Viewer) -> Result<Vec<KnownRelease>, Problem> {
    let backtests = shared.options.backtests.clone();
    let mut known = blocking(move || backtests.known()).await?;
    known.retain(|known| viewer.sees_policy(&known.policy));
    Ok(known)
}

/// Whether somebody may see a back-test: who sees a part sees no verdicts that other
/// policies have made as well.
pub(super) fn is_for(viewer: &Viewer, request: &Request) -> bool {
    viewer.is_whole() || request.alone && viewer.sees_policy(&request.policy)
}

/// What came of one, as somebody may see it: who sees a part is not told whom events are
/// about.
pub(super) fn shown(viewer: &Viewer, job: &Job) -> Option<Arc<Done>> {
    let done = job.done()?;
    if viewer.is_whole() {
        return Some(done);
    }
    let mut done = Done::clone(&done);
    done.report.subjects.clear();
    done.report.examples.iter_mut().for_each(|example| example.subject = None);
    Some(Arc::new(done))
}

/// One of them.
pub(super) fn get(shared: &Arc<Shared>, parts: &Parts, id: u64) -> Result<Response<ResponseBody>, Problem> {
    let viewer = Viewer::of(parts);
    let job = find(shared, &viewer, id)?;
    if preferred(&parts.headers, &[JSON, sent_events::MEDIA]) == Some(1) {
        return Ok(progress(shared, &job));
    }
    let done = shown(&viewer, &job);
    render(&View::of(&job, done.as_deref(), true))
}

/// Begins one.
pub(super) async fn post(shared: &Arc<Shared>, parts: &Parts, body: &mut RequestBody) -> Result<Response<ResponseBody>, Problem> {
    check_local(shared, parts)?;
    let (asked, revision) = read(shared, parts, body).await?;
    let by = super::act::by(parts, asked.by.clone(), asked.reason.clone())?;
    let Asked { policy, release, settings, against, from, until, warm_up, reason, .. } = asked;
    let against = against.filter(|against| against != "recorded").map_or(Against::Recorded, Against::Release);
    let change = Change {
        component: revision.component.map(Arc::from),
        settings: revision.settings.or(settings.map(|settings| settings.get().as_bytes().to_vec())).map(Arc::from),
        lists: revision.lists,
    };
    let request = Request {
        policy,
        release,
        changed: false,
        against,
        from,
        until,
        warm_up: warm_up.unwrap_or(true),
        alone: false,
        by: by.who,
        reason,
    };
    let job = start(shared, &Viewer::of(parts), request, change).await?;
    let mut response = render(&View::of(&job, None, true))?;
    *response.status_mut() = StatusCode::ACCEPTED;
    if let Ok(location) = HeaderValue::try_from(format!("/v1/backtests/{}", job.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// Begins one, for whoever may. Parts of its own need development mode.
pub(super) async fn start(shared: &Arc<Shared>, viewer: &Viewer, mut request: Request, change: Change) -> Result<Arc<Job>, Problem> {
    if !viewer.sees_policy(&request.policy) {
        // Whether there is one of another publisher is not said either.
        return Err(Problem::new(Cause::NoSuchRelease, format!("There is no policy {:?} of yours here.", request.policy)));
    }
    request.alone = !viewer.is_whole();
    if !change.is_empty() && !shared.options.dev {
        let detail =
            "Components, settings and lists are tried over HTTP only in development mode; otherwise name a release that this server knows.";
        return Err(Problem::new(Cause::DevelopmentOnly, detail));
    }
    let (runtime, options) = (shared.runtime.clone(), shared.options.clone());
    blocking(move || {
        let publishers = options.publishers.as_deref();
        let grant = |publisher: &str| publishers.and_then(|publishers| publishers.grant(publisher).cloned());
        options.backtests.start(&runtime, request, change, grant)
    })
    .await
}

/// Ends one that runs, or forgets one that is over.
pub(super) fn delete(shared: &Arc<Shared>, parts: &Parts, id: u64) -> Result<Response<ResponseBody>, Problem> {
    check_local(shared, parts)?;
    let job = cancel(shared, parts, id)?;
    let done = shown(&Viewer::of(parts), &job);
    render(&View::of(&job, done.as_deref(), false))
}

/// The same, for whoever may: who asked for it, and whoever acts for the platform.
pub(super) fn cancel(shared: &Shared, parts: &Parts, id: u64) -> Result<Arc<Job>, Problem> {
    let job = find(shared, &Viewer::of(parts), id)?;
    if let Caller(Some(identity)) = Caller::of(parts)
        && !identity.roles.contains(&Role::Operator)
        && job.request.by != identity.to_string()
    {
        let detail = format!("{} has asked for it; only that, and the role operator, ends or forgets it.", job.request.by);
        return Err(Problem::new(Cause::Forbidden, detail));
    }
    shared.options.backtests.cancel(id).ok_or_else(|| unknown(id))
}

/// One of them, if there is one of this number that somebody may see.
pub(super) fn find(shared: &Shared, viewer: &Viewer, id: u64) -> Result<Arc<Job>, Problem> {
    shared.options.backtests.get(id).filter(|job| is_for(viewer, &job.request)).ok_or_else(|| unknown(id))
}

fn unknown(id: u64) -> Problem {
    Problem::new(Cause::NoSuchBacktest, format!("There is no back-test {id}; GET /v1/backtests lists those that there are."))
}

async fn read(shared: &Shared, parts: &Parts, body: &mut RequestBody) -> Result<(Asked, Revision), Problem> {
    let limits = &shared.limits;
    let media = MediaType::of(&parts.headers)?.map(|media| media.essence);
    let is_multipart = media.as_deref() == Some("multipart/form-data");
    let bytes_max = match is_multipart {
        true => [limits.component_bytes_max, limits.list_bytes_max].into_iter().fold(0, usize::saturating_add),
        false => {
            check_json(parts)?;
            0
        }
    };
    let bytes_max = bytes_max.saturating_add(limits.settings_bytes_max).saturating_add(REQUEST_BYTES_MAX);
    let whole = body.collect(bytes_max, limits.body_idle_timeout(), limits.body_timeout(), &shared.room).await?;
    let (revision, document) = match is_multipart {
        true => read_parts(shared, parts, whole, Some(PART)).await?,
        false => (Revision::default(), Some(whole.into())),
    };
    let document: Vec<u8> = document.ok_or_else(|| {
        Problem::new(Cause::Multipart, "The part `request` is missing: a JSON object that says which policy is tried, and on what.")
    })?;
    let asked = serde_json::from_slice(&document)
        .map_err(|error| Problem::new(Cause::Query, format!("What is asked is not understood: {error}.")))?;
    Ok((asked, revision))
}

/// Asks where waiting for the disk disturbs nobody.
async fn blocking<T: Send + 'static>(ask: impl FnOnce() -> Result<T, BacktestError> + Send + 'static) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(ask).await {
        Ok(asked) => asked.map_err(|error| problem(&error)),
        Err(error) => {
            tracing::error!(%error, "A back-test could not be begun");
            Err(Problem::new(Cause::Internal, "The back-test could not be begun; the log says more."))
        }
    }
}

fn problem(error: &BacktestError) -> Problem {
    let cause = match error {
        BacktestError::NothingKept | BacktestError::PeriodNotKept(_) => Cause::NothingKept,
        BacktestError::Full(_) => Cause::BacktestsFull,
        BacktestError::Unknown(_) => Cause::NoSuchRelease,
        BacktestError::Load(error) => return refused(error),
        BacktestError::NoEnd(_) | BacktestError::Empty | BacktestError::TooMany { .. } | BacktestError::Name { .. } => Cause::Query,
        _ => {
            tracing::error!(%error, "A back-test cannot be begun");
            Cause::Internal
        }
    };
    let problem = Problem::new(cause, sentence(error));
    if cause == Cause::BacktestsFull { problem.retry_after(10) } else { problem }
}

/// How far it is, as server-sent events: `progress`, and at the end the state's name.
fn progress(shared: &Arc<Shared>, job: &Arc<Job>) -> Response<ResponseBody> {
    let (sender, frames) = body::frames(FRAMES_MAX);
    let (mut status, mut phase, patience) = (job.watch(), shared.phase.clone(), shared.limits.write_timeout());
    tokio::spawn(async move {
        loop {
            let now = status.borrow_and_update().clone();
            let name = if now.state.is_over() { now.state.name() } else { "progress" };
            let data = serde_json::to_string(&now).unwrap_or_default();
            let mut frame = Vec::new();
            sent_events::write(&mut frame, None, Some(name), &data);
            if sender.send(Bytes::from(frame), patience).await.is_err() {
                return;
            }
            if now.state.is_over() {
                return sender.complete();
            }
            let stopping = async { phase.wait_for(|phase| *phase != Phase::Running).await.is_ok() };
            let changed = tokio::select! {
                changed = status.changed() => changed.is_ok(),
                _ = stopping => false,
                () = tokio::time::sleep(sent_events::KEEP_ALIVE) => true,
            };
            if !changed {
                return sender.complete();
            }
            tokio::time::sleep(STEP).await;
        }
    });
    let mut response = Response::new(ResponseBody::Stream(frames));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(sent_events::MEDIA));
    response
}

/// How differences are exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Export {
    Lines,
    Table,
}

/// The differences of one that is done: as NDJSON, or as CSV with a row for each finding.
pub(super) async fn differences(shared: &Arc<Shared>, parts: &Parts, id: u64) -> Result<Response<ResponseBody>, Problem> {
    let viewer = Viewer::of(parts);
    let job = find(shared, &viewer, id)?;
    let is_whole = viewer.is_whole();
    let format = query(parts.uri.query().unwrap_or_default())?.pop().map(|(_, value)| value);
    let export = match format.as_deref() {
        None if preferred(&parts.headers, &[LINES, CSV]) == Some(1) => Export::Table,
        None | Some("ndjson") => Export::Lines,
        Some("csv") => Export::Table,
        Some(_) => return Err(Problem::new(Cause::Query, "Differences come with format=ndjson or format=csv.")),
    };
    let Some(path) = job.differences().map(std::path::Path::to_path_buf) else {
        let detail = format!("The back-test is {}, so there are no differences.", job.status().state.name());
        return Err(Problem::new(Cause::NotDone, detail));
    };
    let (sender, frames) = body::frames(FRAMES_MAX);
    let patience = shared.limits.write_timeout();
    tokio::spawn(async move {
        if let Err(error) = send(&path, export, is_whole, &sender, patience).await {
            tracing::error!(backtest = id, %error, "The differences of a back-test cannot be read");
            return;
        }
        sender.complete();
    });
    let mut response = Response::new(ResponseBody::Stream(frames));
    let (media, ending) = match export {
        Export::Lines => (LINES, "ndjson"),
        Export::Table => ("text/csv; charset=utf-8", "csv"),
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    if let Ok(name) = HeaderValue::try_from(format!("attachment; filename=\"backtest-{id}.{ending}\"")) {
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

async fn send(path: &std::path::Path, export: Export, is_whole: bool, sender: &FrameSender, patience: Duration) -> std::io::Result<()> {
    let path = path.to_path_buf();
    let mut file =
        tokio::task::spawn_blocking(move || Backtests::open(&path).map(BufReader::new)).await.map_err(std::io::Error::other)??;
    let mut head = export == Export::Table;
    loop {
        let read = tokio::task::spawn_blocking(move || {
            let mut frame = Vec::new();
            if head {
                frame.extend_from_slice(TABLE_HEAD.as_bytes());
            }
            let (mut line, mut more) = (String::new(), true);
            while frame.len() < FRAME_BYTES {
                line.clear();
                if file.read_line(&mut line)? == 0 {
                    more = false;
                    break;
                }
                match export {
                    Export::Lines if is_whole => frame.extend_from_slice(line.as_bytes()),
                    Export::Lines => {
                        let example: Example = serde_json::from_str(&line)?;
                        serde_json::to_writer(&mut frame, &Example { subject: None, ..example })?;
                        frame.push(b'\n');
                    }
                    Export::Table => rows(&line, is_whole, &mut frame)?,
                }
            }
            Ok::<_, std::io::Error>((file, frame, more))
        });
        let (back, frame, more) = read.await.map_err(std::io::Error::other)??;
        (file, head) = (back, false);
        if !frame.is_empty() && sender.send(Bytes::from(frame), patience).await.is_err() {
            return Ok(());
        }
        if !more {
            return Ok(());
        }
    }
}

const TABLE_HEAD: &str = "sequence,time,source,id,subject,timer,before,after,change,policy,rule,message\r\n";

/// The rows of one difference: one for each finding, or one without if only the verdict
/// differs.
fn rows(line: &str, is_whole: bool, out: &mut Vec<u8>) -> std::io::Result<()> {
    let example: Example = serde_json::from_str(line)?;
    let sequence = example.sequence.map(|sequence| sequence.to_string()).unwrap_or_default();
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    let gone = example.disappeared.iter().map(|found| ("gone", Some(found)));
    let new = example.appeared.iter().map(|found| ("new", Some(found)));
    let mut all: Vec<_> = gone.chain(new).collect();
    if all.is_empty() {
        all.push(("verdict", None));
    }
    for (change, found) in all {
        let texts = found.map_or(["", "", ""], |found| [&found.policy, &found.rule, &found.message]);
        let row = [
            sequence.as_str(),
            &*example.time,
            &example.source,
            &example.id,
            example.subject.as_deref().filter(|_| is_whole).unwrap_or_default(),
            if example.timer { "true" } else { "false" },
            example.before.name(),
            example.after.name(),
            change,
        ];
        writer.write_record(row.into_iter().chain(texts).map(|text| harmless(text).into_owned())).map_err(std::io::Error::other)?;
    }
    writer.flush()
}

/// A text that a spreadsheet does not take for a formula: what sources write is theirs.
fn harmless(text: &str) -> std::borrow::Cow<'_, str> {
    match text.as_bytes().first() {
        Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r') => format!("'{text}").into(),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_has_a_row_for_each_finding_and_no_formula() {
        let line = r#"{"sequence":7,"source":"/s","id":"=1+1","timer":false,"subject":null,"time":"t","before":"allow","after":"deny","disappeared":[],"appeared":[{"policy":"p","rule":"r","message":"a, \"b\""},{"policy":"p","rule":"q","message":"c"}]}"#;
        let mut out = Vec::new();
        rows(line, true, &mut out).expect("rows");
        let expected = "7,t,/s,'=1+1,,false,allow,deny,new,p,r,\"a, \"\"b\"\"\"\r\n7,t,/s,'=1+1,,false,allow,deny,new,p,q,c\r\n";
        assert_eq!(String::from_utf8(out).expect("UTF-8"), expected);
    }
}
