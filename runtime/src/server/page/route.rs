//! The paths of the page, and what every answer of it has in its header.

use std::sync::Arc;

use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY, SET_COOKIE, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use maud::Markup;

use super::context::Context;
use super::{backtests, event, files, home, layout, map, policy, subject};
use crate::policy::manifest::is_name;
use crate::server::Shared;
use crate::server::body::{RequestBody, ResponseBody};
use crate::server::problem::{Cause, Problem};

/// Nothing but what this server gives out itself, and no script or style that stands in
/// the markup (Content Security Policy Level 3). Pictures may be `data:`, which is how a
/// plot becomes a PNG.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// A path of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Path<'a> {
    Home,
    /// Where the sequence of an entry is typed.
    Events,
    /// An entry, by its sequence.
    Event(u64),
    /// The line of an entry, and hashes of its proof, for a script.
    EventEntry(u64),
    EventProof(u64),
    Policies,
    /// A policy, by its full name.
    Policy(&'a str),
    Subjects,
    /// A subject, which the query names.
    Subject,
    Backtests,
    /// A back-test by its number.
    Backtest(u64),
    Map,
    /// A style, a script, or a picture of ours, by its name.
    File(&'a str),
    /// A plot of a view as a file, by its name.
    Plot(&'a str),
}

impl<'a> Path<'a> {
    /// The path, if it is one of the page.
    pub(in crate::server) fn of(path: &'a str) -> Option<Self> {
        let below = |prefix: &str| path.strip_prefix(prefix).filter(|rest| !rest.is_empty() && !rest.contains('/'));
        match path {
            "/" => Some(Path::Home),
            "/event" => Some(Path::Events),
            "/policies" => Some(Path::Policies),
            "/subjects" => Some(Path::Subjects),
            "/subject" => Some(Path::Subject),
            _ if path.starts_with("/event/") => of_event(path),
            _ if path.starts_with("/policy/") => of_policy(path),
            "/backtests" => Some(Path::Backtests),
            "/map" => Some(Path::Map),
            _ if path.starts_with("/backtests/") => below("/backtests/").and_then(|id| id.parse().ok()).map(Path::Backtest),
            _ => below("/static/").map(Path::File).or_else(|| below("/plots/").map(Path::Plot)),
        }
    }

    /// The label in the metrics.
    pub(in crate::server) fn name(self) -> &'static str {
        match self {
            Path::Home => "page",
            Path::Events | Path::Event(_) => "page-event",
            Path::EventEntry(_) => "page-event-entry",
            Path::EventProof(_) => "page-event-path",
            Path::Policies => "page-policies",
            Path::Policy(_) => "page-policy",
            Path::Subjects => "page-subjects",
            Path::Subject => "page-subject",
            Path::Backtests => "page-backtests",
            Path::Backtest(_) => "page-backtest",
            Path::Map => "page-map",
            Path::File(_) => "page-file",
            Path::Plot(_) => "page-plot",
        }
    }
}

/// A path below an entry.
fn of_event(path: &str) -> Option<Path<'_>> {
    let (sequence, rest) = path.strip_prefix("/event/").map(|rest| rest.split_once('/').unwrap_or((rest, "")))?;
    let is_number = !sequence.is_empty() && sequence.bytes().all(|byte| byte.is_ascii_digit());
    let sequence = is_number.then(|| sequence.parse().ok())??;
    match rest {
        "" if !path.ends_with('/') => Some(Path::Event(sequence)),
        "entry" => Some(Path::EventEntry(sequence)),
        "path" => Some(Path::EventProof(sequence)),
        _ => None,
    }
}

/// A policy: its own name, or its publisher's with it. Other words are names of none.
fn of_policy(path: &str) -> Option<Path<'_>> {
    let name = path.strip_prefix("/policy/").filter(|name| !name.is_empty())?;
    name.split('/').all(is_name).then_some(Path::Policy(name)).filter(|_| name.split('/').count() <= 2)
}

/// A view, and the status of its answer.
pub(super) struct Viewed {
    pub(super) status: StatusCode,
    pub(super) markup: Markup,
}

impl From<Markup> for Viewed {
    fn from(markup: Markup) -> Self {
        Viewed { status: StatusCode::OK, markup }
    }
}

/// Answers with a view. What goes wrong is a view as well.
pub(in crate::server) async fn get(shared: &Arc<Shared>, parts: &Parts, path: Path<'_>) -> Response<ResponseBody> {
    let context = Context::new(shared, parts);
    let mut response = match path {
        Path::File(name) => match files::get(parts, name) {
            Some(response) => response,
            None => problem(&context, &nothing_here()),
        },
        Path::Plot(name) => match plot(&context, name).await {
            Ok(svg) => picture(name, svg),
            Err(error) => problem(&context, &error),
        },
        // Scripts are told what is wrong as others are that read no pages.
        Path::EventEntry(sequence) => event::entry(&context, sequence).await.unwrap_or_else(|problem| problem.response()),
        Path::EventProof(sequence) => event::path(&context, sequence).await.unwrap_or_else(|problem| problem.response()),
        path => match view(&context, path).await {
            Ok(Viewed { status, markup }) => page(&context, status, markup),
            Err(error) => problem(&context, &error),
        },
    };
    secure(&mut response);
    response
}

/// Answers to a form of the page. What goes wrong is a view as well.
pub(in crate::server) async fn post(shared: &Arc<Shared>, parts: &Parts, path: Path<'_>, body: &mut RequestBody) -> Response<ResponseBody> {
    let context = Context::new(shared, parts);
    let id = if let Path::Backtest(id) = path { Some(id) } else { None };
    let mut response = match backtests::post(shared, parts, &context, id, body).await {
        Ok(backtests::Answer::View(status, markup)) => page(&context, status, markup),
        Ok(backtests::Answer::Elsewhere(response)) => response,
        Err(error) => problem(&context, &error),
    };
    secure(&mut response);
    response
}

/// The view of a path.
async fn view(context: &Context<'_>, path: Path<'_>) -> Result<Viewed, Problem> {
    match path {
        Path::Home => Ok(home::view(context).await.into()),
        Path::Backtests => backtests::list(context).await.map(Viewed::from),
        Path::Backtest(id) => backtests::one(context, id).map(Viewed::from),
        Path::Events => event::asked_for(context).await,
        Path::Event(sequence) => event::view(context, sequence).await,
        Path::Map => map::view(context).await.map(Viewed::from),
        Path::Policies => Ok(policy::list(context).into()),
        Path::Policy(name) => Ok(policy::view(context, name)),
        Path::Subjects => subject::list(context).map(Viewed::from),
        Path::Subject => subject::view(context).await,
        Path::File(_) | Path::Plot(_) | Path::EventEntry(_) | Path::EventProof(_) => Err(nothing_here()),
    }
}

/// The plot of a name, as a file that stands for itself.
async fn plot(context: &Context<'_>, name: &str) -> Result<String, Problem> {
    match name {
        "backtest.svg" => backtests::plot(context).ok_or_else(nothing_here).map(|plot| plot.to_file()),
        "map.svg" => map::file(context).await.ok_or_else(nothing_here),
        "verdicts.svg" if context.viewer.is_whole() => Ok(home::verdicts(context).to_file()),
        "findings.svg" => policy::plot(context).ok_or_else(nothing_here).map(|plot| plot.to_file()),
        "subject.svg" => Ok(subject::plot(context).await?.ok_or_else(nothing_here)?.to_file()),
        _ => Err(nothing_here()),
    }
}

fn nothing_here() -> Problem {
    Problem::new(Cause::NotFound, "The page has nothing at this path.")
}

/// A view that is none of a path of the page.
pub(super) fn answer(context: &Context<'_>, status: StatusCode, markup: Markup) -> Response<ResponseBody> {
    let mut response = page(context, status, markup);
    secure(&mut response);
    response
}

fn page(context: &Context<'_>, status: StatusCode, markup: Markup) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(markup.into_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    // It says what holds now, and it depends on who asks.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("accept-language, cookie"));
    for cookie in context.cookies_to_set() {
        if let Ok(value) = HeaderValue::try_from(cookie) {
            headers.append(SET_COOKIE, value);
        }
    }
    response
}

fn problem(context: &Context<'_>, problem: &Problem) -> Response<ResponseBody> {
    page(context, problem.cause.status(), layout::problem(context, problem))
}

fn picture(name: &str, svg: String) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(svg));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/svg+xml"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"ephor-{name}\"")) {
        headers.insert(hyper::header::CONTENT_DISPOSITION, value);
    }
    response
}

/// What a browser is told to forbid.
fn secure(response: &mut Response<ResponseBody>) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Nothing to other sites. With `no-referrer` forms of ours would come from the origin
    // `null` (Fetch, 3.1), which is what forms of others come from.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_page_are_few() {
        assert_eq!(Path::of("/"), Some(Path::Home));
        assert_eq!(Path::of("/backtests/7"), Some(Path::Backtest(7)));
        assert_eq!(Path::of("/static/style.css"), Some(Path::File("style.css")));
        assert_eq!(Path::of("/plots/verdicts.svg"), Some(Path::Plot("verdicts.svg")));
        assert_eq!(Path::of("/event/18"), Some(Path::Event(18)));
        assert_eq!(Path::of("/event/18/entry"), Some(Path::EventEntry(18)));
        assert_eq!(Path::of("/policy/geofence"), Some(Path::Policy("geofence")));
        assert_eq!(Path::of("/policy/office/geofence"), Some(Path::Policy("office/geofence")));
        for other in [
            "",
            "/static/",
            "/static/a/b",
            "/backtests/",
            "/backtests/x",
            "/v1/events",
            "//",
            "/event/",
            "/event/x",
            "/event/18/",
            "/event/18/x",
            "/event/99999999999999999999",
            "/policy/",
            "/policy/a/b/c",
            "/policy/..",
            "/policy/A",
            "/policy/a%2fb",
        ] {
            assert_eq!(Path::of(other), None, "{other}");
        }
    }
}
