//! Small slots under 16 bytes of a hash, millions of them, in little more memory than
//! the slots themselves: open addressing, in shards that grow one by one.
//!
//! Knows nothing of what slots say.

/// Half of a hash under a secret. Nobody outside knows the secret, so nobody can choose
/// keys that meet in one place of a table.
pub(crate) type Key = [u8; 16];

/// Shards of a table, so that it grows in steps of a few hundred microseconds instead of
/// one of seconds, and needs no second table of its own size meanwhile. The first byte
/// of a key chooses one.
pub(crate) const SHARDS: usize = 256;

/// Slots behind a shard's last place that are allocated with it, for what is pushed
/// there.
const SPARE: usize = 16;

/// What a table holds.
pub(crate) trait Slot: Copy {
    /// A slot that nothing is in.
    const FREE: Self;

    /// What it is found by.
    fn key(&self) -> &Key;

    /// Whether nothing is in it.
    fn is_free(&self) -> bool;
}

/// Slots in the order of their keys, each at or behind the place that its key
/// points to (linear probing, sorted). A search ends at the first larger key, which
/// keeps it short in a table that is nearly full.
#[derive(Debug)]
pub(crate) struct Shard<S> {
    slots: Vec<S>,
    taken: usize,
    /// Places that a key can point to; the slots behind them are for what is pushed
    /// beyond the end, so that nothing ever wraps around.
    places: usize,
}

impl<S> Default for Shard<S> {
    fn default() -> Self {
        Shard { slots: Vec::new(), taken: 0, places: 0 }
    }
}

impl<S: Slot> Shard<S> {
    /// Where the search for a key begins. The first byte chose the shard.
    fn place(&self, key: &Key) -> usize {
        let head = u64::from_be_bytes([key[1], key[2], key[3], key[4], key[5], key[6], key[7], key[8]]);
        ((u128::from(head) * self.places as u128) >> 64) as usize
    }

    /// Where the slot of a key is, or the one that it would have to be put in front of.
    pub fn find(&self, key: &Key) -> Result<usize, usize> {
        let mut at = self.place(key);
        while let Some(slot) = self.slots.get(at) {
            if slot.is_free() || slot.key() > key {
                return Err(at);
            }
            if slot.key() == key {
                return Ok(at);
            }
            at += 1;
        }
        Err(at)
    }

    /// A slot, by what [`Shard::find`] found.
    pub fn at(&self, at: usize) -> &S {
        &self.slots[at]
    }

    /// The same, to be changed; its key stays.
    pub fn at_mut(&mut self, at: usize) -> &mut S {
        &mut self.slots[at]
    }

    /// Puts a slot where [`Shard::find`] found that it belongs. There is room.
    pub fn put(&mut self, at: usize, slot: S) {
        let free = self.slots[at..].iter().position(S::is_free);
        match free {
            Some(free) => self.slots.copy_within(at..at + free, at + 1),
            // Pushed beyond the end. Rare, and short: keys are spread evenly.
            None => {
                self.extend(self.slots.len() + 1);
                let end = self.slots.len() - 1;
                self.slots.copy_within(at..end, at + 1);
            }
        }
        self.slots[at] = slot;
        self.taken += 1;
    }

    /// Takes a slot out. Those that were pushed behind their places move up.
    pub fn remove(&mut self, at: usize) -> S {
        let slot = self.slots[at];
        let pushed = |end: &usize| self.slots.get(*end).is_some_and(|slot| !slot.is_free() && self.place(slot.key()) < *end);
        let end = (at + 1..).find(|end| !pushed(end)).unwrap_or(at + 1);
        self.slots.copy_within(at + 1..end, at);
        self.slots[end - 1] = S::FREE;
        self.taken -= 1;
        slot
    }

    /// Makes room for one more: drops what is not kept, then grows if that was not
    /// enough.
    ///
    /// Whether slots are elsewhere than before.
    pub fn make_room(&mut self, keeps: impl Fn(&S) -> bool) -> bool {
        if (self.taken + 1) * 8 <= self.places * 7 {
            return false;
        }
        let keeps = |slot: &S| !slot.is_free() && keeps(slot);
        let alive = self.slots.iter().filter(|slot| keeps(slot)).count();
        // A quarter more than needed, or what there is if a fair part of it is free
        // again: a shard that drops a little each time would be copied each time.
        let places = if (alive + 1) * 4 <= self.places * 3 { self.places } else { ((alive + 1) * 10 / 7).max(8) };
        let mut slots = Vec::with_capacity(places + SPARE);
        slots.resize(places, S::FREE);
        let old = std::mem::replace(self, Shard { slots, taken: 0, places });
        // In the order of their keys, so that each goes behind the one before it.
        let mut end = 0;
        for slot in old.slots.into_iter().filter(keeps) {
            let at = self.place(slot.key()).max(end);
            self.extend(at + 1);
            self.slots[at] = slot;
            self.taken += 1;
            end = at + 1;
        }
        true
    }

    /// What is in it.
    pub fn iter(&self) -> impl Iterator<Item = &S> {
        self.slots.iter().filter(|slot| !slot.is_free())
    }

    /// Has at least so many slots, with a few to spare where the vector would double
    /// itself.
    fn extend(&mut self, len: usize) {
        if len > self.slots.len() {
            self.slots.reserve_exact(len - self.slots.len() + SPARE);
            self.slots.resize(len, S::FREE);
        }
    }
}

#[cfg(test)]
impl<S> Shard<S> {
    /// Number of slots that are taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<S>() + size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Number(Key, u32);

    impl Slot for Number {
        const FREE: Self = Number([0; 16], 0);

        fn key(&self) -> &Key {
            &self.0
        }

        fn is_free(&self) -> bool {
            self.1 == 0
        }
    }

    /// Keys that crowd: at the ends, beside each other.
    fn key() -> impl Strategy<Value = Key> {
        (0usize..8, 0u8..24).prop_map(|(place, low)| {
            let mut key = [0; 16];
            key[1] = [0, 1, 127, 128, 129, 253, 254, 255][place];
            key[2] = if place % 2 == 0 { 255 } else { 0 };
            key[15] = low;
            key
        })
    }

    proptest! {
        #[test]
        fn a_shard_is_a_map(steps in prop::collection::vec((key(), prop::option::weighted(0.6, 1..u32::MAX)), 1..600)) {
            let (mut shard, mut map) = (Shard::<Number>::default(), BTreeMap::new());
            for (key, number) in steps {
                match (number, shard.find(&key)) {
                    (Some(number), Ok(at)) => shard.at_mut(at).1 = number,
                    (Some(number), Err(_)) => {
                        shard.make_room(|_| true);
                        let (Ok(at) | Err(at)) = shard.find(&key);
                        shard.put(at, Number(key, number));
                    }
                    (None, Ok(at)) => prop_assert_eq!(Some(shard.remove(at).1), map.get(&key).copied()),
                    (None, Err(_)) => prop_assert!(!map.contains_key(&key)),
                }
                match number {
                    Some(number) => map.insert(key, number),
                    None => map.remove(&key),
                };
                prop_assert!(shard.iter().map(|slot| (slot.0, slot.1)).eq(map.clone()), "in the order of the keys");
                prop_assert_eq!(shard.taken(), map.len());
            }
            for (key, number) in map {
                prop_assert_eq!(shard.find(&key).map(|at| shard.at(at).1), Ok(number));
            }
        }
    }
}
