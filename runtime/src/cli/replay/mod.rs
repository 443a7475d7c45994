//! `ephor replay`: archived events through the same spine again.
//!
//! Three uses: to judge an archive ([`plain`]), to check a recorded ledger against it
//! ([`check`]), and to find out what other releases would say ([`backtest`]).

mod backtest;
mod check;
mod compare;
mod counts;
mod entry;
mod finder;
mod force;
mod html;
mod plain;
mod script;
pub mod shelf;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use ephor::backtest::{BacktestError, Came, Drive, VerdictEvents};
use ephor::event::Event;
use ephor::{Config, Runtime};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use super::exit::{self, Exit, Failed, Outcome, failed};
use super::files::{self, Rejected};
use super::local;
use super::table::{self, grouped};

/// Runs archived events through the spine again, in this process.
///
/// The events are in files with one CloudEvent in JSON per line, plain or gzip; the same
/// events under the same releases get the same findings. An event counts as having
/// arrived when it happened (its `time`), or with the event before it.
///
/// With --check it makes a recorded data directory again from the archive and compares
/// every entry byte for byte. The recorded entries say in which order the events came,
/// when they arrived, and which releases were in force.
///
/// With --against and --with it is a back-test: which verdicts would have been others.
///
/// Events about verdicts, which a runtime submits itself, are made again too: for a check
/// out of the entries that they are about, otherwise behind the same events each time. A
/// back-test judges them, and does not compare what is said of them.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// The archived events. A folder stands for the files in it that end in .ndjson or
    /// .jsonl, or these and .gz, in the order of their names.
    #[arg(long, value_name = "FILE|DIR", required_unless_present = "from_data", num_args = 1..)]
    events: Vec<PathBuf>,
    /// A data directory whose events were kept (ledger.events): they are what is archived.
    #[arg(long, value_name = "DIR", conflicts_with = "events")]
    from_data: Option<PathBuf>,
    /// Folder of policies (NAME.wasm, and NAME.settings.json where a policy has
    /// settings), as `serve --policies` takes it. For a check: where the releases that
    /// were asked are looked for. For a back-test: what is in force on both sides.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["against", "check"])]
    policies: Option<PathBuf>,
    /// Further folders for a check, with components and settings (NAME.wasm, *.json).
    #[arg(long, value_name = "DIR", num_args = 1.., requires = "check")]
    releases: Vec<PathBuf>,
    /// The new data directory [default: a temporary one].
    #[arg(long, value_name = "DIR", conflicts_with = "against")]
    data: Option<PathBuf>,
    /// Goes on with what an interrupted replay left in the data directory.
    #[arg(long, requires = "data")]
    resume: bool,
    /// A recorded data directory, which is only read.
    #[arg(long, value_name = "DIR", conflicts_with = "against")]
    check: Option<PathBuf>,
    /// The ledger key that salts are made with [default: with --check, the ledger.key of
    /// the recorded data directory; a new one otherwise].
    #[arg(long, value_name = "FILE", conflicts_with = "against")]
    key: Option<PathBuf>,
    /// A release, or a folder of them, whose verdicts are those before: NAME.wasm with
    /// NAME.settings.json beside it.
    #[arg(long, value_name = "FILE|DIR", requires = "with")]
    against: Option<PathBuf>,
    /// The release, or the folder of them, whose verdicts are those after.
    #[arg(long, value_name = "FILE|DIR", requires = "against")]
    with: Option<PathBuf>,
    /// Writes the back-test as a page that needs no network.
    #[arg(long, value_name = "FILE", requires = "with")]
    html: Option<PathBuf>,
    /// Changes that a back-test shows in full.
    #[arg(long, value_name = "COUNT", default_value_t = 20, requires = "with")]
    examples: usize,
    /// Configuration (TOML). What decides has to be as it was for the server: lateness,
    /// horizon, depth of verdict events, fuel, memory. Threads and the size of batches do not matter.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where compiled code is kept [default: $XDG_CACHE_HOME/ephor or
    /// ~/.cache/ephor].
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Prints the report as JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    /// What the events are in: files, or a data directory. Those of a group are read one
    /// after the other.
    fn archives(&self) -> anyhow::Result<Vec<Vec<PathBuf>>> {
        match &self.from_data {
            Some(data) => Ok(vec![vec![files::data(data)?]]),
            None => self.events.iter().map(|path| files::files_of(path)).collect(),
        }
    }
}

pub fn run(args: &Args) -> Outcome {
    local::block_on(async {
        let replay = async {
            match (&args.check, &args.against, &args.with) {
                (Some(recorded), ..) => check::run(args, recorded).await,
                (None, Some(against), Some(with)) => backtest::run(args, against, with).await,
                _ => plain::run(args).await,
            }
        };
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
        // Ended in an orderly way, so that a temporary directory, which may have a copy
        // of a ledger's key, does not stay behind.
        tokio::select! {
            outcome = replay => outcome,
            _ = terminate.recv() => Err(interrupted(args)),
            _ = interrupt.recv() => Err(interrupted(args)),
        }
    })
}

fn interrupted(args: &Args) -> Failed {
    let how = if args.data.is_some() { "; the same command with --resume goes on with it" } else { "" };
    failed(Exit::Failed, format!("interrupted{how}"))
}

/// A back-test or a replay that does not go on ends the command: with what is not taken
/// refused, with the rest failed.
impl From<BacktestError> for Failed {
    fn from(error: BacktestError) -> Self {
        let exit = match &error {
            BacktestError::Load(_) | BacktestError::Entry { .. } => Exit::Refused,
            _ => Exit::Failed,
        };
        failed(exit, table::plain(&error.to_string()))
    }
}

/// A release in a file that is not put in force.
fn not_taken(file: &Path, error: BacktestError) -> Failed {
    let Failed { exit, error } = error.into();
    Failed { exit, error: error.context(format!("{} is not taken", file.display())) }
}

/// Starts what is to be fed; publishers may see what the configuration grants them.
async fn start(config: &Config, cache: Option<&Path>, data: &Path, started: Option<i64>, verdicts: VerdictEvents) -> Outcome<Drive> {
    let ground = local::ground(config, cache)?;
    let grant = |runtime: &Runtime, publisher: &str| local::grant(runtime, config, publisher);
    Ok(Drive::start(&ground, data, started, verdicts, grant).await?)
}

/// Where the new ledger goes.
struct Place {
    data: PathBuf,
    /// Goes with the value.
    _folder: Option<TempDir>,
}

impl Place {
    fn new(args: &Args) -> Outcome<Self> {
        let Some(data) = &args.data else {
            let folder = tempfile::tempdir().context("cannot make a folder for the ledger")?;
            return Ok(Place { data: folder.path().join("data"), _folder: Some(folder) });
        };
        let same = |recorded: &PathBuf| match (recorded.canonicalize(), data.canonicalize()) {
            (Ok(recorded), Ok(data)) => recorded == data,
            _ => false,
        };
        if args.check.as_ref().is_some_and(same) {
            return Err(failed(Exit::Usage, "--data and --check are the same directory; nothing is ever written to a recorded one"));
        }
        let is_there = data.read_dir().is_ok_and(|mut items| items.next().is_some());
        match (is_there, args.resume) {
            (true, false) => Err(failed(
                Exit::Usage,
                format!("{} is there already: name a new directory, or go on with an interrupted replay with --resume", data.display()),
            )),
            (false, true) => Err(failed(Exit::Usage, format!("there is nothing in {} to go on with", data.display()))),
            _ => Ok(Place { data: data.clone(), _folder: None }),
        }
    }
}

/// The content of a ledger's key file.
pub fn secret(file: &Path) -> anyhow::Result<Vec<u8>> {
    let secret = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    ensure!(secret.len() == 65, "{} is not the key of a ledger", file.display());
    Ok(secret)
}

/// When archived events arrive.
#[derive(Default)]
struct Clock {
    micros: i64,
}

impl Clock {
    /// The event, arriving when it happened. One that does not say when arrives with the
    /// one before it: then nothing depends on when the replay was made.
    fn arrives(&mut self, event: Event) -> Event {
        self.micros = event.time_micros().unwrap_or(self.micros);
        event.with_arrival(self.micros)
    }
}

/// Says what was not taken, if anything was not.
fn print_not_taken(came: &Came, rejected: &Rejected) {
    if came.duplicates > 0 {
        println!("{} events are there twice, and were judged once.", grouped(came.duplicates));
    }
    if let Some(first) = &came.first_refusal {
        println!("{} events were refused. The first: {}", grouped(came.refused), table::plain(first));
    }
    if let Some(first) = &rejected.first {
        println!("{} lines are no events. The first: {first}", grouped(rejected.lines));
    }
    if rejected.own > 0 {
        println!("{} verdict events that a runtime had submitted were left out; a replay makes its own.", grouped(rejected.own));
    }
    if rejected.erased > 0 {
        println!("The content of {} events was erased; they were left out.", grouped(rejected.erased));
    }
}

/// What that means for a script.
fn taken(came: &Came, rejected: &Rejected) -> Outcome {
    match came.refused + rejected.lines {
        0 => Ok(()),
        count => Err(failed(Exit::Refused, format!("{} events were not taken", grouped(count)))),
    }
}

fn print_json(document: &serde_json::Value) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, document)?;
    writeln!(out)
}
