//! Whether everything is judged: one line for whoever answers for it, and the figures
//! behind it.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::super::context::Context;
use super::super::parts::{Figure, Level, figures as figures_of, number, percent};
use super::blind;
use crate::overview::Counts;
use crate::runtime::Stale;
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
    /// Of the last day; absent without a ledger, and for who may see a part.
    day: Option<Counts>,
    /// Policies with a release that counts, and those that are only tried out.
    in_force: usize,
    tried: usize,
    silent: u64,
    missing: u64,
    blind: Vec<Blind>,
}

/// Policies that are judged with, by how they stand.
#[derive(Default)]
struct Stand {
    all: BTreeSet<String>,
    /// With a release that counts.
    in_force: BTreeSet<String>,
    /// Out of date, and asked all the same.
    stale: BTreeSet<String>,
    /// Out of date, and not asked.
    stopped: BTreeSet<String>,
}

impl Stand {
    fn of(context: &Context<'_>) -> Self {
        let mut stand = Stand::default();
        for one in context.shared.runtime.policies() {
            let name = one.release.policy();
            if !context.viewer.sees_policy(name) {
                continue;
            }
            stand.all.insert(name.to_string());
            if one.mode.counts() {
                stand.in_force.insert(name.to_string());
            }
            match one.stale {
                Some(Stale::Keep) => drop(stand.stale.insert(name.to_string())),
                Some(Stale::Stop) => drop(stand.stopped.insert(name.to_string())),
                None => {}
            }
        }
        stand
    }
}

impl Sight {
    fn of(context: &Context<'_>) -> Self {
        let shared = context.shared;
        let stats = shared.runtime.stats();
        let count = |value: i64| u64::try_from(value).unwrap_or_default();
        // Sums of everything are not for who may see a part.
        let is_whole = context.viewer.is_whole();
        let (silent, missing) = if is_whole { (count(stats.silent.get()), count(stats.missing.get())) } else { (0, 0) };
        let overview = shared.overview.as_ref().filter(|_| is_whole);
        let day = overview.map(|overview| overview.look(|sums| sums.last(BACK_S, context.now.unix_timestamp())));
        let stand = Stand::of(context);
        let mut blind = of_runtime(context);
        blind.extend(of_policies(context, &stand));
        blind.extend(day.iter().flat_map(|day| of_events(context, day)));
        let uncertain = |why| Blind { level: Level::Uncertain, why };
        blind.extend(blind::Figure::of(context).trouble(context).map(uncertain));
        if silent > 0 {
            blind.push(uncertain(context.count("sight.silent", silent)));
        }
        if missing > 0 {
            blind.push(uncertain(context.count("sight.missing", missing)));
        }
        if overview.is_some_and(|overview| overview.has_ended()) && shared.runtime.failure().is_none() {
            blind.push(uncertain(context.text("sight.uncounted").to_string()));
        }
        let (in_force, tried) = (stand.in_force.len(), stand.all.len() - stand.in_force.len());
        Sight { day, in_force, tried, silent, missing, blind }
    }

    fn level(&self) -> Level {
        self.blind.iter().map(|blind| blind.level).max().unwrap_or(Level::Good)
    }
}

/// Whether anything is taken at all, and whether it is known what is to be judged with.
fn of_runtime(context: &Context<'_>) -> Vec<Blind> {
    let shared = context.shared;
    let mut blind = Vec::new();
    let mut bad = |why| blind.push(Blind { level: Level::Bad, why });
    if let Some(failure) = shared.runtime.failure() {
        bad(context.text_with("sight.ledger-failed", &[("why", failure)]));
    } else if !shared.runtime.is_ready() {
        bad(context.text("sight.stopped").to_string());
    }
    if let Some(publishers) = shared.options.publishers.as_deref() {
        for (publisher, _) in publishers.unknown().into_iter().filter(|(name, _)| context.viewer.sees_publisher(name)) {
            bad(context.text_with("sight.publisher-unknown", &[("publisher", publisher)]));
        }
    }
    for status in releases::publishers(shared, &context.viewer).iter().filter(|status| status.problem.is_some()) {
        let why = context.text_with("sight.publisher-problem", &[("publisher", &status.publisher)]);
        blind.push(Blind { level: Level::Uncertain, why });
    }
    blind
}

fn of_policies(context: &Context<'_>, stand: &Stand) -> Vec<Blind> {
    let about = |level, key, policy: &String| Blind { level, why: context.text_with(key, &[("policy", policy)]) };
    let stopped = stand.stopped.iter().map(|policy| about(Level::Bad, "sight.policy-stopped", policy));
    let stale = stand.stale.iter().map(|policy| about(Level::Uncertain, "sight.policy-stale", policy));
    let mut blind: Vec<Blind> = stopped.chain(stale).collect();
    let none = match (stand.all.is_empty(), stand.in_force.is_empty(), context.viewer.is_whole()) {
        (true, _, true) => Some((Level::Bad, context.text("sight.no-policy"))),
        (true, _, false) => Some((Level::Uncertain, context.text("sight.no-policy-own"))),
        (false, true, _) => Some((Level::Uncertain, context.text("sight.only-shadow"))),
        (false, false, _) => None,
    };
    blind.extend(none.map(|(level, why)| Blind { level, why: why.to_string() }));
    blind
}

fn of_events(context: &Context<'_>, day: &Counts) -> Vec<Blind> {
    let undetermined = day.of(Decision::Undetermined);
    let share = percent(undetermined, day.events());
    let undecided = (undetermined > 0).then(|| context.count_with("sight.undetermined", undetermined, &[("share", &share)]));
    let failed = (day.faults > undetermined).then(|| context.count("sight.faults", day.faults));
    undecided.into_iter().chain(failed).map(|why| Blind { level: Level::Uncertain, why }).collect()
}

/// The one line.
pub(super) fn headline(context: &Context<'_>) -> Markup {
    let sight = Sight::of(context);
    let level = sight.level();
    let events = sight.day.map(|day| day.events()).unwrap_or_default();
    let says = match level {
        Level::Good if !context.viewer.is_whole() => context.text("sight.good-own"),
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
                @if sight.day.is_some() { p.why { (context.count("sight.good-why", events)) } }
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
