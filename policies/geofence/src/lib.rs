//! Vehicles inside boundaries where riding or parking is ruled.

use ephor_sdk::geometry::{Areas, Geometry, Place};
use ephor_sdk::prelude::*;

/// Where a vehicle was seen.
#[derive(Fields)]
pub struct Observation {
    #[field("/data/lat", purpose = "find the boundaries that the vehicle is inside of")]
    lat: f64,
    #[field("/data/lng", purpose = "find the boundaries that the vehicle is inside of")]
    lng: f64,
}

/// A `GeoJSON` feature collection (RFC 7946), coordinates in WGS 84.
#[settings(open)]
pub struct Settings {
    features: Vec<Feature>,
}

#[settings(open)]
struct Feature {
    properties: Properties,
    geometry: Geometry,
}

#[settings(open)]
struct Properties {
    /// What is ruled inside.
    boundary_type: BoundaryType,
    /// The name that the evidence gives.
    geography_name: String,
}

#[derive(Clone, Copy)]
#[settings]
#[serde(rename_all = "snake_case")]
enum BoundaryType {
    NoRide,
    NoParking,
    MandatoryParking,
}

/// What a position can break.
#[derive(Rules, Clone, Copy)]
pub enum Rule {
    /// Inside a boundary where riding is not allowed.
    #[rule(
        id = "no-ride",
        action = flag,
        severity = high,
        legal_basis = "City of Columbus, published mobility policies of type no_ride",
        en = "the vehicle is where riding is not allowed: {boundaries}",
        zh = "车辆位于禁止骑行区域：{boundaries}"
    )]
    NoRide,
    /// Inside a boundary where parking is not allowed.
    #[rule(
        id = "no-parking",
        action = flag,
        severity = medium,
        legal_basis = "City of Columbus, published mobility policies of type no_parking",
        en = "the vehicle is where parking is not allowed: {boundaries}",
        zh = "车辆位于禁止停放区域：{boundaries}"
    )]
    NoParking,
    /// Inside a boundary where vehicles are parked in marked places only.
    #[rule(
        id = "mandatory-parking",
        action = flag,
        severity = low,
        legal_basis = "City of Columbus, published mobility policies of type mandatory_parking",
        en = "the vehicle is where it must be parked in a marked place: {boundaries}",
        zh = "车辆位于须在指定地点停放的区域：{boundaries}"
    )]
    MandatoryParking,
}

/// The boundaries, ready for look-ups.
pub struct Geofence {
    boundaries: Vec<Boundary>,
    /// One for each boundary.
    areas: Areas,
}

struct Boundary {
    kind: BoundaryType,
    name: String,
}

#[policy(
    name = "geofence",
    summary = "Flags vehicles inside published boundaries where riding or parking is ruled.",
    events = ["mobility.vehicle.observed"]
)]
impl Policy for Geofence {
    type Fields<'a> = Observation;
    type Settings = Settings;
    type State = ();
    type Rule = Rule;

    fn configure(settings: Settings) -> Result<Self, SettingsErrors> {
        let mut errors = SettingsErrors::default();
        let areas = Areas::build(settings.features.iter().map(|feature| &feature.geometry)).unwrap_or_else(|problems| {
            for problem in problems {
                errors.push(format!("/features/{}/geometry{}", problem.area, problem.pointer), problem.message);
            }
            Areas::default()
        });
        let boundaries = settings.features.into_iter().map(|feature| {
            let Properties { boundary_type: kind, geography_name: name } = feature.properties;
            Boundary { kind, name }
        });
        errors.or(Self { boundaries: boundaries.collect(), areas })
    }

    fn evaluate(&self, seen: Observation, (): &mut (), out: &mut Out<Rule>) {
        let mut inside = [const { Vec::new() }; 3];
        for index in self.areas.containing(Place { lng: seen.lng, lat: seen.lat }) {
            inside[self.boundaries[index].kind as usize].push(index);
        }
        for (rule, inside) in [Rule::NoRide, Rule::NoParking, Rule::MandatoryParking].into_iter().zip(inside) {
            if inside.is_empty() {
                continue;
            }
            let names: Vec<_> = inside.iter().map(|&index| self.boundaries[index].name.as_str()).collect();
            let indices: Vec<_> = inside.iter().map(usize::to_string).collect();
            out.find(rule).with("boundaries", names.join("; ")).with("indices", indices.join(","));
        }
    }
}
