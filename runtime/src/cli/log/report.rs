//! What a check found, as a person and as a script read it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use comfy_table::{Cell, Color};
use ephor::ledger::Durability;
use ephor::ledger::note::VerifierKey;
use ephor::ledger::verify::{Damage, Finding, Report, Severity};
use serde_json::{Value, json};

use super::source::Source;
use crate::cli::exit::{Exit, Outcome, failed};
use crate::cli::table::{self, grouped, plain};

/// How many findings are shown; `--json` has all of them.
const SHOWN_MAX: usize = 40;

/// What was checked, under which key, and what came of it.
pub struct Checked {
    pub source: Source,
    pub report: Report,
    /// The key that the log says it has, or that was given.
    pub key: Option<VerifierKey>,
    /// Whether it was given. Otherwise the log vouches for itself.
    pub is_given: bool,
    pub witnesses: Vec<VerifierKey>,
    pub seconds: f64,
}

impl Checked {
    /// The whole in one line.
    fn headline(&self) -> String {
        let report = &self.report;
        let count = |number: u64, one: &str, many: &str| format!("{} {}", grouped(number), if number == 1 { one } else { many });
        let silences = Some(report.tally.silences).filter(|silences| *silences > 0);
        let parts = [
            Some(count(report.entries, "entry", "entries")),
            Some(report.root.map_or("no tree".to_string(), |root| format!("tree {root}"))),
            Some(count(report.checkpoints, "checkpoint", "checkpoints")),
            Some(count(report.tally.gaps, "gap", "gaps")),
            silences.map(|silences| count(silences, "silence", "silences")),
            self.of_events()
                .then(|| format!("content of {} kept, of {} erased", count(report.kept, "event", "events"), grouped(report.erased))),
            Some(count(report.witnesses.len() as u64, "witness", "witnesses")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// Whether there is anything to say of the content of events.
    fn of_events(&self) -> bool {
        self.report.kept + self.report.erased + self.report.tally.erasures > 0
    }

    /// Whether something in it was left to the operating system.
    fn is_unsynced(&self) -> bool {
        self.report.unsynced + self.report.unsynced_checkpoints > 0
    }

    /// The word for a script.
    fn outcome(&self) -> &'static str {
        match (self.report.is_clean(), self.report.is_sound()) {
            (true, _) => "clean",
            (false, true) => "unfinished",
            (false, false) => "damaged",
        }
    }

    /// What it means for a script.
    pub fn verdict(&self) -> Outcome {
        let count = self.report.findings.len() as u64 + self.report.more;
        let found = format!("{} {}", grouped(count), if count == 1 { "finding" } else { "findings" });
        match self.outcome() {
            "clean" => Ok(()),
            "unfinished" => Err(failed(Exit::Unfinished, format!("{found}; the evidence is whole"))),
            _ => Err(failed(Exit::Damaged, format!("{found}; the evidence does not hold"))),
        }
    }

    pub fn print(&self) -> std::io::Result<()> {
        let report = &self.report;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", self.headline())?;
        let mut rows = table::table(&["log", &report.origin.as_deref().map_or("unknown".to_string(), plain)]);
        rows.add_row([Cell::new("at"), Cell::new(plain(&self.source.to_string()))]);
        let key = self.key.as_ref().map_or("none that could be read".to_string(), VerifierKey::to_string);
        rows.add_row([Cell::new("key"), Cell::new(key)]);
        if !self.is_given && self.key.is_some() {
            let says = "its own: it vouches for itself. Give the key that you know with --key";
            rows.add_row([Cell::new(""), Cell::new(says).fg(Color::Yellow)]);
        }
        let signed = match report.entries.saturating_sub(report.signed) {
            0 if report.signed == 0 => "nothing".to_string(),
            0 => format!("all {}", grouped(report.signed)),
            behind => format!("{}; the last {} not yet", grouped(report.signed), grouped(behind)),
        };
        rows.add_row([Cell::new("signed"), Cell::new(signed)]);
        if matches!(self.source, Source::Directory(_)) {
            let records = format!("{} in {}", grouped(report.records), grouped(report.segments));
            rows.add_row([Cell::new("records, in segments"), Cell::new(records)]);
        }
        if self.is_unsynced() {
            let mut text = format!(
                "os, in {} of {} checkpoints: syncing was left to the operating system, so a power cut may have taken what was answered for \
                 and not signed yet",
                grouped(report.unsynced_checkpoints),
                grouped(report.checkpoints)
            );
            if matches!(self.source, Source::Directory(_)) {
                text += &format!(" ({} of {} records)", grouped(report.unsynced), grouped(report.records));
            }
            rows.add_row([Cell::new("durability"), Cell::new(text).fg(Color::Yellow)]);
        } else {
            rows.add_row([Cell::new("durability"), Cell::new("sync: what was answered for was on the disk")]);
        }
        for (name, number, what) in [
            ("gaps", report.tally.gaps, "sources left numbers out"),
            ("silences", report.tally.silences, "sources were silent for longer than their heartbeat"),
        ] {
            if number > 0 {
                let text = format!("{}: {what}; `ephor log tail` shows where", grouped(number));
                rows.add_row([Cell::new(name), Cell::new(text).fg(Color::Yellow)]);
            }
        }
        if self.of_events() {
            let text = format!(
                "kept of {} as their entries say; of {} erased, or over; {} erasures",
                grouped(report.kept),
                grouped(report.erased),
                grouped(report.tally.erasures)
            );
            rows.add_row([Cell::new("content of events"), Cell::new(text)]);
        }
        rows.add_row([Cell::new("tiles compared"), Cell::new(grouped(report.tiles))]);
        for witness in &self.witnesses {
            let (text, color) = match report.witnesses.get(witness.name()) {
                Some(size) => (format!("{} entries", grouped(*size)), Color::Green),
                None => ("nothing".to_string(), Color::Red),
            };
            rows.add_row([Cell::new(format!("signed by {}", plain(witness.name()))), Cell::new(text).fg(color)]);
        }
        rows.add_row([Cell::new("checked in"), Cell::new(format!("{:.2} s", self.seconds))]);
        writeln!(out, "{rows}")?;
        match report.is_clean() {
            true => writeln!(out, "Nothing is wrong with it.")?,
            false => self.print_findings(&mut out)?,
        }
        out.flush()
    }

    fn print_findings(&self, out: &mut impl Write) -> std::io::Result<()> {
        let mut rows = table::table(&["", "what is wrong, and what to do"]);
        let mut hidden = self.report.more;
        let mut rewritten: BTreeSet<&Path> = BTreeSet::new();
        for (place, finding) in self.report.findings.iter().enumerate() {
            // A log that is another one is so at every checkpoint; the first has the place.
            let repeated = matches!(finding.what, Damage::Rewritten { .. }) && !rewritten.insert(&finding.file);
            if repeated || place >= SHOWN_MAX {
                hidden += 1;
                continue;
            }
            let color = match finding.severity {
                Severity::Unfinished => Color::Cyan,
                Severity::Derived => Color::Yellow,
                Severity::Evidence => Color::Red,
            };
            let file = plain(&finding.file.display().to_string());
            let at = finding.offset.map_or(file.clone(), |offset| format!("{file}, byte {}", grouped(offset)));
            let text = format!("{at}\n{}\n→ {}", plain(&finding.what.to_string()), remedy(finding, &self.source));
            rows.add_row([Cell::new(finding.severity.name()).fg(color), Cell::new(text)]);
        }
        writeln!(out, "\n{rows}")?;
        if hidden > 0 {
            writeln!(out, "and {} more; --json has them", grouped(hidden))?;
        }
        Ok(())
    }

    pub fn print_json(&self) -> std::io::Result<()> {
        let report = &self.report;
        let findings: Vec<Value> = report
            .findings
            .iter()
            .map(|finding| {
                json!({
                    "severity": finding.severity.name(),
                    "file": finding.file.to_string_lossy(),
                    "offset": finding.offset,
                    "what": finding.what.to_string(),
                    "remedy": remedy(finding, &self.source),
                })
            })
            .collect();
        let of_directory = matches!(self.source, Source::Directory(_));
        let document = json!({
            "outcome": self.outcome(),
            "source": self.source.to_string(),
            "log": report.origin,
            "key": self.key.as_ref().map(VerifierKey::to_string),
            "key_given": self.is_given,
            "entries": report.entries,
            "root": report.root.map(|root| root.to_string()),
            "signed": report.signed,
            "checkpoints": report.checkpoints,
            "durability": if self.is_unsynced() { Durability::Os } else { Durability::Sync },
            "unsynced_checkpoints": report.unsynced_checkpoints,
            "unsynced_records": of_directory.then_some(report.unsynced),
            "gaps": report.tally.gaps,
            "silences": report.tally.silences,
            "erasures": report.tally.erasures,
            "events_kept": of_directory.then_some(report.kept),
            "events_erased": of_directory.then_some(report.erased),
            "segments": of_directory.then_some(report.segments),
            "records": of_directory.then_some(report.records),
            "tiles": report.tiles,
            "witnesses": report.witnesses,
            "findings": findings,
            "findings_left_out": report.more,
            "seconds": self.seconds,
        });
        let mut out = std::io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, &document)?;
        writeln!(out)
    }
}

/// What to do about a finding.
fn remedy(finding: &Finding, source: &Source) -> &'static str {
    let is_server = matches!(source, Source::Server(_));
    match (finding.severity, &finding.what) {
        (Severity::Unfinished, Damage::Lost(_)) => {
            "keep a copy if it is to be looked into; then start: the log goes on with what is there, and lost events have to be sent again"
        }
        (Severity::Unfinished, _) => "nothing: the next start mends it, or a server that is running is just writing it",
        (Severity::Derived, _) if is_server => "start the server again: it makes its tiles anew",
        (Severity::Derived, Damage::Uncheckable(_)) => "mend the journal first",
        (Severity::Derived, Damage::Missing) => "nothing: the next start makes it anew",
        (Severity::Derived, _) => "remove the file and start again: it is made anew (a server that is running may be just writing it)",
        (_, Damage::Rewritten { .. } | Damage::CutBack { .. } | Damage::Shrinks { .. }) => {
            "change nothing; compare with copies and with what witnesses signed: this is not the log that was signed"
        }
        (_, Damage::OtherKey { .. } | Damage::Secret) => "ask whose log this is: keys do not change by themselves",
        (_, Damage::Uncheckable(_)) => "put back what is missing in the journal, then check again",
        _ if is_server => "check the server's data directory with `ephor log verify DIR`",
        (_, Damage::Unreadable(_)) => "look after the disk and the permissions, then check again",
        (_, Damage::Unexpected) => "move it out of the data directory",
        _ => "put the file back from a copy; keep this one as evidence",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ephor::ledger::tree::Hash;
    use ephor::ledger::verify::Tally;

    use super::*;

    fn checked(root: Option<Hash>, findings: Vec<Finding>) -> Checked {
        let report = Report {
            origin: Some("example.com/log".into()),
            entries: 702_470,
            tally: Tally { gaps: 1, ..Tally::default() },
            unsynced: 0,
            unsynced_checkpoints: 0,
            root,
            segments: 5,
            records: 200,
            checkpoints: 12,
            signed: 702_470,
            tiles: 2_755,
            kept: 0,
            erased: 0,
            witnesses: BTreeMap::from([("w1".to_string(), 702_470), ("w2".to_string(), 1)]),
            findings,
            more: 0,
        };
        let source = Source::Directory("data".into());
        Checked { source, report, key: None, is_given: false, witnesses: Vec::new(), seconds: 1.0 }
    }

    fn finding(severity: Severity, what: Damage) -> Finding {
        Finding { severity, file: "journal".into(), offset: None, what }
    }

    #[test]
    fn the_first_line_has_the_whole() {
        let clean = checked(Some(Hash([0x5f; 32])), Vec::new());
        let expected = format!("702,470 entries, tree {}, 12 checkpoints, 1 gap, 2 witnesses", "5f".repeat(32));
        assert_eq!((clean.headline(), clean.outcome()), (expected, "clean"));
        let mut silent = checked(Some(Hash([0; 32])), Vec::new());
        silent.report.tally.silences = 2;
        assert!(silent.headline().ends_with("1 gap, 2 silences, 2 witnesses"), "{}", silent.headline());
        let mut kept = checked(Some(Hash([0; 32])), Vec::new());
        (kept.report.kept, kept.report.erased) = (1, 2);
        assert!(kept.headline().ends_with("1 gap, content of 1 event kept, of 2 erased, 2 witnesses"), "{}", kept.headline());
        let missing = checked(None, vec![finding(Severity::Evidence, Damage::Sequence { expected: 4, found: 8 })]);
        assert!(missing.headline().contains("702,470 entries, no tree, "), "{}", missing.headline());
    }

    #[test]
    fn findings_decide_the_exit_code() {
        let root = Some(Hash([0; 32]));
        let code = |findings| checked(root, findings).verdict().map_err(|failed| failed.exit);
        assert_eq!(code(Vec::new()), Ok(()));
        assert_eq!(code(vec![finding(Severity::Unfinished, Damage::Behind)]), Err(Exit::Unfinished));
        let all = [finding(Severity::Derived, Damage::Missing), finding(Severity::Evidence, Damage::Missing)];
        assert_eq!(code(all[..1].to_vec()), Err(Exit::Unfinished));
        assert_eq!(code(all.to_vec()), Err(Exit::Damaged));
    }
}
