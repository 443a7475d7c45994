//! Components that are refused by reading them, or die in the process that compiles them:
//! of other proposals, of other worlds, cut off, with a bit changed, made to keep a
//! compiler busy.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use ephor::digest::Digest;
use ephor::fuzz::gate;
use ephor::sandbox::{self, Inspection, Limits, LoadError};
use ephor_tests::handmade::{ANSWER, Handmade, MANIFEST, NAME, in_a_component, wrapped};
use ephor_tests::random::{self, Random};
use ephor_tests::{binary, forge, guest, policy};

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// What a runtime does before it puts a component in force, in a process of its own.
async fn rehearse(component: &[u8], limits: &Limits) -> Result<Inspection, LoadError> {
    sandbox::rehearse(component, b"{}", &binary(), limits.clone()).await
}

/// What shares memory, differs between processors, or is no part of WebAssembly 2.0.
#[test]
fn dt_07_modules_of_other_proposals_do_not_pass() {
    for (proposal, module) in [
        ("relaxed SIMD", "(func (param v128 v128 v128) (result v128) (f32x4.relaxed_madd (local.get 0) (local.get 1) (local.get 2)))"),
        ("relaxed SIMD", "(func (param v128) (result v128) (i32x4.relaxed_trunc_f32x4_s (local.get 0)))"),
        ("relaxed SIMD", "(func (param v128 v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 1)))"),
        ("shared memory", "(memory 1 1 shared)"),
        ("atomics", "(memory 1) (func (result i32) (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))"),
        ("fences", "(func atomic.fence)"),
        ("waiting", "(memory 1 1 shared) (func (result i32) (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))"),
        ("memory64", "(memory i64 1)"),
        ("table64", "(table i64 1 funcref)"),
        ("tail calls", "(func $f (return_call $f))"),
        ("exceptions", "(tag $t) (func (throw $t))"),
        ("references to values of the host", "(table 1 externref)"),
        ("garbage collection", "(type (struct (field i32)))"),
        ("garbage collection", "(func (result i31ref) (ref.i31 (i32.const 0)))"),
        ("typed references", "(type $t (func)) (func (param (ref $t)))"),
        ("wide arithmetic", "(func (param i64 i64) (result i64 i64) (i64.mul_wide_u (local.get 0) (local.get 1)))"),
        ("page sizes", "(memory 1 (pagesize 1))"),
        ("stack switching", "(type $f (func)) (type $c (cont $f))"),
    ] {
        let module = wat(&format!("(module {module})"));
        let said = gate(&wrapped(&module), &Limits::default());
        assert!(matches!(said, Err(LoadError::Invalid { .. })), "{proposal}: {said:?}");
    }
    // The same way leads on for what is allowed.
    for allowed in ["(func (param v128 v128) (result v128) (f32x4.add (local.get 0) (local.get 1)))", "(memory 1)", "(table 1 funcref)"] {
        let said = gate(&wrapped(&wat(&format!("(module {allowed})"))), &Limits::default());
        assert!(matches!(said, Err(LoadError::WrongWorld { .. })), "{allowed}: {said:?}");
    }
    for component in ["(component (core func (canon thread.index)))", "(component (type (stream u8)))", "(component (type (future)))"] {
        let Ok(component) = wat::parse_str(component) else { panic!("{component}") };
        let said = gate(&component, &Limits::default());
        assert!(matches!(said, Err(LoadError::Invalid { .. })), "{said:?}");
    }
}

/// Nothing that a policy could ask for tells it the time, the machine or the dice: there
/// are two interfaces with functions, and one of them is for words to its author.
#[test]
fn dt_03_ws_15_what_knows_more_than_the_event_cannot_be_imported() {
    let plain = Handmade::default().component();
    assert_eq!(gate(&plain, &Limits::default()).map(drop), Ok(()));
    for name in [
        "wasi:clocks/wall-clock@0.2.0",
        "wasi:clocks/monotonic-clock@0.2.3",
        "wasi:random/random@0.2.0",
        "wasi:random/insecure-seed@0.2.0",
        "wasi:cli/environment@0.2.0",
        "wasi:cli/stdin@0.2.0",
        "wasi:filesystem/preopens@0.2.0",
        "wasi:sockets/tcp@0.2.0",
        "wasi:sockets/network@0.2.0",
        "wasi:http/outgoing-handler@0.2.0",
        "wasi:io/poll@0.2.0",
        "ephor:policy/clock@0.1.0",
        "ephor:policy/random@0.1.0",
        "ephor:other/log@0.1.0",
        "now",
    ] {
        let said = gate(&forge::with_import(&plain, name), &Limits::default());
        assert_eq!(said, Err(LoadError::Import { name: name.into() }));
    }
    // Nor does a name make the answer long in which it is refused.
    let error = gate(&forge::with_import(&plain, &"n".repeat(50_000)), &Limits::default()).expect_err("refused");
    assert!(matches!(error, LoadError::Gate { .. }) && error.to_string().len() < 200, "{error}");
}

/// A patch of the contract is the contract; another minor or major version is refused,
/// and both versions are named.
#[tokio::test(flavor = "multi_thread")]
async fn ws_16_another_version_of_the_contract_is_refused_by_name() {
    let of = |version: &str| Handmade::default().replacing("ephor:policy/log@0.1.0", &format!("ephor:policy/log@{version}")).component();
    for version in ["0.1.0", "0.1.7"] {
        let taken = rehearse(&of(version), &Limits::default()).await;
        assert_eq!(taken.map(|it| it.manifest.name), Ok(NAME.into()), "{version}");
    }
    for version in ["0.2.0", "0.0.9", "1.0.0", "1.1.0"] {
        let error = rehearse(&of(version), &Limits::default()).await.expect_err("another version");
        let name = format!("ephor:policy/log@{version}");
        assert!(matches!(&error, LoadError::ContractVersion { name: found } if *found == name), "{error:?}");
        let said = error.to_string();
        assert!(said.contains(&name) && said.contains("0.1"), "{said}");
    }
    for version in ["0.1", "0.1.x", "0.1.0.0"] {
        let text = Handmade::default().replacing("ephor:policy/log@0.1.0", &format!("ephor:policy/log@{version}")).text();
        // The text's own parser may see it first.
        if let Ok(component) = wat::parse_str(&text) {
            assert!(gate(&component, &Limits::default()).is_err(), "{version}");
        }
    }
}

/// Refused by what it says that it will need.
#[tokio::test(flavor = "multi_thread")]
async fn ws_07_a_memory_of_four_gibibytes_is_refused_before_it_is_made() {
    let of = |pages: u32| {
        Handmade::default().replacing(r#"(memory (export "memory") 2"#, &format!(r#"(memory (export "memory") {pages}"#)).component()
    };
    for pages in [65_536, 257] {
        let said = gate(&of(pages), &Limits::default());
        assert!(
            matches!(&said, Err(LoadError::Gate { problem }) if problem.contains("bytes of memory from the start")),
            "{pages}: {said:?}"
        );
    }
    // Another memory of the same component, which nothing uses.
    let beside = Handmade { component: "(core module $beside (memory 65536))".into(), ..Handmade::default() };
    assert!(matches!(gate(&beside.component(), &Limits::default()), Err(LoadError::Gate { .. })));
    // Where the gate lets it through, the limit of an instance does not.
    let mut open = Limits::default();
    open.gate.memory_initial_bytes_max = 1 << 32;
    let error = rehearse(&of(65_536), &open).await.expect_err("too much");
    assert!(matches!(&error, LoadError::Describe { problem } if problem.contains("its memory")), "{error:?}");
}

/// Tables count over an instance, from the start; what grows or writes one is refused when
/// it is compiled, because the image of an instance could not hold it.
#[tokio::test(flavor = "multi_thread")]
async fn ws_05_tables_are_as_large_as_they_may_be() {
    let with = |module: &str| Handmade { module: module.into(), ..Handmade::default() }.component();
    assert!(rehearse(&with("(table 9999 funcref)"), &Limits::default()).await.is_ok());
    for table in [
        "(table 10001 funcref)",
        "(table 4294967295 funcref)",
        "(table 4294967295 4294967295 funcref)",
        "(table 6000 funcref) (table 6000 funcref)",
    ] {
        let error = rehearse(&with(table), &Limits::default()).await.expect_err("too large");
        assert!(matches!(&error, LoadError::Describe { problem } if problem.contains("its table elements")), "{table}: {error:?}");
    }
    let three = "(table 1 funcref) (table 1 funcref) (table 1 funcref)";
    assert!(matches!(rehearse(&with(three), &Limits::default()).await, Err(LoadError::Gate { .. })));
    for code in ["(table.grow $t (ref.null func) (i32.const 10000000)) drop", "(table.fill $t (i32.const 0) (ref.null func) (i32.const 1))"]
    {
        let error = rehearse(&with(&format!("(table $t 1 funcref) (func {code})")), &Limits::default()).await.expect_err("writes a table");
        assert!(matches!(&error, LoadError::Compile { problem } if problem.contains("table.")), "{code}: {error:?}");
    }
}

/// The contract has neither flags nor characters; a function that has is another function.
#[tokio::test(flavor = "multi_thread")]
async fn ws_14_values_that_the_contract_has_not_or_that_are_none_are_refused() {
    for (from, to) in [
        (r#"(field "rule" u16)"#, r#"(field "rule" char)"#),
        (r#"(field "rows" u32)"#, r#"(field "rows" s32)"#),
        (r#"(enum "flag" "deny")"#, r#"(enum "flag" "deny" "delete")"#),
        (r#"(enum "low" "medium" "high" "critical")"#, r#"(flags "low" "medium" "high" "critical")"#),
    ] {
        let component = Handmade::default().replacing(from, to).component();
        let error = rehearse(&component, &Limits::default()).await.expect_err("another type");
        assert!(matches!(error, LoadError::WrongWorld { .. }), "{to}: {error:?}");
    }
    let manifest = |code: &str| Handmade { describe: code.into(), ..Handmade::default() }.component();
    // Members of the record, by their offsets.
    let [name, fields, fields_count, keyed, rules] = [0, 32, 36, 40, 68].map(|offset| format!("(i32.const {})", MANIFEST + offset));
    for (code, said) in [
        (format!("(i32.store {keyed} (i32.const 2))"), "discriminant"),
        (format!("(i32.store {fields} (i32.const -8))"), "out of bounds"),
        (format!("(i32.store {fields_count} (i32.const -1))"), "out of bounds"),
        // The kind of the first field, its form, and the action of the first rule.
        (format!("(i32.store offset=8 (i32.load {fields}) (i32.const 6))"), "discriminant"),
        (format!("(i32.store offset=20 (i32.load {fields}) (i32.const 4))"), "discriminant"),
        (format!("(i32.store offset=8 (i32.load {rules}) (i32.const 2))"), "discriminant"),
        (format!("(i32.store8 (i32.load {name}) (i32.const 255))"), "utf-8"),
        ("(return (i32.const 4097))".into(), "aligned"),
        ("(return (i32.const -4))".into(), "out of bounds"),
    ] {
        let error = rehearse(&manifest(&code), &Limits::default()).await.expect_err("no manifest");
        assert!(matches!(&error, LoadError::Describe { problem } if problem.contains(said)), "{code}: {error:?}");
    }
    // By the rules of the ABI every number but 0 is true.
    let taken = rehearse(&manifest(&format!("(i32.store8 offset=9 (i32.load {fields}) (i32.const 2))")), &Limits::default()).await;
    assert_eq!(taken.map(|it| it.manifest.fields[0].required), Ok(true));
    let configure = |code: &str| Handmade { configure: code.into(), ..Handmade::default() }.component();
    let error =
        rehearse(&configure(&format!("(i32.store (i32.const {ANSWER}) (i32.const 2))")), &Limits::default()).await.expect_err("no result");
    assert!(matches!(&error, LoadError::Configure { problem } if problem.contains("discriminant")), "{error:?}");
}

/// What does not return from its beginning is not put in force.
#[tokio::test(flavor = "multi_thread")]
async fn ws_09_a_policy_that_loops_or_traps_before_it_is_in_force_is_refused() {
    let limits = Limits { setup_fuel_max: 10_000_000, ..Limits::default() };
    for (code, said) in [("(loop (br 0))", "fuel"), ("unreachable", "unreachable"), ("(drop (memory.grow (i32.const 1000)))", "memory")] {
        let error = rehearse(&Handmade { describe: code.into(), ..Handmade::default() }.component(), &limits).await.expect_err("fails");
        assert!(matches!(&error, LoadError::Describe { problem } if problem.contains(said)), "{code}: {error:?}");
        let error = rehearse(&Handmade { configure: code.into(), ..Handmade::default() }.component(), &limits).await.expect_err("fails");
        assert!(matches!(&error, LoadError::Configure { problem } if problem.contains(said)), "{code}: {error:?}");
    }
    for start in ["(func $s unreachable) (start $s)", "(func $s (loop (br 0))) (start $s)", "(func $s) (start $s)"] {
        let component = format!("(core module $beside {start}) (core instance (instantiate $beside))");
        let error = rehearse(&Handmade { component, ..Handmade::default() }.component(), &limits).await.expect_err("a start function");
        assert!(matches!(&error, LoadError::Gate { problem } if problem.contains("start function")), "{start}: {error:?}");
    }
}

fn is_refusal(error: &LoadError) -> bool {
    !matches!(error, LoadError::Worker { .. } | LoadError::Stopped)
}

/// Keeps a compiler busy in every way that is known: each is refused, or done within the
/// bounds of the process that compiles.
#[tokio::test(flavor = "multi_thread")]
async fn ws_24_what_keeps_a_compiler_busy_is_refused_or_done_in_time() {
    let mut limits = Limits::default();
    limits.worker.cpu_seconds_max = 10;
    let module = |fields: String| Handmade { component: format!("(core module $bomb {fields})"), ..Handmade::default() };
    let straight = |instructions: usize| format!("(func (result i32) (i32.const 1) {})", "(i32.const 3) i32.mul ".repeat(instructions / 2));
    let nested = |depth: usize| format!("(func {} {})", "(block ".repeat(depth), ")".repeat(depth));
    let many = |count: usize, one: &str| one.repeat(count);
    let modules: String = (0..1_000).map(|_| "(core module)").collect();
    let instances: String = "(core module $m) ".chars().chain("(core instance (instantiate $m)) ".repeat(4_096).chars()).collect();
    let once_each: String = (0..1_000).map(|_| "(core instance)").collect();
    let mut deep = "(type $t0 (list u8))".to_string();
    for level in 1..2_000 {
        let _ = write!(deep, "(type $t{level} (list $t{}))", level - 1);
    }
    let mut wide = "(type $w0 (tuple u8 u8))".to_string();
    for level in 1..40 {
        let _ = write!(wide, "(type $w{level} (tuple $w{0} $w{0}))", level - 1);
    }
    let mut table = "(func (param i32) ".to_string();
    let _ = write!(table, "(block (br_table {} (local.get 0))))", "0 ".repeat(100_000));
    let ifs = |count: usize| {
        format!("(func (local {}) {})", "i32 ".repeat(1_000), "(if (local.get 1) (then (local.set 2 (local.get 3)))) ".repeat(count))
    };
    let with = |component: String| Handmade { component, ..Handmade::default() };
    let bombs = [
        ("a million instructions", module(straight(1_000_000)), true),
        ("long functions", module(many(2, &straight(60_000))), false),
        ("blocks in blocks", module(nested(20_000)), true),
        ("blocks in blocks, as many as may be", module(many(20, &nested(500))), false),
        ("a branch with many targets", module(table), true),
        ("ten thousand functions", module(many(10_001, "(func)")), true),
        ("half as many functions", module(many(5_000, "(func)")), false),
        ("functions with many locals and branches", module(many(2, &ifs(9_000))), false),
        ("too many locals", module(many(101, &ifs(1))), true),
        ("a thousand modules", with(modules), true),
        ("instances of one module", with(instances), true),
        ("instances of nothing", with(once_each), false),
        ("types in types", with(deep), true),
        ("types that double", with(wide), true),
        ("a hundred thousand types", with(many(100_000, "(type u8)")), false),
        (
            "exports of exports",
            module(format!("(func $f) {}", (0..50_000).map(|at| format!("(export \"{at}\" (func $f))")).collect::<String>())),
            false,
        ),
    ];
    let wall = Duration::from_secs(limits.worker.wall_seconds_max);
    let bombs = bombs.into_iter().map(|(name, handmade, must_be_refused)| (name, handmade.component(), must_be_refused));
    let nested = (0..200).fold(Handmade::default().component(), |inner, _| in_a_component(4, &inner));
    for (name, component, must_be_refused) in bombs.chain([("components in components", nested, true)]) {
        let begin = Instant::now();
        let said = rehearse(&component, &limits).await;
        assert!(begin.elapsed() < wall + Duration::from_secs(10), "{name} took {:?}", begin.elapsed());
        eprintln!("{name}: {} bytes, {:?}: {:?}", component.len(), begin.elapsed(), said.as_ref().map(|it| it.bytes));
        match said {
            Ok(_) => assert!(!must_be_refused, "{name} is taken"),
            Err(error) => assert!(is_refusal(&error), "{name}: {error:?}"),
        }
    }
}

#[test]
fn ws_23_a_function_of_many_locals_and_branches_is_refused_by_reading_it() {
    let bomb = forge::slow_to_compile(&guest("traps_on_a_row"), 8_000, 16_000);
    assert!(bomb.len() > 264 << 10, "it is one that takes a compiler a minute");
    assert!(matches!(gate(&bomb, &Limits::default()), Err(LoadError::Gate { .. })));
}

/// What the tools give up on ends their process, and what they said is the reason: here they
/// have not reckoned with a module of memories that stands beside the policy's.
#[tokio::test(flavor = "multi_thread")]
async fn ws_24_what_the_tools_give_up_on_is_told_in_their_words() {
    let component = "(core module $beside (memory 0 0)) (core instance (instantiate $beside))".into();
    let error = rehearse(&Handmade { component, ..Handmade::default() }.component(), &Limits::default()).await.expect_err("given up");
    let is_in_their_words = |problem: &str| problem.starts_with("the compiler gave up: assertion") && !problem.contains("RUST_BACKTRACE");
    assert!(matches!(&error, LoadError::Compile { problem } if is_in_their_words(problem)), "{error:?}");
}

/// Five components, cut at every byte and with every bit changed where `EPHOR_CUTS=1`,
/// otherwise at some hundreds of places. What is still a component by accident is another
/// one by its digest, which is what a release names.
#[tokio::test(flavor = "multi_thread")]
async fn ws_25_a_component_that_is_cut_or_changed_harms_nothing_and_has_another_digest() {
    let all = random::number("EPHOR_CUTS") == Some(1);
    let limits = Limits::default();
    let mut random = Random::from_env("EPHOR_SEED");
    let (mut cuts, mut flips, mut whole) = (0_u64, 0_u64, Vec::new());
    for component in
        [policy("negative-list"), policy("fleet-cap"), guest("stateful_trap"), guest("looks_up"), Handmade::default().component()]
    {
        let digest = Digest::of(&component);
        let places = if all { component.len() as u64 } else { 200 };
        for place in 0..places {
            let end = if all { place } else { random.below(component.len() as u64) } as usize;
            cuts += 1;
            assert!(gate(&component[..end], &limits).is_err(), "cut at {end} it is still a policy");
        }
        let bits = component.len() as u64 * 8;
        let mut changed = component.clone();
        for place in 0..if all { bits } else { 200 } {
            let bit = if all { place } else { random.below(bits) } as usize;
            changed[bit / 8] ^= 1 << (bit % 8);
            flips += 1;
            if gate(&changed, &limits).is_ok() {
                assert_ne!(Digest::of(&changed), digest);
                if whole.len() < 10 {
                    whole.push(changed.clone());
                }
            }
            changed[bit / 8] ^= 1 << (bit % 8);
        }
    }
    eprintln!("{cuts} cuts, {flips} changed bits");
    assert!(!whole.is_empty(), "some of what was changed can be read all the same");
    for changed in whole {
        if let Err(error) = rehearse(&changed, &limits).await {
            assert!(is_refusal(&error), "{error:?}");
        }
    }
}
