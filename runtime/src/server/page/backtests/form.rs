//! The form that asks for a back-test.

use maud::{Markup, html};

use super::super::context::Context;
use crate::backtest::KnownRelease;

/// Values of the form: those of a link, or those that were not taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Values {
    pub release: String,
    pub against: String,
    pub from: String,
    pub until: String,
    pub settings: String,
    pub cold: bool,
    pub by: String,
    pub reason: String,
}

/// What stands between a policy's name and a release's id in a value of the form. Neither
/// has one.
pub(super) const BETWEEN: char = '|';

/// What is compared with if nothing else is chosen.
pub(super) const RECORDED: &str = "recorded";

pub(super) fn form(context: &Context<'_>, known: &[KnownRelease], values: &Values, problem: Option<&str>) -> Markup {
    let in_force: Vec<(String, String)> =
        context.shared.runtime.policies().iter().map(|standing| (standing.release.policy().into(), standing.release.id.clone())).collect();
    let mut policies: Vec<&str> = known.iter().map(|known| known.policy.as_str()).collect();
    policies.dedup();
    let options = |chosen: &str| {
        html! {
            @for policy in &policies {
                optgroup label=(policy) {
                    @for release in known.iter().filter(|known| known.policy == *policy) {
                        @let value = format!("{policy}{BETWEEN}{}", release.release);
                        @let is_in_force = in_force.iter().any(|(name, id)| name == policy && *id == release.release);
                        option value=(value) selected[value == chosen] {
                            (policy) " " (release.release)
                            @if is_in_force { " · " (context.text("backtests.in-force")) }
                            @else { " · " (context.text_with("backtests.since", &[("day", release.at.get(..10).unwrap_or_default())])) }
                        }
                    }
                }
            }
        }
    };
    let field = |name: &str, label: &str, value: &str, hint: &str, required: bool| {
        html! {
            label.field {
                span { (label) }
                input type="text" name=(name) value=(value) placeholder=(hint) required[required] autocomplete="off";
            }
        }
    };
    html! {
        @if let Some(problem) = problem {
            div.refused role="alert" { p { strong { (context.text("backtests.refused")) } } p lang="en" { (problem) } }
        }
        form.asking method="post" action="/backtests" {
            label.field.wide {
                span { (context.text("backtests.release")) }
                select name="release" required { (options(&values.release)) }
            }
            label.field.wide {
                span { (context.text("backtests.against")) }
                select name="against" {
                    option value=(RECORDED) selected[values.against.is_empty() || values.against == RECORDED] { (context.text("backtests.recorded")) }
                    (options(&values.against))
                }
            }
            (field("from", context.text("backtests.from"), &values.from, context.text("backtests.from-hint"), false))
            (field("until", context.text("backtests.until"), &values.until, context.text("backtests.until-hint"), false))
            @if context.caller.0.is_none() { (field("by", context.text("backtests.by"), &values.by, "", true)) }
            (field("reason", context.text("backtests.reason"), &values.reason, "", false))
            label.check.wide {
                input type="checkbox" name="warm_up" value="true" checked[!values.cold];
                span { (context.text("backtests.warm-up")) }
            }
            @if context.shared.options.dev {
                details.wide open[!values.settings.is_empty()] {
                    summary { (context.text("backtests.settings")) }
                    label.field {
                        span { (context.text("backtests.settings-hint")) }
                        textarea name="settings" rows="6" spellcheck="false" { (values.settings) }
                    }
                }
            }
            p.note.wide { (context.text("backtests.period-note")) }
            div.buttons.wide { button.primary type="submit" { (context.text("backtests.start")) } }
        }
    }
}
