//! Which entries a destination is told, and what of them (`FORMAT.md`).

use super::destination::Destination;
use super::otlp;
use crate::ledger::entry::{About, AboutTimer, Document, Entry, Failed, Fault, Finding, Found, structured, subject_of};
use crate::policy::manifest::{matches, names};
use crate::reserved;
use crate::verdict::{Decision, Handling, Mode, strictest};

/// What is told of one entry.
#[derive(Debug, Clone)]
pub(super) struct Parcel {
    pub sequence: u64,
    /// A CloudEvent in structured mode.
    pub event: String,
    /// The same for a collector, where it goes to one.
    pub record: Option<Box<otlp::Record>>,
}

/// What is taken out of entries for a destination.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    destination: Destination,
    /// Name of the log.
    log: String,
    /// What the names of the publisher's policies begin with, where only these count.
    publisher: Option<String>,
}

/// What one release said.
struct Said<'a> {
    policy: &'a str,
    release: &'a str,
    mode: Mode,
    findings: &'a [Finding<'a>],
    fault: Option<&'a Fault<'a>>,
}

/// An entry with a verdict.
struct Judged<'a> {
    sequence: u64,
    /// The source of the event or the timer, and its type if it is an event.
    source: &'a str,
    kind: Option<&'a str>,
    subject: Option<&'a str>,
    /// RFC 3339.
    time: String,
    /// In microseconds since 1970.
    arrived: i64,
    verdict: Decision,
    handling: Option<Handling>,
    event: Option<About<'a>>,
    timer: Option<AboutTimer<'a>>,
    said: Vec<Said<'a>>,
}

impl Selection {
    pub fn new(destination: &Destination, log: &str) -> Self {
        let publisher = (!destination.publisher.is_empty()).then(|| format!("{}/", destination.publisher));
        Selection { destination: destination.clone(), log: log.to_string(), publisher }
    }

    /// What is told of an entry, by its line: nothing if it is not for this destination.
    ///
    /// # Errors
    ///
    /// If the line is no entry.
    pub fn take(&self, line: &str) -> Result<Option<Parcel>, String> {
        let entry = Entry::parse(line.as_bytes()).map_err(|error| error.to_string())?;
        let Some(mut judged) = Judged::of(&entry) else { return Ok(None) };
        let destination = &self.destination;
        let asks = |patterns: &[String]| {
            patterns.is_empty() || patterns.iter().any(|pattern| judged.said.iter().any(|said| matches(pattern, said.policy)))
        };
        let types = &destination.events;
        let is_of_type = match judged.kind {
            Some(kind) if types.is_empty() => !reserved::is_own_type(kind),
            Some(kind) => types.iter().any(|pattern| names(pattern, kind)),
            // A timer is about no event, so whoever names types wants none.
            None => types.is_empty(),
        };
        if !is_of_type || !asks(&destination.policies) {
            return Ok(None);
        }
        if let Some(publisher) = &self.publisher {
            judged.said.retain(|said| said.policy.starts_with(publisher.as_str()));
            if judged.said.iter().all(|said| said.findings.is_empty() && said.fault.is_none()) {
                return Ok(None);
            }
            judged.verdict = judged.alone();
            judged.handling = judged.handling.filter(|_| judged.verdict == Decision::Undetermined);
        }
        let has_findings = judged.said.iter().any(|said| !said.findings.is_empty());
        let is_wanted = destination.verdicts.is_empty() || destination.verdicts.contains(&judged.verdict);
        if !is_wanted || destination.findings_only && !has_findings {
            return Ok(None);
        }
        Ok(Some(self.parcel(judged)))
    }

    fn parcel(&self, judged: Judged<'_>) -> Parcel {
        let record = self.destination.otlp_logs.is_some().then(|| {
            let found = || judged.said.iter().filter(|said| !said.findings.is_empty());
            let rules = found().flat_map(|said| said.findings.iter().map(|finding| format!("{} {}", said.policy, &*finding.rule)));
            Box::new(otlp::Record {
                sequence: judged.sequence,
                arrived: judged.arrived,
                verdict: judged.verdict,
                policies: judged.said.iter().map(|said| said.policy.to_string()).collect(),
                rules: rules.collect(),
            })
        });
        let evidence = self.destination.evidence;
        let findings = judged.said.iter().flat_map(|said| {
            let Said { policy, release, mode, findings, .. } = said;
            findings.iter().map(move |finding| Found::told(policy, release, *mode, finding, evidence))
        });
        let faults = judged.said.iter().filter_map(|said| {
            let Said { policy, release, mode, fault, .. } = said;
            Some(Failed { policy, release, mode: *mode, kind: fault.as_ref()?.kind })
        });
        let document = Document {
            sequence: judged.sequence,
            depth: None,
            event: judged.event,
            timer: judged.timer,
            verdict: judged.verdict,
            handling: judged.handling,
            findings: findings.collect(),
            faults: faults.collect(),
        };
        let source = reserved::verdicts_of(&self.log, judged.source);
        let (event, _) = structured(&document, &source, subject_of(judged.source, judged.subject), &judged.time);
        Parcel { sequence: judged.sequence, event, record }
    }
}

impl<'a> Judged<'a> {
    /// An entry's; nothing if it has no verdict.
    fn of(entry: &'a Entry<'a>) -> Option<Judged<'a>> {
        match entry {
            Entry::Event(event) => Some(Judged {
                sequence: event.sequence,
                source: &event.source,
                kind: Some(&event.kind),
                subject: event.subject.as_deref(),
                time: event.time.as_deref().map_or_else(|| event.arrived.to_string(), str::to_string),
                arrived: event.arrived.micros(),
                verdict: event.verdict,
                handling: event.handling,
                event: Some(About::new(event)),
                timer: None,
                said: event
                    .asked
                    .iter()
                    .map(|asked| Said {
                        policy: &asked.policy,
                        release: &asked.release,
                        mode: asked.mode,
                        findings: &asked.findings,
                        fault: asked.fault.as_ref(),
                    })
                    .collect(),
            }),
            Entry::Timer(sequence, timer) => Some(Judged {
                sequence: *sequence,
                source: &timer.source,
                kind: None,
                subject: None,
                time: timer.due.to_string(),
                arrived: timer.arrived.micros(),
                verdict: timer.verdict,
                handling: None,
                event: None,
                timer: Some(AboutTimer::new(timer)),
                said: vec![Said {
                    policy: &timer.policy,
                    release: &timer.release,
                    mode: timer.mode,
                    findings: &timer.findings,
                    fault: timer.fault.as_ref(),
                }],
            }),
            Entry::Gap(..)
            | Entry::Silence(..)
            | Entry::Change(..)
            | Entry::Configuration(..)
            | Entry::Start(..)
            | Entry::Keep(..)
            | Entry::Erasure(..) => None,
        }
    }

    /// The verdict that what is left of it makes: the strictest of what counts.
    fn alone(&self) -> Decision {
        let counted = || self.said.iter().filter(|said| said.mode.counts());
        let found = counted().flat_map(|said| said.findings).map(|finding| finding.action);
        strictest(found, counted().any(|said| said.fault.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ENTRY: &str = r#"{"sequence":17,"source":"/shop","id":"a\"1","type":"shop.order","subject":"seller/7","time":"2026-01-02T03:04:05+01:00","arrived":"2026-01-02T03:04:06.000007Z","echo":1,"digest":"0000000000000000000000000000000000000000000000000000000000000000","verdict":"deny","asked":[{"policy":"office/goods","release":"1-a","digest":"1111111111111111111111111111111111111111111111111111111111111111","mode":"enforce","findings":[{"rule":"listed","action":"deny","severity":"high","message":"sells a KNIFE","evidence":{"word":"KNIFE"},"legal_basis":"article 13"}]},{"policy":"city/prices","release":"2-b","digest":"2222222222222222222222222222222222222222222222222222222222222222","mode":"enforce","findings":[{"rule":"unequal","action":"flag","severity":"low","message":"m","evidence":{},"legal_basis":"l"}]},{"policy":"broken","release":"3-c","digest":"2222222222222222222222222222222222222222222222222222222222222222","mode":"shadow","fault":{"kind":"trap","detail":"at /data/name SECRET"}}]}"#;

    fn taken(destination: &Destination, line: &str) -> Option<Value> {
        let parcel = Selection::new(destination, "ephor.invalid/0123456789abcdef").take(line).expect("an entry");
        parcel.map(|parcel| serde_json::from_str(&parcel.event).expect("JSON"))
    }

    #[test]
    fn what_is_told_is_a_verdict_event_with_more_in_it() {
        let told = taken(&Destination::default(), ENTRY).expect("told");
        let echo = Entry::parse(ENTRY.as_bytes()).expect("an entry").echo().expect("an event comes behind it");
        let inside: Value = serde_json::from_str(&echo.text).expect("JSON");
        assert_eq!(told["source"], "urn:ephor:verdicts:ephor.invalid/0123456789abcdef#/shop");
        for name in ["specversion", "id", "type", "subject", "time", "datacontenttype"] {
            assert_eq!(told[name], inside[name], "{name}");
        }
        for name in ["sequence", "event", "verdict"] {
            assert_eq!(told["data"][name], inside["data"][name], "{name}");
        }
        for (told, inside) in
            told["data"]["findings"].as_array().expect("findings").iter().zip(inside["data"]["findings"].as_array().expect("findings"))
        {
            for (name, value) in inside.as_object().expect("an object") {
                assert_eq!(&told[name], value, "{name}");
            }
            assert!(told["release"].is_string() && told["legal_basis"].is_string(), "{told}");
        }
        assert_eq!(told["data"]["faults"], json!([{"policy": "broken", "release": "3-c", "mode": "shadow", "kind": "trap"}]));
        let text = told.to_string();
        assert!(!text.contains("KNIFE") && !text.contains("SECRET"), "{text}");
        let granted = taken(&Destination { evidence: true, ..Destination::default() }, ENTRY).expect("told");
        let finding = &granted["data"]["findings"][0];
        assert_eq!((&finding["evidence"], &finding["message"]), (&json!({"word": "KNIFE"}), &json!("sells a KNIFE")));
        assert!(!granted.to_string().contains("SECRET"));
    }

    #[test]
    fn a_destination_is_told_what_it_is_for() {
        let some = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<String>>();
        let all = Destination::default();
        for (destination, is) in [
            (Destination { verdicts: vec![Decision::Flag], ..all.clone() }, false),
            (Destination { verdicts: vec![Decision::Flag, Decision::Deny], ..all.clone() }, true),
            (Destination { findings_only: true, ..all.clone() }, true),
            (Destination { policies: some(&["office/*"]), ..all.clone() }, true),
            (Destination { policies: some(&["other"]), ..all.clone() }, false),
            (Destination { events: some(&["shop.*"]), ..all.clone() }, true),
            (Destination { events: some(&["ride.*"]), ..all.clone() }, false),
        ] {
            assert_eq!(taken(&destination, ENTRY).is_some(), is, "{destination:?}");
        }
        let own = ENTRY.replace("shop.order", reserved::VERDICT_TYPE);
        assert_eq!(taken(&all, &own), None, "the runtime's own only by name");
        assert!(taken(&Destination { events: some(&[reserved::VERDICT_TYPE]), ..all.clone() }, &own).is_some());
        let start = r#"{"sequence":1,"start":{"version":"1","at":"2026-01-02T00:00:00.000000Z"}}"#;
        assert_eq!(taken(&all, start), None);
        assert!(Selection::new(&all, "log").take("{}").is_err());
    }

    #[test]
    fn a_publisher_is_told_of_itself_alone() {
        let of = |publisher: &str| taken(&Destination { publisher: publisher.into(), evidence: true, ..Destination::default() }, ENTRY);
        let city = of("city").expect("told");
        assert_eq!((&city["data"]["verdict"], city["data"]["findings"].as_array().map(Vec::len)), (&json!("flag"), Some(1)));
        let text = city.to_string();
        assert!(!text.contains("office") && !text.contains("KNIFE") && !text.contains("broken"), "{text}");
        assert_eq!(of("office").expect("told")["data"]["verdict"], "deny");
        assert_eq!(of("offic"), None, "a name is a whole name");
    }
}
