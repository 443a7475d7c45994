//! A runtime whose parts are all on one thread: whoever has it says whose turn it is, and
//! how much of what waits is done then.

use std::collections::VecDeque;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::ledger::faulty::Faulty;
use crate::ledger::{self, Ledger};
use crate::runtime::change::Change;
use crate::runtime::commit::{Committer, Work};
use crate::runtime::contents::Erasing;
use crate::runtime::keep::Keeping;
use crate::runtime::parts::Parts;
use crate::runtime::spine::{Beginning, Spine};
use crate::runtime::{Builder, Runtime, recover};
use crate::sandbox::{self, Sandbox};
use crate::sequencer::{Limits, Sequencer, Step};

/// Small, so that a run has several.
const SEGMENT_BYTES: u64 = 6_000;

/// A future that is asked by hand.
pub(super) type Asked<T> = Pin<Box<dyn Future<Output = T>>>;

/// What a future gives, if it is ready.
pub(super) fn ask<T>(future: &mut Asked<T>) -> Option<T> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// What a future gives that never waits.
pub(super) fn at_once<T>(future: impl Future<Output = T> + 'static) -> T {
    ask(&mut (Box::pin(future) as Asked<T>)).expect("nothing to wait for")
}

/// The one engine of all runs: making one takes longer than most of them.
fn engine() -> Arc<Sandbox> {
    static ENGINE: OnceLock<Arc<Sandbox>> = OnceLock::new();
    ENGINE.get_or_init(|| Sandbox::new(sandbox::Limits::default()).expect("an engine")).clone()
}

/// The folder of what releases are made of, which is the same in all runs.
fn releases() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder")).path()
}

/// What a runtime is made with.
#[derive(Clone)]
pub(super) struct Settings {
    pub spine: Limits,
    pub ledger: ledger::Limits,
    /// Where its tiles are.
    pub tiles: PathBuf,
}

/// The parts, as long as they have not ended.
pub(super) struct Machine {
    runtime: Runtime,
    spine: Option<(Spine, Sequencer<Change>)>,
    beginning: Option<Beginning>,
    keeping: Option<(Keeping, Receiver<Work>)>,
    committer: Option<(Committer, Receiver<Work>)>,
    erasing: Option<Erasing>,
    /// What waits for its content to be kept, and what for its commit.
    pub to_keep: VecDeque<Work>,
    pub to_commit: VecDeque<Work>,
    keeps: bool,
}

impl Machine {
    /// Takes up a disk.
    pub fn open(disk: &Faulty, settings: &Settings) -> Result<Machine, String> {
        let Settings { spine, ledger, tiles } = settings.clone();
        let disk = Arc::new(disk.clone());
        let builder = Builder::default().worker("none").data(releases()).spine(spine).ledger(ledger);
        let made = builder.assemble(engine(), move |directory, ledger, spine| {
            recover::take_up(directory, ledger, spine, |visit| Ledger::open_in(disk, &tiles, SEGMENT_BYTES, ledger, visit))
        });
        let (runtime, parts) = made.map_err(|error| error.to_string())?;
        let Parts { spine, sequencer, beginning, stages, erasing, .. } = parts;
        let stages = stages.expect("there is a ledger");
        Ok(Machine {
            runtime,
            spine: Some((spine, sequencer)),
            beginning: Some(beginning),
            keeps: stages.keeping.is_some(),
            keeping: stages.keeping,
            committer: Some((stages.committer, stages.waiting)),
            erasing,
            to_keep: VecDeque::new(),
            to_commit: VecDeque::new(),
        })
    }

    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Whether a part has ended, because it could not write or read.
    pub fn is_failed(&self) -> bool {
        self.spine.is_none() || self.committer.is_none() || self.keeps && self.keeping.is_none()
    }

    /// Notes the start. False if it ended.
    pub fn begin(&mut self) -> bool {
        let (Some((spine, _)), Some(beginning)) = (&mut self.spine, self.beginning.take()) else { return false };
        let done = spine.begin(beginning).is_ok();
        self.handed_in(done)
    }

    /// What the spine would do next.
    pub fn next(&mut self) -> Option<Step<Change>> {
        let (_, sequencer) = self.spine.as_mut()?;
        if sequencer.is_idle() { None } else { sequencer.next() }
    }

    /// Has the spine do it. False if it ended.
    pub fn step(&mut self, step: Step<Change>) -> bool {
        let Some((spine, _)) = &mut self.spine else { return false };
        let done = spine.step(step).is_ok();
        self.handed_in(done)
    }

    fn handed_in(&mut self, done: bool) -> bool {
        if !done {
            self.spine = None;
        }
        match &self.keeping {
            Some((_, waiting)) => self.to_keep.extend(waiting.try_iter()),
            None => self.to_commit.extend(self.committer.iter().flat_map(|(_, waiting)| waiting.try_iter())),
        }
        done
    }

    /// Has the content of some batches kept.
    pub fn keep(&mut self, count: usize) {
        let group: Vec<Work> = self.to_keep.drain(..count.min(self.to_keep.len())).collect();
        let Some((keeping, _)) = self.keeping.as_mut().filter(|_| !group.is_empty()) else { return };
        let (_, nothing_more) = mpsc::channel();
        if keeping.turn(group, &nothing_more).is_none() {
            self.keeping = None;
            self.to_keep.clear();
        }
        self.to_commit.extend(self.committer.iter().flat_map(|(_, waiting)| waiting.try_iter()));
    }

    /// Has some batches committed, and perhaps a checkpoint signed.
    pub fn commit(&mut self, count: usize, checkpoint: bool) {
        let Some((committer, _)) = &mut self.committer else { return };
        let group: Vec<Work> = self.to_commit.drain(..count.min(self.to_commit.len())).collect();
        committer.checkpoint_interval = if checkpoint { Duration::ZERO } else { Duration::MAX };
        if committer.turn(group).is_err() {
            self.committer = None;
            self.to_commit.clear();
        }
    }

    /// Has one erasure carried out.
    pub fn erase(&mut self) -> bool {
        self.erasing.as_mut().is_some_and(Erasing::turn)
    }
}
