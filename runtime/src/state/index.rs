//! Where the states of a policy are: in memory, or in the ledger only. All that is kept
//! in memory of a key whose state is not.

use crate::table::{self, SHARDS, Shard};

/// Where a key's state is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// In memory, at this place among those that are.
    Hot(u32),
    /// In the ledger only.
    Cold(Cold),
}

/// A state that is in the ledger only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cold {
    /// Where in the ledger; never 0.
    pub place: u64,
    /// Bytes of key and state.
    pub bytes: u32,
    /// What a keyed hash over key and state gives.
    pub check: u64,
}

/// A key, by 128 bits of a keyed hash of it. Free if the word is 0.
#[derive(Debug, Clone, Copy)]
struct Slot {
    key: table::Key,
    /// A [`Cold::place`], or [`HOT`] with a place in memory. In bytes, as the check, so
    /// that a slot is no larger than what is in it.
    word: [u8; 8],
    check: [u8; 8],
    bytes: u32,
}

const _: () = assert!(size_of::<Slot>() == 36);

/// Says that a word is a place in memory.
const HOT: u64 = 1 << 63;

impl table::Slot for Slot {
    const FREE: Self = Slot { key: [0; 16], word: [0; 8], check: [0; 8], bytes: 0 };

    fn key(&self) -> &table::Key {
        &self.key
    }

    fn is_free(&self) -> bool {
        self.word == [0; 8]
    }
}

impl Slot {
    fn new(key: table::Key, home: Home) -> Self {
        match home {
            Home::Hot(at) => Slot { key, word: (HOT | u64::from(at)).to_le_bytes(), check: [0; 8], bytes: 0 },
            Home::Cold(Cold { place, bytes, check }) => Slot { key, word: place.to_le_bytes(), check: check.to_le_bytes(), bytes },
        }
    }

    fn home(&self) -> Home {
        match u64::from_le_bytes(self.word) {
            word if word & HOT != 0 => Home::Hot(word as u32),
            place => Home::Cold(Cold { place, bytes: self.bytes, check: u64::from_le_bytes(self.check) }),
        }
    }
}

/// Where the states of a policy are, by key.
#[derive(Debug)]
pub(super) struct Index {
    shards: Vec<Shard<Slot>>,
    keys: usize,
}

impl Default for Index {
    fn default() -> Self {
        Index { shards: std::iter::repeat_with(Shard::default).take(SHARDS).collect(), keys: 0 }
    }
}

impl Index {
    /// Where a key's state is, if it has one.
    pub fn get(&self, key: &table::Key) -> Option<Home> {
        let shard = &self.shards[usize::from(key[0])];
        shard.find(key).ok().map(|at| shard.at(at).home())
    }

    /// A key's state is here from now on.
    pub fn set(&mut self, key: table::Key, home: Home) {
        let shard = &mut self.shards[usize::from(key[0])];
        let slot = Slot::new(key, home);
        let mut at = match shard.find(&key) {
            Ok(at) => {
                *shard.at_mut(at) = slot;
                return;
            }
            Err(at) => at,
        };
        if shard.make_room(|_| true) {
            at = shard.find(&key).unwrap_or_else(|at| at);
        }
        shard.put(at, slot);
        self.keys += 1;
    }

    /// A key has no state any more.
    pub fn remove(&mut self, key: &table::Key) {
        let shard = &mut self.shards[usize::from(key[0])];
        if let Ok(at) = shard.find(key) {
            shard.remove(at);
            self.keys -= 1;
        }
    }

    /// Number of keys that have a state.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// All keys with their states' homes.
    pub fn iter(&self) -> impl Iterator<Item = (table::Key, Home)> {
        self.shards.iter().flat_map(Shard::iter).map(|slot| (slot.key, slot.home()))
    }
}

#[cfg(test)]
impl Index {
    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.shards.iter().map(Shard::bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_read_back() {
        let cold = Home::Cold(Cold { place: HOT - 1, bytes: u32::MAX, check: u64::MAX });
        for home in [Home::Hot(0), Home::Hot(u32::MAX), Home::Cold(Cold { place: 1, bytes: 0, check: 0 }), cold] {
            let slot = Slot::new([9; 16], home);
            assert!(!table::Slot::is_free(&slot));
            assert_eq!(slot.home(), home);
        }
    }

    #[test]
    fn a_cold_key_takes_less_than_60_bytes() {
        let mut index = Index::default();
        let mut highest = 0f64;
        let mut key = [0u8; 16];
        for number in 1..=400_000u64 {
            // Evenly spread, as hashes are: multiples of an odd number.
            key[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            index.set(key, Home::Cold(Cold { place: number, bytes: 1, check: number }));
            if number >= 100_000 && number % 1_000 == 0 {
                highest = highest.max(index.bytes() as f64 / index.keys() as f64);
            }
        }
        assert!(highest < 60.0, "{highest:.1} bytes");
    }
}
