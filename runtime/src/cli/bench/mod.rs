//! `ephor bench`: what supervision costs, with one's own events and policies.

mod figures;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use ephor::bench::{Answers, Judged, Policy, Prepared, drive};
use ephor::event::Event;
use ephor::{Config, Runtime, ingest};

use super::exit::{self, Exit, Or as _, Outcome};
use super::files::files_of;
use super::local;
use super::policy_bench::figures::Spread;
use super::policy_bench::{batch, events};
use super::replay::shelf::{self, Parts};
use figures::{Figures, OfPolicy, Stage};

/// Events of a batch: as when one comes alone, and as under load.
const BATCHES: [usize; 2] = [1, 1_024];

/// Events that a policy is given one by one, at most: an instance for each takes its time.
const ALONE_MAX: usize = 5_000;

/// Days of which ids are remembered: all, since a file may have years in any order.
const HORIZON_DAYS: u16 = 36_500;

const EXAMPLES: &str = "\
Examples:
  ephor bench --events day.ndjson.gz --policies policies
  ephor bench --events day.ndjson.gz --policies policies --data /mnt/ledger --json";

/// Measures what supervision costs, with your events and your policies.
///
/// The events go the whole way in this process, as in a server but for HTTP: decoded,
/// judged by all policies, recorded, answered for. Once with a ledger whose every answer
/// is on the disk, once in memory, in turns. Then each policy is given the events alone,
/// one by one and in batches. A run tells where the time goes; numbers of a machine that
/// does something else beside it are numbers of that.
#[derive(clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::help()))]
pub struct Args {
    /// Events, one on each line, plain or gzip; of a folder all such files.
    #[arg(long, value_name = "FILE|DIR")]
    events: PathBuf,
    /// Folder of policies, with settings and lists, as `ephor serve --dev` takes it.
    #[arg(long, value_name = "DIR")]
    policies: PathBuf,
    /// Only so many events, the first ones.
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    limit: usize,
    /// Rounds.
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = batch)]
    rounds: usize,
    /// Where the ledger of the measurement is made, and removed again: on the disk that is
    /// to be measured [default: the folder for temporary files].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration (TOML), as a server has it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where compiled code is kept [default: $XDG_CACHE_HOME/ephor or ~/.cache/ephor].
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Prints the figures as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Outcome {
    let mut config = local::config(args.config.as_deref())?;
    config.ledger.horizon_days = HORIZON_DAYS;
    let parts = shelf::folder(&args.policies).or_exit(Exit::Usage)?;
    let files = files_of(&args.events).or_exit(Exit::Usage)?;
    let figures = local::block_on(async {
        let events = events(files, args.limit, false).await?;
        measure(args, &config, &parts, &events).await
    })?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&figures).context("cannot print")?),
        false => figures.print(),
    }
    Ok(())
}

async fn measure(args: &Args, config: &Config, parts: &[Parts], events: &[Event]) -> Outcome<Figures> {
    let lines: Vec<Vec<u8>> = events.iter().map(|event| event.content().body().to_vec()).collect();
    let (mut durable, mut in_memory, mut decoding) = (Vec::new(), Vec::new(), Vec::new());
    let mut stages: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut answers = Answers::default();
    // The first round warms up, and compiles what was not.
    for round in 0..=args.rounds {
        let folder = folder(args.data.as_deref())?;
        let with = whole_path(args, config, parts, Some(folder.path()), &lines).await?;
        let without = whole_path(args, config, parts, None, &lines).await?;
        if round > 0 {
            durable.push(with.rate);
            in_memory.push(without.rate);
            decoding.push(decode(&lines, &config.ingest)?);
            with.stages.into_iter().for_each(|(stage, ns)| stages.entry(stage).or_default().push(ns));
        }
        answers = with.answers;
    }
    let mut policies = Vec::new();
    for parts in parts {
        policies.push(alone(args, config, parts, events, &answers).await?);
    }
    let stages = std::iter::once(("decode".to_string(), decoding)).chain(stages).map(|(stage, rounds)| (stage, Spread::of(rounds).median));
    Ok(Figures {
        events: events.len() as u64,
        bytes: lines.iter().map(|line| line.len() as u64).sum(),
        rounds: args.rounds,
        durability: config.ledger.durability.name(),
        durable_per_second: Spread::of(durable),
        in_memory_per_second: Spread::of(in_memory),
        stages: Stage::shares(stages.collect()),
        policies,
        verdicts: ephor::verdict::Decision::ALL.iter().zip(answers.verdicts).map(|(decision, count)| (decision.name(), count)).collect(),
        repeated: answers.repeated,
        refused: answers.refused,
        refusal: answers.refusal,
    })
}

fn folder(data: Option<&Path>) -> Outcome<tempfile::TempDir> {
    let made = match data {
        Some(data) => tempfile::tempdir_in(data).with_context(|| format!("cannot make a folder in {}", data.display())),
        None => tempfile::tempdir().context("cannot make a folder for temporary files"),
    };
    made.or_exit(Exit::Usage)
}

/// What came of all events once.
struct Run {
    /// Events per second.
    rate: f64,
    /// Nanoseconds per event of each stage.
    stages: Vec<(String, f64)>,
    answers: Answers,
}

async fn whole_path(args: &Args, config: &Config, parts: &[Parts], data: Option<&Path>, lines: &[Vec<u8>]) -> Outcome<Run> {
    let runtime = local::runtime(config, args.cache.clone(), data.map(|data| data.join("ledger")))?;
    for parts in parts {
        let taken = runtime.publish(vec![parts.clone().offer()], ephor::runtime::By::new("ephor bench")).await;
        taken.with_context(|| format!("{} is not taken", parts.file.display())).or_exit(Exit::Refused)?;
    }
    let driven = drive(&runtime, lines.to_vec(), &config.ingest).await;
    let driven = driven.context("the runtime ended before all events were judged").or_exit(Exit::Failed)?;
    let stages = stages(&runtime, lines.len());
    runtime.close().await;
    Ok(Run { rate: lines.len() as f64 / driven.took.as_secs_f64(), stages, answers: driven.answers })
}

/// What the runtime says that its stages took.
fn stages(runtime: &Runtime, events: usize) -> Vec<(String, f64)> {
    let page = runtime.stats().encode();
    let stage = |line: &str| {
        let (stage, seconds) = line.strip_prefix("ephor_stage_seconds_sum{stage=\"")?.split_once("\"} ")?;
        Some((stage.to_string(), seconds.parse::<f64>().ok()? * 1e9 / events as f64))
    };
    page.lines().filter_map(stage).collect()
}

/// Nanoseconds per event of reading it, on one thread.
fn decode(lines: &[Vec<u8>], limits: &ingest::Limits) -> Outcome<f64> {
    let began = Instant::now();
    for line in lines {
        std::hint::black_box(ingest::structured(line, limits)).context("an event is none").or_exit(Exit::Refused)?;
    }
    Ok(began.elapsed().as_nanos() as f64 / lines.len() as f64)
}

/// A policy alone, with the events one by one and in batches.
async fn alone(args: &Args, config: &Config, parts: &Parts, events: &[Event], answers: &Answers) -> Outcome<OfPolicy> {
    let problem = || format!("{} is not taken", parts.file.display());
    let worker = local::compiler()?;
    let manifest =
        ephor::inspect(&parts.component, &worker, config.sandbox.clone()).await.with_context(problem).or_exit(Exit::Refused)?.manifest;
    // A folder may have more lists than one policy names.
    let lists: Vec<_> = parts.lists.iter().filter(|list| manifest.lists.iter().any(|name| name == list.name())).cloned().collect();
    let policy = Policy::load(&worker, &parts.component, &parts.settings, &lists).await;
    let policy = policy.with_context(problem).or_exit(Exit::Refused)?;
    let prepare = |events: &[Event], batch: usize| -> Vec<Prepared> {
        events.chunks(batch).map(|events| policy.prepare(events)).filter(|batch| batch.rows > 0).collect()
    };
    // Of the events that it is asked about: those that come first may be of other types.
    let asked: Vec<Event> = events.iter().filter(|event| manifest.asks_about(event.kind())).cloned().collect();
    let batches = [prepare(&asked[..asked.len().min(ALONE_MAX)], BATCHES[0]), prepare(&asked, BATCHES[1])];
    let mut times: [Vec<f64>; 2] = Default::default();
    for round in 0..=args.rounds {
        for (batches, times) in batches.iter().zip(&mut times) {
            let rows: u64 = batches.iter().map(|batch| batch.rows).sum();
            let judged: Vec<Judged> = batches.iter().map(|batch| policy.judge(batch)).collect();
            let took: f64 = judged.iter().map(|judged| judged.took.as_nanos() as f64).sum();
            if round > 0 && rows > 0 {
                times.push(took / rows as f64);
            }
        }
    }
    let spread = |times: &Vec<f64>| (!times.is_empty()).then(|| Spread::of(times.clone()));
    let name = policy.release().policy();
    Ok(OfPolicy {
        policy: name.into(),
        release: policy.release().id.clone(),
        events: batches[1].iter().map(|batch| batch.rows).sum(),
        batch_1_ns: spread(&times[0]),
        batch_1024_ns: spread(&times[1]),
        findings: answers.findings.get(name).copied().unwrap_or_default(),
        faults: answers.faults.iter().filter(|((policy, _), _)| policy == name).map(|((_, kind), count)| (*kind, *count)).collect(),
    })
}
