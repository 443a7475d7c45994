//! A shared vehicle may not stand at one place for too long. No event says that it
//! still stands: the policy has to be woken.

use std::time::Duration;

use ephor_sdk::prelude::*;

const SECONDS_PER_HOUR: u64 = 3_600;
/// Places are compared in millionths of a degree, which are whole numbers.
const PARTS_OF_A_DEGREE: f64 = 1e6;

/// A vehicle that was seen.
#[derive(Fields)]
pub struct Observation<'a> {
    #[field("/data/provider", purpose = "name the provider of a vehicle that stands too long")]
    provider: &'a str,
    #[field("/data/vehicle_id", purpose = "know the vehicle again")]
    vehicle: &'a str,
    #[field("/data/lat", purpose = "tell whether the vehicle has moved")]
    lat: f64,
    #[field("/data/lng", purpose = "tell whether the vehicle has moved")]
    lng: f64,
    #[field("/time", purpose = "know how long it has stood")]
    time: Time,
}

/// How long a vehicle may stand, and what standing is.
#[settings]
pub struct Settings {
    /// Each time that a vehicle has stood for so many hours is a finding.
    hours: u32,
    /// If a vehicle has not been seen for more hours than these, nobody knows
    /// whether it still stands. Not more than `hours`.
    seen_within_hours: u32,
    /// A vehicle has moved if its latitude or longitude differs by more than so
    /// many degrees from where it stood first.
    moved_degrees: f64,
}

/// What is remembered of a vehicle.
#[state]
pub struct Vehicle {
    stay: Option<Stay>,
}

/// A vehicle that stands. Its names are here because a finding of a timer has no
/// event to take them from.
#[state]
struct Stay {
    // lint: allow(unbounded-state): the key's own value, once; no longer than its event
    provider: String,
    // lint: allow(unbounded-state): the same
    vehicle: String,
    place: Place,
    /// The first and the latest observation at the place.
    since: Time,
    last: Time,
}

/// In millionths of a degree.
#[state]
#[derive(Clone, Copy)]
struct Place {
    lat: i64,
    lng: i64,
}

impl Place {
    /// Nothing if it is no place on earth.
    fn of(lat: f64, lng: f64) -> Option<Self> {
        let is_on_earth = lat.abs() <= 90.0 && lng.abs() <= 180.0;
        is_on_earth.then(|| Self { lat: parts(lat), lng: parts(lng) })
    }

    fn is_near(self, other: Self, parts: i64) -> bool {
        (self.lat - other.lat).abs() <= parts && (self.lng - other.lng).abs() <= parts
    }
}

/// To the nearest whole part; halves away from zero.
fn parts(degrees: f64) -> i64 {
    (degrees * PARTS_OF_A_DEGREE).round() as i64
}

/// What a vehicle can break.
#[derive(Rules, Clone, Copy)]
pub enum Rule {
    /// It has stood for too long.
    #[rule(
        id = "idle",
        action = flag,
        severity = low,
        legal_basis = "Mobility Data Specification 1.2, Policy, rules of type time (idle times)",
        en = "vehicle {vehicle} of {provider} has been at {lat}, {lng} since {since}, for {hours} hours; it was last seen there at {last}",
        zh = "{provider} 的车辆 {vehicle} 自 {since} 起停放于 {lat}, {lng}，已达 {hours} 小时；最后一次观测时间为 {last}"
    )]
    Idle,
}

/// The limits.
pub struct IdleVehicle {
    limit: Duration,
    seen_within: Duration,
    /// In millionths of a degree.
    moved: i64,
}

#[policy(
    name = "idle-vehicle",
    summary = "Flags vehicles that stand at one place for too long.",
    events = ["mobility.vehicle.observed"],
    key = ["/data/provider", "/data/vehicle_id"],
    state_version = 1,
    timers
)]
impl Policy for IdleVehicle {
    type Fields<'a> = Observation<'a>;
    type Settings = Settings;
    type State = Vehicle;
    type Rule = Rule;

    fn configure(settings: Settings) -> Result<Self, SettingsErrors> {
        let Settings { hours, seen_within_hours, moved_degrees } = settings;
        let mut errors = SettingsErrors::default();
        if hours == 0 {
            errors.push("/hours", "expected 1 or more");
        }
        if seen_within_hours > hours {
            errors.push("/seen_within_hours", "expected no more than `hours`");
        }
        if !(0.0..=1.0).contains(&moved_degrees) {
            errors.push("/moved_degrees", "expected 0 to 1");
        }
        let duration = |hours: u32| Duration::from_secs(u64::from(hours) * SECONDS_PER_HOUR);
        errors.or(Self { limit: duration(hours), seen_within: duration(seen_within_hours), moved: parts(moved_degrees) })
    }

    fn evaluate(&self, seen: Observation<'_>, vehicle: &mut Vehicle, out: &mut Out<Rule>) {
        let Some(place) = Place::of(seen.lat, seen.lng) else { return out.undecided("the position is no place on earth") };
        match &mut vehicle.stay {
            // Late: where it was before says nothing about where it is.
            Some(stay) if seen.time < stay.last => {}
            Some(stay) if stay.place.is_near(place, self.moved) => stay.last = seen.time,
            stay => {
                let (provider, vehicle) = (seen.provider.to_owned(), seen.vehicle.to_owned());
                *stay = Some(Stay { provider, vehicle, place, since: seen.time, last: seen.time });
                out.wake_at(seen.time + self.limit);
            }
        }
    }

    fn wake(&self, at: Time, vehicle: &mut Vehicle, out: &mut Out<Rule>) {
        let Some(stay) = &vehicle.stay else { return };
        if stay.last + self.seen_within < at {
            // It may have gone. If it is seen again, it begins to stand again.
            vehicle.stay = None;
            return;
        }
        let hours = at.micros_since(stay.since) / 1_000_000 / SECONDS_PER_HOUR as i64;
        out.find(Rule::Idle)
            .with("provider", &stay.provider)
            .with("vehicle", &stay.vehicle)
            .with("lat", stay.place.lat as f64 / PARTS_OF_A_DEGREE)
            .with("lng", stay.place.lng as f64 / PARTS_OF_A_DEGREE)
            .with("since", stay.since)
            .with("last", stay.last)
            .with("hours", hours);
        out.wake_at(at + self.limit);
    }
}
