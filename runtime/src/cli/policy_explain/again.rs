//! A finding made again: the same release on the same event, with what it remembered then.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ephor::Config;
use ephor::event::Event;
use ephor::ledger::{self, Durability};
use ephor::policy::Grant;
use ephor::policy::manifest::AskedForm;
use ephor::runtime::Offer;
use ephor::trial::{Said, Trial, Tried};
use serde_json::{Map, Value};

use super::place::{self, Place};
use super::record::{About, Asked, Fault, Finding, Record};
use crate::cli::exit::{Exit, Outcome, failed};
use crate::cli::local;
use crate::cli::policy_parts::Parts;
use crate::cli::policy_run::not_taken;
use crate::cli::table::grouped;

/// What came of it.
#[derive(Debug)]
pub enum Again {
    /// The same.
    Same,
    /// Something else: what is said now.
    Differs(String),
    /// It could not be done, and why.
    Not(String),
}

/// Whether fields look as they did then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forms {
    /// They do.
    Same,
    /// The platform's grant is not there.
    NoGrant,
    /// The grant is, but not the key that pseudonyms are made with.
    OtherPseudonyms,
}

impl Forms {
    /// Why nothing can be compared; nothing if it can.
    pub fn problem(self) -> Option<&'static str> {
        match self {
            Forms::Same => None,
            Forms::NoGrant => {
                Some("in other forms than then, perhaps: what the publisher was granted is in the platform's configuration (--config)")
            }
            Forms::OtherPseudonyms => {
                Some("with other pseudonyms than then: the key that they are made with is in the platform's data directory (--from-data)")
            }
        }
    }
}

/// A release in a runtime of its own, under the grant that it was judged under.
pub struct Bench {
    pub trial: Trial,
    pub forms: Forms,
    /// Whether salts and keys are those of the recorded ledger.
    pub is_adopted: bool,
    // Goes at the end.
    _folder: tempfile::TempDir,
}

impl Bench {
    pub async fn start(place: &Place<'_>, asked: &Asked, parts: &Parts, config: &Config, cache: Option<PathBuf>) -> Outcome<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder for temporary files")?;
        let data = folder.path().join("data");
        let mut own = config.clone();
        own.spine.threads = 1;
        own.spine.heartbeats.clear();
        own.ledger.durability = Durability::Os;
        own.ledger.events = ledger::Keep::Digest;
        let secret = place.secret();
        if let Some(secret) = &secret {
            ledger::adopt(&data, secret).context("cannot use the key of the ledger")?;
        }
        let builder = local::builder(&own, cache, Some(data))?.replays(Some(0)).verdict_events_given();
        let quiet = || tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::new(), || builder.build());
        let runtime = quiet().context("cannot start the runtime")?;
        let publisher = asked.policy.split_once('/').map(|(publisher, _)| publisher.to_string());
        let settled = publisher.as_ref().and_then(|publisher| local::grant(&runtime, config, publisher));
        let is_granted = publisher.is_none() || settled.is_some();
        let is_published = publisher.is_some();
        let grant = settled.unwrap_or_else(Grant::development);
        let trial = Trial::start(runtime, Offer { publisher, grant, ..parts.offer() }).await.map_err(not_taken)?;
        let (now, then) = (trial.release(), asked);
        let is_same = match &then.digest {
            Some(digest) => now.digest.hex() == *digest,
            None => now.id == then.release,
        };
        if !is_same {
            let problem = format!(
                "{} was judged by the release {} (digest {}), and what is given is {} (digest {}); give the component, the settings and the lists of that release, or try this one with `ephor policy run`",
                then.policy,
                then.release,
                then.digest.as_deref().unwrap_or("not known"),
                now.id,
                now.digest.hex()
            );
            return Err(failed(Exit::Refused, problem));
        }
        // What is not published has pseudonyms of a key that everybody knows.
        let has_pseudonyms = is_published && now.manifest.fields.iter().any(|field| field.form == AskedForm::Pseudonym);
        let forms = match (is_granted, has_pseudonyms && secret.is_none()) {
            (false, _) => Forms::NoGrant,
            (true, true) => Forms::OtherPseudonyms,
            (true, false) => Forms::Same,
        };
        Ok(Bench { trial, forms, is_adopted: secret.is_some(), _folder: folder })
    }

    /// Judges the event of a record again, and holds it against the record.
    pub async fn again(&mut self, place: &Place<'_>, record: &Record, asked: &Asked, event: Option<Event>) -> Outcome<Again> {
        let manifest = &self.trial.release().manifest;
        let (is_keyed, is_timed) = (manifest.keyed.is_some(), manifest.keyed.as_ref().is_some_and(|keyed| keyed.timers));
        match (is_keyed, &record.about) {
            (false, About::Event { arrived, .. }) => {
                let Some(event) = event else { return Ok(Again::Not("the event is not there".into())) };
                let tried = self.judge(event, arrived.as_deref()).await?;
                Ok(held(asked, of_event(&tried)))
            }
            (false, About::Timer { .. }) => Ok(Again::Not("a policy without state has no timers".into())),
            (true, about) => {
                let Place::Data(directory) = place else {
                    let why = "what the policy remembered is not there: it takes the events before this one, from the data directory (--from-data)";
                    return Ok(Again::Not(why.into()));
                };
                let is_timer = matches!(about, About::Timer { .. });
                self.with_history(directory, record, asked, is_timed, is_timer).await
            }
        }
    }

    async fn judge(&mut self, event: Event, arrived: Option<&str>) -> Outcome<Tried> {
        let micros = arrived.and_then(|arrived| arrived.parse::<jiff::Timestamp>().ok()).map(jiff::Timestamp::as_microsecond);
        let event = match micros.or_else(|| event.time_micros()) {
            Some(micros) => event.with_arrival(micros),
            None => event,
        };
        self.trial.judge(event).await.map_err(not_taken)
    }

    /// Judges every event before it that the policy was asked about, so that it remembers
    /// what it did.
    async fn with_history(&mut self, directory: &Path, record: &Record, asked: &Asked, is_timed: bool, is_timer: bool) -> Outcome<Again> {
        let mut kept = place::kept(directory)?;
        for entry in place::entries(directory) {
            let (sequence, line) = entry?;
            let is_last = if is_timer { sequence > record.sequence } else { sequence == record.sequence };
            if sequence > record.sequence && !is_timer {
                break;
            }
            if !line.contains("\"asked\":[") {
                continue;
            }
            let Ok(Record { asked: all, about: About::Event { arrived, .. }, .. }) = Record::read(&line) else { continue };
            let own = all.iter().filter(|other| other.policy == asked.policy);
            let (own, others): (Vec<&Asked>, Vec<&Asked>) = own.partition(|other| other.digest == asked.digest);
            if !others.is_empty() {
                let why = format!(
                    "other releases of the policy judged before it (entry {}), and what they left in its states counts too; `ephor replay --check {}` makes all of it again",
                    grouped(sequence),
                    directory.display()
                );
                return Ok(Again::Not(why));
            }
            // Every event moves the time that timers wait for.
            if own.is_empty() && !is_timed && !is_last {
                continue;
            }
            let event = loop {
                match kept.next().transpose()? {
                    Some((of, event)) => {
                        if of == sequence {
                            break event;
                        } else if of > sequence {
                            break Err("its content is not kept".into());
                        }
                    }
                    None => break Err("its content is not kept".into()),
                }
            };
            let event = match event {
                Ok(event) => event,
                Err(why) => {
                    let why = format!(
                        "what the policy remembered comes of events before it, and of the one with sequence {} {why}",
                        grouped(sequence)
                    );
                    return Ok(Again::Not(why));
                }
            };
            let tried = self.judge(event, arrived.as_deref()).await?;
            if is_last {
                return Ok(held(asked, if is_timer { of_timer(&tried, record) } else { of_event(&tried) }));
            }
        }
        Ok(Again::Not("the log ends before the event that let the timer fire".into()))
    }
}

/// What was said, in the form of an entry.
struct Now {
    findings: Vec<Finding>,
    fault: Option<Fault>,
}

fn of_event(tried: &Tried) -> Result<Now, String> {
    match (&tried.said, &tried.entry) {
        (Said::Judged { .. }, Some(line)) => {
            let record = Record::read(line).map_err(|failed| failed.error.to_string())?;
            let asked = record.asked.into_iter().next();
            asked.map(|asked| Now { findings: asked.findings, fault: asked.fault }).ok_or_else(|| "nobody was asked".to_string())
        }
        (Said::NotAsked, _) => Err("the policy is not asked about such an event".into()),
        (Said::Again, _) => Err("it is there twice".into()),
        (Said::Refused(why), _) => Err(why.clone()),
        (_, None) => Err("nothing was recorded".into()),
    }
}

/// The timer of the record among those that fired.
fn of_timer(tried: &Tried, record: &Record) -> Result<Now, String> {
    let About::Timer { due, .. } = &record.about else { return Err("it is no timer".into()) };
    let due = due.parse::<jiff::Timestamp>().map_err(|error| error.to_string())?.as_microsecond();
    let wanted = record.asked.first().map(|asked| shapes(&asked.findings)).unwrap_or_default();
    let at_that_time = || tried.woken.iter().filter(|woken| woken.due == due);
    let shape = |findings: &[(String, Vec<(String, String)>)]| {
        let one = |(rule, evidence): &(String, Vec<(String, String)>)| {
            (rule.clone(), evidence.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect())
        };
        findings.iter().map(one).collect::<Vec<(String, Map<String, Value>)>>()
    };
    let Some(woken) = at_that_time().find(|woken| shape(&woken.findings) == wanted).or_else(|| at_that_time().next()) else {
        return Err("no timer fires at that time".into());
    };
    let fault = woken.fault.as_ref().map(|(kind, detail)| Fault { kind: kind.name().into(), detail: detail.clone() });
    let empty = |(rule, evidence)| Finding {
        rule,
        evidence,
        action: String::new(),
        severity: String::new(),
        message: String::new(),
        legal_basis: String::new(),
    };
    Ok(Now { findings: shape(&woken.findings).into_iter().map(empty).collect(), fault })
}

/// Rules and evidence, which all the rest follows from.
fn shapes(findings: &[Finding]) -> Vec<(String, Map<String, Value>)> {
    findings.iter().map(|finding| (finding.rule.clone(), finding.evidence.clone())).collect()
}

/// Holds what is said now against what was recorded.
fn held(then: &Asked, now: Result<Now, String>) -> Again {
    let Now { findings, fault } = match now {
        Ok(now) => now,
        Err(why) => return Again::Differs(why),
    };
    if shapes(&then.findings) == shapes(&findings) && then.fault == fault {
        return Again::Same;
    }
    let one = |(rule, evidence): (String, Map<String, Value>)| format!("{rule} {}", Value::from(evidence));
    let mut said: Vec<String> = shapes(&findings).into_iter().map(one).collect();
    said.extend(fault.map(|fault| format!("no answer ({}: {})", fault.kind, fault.detail)));
    Again::Differs(if said.is_empty() { "nothing is found".into() } else { said.join(" and ") })
}
