//! Documents of MDS Policy 1.2 and 2.0 (github.com/openmobilityfoundation/mobility-data-specification,
//! `policy/README.md` of the releases 1.2.0 and 2.0.2), and where things are in them.
//!
//! Both have the same policies and rules, but for these: 2.0 has `mode_id` and
//! `accessibility_options`, and no rules of type `rate`.

use std::collections::BTreeMap;

use anyhow::{anyhow, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A policy with its place.
pub struct Placed {
    pub pointer: String,
    pub policy: Policy,
    /// Members that neither version has.
    pub unknown: Vec<String>,
    /// Of each rule likewise, in their order.
    pub unknown_of_rules: Vec<Vec<String>>,
}

#[derive(Deserialize)]
pub struct Policy {
    pub name: String,
    pub policy_id: String,
    #[serde(default)]
    pub mode_id: Option<String>,
    #[serde(default)]
    pub provider_ids: Option<Vec<String>>,
    pub start_date: i64,
    #[serde(default)]
    pub end_date: Option<i64>,
    #[serde(default)]
    pub prev_policies: Option<Vec<String>>,
    pub rules: Vec<Rule>,
}

#[derive(Deserialize)]
pub struct Rule {
    pub name: String,
    pub rule_id: String,
    pub rule_type: String,
    pub geographies: Vec<String>,
    /// States, each with events of it; all of them if there is none.
    #[serde(default)]
    pub states: Option<BTreeMap<String, Option<Vec<String>>>>,
    #[serde(default)]
    pub rule_units: Option<String>,
    #[serde(default)]
    pub accessibility_options: Option<Vec<String>>,
    #[serde(default)]
    pub vehicle_types: Option<Vec<String>>,
    #[serde(default)]
    pub propulsion_types: Option<Vec<String>>,
    #[serde(default)]
    pub minimum: Option<i64>,
    #[serde(default)]
    pub maximum: Option<i64>,
    #[serde(default)]
    pub inclusive_maximum: Option<bool>,
    #[serde(default)]
    pub rate_amount: Option<i64>,
    #[serde(default)]
    pub start_time: Option<String>,
    #[serde(default)]
    pub end_time: Option<String>,
    #[serde(default)]
    pub days: Option<Vec<String>>,
    #[serde(default)]
    pub value_url: Option<String>,
}

const POLICY_MEMBERS: [&str; 11] = [
    "name",
    "policy_id",
    "mode_id",
    "provider_ids",
    "description",
    "currency",
    "start_date",
    "end_date",
    "published_date",
    "prev_policies",
    "rules",
];

const RULE_MEMBERS: [&str; 21] = [
    "name",
    "rule_id",
    "rule_type",
    "geographies",
    "states",
    "rule_units",
    "accessibility_options",
    "vehicle_types",
    "propulsion_types",
    "minimum",
    "maximum",
    "inclusive_minimum",
    "inclusive_maximum",
    "rate_amount",
    "rate_recurrence",
    "rate_applies_when",
    "start_time",
    "end_time",
    "days",
    "messages",
    "value_url",
];

/// The policies of a document, in their order.
pub fn policies(text: &str) -> anyhow::Result<Vec<Placed>> {
    let document: Value = serde_json::from_str(text)?;
    check_version(&document)?;
    let places = ["/data/policies", "/policies"];
    let Some((place, list)) = places.into_iter().find_map(|place| Some((place, document.pointer(place)?.as_array()?))) else {
        return Err(anyhow!("/data/policies: expected a list of policies, found none"));
    };
    // A file may end as a whole.
    let end: Option<i64> = match document.get("end_date") {
        None => None,
        Some(end) => read(end, "/end_date")?,
    };
    let mut policies: Vec<Placed> = Vec::new();
    for (index, value) in list.iter().enumerate() {
        let pointer = format!("{place}/{index}");
        let mut policy: Policy = read(value, &pointer)?;
        let is_new = policies.iter().all(|before| before.policy.policy_id != policy.policy_id);
        ensure!(is_new, "{pointer}/policy_id: another policy has this id");
        policy.end_date = policy.end_date.into_iter().chain(end).min();
        let rules = value["rules"].as_array().into_iter().flatten();
        policies.push(Placed {
            unknown: unknown(value, &POLICY_MEMBERS),
            unknown_of_rules: rules.map(|rule| unknown(rule, &RULE_MEMBERS)).collect(),
            pointer,
            policy,
        });
    }
    Ok(policies)
}

fn check_version(document: &Value) -> anyhow::Result<()> {
    let version = document["version"].as_str().unwrap_or_default();
    let is_known = ["1.2", "2.0"].iter().any(|known| version == *known || version.starts_with(&format!("{known}.")));
    ensure!(is_known, "/version: expected 1.2 or 2.0 of MDS, found {}", document["version"]);
    Ok(())
}

fn unknown(value: &Value, members: &[&str]) -> Vec<String> {
    let names = value.as_object().into_iter().flatten().map(|(name, _)| name);
    names.filter(|name| !members.contains(&name.as_str())).cloned().collect()
}

/// Reads a value at a place; fails with the place within.
fn read<T: DeserializeOwned>(value: &Value, pointer: &str) -> anyhow::Result<T> {
    serde_path_to_error::deserialize(value).map_err(|error| anyhow!("{pointer}{}: {}", within(error.path()), error.inner()))
}

/// A path as the end of a JSON Pointer.
pub fn within(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", escaped(key))),
            Segment::Enum { .. } => {}
            Segment::Unknown => break,
        }
    }
    pointer
}

/// A name as a part of a JSON Pointer.
pub fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
