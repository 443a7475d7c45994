//! What a runtime is made of, before its threads are started.
//!
//! Each part does one step at a time and waits for nothing but what it is given next. Here
//! every part gets a thread of its own; the simulation (`simulation/`) has all of
//! them on one thread, and chooses whose turn it is.

use std::io;

use super::change::Change;
use super::commit::Stages;
use super::contents::Erasing;
use super::heartbeats;
use super::spine::{Beginning, Spine};
use crate::sequencer::{Sequencer, WeakEntrance};

/// What a runtime does by itself: one thread for each, once they are started.
pub(super) struct Parts {
    pub spine: Spine,
    pub sequencer: Sequencer<Change>,
    pub beginning: Beginning,
    /// Absent without a ledger.
    pub stages: Option<Stages>,
    /// Absent where no content is kept.
    pub erasing: Option<Erasing>,
    /// Whom to hand the time to, if anybody.
    pub ticks: Option<WeakEntrance<Change>>,
}

impl Parts {
    pub fn start(self) -> io::Result<()> {
        let Parts { spine, sequencer, beginning, stages, erasing, ticks } = self;
        stages.map_or(Ok(()), Stages::start)?;
        spine.start(sequencer, beginning)?;
        erasing.map_or(Ok(()), Erasing::start)?;
        ticks.map_or(Ok(()), heartbeats::tick)
    }
}
