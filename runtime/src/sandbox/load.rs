//! From a component to code that runs: by way of the cache, or of a worker.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, thread};

use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::bindings::PolicyPre;
use super::cache::{Cache, Found};
use super::engine::{Ctx, Sandbox, linker};
use super::error::LoadError;
use super::image::{Code, Image, Lists};
use super::language::language;
use super::worker::{Described, Reply, Request, split_message, write_message};
use super::{Limits, code};
use crate::digest::Digest;
use crate::policy::{Language, Manifest};
use crate::reference::List;

/// Loads components, and counts how.
pub(crate) struct Loader {
    sandbox: Arc<Sandbox>,
    /// The `ephor` binary.
    worker: PathBuf,
    cache: Option<Cache>,
    /// Code that was taken from the cache before anybody asked for it.
    ahead: Mutex<HashMap<Digest, Loaded>>,
    /// Loads that were served from the cache.
    pub hits: AtomicU64,
    /// Loads that a worker did.
    pub misses: AtomicU64,
    /// Cache entries that were not ours.
    pub forged: AtomicU64,
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").field("worker", &self.worker).field("cache", &self.cache).finish_non_exhaustive()
    }
}

/// Code that can be run, and what the component says about itself.
type Loaded = (PolicyPre<Ctx>, Manifest);

/// As long as it is there, code is held that was taken from the cache ahead
/// ([`Runtime::load_ahead`](crate::Runtime::load_ahead)).
#[derive(Debug)]
#[must_use = "what was loaded ahead is dropped with it"]
pub struct Ahead<'l>(&'l Loader);

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        self.0.ahead().clear();
    }
}

impl Loader {
    /// Loads with workers that are `worker compile-worker`.
    pub fn new(sandbox: Arc<Sandbox>, worker: PathBuf, cache: Option<&Path>) -> std::io::Result<Self> {
        let cache = cache.map(Cache::open).transpose()?;
        Ok(Loader { sandbox, worker, cache, ahead: Mutex::default(), hits: 0.into(), misses: 0.into(), forged: 0.into() })
    }

    /// What it was made with: limits, worker, and the folder of compiled code.
    pub fn origin(&self) -> (&Limits, &Path, Option<&Path>) {
        (&self.sandbox.limits, &self.worker, self.cache.as_ref().map(Cache::folder))
    }

    /// Loads a component with settings and lists; with a name, only if it is that
    /// policy. The lists have to be those that its manifest names, in any order.
    pub async fn load(&self, name: Option<&str>, component: &[u8], settings: &[u8], lists: &[Arc<List>]) -> Result<Image, LoadError> {
        self.load_with(name, component, settings, &Lists { bound: lists.to_vec(), spare: Vec::new() }).await
    }

    /// The same, where some of the lists may be left.
    ///
    /// What is compiled, and kept in the cache, does not depend on the lists.
    pub async fn load_with(&self, name: Option<&str>, component: &[u8], settings: &[u8], lists: &Lists) -> Result<Image, LoadError> {
        let limits = self.sandbox.limits.of(language(component));
        let max = limits.worker.settings_bytes_max;
        if settings.len() > max {
            let problem = format!("they have {} bytes, at most {max}", settings.len());
            return Err(LoadError::SettingsDocument { problem });
        }
        let text = std::str::from_utf8(settings)
            .map_err(|error| LoadError::SettingsDocument { problem: format!("they are not UTF-8: {error}") })?;
        #[cfg(test)]
        if let Some((code, manifest)) = super::native::find(component, text) {
            return Image::bind(self.sandbox.clone(), code, component, settings, manifest, lists);
        }
        let entry = self.cache_name(component, settings);
        let ahead = self.ahead().remove(&entry);
        if let Some((pre, manifest)) = ahead.or_else(|| self.cached(entry)) {
            return Image::bind(self.sandbox.clone(), Code::Component(pre), component, settings, manifest, lists);
        }
        let request = Request { limits, settings: Some(text.to_string()), name: name.map(str::to_string) };
        let (described, code) = run_worker(&self.worker, &request, component).await?;
        self.misses.fetch_add(1, Ordering::Relaxed);
        let mut bytes = Vec::with_capacity(code.len() + 4096);
        write_message(&mut bytes, &described).map_err(here)?;
        bytes.extend_from_slice(&code);
        let (pre, manifest) = self.code(&bytes)?;
        if let Some(cache) = &self.cache
            && let Err(error) = cache.put(entry, &bytes)
        {
            tracing::warn!(%error, "compiled code could not be cached; the next start will compile again");
        }
        Image::bind(self.sandbox.clone(), Code::Component(pre), component, settings, manifest, lists)
    }

    /// Takes code of these components and settings from the cache, where it is there, on
    /// all processors: whoever loads them then, one after the other, finds it done. What is
    /// not asked for is dropped with the result.
    pub fn load_ahead(&self, releases: &[(&[u8], &[u8])]) -> Ahead<'_> {
        let next = AtomicUsize::new(0);
        let take = || {
            while let Some((component, settings)) = releases.get(next.fetch_add(1, Ordering::Relaxed)) {
                let entry = self.cache_name(component, settings);
                if let Some(loaded) = self.cached(entry) {
                    self.ahead().insert(entry, loaded);
                }
            }
        };
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(releases.len());
        if threads > 1 {
            thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(take))));
        }
        Ahead(self)
    }

    fn ahead(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Loaded>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the cache has of this name and can be run.
    fn cached(&self, entry: Digest) -> Option<Loaded> {
        match self.cache.as_ref()?.get(entry) {
            Found::Hit(bytes) => match self.code(&bytes) {
                Ok(loaded) => {
                    self.hits.fetch_add(1, Ordering::Relaxed);
                    return Some(loaded);
                }
                Err(error) => tracing::warn!(%error, "cached code is of no use; compiling again"),
            },
            Found::Miss => {}
            Found::Forged => {
                self.forged.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%entry, "cached code was not written by this installation; deleted, compiling again");
            }
        }
        None
    }

    /// Names code by everything that it depends on.
    fn cache_name(&self, component: &[u8], settings: &[u8]) -> Digest {
        let mut hasher = DefaultHasher::new();
        self.sandbox.engine.precompile_compatibility_hash().hash(&mut hasher);
        let limits = serde_json::to_vec(&self.sandbox.limits).unwrap_or_default();
        let version = env!("CARGO_PKG_VERSION").as_bytes();
        Digest::of_parts(&[b"ephor code 3", version, &hasher.finish().to_le_bytes(), &limits, component, settings])
    }

    /// Makes code of what a worker or the cache gave.
    fn code(&self, bytes: &[u8]) -> Result<Loaded, LoadError> {
        let (described, code): (Described, _) = split_message(bytes).map_err(here)?;
        let fail = |error: wasmtime::Error| LoadError::Worker { problem: format!("{error:#}") };
        let engine = &self.sandbox.engine;
        let compiled = code::deserialize(engine, code).map_err(fail)?;
        let pre = linker(engine).and_then(|linker| linker.instantiate_pre(&compiled)).and_then(PolicyPre::new).map_err(fail)?;
        Ok((pre, described.manifest))
    }
}

fn here(error: std::io::Error) -> LoadError {
    LoadError::Worker { problem: error.to_string() }
}

/// What can be said about a component without running it on events.
#[derive(Debug, Serialize)]
pub struct Inspection {
    /// What it says about itself.
    pub manifest: Manifest,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub bytes: u64,
    /// The language whose engine it contains; absent for one that has none.
    pub language: Option<Language>,
    /// What it imports.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
}

impl Inspection {
    fn of(component: &[u8], described: Described) -> Self {
        Inspection {
            manifest: described.manifest,
            digest: Digest::of(component),
            bytes: component.len() as u64,
            language: language(component),
            imports: described.imports,
            exports: described.exports,
        }
    }
}

/// Reads a component and has it describe itself, in a worker.
///
/// # Errors
///
/// Why it would not be taken.
pub async fn inspect(component: &[u8], worker: &Path, limits: Limits) -> Result<Inspection, LoadError> {
    let limits = limits.of(language(component));
    let (described, _) = run_worker(worker, &Request { limits, settings: None, name: None }, component).await?;
    Ok(Inspection::of(component, described))
}

/// Reads a component and has it take its settings, in a worker: all that a runtime
/// does before it puts a release in force.
///
/// # Errors
///
/// Why it would not be taken.
pub async fn rehearse(component: &[u8], settings: &[u8], worker: &Path, limits: Limits) -> Result<Inspection, LoadError> {
    let text =
        std::str::from_utf8(settings).map_err(|error| LoadError::SettingsDocument { problem: format!("they are not UTF-8: {error}") })?;
    let limits = limits.of(language(component));
    let (described, _) = run_worker(worker, &Request { limits, settings: Some(text.to_string()), name: None }, component).await?;
    Ok(Inspection::of(component, described))
}

/// Has a child process load a component, and waits for it within limits.
async fn run_worker(worker: &Path, request: &Request, component: &[u8]) -> Result<(Described, Vec<u8>), LoadError> {
    let limits = &request.limits.worker;
    let mut child = tokio::process::Command::new(worker)
        .arg("compile-worker")
        .args([limits.cpu_seconds_max.to_string(), limits.memory_bytes_max.to_string()])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| LoadError::Worker { problem: format!("{} does not start: {error}", worker.display()) })?;
    let (Some(mut input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
        return Err(LoadError::Worker { problem: "the worker has no pipes".into() });
    };
    let mut message = Vec::new();
    write_message(&mut message, request).map_err(here)?;
    let talk = async {
        let mut bytes = Vec::new();
        let mut said = Vec::new();
        let (mut output, mut errors) = (output.take(limits.code_bytes_max as u64 + 1), errors.take(64 << 10));
        let send = async {
            // A worker that dies early leaves the rest unread; why it died is
            // told by its status.
            let _ = input.write_all(&message).await;
            let _ = input.write_all(component).await;
            drop(input);
        };
        let (_, read, _) = tokio::join!(send, output.read_to_end(&mut bytes), errors.read_to_end(&mut said));
        read.map_err(here)?;
        if bytes.len() > limits.code_bytes_max {
            // It would wait for ever to write the rest; dropping it ends it.
            return Err(LoadError::Compile { problem: format!("it makes more than {} bytes of code", limits.code_bytes_max) });
        }
        let status = child.wait().await.map_err(here)?;
        Ok::<_, LoadError>((bytes, said, status))
    };
    let wall = Duration::from_secs(limits.wall_seconds_max);
    let Ok(outcome) = tokio::time::timeout(wall, talk).await else {
        return Err(LoadError::Compile { problem: format!("it took more than {} s", limits.wall_seconds_max) });
    };
    let (bytes, said, status) = outcome?;
    if !status.success() {
        return Err(died(status, &said, limits));
    }
    let (reply, code): (Reply, _) = split_message(&bytes).map_err(here)?;
    Ok((reply?, code.to_vec()))
}

/// What a process said at its end. Of a panic that is what stands between the line of its
/// place and how to get more of it: neither is for a policy's author.
fn last_words(said: &str) -> String {
    let is_said = |line: &&str| !line.trim().is_empty();
    let panic = said.rsplit_once(" panicked at ").and_then(|(_, panic)| panic.split_once('\n'));
    let words = match panic {
        Some((_, message)) => {
            let lines = message.lines().take_while(|line| !line.starts_with("note: ") && !line.starts_with("stack backtrace:"));
            lines.filter(is_said).map(str::trim).collect::<Vec<_>>().join(", ")
        }
        None => said.lines().rfind(is_said).unwrap_or_default().trim().to_string(),
    };
    if words.is_empty() { "nothing was said".into() } else { words }
}

/// Why a worker ended before it answered.
fn died(status: std::process::ExitStatus, said: &[u8], limits: &super::limits::Worker) -> LoadError {
    use std::os::unix::process::ExitStatusExt as _;
    let said = String::from_utf8_lossy(said);
    let last = &last_words(&said);
    match status.signal() {
        Some(signal) if signal == rustix::process::Signal::XCPU.as_raw() || signal == rustix::process::Signal::KILL.as_raw() => {
            LoadError::Compile { problem: format!("it took more than {} s of processor time", limits.cpu_seconds_max) }
        }
        Some(signal) if signal == rustix::process::Signal::ABORT.as_raw() => {
            LoadError::Compile { problem: format!("it took more than {} MiB of memory ({last})", limits.memory_bytes_max >> 20) }
        }
        Some(signal) => LoadError::Compile { problem: format!("the compiler died of signal {signal}") },
        // A panic: a part of the component that the tools do not support.
        None => LoadError::Compile { problem: format!("the compiler gave up: {last}") },
    }
}

#[cfg(test)]
mod tests {
    use super::last_words;

    #[test]
    fn of_a_panic_the_message_is_shown_and_nothing_around_it() {
        let place = "thread 'main' (7) panicked at compiler.rs:71:21:\n";
        let note = "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        for (said, words) in [
            (format!("{place}no such function\n{note}"), "no such function"),
            (
                format!("{place}assertion `left == right` failed\n  left: 1\n right: 0\n{note}"),
                "assertion `left == right` failed, left: 1, right: 0",
            ),
            (format!("{place}no such function\nstack backtrace:\n   0: begin\n{note}"), "no such function"),
            ("memory allocation of 7 bytes failed\n".into(), "memory allocation of 7 bytes failed"),
            (String::new(), "nothing was said"),
        ] {
            assert_eq!(last_words(&said), words, "{said}");
        }
    }
}
