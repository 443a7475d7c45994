//! What the ledger has about a subject.

use std::collections::HashMap;

use crate::ledger::entry::{Asked, Entry as Line, EventEntry, Finding};
use crate::ledger::{Log, LogError};
use crate::runtime::{Mode, Standing};
use crate::server::page::texts::Language;
use crate::verdict::{Decision, message};

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
    let mut entry = Entry { sequence: event.sequence, at: happened(event), verdict: event.verdict, said: Vec::new(), faults: Vec::new() };
    let mut is_all = true;
    for asked in &event.asked {
        if !sees(&asked.policy) {
            is_all = false;
            continue;
        }
        entry.faults.extend(asked.fault.as_ref().map(|_| asked.policy.to_string()));
        for finding in &asked.findings {
            count(rules, asked, finding);
            let message = in_language(asked, finding, standing, language);
            entry.said.push(Said { rule: finding.rule.to_string(), mode: asked.mode, message });
        }
    }
    if entry.said.is_empty() && entry.faults.is_empty() {
        return None;
    }
    if !is_all {
        entry.verdict = own_verdict(event, sees);
    }
    Some(entry)
}

/// What policies say together that are not all.
fn own_verdict(event: &EventEntry<'_>, sees: &impl Fn(&str) -> bool) -> Decision {
    let own = event.asked.iter().filter(|asked| sees(&asked.policy) && asked.mode != Mode::Shadow);
    let said = own.flat_map(|asked| {
        let found = asked.findings.iter().map(|finding| Decision::from(finding.action));
        found.chain(asked.fault.as_ref().map(|_| Decision::Undetermined))
    });
    said.max().unwrap_or(Decision::Allow)
}

fn happened(event: &EventEntry<'_>) -> i64 {
    let sent = event.time.as_deref().and_then(|time| time.parse::<jiff::Timestamp>().ok());
    sent.map_or_else(|| event.arrived.micros(), jiff::Timestamp::as_microsecond)
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

fn in_language(asked: &Asked<'_>, finding: &Finding<'_>, standing: &[Standing], language: Language) -> String {
    let release = standing.iter().find(|standing| standing.release.digest == asked.digest).map(|standing| &standing.release);
    match release.and_then(|release| release.manifest.rules.iter().find(|rule| rule.id == *finding.rule)) {
        Some(rule) => {
            let evidence: Vec<(String, String)> =
                finding.evidence.0.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            message(rule, Some(language.tag()), &evidence)
        }
        None => finding.message.to_string(),
    }
}
