//! `ephor grant check`: would this policy be taken, and what would it see?

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use comfy_table::{Cell, Color};
use ephor::policy::Manifest;
use ephor::policy::grant::{Ask, Grant, Outcome as Given};
use ephor::policy::pseudonym::Secret;

use crate::cli::exit::{self, Exit, Or as _, Outcome, failed};
use crate::cli::local;
use crate::cli::table::{self, plain};

/// Holds what a policy asks for against what its publisher was granted.
///
/// For each type of events, each field and the strongest action: what the policy asks
/// for, what it is for, and what it would be given. Ends with 3 if something is missing
/// that the policy cannot do without; it would then be refused. What is optional and
/// not granted is said, and so is an action that counts for less.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// The component.
    component: PathBuf,
    /// Configuration (TOML) with the publisher's grant.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The publisher, by its name in the configuration.
    #[arg(long, value_name = "NAME")]
    publisher: String,
    /// Prints all of it as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Outcome {
    let config = local::config(Some(&args.config))?;
    let Some(publisher) = config.publishers.get(&args.publisher) else {
        let known: Vec<&str> = config.publishers.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "it has none".to_string() } else { format!("it has {}", known.join(", ")) };
        return Err(failed(Exit::Usage, format!("{} has no publisher {:?}; {known}", args.config.display(), args.publisher)));
    };
    // No pseudonym is made here, so any secret will do.
    let grant = Grant::of(&args.publisher, publisher, &Secret::development())
        .map_err(|problems| failed(Exit::Usage, format!("{}: {}", args.config.display(), problems.join("; "))))?;
    let component = std::fs::read(&args.component).with_context(|| format!("cannot read {}", args.component.display()))?;
    let worker = local::compiler()?;
    let manifest = local::block_on(async { Ok(ephor::inspect(&component, &worker, config.sandbox).await) })?
        .with_context(|| format!("{} is refused", args.component.display()))
        .or_exit(Exit::Refused)?
        .manifest;
    let asks = grant.review(&manifest);
    if args.json { print_json(args, &manifest, &asks) } else { print(args, &manifest, &asks) }.context("cannot print")?;
    match asks.iter().filter(|ask| ask.outcome == Given::Missing).count() {
        0 => Ok(()),
        count => Err(failed(
            Exit::Refused,
            format!(
                "{} would be refused: {count} of what it asks for {} not granted to {}",
                manifest.name,
                if count == 1 { "is" } else { "are" },
                args.publisher
            ),
        )),
    }
}

fn print_json(args: &Args, manifest: &Manifest, asks: &[Ask]) -> std::io::Result<()> {
    let document = serde_json::json!({
        "publisher": args.publisher,
        "policy": manifest.name,
        "version": manifest.version,
        "taken": asks.iter().all(|ask| ask.outcome != Given::Missing),
        "asks": asks,
    });
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &document)?;
    writeln!(out)
}

fn print(args: &Args, manifest: &Manifest, asks: &[Ask]) -> std::io::Result<()> {
    println!("{} {}, held against the grant of {}", plain(&manifest.name), plain(&manifest.version), args.publisher);
    let mut rows = table::table(&["", "asks", "for", "granted", "so it is"]);
    for ask in asks {
        let outcome = Cell::new(ask.outcome.name()).fg(match ask.outcome {
            Given::Granted => Color::Green,
            Given::Less => Color::Yellow,
            Given::Missing => Color::Red,
        });
        let texts = [&ask.what, &ask.asked, &ask.purpose, &ask.granted].map(|text| Cell::new(plain(text)));
        rows.add_row(texts.into_iter().chain([outcome]));
    }
    table::print("What it asks for", &rows);
    for (heading, outcome) in [("What it cannot do without", Given::Missing), ("What it will have to do with", Given::Less)] {
        let some: Vec<&Ask> = asks.iter().filter(|ask| ask.outcome == outcome).collect();
        if some.is_empty() {
            continue;
        }
        println!("\n{heading}");
        for ask in some {
            println!("  {}", plain(&ask.message));
        }
    }
    std::io::stdout().flush()
}
