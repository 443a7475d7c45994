//! The settings of the policy `mds`, as they are written. `policies/mds/src/settings.rs`
//! reads them, and says what they mean.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Serialize)]
pub struct Settings<'a> {
    pub zone: &'a str,
    pub vehicle_type_names: BTreeMap<String, String>,
    pub seen_within_minutes: u32,
    pub moved_degrees: f64,
    pub policies: Vec<Policy>,
    pub geographies: Vec<Geography>,
}

#[derive(Serialize)]
pub struct Geography {
    pub id: String,
    pub name: String,
    /// Polygon or MultiPolygon. As text, so that every coordinate stays as it was published.
    pub geometry: Box<RawValue>,
}

#[derive(Serialize)]
pub struct Policy {
    pub id: String,
    pub name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_ms: Option<i64>,
    pub rules: Vec<Rule>,
}

#[derive(Serialize)]
pub struct Rule {
    pub id: String,
    pub name: String,
    pub geographies: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vehicle_types: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    pub limit: Limit,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Limit {
    None {},
    NoVehicles {},
    NoRide {},
    NoParking {},
    MandatoryParking {},
    Time { maximum_minutes: u32 },
    Speed { maximum: u32, unit: &'static str },
}
