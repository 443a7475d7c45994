//! A change of the releases that are judged with: between two batches, all of it or
//! nothing, with an entry for each part.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::crowd;
use super::evidence::lists;
use super::heartbeats::Tick;
use super::line::{Installed, Line, Lines, Stale};
use super::spine::Memory;
use super::{Mode, Swap};
use crate::digest::Digest;
use crate::ledger::entry::{ChangeEntry, Entry, ErasureEntry, StartEntry, Time, What};
use crate::ledger::{BATCH_BYTES_MAX, Batch, StateChange, leaf_hash};
use crate::policy::manifest::Keyed;
use crate::policy::statement::StateRule;
use crate::policy::{Grant, Release, Validity};
use crate::sandbox::LoadError;
use crate::state::{Form, Handover, Key};

/// Bytes of a reason or of a name of somebody that an entry takes.
const TEXT_BYTES_MAX: usize = 2 << 10;

/// What happens between two batches: a change of the releases that are judged with, or
/// what is noted.
pub(super) enum Change {
    /// All of these, or none.
    Orders { orders: Vec<Order>, by: By, at: i64, reply: oneshot::Sender<Result<Vec<Swap>, LoadError>> },
    /// What was in force before a restart, as it was: no change, so no entry. What was
    /// not published is in force no more, and keeps its states.
    Restore { lines: Lines, dropped: Vec<Arc<str>>, done: oneshot::Sender<()> },
    /// The time, for what depends on it.
    Tick(Tick),
    /// Verdict events that an earlier process left out are judged now, and not only with
    /// the next batch. Whoever waits is told once these, and those behind everything that
    /// was submitted before, are recorded.
    CatchUp { done: oneshot::Sender<()> },
    /// Heartbeats in the place of those before. No change of policies, and no entry.
    Heartbeats(BTreeMap<String, u64>),
    /// The content of events goes. What is to be done once that is recorded is told the
    /// sequence of the entry.
    Erase { entry: ErasureEntry<'static>, recorded: Box<dyn FnOnce(u64) + Send> },
    /// What a policy remembers of a key, behind everything that was submitted before. No
    /// change, and no entry.
    Look { policy: String, key: Key, reply: oneshot::Sender<Result<Option<Vec<u8>>, String>> },
    /// An entry that another ledger has, in the one form. The reply is its sequence here.
    TakeOver { line: String, reply: oneshot::Sender<u64> },
}

/// Who changes something, and why.
#[derive(Debug, Clone)]
pub struct By {
    /// Who: a person, a role, or the publisher of the release.
    pub who: String,
    /// Why, if there is more to say than that.
    pub reason: Option<String>,
    /// When, in microseconds since the Unix epoch; now, if that is not said.
    pub at: Option<i64>,
}

impl By {
    /// Somebody who gives no reason, now.
    pub fn new(who: impl Into<String>) -> Self {
        By { who: who.into(), reason: None, at: None }
    }

    /// The same with a reason.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

/// As much of a reason, or of a name of somebody, as an entry takes.
pub(super) fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

/// One part of a change.
pub(super) enum Order {
    /// Judge with a release, in its mode.
    Install(Box<Installed>),
    /// Let the candidate count for more: for a share of the keys, of ten thousand, or
    /// for everything.
    Promote { policy: String, to: Mode, share: u16 },
    /// Let a canary count for nothing, or the release in force.
    Demote { policy: String },
    /// Judge with a release no more.
    Withdraw { policy: String, release: String },
    /// Judge with no release of a policy any more, and forget what it remembers.
    Remove { policy: String },
    /// The policy's publisher is out of date, or is no more.
    Stale { policy: String, stale: Option<Stale> },
}

impl Order {
    fn policy(&self) -> &str {
        match self {
            Order::Install(installed) => installed.policy(),
            Order::Promote { policy, .. }
            | Order::Demote { policy }
            | Order::Withdraw { policy, .. }
            | Order::Remove { policy }
            | Order::Stale { policy, .. } => policy,
        }
    }
}

/// An order that can be carried out, with what was worked out for it.
struct Ready {
    policy: Arc<str>,
    /// What the line becomes.
    line: Line,
    what: What,
    /// The release that it is about, as it is from now on.
    about: Installed,
    replaced: Option<String>,
    state: Option<Handover>,
    /// The states to begin with, where they are others than before.
    begin: Option<Begin>,
}

/// States that a release begins with.
struct Begin {
    /// What they are kept under.
    states: Arc<str>,
    /// Absent for a policy that keeps none.
    form: Option<Form>,
    keys: Vec<(Key, Option<Vec<u8>>)>,
    /// Whose timers it takes over.
    timers_of: Option<Arc<str>>,
}

impl Begin {
    /// Bytes that it has in the ledger, about.
    fn bytes(&self, memory: &Memory) -> usize {
        let timers = self.timers_of.as_ref().map(|policy| memory.timers.all(policy)).unwrap_or_default();
        memory.bytes_of(&self.states, &self.keys, &timers)
    }
}

/// Works a change out and carries it out. Nothing is different if a part of it cannot
/// be done.
pub(super) fn carry_out(
    memory: &mut Memory,
    lines: &mut Lines,
    orders: Vec<Order>,
    by: &By,
    at: i64,
    batch: &mut Batch,
) -> Result<Vec<Swap>, LoadError> {
    let mut policies = BTreeSet::new();
    if let Some(order) = orders.iter().find(|order| !policies.insert(order.policy().to_string())) {
        return Err(LoadError::Twice { policy: order.policy().to_string() });
    }
    let begins = orders.iter().any(|order| matches!(order, Order::Install(_)));
    let ready: Vec<Ready> = orders.into_iter().map(|order| prepare(memory, lines, order)).collect::<Result<_, _>>()?;
    if begins {
        let others = lines.iter().filter(|(policy, _)| !policies.contains(&***policy)).map(|(_, line)| line);
        crowd::check(others.chain(ready.iter().map(|ready| &ready.line)))?;
    }
    let bytes: usize = ready.iter().filter_map(|ready| ready.begin.as_ref()).map(|begin| begin.bytes(memory)).sum();
    if bytes > BATCH_BYTES_MAX {
        // All of it goes to the ledger as one batch, whole or not at all.
        let problem = format!("the states that are taken over have {bytes} bytes; at most {BATCH_BYTES_MAX} can be taken over at once");
        return Err(LoadError::State { problem });
    }
    Ok(ready.into_iter().map(|ready| apply(memory, lines, ready, by, at, batch)).collect())
}

fn prepare(memory: &Memory, lines: &Lines, order: Order) -> Result<Ready, LoadError> {
    let policy: Arc<str> = order.policy().into();
    let mut line = lines.get(&policy).cloned().unwrap_or_default();
    let missing = || LoadError::NotInForce { name: policy.to_string() };
    let (what, about, replaced, state, begin) = match order {
        Order::Install(installed) => return install(memory, policy, line, *installed),
        Order::Promote { to, share, .. } => {
            let mut candidate = line.candidate.take().ok_or_else(|| LoadError::NoCandidate { name: policy.to_string() })?;
            if to > candidate.strongest {
                return Err(LoadError::Mode { strongest: candidate.strongest.name().into(), asked: to.name().into() });
            }
            (candidate.mode, candidate.share) = (to, share);
            let mut replaced = None;
            if to == Mode::Enforce {
                replaced = line.current().map(|current| current.id().to_string());
                line.enforce(candidate.clone());
            } else {
                line.candidate = Some(candidate.clone());
            }
            (What::Promote, candidate, replaced, None, None)
        }
        Order::Demote { .. } => {
            let canary = line.candidate.take_if(|candidate| candidate.mode == Mode::Canary);
            let mut begin = None;
            let mut demoted = match canary {
                Some(canary) => canary,
                None if line.candidate.is_none() => line.enforced.pop().ok_or_else(missing)?,
                None => return Err(LoadError::NoCandidate { name: policy.to_string() }),
            };
            (demoted.mode, demoted.share) = (Mode::Shadow, 0);
            // What it remembers in shadow is its own: otherwise an event would count twice
            // for those that stay in force.
            let release = demoted.image.release().clone();
            if let Some(keyed) = &release.manifest.keyed
                && line.enforced.iter().any(|other| other.states == demoted.states)
            {
                let before = std::mem::replace(&mut demoted.states, line.free_states(&policy, &release));
                let (_, states) = memory.all(&before).map_err(|problem| LoadError::State { problem })?;
                let keys = states.into_iter().map(|(key, state)| (key, Some(state))).collect();
                let form = Some(form(&release, keyed, &demoted.grant));
                begin = Some(Begin { states: demoted.states.clone(), form, keys, timers_of: Some(before) });
            }
            line.candidate = Some(demoted.clone());
            (What::Demote, demoted, None, None, begin)
        }
        Order::Withdraw { release, .. } => {
            let is_meant = |installed: &Installed| installed.id() == release;
            let about = line.candidate.iter().chain(line.enforced.iter().rev()).find(|installed| is_meant(installed)).cloned();
            let about = about.ok_or_else(missing)?;
            line.candidate.take_if(|candidate| is_meant(candidate));
            line.enforced.retain(|installed| !is_meant(installed));
            (What::Withdraw, about, None, None, None)
        }
        Order::Remove { .. } => {
            let about = line.releases().next().cloned().ok_or_else(missing)?;
            line = Line::default();
            (What::Remove, about, None, None, None)
        }
        Order::Stale { stale, .. } => {
            let about = line.current().or(line.candidate.as_ref()).cloned().ok_or_else(missing)?;
            line.stale = stale;
            let what = match stale {
                Some(Stale::Keep) => What::Stale,
                Some(Stale::Stop) => What::Stop,
                None => What::Fresh,
            };
            (what, about, None, None, None)
        }
    };
    Ok(Ready { policy, line, what, about, replaced, state, begin })
}

/// A release begins. Where its states come from is the rule that it declares.
fn install(memory: &Memory, policy: Arc<str>, mut line: Line, mut installed: Installed) -> Result<Ready, LoadError> {
    let image = installed.image.clone();
    let release = image.release();
    let keyed = release.manifest.keyed.as_ref();
    let form = keyed.map(|keyed| form(release, keyed, &installed.grant));
    let (migrates_from, resets) = keyed.map_or((&[][..], true), |keyed| (&keyed.migrates_from, keyed.resets));
    let before: Arc<str> = line.current().map_or_else(|| policy.clone(), |current| current.states.clone());
    let fail = |problem: String| LoadError::State { problem };
    let (state, other) = memory.states.hand_over(&before, form.as_ref(), migrates_from, resets).map_err(fail)?;
    let (state, other) = by_rule(installed.rule, state, other).map_err(fail)?;
    // Beside the release in force or before it in time, states that the two cannot
    // have in common are kept apart. Whoever is tried out shares its own with nobody.
    let stays = line.candidate.iter().find(|candidate| candidate.image.release().digest != release.digest);
    let apart = match (installed.mode, installed.validity.from) {
        (Mode::Enforce, _) if keyed.is_some() && stays.is_some_and(|candidate| candidate.states == before) => true,
        (Mode::Enforce, None) => false,
        (Mode::Enforce, Some(_)) => other && line.current().is_some(),
        _ => true,
    };
    installed.states = if apart { line.free_states(&policy, release) } else { before.clone() };
    let mut begin = None;
    if other || apart {
        let keys = match state {
            Handover::Migrated => {
                let (version, states) = memory.all(&before).map_err(fail)?;
                let (keys, states): (Vec<Key>, Vec<Vec<u8>>) = states.into_iter().unzip();
                let after = image.migrate(version, &states).map_err(fail)?;
                keys.into_iter().zip(after).collect()
            }
            Handover::Kept => memory.all(&before).map_err(fail)?.1.into_iter().map(|(key, state)| (key, Some(state))).collect(),
            Handover::None | Handover::Reset => Vec::new(),
        };
        let timers_of = matches!(state, Handover::Migrated | Handover::Kept).then_some(before);
        begin = Some(Begin { states: installed.states.clone(), form, keys, timers_of });
    }
    let replaced = match installed.mode {
        Mode::Enforce => line.current().map(|current| current.id().to_string()),
        _ => line.candidate.as_ref().map(|candidate| candidate.id().to_string()),
    };
    match installed.mode {
        Mode::Enforce => {
            line.candidate.take_if(|candidate| candidate.image.release().digest == release.digest);
            line.enforce(installed.clone());
        }
        _ => line.candidate = Some(installed.clone()),
    }
    Ok(Ready { policy, line, what: What::Install, about: installed, replaced, state: Some(state), begin })
}

/// What becomes of states by the rule of the publisher's statement, which is narrower
/// than what the component can do.
fn by_rule(rule: Option<StateRule>, state: Handover, other: bool) -> Result<(Handover, bool), String> {
    match (rule, state) {
        (Some(StateRule::Keep), Handover::Migrated | Handover::Reset) => Err(format!(
            "the statement says that they are kept, and they would be {}; publish it with the state rule that it needs",
            state.name()
        )),
        (Some(StateRule::Migrate), Handover::Reset) => {
            Err("the statement says that they are migrated, and the component cannot migrate those of the release in force".into())
        }
        (Some(StateRule::Reset), Handover::Kept | Handover::Migrated) => Ok((Handover::Reset, true)),
        _ => Ok((state, other)),
    }
}

fn apply(memory: &mut Memory, lines: &mut Lines, ready: Ready, by: &By, at: i64, batch: &mut Batch) -> Swap {
    let Ready { policy, mut line, what, mut about, replaced, state, begin } = ready;
    let used = |line: &Line| line.releases().map(|release| release.states.clone()).collect::<BTreeSet<_>>();
    let before = lines.get(&policy).map(used).unwrap_or_default();
    if let Some(Begin { states, form, keys, timers_of }) = begin {
        let timers = timers_of.map(|policy| memory.timers.all(&policy)).unwrap_or_default();
        memory.timers.forget(&states);
        match form {
            Some(form) => {
                batch.states.push(StateChange::Form { policy: states.clone(), form: form.to_bytes() });
                memory.states.begin(&states, form);
            }
            None => {
                batch.states.push(StateChange::Forgotten { policy: states.clone() });
                memory.states.forget(&states);
            }
        }
        for (key, state) in keys {
            batch.states.push(StateChange::State { policy: states.clone(), key: key.clone(), state: state.clone() });
            memory.states.apply(&states, key, state);
        }
        for (key, timer) in timers {
            let kept = Some((timer.at, memory.admission.source(timer.source)));
            batch.states.push(StateChange::Timer { policy: states.clone(), key: key.clone(), timer: kept });
            memory.timers.set(&states, key, Some(timer));
        }
    }
    if state == Some(Handover::Reset) {
        tracing::warn!(%policy, "the new release begins without the states of the one before");
    }
    let after = used(&line);
    for states in before.difference(&after) {
        if memory.states.forget(states) {
            memory.timers.forget(states);
            batch.states.push(StateChange::Forgotten { policy: states.clone() });
        }
    }
    let entry = entry(what, &policy, &about, replaced.as_deref(), state, by, at);
    memory.withdrawn.write().unwrap_or_else(PoisonError::into_inner).note(&entry);
    let sequence = note(memory, Entry::Change(0, entry), batch);
    if matches!(what, What::Install | What::Promote | What::Demote) {
        about.since = sequence;
        let now = line.enforced.iter_mut().chain(&mut line.candidate);
        now.filter(|installed| Arc::ptr_eq(&installed.image, &about.image)).for_each(|installed| installed.since = sequence);
    }
    batch.states.push(StateChange::Line { policy: policy.clone(), line: LineRecord::of(&line).to_bytes() });
    let release = about.id().to_string();
    if line.is_empty() {
        lines.remove(&policy);
    } else {
        lines.insert(policy.clone(), line);
    }
    Swap { policy: policy.to_string(), release, replaced, mode: about.mode, sequence, state: state.unwrap_or(Handover::None) }
}

fn entry<'a>(
    what: What,
    policy: &'a str,
    about: &'a Installed,
    replaced: Option<&'a str>,
    state: Option<Handover>,
    by: &'a By,
    at: i64,
) -> ChangeEntry<'a> {
    let release = about.image.release();
    ChangeEntry {
        what,
        policy: policy.into(),
        release: release.id.as_str().into(),
        digest: release.digest,
        lists: lists(release),
        statement: about.statement,
        mode: about.mode,
        share: (about.mode == Mode::Canary).then_some(u64::from(about.share)),
        from: about.validity.from.map(Time::from_micros),
        until: about.validity.until.map(Time::from_micros),
        replaced: replaced.map(Into::into),
        state: state.map(|state| state.name().into()),
        by: bounded(&by.who).into(),
        reason: by.reason.as_deref().map(|text| bounded(text).into()),
        at: Time::from_micros(at),
    }
}

/// Notes that the runtime was started.
pub(super) fn start(memory: &mut Memory, at: i64, batch: &mut Batch) {
    let entry = StartEntry { version: env!("CARGO_PKG_VERSION").into(), at: Time::from_micros(at) };
    note(memory, Entry::Start(0, entry), batch);
}

/// Writes an entry down as the next one, if anything is. Gives the sequence of the first
/// event behind.
pub(super) fn note(memory: &mut Memory, entry: Entry<'_>, batch: &mut Batch) -> u64 {
    if memory.evidence.is_some() {
        let start = batch.lines.len();
        // Its texts are bounded far below what an entry may have.
        if entry.at(memory.next).write(&mut batch.lines).is_ok() {
            batch.leaves.push(leaf_hash(&batch.lines[start..]));
            batch.lines.push(b'\n');
            memory.next += 1;
        }
    }
    memory.next
}

/// The form of a release's states.
fn form(release: &Release, keyed: &Keyed, grant: &Grant) -> Form {
    let fields = keyed.key.iter().filter_map(|field| release.manifest.fields.get(usize::from(*field)));
    let key = fields.map(|field| (field.pointer.clone(), field.kind)).collect();
    Form { version: keyed.state_version, key, shown: grant.key_marks(&release.manifest) }
}

/// A line as the ledger keeps it, so that a restart takes it up as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LineRecord {
    pub enforced: Vec<InstalledRecord>,
    pub candidate: Option<InstalledRecord>,
    /// Absent, or whether the policy is asked while its publisher is out of date.
    pub stale: Option<bool>,
}

/// A release as the ledger keeps it: what it was made of is kept under the digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InstalledRecord {
    pub component: String,
    pub settings: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    pub mode: Mode,
    pub share: u16,
    pub strongest: Mode,
    pub validity: Validity,
    pub since: u64,
    pub states: String,
}

impl LineRecord {
    /// Those in force, and the one that is tried out.
    pub fn releases(&self) -> impl Iterator<Item = &InstalledRecord> {
        self.enforced.iter().chain(&self.candidate)
    }

    fn of(line: &Line) -> Self {
        let record = |installed: &Installed| {
            let release = installed.image.release();
            InstalledRecord {
                component: release.component.hex(),
                settings: release.settings.hex(),
                lists: release.lists.iter().map(|list| list.digest.hex()).collect(),
                statement: installed.statement.map(|digest: Digest| digest.hex()),
                mode: installed.mode,
                share: installed.share,
                strongest: installed.strongest,
                validity: installed.validity,
                since: installed.since,
                states: installed.states.to_string(),
            }
        };
        LineRecord {
            enforced: line.enforced.iter().map(record).collect(),
            candidate: line.candidate.as_ref().map(record),
            stale: line.stale.map(|stale| stale == Stale::Keep),
        }
    }

    /// Empty for a line without releases.
    fn to_bytes(&self) -> Vec<u8> {
        match self.enforced.is_empty() && self.candidate.is_none() {
            true => Vec::new(),
            // Texts, words and numbers: there is no such value that JSON cannot have.
            false => serde_json::to_vec(self).unwrap_or_default(),
        }
    }

    /// Reads what [`LineRecord::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        if bytes.is_empty() {
            return Ok(LineRecord::default());
        }
        serde_json::from_slice(bytes).map_err(|error| format!("the releases of a policy cannot be read: {error}"))
    }
}

/// Lines as the ledger had them at the start.
pub(super) type LineRecords = BTreeMap<String, LineRecord>;
