//! Rules of a city's mobility policies: places that are closed, limits of time and speed.

mod matching;
mod settings;

use std::collections::BTreeMap;
use std::time::Duration;

use ephor_sdk::geometry::{Areas, Place};
use ephor_sdk::prelude::*;
use ephor_sdk::zone::Zone;

use matching::{Match, Ready, ReadyRule, Vehicle};
use settings::{Limit, State};

pub use settings::Settings;

/// Places are compared in millionths of a degree, which are whole numbers.
const PARTS_OF_A_DEGREE: f64 = 1e6;
const MICROS_PER_MINUTE: i64 = 60_000_000;

/// A vehicle that was seen.
#[derive(Fields)]
pub struct Observation<'a> {
    #[field("/data/provider", purpose = "tell which policies are for the provider")]
    provider: &'a str,
    #[field("/data/vehicle_id", purpose = "know the vehicle again, for limits of time")]
    vehicle: &'a str,
    #[field("/data/lat", purpose = "find the places that the vehicle is inside of")]
    lat: f64,
    #[field("/data/lng", purpose = "find the places that the vehicle is inside of")]
    lng: f64,
    #[field("/time", purpose = "tell which rules hold at the time, and how long it has stayed")]
    time: Time,
    #[field("/data/vehicle_type", purpose = "tell which rules are for the type of vehicle")]
    kind: Option<&'a str>,
    #[field("/data/vehicle_state", purpose = "tell which rules are for the state of the vehicle")]
    state: Option<State>,
    #[field("/data/is_available", purpose = "tell the state of the vehicle where the event does not say it")]
    is_available: Option<bool>,
    #[field("/data/is_disabled", purpose = "tell the state of the vehicle where the event does not say it")]
    is_disabled: Option<bool>,
    #[field("/data/is_reserved", purpose = "tell the state of the vehicle where the event does not say it")]
    is_reserved: Option<bool>,
    #[field("/data/speed", purpose = "hold the speed, in metres per second, against its limit")]
    speed: Option<f64>,
}

impl Observation<'_> {
    /// As said, or as a GBFS feed has it.
    fn state(&self) -> Option<State> {
        let is = |flag: Option<bool>, state| flag.filter(|&flag| flag).map(|_| state);
        let by_flags = || {
            is(self.is_disabled, State::NonOperational)
                .or(is(self.is_reserved, State::Reserved))
                .or(is(self.is_available, State::Available))
        };
        self.state.or_else(by_flags)
    }
}

/// What is remembered of a vehicle that a limit of time holds for.
#[state]
pub struct Memory {
    stay: Option<Stay>,
}

/// A vehicle that has not moved.
#[state]
struct Stay {
    /// Where it was first, in millionths of a degree.
    lat: i64,
    lng: i64,
    /// The latest observation.
    last: Time,
    /// The rules that it has matched at every observation since some time.
    // lint: allow(unbounded-state): rules of the settings that the vehicle matches
    clocks: Vec<Clock>,
}

/// How long a vehicle has matched a rule.
#[state]
struct Clock {
    /// The rule's id.
    // lint: allow(unbounded-state): an id of the settings
    rule: String,
    since: Time,
    /// So many times the limit were found already.
    found: u32,
}

/// What a vehicle can break.
#[derive(Rules, Clone, Copy)]
pub enum Rule {
    /// Inside a place where no vehicle may be.
    #[rule(
        id = "no-vehicles",
        action = flag,
        severity = high,
        legal_basis = "Published mobility policies of the city; MDS Policy, rules of type count with a maximum of 0",
        en = "vehicle {vehicle} of {provider} is where no vehicle may be: {geographies} ({policy})",
        zh = "{provider} 的车辆 {vehicle} 位于禁止车辆进入的区域：{geographies}（{policy}）"
    )]
    NoVehicles,
    /// Inside a place where riding is not allowed.
    #[rule(
        id = "no-ride",
        action = flag,
        severity = high,
        legal_basis = "Published mobility policies of the city; MDS Policy, rules of type count with a maximum of 0 for vehicles on a trip",
        en = "vehicle {vehicle} of {provider} is where riding is not allowed: {geographies} ({policy})",
        zh = "{provider} 的车辆 {vehicle} 位于禁止骑行的区域：{geographies}（{policy}）"
    )]
    NoRide,
    /// Inside a place where parking is not allowed.
    #[rule(
        id = "no-parking",
        action = flag,
        severity = medium,
        legal_basis = "Published mobility policies of the city; MDS Policy, rules of type count with a maximum of 0 for parked vehicles",
        en = "vehicle {vehicle} of {provider} is where parking is not allowed: {geographies} ({policy})",
        zh = "{provider} 的车辆 {vehicle} 位于禁止停放的区域：{geographies}（{policy}）"
    )]
    NoParking,
    /// Inside a place where vehicles are parked in marked places only.
    #[rule(
        id = "mandatory-parking",
        action = flag,
        severity = low,
        legal_basis = "Published mobility policies of the city",
        en = "vehicle {vehicle} of {provider} is where it must be parked in a marked place: {geographies} ({policy})",
        zh = "{provider} 的车辆 {vehicle} 位于须在指定地点停放的区域：{geographies}（{policy}）"
    )]
    MandatoryParking,
    /// It has stayed for too long.
    #[rule(
        id = "time-limit",
        action = flag,
        severity = low,
        legal_basis = "Published mobility policies of the city; MDS Policy, rules of type time",
        en = "vehicle {vehicle} of {provider} has stayed since {since}, for {minutes} minutes, {limit} are allowed: {geographies} ({policy})",
        zh = "{provider} 的车辆 {vehicle} 自 {since} 起停留 {minutes} 分钟，允许 {limit} 分钟：{geographies}（{policy}）"
    )]
    TimeLimit,
    /// It is too fast.
    #[rule(
        id = "speed-limit",
        action = flag,
        severity = high,
        legal_basis = "Published mobility policies of the city; MDS Policy, rules of type speed",
        en = "vehicle {vehicle} of {provider} goes at {speed} {unit} where {limit} are allowed: {geographies} ({policy})",
        zh = "{provider} 的车辆 {vehicle} 速度为 {speed} {unit}，限速 {limit}：{geographies}（{policy}）"
    )]
    SpeedLimit,
}

/// The city's policies, ready for observations.
pub struct Mds {
    zone: Zone,
    type_names: BTreeMap<String, String>,
    seen_within: Duration,
    /// In millionths of a degree.
    moved: i64,
    /// Ids and names of the places, one for each area.
    geographies: Vec<(String, String)>,
    areas: Areas,
    policies: Vec<Ready>,
}

#[policy(
    name = "mds",
    summary = "Holds vehicles against a city's mobility policies: closed places, limits of time and speed.",
    events = ["mobility.vehicle.observed"],
    key = ["/data/provider", "/data/vehicle_id"],
    state_version = 1,
    timers
)]
impl Policy for Mds {
    type Fields<'a> = Observation<'a>;
    type Settings = Settings;
    type State = Memory;
    type Rule = Rule;

    fn configure(settings: Settings) -> Result<Self, SettingsErrors> {
        let mut errors = SettingsErrors::default();
        if !(0.0..=1.0).contains(&settings.moved_degrees) {
            errors.push("/moved_degrees", "expected 0 to 1");
        }
        let (numbers, areas) = matching::places(&settings, &mut errors);
        let policies = matching::ready(settings.policies, &numbers, &mut errors);
        errors.or(Self {
            zone: settings.zone,
            type_names: settings.vehicle_type_names,
            seen_within: Duration::from_secs(60 * u64::from(settings.seen_within_minutes)),
            moved: parts(settings.moved_degrees),
            geographies: settings.geographies.into_iter().map(|geography| (geography.id, geography.name)).collect(),
            areas,
            policies,
        })
    }

    fn evaluate(&self, seen: Observation<'_>, memory: &mut Memory, out: &mut Out<Rule>) {
        let place = Place { lng: seen.lng, lat: seen.lat };
        if !place.is_on_earth() {
            return out.undecided("the position is no place on earth");
        }
        let inside: Vec<_> = self.areas.containing(place).collect();
        let kind = seen.kind.filter(|kind| !kind.is_empty());
        let kind = kind.map(|kind| self.type_names.get(kind).map_or(kind, String::as_str));
        let vehicle = Vehicle { inside: &inside, state: seen.state(), kind, local: self.zone.local(seen.time) };
        let is_late = memory.stay.as_ref().is_some_and(|stay| seen.time < stay.last);
        let had_stayed = memory.stay.is_some();
        let mut before = memory.stay.take();
        if !is_late {
            before = before.filter(|stay| self.has_stayed(stay, &seen));
        }
        let mut clocks = Vec::new();
        for policy in self.policies.iter().filter(|policy| policy.is_for(seen.provider, seen.time)) {
            if seen.speed.is_none() && policy.is_about_speed_only() {
                continue;
            }
            for rule in &policy.rules {
                let inside = match rule.matches(&vehicle) {
                    Match::No => continue,
                    Match::Yes(inside) => inside,
                    Match::Unknown(what) => return out.undecided(format!("{what} is not known; it decides about {}", rule.name)),
                };
                let found = Found { policy, rule, seen: &seen, inside: &inside };
                match rule.limit {
                    Limit::None {} => {}
                    Limit::NoVehicles {} => self.find(Rule::NoVehicles, &found, &[], out),
                    Limit::NoRide {} => self.find(Rule::NoRide, &found, &[], out),
                    Limit::NoParking {} => self.find(Rule::NoParking, &found, &[], out),
                    Limit::MandatoryParking {} => self.find(Rule::MandatoryParking, &found, &[], out),
                    Limit::Time { maximum_minutes } if !is_late => {
                        clocks.push(self.clock(&found, maximum_minutes, before.as_ref(), out));
                    }
                    Limit::Time { .. } => {}
                    Limit::Speed { maximum, unit } => {
                        if let Some(speed) = seen.speed.map(|speed| unit.of(speed)).filter(|&speed| speed > f64::from(maximum)) {
                            let more = [("speed", speed.to_string()), ("limit", maximum.to_string()), ("unit", unit.name().to_owned())];
                            self.find(Rule::SpeedLimit, &found, &more, out);
                        }
                    }
                }
                // Whom a rule is about, the rules behind it are not.
                break;
            }
        }
        if is_late {
            // Where it was before says nothing about where it is.
            memory.stay = before;
            return;
        }
        let (lat, lng) = before.map_or((parts(seen.lat), parts(seen.lng)), |stay| (stay.lat, stay.lng));
        memory.stay = (!clocks.is_empty()).then_some(Stay { lat, lng, last: seen.time, clocks });
        match memory.stay {
            // For nothing but to be forgotten.
            Some(_) => out.wake_at(seen.time + self.seen_within + Duration::from_micros(1)),
            None if had_stayed => out.wake_never(),
            None => {}
        }
    }

    fn wake(&self, _: Time, memory: &mut Memory, _: &mut Out<Rule>) {
        memory.stay = None;
    }
}

/// What a finding is about.
struct Found<'f> {
    policy: &'f Ready,
    rule: &'f ReadyRule,
    seen: &'f Observation<'f>,
    inside: &'f [usize],
}

impl Mds {
    /// Whether a vehicle is known to be where it was.
    fn has_stayed(&self, stay: &Stay, seen: &Observation<'_>) -> bool {
        let is_near = |one: i64, degrees: f64| (one - parts(degrees)).abs() <= self.moved;
        seen.time <= stay.last + self.seen_within && is_near(stay.lat, seen.lat) && is_near(stay.lng, seen.lng)
    }

    /// The clock of a rule, which goes on if it was there before; finds what is too long.
    fn clock(&self, found: &Found<'_>, maximum_minutes: u32, before: Option<&Stay>, out: &mut Out<Rule>) -> Clock {
        let Found { rule, seen, .. } = found;
        let clocks = before.into_iter().flat_map(|stay| &stay.clocks);
        let Some(&Clock { since, found: times, .. }) = clocks.into_iter().find(|clock| clock.rule == rule.id) else {
            return Clock { rule: rule.id.clone(), since: seen.time, found: 0 };
        };
        let micros = seen.time.micros_since(since);
        // The limit itself is allowed.
        let exceeded = (micros - 1).div_euclid(i64::from(maximum_minutes) * MICROS_PER_MINUTE);
        let exceeded = u32::try_from(exceeded).unwrap_or(0);
        if exceeded > times {
            let minutes = micros / MICROS_PER_MINUTE;
            let more = [("since", since.to_string()), ("minutes", minutes.to_string()), ("limit", maximum_minutes.to_string())];
            self.find(Rule::TimeLimit, found, &more, out);
        }
        Clock { rule: rule.id.clone(), since, found: times.max(exceeded) }
    }

    fn find(&self, rule: Rule, found: &Found<'_>, more: &[(&str, String)], out: &mut Out<Rule>) {
        let of = |take: fn(&(String, String)) -> &String| {
            let texts: Vec<_> = found.inside.iter().map(|&area| take(&self.geographies[area]).as_str()).collect();
            texts.join("; ")
        };
        let mut finding = out
            .find(rule)
            .with("provider", found.seen.provider)
            .with("vehicle", found.seen.vehicle)
            .with("policy", &found.policy.name)
            .with("rule", &found.rule.name)
            .with("rule_id", &found.rule.id)
            .with("geographies", of(|(_, name)| name))
            .with("geography_ids", of(|(id, _)| id));
        for (name, value) in more {
            finding = finding.with(name, value);
        }
    }
}

/// To the nearest whole part; halves away from zero.
fn parts(degrees: f64) -> i64 {
    (degrees * PARTS_OF_A_DEGREE).round() as i64
}
