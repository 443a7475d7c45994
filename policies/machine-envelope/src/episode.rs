//! The course that a data item takes: its latest sample, and the episode that it is in.

use ephor_sdk::prelude::*;

/// Which limit a value has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Low,
    High,
}

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Outside(Limit),
    /// Inside, but not by so much that an episode beyond this limit is over.
    Near(Limit),
    Inside,
}

/// What is remembered of a data item of a machine.
#[state]
pub struct Item {
    /// By time. A sample that is older is not the latest, whenever it comes.
    latest: Option<Sampled>,
    /// Whether it changed too fast up to the latest sample.
    is_fast: bool,
    episode: Option<Episode>,
}

/// A sample.
#[state]
#[derive(Clone, Copy)]
pub(crate) struct Sampled {
    pub(crate) time: Time,
    pub(crate) value: f64,
}

/// A time that an item is beyond one of its limits.
#[state]
pub(crate) struct Episode {
    is_high: bool,
    /// The times of its first sample, and of its latest.
    pub(crate) since: Time,
    until: Time,
    pub(crate) samples: u64,
    /// The value that is furthest outside.
    pub(crate) worst: f64,
    is_found: bool,
}

impl Item {
    /// Forgets everything if no sample came for longer than `gap` before this time.
    pub(crate) fn forget_across(&mut self, gap: Option<i64>, time: Time) {
        if let (Some(latest), Some(gap)) = (self.latest, gap)
            && time.micros_since(latest.time) > gap
        {
            *self = Self::default();
        }
    }

    /// The sample before, and whether `is_faster` says that the change since then is too
    /// fast for the first time. Nothing if that cannot be known: there is no sample with
    /// an earlier time, or this one is older than the latest.
    pub(crate) fn began_to_change_fast(&mut self, sample: Sampled, is_faster: impl Fn(f64, i64) -> bool) -> Option<Sampled> {
        let before = self.latest.filter(|latest| sample.time > latest.time)?;
        let was_fast = std::mem::replace(&mut self.is_fast, is_faster(sample.value - before.value, sample.time.micros_since(before.time)));
        (self.is_fast && !was_fast).then_some(before)
    }

    /// Takes a sample, and says which episode has become too long with it.
    pub(crate) fn see(&mut self, sample: Sampled, place: Place, is_long: impl Fn(u64, i64) -> bool) -> Option<(Limit, &Episode)> {
        if self.latest.is_none_or(|latest| sample.time >= latest.time) {
            self.latest = Some(sample);
        }
        match place {
            Place::Outside(limit) => {
                let is_high = limit == Limit::High;
                let episode = self.episode.take().filter(|episode| episode.is_high == is_high);
                let episode = self.episode.insert(episode.unwrap_or_else(|| Episode::begin(is_high, sample)));
                episode.samples = episode.samples.saturating_add(1);
                episode.until = episode.until.max(sample.time);
                episode.worst = if is_high { episode.worst.max(sample.value) } else { episode.worst.min(sample.value) };
                let was_found = episode.is_found;
                episode.is_found |= is_long(episode.samples, episode.until.micros_since(episode.since));
                (episode.is_found && !was_found).then_some((limit, &*episode))
            }
            Place::Near(limit) if self.episode.as_ref().is_some_and(|episode| episode.is_high == (limit == Limit::High)) => None,
            Place::Near(_) | Place::Inside => {
                self.episode = None;
                None
            }
        }
    }
}

impl Episode {
    fn begin(is_high: bool, first: Sampled) -> Self {
        Self { is_high, since: first.time, until: first.time, samples: 0, worst: first.value, is_found: false }
    }
}
