//! One policy on some rows, events or timers: calls, their limits, and which row is
//! at fault when a call fails.

use std::ops::Range;

use wasmtime::Store;

use super::bindings::{self, Batch, Booleans, Floats, Integers, Texts, Timer, Wakes, WitColumn};
use super::engine::{Ctx, explain, ticks};
use super::image::Image;
use crate::column::{Bitmap, Column};
use crate::policy::Granted;
use crate::verdict::FaultKind;

/// Calls that are tried for one row which runs into the safety net.
const TIMEOUT_TRIES: u32 = 3;

/// What a finding or a piece of evidence counts beside its texts: an empty one
/// takes memory too.
const EVIDENCE_BYTES: usize = 64;

/// The least that a failed call counts, in fuel: making the instance.
const CALL_COST: u64 = 50_000;

/// The keys of some rows and their states.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// For each row the index of its key.
    pub of_row: Vec<u32>,
    /// For each key the state that it has.
    pub states: Vec<Option<Vec<u8>>>,
}

/// What a policy says about one row.
#[derive(Debug)]
pub(crate) enum Said {
    /// A finding: the rule's index, checked, and the evidence.
    Finding(u16, Vec<(String, String)>),
    /// No answer: in which way, and what a person needs to mend it.
    Fault(FaultKind, String),
}

/// What a policy says about some rows.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// By row, ascending; rows that are not named are clean.
    pub said: Vec<(u32, Said)>,
    /// For each key what its state has become, where it changed.
    pub states: Vec<(u32, Option<Vec<u8>>)>,
    /// By row, ascending: the event time at which the row's key wants to be woken;
    /// absent if it does not want to any more.
    pub timers: Vec<(u32, Option<i64>)>,
    /// Fuel of all calls.
    pub fuel: u64,
    /// Calls.
    pub calls: u32,
    /// Bytes of memory that the call took which took the most.
    pub memory: usize,
}

/// A call that did not give an outcome.
#[derive(Debug)]
struct Failure {
    kind: FaultKind,
    detail: String,
    /// Fuel and bytes of memory that it took.
    cost: u64,
}

impl Image {
    /// Judges rows, in order. Every row gets an answer: a finding, a fault, or
    /// none, which means that it is clean.
    ///
    /// A call that fails is repeated in halves until the row at fault is alone;
    /// rows of one key keep their order, and a row at fault leaves its key's
    /// state as it was.
    pub fn evaluate(&self, view: &Granted, keys: Option<Keys>) -> Outcome {
        self.run(About::Events(view), view.rows(), keys)
    }

    /// Wakes keys whose timers fire, with the event times that those were set for.
    /// Row i of the outcome is key i. What fails is treated as in [`Self::evaluate`].
    pub fn wake(&self, at: &[i64], states: Vec<Option<Vec<u8>>>) -> Outcome {
        let keys = Keys { of_row: (0..at.len() as u32).collect(), states };
        self.run(About::Timers(at), at.len(), Some(keys))
    }

    fn run(&self, about: About<'_>, rows: usize, keys: Option<Keys>) -> Outcome {
        let limits = &self.limits;
        let mut work = Work { image: self, about, keys, changed: Vec::new(), outcome: Outcome::default(), failure_cost: 0 };
        work.changed.resize(work.keys.as_ref().map_or(0, |keys| keys.states.len()), false);
        // Rows of a call at most: halved when a call had too many, doubled when one
        // went well.
        let mut call_rows = self.pace.rows(limits.event_fuel_max, limits.call_rows_max);
        // Ranges of rows that are still to be judged, the next one last.
        let mut open: Vec<Range<usize>> = Vec::new();
        if rows > 0 {
            open.push(0..rows);
        }
        let mut tries = 0;
        while let Some(mut range) = open.pop() {
            if range.len() > call_rows {
                open.push(range.start + call_rows..range.end);
                range.end = range.start + call_rows;
            }
            let Err(failure) = work.call(range.clone()) else {
                tries = 0;
                call_rows = (call_rows * 2).min(self.pace.rows(limits.event_fuel_max, limits.call_rows_max));
                continue;
            };
            // What is open is still tried once, so that good rows keep their
            // answers; what fails is not looked into any further.
            if work.failure_cost > limits.failure_cost_max && range.len() > 1 {
                let detail = "too many rows of the same batch failed, so that which of its neighbours is at fault was not looked for";
                work.outcome.said.extend(range.map(|row| (row as u32, Said::Fault(FaultKind::Abandoned, detail.into()))));
                continue;
            }
            let too_many_rows = range.len() > 1 && matches!(failure.kind, FaultKind::Fuel | FaultKind::Memory);
            if too_many_rows {
                // Honest rows may together need more than one call has, which is no
                // failure of theirs: it counts for little.
                call_rows = range.len() / 2;
                work.failure_cost += failure.cost / 10;
                open.push(range);
                continue;
            }
            work.failure_cost += match failure.kind {
                // Costs nothing that could be counted, and the most of all.
                FaultKind::Timeout => limits.failure_cost_max / 4,
                _ => failure.cost.max(CALL_COST),
            };
            if range.len() > 1 {
                let middle = range.start + range.len() / 2;
                open.push(middle..range.end);
                open.push(range.start..middle);
            } else if failure.kind == FaultKind::Timeout && tries + 1 < TIMEOUT_TRIES {
                tries += 1;
                open.push(range);
            } else {
                tries = 0;
                work.outcome.said.push((range.start as u32, Said::Fault(failure.kind, failure.detail)));
            }
        }
        work.finish()
    }

    /// Makes an instance and throws it away, for measuring.
    pub fn instantiate(&self) -> wasmtime::Result<()> {
        let mut store = self.store()?;
        self.code.instantiate(&mut store)
    }

    pub(super) fn store(&self) -> wasmtime::Result<Store<Ctx>> {
        let limits = &self.limits;
        let mut store = Store::new(&self.sandbox.engine, Ctx::new(limits, Some(self.lists.clone())));
        store.limiter(|ctx| ctx);
        store.set_fuel(limits.event_fuel_max)?;
        store.set_epoch_deadline(ticks(limits.call_ms_max));
        store.set_hostcall_fuel(limits.output_bytes_max);
        store.set_max_component_handles(limits.handles_max);
        Ok(store)
    }
}

/// What the rows of a call are.
#[derive(Clone, Copy)]
enum About<'i> {
    Events(&'i Granted),
    /// Keys, by the event times of their timers.
    Timers(&'i [i64]),
}

struct Work<'i> {
    image: &'i Image,
    about: About<'i>,
    keys: Option<Keys>,
    /// Keys whose state is another than it was.
    changed: Vec<bool>,
    outcome: Outcome,
    failure_cost: u64,
}

impl Work<'_> {
    /// Calls the policy on a range of rows and takes over what it says.
    fn call(&mut self, range: Range<usize>) -> Result<(), Failure> {
        let limits = &self.image.limits;
        let (keys, key_of) = self.keys_of(&range);
        let fail = |error: wasmtime::Error, cost| {
            let (kind, detail) = explain(&error);
            Failure { kind, detail, cost }
        };
        let mut store = self.image.store().map_err(|error| fail(error, 0))?;
        let outcome = match self.about {
            About::Events(view) => {
                let columns = view.columns().iter().map(|column| slice(column, &range)).collect();
                self.image.code.evaluate(&mut store, &Batch { rows: range.len() as u32, columns, keys })
            }
            About::Timers(at) => {
                let states = keys.map(|keys| keys.states).unwrap_or_default();
                self.image.code.wake(&mut store, &Wakes { at: at[range.clone()].to_vec(), states })
            }
        };
        let fuel = limits.event_fuel_max.saturating_sub(store.get_fuel().unwrap_or(0));
        self.outcome.fuel += fuel;
        self.outcome.calls += 1;
        let ctx = store.data();
        self.report(ctx);
        self.outcome.memory = self.outcome.memory.max(ctx.memory_used);
        let cost = fuel + ctx.memory_used as u64;
        let outcome = outcome.map_err(|error| fail(error, cost))?;
        self.image.pace.learn(fuel, range.len());
        let said = self.check(outcome, &range, key_of.len()).map_err(|detail| Failure { kind: FaultKind::Output, detail, cost })?;
        let Checked { said, states, timers } = said;
        self.outcome.said.extend(said);
        self.outcome.timers.extend(timers);
        if let Some(keys) = &mut self.keys {
            for (key, state) in states {
                let key = key_of[key as usize];
                keys.states[key as usize] = state;
                self.changed[key as usize] = true;
            }
        }
        Ok(())
    }

    /// The keys of a range with their states, and for each the index that it has
    /// among all.
    fn keys_of(&self, range: &Range<usize>) -> (Option<bindings::Keys>, Vec<u32>) {
        let Some(keys) = &self.keys else { return (None, Vec::new()) };
        let mut own: Vec<Option<u32>> = vec![None; keys.states.len()];
        let mut key_of = Vec::new();
        let of_row = keys.of_row[range.clone()]
            .iter()
            .map(|key| {
                *own[*key as usize].get_or_insert_with(|| {
                    key_of.push(*key);
                    key_of.len() as u32 - 1
                })
            })
            .collect();
        let states = key_of.iter().map(|key| keys.states[*key as usize].clone()).collect();
        (Some(bindings::Keys { of_row, states }), key_of)
    }

    /// Holds what came out against the contract. Nothing of an outcome that is
    /// not as the contract says is used.
    fn check(&self, outcome: bindings::Outcome, range: &Range<usize>, keys: usize) -> Result<Checked, String> {
        let limits = &self.image.limits;
        let rules = self.image.release.manifest.rules.len();
        let row_of = |row: u32| match (row as usize) < range.len() {
            true => Ok(row + range.start as u32),
            false => Err(format!("speaks of row {row}, but there are {}", range.len())),
        };
        let mut said: Vec<(u32, Said)> = Vec::with_capacity(outcome.findings.len() + outcome.undecided.len());
        let mut undecided = Vec::with_capacity(outcome.undecided.len());
        for undecidedness in outcome.undecided {
            let row = row_of(undecidedness.row)?;
            if undecided.last().is_some_and(|(last, _)| *last >= row) {
                return Err("rows that it cannot judge are not in ascending order".into());
            }
            undecided.push((row, undecidedness.reason));
        }
        let (mut last, mut count, mut bytes) = (None, 0usize, 0usize);
        for finding in outcome.findings {
            let row = row_of(finding.row)?;
            if last.is_some_and(|last| last > row) {
                return Err("findings are not in ascending order of their rows".into());
            }
            if last != Some(row) {
                (last, count, bytes) = (Some(row), 0, 0);
            }
            count += 1;
            if count > limits.row_findings_max {
                return Err(format!("makes more than {} findings on one row", limits.row_findings_max));
            }
            if usize::from(finding.rule) >= rules {
                return Err(format!("makes a finding of rule {}, but there are {rules}", finding.rule));
            }
            let one = |evidence: &bindings::Evidence| evidence.name.len() + evidence.value.len() + EVIDENCE_BYTES;
            bytes += EVIDENCE_BYTES + finding.evidence.iter().map(one).sum::<usize>();
            if bytes > limits.row_evidence_bytes_max {
                return Err(format!("gives more than {} bytes of evidence on one row", limits.row_evidence_bytes_max));
            }
            if undecided.binary_search_by_key(&row, |(row, _)| *row).is_err() {
                let evidence = finding.evidence.into_iter().map(|evidence| (evidence.name, evidence.value)).collect();
                said.push((row, Said::Finding(finding.rule, evidence)));
            }
        }
        if !undecided.is_empty() {
            said.extend(undecided.iter().map(|(row, reason)| {
                let end = reason.floor_char_boundary(limits.log_line_bytes_max);
                (*row, Said::Fault(FaultKind::Undecided, reason[..end].to_string()))
            }));
            said.sort_by_key(|(row, _)| *row);
        }
        let mut states = Vec::with_capacity(outcome.states.len());
        let mut seen = vec![false; keys];
        for changed in outcome.states {
            match seen.get_mut(changed.key as usize) {
                Some(seen) if !*seen => *seen = true,
                Some(_) => return Err(format!("changes the state of key {} twice", changed.key)),
                None => return Err(format!("changes the state of key {}, but there are {keys}", changed.key)),
            }
            if let Some(state) = &changed.state
                && state.len() > limits.state_bytes_max
            {
                return Err(format!("makes a state of {} bytes, at most {}", state.len(), limits.state_bytes_max));
            }
            states.push((changed.key, changed.state));
        }
        let mut timers = Vec::with_capacity(outcome.timers.len());
        if !outcome.timers.is_empty() && !self.image.release.manifest.keyed.as_ref().is_some_and(|keyed| keyed.timers) {
            return Err("sets a timer, but its manifest says that it sets none".into());
        }
        for Timer { row, at } in outcome.timers {
            let row = row_of(row)?;
            if timers.last().is_some_and(|(last, _)| *last >= row) {
                return Err("timers are not in ascending order of their rows, at most one for each".into());
            }
            if undecided.binary_search_by_key(&row, |(row, _)| *row).is_err() {
                timers.push((row, at));
            }
        }
        Ok(Checked { said, states, timers })
    }

    fn report(&self, ctx: &Ctx) {
        if ctx.log.is_empty() {
            return;
        }
        let policy = self.image.release.policy();
        for line in &ctx.log {
            // A target of its own: what a policy says may be of an event.
            match line.level {
                bindings::log::Level::Debug => tracing::debug!(target: "ephor::policy", policy, line = line.text, "policy says"),
                bindings::log::Level::Info => tracing::info!(target: "ephor::policy", policy, line = line.text, "policy says"),
                bindings::log::Level::Warn => tracing::warn!(target: "ephor::policy", policy, line = line.text, "policy says"),
            }
        }
        if ctx.log_dropped > 0 {
            tracing::warn!(policy, dropped = ctx.log_dropped, "policy says more than is kept of one call");
        }
    }

    fn finish(self) -> Outcome {
        let mut outcome = self.outcome;
        if let Some(keys) = self.keys {
            let changed = keys.states.into_iter().zip(self.changed).enumerate();
            outcome.states = changed.filter_map(|(key, (state, changed))| changed.then_some((key as u32, state))).collect();
        }
        outcome
    }
}

struct Checked {
    said: Vec<(u32, Said)>,
    states: Vec<(u32, Option<Vec<u8>>)>,
    timers: Vec<(u32, Option<i64>)>,
}

/// The part of a column that a range of rows has, as the contract shapes it.
fn slice(column: &Column, range: &Range<usize>) -> WitColumn {
    let bits = |bitmap: &Bitmap| slice_bits(&bitmap.bytes, range);
    let integers = |present, values: &[i64]| Integers { present: bits(present), values: values[range.clone()].to_vec() };
    let texts = |present, offsets: &[u32], text: &str| {
        let offsets = &offsets[range.start..=range.end];
        let (from, to) = (offsets[0], offsets[range.len()]);
        Texts {
            present: bits(present),
            offsets: offsets.iter().map(|offset| offset - from).collect(),
            text: text[from as usize..to as usize].to_string(),
        }
    };
    match column {
        Column::Booleans { present, values } => WitColumn::Booleans(Booleans { present: bits(present), values: bits(values) }),
        Column::Integers { present, values } => WitColumn::Integers(integers(present, values)),
        Column::Times { present, values } => WitColumn::Times(integers(present, values)),
        Column::Floats { present, values } => WitColumn::Floats(Floats { present: bits(present), values: values[range.clone()].to_vec() }),
        Column::Texts { present, offsets, text } => WitColumn::Texts(texts(present, offsets, text)),
        Column::Json { present, offsets, text } => WitColumn::Json(texts(present, offsets, text)),
    }
}

fn slice_bits(bytes: &[u8], range: &Range<usize>) -> Vec<u8> {
    let (first, shift) = (range.start / 8, range.start % 8);
    let mut out: Vec<u8> = (0..range.len().div_ceil(8))
        .map(|at| {
            let low = u16::from(bytes[first + at]);
            let high = bytes.get(first + at + 1).copied().map_or(0, u16::from);
            ((high << 8 | low) >> shift) as u8
        })
        .collect();
    let rest = range.len() % 8;
    if rest != 0
        && let Some(last) = out.last_mut()
    {
        *last &= (1 << rest) - 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_bits_is_what_a_loop_over_them_gives() {
        let bytes: Vec<u8> = (0..9u8).map(|byte| byte.wrapping_mul(73) ^ 0x5a).collect();
        let bit = |bytes: &[u8], at: usize| bytes[at / 8] >> (at % 8) & 1;
        for start in 0..64 {
            for end in start + 1..=64 {
                let sliced = slice_bits(&bytes, &(start..end));
                assert_eq!(sliced.len(), (end - start).div_ceil(8));
                for at in 0..sliced.len() * 8 {
                    let expected = if at < end - start { bit(&bytes, start + at) } else { 0 };
                    assert_eq!(bit(&sliced, at), expected, "{start}..{end} at {at}");
                }
            }
        }
    }
}
