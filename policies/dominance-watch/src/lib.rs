//! Says when the share of an operator in a market, or of two or three together, is
//! one at which dominance is presumed.

mod shares;

use std::time::Duration;

use ephor_sdk::prelude::*;

use shares::{Market, Presumed, Volumes, percent};

const SECONDS_PER_HOUR: u64 = 3_600;
/// The most hours of a window: a year and a day.
const MOST_HOURS: u32 = 366 * 24;
/// The most operators that can be kept apart. The state of a market is not to grow
/// beyond a few kilobytes for each window.
const MOST_OPERATORS: u32 = 64;

/// What an operator sold, carried or had in a market.
#[derive(Fields)]
pub struct Volume<'a> {
    #[field("/data/category", purpose = "name the market: what is traded")]
    category: &'a str,
    #[field("/data/area", purpose = "name the market: where")]
    area: &'a str,
    #[field("/data/unit", purpose = "add up only what is counted alike")]
    unit: &'a str,
    #[field("/data/operator", purpose = "add up the volume of each operator")]
    operator: &'a str,
    #[field("/data/amount", purpose = "add up volumes")]
    amount: i64,
    #[field("/time", purpose = "know the window of time that the volume belongs to")]
    time: Time,
}

/// Windows, and what is looked at.
#[settings]
pub struct Settings {
    /// How long a window is. Windows lie side by side from 1970-01-01T00:00:00Z on.
    window_hours: u32,
    /// How long after its end a window is left open for events that are late.
    grace_hours: u32,
    /// A window with less than this volume of all operators together says nothing.
    minimum_volume: u64,
    /// So many operators of a window are kept apart; the volume of all others is one sum.
    most_operators: u32,
}

/// What a share can be.
#[derive(Rules, Clone, Copy)]
pub enum Rule {
    /// One operator has half of the market.
    #[rule(
        id = "half",
        action = flag,
        severity = medium,
        legal_basis = "Anti-Monopoly Law of the People's Republic of China, article 24, item 1",
        en = "{operator} has {share} percent of {category} in {area} in the window of {window}",
        zh = "在 {window} 起的时段内，{operator} 在 {area} 的 {category} 市场份额为百分之 {share}"
    )]
    Half,
    /// The two largest have two thirds together, and this is one of them.
    #[rule(
        id = "two-thirds",
        action = flag,
        severity = low,
        legal_basis = "Anti-Monopoly Law of the People's Republic of China, article 24, item 2",
        en = "{operator} has {share} percent of {category} in {area} in the window of {window}; the two largest have {joint} percent",
        zh = "在 {window} 起的时段内，{operator} 在 {area} 的 {category} 市场份额为百分之 {share}；份额最大的两个经营者合计百分之 {joint}"
    )]
    TwoThirds,
    /// The three largest have three quarters together, and this is one of them.
    #[rule(
        id = "three-quarters",
        action = flag,
        severity = low,
        legal_basis = "Anti-Monopoly Law of the People's Republic of China, article 24, item 3",
        en = "{operator} has {share} percent of {category} in {area} in the window of {window}; the three largest have {joint} percent",
        zh = "在 {window} 起的时段内，{operator} 在 {area} 的 {category} 市场份额为百分之 {share}；份额最大的三个经营者合计百分之 {joint}"
    )]
    ThreeQuarters,
    /// Not all operators were kept apart.
    #[rule(
        id = "too-many-operators",
        action = flag,
        severity = low,
        legal_basis = "Anti-Monopoly Law of the People's Republic of China, article 24",
        en = "{category} in {area} has more than {kept} operators in the window of {window}; those that are not kept apart have {others} percent together",
        zh = "在 {window} 起的时段内，{area} 的 {category} 市场有超过 {kept} 个经营者；未单独统计者合计百分之 {others}"
    )]
    TooManyOperators,
}

/// Windows, and what is looked at.
pub struct DominanceWatch {
    width: Duration,
    grace: Duration,
    minimum: u64,
    most_operators: usize,
}

#[policy(
    name = "dominance-watch",
    summary = "Flags operators whose share of a market in a window of time is one at which dominance is presumed.",
    events = ["market.volume.reported"],
    key = ["/data/category", "/data/area", "/data/unit"],
    state_version = 1
)]
impl Policy for DominanceWatch {
    type Fields<'a> = Volume<'a>;
    type Settings = Settings;
    type State = Market;
    type Rule = Rule;

    fn configure(settings: Settings) -> Result<Self, SettingsErrors> {
        let Settings { window_hours, grace_hours, minimum_volume, most_operators } = settings;
        let mut errors = SettingsErrors::default();
        if !(1..=MOST_HOURS).contains(&window_hours) {
            errors.push("/window_hours", format!("expected 1 to {MOST_HOURS}"));
        }
        if grace_hours > window_hours.saturating_mul(2) {
            errors.push("/grace_hours", "expected no more than two windows: each window that is open is kept");
        }
        if minimum_volume == 0 {
            errors.push("/minimum_volume", "expected 1 or more: of nothing there are no shares");
        }
        if !(3..=MOST_OPERATORS).contains(&most_operators) {
            errors.push("/most_operators", format!("expected 3 to {MOST_OPERATORS}: the shares of three are added up"));
        }
        let duration = |hours: u32| Duration::from_secs(u64::from(hours) * SECONDS_PER_HOUR);
        errors.or(Self {
            width: duration(window_hours),
            grace: duration(grace_hours),
            minimum: minimum_volume,
            most_operators: most_operators as usize,
        })
    }

    fn evaluate(&self, volume: Volume<'_>, market: &mut Market, out: &mut Out<Rule>) {
        let Ok(amount) = u64::try_from(volume.amount) else {
            return out.undecided("the amount is below zero: a correction does not say which window it is of");
        };
        // Those that end before the event belong to others; it comes into its own.
        for (window, volumes) in market.close(volume.time, self.width, self.grace) {
            self.judge(&volume, window, &volumes, out);
        }
        let Some(volumes) = market.window(volume.time, self.width) else {
            return out.undecided("the event is too late: its window has been judged");
        };
        if volumes.add(volume.operator, amount, self.most_operators).is_none() {
            out.undecided("the volumes of the window are too large to add up");
        }
    }
}

impl DominanceWatch {
    /// Says what there is to say of a window that has ended. `of` is an event of its market.
    fn judge(&self, of: &Volume<'_>, window: Time, volumes: &Volumes, out: &mut Out<Rule>) {
        let total = volumes.total();
        if total < u128::from(self.minimum) {
            return;
        }
        for Presumed { operator, amount, together, joint } in volumes.presumed() {
            let rule = match together {
                1 => Rule::Half,
                2 => Rule::TwoThirds,
                _ => Rule::ThreeQuarters,
            };
            let found = out.find(rule).with("category", of.category).with("area", of.area).with("window", window);
            let found = found.with("operator", operator).with("share", percent(amount.into(), total));
            let found = found.with("total", total.to_string()).with("unit", of.unit);
            if together > 1 {
                found.with("joint", percent(joint, total));
            }
        }
        if volumes.others > 0 {
            let found = out.find(Rule::TooManyOperators).with("category", of.category).with("area", of.area);
            let found = found.with("window", window).with("kept", volumes.operators.len());
            found.with("others", percent(volumes.others.into(), total));
        }
    }
}
