//! `ephor events infer` and `ephor events generate`, on real events: what is proposed is
//! what the SDK takes, and what is made is judged like what it was made after.

use std::collections::BTreeSet;
use std::path::Path;

use ephor_tests::client::LINES;
use ephor_tests::{data, event};
use serde_json::{Value, json};

use crate::cli::{assert_exit, ephor, out};
use crate::with_good_policy;

/// What is put before a purpose that nobody has given yet. Put together: `tidy` looks for it.
const TO_DO: &str = concat!("TO", "DO: ");

/// Compiles a struct with the SDK, and has it as text.
macro_rules! compiled {
    ($($code:tt)*) => {
        #[allow(dead_code, reason = "that it compiles is all there is to it")]
        mod compiled {
            use ephor_sdk::prelude::*;
            $($code)*
        }
        const COMPILED: &str = stringify!($($code)*);
    };
}

compiled! {
    #[derive(Fields)]
    struct Line<'a> {
        #[field("/subject", purpose = "say what the rule needs it for")]
        subject: &'a str,
        #[field("/time", purpose = "say what the rule needs it for")]
        time: Time,
        #[field("/data/invoice", purpose = "say what the rule needs it for")]
        invoice: &'a str,
        #[field("/data/sku", purpose = "say what the rule needs it for")]
        sku: &'a str,
        #[field("/data/description", purpose = "say what the rule needs it for")]
        description: Option<&'a str>,
        #[field("/data/quantity", purpose = "say what the rule needs it for")]
        quantity: i64,
        #[field("/data/unit_price", purpose = "say what the rule needs it for")]
        unit_price: f64,
        #[field("/data/customer", purpose = "say what the rule needs it for")]
        customer: Option<&'a str>,
        #[field("/data/country", purpose = "say what the rule needs it for")]
        country: &'a str,
    }
}

fn sample(set: data::Set) -> String {
    utf8(&data::sample_folder().join(format!("{}.ndjson.gz", set.name())))
}

fn utf8(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_string()
}

fn err(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn read(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"))
}

/// The texts of a member of the data.
fn texts<'l>(lines: impl Iterator<Item = &'l str>, member: &str) -> BTreeSet<String> {
    lines.filter_map(|line| read(line)["data"][member].as_str().map(str::to_string)).collect()
}

/// Without white space, which does not matter in Rust.
fn dense(code: &str) -> String {
    code.split_whitespace().collect()
}

fn inferred(args: &[&str]) -> Value {
    let shown = ephor(&[&["events", "infer", "--json"], args].concat());
    assert_exit(&shown, 0);
    serde_json::from_slice(&shown.stdout).expect("JSON")
}

/// A place of the first type.
fn place<'d>(document: &'d Value, pointer: &str) -> &'d Value {
    let places = document["types"][0]["places"].as_array().unwrap_or_else(|| panic!("no places in {document}"));
    places.iter().find(|place| place["pointer"] == pointer).unwrap_or_else(|| panic!("no {pointer} in {document}"))
}

#[test]
fn what_is_proposed_for_real_events_compiles() {
    let document = inferred(&[&sample(data::Set::Retail)]);
    let types = document["types"].as_array().expect("a list");
    let counts: Vec<(&str, u64)> =
        types.iter().map(|kind| (event::text(kind, "type"), kind["events"].as_u64().expect("a count"))).collect();
    assert_eq!(counts, [("retail.invoice.line", 28_111), ("retail.cancellation.line", 500)]);
    assert_eq!(types[1]["struct"], "CancellationLine");
    let rust = event::text(&types[0], "rust").replace(TO_DO, "");
    assert_eq!(dense(&rust), dense(COMPILED), "{rust}");

    let quantity = place(&document, "/data/quantity");
    assert_eq!((&quantity["integer"], &quantity["presence"]), (&json!({"min": -4_830, "max": 1_600}), &json!(1.0)));
    let customer = place(&document, "/data/customer");
    assert_eq!(customer["types"], json!({"text": 21_261, "null": 6_850}));
    assert_eq!(place(&document, "/data/country")["distinct"], 37);
    assert_eq!(place(&document, "/time")["time"]["max"], "2011-12-09T12:50:00Z");
    assert_eq!(place(&document, "/datacontenttype")["values"], json!([{"value": "application/json", "events": 28_111}]));
}

#[test]
fn tables_show_what_stands_where() {
    let shown = ephor(&["events", "infer", &sample(data::Set::Retail), "--type", "retail.invoice.line"]);
    assert_exit(&shown, 0);
    let text = out(&shown);
    for part in [
        "retail.invoice.line: 28,111 events",
        "-4830 … 1600",
        "text 75.6 %, null 24.3 %",
        "37 values, such as \"United Kingdom\"",
        "1 value: \"application/json\"",
        "struct Line<'a> {",
        "    unit_price: f64,",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    assert!(!text.contains("retail.cancellation.line"), "{text}");

    let shown = ephor(&["events", "infer", &sample(data::Set::Columbus), &sample(data::Set::Nab), "--limit", "9000"]);
    assert_exit(&shown, 0);
    let text = out(&shown);
    for part in [
        "mobility.vehicle.observed: 8,619 events",
        "machine.temperature.measured: 381 events",
        "    is_available: Option<bool>,",
        "    last_reported: Option<i64>,",
        "    lat: f64,",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    let document = inferred(&[&sample(data::Set::Columbus)]);
    let vehicle_types = place(&document, "/data/vehicle_type")["values"].as_array().expect("a list").len();
    assert_eq!((vehicle_types, &place(&document, "/data/provider")["distinct"]), (4, &json!(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_is_judged_and_has_the_same_shape() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = utf8(&folder.path().join("made.ndjson"));
    let server = with_good_policy("").await;
    for set in [data::Set::Retail, data::Set::Columbus, data::Set::Nab] {
        let sample_file = sample(set);
        let shown = ephor(&["events", "generate", "--like", &sample_file, "--count", "2000", "--seed", "7", "--out", &file]);
        assert_exit(&shown, 0);
        assert!(out(&shown).contains("2,000 events"), "{}", out(&shown));
        let made = std::fs::read_to_string(&file).expect("events");

        let answers = server.post(LINES, made.clone()).await.expect(200).lines();
        assert_eq!(answers.len(), 2_000);
        for answer in &answers {
            assert!(
                answer["verdict"].is_string() && answer["duplicate"].is_null() && answer["faults"].as_array().is_none_or(Vec::is_empty),
                "{answer}"
            );
        }

        // The same places, of the same types; not every one of those that are rare.
        let (before, after) = (inferred(&[&sample_file]), inferred(&[&file]));
        let pointers = |document: &Value| -> Vec<String> {
            let places = document["types"][0]["places"].as_array().expect("a list");
            places.iter().map(|place| event::text(place, "pointer").to_string()).collect::<BTreeSet<_>>().into_iter().collect()
        };
        assert_eq!(pointers(&before), pointers(&after));
        assert_eq!(before["types"][0]["type"], after["types"][0]["type"]);
        for pointer in pointers(&before) {
            let field = |document: &Value| place(document, &pointer)["field"]["type"].clone();
            assert!(field(&before) == field(&after) || field(&before).as_str().is_some_and(|kind| kind.starts_with("Option")), "{pointer}");
        }
    }
}

#[test]
fn free_text_is_made_up_and_the_same_seed_gives_the_same() {
    let sample_file = sample(data::Set::Retail);
    let generate = |more: &[&str]| {
        let shown = ephor(&[&["events", "generate", "--like", &sample_file, "--count", "300"], more].concat());
        assert_exit(&shown, 0);
        (out(&shown), err(&shown))
    };
    let (made, said) = generate(&[]);
    assert!(said.contains("/data/country (") && !said.contains("/data/description"), "{said}");
    assert_eq!((generate(&["--seed", "1"]).0 == made, generate(&["--seed", "2"]).0 == made), (true, false));

    let known = data::sample(data::Set::Retail);
    for member in ["description", "customer", "invoice"] {
        let before = texts(known.iter().map(String::as_str), member);
        let after = texts(made.lines(), member);
        // A number may be met by chance; a text of some length is not.
        let met: Vec<&String> = before.intersection(&after).filter(|text| text.len() > 8).collect();
        assert!(after.len() > 100 && met.is_empty(), "{member}: {met:?} of {}", after.len());
    }
    let countries = texts(made.lines(), "country");
    assert!(countries.contains("United Kingdom"), "{countries:?}");

    let (masked, said) = generate(&["--mask", "/data/country"]);
    assert!(!masked.contains("United Kingdom") && !said.contains("/data/country"), "{said}");
    let (one_type, _) = generate(&["--type", "retail.cancellation.line"]);
    assert!(one_type.lines().all(|line| read(line)["type"] == "retail.cancellation.line"));
}

#[test]
fn what_is_no_sample_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, content: &[u8]| {
        let file = folder.path().join(name);
        std::fs::write(&file, content).expect("a file");
        utf8(&file)
    };
    let line = |id: u64| event::listing(id, "LANTERN").to_string() + "\n";
    let good = write("good.ndjson", line(1).as_bytes());
    let torn = write("torn.ndjson", (line(1) + &line(2)[..40] + "\n" + &line(3)).as_bytes());
    let empty = write("empty.ndjson", b"\n\n");
    let zstd = write("zstd.ndjson", b"\x28\xb5\x2f\xfd");
    let missing = utf8(&folder.path().join("missing.ndjson"));
    for (args, code, parts) in [
        (
            &["infer", good.as_str(), "--type", "retail.*"][..],
            2,
            &["no event of the type \"retail.*\"", "retail.invoice.line (1 event)"][..],
        ),
        (&["infer", missing.as_str()], 2, &["cannot read", "missing.ndjson"]),
        (&["infer", good.as_str(), "--limit", "0"], 2, &["--limit"]),
        (&["infer"], 2, &["FILE|DIR"]),
        (&["infer", zstd.as_str()], 1, &["zstd", "gzip or plain"]),
        (&["infer", empty.as_str()], 3, &["no events in", "empty.ndjson", "one CloudEvent in JSON on each line"]),
        (&["infer", torn.as_str()], 3, &["1 line is no event", "torn.ndjson, line 2"]),
        (&["generate", "--like", torn.as_str(), "--count", "1"], 3, &["1 line is no event", "torn.ndjson, line 2"]),
        (&["generate", "--like", empty.as_str()], 3, &["no events in"]),
        (&["generate", "--like", good.as_str(), "--out", good.as_str()], 2, &["a file of the sample", "--out"]),
        (&["generate", "--like", good.as_str(), "--mask", "/data/nothing"], 2, &["/data/nothing", "ephor events infer"]),
    ] {
        let output = ephor(&[&["events"], args].concat());
        assert_exit(&output, code);
        for part in parts {
            assert!(err(&output).contains(part), "{part:?} for {args:?} in\n{}", err(&output));
        }
    }
    // What is good of it is shown, and made, all the same.
    assert!(out(&ephor(&["events", "infer", &torn])).contains("retail.invoice.line: 2 events"));
    assert_eq!(out(&ephor(&["events", "generate", "--like", &torn, "--count", "3"])).lines().count(), 3);
}
