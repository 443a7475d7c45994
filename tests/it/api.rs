//! The HTTP API is what its document says: the document is whole, answers of every operation
//! conform to it, and what is true of all of them (entity tags, pages, problems, methods) is.

use std::collections::BTreeSet;
use std::process::Command;

use ephor_tests::client::{Answer, BATCH, EVENT, LINES};
use ephor_tests::{Ephor, binary, component_path, data, documents, event, policy, settings};
use hyper::Method;
use serde_json::{Value, json};

use crate::access::send;
use crate::publishers::{Both, words};
use crate::{GOOD, LISTED, with_good_policy};

const FULL: &str = "[ledger]\nevents = \"full\"\n";
const PROBLEM: &str = "application/problem+json";

fn document() -> Value {
    let output = Command::new(binary()).arg("openapi").output().expect("the binary starts");
    serde_json::from_slice(&output.stdout).expect("a document")
}

/// Sends a request: method, path, headers, body.
/// The document, to hold answers against.
struct Described {
    document: Value,
    seen: BTreeSet<String>,
}

impl Described {
    /// Members that are not described count as wrong here; clients are told to live with them.
    fn strictly() -> Self {
        fn close(value: &mut Value) {
            if let Value::Object(members) = value {
                if members.get("type") == Some(&json!("object")) && members.contains_key("properties") {
                    members.entry("additionalProperties").or_insert(false.into());
                }
                members.values_mut().for_each(close);
            } else if let Value::Array(items) = value {
                items.iter_mut().for_each(close);
            }
        }
        let mut document = document();
        close(&mut document["components"]["schemas"]);
        Described { document, seen: BTreeSet::new() }
    }

    /// The path in the document that a request went to.
    fn template(&self, path: &str) -> String {
        let path = path.split('?').next().unwrap_or_default();
        let parts: Vec<&str> = path.split('/').collect();
        let fits = |template: &&String| {
            let words: Vec<&str> = template.split('/').collect();
            let has_rest = template.ends_with("{tile}") || template.ends_with("/targets/{path}") || template.ends_with("{file}");
            let enough = if has_rest { parts.len() >= words.len() } else { parts.len() == words.len() };
            enough && words.iter().zip(&parts).all(|(word, part)| word.starts_with('{') || word == part)
        };
        let paths = self.document["paths"].as_object().expect("paths");
        let found = paths.keys().filter(fits).min_by_key(|template| template.matches('{').count());
        found.unwrap_or_else(|| panic!("{path} is not described")).clone()
    }

    fn schema(&self, schema: &Value, value: &Value, what: &str) {
        let mut whole = schema.clone();
        whole["components"] = self.document["components"].clone();
        let validator = jsonschema::options().with_draft(jsonschema::Draft::Draft202012).build(&whole).expect("a schema");
        let wrong: Vec<String> = validator.iter_errors(value).map(|error| format!("{error} at {}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{what}: {}\n{value:#}", wrong.join("\n"));
    }

    /// Holds an answer against what is said of its operation.
    fn holds(&mut self, method: &str, path: &str, answer: &Answer) {
        let template = self.template(path);
        let what = format!("{method} {path}: {}", answer.status);
        let lower = if method == "HEAD" { "get".to_string() } else { method.to_ascii_lowercase() };
        let operation = self.document["paths"][&template][&lower].clone();
        assert!(operation.is_object(), "{what} is not described");
        self.seen.insert(format!("{lower} {template}"));
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
        assert!(!answer.header("cache-control").is_empty(), "{what}");
        let described = operation["responses"][answer.status.as_str()].clone();
        assert!(described.is_object(), "{what} is not described: {}", answer.text());
        for name in ["etag", "link", "allow", "retry-after", "ephor-salt"] {
            let headers = described["headers"].as_object();
            let is_described = headers.is_some_and(|headers| headers.keys().any(|known| known.eq_ignore_ascii_case(name)));
            let is_304 = answer.status == 304;
            assert!(answer.header(name).is_empty() || is_described || is_304, "{what}: the header {name} is not described");
        }
        if answer.body.is_empty() {
            return;
        }
        let media = answer.header("content-type").split(';').next().unwrap_or_default().to_string();
        let content = &described["content"];
        let content = if content["*/*"].is_object() { &content["*/*"] } else { &content[&media] };
        assert!(content.is_object(), "{what}: {media} is not described");
        if content["x-item-schema"].is_object() {
            let messages = || answer.text().lines().filter_map(|line| line.strip_prefix("data: ").map(str::to_string)).collect::<Vec<_>>();
            let items = match media.as_str() {
                "text/event-stream" => messages().iter().map(|data| serde_json::from_str(data).expect("JSON")).collect(),
                _ => answer.lines(),
            };
            assert!(!items.is_empty() || media != "text/event-stream", "{what}: no message");
            for item in items {
                self.schema(&content["x-item-schema"], &item, &what);
            }
        } else if media.ends_with("json") {
            self.schema(&content["schema"], &answer.json(), &what);
        }
    }
}

#[test]
fn the_document_in_the_repository_is_up_to_date() {
    let output = Command::new(binary()).arg("openapi").output().expect("the binary starts");
    documents::is_up_to_date("runtime/openapi.json", &String::from_utf8(output.stdout).expect("UTF-8"));
}

#[test]
fn the_document_is_whole() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.1");
    let mut ids = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        assert!(path.starts_with('/'), "{path}");
        for (method, operation) in operations.as_object().expect("operations") {
            let what = format!("{method} {path}");
            assert!(ids.insert(event::text(operation, "operationId").to_string()), "{what}");
            assert!(!event::text(operation, "summary").is_empty(), "{what}");
            let answers = operation["responses"].as_object().expect("answers");
            assert!(answers.keys().any(|status| status.starts_with('2')), "{what}");
            for status in ["400", "406", "414", "431", "500"] {
                assert!(answers[status]["content"][PROBLEM].is_object(), "{what}: {status}");
            }
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            for parameter in &parameters {
                assert!(!event::text(parameter, "description").is_empty(), "{what}: {parameter}");
                assert!(jsonschema::meta::is_valid(&parameter["schema"]), "{what}: {parameter}");
                assert_eq!(parameter["required"], parameter["in"] == "path", "{what}: {parameter}");
            }
        }
    }
    // An act says what it takes, and nothing else is taken.
    let promote = &document["components"]["schemas"]["Promote"];
    assert_eq!((&promote["additionalProperties"], &promote["required"]), (&json!(false), &Value::Null));
    assert_eq!(document["components"]["schemas"]["Withdraw"]["required"], json!(["reason"]));
    // Who acts is said by whoever has not shown it, so that a server alone can tell.
    assert!(!event::text(&promote["properties"]["by"], "description").is_empty());
    let schemes = document["components"]["securitySchemes"].as_object().expect("schemes");
    let known = |one: &Value| one.as_object().expect("a requirement").keys().all(|name| schemes.contains_key(name));
    assert!(document["security"].as_array().expect("requirements").iter().all(known) && document["security"][0] == json!({}));
    assert_eq!(document["paths"]["/livez"]["get"]["security"], json!([]));
}

/// A server that has something of everything: a policy of a publisher, whose repository it
/// serves as well, and the content of events.
pub async fn furnished() -> (Both, Ephor) {
    let both = Both::new();
    both.release(GOOD, "1.0.0", &words(&["CIGAR"]), &[]);
    let served = format!("{FULL}[server.repositories]\nmarket-office = {:?}\n", both.path("rules"));
    let gate = "[publishers.market-office.gate]\nevents-min = 1\nfault-share-max = 1.0\np99-us-max = 10_000_000\ncore-share-max = 1.0\n";
    let config = format!("{served}{}{gate}[backtests]\nwaiting-max = 1_000\n", both.config(3600, ""));
    let ephor = Ephor::start_in(&both.path("data"), &config, &[]);
    ephor.wait_until("the log is signed", || ephor_tests::raw::get(ephor.address(), "/v1/log/checkpoint").status == 200);
    (both, ephor)
}

/// One request of each kind, and more where there are several answers.
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_as_it_is_described() {
    let (_both, ephor) = furnished().await;
    let mut described = Described::strictly();
    let json_type = [("content-type", "application/json")];
    let by = json!({ "by": "operations" }).to_string();
    let listing = |id: u32| event::listing(id, LISTED).to_string();
    let wasm = policy(GOOD);
    let settings = settings(GOOD);
    let form = {
        let part = |name: &str, bytes: &[u8]| {
            [format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n").as_bytes(), bytes, b"\r\n"].concat()
        };
        [part("component", &wasm), part("settings", settings.as_bytes()), b"--x--\r\n".to_vec()].concat()
    };
    let try_out = |word: &str| json!({ "policy": GOOD, "settings": { "words": [word] }, "by": "an analyst", "reason": "to see" });
    let part = "--x\r\ncontent-disposition: form-data; name=";
    let tried =
        format!("{part}\"request\"\r\n\r\n{}\r\n{part}\"settings\"\r\n\r\n{settings}\r\n--x--\r\n", json!({ "policy": GOOD, "by": "x" }));
    let tried = tried.into_bytes();
    let promote = "/v1/releases/market-office/negative-list/promote";
    let published = "/v1/policies/market-office/negative-list";
    let many = format!("{}\nno event\n{}\n", listing(10), listing(11));
    type Sent<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>, Vec<u8>, u16);
    let ce = [("ce-specversion", "1.0"), ("ce-id", "b"), ("ce-source", "/tests"), ("ce-type", "retail.invoice.line"), json_type[0]];
    let requests: Vec<Sent<'_>> = vec![
        ("PUT", "/v1/policies/negative-list", vec![("content-type", "multipart/form-data; boundary=x")], form, 201),
        ("PUT", "/v1/policies/negative-list", json_type.to_vec(), settings.clone().into(), 200),
        ("PUT", "/v1/policies/negative-list", json_type.to_vec(), b"{\"no-such-setting\":1}".to_vec(), 422),
        ("PUT", "/v1/policies/nobody", json_type.to_vec(), b"{}".to_vec(), 404),
        ("PUT", "/v1/policies/negative-list", vec![("content-type", "text/html")], b"x".to_vec(), 415),
        ("POST", "/v1/events", vec![("content-type", EVENT)], listing(1).into(), 200),
        ("POST", "/v1/events", vec![("content-type", EVENT)], listing(1).into(), 200),
        ("POST", "/v1/events", vec![("content-type", EVENT)], event::listing(1, "other").to_string().into(), 409),
        ("POST", "/v1/events", vec![("content-type", EVENT)], b"{".to_vec(), 400),
        ("POST", "/v1/events", vec![("content-type", BATCH)], format!("[{},7]", listing(2)).into(), 200),
        ("POST", "/v1/events", vec![("content-type", BATCH)], b"[7]".to_vec(), 400),
        ("POST", "/v1/events", vec![("content-type", LINES)], many.clone().into(), 200),
        ("POST", "/v1/events", vec![("content-type", LINES), ("prefer", "return=minimal")], many.into(), 200),
        ("POST", "/v1/events", ce.to_vec(), b"{\"description\":\"CIGAR\"}".to_vec(), 200),
        ("POST", "/v1/events", vec![("content-type", "text/html")], b"x".to_vec(), 415),
        ("GET", "/v1/events/6", vec![], vec![], 200),
        ("HEAD", "/v1/events/6", vec![], vec![], 200),
        ("GET", "/v1/events/999999", vec![], vec![], 404),
        ("GET", "/v1/events/1", vec![("host", "evil.example")], vec![], 403),
        ("POST", "/v1/erasures", json_type.to_vec(), json!({"source": "/tests", "id": "1", "by": "office"}).to_string().into(), 200),
        ("POST", "/v1/erasures", json_type.to_vec(), b"{\"by\":\"office\"}".to_vec(), 400),
        ("POST", "/v1/erasures", vec![], b"{}".to_vec(), 415),
        ("GET", "/v1/verdicts", vec![], vec![], 200),
        ("HEAD", "/v1/verdicts?follow=true", vec![], vec![], 200),
        ("GET", "/v1/verdicts?limit=2&verdict=deny", vec![], vec![], 200),
        ("GET", "/v1/verdicts?policy=nobody", vec![], vec![], 404),
        ("GET", "/v1/verdicts?limit=0", vec![], vec![], 400),
        ("GET", "/v1/log/checkpoint", vec![], vec![], 200),
        ("GET", "/v1/log/checkpoint/final", vec![], vec![], 200),
        ("GET", "/v1/log/key", vec![], vec![], 200),
        ("GET", "/v1/log/witnesses", vec![], vec![], 200),
        ("GET", "/v1/log/proof/1", vec![], vec![], 200),
        ("GET", "/v1/log/proof/999999", vec![], vec![], 404),
        ("GET", "/v1/log/tile/0/000.p/1", vec![], vec![], 200),
        ("GET", "/v1/log/tile/entries/000.p/1", vec![], vec![], 200),
        ("GET", "/v1/log/tile/0/x999/000", vec![], vec![], 404),
        ("POST", "/v1/log/cosignatures", vec![], b"no note".to_vec(), 400),
        ("GET", "/v1/repositories/market-office/root.json", vec![], vec![], 200),
        ("GET", "/v1/repositories/market-office/metadata/timestamp.json", vec![], vec![], 200),
        ("GET", "/v1/repositories/market-office/targets/releases/none.json", vec![], vec![], 404),
        ("GET", "/v1/policies", vec![], vec![], 200),
        ("GET", "/v1/policies?limit=1", vec![], vec![], 200),
        ("GET", "/v1/policies/negative-list", vec![], vec![], 200),
        ("GET", published, vec![], vec![], 200),
        ("GET", "/v1/policies/nobody", vec![], vec![], 404),
        ("PUT", published, vec![json_type[0], ("if-match", "\"old\"")], b"{}".to_vec(), 412),
        ("DELETE", published, vec![("if-match", "\"old\"")], vec![], 412),
        ("GET", "/v1/releases", vec![], vec![], 200),
        ("POST", promote, json_type.to_vec(), by.clone().into(), 200),
        ("POST", "/v1/releases/market-office/negative-list/demote", json_type.to_vec(), by.clone().into(), 200),
        ("POST", promote, json_type.to_vec(), b"{\"by\":\"operations\",\"to\":\"shadow\"}".to_vec(), 400),
        ("POST", "/v1/releases/negative-list/promote", json_type.to_vec(), by.clone().into(), 404),
        ("POST", "/v1/releases/nobody/demote", json_type.to_vec(), by.clone().into(), 404),
        ("POST", "/v1/releases/nobody/withdraw", json_type.to_vec(), b"{\"by\":\"operations\",\"reason\":\"x\"}".to_vec(), 404),
        ("POST", "/v1/releases/market-office/negative-list/withdraw", json_type.to_vec(), by.into(), 400),
        ("POST", "/v1/publishers/market-office/look", vec![], vec![], 200),
        ("POST", "/v1/publishers/nobody/look", vec![], vec![], 404),
        ("POST", "/v1/backtests", json_type.to_vec(), try_out("LANTERN").to_string().into(), 202),
        // It goes on until there is a result.
        ("GET", "/v1/backtests/1", vec![("accept", "text/event-stream")], vec![], 200),
        ("GET", "/v1/backtests/1", vec![], vec![], 200),
        ("POST", "/v1/backtests", vec![("content-type", "multipart/form-data; boundary=x")], tried, 202),
        ("POST", "/v1/backtests", json_type.to_vec(), b"{\"policy\":\"nobody\",\"by\":\"x\"}".to_vec(), 404),
        ("POST", "/v1/backtests", json_type.to_vec(), b"{\"policy\":\"negative-list\",\"by\":\"x\",\"from\":\"then\"}".to_vec(), 400),
        ("POST", "/v1/backtests", vec![], b"{}".to_vec(), 415),
        ("GET", "/v1/backtests", vec![], vec![], 200),
        ("GET", "/v1/backtests/releases", vec![], vec![], 200),
        ("GET", "/v1/backtests/99", vec![], vec![], 404),
        ("GET", "/v1/backtests/1/differences", vec![], vec![], 200),
        ("GET", "/v1/backtests/1/differences?format=csv", vec![], vec![], 200),
        ("GET", "/v1/backtests/1/differences?format=html", vec![], vec![], 400),
        ("DELETE", "/v1/backtests/1", vec![], vec![], 200),
        ("DELETE", "/v1/backtests/1", vec![], vec![], 404),
        ("GET", "/v1/status", vec![], vec![], 200),
        ("GET", "/v1/status", vec![("accept", "application/json")], vec![], 200),
        ("GET", "/livez", vec![], vec![], 200),
        ("GET", "/readyz", vec![], vec![], 200),
        ("GET", "/metrics", vec![], vec![], 200),
        ("GET", "/v1/openapi.json", vec![], vec![], 200),
        ("GET", "/v1/docs", vec![], vec![], 200),
        ("DELETE", "/v1/policies/negative-list", vec![], vec![], 200),
        ("DELETE", "/v1/policies/negative-list", vec![], vec![], 404),
    ];
    for (method, path, headers, body, status) in requests {
        let answer = send(&ephor, method, path, &headers, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        described.holds(method, path, &answer);
    }
    let paths = described.document["paths"].as_object().expect("paths");
    let all = paths
        .iter()
        .flat_map(|(path, operations)| operations.as_object().expect("operations").keys().map(move |method| format!("{method} {path}")));
    let unseen: Vec<String> = all.filter(|operation| !described.seen.contains(operation)).collect();
    assert!(unseen.is_empty(), "nothing asked for {unseen:?}");
}

/// Every refusal of HTTP itself, with the word that says what would be right.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_problems() {
    let ephor = with_good_policy("[server]\nheader-bytes-max = 4_096\n").await;
    let long = format!("/v1/policies?after={}", "x".repeat(5_000));
    let large = "x".repeat(3_000);
    let many: Vec<(String, &str)> = (0..70).map(|index| (format!("x-{index}"), "1")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    for (method, path, headers, status, kind, says) in [
        ("GET", "/v1/log/nothing", vec![], 404, "not-found", "/v1/log/checkpoint"),
        ("GET", "/nothing", vec![], 404, "not-found", "/v1/docs"),
        ("POST", "/v1/releases/a/b/c", vec![], 404, "not-found", "/promote"),
        ("PATCH", "/v1/policies/x", vec![], 405, "method", "GET, HEAD, PUT, DELETE, OPTIONS"),
        ("GET", "/v1/policies?frm=1", vec![], 400, "query", "\"frm\" is not a parameter of the query; there are limit, after"),
        ("GET", "/v1/policies?limit=1&limit=2", vec![], 400, "query", "twice"),
        ("GET", "/livez?x", vec![], 400, "query", "there are none here"),
        ("GET", "/v1/verdicts?limit=5000", vec![], 400, "query", "from 1 to 1000"),
        ("GET", "/v1/verdicts?mode=loud", vec![], 400, "query", "shadow, canary, enforce"),
        ("GET", "/v1/verdicts", vec![("last-event-id", "x")], 400, "header", "sequence"),
        ("GET", "/v1/verdicts?policy=negative-lst", vec![], 404, "no-such-policy", "ever was"),
        ("GET", "/v1/policies", vec![("accept", "text/html")], 406, "not-acceptable", "application/json"),
        ("GET", &long, vec![], 414, "uri-too-long", "4096"),
        ("GET", "/livez", vec![("x-a", &large), ("x-b", &large)], 431, "header-too-large", "4096"),
        ("GET", "/livez", many, 431, "header-too-large", "64"),
        (
            "PUT",
            "/v1/policies/negative-list",
            vec![("if-match", "\"x\""), ("content-type", "application/json")],
            412,
            "precondition",
            "entity tag",
        ),
    ] {
        let answer = send(&ephor, method, path, &headers, if method == "PUT" { "{\"words\":[]}" } else { "" }).await;
        let what = format!("{method} {}", &path[..path.len().min(60)]);
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (status, PROBLEM), "{what}: {}", answer.text());
        let problem = answer.json();
        assert_eq!(problem["type"], format!("urn:ephor:problem:{kind}"), "{what}");
        assert!(event::text(&problem, "detail").contains(says), "{what}: {problem}");
        assert_eq!((answer.header("cache-control"), answer.header("x-content-type-options")), ("no-store", "nosniff"), "{what}");
    }
    let refused = send(&ephor, "PATCH", "/v1/policies/x", &[], "").await;
    assert_eq!(refused.header("allow"), "GET, HEAD, PUT, DELETE, OPTIONS");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_is_not_sent_again() {
    let ephor = with_good_policy(FULL).await;
    ephor.judge([event::listing(1, LISTED)]).await;
    ephor.wait_until("the log is signed", || ephor_tests::raw::get(ephor.address(), "/v1/log/proof/3").status == 200);
    let document = document();
    let sequence = event::sequence(&ephor.get("/v1/verdicts?source=/tests").await.expect(200).lines()[0]);
    let mut tagged = 0;
    for (template, operations) in document["paths"].as_object().expect("paths") {
        if !operations["get"]["responses"]["304"].is_object() || template.contains("{publisher}") || template.ends_with("/final") {
            continue;
        }
        let path = template
            .replace("{policy}", GOOD)
            .replace("{sequence}", &sequence.to_string())
            .replace("{level}", "0")
            .replace("{tile}", "000.p/1");
        let first = ephor.get(&path).await.expect(200);
        let tag = first.header("etag");
        assert!(tag.starts_with('"'), "{path}: {tag:?}");
        let again = send(&ephor, "GET", &path, &[("if-none-match", &format!("\"x\", {tag}"))], "").await.expect(304);
        assert_eq!((again.body.len(), again.header("etag"), again.header("content-type")), (0, tag, ""), "{path}");
        send(&ephor, "GET", &path, &[("if-none-match", "\"x\"")], "").await.expect(200);
        let head = send(&ephor, "HEAD", &path, &[], "").await.expect(200);
        assert_eq!(
            (head.body.len(), head.header("etag"), head.header("content-length")),
            (0, tag, &*first.body.len().to_string()),
            "{path}"
        );
        tagged += 1;
    }
    assert!(tagged >= 9, "{tagged} paths have entity tags");
}

/// Of two who saw the same policy one changes it, and the other is told.
#[tokio::test(flavor = "multi_thread")]
async fn an_act_can_depend_on_what_was_seen() {
    let ephor = with_good_policy("").await;
    let path = "/v1/policies/negative-list";
    let tag = ephor.get(path).await.expect(200).header("etag").to_string();
    let put = async |condition: (&str, &str), words: &str| {
        let headers = [("content-type", "application/json"), condition];
        send(&ephor, "PUT", path, &headers, format!("{{\"words\":[{words:?}]}}")).await
    };
    put(("if-match", &tag), "LANTERN").await.expect(200);
    let late = put(("if-match", &tag), "TEAPOT").await.expect(412).json();
    let now = ephor.get(path).await.expect(200).header("etag").to_string();
    assert!(now != tag && event::text(&late, "detail").contains(&now), "{late}");
    put(("if-none-match", "*"), "TEAPOT").await.expect(412);
    let act = async |tag: &str| {
        let headers = [("content-type", "application/json"), ("if-match", tag)];
        send(&ephor, "POST", "/v1/releases/negative-list/withdraw", &headers, "{\"by\":\"x\",\"reason\":\"y\"}").await
    };
    act(&tag).await.expect(412);
    send(&ephor, "DELETE", path, &[("if-match", &tag)], "").await.expect(412);
    send(&ephor, "DELETE", path, &[("if-match", &now)], "").await.expect(200);
    send(&ephor, "DELETE", path, &[("if-match", "*")], "").await.expect(412);
}

/// The address of the next page.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link");
    (!link.is_empty()).then(|| {
        assert!(link.ends_with(">; rel=\"next\""), "{link}");
        link[1..].split('>').next().expect("an address").to_string()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_the_whole() {
    let ephor = with_good_policy("").await;
    for name in ["fleet-cap", "geofence"] {
        ephor.put(name, &policy(name), &settings(name)).await.succeeded();
    }
    ephor.judge((1..=20).map(|id| event::listing(id, if id % 2 == 0 { LISTED } else { "TEAPOT" }))).await;
    for filter in ["", "&verdict=deny", "&mode=enforce&policy=negative-list", "&mode=shadow", "&subject=sku%2F1"] {
        let whole = ephor.get(&format!("/v1/verdicts?{}", filter.trim_start_matches('&'))).await.expect(200).lines();
        let (mut pages, mut found) = (0, Vec::new());
        let mut address = Some(format!("/v1/verdicts?limit=3{filter}"));
        while let Some(path) = address {
            let page = ephor.get(&path).await.expect(200);
            assert!(page.lines().len() <= 3, "{path}");
            found.extend(page.lines());
            address = next(&page);
            pages += 1;
        }
        assert_eq!(found, whole, "{filter}");
        assert!(pages >= whole.len() / 3, "{filter}: {pages}");
        let expected = match filter {
            "&verdict=deny" | "&mode=enforce&policy=negative-list" => 10,
            "&mode=shadow" => 0,
            "&subject=sku%2F1" => 20,
            _ => whole.len(),
        };
        assert_eq!(whole.len(), expected, "{filter}");
    }
    for (path, list) in [("/v1/policies", "policies"), ("/v1/releases", "releases")] {
        let (mut names, mut address) = (Vec::new(), Some(format!("{path}?limit=2")));
        while let Some(path) = address {
            let page = ephor.get(&path).await.expect(200);
            let items = page.json()[list].as_array().expect("a list").clone();
            names.extend(items.iter().map(|item| event::text(item, "policy").to_string()));
            address = next(&page);
        }
        assert_eq!(names, ["fleet-cap", "geofence", "negative-list"], "{path}");
    }
    // A policy that is gone is still known by the record.
    ephor.remove("geofence").await.expect(200);
    let changes = ephor.get("/v1/verdicts?policy=geofence").await.expect(200).lines();
    assert_eq!(changes.len(), 2, "{changes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_are_as_the_document_says() {
    let ephor = Ephor::start(&[]);
    for (template, operations) in document()["paths"].as_object().expect("paths") {
        let path = template
            .replace("{sequence}", "1")
            .replace("{number}", "1")
            .replace("{level}", "0")
            .replace("{tile}", "000")
            .replace(['{', '}'], "");
        let answer = send(&ephor, "OPTIONS", &path, &[], "").await.expect(204);
        let allowed: BTreeSet<String> = answer.header("allow").split(", ").map(str::to_string).collect();
        let mut expected: BTreeSet<String> =
            operations.as_object().expect("operations").keys().map(|method| method.to_ascii_uppercase()).collect();
        if expected.contains("GET") {
            expected.insert("HEAD".into());
        }
        expected.insert("OPTIONS".into());
        assert_eq!(allowed, expected, "{path}");
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            if !allowed.contains(method.as_str()) {
                let refused = send(&ephor, method.as_str(), &path, &[], "").await.expect(405);
                assert_eq!(refused.header("allow"), answer.header("allow"), "{method} {path}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_has_every_operation_and_loads_nothing() {
    let ephor = Ephor::start(&[]);
    let answer = ephor.get("/v1/docs").await.expect(200);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    let page = answer.text();
    for operations in document()["paths"].as_object().expect("paths").values() {
        for operation in operations.as_object().expect("operations").values() {
            let id = event::text(operation, "operationId");
            assert!(page.contains(&format!("<article id=\"{id}\"")) && page.contains(&format!("href=\"#{id}\"")), "{id}");
        }
    }
    for loads in ["<script", "<link", "<img", "<iframe", "src=", "@import", "url("] {
        assert!(!page.contains(loads), "{loads}");
    }
    let own = ephor.url("/");
    for address in page.split("://").skip(1).zip(page.split("://")).map(|(rest, before)| (before, rest)) {
        let scheme = address.0.rsplit(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        let whole = format!("{scheme}://{}", &address.1[..address.1.len().min(60)]);
        assert!(whole.starts_with(&own), "{whole}");
    }
    // What is linked is there.
    for target in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(page.contains(&format!("id=\"{target}\"")), "#{target}");
    }
    // A host that would end the quotes of a shell is not taken over.
    let foreign = send(&ephor, "GET", "/v1/docs", &[("host", "a';id;'")], "").await;
    assert!(foreign.status == 400 || !foreign.text().contains(";id;"), "{}", foreign.status);
}

/// The lines of the page, as somebody would copy them.
#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_the_page_work() {
    if std::env::var("EPHOR_WITHOUT_CURL").as_deref() == Ok("1") {
        return data::left_out("the lines of the page", "EPHOR_WITHOUT_CURL=1");
    }
    let ephor = with_good_policy(FULL).await;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(component_path("policies", GOOD), folder.path().join("negative-list.wasm")).expect("copied");
    ephor.wait_until("the log is signed", || ephor_tests::raw::get(ephor.address(), "/v1/log/checkpoint").status == 200);
    std::fs::write(folder.path().join("checkpoint.cosigned"), ephor.get("/v1/log/checkpoint").await.body).expect("written");
    let page = ephor.get("/v1/docs").await.expect(200).text();
    let mut described = Described::strictly();
    let mut worked = BTreeSet::new();
    for line in page.split(">curl ").skip(1).filter_map(|rest| rest.split('<').next()) {
        let line = line.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        let script = format!("curl {line} -o answer -w '%{{http_code}} %{{method}} %{{url}}'");
        let output = Command::new("sh").args(["-euc", &script]).current_dir(folder.path()).output().expect("a shell");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{line}: {said}{}", String::from_utf8_lossy(&output.stderr));
        let [status, method, url] = said.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{said}") };
        let template = described.template(url.split_once(&*ephor.address().to_string()).expect("its address").1);
        let responses = &described.document["paths"][&template][&method.to_ascii_lowercase()]["responses"];
        assert!(responses[status].is_object() && status < "500", "{line}: {said}");
        if status.starts_with('2') {
            worked.insert(format!("{method} {template}"));
        }
        described.seen.insert(template);
    }
    assert_eq!(described.seen.len(), described.document["paths"].as_object().expect("paths").len());
    for expected in ["POST /v1/events", "PUT /v1/policies/{policy}", "GET /v1/verdicts", "DELETE /v1/policies/{policy}"] {
        assert!(worked.contains(expected), "{expected} worked: {worked:?}");
    }
}
