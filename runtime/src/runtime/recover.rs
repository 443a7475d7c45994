//! What a runtime takes up from its ledger at the start: known ids, the marks of the
//! sources, states, what is kept of events. All of it is in the journal.

use std::path::Path;
use std::sync::Arc;

use super::admit::{Admission, bounded};
use super::change::{LineRecord, LineRecords};
use super::echo::Outstanding;
use super::evidence::Evidence;
use super::heartbeats::Heartbeats;
use super::numbers::Numbers;
use super::spine::Memory;
use super::withdrawn::Withdrawn;
use crate::column::time_micros;
use crate::ledger::entry::{AboutContent, ChangeEntry, Identity, SilenceEntry, TimerEntry};
use crate::ledger::kept::Account;
use crate::ledger::{self, Ids, Ledger, OpenError, Record, StateRef};
use crate::reserved;
use crate::sequencer::{self, now_micros};
use crate::state::{Form, States, Timer, Timers};

/// What the ledger says of the time before, for others than the spine.
#[derive(Default)]
pub(super) struct Noted {
    /// The releases that were in force or tried out.
    pub lines: LineRecords,
    /// What is kept of events.
    pub account: Account,
    /// The releases that were taken back.
    pub withdrawn: Withdrawn,
    /// Entries that a verdict event is to come behind.
    outstanding: Outstanding,
}

/// Opens a data directory, or makes one.
pub(super) fn open(directory: &Path, limits: &ledger::Limits, spine: &sequencer::Limits) -> Result<(Ledger, Memory, Noted), OpenError> {
    take_up(directory, limits, spine, |visit| Ledger::open(directory, limits, visit))
}

/// The same, where somebody else opens the ledger and has its records visited.
pub(super) fn take_up(
    directory: &Path,
    limits: &ledger::Limits,
    spine: &sequencer::Limits,
    open: impl FnOnce(&mut dyn FnMut(Record<'_>) -> Result<(), String>) -> Result<Ledger, OpenError>,
) -> Result<(Ledger, Memory, Noted), OpenError> {
    let mut noted = Noted::default();
    let (mut ids, mut numbers) = (Ids::new(limits.horizon_days), Numbers::default());
    let mut heartbeats = Heartbeats::new(&spine.heartbeats);
    let (mut states, mut timers) = (States::within(spine.state_memory_bytes_max), Timers::default());
    let ledger = open(&mut |record| {
        take_ids(&mut ids, &mut numbers, &mut heartbeats, &mut noted, &record)?;
        take_states(&mut ids, &mut states, &mut timers, &mut noted.lines, &record)
    })?;
    let outstanding = std::mem::take(&mut noted.outstanding).events();
    let outstanding = outstanding.map_err(|problem| OpenError::Journal { directory: directory.display().to_string(), problem })?;
    let memory = Memory {
        outstanding,
        states,
        timers,
        admission: Admission::new(ids, numbers, heartbeats, now_micros(), true, spine.lateness_s),
        next: ledger.next(),
        evidence: Some(Evidence::new(ledger.secrets())),
        shelf: None,
        withdrawn: Arc::default(),
    };
    Ok((ledger, memory, noted))
}

fn take_ids(
    ids: &mut Ids,
    numbers: &mut Numbers,
    heartbeats: &mut Heartbeats,
    noted: &mut Noted,
    record: &Record<'_>,
) -> Result<(), String> {
    for (sequence, line) in record.lines() {
        let wrong = |error| format!("entry {sequence}: {error}");
        // What is not about an event has no id.
        let Some(event) = Identity::read(line).map_err(wrong)? else {
            if let Some(silence) = SilenceEntry::read(line).map_err(wrong)? {
                heartbeats.noted(ids.source(&silence.source), &silence.source);
            } else if let Some(entry) = AboutContent::read(line).map_err(wrong)? {
                noted.account.note(sequence, entry)?;
            } else if let Some(change) = ChangeEntry::read(line).map_err(wrong)? {
                noted.withdrawn.note(&change);
            } else if TimerEntry::has_echo(line) {
                noted.outstanding.timer(sequence, line);
            }
            continue;
        };
        noted.account.event(sequence);
        noted.outstanding.event(sequence, &event, line);
        if reserved::judged_by(&event.source).is_some() {
            // As in `admit`.
            continue;
        }
        let arrived = event.arrived.micros();
        let happened = event.time.as_deref().and_then(time_micros).unwrap_or(arrived);
        let source = ids.source(&event.source);
        let key = ids.key(&event.source, &event.id);
        ids.insert(&key, source, sequence, &event.digest, happened);
        ids.advance(source, bounded(happened, arrived));
        heartbeats.heard(source, &event.source, arrived);
        if let Some(number) = event.number {
            numbers.take(source, number, 0);
        }
    }
    Ok(())
}

fn take_states(
    ids: &mut Ids,
    states: &mut States,
    timers: &mut Timers,
    lines: &mut LineRecords,
    record: &Record<'_>,
) -> Result<(), String> {
    for (place, change) in record.states() {
        match change {
            StateRef::State { policy, key, state } => states.restore(policy, key, state, place),
            StateRef::Timer { policy, key, timer } => {
                let timer = timer.map(|(at, source)| Timer { at, source: ids.source(source) });
                timers.set(&policy.into(), key.into(), timer);
            }
            StateRef::Form { policy, form } => {
                timers.forget(policy);
                states.begin(policy, Form::from_bytes(form)?);
            }
            StateRef::Forgotten { policy } => {
                timers.forget(policy);
                states.forget(policy);
            }
            StateRef::Line { policy, line: [] } => drop(lines.remove(policy)),
            StateRef::Line { policy, line } => drop(lines.insert(policy.to_string(), LineRecord::from_bytes(line)?)),
        }
    }
    states.shrink();
    Ok(())
}
