//! Which path and method lead where. The whole surface is in one table.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Version};

use super::body::{RequestBody, ResponseBody};
use super::clients::Ticket;
use super::guard::{self, Right};
use super::peer::Peer;
use super::problem::{Cause, Problem};
use super::{Phase, Shared, backtests, contents, events, log, login, metrics, page, policies, releases, repositories, status, verdicts};
use crate::ledger::Durability;

/// One path for each route, in braces the names of what stands in its place, and as it may
/// be sent. `runtime/ROLES.md` has a row for each of them.
const SAMPLES: [(&str, &str); 35] = [
    ("/", "/"),
    ("/backtests", "/backtests"),
    ("/backtests/{number}", "/backtests/1"),
    ("/map", "/map"),
    ("/plots/{plot}", "/plots/verdicts.svg"),
    ("/static/{file}", "/static/style.css"),
    ("/v1/events", "/v1/events"),
    ("/v1/events/{sequence}", "/v1/events/1"),
    ("/v1/erasures", "/v1/erasures"),
    ("/v1/policies", "/v1/policies"),
    ("/v1/policies/{policy}", "/v1/policies/office/fleet-cap"),
    ("/v1/backtests", "/v1/backtests"),
    ("/v1/backtests/releases", "/v1/backtests/releases"),
    ("/v1/backtests/{number}", "/v1/backtests/1"),
    ("/v1/backtests/{number}/differences", "/v1/backtests/1/differences"),
    ("/v1/verdicts", "/v1/verdicts"),
    ("/v1/releases", "/v1/releases"),
    ("/v1/releases/{policy}/promote", "/v1/releases/office/fleet-cap/promote"),
    ("/v1/releases/{policy}/demote", "/v1/releases/office/fleet-cap/demote"),
    ("/v1/releases/{policy}/withdraw", "/v1/releases/office/fleet-cap/withdraw"),
    ("/v1/publishers/{publisher}/look", "/v1/publishers/office/look"),
    ("/v1/status", "/v1/status"),
    ("/v1/log/key", "/v1/log/key"),
    ("/v1/log/checkpoint", "/v1/log/checkpoint"),
    ("/v1/log/witnesses", "/v1/log/witnesses"),
    ("/v1/log/cosignatures", "/v1/log/cosignatures"),
    ("/v1/log/tile/{level}/{index}", "/v1/log/tile/0/000.p/1"),
    ("/v1/log/tile/entries/{index}", "/v1/log/tile/entries/000.p/1"),
    ("/v1/log/proof/{sequence}", "/v1/log/proof/1"),
    ("/v1/repositories/{name}/{file}", "/v1/repositories/office/root.json"),
    ("/metrics", "/metrics"),
    ("/livez", "/livez"),
    ("/readyz", "/readyz"),
    ("/login", "/login"),
    ("/logout", "/logout"),
];

/// A path of the surface, for documents and for tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surface {
    /// As it is written about: `/v1/events/{sequence}`.
    pub shown: &'static str,
    /// As it may be sent.
    pub sample: &'static str,
    /// What can be done there.
    pub methods: Vec<&'static str>,
}

/// Everything that there is to be asked.
pub fn surface() -> Vec<Surface> {
    let methods = |path| Route::of(path).map(|route| route.methods().split(", ").collect()).unwrap_or_default();
    SAMPLES.iter().map(|(shown, sample)| Surface { shown, sample, methods: methods(sample) }).collect()
}

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
    Login,
    Logout,
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
            "/login" => Route::Login,
            "/logout" => Route::Logout,
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
            Route::Login => "login",
            Route::Logout => "logout",
        }
    }

    /// Who may do what a method does here. Whoever adds a route says it.
    fn right(self, method: &Method) -> Right<'a> {
        match self {
            Route::Events => Right::Submit,
            // As it was sent, with all that is in it.
            Route::Event(_) => Right::SeeWhole,
            Route::Erasures => Right::Act,
            Route::Policy(_) if method == Method::PUT || method == Method::DELETE => Right::Act,
            Route::Policies | Route::Policy(_) | Route::Verdicts | Route::Releases | Route::Status => Right::See,
            // Of one's own policies, which `backtests` sees to: nothing that counts is changed.
            Route::Backtests | Route::Tried | Route::Backtest(_) | Route::Differences(_) => Right::See,
            // A proof says where an entry lies, and a tile of entries what is in them.
            Route::Log(path) if path.starts_with("tile/entries/") => Right::SeeWhole,
            Route::Log(path) if path.starts_with("proof/") => Right::See,
            Route::Log(_) | Route::Repository(_) => Right::Published,
            // The platform promotes; a publisher can take back what is its own.
            Route::Act(policy, "withdraw") => Right::Own(policy.split_once('/').map_or("", |(publisher, _)| publisher)),
            Route::Act(..) => Right::Act,
            // It is asked for what it has published itself.
            Route::Look(publisher) => Right::Own(publisher),
            Route::Metrics => Right::Measure,
            Route::Login | Route::Logout => Right::Anybody,
            Route::Live | Route::Ready => Right::Probe,
            // Styles and scripts are the same for everybody, and the form to log in needs them.
            Route::Page(page::Path::File(_)) => Right::Anybody,
            Route::Page(_) => Right::See,
        }
    }

    fn methods(self) -> &'static str {
        match self {
            Route::Events | Route::Erasures | Route::Log("cosignatures") | Route::Act(..) | Route::Look(_) | Route::Logout => "POST",
            Route::Login => "GET, HEAD, POST",
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
pub(super) async fn answer(shared: &Arc<Shared>, peer: &Arc<Peer>, request: Request<Incoming>) -> Response<ResponseBody> {
    let (mut parts, incoming) = request.into_parts();
    let mut body = RequestBody::new(incoming, shared.limits.expansion_ratio_max);
    // The route borrows the path, and the guard puts with the request who sends it.
    let path = parts.uri.clone();
    let route = Route::of(path.path());
    let admitted = admit(shared, peer, route, &mut parts);
    let answered = match admitted {
        Ok(route) => dispatch(shared, route, &parts, &mut body).await,
        Err(problem) => Err(problem),
    };
    let mut response = match answered {
        Ok(response) => response,
        Err(problem) => {
            if problem.cause.status().is_server_error() {
                tracing::warn!(route.name = route.map(Route::name), problem.kind = problem.cause.kind(), "Request failed");
            } else {
                tracing::debug!(route.name = route.map(Route::name), problem.kind = problem.cause.kind(), "Request refused");
            }
            match problem.cause {
                Cause::Unauthenticated if login::wants_page(&parts) => login::lead(&parts),
                _ => problem.response(),
            }
        }
    };
    if !body.discard() && parts.version < Version::HTTP_2 {
        // Said, not only done: a client that knows does not send its next
        // request into a connection that is about to close.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(ticket) = Ticket::of(&parts) {
        response.extensions_mut().insert(ticket);
    }
    if parts.method == Method::HEAD {
        without_body(&mut response);
    }
    shared.counters.answered(route.map_or("none", Route::name), response.status());
    response
}

/// The route, if there is one, and whoever sends this may do what the method does there.
fn admit<'r>(shared: &Shared, peer: &Peer, route: Option<Route<'r>>, parts: &mut Parts) -> Result<Route<'r>, Problem> {
    check_header(&parts.headers, shared.limits.header_bytes_max)?;
    let Some(route) = route else {
        let detail = "There are POST /v1/events, GET /v1/events/SEQUENCE, /v1/verdicts, /v1/log/checkpoint, /v1/policies, /v1/releases, /v1/status, /livez, /readyz and /metrics.";
        return Err(Problem::new(Cause::NotFound, detail));
    };
    if !route.methods().split(", ").any(|method| method == parts.method.as_str()) {
        return Err(no_method(route, parts));
    }
    guard::check(shared, peer, parts, route.right(&parts.method))?;
    Ok(route)
}

fn no_method(route: Route<'_>, parts: &Parts) -> Problem {
    let detail = format!("{} is not among the methods of this path: {}.", parts.method, route.methods());
    Problem::new(Cause::Method(route.methods()), detail)
}

async fn dispatch(
    shared: &Arc<Shared>,
    route: Route<'_>,
    parts: &Parts,
    body: &mut RequestBody,
) -> Result<Response<ResponseBody>, Problem> {
    let read = parts.method == Method::GET || parts.method == Method::HEAD;
    match route {
        Route::Events if parts.method == Method::POST => events::post(shared, parts, body).await,
        Route::Event(sequence) if read => contents::get(shared, parts, sequence).await,
        Route::Erasures if parts.method == Method::POST => contents::erase(shared, parts, body).await,
        Route::Policies if read => policies::list(shared, parts),
        Route::Policy(name) if read => policies::get(shared, parts, name),
        Route::Policy(name) if parts.method == Method::PUT => policies::put(shared, parts, name, body).await,
        Route::Policy(name) if parts.method == Method::DELETE => policies::delete(shared, parts, name).await,
        Route::Backtests if read => backtests::list(shared, parts),
        Route::Backtests if parts.method == Method::POST => backtests::post(shared, parts, body).await,
        Route::Tried if read => backtests::releases(shared, parts).await,
        Route::Backtest(id) if read => backtests::get(shared, parts, id),
        Route::Backtest(id) if parts.method == Method::DELETE => backtests::delete(shared, parts, id),
        Route::Differences(id) if read => backtests::differences(shared, parts, id).await,
        Route::Verdicts if parts.method == Method::GET => verdicts::get(shared, parts),
        Route::Log("cosignatures") if parts.method == Method::POST => log::cosign(shared, body).await,
        Route::Log(path) if read => log::get(shared, path).await,
        Route::Repository(path) if read => repositories::get(shared, &parts.method, path).await,
        Route::Releases if read => releases::list(shared, parts),
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
        Route::Login if read => login::form(shared, parts),
        Route::Login => login::enter(shared, parts, body).await,
        Route::Logout => login::leave(shared),
        _ => Err(no_method(route, parts)),
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

    /// Whoever adds a route adds it here, and so to the table of roles.
    #[test]
    fn every_route_has_a_sample() {
        let (_, rest) = include_str!("routes.rs").split_once("\nenum Route<'a> {").expect("the routes");
        let (variants, _) = rest.split_once("\n}").expect("their end");
        let variants: std::collections::BTreeSet<&str> = variants
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()))
            .filter_map(|line| line.split(|letter: char| !letter.is_ascii_alphanumeric()).next())
            .collect();
        let routes: Vec<Route<'_>> =
            SAMPLES.iter().map(|(_, sample)| Route::of(sample).unwrap_or_else(|| panic!("{sample} is no path"))).collect();
        let shown: std::collections::BTreeSet<String> = routes.iter().map(|route| format!("{route:?}")).collect();
        let seen: std::collections::BTreeSet<&str> =
            shown.iter().filter_map(|route| route.split(|letter: char| !letter.is_ascii_alphanumeric()).next()).collect();
        assert_eq!(variants, seen);
    }

    #[test]
    fn a_header_is_bounded_by_its_bytes() {
        let mut headers = HeaderMap::new();
        headers.insert("a", HeaderValue::from_static("0123456789"));
        assert!(check_header(&headers, 15).is_ok());
        assert_eq!(check_header(&headers, 14).map_err(|problem| problem.cause), Err(Cause::HeaderTooLarge));
    }
}
