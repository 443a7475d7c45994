//! Boundaries as Populus exports them from a city's policies: what may not be done where,
//! with the geometry, and without days and hours.
//!
//! Each policy becomes one rule, with its boundaries as geographies, so that an observation
//! is held against all of them.

use std::collections::BTreeMap;

use anyhow::{anyhow, ensure};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::document::within;
use super::geography::geometries;
use super::settings::{self, Limit};
use super::{Import, Left, Wanted};

#[derive(Deserialize)]
struct Export<'d> {
    #[serde(borrow)]
    boundaries: Vec<Boundary<'d>>,
}

#[derive(Deserialize)]
struct Boundary<'d> {
    policy_id: String,
    policy_name: String,
    boundary_type: String,
    geography_id: String,
    geography_name: String,
    #[serde(borrow)]
    geometry: &'d RawValue,
}

/// Whether a document is such an export.
pub fn is_one(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Head<'d> {
        #[serde(borrow)]
        boundaries: Option<&'d RawValue>,
    }
    serde_json::from_str::<Head<'_>>(text).is_ok_and(|head| head.boundaries.is_some())
}

pub fn import(text: &str, wanted: &Wanted<'_>) -> anyhow::Result<Import> {
    let mut json = serde_json::Deserializer::from_str(text);
    let Export { boundaries }: Export<'_> =
        serde_path_to_error::deserialize(&mut json).map_err(|error| anyhow!("{}: {}", within(error.path()), error.inner()))?;
    wanted.check(boundaries.iter().map(|boundary| boundary.policy_id.as_str()))?;
    let mut import = Import::default();
    // Parts of a geography come one after the other; the same ones again for another policy.
    let mut parts = BTreeMap::<(&str, &str), usize>::new();
    let mut known = BTreeMap::<String, String>::new();
    for (index, boundary) in boundaries.iter().enumerate() {
        let part = parts.entry((&boundary.policy_id, &boundary.geography_id)).or_default();
        let id = format!("{}/{part}", boundary.geography_id);
        *part += 1;
        if !wanted.has(&boundary.policy_id) {
            continue;
        }
        let Some(limit) = limit(&boundary.boundary_type) else {
            let why = format!("expected no_ride, no_parking or mandatory_parking, found {:?}", boundary.boundary_type);
            import.left.push(Left { pointer: format!("/boundaries/{index}/boundary_type"), what: boundary.policy_name.clone(), why });
            continue;
        };
        let pointer = format!("/boundaries/{index}/geometry");
        for (at, geometry) in geometries(boundary.geometry, &pointer)?.into_iter().enumerate() {
            ensure!(at == 0, "{pointer}: expected one geometry");
            match known.get(&id) {
                Some(before) => ensure!(before == geometry.get(), "{pointer}: is not what it is for another policy"),
                None => {
                    known.insert(id.clone(), geometry.get().to_string());
                    import.geographies.push(settings::Geography { id: id.clone(), name: boundary.geography_name.clone(), geometry });
                }
            }
        }
        add(&mut import.policies, boundary, id, limit);
    }
    Ok(import)
}

/// Adds a place to its policy's rule of this kind.
fn add(policies: &mut Vec<settings::Policy>, boundary: &Boundary<'_>, geography: String, limit: Limit) {
    let Boundary { policy_id, policy_name, boundary_type, .. } = boundary;
    // One policy for each kind, because of the rules of one only the first decides.
    let id = format!("{policy_id}/{boundary_type}");
    if let Some(rule) = policies.iter_mut().find(|policy| policy.id == id).and_then(|policy| policy.rules.first_mut()) {
        rule.geographies.push(geography);
        return;
    }
    let rule = settings::Rule {
        id: id.clone(),
        name: policy_name.clone(),
        geographies: vec![geography],
        states: Vec::new(),
        vehicle_types: Vec::new(),
        days: Vec::new(),
        from: None,
        until: None,
        limit,
    };
    policies.push(settings::Policy {
        id,
        name: policy_name.clone(),
        providers: Vec::new(),
        start_ms: None,
        end_ms: None,
        rules: vec![rule],
    });
}

fn limit(boundary_type: &str) -> Option<Limit> {
    match boundary_type {
        "no_ride" => Some(Limit::NoRide {}),
        "no_parking" => Some(Limit::NoParking {}),
        "mandatory_parking" => Some(Limit::MandatoryParking {}),
        _ => None,
    }
}
