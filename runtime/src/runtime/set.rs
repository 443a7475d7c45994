//! The policies in force, as one value that is swapped whole.

use std::collections::HashMap;
use std::sync::Arc;

use crate::policy::Grant;
use crate::projection::Plan;
use crate::sandbox::Image;

/// Everything about a policy in force.
#[derive(Clone)]
pub(super) struct Installed {
    pub image: Arc<Image>,
    pub component: Arc<[u8]>,
    pub settings: Arc<[u8]>,
    pub grant: Grant,
    /// The first event that it judges.
    pub since: u64,
}

impl Installed {
    pub fn name(&self) -> &str {
        self.image.release().policy()
    }
}

/// A policy with what the projection needs to know of it.
pub(super) struct Member {
    pub image: Arc<Image>,
    pub grant: Grant,
    /// For each field of the manifest the place of its cell in a row.
    pub slots: Vec<usize>,
    /// The cells that make the key; none for a policy without state.
    pub key_slots: Vec<usize>,
    /// Whether it sets timers.
    pub timers: bool,
}

/// The policies in force, in the order of their names, with one plan for the
/// fields of all.
#[derive(Default)]
pub(super) struct Set {
    pub members: Vec<Member>,
    pub plan: Plan,
}

impl Set {
    pub fn of(installed: &[Installed]) -> Self {
        let mut plan = Plan::default();
        let members = installed
            .iter()
            .map(|installed| {
                let manifest = &installed.image.release().manifest;
                let slots = plan.add(&manifest.fields, &installed.grant);
                let key_slots = match &manifest.keyed {
                    Some(keyed) => keyed.key.iter().map(|field| slots[usize::from(*field)]).collect(),
                    None => Vec::new(),
                };
                let timers = manifest.keyed.as_ref().is_some_and(|keyed| keyed.timers);
                Member { image: installed.image.clone(), grant: installed.grant.clone(), slots, key_slots, timers }
            })
            .collect();
        Set { members, plan }
    }
}

/// Which members are asked about which event types, remembered for a batch.
#[derive(Default)]
pub(super) struct Asked<'e> {
    by_kind: HashMap<&'e str, usize>,
    /// For each type seen, whether each member is asked.
    pub rows: Vec<Vec<bool>>,
}

impl<'e> Asked<'e> {
    /// The place in `rows` for an event type.
    pub fn about(&mut self, set: &Set, kind: &'e str) -> usize {
        *self.by_kind.entry(kind).or_insert_with(|| {
            self.rows.push(set.members.iter().map(|member| member.image.release().manifest.asks_about(kind)).collect());
            self.rows.len() - 1
        })
    }
}
