//! How blind we are: one line for whoever answers for it, and the figures behind it.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::super::context::Context;
use super::super::parts::{Figure, Level, figures as figures_of, number, percent};
use crate::overview::Counts;
use crate::runtime::{Mode, Stale};
use crate::server::releases;
use crate::verdict::Decision;

/// Seconds that the figures look back.
const BACK_S: i64 = 86_400;

/// Something that keeps us from seeing.
struct Blind {
    level: Level,
    why: String,
}

/// What is known about our sight.
struct Sight {
    /// Of the last day; absent without a ledger.
    day: Option<Counts>,
    /// Policies with a release that counts, and those that are only tried out.
    in_force: usize,
    tried: usize,
    silent: u64,
    missing: u64,
    blind: Vec<Blind>,
}

impl Sight {
    fn of(context: &Context<'_>) -> Self {
        let shared = context.shared;
        let stats = shared.runtime.stats();
        let count = |value: i64| u64::try_from(value).unwrap_or_default();
        // Sums of everything are not for who may see a part.
        let is_whole = context.viewer.is_whole();
        let (silent, missing) = if is_whole { (count(stats.silent.get()), count(stats.missing.get())) } else { (0, 0) };
        let day = shared
            .overview
            .as_ref()
            .filter(|_| is_whole)
            .map(|overview| overview.look(|sums| sums.last(BACK_S, context.now.unix_timestamp())));
        let standing: Vec<_> = shared.runtime.policies();
        let standing = standing.iter().filter(|standing| context.viewer.sees_policy(standing.release.policy()));
        let (mut in_force, mut all, mut stale, mut stopped) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for one in standing {
            let name = one.release.policy();
            all.insert(name);
            if one.mode != Mode::Shadow {
                in_force.insert(name);
            }
            match one.stale {
                Some(Stale::Keep) => drop(stale.insert(name)),
                Some(Stale::Stop) => drop(stopped.insert(name)),
                None => {}
            }
        }
        let mut blind = Vec::new();
        let mut add = |level, why| blind.push(Blind { level, why });
        if let Some(failure) = shared.runtime.failure() {
            add(Level::Bad, context.text_with("sight.ledger-failed", &[("why", failure)]));
        } else if !shared.runtime.is_ready() {
            add(Level::Bad, context.text("sight.stopped").to_string());
        }
        if let Some(publishers) = shared.options.publishers.as_deref() {
            for (publisher, _) in publishers.unknown().into_iter().filter(|(name, _)| context.viewer.sees_publisher(name)) {
                add(Level::Bad, context.text_with("sight.publisher-unknown", &[("publisher", publisher)]));
            }
        }
        for policy in &stopped {
            add(Level::Bad, context.text_with("sight.policy-stopped", &[("policy", policy)]));
        }
        if all.is_empty() {
            add(Level::Bad, context.text("sight.no-policy").to_string());
        } else if in_force.is_empty() {
            add(Level::Uncertain, context.text("sight.only-shadow").to_string());
        }
        if let Some(day) = day {
            let undetermined = day.of(Decision::Undetermined);
            if undetermined > 0 {
                let share = percent(undetermined, day.events());
                add(Level::Uncertain, context.count_with("sight.undetermined", undetermined, &[("share", &share)]));
            }
            if day.faults > undetermined {
                add(Level::Uncertain, context.count("sight.faults", day.faults));
            }
        }
        for policy in &stale {
            add(Level::Uncertain, context.text_with("sight.policy-stale", &[("policy", policy)]));
        }
        for status in releases::publishers(shared, &context.viewer).iter().filter(|status| status.problem.is_some()) {
            add(Level::Uncertain, context.text_with("sight.publisher-problem", &[("publisher", &status.publisher)]));
        }
        if silent > 0 {
            add(Level::Uncertain, context.count("sight.silent", silent));
        }
        if missing > 0 {
            add(Level::Uncertain, context.count("sight.missing", missing));
        }
        let (in_force, tried) = (in_force.len(), all.len() - in_force.len());
        Sight { day, in_force, tried, silent, missing, blind }
    }

    fn level(&self) -> Level {
        self.blind.iter().map(|blind| blind.level).max().unwrap_or(Level::Good)
    }
}

/// The one line.
pub(super) fn headline(context: &Context<'_>) -> Markup {
    let sight = Sight::of(context);
    let level = sight.level();
    let events = sight.day.map(|day| day.events()).unwrap_or_default();
    let says = match level {
        Level::Good if events == 0 => context.text("sight.waiting"),
        Level::Good => context.text("sight.good"),
        Level::Uncertain => context.text("sight.uncertain"),
        Level::Bad => context.text("sight.bad"),
    };
    let word = match level {
        Level::Good => context.text("sight.level-good"),
        Level::Uncertain => context.text("sight.level-uncertain"),
        Level::Bad => context.text("sight.level-bad"),
    };
    html! {
        section id="sight" data-live class={ "card headline " (level.name()) } aria-label=(context.text("sight.name")) {
            (level.icon())
            p.says { span.heard { (word) ": " } (says) }
            @if sight.blind.is_empty() {
                p.why { (context.count("sight.good-why", events)) }
            } @else {
                ul.why { @for blind in &sight.blind { li { (blind.why) } } }
            }
        }
    }
}

/// The figures behind it.
pub(super) fn figures(context: &Context<'_>) -> Markup {
    let sight = Sight::of(context);
    let level = |is_bad: bool| if is_bad { Level::Uncertain } else { Level::Good };
    let mut figures = Vec::new();
    if let Some(day) = sight.day {
        let (events, undetermined) = (day.events(), day.of(Decision::Undetermined));
        let found = day.of(Decision::Flag) + day.of(Decision::Deny);
        figures.push(Figure {
            name: context.text("sight.events"),
            value: html! { (number(events)) },
            remark: Some(
                html! { (context.text_with("sight.events-remark", &[("n", &number(found)), ("share", &percent(found, events))])) },
            ),
            level: Level::Good,
        });
        figures.push(Figure {
            name: context.text("sight.undecided"),
            value: html! { (number(undetermined)) },
            remark: Some(html! { (context.text_with("sight.undecided-remark", &[("share", &percent(undetermined, events))])) }),
            level: level(undetermined > 0),
        });
        figures.push(Figure {
            name: context.text("sight.failures"),
            value: html! { (number(day.faults)) },
            remark: Some(html! { (context.text("sight.failures-remark")) }),
            level: level(day.faults > 0),
        });
    }
    figures.push(Figure {
        name: context.text("sight.policies"),
        value: html! { (number(sight.in_force as u64)) },
        remark: Some(html! { (context.text_with("sight.policies-remark", &[("n", &number(sight.tried as u64))])) }),
        level: level(sight.in_force == 0),
    });
    if context.viewer.is_whole() {
        figures.push(of_sources(context, &sight));
    }
    let waiting = u64::try_from(context.shared.runtime.stats().waiting.get()).unwrap_or_default();
    figures.push(Figure {
        name: context.text("sight.waiting-events"),
        value: html! { (number(waiting)) },
        remark: Some(html! { (context.text("sight.waiting-remark")) }),
        level: Level::Good,
    });
    html! {
        section id="figures" data-live aria-label=(context.text("sight.figures")) {
            (figures_of(&figures))
            @if let Some(overview) = &context.shared.overview { (counted(context, overview)) }
        }
    }
}

fn of_sources<'c>(context: &Context<'c>, sight: &Sight) -> Figure<'c> {
    let level = if sight.silent + sight.missing > 0 { Level::Uncertain } else { Level::Good };
    let remark = context.text_with("sight.sources-remark", &[("n", &number(sight.missing))]);
    Figure { name: context.text("sight.sources-silent"), value: html! { (number(sight.silent)) }, remark: Some(html! { (remark) }), level }
}

/// How far the sums go, if not from the first entry to the last.
fn counted(context: &Context<'_>, overview: &crate::overview::Overview) -> Markup {
    let (from, counted) = overview.look(|sums| (sums.from, sums.counted));
    let durable = *context.shared.runtime.durable().borrow();
    html! {
        @if from > 1 { p.note { (context.text_with("sight.counted-from", &[("n", &number(from))])) } }
        @if overview.has_ended() { p.note { (context.text_with("sight.counted-ended", &[("n", &number(counted))])) } }
        // A moment behind is how it always is.
        @else if counted + 100_000 < durable {
            p.note { (context.text_with("sight.counted-behind", &[("n", &number(counted)), ("all", &number(durable))])) }
        }
    }
}
