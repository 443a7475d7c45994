//! What a policy sees of an event, and what happens when a value is absent,
//! null or of another type: as `wit/manifest.wit` says.

use ephor_tests::{Ephor, event, guest};
use serde_json::{Value, json};

/// An event whose `data` has one member.
fn one(id: usize, name: &str, value: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"{id}","source":"/tests","type":"echo","data":{{"{name}":{value}}}}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn ht_15_each_kind_takes_what_the_contract_says() {
    /// What the policy was given, or nothing, or why the row is unreadable.
    enum Expected {
        Seen(&'static str),
        Absent,
        Unreadable,
    }
    use Expected::{Absent, Seen, Unreadable};
    let cases = [
        ("boolean", "true", Seen("true")),
        ("boolean", "false", Seen("false")),
        ("boolean", "null", Absent),
        ("boolean", "0", Unreadable),
        ("boolean", "\"true\"", Unreadable),
        ("integer", "-7", Seen("-7")),
        ("integer", "-0", Seen("0")),
        ("integer", "9223372036854775807", Seen("9223372036854775807")),
        ("integer", "-9223372036854775808", Seen("-9223372036854775808")),
        ("integer", "9007199254740993", Seen("9007199254740993")),
        ("integer", "1.0", Unreadable),
        ("integer", "1e2", Unreadable),
        ("integer", "\"1\"", Unreadable),
        ("integer", "null", Absent),
        ("float", "1", Seen("1.0")),
        ("float", "0.1", Seen("0.1")),
        ("float", "-82.994909", Seen("-82.994909")),
        ("float", "1e300", Seen("1e300")),
        ("float", "\"0.1\"", Unreadable),
        ("float", "null", Absent),
        ("text", "\"plain\"", Seen("plain")),
        ("text", "\"\"", Seen("")),
        ("text", r#""a\"\u00e9\ud83d\ude00\n""#, Seen("a\"é😀\n")),
        ("text", "7", Unreadable),
        ("text", "null", Absent),
        ("time", "\"1970-01-01T00:00:01.5Z\"", Seen("1500000")),
        ("time", "\"1970-01-01T01:00:00+01:00\"", Seen("0")),
        ("time", "\"1969-12-31T23:59:59.999999999Z\"", Seen("-1")),
        ("time", "\"1970-01-01\"", Unreadable),
        ("time", "\"1970-01-01T00:00:00\"", Unreadable),
        ("time", "0", Unreadable),
        ("time", "null", Absent),
        ("json", "{\"b\" : [1, 2.50]}", Seen("{\"b\" : [1, 2.50]}")),
        ("json", "\"text\"", Seen("\"text\"")),
        ("json", "1.50", Seen("1.50")),
        ("json", "null", Absent),
        ("list", "[0,{\"in/side\":5}]", Absent), // seen as `deep`, below
        ("other", "1", Absent),
    ];
    let ephor = Ephor::start(&[]);
    ephor.put("echo-kinds", &guest("echo_kinds"), "{}").await.succeeded();
    let lines: String = cases.iter().enumerate().map(|(id, (name, value, _))| one(id, name, value) + "\n").collect();
    let answers = ephor.post("application/x-ndjson", lines).await.expect(200).lines();
    assert_eq!(answers.len(), cases.len());
    for (answer, (name, value, expected)) in answers.iter().zip(&cases) {
        let seen = answer["findings"][0]["evidence"][*name].as_str();
        let faults: Vec<&Value> = event::faults(answer, "echo-kinds").collect();
        match expected {
            Seen(text) => assert_eq!((seen, faults.len()), (Some(*text), 0), "{name} of {value}: {answer}"),
            Absent => assert_eq!((seen, faults.len()), (None, 0), "{name} of {value}: {answer}"),
            Unreadable => {
                assert_eq!(answer["verdict"], "undetermined", "{name} of {value}: {answer}");
                assert_eq!((faults.len(), &faults[0]["kind"]), (1, &json!("unreadable")), "{name} of {value}: {answer}");
                let detail = event::text(faults[0], "detail");
                assert!(detail.contains(&format!("/data/{name}")), "names the field: {detail}");
                let text = value.trim_matches('"');
                assert!(text.len() < 4 || !detail.contains(text), "does not say the value, which was not granted to be logged: {detail}");
            }
        }
    }
    let deep = answers.iter().find(|answer| answer["findings"][0]["evidence"].get("deep").is_some());
    assert_eq!(deep.map(|answer| &answer["findings"][0]["evidence"]["deep"]), Some(&json!("5")));
}

/// Attributes are the same values in both modes.
#[tokio::test(flavor = "multi_thread")]
async fn attributes_are_fields_in_binary_and_structured_mode() {
    let ephor = Ephor::start(&[]);
    ephor.put("echo-kinds", &guest("echo_kinds"), "{}").await.succeeded();
    let structured = json!({
        "specversion": "1.0", "id": "1", "source": "/tests", "type": "echo", "subject": "café", "time": "1970-01-01T00:00:01Z",
        "region": "eu", "data": {"integer": 7},
    });
    let structured = ephor.post("application/cloudevents+json", structured.to_string()).await.expect(200).json();
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "2"),
        ("ce-source", "/tests"),
        ("ce-type", "echo"),
        ("ce-subject", "caf%C3%A9"),
        ("ce-time", "1970-01-01T00:00:01Z"),
        ("ce-region", "eu"),
    ];
    let binary = ephor.post_with("application/json", &headers, "{\"integer\":7}").await.expect(200).json();
    let expected = json!({"integer": "7", "subject": "café", "at": "1000000", "region": "eu"});
    for answer in [structured, binary] {
        assert_eq!(answer["findings"][0]["evidence"], expected, "{answer}");
    }
}

/// A required field that is missing or mistyped: the policy is not asked about
/// that row, and says what it has to say about the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_without_a_required_field_is_unreadable() {
    let ephor = Ephor::start(&[]);
    ephor.put("stateful-trap", &guest("stateful_trap"), "{}").await.succeeded();
    let with = |id: u32, customer: Value| {
        let mut event = event::listing(id, "LANTERN");
        event["data"]["customer"] = customer;
        event
    };
    let mut missing = event::listing(4, "LANTERN");
    missing["data"].as_object_mut().expect("an object").remove("customer");
    let answers = ephor.judge([with(1, json!("c")), with(2, Value::Null), with(3, json!(5)), missing, with(5, json!("c"))]).await;
    for (answer, count) in [(&answers[0], "1"), (&answers[4], "2")] {
        assert_eq!(answer["findings"][0]["evidence"]["count"], count, "{answer}");
    }
    for answer in &answers[1..4] {
        assert_eq!((&answer["verdict"], &answer["faults"][0]["kind"]), (&json!("undetermined"), &json!("unreadable")), "{answer}");
    }
}
