//! Which key an entry is about: entries name keys by what nobody can read a key from.

use std::collections::HashMap;

use serde_json::Value;

use crate::column::Cell;
use crate::digest::Digest;
use crate::event::Event;
use crate::policy::Grant;
use crate::projection::Plan;
use crate::runtime::Runtime;
use crate::state;

/// The keys that some events have for the one policy of a runtime, by their names in its
/// entries: the values of the key's fields as the policy sees them, times in microseconds.
pub(super) fn by_name(apart: &Runtime, events: &[Event]) -> HashMap<Digest, Vec<Value>> {
    let mut keys = HashMap::new();
    let Some(standing) = apart.policies().into_iter().next() else { return keys };
    let release = &standing.release;
    let mut plan = Plan::default();
    let slots = plan.add(&release.manifest.fields, &Grant::development());
    let key = release.manifest.keyed.iter().flat_map(|keyed| &keyed.key);
    let key: Vec<usize> = key.filter_map(|field| slots.get(usize::from(*field)).copied()).collect();
    if key.is_empty() {
        return keys;
    }
    for event in events {
        let mut cells = vec![Cell::Absent; plan.width()];
        plan.project(event, &mut cells);
        let name = apart.key_name(release.policy(), &state::key(key.iter().map(|slot| &cells[*slot])));
        if let Some(name) = name {
            keys.entry(name).or_insert_with(|| key.iter().map(|slot| cells[*slot].to_value()).collect());
        }
    }
    keys
}
