//! What comes from the forms: a back-test is begun, ended, or forgotten. That a form is not
//! one of another site is seen by the guard.

use std::sync::Arc;

use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use maud::Markup;

use super::super::context::Context;
use super::form::{BETWEEN, RECORDED, Values};
use super::list;
use crate::backtest::{Against, Change, End, Request};
use crate::server::body::{RequestBody, ResponseBody};
use crate::server::policies::check_local;
use crate::server::problem::{Cause, Problem};
use crate::server::protocol::see_other;
use crate::server::{Shared, act, backtests};

/// Bytes of a form but for the settings that may be in it, and how much longer those
/// become in one.
const FORM_BYTES_MAX: usize = 32 << 10;
const ENCODED: usize = 3;

/// A view, or the way to another one.
pub(in super::super) enum Answer {
    View(StatusCode, Markup),
    Elsewhere(Response<ResponseBody>),
}

/// Begins one, or with a number ends that one.
pub(in super::super) async fn post(
    shared: &Arc<Shared>,
    parts: &Parts,
    context: &Context<'_>,
    id: Option<u64>,
    body: &mut RequestBody,
) -> Result<Answer, Problem> {
    check_local(shared, parts)?;
    let limits = &shared.limits;
    let bytes_max = limits.settings_bytes_max.saturating_mul(ENCODED).saturating_add(FORM_BYTES_MAX);
    let bytes = body.collect(bytes_max, limits.body_idle_timeout(), limits.body_timeout(), &shared.room).await?;
    if let Some(id) = id {
        backtests::cancel(shared, parts, id)?;
        // One that waited is over at once, and still there; one that was over is forgotten.
        let is_there = shared.options.backtests.get(id).is_some();
        return Ok(Answer::Elsewhere(see_other(&if is_there { format!("/backtests/{id}") } else { "/backtests".to_string() })));
    }
    let mut values = Values { cold: true, ..Values::default() };
    for (name, value) in url::form_urlencoded::parse(&bytes) {
        let place = match &*name {
            "release" => &mut values.release,
            "against" => &mut values.against,
            "from" => &mut values.from,
            "until" => &mut values.until,
            "settings" => &mut values.settings,
            "by" => &mut values.by,
            "reason" => &mut values.reason,
            "warm_up" => {
                values.cold = value != "true";
                continue;
            }
            _ => continue,
        };
        *place = value.trim().to_string();
    }
    match begin(shared, parts, context, &values).await {
        Ok(id) => Ok(Answer::Elsewhere(see_other(&format!("/backtests/{id}")))),
        // The form again, as it was.
        Err(problem) if problem.cause.status().is_client_error() || problem.cause == Cause::BacktestsFull => {
            let view = list::with(context, &values, Some(&problem.detail)).await?;
            Ok(Answer::View(problem.cause.status(), view))
        }
        Err(problem) => Err(problem),
    }
}

async fn begin(shared: &Arc<Shared>, parts: &Parts, context: &Context<'_>, values: &Values) -> Result<u64, Problem> {
    let unclear = |what: &str| Problem::new(Cause::Query, what);
    let (policy, release) = values.release.split_once(BETWEEN).ok_or_else(|| unclear("Choose a release."))?;
    let against = match values.against.as_str() {
        "" | RECORDED => Against::Recorded,
        other => match other.split_once(BETWEEN) {
            Some((of, release)) if of == policy => Against::Release(release.to_string()),
            _ => return Err(unclear("Compare a release with another one of the same policy, or with what was recorded.")),
        },
    };
    let filled = |text: &str| Some(text.to_string()).filter(|text| !text.is_empty());
    let by = act::by(parts, values.by.clone(), filled(&values.reason))?;
    let settings = filled(&values.settings).map(|settings| Arc::from(settings.into_bytes()));
    let end = |text: &str| filled(text).map(|text| End::parse(&text));
    let request = Request {
        policy: policy.to_string(),
        release: release.to_string(),
        changed: false,
        against,
        from: end(&values.from),
        until: end(&values.until),
        warm_up: !values.cold,
        alone: false,
        by: by.who,
        reason: by.reason,
    };
    Ok(backtests::start(shared, &context.viewer, request, Change { settings, ..Change::default() }).await?.id)
}
