//! `ephor policy bench`: what an event costs a policy, natively and as a component.

pub(super) mod figures;
mod native;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use ephor::bench::{Judged, Policy, Prepared};
use ephor::digest::Digest;
use ephor::event::Event;
use indicatif::ProgressBar;
use serde_json::{Map, Value};

use super::exit::{self, Exit, Or as _, Outcome, failed};
use super::files::{Stream, files_of};
use super::local;
use super::policy_parts::{self, Parts};
use super::table::{grouped, plain};
use figures::{Figures, Spread};
use native::{Native, With};

/// The least that a round takes, so that what a clock cannot see does not matter.
const ROUND: Duration = Duration::from_millis(40);

/// Passes of a round, at most.
const PASSES_MAX: u32 = 10_000;

const EXAMPLES: &str = "\
Examples:
  ephor policy bench --events day.ndjson.gz                     the crate that you are in
  ephor policy bench --events day.ndjson.gz --save before.json
  ephor policy bench --events day.ndjson.gz --baseline before.json --fail-above 5";

/// Measures what an event costs a policy: natively, and as a component in the sandbox.
///
/// The crate is compiled both ways, as `ephor policy build` compiles it. Both judge the
/// same columns, in turns, round by round; what is shown is the median of the rounds and
/// how far they are apart. Both must find the same. No key has a state before a batch, and
/// no timer fires.
///
/// Of a component without its crate only the component is measured.
#[derive(clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::help()))]
pub struct Args {
    /// The folder of the crate, or a component.
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    #[command(flatten)]
    with: policy_parts::With,
    /// Events, one on each line, plain or gzip; of a folder all such files.
    #[arg(long, value_name = "FILE|DIR")]
    events: PathBuf,
    /// Only so many events, the first ones.
    #[arg(long, value_name = "COUNT", default_value_t = 20_000)]
    limit: usize,
    /// Events of a batch.
    #[arg(long, value_name = "COUNT", default_value_t = 1_024, value_parser = batch)]
    batch: usize,
    /// Rounds.
    #[arg(long, value_name = "COUNT", default_value_t = 15, value_parser = batch)]
    rounds: usize,
    /// Holds the figures against those that --save wrote.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Writes the figures to a file, as JSON.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Ends with an error if an event takes so many percent more fuel than in the baseline.
    /// Fuel is the same on every machine, so it is what a build server can hold.
    #[arg(long, value_name = "PERCENT", requires = "baseline")]
    fail_above: Option<f64>,
    /// Prints the figures as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn batch(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=100_000).contains(&count) => Ok(count),
        _ => Err("expected 1 to 100000".into()),
    }
}

pub fn run(args: &Args) -> Outcome {
    // First, for a wrong file should not cost a build.
    let before = args.baseline.as_deref().map(Figures::read).transpose()?;
    let files = files_of(&args.events).or_exit(Exit::Usage)?;
    let events = local::block_on(events(files, args.limit, true))?;
    let parts = policy_parts::read(&args.path, &args.with)?;
    let figures = local::block_on(measure(args, &parts, &events))?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&figures).context("cannot print")?),
        false => figures.print(),
    }
    if let Some(file) = &args.save {
        figures.write(file)?;
    }
    let (Some(before), Some(file)) = (&before, &args.baseline) else { return Ok(()) };
    if !args.json {
        figures.compare(before, file)?;
    }
    let more = figures.more_fuel(before);
    match args.fail_above {
        Some(most) if more > most => Err(failed(
            Exit::Refused,
            format!("an event takes {more:.1} % more fuel than in {}; at most {most} % were allowed", file.display()),
        )),
        _ => Ok(()),
    }
}

/// The first events of files, with or without those that a runtime submitted itself; a line
/// that is none is an error.
pub(super) async fn events(files: Vec<PathBuf>, limit: usize, takes_own: bool) -> Outcome<Vec<Event>> {
    let open = if takes_own { Stream::of_all } else { Stream::open };
    let mut stream = open(files, &ephor::ingest::Limits::default(), &ProgressBar::hidden());
    let mut events = Vec::new();
    while events.len() < limit
        && let Some(event) = stream.next().await?
    {
        events.push(event);
    }
    if let Some(first) = &stream.rejected.first {
        return Err(failed(Exit::Refused, format!("{} lines are no events. The first: {first}", grouped(stream.rejected.lines))));
    }
    match events.is_empty() {
        true => Err(failed(Exit::Usage, "there are no events to measure with")),
        false => Ok(events),
    }
}

async fn measure(args: &Args, parts: &Parts, events: &[Event]) -> Outcome<Figures> {
    let Parts { component, settings, lists } = parts;
    let policy = Policy::load(&local::compiler()?, component, settings, lists).await;
    let policy = policy.context("the policy is not taken").or_exit(Exit::Refused)?;
    let batches: Vec<Prepared> = events.chunks(args.batch).map(|events| policy.prepare(events)).collect();
    let rows: u64 = batches.iter().map(|batch| batch.rows).sum();
    if rows == 0 {
        let asked = plain(&policy.release().manifest.events.join(", "));
        return Err(failed(
            Exit::Usage,
            format!(
                "of {} events the policy is given none: it is asked about {asked}, and has to find its required fields",
                grouped(events.len() as u64)
            ),
        ));
    }
    let lines = lines(events);
    let folder = tempfile::tempdir().context("cannot make a folder for temporary files")?;
    let mut native = match args.path.is_dir() {
        true => Some(natively(args, parts, &lines, folder.path())?),
        false => None,
    };
    if let Some(native) = &native
        && native.rows != rows
    {
        return Err(failed(Exit::Failed, format!("natively {} events are judged, as a component {rows}", native.rows)));
    }
    let once = pass(&policy, &batches, 1);
    if once.faults > 0 {
        eprintln!("ephor: of {} events the component gives no answer; see `ephor policy run --found`", grouped(once.faults));
    }
    let passes = |took: Duration| (ROUND.as_nanos() / took.as_nanos().max(1) + 1).min(PASSES_MAX.into()) as u32;
    let of_component = passes(once.took);
    let of_native = match &mut native {
        Some(native) => passes(native.round(1)?.0),
        None => 1,
    };
    let per_event = |took: Duration, passes: u32| took.as_nanos() as f64 / (f64::from(passes) * rows as f64);
    let (mut component_ns, mut native_ns, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    // The first round warms up.
    for round in 0..=args.rounds {
        let natively = match &mut native {
            Some(native) => {
                let (took, found) = native.round(of_native)?;
                if found != once.findings {
                    let problem = format!("natively {found} findings, as a component {}; `ephor policy test` says where", once.findings);
                    return Err(failed(Exit::Refused, problem));
                }
                Some(per_event(took, of_native))
            }
            None => None,
        };
        let component = per_event(pass(&policy, &batches, of_component).took, of_component);
        if round > 0 {
            component_ns.push(component);
            native_ns.extend(natively);
            ratios.extend(natively.map(|native| component / native));
        }
    }
    let spread = |rounds: Vec<f64>| (!rounds.is_empty()).then(|| Spread::of(rounds));
    let release = policy.release();
    let mut measured_on: Vec<&[u8]> = vec![&lines, settings];
    let of_lists: Vec<[u8; 32]> = lists.iter().map(|list| *list.digest().bytes()).collect();
    measured_on.extend(of_lists.iter().map(|digest| digest.as_slice()));
    let size = (args.batch as u64).to_le_bytes();
    measured_on.push(&size);
    Ok(Figures {
        policy: release.policy().to_string(),
        release: release.id.clone(),
        measured_on: Digest::of_parts(&measured_on).hex(),
        events: events.len() as u64,
        rows,
        findings: once.findings,
        batch: args.batch,
        rounds: args.rounds,
        native_ns: spread(native_ns),
        component_ns: Spread::of(component_ns),
        ratio: spread(ratios),
        fuel: once.fuel as f64 / rows as f64,
        memory_bytes: once.memory as u64,
        component_bytes: component.len() as u64,
    })
}

/// All batches, so many times; the time is that of all passes, everything else that of one.
fn pass(policy: &Policy, batches: &[Prepared], passes: u32) -> Judged {
    let mut all = Judged::default();
    for nth in 0..passes {
        for batch in batches.iter().filter(|batch| batch.rows > 0) {
            let Judged { findings, faults, fuel, memory, took } = policy.judge(batch);
            all.took += took;
            if nth == 0 {
                all.findings += findings;
                all.faults += faults;
                all.fuel += fuel;
                all.memory = all.memory.max(memory);
            }
        }
    }
    all
}

/// Starts the native policy on the same events, one a line.
fn natively(args: &Args, parts: &Parts, lines: &[u8], folder: &Path) -> Outcome<Native> {
    let lists = parts.lists.iter().map(|list| {
        let entries: Map<String, Value> = list.iter().map(|(key, value)| (key.to_string(), value.into())).collect();
        (list.name().to_string(), Value::from(entries))
    });
    let lists = Value::from(lists.collect::<Map<String, Value>>()).to_string();
    let files = ["settings.json", "events.ndjson", "lists.json"].map(|name| folder.join(name));
    let contents: [&[u8]; 3] = [&parts.settings, lines, lists.as_bytes()];
    for (file, content) in files.iter().zip(contents) {
        let written = std::fs::File::create(file).and_then(|mut file| file.write_all(content));
        written.with_context(|| format!("cannot write {}", file.display()))?;
    }
    let [settings, events, lists] = &files;
    Native::start(&args.path, &With { settings, events, lists, batch: args.batch })
}

/// The events as they came, one on each line.
fn lines(events: &[Event]) -> Vec<u8> {
    let mut lines = Vec::new();
    for event in events {
        lines.extend_from_slice(event.content().body());
        lines.push(b'\n');
    }
    lines
}
