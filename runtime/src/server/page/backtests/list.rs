//! All back-tests, and the form for another one.

use std::sync::Arc;

use maud::{Markup, html};

use super::super::context::Context;
use super::super::layout::{Tab, layout};
use super::super::parts::{self, Column, number};
use super::form::{BETWEEN, RECORDED, Values, form};
use super::one;
use crate::backtest::Job;
use crate::server::backtests;
use crate::server::problem::Problem;

pub(in super::super) async fn view(context: &Context<'_>) -> Result<Markup, Problem> {
    let asked = |name: &str| context.asked(name).unwrap_or_default().to_string();
    let mut values = Values { against: RECORDED.to_string(), from: asked("from"), until: asked("until"), ..Values::default() };
    if let (Some(policy), Some(release)) = (context.asked("policy"), context.asked("release")) {
        values.release = format!("{policy}{BETWEEN}{release}");
    }
    with(context, &values, None).await
}

/// The same with values in the form, and why they were not taken.
pub(super) async fn with(context: &Context<'_>, values: &Values, problem: Option<&str>) -> Result<Markup, Problem> {
    let known = backtests::known(context.shared, &context.viewer).await?;
    let tests = context.shared.options.backtests.clone();
    let has_events = tokio::task::spawn_blocking(move || tests.has_events()).await.unwrap_or_default();
    let asking = match (has_events, known.is_empty()) {
        (false, _) => {
            html! { (parts::empty(context.text("backtests.nothing-kept"))) pre { "[ledger]\nevents = \"full\"   # or { days = 30 }" } }
        }
        (true, true) => parts::empty(context.text("backtests.no-release")),
        (true, false) => form(context, &known, values, problem),
    };
    let jobs: Vec<Arc<Job>> = context.shared.options.backtests.all();
    let jobs: Vec<Arc<Job>> = jobs.into_iter().filter(|job| backtests::is_for(&context.viewer, &job.request)).collect();
    let body = html! {
        p.lead { (context.text("backtests.lead")) }
        (parts::section("ask", context.text("backtests.ask"), &asking))
        (parts::live_section("backtests", context.text("backtests.all"), &all(context, &jobs)))
    };
    Ok(layout(context, context.text("backtests.title"), Some(Tab::Backtests), &body))
}

fn all(context: &Context<'_>, jobs: &[Arc<Job>]) -> Markup {
    if jobs.is_empty() {
        return parts::empty(context.text("backtests.none"));
    }
    let head = [
        Column::number(context.text("backtests.number")),
        Column::text(context.text("backtests.asked")),
        Column::text(context.text("backtests.release")),
        Column::text(context.text("backtests.against")),
        Column::text(context.text("backtests.state")),
        Column::text(context.text("backtests.result")),
    ];
    let rows = html! {
        @for job in jobs {
            @let status = job.status();
            tr {
                td.number data-is=(context.text("backtests.number")) { a href={ "/backtests/" (job.id) } { (job.id) } }
                td { (parts::time_micros(job.asked)) div.note { (job.request.by) } }
                td.long { (job.request.policy) div.note { code { (one::release(context, &job.request)) } } }
                td.long data-is=(context.text("backtests.against")) { (one::against(context, &job.request)) }
                td { (one::state(context, &status)) }
                td.long {
                    @match job.done() {
                        Some(done) => (one::sentence(context, &job.request, &done)),
                        None => @match &status.failure {
                            Some(failure) => span lang="en" { (failure) },
                            None => @if let Some(of) = status.of { (context.text_with("backtests.so-far", &[("n", &number(status.events)), ("of", &number(of))])) },
                        }
                    }
                }
            }
        }
    };
    html! { div.stacked { (parts::table(context.text("backtests.all"), &head, &rows)) } }
}
