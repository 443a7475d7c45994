//! A provider may not have more vehicles in the streets than its permit allows.

use std::collections::BTreeMap;

use ephor_sdk::prelude::*;

/// A vehicle that was seen.
#[derive(Fields)]
pub struct Observation<'a> {
    #[field("/data/provider", purpose = "count vehicles by provider and find its cap")]
    provider: &'a str,
    #[field("/data/snapshot_id", purpose = "count the vehicles of one snapshot together")]
    snapshot: &'a str,
}

/// How many vehicles are allowed.
#[settings]
pub struct Settings {
    /// The most vehicles in one snapshot, by provider. A provider that is not
    /// named is not judged.
    caps: BTreeMap<String, u64>,
}

/// What is remembered of a provider in one snapshot.
#[state]
pub struct Fleet {
    /// Vehicles seen so far.
    count: u64,
}

/// What a fleet can break.
#[derive(Rules, Clone, Copy)]
pub enum Rule {
    /// The observation is the first above the cap.
    #[rule(
        id = "fleet-cap-exceeded",
        action = flag,
        severity = high,
        legal_basis = "City of Columbus, shared mobility permits: fleet size by provider",
        en = "{provider} has more than {cap} vehicles in snapshot {snapshot}",
        zh = "{provider} 在快照 {snapshot} 中的车辆超过 {cap} 辆"
    )]
    FleetCapExceeded,
}

/// The caps by provider.
pub struct FleetCap {
    caps: BTreeMap<String, u64>,
}

#[policy(
    name = "fleet-cap",
    summary = "Flags a provider that has more vehicles in a snapshot than its cap.",
    events = ["mobility.vehicle.observed"],
    key = ["/data/provider", "/data/snapshot_id"],
    state_version = 1
)]
impl Policy for FleetCap {
    type Fields<'a> = Observation<'a>;
    type Settings = Settings;
    type State = Fleet;
    type Rule = Rule;

    fn configure(settings: Settings) -> Result<Self, SettingsErrors> {
        Ok(Self { caps: settings.caps })
    }

    fn evaluate(&self, seen: Observation<'_>, fleet: &mut Fleet, out: &mut Out<Rule>) {
        let Some(&cap) = self.caps.get(seen.provider) else { return };
        let before = fleet.count;
        fleet.count += 1;
        if before == cap {
            out.find(Rule::FleetCapExceeded)
                .with("provider", seen.provider)
                .with("snapshot", seen.snapshot)
                .with("cap", cap)
                .with("count", fleet.count);
        }
    }
}
