//! Which events were seen: (source, id) → sequence and digest, within a horizon of
//! event time.
//!
//! One table, 40 bytes a place. In memory; made again from the journal at a start.
//! Knows nothing of what events say.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::table::{self, SHARDS, Shard};

pub(crate) use crate::table::Key;

/// Microseconds since 1970, UTC.
type Micros = i64;

const DAY: Micros = 24 * 60 * 60 * 1_000_000;

/// Bits of a slot's last word that hold the day; the others hold the sequence.
const DAY_BITS: u32 = 16;

/// The largest sequence that fits beside a day: at a million events per second it
/// comes after nine years.
const SEQUENCE_MAX: u64 = u64::MAX >> DAY_BITS;

/// What is known of an event's (source, id).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Not seen within the horizon.
    New,
    /// Seen with the same bytes; the sequence of its entry.
    Same(u64),
    /// Seen with other bytes; the sequence of its entry, which has their digest.
    Other(u64),
    /// Older than what is remembered of its source, which is what happened from this
    /// time on (microseconds since 1970).
    Outside { from: i64 },
}

/// One remembered event. Free if the sequence is 0.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// The first half of a SHA-256 over a secret, source and id.
    key: Key,
    /// The start of the digest of the event's bytes.
    digest: [u8; DIGEST],
    /// Index of its source.
    source: u32,
    /// Sequence and day, see [`DAY_BITS`].
    word: u64,
}

/// Bytes of a digest that are remembered: enough that nobody makes a second event
/// with the same ones.
const DIGEST: usize = 12;

impl Slot {
    fn new(key: &Key, source: u32, sequence: u64, digest: &Digest, time: Micros) -> Self {
        assert!(sequence > 0 && sequence <= SEQUENCE_MAX, "sequences are counted from 1, and fit 48 bits: {sequence}");
        let mut start = [0; DIGEST];
        start.copy_from_slice(&digest.bytes()[..DIGEST]);
        Slot { key: *key, digest: start, source, word: sequence << DAY_BITS | u64::from(day(time)) }
    }

    /// What it says of an event with its key and this digest.
    fn known(&self, digest: &Digest) -> Known {
        match digest.bytes()[..DIGEST] == self.digest {
            true => Known::Same(self.sequence()),
            false => Known::Other(self.sequence()),
        }
    }

    fn sequence(&self) -> u64 {
        self.word >> DAY_BITS
    }

    fn day(&self) -> u16 {
        self.word as u16
    }
}

impl table::Slot for Slot {
    const FREE: Self = Slot { key: [0; 16], digest: [0; DIGEST], source: 0, word: 0 };

    fn key(&self) -> &Key {
        &self.key
    }

    fn is_free(&self) -> bool {
        self.word >> DAY_BITS == 0
    }
}

/// Remembered events.
///
/// Memory follows the largest number of events within the horizon at one time: 40
/// bytes a place, of which 7/10 to 7/8 are taken once there are more than a few
/// thousand. It is not given back when the number falls.
#[derive(Debug)]
pub(crate) struct Ids {
    secret: [u8; 16],
    shards: Vec<Shard<Slot>>,
    sources: Sources,
}

/// The sources, by index.
#[derive(Debug)]
struct Sources {
    indices: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
    /// The one that was asked for last.
    latest: u32,
    /// For each the greatest event time that it has shown.
    marks: Vec<Option<Micros>>,
    /// Days for which its events are remembered.
    horizon_days: u16,
}

impl Sources {
    /// The first day that is remembered of a source. Where events of earlier days still
    /// stand, they are known all the same; a shard drops them when it would have to
    /// grow.
    fn from(&self, source: u32) -> u16 {
        let mark = self.marks.get(source as usize).copied().flatten();
        mark.map_or(0, |mark| day(mark).saturating_sub(self.horizon_days))
    }

    fn keeps(&self, slot: &Slot) -> bool {
        slot.day() >= self.from(slot.source)
    }
}

/// The day of a time, for slots: days since 1970, up to the year 2149. Times
/// outside are taken for the nearest.
fn day(time: Micros) -> u16 {
    time.div_euclid(DAY).clamp(0, i64::from(u16::MAX)) as u16
}

impl Ids {
    /// Nothing is known yet. Ids are remembered for so many days of the event time of
    /// their source.
    pub fn new(horizon_days: u16) -> Self {
        // Each state is seeded by the system; what is hashed does not matter.
        let half = || RandomState::new().hash_one(0).to_le_bytes();
        let mut secret = [0; 16];
        secret[..8].copy_from_slice(&half());
        secret[8..].copy_from_slice(&half());
        let shards = std::iter::repeat_with(Shard::default).take(SHARDS).collect();
        let sources = Sources { indices: HashMap::new(), names: Vec::new(), latest: 0, marks: Vec::new(), horizon_days };
        Ids { secret, shards, sources }
    }

    /// The index of a source; a new one for one that was not seen before.
    pub fn source(&mut self, name: &str) -> u32 {
        // Events of one source mostly come together.
        let latest = self.sources.latest;
        if self.sources.names.get(latest as usize).is_some_and(|known| **known == *name) {
            return latest;
        }
        self.sources.latest = self.find_source(name);
        self.sources.latest
    }

    fn find_source(&mut self, name: &str) -> u32 {
        if let Some(index) = self.sources.indices.get(name) {
            return *index;
        }
        let index = self.sources.names.len() as u32;
        let name: Arc<str> = name.into();
        self.sources.names.push(name.clone());
        self.sources.marks.push(None);
        self.sources.indices.insert(name, index);
        index
    }

    /// The name of a source, by its index.
    pub fn name(&self, source: u32) -> &Arc<str> {
        &self.sources.names[source as usize]
    }

    /// The names of all sources, by index.
    pub fn names(&self) -> &[Arc<str>] {
        &self.sources.names
    }

    /// The greatest event time that a source has shown.
    pub fn mark(&self, source: u32) -> Option<Micros> {
        self.sources.marks[source as usize]
    }

    /// A source has shown an event time. Gives the greatest so far.
    pub fn advance(&mut self, source: u32, time: Micros) -> Micros {
        let mark = self.mark(source).map_or(time, |mark| mark.max(time));
        self.sources.marks[source as usize] = Some(mark);
        mark
    }

    /// The key of an event.
    pub fn key(&self, source: &str, id: &str) -> Key {
        let mut hasher = Sha256::new_with_prefix(self.secret);
        // The length of the first keeps ("ab", "c") and ("a", "bc") apart.
        hasher.update((source.len() as u64).to_le_bytes());
        hasher.update(source);
        hasher.update(id);
        let hash: [u8; 32] = hasher.finalize().into();
        let mut key = [0; 16];
        key.copy_from_slice(&hash[..16]);
        key
    }

    /// What is known of an event, given the digest of its bytes and when it happened.
    /// One that is new is remembered, under this sequence.
    ///
    /// # Panics
    ///
    /// As [`Ids::insert`].
    pub fn take(&mut self, key: &Key, source: u32, sequence: u64, digest: &Digest, time: Micros) -> Known {
        let shard = &mut self.shards[usize::from(key[0])];
        let mut at = match shard.find(key) {
            Ok(at) => return shard.at(at).known(digest),
            Err(at) => at,
        };
        let from = self.sources.from(source);
        if day(time) < from {
            return Known::Outside { from: Micros::from(from) * DAY };
        }
        if shard.make_room(|slot| self.sources.keeps(slot)) {
            at = shard.find(key).unwrap_or_else(|at| at);
        }
        shard.put(at, Slot::new(key, source, sequence, digest, time));
        Known::New
    }

    /// Remembers an event; in place of what was known of it. One from before the
    /// horizon is not remembered, unless it still is: then its sequence is corrected.
    ///
    /// # Panics
    ///
    /// If the sequence is 0 or beyond 2^48: the caller counts from 1.
    pub fn insert(&mut self, key: &Key, source: u32, sequence: u64, digest: &Digest, time: Micros) {
        let slot = Slot::new(key, source, sequence, digest, time);
        let shard = &mut self.shards[usize::from(key[0])];
        if let Ok(at) = shard.find(key) {
            *shard.at_mut(at) = slot;
            return;
        }
        if slot.day() < self.sources.from(source) {
            return;
        }
        shard.make_room(|slot| self.sources.keeps(slot));
        let (Ok(at) | Err(at)) = shard.find(key);
        shard.put(at, slot);
    }
}

#[cfg(test)]
impl Ids {
    /// What is known of an event; remembers nothing.
    pub fn check(&self, key: &Key, source: u32, digest: &Digest, time: Micros) -> Known {
        let shard = &self.shards[usize::from(key[0])];
        let from = self.sources.from(source);
        match shard.find(key) {
            Ok(at) => shard.at(at).known(digest),
            Err(_) if day(time) < from => Known::Outside { from: Micros::from(from) * DAY },
            Err(_) => Known::New,
        }
    }

    /// Number of events that are held, some of which may be forgotten already.
    pub fn held(&self) -> usize {
        self.shards.iter().map(Shard::taken).sum()
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.shards.iter().map(Shard::bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const _: () = assert!(size_of::<Slot>() == 40);

    fn digest(of: u8) -> Digest {
        Digest::of(&[of])
    }

    impl Ids {
        fn put(&mut self, source: &str, id: &str, sequence: u64, of: u8, time: Micros) {
            let (key, source) = (self.key(source, id), self.source(source));
            self.insert(&key, source, sequence, &digest(of), time);
            self.advance(source, time);
        }

        fn get(&mut self, source: &str, id: &str, of: u8, time: Micros) -> Known {
            let (key, source) = (self.key(source, id), self.source(source));
            self.check(&key, source, &digest(of), time)
        }
    }

    #[test]
    fn same_bytes_and_other_bytes_are_told_apart() {
        let mut ids = Ids::new(7);
        assert_eq!(ids.get("s", "1", 1, 0), Known::New);
        ids.put("s", "1", 7, 1, 0);
        assert_eq!(ids.get("s", "1", 1, 0), Known::Same(7));
        assert_eq!(ids.get("s", "1", 2, 0), Known::Other(7));
        assert_eq!(ids.get("s1", "", 1, 0), Known::New);
    }

    #[test]
    fn each_source_has_a_horizon_of_its_own() {
        let mut ids = Ids::new(7);
        ids.put("s", "a", 1, 1, 100 * DAY);
        assert_eq!(ids.get("s", "old", 1, 93 * DAY), Known::New);
        assert_eq!(ids.get("s", "older", 1, 93 * DAY - 1), Known::Outside { from: 93 * DAY });
        assert_eq!(ids.get("other", "older", 1, 0), Known::New);
        ids.put("s", "b", 2, 1, 120 * DAY);
        assert_eq!(ids.get("s", "a", 1, 100 * DAY), Known::Same(1), "known as long as it stands there");
        let source = ids.source("s");
        assert_eq!((ids.advance(source, 5), ids.mark(source)), (120 * DAY, Some(120 * DAY)), "a mark does not go back");
    }

    #[test]
    fn times_that_no_day_has_are_taken_for_the_nearest() {
        for time in [i64::MIN, -1, 0, i64::MAX] {
            let mut ids = Ids::new(7);
            ids.put("s", "a", 1, 1, time);
            assert_eq!(ids.get("s", "a", 1, time), Known::Same(1));
        }
    }

    /// A model: for each (source, id) what was remembered last, and marks.
    #[derive(Default)]
    struct Model {
        events: HashMap<(u8, u8), (u64, u8, Micros)>,
        marks: HashMap<u8, Micros>,
    }

    const HORIZON: u16 = 5;

    impl Model {
        /// The first day that has to be remembered.
        fn from(&self, source: u8) -> u16 {
            self.marks.get(&source).map_or(0, |mark| day(*mark).saturating_sub(HORIZON))
        }
    }

    /// An event: source, id, bytes, hours around the day of its batch. Where a source
    /// is slower than the others, its days are its own.
    fn events() -> impl Strategy<Value = Vec<(u8, u8, u8, i64)>> {
        prop::collection::vec((0u8..3, 0u8..50, 0u8..2, -300i64..100), 0..30)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// As admission does it: with sequences that are corrected once the batch was
        /// evaluated. None is taken twice, and none is refused that could not have been
        /// here before. All are in one shard, so that it forgets some of them.
        #[test]
        fn an_event_is_new_once(batches in prop::collection::vec((events(), 0u64..3), 0..60)) {
            let mut ids = Ids::new(HORIZON);
            let place = |ids: &mut Ids, source: u8, id: u8| {
                let name = source.to_string();
                let mut key = ids.key(&name, &id.to_string());
                key[0] = 0;
                (key, ids.source(&name))
            };
            let (mut model, mut next) = (Model::default(), 1);
            for ((events, timers), days) in batches.into_iter().zip(100..) {
                let mut fresh = Vec::new();
                for (source, id, of, hours) in events {
                    let time = days / i64::from(source + 1) * DAY + hours * (DAY / 24);
                    let from = model.from(source);
                    let (key, index) = place(&mut ids, source, id);
                    let before = model.events.get(&(source, id)).copied();
                    let forgotten = before.is_none_or(|(.., then)| day(then) < from);
                    match ids.take(&key, index, next, &digest(of), time) {
                        Known::New => {
                            prop_assert!(forgotten && day(time) >= from, "{:?} is new at {}, and from {}", before, day(time), from);
                            let mark = ids.advance(index, time);
                            model.events.insert((source, id), (next, of, time));
                            model.marks.insert(source, mark);
                            fresh.push((source, id));
                            next += 1;
                        }
                        Known::Same(sequence) => prop_assert_eq!(before.map(|(at, of, _)| (at, of)), Some((sequence, of))),
                        Known::Other(sequence) => prop_assert_eq!(before.map(|(at, of, _)| (at, of)), Some((sequence, 1 - of))),
                        Known::Outside { from: outside } => {
                            prop_assert!(forgotten && day(time) < from, "{:?} is outside at {}, and from {}", before, day(time), from);
                            prop_assert_eq!(outside, Micros::from(from) * DAY);
                        }
                    }
                }
                // Timers that fired among them took places of their own.
                for (source, id) in fresh {
                    let event = model.events.get_mut(&(source, id)).expect("remembered");
                    event.0 += timers;
                    let (key, index) = place(&mut ids, source, id);
                    ids.insert(&key, index, event.0, &digest(event.1), event.2);
                }
                next += timers;
            }
            let within = |(source, _): &(u8, u8), time: Micros| day(time) >= model.from(*source);
            let count = model.events.iter().filter(|(event, (.., time))| within(event, *time)).count();
            prop_assert!((count..=model.events.len()).contains(&ids.held()), "{} held of {}", ids.held(), count);
            for ((source, id), (sequence, of, time)) in &model.events {
                let (key, index) = place(&mut ids, *source, *id);
                let known = ids.check(&key, index, &digest(*of), *time);
                let outside = !within(&(*source, *id), *time) && matches!(known, Known::Outside { .. });
                prop_assert!(known == Known::Same(*sequence) || outside, "{:?}", known);
            }
        }
    }

    #[test]
    #[expect(clippy::print_stdout, reason = "the figure is what the test is for")]
    fn bytes_per_id() {
        let mut ids = Ids::new(7);
        let (mut low, mut high) = (f64::MAX, 0f64);
        for n in 1..=1_000_000u64 {
            ids.put("urn:example:fleet", &n.to_string(), n, n as u8, 0);
            if n > 100_000 && n % 10_000 == 0 {
                let each = ids.bytes() as f64 / n as f64;
                (low, high) = (low.min(each), high.max(each));
            }
        }
        println!("ids: {low:.1} to {high:.1} bytes per id between 100,000 and 1,000,000");
        assert!(high <= 66.0, "{high} bytes per id");

        // A steady stream over days needs no more than the horizon holds.
        let mut ids = Ids::new(7);
        for day in 0..40 {
            for n in 0..20_000u64 {
                ids.put("s", &format!("{day}/{n}"), n + 1, 0, day * DAY);
            }
        }
        let each = ids.bytes() as f64 / 160_000.0;
        println!("ids: {each:.1} bytes per id after 40 days of 20,000, of which 8 are remembered");
        assert!(each <= 110.0, "{each} bytes per id");
    }
}
