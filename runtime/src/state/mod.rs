//! Policies' memory: for each policy and key the bytes that the last event of the
//! key left. The host owns it; a policy sees the states of the keys in its batch.
//!
//! In memory for now. Knows nothing of how policies are run.

use std::collections::HashMap;
use std::sync::Arc;

use crate::column::{Cell, Kind};

/// A key, as bytes that are equal if and only if its fields' values are.
pub(crate) type Key = Box<[u8]>;

/// The key of a row: the values of the key's fields, each with its type and, if
/// it can differ, its length, so that no two rows of different values agree.
pub(crate) fn key<'c, 'e: 'c>(cells: impl Iterator<Item = &'c Cell<'e>>) -> Key {
    let mut key = Vec::with_capacity(32);
    for cell in cells {
        match cell {
            Cell::Boolean(value) => key.extend([b'b', u8::from(*value)]),
            Cell::Integer(value) => push(&mut key, b'i', &value.to_le_bytes()),
            // Negative zero is zero: they are equal as numbers.
            Cell::Float(value) => push(&mut key, b'f', &(value + 0.0).to_bits().to_le_bytes()),
            Cell::Time(value) => push(&mut key, b'm', &value.to_le_bytes()),
            Cell::Text(value) => push_long(&mut key, b't', value.as_bytes()),
            Cell::Json(value) => push_long(&mut key, b'j', value.as_bytes()),
            // Key fields are required, and rows without them do not get here.
            Cell::Absent | Cell::Mistyped(_) => key.push(b'-'),
        }
    }
    key.into()
}

fn push(key: &mut Vec<u8>, tag: u8, value: &[u8]) {
    key.push(tag);
    key.extend_from_slice(value);
}

fn push_long(key: &mut Vec<u8>, tag: u8, value: &[u8]) {
    push(key, tag, &(value.len() as u64).to_le_bytes());
    key.extend_from_slice(value);
}

/// What becomes of a policy's states at a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handover {
    /// There is no state to hand over.
    None,
    /// The new release goes on with the states.
    Kept,
    /// The new release begins without states: it encodes them otherwise.
    Reset,
}

impl Handover {
    /// The word used in answers and logs.
    pub fn name(self) -> &'static str {
        match self {
            Handover::None => "none",
            Handover::Kept => "kept",
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
/// version of the encoding, and the fields of the key with their types.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Form {
    pub version: u32,
    pub key: Vec<(String, Kind)>,
}

impl States {
    /// The state of a key.
    pub fn get(&self, policy: &str, key: &Key) -> Option<&[u8]> {
        self.policies.get(policy)?.states.get(key).map(Vec::as_slice)
    }

    /// Takes over what a batch changed.
    pub fn apply(&mut self, policy: &str, changes: impl Iterator<Item = (Key, Option<Vec<u8>>)>) {
        let Some(Keyspace { states, bytes, .. }) = self.policies.get_mut(policy) else { return };
        for (key, state) in changes {
            let key_bytes = key.len() + ENTRY_BYTES;
            let more = state.as_ref().map_or(0, |state| key_bytes + state.len());
            let before = match state {
                Some(state) => states.insert(key, state),
                None => states.remove(&key),
            };
            *bytes = *bytes + more - before.map_or(0, |before| key_bytes + before.len());
        }
    }

    /// Bytes of a policy's keys and states.
    pub fn bytes(&self, policy: &str) -> usize {
        self.policies.get(policy).map_or(0, |keyspace| keyspace.bytes)
    }

    /// Hands a policy's states to a release that has them in this form; absent
    /// for one that has none.
    pub fn hand_over(&mut self, policy: &str, form: Option<Form>) -> Handover {
        let before = self.policies.get(policy).is_some_and(|keyspace| !keyspace.states.is_empty());
        let same = self.policies.get(policy).map(|keyspace| &keyspace.form) == form.as_ref();
        match form {
            Some(form) if !same => {
                self.policies.insert(policy.into(), Keyspace { form, ..Keyspace::default() });
            }
            Some(_) => {}
            None => self.forget(policy),
        }
        match (before, same) {
            (false, _) => Handover::None,
            (true, true) => Handover::Kept,
            (true, false) => Handover::Reset,
        }
    }

    /// Drops a policy's states.
    pub fn forget(&mut self, policy: &str) {
        self.policies.remove(policy);
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
    fn states_cross_a_swap_if_they_are_encoded_alike() {
        let mut states = States::default();
        let one = key([Cell::Integer(1)].iter());
        let form = |version, pointer: &str| Some(Form { version, key: vec![(pointer.to_string(), Kind::Integer)] });
        assert_eq!(states.hand_over("p", form(1, "/data/a")), Handover::None);
        states.apply("p", [(one.clone(), Some(vec![7]))].into_iter());
        assert_eq!(states.hand_over("p", form(1, "/data/a")), Handover::Kept);
        assert_eq!((states.get("p", &one), states.bytes("p")), (Some([7].as_slice()), one.len() + 1 + ENTRY_BYTES));
        assert_eq!(states.hand_over("p", form(2, "/data/a")), Handover::Reset);
        assert_eq!((states.get("p", &one), states.keys(), states.bytes("p")), (None, 0, 0));
        states.apply("p", [(one.clone(), Some(vec![7])), (one.clone(), Some(vec![7, 8])), (one.clone(), None)].into_iter());
        assert_eq!(states.bytes("p"), 0);
        states.apply("p", [(one, Some(vec![7]))].into_iter());
        assert_eq!(states.hand_over("p", form(2, "/data/b")), Handover::Reset, "kept by something else");
    }
}
