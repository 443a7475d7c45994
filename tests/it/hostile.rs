//! Guests that loop, grow, trap, shout, or never should have been loaded. Each
//! stands beside a good policy and harms nothing but its own findings.

use std::time::{Duration, Instant};

use ephor_tests::{Ephor, event, forge, guest, policy, settings, soon};
use serde_json::{Value, json};

use crate::{GOOD, LISTED, with_good_policy};

/// Rows of the batch in which one row is bad, and that row.
const ROWS: usize = 64;
const BAD: usize = 37;

/// Listings of which some are to be found by the good policy and some by the
/// guest; one makes the guest misbehave.
fn rows(misbehave: &str) -> Vec<Value> {
    let description = |row| match row {
        BAD => misbehave.to_string(),
        row if row % 5 == 0 => LISTED.to_string(),
        row if row % 7 == 0 => format!("SEEN {row}"),
        _ => "LANTERN".to_string(),
    };
    (0..ROWS).map(|row| event::listing(row, &description(row))).collect()
}

/// Others of the same kind.
fn more_rows(misbehave: &str) -> Vec<Value> {
    let mut rows = rows(misbehave);
    rows.iter_mut().for_each(|row| row["source"] = "/more".into());
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_loaded_and_what_is_refused_is_counted_once() {
    let ephor = with_good_policy("").await;
    let loads = |outcome: &str| ephor.metric("ephor_loads_total", &format!("outcome=\"{outcome}\""));
    assert_eq!(loads("loaded"), 1.0);
    let answer = ephor.put("other", b"no component", "{}").await;
    assert!(!answer.status.is_success(), "{}", answer.text());
    assert_eq!((loads("loaded"), loads("not-a-component")), (1.0, 1.0));
}

/// Checks that every event has a verdict and that the good policy has said what
/// it would have said alone.
fn assert_unharmed(answers: &[Value]) {
    assert_eq!(answers.len(), ROWS);
    for (row, answer) in answers.iter().enumerate() {
        assert_eq!(answer["id"], row.to_string(), "{answer}");
        assert!(answer["verdict"].is_string(), "{answer}");
        let expected = usize::from(row != BAD && row % 5 == 0);
        assert_eq!(event::findings(answer, GOOD).count(), expected, "the good policy on row {row}: {answer}");
        assert_eq!(event::faults(answer, GOOD).count(), 0, "the good policy on row {row}: {answer}");
    }
}

/// Runs a guest that misbehaves on one row beside the good policy.
async fn check(file: &str, misbehave: &str, kinds: &[&str]) {
    let mut ephor = with_good_policy("").await;
    let name = file.replace('_', "-");
    ephor.put(&name, &guest(file), "{}").await.succeeded();
    let begin = Instant::now();
    // As one batch request, so that the rows are evaluated together.
    let batch = Value::from(rows(misbehave)).to_string();
    let answers = ephor.post("application/cloudevents-batch+json", batch).await.expect(200).json();
    assert!(begin.elapsed() < Duration::from_secs(30), "{file} took {:?}", begin.elapsed());
    let answers = answers.as_array().expect("an array");
    assert_unharmed(answers);
    for (row, answer) in answers.iter().enumerate() {
        let faults: Vec<&str> = event::faults(answer, &name).map(|fault| event::text(fault, "kind")).collect();
        let found: Vec<&Value> = event::findings(answer, &name).collect();
        if row == BAD {
            assert!(faults.len() == 1 && kinds.contains(&faults[0]), "{file}: one fault of {kinds:?}: {answer}");
            assert_eq!((answer["verdict"].as_str(), found.len()), (Some("undetermined"), 0), "{file}: {answer}");
            assert!(event::faults(answer, &name).all(|fault| !event::text(fault, "detail").is_empty()), "{file}: {answer}");
        } else {
            assert_eq!(faults.len(), 0, "{file}: the other rows are untouched: {answer}");
            let expected = usize::from(row % 5 != 0 && row % 7 == 0);
            assert_eq!(found.len(), expected, "{file}: its own findings on row {row}: {answer}");
        }
    }
    // Its next batch starts anew.
    let answers = ephor.judge([event::listing("a", "SEEN again"), event::listing("b", LISTED)]).await;
    assert_eq!((event::findings(&answers[0], &name).count(), event::findings(&answers[1], GOOD).count()), (1, 1), "{file}: {answers:?}");
    assert!(ephor.metric("ephor_faults_total", "") >= 1.0, "faults are counted");
    assert!(ephor.is_alive());
}

#[tokio::test(flavor = "multi_thread")]
async fn ws_01_a_guest_that_loops_runs_out_of_fuel() {
    check("loops", "boom", &["fuel"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ws_03_a_guest_that_allocates_without_end_runs_out_of_memory() {
    check("grows", "boom", &["memory"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ws_10_a_guest_that_traps_on_one_row_loses_that_row() {
    check("traps_on_a_row", "boom", &["trap"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_findings_are_too_many() {
    // Which bound they meet first is a matter of the numbers.
    check("million_findings", "boom", &["fuel", "memory", "output"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_findings_are_too_many() {
    check("million_findings", "a thousand", &["output"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mebibyte_of_evidence_is_too_much() {
    check("huge_evidence", "boom", &["output"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ws_08_a_guest_that_overflows_its_stack_traps() {
    check("recursion", "boom", &["trap"]).await;
}

/// Three memories count together: none may have what the limit gives to all.
#[tokio::test(flavor = "multi_thread")]
async fn ws_04_three_memories_share_one_limit() {
    // The gate would refuse so many modules; this is about what holds behind it.
    let mut ephor = with_good_policy("[sandbox.gate]\nmodules-max = 8").await;
    let component = forge::three_memories_in_three_instances(&guest("traps_on_a_row"));
    ephor.put("traps-on-a-row", &component, "{}").await.succeeded();
    let answers = ephor.judge(rows("LANTERN")).await;
    assert_unharmed(&answers);
    let mut kinds: Vec<&str> = Vec::new();
    for answer in &answers {
        let faults: Vec<&str> = event::faults(answer, "traps-on-a-row").map(|fault| event::text(fault, "kind")).collect();
        assert_eq!(faults.len(), 1, "{answer}");
        kinds.extend(faults);
    }
    // Every row fails; beyond a bound the rest is not tried.
    assert!(kinds.contains(&"memory") && kinds.iter().all(|kind| ["memory", "abandoned"].contains(kind)), "{kinds:?}");
    assert!(ephor.is_alive());
}

/// The state of a key is that of the rows that were judged: the row that traps
/// counts for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn ws_10_a_trap_leaves_the_state_of_the_other_rows_right() {
    let ephor = with_good_policy("").await;
    ephor.put("stateful-trap", &guest("stateful_trap"), "{}").await.succeeded();
    let line = |id: usize, customer: &str, description: &str| {
        let mut event = event::listing(id, description);
        event["data"]["customer"] = json!(customer);
        event
    };
    // Two customers in turn; one of them has bad rows.
    let events: Vec<Value> =
        (0..60).map(|id| line(id, if id % 2 == 0 { "even" } else { "odd" }, if id % 20 == 6 { "boom" } else { "LANTERN" })).collect();
    let mut next = [1, 1];
    let mut check = |answers: &[Value], ids: std::ops::Range<usize>| {
        for (id, answer) in ids.zip(answers) {
            if id % 20 == 6 {
                assert_eq!((&answer["verdict"], &answer["faults"][0]["kind"]), (&json!("undetermined"), &json!("trap")), "{answer}");
            } else {
                assert_eq!(answer["findings"][0]["evidence"]["count"], next[id % 2].to_string(), "{answer}");
                next[id % 2] += 1;
            }
        }
    };
    check(&ephor.judge(events[..30].to_vec()).await, 0..30);
    check(&ephor.judge(events[30..].to_vec()).await, 30..60);
}

/// What a guest logs is bounded, and cannot be taken for anything else.
#[tokio::test(flavor = "multi_thread")]
async fn ws_21_ws_22_a_flood_of_log_lines_is_bounded_and_inert() {
    let mut ephor = with_good_policy("").await;
    ephor.put("log-flood", &guest("log_flood"), "{}").await.succeeded();
    assert_unharmed(&ephor.judge(rows("boom")).await);
    assert_unharmed(&ephor.judge(more_rows("forge")).await);
    ephor.wait_until("the lines are in the log", || ephor.log().contains("forged"));
    let log = ephor.log();
    assert!(log.len() < 1 << 20, "the log has {} bytes", log.len());
    let floods = log.lines().filter(|line| line.contains("flood ")).count();
    // A call that fails is repeated with fewer rows; each keeps a bounded number.
    assert!((1..=64 * 16).contains(&floods), "{floods} lines of the flood");
    assert!(!log.contains('\u{1b}'), "no escape sequence reaches a terminal");
    for line in log.lines().filter(|line| line.contains("forged")) {
        assert!(line.contains("log-flood"), "every line says whose it is: {line:?}");
    }
    assert!(ephor.is_alive());
}

/// Components that must not be put in force: each is refused with a reason, and
/// the release in force stays.
#[tokio::test(flavor = "multi_thread")]
async fn ws_04_ws_09_ws_15_ws_16_ws_23_ws_31_what_should_not_be_loaded_is_refused_with_a_reason() {
    let mut ephor = with_good_policy("").await;
    let plain = guest("traps_on_a_row");
    ephor.put("traps-on-a-row", &plain, "{}").await.succeeded();
    let before = ephor.in_force().await;
    let random: Vec<u8> = (0..4_096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let wat = |text: &str| wat::parse_str(text).expect("a well-formed component");
    let foreign = r#"(component (import "ephor:policy/log@9.0.0" (instance)))"#;
    let other = r#"(component
        (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func (export "handle") (canon lift (core func $i "f"))))"#;
    let cases: [(&str, Vec<u8>, &[&str], &str); 15] = [
        ("nothing", Vec::new(), &["not-a-component"], ""),
        ("random bytes", random, &["not-a-component"], ""),
        ("text of a component", b"(component)".to_vec(), &["not-a-component"], "text"),
        ("a core module", forge::core_module(&plain), &["not-a-component"], "module"),
        ("a truncated component", plain[..plain.len() / 2].to_vec(), &["invalid", "not-a-component"], ""),
        ("a component of nothing", wat("(component)"), &["wrong-world"], ""),
        ("a component of another world", wat(other), &["wrong-world"], ""),
        ("another version of the contract", wat(foreign), &["contract-version"], "ephor:policy/log@9.0.0"),
        ("an undeclared import", forge::with_import(&plain, "wasi:sockets/network@0.2.0"), &["import"], "wasi:sockets/network@0.2.0"),
        ("an import of another project", forge::with_import(&plain, "acme:tools/exec"), &["import"], "acme:tools/exec"),
        ("a compile bomb", forge::slow_to_compile(&plain, 8_000, 16_000), &["gate"], ""),
        ("three memories in one module", forge::three_memories_in_one_module(&plain), &["gate"], "memor"),
        ("a trap in describe", forge::trapping_in(&plain, "describe"), &["describe"], "describe"),
        ("a trap in configure", forge::trapping_in(&plain, "configure"), &["configure"], "configure"),
        ("a policy of another name", guest("loops"), &["name"], "loops"),
    ];
    for (name, component, kinds, said) in cases {
        let begin = Instant::now();
        let refused = ephor.put("traps-on-a-row", &component, "{}").await;
        assert!(begin.elapsed() < Duration::from_secs(30), "{name} took {:?}", begin.elapsed());
        assert_eq!(
            (refused.status.as_u16(), refused.header("content-type")),
            (422, "application/problem+json"),
            "{name}: {}",
            refused.text()
        );
        let problem = refused.json();
        let kind = event::text(&problem, "type").trim_start_matches("urn:ephor:problem:");
        assert!(kinds.contains(&kind), "{name}: {problem}");
        assert!(event::text(&problem, "detail").contains(said), "{name}: the reason says {said:?}: {problem}");
        assert_eq!(ephor.in_force().await, before, "{name}");
    }
    assert_unharmed(&ephor.judge(rows("LANTERN")).await);
    assert!(ephor.is_alive());
}

/// Settings that do not fit are refused with the place at fault.
#[tokio::test(flavor = "multi_thread")]
async fn settings_that_do_not_fit_are_refused_with_the_place() {
    let ephor = with_good_policy("").await;
    let before = ephor.in_force().await;
    for (text, kind) in [("{", "settings-document"), ("", "settings-document"), ("7", "settings"), (r#"{"no-such-setting":1}"#, "settings")]
    {
        let problem = ephor.put(GOOD, &policy(GOOD), text).await.expect(422).json();
        assert_eq!(problem["type"], format!("urn:ephor:problem:{kind}"), "{text:?}: {problem}");
        assert!(!event::text(&problem, "detail").is_empty(), "{text:?}: {problem}");
    }
    assert_eq!(ephor.in_force().await, before);
}

/// Where the gate lets a slow one through, the process that compiles it is
/// ended, and nobody waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn ws_23_a_guest_that_takes_a_minute_to_compile_is_given_up() {
    let config = "
        [sandbox.gate]
        function-bytes-max = 4194304
        function-locals-max = 50000
        locals-max = 1000000
        [sandbox.worker]
        cpu-seconds-max = 2
        wall-seconds-max = 6
    ";
    let ephor = with_good_policy(config).await;
    let bomb = forge::slow_to_compile(&guest("traps_on_a_row"), 8_000, 16_000);
    let begin = Instant::now();
    let compiling = ephor.put("traps-on-a-row", &bomb, "{}");
    tokio::pin!(compiling);
    let refused = loop {
        // Events are judged as if nothing were going on.
        let judging = async {
            let answers = soon("a verdict while something compiles", ephor.judge(rows("LANTERN"))).await;
            assert_unharmed(&answers);
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        tokio::select! {
            refused = &mut compiling => break refused,
            () = judging => {}
        }
    };
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert_eq!(refused.json()["type"], "urn:ephor:problem:compile", "{}", refused.text());
    assert!(begin.elapsed() < Duration::from_secs(30), "given up after {:?}", begin.elapsed());
    assert_eq!(ephor.in_force().await.len(), 1);
}

/// All of them at once, from a folder, beside the good policy.
#[tokio::test(flavor = "multi_thread")]
async fn ws_30_many_hostile_guests_together_harm_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let write =
        |name: &str, component: &[u8], settings: &str| ephor_tests::write_policy(folder.path(), name, Some(component), Some(settings));
    write(GOOD, &policy(GOOD), &settings(GOOD));
    for name in ["loops", "grows", "traps_on_a_row", "million_findings", "recursion", "log_flood", "huge_evidence"] {
        write(&name.replace('_', "-"), &guest(name), "{}");
    }
    write("broken", b"not a component", "{}");
    write("bomb", &forge::slow_to_compile(&guest("grows"), 8_000, 16_000), "{}");
    let mut ephor = Ephor::start(&["--policies", folder.path().to_str().expect("a path in UTF-8")]);
    assert_eq!(ephor.in_force().await.len(), 8);
    for _ in 0..3 {
        let answers = ephor.judge(rows("boom")).await;
        assert_unharmed(&answers);
        for (row, answer) in answers.iter().enumerate() {
            let faults = answer["faults"].as_array().map_or(0, Vec::len);
            assert!(if row == BAD { (6..=7).contains(&faults) } else { faults == 0 }, "row {row}: {answer}");
        }
    }
    assert!(ephor.is_alive());
}

/// WS-20: the pages that one instance wrote are another's only after they were
/// set back.
#[tokio::test(flavor = "multi_thread")]
async fn ws_20_nothing_of_a_call_is_left_for_the_next() {
    let ephor = with_good_policy("").await;
    ephor.put("remembers", &guest("remembers"), "{}").await.succeeded();
    for round in 0..200 {
        let answers = ephor.judge([event::listing(round, "LANTERN")]).await;
        let finding = event::findings(&answers[0], "remembers").next().unwrap_or_else(|| panic!("a finding: {}", answers[0]));
        assert_eq!(finding["evidence"], json!({"row": "0", "marked": "0"}), "call {round}");
    }
}

/// Rows that fail are found one by one, however many there are; the good ones
/// between them keep their answers.
#[tokio::test(flavor = "multi_thread")]
async fn many_bad_rows_leave_their_neighbours_alone() {
    let ephor = with_good_policy("").await;
    ephor.put("traps-on-a-row", &guest("traps_on_a_row"), "{}").await.succeeded();
    let description = |row| if row % 16 == 3 { "boom" } else { "SEEN" };
    let answers = ephor.judge((0..1_000).map(|row| event::listing(row, description(row)))).await;
    for (row, answer) in answers.iter().enumerate() {
        let faults: Vec<&str> = event::faults(answer, "traps-on-a-row").map(|fault| event::text(fault, "kind")).collect();
        match row % 16 {
            3 => assert!(faults.len() == 1, "row {row}: {answer}"),
            _ => assert!(faults.is_empty() && answer["verdict"] == "flag", "row {row}: {answer}"),
        }
    }
}

/// What rows cost is not known yet when a policy is new: a call that has too many
/// is repeated with fewer, and no row is given up.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_heavy_together_are_all_judged_by_a_new_policy() {
    let ephor = with_good_policy("").await;
    let settings = json!({"negative_categories": ["a.b"], "limit_cents": 500_000}).to_string();
    ephor.put("json-in-guest", &guest("json_in_guest"), &settings).await.succeeded();
    let filling: Vec<u32> = (0..1_500).collect();
    let order = |row: usize| {
        json!({"specversion": "1.0", "id": row.to_string(), "source": "/tests", "type": "order.placed",
            "data": {"category": if row.is_multiple_of(2) { "a.b" } else { "c.d" }, "amount_cents": 1, "filling": filling}})
    };
    let answers = ephor.judge((0..600).map(order)).await;
    for (row, answer) in answers.iter().enumerate() {
        assert_eq!(event::findings(answer, "json-in-guest").count(), usize::from(row.is_multiple_of(2)), "row {row}: {answer}");
        assert!(answer.get("faults").is_none(), "row {row}: {answer}");
    }
}
