//! The engine: one configuration for compiling and running.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, ResourceLimiter, Trap};

use super::bindings::{self, log};
use super::{Limits, lookup};
use crate::reference::List;
use crate::verdict::FaultKind;

/// How often the clock of the safety net ticks.
const TICK: Duration = Duration::from_millis(5);

/// Instances that may be alive at the same time: one per thread that evaluates,
/// and there are never more threads than this.
pub(crate) const INSTANCES_MAX: u32 = 128;

/// Core instances of one component: CPython is linked of some forty. Others get no more
/// of them than the gate lets them have modules: wizer takes each module once.
const CORE_INSTANCES_MAX: u32 = 64;

/// Bytes that every thread's stack has for policies.
const STACK_BYTES: usize = 512 << 10;

/// What an engine is for. All give code that the others can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Compile what will be kept.
    Compile,
    /// Compile fast and run once, in the worker.
    Setup,
    /// Run what was compiled.
    Run,
}

/// The configuration. Whatever could make two machines differ is switched off:
/// what a policy says depends on its input alone.
pub(super) fn config(limits: &Limits, purpose: Purpose) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_tail_call(false)
        .wasm_wide_arithmetic(false)
        .wasm_custom_page_sizes(false)
        .max_wasm_stack(STACK_BYTES)
        // Nobody reads a stranger's stack trace, and collecting it costs time
        // that the stranger decides on.
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false)
        .memory_init_cow(true);
    match purpose {
        Purpose::Setup => {
            config.cranelift_opt_level(OptLevel::None);
        }
        Purpose::Compile => {
            config.cranelift_opt_level(OptLevel::Speed);
        }
        Purpose::Run => {
            let mut pool = PoolingAllocationConfig::new();
            pool.total_component_instances(INSTANCES_MAX)
                .total_core_instances(INSTANCES_MAX * CORE_INSTANCES_MAX)
                .total_memories(INSTANCES_MAX * 4)
                .total_tables(INSTANCES_MAX * 8)
                .max_core_instances_per_component(CORE_INSTANCES_MAX)
                .max_memories_per_component(4)
                .max_tables_per_component(8)
                .max_memories_per_module(4)
                .max_tables_per_module(4)
                // How much of it an instance gets is counted by its own limits.
                .max_memory_size(limits.memory_bytes_max.max(limits.languages.memory_bytes_max))
                .table_elements(limits.table_elements_max)
                // Pages that one instance wrote are set back to the image, as
                // long as there are few: cheaper than giving them back and
                // faulting them in again. The kernel says which (Linux 6.7).
                .linear_memory_keep_resident(1 << 20)
                .table_keep_resident(16 << 10)
                .pagemap_scan(Enabled::Auto);
            config.cranelift_opt_level(OptLevel::Speed).allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        }
    }
    config
}

/// The one engine that runs policies, with everything that calls share.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(super) engine: Engine,
    pub(super) limits: Limits,
    _ticker: Ticker,
}

impl Sandbox {
    /// Makes the engine and starts its clock.
    pub fn new(limits: Limits) -> wasmtime::Result<Arc<Self>> {
        let engine = Engine::new(&config(&limits, Purpose::Run))?;
        let ticker = Ticker::start(&engine);
        Ok(Arc::new(Sandbox { engine, limits, _ticker: ticker }))
    }

    /// Instances of components that are alive. A call makes one and ends it, so there are
    /// none between two batches.
    pub fn instances(&self) -> u64 {
        self.engine.pooling_allocator_metrics().map_or(0, |metrics| metrics.component_instances())
    }
}

/// Ticks for the deadlines as long as it lives. One constructor makes engine and
/// clock, so that no deadline can be set that never comes.
#[derive(Debug)]
pub(super) struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(super) fn start(engine: &Engine) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (engine, stop) = (engine.weak(), stop.clone());
            move || {
                while !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(TICK);
                    let Some(engine) = engine.upgrade() else { return };
                    engine.increment_epoch();
                }
            }
        });
        Ticker { stop, thread: Some(thread) }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Ticks until a deadline, at least one.
pub(super) fn ticks(milliseconds: u64) -> u64 {
    milliseconds.div_ceil(TICK.as_millis() as u64).max(1)
}

/// A memory or table would have grown beyond the instance's total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("asks for more than {0} in all")]
pub(super) struct Exceeded(pub &'static str);

/// This machine did not give a call what it may have. Says nothing about the policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this machine could not give it what it may have: {0}")]
pub(super) struct Machine(String);

impl Machine {
    fn because(error: &wasmtime::Error) -> wasmtime::Error {
        wasmtime::Error::new(Machine(error.root_cause().to_string()))
    }

    /// An instance was not made. A policy can be the cause in two ways: it asks for more
    /// than it may have, or its segments do not fit its memory. Everything else is missing
    /// here: a place in the pool, pages.
    pub fn no_instance(error: wasmtime::Error) -> wasmtime::Error {
        match error.is::<Exceeded>() || error.is::<Trap>() {
            true => error,
            false => Machine::because(&error),
        }
    }
}

/// In which way a call failed, and what a person needs to know of it.
pub(super) fn explain(error: &wasmtime::Error) -> (FaultKind, String) {
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        return (FaultKind::Memory, exceeded.to_string());
    }
    if let Some(machine) = error.downcast_ref::<Machine>() {
        return (FaultKind::Timeout, machine.to_string());
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => (FaultKind::Fuel, "ran out of fuel".into()),
        Some(Trap::Interrupt) => (FaultKind::Timeout, "took too long on this machine".into()),
        Some(trap) => (FaultKind::Trap, trap.to_string()),
        // Everything else that a call can end with is a value that breaks the
        // contract, or more of it than the host takes. The message is wasmtime's
        // and holds nothing of the value.
        None => (FaultKind::Output, format!("{}", error.root_cause())),
    }
}

/// A policy writes to its log without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("writes more to its log than anybody would read")]
struct Endless;

/// What a store holds beside the instance: its limits and its log.
pub(super) struct Ctx {
    memory_left: usize,
    table_left: usize,
    /// Bytes of memory that the instance has.
    pub memory_used: usize,
    log_lines_max: usize,
    log_line_bytes_max: usize,
    pub log: Vec<LogLine>,
    pub log_dropped: u64,
    /// Bytes that may still be written; taking them in costs the guest no fuel.
    log_bytes_left: usize,
    /// In the order of the manifest; absent while a component is described and
    /// configured.
    pub lists: Option<Arc<[Arc<List>]>>,
    /// Bytes that the values of one look-up may have together.
    pub values_bytes_max: usize,
}

/// A line that a policy wrote.
#[derive(Debug, Clone)]
pub(crate) struct LogLine {
    pub level: log::Level,
    pub text: String,
}

impl Ctx {
    pub fn new(limits: &Limits, lists: Option<Arc<[Arc<List>]>>) -> Self {
        Ctx {
            memory_left: limits.memory_bytes_max,
            table_left: limits.table_elements_max,
            memory_used: 0,
            log_lines_max: limits.log_lines_max,
            log_line_bytes_max: limits.log_line_bytes_max,
            log: Vec::new(),
            log_dropped: 0,
            log_bytes_left: limits.output_bytes_max,
            lists,
            values_bytes_max: limits.output_bytes_max,
        }
    }
}

/// Counts over all memories and tables of an instance together. wasmtime's own
/// `StoreLimits` counts each memory by itself.
impl ResourceLimiter for Ctx {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        match self.memory_left.checked_sub(more) {
            // Its own bound, which fails everywhere alike and costs it nothing.
            Some(_) if maximum.is_some_and(|maximum| desired > maximum) => Ok(false),
            Some(left) => {
                self.memory_left = left;
                self.memory_used += more;
                Ok(true)
            }
            // A trap, not a failed growth: what a guest makes of a failure is
            // its own affair, and the fault should say what happened.
            None => Err(wasmtime::Error::new(Exceeded("its memory"))),
        }
    }

    /// What was allowed did not come about. Left alone, the guest would be told -1, and
    /// what it makes of that would be a finding that rests on the memory of this machine.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        match error.is::<std::io::Error>() || error.is::<rustix::io::Errno>() {
            true => Err(Machine::because(&error)),
            // Beyond what a memory can have by its type, which `memory_growing` is not asked.
            false => Ok(()),
        }
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        match self.table_left.checked_sub(more) {
            Some(_) if maximum.is_some_and(|maximum| desired > maximum) => Ok(false),
            Some(left) => {
                self.table_left = left;
                Ok(true)
            }
            None => Err(wasmtime::Error::new(Exceeded("its table elements"))),
        }
    }
}

impl log::Host for Ctx {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        match self.log_bytes_left.checked_sub(message.len()) {
            Some(left) if self.log_dropped < (self.log_lines_max as u64).max(64) * 100 => self.log_bytes_left = left,
            _ => return Err(wasmtime::Error::new(Endless)),
        }
        if self.log.len() >= self.log_lines_max {
            self.log_dropped += 1;
            return Ok(());
        }
        let end = message.floor_char_boundary(self.log_line_bytes_max);
        // Escaped: a line must not be able to look like two, or like our own.
        self.log.push(LogLine { level, text: message[..end].escape_debug().to_string() });
        Ok(())
    }
}

// Interfaces that hold nothing but types.
impl bindings::columns::Host for Ctx {}
impl bindings::evaluation::Host for Ctx {}
impl bindings::manifest::Host for Ctx {}
impl bindings::settings::Host for Ctx {}

/// A linker that has what the contract imports and nothing else.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Ctx>> {
    let mut linker = Linker::new(engine);
    fn same(ctx: &mut Ctx) -> &mut Ctx {
        ctx
    }
    bindings::columns::add_to_linker::<_, HasSelf<_>>(&mut linker, same)?;
    bindings::evaluation::add_to_linker::<_, HasSelf<_>>(&mut linker, same)?;
    bindings::manifest::add_to_linker::<_, HasSelf<_>>(&mut linker, same)?;
    bindings::settings::add_to_linker::<_, HasSelf<_>>(&mut linker, same)?;
    log::add_to_linker::<_, HasSelf<_>>(&mut linker, same)?;
    lookup::add_to_linker(&mut linker)?;
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory that the machine has not must not be an answer to the guest.
    #[test]
    fn dt_04_a_growth_that_fails_for_the_machine_is_no_answer() {
        let mut ctx = Ctx::new(&Limits::default(), None);
        assert!(ctx.memory_growing(0, 1 << 20, None).expect("within the limit"));
        for error in [
            wasmtime::Error::new(rustix::io::Errno::NOMEM),
            wasmtime::Error::new(std::io::Error::from(std::io::ErrorKind::OutOfMemory)),
            wasmtime::Error::new(rustix::io::Errno::NOMEM).context("cannot change protections"),
        ] {
            let error = ctx.memory_grow_failed(error).expect_err("a trap");
            let (kind, detail) = explain(&error);
            assert_eq!(kind, FaultKind::Timeout, "{detail}");
            assert!(detail.contains("this machine"), "{detail}");
        }
        assert!(ctx.memory_grow_failed(wasmtime::format_err!("memory growth exceeds memory type's limits")).is_ok());
        let missing = Machine::no_instance(wasmtime::format_err!("maximum concurrent core instance limit of 8192 reached"));
        assert_eq!(explain(&missing).0, FaultKind::Timeout);
        assert_eq!(explain(&Machine::no_instance(Trap::MemoryOutOfBounds.into())).0, FaultKind::Trap);
        assert_eq!(explain(&Machine::no_instance(wasmtime::Error::new(Exceeded("its memory")))).0, FaultKind::Memory);
    }

    #[test]
    fn dt_04_a_maximum_of_its_own_costs_a_guest_nothing() {
        let mut ctx = Ctx::new(&Limits::default(), None);
        assert!(!ctx.memory_growing(0, 2 << 20, Some(1 << 20)).expect("no trap"));
        assert!(!ctx.table_growing(0, 20, Some(10)).expect("no trap"));
        assert_eq!((ctx.memory_left, ctx.memory_used), (Limits::default().memory_bytes_max, 0));
        assert!(ctx.memory_growing(0, Limits::default().memory_bytes_max + 1, None).is_err());
    }

    /// Code goes with the engine that it was made for: where there are two, each has its own.
    #[test]
    fn ws_33_every_sandbox_has_one_engine_and_its_code_knows_it() {
        let (one, other) = (Sandbox::new(Limits::default()).expect("an engine"), Sandbox::new(Limits::default()).expect("an engine"));
        assert!(!Engine::same(&one.engine, &other.engine));
        let mine = linker(&one.engine).expect("a linker");
        assert!(Engine::same(mine.engine(), &one.engine));
        // A component of one engine is refused by a linker of the other, not run.
        let component = wasmtime::component::Component::new(&one.engine, b"\0asm\x0d\0\x01\0").expect("a component of nothing");
        let foreign = linker(&other.engine).expect("a linker");
        let mixed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| foreign.instantiate_pre(&component).is_ok()));
        assert!(!matches!(mixed, Ok(true)), "engines were mixed");
        assert!(mine.instantiate_pre(&component).is_ok());
    }
}
