//! Expressions give what CEL gives: each is held against the crate `cel`, and the values
//! that are said here too.

use std::collections::HashMap;

use ephor_sdk::wit::ephor::policy::columns::{Booleans, Column, Floats, Integers, Texts};
use ephor_sdk::wit::ephor::policy::evaluation::{Batch, Outcome};
use ephor_table::author::compile;
use ephor_table_guest::Judge;

/// The event that expressions look at. `gone` is never there.
const FIELDS: &str = r#"
[[field]]
name = "text"
pointer = "/data/text"
kind = "text"
optional = true
purpose = "test"
[[field]]
name = "int"
pointer = "/data/int"
kind = "integer"
optional = true
purpose = "test"
[[field]]
name = "float"
pointer = "/data/float"
kind = "float"
optional = true
purpose = "test"
[[field]]
name = "yes"
pointer = "/data/yes"
kind = "boolean"
optional = true
purpose = "test"
[[field]]
name = "time"
pointer = "/time"
kind = "time"
optional = true
purpose = "test"
[[field]]
name = "gone"
pointer = "/data/gone"
kind = "integer"
optional = true
purpose = "test"
[settings.words]
kind = "list of text"
about = "Words."
default = ["wine", "Knife"]
[settings.least]
kind = "float"
about = "A number."
default = 2
"#;

const HEAD: &str = "name = \"test\"\nversion = \"0.1.0\"\nsummary = \"Tests.\"\nevents = [\"*\"]\n";
const TEXT: &str = "Wine & pocket-knife 中文 straße";
/// 2026-02-26T18:31:58.5Z
const TIME: i64 = 1_772_130_718_500_000;

fn file(rule: &str) -> String {
    format!("{HEAD}{FIELDS}[[rule]]\nid = \"r\"\naction = \"flag\"\nseverity = \"low\"\nlegal_basis = \"none\"\nmessage.en = \"x\"\n{rule}")
}

fn batch() -> Batch {
    let integers = |value| Integers { present: vec![1], values: vec![value] };
    Batch {
        rows: 1,
        columns: vec![
            Column::Texts(Texts { present: vec![1], offsets: vec![0, TEXT.len() as u32], text: TEXT.to_owned() }),
            Column::Integers(integers(7)),
            Column::Floats(Floats { present: vec![1], values: vec![2.5] }),
            Column::Booleans(Booleans { present: vec![1], values: vec![1] }),
            Column::Times(integers(TIME)),
            Column::Integers(Integers { present: vec![0], values: vec![0] }),
        ],
        keys: None,
    }
}

fn judged(rule: &str) -> Outcome {
    let text = file(rule);
    let program = compile(&text).unwrap_or_else(|problems| panic!("{rule}: {problems:?}"));
    let judge = Judge::new(program, "{}").unwrap_or_else(|errors| panic!("{rule}: {errors:?}"));
    judge.evaluate(&batch())
}

/// What an expression gives, as evidence; or why the row is undecided.
fn ours(expression: &str) -> Result<String, String> {
    // A list is no evidence: it becomes a text by way of findings.
    let quoted = toml_text(expression);
    let outcome = judged(&format!("when = \"true\"\nevidence.value = {quoted}\n"));
    match outcome.undecided.first() {
        Some(undecided) => Err(undecided.reason.trim_start_matches("rule r: ").to_owned()),
        None => Ok(outcome.findings[0].evidence[0].value.clone()),
    }
}

fn toml_text(text: &str) -> String {
    format!("'''{text}'''")
}

/// What the crate `cel` gives for the same.
fn theirs(expression: &str) -> Result<String, String> {
    let program = cel::Program::compile(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let mut context = cel::Context::default();
    let event: HashMap<&str, cel::Value> =
        [("text", TEXT.into()), ("int", cel::Value::Int(7)), ("float", cel::Value::Float(2.5)), ("yes", cel::Value::Bool(true))].into();
    let settings: HashMap<&str, cel::Value> = [("words", vec!["wine", "Knife"].into()), ("least", cel::Value::Float(2.0))].into();
    context.add_variable_from_value("event", event);
    context.add_variable_from_value("settings", settings);
    match program.execute(&context) {
        Ok(cel::Value::Bool(value)) => Ok(value.to_string()),
        Ok(cel::Value::Int(value)) => Ok(value.to_string()),
        Ok(cel::Value::Float(value)) => Ok(value.to_string()),
        Ok(cel::Value::String(value)) => Ok(value.to_string()),
        Ok(other) => panic!("{expression}: {other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

/// Expressions that both know, and what they give; `!` for an error.
const BOTH: &[(&str, &str)] = &[
    ("1 + 2 * 3", "7"),
    ("(1 + 2) * 3 - -4", "13"),
    ("7 / 2", "3"),
    ("-7 / 2", "-3"),
    ("-7 % 3", "-1"),
    ("event.int / 0", "!"),
    ("event.int % 0", "!"),
    ("9223372036854775807 + event.int", "!"),
    ("-9223372036854775808 - 1", "!"),
    ("-9223372036854775808 / -1", "!"),
    ("9223372036854775807 * 2", "!"),
    ("2.5 * 2.0 + event.float", "7.5"),
    ("1.0 / 4.0", "0.25"),
    ("event.int > 3 && event.float < 3.0", "true"),
    ("event.int >= 8 || event.yes", "true"),
    ("!event.yes", "false"),
    ("event.int == 7 && event.int != 8", "true"),
    ("1 < 1.5 && 2.5 > 2", "true"),
    ("event.int > event.float", "true"),
    ("event.yes ? 'a' : 'b'", "a"),
    ("event.int > 10 ? 1 / 0 : 5", "5"),
    // One side that decides is enough, on whichever side it stands.
    ("event.gone > 1 || true", "true"),
    ("true || event.gone > 1", "true"),
    ("event.gone > 1 && false", "false"),
    ("false && event.gone > 1", "false"),
    ("event.gone > 1 || false", "!"),
    ("event.gone > 1 && true", "!"),
    ("event.gone + 1", "!"),
    ("has(event.gone)", "false"),
    ("has(event.int) && has(event.text)", "true"),
    ("has(event.gone) && event.gone > 3", "false"),
    ("'abc' + 'def'", "abcdef"),
    ("'abc' < 'abd' && 'B' < 'a'", "true"),
    ("size('中文') + size([1, 2, 3])", "5"),
    ("event.text.size()", "29"),
    ("event.text.contains('knife')", "true"),
    ("event.text.startsWith('Wine')", "true"),
    ("event.text.endsWith('wine')", "false"),
    ("3 in [1, 2, 3]", "true"),
    ("'wine' in settings.words", "true"),
    ("'beer' in settings.words", "false"),
    ("[1, 2] == [1, 2]", "true"),
    ("[1, 2] + [3] == [1, 2, 3]", "true"),
    ("settings.words.exists(w, w.startsWith('K'))", "true"),
    ("settings.words.all(w, w.size() == 4)", "false"),
    ("settings.words.exists_one(w, w.size() == 5)", "true"),
    ("settings.words.filter(w, w.size() == 5).size()", "1"),
    ("settings.words.map(w, w.size()) == [4, 5]", "true"),
    ("[1, 2, 3, 4].map(n, n % 2 == 0, n * n) == [4, 16]", "true"),
    ("[1, 0, 2].exists(n, 2 / n == 1)", "true"),
    ("[1, 0, 2].all(n, 2 / n == 1)", "false"),
    ("[1, 0].all(n, 2 / n == 2)", "!"),
    ("[0, 5].exists(n, 2 / n == 2)", "!"),
    ("[].all(n, n > 1) && ![].exists(n, n > 1)", "true"),
    ("[[1, 2], [3]].exists(inner, inner.exists(n, n == 3))", "true"),
    ("[1, 2].map(n, [10, 20].map(n, n + 1).size()) == [2, 2]", "true"),
    ("int('42') + int(2.9)", "44"),
    ("int(-2.9)", "-2"),
    ("int('4.2')", "!"),
    ("int(1e30)", "!"),
    ("double(3) / 2.0", "1.5"),
    ("double('2.5') > 2.4", "true"),
    ("string(42) + string(true)", "42true"),
    ("settings.least <= event.float", "true"),
    ("r'\\n' == '\\\\n' && \"\\u4e2d\" == '中'", "true"),
    ("0x10 + 1 // a remark", "17"),
];

#[test]
fn expressions_give_what_cel_gives() {
    let mut wrong = Vec::new();
    for (expression, expected) in BOTH {
        let (own, other) = (ours(expression), theirs(expression));
        let shown = |given: &Result<String, String>| given.clone().unwrap_or_else(|_| "!".to_owned());
        if shown(&own) != *expected || shown(&other) != *expected {
            wrong.push(format!("{expression}: expected {expected}, ours {own:?}, cel {other:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What CEL has without a place here, and what is Ephor's.
#[test]
fn times_words_and_the_rest() {
    for (expression, expected) in [
        ("string(event.time)", "2026-02-26T18:31:58.5Z"),
        ("event.time.getFullYear()", "2026"),
        ("event.time.getMonth()", "1"),
        ("event.time.getDate()", "26"),
        ("event.time.getDayOfMonth()", "25"),
        ("event.time.getDayOfYear()", "56"),
        ("event.time.getDayOfWeek()", "4"),
        ("event.time.getDayOfWeek('+08:00')", "5"),
        ("event.time.getHours()", "18"),
        ("event.time.getHours('+08:00')", "2"),
        ("event.time.getMinutes() * 100 + event.time.getSeconds()", "3158"),
        ("event.time.getMilliseconds()", "500"),
        ("string(event.time + duration('1h30m'))", "2026-02-26T20:01:58.5Z"),
        ("event.time - timestamp('2026-02-26T18:00:00Z') > duration('30m')", "true"),
        ("string(event.time - timestamp('2026-02-26T18:31:00Z'))", "58.5s"),
        ("duration('90m').getHours() * 100 + duration('90m').getMinutes()", "190"),
        ("duration('1500ms').getSeconds() * 10000 + duration('1500ms').getMilliseconds()", "11500"),
        ("event.time > timestamp('2026-02-27T02:31:58+08:00')", "true"),
        ("event.text.upperAscii()", "WINE & POCKET-KNIFE 中文 STRAßE"),
        ("event.text.upper()", "WINE & POCKET-KNIFE 中文 STRASSE"),
        ("'ÄRGER'.lower() + 'ÄR'.lowerAscii()", "ärgerÄr"),
        ("' a '.trim()", "a"),
        ("event.text.words().size()", "5"),
        ("'knife' in event.text.words()", "true"),
        ("event.text.hasWord('KNIFE')", "true"),
        ("event.text.hasWord('Pocket KNIFE')", "true"),
        ("event.text.hasWord('pocket-kni')", "false"),
        ("event.text.hasWord('STRASSE')", "true"),
        ("'pocketknife'.hasWord('knife')", "false"),
        ("event.text.listedWords(['knife', 'cigar', 'wine']) == ['WINE', 'KNIFE']", "true"),
        ("'菜刀 pocket＿ＫＮＩＦＥ'.listedWords(['刀', 'knife', '!', 'KNIFE']) == ['刀', 'KNIFE']", "true"),
        ("'菜刀'.listedWholeWords(['刀']).size()", "0"),
        ("event.text.words().exists(word, event.text.hasWord(word))", "true"),
        ("'wine Wine WINE'.listedWords(settings.words).size()", "1"),
        ("['b', 'a', 'b', 'c', 'a'].distinct() == ['b', 'a', 'c']", "true"),
        ("[[2, 1], [2], [2, 1], [], [2]].distinct() == [[2, 1], [2], []]", "true"),
        ("event.float.minorUnits(2)", "250"),
        ("string(2000.0) + string(0.1)", "20000.1"),
        ("1 / 2 == 0 && 1.0 == 1", "true"),
    ] {
        assert_eq!(ours(expression).as_deref(), Ok(expected), "{expression}");
    }
}

#[test]
fn what_has_no_value_leaves_the_row_undecided() {
    for (expression, reason) in [
        ("event.gone", "/data/gone is not there"),
        ("event.int / 0", "a number is divided by zero"),
        ("9223372036854775807 + 1", "a number does not fit into 64 bits"),
        ("int('x')", "a text is no number"),
        // In CEL these are infinite or no number, and the latter is not above any limit.
        ("event.float / 0.0 > 1.0", "a number is divided by zero"),
        ("0.0 / (event.float - 2.5) > 1.0", "a number is divided by zero"),
        ("1e308 * event.float", "a number is beyond what a float can be"),
        ("-1e308 - 1e308 < event.float", "a number is beyond what a float can be"),
        ("(2.555).minorUnits(2)", "an amount has more decimal places than its currency"),
    ] {
        assert_eq!(ours(expression).as_ref().map_err(String::as_str), Err(reason), "{expression}");
    }
    // Nothing else of the row remains: no finding of a rule before.
    let outcome = judged(
        "when = \"true\"\n[[rule]]\nid = \"second\"\naction = \"flag\"\nseverity = \"low\"\nlegal_basis = \"none\"\nmessage.en = \"x\"\nwhen = \"event.gone > 1\"\n",
    );
    assert!(outcome.findings.is_empty());
    assert_eq!(outcome.undecided[0].reason, "rule second: /data/gone is not there");
}

#[test]
fn a_rule_is_asked_for_each_value_of_its_list() {
    let outcome = judged(
        "for_each.word = \"event.text.listedWords(settings.words)\"\nwhen = \"word != 'WINE'\"\nevidence.word = \"word\"\nevidence.size = \"word.size()\"\n",
    );
    let found: Vec<Vec<&str>> = outcome.findings.iter().map(|it| it.evidence.iter().map(|it| it.value.as_str()).collect()).collect();
    assert_eq!(found, [["KNIFE", "5"]]);
    assert!(outcome.undecided.is_empty());
}

#[test]
fn settings_are_held_against_their_declaration() {
    let rule = "when = \"event.int > settings.most\"\n[settings.most]\nkind = \"integer\"\nabout = \"Most.\"\nmust = \"value > 0\"\notherwise = \"expected more than zero\"\n";
    // Settings stand before rules in a file, or behind them.
    let program = compile(&file(rule)).expect("good");
    let refused = |document: &str| -> Vec<(String, String)> {
        let errors = Judge::new(program.clone(), document).err().unwrap_or_default();
        errors.into_iter().map(|error| (error.pointer, error.message)).collect()
    };
    let said = |pointer: &str, message: &str| (pointer.to_owned(), message.to_owned());
    assert_eq!(refused("{}"), [said("/most", "is missing")]);
    assert_eq!(refused("{\"most\": 0}"), [said("/most", "expected more than zero")]);
    assert_eq!(refused("{\"most\": \"1\"}"), [said("/most", "is of another type")]);
    assert_eq!(refused("{\"most\": 1, \"x\": 1}"), [said("/x", "there is no such setting")]);
    assert_eq!(refused("{\"most\": 1, \"words\": [1]}"), [said("/words", "is of another type")]);
    assert_eq!(refused("{\"most\": 1}"), []);
    assert!(refused("[]")[0].0.is_empty());
}
