//! What has to come out, worked out in the plainest way: one event after the other, with
//! everything that ever was in maps. It knows of no batches, no disk and no parts, and has
//! no code in common with what it is held against but the arithmetic of the policies.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use super::policies::{KNOWN, Known, Memo, asked_fault};
use crate::digest::Digest;
use crate::verdict::{Action, Decision};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// An event as the simulation made it.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub text: Arc<str>,
    pub source: String,
    pub id: String,
    pub kind: &'static str,
    pub subject: Option<String>,
    pub time: Option<i64>,
    pub number: Option<u64>,
    /// Absent if it is missing or of another type.
    pub amount: Option<i64>,
    pub who: Option<String>,
    pub mark: Option<String>,
}

/// The answer that an event has to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due {
    /// With its verdict.
    Judged(u64, String),
    Again(u64),
    Reused(u64),
    /// It is known, and older than what has to be remembered.
    Outside(Option<u64>),
}

/// A release that is judged with.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Standing {
    release: usize,
    mode: Mode,
    from: Option<i64>,
    /// What its states are kept under.
    states: String,
}

/// What a release counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Shadow,
    /// For all keys, or for none.
    Canary(bool),
    Enforce,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::Shadow => "shadow",
            Mode::Canary(_) => "canary",
            Mode::Enforce => "enforce",
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Line {
    enforced: Vec<Standing>,
    candidate: Option<Standing>,
}

impl Line {
    fn states(&self) -> BTreeSet<String> {
        self.enforced.iter().chain(&self.candidate).map(|standing| standing.states.clone()).collect()
    }

    /// A name for states that nobody else has.
    fn free(&self, known: &Known) -> String {
        let digest = known.id.rsplit('-').next().unwrap_or_default();
        let name = format!("{}@{digest}", known.policy);
        let taken = self.states();
        let numbered = (2..).map(|number| format!("{name}+{number}"));
        std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name)).expect("there is no end of numbers")
    }

    fn enforce(&mut self, standing: Standing) {
        match standing.from {
            None => self.enforced.clear(),
            Some(from) => self.enforced.retain(|other| other.from.is_none_or(|earlier| earlier < from)),
        }
        if self.enforced.len() == 4 {
            self.enforced.remove(0);
        }
        self.enforced.push(standing);
    }
}

/// A change of the releases that are judged with.
#[derive(Debug, Clone)]
pub(super) enum Order {
    Install { release: usize, mode: Mode, from: Option<i64> },
    Promote { policy: &'static str, to: Mode },
    Demote { policy: &'static str },
    Withdraw { policy: &'static str, release: usize },
    Remove { policy: &'static str },
}

impl Order {
    pub fn policy(&self) -> &'static str {
        match self {
            Order::Install { release, .. } => KNOWN[*release].policy,
            Order::Promote { policy, .. } | Order::Demote { policy } | Order::Withdraw { policy, .. } | Order::Remove { policy } => policy,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Space {
    version: u32,
    keys: BTreeMap<String, Memo>,
}

#[derive(Debug, Clone)]
struct Seen {
    sequence: u64,
    text: Arc<str>,
    happened: i64,
}

#[derive(Debug, Clone, Default)]
struct Source {
    /// The greatest event time.
    mark: Option<i64>,
    number: Option<u64>,
    missing: BTreeSet<u64>,
    last: Option<i64>,
    silent: bool,
}

/// The content of an event, where it is kept.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub text: Arc<str>,
    source: String,
    id: String,
    subject: Option<String>,
    /// The entry that says that it is gone.
    pub erased: Option<u64>,
}

/// Bounds that the run was made with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub horizon_days: i64,
    pub lateness: i64,
    /// Seconds, for [`WATCHED`].
    pub heartbeat: i64,
}

/// The source that is listened for.
pub(super) const WATCHED: &str = "/s0";

/// All that has to be the case after so many entries.
#[derive(Debug, Clone)]
pub(super) struct Model {
    bounds: Bounds,
    /// The sequence of the next entry.
    pub next: u64,
    lines: BTreeMap<&'static str, Line>,
    spaces: BTreeMap<String, Space>,
    ids: BTreeMap<(String, String), Seen>,
    sources: BTreeMap<String, Source>,
    keeps: bool,
    pub contents: BTreeMap<u64, Content>,
    /// When this process began to listen.
    since: i64,
    /// Verdicts of this process, by decision.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// Entries that are new since they were taken last.
    new: Vec<String>,
}

impl Model {
    pub fn new(bounds: Bounds) -> Self {
        Model {
            bounds,
            next: 1,
            lines: BTreeMap::new(),
            spaces: BTreeMap::new(),
            ids: BTreeMap::new(),
            sources: BTreeMap::new(),
            keeps: false,
            contents: BTreeMap::new(),
            since: 0,
            verdicts: BTreeMap::new(),
            new: Vec::new(),
        }
    }

    fn note(&mut self, entry: String) -> u64 {
        self.new.push(format!("{} {entry}", self.next));
        self.next += 1;
        self.next - 1
    }

    /// The entries since the last call.
    pub fn entries(&mut self) -> Vec<String> {
        std::mem::take(&mut self.new)
    }

    /// A process begins.
    pub fn start(&mut self, now: i64, keeps: bool) {
        self.since = now;
        self.verdicts.clear();
        if self.next > 1 {
            self.note("start".into());
        }
        if self.keeps != keeps {
            self.keeps = keeps;
            self.note(format!("keep {keeps}"));
        }
    }

    /// Events that arrive at this time.
    pub fn judge(&mut self, events: &[(Sent, i64)]) -> Vec<Due> {
        events.iter().map(|(sent, arrived)| self.admit(sent, *arrived)).collect()
    }

    fn admit(&mut self, sent: &Sent, arrived: i64) -> Due {
        let happened = sent.time.unwrap_or(arrived);
        let name = (sent.source.clone(), sent.id.clone());
        let mark = self.sources.entry(sent.source.clone()).or_default().mark;
        let from = mark.map_or(0, |mark| (mark.div_euclid(DAY) - self.bounds.horizon_days).max(0));
        if let Some(seen) = self.ids.get(&name) {
            return match seen.text == sent.text {
                _ if seen.happened.div_euclid(DAY) < from => Due::Outside(Some(seen.sequence)),
                true => Due::Again(seen.sequence),
                false => Due::Reused(seen.sequence),
            };
        }
        if happened.div_euclid(DAY) < from {
            return Due::Outside(None);
        }
        let late = mark.is_some_and(|mark| happened < mark - self.bounds.lateness);
        let source = self.sources.entry(sent.source.clone()).or_default();
        source.mark = mark.max(Some(happened.min(arrived + DAY)));
        source.last = source.last.max(Some(arrived));
        source.silent = false;
        let mut gap = None;
        if let Some(number) = sent.number {
            match source.number {
                Some(last) if number > last => {
                    source.missing.extend(last + 1..number);
                    gap = (number > last + 1).then_some((last, number));
                    source.number = Some(number);
                }
                Some(_) => {
                    source.missing.remove(&number);
                }
                None => source.number = Some(number),
            }
        }
        if let Some((after, before)) = gap {
            self.note(format!("gap {} {after} {before} {}", sent.source, before - after - 1));
        }
        let Said { asked, without, decision, told } = self.ask(sent, happened);
        let (late, digest) = (if late { " late" } else { "" }, Digest::of(sent.text.as_bytes()).short());
        let sequence = self.note(format!("event {} {} {digest}{late} {decision} [{asked}]{without}", sent.source, sent.id));
        *self.verdicts.entry(decision).or_default() += 1;
        self.ids.insert(name, Seen { sequence, text: sent.text.clone(), happened });
        if self.keeps {
            let (source, id, subject) = (sent.source.clone(), sent.id.clone(), sent.subject.clone());
            self.contents.insert(sequence, Content { text: sent.text.clone(), source, id, subject, erased: None });
        }
        Due::Judged(sequence, told)
    }

    /// Asks every release about an event.
    fn ask(&mut self, sent: &Sent, happened: i64) -> Said {
        let mut said = Said { asked: String::new(), without: String::new(), decision: "allow", told: String::new() };
        let (mut strictest, mut findings, mut faults) = (Decision::Allow, Vec::new(), Vec::new());
        for (policy, line) in &self.lines {
            let types: &[&str] = if *policy == "limit" { &["sim.order", "sim.payment"] } else { &["sim.order"] };
            if !types.contains(&sent.kind) {
                continue;
            }
            let until = |at: usize| line.enforced.get(at + 1).and_then(|next| next.from);
            let in_force = line.enforced.iter().enumerate().filter(|(at, standing)| {
                standing.from.is_none_or(|from| from <= happened) && until(*at).is_none_or(|until| happened < until)
            });
            let in_force = in_force.map(|(_, standing)| standing);
            let candidate = line.candidate.iter().filter(|standing| standing.from.is_none_or(|from| from <= happened));
            let canary =
                line.candidate.as_ref().is_some_and(|standing| standing.mode == Mode::Canary(true)) && candidate.clone().count() == 1;
            let asked = in_force.map(|standing| (standing, if canary { "shadow" } else { "enforce" }));
            let asked: Vec<_> = asked.chain(candidate.map(|standing| (standing, if canary { "canary" } else { "shadow" }))).collect();
            if asked.is_empty() {
                let _ = write!(said.without, " without {policy}");
            }
            for (standing, mode) in asked {
                let known = &KNOWN[standing.release];
                let (found, fault) = answer(known, sent, self.spaces.get_mut(&standing.states));
                let _ = write!(said.asked, "{policy} {} {mode} {} {};", *known.id, u8::from(found), fault.unwrap_or("-"));
                if mode == "shadow" {
                    continue;
                }
                if found {
                    findings.push(*policy);
                    let action = if known.action == Action::Deny { Decision::Deny } else { Decision::Flag };
                    strictest = strictest.max(action);
                }
                if let Some(fault) = fault {
                    faults.push(format!("{policy} {fault}"));
                    strictest = strictest.max(Decision::Undetermined);
                }
            }
        }
        said.decision = strictest.name();
        said.told = format!("{} {findings:?} {faults:?}", said.decision);
        said
    }

    /// Carries out orders, all or none. For each what became of the states, or which kind
    /// of error there is.
    pub fn change(&mut self, orders: &[Order]) -> Result<Vec<&'static str>, &'static str> {
        let before = self.clone();
        let done: Result<Vec<_>, _> = orders.iter().map(|order| self.carry_out(order)).collect();
        if done.is_err() {
            *self = before;
        }
        done
    }

    fn carry_out(&mut self, order: &Order) -> Result<&'static str, &'static str> {
        let policy = order.policy();
        let before = self.lines.get(policy).cloned().unwrap_or_default();
        let mut line = before.clone();
        let mut state = "none";
        let (what, about, replaced) = match order {
            Order::Install { release, mode, from } => {
                let (standing, became) = self.begin(&line, *release, *mode, *from)?;
                state = became;
                let replaced;
                if *mode == Mode::Enforce {
                    replaced = line.enforced.last().map(|other| other.release);
                    line.candidate.take_if(|candidate| candidate.release == *release);
                    line.enforce(standing.clone());
                } else {
                    replaced = line.candidate.as_ref().map(|other| other.release);
                    line.candidate = Some(standing.clone());
                }
                ("install", standing, replaced)
            }
            Order::Promote { to, .. } => {
                let mut candidate = line.candidate.take().ok_or("no-candidate")?;
                candidate.mode = *to;
                let mut replaced = None;
                if *to == Mode::Enforce {
                    replaced = line.enforced.last().map(|other| other.release);
                    line.enforce(candidate.clone());
                } else {
                    line.candidate = Some(candidate.clone());
                }
                ("promote", candidate, replaced)
            }
            Order::Demote { .. } => {
                let canary = line.candidate.take_if(|candidate| matches!(candidate.mode, Mode::Canary(_)));
                let mut demoted = match (canary, &line.candidate) {
                    (Some(canary), _) => canary,
                    (None, None) => line.enforced.pop().ok_or("not-in-force")?,
                    (None, Some(_)) => return Err("no-candidate"),
                };
                demoted.mode = Mode::Shadow;
                if let Some(space) = self.spaces.get(&demoted.states)
                    && line.enforced.iter().any(|other| other.states == demoted.states)
                {
                    let space = space.clone();
                    demoted.states = line.free(&KNOWN[demoted.release]);
                    self.spaces.insert(demoted.states.clone(), space);
                }
                line.candidate = Some(demoted.clone());
                ("demote", demoted, None)
            }
            Order::Withdraw { release, .. } => {
                let mut all = line.candidate.iter().chain(line.enforced.iter().rev());
                let about = all.find(|standing| standing.release == *release).cloned().ok_or("not-in-force")?;
                line.candidate.take_if(|candidate| candidate.release == *release);
                line.enforced.retain(|standing| standing.release != *release);
                ("withdraw", about, None)
            }
            Order::Remove { .. } => {
                let about = line.enforced.first().or(line.candidate.as_ref()).cloned().ok_or("not-in-force")?;
                line = Line::default();
                ("remove", about, None)
            }
        };
        for gone in before.states().difference(&line.states()) {
            self.spaces.remove(gone);
        }
        let replaced = replaced.map_or("-", |release| KNOWN[release].id.as_str());
        self.note(format!("change {what} {policy} {} {} {replaced} {state}", *KNOWN[about.release].id, about.mode.name()));
        match line == Line::default() {
            true => drop(self.lines.remove(policy)),
            false => drop(self.lines.insert(policy, line)),
        }
        Ok(state)
    }

    /// What becomes of the states when a release begins.
    fn begin(&mut self, line: &Line, release: usize, mode: Mode, from: Option<i64>) -> Result<(Standing, &'static str), &'static str> {
        let known = &KNOWN[release];
        let before = line.enforced.last().map_or_else(|| known.policy.to_string(), |current| current.states.clone());
        let space = self.spaces.get(&before);
        let keys = space.map_or(0, |space| space.keys.len());
        let (became, other) = match (known.version, space) {
            (version, None) => ("none", version.is_some()),
            (None, Some(_)) => (if keys == 0 { "none" } else { "reset" }, true),
            (Some(version), Some(space)) if keys == 0 => ("none", space.version != version),
            (Some(version), Some(space)) if space.version == version => ("kept", false),
            (Some(_), Some(space)) if known.migrates_from.contains(&space.version) => ("migrated", true),
            _ if known.resets => ("reset", true),
            _ => return Err("state"),
        };
        let stays = line.candidate.as_ref().filter(|candidate| candidate.release != release);
        let apart = match (mode, from) {
            (Mode::Enforce, _) if known.version.is_some() && stays.is_some_and(|candidate| candidate.states == before) => true,
            (Mode::Enforce, None) => false,
            (Mode::Enforce, Some(_)) => other && !line.enforced.is_empty(),
            _ => true,
        };
        let states = if apart { line.free(known) } else { before };
        if other || apart {
            let keys = match became {
                "kept" | "migrated" => space.map(|space| space.keys.clone()).unwrap_or_default(),
                _ => BTreeMap::new(),
            };
            match known.version {
                Some(version) => drop(self.spaces.insert(states.clone(), Space { version, keys })),
                None => drop(self.spaces.remove(&states)),
            }
        }
        Ok((Standing { release, mode, from, states }, became))
    }

    /// Looks at the clock. Says whether a source has fallen silent.
    pub fn tick(&mut self, now: i64) -> bool {
        let (since, heartbeat) = (self.since, self.bounds.heartbeat);
        let source = self.sources.entry(WATCHED.to_string()).or_default();
        let is_new = !source.silent && source.last.map_or(since, |last| last.max(since)) + heartbeat * SECOND < now;
        if is_new {
            source.silent = true;
            self.note(format!("silence {WATCHED}"));
        }
        is_new
    }

    /// The content of events goes. Gives the sequence of the entry, and how many had some.
    pub fn erase(&mut self, subject: Option<&str>, source: Option<&str>, id: Option<&str>) -> (u64, u64) {
        let sequence = self.note("erasure".into());
        let mut erased = 0;
        for content in self.contents.values_mut().filter(|content| content.erased.is_none()) {
            let is = |wanted: Option<&str>, own: Option<&str>| wanted.is_none() || wanted == own;
            if is(subject, content.subject.as_deref()) && is(source, Some(&content.source)) && is(id, Some(&content.id)) {
                content.erased = Some(sequence);
                erased += 1;
            }
        }
        (sequence, erased)
    }

    /// What the first release of `count` remembers of a key, as it writes it down; an error
    /// if there is none.
    pub fn state(&self, who: &str) -> Option<Vec<u8>> {
        let line = self.lines.get("count")?;
        let first = line.enforced.iter().chain(&line.candidate).next()?;
        let space = self.spaces.get(&first.states)?;
        space.keys.get(who).map(|memo| memo.write(space.version))
    }

    /// Whether a release of a policy is judged with.
    pub fn has(&self, policy: &str) -> bool {
        self.lines.contains_key(policy)
    }

    /// Numbered events that are missing.
    pub fn missing(&self) -> u64 {
        self.sources.values().map(|source| source.missing.len() as u64).sum()
    }

    /// Keys with a state, over all policies.
    pub fn keys(&self) -> usize {
        self.spaces.values().map(|space| space.keys.len()).sum()
    }
}

struct Said {
    asked: String,
    without: String,
    decision: &'static str,
    /// What whoever submitted it is told.
    told: String,
}

/// What a release says about an event: whether something is found, and the fault.
fn answer(known: &Known, sent: &Sent, space: Option<&mut Space>) -> (bool, Option<&'static str>) {
    let Some(amount) = sent.amount else { return (false, Some("unreadable")) };
    let fault = asked_fault(known.policy, sent.mark.as_deref()).map(|fault| fault.name());
    let Some(_) = known.version else { return (fault.is_none() && amount > known.number, fault) };
    let Some(who) = &sent.who else { return (false, Some("unreadable")) };
    if fault.is_some() {
        return (false, fault);
    }
    let space = space.expect("a policy with states has a place for them");
    let mut memo = space.keys.remove(who);
    let found = Memo::take(&mut memo, amount, known.number as u64);
    space.keys.extend(memo.map(|memo| (who.clone(), memo)));
    (found, None)
}
