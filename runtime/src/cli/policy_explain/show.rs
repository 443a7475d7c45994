//! An explanation, for people and for scripts.

use std::fmt::Write as _;
use std::sync::Arc;

use ephor::policy::Release;
use ephor::trial;
use ephor::verdict::message;
use serde_json::{Value, json};

use super::again::{Again, Forms};
use super::how_to_prove;
use super::place::{Content, Place};
use super::record::{About, Asked, Finding, Record};
use crate::cli::policy_run::show;
use crate::cli::table::{grouped, plain, size};

/// What is known about what one release said.
pub struct Explained {
    pub asked: Asked,
    /// The rule that it is about, if it is about one.
    pub rule: Option<String>,
    pub release: Option<Arc<Release>>,
    pub prose: Option<String>,
    pub seen: Seen,
    pub again: Again,
    pub forms: Forms,
}

/// What the release saw.
pub enum Seen {
    Fields {
        fields: Vec<trial::Seen>,
        /// Whether the entry commits to these values; absent if that cannot be checked.
        committed: Option<bool>,
    },
    Unknown(String),
}

impl Explained {
    /// Whether what was recorded is shown to be wrong. Under another grant than then
    /// nothing is shown.
    pub fn is_refuted(&self) -> bool {
        let other_values = matches!(self.seen, Seen::Fields { committed: Some(false), .. });
        self.forms == Forms::Same && (other_values || matches!(self.again, Again::Differs(_)))
    }

    fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.asked.findings.iter().filter(|finding| self.rule.as_ref().is_none_or(|rule| *rule == finding.rule))
    }

    /// The message in a language, if the release is there and has it; as it was recorded
    /// otherwise.
    fn message(&self, finding: &Finding, language: Option<&str>) -> String {
        let rule = self.release.as_ref().and_then(|release| release.manifest.rules.iter().find(|rule| rule.id == finding.rule));
        match (rule, language) {
            (Some(rule), Some(language)) => message(rule, Some(language), &evidence(finding)),
            _ => finding.message.clone(),
        }
    }

    fn checked(&self) -> Option<String> {
        let Seen::Fields { committed, .. } = &self.seen else { return None };
        Some(match (committed, self.forms.problem()) {
            (Some(true), _) => "the entry commits to exactly these values".into(),
            (Some(false), None) => "THE ENTRY COMMITS TO OTHER VALUES".into(),
            (_, Some(problem)) => problem.into(),
            (None, None) if self.asked.digest.is_some() && self.asked.columns.is_none() => {
                "the policy was not given the event, so the entry commits to nothing".into()
            }
            (None, None) => {
                "not checked: that takes the event's salt, which a data directory with its key or a server on the same machine gives".into()
            }
        })
    }
}

fn evidence(finding: &Finding) -> Vec<(String, String)> {
    finding.evidence.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_string())).collect()
}

pub struct Show<'s> {
    pub record: &'s Record,
    pub place: &'s Place<'s>,
    pub content: &'s Content,
    pub language: Option<&'s str>,
}

impl Show<'_> {
    pub fn text(&self, explained: &[Explained]) -> String {
        let mut text = String::new();
        let Record { sequence, about, verdict, handling, .. } = self.record;
        let of = if self.record.is_answer { "Answer about entry" } else { "Entry" };
        let _ = write!(text, "{of} {}: ", grouped(*sequence));
        let _ = match about {
            About::Event { source, id, kind, arrived, .. } => {
                let kind = kind.as_ref().map(|kind| format!(", {}", plain(kind))).unwrap_or_default();
                let arrived = arrived.as_ref().map(|arrived| format!(", arrived {}", plain(arrived))).unwrap_or_default();
                writeln!(text, "event {} of {}{kind}{arrived}", plain(id), plain(source))
            }
            About::Timer { source, due } => writeln!(text, "a timer for {}, which waited for {}", plain(due), plain(source)),
        };
        let handling = handling.as_ref().map(|handling| format!("; the platform had set to {}", plain(handling))).unwrap_or_default();
        let _ = writeln!(text, "Verdict: {}{handling}", plain(verdict));
        if explained.is_empty() {
            text.push_str("No policy was asked about it.\n");
        }
        for one in explained {
            self.release(&mut text, one);
        }
        if let Some(how) = how_to_prove(self.place, *sequence) {
            let _ = writeln!(text, "\nThat this entry is in the log, and the log was not changed, proves\n  {how}");
        }
        text
    }

    fn release(&self, text: &mut String, one: &Explained) {
        let Asked { policy, release, digest, lists, mode, stale, .. } = &one.asked;
        let mode = mode.as_ref().map(|mode| format!(" ({})", plain(mode))).unwrap_or_default();
        let stale = if *stale { ", whose publisher was out of date" } else { "" };
        let _ = writeln!(text, "\n{} {}{mode}{stale}", plain(policy), plain(release));
        if let Some(release) = &one.release {
            let _ = writeln!(text, "  {}", plain(&release.manifest.summary));
        }
        if let Some(prose) = &one.prose {
            let _ = writeln!(text, "  In prose: {}", plain(prose));
        }
        if one.asked.findings.is_empty() && one.asked.fault.is_none() {
            text.push_str("\n  It found nothing.\n");
        }
        for finding in one.findings() {
            let _ = writeln!(text, "\n  {}: {}, severity {}", plain(&finding.rule), plain(&finding.action), plain(&finding.severity));
            let _ = writeln!(text, "    says         {}", plain(&one.message(finding, self.language)));
            let _ = writeln!(text, "    legal basis  {}", plain(&finding.legal_basis));
            for (at, (name, value)) in evidence(finding).iter().enumerate() {
                let _ = writeln!(text, "    {:<11}  {} = {}", if at == 0 { "rests on" } else { "" }, plain(name), plain(value));
            }
        }
        if let Some(fault) = &one.asked.fault {
            let _ = writeln!(text, "\n  It gave no answer ({}): {}", plain(&fault.kind), plain(&fault.detail));
        }
        text.push_str("\n  What it saw\n");
        match &one.seen {
            Seen::Fields { fields, .. } => show::seen(text, fields, "    "),
            Seen::Unknown(why) => {
                let _ = writeln!(text, "    not known: {}", plain(why));
            }
        }
        if let Some(checked) = one.checked() {
            let _ = writeln!(text, "    {checked}");
        }
        text.push_str("\n  What it judged with\n");
        let _ = match digest {
            Some(digest) => writeln!(text, "    release    {}", plain(digest)),
            None => writeln!(text, "    release    {}, which is all that an answer says; the entry has the digest", plain(release)),
        };
        match &one.release {
            Some(release) => {
                let _ = writeln!(text, "    component  {} ({})", release.component.hex(), size(release.component_bytes));
                let _ = writeln!(text, "    settings   {}", release.settings.hex());
                for list in &release.lists {
                    let _ = writeln!(text, "    list       {} {}, {}", plain(&list.name), plain(&list.version), list.digest.hex());
                }
            }
            None => {
                for (name, version) in lists {
                    let _ = writeln!(text, "    list       {} {}", plain(name), plain(version.as_str().unwrap_or_default()));
                }
            }
        }
        let _ = match &one.again {
            Again::Same => writeln!(text, "\n  Judged again: it comes out the same."),
            Again::Differs(now) if one.forms == Forms::Same => writeln!(text, "\n  Judged again: IT COMES OUT OTHERWISE: {}", plain(now)),
            Again::Differs(now) => {
                writeln!(
                    text,
                    "\n  Judged again, but not in the forms of then: it comes out otherwise, which shows nothing: {}",
                    plain(now)
                )
            }
            Again::Not(why) => writeln!(text, "\n  Not judged again: {}", plain(why)),
        };
    }

    pub fn json(&self, explained: &[Explained]) -> Value {
        let Record { sequence, about, verdict, handling, is_answer, .. } = self.record;
        let about = match about {
            About::Event { source, id, kind, time, arrived, digest } => {
                json!({"event": {"source": source, "id": id, "type": kind, "time": time, "arrived": arrived, "digest": digest, "kept": self.content.event.is_ok()}})
            }
            About::Timer { source, due } => json!({"timer": {"source": source, "due": due}}),
        };
        json!({
            "sequence": sequence, "from": if *is_answer { "answer" } else { "entry" }, "about": about,
            "verdict": verdict, "handling": handling,
            "policies": explained.iter().map(|one| self.release_json(one)).collect::<Vec<_>>(),
            "prove": how_to_prove(self.place, *sequence),
        })
    }

    fn release_json(&self, one: &Explained) -> Value {
        let Asked { policy, release, digest, lists, mode, stale, fault, .. } = &one.asked;
        let findings = one.findings().map(|finding| {
            json!({
                "rule": finding.rule, "action": finding.action, "severity": finding.severity,
                "message": one.message(finding, self.language), "legal_basis": finding.legal_basis, "evidence": finding.evidence,
            })
        });
        let (fields, committed) = match &one.seen {
            Seen::Fields { fields, committed } => (Value::from(fields.iter().map(show::field).collect::<Vec<_>>()), *committed),
            Seen::Unknown(why) => (json!({"unknown": why}), None),
        };
        let (again, now) = match &one.again {
            Again::Same => ("same", None),
            Again::Differs(now) => ("differs", Some(now)),
            Again::Not(why) => ("not-judged", Some(why)),
        };
        json!({
            "policy": policy, "release": release, "digest": digest, "lists": lists, "mode": mode, "stale": stale,
            "summary": one.release.as_ref().map(|release| &release.manifest.summary), "prose": one.prose,
            "findings": findings.collect::<Vec<_>>(),
            "fault": fault.as_ref().map(|fault| json!({"kind": fault.kind, "detail": fault.detail})),
            "fields": fields, "committed": committed, "granted": one.forms != Forms::NoGrant,
            "component": one.release.as_ref().map(|release| release.component.hex()),
            "settings": one.release.as_ref().map(|release| release.settings.hex()),
            "bound": one.release.as_ref().map(|release| &release.lists),
            "again": again, "why": now,
        })
    }
}
