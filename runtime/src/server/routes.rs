//! Which path and method lead where. The whole surface is in one table.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue, REFERRER_POLICY};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Version};
use tracing::Instrument as _;

use super::body::{RequestBody, ResponseBody};
use super::clients::Ticket;
use super::followed::Followed;
use super::guard::{self, Right};
use super::peer::Peer;
use super::problem::{Cause, Problem};
use super::protocol::Checked;
use super::shown::Shown;
use super::{
    Phase, Shared, backtests, contents, events, log, login, metrics, openapi, page, policies, protocol, releases, repositories, status,
    verdicts,
};
use crate::ledger::Durability;
use crate::trace::Context;

/// One path for each route, in braces the names of what stands in its place, and as it may
/// be sent. `runtime/ROLES.md` has a row for each of them.
const SAMPLES: [(&str, &str); 45] = [
    ("/", "/"),
    ("/backtests", "/backtests"),
    ("/backtests/{number}", "/backtests/1"),
    ("/event", "/event"),
    ("/event/{sequence}", "/event/1"),
    ("/event/{sequence}/entry", "/event/1/entry"),
    ("/event/{sequence}/path", "/event/1/path"),
    ("/map", "/map"),
    ("/policies", "/policies"),
    ("/policy/{policy}", "/policy/office/fleet-cap"),
    ("/subject", "/subject"),
    ("/subjects", "/subjects"),
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
    ("/v1/openapi.json", "/v1/openapi.json"),
    ("/v1/docs", "/v1/docs"),
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
    let methods = |path| {
        let methods = Route::of(path).and_then(Route::for_people).or_else(|| protocol::methods(path)).unwrap_or_default();
        methods.split(", ").filter(|method| *method != "OPTIONS").collect()
    };
    SAMPLES.iter().map(|(shown, sample)| Surface { shown, sample, methods: methods(sample) }).collect()
}

/// Who may do what a method does at a path, if there is one.
pub(super) fn right<'a>(method: &Method, path: &'a str) -> Option<Right<'a>> {
    Route::of(path).map(|route| route.right(method))
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
    Document,
    Docs,
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
            "/v1/openapi.json" => Route::Document,
            "/v1/docs" => Route::Docs,
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
            Route::Document => "openapi",
            Route::Docs => "docs",
            Route::Live => "livez",
            Route::Ready => "readyz",
            Route::Metrics => "metrics",
            Route::Page(path) => path.name(),
            Route::Login => "login",
            Route::Logout => "logout",
        }
    }

    /// The methods of what is there for people, and described nowhere but by itself.
    fn for_people(self) -> Option<&'static str> {
        match self {
            Route::Login => Some("GET, HEAD, POST"),
            Route::Logout => Some("POST"),
            Route::Page(page::Path::Backtests | page::Path::Backtest(_)) => Some("GET, HEAD, POST"),
            Route::Page(_) => Some("GET, HEAD"),
            _ => None,
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
            // The same for every server of this release.
            Route::Document | Route::Docs => Right::Anybody,
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
            // What others' policies said is in an entry as well.
            Route::Page(page::Path::EventEntry(_)) => Right::SeeWhole,
            Route::Page(_) => Right::See,
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
    let followed = Followed::begin(shared, &parts, route.map_or("none", Route::name));
    let trace = followed.context();
    let admitted = admit(shared, peer, route, &mut parts);
    let answered = match admitted {
        Ok(Admitted::To(route)) => dispatch(shared, route, &parts, trace, &mut body).instrument(followed.log()).await,
        Ok(Admitted::Answered(response)) => Ok(response),
        Err(problem) => Err(problem),
    };
    let mut response = match answered {
        Ok(response) => response,
        Err(problem) => {
            let _here = followed.log().entered();
            shared.counters.problem(problem.cause.kind());
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
    if let Some(shown) = Shown::of(&parts) {
        response.extensions_mut().insert(shown);
    }
    protocol::complete(&parts, &mut response);
    shared.counters.answered(route.map_or("none", Route::name), response.status());
    followed.answered(shared, &mut response);
    response
}

/// A request that was let in.
enum Admitted<'r> {
    To(Route<'r>),
    Answered(Response<ResponseBody>),
}

/// What is asked for, if there is such a thing, and whoever sends this may do what the
/// method does there; or the answer, where the question is about the surface itself.
fn admit<'r>(shared: &Shared, peer: &Peer, route: Option<Route<'r>>, parts: &mut Parts) -> Result<Admitted<'r>, Problem> {
    check_header(parts, shared.limits.headers_max, shared.limits.header_bytes_max)?;
    if let Checked::Answered(response) = protocol::check(parts, route.and_then(Route::for_people))? {
        return Ok(Admitted::Answered(response));
    }
    let Some(route) = route else { return Err(protocol::not_found(parts.uri.path())) };
    guard::check(shared, peer, parts, route.right(&parts.method))?;
    if route.for_people().is_none() {
        protocol::check_asked(parts)?;
    }
    Ok(Admitted::To(route))
}

async fn dispatch(
    shared: &Arc<Shared>,
    route: Route<'_>,
    parts: &Parts,
    trace: Option<&Context>,
    body: &mut RequestBody,
) -> Result<Response<ResponseBody>, Problem> {
    let read = parts.method == Method::GET || parts.method == Method::HEAD;
    match route {
        Route::Events if parts.method == Method::POST => events::post(shared, parts, trace, body).await,
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
        Route::Verdicts if read => verdicts::get(shared, parts).await,
        Route::Log("cosignatures") if parts.method == Method::POST => log::cosign(shared, body).await,
        Route::Log(path) if read => log::get(shared, path).await,
        Route::Repository(path) if read => repositories::get(shared, &parts.method, path).await,
        Route::Releases if read => releases::list(shared, parts),
        Route::Act(policy, act) if parts.method == Method::POST => releases::act(shared, parts, policy, act, body).await,
        Route::Look(name) if parts.method == Method::POST => releases::look(shared, parts, name).await,
        Route::Status if read => status::get(shared, parts),
        Route::Document if read => Ok(events::json(openapi::document())),
        Route::Docs if read => Ok(docs(shared, parts)),
        Route::Live if read => Ok(text("ok\n")),
        Route::Ready if read => Ok(ready(shared)),
        Route::Metrics if read => Ok(metrics::get(shared)),
        Route::Page(path @ (page::Path::Backtests | page::Path::Backtest(_))) if parts.method == Method::POST => {
            Ok(page::post(shared, parts, path, body).await)
        }
        Route::Page(path) if read => Ok(page::get(shared, parts, path).await),
        Route::Login if read => login::form(shared, parts),
        Route::Login if parts.method == Method::POST => login::enter(shared, parts, body).await,
        Route::Logout if parts.method == Method::POST => login::leave(shared),
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
fn docs(shared: &Shared, parts: &Parts) -> Response<ResponseBody> {
    let host = parts.uri.authority().map(|authority| authority.as_str());
    let host = host.or_else(|| parts.headers.get(HOST).and_then(|host| host.to_str().ok())).unwrap_or_default();
    // It stands between quotes of a shell.
    let is_plain = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    let scheme = if shared.door.is_some() { "https" } else { "http" };
    let base = format!("{scheme}://{}", if is_plain { host } else { "127.0.0.1:8787" });
    let page = openapi::page(&base, shared.options.access.is_some(), page::Theme::remembered(&parts.headers).name());
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
        let text = match shared.options.access {
            None => {
                let why = why.map(|why| format!(": {why}")).unwrap_or_default();
                format!("Nothing is known yet of what {publisher} has published{why}.")
            }
            // Whose, and why, is in the status, for whom it concerns.
            Some(_) => "Nothing is known yet of what a publisher has published.".into(),
        };
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
        let (mut parts, ()) = Request::get("/a").body(()).expect("a request").into_parts();
        parts.headers.insert("a", HeaderValue::from_static("0123456789"));
        let refused = |fields, bytes| check_header(&parts, fields, bytes).map_err(|problem| problem.cause);
        assert_eq!(refused(1, 15), Ok(()));
        assert_eq!(refused(1, 14), Err(Cause::HeaderTooLarge));
        assert_eq!(refused(0, 15), Err(Cause::HeaderTooLarge));
        assert_eq!(refused(1, 1), Err(Cause::UriTooLong));
    }
}
