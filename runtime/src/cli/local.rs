//! What the verbs need of the machine they run on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use ephor::backtest::Ground;
use ephor::policy::Grant;
use ephor::runtime::Builder;
use ephor::telemetry::collector::Collector;
use ephor::telemetry::process;
use ephor::{Config, Runtime};

use super::exit::{Exit, Or as _, Outcome};

/// This program, which the runtime starts again to compile components.
pub fn compiler() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("cannot find the path of this program")
}

/// Where compiled code is kept when nothing else is said: `$XDG_CACHE_HOME/ephor`,
/// `$HOME/.cache/ephor`, or a folder for temporary files. It can be deleted at
/// any time.
pub fn cache_dir() -> PathBuf {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    match (absolute("XDG_CACHE_HOME"), absolute("HOME")) {
        (Some(cache), _) => cache.join("ephor"),
        (None, Some(home)) => home.join(".cache").join("ephor"),
        (None, None) => std::env::temp_dir().join("ephor-cache"),
    }
}

/// The configuration in a file, or the defaults.
pub fn config(file: Option<&Path>) -> Outcome<Config> {
    match file {
        None => Ok(Config::default()),
        Some(file) => Config::load(file).context("configuration").or_exit(Exit::Usage),
    }
}

/// A runtime for events with that configuration; without a data directory it keeps
/// nothing.
pub fn runtime(config: &Config, cache: Option<PathBuf>, data: Option<PathBuf>) -> Outcome<Runtime> {
    builder(config, cache, data)?.build().context("cannot start the runtime").or_exit(Exit::Failed)
}

/// The same for a server, whose requests are traced where there is a collector.
pub fn traced(config: &Config, cache: Option<PathBuf>, data: Option<PathBuf>, traces: Option<Arc<Collector>>) -> Outcome<Runtime> {
    let mut builder = builder(config, cache, data)?;
    if let Some(traces) = &traces {
        builder = builder.traces(traces.clone());
    }
    let runtime = builder.build().context("cannot start the runtime").or_exit(Exit::Failed)?;
    process::register(runtime.stats());
    if let Some(traces) = traces {
        traces.register(runtime.stats());
    }
    Ok(runtime)
}

/// A runtime that is not started yet.
pub fn builder(config: &Config, cache: Option<PathBuf>, data: Option<PathBuf>) -> Outcome<Builder> {
    let builder = Runtime::builder()
        .spine(config.spine.clone())
        .ledger(config.ledger.clone())
        .sandbox(config.sandbox.clone())
        .worker(compiler()?)
        .cache(cache.unwrap_or_else(cache_dir));
    Ok(match data {
        Some(data) => builder.data(data),
        None => builder,
    })
}

/// What the runtimes of a replay are made of.
pub fn ground(config: &Config, cache: Option<&Path>) -> Outcome<Ground> {
    Ok(Ground {
        spine: config.spine.clone(),
        ledger: config.ledger.clone(),
        sandbox: config.sandbox.clone(),
        worker: compiler()?,
        cache: Some(cache.map_or_else(cache_dir, Path::to_path_buf)),
    })
}

/// What a publisher was granted; absent if the configuration does not have it. The
/// configuration was checked when it was read.
pub fn grant(runtime: &Runtime, config: &Config, publisher: &str) -> Option<Grant> {
    runtime.grant(publisher, config.publishers.get(publisher)?).ok()
}

/// Runs a verb to its end.
pub fn block_on<T>(verb: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let outcome = threads.block_on(verb);
    // A read that nobody waits for any more must not keep the program from ending.
    threads.shutdown_background();
    outcome
}
