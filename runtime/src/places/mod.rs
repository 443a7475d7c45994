//! Where findings are: for a map.
//!
//! A finding's place is in its evidence, if its rule gives one there (`lat` and `lng`).
//! Otherwise it is read out of the event, where its content is kept, as the policy itself
//! saw it: in fields that it declares, in the form that its publisher was granted. So
//! whoever may see the policy's findings sees no more on a map than the policy did, and a
//! position that was made coarse is a cell, not a point.
//!
//! What is ruled where stands in the policy's settings, as GeoJSON ([`Outline`]).

mod cache;
mod outline;

use std::path::Path;

use serde::Serialize;

pub use cache::Lately;
pub use outline::{Outline, outlines};

pub use crate::archive::ArchiveError;
use crate::archive::{Occurrence, Recorded, Wants};
use crate::ingest;
use crate::ledger::Log;
use crate::ledger::blobs;
use crate::ledger::entry::{Entry, Evidence, Finding};
use crate::policy::{Grant, Release};
use crate::trial::View;
pub use crate::trial::{Extent, Place};
use crate::verdict::Action;

/// Entries that are looked through for one map, at most: the last ones of what is asked.
pub const ENTRIES_MAX: u64 = 200_000;

/// Findings that a map has one by one, at most: the last ones.
pub const SPOTS_MAX: usize = 20_000;

/// Which findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The policy's full name.
    pub policy: String,
    /// Of this rule only.
    pub rule: Option<String>,
    /// Those that counted for nothing as well: for a policy that is only tried out.
    pub tried: bool,
    /// Entries up to this one; absent: up to the last one.
    pub until: Option<u64>,
    /// Events that happened from this time on, in microseconds since 1970.
    pub after: i64,
    /// And before this one.
    pub before: i64,
}

/// A finding and where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Spot {
    /// Of the event's entry.
    pub sequence: u64,
    /// Which rule.
    pub rule: String,
    /// What it asks for.
    pub action: Action,
    /// The event's subject.
    pub subject: Option<String>,
    /// When the event happened, as entries have times.
    pub time: String,
    /// What was said, in the language in which it was recorded.
    pub message: String,
    /// What it rests on: names and values.
    pub evidence: Vec<(String, String)>,
    /// Where.
    pub place: Place,
}

/// Findings with their places.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spots {
    /// In the order of their entries.
    pub spots: Vec<Spot>,
    /// What there is beside them.
    pub count: Count,
}

/// What was looked through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The first entry that was looked at, and the last one.
    pub entries: (u64, u64),
    /// Whether there are earlier ones.
    pub earlier: bool,
    /// Findings of what was asked for.
    pub findings: u64,
    /// Those without a place because the content of their event is not there.
    pub not_kept: u64,
    /// Those without a place because neither evidence nor event has one that is seen.
    pub nowhere: u64,
    /// Those with a place that are left out because there are later ones.
    pub left_out: u64,
}

/// Looks findings of a policy up with their places. Reads the disk.
///
/// # Errors
///
/// If the ledger, or what is kept of events, cannot be read.
pub fn find(
    log: &Log,
    data: &Path,
    limits: &ingest::Limits,
    release: Option<(&Release, Grant)>,
    wanted: &Wanted,
) -> Result<Spots, ArchiveError> {
    let view = release.map(|(release, grant)| View::new(&release.manifest, grant)).filter(View::sees_places);
    let until = wanted.until.unwrap_or(u64::MAX).min(log.size());
    let from = until.saturating_sub(ENTRIES_MAX - 1).max(1);
    let mut found = Spots { count: Count { entries: (from, until), earlier: from > 1, ..Count::default() }, ..Spots::default() };
    let (policy, rule) = (wanted.policy.clone(), wanted.rule.clone());
    let wants: Wants = match view {
        Some(_) => Box::new(move |entry| {
            entry.asked.iter().any(|asked| *asked.policy == *policy && asked.findings.iter().any(|finding| is_of(finding, rule.as_deref())))
        }),
        None => Box::new(|_| false),
    };
    let mut recorded = Recorded::with_contents(log, data, limits, from, until, wants)?;
    while let Some(Occurrence { sequence, happened, line, event, .. }) = recorded.next()? {
        if !(wanted.after..wanted.before).contains(&happened) {
            continue;
        }
        let Ok(Entry::Event(entry)) = Entry::parse(line.as_bytes()) else { return Err(ArchiveError::NoEntry(line)) };
        let asked = entry.asked.iter().filter(|asked| *asked.policy == *wanted.policy && (wanted.tried || asked.mode.counts()));
        let findings = asked.flat_map(|asked| &asked.findings).filter(|finding| is_of(finding, wanted.rule.as_deref()));
        // The same for all of them.
        let mut seen = None;
        for finding in findings {
            found.count.findings += 1;
            let in_event = || *seen.get_or_insert_with(|| view.as_ref().and_then(|view| view.place(event.as_ref()?)));
            match said(&finding.evidence).or_else(in_event) {
                Some(place) => found.spots.push(Spot {
                    sequence,
                    rule: finding.rule.to_string(),
                    action: finding.action,
                    subject: entry.subject.as_deref().map(str::to_string),
                    time: crate::ledger::time_text(happened),
                    message: finding.message.to_string(),
                    evidence: finding.evidence.pairs(),
                    place,
                }),
                None if view.is_some() && event.is_none() => found.count.not_kept += 1,
                None => found.count.nowhere += 1,
            }
        }
        if found.spots.len() >= 2 * SPOTS_MAX {
            found.cut();
        }
    }
    found.cut();
    Ok(found)
}

/// Whether a release sees where events happened, under a grant.
pub fn sees_places(release: &Release, grant: &Grant) -> bool {
    View::new(&release.manifest, grant.clone()).sees_places()
}

impl Spots {
    /// Leaves the earliest out beyond what a map has.
    fn cut(&mut self) {
        let over = self.spots.len().saturating_sub(SPOTS_MAX);
        self.spots.drain(..over);
        self.count.left_out += over as u64;
    }
}

fn is_of(finding: &Finding<'_>, rule: Option<&str>) -> bool {
    rule.is_none_or(|rule| *finding.rule == *rule)
}

/// The place that evidence gives.
fn said(evidence: &Evidence<'_>) -> Option<Place> {
    let number = |names: &[&str]| {
        let (_, value) = evidence.0.iter().find(|(name, _)| names.contains(&&**name))?;
        value.parse::<f64>().ok().map(Extent::exact)
    };
    Place::new(number(&["lat", "latitude"])?, number(&["lng", "lon", "longitude"])?)
}

/// The outlines in the settings that a release was made with, as the data directory keeps
/// them. Reads the disk.
///
/// # Errors
///
/// In words: they cannot be read.
pub fn outlines_of(data: &Path, release: &Release) -> Result<Vec<Outline>, String> {
    let settings = blobs::read(data, &release.settings.hex())?;
    let settings: serde_json::Value = serde_json::from_slice(&settings).map_err(|error| error.to_string())?;
    Ok(outlines(&settings))
}
