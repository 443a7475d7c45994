//! What the ledger has about a subject.

use std::collections::HashMap;

use crate::ledger::entry::{Asked, Entry as Line, EventEntry, Finding};
use crate::ledger::{Log, LogError};
use crate::runtime::{Mode, Standing};
use crate::server::page::parts;
use crate::server::page::texts::Language;
use crate::verdict::Decision;

/// What was found about a subject.
#[derive(Debug, Default)]
pub struct Found {
    /// In the order of the log.
    pub entries: Vec<Entry>,
    /// The entries by their verdicts.
    pub verdicts: [u64; 4],
    /// The rules, those with most findings first.
    pub rules: Vec<Rule>,
}

/// An entry with findings or faults.
#[derive(Debug)]
pub struct Entry {
    pub sequence: u64,
    /// When it happened; when it arrived, if its source does not say.
    pub at: i64,
    pub verdict: Decision,
    pub said: Vec<Said>,
    /// Policies that gave no answer.
    pub faults: Vec<String>,
}

/// A finding.
#[derive(Debug)]
pub struct Said {
    pub rule: String,
    pub mode: Mode,
    pub message: String,
}

/// A rule with its findings.
#[derive(Debug)]
pub struct Rule {
    pub policy: String,
    pub rule: String,
    pub mode: Mode,
    /// The clause, as it was recorded last.
    pub clause: String,
    pub findings: u64,
}

/// Reads entries, and of them what is about policies that `sees` lets through. Messages are
/// in the language of the reader, where the release that found it is judged with and has
/// it; otherwise as they were recorded.
///
/// # Errors
///
/// If the log cannot be read.
pub fn read(
    log: &Log,
    sequences: &[u64],
    standing: &[Standing],
    language: Language,
    sees: impl Fn(&str) -> bool,
) -> Result<Found, LogError> {
    let (mut found, mut rules) = (Found::default(), HashMap::new());
    log.read_many(sequences, |_, line| {
        if let Ok(Line::Event(event)) = Line::parse(line.as_bytes())
            && let Some(entry) = entry(&event, standing, language, &sees, &mut rules)
        {
            found.verdicts[entry.verdict as usize] += 1;
            found.entries.push(entry);
        }
    })?;
    found.rules = rules.into_values().collect();
    found.rules.sort_by(|one, other| {
        let names = |rule: &Rule| (rule.policy.clone(), rule.rule.clone());
        other.findings.cmp(&one.findings).then_with(|| names(one).cmp(&names(other)))
    });
    Ok(found)
}

type Rules = HashMap<(String, String, Mode), Rule>;

fn entry(
    event: &EventEntry<'_>,
    standing: &[Standing],
    language: Language,
    sees: &impl Fn(&str) -> bool,
    rules: &mut Rules,
) -> Option<Entry> {
    let mut entry =
        Entry { sequence: event.sequence, at: event.happened().micros(), verdict: event.verdict, said: Vec::new(), faults: Vec::new() };
    let mut is_all = true;
    for asked in &event.asked {
        if !sees(&asked.policy) {
            is_all = false;
            continue;
        }
        entry.faults.extend(asked.fault.as_ref().map(|_| asked.policy.to_string()));
        let release = standing.iter().map(|standing| &*standing.release).find(|release| release.digest == asked.digest);
        for finding in &asked.findings {
            count(rules, asked, finding);
            let message = parts::says(language, release, finding);
            entry.said.push(Said { rule: finding.rule.to_string(), mode: asked.mode, message });
        }
    }
    if entry.said.is_empty() && entry.faults.is_empty() {
        return None;
    }
    if !is_all {
        entry.verdict = event.verdict_of(sees);
    }
    Some(entry)
}

fn count(rules: &mut Rules, asked: &Asked<'_>, finding: &Finding<'_>) {
    let key = (asked.policy.to_string(), finding.rule.to_string(), asked.mode);
    let rule = rules.entry(key).or_insert_with_key(|(policy, rule, mode)| Rule {
        policy: policy.clone(),
        rule: rule.clone(),
        mode: *mode,
        clause: String::new(),
        findings: 0,
    });
    rule.findings += 1;
    rule.clause = finding.legal_basis.to_string();
}
