//! For the simulation of the runtime: policies that are Rust, called in the place of a
//! component by the same contract, and held to it by the same code. So thousands of runs
//! need no compiler, and a policy can fail on the very row that the run wants.

use std::sync::{Arc, OnceLock};

use wasmtime::Trap;

use super::bindings::evaluation::{ChangedState, Finding, Undecided};
use super::bindings::{Batch, Outcome, Timer, Wakes, WitColumn};
use super::engine::Exceeded;
use super::image::Code;
use crate::policy::Manifest;
use crate::verdict::FaultKind;

/// A policy that is Rust.
pub(crate) trait Native: Send + Sync {
    /// What stands for its component: it is known by these bytes.
    fn component(&self) -> &[u8];

    /// What it says about itself.
    fn manifest(&self) -> Manifest;

    /// Judges a row. What becomes of the state counts only if it answers.
    fn judge(&self, settings: &str, row: &Row<'_>, state: &mut Option<Vec<u8>>) -> Told;

    /// A timer fires that was set for this time.
    fn wake(&self, at: i64, state: &mut Option<Vec<u8>>) -> Told;

    /// Makes a state out of one of another version.
    fn migrate(&self, from: u32, state: &[u8]) -> Result<Option<Vec<u8>>, String>;
}

/// What a policy sees of an event: integers and times, and texts, by the places of their
/// fields.
pub(crate) struct Row<'b> {
    batch: &'b Batch,
    row: usize,
}

impl Row<'_> {
    fn is_present(&self, present: &[u8]) -> bool {
        present[self.row / 8] >> (self.row % 8) & 1 == 1
    }

    pub fn integer(&self, field: usize) -> Option<i64> {
        match &self.batch.columns[field] {
            WitColumn::Integers(column) | WitColumn::Times(column) => self.is_present(&column.present).then(|| column.values[self.row]),
            _ => None,
        }
    }

    pub fn text(&self, field: usize) -> Option<&str> {
        match &self.batch.columns[field] {
            WitColumn::Texts(column) => self
                .is_present(&column.present)
                .then(|| &column.text[column.offsets[self.row] as usize..column.offsets[self.row + 1] as usize]),
            _ => None,
        }
    }
}

/// What it says.
pub(crate) enum Told {
    /// It answers.
    Answer {
        /// Findings of these rules.
        rules: Vec<u16>,
        /// A wish to be woken, or to be woken no more.
        timer: Option<Option<i64>>,
    },
    /// It says that it cannot.
    Undecided,
    /// The whole call fails.
    Fails(FaultKind),
}

static KNOWN: OnceLock<Vec<Arc<dyn Native>>> = OnceLock::new();

/// From now on these are loaded where their bytes are installed.
pub(crate) fn know(policies: impl FnOnce() -> Vec<Arc<dyn Native>>) {
    KNOWN.get_or_init(policies);
}

/// The one with these bytes.
pub(super) fn find(component: &[u8], settings: &str) -> Option<(Code, Manifest)> {
    let native = KNOWN.get()?.iter().find(|native| native.component() == component)?;
    let configured = Configured { native: native.clone(), settings: settings.into() };
    Some((Code::Native(configured), native.manifest()))
}

/// With its settings.
#[derive(Clone)]
pub(super) struct Configured {
    native: Arc<dyn Native>,
    settings: Arc<str>,
}

impl Configured {
    pub fn evaluate(&self, batch: &Batch) -> wasmtime::Result<Outcome> {
        let rows = batch.rows as usize;
        let of_row: Vec<u32> = batch.keys.as_ref().map_or_else(|| (0..batch.rows).collect(), |keys| keys.of_row.clone());
        let states = batch.keys.as_ref().map_or_else(|| vec![None; rows], |keys| keys.states.clone());
        let keyed = batch.keys.is_some();
        run(&of_row, states, keyed, |row, state| self.native.judge(&self.settings, &Row { batch, row }, state))
    }

    pub fn wake(&self, wakes: &Wakes) -> wasmtime::Result<Outcome> {
        let of_row: Vec<u32> = (0..wakes.at.len() as u32).collect();
        run(&of_row, wakes.states.clone(), true, |row, state| self.native.wake(wakes.at[row], state))
    }

    pub fn migrate(&self, from: u32, states: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, String> {
        states.iter().map(|state| self.native.migrate(from, state)).collect()
    }
}

fn run(
    of_row: &[u32],
    mut states: Vec<Option<Vec<u8>>>,
    keyed: bool,
    mut judge: impl FnMut(usize, &mut Option<Vec<u8>>) -> Told,
) -> wasmtime::Result<Outcome> {
    let before = states.clone();
    let mut outcome = Outcome { findings: Vec::new(), undecided: Vec::new(), states: Vec::new(), timers: Vec::new() };
    for (row, key) in of_row.iter().enumerate() {
        let state = &mut states[*key as usize];
        let mut after = state.clone();
        let told = judge(row, &mut after);
        let row = row as u32;
        match told {
            Told::Answer { rules, timer } => {
                *state = after;
                outcome.findings.extend(rules.into_iter().map(|rule| Finding { row, rule, evidence: Vec::new() }));
                outcome.timers.extend(timer.map(|at| Timer { row, at }));
            }
            Told::Undecided => outcome.undecided.push(Undecided { row, reason: "it says so".into() }),
            Told::Fails(kind) => {
                return Err(match kind {
                    FaultKind::Fuel => Trap::OutOfFuel.into(),
                    FaultKind::Memory => wasmtime::Error::new(Exceeded("its memory")),
                    FaultKind::Trap => Trap::UnreachableCodeReached.into(),
                    _ => wasmtime::format_err!("a value that the contract does not allow"),
                });
            }
        }
    }
    if keyed {
        let changed = (0..).zip(states).zip(before).filter(|((_, after), before)| after != before);
        outcome.states = changed.map(|((key, state), _)| ChangedState { key, state }).collect();
    }
    Ok(outcome)
}
