//! `ephor policy test`: a policy held against its vectors, natively and as a component.
//!
//! Natively the crate's own tests run, in which the SDK holds the policy against its
//! vectors. The component is judged with here, in a runtime, as a platform does it, by
//! the code that holds a publisher's releases against theirs (`ephor::vectors`).

mod diff;
mod junit;
mod native;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use ephor::vectors::{self, Place, Problem, RunError, Vector};
use ephor::{Config, LoadError, Runtime};

use super::exit::{self, Exit, Or as _, Outcome, failed};
use super::policy_build::Purpose;
use super::table::{grouped, plain};
use super::{local, policy_build, policy_table, repo};
use diff::Block;
use native::Native;

pub(super) use diff::Paint;

const NATIVE_FAILED: &str = "the crate's own tests fail; cargo says above which";

/// Holds a policy against its vectors: natively, and as a component.
///
/// A vector is a JSON file with settings, events, and what the policy says about each.
/// Natively the crate's own tests run. The component is compiled as `ephor policy build`
/// does it, and judges the events in a runtime of its own.
#[derive(clap::Args, Default)]
#[command(after_help = exit::help())]
pub struct Args {
    /// Folder of the crate, or a file of rules.
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// A component that is there already; nothing is compiled for WebAssembly.
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    /// Folder of the vectors, or one of them [default: `vectors` in PATH].
    #[arg(long, value_name = "DIR")]
    vectors: Option<PathBuf>,
    /// Only natively: runs the crate's own tests and makes no component.
    #[arg(long, conflicts_with_all = ["no_native", "component", "vectors", "update", "junit", "filter", "cache"])]
    native: bool,
    /// Only as a component: does not run the crate's own tests.
    #[arg(long)]
    no_native: bool,
    /// Writes what the component says into the vectors that differ. Everything else in
    /// them stays as it is written.
    #[arg(long)]
    update: bool,
    /// Writes what came of each vector to a file, as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Only the vectors that have this in their name.
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
    /// Where compiled code is kept [default: $XDG_CACHE_HOME/ephor or
    /// ~/.cache/ephor].
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

/// What came of a file of vectors.
struct Case {
    /// The file's name, without its ending.
    name: String,
    file: PathBuf,
    events: usize,
    took: Duration,
    ended: Ended,
}

enum Ended {
    Passed,
    /// The component says something else.
    Differs(Vec<Block>),
    /// The same, and it stands in the file now.
    Updated(Vec<Block>),
    /// The file could not be run, or not be written; where, why, and what to do.
    Unusable(String),
}

impl Case {
    fn has_failed(&self) -> bool {
        matches!(self.ended, Ended::Differs(_) | Ended::Unusable(_))
    }
}

pub fn run(args: &Args) -> Outcome {
    if args.native {
        return match native::run(&args.path)? {
            Native::Passed => Ok(()),
            Native::Failed => Err(failed(Exit::Refused, NATIVE_FAILED)),
            Native::LeftOut(why) => Err(failed(Exit::Usage, format!("there is nothing to run natively: {why}"))),
        };
    }
    // First, for a wrong path should not cost a build.
    let files = files(args)?;
    let mut problems = Vec::new();
    // Vectors that are written anew are held against the native policy afterwards.
    if !args.no_native && !args.update {
        problems.extend(natively(&args.path)?);
    }
    let (shown, component) = component(args)?;
    let paint = Paint::of_stdout();
    let (policy, cases) = local::block_on(as_component(args, &shown, component, &files, paint))?;
    if let Some(file) = &args.junit {
        std::fs::write(file, junit::document(&policy, &cases)).with_context(|| format!("cannot write {}", file.display()))?;
    }
    problems.extend(sum_up(&cases));
    if !args.no_native && args.update {
        problems.extend(natively(&args.path)?);
    }
    refuse(&problems)
}

/// What a test ends with.
pub(super) fn refuse(problems: &[String]) -> Outcome {
    match problems.is_empty() {
        true => Ok(()),
        false => Err(failed(Exit::Refused, problems.join("; "))),
    }
}

/// Holds a component against the vectors in the folder of its crate, and prints what came
/// of each; says what is wrong, if something is.
///
/// The component is not asked first what it is, which would take as long as compiling it
/// once more: if it is refused, the first vector shows it.
pub(super) fn hold(path: &Path, component: Vec<u8>, cache: &Path) -> Outcome<Option<String>> {
    let args = Args { path: path.into(), cache: Some(cache.into()), ..Args::default() };
    let files = files(&args)?;
    let cases = local::block_on(judge(&args, component, &files, Paint::of_stdout()))?;
    Ok(sum_up(&cases))
}

/// Runs the crate's own tests; says what is wrong, if something is.
pub(super) fn natively(path: &Path) -> Outcome<Option<String>> {
    match native::run(path)? {
        Native::Passed => Ok(None),
        Native::Failed => Ok(Some(NATIVE_FAILED.into())),
        Native::LeftOut(why) => {
            println!("natively: left out, because {why}");
            Ok(None)
        }
    }
}

/// The files of vectors that are asked for.
fn files(args: &Args) -> Outcome<Vec<PathBuf>> {
    let is_policy = policy_table::file(&args.path).is_some()
        || args.path.join("Cargo.toml").is_file()
        || policy_build::languages::is_policy(&args.path);
    if args.component.is_none() && !is_policy {
        let problem = format!(
            "{} has no Cargo.toml, rules.toml, package.json or pyproject.toml; name the folder of a policy, or a component",
            args.path.display()
        );
        return Err(failed(Exit::Usage, problem));
    }
    let place = args.vectors.clone().unwrap_or_else(|| policy_table::folder(&args.path).join("vectors"));
    let shown = place.display();
    let mut files = match place.is_dir() {
        true => repo::vectors::list(&place)?,
        false if place.is_file() => vec![place.clone()],
        false => {
            let problem = format!("there are no vectors, for {shown} is not there; make it, with settings, events and what is expected");
            return Err(failed(Exit::Usage, problem));
        }
    };
    if files.is_empty() {
        return Err(failed(Exit::Usage, format!("there are no vectors (*.json) in {shown}")));
    }
    if let Some(part) = &args.filter {
        let names: Vec<String> = files.iter().map(|file| name(file)).collect();
        files.retain(|file| name(file).contains(part.as_str()));
        if files.is_empty() {
            let problem = format!("no vector in {shown} has {part:?} in its name; there are {}", names.join(", "));
            return Err(failed(Exit::Usage, problem));
        }
    }
    Ok(files)
}

/// The file's name, without its ending.
fn name(file: &Path) -> String {
    file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The component, and what to call it.
fn component(args: &Args) -> Outcome<(String, Vec<u8>)> {
    match &args.component {
        Some(file) => {
            let component = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            Ok((file.display().to_string(), component))
        }
        None => Ok((format!("the component of {}", args.path.display()), policy_build::component(&args.path, Purpose::Publish)?)),
    }
}

/// Says what the component is, and runs every file. Gives the policy's name too.
async fn as_component(args: &Args, shown: &str, component: Vec<u8>, files: &[PathBuf], paint: Paint) -> Outcome<(String, Vec<Case>)> {
    let inspection = ephor::inspect(&component, &local::compiler()?, Config::default().sandbox).await;
    let manifest = inspection.with_context(|| format!("{shown} is refused")).or_exit(Exit::Refused)?.manifest;
    println!("{} {} as a component", plain(&manifest.name), plain(&manifest.version));
    Ok((manifest.name, judge(args, component, files, paint).await?))
}

/// Runs every file, and prints what came of it.
async fn judge(args: &Args, component: Vec<u8>, files: &[PathBuf], paint: Paint) -> Outcome<Vec<Case>> {
    let runtime = local::runtime(&Config::default(), args.cache.clone(), None)?;
    let component: Arc<[u8]> = component.into();
    let width = files.iter().map(|file| name(file).chars().count()).max().unwrap_or_default();
    let mut cases = Vec::with_capacity(files.len());
    for file in files {
        let case = of_file(&runtime, &component, file, args.update).await?;
        print(&case, width, paint);
        cases.push(case);
    }
    runtime.close().await;
    Ok(cases)
}

async fn of_file(runtime: &Runtime, component: &Arc<[u8]>, file: &Path, update: bool) -> Outcome<Case> {
    let case = |events, took, ended| Case { name: name(file), file: file.to_path_buf(), events, took, ended };
    let shown = file.display().to_string();
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return Ok(case(0, Duration::ZERO, Ended::Unusable(format!("{shown}: cannot be read: {error}")))),
    };
    let wrong = |Problem { place, what, remedy }: &Problem| Ended::Unusable(at(&shown, *place, &format!("{}; {remedy}", plain(what))));
    let vector = match Vector::parse(&text) {
        Ok(vector) => vector,
        Err(problem) => return Ok(case(0, Duration::ZERO, wrong(&problem))),
    };
    let (events, complete) = (vector.event_count(), vector.complete());
    if let Err(problem) = &complete
        && !update
    {
        return Ok(case(events, Duration::ZERO, wrong(problem)));
    }
    let ran = match vectors::run(runtime, component, &vector).await {
        Ok(ran) => ran,
        Err(RunError::Unusable(problem)) => return Ok(case(events, Duration::ZERO, wrong(&problem))),
        Err(RunError::Load(error)) if is_about_component(&error) => return Err(failed(Exit::Refused, error)),
        Err(RunError::Load(error)) if !matches!(error, LoadError::Worker { .. } | LoadError::Stopped) => {
            let (place, why) = refusal(&vector, &error);
            return Ok(case(events, Duration::ZERO, Ended::Unusable(at(&shown, place, &why))));
        }
        Err(error) => return Err(failed(Exit::Failed, error)),
    };
    let differences = vector.differences(&ran);
    let blocks = diff::blocks(&shown, &vector, &differences);
    let ended = match (differences.is_empty() && complete.is_ok(), update) {
        (true, _) => Ended::Passed,
        (false, false) => Ended::Differs(blocks),
        (false, true) => match vector.rewritten(&ran) {
            Ok(new) => {
                replace(file, &new)?;
                Ended::Updated(blocks)
            }
            Err(problem) => Ended::Unusable(format!("{shown}: not changed: {}", plain(&problem.to_string()))),
        },
    };
    Ok(case(events, ran.took, ended))
}

/// As editors and terminals know it, so that it can be followed.
fn at(file: &str, place: Place, what: &str) -> String {
    format!("{file}:{}:{}: {what}", place.line, place.column)
}

/// Whether the component is refused whatever a vector has for it.
fn is_about_component(error: &LoadError) -> bool {
    matches!(
        error,
        LoadError::NotAComponent { .. }
            | LoadError::Invalid { .. }
            | LoadError::Gate { .. }
            | LoadError::Import { .. }
            | LoadError::ContractVersion { .. }
            | LoadError::WrongWorld { .. }
            | LoadError::Compile { .. }
            | LoadError::Describe { .. }
            | LoadError::Manifest { .. }
    )
}

/// Why the policy does not take what a vector has for it, and where in the vector.
fn refusal(vector: &Vector<'_>, error: &LoadError) -> (Place, String) {
    match error {
        LoadError::Lists { superfluous, .. } if !superfluous.is_empty() => {
            let names: Vec<String> = superfluous.iter().map(|name| format!("`{}`", plain(name))).collect();
            let why =
                format!("the policy declares no list {}; write the name that it declares, or leave the list out", names.join(" and "));
            (vector.lists_place(), why)
        }
        LoadError::Settings { errors } => {
            let errors: Vec<String> = errors.iter().map(|error| plain(&error.to_string())).collect();
            let why = format!("settings refused: {}; mend them, or what the policy takes as settings", errors.join("; "));
            (vector.settings_place(), why)
        }
        error => (vector.settings_place(), format!("the policy does not take this: {}", plain(&error.to_string()))),
    }
}

/// Writes a vector anew, whole or not at all; where it is a link, that what it leads to.
fn replace(file: &Path, text: &str) -> anyhow::Result<()> {
    let problem = || format!("cannot write {}", file.display());
    let target = file.canonicalize().with_context(problem)?;
    let folder = target.parent().with_context(problem)?;
    let name = target.file_name().and_then(|name| name.to_str()).with_context(problem)?;
    policy_build::write(folder, name, text.as_bytes()).map(drop)
}

/// A line for the file, and below it what is wrong.
fn print(case: &Case, width: usize, paint: Paint) {
    let ended = match &case.ended {
        Ended::Passed => paint.green("ok     "),
        Ended::Updated(_) => paint.green("updated"),
        Ended::Differs(_) | Ended::Unusable(_) => paint.red("failed "),
    };
    let events = counted(case.events, "event");
    println!("  {:<width$}  {events:>12}  {ended}  {:>6} ms", case.name, case.took.as_millis());
    match &case.ended {
        Ended::Passed => {}
        Ended::Differs(blocks) | Ended::Updated(blocks) => blocks.iter().for_each(|block| print!("{}", block.text("    ", paint))),
        Ended::Unusable(why) => println!("    {why}"),
    }
}

/// Prints what came of all files; gives what is wrong, if something is.
fn sum_up(cases: &[Case]) -> Option<String> {
    let of = |is: fn(&Ended) -> bool| cases.iter().filter(|case| is(&case.ended)).collect::<Vec<_>>();
    let differ = of(|ended| matches!(ended, Ended::Differs(_)));
    let updated = of(|ended| matches!(ended, Ended::Updated(_)));
    if !differ.is_empty() || !updated.is_empty() {
        println!("\n- is what was expected, + what the component says");
    }
    for case in &updated {
        println!("changed: {}", case.file.display());
    }
    let failures = cases.iter().filter(|case| case.has_failed()).count();
    let files = counted(cases.len(), "vector file");
    if failures == 0 {
        let events = counted(cases.iter().map(|case| case.events).sum(), "event");
        let so = if updated.is_empty() { "all as expected" } else { "as the component says now; see what has changed before you keep it" };
        println!("{files}, {events}: {so}");
        return None;
    }
    let remedy = match differ.is_empty() {
        true => "the lines above say where, and what to do",
        false => "mend the policy or the vectors; where the component is right, `ephor policy test --update` writes what it says",
    };
    Some(format!("{failures} of {files} failed; {remedy}"))
}

/// `1 event`, `2 events`.
fn counted(count: usize, what: &str) -> String {
    format!("{} {what}{}", grouped(count as u64), if count == 1 { "" } else { "s" })
}
