//! Policies and rules as the settings have them.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{Placed, Policy, Rule, escaped};
use super::geography::Geographies;
use super::settings::{self, Limit};
use super::{Import, Left, Wanted};

const DAYS: [(&str, &str); 7] = [
    ("mon", "monday"),
    ("tue", "tuesday"),
    ("wed", "wednesday"),
    ("thu", "thursday"),
    ("fri", "friday"),
    ("sat", "saturday"),
    ("sun", "sunday"),
];

/// States of vehicles in either version.
const STATES: [&str; 10] =
    ["removed", "available", "non_operational", "reserved", "on_trip", "stopped", "non_contactable", "missing", "elsewhere", "unknown"];

/// Those of a vehicle that somebody rides.
const RIDDEN: [&str; 2] = ["on_trip", "stopped"];

/// Why something cannot be taken over: the place within, and the reason.
type Why = (String, String);

pub fn all(policies: Vec<Placed>, wanted: &Wanted<'_>, geographies: &Geographies<'_>) -> Import {
    let mut import = Import::default();
    let ends = replaced(&policies);
    let mut ids = BTreeSet::new();
    for Placed { pointer, policy, unknown, unknown_of_rules } in policies {
        if !wanted.has(&policy.policy_id) {
            continue;
        }
        let left = &mut import.left;
        let mut leave =
            |(place, why): Why, what: &str| left.push(Left { pointer: format!("{pointer}{place}"), what: what.to_string(), why });
        let unknown = unknown.iter().map(|name| (format!("/{}", escaped(name)), "MDS has no such member of a policy".to_string()));
        let end = policy.end_date.into_iter().chain(ends.get(&policy.policy_id).copied()).min();
        let never = end.is_some_and(|end| end <= policy.start_date);
        let never = never.then(|| (String::new(), "ends, or is replaced by another policy, before it begins".to_string()));
        let problems: Vec<Why> = unknown.chain(about(&policy, wanted)).chain(never).collect();
        if !problems.is_empty() {
            problems.into_iter().for_each(|why| leave(why, &policy.name));
            continue;
        }
        let mut rules = Vec::new();
        for (index, (rule, unknown)) in policy.rules.iter().zip(&unknown_of_rules).enumerate() {
            let what = format!("{}, {}", policy.name, rule.name);
            let place = format!("/rules/{index}");
            let mut leave = |(within, why): Why| leave((format!("{place}{within}"), why), &what);
            match matching(rule, unknown, geographies) {
                Err(problems) => {
                    problems.into_iter().for_each(&mut leave);
                    let behind = policy.rules.len() - index - 1;
                    if behind > 0 {
                        leave((
                            String::new(),
                            format!("rules behind it that are left out as well, because it decides for whom they hold: {behind}"),
                        ));
                    }
                    break;
                }
                Ok(mut ready) => {
                    // A policy that replaces another one may have its rules again.
                    if ids.contains(&ready.id) {
                        ready.id = format!("{} of {}", rule.rule_id, policy.policy_id);
                    }
                    if ids.contains(&ready.id) {
                        ready.id = format!("{} at {pointer}{place}", rule.rule_id);
                    }
                    ids.insert(ready.id.clone());
                    match limit(rule, &ready.states) {
                        Ok(limit) => ready.limit = limit,
                        Err(why) => leave(why),
                    }
                    rules.push(ready);
                }
            }
        }
        // Without a rule that limits something the policy says nothing.
        if rules.iter().any(|rule| !matches!(rule.limit, Limit::None {})) {
            let names = policy.provider_ids.iter().flatten().filter_map(|id| wanted.providers.get(id.as_str()));
            import.policies.push(settings::Policy {
                providers: names.map(|name| (*name).to_string()).collect(),
                id: policy.policy_id,
                name: policy.name,
                start_ms: Some(policy.start_date),
                end_ms: end,
                rules,
            });
        }
    }
    import
}

/// When policies end because others replace them.
fn replaced(policies: &[Placed]) -> BTreeMap<String, i64> {
    let mut ends = BTreeMap::new();
    for Placed { policy, .. } in policies {
        for before in policy.prev_policies.iter().flatten() {
            let end = ends.entry(before.clone()).or_insert(policy.start_date);
            *end = (*end).min(policy.start_date);
        }
    }
    ends
}

/// What keeps a whole policy from being taken over.
fn about(policy: &Policy, wanted: &Wanted<'_>) -> Vec<Why> {
    let mut problems = Vec::new();
    if let Some(mode) = policy.mode_id.as_ref().filter(|mode| *mode != "micromobility") {
        problems.push(("/mode_id".to_string(), format!("events of the mode {mode:?} cannot be told from others")));
    }
    for (index, id) in policy.provider_ids.iter().flatten().enumerate() {
        if !wanted.providers.contains_key(id.as_str()) {
            problems.push((
                format!("/provider_ids/{index}"),
                format!("what events call this provider is not known; give --provider {id}=NAME"),
            ));
        }
    }
    problems
}

/// Whom a rule is about, with no limit yet.
fn matching(rule: &Rule, unknown: &[String], geographies: &Geographies<'_>) -> Result<settings::Rule, Vec<Why>> {
    let mut problems: Vec<Why> =
        unknown.iter().map(|name| (format!("/{}", escaped(name)), "MDS has no such member of a rule".to_string())).collect();
    let mut places = Vec::new();
    for (index, id) in rule.geographies.iter().enumerate() {
        match geographies.parts(id) {
            Some(Ok(parts)) => places.extend(parts),
            Some(Err(error)) => problems.push((format!("/geographies/{index}"), format!("{error:#}"))),
            None => problems.push((format!("/geographies/{index}"), format!("there is no geography {id} in the document of geographies"))),
        }
    }
    if rule.geographies.is_empty() {
        problems.push(("/geographies".to_string(), "expected one or more".to_string()));
    }
    for (state, events) in rule.states.iter().flatten() {
        let place = format!("/states/{}", escaped(state));
        if !STATES.contains(&state.as_str()) {
            problems.push((place, "MDS has no such state of a vehicle".to_string()));
        } else if events.as_ref().is_some_and(|events| !events.is_empty()) {
            problems.push((place, "which event led to the state cannot be seen".to_string()));
        }
    }
    for (member, list) in [("propulsion_types", &rule.propulsion_types), ("accessibility_options", &rule.accessibility_options)] {
        if list.as_ref().is_some_and(|list| !list.is_empty()) {
            problems.push((format!("/{member}"), "cannot be seen of a vehicle".to_string()));
        }
    }
    let mut days = Vec::new();
    for (index, day) in rule.days.iter().flatten().enumerate() {
        match DAYS.iter().find(|(short, _)| short == day) {
            Some((_, name)) => days.push(*name),
            None => problems.push((format!("/days/{index}"), format!("expected one of sun, mon, tue, wed, thu, fri, sat, found {day:?}"))),
        }
    }
    let mut time = |member: &str, given: &Option<String>| {
        let given = given.clone()?;
        if is_time(&given) {
            return Some(given);
        }
        problems.push((format!("/{member}"), format!("expected a time of day such as 07:00:00, found {given:?}")));
        None
    };
    // The whole day is what the settings have without being told.
    let from = time("start_time", &rule.start_time).filter(|from| from != "00:00:00");
    let until = time("end_time", &rule.end_time).filter(|until| until != "23:59:59");
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(settings::Rule {
        id: rule.rule_id.clone(),
        name: rule.name.clone(),
        geographies: places,
        states: rule.states.iter().flatten().map(|(state, _)| state.clone()).collect(),
        vehicle_types: rule.vehicle_types.clone().unwrap_or_default(),
        days,
        from,
        until,
        limit: Limit::None {},
    })
}

fn is_time(text: &str) -> bool {
    let parts: Vec<Option<u8>> = text.split(':').map(|part| part.parse().ok().filter(|_| part.len() == 2)).collect();
    matches!(parts[..], [Some(0..=23), Some(0..=59), Some(0..=59)])
}

/// What a rule limits.
fn limit(rule: &Rule, states: &[String]) -> Result<Limit, Why> {
    let why = |member: &str, why: &str| Err((format!("/{member}"), why.to_string()));
    let unit = rule.rule_units.as_deref().unwrap_or_default();
    if rule.rule_type == "rate" || rule.rate_amount.is_some_and(|amount| amount != 0) {
        return why(if rule.rule_type == "rate" { "rule_type" } else { "rate_amount" }, "is a fee, not a limit");
    }
    if rule.rule_type == "user" {
        return why("rule_type", "tells riders something, and limits nothing that can be seen");
    }
    if rule.value_url.is_some() {
        return why("value_url", "a policy cannot ask anybody while it judges");
    }
    if rule.minimum.is_some_and(|minimum| minimum != 0) {
        return why("minimum", if rule.rule_type == "count" { COUNTED } else { "only a maximum can be held against a single vehicle" });
    }
    let Some(maximum) = rule.maximum else { return Ok(Limit::None {}) };
    if rule.inclusive_maximum == Some(false) {
        return why("inclusive_maximum", "the settings have limits that are allowed themselves; give the greatest value that is allowed");
    }
    let Ok(maximum) = u32::try_from(maximum) else { return why("maximum", "expected 0 or more, below 4,294,967,296") };
    match rule.rule_type.as_str() {
        "count" if unit != "devices" => why("rule_units", "expected devices for a rule of type count"),
        "count" if maximum == 0 => Ok(closed(states)),
        "count" => why("maximum", COUNTED),
        "speed" => match unit {
            "mph" => Ok(Limit::Speed { maximum, unit: "mph" }),
            "kph" => Ok(Limit::Speed { maximum, unit: "kph" }),
            _ => why("rule_units", "expected mph or kph for a rule of type speed"),
        },
        "time" => {
            let minutes = match unit {
                "seconds" => (maximum % 60 == 0).then_some(maximum / 60),
                "minutes" => Some(maximum),
                "hours" => maximum.checked_mul(60),
                "days" => maximum.checked_mul(24 * 60),
                _ => return why("rule_units", "expected seconds, minutes, hours or days for a rule of type time"),
            };
            match minutes {
                Some(maximum_minutes @ 1..) => Ok(Limit::Time { maximum_minutes }),
                _ => why("maximum", "the settings have whole minutes, 1 or more"),
            }
        }
        _ => why("rule_type", "expected count, time, speed, rate or user"),
    }
}

const COUNTED: &str =
    "the policy mds judges each vehicle by itself and counts none; policies/fleet-cap counts the vehicles of a provider, wherever they are";

/// A place where no vehicle in these states may be.
fn closed(states: &[String]) -> Limit {
    let ridden = states.iter().filter(|state| RIDDEN.contains(&state.as_str())).count();
    match ridden {
        0 if !states.is_empty() => Limit::NoParking {},
        _ if ridden == states.len() && !states.is_empty() => Limit::NoRide {},
        _ => Limit::NoVehicles {},
    }
}
