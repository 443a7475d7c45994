//! Reading single states, where they were written.
//!
//! A record's checksum covers the whole of it, and a record may have megabytes; so it is
//! not held against what is read here. Whoever asks for a state knows a keyed hash of it.

use std::sync::PoisonError;

use super::record::{StateRef, state_len};
use super::{Fault, Place, ReadError, Reader, path_of};
use crate::ledger::storage::File;

/// A key's state that is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StateAt<'a> {
    /// Whose it is.
    pub policy: &'a str,
    /// Where it stands: bytes from the journal's beginning.
    pub place: u64,
    /// Bytes of key and state.
    pub bytes: usize,
}

impl Reader {
    /// Reads states that are durable, and shows the key and the state of each, in the
    /// order given. Opens every segment once, if the places are ascending. Stops at the
    /// first that cannot be read.
    ///
    /// What is shown has the policy, the place and the length that were asked for;
    /// whether the bytes are those that were written is for the caller to know.
    pub fn states<'a>(&self, wanted: impl Iterator<Item = StateAt<'a>>, mut visit: impl FnMut(&[u8], &[u8])) -> Result<(), ReadError> {
        let mut open: Option<(u64, Box<dyn File>)> = None;
        let mut bytes = Vec::new();
        for StateAt { policy, place, bytes: len } in wanted {
            let (first, offset, end) = self.segment_of(place);
            let damaged = || ReadError::Damaged { place: Place { file: path_of(first), offset }, fault: Fault::State };
            let io = |doing| move |source| ReadError::Io { path: path_of(first), doing, source };
            let file = match open.take_if(|(segment, _)| *segment == first) {
                Some((_, file)) => file,
                None => self.storage.open(&path_of(first), false).map_err(io("opening"))?,
            };
            bytes.resize(state_len(policy, len), 0);
            if offset + bytes.len() as u64 > end || file.read_at(offset, &mut bytes).map_err(io("reading"))? < bytes.len() {
                return Err(damaged());
            }
            let mut rest = &bytes[..];
            match StateRef::take(&mut rest) {
                Some(StateRef::State { policy: found, key, state: Some(state) }) if found == policy && rest.is_empty() => visit(key, state),
                _ => return Err(damaged()),
            }
            open = Some((first, file));
        }
        Ok(())
    }

    /// What to say of a place where another state stands than the one written there.
    pub fn damaged_state(&self, place: u64) -> ReadError {
        let (first, offset, _) = self.segment_of(place);
        ReadError::Damaged { place: Place { file: path_of(first), offset }, fault: Fault::State }
    }

    /// The segment that a place is in, by its first sequence; where in it; and where what
    /// is durable of it ends.
    fn segment_of(&self, place: u64) -> (u64, u64, u64) {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let at = index.segments.partition_point(|segment| segment.start <= place);
        // The first begins with 0, and there is always one.
        at.checked_sub(1)
            .and_then(|at| index.segments.get(at))
            .map_or((1, place, 0), |segment| (segment.first, place - segment.start, segment.end))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ledger::faulty::{Failure, Faulty};
    use crate::ledger::journal::{Batch, Journal, StateChange};
    use crate::ledger::limits::Durability;
    use crate::ledger::tree::leaf_hash;

    /// A change that has this key and state.
    fn state(policy: &str, key: &str, state: Option<&str>) -> StateChange {
        StateChange::State { policy: policy.into(), key: key.as_bytes().into(), state: state.map(|state| state.as_bytes().to_vec()) }
    }

    /// Batches of one entry each, with changes between other changes; three records in
    /// segments of their own, of which one has two batches.
    fn journal(disk: &Faulty) -> (Journal, Vec<u64>) {
        let (mut journal, _) = Journal::open(Arc::new(disk.clone()), 0, 1, Durability::Sync, &mut |_, _| Ok(())).expect("opens");
        let mut places = Vec::new();
        for record in [1..=1u64, 2..=4, 5..=5] {
            let mut batches = Vec::new();
            for first in record {
                let line = format!("entry {first}");
                let mut batch =
                    Batch { first, leaves: vec![leaf_hash(line.as_bytes())], lines: format!("{line}\n").into(), states: Vec::new() };
                if first != 3 {
                    batch.states.push(StateChange::Forgotten { policy: "other".into() });
                    batch.states.push(state("policy", &format!("key {first}"), Some("state")));
                    batch.states.push(state("policy", "gone", None));
                    batch.states.push(StateChange::Timer {
                        policy: "policy".into(),
                        key: (*b"key").into(),
                        timer: Some((7, "source".into())),
                    });
                    batch.states.push(state("p", "key", Some(&"x".repeat(first as usize))));
                }
                journal.append(&batch).expect("appended");
                batches.push(batch);
            }
            journal.commit().expect("committed");
            let firsts = journal.placed();
            let with_changes: Vec<&Batch> = batches.iter().filter(|batch| !batch.states.is_empty()).collect();
            assert_eq!(firsts.len(), with_changes.len());
            places.extend(with_changes.iter().zip(firsts).flat_map(|(batch, first)| batch.places(first)));
        }
        assert!(journal.placed().is_empty());
        (journal, places)
    }

    #[test]
    fn a_state_is_read_where_the_writer_and_a_start_say_that_it_is() {
        let disk = Faulty::new(0);
        let (journal, places) = journal(&disk);
        let mut seen = Vec::new();
        drop(journal);
        let (journal, _) = Journal::open(Arc::new(disk.clone()), 0, 1, Durability::Sync, &mut |_, record| {
            for (place, change) in record.states() {
                if let StateRef::State { policy, key, state } = change {
                    seen.push((place, policy.to_string(), key.to_vec(), state.map(<[u8]>::to_vec)));
                }
            }
            Ok(())
        })
        .expect("opens");
        assert_eq!(seen.iter().map(|(place, ..)| *place).collect::<Vec<_>>(), places);
        let reader = journal.reader();
        let with_state: Vec<_> = seen.into_iter().filter_map(|(place, policy, key, state)| Some((place, policy, key, state?))).collect();
        assert_eq!(with_state.len(), 8);
        let wanted = with_state.iter().map(|(place, policy, key, state)| StateAt { policy, place: *place, bytes: key.len() + state.len() });
        let (opens, mut found) = (disk.operations().len(), Vec::new());
        reader.states(wanted.clone(), |key, state| found.push((key.to_vec(), state.to_vec()))).expect("readable");
        assert!(found.iter().eq(with_state.iter().map(|(_, _, key, state)| (key.clone(), state.clone())).collect::<Vec<_>>().iter()));
        let opens = disk.operations()[opens..].iter().filter(|what| what.starts_with("open")).count();
        assert_eq!(opens, 3, "each segment once");

        // Anything else than what was asked for is refused, with its place.
        let one = wanted.clone().next().expect("one");
        for other in [
            StateAt { place: one.place + 1, ..one },
            StateAt { bytes: one.bytes - 1, ..one },
            StateAt { bytes: one.bytes + 1, ..one },
            StateAt { bytes: 1 << 20, ..one },
            StateAt { policy: "police", ..one },
            StateAt { policy: "", bytes: one.bytes + 6, ..one },
            StateAt { place: 1 << 40, ..one },
        ] {
            let error = reader.states([other].into_iter(), |_, _| panic!("{other:?}")).expect_err("is not there");
            assert!(error.to_string().contains("not the state"), "{error}");
        }
        for operation in 0..2 {
            disk.fail(disk.operations().len() + operation, Failure::Before);
            let error = reader.states([one].into_iter(), |_, _| panic!("the disk failed")).expect_err("the disk failed");
            assert!(matches!(error, ReadError::Io { .. }), "{error}");
        }
        assert!(reader.states([one].into_iter(), |_, _| {}).is_ok());
    }
}
