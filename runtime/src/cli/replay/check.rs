//! `ephor replay --check`: a recorded ledger made again from the archived events, and
//! compared with itself byte for byte.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use comfy_table::Cell;
use ephor::Config;
use ephor::backtest::{Came, VerdictEvents};
use ephor::ledger;
use indicatif::ProgressBar;

use super::compare::{Comparison, Difference, compare};
use super::finder::{Finder, Wanted};
use super::force::Force;
use super::script::{Script, Step, lines};
use super::shelf::Shelf;
use super::{Args, Place, secret};
use crate::cli::exit::{Exit, Or as _, Outcome, failed};
use crate::cli::files::{Rejected, Stream, bytes_of};
use crate::cli::local;
use crate::cli::send::{progress, rate};
use crate::cli::table::{self, grouped, plain};

/// Differences that are kept in full, and those that are printed.
const DIFFERENCES_MAX: usize = 100;
const DIFFERENCES_SHOWN: usize = 5;

/// Letters of a line or a value that are printed.
const LETTERS_SHOWN: usize = 240;

/// What the replay came to.
struct Replayed {
    /// The last entry that was replayed.
    last: u64,
    came: Came,
    swaps: u64,
    /// Events of the files that no entry is about.
    left: u64,
    rejected: Rejected,
    /// Entries that an earlier run made.
    resumed: u64,
}

pub async fn run(args: &Args, recorded: &Path) -> Outcome {
    let config = local::config(args.config.as_deref())?;
    if !recorded.join("FORMAT").exists() {
        return Err(failed(Exit::Usage, format!("{} is not a data directory", recorded.display())));
    }
    let key = args.key.clone().unwrap_or_else(|| recorded.join("ledger.key"));
    let secret = secret(&key)
        .context("the recorded ledger's key is needed to make the same salts; where it is kept elsewhere, name it with --key")
        .or_exit(Exit::Usage)?;
    let mut folders: Vec<PathBuf> = args.policies.iter().chain(&args.releases).cloned().collect();
    // What releases are made of is kept beside the ledger.
    folders.extend(Some(recorded.join("releases")).filter(|kept| kept.is_dir()));
    let shelf = Shelf::open(&folders).or_exit(Exit::Usage)?;
    let script = Script::open(recorded);
    let groups = args.archives().or_exit(Exit::Usage)?;
    let place = Place::new(args)?;
    ledger::adopt(&place.data, &secret).or_exit(Exit::Usage)?;

    let bar = progress(bytes_of(groups.iter().flatten()), "");
    // One thread for each, so that files that were sent at the same time are read so.
    let streams = groups.into_iter().map(|files| Stream::open(files, &config.ingest, &bar)).collect();
    let finder = Finder::new(streams, config.ingest.clone());
    let begun = Instant::now();
    let replayed = replay(args, &config, &place, Force::new(&config, shelf, folders), script, finder, &bar).await;
    bar.finish_and_clear();
    let replayed = replayed?;
    let replayed_in = begun.elapsed();

    let begun = Instant::now();
    // The recorded ledger may have grown in the meantime.
    let (last, one, other) = (replayed.last, lines(recorded), lines(&place.data));
    let one = one.take_while(move |entry| entry.as_ref().map_or(true, |(sequence, _)| *sequence <= last));
    let compared = tokio::task::spawn_blocking(move || compare(one, other, DIFFERENCES_MAX)).await;
    let comparison = compared.context("the comparison broke down")??;
    let times = [replayed_in, begun.elapsed()];
    let written = match args.json {
        true => print_json(&replayed, &comparison, times),
        false => print(args, recorded, &replayed, &comparison, times),
    };
    written.context("cannot print the report")?;
    if comparison.is_equal() {
        return Ok(());
    }
    let (other, all) = (comparison.total() - comparison.equal, comparison.total());
    Err(failed(Exit::Damaged, format!("{} of {} entries are not as they were recorded", grouped(other), grouped(all))))
}

/// Goes through the recorded entries, and submits the event of each as it was then.
async fn replay(
    args: &Args,
    config: &Config,
    place: &Place,
    mut force: Force<'_>,
    mut script: Script,
    mut finder: Finder,
    bar: &ProgressBar,
) -> Outcome<Replayed> {
    let started = (!args.resume).then_some(0);
    let mut drive = super::start(config, args.cache.as_deref(), &place.data, started, VerdictEvents::Given).await?;
    let resumed = drive.log()?.size();
    while let Some((sequence, step)) = script.next()? {
        let done = sequence <= resumed;
        match step {
            Step::Start(_) | Step::Change(_) | Step::Noted(_) if done => {}
            Step::Start(at) => drive = drive.reopen(at, |runtime, publisher| local::grant(runtime, config, publisher)).await?,
            Step::Change(change) => force.apply(&mut drive, sequence, &change).await?,
            Step::Noted(line) => drive.take_over(&line).await?,
            Step::Verdict(_) if done => {}
            Step::Verdict(event) => drop(drive.push(*event).await?),
            Step::Event(moment) => {
                let wanted = Wanted { sequence, source: &moment.source, id: &moment.id, digest: moment.digest };
                let event = finder.find(&wanted).await?;
                if !done && drive.push(event.with_arrival(moment.arrived)).await? {
                    bar.set_message(format!("entry {}", grouped(sequence)));
                }
            }
        }
    }
    let (left, rejected) = finder.finish().await?;
    let came = drive.finish().await?;
    Ok(Replayed { last: script.read, came, swaps: force.swaps, left, rejected, resumed })
}

fn print(
    args: &Args,
    recorded: &Path,
    replayed: &Replayed,
    comparison: &Comparison,
    [took, compared]: [Duration; 2],
) -> std::io::Result<()> {
    let Replayed { came, swaps, left, rejected, resumed, .. } = replayed;
    if comparison.is_equal() {
        println!("{} entries equal, byte for byte: {} replays as it was recorded.", grouped(comparison.equal), recorded.display());
    } else {
        let mut rows = table::table(&["entries", "count"]);
        rows.add_row([Cell::new("equal, byte for byte"), table::number(comparison.equal)]);
        rows.add_row([Cell::new("different"), table::ought_to_be_zero(comparison.different)]);
        rows.add_row([Cell::new("missing: recorded, and not there after the replay"), table::ought_to_be_zero(comparison.missing)]);
        rows.add_row([Cell::new("surplus: not recorded, and there after the replay"), table::ought_to_be_zero(comparison.surplus)]);
        rows.add_row([Cell::new("equal but for their sequence, because of those"), table::ought_to_be_zero(comparison.moved)]);
        table::print(&format!("{} does not replay as it was recorded", recorded.display()), &rows);
        comparison.differences.iter().take(DIFFERENCES_SHOWN).for_each(print_difference);
        println!(
            "\nThe replay has to have the limits that the server had (--config): lateness, horizon, fuel, memory and verdict-depth-max decide as well. A fault of \
             the kind timeout is the machine's, and no replay makes it again."
        );
    }
    println!("\n{}, and compared in {:.2} s.", rate(came.judged, took), compared.as_secs_f64());
    if *resumed > 0 {
        println!("{} entries were there from an earlier run, and were compared too.", grouped(*resumed));
    }
    println!("{} times a release took the place of another one.", grouped(*swaps));
    if *left > 0 {
        println!("{} events of the files are in no entry: sent twice, refused, or never sent.", grouped(*left));
    }
    if let Some(first) = &rejected.first {
        println!("{} lines of the files are no events. The first: {first}", grouped(rejected.lines));
    }
    if came.refused + came.duplicates > 0 {
        let first = came.first_refusal.as_deref().unwrap_or("sent twice");
        println!("{} events were not taken again. The first: {}", grouped(came.refused + came.duplicates), plain(first));
    }
    if args.data.is_some() {
        println!(
            "The new data directory has the key of the recorded ledger: keep it as you keep that one, and publish nothing that it signs."
        );
    }
    std::io::stdout().flush()
}

fn print_difference(difference: &Difference) {
    println!("\nEntry {}, {}:", grouped(difference.sequence), difference.what.name());
    for (side, line) in [("recorded", &difference.recorded), ("replayed", &difference.replayed)] {
        if let Some(line) = line {
            println!("  {side}  {}", short(line));
        }
    }
    for member in &difference.members {
        let value = |value: &Option<serde_json::Value>| value.as_ref().map_or("not there".to_string(), |value| short(&value.to_string()));
        println!("  {}: {} → {}", plain(&member.pointer), value(&member.recorded), value(&member.replayed));
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(LETTERS_SHOWN) {
        Some((end, _)) => format!("{}…", plain(&text[..end])),
        None => plain(text),
    }
}

fn print_json(replayed: &Replayed, comparison: &Comparison, [took, compared]: [Duration; 2]) -> std::io::Result<()> {
    let Replayed { last, came, swaps, left, rejected, resumed } = replayed;
    let document = serde_json::json!({
        "recorded": last,
        "entries": comparison,
        "all_equal": comparison.is_equal(),
        "swaps": swaps,
        "resumed": resumed,
        "not_taken": came.refused + came.duplicates,
        "first_not_taken": came.first_refusal,
        "events_in_no_entry": left,
        "rejected": rejected.lines,
        "erased": rejected.erased,
        "seconds": took.as_secs_f64(),
        "compared_seconds": compared.as_secs_f64(),
    });
    super::print_json(&document)
}
