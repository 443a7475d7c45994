//! The events that the CloudEvents specification itself writes down: each is taken, and its
//! attributes are what they say.
//!
//! The suite has no vectors of its own for events; its examples are in the text, and in the
//! schema of the JSON format, which both have to say the same of them.

use std::fs;
use std::path::{Path, PathBuf};

use ephor::ingest::{self, Limits};
use ephor_tests::Ephor;
use ephor_tests::client::{BATCH, EVENT};
use serde_json::Value;

/// What stands in the place of Base64 in examples, for the reader to fill in.
const PLACEHOLDER: &str = "... base64 encoded string ...";

/// An example in the text.
struct Example {
    place: String,
    text: String,
}

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|end| end == "md") {
            found.push(path);
        }
    }
}

/// What stands between fences in a page, with the number of its first line.
fn fenced(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut open) = (Vec::new(), None::<(usize, String)>);
    for (number, line) in text.lines().enumerate() {
        match (line.trim_start().starts_with("```"), &mut open) {
            (true, None) => open = Some((number + 2, String::new())),
            (true, Some(_)) => found.extend(open.take()),
            (false, Some((_, block))) => {
                block.push_str(line);
                block.push('\n');
            }
            (false, None) => {}
        }
    }
    found
}

/// Everything between fences that is JSON and says that it is an event, or several.
fn examples(suite: &Path) -> Vec<Example> {
    let mut all = Vec::new();
    pages(&suite.join("cloudevents"), &mut all);
    all.sort();
    let mut examples = Vec::new();
    for page in all {
        let text = fs::read_to_string(&page).expect("a page in UTF-8");
        let name = page.strip_prefix(suite).expect("inside").display().to_string();
        for (line, block) in fenced(&text).into_iter().filter(|(_, block)| block.contains("specversion")) {
            // Of a whole request it is the body.
            let body = block.find("\n\n").filter(|_| !block.trim_start().starts_with(['{', '['])).map_or(&*block, |at| &block[at..]);
            let body = body.replace(PLACEHOLDER, "AAAA");
            if serde_json::from_str::<Value>(&body).is_ok_and(|value| is_event(&value)) {
                examples.push(Example { place: format!("{name}:{line}"), text: body });
            }
        }
    }
    examples
}

fn is_event(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.contains_key("specversion"),
        Value::Array(items) => items.iter().all(is_event) && !items.is_empty(),
        _ => false,
    }
}

/// Whether an event has what the specification requires of one. Some examples leave parts
/// of an event out.
fn is_whole(value: &Value, schema: &jsonschema::Validator) -> bool {
    match value {
        Value::Array(items) => items.iter().all(|item| is_whole(item, schema)),
        // The text asks for names in lower case; the schema cannot say so.
        Value::Object(members) => schema.is_valid(value) && members.keys().all(|name| is_name(name)),
        _ => false,
    }
}

fn is_name(name: &str) -> bool {
    name == "data_base64" || name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a suite from outside: make suites DIR=…"]
#[expect(clippy::print_stdout, reason = "the counts are what is asked for")]
async fn every_event_in_the_specification_is_taken() {
    let suite = super::folder("spec", "cloudevents/spec");
    let schema = fs::read_to_string(suite.join("cloudevents/formats/cloudevents.json")).expect("the schema of the JSON format");
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).expect("JSON")).expect("a schema");
    let ephor = Ephor::start(&["--in-memory"]);
    let (mut taken, mut refused, mut wrong) = (0, 0, Vec::new());
    for Example { place, text } in examples(&suite) {
        let value: Value = serde_json::from_str(&text).expect("JSON");
        // Examples share their ids; each is an event of its own here.
        let answer = match &value {
            Value::Array(_) => ephor.post(BATCH, text.clone()).await,
            _ => ephor.post(EVENT, text.clone()).await,
        };
        let is_taken = match &value {
            Value::Array(items) => {
                answer.status == 200
                    && answer
                        .json()
                        .as_array()
                        .is_some_and(|all| all.len() == items.len() && all.iter().all(|one| one.get("error").is_none()))
            }
            _ => answer.status == 200,
        };
        match (is_taken, is_whole(&value, &schema)) {
            (true, true) => taken += 1,
            (false, false) => refused += 1,
            (is_taken, _) => wrong.push(format!("{place}: taken {is_taken}: {}\n{text}", answer.text())),
        }
        if let (true, Value::Object(members)) = (is_taken, &value) {
            let event = ingest::structured(text.as_bytes(), &Limits::default()).unwrap_or_else(|error| panic!("{place}: {error}"));
            let of = |name: &str| members.get(name).and_then(Value::as_str);
            assert_eq!((Some(event.id()), Some(event.source()), Some(event.kind())), (of("id"), of("source"), of("type")), "{place}");
            assert_eq!((event.subject(), event.time()), (of("subject"), of("time")), "{place}");
            let data = event.data().map(|data| serde_json::from_str::<Value>(data).expect("JSON"));
            assert_eq!(data.as_ref(), members.get("data"), "{place}");
        }
    }
    println!(
        "CloudEvents: {taken} of {} examples of whole events accepted, {refused} that leave something out refused",
        taken + wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(taken >= 20, "the specification has more examples than {taken}");
}
