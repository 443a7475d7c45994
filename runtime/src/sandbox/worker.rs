//! The child process that loads one component and is gone.
//!
//! Compiling what strangers wrote can take any time and memory, and wasmtime does
//! not call that a vulnerability. So all of it happens here: reading, compiling,
//! `describe`, `configure`, the snapshot of memory after it, and compiling that.
//! The process limits itself before it reads the first byte; whatever happens to
//! it, the runtime reads an error.
//!
//! Protocol, over standard input and output: a message is the length of a JSON
//! text as 8 bytes, little-endian, the text, and whatever follows to the end of
//! the stream. In: [`Request`], then the component. Out: [`Reply`], then the
//! compiled code.

use std::future::Future;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::task::{Context, Poll, Waker};

use rustix::process::{Resource, Rlimit, nice, setrlimit};
use serde::{Deserialize, Serialize};
use wasmtime::component::{Component, Instance, Lift, TypedFunc, WasmList};
use wasmtime::{Engine, Store};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

use super::bindings::{Policy, PolicyPre};
use super::engine::{Ctx, Purpose, Ticker, config, explain, linker, ticks};
use super::error::{LoadError, SettingsError};
use super::{Limits, gate};
use crate::policy::Manifest;
use crate::policy::manifest::ManifestError;

/// What the worker is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub limits: Limits,
    /// Absent: only describe the component.
    pub settings: Option<String>,
    /// The name that the policy must have.
    pub name: Option<String>,
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Described {
    pub manifest: Manifest,
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

pub(super) type Reply = Result<Described, LoadError>;

/// Writes one message, without what follows it.
pub(super) fn write_message(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    to.write_all(&(text.len() as u64).to_le_bytes())?;
    to.write_all(&text)
}

/// Splits what was read into the message and what follows.
pub(super) fn split_message<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> io::Result<(T, &'de [u8])> {
    let short = || io::Error::new(io::ErrorKind::UnexpectedEof, "the message is cut off");
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(short)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| short())?;
    let (text, rest) = rest.split_at_checked(length).ok_or_else(short)?;
    Ok((serde_json::from_slice(text)?, rest))
}

/// The worker's whole life. Called by the hidden verb `ephor compile-worker`.
pub fn main() -> ExitCode {
    let mut input = Vec::new();
    let outcome = restrict(std::env::args().skip(2)).and_then(|()| io::stdin().lock().read_to_end(&mut input)).and_then(|_| {
        let (request, component): (Request, _) = split_message(&input)?;
        let (reply, code) = match load(&request, component) {
            Ok((described, code)) => (Ok(described), code),
            Err(error) => (Err(error), Vec::new()),
        };
        let mut output = io::stdout().lock();
        write_message(&mut output, &(reply as Reply))?;
        output.write_all(&code)?;
        output.flush()
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compile worker: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How far back this process stands: where all cores are busy with events, it gets about a
/// tenth of what a thread that judges gets.
const NICENESS: i32 = 10;

/// Limits this process. Memory is limited as private data rather than as address
/// space, because a guest's memory reserves gigabytes of addresses that nothing
/// stands behind.
///
/// The limits come as arguments, so that they hold before anything is read.
fn restrict(arguments: impl Iterator<Item = String>) -> io::Result<()> {
    let limits: Result<Vec<u64>, _> = arguments.map(|argument| argument.parse()).collect();
    let Ok([cpu_seconds, memory_bytes]) = limits.as_deref() else {
        let usage = "two arguments: seconds of processor time, bytes of memory";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, usage));
    };
    let set = |resource, limit: u64| setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) });
    set(Resource::Cpu, *cpu_seconds)?;
    set(Resource::Data, *memory_bytes)?;
    set(Resource::Core, 0)?;
    // Events that wait go before a release that does.
    nice(NICENESS)?;
    Ok(())
}

fn load(request: &Request, component: &[u8]) -> Result<(Described, Vec<u8>), LoadError> {
    let limits = &request.limits;
    let seen = gate::check(component, &limits.gate)?;
    let compile = |error: wasmtime::Error| LoadError::Compile { problem: format!("{error:#}") };
    let wizer = Wizer::new();
    let (context, instrumented) = wizer.instrument_component(component).map_err(compile)?;
    let engine = Engine::new(&config(limits, Purpose::Setup)).map_err(compile)?;
    let _ticker = Ticker::start(&engine);
    let compiled = Component::new(&engine, &instrumented).map_err(compile)?;
    let world = |error: wasmtime::Error| LoadError::WrongWorld { problem: format!("{error:#}") };
    let pre = linker(&engine).and_then(|linker| linker.instantiate_pre(&compiled)).map_err(world)?;
    let pre = PolicyPre::new(pre).map_err(world)?;

    let manifest = describe(&pre, limits)?;
    let errors = manifest.problems();
    if !errors.is_empty() {
        return Err(LoadError::Manifest { errors });
    }
    if let Some(expected) = &request.name
        && *expected != manifest.name
    {
        return Err(LoadError::Name { expected: expected.clone(), found: manifest.name });
    }
    let described = Described { manifest, imports: seen.imports, exports: seen.exports };
    let Some(settings) = &request.settings else { return Ok((described, Vec::new())) };
    check_settings(&described.manifest.settings_schema, settings)?;
    let (store, instance) = configure(&pre, limits, settings)?;
    let mut state = State { store, instance };
    let snapshot = ready(wizer.snapshot_component(&context, &mut state))
        .ok_or_else(|| LoadError::Worker { problem: "the snapshot of memory was not made at once".into() })?
        .map_err(compile)?;
    drop(state);
    let code = Engine::new(&config(limits, Purpose::Compile)).and_then(|engine| engine.precompile_component(&snapshot)).map_err(compile)?;
    Ok((described, code))
}

fn store(engine: &Engine, limits: &Limits) -> wasmtime::Result<Store<Ctx>> {
    // No list is here: the image of memory must not depend on one, so that a list can
    // be replaced without compiling.
    let mut store = Store::new(engine, Ctx::new(limits, None));
    store.limiter(|ctx| ctx);
    store.set_fuel(limits.setup_fuel_max)?;
    store.set_epoch_deadline(ticks(limits.worker.wall_seconds_max * 1_000));
    store.set_hostcall_fuel(limits.output_bytes_max);
    store.set_max_component_handles(limits.handles_max);
    Ok(store)
}

fn describe(pre: &PolicyPre<Ctx>, limits: &Limits) -> Result<Manifest, LoadError> {
    let fail = |error: wasmtime::Error| LoadError::Describe { problem: explain(&error).1 };
    let mut store = store(pre.engine(), limits).map_err(fail)?;
    let policy = pre.instantiate(&mut store).map_err(fail)?;
    let outcome = policy.call_describe(&mut store);
    // A panic's message is in the log; without it an author reads "unreachable".
    outcome.map(Into::into).map_err(|error| LoadError::Describe { problem: with_log(explain(&error).1, store.data()) })
}

fn configure(pre: &PolicyPre<Ctx>, limits: &Limits, settings: &str) -> Result<(Store<Ctx>, Instance), LoadError> {
    let fail = |error: wasmtime::Error| LoadError::Configure { problem: explain(&error).1 };
    let mut store = store(pre.engine(), limits).map_err(fail)?;
    let instance = pre.instance_pre().instantiate(&mut store).map_err(fail)?;
    let policy = Policy::new(&mut store, &instance).map_err(fail)?;
    match policy.call_configure(&mut store, settings) {
        Ok(Ok(())) => {}
        Ok(Err(errors)) => {
            let errors = errors.into_iter().map(|error| SettingsError { pointer: error.pointer, message: error.message });
            return Err(LoadError::Settings { errors: errors.collect() });
        }
        Err(error) => return Err(LoadError::Configure { problem: with_log(explain(&error).1, store.data()) }),
    }
    // What follows is ours: reading the memory through the instrumented exports.
    store.set_fuel(u64::MAX).map_err(fail)?;
    store.set_hostcall_fuel(usize::MAX);
    Ok((store, instance))
}

fn with_log(problem: String, ctx: &Ctx) -> String {
    match ctx.log.last() {
        Some(line) => format!("{problem} ({})", line.text),
        None => problem,
    }
}

/// Checks settings against the policy's own schema, so that every problem is
/// told at once, with its place, before the policy runs.
fn check_settings(schema: &str, settings: &str) -> Result<(), LoadError> {
    let settings = serde_json::from_str(settings)
        .map_err(|error| LoadError::SettingsDocument { problem: format!("they are not valid JSON: {error}") })?;
    let fail = |problem: String| {
        let place = "settings-schema".to_string();
        LoadError::Manifest { errors: vec![ManifestError { place, problem }] }
    };
    let parsed = serde_json::from_str(schema).map_err(|error| fail(format!("is not JSON: {error}")))?;
    let validator = jsonschema::draft202012::new(&parsed).map_err(|error| fail(format!("is not a JSON Schema: {error}")))?;
    let errors: Vec<_> = validator
        .iter_errors(&settings)
        .map(|error| SettingsError { pointer: error.instance_path().to_string(), message: shortened(error.to_string()) })
        .take(100)
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(LoadError::Settings { errors }) }
}

/// A message that repeats a value repeats as much of it as somebody would read.
fn shortened(mut message: String) -> String {
    let end = message.floor_char_boundary(500);
    if end < message.len() {
        message.truncate(end);
        message.push('…');
    }
    message
}

/// An instance whose memory is being read.
struct State {
    store: Store<Ctx>,
    instance: Instance,
}

impl State {
    /// Calls an export that the instrumentation added. Its absence would be a
    /// defect of the instrumentation; the panic ends this process only.
    fn call<R: Lift + 'static>(&mut self, instance: &str, function: &str) -> R {
        let read = |state: &mut Self| -> wasmtime::Result<R> {
            let missing = || wasmtime::format_err!("the instrumented component lacks {instance}#{function}");
            let (_, outer) = state.instance.get_export(&mut state.store, None, instance).ok_or_else(missing)?;
            let (_, inner) = state.instance.get_export(&mut state.store, Some(&outer), function).ok_or_else(missing)?;
            let function: TypedFunc<(), (R,)> = state.instance.get_typed_func(&mut state.store, inner)?;
            Ok(function.call(&mut state.store, ())?.0)
        };
        match read(self) {
            Ok(value) => value,
            Err(error) => panic!("the memory of a configured policy could not be read: {error:#}"),
        }
    }
}

impl ComponentInstanceState for State {
    async fn call_func_ret_list_u8(&mut self, instance: &str, func: &str, contents: impl FnOnce(&[u8]) + Send) {
        let list: WasmList<u8> = self.call(instance, func);
        contents(list.as_le_slice(&self.store));
    }
    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.call(instance, func)
    }
    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.call(instance, func)
    }
    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        self.call::<f32>(instance, func).to_bits()
    }
    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        self.call::<f64>(instance, func).to_bits()
    }
}

/// The result of a future that never waits.
fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = Context::from_waker(Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
