//! `/v1/releases` and `/v1/publishers`: how releases of publishers stand, and the acts
//! of the platform on them.

use std::sync::Arc;

use hyper::Response;
use hyper::http::request::Parts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::Shared;
use super::body::{RequestBody, ResponseBody};
use super::guard::Caller;
use super::list::Page;
use super::policies::{check_local, refused, render, stopped};
use super::problem::{Cause, Problem};
use super::viewer::Viewer;
use crate::digest::Digest;
use crate::policy::manifest::Field;
use crate::policy::{Language, Mode};
use crate::publishers::{PublisherStatus, Publishers};
use crate::runtime::{By, PromoteError, Shown, Standing};
use crate::sandbox::LoadError;

/// Canaries' shares are counted in so many parts.
const SHARES: f64 = 10_000.0;

/// A release that is judged with, as a client sees it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Release")]
pub(super) struct View {
    policy: String,
    release: String,
    version: String,
    digest: Digest,
    /// Digest of the signed statement; absent for one that is not published.
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<Digest>,
    /// The language whose engine the component contains.
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<Language>,
    mode: Mode,
    /// Keys for which a canary counts, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    valid_from: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    valid_until: Option<OffsetDateTime>,
    /// The first sequence that it judges in this mode.
    since: u64,
    stale: bool,
    /// Versions of the reference lists.
    lists: std::collections::BTreeMap<String, String>,
    /// What it sees, each field with the form that it asks for.
    fields: Vec<Field>,
    /// What it has shown since it began, in this process.
    shown: Shown,
    /// What is missing for its promotion; absent for one that is in force already.
    #[serde(skip_serializing_if = "Option::is_none")]
    lacks: Option<Vec<String>>,
}

/// Everything that is judged with.
pub(super) fn views(shared: &Shared, viewer: &Viewer) -> Vec<View> {
    views_of(shared, &standing(shared, viewer))
}

/// What is judged with, as far as somebody is shown it.
fn standing(shared: &Shared, viewer: &Viewer) -> Vec<Standing> {
    let mut standing = shared.runtime.policies();
    standing.retain(|standing| viewer.sees_policy(standing.release.policy()));
    standing
}

fn views_of(shared: &Shared, standing: &[Standing]) -> Vec<View> {
    let publishers = shared.options.publishers.as_deref();
    standing.iter().map(|standing| view(standing, publishers)).collect()
}

fn view(standing: &Standing, publishers: Option<&Publishers>) -> View {
    let release = &standing.release;
    let time = |micros: i64| OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).ok();
    let gate = release.publisher.as_deref().and_then(|publisher| publishers?.gate(publisher));
    let granted = release.publisher.as_deref().and_then(|publisher| publishers?.grant(publisher)?.until());
    let validity = standing.validity.before(granted);
    let lacks = (standing.mode != Mode::Enforce).then(|| gate.map(|gate| standing.shown.lacks(&gate)).unwrap_or_default());
    View {
        policy: release.policy().to_string(),
        release: release.id.clone(),
        version: release.manifest.version.clone(),
        digest: release.digest,
        statement: standing.statement,
        language: release.language,
        mode: standing.mode,
        share: (standing.mode == Mode::Canary).then(|| f64::from(standing.share) / SHARES),
        valid_from: validity.from.and_then(time),
        valid_until: validity.until.and_then(time),
        since: standing.since,
        stale: standing.stale.is_some(),
        lists: release.lists.iter().map(|list| (list.name.clone(), list.version.clone())).collect(),
        fields: release.manifest.fields.clone(),
        shown: standing.shown.clone(),
        lacks,
    }
}

/// How publishers stand, without a configuration nobody.
pub(super) fn publishers(shared: &Shared, viewer: &Viewer) -> Vec<PublisherStatus> {
    let mut all = shared.options.publishers.as_deref().map(Publishers::status).unwrap_or_default();
    all.retain(|publisher| viewer.sees_publisher(&publisher.publisher));
    all
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Releases")]
pub(super) struct List {
    releases: Vec<View>,
}

/// A page of everything that is judged with.
pub(super) fn list(shared: &Shared, parts: &Parts) -> Result<Response<ResponseBody>, Problem> {
    let page = Page::of(parts)?;
    let (standing, next) = page.cut(standing(shared, &Viewer::of(parts)), |standing| standing.release.policy());
    let mut response = render(&List { releases: views_of(shared, &standing) })?;
    page.link(&mut response, parts.uri.path(), next.as_deref());
    Ok(response)
}

/// What any act may be refused for.
pub(super) const ACT: [Cause; 7] =
    [Cause::ForeignHost, Cause::ActMediaType, Cause::BodyTooLarge, Cause::BodyIdle, Cause::BodySlow, Cause::BodyCut, Cause::Crowded];

/// Lets a release count for more.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Promote {
    /// Who acts: a person or a role. Asked of whoever has not shown who they are (`access`); of others
    /// the server knows it.
    #[serde(default)]
    #[schemars(regex(pattern = r"\S"))]
    by: String,
    /// Why.
    reason: Option<String>,
    /// The mode that it is promoted to; without it enforce.
    #[schemars(with = "Option<Higher>")]
    to: Option<Mode>,
    /// Keys for which a canary counts, from 0 to 1; without it what the grant says.
    #[schemars(range(min = 0, max = 1))]
    share: Option<f64>,
}

/// The modes that a release is promoted to, to say so in the schema.
#[derive(JsonSchema)]
#[schemars(inline, rename_all = "kebab-case")]
#[expect(dead_code, reason = "a schema is all that is made of it")]
enum Higher {
    Canary,
    Enforce,
}

/// Lets a release count for less.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Demote {
    /// Who acts: a person or a role. Asked of whoever has not shown who they are (`access`); of others
    /// the server knows it.
    #[serde(default)]
    #[schemars(regex(pattern = r"\S"))]
    by: String,
    /// Why.
    reason: Option<String>,
}

/// Takes a release out of force.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["reason"]))]
pub(super) struct Withdraw {
    /// Who acts: a person or a role. Asked of whoever has not shown who they are (`access`); of others
    /// the server knows it.
    #[serde(default)]
    #[schemars(regex(pattern = r"\S"))]
    by: String,
    /// Why; it is recorded.
    #[serde(default)]
    #[schemars(regex(pattern = r"\S"))]
    reason: String,
    /// The release that is withdrawn; without it all of the policy.
    release: Option<String>,
}

/// Promotes, demotes or withdraws.
pub(super) async fn act(
    shared: &Arc<Shared>,
    parts: &Parts,
    policy: &str,
    what: &str,
    body: &mut RequestBody,
) -> Result<Response<ResponseBody>, Problem> {
    let headers = &parts.headers;
    let runtime = &shared.runtime;
    let by = |by: String, reason| super::act::by(parts, by, reason);
    let (swap, who) = match what {
        "promote" => {
            let act: Promote = super::act::read(shared, parts, body).await?;
            let by = by(act.by.clone(), act.reason.clone())?;
            let who = by.who.clone();
            let _turn = shared.turns.take(shared, headers, policy).await?;
            (promote(shared, policy, &act, by).await?, who)
        }
        "demote" => {
            let act: Demote = super::act::read(shared, parts, body).await?;
            let by = by(act.by, act.reason)?;
            let who = by.who.clone();
            let _turn = shared.turns.take(shared, headers, policy).await?;
            (runtime.demote(policy, by).await.map_err(problem)?, who)
        }
        "withdraw" => {
            let act: Withdraw = super::act::read(shared, parts, body).await?;
            if act.reason.trim().is_empty() {
                return Err(Problem::new(Cause::Query, "Say in `reason` why it is withdrawn; it is recorded."));
            }
            let by = by(act.by, Some(act.reason))?;
            let who = by.who.clone();
            let _turn = shared.turns.take(shared, headers, policy).await?;
            (runtime.withdraw(policy, act.release.as_deref(), by).await.map_err(problem)?, who)
        }
        _ => return Err(super::protocol::not_found(parts.uri.path())),
    };
    let (release, sequence) = (&swap.release, swap.sequence);
    tracing::info!(policy, release, sequence, act = what, by = who, mode = swap.mode.name(), "Release changed, over HTTP");
    render(&swap)
}

async fn promote(shared: &Shared, policy: &str, act: &Promote, by: By) -> Result<crate::runtime::Swap, Problem> {
    let publisher = policy.split_once('/').map(|(publisher, _)| publisher);
    let gate = publisher.and_then(|publisher| shared.options.publishers.as_deref()?.gate(publisher));
    let to = act.to.unwrap_or(Mode::Enforce);
    let share = act.share.or(gate.map(|gate| gate.canary_share)).unwrap_or_default();
    if to == Mode::Shadow || !(0.0..=1.0).contains(&share) {
        return Err(Problem::new(Cause::Query, "A release is promoted `to` canary, for a `share` of the keys from 0 to 1, or to enforce."));
    }
    let share = if to == Mode::Canary { (share * SHARES).round() as u16 } else { 0 };
    let lacks = |shown: &Shown| gate.map(|gate| shown.lacks(&gate)).unwrap_or_default();
    shared.runtime.promote(policy, to, share, lacks, by).await.map_err(|error| match error {
        PromoteError::Refused(error) => problem(error),
        PromoteError::Gate { problems, shown } => {
            let detail = format!("The release stays as it is: {}.", problems.join("; "));
            let problem = Problem::new(Cause::Gate, detail);
            match serde_json::to_vec(&shown) {
                Ok(shown) => problem.with("shown", shown),
                Err(_) => problem,
            }
        }
    })
}

fn problem(error: LoadError) -> Problem {
    match error {
        LoadError::Stopped => stopped(),
        error => refused(&error),
    }
}

/// Looks into a publisher's repository now.
pub(super) async fn look(shared: &Arc<Shared>, parts: &Parts, name: &str) -> Result<Response<ResponseBody>, Problem> {
    check_local(shared, parts)?;
    let unknown = || {
        let detail = format!("No publisher named {name:?} is in the configuration.");
        Problem::new(Cause::NotFound, detail)
    };
    let publishers = shared.options.publishers.clone().ok_or_else(unknown)?;
    publishers.grant(name).ok_or_else(unknown)?;
    let publisher = name.to_owned();
    if let Caller(Some(who)) = Caller::of(parts) {
        tracing::info!(publisher = name, %who, "A look into a repository, over HTTP");
    }
    // In a task of its own: a client that hangs up must not leave it half done.
    let looked = tokio::spawn(async move { publishers.look(&publisher).await }).await;
    match looked {
        Ok(Ok(looked)) => render(&looked),
        Ok(Err(error)) => {
            let code = serde_json::Value::from(error.code()).to_string().into_bytes();
            Err(Problem::new(Cause::Repository, format!("{error}.")).with("code", code))
        }
        Err(error) => {
            tracing::error!(publisher = name, %error, "A look into a repository broke down");
            Err(Problem::new(Cause::Internal, "The look broke down; the log says more."))
        }
    }
}
