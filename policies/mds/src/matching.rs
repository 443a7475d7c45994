//! Which rules an observation matches.

use std::collections::{BTreeMap, BTreeSet};

use ephor_sdk::geometry::Areas;
use ephor_sdk::prelude::*;
use ephor_sdk::zone::{Local, TimeOfDay, Weekday};

use crate::settings::{CityPolicy, CityRule, Limit, Settings, State};

/// A policy of the city, ready to be held against observations.
pub(crate) struct Ready {
    pub(crate) name: String,
    providers: Vec<String>,
    start: Option<Time>,
    end: Option<Time>,
    pub(crate) rules: Vec<ReadyRule>,
}

pub(crate) struct ReadyRule {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Numbers of geographies.
    areas: Vec<usize>,
    states: Vec<State>,
    vehicle_types: Vec<String>,
    days: Vec<Weekday>,
    from: TimeOfDay,
    until: Option<TimeOfDay>,
    pub(crate) limit: Limit,
}

/// What is known of a vehicle.
pub(crate) struct Vehicle<'e> {
    /// Numbers of the geographies that it is inside of.
    pub(crate) inside: &'e [usize],
    pub(crate) state: Option<State>,
    pub(crate) kind: Option<&'e str>,
    pub(crate) local: Local,
}

/// Whether an observation matches a rule.
pub(crate) enum Match {
    No,
    /// With the geographies that it is inside of.
    Yes(Vec<usize>),
    /// That depends on something that the event does not say.
    Unknown(&'static str),
}

impl Ready {
    pub(crate) fn is_for(&self, provider: &str, time: Time) -> bool {
        let has_begun = self.start.is_none_or(|start| start <= time);
        let holds = self.end.is_none_or(|end| time < end);
        has_begun && holds && (self.providers.is_empty() || self.providers.iter().any(|known| known == provider))
    }

    /// Then it has nothing to say about a vehicle whose speed is not known.
    pub(crate) fn is_about_speed_only(&self) -> bool {
        self.rules.iter().all(|rule| matches!(rule.limit, Limit::Speed { .. } | Limit::None {}))
    }
}

impl ReadyRule {
    pub(crate) fn matches(&self, vehicle: &Vehicle<'_>) -> Match {
        let inside: Vec<_> = self.areas.iter().copied().filter(|area| vehicle.inside.contains(area)).collect();
        if inside.is_empty() || !self.holds_at(vehicle.local) {
            return Match::No;
        }
        let kind = || vehicle.kind.map(|kind| self.vehicle_types.iter().any(|known| known == kind));
        let state = || vehicle.state.map(|state| self.states.contains(&state));
        let kind = if self.vehicle_types.is_empty() { Some(true) } else { kind() };
        let state = if self.states.is_empty() { Some(true) } else { state() };
        match (kind, state) {
            (Some(true), Some(true)) => Match::Yes(inside),
            (Some(false), _) | (_, Some(false)) => Match::No,
            (None, _) => Match::Unknown("the type of the vehicle"),
            (_, None) => Match::Unknown("the state of the vehicle"),
        }
    }

    fn holds_at(&self, local: Local) -> bool {
        let now = local.time_of_day;
        let is_day = |day: Weekday| self.days.is_empty() || self.days.contains(&day);
        match self.until {
            // Over midnight: what began on a day goes on in the morning of the next.
            Some(until) if until <= self.from => self.from <= now && is_day(local.weekday) || now < until && is_day(local.weekday.before()),
            until => is_day(local.weekday) && self.from <= now && until.is_none_or(|until| now < until),
        }
    }
}

/// Geographies by their ids, and their index.
pub(crate) fn places(settings: &Settings, errors: &mut SettingsErrors) -> (BTreeMap<String, usize>, Areas) {
    let mut numbers = BTreeMap::new();
    for (number, geography) in settings.geographies.iter().enumerate() {
        if numbers.insert(geography.id.clone(), number).is_some() {
            errors.push(format!("/geographies/{number}/id"), "another geography has this id");
        }
    }
    let areas = Areas::build(settings.geographies.iter().map(|geography| &geography.geometry)).unwrap_or_else(|problems| {
        for problem in problems {
            errors.push(format!("/geographies/{}/geometry{}", problem.area, problem.pointer), problem.message);
        }
        Areas::default()
    });
    (numbers, areas)
}

pub(crate) fn ready(policies: Vec<CityPolicy>, numbers: &BTreeMap<String, usize>, errors: &mut SettingsErrors) -> Vec<Ready> {
    let (mut policy_ids, mut ids) = (BTreeSet::new(), BTreeSet::new());
    let mut at_policy = |(index, policy): (usize, CityPolicy)| {
        let at = format!("/policies/{index}");
        if !policy_ids.insert(policy.id) {
            errors.push(format!("{at}/id"), "another policy has this id");
        }
        if policy.start_ms.zip(policy.end_ms).is_some_and(|(start, end)| end <= start) {
            errors.push(format!("{at}/end_ms"), "expected a time after `start_ms`");
        }
        let rules = policy.rules.into_iter().enumerate().map(|(index, rule)| {
            let at = format!("{at}/rules/{index}");
            if !ids.insert(rule.id.clone()) {
                errors.push(format!("{at}/id"), "another rule has this id");
            }
            ready_rule(rule, &at, numbers, errors)
        });
        let rules = rules.collect();
        let time = |millis: i64| Time(millis.saturating_mul(1_000));
        Ready { name: policy.name, providers: policy.providers, start: policy.start_ms.map(time), end: policy.end_ms.map(time), rules }
    };
    policies.into_iter().enumerate().map(&mut at_policy).collect()
}

fn ready_rule(rule: CityRule, at: &str, numbers: &BTreeMap<String, usize>, errors: &mut SettingsErrors) -> ReadyRule {
    if rule.geographies.is_empty() {
        errors.push(format!("{at}/geographies"), "expected one or more");
    }
    let mut areas = Vec::new();
    for (index, id) in rule.geographies.iter().enumerate() {
        match numbers.get(id) {
            Some(&number) => areas.push(number),
            None => errors.push(format!("{at}/geographies/{index}"), format!("there is no geography with the id {id:?}")),
        }
    }
    areas.sort_unstable();
    if let Limit::Time { maximum_minutes: 0 } = rule.limit {
        errors.push(format!("{at}/limit/maximum_minutes"), "expected 1 or more; `no_vehicles` is for places where none may be");
    }
    let CityRule { id, name, states, vehicle_types, days, from, until, limit, .. } = rule;
    ReadyRule { id, name, areas, states, vehicle_types, days, from: from.unwrap_or_default(), until, limit }
}
