//! Verdicts for whoever embeds the runtime, as they are recorded.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use futures_util::Stream;
use futures_util::stream::unfold;
use serde::Serialize;
use tokio::sync::broadcast::{self, error::RecvError};

use super::Runtime;
use super::admit::Slot;
use super::commit::{Waiting, Work};
use super::entries::Entries;
use crate::event::Event;
use crate::ledger::entry::{Entry, EventEntry, Fault, Finding, TimerEntry};
use crate::ledger::{Line, LogError};
use crate::verdict::{self, Action, Decision, FaultKind, Handling, Mode, Severity, Verdict};

/// Notices that are read from the ledger in one go, at most.
const PAGE: usize = 256;

/// Notices that a subscriber may be behind where there is no ledger to read them from.
const BEHIND_MAX: usize = 4_096;

/// A verdict as a subscriber gets it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notice {
    /// Place in the total order; grows from one to the next, by more than one where
    /// something else has its place between them.
    pub sequence: u64,
    /// What was judged.
    pub about: About,
    /// The verdict.
    pub verdict: Decision,
    /// What the platform does with the event, if the verdict is undetermined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handling: Option<Handling>,
    /// What was found, in the order of the policies' names.
    pub findings: Vec<Found>,
    /// Policies that failed to answer, in the same order.
    pub faults: Vec<Failed>,
    /// The entry as it stands in the ledger, a JSON line without its `\n` (`FORMAT.md` has
    /// what is in it); absent without a ledger.
    #[serde(skip)]
    pub entry: Option<Line>,
}

/// What was judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// An event, by its CloudEvents attributes.
    Event {
        /// Whose it is.
        source: String,
        /// Its id at the source.
        id: String,
        /// Its type.
        r#type: String,
        /// Whom or what it is about.
        #[serde(skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
        /// When it happened (RFC 3339), as it was sent.
        #[serde(skip_serializing_if = "Option::is_none")]
        time: Option<String>,
    },
    /// A timer that a policy had set.
    Timer {
        /// Which policy.
        policy: String,
        /// The source whose time it waited for.
        source: String,
        /// When it was due (RFC 3339).
        due: String,
    },
}

/// One rule's statement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// The policy; `PUBLISHER/NAME` if it was published.
    pub policy: String,
    /// Version and short digest of its release.
    pub release: String,
    /// The rule.
    pub rule: String,
    /// What it asks for.
    pub action: Action,
    /// How bad it is.
    pub severity: Severity,
    /// Whether it counts: what a release in shadow finds is recorded and changes nothing.
    pub counts: bool,
    /// In the rule's default language.
    pub message: String,
    /// What it rests on: name and value.
    pub evidence: Vec<(String, String)>,
    /// The law.
    pub legal_basis: String,
}

/// A policy that failed to answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failed {
    /// The policy.
    pub policy: String,
    /// Version and short digest of its release.
    pub release: String,
    /// Whether it counts, as that of a finding.
    pub counts: bool,
    /// In which way.
    pub kind: FaultKind,
    /// What a person needs to mend it.
    pub detail: String,
}

/// Why a subscriber does not get a verdict.
#[derive(Debug, thiserror::Error)]
pub enum VerdictsError {
    /// The ledger cannot be read. Nothing more comes; what was not given can be had with
    /// another subscription from the same sequence on.
    #[error("the ledger cannot be read: {0}")]
    Read(#[from] LogError),
    /// The subscriber was too slow for a runtime that keeps nothing. The next ones follow.
    #[error("{missed} verdicts were given while nobody took them, and a runtime without a data directory keeps none")]
    Missed {
        /// How many.
        missed: u64,
    },
}

/// Verdicts from a sequence on ([`Runtime::verdicts`]).
#[derive(Debug)]
pub struct Verdicts(Origin);

/// Where they come from.
#[derive(Debug)]
enum Origin {
    /// With what was read and not taken yet.
    Ledger(Entries, VecDeque<Notice>),
    /// The first sequence that is wanted.
    Memory(broadcast::Receiver<Notice>, u64),
    Ended,
}

impl Runtime {
    /// Verdicts from a sequence on (1 for all), in their order, as they are recorded: those
    /// on events and on timers that fired.
    ///
    /// With a data directory they come from the ledger, however old they are, and none is
    /// left out; a slow subscriber holds up nobody. What was taken last is the subscriber's
    /// to remember: a program that keeps the sequence goes on with the next one after a
    /// crash. Without a data directory there is nothing to read from: a subscription has the
    /// verdicts on events that are given while it is there, and a subscriber who is some
    /// thousand behind is told how many are lost ([`VerdictsError::Missed`]).
    ///
    /// A subscription does not keep the runtime from ending.
    pub fn verdicts(&self, from: u64) -> Verdicts {
        Verdicts(match (self.entries(from), self.0.live.upgrade()) {
            (Some(entries), _) => Origin::Ledger(entries, VecDeque::new()),
            (None, Some(live)) => Origin::Memory(live.subscribe(), from),
            (None, None) => Origin::Ended,
        })
    }
}

impl Verdicts {
    /// The next verdict; waits for it. Nothing once the runtime has ended and everything was
    /// taken, or behind an error of the ledger. May be given up at any time: what was not
    /// given comes again.
    pub async fn next(&mut self) -> Option<Result<Notice, VerdictsError>> {
        let taken = match &mut self.0 {
            Origin::Ledger(entries, page) => read(entries, page).await,
            Origin::Memory(live, from) => loop {
                match live.recv().await {
                    Ok(notice) if notice.sequence < *from => {}
                    Ok(notice) => break Some(Ok(notice)),
                    Err(RecvError::Lagged(missed)) => break Some(Err(VerdictsError::Missed { missed })),
                    Err(RecvError::Closed) => break None,
                }
            },
            Origin::Ended => None,
        };
        if matches!(taken, None | Some(Err(VerdictsError::Read(_)))) {
            self.0 = Origin::Ended;
        }
        taken
    }

    /// The same as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Notice, VerdictsError>> + Send {
        unfold(self, |mut verdicts| async move { Some((verdicts.next().await?, verdicts)) })
    }
}

async fn read(entries: &mut Entries, page: &mut VecDeque<Notice>) -> Option<Result<Notice, VerdictsError>> {
    loop {
        if let Some(notice) = page.pop_front() {
            return Some(Ok(notice));
        }
        let read =
            entries.read(Ok(VecDeque::new()), |page: &mut Result<VecDeque<Notice>, LogError>, sequence, line| {
                match Notice::of_line(line) {
                    Ok(notice) => {
                        let Ok(notices) = page else { return ControlFlow::Break(()) };
                        notices.extend(notice);
                        if notices.len() < PAGE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                    }
                    Err(problem) => {
                        *page = Err(LogError::Read(format!("entry {sequence}: {problem}")));
                        ControlFlow::Break(())
                    }
                }
            });
        match read.await.and_then(|(found, more)| Ok((found?, more))) {
            Ok((found, more)) => {
                *page = found;
                if page.is_empty() && !more && !entries.wait().await {
                    return None;
                }
            }
            Err(error) => return Some(Err(error.into())),
        }
    }
}

impl Notice {
    /// Of an entry's line; nothing if it has no verdict.
    fn of_line(line: String) -> Result<Option<Notice>, String> {
        let notice = match Entry::parse(line.as_bytes()).map_err(|error| error.to_string())? {
            Entry::Event(event) => Notice::of_event(&event),
            Entry::Timer(sequence, timer) => Notice::of_timer(sequence, &timer),
            Entry::Gap(..)
            | Entry::Silence(..)
            | Entry::Change(..)
            | Entry::Configuration(..)
            | Entry::Start(..)
            | Entry::Keep(..)
            | Entry::Erasure(..) => return Ok(None),
        };
        Ok(Some(Notice { entry: Some(line.into()), ..notice }))
    }

    fn of_event(event: &EventEntry<'_>) -> Notice {
        let text = |text: &str| text.to_string();
        let asked = || event.asked.iter();
        let findings =
            asked().flat_map(|asked| asked.findings.iter().map(|finding| found(&asked.policy, &asked.release, asked.mode, finding)));
        let faults = asked().filter_map(|asked| Some(failed(&asked.policy, &asked.release, asked.mode, asked.fault.as_ref()?)));
        Notice {
            sequence: event.sequence,
            about: About::Event {
                source: text(&event.source),
                id: text(&event.id),
                r#type: text(&event.kind),
                subject: event.subject.as_deref().map(text),
                time: event.time.as_deref().map(text),
            },
            verdict: event.verdict,
            handling: event.handling,
            findings: findings.collect(),
            faults: faults.collect(),
            entry: None,
        }
    }

    fn of_timer(sequence: u64, timer: &TimerEntry<'_>) -> Notice {
        let TimerEntry { policy, release, mode, .. } = timer;
        Notice {
            sequence,
            about: About::Timer { policy: policy.to_string(), source: timer.source.to_string(), due: timer.due.to_string() },
            verdict: timer.verdict,
            handling: None,
            findings: timer.findings.iter().map(|finding| found(policy, release, *mode, finding)).collect(),
            faults: timer.fault.iter().map(|fault| failed(policy, release, *mode, fault)).collect(),
            entry: None,
        }
    }

    /// Of what is not recorded anywhere. There is only what counts.
    fn of_verdict(sequence: u64, event: &Event, verdict: &Verdict) -> Notice {
        let finding = |finding: &verdict::Finding| Found {
            policy: finding.release.policy().to_string(),
            release: finding.release.id.clone(),
            rule: finding.rule().id.clone(),
            action: finding.action,
            severity: finding.rule().severity,
            counts: true,
            message: finding.message(),
            evidence: finding.evidence.clone(),
            legal_basis: finding.rule().legal_basis.clone(),
        };
        let fault = |fault: &verdict::Fault| Failed {
            policy: fault.release.policy().to_string(),
            release: fault.release.id.clone(),
            counts: true,
            kind: fault.kind,
            detail: fault.detail.clone(),
        };
        Notice {
            sequence,
            about: About::Event {
                source: event.source().to_string(),
                id: event.id().to_string(),
                r#type: event.kind().to_string(),
                subject: event.subject().map(str::to_string),
                time: event.time().map(str::to_string),
            },
            verdict: verdict.decision,
            handling: verdict.handling(),
            findings: verdict.findings.iter().map(finding).collect(),
            faults: verdict.faults.iter().map(fault).collect(),
            entry: None,
        }
    }
}

fn found(policy: &str, release: &str, mode: Mode, finding: &Finding<'_>) -> Found {
    Found {
        policy: policy.to_string(),
        release: release.to_string(),
        rule: finding.rule.to_string(),
        action: finding.action,
        severity: finding.severity,
        counts: mode.counts(),
        message: finding.message.to_string(),
        evidence: finding.evidence.0.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        legal_basis: finding.legal_basis.to_string(),
    }
}

fn failed(policy: &str, release: &str, mode: Mode, fault: &Fault<'_>) -> Failed {
    Failed {
        policy: policy.to_string(),
        release: release.to_string(),
        counts: mode.counts(),
        kind: fault.kind,
        detail: fault.detail.to_string(),
    }
}

/// Where verdicts are told that are kept nowhere.
#[derive(Debug, Clone)]
pub(super) struct Live(broadcast::Sender<Notice>);

/// What does not keep it from ending.
pub(super) type WeakLive = broadcast::WeakSender<Notice>;

impl Live {
    pub fn new() -> Live {
        Live(broadcast::Sender::new(BEHIND_MAX))
    }

    pub fn weak(&self) -> WeakLive {
        self.0.downgrade()
    }

    /// Tells the verdicts of a batch, if anybody listens.
    pub fn tell(&self, work: &Work) {
        if self.0.receiver_count() == 0 {
            return;
        }
        for Waiting { submission, slots, verdicts } in &work.submissions {
            let new = slots.iter().zip(&submission.events).filter(|(slot, _)| **slot == Slot::New);
            for ((sequence, verdict), (_, event)) in verdicts.iter().zip(new) {
                // Nobody may listen any more.
                let _ = self.0.send(Notice::of_verdict(*sequence, event, verdict));
            }
        }
    }
}
