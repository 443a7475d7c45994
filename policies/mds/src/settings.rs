//! What the publisher decides: policies with rules, as `ephor import mds` writes them.

use std::collections::BTreeMap;

use ephor_sdk::geometry::Geometry;
use ephor_sdk::prelude::*;
use ephor_sdk::zone::{TimeOfDay, Weekday, Zone};

/// Policies of a city, and what they need to be judged by.
#[settings]
pub struct Settings {
    /// The time zone of days and hours.
    pub(crate) zone: Zone,
    /// Names that events have for types of vehicles, with the name that rules have for
    /// them, such as `bicycle` for `e-bike`. A name that is not here is its own.
    #[serde(default)]
    pub(crate) vehicle_type_names: BTreeMap<String, String>,
    /// A vehicle that was not observed for longer than this is not known to have stayed
    /// where it was: its time begins anew. For rules with a limit of time.
    pub(crate) seen_within_minutes: u32,
    /// A vehicle has moved if its latitude or longitude differs by more than so many
    /// degrees from where its time began. For rules with a limit of time.
    pub(crate) moved_degrees: f64,
    /// The places that rules speak of.
    pub(crate) geographies: Vec<Geography>,
    /// The policies, each of which judges every observation by itself.
    pub(crate) policies: Vec<CityPolicy>,
}

/// A place.
#[settings]
pub(crate) struct Geography {
    pub(crate) id: String,
    /// The name that the evidence gives.
    pub(crate) name: String,
    pub(crate) geometry: Geometry,
}

/// A policy of the city: rules, the most specific first.
#[settings]
pub(crate) struct CityPolicy {
    pub(crate) id: String,
    pub(crate) name: String,
    /// The providers that it is for, by the names that events have; all if there is none.
    #[serde(default)]
    pub(crate) providers: Vec<String>,
    /// From when on it holds, in milliseconds since 1970-01-01T00:00:00Z.
    pub(crate) start_ms: Option<i64>,
    /// Until when it holds, likewise.
    pub(crate) end_ms: Option<i64>,
    /// The first that an observation matches decides, and no other one.
    pub(crate) rules: Vec<CityRule>,
}

/// A rule: whom it is about, and what it limits.
#[settings]
pub(crate) struct CityRule {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Ids of the places where it holds, one or more.
    pub(crate) geographies: Vec<String>,
    /// The states of vehicles that it is about; all if there is none.
    #[serde(default)]
    pub(crate) states: Vec<State>,
    /// The types of vehicles that it is about; all if there is none.
    #[serde(default)]
    pub(crate) vehicle_types: Vec<String>,
    /// The days on which it holds; all if there is none.
    #[serde(default)]
    pub(crate) days: Vec<Weekday>,
    /// The time of day from which on it holds; 00:00 if not given.
    pub(crate) from: Option<TimeOfDay>,
    /// The time of day at which it does not hold any more; 24:00 if not given. If it is
    /// before `from`, it is of the next day.
    pub(crate) until: Option<TimeOfDay>,
    pub(crate) limit: Limit,
}

/// What a rule limits.
#[settings]
#[derive(Clone, Copy)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Limit {
    /// Nothing: who matches is not judged by the rules behind.
    None {},
    /// No vehicle may be there.
    NoVehicles {},
    /// No vehicle may be ridden there.
    NoRide {},
    /// No vehicle may be parked there.
    NoParking {},
    /// Vehicles may be parked in marked places only.
    MandatoryParking {},
    /// A vehicle may stay so as it is for no longer.
    Time {
        /// In minutes; more than this is too long.
        maximum_minutes: u32,
    },
    /// A vehicle may not be faster.
    Speed {
        /// In `unit`; more than this is too fast.
        maximum: u32,
        unit: SpeedUnit,
    },
}

#[settings]
#[derive(Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SpeedUnit {
    /// Miles of 1,609.344 metres per hour.
    Mph,
    /// Kilometres per hour.
    Kph,
}

impl SpeedUnit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mph => "mph",
            Self::Kph => "km/h",
        }
    }

    /// In the unit, of metres per second.
    pub(crate) fn of(self, metres_per_second: f64) -> f64 {
        match self {
            Self::Mph => metres_per_second * 3_600.0 / 1_609.344,
            Self::Kph => metres_per_second * 3.6,
        }
    }
}

/// The state of a vehicle (MDS 1.2 and 2.0, vehicle states).
#[settings]
#[derive(FieldEnum, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not in the streets: in a depot, for example.
    #[value("removed")]
    Removed,
    /// To be rented.
    #[value("available")]
    Available,
    /// Not to be rented.
    #[value("non_operational")]
    NonOperational,
    /// Waiting for its rider.
    #[value("reserved")]
    Reserved,
    /// Ridden.
    #[value("on_trip")]
    OnTrip,
    /// On a trip, but not going for a while.
    #[value("stopped")]
    Stopped,
    /// Not heard of for a while.
    #[value("non_contactable")]
    NonContactable,
    /// Not heard of, and nobody knows where.
    #[value("missing")]
    Missing,
    /// Outside of the city.
    #[value("elsewhere")]
    Elsewhere,
    /// Not known (1.2).
    #[value("unknown")]
    Unknown,
}
