//! `ephor replay --against … --with …`: what would have been said, had other releases
//! been in force. Two runtimes get the same events side by side.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use comfy_table::Cell;
use ephor::backtest::{BacktestError, Came, Counter, Ground, Kinds, Named, Report, Side, VerdictEvents};

use super::shelf::{self, Parts};
use super::{Args, Clock, html, secret};
use crate::cli::exit::{Exit, Or as _, Outcome};
use crate::cli::files::{Rejected, Stream, bytes_of};
use crate::cli::local;
use crate::cli::send::{progress, rate};
use crate::cli::table::{self, grouped, plain};

/// Rows of a table of names.
const ROWS_MAX: usize = 10;

/// What came of a back-test.
#[derive(Debug, Default)]
pub struct Tested {
    pub report: Report,
    /// Policy and release of each side.
    pub before: Vec<(String, String)>,
    pub after: Vec<(String, String)>,
    /// The files of events.
    pub files: Vec<String>,
    pub came: Came,
    pub rejected: Rejected,
    /// Verdict events that each side judged. What was said of them is not compared: they
    /// are about other entries on each side.
    pub own: [u64; 2],
    pub took: Duration,
}

pub async fn run(args: &Args, against: &Path, with: &Path) -> Outcome {
    let config = local::config(args.config.as_deref())?;
    let context = args.policies.as_deref().map_or_else(|| Ok(Vec::new()), shelf::folder).or_exit(Exit::Usage)?;
    let [against, with] = [against, with].map(shelf::releases);
    let (against, with) = (against.or_exit(Exit::Usage)?, with.or_exit(Exit::Usage)?);
    let groups = args.archives().or_exit(Exit::Usage)?;
    let files: Vec<PathBuf> = groups.into_iter().flatten().collect();

    let ground = local::ground(&config, args.cache.as_deref())?;
    let folder = tempfile::tempdir().context("cannot make a folder for a ledger")?;
    let [before, after] = ["before", "after"].map(|side| folder.path().join(side));
    let mut before_side = start(&ground, &before, None, context.iter().chain(&against)).await?;
    // The same salts on both sides.
    let key = secret(&before.join("ledger.key"))?;
    let mut after_side = start(&ground, &after, Some(&key), context.iter().chain(&with)).await?;
    let bar = progress(bytes_of(&files), "");
    let mut stream = Stream::open(files.clone(), &config.ingest, &bar);
    let mut counter = Counter::new(args.examples);
    let mut clock = Clock::default();
    let begun = Instant::now();
    let mut both = 0u64;
    while let Some(event) = stream.next().await? {
        let event = clock.arrives(event);
        let moved = before_side.push(event.clone()).await?;
        if after_side.push(event).await? | moved {
            before_side.read()?;
            after_side.read()?;
            both += compared(&mut before_side, &mut after_side, &mut counter)?;
            bar.set_message(format!("{} judged twice", grouped(both)));
        }
    }
    before_side.settle().await?;
    after_side.settle().await?;
    compared(&mut before_side, &mut after_side, &mut counter)?;
    bar.finish_and_clear();
    let took = begun.elapsed();
    if before_side.moments.len() + after_side.moments.len() > 0 {
        return Err(BacktestError::Other.into());
    }
    let (own, files) = ([before_side.own, after_side.own], files.iter().map(|file| file.display().to_string()).collect());
    let [before, after] = [&before_side, &after_side].map(|side| side.releases.clone());
    after_side.finish().await?;
    let came = before_side.finish().await?;

    let tested = Tested { report: counter.finish(), before, after, files, came, rejected: stream.rejected, own, took };
    if let Some(file) = &args.html {
        std::fs::write(file, html::page(&tested)).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let written = if args.json { print_json(&tested) } else { print(args, &tested) };
    written.context("cannot print the report")?;
    super::taken(&tested.came, &tested.rejected)
}

/// Starts a side with these releases; later ones take the place of earlier ones of the
/// same policy.
async fn start<'p>(ground: &Ground, data: &Path, key: Option<&[u8]>, releases: impl Iterator<Item = &'p Parts>) -> Outcome<Side> {
    let mut side = Side::start(ground, data, key, VerdictEvents::Made).await?;
    for parts in releases {
        side.install(parts.clone().offer()).await.map_err(|error| super::not_taken(&parts.file, error))?;
    }
    Ok(side)
}

/// Compares what both sides have; gives the number of events.
fn compared(before: &mut Side, after: &mut Side, counter: &mut Counter) -> Outcome<u64> {
    let both = before.moments.len().min(after.moments.len());
    for (one, other) in before.moments.drain(..both).zip(after.moments.drain(..both)) {
        counter.timers(&one.timers, &other.timers, None)?;
        counter.event(&one.event, &other.event, None)?;
    }
    Ok(both as u64)
}

fn print(args: &Args, tested: &Tested) -> std::io::Result<()> {
    let Tested { report, before, after, took, .. } = tested;
    let mut rows = table::table(&["policy", "before", "after"]);
    let mut policies: Vec<&String> = before.iter().chain(after).map(|(policy, _)| policy).collect();
    policies.sort();
    policies.dedup();
    for policy in policies {
        let of = |side: &[(String, String)]| {
            side.iter().find(|(name, _)| name == policy).map_or("–".to_string(), |(_, release)| plain(release))
        };
        rows.add_row([plain(policy), of(before), of(after)]);
    }
    table::print("Releases, before (--against) and after (--with)", &rows);

    let mut rows = table::table(&["verdict", "events before", "events after"]);
    for (decision, sides) in &report.verdicts {
        rows.add_row([table::decision(*decision), table::number(sides.before), table::number(sides.after)]);
    }
    table::print(&format!("{} events", grouped(report.events)), &rows);
    if report.timers.before + report.timers.after > 0 {
        println!("Timers fired: {} before, {} after.", grouped(report.timers.before), grouped(report.timers.after));
    }
    if let [before, after] = tested.own
        && before + after > 0
    {
        let (before, after) = (grouped(before), grouped(after));
        println!("Verdict events: {before} before, {after} after; what policies say of these is not compared.");
    }
    let Kinds { stricter, milder, findings } = report.changes;
    println!(
        "\n{} changes: {} stricter verdicts, {} milder ones, {} the same with other findings.",
        grouped(report.changes.total()),
        grouped(stricter),
        grouped(milder),
        grouped(findings)
    );
    if report.changes.total() > 0 {
        print_changes(report);
    }
    if let Some(file) = &args.html {
        println!("\nWith plots, for a browser: {}", file.display());
    }
    println!("\n{}, each judged twice.", rate(report.events, *took));
    super::print_not_taken(&tested.came, &tested.rejected);
    std::io::stdout().flush()
}

fn print_changes(report: &Report) {
    let mut rows = table::table(&["before", "after", "changes"]);
    for transition in &report.transitions {
        rows.add_row([table::decision(transition.before), table::decision(transition.after), table::number(transition.count)]);
    }
    table::print("By verdict", &rows);
    let mut rows = table::table(&["policy", "rule", "findings before", "after", "disappeared", "appeared", "altered"]);
    for rule in &report.rules {
        let mut row = vec![Cell::new(plain(&rule.policy)), Cell::new(plain(&rule.rule))];
        row.extend([rule.findings.before, rule.findings.after, rule.disappeared, rule.appeared, rule.altered].map(table::number));
        rows.add_row(row);
    }
    table::print("By rule", &rows);
    let mut days: Vec<Named> = report.days.clone();
    days.sort_by(|a, b| b.changes.total().cmp(&a.changes.total()).then_with(|| a.name.cmp(&b.name)));
    for (heading, what, all, other) in [
        ("By source", "source", &report.sources, &report.other_sources),
        ("By subject", "subject", &report.subjects, &report.other_subjects),
        ("By day, those with the most changes", "day", &days, &Kinds::default()),
    ] {
        let mut rows = table::table(&[what, "changes", "stricter", "milder", "other findings"]);
        let mut rest = *other;
        for (at, Named { name, changes }) in all.iter().enumerate() {
            if at < ROWS_MAX {
                let mut row = vec![Cell::new(plain(name))];
                row.extend([changes.total(), changes.stricter, changes.milder, changes.findings].map(table::number));
                rows.add_row(row);
            } else {
                rest.merge(changes);
            }
        }
        if rest.total() > 0 {
            let mut row = vec![Cell::new("all others")];
            row.extend([rest.total(), rest.stricter, rest.milder, rest.findings].map(table::number));
            rows.add_row(row);
        }
        table::print(heading, &rows);
    }
    let mut rows = table::table(&["event", "before", "after", "findings"]);
    for example in &report.examples {
        let what = if example.timer { "timer of " } else { "" };
        let subject = example.subject.as_deref().map(|subject| format!("\n{}", plain(subject))).unwrap_or_default();
        let event = format!("{what}{}\n{}{subject}\n{}", plain(&example.id), plain(&example.source), plain(&example.time));
        let gone = example.disappeared.iter().map(|found| ("−", found));
        let come = example.appeared.iter().map(|found| ("+", found));
        let findings: Vec<String> =
            gone.chain(come).map(|(sign, found)| format!("{sign} {} ({})", plain(&found.message), plain(&found.rule))).collect();
        rows.add_row([Cell::new(event), table::decision(example.before), table::decision(example.after), Cell::new(findings.join("\n"))]);
    }
    table::print("Examples", &rows);
}

fn print_json(tested: &Tested) -> std::io::Result<()> {
    let Tested { report, before, after, files, came, rejected, own: [own_before, own_after], took } = tested;
    let releases = |side: &[(String, String)]| -> serde_json::Map<String, serde_json::Value> {
        side.iter().map(|(policy, release)| (policy.clone(), release.clone().into())).collect()
    };
    let mut document = serde_json::to_value(report)?;
    if let Some(members) = document.as_object_mut() {
        members.insert("before".into(), releases(before).into());
        members.insert("after".into(), releases(after).into());
        members.insert("files".into(), files.clone().into());
        members.insert("rejected".into(), rejected.lines.into());
        members.insert("erased".into(), rejected.erased.into());
        members.insert("verdict_events_left_out".into(), rejected.own.into());
        members.insert("verdict_events".into(), serde_json::json!({"before": own_before, "after": own_after}));
        members.insert("duplicates".into(), came.duplicates.into());
        members.insert("not_taken".into(), came.refused.into());
        members.insert("seconds".into(), took.as_secs_f64().into());
    }
    super::print_json(&document)
}
