//! What became of an event, for people and for scripts.

use std::fmt::Write as _;

use ephor::digest::hex;
use ephor::policy::Release;
use ephor::policy::manifest::{Action, Rule};
use ephor::trial::{Remembered, Said, Seen, SeenValue, Tried, Woken};
use ephor::verdict::{Decision, FaultKind, Finding, message};
use serde_json::{Map, Value, json};

use crate::cli::policy_test::Paint;
use crate::cli::table::{grouped, plain};

/// Bytes of a state that are shown, and letters of a value.
const STATE_BYTES_SHOWN: usize = 64;
const LETTERS_SHOWN: usize = 160;

/// Keys that are named which were woken for nothing.
const WOKEN_SHOWN: usize = 3;

/// How it is shown.
pub struct Show<'a> {
    pub paint: Paint,
    pub language: Option<&'a str>,
    pub state: bool,
}

impl Show<'_> {
    /// A paragraph.
    pub fn text(&self, release: &Release, place: &str, tried: &Tried) -> String {
        let event = &tried.event;
        let mut text = String::new();
        let verdict = match &tried.said {
            Said::NotAsked => "not asked".to_string(),
            Said::Judged { decision, .. } => self.decision(*decision),
            Said::Again => "judged before".to_string(),
            Said::Refused(_) => self.paint.red("not taken"),
        };
        let _ = writeln!(text, "{place}  event {} of {}, {}: {verdict}", plain(event.id()), plain(event.source()), plain(event.kind()));
        // Of many keys that are woken for nothing their number is enough.
        let (quiet, telling): (Vec<&Woken>, Vec<&Woken>) = tried.woken.iter().partition(|woken| says_nothing(woken));
        if quiet.len() > WOKEN_SHOWN {
            let _ = writeln!(text, "  before it, {} keys were woken, and nothing was found of them", grouped(quiet.len() as u64));
        } else {
            quiet.iter().for_each(|woken| self.woken(&mut text, release, woken));
        }
        telling.iter().for_each(|woken| self.woken(&mut text, release, woken));
        match &tried.said {
            Said::NotAsked => {
                let _ = writeln!(text, "  the policy is asked about {} only", plain(&release.manifest.events.join(", ")));
            }
            Said::Again => {
                let _ = writeln!(text, "  the same event was there before, and was judged then");
            }
            Said::Refused(why) => {
                let _ = writeln!(text, "  {}", plain(why));
            }
            Said::Judged { findings, fault, .. } => {
                text.push_str("  saw\n");
                seen(&mut text, &tried.fields, "    ");
                for rule in &release.manifest.rules {
                    self.rule(&mut text, rule, findings, fault.as_ref());
                }
                if let Some((kind, detail)) = fault {
                    let _ = writeln!(text, "  {}: {}", self.paint.red(of_fault(*kind)), plain(detail));
                }
            }
        }
        if let (true, Some(state)) = (self.state, &tried.state) {
            let Remembered { key, before, after } = state;
            let changed = if before == after { ", as before" } else { "" };
            let _ = writeln!(text, "  remembers of {}", Value::from(key.as_slice()));
            let _ = writeln!(text, "    before  {}\n    after   {}{changed}", bytes(before.as_deref()), bytes(after.as_deref()));
        }
        let _ = writeln!(text, "  fuel {}", grouped(tried.fuel));
        text
    }

    fn rule(&self, text: &mut String, rule: &Rule, findings: &[Finding], fault: Option<&(FaultKind, String)>) {
        let own: Vec<&Finding> = findings.iter().filter(|finding| finding.rule().id == rule.id).collect();
        if own.is_empty() {
            let nothing = if fault.is_some() { "no answer" } else { "nothing found" };
            let _ = writeln!(text, "  {}: {nothing}", plain(&rule.id));
        }
        for finding in own {
            self.found(text, "  ", rule, finding.action, &finding.evidence);
        }
    }

    fn found(&self, text: &mut String, indent: &str, rule: &Rule, action: Action, evidence: &[(String, String)]) {
        let _ = writeln!(text, "{indent}{}: {}, severity {}", plain(&rule.id), self.decision(action.into()), rule.severity.name());
        let _ = writeln!(text, "{indent}  {}", plain(&message(rule, self.language, evidence)));
        let _ = writeln!(text, "{indent}  legal basis  {}", plain(&rule.legal_basis));
        for (at, (name, value)) in evidence.iter().enumerate() {
            let before = if at == 0 { "rests on     " } else { "             " };
            let _ = writeln!(text, "{indent}  {before}{} = {}", plain(name), plain(short(value)));
        }
    }

    fn woken(&self, text: &mut String, release: &Release, woken: &Woken) {
        let key = woken.key.as_ref().map_or_else(|| "a key that no event had".to_string(), |key| Value::from(key.as_slice()).to_string());
        let _ = writeln!(text, "  before it, {} was woken for {}: {}", plain(&key), time(woken.due), self.decision(woken.decision));
        for (id, evidence) in &woken.findings {
            if let Some(rule) = release.manifest.rules.iter().find(|rule| rule.id == *id) {
                self.found(text, "    ", rule, rule.action, evidence);
            }
        }
        if let Some((kind, detail)) = &woken.fault {
            let _ = writeln!(text, "    {}: {}", self.paint.red(of_fault(*kind)), plain(detail));
        }
    }

    fn decision(&self, decision: Decision) -> String {
        match decision {
            Decision::Allow => self.paint.green(decision.name()),
            Decision::Flag | Decision::Undetermined | Decision::Deny => self.paint.red(decision.name()),
        }
    }

    /// A document.
    pub fn json(&self, release: &Release, place: &str, tried: &Tried) -> Value {
        let event = &tried.event;
        let mut document = json!({
            "place": place,
            "event": {"source": event.source(), "id": event.id(), "type": event.kind()},
            "fuel": tried.fuel,
            "fields": tried.fields.iter().map(field).collect::<Vec<_>>(),
        });
        match &tried.said {
            Said::NotAsked => document["verdict"] = "not-asked".into(),
            Said::Again => document["verdict"] = "again".into(),
            Said::Refused(why) => {
                document["verdict"] = "refused".into();
                document["why"] = why.as_str().into();
            }
            Said::Judged { decision, findings, fault } => {
                document["verdict"] = decision.name().into();
                let rules = release.manifest.rules.iter().map(|rule| {
                    let own = findings.iter().filter(|finding| finding.rule().id == rule.id);
                    let own = own.map(|finding| self.finding(rule, finding.action, &finding.evidence));
                    json!({"rule": rule.id, "legal_basis": rule.legal_basis, "findings": own.collect::<Vec<_>>()})
                });
                document["rules"] = rules.collect();
                if let Some((kind, detail)) = fault {
                    document["fault"] = json!({"kind": kind.name(), "detail": detail});
                }
            }
        }
        if !tried.woken.is_empty() {
            let woken = tried.woken.iter().map(|woken| {
                let findings = woken.findings.iter().filter_map(|(id, evidence)| {
                    let rule = release.manifest.rules.iter().find(|rule| rule.id == *id)?;
                    Some(self.finding(rule, rule.action, evidence))
                });
                json!({
                    "key": woken.key, "due": time(woken.due), "verdict": woken.decision.name(), "findings": findings.collect::<Vec<_>>(),
                    "fault": woken.fault.as_ref().map(|(kind, detail)| json!({"kind": kind.name(), "detail": detail})),
                })
            });
            document["woken"] = woken.collect();
        }
        if let (true, Some(Remembered { key, before, after })) = (self.state, &tried.state) {
            let hex = |state: &Option<Vec<u8>>| state.as_ref().map(|state| hex(state));
            document["state"] = json!({"key": key, "before": hex(before), "after": hex(after)});
        }
        document
    }

    fn finding(&self, rule: &Rule, action: Action, evidence: &[(String, String)]) -> Value {
        let named: Map<String, Value> = evidence.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        json!({
            "rule": rule.id, "action": action.name(), "severity": rule.severity.name(),
            "message": message(rule, self.language, evidence), "evidence": named,
        })
    }
}

/// Whether nothing was found of a key that was woken.
pub fn says_nothing(woken: &Woken) -> bool {
    woken.findings.is_empty() && woken.fault.is_none()
}

/// The fields that a policy saw, one a line.
pub fn seen(text: &mut String, fields: &[Seen], indent: &str) {
    let width = |of: fn(&Seen) -> usize| fields.iter().map(of).max().unwrap_or_default();
    let (pointers, forms) = (width(|seen| seen.pointer.chars().count()), width(|seen| seen.form.chars().count()));
    for seen in fields {
        let value = match &seen.value {
            SeenValue::Value(value) => short(&value.to_string()).to_string(),
            SeenValue::Absent if seen.form == "absent" => "not granted".to_string(),
            SeenValue::Absent if seen.required => format!("missing; it must be {}", seen.kind.noun()),
            SeenValue::Absent => "absent".to_string(),
            SeenValue::Mistyped(found) => format!("unreadable: it is {found}, and must be {}", seen.kind.noun()),
        };
        let _ = writeln!(text, "{indent}{:<pointers$}  {:<forms$}  {}", plain(&seen.pointer), seen.form, plain(&value));
    }
}

/// A field, for scripts.
pub fn field(seen: &Seen) -> Value {
    let mut field = json!({"pointer": seen.pointer, "kind": seen.kind.to_string(), "form": seen.form, "required": seen.required, "purpose": seen.purpose});
    match &seen.value {
        SeenValue::Value(value) => field["value"] = value.clone(),
        SeenValue::Absent => field["absent"] = true.into(),
        SeenValue::Mistyped(found) => field["unreadable"] = (*found).into(),
    }
    field
}

/// What kept a policy from answering, in words.
fn of_fault(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Unreadable => "not asked, for the event cannot be read",
        FaultKind::Undecided => "the policy cannot decide",
        FaultKind::Fuel => "ended, for it used up its fuel",
        FaultKind::Memory => "ended, for it used up its memory",
        FaultKind::Trap => "ended, for it trapped",
        FaultKind::Output => "not taken, for it said what it may not",
        FaultKind::Timeout => "ended, for this machine did not let it finish",
        FaultKind::Abandoned => "given up, for too many others failed",
        FaultKind::Stale => "not asked, for its publisher is out of date",
    }
}

/// Microseconds since 1970 as a date-time.
pub fn time(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).map_or_else(|_| format!("{micros} microseconds since 1970"), |time| time.to_string())
}

fn bytes(state: Option<&[u8]>) -> String {
    match state {
        None => "nothing".into(),
        Some(state) => {
            let more = if state.len() > STATE_BYTES_SHOWN { "…" } else { "" };
            let count = if state.len() == 1 { "1 byte".to_string() } else { format!("{} bytes", grouped(state.len() as u64)) };
            format!("{count}  {}{more}", hex(&state[..state.len().min(STATE_BYTES_SHOWN)]))
        }
    }
}

fn short(text: &str) -> &str {
    match text.char_indices().nth(LETTERS_SHOWN) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}
