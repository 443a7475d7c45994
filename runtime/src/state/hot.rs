//! The states in memory, and which of them go when they are too many.
//!
//! A state may go once the ledger has it, which is where it is read from when its key
//! comes again. What was used since it was last looked at stays for another round
//! (second chance), so that keys that come once do not push out those that come often.

use std::collections::VecDeque;

/// What a state takes in memory beside its bytes and its key's, about: its entry here,
/// and what the allocator adds. Its place in the index stays when it goes.
const ENTRY_BYTES: usize = 48;

/// A place in the ledger that is not known yet has this bit, and the number of a change.
const CHANGE: u64 = 1 << 63;

/// Stands for a change that left no state.
const NONE: u32 = u32::MAX;

/// A state in memory.
#[derive(Debug, Default)]
struct Entry {
    /// The key, and behind it the state.
    bytes: Box<[u8]>,
    key_bytes: u32,
    /// Whose it is.
    space: u16,
    /// Whether it was used since the hand came by.
    used: bool,
    /// Where the ledger has it, or [`CHANGE`]; 0 if nothing is here.
    place: u64,
}

/// The states in memory.
#[derive(Debug, Default)]
pub(super) struct Hot {
    entries: Vec<Entry>,
    /// Entries that nothing is in.
    free: Vec<u32>,
    bytes: usize,
    /// The entry to look at next when there are too many.
    hand: usize,
    /// Number of the next change.
    next: u64,
    /// Changes since the last batch was handed in: which entry each is in.
    batch: Vec<u32>,
    /// Batches on their way to the ledger, each with the number of its first change.
    underway: VecDeque<(u64, Vec<u32>)>,
}

impl Hot {
    /// A state.
    pub fn state(&self, at: u32) -> &[u8] {
        self.parts(at).1
    }

    /// A key and its state.
    pub fn parts(&self, at: u32) -> (&[u8], &[u8]) {
        let Entry { bytes, key_bytes, .. } = &self.entries[at as usize];
        bytes.split_at(*key_bytes as usize)
    }

    /// Bytes of key and state.
    pub fn len(&self, at: u32) -> usize {
        self.entries[at as usize].bytes.len()
    }

    /// Whose state it is.
    pub fn space(&self, at: u32) -> u16 {
        self.entries[at as usize].space
    }

    /// It is wanted.
    pub fn touch(&mut self, at: u32) {
        self.entries[at as usize].used = true;
    }

    /// Takes up a state that the ledger has at a place, or 0 if there is no ledger.
    pub fn insert(&mut self, space: u16, key: &[u8], state: &[u8], place: u64) -> u32 {
        let bytes = [key, state].concat().into_boxed_slice();
        self.bytes += bytes.len() + ENTRY_BYTES;
        // What comes for the first time, or from the ledger, is not used yet.
        let entry = Entry { bytes, key_bytes: key.len() as u32, space, used: false, place: place.max(1) };
        if let Some(at) = self.free.pop() {
            self.entries[at as usize] = entry;
            return at;
        }
        self.entries.push(entry);
        self.entries.len() as u32 - 1
    }

    /// A key has another state.
    pub fn replace(&mut self, at: u32, state: &[u8], place: u64) {
        let entry = &mut self.entries[at as usize];
        (entry.used, entry.place) = (true, place.max(1));
        let key_bytes = entry.key_bytes as usize;
        if entry.bytes.len() == key_bytes + state.len() {
            entry.bytes[key_bytes..].copy_from_slice(state);
            return;
        }
        let bytes = [&entry.bytes[..key_bytes], state].concat().into_boxed_slice();
        self.bytes = self.bytes + bytes.len() - entry.bytes.len();
        entry.bytes = bytes;
    }

    /// A state is not here any more.
    pub fn remove(&mut self, at: u32) {
        self.bytes -= self.len(at) + ENTRY_BYTES;
        self.entries[at as usize] = Entry::default();
        self.free.push(at);
    }

    /// All of a policy.
    pub fn of(&self, space: u16) -> impl Iterator<Item = u32> {
        let entries = (0..).zip(&self.entries);
        entries.filter(move |(_, entry)| entry.place != 0 && entry.space == space).map(|(at, _)| at)
    }

    /// A state has changed with the batch that is judged, which the ledger does not have
    /// yet; or there is none any more.
    pub fn changed(&mut self, at: Option<u32>) {
        if let Some(at) = at {
            self.entries[at as usize].place = CHANGE | self.next;
        }
        self.batch.push(at.unwrap_or(NONE));
        self.next += 1;
    }

    /// The batch that is judged goes to the ledger.
    pub fn hand_in(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        self.underway.push_back((self.next - batch.len() as u64, batch));
    }

    /// The ledger has the changes of the next batch at these places.
    pub fn settle(&mut self, places: &[u64]) {
        let Some((first, batch)) = self.underway.pop_front() else { return };
        for ((number, at), place) in (first..).zip(batch).zip(places) {
            // There may be something else by now: another state of the key, or of
            // another one.
            if let Some(entry) = self.entries.get_mut(at as usize)
                && entry.place == CHANGE | number
            {
                entry.place = *place;
            }
        }
    }

    /// If all together take more than this, one that may go, with where the ledger has it.
    pub fn surplus(&mut self, bytes_max: usize) -> Option<(u32, u64)> {
        if self.bytes <= bytes_max {
            return None;
        }
        // After once around, none is used.
        for _ in 0..2 * self.entries.len() {
            self.hand = if self.hand + 1 < self.entries.len() { self.hand + 1 } else { 0 };
            let entry = &mut self.entries[self.hand];
            match entry.place {
                0 => {}
                place if place & CHANGE != 0 => {}
                _ if entry.used => entry.used = false,
                place => return Some((self.hand as u32, place)),
            }
        }
        None
    }
}

#[cfg(test)]
impl Hot {
    /// Bytes of memory, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const _: () = assert!(size_of::<Entry>() == 32);

    /// A state of which the ledger knows.
    fn insert(hot: &mut Hot, key: u8) -> u32 {
        hot.insert(0, &[key], &[1, 2, 3], 100 + u64::from(key))
    }

    #[test]
    fn what_is_used_stays_for_another_round() {
        let mut hot = Hot::default();
        let at: Vec<u32> = (0..4).map(|key| insert(&mut hot, key)).collect();
        hot.touch(at[1]);
        let max = hot.bytes() - 1;
        let mut gone = Vec::new();
        for _ in 0..3 {
            let (one, place) = hot.surplus(max).expect("one too many");
            gone.push(hot.parts(one).0[0]);
            assert_eq!(place, 100 + u64::from(gone[gone.len() - 1]));
            hot.remove(one);
            insert(&mut hot, 10 + gone.len() as u8);
        }
        assert!(!gone.contains(&1), "{gone:?}");
        assert_eq!(hot.surplus(max + 1), None);
    }

    #[test]
    fn what_the_ledger_does_not_have_stays() {
        let mut hot = Hot::default();
        let (one, other) = (insert(&mut hot, 1), insert(&mut hot, 2));
        for at in [one, other] {
            hot.changed(Some(at));
        }
        hot.changed(None);
        hot.hand_in();
        hot.replace(other, &[4], 0);
        hot.changed(Some(other));
        hot.hand_in();
        assert_eq!(hot.surplus(0), None, "nothing is durable");
        hot.settle(&[500, 600, 700]);
        assert_eq!(hot.surplus(0), Some((one, 500)), "the other one has changed again");
        hot.remove(one);
        assert_eq!(hot.surplus(0), None);
        let third = hot.insert(0, &[3], &[], 0);
        assert_eq!(third, one, "places are used again");
        hot.changed(Some(third));
        hot.hand_in();
        hot.settle(&[800]);
        assert_eq!((hot.surplus(0), hot.state(other)), (Some((other, 800)), [4].as_slice()));
    }
}
