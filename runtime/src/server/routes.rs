//! Which path and method lead where. The whole surface is in one table.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue, REFERRER_POLICY};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Version};

use super::body::{RequestBody, ResponseBody};
use super::peer::Peer;
use super::problem::{Cause, Problem};
use super::protocol::Checked;
use super::{Phase, Shared, contents, events, log, metrics, openapi, policies, protocol, releases, repositories, status, verdicts};
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
    Verdicts,
    Log(&'a str),
    Repository(&'a str),
    Releases,
    /// An act on the releases of a policy: the policy's name, and the act.
    Act(&'a str, &'a str),
    /// A look into a publisher's repository.
    Look(&'a str),
    Status,
    Document,
    Docs,
    Live,
    Ready,
    Metrics,
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        Some(match path {
            "/v1/events" => Route::Events,
            "/v1/erasures" => Route::Erasures,
            "/v1/policies" => Route::Policies,
            "/v1/verdicts" => Route::Verdicts,
            "/v1/releases" => Route::Releases,
            "/v1/status" => Route::Status,
            "/v1/openapi.json" => Route::Document,
            "/v1/docs" => Route::Docs,
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
                if let Some(name) = below("/v1/policies/").filter(|name| is_policy(name)) {
                    return Some(Route::Policy(name));
                }
                if let Some((policy, act)) = below("/v1/releases/").and_then(|rest| rest.rsplit_once('/')) {
                    return is_policy(policy).then_some(Route::Act(policy, act));
                }
                if let Some(name) = below("/v1/publishers/").and_then(|rest| rest.strip_suffix("/look")) {
                    return Some(Route::Look(name));
                }
                return below("/v1/log/").map(Route::Log).or(below("/v1/repositories/").map(Route::Repository));
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
            Route::Verdicts => "verdicts",
            Route::Log(_) => "log",
            Route::Repository(_) => "repository",
            Route::Releases => "releases",
            Route::Act(..) => "act",
            Route::Look(_) => "look",
            Route::Status => "status",
            Route::Document => "openapi",
            Route::Docs => "docs",
            Route::Live => "livez",
            Route::Ready => "readyz",
            Route::Metrics => "metrics",
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
    protocol::complete(&parts, &mut response);
    shared.counters.answered(route.map_or("none", Route::name), response.status());
    response
}

async fn dispatch(
    shared: &Arc<Shared>,
    route: Option<Route<'_>>,
    parts: &Parts,
    body: &mut RequestBody,
) -> Result<Response<ResponseBody>, Problem> {
    check_header(parts, shared.limits.headers_max, shared.limits.header_bytes_max)?;
    if let Checked::Answered(response) = protocol::check(parts)? {
        return Ok(response);
    }
    let Some(route) = route else { return Err(protocol::not_found(parts.uri.path())) };
    let read = parts.method == Method::GET || parts.method == Method::HEAD;
    match route {
        Route::Events if parts.method == Method::POST => events::post(shared, &parts.headers, body).await,
        Route::Event(sequence) if read => contents::get(shared, parts, sequence).await,
        Route::Erasures if parts.method == Method::POST => contents::erase(shared, parts, body).await,
        Route::Policies if read => policies::list(shared, parts),
        Route::Policy(name) if read => policies::get(shared, name),
        Route::Policy(name) if parts.method == Method::PUT => policies::put(shared, parts, name, body).await,
        Route::Policy(name) if parts.method == Method::DELETE => policies::delete(shared, parts, name).await,
        Route::Verdicts if read => verdicts::get(shared, parts).await,
        Route::Log("cosignatures") if parts.method == Method::POST => log::cosign(shared, body).await,
        Route::Log(path) if read => log::get(shared, path).await,
        Route::Repository(path) if read => repositories::get(shared, &parts.method, path).await,
        Route::Releases if read => releases::list(shared, parts),
        Route::Act(policy, act) if parts.method == Method::POST => releases::act(shared, parts, policy, act, body).await,
        Route::Look(name) if parts.method == Method::POST => releases::look(shared, parts, name).await,
        Route::Status if read => status::get(shared, parts),
        Route::Document if read => Ok(events::json(openapi::document().as_bytes().to_vec())),
        Route::Docs if read => Ok(docs(parts)),
        Route::Live if read => Ok(text("ok\n")),
        Route::Ready if read => Ok(ready(shared)),
        Route::Metrics if read => Ok(metrics::get(shared)),
        // Described, and not carried out here.
        _ => Err(protocol::not_found(parts.uri.path())),
    }
}

/// hyper bounds the number of fields itself, with nothing to say; and their bytes in HTTP/1
/// only by the read buffer, which is larger than a header should be.
fn check_header(parts: &Parts, fields_max: usize, bytes_max: usize) -> Result<(), Problem> {
    let address = parts.uri.path_and_query().map_or(0, |address| address.as_str().len());
    if address > bytes_max {
        return Err(Problem::new(Cause::UriTooLong, format!("The address has {address} bytes, at most {bytes_max} are taken.")));
    }
    let fields = parts.headers.len();
    if fields > fields_max {
        return Err(Problem::new(Cause::HeaderTooLarge, format!("The header has {fields} fields, at most {fields_max} are taken.")));
    }
    let bytes: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if bytes > bytes_max {
        return Err(Problem::new(Cause::HeaderTooLarge, format!("The header has {bytes} bytes, at most {bytes_max} are taken.")));
    }
    Ok(())
}

/// The page of the API; its lines to try go to where it was asked for.
fn docs(parts: &Parts) -> Response<ResponseBody> {
    let host = parts.uri.authority().map(|authority| authority.as_str());
    let host = host.or_else(|| parts.headers.get(HOST).and_then(|host| host.to_str().ok())).unwrap_or_default();
    // It stands between quotes of a shell.
    let is_plain = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    let page = openapi::page(&format!("http://{}", if is_plain { host } else { "127.0.0.1:8787" }));
    let mut response = Response::new(ResponseBody::full(page));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Ok(policy) = HeaderValue::from_str(&openapi::POLICY) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
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
        assert_eq!(Route::of("/v1/repositories/"), None);
        for path in [
            "/",
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
        let (mut parts, ()) = Request::get("/a").body(()).expect("a request").into_parts();
        parts.headers.insert("a", HeaderValue::from_static("0123456789"));
        let refused = |fields, bytes| check_header(&parts, fields, bytes).map_err(|problem| problem.cause);
        assert_eq!(refused(1, 15), Ok(()));
        assert_eq!(refused(1, 14), Err(Cause::HeaderTooLarge));
        assert_eq!(refused(0, 15), Err(Cause::HeaderTooLarge));
        assert_eq!(refused(1, 1), Err(Cause::UriTooLong));
    }
}
