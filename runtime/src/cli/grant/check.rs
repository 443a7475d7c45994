//! `ephor grant check`: would this policy be taken, and what would it see?

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use comfy_table::{Cell, Color};
use ephor::Publisher;
use ephor::policy::Manifest;
use ephor::policy::grant::{Ask, Grant, Outcome as Given};
use ephor::policy::pseudonym::Secret;
use ephor::repository::{Client, Location, RepositoryError, Snapshot};

use crate::cli::exit::{self, Exit, Or as _, Outcome, failed};
use crate::cli::local;
use crate::cli::table::{self, plain};

/// Holds what policies ask for against what their publisher was granted.
///
/// For each type of events, each field and the strongest action: what a policy asks
/// for, what it is for, and what it would be given. Ends with 3 if something is missing
/// that a policy cannot do without; it would then be refused. What is optional and
/// not granted is said, and so is an action that counts for less.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// A component, or a repository, of which the latest release of each policy is
    /// looked at: a folder or a URL [default: the publisher's repository].
    #[arg(value_name = "COMPONENT|DIR|URL")]
    what: Option<String>,
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

/// A policy, held against the grant.
struct Held {
    manifest: Manifest,
    asks: Vec<Ask>,
}

impl Held {
    fn count(&self, outcome: Given) -> usize {
        self.asks.iter().filter(|ask| ask.outcome == outcome).count()
    }
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
    let worker = local::compiler()?;
    let held = local::block_on(async {
        let components = match args.what.as_deref().map(Path::new).filter(|what| what.is_file()) {
            Some(file) => {
                vec![(file.display().to_string(), std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?)]
            }
            None => latest(args, publisher).await?,
        };
        let mut held = Vec::new();
        for (name, component) in components {
            let inspected = ephor::inspect(&component, &worker, config.sandbox.clone()).await;
            let inspection = inspected.with_context(|| format!("{name} is refused")).or_exit(Exit::Refused)?;
            let asks = grant.review_language(inspection.language).into_iter().chain(grant.review(&inspection.manifest));
            held.push(Held { asks: asks.collect(), manifest: inspection.manifest });
        }
        Ok(held)
    })?;
    if args.json { print_json(args, &held) } else { print(args, &held) }.context("cannot print")?;
    let refused = held.iter().filter(|held| held.count(Given::Missing) > 0).map(|held| {
        let missing = held.count(Given::Missing);
        format!("{}, for want of {missing} of the {} things that it asks for", held.manifest.name, held.asks.len())
    });
    let refused: Vec<String> = refused.collect();
    if refused.is_empty() {
        return Ok(());
    }
    Err(failed(Exit::Refused, format!("{} has no grant for {}: it would be refused", args.publisher, refused.join("; "))))
}

/// The components of the latest releases in a repository, by policy, as a platform
/// would take them.
async fn latest(args: &Args, publisher: &Publisher) -> Outcome<Vec<(String, Vec<u8>)>> {
    // Paths in a configuration begin at its folder.
    let base = args.config.parent().unwrap_or(Path::new(""));
    let location = args.what.as_deref().unwrap_or(&publisher.repository).parse::<Location>().or_exit(Exit::Usage)?;
    let location = match location {
        Location::Folder(folder) if args.what.is_none() => Location::Folder(base.join(folder)),
        location => location,
    };
    let root = base.join(&publisher.root);
    let root = std::fs::read(&root).with_context(|| format!("cannot read the root {}", root.display())).or_exit(Exit::Usage)?;
    let memory = tempfile::tempdir().context("cannot make a temporary folder")?;
    let snapshot = match Client::new(&args.publisher, &location, root, memory.path()) {
        Ok(mut client) => client.refresh().await.map_err(|error| untaken(&error))?,
        Err(error) => return Err(untaken(&error)),
    };
    let mut components = Vec::new();
    for policy in policies(&snapshot) {
        let Some(release) = snapshot.latest(policy) else { continue };
        let name = format!("version {} of {policy}", release.statement.version);
        components.push((name, snapshot.blob(&release.statement.component).await.map_err(|error| untaken(&error))?));
    }
    Ok(components)
}

fn policies(snapshot: &Snapshot) -> Vec<&str> {
    let mut names: Vec<&str> = snapshot.releases.iter().map(|release| release.statement.policy.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn untaken(error: &RepositoryError) -> exit::Failed {
    let exit = match error {
        RepositoryError::Unreachable { .. } => Exit::Unreachable,
        RepositoryError::Datastore { .. } => Exit::Failed,
        _ => Exit::Refused,
    };
    failed(exit, format!("the repository would be refused [{}]: {error}", error.code()))
}

fn print_json(args: &Args, held: &[Held]) -> std::io::Result<()> {
    let policies = held.iter().map(|held| {
        let Held { manifest, asks } = held;
        serde_json::json!({
            "policy": manifest.name,
            "version": manifest.version,
            "taken": held.count(Given::Missing) == 0,
            "asks": asks,
        })
    });
    let document = serde_json::json!({"publisher": args.publisher, "policies": policies.collect::<Vec<_>>()});
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &document)?;
    writeln!(out)
}

fn print(args: &Args, held: &[Held]) -> std::io::Result<()> {
    if held.is_empty() {
        println!("Nothing is released yet.");
    }
    for (at, Held { manifest, asks }) in held.iter().enumerate() {
        let gap = if at == 0 { "" } else { "\n" };
        println!("{gap}{} {}, held against the grant of {}", plain(&manifest.name), plain(&manifest.version), args.publisher);
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
    }
    std::io::stdout().flush()
}
