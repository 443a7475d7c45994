//! A machine is safe inside an envelope: limits of each data item, and of how fast it
//! may change. Staying outside is found once, and again when the machine was back.

mod episode;

use std::collections::BTreeMap;

use ephor_sdk::evidence::Found;
use ephor_sdk::prelude::*;

pub use episode::Item;
use episode::{Limit, Place, Sampled};

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_MINUTE: f64 = 60e6;

/// A value that was measured at a machine.
#[derive(Fields)]
pub struct Sample<'a> {
    #[field("/data/machine", purpose = "follow each machine by itself")]
    machine: &'a str,
    #[field("/data/item", purpose = "find the limits of the data item")]
    item: &'a str,
    #[field("/data/value", purpose = "compare it with the limits")]
    value: f64,
    #[field("/data/unit", purpose = "compare only what is in the unit of the limits")]
    unit: Option<&'a str>,
    #[field("/time", purpose = "know how long it is outside, and how fast it changes")]
    time: Time,
}

/// The envelope.
#[settings]
pub struct Settings {
    /// By data item. Items that are not here are not judged.
    items: BTreeMap<String, Limits>,
    /// If no sample came for more seconds than these, nobody knows what the machine did
    /// meanwhile: an episode ends, and no change is computed. Absent: there is no such gap.
    #[serde(default)]
    gap_seconds: Option<u32>,
}

/// The envelope of one data item.
#[settings]
pub struct Limits {
    /// The unit that the limits are in. Absent: samples are not asked for theirs.
    #[serde(default)]
    unit: Option<String>,
    /// Values below are outside.
    #[serde(default)]
    low: Option<f64>,
    /// Values above are outside.
    #[serde(default)]
    high: Option<f64>,
    /// A machine is back only when it is inside by so much. In between it is neither
    /// outside nor back.
    #[serde(default)]
    back_by: f64,
    /// So many samples outside in an episode are a finding.
    #[serde(default)]
    samples: Option<u64>,
    /// An episode of so many seconds is a finding.
    #[serde(default)]
    seconds: Option<u32>,
    /// The most that the value may change in a minute, up or down.
    #[serde(default)]
    per_minute: Option<f64>,
}

/// What a machine can break.
#[derive(Rules, Clone, Copy)]
pub enum Rule {
    /// It stays above its upper limit.
    #[rule(
        id = "above-limit",
        action = flag,
        severity = high,
        legal_basis = "Regulation (EU) 2023/1230 on machinery, annex III, 1.2.1",
        en = "{item} of {machine} has been above {limit} since {since}: {samples} samples, up to {worst}",
        zh = "{machine} 的 {item} 自 {since} 起高于 {limit}：{samples} 个样本，最高 {worst}"
    )]
    AboveLimit,
    /// It stays below its lower limit.
    #[rule(
        id = "below-limit",
        action = flag,
        severity = high,
        legal_basis = "Regulation (EU) 2023/1230 on machinery, annex III, 1.2.1",
        en = "{item} of {machine} has been below {limit} since {since}: {samples} samples, down to {worst}",
        zh = "{machine} 的 {item} 自 {since} 起低于 {limit}：{samples} 个样本，最低 {worst}"
    )]
    BelowLimit,
    /// It changes too fast.
    #[rule(
        id = "fast-change",
        action = flag,
        severity = medium,
        legal_basis = "Regulation (EU) 2023/1230 on machinery, annex III, 1.2.1",
        en = "{item} of {machine} went from {from} at {since} to {to}, by more than {limit} in a minute",
        zh = "{machine} 的 {item} 自 {since} 的 {from} 变为 {to}，每分钟变化超过 {limit}"
    )]
    FastChange,
}

/// The limits.
pub struct MachineEnvelope {
    settings: Settings,
    /// In microseconds.
    gap: Option<i64>,
}

#[policy(
    name = "machine-envelope",
    summary = "Flags machines whose data stay outside their limits or change too fast, once for each episode.",
    events = ["machine.item.measured"],
    key = ["/data/machine", "/data/item"],
    state_version = 1
)]
impl Policy for MachineEnvelope {
    type Fields<'a> = Sample<'a>;
    type Settings = Settings;
    type State = Item;
    type Rule = Rule;

    fn configure(settings: Settings) -> Result<Self, SettingsErrors> {
        let mut errors = SettingsErrors::default();
        for (name, limits) in &settings.items {
            limits.check(&format!("/items/{}", name.replace('~', "~0").replace('/', "~1")), &mut errors);
        }
        let gap = settings.gap_seconds.map(|seconds| i64::from(seconds) * MICROS_PER_SECOND);
        errors.or(Self { settings, gap })
    }

    fn evaluate(&self, sample: Sample<'_>, item: &mut Item, out: &mut Out<Rule>) {
        let Some(limits) = self.settings.items.get(sample.item) else { return };
        if let Some(unit) = &limits.unit
            && sample.unit != Some(unit)
        {
            return out.undecided(match sample.unit {
                Some(_) => format!("the value is in another unit than the limits, which are in {unit}"),
                None => format!("the value has no unit, and the limits are in {unit}"),
            });
        }
        let Sample { value, time, .. } = sample;
        let sampled = Sampled { time, value };
        item.forget_across(self.gap, time);
        if let Some(limit) = limits.per_minute {
            let is_faster = |change: f64, micros: i64| change.abs() > limit * (micros as f64 / MICROS_PER_MINUTE);
            if let Some(before) = item.began_to_change_fast(sampled, is_faster) {
                find(out, Rule::FastChange, &sample, before.time, limit).with("from", before.value).with("to", value);
            }
        }
        if let Some((passed, episode)) =
            item.see(sampled, limits.place(value), |samples, micros| limits.are_passed_for_long(samples, micros))
        {
            let (rule, limit) = match passed {
                Limit::High => (Rule::AboveLimit, limits.high),
                Limit::Low => (Rule::BelowLimit, limits.low),
            };
            let found = find(out, rule, &sample, episode.since, limit.unwrap_or(value));
            found.with("samples", episode.samples).with("worst", episode.worst);
        }
    }
}

fn find<'o>(out: &'o mut Out<Rule>, rule: Rule, sample: &Sample<'_>, since: Time, limit: f64) -> Found<'o> {
    out.find(rule).with("machine", sample.machine).with("item", sample.item).with("since", since).with("limit", limit)
}

impl Limits {
    fn place(&self, value: f64) -> Place {
        let is_above = |by: f64| self.high.is_some_and(|high| value > high - by);
        let is_below = |by: f64| self.low.is_some_and(|low| value < low + by);
        match value {
            _ if is_above(0.0) => Place::Outside(Limit::High),
            _ if is_below(0.0) => Place::Outside(Limit::Low),
            _ if is_above(self.back_by) => Place::Near(Limit::High),
            _ if is_below(self.back_by) => Place::Near(Limit::Low),
            _ => Place::Inside,
        }
    }

    fn are_passed_for_long(&self, samples: u64, micros: i64) -> bool {
        self.samples.is_some_and(|most| samples >= most) || self.seconds.is_some_and(|most| micros >= i64::from(most) * MICROS_PER_SECOND)
    }

    fn check(&self, pointer: &str, errors: &mut SettingsErrors) {
        let has_limit = self.low.is_some() || self.high.is_some();
        if !has_limit && self.per_minute.is_none() {
            errors.push(pointer, "expected `low`, `high` or `per_minute`: without them nothing is outside");
        }
        if has_limit && self.samples.is_none() && self.seconds.is_none() {
            errors.push(pointer, "expected `samples` or `seconds`: how long a machine may be outside");
        }
        if self.samples == Some(0) {
            errors.push(format!("{pointer}/samples"), "expected 1 or more");
        }
        if self.per_minute.is_some_and(|limit| limit < 0.0) {
            errors.push(format!("{pointer}/per_minute"), "expected 0 or more: it counts up and down");
        }
        if self.back_by < 0.0 {
            errors.push(format!("{pointer}/back_by"), "expected 0 or more");
        }
        if let (Some(low), Some(high)) = (self.low, self.high)
            && low + self.back_by > high - self.back_by
        {
            errors.push(pointer, "no value is inside by `back_by`: `low` and `high` are too close to each other");
        }
    }
}
