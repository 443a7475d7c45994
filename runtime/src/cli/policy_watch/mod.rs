//! `ephor policy watch`: a policy is built and held against its vectors again, whenever
//! something of it is saved.
//!
//! Each round is a process of its own: this program with `--once`, in a process group of
//! its own. So whoever ends the watch ends everything that it has started, cargo and
//! compilers too, and nothing that happens in a round ends the watch.

mod sources;

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Instant;

use anyhow::Context as _;
use jiff::Zoned;
use rustix::process::{Pid, kill_process_group};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::{self, Exit, Outcome, failed};
use super::policy_build::Purpose;
use super::policy_test::Paint;
use super::{local, policy_build, policy_test};
use sources::Sources;

/// Builds a policy and holds it against its vectors, again after every change.
///
/// A change is one of a file in `src` or `vectors`, of settings.json or of Cargo.toml; with
/// --native, of one in `tests` too. Ctrl-C ends it.
///
/// The component is compiled to be there soon, not to be fast, and is thrown away. It says
/// the same as the one that `ephor policy build` makes, but needs more fuel for it; what a
/// platform will run is what `ephor policy test` judges with.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// Folder of the crate.
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// Runs the crate's own tests too, after the vectors.
    #[arg(long)]
    native: bool,
    /// Goes through it once, and ends as `ephor policy test` does.
    #[arg(long)]
    once: bool,
    /// Where compiled code is kept [default: a folder that goes when this ends].
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

pub fn run(args: &Args) -> Outcome {
    if !args.path.join("Cargo.toml").is_file() {
        return Err(failed(Exit::Usage, policy_build::no_crate(&args.path, false)));
    }
    // Goes at the end, with everything that rounds leave in it.
    let folder = tempfile::tempdir().context("cannot make a folder for temporary files")?;
    // Not where compiled code is kept otherwise: that has a bound, and what is compiled
    // after every change would soon be all that there is.
    let cache = args.cache.clone().unwrap_or_else(|| folder.path().join("code"));
    match args.once {
        true => once(args, &cache),
        false => local::block_on(watch(args, folder.path(), &cache)),
    }
}

/// Builds and tests, and ends with a line about it.
fn once(args: &Args, cache: &Path) -> Outcome {
    let mut took = Vec::new();
    let outcome = round(args, cache, &mut took);
    let paint = Paint::of_stdout();
    let came = if outcome.is_ok() { paint.green("OK") } else { paint.red("failed") };
    println!("{} {came}: {}", Zoned::now().strftime("%H:%M:%S"), took.join(", "));
    outcome
}

/// What `ephor policy test` does, in the order in which an author wants to hear of it. Notes
/// what each step took.
fn round(args: &Args, cache: &Path, took: &mut Vec<String>) -> Outcome {
    let component = timed("build", took, || policy_build::component(&args.path, Purpose::Try))?;
    let mut problems = Vec::new();
    problems.extend(timed("vectors", took, || policy_test::hold(&args.path, component, cache))?);
    if args.native {
        problems.extend(timed("native tests", took, || policy_test::natively(&args.path))?);
    }
    policy_test::refuse(&problems)
}

/// Notes what a step took, whatever came of it.
fn timed<T>(step: &str, took: &mut Vec<String>, run: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let came = run();
    took.push(format!("{step} {:.1} s", begun.elapsed().as_secs_f64()));
    came
}

/// Goes through it after every change, until it is asked to stop.
async fn watch(args: &Args, folder: &Path, cache: &Path) -> Outcome {
    let mut stop = Stop::listen().context("cannot listen for signals")?;
    println!("watching {}; Ctrl-C ends it", args.path.display());
    loop {
        // Before the round, so that what changes meanwhile is the next one's.
        let seen = Sources::of(&args.path, args.native);
        let mut round = start(args, folder, cache)?;
        tokio::select! {
            status = round.wait() => note(status.context("cannot wait for a round")?),
            () = stop.asked() => {
                end(&mut round).await;
                return Ok(());
            }
        }
        tokio::select! {
            () = seen.change() => {}
            () = stop.asked() => return Ok(()),
        }
    }
}

/// Starts a round.
fn start(args: &Args, folder: &Path, cache: &Path) -> anyhow::Result<Child> {
    let mut command = Command::new(local::compiler()?);
    command.args(["policy", "watch", "--once"]).arg("--cache").arg(cache);
    if args.native {
        command.arg("--native");
    }
    // A folder may be called like an option.
    command.arg("--").arg(&args.path);
    // What a round that is ended leaves behind goes with the folder.
    command.env("TMPDIR", folder);
    command.process_group(0).stdin(Stdio::null()).kill_on_drop(true);
    command.spawn().context("cannot start this program once more")
}

/// A round says itself what came of it, unless it could not.
fn note(status: ExitStatus) {
    if status.code().is_none_or(|code| code > Exit::Damaged as i32) {
        eprintln!("ephor: this round ended before its result ({status}); the next change begins another");
    }
}

/// Ends a round, and everything that it has started.
async fn end(round: &mut Child) {
    // Nobody else has the number while the round was not waited for.
    if let Some(group) = round.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
        // It may have ended by itself.
        let _ = kill_process_group(group, rustix::process::Signal::TERM);
    }
    let _ = round.wait().await;
}

/// The signals that ask to stop.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
    /// The terminal was closed.
    hangup: Signal,
}

impl Stop {
    fn listen() -> std::io::Result<Self> {
        Ok(Stop {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the first of them.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
