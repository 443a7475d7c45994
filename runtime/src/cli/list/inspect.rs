//! `ephor list inspect`: what is in a reference list.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use ephor::List;
use serde_json::{Value, json};

use super::super::exit::{self, Outcome};
use super::super::table::{self, plain};
use super::open;

/// Entries that are shown when no key is asked for.
const EXAMPLES: usize = 10;

/// Shows what a reference list says about itself, and looks keys up in it.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// The list.
    file: PathBuf,
    /// Keys to look up.
    keys: Vec<String>,
    /// Prints it as JSON; without keys, with all entries.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Outcome {
    let list = open(&args.file)?;
    if args.json { print_json(args, &list) } else { print(args, &list) }.context("cannot print")?;
    Ok(())
}

/// What a list is, without its entries.
pub fn about(list: &List) -> Value {
    json!({
        "name": list.name(),
        "version": list.version(),
        "digest": list.digest().to_string(),
        "bytes": list.bytes().len(),
        "columns": list.columns(),
        "entries": list.len(),
    })
}

fn print(args: &Args, list: &List) -> std::io::Result<()> {
    let mut rows = table::table(&["list", list.name()]);
    let (key, values) = list.columns().split_first().map_or(("", &[][..]), |(key, values)| (key.as_str(), values));
    for (name, value) in [
        ("version", list.version().to_string()),
        ("entries", table::grouped(list.len())),
        ("looked up by", plain(key)),
        ("gives", if values.is_empty() { "whether the key is there".into() } else { plain(&values.join(", ")) }),
        ("size", format!("{} ({} bytes)", table::size(list.bytes().len() as u64), table::grouped(list.bytes().len() as u64))),
        ("digest", list.digest().to_string()),
    ] {
        rows.add_row([name.to_string(), value]);
    }
    println!("{}\n{rows}", args.file.display());
    let mut rows = table::table(&["key", "value"]);
    if args.keys.is_empty() {
        list.iter().take(EXAMPLES).for_each(|(key, value)| {
            rows.add_row([plain(key), plain(value)]);
        });
        table::print(if list.len() > EXAMPLES as u64 { "The first entries" } else { "All entries" }, &rows);
    } else {
        for key in &args.keys {
            rows.add_row([plain(key), list.get(key).map_or_else(|| "(not in the list)".into(), plain)]);
        }
        table::print("Looked up", &rows);
    }
    std::io::stdout().flush()
}

fn print_json(args: &Args, list: &List) -> std::io::Result<()> {
    let mut document = about(list);
    let found: Vec<Value> = match args.keys.is_empty() {
        true => list.iter().map(|(key, value)| json!({"key": key, "value": value})).collect(),
        false => args.keys.iter().map(|key| json!({"key": key, "value": list.get(key)})).collect(),
    };
    document["keys"] = found.into();
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &document)?;
    writeln!(out)
}
