//! Policies' memory: for each policy and key the bytes that the last event of the
//! key left. The host owns it; a policy sees the states of the keys in its batch.
//!
//! Knows nothing of where they are kept, nor of how policies are run.

mod timers;

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::column::{Cell, Kind};

pub(crate) use timers::{Timer, Timers};

/// A key, as bytes that are equal if and only if its fields' values are.
pub(crate) type Key = Box<[u8]>;

/// The key of a row: the values of the key's fields. Key fields are required, and
/// rows without them do not get here.
pub(crate) fn key<'c, 'e: 'c>(cells: impl Iterator<Item = &'c Cell<'e>>) -> Key {
    let mut key = Vec::with_capacity(32);
    cells.for_each(|cell| cell.encode(&mut key));
    key.into()
}

/// What becomes of a policy's states at a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handover {
    /// There is no state to hand over.
    None,
    /// The new release goes on with the states.
    Kept,
    /// The new release goes on with what it made of the states.
    Migrated,
    /// The new release begins without states: it encodes them otherwise, and says
    /// that it may.
    Reset,
}

impl Handover {
    /// The word used in answers and logs.
    pub fn name(self) -> &'static str {
        match self {
            Handover::None => "none",
            Handover::Kept => "kept",
            Handover::Migrated => "migrated",
            Handover::Reset => "reset",
        }
    }
}

/// What an entry takes beside its key and its state, about: their pointers and
/// what the allocator adds.
const ENTRY_BYTES: usize = 96;

/// All states of all policies.
#[derive(Debug, Default)]
pub(crate) struct States {
    policies: HashMap<Arc<str>, Keyspace>,
}

#[derive(Debug, Default)]
struct Keyspace {
    /// How states are encoded, and what they are kept by.
    form: Form,
    states: HashMap<Key, Vec<u8>>,
    /// Bytes of keys and states together.
    bytes: usize,
}

/// What must be the same for a release to go on with the states of another: the
/// version of the encoding, and the fields of the key with their types and the forms in
/// which the policy sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Form {
    pub version: u32,
    pub key: Vec<(String, Kind)>,
    /// What tells the forms of the key's fields from others; empty if all are plain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shown: Vec<String>,
}

impl Form {
    /// The form as the ledger keeps it.
    pub fn to_bytes(&self) -> Vec<u8> {
        // A number, texts and words: there is no such value that JSON cannot have.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`Form::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| format!("the form of a policy's states cannot be read: {error}"))
    }
}

impl States {
    /// The state of a key.
    pub fn get(&self, policy: &str, key: &Key) -> Option<&[u8]> {
        self.policies.get(policy)?.states.get(key).map(Vec::as_slice)
    }

    /// Takes over what a key's state has become. Nothing, for a policy that keeps none.
    pub fn apply(&mut self, policy: &str, key: Key, state: Option<Vec<u8>>) {
        let Some(Keyspace { states, bytes, .. }) = self.policies.get_mut(policy) else { return };
        let key_bytes = key.len() + ENTRY_BYTES;
        let more = state.as_ref().map_or(0, |state| key_bytes + state.len());
        let before = match state {
            Some(state) => states.insert(key, state),
            None => states.remove(&key),
        };
        *bytes = *bytes + more - before.map_or(0, |before| key_bytes + before.len());
    }

    /// Bytes of a policy's keys and states.
    pub fn bytes(&self, policy: &str) -> usize {
        self.policies.get(policy).map_or(0, |keyspace| keyspace.bytes)
    }

    /// What would become of a policy's states, and whether its form would be another,
    /// if a release took over that has states in this form (absent for one that has
    /// none), can migrate those of other versions, and may or may not begin without.
    ///
    /// # Errors
    ///
    /// If the release would lose states and does not say that it may.
    pub fn hand_over(&self, policy: &str, form: Option<&Form>, migrates_from: &[u32], resets: bool) -> Result<(Handover, bool), String> {
        let Some(before) = self.policies.get(policy) else { return Ok((Handover::None, form.is_some())) };
        let Some(form) = form else {
            return Ok((if before.states.is_empty() { Handover::None } else { Handover::Reset }, true));
        };
        let (keys, old) = (before.states.len(), &before.form);
        let same_key = old.key == form.key && old.shown == form.shown;
        match (before.form == *form, keys) {
            (same, 0) => Ok((Handover::None, !same)),
            (true, _) => Ok((Handover::Kept, false)),
            (false, _) if same_key && migrates_from.contains(&old.version) => Ok((Handover::Migrated, true)),
            (false, _) if resets => Ok((Handover::Reset, true)),
            (false, _) if !same_key => Err(format!(
                "the release in force has states of {keys} keys, kept by other fields than this one has, or by the same in other forms; let it say `resets` if it may begin without them"
            )),
            (false, _) => Err(format!(
                "the release in force has states of {keys} keys in version {}, this one has version {}; let it migrate them (`migrates_from`), or say `resets` if it may begin without them",
                old.version, form.version
            )),
        }
    }

    /// The version and all states of a policy, with their keys.
    pub fn all(&self, policy: &str) -> (u32, Vec<(Key, Vec<u8>)>) {
        let Some(Keyspace { form, states, .. }) = self.policies.get(policy) else { return (0, Vec::new()) };
        (form.version, states.iter().map(|(key, state)| (key.clone(), state.clone())).collect())
    }

    /// From now on the policy has states in this form, and none yet.
    pub fn begin(&mut self, policy: &str, form: Form) {
        self.policies.insert(policy.into(), Keyspace { form, ..Keyspace::default() });
    }

    /// Drops a policy's states. Whether there was anything to drop.
    pub fn forget(&mut self, policy: &str) -> bool {
        self.policies.remove(policy).is_some()
    }

    /// Number of keys that have a state, over all policies.
    pub fn keys(&self) -> usize {
        self.policies.values().map(|keyspace| keyspace.states.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_equal_if_and_only_if_their_values_are() {
        let text = |text: &'static str| Cell::Text(text.into());
        let of = |cells: &[Cell<'_>]| key(cells.iter());
        assert_eq!(of(&[text("a"), text("b")]), of(&[text("a"), text("b")]));
        assert_ne!(of(&[text("a"), text("b")]), of(&[text("ab"), text("")]));
        assert_ne!(of(&[Cell::Integer(1)]), of(&[Cell::Time(1)]));
        assert_ne!(of(&[text("1")]), of(&[Cell::Json("1")]));
        assert_eq!(of(&[Cell::Float(0.0)]), of(&[Cell::Float(-0.0)]));
    }

    #[test]
    fn states_cross_a_swap_by_a_declared_rule() {
        let mut states = States::default();
        let one = key([Cell::Integer(1)].iter());
        let form = |version, pointer: &str| Form { version, key: vec![(pointer.to_string(), Kind::Integer)], shown: Vec::new() };
        let first = form(1, "/data/a");
        assert_eq!(states.hand_over("p", Some(&first), &[], false), Ok((Handover::None, true)));
        states.begin("p", first.clone());
        assert_eq!(states.hand_over("p", Some(&form(2, "/data/a")), &[], false), Ok((Handover::None, true)), "there are no states yet");
        states.apply("p", one.clone(), Some(vec![7]));
        assert_eq!((states.get("p", &one), states.bytes("p")), (Some([7].as_slice()), one.len() + 1 + ENTRY_BYTES));
        for (form, migrates_from, resets, expected) in [
            (Some(&first), vec![], false, Ok((Handover::Kept, false))),
            (Some(&form(2, "/data/a")), vec![3, 1], false, Ok((Handover::Migrated, true))),
            (Some(&form(2, "/data/a")), vec![3], true, Ok((Handover::Reset, true))),
            (Some(&form(1, "/data/b")), vec![1], true, Ok((Handover::Reset, true))),
            (Some(&Form { shown: vec!["pseudonym".into()], ..first.clone() }), vec![1], true, Ok((Handover::Reset, true))),
            (None, vec![], false, Ok((Handover::Reset, true))),
        ] {
            assert_eq!(states.hand_over("p", form, &migrates_from, resets), expected);
        }
        for lossy in [form(2, "/data/a"), form(1, "/data/b")] {
            assert!(states.hand_over("p", Some(&lossy), &[], false).is_err_and(|why| why.contains("states of 1 keys")));
        }
        assert_eq!(states.all("p"), (1, vec![(one.clone(), vec![7])]));
        for state in [Some(vec![7, 8]), None] {
            states.apply("p", one.clone(), state);
        }
        assert_eq!((states.bytes("p"), states.keys()), (0, 0));
        assert!(states.forget("p") && !states.forget("p"));
    }

    #[test]
    fn a_form_is_read_back() {
        for shown in [Vec::new(), vec!["mask (keep 4)".to_string()]] {
            let form = Form { version: 3, key: vec![("/data/a".into(), Kind::Text)], shown };
            assert_eq!(Form::from_bytes(&form.to_bytes()), Ok(form));
        }
        assert!(Form::from_bytes(b"{}").is_err());
    }
}
