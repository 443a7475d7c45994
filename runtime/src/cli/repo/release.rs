//! `ephor repo release`: publishes a version of a policy.

use std::path::PathBuf;

use anyhow::Context as _;
use ephor::policy::Manifest;
use ephor::policy::Mode;
use ephor::policy::statement::{Blob, StateRule, Statement};
use ephor::repository::Author;
use semver::Version;
use time::OffsetDateTime;

use super::source::ListSource;
use super::{Edited, instant, print_expiries, print_json, refused, stamp, vectors};
use crate::cli::exit::{self, Exit, Or as _, Outcome, failed};
use crate::cli::local;
use crate::cli::table::{self, plain};

/// Publishes a release: a component with its settings, signed with what it is for.
///
/// The component is loaded once, as a platform would, and its settings are held
/// against its schema, before anything is signed. A version is published once; with
/// other content it needs another number.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    #[command(flatten)]
    edited: Edited,
    /// The component that `ephor policy build` has made.
    #[arg(long, value_name = "FILE.wasm")]
    component: PathBuf,
    /// The settings, JSON. Without them: {}.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Vectors: events and what is found in them; a JSON file, or a folder of them.
    #[arg(long, value_name = "DIR|FILE")]
    vectors: Option<PathBuf>,
    /// A reference list that the policy looks things up in: NAME@VERSION=FILE, or
    /// NAME@VERSION for one that the repository has. Once for each.
    #[arg(long, value_name = "LIST")]
    list: Vec<ListSource>,
    /// The release's version (semantic versioning).
    #[arg(long, value_name = "VERSION")]
    version: Version,
    /// The law that it carries out.
    #[arg(long, value_name = "TEXT")]
    legal_basis: String,
    /// Where that law holds.
    #[arg(long, value_name = "TEXT")]
    jurisdiction: String,
    /// The strongest mode that you allow: shadow (recorded only), canary (a part of
    /// the keys) or enforce. The platform decides within it.
    #[arg(long, value_name = "MODE", default_value = "enforce", value_parser = mode)]
    mode: Mode,
    /// From which event time on it judges [default: as soon as a platform has it].
    #[arg(long, value_name = "TIME", value_parser = instant)]
    valid_from: Option<OffsetDateTime>,
    /// Up to which event time, exclusive.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    valid_until: Option<OffsetDateTime>,
    /// Says that --valid-from lies in the past on purpose.
    #[arg(long)]
    retroactive: bool,
    /// Days of notice that those who are judged are given before --valid-from.
    #[arg(long, value_name = "DAYS", default_value_t = 0)]
    notice_days: u32,
    /// The version whose place it takes [default: the highest below it].
    #[arg(long, value_name = "VERSION")]
    supersedes: Option<Version>,
    /// What becomes of what the release before remembers: keep, migrate (the new code
    /// converts it) or reset.
    #[arg(long, value_name = "RULE", default_value = "keep", value_parser = state)]
    state: StateRule,
    /// Configuration (TOML), for the limits that components are held to.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(args: &Args) -> Outcome {
    let now = OffsetDateTime::now_utc();
    let mut author = args.edited.open()?;
    let signers = args.edited.signers()?;
    let read = |file: &PathBuf| std::fs::read(file).with_context(|| format!("cannot read {}", file.display())).or_exit(Exit::Usage);
    let component = read(&args.component)?;
    let settings = args.settings.as_ref().map_or_else(|| Ok(b"{}\n".to_vec()), read)?;
    let manifest = manifest(args, &component, &settings)?;
    let mut statement = Statement::new(
        &manifest.name,
        args.version.clone(),
        Blob::of(&component),
        Blob::of(&settings),
        now.replace_nanosecond(0).unwrap_or(now),
    );
    statement.legal_basis.clone_from(&args.legal_basis);
    statement.jurisdiction.clone_from(&args.jurisdiction);
    statement.mode = args.mode;
    statement.valid_from = args.valid_from;
    statement.valid_until = args.valid_until;
    statement.retroactive = args.retroactive;
    statement.notice_days = args.notice_days;
    statement.state = args.state;
    statement.key = key(&manifest);
    statement.supersedes = args.supersedes.clone().or(before(&author, &statement)?);
    let mut blobs = vec![component, settings];
    if let Some(path) = &args.vectors {
        let bytes = vectors::read(path)?;
        statement.vectors = Some(Blob::of(&bytes));
        blobs.push(bytes);
    }
    bind(args, &author, &manifest, &mut statement, &mut blobs)?;
    check_state(&manifest, args.state)?;
    let is_new = author.add_release(&statement, blobs).map_err(refused)?;
    if is_new {
        author.publish(&signers, now).map_err(refused)?;
    }
    if args.edited.json {
        return print_json(&serde_json::json!({
            "publisher": author.publisher(),
            "published": is_new,
            "statement": statement,
        }));
    }
    print(&author, &statement, is_new, now);
    Ok(())
}

/// Loads the component with its settings, as a platform would.
fn manifest(args: &Args, component: &[u8], settings: &[u8]) -> Outcome<Manifest> {
    let config = local::config(args.config.as_deref())?;
    let worker = local::compiler()?;
    let loaded = local::block_on(async { Ok(ephor::sandbox::rehearse(component, settings, &worker, config.sandbox).await) })?;
    let what = || match &args.settings {
        Some(settings) => format!("{} with {} is refused", args.component.display(), settings.display()),
        None => format!("{} without settings is refused", args.component.display()),
    };
    Ok(loaded.with_context(what).or_exit(Exit::Refused)?.manifest)
}

/// Pointers of the fields that state is kept by.
fn key(manifest: &Manifest) -> Vec<String> {
    let fields = manifest.keyed.iter().flat_map(|keyed| &keyed.key).filter_map(|at| manifest.fields.get(usize::from(*at)));
    fields.map(|field| field.pointer.clone()).collect()
}

/// The highest version below this one.
fn before(author: &Author, statement: &Statement) -> Outcome<Option<Version>> {
    let published = author.statements().map_err(refused)?;
    let versions = published.into_iter().filter(|other| other.policy == statement.policy).map(|other| other.version);
    Ok(versions.filter(|version| *version < statement.version).max())
}

/// Binds the lists: those that the policy names, all of them and no other.
fn bind(args: &Args, author: &Author, manifest: &Manifest, statement: &mut Statement, blobs: &mut Vec<Vec<u8>>) -> Outcome {
    for source in &args.list {
        if !manifest.lists.contains(&source.name) {
            let known = if manifest.lists.is_empty() { "no list".into() } else { manifest.lists.join(", ") };
            return Err(failed(Exit::Refused, format!("{} knows {known}, and nothing of {}", manifest.name, source.name)));
        }
        let (list, bytes) = source.read(author)?;
        if statement.lists.insert(source.name.clone(), list).is_some() {
            return Err(failed(Exit::Usage, format!("--list names {} twice", source.name)));
        }
        blobs.extend(bytes);
    }
    let missing: Vec<&str> = manifest.lists.iter().map(String::as_str).filter(|list| !statement.lists.contains_key(*list)).collect();
    if !missing.is_empty() {
        return Err(failed(Exit::Refused, format!("{} looks things up in {}; give it with --list", manifest.name, missing.join(", "))));
    }
    Ok(())
}

/// A rule about states that the component cannot keep.
fn check_state(manifest: &Manifest, rule: StateRule) -> Outcome {
    let Some(keyed) = &manifest.keyed else { return Ok(()) };
    let problem = match rule {
        StateRule::Migrate if keyed.migrates_from.is_empty() => "can migrate no states",
        StateRule::Reset if !keyed.resets => "does not say that it may begin without states",
        _ => return Ok(()),
    };
    Err(failed(Exit::Refused, format!("{} {problem}, so --state {} is not for it", manifest.name, rule.name())))
}

fn print(author: &Author, statement: &Statement, is_new: bool, now: OffsetDateTime) {
    let Statement { policy, version, .. } = statement;
    if !is_new {
        println!("Version {version} of {policy} is published already, with this very content; nothing has changed.");
        return;
    }
    println!("Published version {version} of {}/{policy}.", author.publisher());
    let mut rows = table::table(&["what", "is"]);
    let until = statement.valid_until.map_or(String::new(), |until| format!(", up to {}", stamp(until)));
    let from = statement.valid_from.map_or_else(|| "as soon as a platform has it".into(), |from| format!("events from {} on", stamp(from)));
    let lists: Vec<String> = statement.lists.iter().map(|(name, list)| format!("{name} {}", list.version)).collect();
    for (what, is) in [
        ("legal basis", plain(&statement.legal_basis)),
        ("where", plain(&statement.jurisdiction)),
        ("at most", statement.mode.name().into()),
        ("judges", format!("{from}{until}")),
        ("supersedes", statement.supersedes.as_ref().map_or("nothing".into(), Version::to_string)),
        ("states", statement.state.name().into()),
        ("component", statement.component.digest.to_string()),
        ("settings", statement.settings.digest.to_string()),
        ("lists", if lists.is_empty() { "none".into() } else { lists.join(", ") }),
        ("vectors", statement.vectors.map_or("none".into(), |vectors| vectors.digest.to_string())),
    ] {
        rows.add_row([what.to_string(), is]);
    }
    println!("{rows}");
    println!("Put {} where platforms look for it; they take it when they look next.", author.folder().display());
    print_expiries(author, now);
}

fn mode(text: &str) -> Result<Mode, String> {
    let all = [Mode::Shadow, Mode::Canary, Mode::Enforce];
    all.into_iter().find(|mode| mode.name() == text).ok_or_else(|| "one of: shadow, canary, enforce".into())
}

fn state(text: &str) -> Result<StateRule, String> {
    let all = [StateRule::Keep, StateRule::Migrate, StateRule::Reset];
    all.into_iter().find(|rule| rule.name() == text).ok_or_else(|| "one of: keep, migrate, reset".into())
}
