//! States that are not in memory: they are read from the ledger before a batch is judged
//! that has their keys, and go back to it once it has what became of them.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use rayon::prelude::*;

use super::commit::Ended;
use super::evaluate::Round;
use super::set::Set;
use super::spine::Memory;
use super::timed::Course;
use crate::ledger::{self, Reader, StateAt};
use crate::projection::readable;
use crate::state::{Archive, Key, Timer, Versioned, Wanted};
use crate::stats::Stats;
use crate::trace::Way;

/// Reads of the disk that are under way at the same time. They wait for the disk and not
/// for a processor, so that they are more than there are cores.
// In a simulation one after the other, so that they come in the same order each time.
const READS: usize = if cfg!(test) { 1 } else { 16 };

/// States below which waking threads takes longer than reading them one by one.
const SPREAD_MIN: usize = 8;

/// The ledger, as the spine needs it for states.
pub(super) struct Shelf {
    reader: Reader,
    pool: rayon::ThreadPool,
    /// For each batch that became durable, in their order, where its states are.
    placed: Receiver<Vec<u64>>,
    /// Why the ledger takes nothing any more.
    failure: Arc<OnceLock<String>>,
}

impl Shelf {
    /// Starts the threads that read.
    pub fn new(reader: Reader, placed: Receiver<Vec<u64>>, failure: Arc<OnceLock<String>>) -> Result<Self, rayon::ThreadPoolBuildError> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(READS).thread_name(|index| format!("read-{index}")).build()?;
        Ok(Shelf { reader, pool, placed, failure })
    }
}

fn read(reader: &Reader, wanted: &[Wanted]) -> Result<Vec<(Key, Vec<u8>)>, String> {
    let mut found = Vec::with_capacity(wanted.len());
    let places = wanted.iter().map(|wanted| StateAt { policy: &wanted.policy, place: wanted.place, bytes: wanted.bytes });
    let read = reader.states(places, |key, state| found.push((key.into(), state.to_vec())));
    read.map(|()| found).map_err(|error| format!("a state cannot be read: {error}"))
}

impl Archive for Shelf {
    fn read(&self, wanted: &[Wanted]) -> Result<Vec<(Key, Vec<u8>)>, String> {
        if wanted.len() < SPREAD_MIN {
            return read(&self.reader, wanted);
        }
        // Neighbours are read by the same thread: they are in the same segment.
        let part = wanted.len().div_ceil(READS);
        let reader = &self.reader;
        let parts: Vec<_> = self.pool.install(|| wanted.par_chunks(part).map(|some| read(reader, some)).collect::<Result<_, _>>())?;
        Ok(parts.into_iter().flatten().collect())
    }

    fn damaged(&self, place: u64) -> String {
        format!("a state cannot be read: {}", self.reader.damaged_state(place))
    }
}

/// For a runtime without a ledger, whose states are all in memory.
struct Nowhere;

impl Archive for Nowhere {
    fn read(&self, wanted: &[Wanted]) -> Result<Vec<(Key, Vec<u8>)>, String> {
        wanted.first().map_or(Ok(Vec::new()), |wanted| Err(self.damaged(wanted.place)))
    }

    fn damaged(&self, _: u64) -> String {
        "there is no ledger to read a state from".to_string()
    }
}

impl Memory {
    /// Whoever has the states that are not in memory.
    fn archive(&self) -> &dyn Archive {
        match &self.shelf {
            Some(shelf) => shelf,
            None => &Nowhere,
        }
    }

    /// Leaves states to the ledger that are durable by now, where they are too many.
    pub fn shrink(&mut self) {
        let Some(shelf) = &self.shelf else { return };
        shelf.placed.try_iter().for_each(|places| self.states.settle(&places));
        self.states.shrink();
    }

    /// The version and all states of a policy, with their keys, for a release that takes
    /// them over.
    pub fn all(&self, states: &str) -> Result<Versioned, String> {
        self.states.all(states, ledger::BATCH_BYTES_MAX, self.archive())
    }

    /// The state of one key, for whoever only looks at it.
    pub fn state(&mut self, states: &str, key: &Key) -> Result<Option<Vec<u8>>, String> {
        let mut wanted = Vec::new();
        self.states.want(states, key, &mut wanted);
        let archive: &dyn Archive = match &self.shelf {
            Some(shelf) => shelf,
            None => &Nowhere,
        };
        self.states.load(wanted, archive)?;
        Ok(self.states.get(states, key).map(<[u8]>::to_vec))
    }

    /// Bytes in the ledger, about, of what a release takes over: states and timers, which
    /// are kept under this from then on.
    pub fn bytes_of(&self, states: &str, keys: &[(Key, Option<Vec<u8>>)], timers: &[(Key, Timer)]) -> usize {
        // Kind, lengths and time.
        const EACH: usize = 32;
        let state = |(key, state): &(Key, Option<Vec<u8>>)| EACH + states.len() + key.len() + state.as_ref().map_or(0, Vec::len);
        let timer = |(key, timer): &(Key, Timer)| EACH + states.len() + key.len() + self.admission.source(timer.source).len();
        keys.iter().map(state).chain(timers.iter().map(timer)).sum()
    }

    /// Takes the states of all keys into memory that a round may change.
    ///
    /// If the disk does not give one as it was written, the runtime ends, as after a
    /// failed write, and says why: no verdict may rest on a state that is not the key's,
    /// and none can be given without leaving a hole in the state for good.
    pub fn load(&mut self, set: &Set, round: &Round<'_>, course: &Course, stats: &Stats, way: Option<&mut Way>) -> Result<(), Ended> {
        let Some(shelf) = self.shelf.as_ref().filter(|_| !self.states.is_hot()) else { return Ok(()) };
        let began = Instant::now();
        let mut wanted = Vec::new();
        for member in round.members() {
            let policy = &set.members[member];
            if !policy.is_keyed() {
                continue;
            }
            for row in round.rows_of(set, member) {
                let row = round.row(row as usize, member);
                if readable(policy.fields(), row).is_ok() {
                    self.states.want(&policy.states, &policy.key(row), &mut wanted);
                }
            }
        }
        for (source, watermark) in course.watermarks() {
            for (states, key) in self.timers.due(source, watermark) {
                if set.members.iter().any(|member| member.states == *states) {
                    self.states.want(states, key, &mut wanted);
                }
            }
        }
        let loaded = self.states.load(wanted, shelf).map_err(|error| {
            if shelf.failure.set(error.clone()).is_ok() {
                tracing::error!(%error, "The ledger failed; nothing is taken any more");
            }
            Ended
        })?;
        stats.state_reads.inc_by(loaded as u64);
        stats.stage("load", began, way);
        Ok(())
    }
}
