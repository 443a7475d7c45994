//! Modules and components that are valid and mean nothing, by the seed: none makes
//! anything panic, and each ends in an answer or in a reason.

use std::collections::BTreeMap;

use arbitrary::{Arbitrary as _, Unstructured};
use ephor::fuzz::gate;
use ephor::sandbox::{Limits, LoadError};
use ephor::verdict::FaultKind;
use ephor::{Runtime, ingest};
use ephor_tests::handmade::{ANSWER, Handmade, wrapped};
use ephor_tests::random::{self, Random};
use ephor_tests::{binary, event, forge};
use wasm_smith::{Component, Config, Module};

/// Seeds that are tried, unless `EPHOR_SEEDS` says another number; they begin at 0, or at
/// `EPHOR_SEEDS_FROM`.
const SEEDS: u64 = 100;

/// How often each thing was seen.
type Counts = BTreeMap<String, u64>;

fn count(counts: &mut Counts, what: impl Into<String>) {
    *counts.entry(what.into()).or_default() += 1;
}

/// The bytes of a seed.
fn bytes(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let length = 512 + random.below(4_096) as usize;
    (0..length).map(|_| random.any() as u8).collect()
}

/// Modules of the features that the gate lets through, with a function to be called; most
/// without what no image can hold: written tables, dropped segments, vectors in globals.
fn config(seed: u64) -> Config {
    Config {
        reference_types_enabled: seed.is_multiple_of(4),
        bulk_memory_enabled: seed.is_multiple_of(4),
        simd_enabled: seed.is_multiple_of(5),
        exports: Some(wat::parse_str(r#"(module (func (export "run")))"#).expect("a module")),
        allow_start_export: false,
        max_imports: 0,
        max_memories: 1,
        max_memory32_bytes: 4 << 20,
        max_tables: 2,
        max_table_elements: 1_000,
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        relaxed_simd_enabled: false,
        shared_everything_threads_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        custom_page_sizes_enabled: false,
        ..Config::default()
    }
}

/// Whether reading it ended in a reason, or passed on to the question whether it is a policy.
fn read(component: &[u8]) -> &'static str {
    match gate(component, &Limits::default()).map(drop) {
        Ok(()) => "a policy",
        Err(LoadError::WrongWorld { .. } | LoadError::Import { .. } | LoadError::ContractVersion { .. }) => "valid",
        Err(error) => error.kind(),
    }
}

/// The policy written by hand, which calls the function of a module that is made by the seed.
fn calling(module: &[u8]) -> Vec<u8> {
    let handmade = Handmade {
        component: r#"(core module $smith (func (export "run"))) (core instance $smith (instantiate $smith))"#.into(),
        module: r#"(import "host" "run" (func $run))"#.into(),
        host: r#"(export "run" (func $smith "run"))"#.into(),
        ..Handmade::default()
    };
    // The third of the modules: two are about calls to the host.
    forge::with_module(&handmade.on('s', format!("(call $run) (i32.const {ANSWER})")).component(), 2, module)
}

/// A reason without offsets and indices, so that equal ones are counted together.
fn without_numbers(reason: &str) -> String {
    let mut short: String = reason.chars().filter(|c| !c.is_ascii_digit()).collect();
    short.truncate(short.floor_char_boundary(160));
    short
}

/// What comes of one event.
async fn judge(runtime: &Runtime, id: String) -> Result<String, FaultKind> {
    let event = event::listing(id, "!s").to_string();
    let event = ingest::structured(event.as_bytes(), &ingest::Limits::default()).expect("an event");
    let judged = runtime.submit(vec![event]).await.expect("taken").await.expect("judged");
    let verdict = judged.answers[0].verdict().expect("a verdict");
    match &verdict.faults[..] {
        [] => Ok("answered".into()),
        [fault] => match fault.kind {
            FaultKind::Fuel | FaultKind::Memory | FaultKind::Trap => Ok(format!("{}: {}", fault.kind.name(), fault.detail)),
            other => Err(other),
        },
        more => panic!("one policy, {more:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "how many of them came how far is not seen otherwise")]
async fn ws_28_modules_made_by_seeds_end_in_an_answer_or_a_reason() {
    let seeds = random::number("EPHOR_SEEDS").unwrap_or(SEEDS);
    let first = random::number("EPHOR_SEEDS_FROM").unwrap_or(0);
    let limits = Limits { event_fuel_max: 1_000_000, ..Limits::default() };
    let runtime = Runtime::builder().worker(binary()).sandbox(limits).build().expect("a runtime");
    let mut counts = Counts::new();
    for seed in first..first + seeds {
        let bytes = bytes(seed);
        // Of all features there are; nearly all of them are refused for one of them.
        let mut any = Unstructured::new(&bytes);
        if let Ok(module) = Config::arbitrary(&mut any).and_then(|config| Module::new(config, &mut any)) {
            count(&mut counts, format!("any module: {}", read(&wrapped(&module.to_bytes()))));
        }
        if let Ok(component) = Component::new(Config::default(), &mut Unstructured::new(&bytes)) {
            count(&mut counts, format!("component: {}", read(&component.to_bytes())));
        }
        // Of the features that pass: as far as it goes.
        let Ok(module) = Module::new(config(seed), &mut Unstructured::new(&bytes)) else { continue };
        let component = calling(&module.to_bytes());
        match runtime.install(component, b"{}".to_vec()).await {
            Ok(_) => {
                let said = judge(&runtime, format!("{seed}")).await.unwrap_or_else(|kind| panic!("seed {seed}: {kind:?}"));
                let again = judge(&runtime, format!("{seed} again")).await.unwrap_or_else(|kind| panic!("seed {seed}: {kind:?}"));
                assert_eq!(said, again, "seed {seed}: the same call ends in the same way");
                count(&mut counts, format!("called: {said}"));
            }
            Err(LoadError::Worker { problem }) => panic!("seed {seed} harms more than itself: {problem}"),
            Err(error) => count(&mut counts, format!("refused: {}", without_numbers(&error.to_string()))),
        }
    }
    runtime.close().await;
    println!("wasm-smith, {seeds} seeds from {first}: {counts:#?}");
    let some = |what: &str| counts.iter().filter(|(name, _)| name.starts_with(what)).map(|(_, count)| count).sum::<u64>();
    assert!(some("called: ") * 4 >= seeds, "a good part of them is called: {counts:?}");
}
