//! The whole path in process: events as bytes are decoded, submitted and answered for, as a
//! server's connections do it, without HTTP around it.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::ingest::{self, Limits};
use crate::ledger::Answer;
use crate::runtime::{Runtime, Stopped};
use crate::verdict::{Decision, Verdict};

/// Who submits at the same time, and how many groups each has on their way.
const CLIENTS: usize = 2;
const WAITING: usize = 4;

/// Events that are submitted together.
const GROUP: usize = 1_024;

/// What came of events.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Answers {
    /// In the order of [`Decision::ALL`].
    pub verdicts: [u64; 4],
    /// Events with a finding or a fault.
    pub found: u64,
    /// Findings by policy.
    pub findings: BTreeMap<String, u64>,
    /// Faults by policy and kind.
    pub faults: BTreeMap<(String, &'static str), u64>,
    /// Events that were here before, by what the ledger knows.
    pub repeated: u64,
    /// Events that were not taken, and why the first of them was not.
    pub refused: u64,
    pub refusal: Option<String>,
}

/// Events that went the whole way.
#[derive(Debug)]
pub struct Driven {
    pub took: Duration,
    pub answers: Answers,
}

/// Sends events the whole way, two connections' worth at the same time. Each line is one
/// event as JSON.
///
/// # Errors
///
/// If the runtime ends.
///
/// # Panics
///
/// If a line is no event within the limits.
pub async fn drive(runtime: &Runtime, lines: Vec<Vec<u8>>, limits: &Limits) -> Result<Driven, Stopped> {
    let share = lines.len().div_ceil(CLIENTS).max(1);
    let mut lines = lines.into_iter();
    let shares: Vec<Vec<Vec<u8>>> = (0..CLIENTS).map(|_| lines.by_ref().take(share).collect()).collect();
    let began = Instant::now();
    let clients: Vec<_> = shares.into_iter().map(|lines| tokio::spawn(client(runtime.clone(), lines, limits.clone()))).collect();
    let mut answers = Answers::default();
    for client in clients {
        answers.merge(client.await.map_err(|_| Stopped)??);
    }
    Ok(Driven { took: began.elapsed(), answers })
}

async fn client(runtime: Runtime, lines: Vec<Vec<u8>>, limits: Limits) -> Result<Answers, Stopped> {
    let (mut waiting, mut answers) = (VecDeque::new(), Answers::default());
    for group in lines.chunks(GROUP) {
        let decode = |line: &Vec<u8>| ingest::structured(line, &limits).unwrap_or_else(|rejection| panic!("no event: {rejection}"));
        let events = group.iter().map(decode).collect();
        waiting.push_back(runtime.submit(events).await?);
        if waiting.len() == WAITING
            && let Some(first) = waiting.pop_front()
        {
            answers.take(first.await?.answers);
        }
    }
    for pending in waiting {
        answers.take(pending.await?.answers);
    }
    Ok(answers)
}

impl Answers {
    fn take(&mut self, answers: Vec<Answer>) {
        for answer in answers {
            match answer {
                Answer::Judged(recorded) => self.judged(recorded.get()),
                Answer::Again(_) => self.repeated += 1,
                Answer::Refused(refusal) => {
                    self.refused += 1;
                    self.refusal.get_or_insert_with(|| refusal.to_string());
                }
            }
        }
    }

    fn judged(&mut self, verdict: &Verdict) {
        self.verdicts[Decision::ALL.iter().position(|decision| *decision == verdict.decision).unwrap_or_default()] += 1;
        if verdict.is_clean() {
            return;
        }
        self.found += 1;
        for finding in &verdict.findings {
            match self.findings.get_mut(finding.release.policy()) {
                Some(count) => *count += 1,
                None => *self.findings.entry(finding.release.policy().into()).or_default() += 1,
            }
        }
        for fault in &verdict.faults {
            *self.faults.entry((fault.release.policy().into(), fault.kind.name())).or_default() += 1;
        }
    }

    fn merge(&mut self, other: Answers) {
        self.verdicts.iter_mut().zip(other.verdicts).for_each(|(own, other)| *own += other);
        self.found += other.found;
        other.findings.into_iter().for_each(|(policy, count)| *self.findings.entry(policy).or_default() += count);
        other.faults.into_iter().for_each(|(fault, count)| *self.faults.entry(fault).or_default() += count);
        self.repeated += other.repeated;
        self.refused += other.refused;
        self.refusal = self.refusal.take().or(other.refusal);
    }
}
