//! `/v1/policies`: what is in force, and in development mode the means to change
//! it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyDataStream, Full};
use hyper::header::{CONTENT_TYPE, ETAG, HOST, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::Shared;
use super::body::{Coding, RequestBody, ResponseBody};
use super::events::{MediaType, json};
use super::guard::Caller;
use super::list::Page;
use super::problem::{Cause, Problem, sentence};
use super::turn::policy_tag;
use super::viewer::Viewer;
use crate::policy::manifest::{Field, Rule};
use crate::policy::{Bound, Language};
use crate::reference::List;
use crate::runtime::{By, Mode, RemoveError, Revision, Standing};
use crate::sandbox::LoadError;

/// Parts of a multipart body that are looked for. There may be several lists.
const PARTS: [&str; 3] = ["component", "settings", "list"];

/// A policy in force, as a client sees it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Policy")]
pub(super) struct View<'a> {
    policy: &'a str,
    release: &'a str,
    version: &'a str,
    summary: &'a str,
    component: String,
    component_bytes: u64,
    /// The language whose engine the component contains.
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<Language>,
    settings: String,
    /// Versions of the reference lists that it looks things up in.
    lists: &'a [Bound],
    /// What its findings count for.
    mode: &'static str,
    /// Keys for which a canary counts, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<f64>,
    /// The first sequence that this release judges.
    since: u64,
    events: &'a [String],
    fields: &'a [Field],
    rules: &'a [Rule],
    /// Pointers that the policy's state is kept by; empty without state.
    keyed: Vec<&'a str>,
}

impl<'a> View<'a> {
    fn of(standing: &'a Standing) -> Self {
        let release = &*standing.release;
        let manifest = &release.manifest;
        let key = manifest.keyed.as_ref().map(|keyed| keyed.key.as_slice()).unwrap_or_default();
        View {
            policy: release.policy(),
            release: &release.id,
            version: &manifest.version,
            summary: &manifest.summary,
            component: release.component.to_string(),
            component_bytes: release.component_bytes,
            language: release.language,
            settings: release.settings.to_string(),
            lists: &release.lists,
            mode: standing.mode.name(),
            share: (standing.mode == Mode::Canary).then(|| f64::from(standing.share) / 10_000.0),
            since: standing.since,
            events: &manifest.events,
            fields: &manifest.fields,
            rules: &manifest.rules,
            keyed: key.iter().filter_map(|index| manifest.fields.get(usize::from(*index))).map(|field| field.pointer.as_str()).collect(),
        }
    }
}

/// A page of everything in force, by name.
pub(super) fn list(shared: &Shared, parts: &Parts) -> Result<Response<ResponseBody>, Problem> {
    let (page, viewer) = (Page::of(parts)?, Viewer::of(parts));
    let seen = shared.runtime.policies().into_iter().filter(|standing| viewer.sees_policy(standing.release.policy())).collect();
    let (standing, next) = page.cut(seen, |standing| standing.release.policy());
    let views: Vec<View<'_>> = standing.iter().map(View::of).collect();
    let mut response = render(&BTreeMap::from([("policies", views)]))?;
    page.link(&mut response, parts.uri.path(), next.as_deref());
    Ok(response)
}

/// One policy.
pub(super) fn get(shared: &Shared, parts: &Parts, name: &str) -> Result<Response<ResponseBody>, Problem> {
    match shared.runtime.policies().iter().find(|standing| standing.release.policy() == name) {
        Some(standing) if Viewer::of(parts).sees_policy(name) => {
            let mut response = render(&View::of(standing))?;
            if let Some(tag) = policy_tag(shared, name).and_then(|tag| HeaderValue::try_from(tag).ok()) {
                response.headers_mut().insert(ETAG, tag);
            }
            Ok(response)
        }
        // What is not shown is as if it were not there.
        _ => Err(unknown(name)),
    }
}

/// Puts a component, settings, lists, or several of them in force; what does not come
/// stays as it is.
pub(super) async fn put(
    shared: &Arc<Shared>,
    parts: &Parts,
    name: &str,
    body: &mut RequestBody,
) -> Result<Response<ResponseBody>, Problem> {
    check_allowed(shared, parts)?;
    let who = Caller::of(parts).0.map(|identity| By::new(identity.to_string()));
    let revision = Revision { by: who, ..read(shared, parts, body).await? };
    let turn = shared.turns.take(shared, &parts.headers, name).await?;
    let runtime = shared.runtime.clone();
    let policy = name.to_owned();
    // In a task of its own: a client that hangs up must not leave a swap half
    // done.
    let swap = tokio::spawn(async move {
        let _turn = turn;
        let swap = runtime.revise(&policy, revision).await;
        match &swap {
            Ok(swap) => tracing::info!(
                policy,
                release = swap.release,
                replaced = swap.replaced.as_deref().unwrap_or("nothing"),
                sequence = swap.sequence,
                state = swap.state.name(),
                "Policy in force, over HTTP"
            ),
            Err(error) => {
                tracing::warn!(policy, kind = error.kind(), reason = %error, "Policy refused, over HTTP; what was in force stays");
            }
        }
        swap
    });
    let swap = swap.await.map_err(|error| broken_down(name, &error))?.map_err(|error| match error {
        LoadError::Stopped => stopped(),
        error => refused(&error),
    })?;
    let mut response = render(&swap)?;
    if swap.replaced.is_none() {
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}

/// Takes a policy out of force.
pub(super) async fn delete(shared: &Arc<Shared>, parts: &Parts, name: &str) -> Result<Response<ResponseBody>, Problem> {
    check_allowed(shared, parts)?;
    let turn = shared.turns.take(shared, &parts.headers, name).await?;
    let (runtime, policy) = (shared.runtime.clone(), name.to_owned());
    let who = Caller::of(parts).0.map(|identity| By::new(identity.to_string()));
    let removed = tokio::spawn(async move {
        let _turn = turn;
        let removed = match who {
            Some(who) => runtime.remove_by(&policy, who).await,
            None => runtime.remove(&policy).await,
        };
        if let Ok(sequence) = removed {
            tracing::info!(policy, sequence, "Policy out of force, over HTTP");
        }
        removed
    });
    let removed = removed.await.map_err(|error| broken_down(name, &error))?;
    let sequence = removed.map_err(|error| match error {
        RemoveError::NotInForce(name) => unknown(&name),
        RemoveError::Stopped(_) => stopped(),
    })?;
    render(&Removed { policy: name, sequence })
}

/// A policy that was taken out of force.
#[derive(Serialize, JsonSchema)]
pub(super) struct Removed<'a> {
    policy: &'a str,
    /// The first event that is judged without it.
    sequence: u64,
}

/// Development mode, and a request from this machine.
fn check_allowed(shared: &Shared, parts: &Parts) -> Result<(), Problem> {
    if !shared.options.dev {
        let detail = "Policies are put in force over HTTP only in development mode. Start the server with --dev, which listens on the loopback interface only.";
        return Err(Problem::new(Cause::DevelopmentOnly, detail));
    }
    check_local(shared, parts)
}

/// A request to the loopback interface that names this machine: a web page that had
/// its own name resolve to the loopback address would be let through otherwise. Where
/// the guard has asked who somebody is, it does not matter where they are.
pub(super) fn check_local(shared: &Shared, parts: &Parts) -> Result<(), Problem> {
    if shared.options.access.is_some() {
        return Ok(());
    }
    match shared.loopback && names_this_machine(parts).unwrap_or_default() {
        true => Ok(()),
        false => {
            let detail = "This is done from this machine only: on a server that listens on the loopback interface, with localhost or 127.0.0.1 in the URL.";
            Err(Problem::new(Cause::ForeignHost, detail).at_header("host"))
        }
    }
}

/// Whether a request is for a name of the loopback interface; nothing if it says no name.
pub(super) fn names_this_machine(parts: &Parts) -> Option<bool> {
    let named = || parts.headers.get(HOST).map(|value| value.to_str().map(without_port).unwrap_or_default());
    parts.uri.host().or_else(named).map(is_loopback)
}

/// An act says that it is JSON: a web page of somebody else's could not, without asking
/// first whether it may, and it may not.
pub(super) fn check_json(parts: &Parts) -> Result<(), Problem> {
    let media_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    match essence.eq_ignore_ascii_case("application/json") {
        true => Ok(()),
        false => {
            let detail = "Send a JSON object, and say so: content-type: application/json.";
            Err(Problem::new(Cause::ActMediaType, detail).at_header("content-type"))
        }
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

async fn read(shared: &Shared, parts: &Parts, body: &mut RequestBody) -> Result<Revision, Problem> {
    let limits = &shared.limits;
    let media = MediaType::of(&parts.headers)?.map(|media| media.essence);
    body.decode(Coding::of(&parts.headers)?);
    let bytes_max = match media.as_deref() {
        Some("application/wasm") => limits.component_bytes_max,
        Some("application/json") => limits.settings_bytes_max,
        // A few hundred bytes of boundaries and part headers.
        Some("multipart/form-data") => {
            [limits.component_bytes_max, limits.settings_bytes_max, limits.list_bytes_max].into_iter().fold(4 * 1024, usize::saturating_add)
        }
        _ => {
            let detail = "Send the component as application/wasm, settings as application/json, or several things as multipart/form-data with the parts `component`, `settings` and `list`.";
            return Err(Problem::new(Cause::PolicyMediaType, detail).at_header("content-type"));
        }
    };
    let whole = body.collect(bytes_max, limits.body_idle_timeout(), limits.body_timeout(), &shared.room).await?;
    match media.as_deref() {
        Some("application/wasm") => Ok(Revision { component: Some(whole.into()), ..Revision::default() }),
        Some("application/json") => Ok(Revision { settings: Some(whole.into()), ..Revision::default() }),
        _ => read_parts(shared, parts, whole, None).await.map(|(revision, _)| revision),
    }
}

/// Reads the parts of a multipart body, among them one of another name if there may be one.
/// With that part no other is needed.
pub(super) async fn read_parts(
    shared: &Shared,
    parts: &Parts,
    whole: Bytes,
    other: Option<&str>,
) -> Result<(Revision, Option<Vec<u8>>), Problem> {
    let broken = |error: multer::Error| match error {
        multer::Error::FieldSizeExceeded { .. } | multer::Error::StreamSizeExceeded { .. } => {
            Problem::new(Cause::BodyTooLarge, sentence(&error))
        }
        error => Problem::new(Cause::Multipart, sentence(&error)),
    };
    let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(content_type).map_err(broken)?;
    let sizes = multer::SizeLimit::new()
        .for_field(PARTS[0], shared.limits.component_bytes_max as u64)
        .for_field(PARTS[1], shared.limits.settings_bytes_max as u64)
        .for_field(PARTS[2], shared.limits.list_bytes_max as u64);
    let constraints = multer::Constraints::new().allowed_fields(PARTS.into_iter().chain(other).collect()).size_limit(sizes);
    let mut multipart = multer::Multipart::with_constraints(BodyDataStream::new(Full::new(whole)), boundary, constraints);
    let (mut revision, mut others) = (Revision::default(), None);
    while let Some(field) = multipart.next_field().await.map_err(broken)? {
        let place = match field.name() {
            Some("component") => &mut revision.component,
            Some("settings") => &mut revision.settings,
            name if name.is_some() && name == other => &mut others,
            _ => {
                let bytes = field.bytes().await.map_err(broken)?;
                let list = List::open(bytes[..].into()).map_err(|error| Problem::new(Cause::Load(error.kind()), sentence(&error)))?;
                revision.lists.push(Arc::new(list));
                continue;
            }
        };
        if place.is_some() {
            return Err(Problem::new(Cause::Multipart, "A part is there twice."));
        }
        *place = Some(Vec::from(field.bytes().await.map_err(broken)?));
    }
    if others.is_none() && revision.component.is_none() && revision.settings.is_none() && revision.lists.is_empty() {
        return Err(Problem::new(Cause::Multipart, "None of the parts `component`, `settings` and `list` is there."));
    }
    Ok((revision, others))
}

/// A load error is for the policy's author; where it has several causes, all of
/// them, with their places.
pub(super) fn refused(error: &LoadError) -> Problem {
    #[derive(Serialize)]
    struct Detail<'a> {
        pointer: &'a str,
        message: &'a str,
    }
    let errors: Vec<Detail<'_>> = match error {
        LoadError::Manifest { errors } => errors.iter().map(|error| Detail { pointer: &error.place, message: &error.problem }).collect(),
        LoadError::Grant { missing, .. } => {
            missing.iter().map(|missing| Detail { pointer: &missing.what, message: &missing.message }).collect()
        }
        LoadError::Settings { errors } => errors.iter().map(|error| Detail { pointer: &error.pointer, message: &error.message }).collect(),
        _ => Vec::new(),
    };
    let cause = match error {
        LoadError::NotInForce { .. } | LoadError::NoCandidate { .. } => Cause::NoSuchPolicy,
        LoadError::Worker { .. } => Cause::Worker,
        error => Cause::Load(error.kind()),
    };
    let problem = Problem::new(cause, sentence(error));
    if errors.is_empty() {
        return problem;
    }
    match serde_json::to_vec(&errors) {
        Ok(json) => problem.with("errors", json),
        Err(_) => problem,
    }
}

pub(super) fn stopped() -> Problem {
    Problem::new(Cause::Stopping, "The runtime has stopped; nothing was changed.")
}

fn broken_down(policy: &str, error: &tokio::task::JoinError) -> Problem {
    tracing::error!(policy.name = policy, error = %error, "A change of a policy broke down");
    Problem::new(Cause::Internal, "The change broke down; the log says more.")
}

fn unknown(name: &str) -> Problem {
    Problem::new(Cause::NoSuchPolicy, format!("No policy named {name:?} is in force; GET /v1/policies lists those that are."))
}

pub(super) fn render(value: &impl Serialize) -> Result<Response<ResponseBody>, Problem> {
    match serde_json::to_vec(value) {
        Ok(mut body) => {
            body.push(b'\n');
            Ok(json(body))
        }
        Err(error) => {
            tracing::error!(error = %error, "An answer could not be rendered");
            Err(Problem::new(Cause::Internal, "The answer could not be rendered; the log says more."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1", "127.9.9.9:8080", "[::1]:80", "[::1]"] {
            assert!(is_loopback(without_port(host)), "{host}");
        }
        for host in ["", "example.org", "localhost.example.org", "127.0.0.1.example.org", "10.0.0.1:80", "[::2]"] {
            assert!(!is_loopback(without_port(host)), "{host}");
        }
    }
}
