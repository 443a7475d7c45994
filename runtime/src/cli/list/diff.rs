//! `ephor list diff`: what is different between two versions of a list.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use ephor::List;
use ephor::reference::{self, Change};
use serde_json::{Value, json};

use super::super::exit::{self, Exit, Outcome, failed};
use super::super::table::{self, plain};
use super::{build, inspect, open};

/// Shows what is different between two versions of a list.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// The earlier version.
    before: PathBuf,
    /// The later version.
    after: PathBuf,
    /// How many changes to show of each sort.
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    examples: usize,
    /// Prints all changes as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Outcome {
    let (before, after) = (open(&args.before)?, open(&args.after)?);
    if before.name() != after.name() {
        let why = format!(
            "{} is the list {}, and {} is the list {}; versions of one list can be compared",
            args.before.display(),
            before.name(),
            args.after.display(),
            after.name()
        );
        return Err(failed(Exit::Usage, why));
    }
    if args.json { print_json(&before, &after) } else { print(args, &before, &after) }.context("cannot print")?;
    Ok(())
}

/// Which sort of change it is.
fn sort(change: &Change<'_>) -> usize {
    match change {
        Change::Added(..) => 0,
        Change::Removed(..) => 1,
        Change::Changed(..) => 2,
    }
}

const SORTS: [&str; 3] = ["added", "removed", "changed"];

fn print(args: &Args, before: &List, after: &List) -> std::io::Result<()> {
    println!("before  {}\nafter   {}", build::in_short(before), build::in_short(after));
    let mut counts = [0u64; SORTS.len()];
    let mut examples = table::table(&["key", "what", "before", "after"]);
    let mut is_empty = true;
    for change in reference::diff(before, after) {
        let count = &mut counts[sort(&change)];
        *count += 1;
        if *count <= args.examples as u64 {
            is_empty = false;
            let (key, old, new) = match change {
                Change::Added(key, new) => (key, "", new),
                Change::Removed(key, old) => (key, old, ""),
                Change::Changed(key, old, new) => (key, old, new),
            };
            examples.add_row([plain(key), SORTS[sort(&change)].into(), plain(old), plain(new)]);
        }
    }
    let mut rows = table::table(&SORTS);
    rows.add_row(counts.map(table::number));
    println!("{rows}");
    if !is_empty {
        let all = counts.iter().all(|count| *count <= args.examples as u64);
        let heading = if all { "All changes".into() } else { format!("The first {} of each sort", args.examples) };
        table::print(&heading, &examples);
    }
    std::io::stdout().flush()
}

fn print_json(before: &List, after: &List) -> std::io::Result<()> {
    let mut counts = [0u64; SORTS.len()];
    let changes = reference::diff(before, after).map(|change| {
        counts[sort(&change)] += 1;
        match change {
            Change::Added(key, new) => json!({"key": key, "after": new}),
            Change::Removed(key, old) => json!({"key": key, "before": old}),
            Change::Changed(key, old, new) => json!({"key": key, "before": old, "after": new}),
        }
    });
    let changes: Vec<Value> = changes.collect();
    let [added, removed, changed] = counts;
    let (before, after) = (inspect::about(before), inspect::about(after));
    let document = json!({"before": before, "after": after, "added": added, "removed": removed, "changed": changed, "changes": changes});
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &document)?;
    writeln!(out)
}
