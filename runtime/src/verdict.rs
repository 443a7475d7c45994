//! What the runtime says about an event, and how policies' findings combine.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::Release;
use crate::policy::manifest::Rule;

pub use crate::policy::manifest::{Action, Severity};
pub use crate::policy::mode::{Handling, Mode};

/// What the policies in force say together: the strictest wins, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// No policy found anything.
    Allow,
    /// A rule marks the event.
    Flag,
    /// A policy that was asked could not answer, and none denies.
    Undetermined,
    /// A rule denies the event.
    Deny,
}

impl Decision {
    /// All decisions, from the mildest to the strictest.
    pub const ALL: [Decision; 4] = [Decision::Allow, Decision::Flag, Decision::Undetermined, Decision::Deny];

    /// The word used in answers, metrics and tables.
    pub fn name(self) -> &'static str {
        match self {
            Decision::Allow => "allow",
            Decision::Flag => "flag",
            Decision::Undetermined => "undetermined",
            Decision::Deny => "deny",
        }
    }
}

/// The strictest of what was found, and of a policy that did not answer.
pub(crate) fn strictest(found: impl IntoIterator<Item = Action>, failed: bool) -> Decision {
    let failed = failed.then_some(Decision::Undetermined);
    found.into_iter().map(Decision::from).chain(failed).max().unwrap_or(Decision::Allow)
}

impl From<Action> for Decision {
    fn from(action: Action) -> Self {
        match action {
            Action::Flag => Decision::Flag,
            Action::Deny => Decision::Deny,
        }
    }
}

/// One rule's statement about one event.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Who says it.
    pub release: Arc<Release>,
    /// Index of the rule in the release's manifest; checked when the finding
    /// came out of the sandbox.
    pub(crate) rule: u16,
    /// What it asks for: the rule's action, or the strongest that the publisher was
    /// granted, if that is milder.
    pub action: Action,
    /// What it rests on: name and value.
    pub evidence: Vec<(String, String)>,
}

impl Finding {
    /// The rule that the finding is of.
    pub fn rule(&self) -> &Rule {
        &self.release.manifest.rules[usize::from(self.rule)]
    }

    /// The rule's message in its default language, with the evidence filled in.
    pub fn message(&self) -> String {
        message(self.rule(), None, &self.evidence)
    }
}

/// A rule's message with the evidence filled in: in a language (a BCP 47 tag, or the
/// beginning of one), if the rule has it, and otherwise in its default language.
pub fn message(rule: &Rule, language: Option<&str>, evidence: &[(String, String)]) -> String {
    let has = |tag: &str, wanted: &str| {
        let rest = tag.get(..wanted.len()).filter(|begin| begin.eq_ignore_ascii_case(wanted)).map(|begin| &tag[begin.len()..]);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let wanted = language.and_then(|wanted| rule.messages.iter().find(|message| has(&message.language, wanted)));
    match wanted.or_else(|| rule.messages.first()) {
        Some(message) => fill(&message.text, evidence),
        None => String::new(),
    }
}

/// Bytes of a message beyond which no more evidence is filled in: a template can
/// name the same long value many times. The evidence itself is always whole.
const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// Puts evidence in the place of `{name}`. A name without evidence stays as it
/// is: a message that admits a gap is better than one with a hole.
fn fill(template: &str, evidence: &[(String, String)]) -> String {
    let mut message = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        message.push_str(&rest[..open]);
        rest = &rest[open..];
        let Some(close) = rest.find('}') else { break };
        let name = &rest[1..close];
        if message.len() > MESSAGE_BYTES_MAX {
            message.push('…');
            return message;
        }
        match evidence.iter().find(|(known, _)| known == name) {
            Some((_, value)) => message.push_str(&value[..value.floor_char_boundary(MESSAGE_BYTES_MAX)]),
            None => message.push_str(&rest[..=close]),
        }
        rest = &rest[close + 1..];
    }
    message.push_str(rest);
    message
}

/// Why a policy did not answer for a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// A declared field is missing or of another type.
    Unreadable,
    /// The policy itself says that it cannot judge the row.
    Undecided,
    /// Ran out of fuel.
    Fuel,
    /// Asked for more memory than it may have, and gave up.
    Memory,
    /// Trapped.
    Trap,
    /// Said too much, or something that the contract does not allow.
    Output,
    /// Took longer than the safety net allows, or the machine had not the memory that
    /// the policy may have. A matter of the machine, not of the policy: another run may
    /// succeed.
    Timeout,
    /// Too many other rows of the batch failed, so this one was not tried.
    Abandoned,
    /// What the publisher says is out of date, and the platform asks its policies no
    /// more until it is not.
    Stale,
}

impl FaultKind {
    /// All kinds, for closed sets of metric labels.
    pub const ALL: [FaultKind; 9] = [
        FaultKind::Unreadable,
        FaultKind::Undecided,
        FaultKind::Fuel,
        FaultKind::Memory,
        FaultKind::Trap,
        FaultKind::Output,
        FaultKind::Timeout,
        FaultKind::Abandoned,
        FaultKind::Stale,
    ];

    /// The word used in answers, metrics and tables.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Unreadable => "unreadable",
            FaultKind::Undecided => "undecided",
            FaultKind::Fuel => "fuel",
            FaultKind::Memory => "memory",
            FaultKind::Trap => "trap",
            FaultKind::Output => "output",
            FaultKind::Timeout => "timeout",
            FaultKind::Abandoned => "abandoned",
            FaultKind::Stale => "stale",
        }
    }
}

/// A policy failed to answer for one event.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Which policy.
    pub release: Arc<Release>,
    /// In which way.
    pub kind: FaultKind,
    /// What a person needs to mend it, such as the field at fault.
    pub detail: String,
    /// What the platform does with an event that this leaves undetermined.
    pub handling: Handling,
}

/// What the policies in force say about one event.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The strictest of all findings and faults.
    pub decision: Decision,
    /// In the order of the policies' names, then as each policy gave them.
    pub findings: Vec<Finding>,
    /// Policies that failed to answer, in the order of their names.
    pub faults: Vec<Fault>,
}

impl Verdict {
    /// Combines what the policies said: the strictest wins.
    pub fn combine(findings: Vec<Finding>, faults: Vec<Fault>) -> Self {
        let decision = strictest(findings.iter().map(|finding| finding.action), !faults.is_empty());
        Verdict { decision, findings, faults }
    }

    /// What the platform does with the event, if it is undetermined: the strictest of
    /// what it has set for the publishers whose policies failed.
    pub fn handling(&self) -> Option<Handling> {
        (self.decision == Decision::Undetermined).then(|| self.faults.iter().map(|fault| fault.handling).max().unwrap_or_default())
    }

    /// Whether there is nothing to say: no finding, no fault.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.faults.is_empty()
    }
}

/// Whether a finding changes nothing, because another one denies the event.
pub(crate) fn is_overridden(decision: Decision, action: Action) -> bool {
    decision == Decision::Deny && action == Action::Flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_filled_with_evidence() {
        let evidence = vec![("word".to_string(), "KNIFE".to_string())];
        assert_eq!(fill("has {word}.", &evidence), "has KNIFE.");
        assert_eq!(fill("{word}{word}", &evidence), "KNIFEKNIFE");
        assert_eq!(fill("{other} stays, {", &evidence), "{other} stays, {");
    }

    #[test]
    fn evidence_is_not_filled_in_again() {
        let evidence = vec![("a".to_string(), "{b}".to_string()), ("b".to_string(), "x".to_string())];
        assert_eq!(fill("{a}", &evidence), "{b}");
    }
}
