//! Which path and method lead where. The whole surface is in one table.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Version};

use super::body::{RequestBody, ResponseBody};
use super::peer::Peer;
use super::problem::{Cause, Problem};
use super::{Phase, Shared, backtests, contents, events, log, metrics, page, policies, releases, repositories, status, verdicts};
use crate::ledger::Durability;

/// A path that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route<'a> {
    Events,
    /// An event that was judged, by the sequence of its entry.
    Event(u64),
    Erasures,
    Policies,
    Policy(&'a str),
    /// Back-tests, and what can be tried in one.
    Backtests,
    Tried,
    /// One back-test, by its number, and its differences.
    Backtest(u64),
    Differences(u64),
    Verdicts,
    Log(&'a str),
    Repository(&'a str),
    Releases,
    /// An act on the releases of a policy: the policy's name, and the act.
    Act(&'a str, &'a str),
    /// A look into a publisher's repository.
    Look(&'a str),
    Status,
    Live,
    Ready,
    Metrics,
    /// The page for people.
    Page(page::Path<'a>),
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        Some(match path {
            "/v1/events" => Route::Events,
            "/v1/erasures" => Route::Erasures,
            "/v1/policies" => Route::Policies,
            "/v1/backtests" => Route::Backtests,
            "/v1/backtests/releases" => Route::Tried,
            "/v1/verdicts" => Route::Verdicts,
            "/v1/releases" => Route::Releases,
            "/v1/status" => Route::Status,
            "/livez" => Route::Live,
            "/readyz" => Route::Ready,
            "/metrics" => Route::Metrics,
            _ => {
                let below = |prefix: &str| path.strip_prefix(prefix).filter(|rest| !rest.is_empty());
                // A published policy has its publisher's name before its own.
                let is_policy = |name: &str| {
                    let mut parts = name.split('/');
                    parts.by_ref().take(2).all(|part| !part.is_empty() && part != "..") && parts.next().is_none()
                };
                if let Some(sequence) = below("/v1/events/").filter(|rest| rest.bytes().all(|byte| byte.is_ascii_digit())) {
                    return sequence.parse().ok().map(Route::Event);
                }
                if let Some(rest) = below("/v1/backtests/") {
                    let (id, differences) = rest.split_once('/').map_or((rest, None), |(id, rest)| (id, Some(rest)));
                    let id = id.parse().ok().filter(|_| id.bytes().all(|byte| byte.is_ascii_digit()))?;
                    return match differences {
                        None => Some(Route::Backtest(id)),
                        Some("differences") => Some(Route::Differences(id)),
                        Some(_) => None,
                    };
                }
                if let Some(name) = below("/v1/policies/").filter(|name| is_policy(name)) {
                    return Some(Route::Policy(name));
                }
                if let Some((policy, act)) = below("/v1/releases/").and_then(|rest| rest.rsplit_once('/')) {
                    return is_policy(policy).then_some(Route::Act(policy, act));
                }
                if let Some(name) = below("/v1/publishers/").and_then(|rest| rest.strip_suffix("/look")) {
                    return Some(Route::Look(name));
                }
                let of_interface = below("/v1/log/").map(Route::Log).or(below("/v1/repositories/").map(Route::Repository));
                return of_interface.or_else(|| page::Path::of(path).map(Route::Page));
            }
        })
    }

    /// The label in the metrics.
    fn name(self) -> &'static str {
        match self {
            Route::Events => "events",
            Route::Event(_) => "event",
            Route::Erasures => "erasures",
            Route::Policies => "policies",
            Route::Policy(_) => "policy",
            Route::Backtests => "backtests",
            Route::Tried => "backtest-releases",
            Route::Backtest(_) => "backtest",
            Route::Differences(_) => "differences",
            Route::Verdicts => "verdicts",
            Route::Log(_) => "log",
            Route::Repository(_) => "repository",
            Route::Releases => "releases",
            Route::Act(..) => "act",
            Route::Look(_) => "look",
            Route::Status => "status",
            Route::Live => "livez",
            Route::Ready => "readyz",
            Route::Metrics => "metrics",
            Route::Page(path) => path.name(),
        }
    }

    fn methods(self) -> &'static str {
        match self {
            Route::Events | Route::Erasures | Route::Log("cosignatures") | Route::Act(..) | Route::Look(_) => "POST",
            Route::Policy(_) => "GET, HEAD, PUT, DELETE",
            Route::Backtests => "GET, HEAD, POST",
            Route::Backtest(_) => "GET, HEAD, DELETE",
            Route::Page(page::Path::Backtests | page::Path::Backtest(_)) => "GET, HEAD, POST",
            Route::Event(_)
            | Route::Policies
            | Route::Tried
            | Route::Differences(_)
            | Route::Verdicts
            | Route::Log(_)
            | Route::Repository(_)
            | Route::Releases
            | Route::Status
            | Route::Live
            | Route::Ready
            | Route::Metrics
            | Route::Page(_) => "GET, HEAD",
        }
    }
}

/// Answers one request. Never fails: what goes wrong is a problem in an answer.
pub(super) async fn answer(shared: &Arc<Shared>, _peer: &Arc<Peer>, request: Request<Incoming>) -> Response<ResponseBody> {
    let (parts, incoming) = request.into_parts();
    let mut body = RequestBody::new(incoming, shared.limits.expansion_ratio_max);
    let route = Route::of(parts.uri.path());
    let mut response = match dispatch(shared, route, &parts, &mut body).await {
        Ok(response) => response,
        Err(problem) => {
            if problem.cause.status().is_server_error() {
                tracing::warn!(route.name = route.map(Route::name), problem.kind = problem.cause.kind(), "Request failed");
            } else {
                tracing::debug!(route.name = route.map(Route::name), problem.kind = problem.cause.kind(), "Request refused");
            }
            problem.response()
        }
    };
    if !body.discard() && parts.version < Version::HTTP_2 {
        // Said, not only done: a client that knows does not send its next
        // request into a connection that is about to close.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if parts.method == Method::HEAD {
        without_body(&mut response);
    }
    shared.counters.answered(route.map_or("none", Route::name), response.status());
    response
}

async fn dispatch(
    shared: &Arc<Shared>,
    route: Option<Route<'_>>,
    parts: &Parts,
    body: &mut RequestBody,
) -> Result<Response<ResponseBody>, Problem> {
    check_header(&parts.headers, shared.limits.header_bytes_max)?;
    let Some(route) = route else {
        let detail = "There are POST /v1/events, GET /v1/events/SEQUENCE, /v1/verdicts, /v1/log/checkpoint, /v1/policies, /v1/releases, /v1/status, /livez, /readyz and /metrics.";
        return Err(Problem::new(Cause::NotFound, detail));
    };
    let read = parts.method == Method::GET || parts.method == Method::HEAD;
    match route {
        Route::Events if parts.method == Method::POST => events::post(shared, &parts.headers, body).await,
        Route::Event(sequence) if read => contents::get(shared, parts, sequence).await,
        Route::Erasures if parts.method == Method::POST => contents::erase(shared, parts, body).await,
        Route::Policies if read => policies::list(shared),
        Route::Policy(name) if read => policies::get(shared, name),
        Route::Policy(name) if parts.method == Method::PUT => policies::put(shared, parts, name, body).await,
        Route::Policy(name) if parts.method == Method::DELETE => policies::delete(shared, parts, name).await,
        Route::Backtests if read => backtests::list(shared),
        Route::Backtests if parts.method == Method::POST => backtests::post(shared, parts, body).await,
        Route::Tried if read => backtests::releases(shared).await,
        Route::Backtest(id) if read => backtests::get(shared, parts, id),
        Route::Backtest(id) if parts.method == Method::DELETE => backtests::delete(shared, parts, id),
        Route::Differences(id) if read => backtests::differences(shared, parts, id).await,
        Route::Verdicts if parts.method == Method::GET => verdicts::get(shared, parts),
        Route::Log("cosignatures") if parts.method == Method::POST => log::cosign(shared, body).await,
        Route::Log(path) if read => log::get(shared, path).await,
        Route::Repository(path) if read => repositories::get(shared, &parts.method, path).await,
        Route::Releases if read => releases::list(shared),
        Route::Act(policy, act) if parts.method == Method::POST => releases::act(shared, parts, policy, act, body).await,
        Route::Look(name) if parts.method == Method::POST => releases::look(shared, parts, name).await,
        Route::Status if read => status::get(shared, parts),
        Route::Live if read => Ok(text("ok\n")),
        Route::Ready if read => Ok(ready(shared)),
        Route::Metrics if read => Ok(metrics::get(shared)),
        Route::Page(path @ (page::Path::Backtests | page::Path::Backtest(_))) if parts.method == Method::POST => {
            Ok(page::post(shared, parts, path, body).await)
        }
        Route::Page(path) if read => Ok(page::get(shared, parts, path).await),
        _ => {
            let detail = format!("{} is not among the methods of this path: {}.", parts.method, route.methods());
            Err(Problem::new(Cause::Method(route.methods()), detail))
        }
    }
}

/// hyper bounds the number of fields itself, but their bytes in HTTP/1 only by
/// the read buffer, which is larger than a header should be.
fn check_header(headers: &HeaderMap, bytes_max: usize) -> Result<(), Problem> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if bytes > bytes_max {
        return Err(Problem::new(Cause::HeaderTooLarge, format!("The header has {bytes} bytes, at most {bytes_max} are taken.")));
    }
    Ok(())
}

/// Whether it makes sense to send events here now.
fn ready(shared: &Shared) -> Response<ResponseBody> {
    let reason;
    // What it means for the disk that an event was answered for.
    let durability = shared.runtime.durability().map_or("none", Durability::name);
    let (status, body) = if *shared.phase.borrow() != Phase::Running {
        (StatusCode::SERVICE_UNAVAILABLE, r#"{"ready":false,"reason":"The server is about to stop."}"#)
    } else if let Some(failure) = shared.runtime.failure() {
        reason = serde_json::json!({"ready": false, "reason": failure}).to_string();
        (StatusCode::SERVICE_UNAVAILABLE, reason.as_str())
    } else if !shared.runtime.is_ready() {
        (StatusCode::SERVICE_UNAVAILABLE, r#"{"ready":false,"reason":"The runtime has stopped."}"#)
    } else if let Some((publisher, why)) = shared.options.publishers.as_deref().and_then(|publishers| publishers.unknown().pop()) {
        // Events would be let through that its rules may forbid.
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let text = format!("Nothing is known yet of what {publisher} has published{why}.");
        reason = serde_json::json!({"ready": false, "reason": text}).to_string();
        (StatusCode::SERVICE_UNAVAILABLE, reason.as_str())
    } else {
        reason = serde_json::json!({"ready": true, "durability": durability}).to_string();
        (StatusCode::OK, reason.as_str())
    };
    let mut response = events::json(format!("{body}\n").into_bytes());
    *response.status_mut() = status;
    response
}

fn text(body: &'static str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// The answer to HEAD: the header of the answer to GET (RFC 9110, 9.3.2).
fn without_body(response: &mut Response<ResponseBody>) {
    if let ResponseBody::Full(Some(body)) = response.body() {
        let length = HeaderValue::from(body.len());
        response.headers_mut().insert(CONTENT_LENGTH, length);
    }
    *response.body_mut() = ResponseBody::Full(None);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_matched_whole() {
        assert_eq!(Route::of("/v1/events"), Some(Route::Events));
        assert_eq!(Route::of("/v1/events/18"), Some(Route::Event(18)));
        assert_eq!(Route::of("/v1/policies/geofence"), Some(Route::Policy("geofence")));
        assert_eq!(Route::of("/v1/policies/office/geofence"), Some(Route::Policy("office/geofence")));
        assert_eq!(Route::of("/v1/releases/office/geofence/promote"), Some(Route::Act("office/geofence", "promote")));
        assert_eq!(Route::of("/v1/publishers/office/look"), Some(Route::Look("office")));
        assert_eq!(Route::of("/v1/repositories/office/root.json"), Some(Route::Repository("office/root.json")));
        assert_eq!(Route::of("/v1/backtests/7/differences"), Some(Route::Differences(7)));
        assert_eq!((Route::of("/v1/backtests/7"), Route::of("/v1/backtests/x")), (Some(Route::Backtest(7)), None));
        assert_eq!(Route::of("/v1/repositories/"), None);
        for path in [
            "",
            "/v1/events/",
            "/v1/events/1x",
            "/v1/events/99999999999999999999",
            "/v1/policies/",
            "/v1/policies/a/b/c",
            "/v1/releases/a",
            "/V1/events",
            "/v1/policies/../x",
        ] {
            assert_eq!(Route::of(path), None, "{path}");
        }
    }

    #[test]
    fn a_header_is_bounded_by_its_bytes() {
        let mut headers = HeaderMap::new();
        headers.insert("a", HeaderValue::from_static("0123456789"));
        assert!(check_header(&headers, 15).is_ok());
        assert_eq!(check_header(&headers, 14).map_err(|problem| problem.cause), Err(Cause::HeaderTooLarge));
    }
}
