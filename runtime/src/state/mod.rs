//! Policies' memory: for each policy and key the bytes that the last event of the
//! key left. The host owns it; a policy sees the states of the keys in its batch.
//!
//! The ledger has every state. Those that were used lately are in memory too, within a
//! bound ([`hot`]); of the others only their place in the ledger is, and a keyed hash by
//! which a state that is read from there is known for what was written ([`index`]).
//! Whatever is asked about a policy's states, the answer never depends on which of them
//! are where.
//!
//! Knows nothing of where they are kept, nor of how policies are run: whoever has the
//! ledger passes an [`Archive`].

mod form;
mod hot;
mod index;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use crate::column::Cell;
use crate::table;
use hot::Hot;
use index::{Cold, Home, Index};

pub(crate) use form::Form;
pub use form::Handover;
pub(crate) use timers::{Timer, Timers};

/// A key, as bytes that are equal if and only if its fields' values are.
pub(crate) type Key = Box<[u8]>;

/// States with their keys, and the version of their encoding.
pub(crate) type Versioned = (u32, Vec<(Key, Vec<u8>)>);

/// The key of a row: the values of the key's fields. Key fields are required, and
/// rows without them do not get here.
pub(crate) fn key<'c, 'e: 'c>(cells: impl Iterator<Item = &'c Cell<'e>>) -> Key {
    let mut key = Vec::with_capacity(32);
    cells.for_each(|cell| cell.encode(&mut key));
    key.into()
}

/// What an entry takes beside its key and its state, about: their pointers and
/// what the allocator adds.
const ENTRY_BYTES: usize = 96;

/// All states of all policies.
#[derive(Debug, Default)]
pub(crate) struct States {
    /// Places in `spaces`, by policy.
    names: HashMap<Arc<str>, u16>,
    spaces: Vec<Option<Keyspace>>,
    hot: Hot,
    /// Bytes that states may take in memory, if there is a ledger that has them too.
    hot_bytes_max: Option<usize>,
    /// States that are in the ledger only.
    cold: usize,
    hashes: Hashes,
}

#[derive(Debug)]
struct Keyspace {
    policy: Arc<str>,
    /// How states are encoded, and what they are kept by.
    form: Form,
    index: Index,
    /// Bytes of keys and states together.
    bytes: usize,
}

/// Hashes under secrets of this process.
#[derive(Debug, Default)]
struct Hashes {
    // Each is seeded by the system.
    halves: [RandomState; 2],
    check: RandomState,
}

impl Hashes {
    /// 128 bits that stand for a key: no two keys have the same, and nobody who does not
    /// know the secrets can choose keys that would.
    fn key(&self, key: &[u8]) -> table::Key {
        let mut hash = [0; 16];
        for (half, state) in hash.chunks_exact_mut(8).zip(&self.halves) {
            half.copy_from_slice(&state.hash_one(key).to_le_bytes());
        }
        hash
    }

    /// By which a state that is read is known for what was written.
    fn check(&self, key: &[u8], state: &[u8]) -> u64 {
        self.check.hash_one((key, state))
    }
}

/// A state that is wanted and not in memory.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Whose it is.
    pub policy: Arc<str>,
    /// Where the ledger has it.
    pub place: u64,
    /// Bytes of key and state.
    pub bytes: usize,
    space: u16,
    key: table::Key,
    check: u64,
}

/// Whoever has the states that are not in memory.
pub(crate) trait Archive {
    /// Reads states, which are wanted in the order of their places; for each gives its
    /// key and itself. An error says what failed, where, and what to do.
    fn read(&self, wanted: &[Wanted]) -> Result<Vec<(Key, Vec<u8>)>, String>;

    /// What to say if something else stands at a place than what was written there.
    fn damaged(&self, place: u64) -> String;
}

impl States {
    /// States that are in a ledger as well, so that only so many bytes of them have to be
    /// in memory. What the ledger does not have yet is in memory in any case.
    pub fn within(hot_bytes_max: usize) -> Self {
        States { hot_bytes_max: Some(hot_bytes_max), ..States::default() }
    }

    /// The state of a key.
    ///
    /// # Panics
    ///
    /// If it is not in memory: whoever is about to judge a key has it loaded before
    /// ([`States::want`]). To take it for none would be a wrong verdict.
    pub fn get(&self, policy: &str, key: &Key) -> Option<&[u8]> {
        match self.space(policy)?.index.get(&self.hashes.key(key))? {
            Home::Hot(at) => Some(self.hot.state(at)),
            Home::Cold(_) => panic!("a key of {policy} is judged, and its state was not loaded"),
        }
    }

    /// Whether a key has a state.
    pub fn has(&self, policy: &str, key: &Key) -> bool {
        self.space(policy).is_some_and(|space| space.index.get(&self.hashes.key(key)).is_some())
    }

    /// Takes over what a key's state has become. Nothing, for a policy that keeps none.
    pub fn apply(&mut self, policy: &str, key: Key, state: Option<Vec<u8>>) {
        let at = self.put(policy, &key, state.as_deref(), 0);
        if self.hot_bytes_max.is_some() {
            self.hot.changed(at);
        }
    }

    /// Takes over what the ledger says of a key's state, which stands at this place.
    pub fn restore(&mut self, policy: &str, key: &[u8], state: Option<&[u8]>, place: u64) {
        self.put(policy, key, state, place);
    }

    /// Puts a key's state into memory; gives where. The ledger has it at this place, or
    /// nowhere yet (0).
    fn put(&mut self, policy: &str, key: &[u8], state: Option<&[u8]>, place: u64) -> Option<u32> {
        let number = *self.names.get(policy)?;
        let space = self.spaces[usize::from(number)].as_mut()?;
        let hash = self.hashes.key(key);
        let home = space.index.get(&hash);
        let before = match home {
            None => 0,
            Some(Home::Hot(at)) => ENTRY_BYTES + self.hot.len(at),
            Some(Home::Cold(cold)) => ENTRY_BYTES + cold.bytes as usize,
        };
        let after = state.map_or(0, |state| ENTRY_BYTES + key.len() + state.len());
        space.bytes = space.bytes + after - before;
        self.cold -= usize::from(matches!(home, Some(Home::Cold(_))));
        match (home, state) {
            (Some(Home::Hot(at)), Some(state)) => {
                self.hot.replace(at, state, place);
                Some(at)
            }
            (_, Some(state)) => {
                let at = self.hot.insert(number, key, state, place);
                space.index.set(hash, Home::Hot(at));
                Some(at)
            }
            (home, None) => {
                if let Some(Home::Hot(at)) = home {
                    self.hot.remove(at);
                }
                space.index.remove(&hash);
                None
            }
        }
    }

    /// The changes since the last call are on their way to the ledger, as one batch.
    pub fn hand_in(&mut self) {
        if self.hot_bytes_max.is_some() {
            self.hot.hand_in();
        }
    }

    /// The ledger has the next of the batches that were handed in: the places of its
    /// changes.
    pub fn settle(&mut self, places: &[u64]) {
        self.hot.settle(places);
    }

    /// Leaves to the ledger what is more than may be in memory.
    pub fn shrink(&mut self) {
        let Some(max) = self.hot_bytes_max else { return };
        while let Some((at, place)) = self.hot.surplus(max) {
            let (key, state) = self.hot.parts(at);
            let (hash, check, bytes) = (self.hashes.key(key), self.hashes.check(key, state), self.hot.len(at) as u32);
            if let Some(space) = &mut self.spaces[usize::from(self.hot.space(at))] {
                space.index.set(hash, Home::Cold(Cold { place, bytes, check }));
                self.cold += 1;
            }
            self.hot.remove(at);
        }
    }

    /// Whether every state is in memory.
    pub fn is_hot(&self) -> bool {
        self.cold == 0
    }

    /// A key is about to be judged: adds its state to what is wanted, if it is not in
    /// memory.
    pub fn want(&mut self, policy: &str, key: &Key, wanted: &mut Vec<Wanted>) {
        let Some(space) = self.names.get(policy) else { return };
        let hash = self.hashes.key(key);
        match self.spaces[usize::from(*space)].as_ref().and_then(|space| space.index.get(&hash)) {
            None => {}
            Some(Home::Hot(at)) => self.hot.touch(at),
            Some(Home::Cold(cold)) => wanted.extend(self.wanted(*space, hash, cold)),
        }
    }

    fn wanted(&self, space: u16, key: table::Key, Cold { place, bytes, check }: Cold) -> Option<Wanted> {
        let policy = self.spaces[usize::from(space)].as_ref()?.policy.clone();
        Some(Wanted { policy, place, bytes: bytes as usize, space, key, check })
    }

    /// Takes what is wanted into memory, where it stays until the next [`States::shrink`]
    /// at least. Gives how many states that were.
    ///
    /// # Errors
    ///
    /// If one cannot be read, or is not what was written: then none is taken.
    pub fn load(&mut self, mut wanted: Vec<Wanted>, archive: &dyn Archive) -> Result<usize, String> {
        let found = self.read(&mut wanted, archive)?;
        for (Wanted { space, key: hash, place, .. }, (key, state)) in wanted.iter().zip(&found) {
            if let Some(keyspace) = &mut self.spaces[usize::from(*space)] {
                keyspace.index.set(*hash, Home::Hot(self.hot.insert(*space, key, state, *place)));
                self.cold -= 1;
            }
        }
        Ok(found.len())
    }

    /// Reads what is wanted, each once, and holds it against what is known of it.
    fn read(&self, wanted: &mut Vec<Wanted>, archive: &dyn Archive) -> Result<Vec<(Key, Vec<u8>)>, String> {
        wanted.sort_unstable_by_key(|wanted| wanted.place);
        wanted.dedup_by_key(|wanted| wanted.place);
        let found = archive.read(wanted)?;
        let is = |(wanted, (key, state)): &(&Wanted, &(Key, Vec<u8>))| {
            self.hashes.key(key) == wanted.key && self.hashes.check(key, state) == wanted.check
        };
        match wanted.iter().zip(&found).find(|pair| !is(pair)) {
            Some((wanted, _)) => Err(archive.damaged(wanted.place)),
            None => Ok(found),
        }
    }

    fn space(&self, policy: &str) -> Option<&Keyspace> {
        self.spaces[usize::from(*self.names.get(policy)?)].as_ref()
    }

    /// Bytes of a policy's keys and states, wherever they are.
    pub fn bytes(&self, policy: &str) -> usize {
        self.space(policy).map_or(0, |space| space.bytes)
    }

    /// What would become of a policy's states, and whether its form would be another,
    /// if a release took over that has states in this form (absent for one that has
    /// none), can migrate those of other versions, and may or may not begin without.
    ///
    /// # Errors
    ///
    /// If the release would lose states and does not say that it may.
    pub fn hand_over(&self, policy: &str, form: Option<&Form>, migrates_from: &[u32], resets: bool) -> Result<(Handover, bool), String> {
        let Some(before) = self.space(policy) else { return Ok((Handover::None, form.is_some())) };
        let Some(form) = form else {
            return Ok((if before.index.keys() == 0 { Handover::None } else { Handover::Reset }, true));
        };
        let (keys, old) = (before.index.keys(), &before.form);
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
    ///
    /// # Errors
    ///
    /// If they have more bytes than this together, or one cannot be read.
    pub fn all(&self, policy: &str, bytes_max: usize, archive: &dyn Archive) -> Result<Versioned, String> {
        let Some(number) = self.names.get(policy) else { return Ok((0, Vec::new())) };
        let Some(space) = &self.spaces[usize::from(*number)] else { return Ok((0, Vec::new())) };
        let bytes = space.bytes - ENTRY_BYTES * space.index.keys();
        if bytes > bytes_max {
            return Err(format!(
                "the states of {} keys have {bytes} bytes; at most {bytes_max} can be taken over at once",
                space.index.keys()
            ));
        }
        let mut cold = Vec::new();
        let mut all = Vec::with_capacity(space.index.keys());
        for (key, home) in space.index.iter() {
            match home {
                Home::Cold(home) => cold.extend(self.wanted(*number, key, home)),
                Home::Hot(at) => {
                    let (key, state) = self.hot.parts(at);
                    all.push((key.into(), state.to_vec()));
                }
            }
        }
        all.extend(self.read(&mut cold, archive)?);
        Ok((space.form.version, all))
    }

    /// From now on the policy has states in this form, and none yet.
    pub fn begin(&mut self, policy: &str, form: Form) {
        self.forget(policy);
        let policy: Arc<str> = policy.into();
        let space = Some(Keyspace { policy: policy.clone(), form, index: Index::default(), bytes: 0 });
        let number = match self.spaces.iter().position(Option::is_none) {
            Some(free) => {
                self.spaces[free] = space;
                free
            }
            None => {
                self.spaces.push(space);
                self.spaces.len() - 1
            }
        };
        // There are not nearly as many policies.
        self.names.insert(policy, number as u16);
    }

    /// Drops a policy's states. Whether there was anything to drop.
    pub fn forget(&mut self, policy: &str) -> bool {
        let Some(number) = self.names.remove(policy) else { return false };
        let Some(space) = self.spaces[usize::from(number)].take() else { return false };
        let hot: Vec<u32> = if space.index.keys() > 0 { self.hot.of(number).collect() } else { Vec::new() };
        self.cold -= space.index.keys() - hot.len();
        hot.into_iter().for_each(|at| self.hot.remove(at));
        true
    }

    /// Number of keys that have a state, over all policies.
    pub fn keys(&self) -> usize {
        self.spaces.iter().flatten().map(|space| space.index.keys()).sum()
    }
}
