//! `ephor policy run`: a policy on an event or a stream, and why it says what it says.

pub mod input;
pub mod show;
mod tally;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use ephor::Config;
use ephor::ledger::Durability;
use ephor::trial::{Said, Trial, TrialError};

use super::exit::{self, Exit, Failed, Or as _, Outcome, failed};
use super::policy_test::Paint;
use super::table::grouped;
use super::{local, policy_parts};
use input::{Input, Item};
use show::Show;
use tally::Tally;

const EXAMPLES: &str = "\
Examples:
  ephor policy run . --event order.json                      one event, with everything
  ephor policy run . --event day.ndjson.gz --found           only where something is said
  cat day.ndjson | ephor policy run . --event - --summary    only the table at the end
  ephor policy run build/x.wasm --event e.json --settings s.json --list sanctions=sdn.list
  ephor policy run . --event day.ndjson --json | jq 'select(.verdict == \"deny\")'";

/// Judges events with a policy, and explains each verdict rule by rule.
///
/// A crate is compiled first, as `ephor policy build` does it. Events are judged in their
/// order, one by one, by a runtime of their own: state is kept from one to the next, and
/// timers fire by the times of the events, as on a platform that grants every field in the
/// form in which it is asked for.
///
/// What a policy remembers is bytes that only it can read; --state shows their number, and
/// them in hexadecimal, before and after each event. Fuel is that of an event in a call of
/// its own; in larger batches an event needs less.
#[derive(clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::help()))]
pub struct Args {
    #[command(flatten)]
    parts: policy_parts::PolicyArgs,
    /// The event, an array of events, or one on each line; `-` is standard input. May be
    /// gzip.
    #[arg(long, value_name = "FILE|-")]
    event: PathBuf,
    /// The language of messages, where the policy has it: a tag such as zh or en.
    #[arg(long, value_name = "TAG")]
    lang: Option<String>,
    /// Shows what the policy remembers of the event's key, before and after.
    #[arg(long)]
    state: bool,
    /// Shows only events about which something is said.
    #[arg(long)]
    found: bool,
    /// Shows only the table at the end.
    #[arg(long, conflicts_with = "found")]
    summary: bool,
    /// How late events may be, in seconds: timers wait so much longer.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    lateness: u64,
    /// Prints a line of JSON for each event, and one for all at the end.
    #[arg(long)]
    json: bool,
    /// Where compiled code is kept [default: $XDG_CACHE_HOME/ephor or
    /// ~/.cache/ephor].
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

pub fn run(args: &Args) -> Outcome {
    let input = Input::open(&args.event)?;
    let parts = args.parts.read()?;
    local::block_on(judge(args, input, &parts))
}

async fn judge(args: &Args, mut input: Input, parts: &policy_parts::Parts) -> Outcome {
    let folder = tempfile::tempdir().context("cannot make a folder for temporary files")?;
    let mut config = Config::default();
    config.spine.lateness_s = args.lateness;
    config.spine.threads = 1;
    // It is thrown away at the end.
    config.ledger.durability = Durability::Os;
    // The policy is shown the events of the file, and no others.
    let builder = local::builder(&config, args.cache.clone(), Some(folder.path().join("data")))?.verdict_events_given();
    // What it says about its ledger is of no interest here.
    let quiet = || tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::new(), || builder.build());
    let runtime = quiet().context("cannot start the runtime")?;
    let mut trial = Trial::start(runtime, parts.offer()).await.map_err(not_taken)?;
    let show = Show { paint: Paint::of_stdout(), language: args.lang.as_deref(), state: args.state };
    let mut tally = Tally::new(trial.release().clone());
    let mut now = 0;
    while let Some(Item { place, event }) = input.next()? {
        let event = match event {
            Ok(event) => event,
            Err(why) => {
                tally.no_event();
                eprintln!("{place}: this is no event: {why}");
                continue;
            }
        };
        // As late as the one before it, where it has no time of its own.
        now = event.time_micros().unwrap_or(now);
        let tried = trial.judge(event.with_arrival(now)).await.map_err(not_taken)?;
        tally.add(&tried);
        let something = match &tried.said {
            Said::NotAsked | Said::Again => false,
            Said::Judged { findings, fault, .. } => !findings.is_empty() || fault.is_some(),
            Said::Refused(_) => true,
        } || !tried.woken.iter().all(show::says_nothing);
        if args.summary || args.found && !something {
            continue;
        }
        let text = match args.json {
            true => show.json(trial.release(), &place, &tried).to_string() + "\n",
            false => show.text(trial.release(), &place, &tried),
        };
        std::io::stdout().lock().write_all(text.as_bytes()).context("cannot print")?;
    }
    let waiting = trial.waiting();
    match args.json {
        true => println!("{}", serde_json::json!({ "summary": tally.json(waiting) })),
        false => tally.print(waiting),
    }
    trial.close().await;
    match tally.not_taken() {
        0 => Ok(()),
        1 => Err(failed(Exit::Refused, "1 event was not taken")),
        several => Err(failed(Exit::Refused, format!("{} events were not taken", grouped(several)))),
    }
}

/// Why a release cannot be tried.
pub fn not_taken(error: TrialError) -> Failed {
    match error {
        TrialError::Load(error) => match Err::<(), _>(error).context("the policy is not taken").or_exit(Exit::Refused) {
            Err(failed) => failed,
            Ok(()) => failed(Exit::Refused, "the policy is not taken"),
        },
        error => failed(Exit::Failed, error),
    }
}
