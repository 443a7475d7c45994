//! `ephor replay` without more: an archive through the spine, and what was found.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use ephor::backtest::{Came, VerdictEvents};
use ephor::ledger::{self, Log, LogError};
use ephor::reserved;

use super::counts::Counts;
use super::entry::Entry;
use super::{Args, Clock, Place, secret, shelf};
use crate::cli::exit::{Exit, Or as _, Outcome, failed};
use crate::cli::files::{Rejected, Stream, bytes_of};
use crate::cli::send::{progress, rate};
use crate::cli::table::grouped;

/// Entries at the end of a ledger among which the last event is looked for: more are
/// never recorded before one event.
const TAIL_ENTRIES: u64 = 1 << 16;

pub async fn run(args: &Args) -> Outcome {
    let config = crate::cli::local::config(args.config.as_deref())?;
    let Some(folder) = &args.policies else { return Err(failed(Exit::Usage, "--policies names the releases to judge with")) };
    let releases = shelf::folder(folder).or_exit(Exit::Usage)?;
    let groups = args.archives().or_exit(Exit::Usage)?;
    let files: Vec<PathBuf> = groups.into_iter().flatten().collect();
    let key = args.key.as_deref().map(secret).transpose().or_exit(Exit::Usage)?;
    let place = Place::new(args)?;
    if let Some(key) = key {
        ledger::adopt(&place.data, &key).or_exit(Exit::Usage)?;
    }
    let started = (!args.resume).then_some(0);
    let mut drive = super::start(&config, args.cache.as_deref(), &place.data, started, VerdictEvents::Made).await?;
    let log = drive.log()?;
    let resumed = log.size();
    for parts in releases {
        // In force already, if an interrupted replay is taken up.
        if !drive.judges_with(&parts.component, &parts.settings, &parts.lists) {
            let file = parts.file.clone();
            drive.install(parts.offer()).await.map_err(|error| super::not_taken(&file, error))?;
        }
    }
    let last = last_event(&log)?;
    let mut entries = log.entries(1);
    drop(log);

    let bar = progress(bytes_of(&files), "");
    let mut stream = Stream::open(files.clone(), &config.ingest, &bar);
    let (mut clock, mut counts) = (Clock::default(), Counts::default());
    let begun = Instant::now();
    if let Some((source, id)) = last {
        skip(&mut stream, &mut clock, &source, &id).await?;
    }
    while let Some(event) = stream.next().await? {
        if drive.push(clock.arrives(event)).await? {
            count(&mut entries, &mut counts)?;
            bar.set_message(format!("{} entries", grouped(counts.entries)));
        }
    }
    drive.settle().await?;
    let took = begun.elapsed();
    count(&mut entries, &mut counts)?;
    drop(entries);
    let came = drive.finish().await?;
    bar.finish_and_clear();

    let written = match args.json {
        true => print_json(&counts, &came, &stream.rejected, resumed, took),
        false => print(args, &files, &counts, &came, &stream.rejected, resumed, took),
    };
    written.context("cannot print the report")?;
    super::taken(&came, &stream.rejected)
}

/// Counts what has become durable.
fn count(entries: &mut impl Iterator<Item = Result<(u64, String), LogError>>, counts: &mut Counts) -> Outcome {
    for entry in entries {
        let (sequence, line) = entry.context("cannot read what was recorded")?;
        counts.add(sequence, &line)?;
    }
    Ok(())
}

/// Source and id of the last event of a ledger.
fn last_event(log: &Log) -> Outcome<Option<(String, String)>> {
    let mut last = None;
    for entry in log.entries(log.size().saturating_sub(TAIL_ENTRIES) + 1) {
        let (_, line) = entry.context("cannot read what an earlier replay recorded")?;
        // The runtime's own events are in no file.
        if let Entry::Event(event) = Entry::read(&line)?
            && !reserved::is_own_source(&event.source)
        {
            last = Some((event.source.to_string(), event.id.to_string()));
        }
    }
    Ok(last)
}

/// Passes over the events that an earlier replay was through with: everything up to the
/// last one that it recorded. It was recorded where it stands for the first time.
async fn skip(stream: &mut Stream, clock: &mut Clock, source: &str, id: &str) -> Outcome {
    while let Some(event) = stream.next().await? {
        let found = event.source() == source && event.id() == id;
        clock.arrives(event);
        if found {
            return Ok(());
        }
    }
    Err(failed(Exit::Usage, "the data directory ends with an event that the files do not have; it is of another replay"))
}

fn print(
    args: &Args,
    files: &[PathBuf],
    counts: &Counts,
    came: &Came,
    rejected: &Rejected,
    resumed: u64,
    took: Duration,
) -> std::io::Result<()> {
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    counts.print(&format!("Events of {}, judged again", names.join(", ")));
    println!("\n{}, every one recorded.", rate(came.judged, took));
    if resumed > 0 {
        println!("{} entries were there from an earlier run, and are counted too.", grouped(resumed));
    }
    super::print_not_taken(came, rejected);
    if let Some(data) = &args.data {
        println!("The ledger is in {}.", data.display());
    }
    std::io::stdout().flush()
}

fn print_json(counts: &Counts, came: &Came, rejected: &Rejected, resumed: u64, took: Duration) -> std::io::Result<()> {
    let mut document = counts.to_json();
    if let Some(members) = document.as_object_mut() {
        members.insert("judged".into(), came.judged.into());
        members.insert("duplicates".into(), came.duplicates.into());
        members.insert("refused".into(), came.refused.into());
        members.insert("first_refusal".into(), came.first_refusal.clone().into());
        members.insert("rejected".into(), rejected.lines.into());
        members.insert("erased".into(), rejected.erased.into());
        members.insert("verdict_events_left_out".into(), rejected.own.into());
        members.insert("resumed".into(), resumed.into());
        members.insert("seconds".into(), took.as_secs_f64().into());
    }
    super::print_json(&document)
}
