//! What no compiler of an honest policy would make: lists that are elsewhere, texts that
//! are none, numbers that stand for nothing. One policy, written by hand, has a letter for
//! each; each costs its own row its answer and nobody else anything.

use ephor_tests::handmade::{ANSWER, Handmade, NAME, store};
use ephor_tests::{Ephor, event, forge};
use serde_json::Value;

use crate::{GOOD, LISTED, with_good_policy};

/// Memory that a case may write to, before what `cabi_realloc` gives.
const ROOM: u32 = 20_480;

/// An answer with one finding that has this piece of evidence: addresses and lengths of
/// its name and value.
fn evidence(name: [u32; 2], value: [u32; 2]) -> String {
    let one = store(ROOM + 64, &[name[0], name[1], value[0], value[1]]);
    format!("{} {} {one} (i32.const {ANSWER})", store(ANSWER, &[ROOM, 1]), store(ROOM, &[0, 0, ROOM + 64, 1]))
}

/// An answer with one finding whose evidence has these bytes.
fn said(bytes: &[u8]) -> String {
    let write = |(at, byte): (usize, &u8)| format!("(i32.store8 (i32.const {}) (i32.const {byte}))", ROOM as usize + 128 + at);
    let bytes_there: String = bytes.iter().enumerate().map(write).collect();
    format!("{bytes_there} {}", evidence([ROOM + 128, 0], [ROOM + 128, bytes.len() as u32]))
}

/// A case: its letter, what it does, the kind of its fault, and what the fault says.
type Case = (char, String, &'static str, &'static str);

/// Adds 4,000 pieces of evidence behind what `cabi_realloc` has given, each of the same
/// 40 KiB of zeros.
fn aliased() -> String {
    format!(
        "(local.set $a (call $alloc (i32.const 64000))) (local.set $b (local.get $a))
         (loop
            (i32.store (local.get $b) (i32.const 24576))
            (i32.store offset=4 (local.get $b) (i32.const 40960))
            (i32.store offset=8 (local.get $b) (i32.const 24576))
            (i32.store offset=12 (local.get $b) (i32.const 40960))
            (local.set $b (i32.add (local.get $b) (i32.const 16)))
            (br_if 0 (i32.lt_u (local.get $b) (i32.add (local.get $a) (i32.const 64000)))))
         {} {} (i32.store (i32.const {}) (local.get $a)) (i32.const {ANSWER})",
        store(ANSWER, &[ROOM, 1]),
        store(ROOM, &[0, 0, 0, 4_000]),
        ROOM + 8,
    )
}

/// As many findings that all have the same evidence, of as many pieces without a text.
fn aliased_lists() -> String {
    format!(
        "(local.set $a (call $alloc (i32.const 64000))) (local.set $c (call $alloc (i32.const 64000))) (local.set $b (local.get $a))
         (loop
            (i32.store offset=8 (local.get $b) (local.get $c))
            (i32.store offset=12 (local.get $b) (i32.const 4000))
            (local.set $b (i32.add (local.get $b) (i32.const 16)))
            (br_if 0 (i32.lt_u (local.get $b) (i32.add (local.get $a) (i32.const 64000)))))
         {} (i32.store (i32.const {ANSWER}) (local.get $a)) (i32.const {ANSWER})",
        store(ANSWER, &[0, 4_000]),
    )
}

fn log(level: u32, address: u32, bytes: u32) -> String {
    format!("(call $log (i32.const {level}) (i32.const {address}) (i32.const {})) (i32.const {ANSWER})", bytes as i32)
}

const AGAIN: &str =
    "(local.get $rows) (local.get $columns) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)";
const ALL_I32: &str = "(param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)";

/// Sends one event for each case, with good ones between, and holds every answer against
/// what has to come.
async fn check(handmade: Handmade, cases: Vec<Case>) -> Ephor {
    let mut ephor = with_good_policy("").await;
    let handmade = cases.iter().fold(handmade, |handmade, (letter, does, ..)| handmade.on(*letter, does));
    ephor.put(NAME, &handmade.component(), "{}").await.succeeded();
    let before = ephor.resident_bytes();
    let mut events = Vec::new();
    for (letter, ..) in &cases {
        events.extend([event::listing(format!("{letter}"), &format!("!{letter}")), event::listing(format!("{letter}-good"), LISTED)]);
    }
    let body = Value::from(events).to_string();
    let answers = ephor.post("application/cloudevents-batch+json", body).await.expect(200).json();
    let answers = answers.as_array().expect("an array");
    let mut wrong = Vec::new();
    for ((letter, _, kind, detail), answers) in cases.iter().zip(answers.chunks(2)) {
        let faults: Vec<&Value> = event::faults(&answers[0], NAME).collect();
        let is_right = match (&faults[..], kind.is_empty()) {
            ([], true) => answers[0]["verdict"] == "allow",
            ([fault], false) => {
                let said = event::text(fault, "detail");
                fault["kind"] == *kind
                    && said.contains(detail)
                    && answers[0]["verdict"] == "undetermined"
                    && said.len() < 200
                    && !said.contains('\n')
            }
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{letter}: {kind} {detail:?} was expected: {}", answers[0]));
        }
        assert_eq!(event::findings(&answers[1], GOOD).count(), 1, "the neighbour of {letter}: {}", answers[1]);
        assert!(answers[1].get("faults").is_none(), "the neighbour of {letter}: {}", answers[1]);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let more = ephor.resident_bytes().saturating_sub(before);
    assert!(more < 64 << 20, "{more} bytes more");
    assert!(ephor.is_alive());
    ephor
}

#[tokio::test(flavor = "multi_thread")]
async fn ws_11_lists_that_are_not_in_memory_cost_the_row_its_answer() {
    let end = 2 * 65_536;
    let cases: Vec<Case> = vec![
        ('a', format!("{} (i32.const {ANSWER})", store(ANSWER, &[0, u32::MAX])), "output", "out of bounds"),
        ('b', evidence([u32::MAX, 1], [0, 0]), "output", "out of bounds"),
        ('c', evidence([end - 1, 2], [0, 0]), "output", "out of bounds"),
        ('d', evidence([0, 0], [0, u32::MAX]), "output", "out of bounds"),
        ('e', format!("{} (i32.const {ANSWER})", store(ANSWER, &[end - 8, 1])), "output", "out of bounds"),
        ('f', format!("{} (i32.const {ANSWER})", store(ANSWER + 8, &[end - 8, 1 << 28])), "output", "out of bounds"),
        ('g', "(i32.const -16)".into(), "output", "out of bounds"),
        ('h', format!("(i32.const {})", ANSWER + 1), "output", "aligned"),
        ('i', format!("{} (i32.const {ANSWER})", store(ANSWER, &[ROOM + 2, 1])), "output", "aligned"),
        ('j', log(0, u32::MAX, 2), "output", "out of bounds"),
        ('k', log(0, 0, u32::MAX), "output", "out of bounds"),
    ];
    check(Handmade::default(), cases).await;
}

/// A few bytes of a guest's memory, handed over again and again.
#[tokio::test(flavor = "multi_thread")]
async fn ws_12_lists_that_lie_over_each_other_are_counted_as_what_they_would_become() {
    let cases: Vec<Case> = vec![('a', aliased(), "output", "too much data"), ('b', aliased_lists(), "output", "too much data")];
    check(Handmade::default(), cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ws_13_texts_that_are_not_utf_8_are_not_taken_and_not_shown() {
    let reason = format!(
        "(i32.store (i32.const {}) (i32.const 0x80feff)) {} {} (i32.const {ANSWER})",
        ROOM + 128,
        store(ANSWER + 8, &[ROOM, 1]),
        store(ROOM, &[0, ROOM + 128, 3])
    );
    let logged = format!("(i32.store (i32.const {ROOM}) (i32.const 0x80feff)) {}", log(2, ROOM, 3));
    let cases: Vec<Case> = vec![
        ('a', said(b"\xff\xfe\x80"), "output", "utf-8"),
        ('b', said(b"\xed\xa0\x80"), "output", "utf-8"),
        ('c', said(b"\xc0\x80"), "output", "utf-8"),
        ('d', said(b"\xf4\x90\x80\x80"), "output", "utf-8"),
        ('e', reason, "output", "utf-8"),
        ('f', logged, "output", "utf-8"),
    ];
    let ephor = check(Handmade::default(), cases).await;
    assert!(!ephor.log().contains('\u{fffd}'), "{}", ephor.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn ws_14_numbers_that_stand_for_nothing_cost_the_row_its_answer() {
    let cases: Vec<Case> = vec![
        ('a', format!("{} {} (i32.const {ANSWER})", store(ANSWER + 16, &[ROOM, 1]), store(ROOM, &[0, 2, 0, 0])), "output", "discriminant"),
        (
            'b',
            format!("{} {} (i32.const {ANSWER})", store(ANSWER + 24, &[ROOM, 1]), store(ROOM, &[0, 0, 255, 0, 0, 0])),
            "output",
            "discriminant",
        ),
        ('c', log(3, 0, 0), "output", "discriminant"),
        ('d', log(u32::MAX >> 1, 0, 0), "output", "discriminant"),
    ];
    check(Handmade::default(), cases).await;
}

/// One step of a loop over bytes of memory, on and on.
#[tokio::test(flavor = "multi_thread")]
async fn ws_06_ws_08_work_without_end_is_ended_wherever_it_is_done() {
    let fill = "(loop (memory.fill (i32.const 65536) (i32.const 7) (i32.const 65536)) (br 0)) unreachable";
    let copy = "(loop (memory.copy (i32.const 65536) (i32.const 0) (i32.const 65536)) (br 0)) unreachable";
    let cases: Vec<Case> = vec![
        ('a', fill.into(), "fuel", "ran out of fuel"),
        ('b', copy.into(), "fuel", "ran out of fuel"),
        ('c', "(memory.fill (i32.const 65536) (i32.const 0) (i32.const 65537)) unreachable".into(), "trap", "out of bounds memory access"),
        ('d', format!("(call $evaluate {AGAIN})"), "trap", "stack"),
        ('e', format!("(call_indirect $again {ALL_I32} {AGAIN} (i32.const 0))"), "trap", "stack"),
        ('f', "(loop (br 0)) unreachable".into(), "fuel", "ran out of fuel"),
        ('g', "unreachable".into(), "trap", "unreachable"),
        ('h', "(i32.div_u (i32.const 1) (i32.const 0))".into(), "trap", "divide by zero"),
        ('i', "(call_indirect $again (result i32) (i32.const 0))".into(), "trap", "indirect call type mismatch"),
        ('j', format!("(call_indirect $again {ALL_I32} {AGAIN} (i32.const 1))"), "trap", "uninitialized element"),
        ('k', format!("(call_indirect $again {ALL_I32} {AGAIN} (i32.const -1))"), "trap", "out of bounds"),
    ];
    let module = "(table $again 2 2 funcref) (elem (table $again) (i32.const 0) func $evaluate)".into();
    check(Handmade { module, ..Handmade::default() }, cases).await;
}

/// The host counts what one call says, not what it is told that there is.
#[tokio::test(flavor = "multi_thread")]
async fn ws_21_what_a_call_writes_to_the_log_is_counted_and_bounded() {
    let grow = "(drop (memory.grow (i32.const 100)))";
    let lines = |count: u32| {
        format!(
            "(loop (call $log (i32.const 1) (i32.const 4096) (i32.const 0))
                (local.set $a (i32.add (local.get $a) (i32.const 1)))
                (br_if 0 (i32.lt_u (local.get $a) (i32.const {count}))))
             (i32.const {ANSWER})"
        )
    };
    let cases: Vec<Case> = vec![
        ('a', format!("{grow} {}", log(1, 0, 6 << 20)), "output", "too much data"),
        ('b', format!("{grow} (loop (call $log (i32.const 1) (i32.const 0) (i32.const 1048576)) (br 0)) unreachable"), "output", ""),
        ('c', lines(10_000_000), "output", "more to its log"),
        ('d', lines(1_064), "", ""),
    ];
    let ephor = check(Handmade::default(), cases).await;
    let dropped = "policy says more than is kept of one call";
    ephor.wait_until("what was dropped is in the log", || ephor.log().contains(dropped));
    let counted = |line: &&str| {
        line.contains(dropped) && (line.contains("dropped=1000 ") || line.ends_with("dropped=1000") || line.contains("\"dropped\":1000"))
    };
    ephor.wait_until("the exact number of lines that were dropped is there", || ephor.log().lines().any(|line| counted(&line)));
    assert!(ephor.log().len() < 4 << 20, "the log has {} bytes", ephor.log().len());
}

/// The contract has no handles. A component can have some of its own all the same.
#[tokio::test(flavor = "multi_thread")]
async fn ws_17_handles_of_a_component_s_own_are_bounded() {
    let handmade = Handmade {
        component: "(type $r (resource (rep i32))) (core func $new (canon resource.new $r)) (core func $drop (canon resource.drop $r))"
            .into(),
        host: r#"(export "new" (func $new)) (export "drop" (func $drop))"#.into(),
        module: r#"(import "host" "new" (func $new (param i32) (result i32))) (import "host" "drop" (func $drop (param i32)))"#.into(),
        ..Handmade::default()
    };
    let some = |count: u32, with: &str| {
        format!(
            "(loop {with} (local.set $a (i32.add (local.get $a) (i32.const 1))) (br_if 0 (i32.lt_u (local.get $a) (i32.const {count}))))
             (i32.const {ANSWER})"
        )
    };
    let cases: Vec<Case> = vec![
        ('a', some(5_000_000, "(drop (call $new (i32.const 1)))"), "output", "handle limit"),
        ('b', some(900, "(drop (call $new (i32.const 1)))"), "", ""),
        ('c', some(20_000, "(call $drop (call $new (i32.const 1)))"), "", ""),
        ('d', "(call $drop (i32.const 77)) unreachable".into(), "output", "handle index 77"),
        (
            'e',
            "(local.set $a (call $new (i32.const 1))) (call $drop (local.get $a)) (call $drop (local.get $a)) unreachable".into(),
            "output",
            "handle index 1",
        ),
    ];
    check(handmade, cases).await;
}

/// The host calls into a component in the middle of something in one place only: where it
/// asks for memory to put arguments into. From there nothing leads back to the host.
#[tokio::test(flavor = "multi_thread")]
async fn ws_19_a_policy_that_calls_the_host_while_it_is_called_is_stopped_at_the_first_step() {
    let ephor = with_good_policy("").await;
    let handmade = Handmade {
        module: "(global $armed (mut i32) (i32.const 0))".into(),
        configure: "(global.set $armed (i32.const 1))".into(),
        realloc: "(if (global.get $armed) (then (call $log (i32.const 2) (i32.const 4096) (i32.const 0))))".into(),
        ..Handmade::default()
    };
    ephor.put(NAME, &handmade.component(), "{}").await.succeeded();
    let answers = ephor.judge([event::listing(1, LISTED)]).await;
    let faults: Vec<&Value> = event::faults(&answers[0], NAME).collect();
    assert!(
        matches!(faults[..], [fault] if fault["kind"] == "trap" && event::text(fault, "detail").contains("cannot leave")),
        "{}",
        answers[0]
    );
    assert_eq!(event::findings(&answers[0], GOOD).count(), 1, "{}", answers[0]);
    // And the functions that the host has for policies have no way to call one.
    for (file, text) in crate::tidy::sources("runtime/src/sandbox") {
        let calls = text.lines().filter(|line| {
            ["call_evaluate(", "call_wake(", "call_migrate(", "call_describe(", "call_configure("].iter().any(|call| line.contains(call))
        });
        let may = ["image.rs", "worker.rs"].iter().any(|name| file.ends_with(name));
        assert!(may || calls.count() == 0, "{file} calls a policy");
    }
}

/// What an instance leaves in memory and globals is nobody's: not that of its own policy's
/// next call, and not that of another's.
#[tokio::test(flavor = "multi_thread")]
async fn ws_20_nothing_of_an_instance_is_left_for_another() {
    let rounds = ephor_tests::random::number("EPHOR_ROUNDS").unwrap_or(150);
    let ephor = Ephor::start_with("[sandbox]\nevent-fuel-max = 1000000000\ncall-ms-max = 60000\n[spine]\nbatch-events-max = 1", &[]);
    // From behind the arguments of the call to the end of 8 MiB.
    let grown = "(drop (memory.grow (i32.const 126)))";
    let write = format!(
        "(global.set $left (i32.const 165)) {grown} (memory.fill (i32.const 69632) (i32.const 165) (i32.const {})) (i32.const {ANSWER})",
        (128 << 16) - 69_632
    );
    let look = format!(
        "(if (global.get $left) (then unreachable)) {grown} (local.set $a (i32.const 69632))
         (loop
            (local.set $x (i64.or (local.get $x) (i64.load (local.get $a))))
            (local.set $a (i32.add (local.get $a) (i32.const 8)))
            (br_if 0 (i32.lt_u (local.get $a) (i32.const {}))))
         (if (i64.ne (local.get $x) (i64.const 0)) (then unreachable)) (i32.const {ANSWER})",
        128 << 16
    );
    let module = "(global $left (mut i32) (i32.const 0))".to_string();
    // As a check of the check: within one call both is seen.
    let both = format!("{} (drop (block (result i32) {look}))", write.replace(&format!("(i32.const {ANSWER})"), "")) + " unreachable";
    let handmade = Handmade { module, ..Handmade::default() }.on('w', &*write).on('l', &*look).on('b', both);
    let component = handmade.component();
    let other = forge::renamed(&component, NAME, "landmade");
    ephor.put(NAME, &component, "{}").await.succeeded();
    ephor.put("landmade", &other, "{}").await.succeeded();
    let events =
        (0..rounds).flat_map(|round| [event::listing(format!("{round} write"), "!w"), event::listing(format!("{round} look"), "!l")]);
    let answers = ephor.judge(events).await;
    for answer in &answers {
        assert_eq!(answer["verdict"], "allow", "{answer}");
    }
    let answers = ephor.judge([event::listing("both", "!b")]).await;
    assert_eq!(answers[0]["faults"].as_array().map(Vec::len), Some(2), "{}", answers[0]);
    assert!(answers[0]["faults"].as_array().into_iter().flatten().all(|fault| fault["kind"] == "trap"), "{}", answers[0]);
}

/// The clock of the safety net ends what fuel does not. Such a call is made again, is never
/// taken for what the policy says, and leaves nothing behind: more of them than there are
/// places for instances take none of the places.
#[tokio::test(flavor = "multi_thread")]
async fn ws_02_ws_18_dt_06_what_the_clock_ends_is_the_machine_s_and_leaves_nothing_behind() {
    let config = "[sandbox]\nevent-fuel-max = 4000000000000000000\nfailure-cost-max = 4000000000000000000\ncall-ms-max = 5";
    let mut ephor = with_good_policy(config).await;
    let spin = "(loop (br 0)) unreachable";
    let fill =
        "(drop (memory.grow (i32.const 200))) (loop (memory.fill (i32.const 65536) (i32.const 7) (i32.const 13041664)) (br 0)) unreachable";
    let handmade = Handmade::default().on('s', spin).on('f', fill);
    ephor.put(NAME, &handmade.component(), "{}").await.succeeded();
    let pid = ephor.pid();
    let maps = || std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("the process is there").lines().count();
    let judge = async |id: String, what: &str| {
        let answers = ephor.judge([event::listing(id, what)]).await;
        answers.into_iter().next().expect("an answer")
    };
    let mut begin = 0;
    for round in 0..150 {
        if round == 20 {
            begin = maps();
        }
        let answer = judge(format!("{round}"), if round % 5 == 0 { "!f BOX OF CIGAR" } else { "!s BOX OF CIGAR" }).await;
        let faults: Vec<&Value> = event::faults(&answer, NAME).collect();
        assert!(
            matches!(faults[..], [fault] if fault["kind"] == "timeout" && event::text(fault, "detail").contains("this machine")),
            "{answer}"
        );
        assert_eq!(event::findings(&answer, NAME).count(), 0, "{answer}");
        assert_eq!(event::findings(&answer, GOOD).count(), 1, "the good policy has its say: {answer}");
    }
    assert!(maps() < begin + 64, "{begin} maps have become {}", maps());
    let answer = judge("after".into(), LISTED).await;
    assert!(answer.get("faults").is_none(), "{answer}");
    assert!(ephor.metric("ephor_faults_total", "timeout") >= 150.0);
    assert!(ephor.is_alive());
}

/// A policy may have its memory to the last page, and never one more, however often it asks
/// and whoever else does; a bound of its own is its own affair.
#[tokio::test(flavor = "multi_thread")]
async fn ws_03_dt_04_memory_ends_at_the_same_page_every_time() {
    let grow =
        |pages: u32| format!("(if (i32.ne (memory.grow (i32.const {pages})) (i32.const 2)) (then unreachable)) (i32.const {ANSWER})");
    let touch = "(loop (drop (memory.grow (i32.const 1)))
        (memory.fill (i32.shl (i32.sub (memory.size) (i32.const 1)) (i32.const 16)) (i32.const 1) (i32.const 65536)) (br 0)) unreachable";
    let cases: Vec<Case> = vec![
        ('a', grow(254), "", ""),
        ('b', grow(255), "memory", "its memory"),
        ('c', grow(65_534), "memory", "its memory"),
        ('d', grow(65_535), "memory", "its memory"),
        ('e', "(loop (drop (memory.grow (i32.const 1))) (br 0)) unreachable".into(), "memory", "its memory"),
    ];
    let ephor = check(Handmade::default(), cases).await;
    let events = (0..200).map(|id| event::listing(format!("again {id}"), if id % 2 == 0 { "!a" } else { "!b" }));
    for (id, answer) in ephor.judge(events).await.iter().enumerate() {
        assert_eq!(answer["verdict"], if id % 2 == 0 { "allow" } else { "undetermined" }, "{answer}");
    }
    drop(ephor);
    // Every page that it gets is written to, which the fuel of one event is not enough for.
    let ephor = with_good_policy("[sandbox]\nevent-fuel-max = 1000000000\ncall-ms-max = 60000").await;
    ephor.put(NAME, &Handmade::default().on('t', touch).component(), "{}").await.succeeded();
    let before = ephor.resident_bytes();
    for id in 0..20 {
        let answers = ephor.judge([event::listing(id, "!t")]).await;
        assert!(event::faults(&answers[0], NAME).all(|fault| fault["kind"] == "memory"), "{}", answers[0]);
    }
    let more = ephor.resident_bytes().saturating_sub(before);
    // An instance's 16 MiB for each thread that evaluates, and what was loaded for it.
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    assert!(more < (16 << 20) * threads + (48 << 20), "{more} bytes more");
}

/// Its own maximum says no before ours does, and costs it nothing.
#[tokio::test(flavor = "multi_thread")]
async fn dt_04_a_maximum_that_a_policy_declares_is_a_failed_growth() {
    let code = format!(
        "(if (i32.ne (memory.grow (i32.const 99)) (i32.const -1)) (then unreachable))
         (if (i32.ne (memory.grow (i32.const 98)) (i32.const 2)) (then unreachable)) (i32.const {ANSWER})"
    );
    let cases: Vec<Case> = vec![('a', code, "", "")];
    check(Handmade { memory: "100".into(), ..Handmade::default() }, cases).await;
}

/// The machine has not the memory that a policy may have: that is never the policy's
/// answer, and not its fault. With memory again, so is the answer.
#[tokio::test(flavor = "multi_thread")]
async fn dt_04_memory_that_the_machine_has_not_is_the_machine_s() {
    let ephor = Ephor::start_with("[spine]\nthreads = 1", &[]);
    // It would answer otherwise where it is told that there is no memory.
    let code = format!(
        "(if (i32.eq (memory.grow (i32.const 250)) (i32.const -1)) (then (return (block (result i32) {}))))
         (i32.const {ANSWER})",
        said(b"no memory")
    );
    ephor.put(NAME, &Handmade::default().on('m', code).component(), "{}").await.succeeded();
    let pid = ephor.pid().to_string();
    let limit = |bytes: &str| {
        let done = std::process::Command::new("prlimit").args(["--pid", &pid, &format!("--data={bytes}:unlimited")]).status();
        assert!(done.expect("`prlimit` starts: apt-get install util-linux").success());
    };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let data = status.lines().find_map(|line| line.strip_prefix("VmData:")).expect("a size");
    let data: u64 = data.trim().trim_end_matches(" kB").parse::<u64>().expect("KiB") << 10;
    // Room for the server, and not for the 15 MiB that the policy asks for.
    limit(&(data + (10 << 20)).to_string());
    let without = ephor.judge([event::listing("without", "!m")]).await;
    limit("unlimited");
    let with = ephor.judge([event::listing("with", "!m")]).await;
    let faults: Vec<&Value> = event::faults(&without[0], NAME).collect();
    assert!(
        matches!(faults[..], [fault] if fault["kind"] == "timeout" && event::text(fault, "detail").contains("this machine")),
        "{}",
        without[0]
    );
    assert_eq!(event::findings(&without[0], NAME).count(), 0, "{}", without[0]);
    assert_eq!((with[0]["verdict"].as_str(), with[0].get("faults")), (Some("allow"), None), "{}", with[0]);
}

/// However a NaN comes about, it has the bits of the one that WebAssembly calls canonical.
#[tokio::test(flavor = "multi_thread")]
async fn dt_02_every_nan_that_is_computed_has_the_same_bits() {
    // What the compiler cannot know, because it lies in memory.
    let f64s = |value: &str| format!("(f64.load (i32.const {}))", ROOM as usize + if value == "zero" { 0 } else { 8 });
    let f32s = |value: &str| format!("(f32.load (i32.const {}))", ROOM as usize + if value == "zero" { 16 } else { 20 });
    let values = format!(
        "(i64.store (i32.const {}) (i64.const 0x7ff4dead0000beef)) (i32.store (i32.const {}) (i32.const 0x7fa0beef)) ",
        ROOM + 8,
        ROOM + 20
    );
    let is_64 = |code: String| {
        format!(
            "{values} (if (i64.ne (i64.and (i64.reinterpret_f64 {code}) (i64.const 0x7fffffffffffffff)) (i64.const 0x7ff8000000000000)) (then unreachable)) (i32.const {ANSWER})"
        )
    };
    let is_32 = |code: String| {
        format!(
            "{values} (if (i32.ne (i32.and (i32.reinterpret_f32 {code}) (i32.const 0x7fffffff)) (i32.const 0x7fc00000)) (then unreachable)) (i32.const {ANSWER})"
        )
    };
    let (zero, nan, zero_32, nan_32) = (f64s("zero"), f64s("nan"), f32s("zero"), f32s("nan"));
    let lane = |code: &str| format!("(f64x2.extract_lane 0 {code})");
    let codes = [
        is_64(format!("(f64.div {zero} {zero})")),
        is_64(format!("(f64.sqrt (f64.sub {zero} (f64.const 1)))")),
        is_64(format!("(f64.add {nan} (f64.const 1))")),
        is_64(format!("(f64.mul (f64.const 2) {nan})")),
        is_64(format!("(f64.min {nan} (f64.const 1))")),
        is_64(format!("(f64.max (f64.const 1) {nan})")),
        is_64(format!("(f64.ceil {nan})")),
        is_64(format!("(f64.nearest {nan})")),
        is_64(format!("(f64.promote_f32 {nan_32})")),
        is_64(lane(&format!("(f64x2.div (f64x2.splat {zero}) (f64x2.splat {zero}))"))),
        is_64(lane(&format!("(f64x2.min (f64x2.splat {nan}) (f64x2.splat {zero}))"))),
        is_64(lane(&format!("(f64x2.sqrt (f64x2.splat (f64.sub {zero} (f64.const 1))))"))),
        is_32(format!("(f32.div {zero_32} {zero_32})")),
        is_32(format!("(f32.sqrt (f32.sub {zero_32} (f32.const 1)))")),
        is_32(format!("(f32.add {nan_32} (f32.const 1))")),
        is_32(format!("(f32.min {nan_32} (f32.const 1))")),
        is_32(format!("(f32.max (f32.const 1) {nan_32})")),
        is_32(format!("(f32.demote_f64 {nan})")),
        is_32(format!("(f32x4.extract_lane 3 (f32x4.sub (f32x4.splat {nan_32}) (f32x4.splat {zero_32})))")),
        // As a check of the check: what is only carried along keeps its bits.
        is_64(nan.clone()),
    ];
    let last = codes.len() - 1;
    let case = |(at, code): (usize, String)| -> Case { ((b'a' + at as u8) as char, code, if at == last { "trap" } else { "" }, "") };
    let cases = codes.into_iter().enumerate().map(case).collect();
    check(Handmade::default(), cases).await;
}
