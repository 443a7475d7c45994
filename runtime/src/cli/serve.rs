//! `ephor serve`: configuration → runtime → policies → server → drain.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use ephor::backtest::Backtests;
use ephor::outgoing::Outgoing;
use ephor::publishers::Publishers;
use ephor::server::{Options, Server};
use ephor::telemetry::collector::Collector;
use ephor::{Config, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::exit::{self, Exit, Or as _, Outcome, failed};
use super::follow::{self, Folder};
use super::reload::{self, Reload};
use super::{access, config, local};

/// Takes events over HTTP and answers each with a verdict.
///
/// Without TLS ([server.tls] in the configuration) it listens on this machine only.
/// Development mode adds what a production server must not do: policies from a
/// folder or from `PUT /v1/policies/NAME`, unsigned.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8787")]
    listen: SocketAddr,
    /// Development mode: unsigned policies, on a loopback address only.
    #[arg(long)]
    dev: bool,
    /// Folder of policies (NAME.wasm, and NAME.settings.json where a policy has
    /// settings); loaded at the start, and again whenever a file changes.
    /// Unsigned, so only with --dev.
    #[arg(long, value_name = "DIR", requires = "dev")]
    policies: Option<PathBuf>,
    /// Configuration (TOML); `ephor config reference` shows every key. Read again on
    /// SIGHUP, and when it changes.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory: the ledger of every verdict, and what policies remember; made
    /// if it is not there.
    #[arg(long, value_name = "DIR", default_value = "ephor-data")]
    data: PathBuf,
    /// Keeps nothing: no evidence, and an event that is sent again is judged again.
    #[arg(long, conflicts_with = "data")]
    in_memory: bool,
    /// Where compiled code is kept [default: $XDG_CACHE_HOME/ephor or
    /// ~/.cache/ephor].
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

/// How long the start waits for repositories: what they have published is in force
/// before the first event, if they are there.
const FIRST_LOOK_PATIENCE: Duration = Duration::from_secs(10);

/// How long the end waits for the ledger.
const CLOSE_PATIENCE: Duration = Duration::from_secs(10);

/// How long the end waits for whoever collects traces.
const TRACES_PATIENCE: Duration = Duration::from_secs(5);

pub fn run(args: Args) -> Outcome {
    if !args.listen.ip().is_loopback() && args.dev {
        let listen = args.listen;
        let why = format!("--dev takes unsigned policies from anybody who can connect, so it listens on loopback only, not on {listen}");
        return Err(failed(Exit::Usage, why));
    }
    local::block_on(serve(args))
}

async fn serve(args: Args) -> Outcome {
    have_descriptors();
    // A hangup ends a program that does not listen for it, also while it starts.
    let hangups = signal(SignalKind::hangup()).context("cannot listen for signals")?;
    let (config, levels) = reload::at_start(args.config.as_deref(), args.dev)?;
    config.server.may_listen(args.listen).or_exit(Exit::Usage)?;
    let access = access::open(&config, args.config.as_deref(), args.listen)?;
    if args.in_memory {
        tracing::warn!("IN MEMORY: no verdict is kept, and an event that is sent again is judged again");
    }
    let data = (!args.in_memory).then_some(args.data);
    let traces = Collector::start(&config.telemetry.traces, &config::base(args.config.as_deref()));
    let traces = traces.context("traces cannot be sent").or_exit(Exit::Usage)?;
    let runtime = local::traced(&config, args.cache, data.clone(), traces.clone())?;
    let publishers = follow_publishers(&runtime, &config, args.config.as_deref(), data.as_deref())?;
    let grant = |publisher: Option<&str>| publishers.as_ref().and_then(|publishers| publishers.grant(publisher?).cloned());
    let restored = runtime.restore(grant).await.context("cannot take up the releases that were in force").or_exit(Exit::Failed)?;
    if !restored.is_empty() {
        tracing::info!(policies = restored.join(", "), "In force as before the restart");
    }
    let backtests = Backtests::new(&runtime, &config.backtests, &config.spine, &config.ledger, &config.ingest);
    let is_open = access.is_none();
    let outgoing = tell_others(&runtime, &config, args.config.as_deref(), data.as_deref())?;
    let ingest = config.ingest.clone();
    let options = Options { dev: args.dev, ingest, publishers: publishers.clone(), backtests, access, outgoing: outgoing.clone() };
    let limits = match &args.config {
        Some(file) => reload::with_base(&config, file).server,
        None => config.server.clone(),
    };
    // The address is taken before the policies are loaded, so that a second
    // server fails at once; connections wait until `run`.
    let server =
        Server::bind(args.listen, runtime.clone(), limits, options).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = server.local_addr();
    if args.dev {
        let who = if is_open { "whoever can connect" } else { "an operator" };
        tracing::warn!("DEVELOPMENT MODE: policies are not signed, and {who} can change them");
    }
    let follower = match args.policies {
        Some(path) => Some(follow_folder(&runtime, path).await?),
        None => {
            if publishers.is_none() {
                tracing::warn!("No policies given: every event is allowed until one is put in force");
            }
            None
        }
    };
    let following = match publishers.clone() {
        Some(publishers) => {
            first_look(&publishers).await;
            Some(tokio::spawn(publishers.follow()))
        }
        None => None,
    };
    // Now that everybody is there who was there before.
    runtime.catch_up().await.context("cannot go on").or_exit(Exit::Failed)?;
    let limiter = server.limiter();
    let reload = Reload { file: args.config, running: config, runtime: runtime.clone(), limiter, door: server.door(), levels, publishers };
    let reloading = Some(tokio::spawn(reload.follow(hangups)));
    let shutdown = asked_to_stop().context("cannot listen for signals")?;
    // A write beyond the limit on a file's size is then an error, and the ledger says
    // so, instead of the end of the process.
    let _too_large = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).context("cannot listen for signals")?;
    // For scripts that let the system choose the port.
    let scheme = if server.door().is_some() { "https" } else { "http" };
    println!("listening on {scheme}://{address}");
    let _ = std::io::stdout().flush();
    tracing::info!(%address, dev = args.dev, "Listening");
    server.run(shutdown).await;
    let is_broken = runtime.is_broken();
    for task in [follower, following, reloading].into_iter().flatten() {
        task.abort();
        let _ = task.await;
    }
    end(runtime, outgoing, traces).await;
    tracing::info!("Stopped");
    match is_broken {
        true => Err(failed(Exit::Failed, "an error of this program ended what judges; the log says where. Start it again")),
        false => Ok(()),
    }
}

/// Loads the policies of a folder, and follows it.
async fn follow_folder(runtime: &Runtime, path: PathBuf) -> Outcome<JoinHandle<()>> {
    let mut folder = Folder::new(path.clone());
    let outcomes =
        folder.load(runtime).await.with_context(|| format!("cannot read the policies in {}", path.display())).or_exit(Exit::Usage)?;
    for (name, outcome) in &outcomes {
        follow::log(name, outcome);
    }
    if outcomes.is_empty() {
        tracing::warn!(folder = %path.display(), "No policies in the folder yet: every event is allowed");
    }
    Ok(tokio::spawn(folder.follow(runtime.clone())))
}

/// Lets everybody have what they are still to be told, and the runtime its end.
async fn end(runtime: Runtime, outgoing: Option<Arc<Outgoing>>, traces: Option<Arc<Collector>>) {
    if let Some(outgoing) = outgoing {
        outgoing.drain().await;
    }
    // A client that is still connected may hold on to the runtime.
    if tokio::time::timeout(CLOSE_PATIENCE, runtime.close()).await.is_err() {
        tracing::warn!("Not everything has ended; what was answered for is in the ledger");
    }
    if let Some(traces) = traces
        && !tokio::task::spawn_blocking(move || traces.flush(TRACES_PATIENCE)).await.unwrap_or_default()
    {
        tracing::warn!("The collector does not take the last traces");
    }
}

/// Takes as many descriptors as it may have: what a shell or systemd gives at first is less
/// than the connections that are allowed.
fn have_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "The limit of open files stays as it is");
    }
}

/// Ends with the first SIGTERM or SIGINT. After a second one the program ends at
/// once, whatever is still being answered.
fn asked_to_stop() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let mut once = async move || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let name = once().await;
        tracing::info!(signal = name, "Stopping: answering what has been accepted");
        tokio::spawn(async move {
            let name = once().await;
            tracing::error!(signal = name, "Stopped at once");
            std::process::exit(Exit::Failed as i32);
        });
    })
}

/// The publishers of the configuration, if it has any.
fn follow_publishers(runtime: &Runtime, config: &Config, file: Option<&Path>, data: Option<&Path>) -> Outcome<Option<Arc<Publishers>>> {
    if config.publishers.is_empty() {
        return Ok(None);
    }
    let Some(data) = data else {
        let why = "the configuration has publishers, and what was seen of a repository has to be remembered: leave out --in-memory";
        return Err(failed(Exit::Usage, why));
    };
    let publishers = Publishers::new(runtime.clone(), &config.publishers, &config::base(file), &data.join("publishers"));
    publishers.context("cannot follow a publisher").or_exit(Exit::Usage).map(Some)
}

/// The other systems of the configuration that are told verdicts, if it has any.
fn tell_others(runtime: &Runtime, config: &Config, file: Option<&Path>, data: Option<&Path>) -> Outcome<Option<Arc<Outgoing>>> {
    if config.outgoing.is_empty() {
        return Ok(None);
    }
    let Some(data) = data else {
        let why = "the configuration tells verdicts to others ([outgoing]), which takes a ledger: leave out --in-memory";
        return Err(failed(Exit::Usage, why));
    };
    let outgoing = Outgoing::start(runtime, &config.outgoing, &config::base(file), &data.join("outgoing"));
    outgoing.context("cannot tell verdicts to others").or_exit(Exit::Usage).map(|outgoing| Some(Arc::new(outgoing)))
}

/// Looks into all repositories at the same time. One that is not there in time is no
/// reason not to start: what was in force is in force.
async fn first_look(publishers: &Arc<Publishers>) {
    let looks: Vec<_> = publishers
        .names()
        .map(|name| {
            let (publishers, name) = (publishers.clone(), name.to_string());
            tokio::spawn(async move {
                if tokio::time::timeout(FIRST_LOOK_PATIENCE, publishers.look(&name)).await.is_err() {
                    tracing::warn!(publisher = name, "Its repository does not answer; it is tried again");
                }
            })
        })
        .collect();
    for look in looks {
        let _ = look.await;
    }
}
