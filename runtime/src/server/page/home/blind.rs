//! How blind we are, in one figure, and why: the seconds in which events were judged that
//! a policy in force had no part in, or by what is out of date (OBSERVABILITY.md).

use maud::{Markup, html};

use super::super::context::Context;
use super::super::parts::{self, Level, duration, number, percent};
use crate::runtime::{Blind, Blindness, Cause};

/// The figure as this viewer may see it.
pub(super) struct Figure {
    blindness: Blindness,
    /// In the last hour; absent for who may see a part, for whom seconds of several causes
    /// cannot be told apart.
    hour_s: Option<u64>,
}

impl Figure {
    pub(super) fn of(context: &Context<'_>) -> Self {
        let mut blindness = context.shared.runtime.blindness();
        let is_whole = context.viewer.is_whole();
        // That no policy is in force at all is the platform's.
        blindness.causes.retain(|one| one.policy.as_ref().map_or(is_whole, |policy| context.viewer.sees_policy(policy)));
        blindness.causes.sort_by_key(|one| std::cmp::Reverse((one.spell.seconds_last_hour, one.spell.seconds)));
        let hour_s = is_whole.then_some(blindness.all.seconds_last_hour);
        Figure { blindness, hour_s }
    }

    /// Whether anything was missed in the last hour.
    fn is_recent(&self) -> bool {
        self.blindness.causes.iter().any(|one| one.spell.seconds_last_hour > 0)
    }

    fn level(&self) -> Level {
        if self.is_recent() { Level::Uncertain } else { Level::Good }
    }

    /// The figure in a sentence.
    fn says(&self, context: &Context<'_>) -> String {
        match (self.is_recent(), self.hour_s) {
            (false, Some(_)) if self.blindness.events == 0 => context.text("blind.nothing").to_string(),
            (false, Some(_)) => context.text("blind.none").to_string(),
            (false, None) => context.text("blind.none-own").to_string(),
            (true, Some(seconds)) => context.text_with("blind.hour", &[("time", &duration(context, seconds))]),
            (true, None) => context.text("blind.hour-own").to_string(),
        }
    }

    /// The sentence, if there is something to look at.
    pub(super) fn trouble(&self, context: &Context<'_>) -> Option<String> {
        self.is_recent().then(|| self.says(context))
    }
}

/// The part of the view.
pub(super) fn section(context: &Context<'_>) -> Markup {
    let figure = Figure::of(context);
    let blindness = &figure.blindness;
    let body = html! {
        p class={ "blindness " (figure.level().name()) } { @if blindness.events > 0 { (figure.level().icon()) } strong { (figure.says(context)) } }
        @if !blindness.causes.is_empty() {
            ul.causes { @for one in &blindness.causes { li { (cause(context, one)) } } }
        }
        p.note {
            (context.text("blind.since")) " " (parts::time_micros(blindness.since))
            @if figure.hour_s.is_some() { (context.text("blind.colon")) (since_start(context, blindness)) }
            @if let (Some(last), Some(_)) = (blindness.all.last, figure.hour_s) {
                " " (context.text("blind.last")) " " (parts::time_micros(last.saturating_mul(1_000_000))) (context.text("blind.stop"))
            }
        }
        details.note { summary { (context.text("blind.what")) } p { (context.text("blind.what-is")) } }
    };
    parts::live_section("blind", context.text("blind.title"), &body)
}

/// All that was missed since the process started.
fn since_start(context: &Context<'_>, blindness: &Blindness) -> String {
    let (blind, all) = (blindness.blind_events, blindness.events);
    let (time, share) = (duration(context, blindness.all.seconds), percent(blind, all));
    let blind = number(blind);
    let values = [("time", time.as_str()), ("blind", blind.as_str()), ("share", share.as_str())];
    context.count_with("blind.sum", all, &values)
}

/// A cause in words, and for how much it held.
fn cause(context: &Context<'_>, one: &Blind) -> Markup {
    let why = match one.cause {
        Cause::Failed => context.text("blind.failed"),
        Cause::Without => context.text("blind.without"),
        Cause::Stale => context.text("blind.stale"),
        Cause::Nobody => context.text("blind.nobody"),
    };
    let time = duration(context, one.spell.seconds);
    let amount = match one.spell.seconds_last_hour == one.spell.seconds {
        true => context.count_with("blind.amount", one.answers, &[("time", &time)]),
        false => {
            let hour = duration(context, one.spell.seconds_last_hour);
            context.count_with("blind.amount-older", one.answers, &[("time", &time), ("hour", &hour)])
        }
    };
    html! {
        @if let Some(policy) = &one.policy { (parts::policy(policy)) (context.text("blind.colon")) }
        (why) " " (amount)
    }
}
