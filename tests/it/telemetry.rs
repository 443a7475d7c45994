//! What the server tells of itself: traces for a collector, logs for machines, figures that a
//! real Prometheus reads, and rules and a dashboard that ask for figures that there are. In
//! none of it is anything of an event.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use ephor::runtime::Cause;
use ephor::{Runtime, ingest};
use ephor_tests::client::{BATCH, EVENT, LINES, Version};
use ephor_tests::collector::{Collector, Span};
use ephor_tests::prometheus::{self, Prometheus, promtool};
use ephor_tests::{Ephor, documents, event, guest, policy, settings, workspace};
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};

use crate::config::packaging;
use crate::journey::free_port;
use crate::publishers::Both;
use crate::{GOOD, LISTED};

/// Trace and span of whoever calls.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// What an event of a listed article goes through.
const STAGES: [&str; 10] = ["queue", "admit", "project", "evaluate", "combine", "record", "keep", "wait", "commit", "judge"];

fn parent(trace: &str, is_sampled: bool) -> String {
    format!("00-{trace}-{CALLER}-0{}", u8::from(is_sampled))
}

/// The good policy in force, everything kept, traces for this collector.
async fn traced(endpoint: &str, more: &str) -> Ephor {
    let config = format!("[ledger]\nevents = \"full\"\n[telemetry.traces]\nendpoint = \"{endpoint}\"\n{more}");
    crate::with_good_policy(&config).await
}

#[track_caller]
fn one<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let found: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name} in {spans:#?}");
    found[0]
}

/// Sends an event with curl, in a trace.
fn curl(ephor: &Ephor, event: &Value) -> Value {
    let (traceparent, content_type) = (format!("traceparent: {}", parent(TRACE, true)), format!("content-type: {EVENT}"));
    let mut command = Command::new("curl");
    command.args(["-sS", "-H", &traceparent, "-H", "tracestate: vendor=1,other=2", "-H", &content_type]);
    command.args(["-d", &event.to_string(), &ephor.url("/v1/events")]).stdin(Stdio::null());
    let output = command.output().expect("curl starts: install it, or leave this out with EPHOR_WITHOUT_CURL=1");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_runs_from_curl_through_the_policies_to_the_ledger() {
    let collector = Collector::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let headers = folder.path().join("headers");
    std::fs::write(&headers, "Authorization: Bearer of-the-collector\n").expect("written");
    let ephor = traced(&collector.endpoint(), &format!("headers-file = {headers:?}\nservice = \"platform-a\"\n")).await;
    let listed = event::listing(1, LISTED);
    let answer = match std::env::var("EPHOR_WITHOUT_CURL").as_deref() {
        Ok("1") => {
            let headers = [("traceparent", parent(TRACE, true)), ("tracestate", "vendor=1,other=2".into())];
            let headers = [(headers[0].0, headers[0].1.as_str()), (headers[1].0, headers[1].1.as_str())];
            ephor.post_with(EVENT, &headers, listed.to_string()).await.expect(200).json()
        }
        _ => curl(&ephor, &listed),
    };
    let of_policy = format!("policy {GOOD}");
    let spans = collector.trace(TRACE, &[&STAGES[..], &["POST events", &of_policy]].concat()).await;
    let (request, judge, evaluate) = (one(&spans, "POST events"), one(&spans, "judge"), one(&spans, "evaluate"));
    assert_eq!((request.parent.as_str(), request.kind), (CALLER, 2), "{request:?}");
    assert_eq!(judge.parent, request.id);
    for stage in STAGES.iter().filter(|stage| **stage != "judge") {
        let span = one(&spans, stage);
        assert_eq!(span.parent, judge.id, "{span:?}");
        assert!(span.began >= judge.began && span.ended <= judge.ended && span.began <= span.ended, "{span:?} in {judge:?}");
    }
    let asked = one(&spans, &of_policy);
    assert_eq!((asked.parent.as_str(), asked.attributes["ephor.rows"].as_str()), (evaluate.id.as_str(), "1"));
    assert!(asked.attributes["ephor.fuel"].parse::<u64>().is_ok_and(|fuel| fuel > 0), "{asked:?}");
    assert!(one(&spans, "commit").ended <= request.ended, "answered when it is durable");
    let sequence = event::sequence(&answer).to_string();
    let attributes = &judge.attributes;
    assert_eq!((attributes["ephor.sequence.first"].as_str(), attributes["ephor.deny"].as_str()), (sequence.as_str(), "1"));
    assert_eq!(request.attributes["http.response.status_code"], "200");
    assert!(spans.iter().all(|span| span.state == "vendor=1,other=2" && span.service == "platform-a"), "{spans:#?}");
    assert_eq!(collector.header("authorization").as_deref(), Some("Bearer of-the-collector"));
    assert!(!ephor.log().contains("of-the-collector"));
    ephor.wait_until("they are counted", || ephor.metric("ephor_trace_spans_total", "outcome=\"sent\"") >= 12.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_traced_the_caller_decides_and_otherwise_the_share() {
    let collector = Collector::start().await;
    let other = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    for (share, expected) in [("0.0", 1), ("1.0", 2)] {
        let ephor = traced(&collector.endpoint(), &format!("sample = {share}\n")).await;
        let before = collector.spans().len();
        let send = async |id: u32, traceparent: Option<String>| {
            let headers: Vec<(&str, &str)> = traceparent.iter().map(|parent| ("traceparent", parent.as_str())).collect();
            ephor.post_with(EVENT, &headers, event::listing(id, LISTED).to_string()).await.expect(200);
        };
        send(1, Some(parent(other, false))).await;
        send(2, None).await;
        // None is as good as one that cannot be read.
        let trace = format!("{expected:032x}");
        send(3, Some(parent(&trace, true))).await;
        collector.trace(&trace, &["POST events", "commit"]).await;
        // Everything that has ended is sent by then.
        assert!(ephor.stop().success());
        let new = collector.spans().split_off(before);
        let traces: BTreeSet<&str> = new.iter().filter(|span| span.name == "judge").map(|span| span.trace.as_str()).collect();
        assert_eq!(traces.len(), expected, "{traces:?}");
        assert!(!collector.spans().iter().any(|span| span.trace == other), "not against the caller's will");
        if expected == 2 {
            let root = new.iter().find(|span| span.name == "POST events" && span.parent.is_empty());
            assert!(root.is_some(), "a trace that begins here: {new:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_bring_their_own_traces_along() {
    let collector = Collector::start().await;
    let ephor = traced(&collector.endpoint(), "sample = 0\n").await;
    let with = |id: u32, trace: &str, is_sampled: bool| {
        let mut event = event::listing(id, LISTED);
        event["traceparent"] = json!(parent(trace, is_sampled));
        event["tracestate"] = json!("made=there");
        event
    };
    let ids: Vec<String> = (1..8).map(|n| format!("{n:032x}")).collect();
    // A batch within a trace of its own.
    let events = json!([with(1, &ids[0], true), with(2, &ids[1], false), event::listing(3, LISTED)]);
    ephor.post_with(BATCH, &[("traceparent", &parent(TRACE, true))], events.to_string()).await.expect(200);
    // A stream that nobody traces.
    let (mut sending, mut answers) = ephor.stream(Version::Http2, &[]).await;
    assert!(sending.send(format!("{}\n", with(4, &ids[3], true))).await);
    assert_eq!(answers.next().await.expect("an answer")["id"], "4");
    drop(sending);
    // Headers, and an event in them.
    let request = Request::post(ephor.url("/v1/events")).header("ce-specversion", "1.0").header("ce-id", "5").header("ce-source", "/tests");
    let request = request.header("ce-type", "retail.invoice.line").header("ce-traceparent", parent(&ids[4], true));
    ephor.request(request.body(Full::default()).expect("a request")).await.expect(200);
    for (trace, links) in [(&ids[0], 1), (&ids[3], 0), (&ids[4], 0)] {
        let spans = collector.trace(trace, &STAGES).await;
        let judge = one(&spans, "judge");
        assert_eq!((judge.parent.as_str(), judge.kind, judge.links.len()), (CALLER, 5, links), "{judge:?}");
        assert!(judge.links.iter().all(|link| link == TRACE));
        assert!(!spans.iter().any(|span| span.name.starts_with("POST")), "{spans:#?}");
    }
    assert_eq!(one(&collector.trace(&ids[0], &["judge"]).await, "judge").state, "made=there");
    let request = collector.trace(TRACE, &STAGES).await;
    assert_eq!(one(&request, "judge").attributes["ephor.batch.events"], "3");
    assert!(ephor.stop().success());
    assert!(!collector.spans().iter().any(|span| span.trace == ids[1]), "not sampled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_gone_costs_events_nothing() {
    // One that is not there, and one that takes connections and never answers.
    let gone = format!("http://127.0.0.1:{}", free_port());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = (format!("http://{}", silent.local_addr().expect("an address")), silent);
    for (endpoint, outcome) in [(&gone, "failed"), (&silent.0, "dropped")] {
        let ephor = traced(endpoint, "sample = 1.0\nqueue-spans-max = 64\ntimeout-ms = 600_000\n").await;
        for id in 0..40 {
            let answer = ephor.post(EVENT, event::listing(id, LISTED).to_string()).await.expect(200).json();
            assert_eq!(answer["verdict"], "deny");
        }
        let counted = || ephor.metric("ephor_trace_spans_total", &format!("outcome=\"{outcome}\""));
        ephor.wait_until("they are counted", || counted() > 0.0);
        assert_eq!(ephor.metric("ephor_events_total", ""), 40.0);
        assert_eq!(ephor.metric("ephor_trace_spans_total", "outcome=\"sent\""), 0.0);
        // It ends, whether they are sent or not.
        assert!(ephor.stop().success());
    }
    // Said once, not for each.
    let ephor = traced(&gone, "sample = 1.0\n").await;
    ephor.judge([event::listing(1, LISTED)]).await;
    let said = || ephor.log().matches("The collector does not take traces").count();
    ephor.wait_until("it is said", || said() == 1);
    ephor.judge([event::listing(2, LISTED)]).await;
    let failed = ephor.metric("ephor_trace_spans_total", "outcome=\"failed\"");
    ephor.wait_until("more fail", || ephor.metric("ephor_trace_spans_total", "outcome=\"failed\"") > failed);
    assert_eq!(said(), 1);
}

/// What was logged, line by line, without what is for scripts.
fn lines(ephor: &Ephor) -> Vec<Value> {
    let log = ephor.log();
    let lines = log.lines().filter(|line| !line.starts_with("listening on "));
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_json_is_one_object_a_line_and_knows_its_traces() {
    let config = "[telemetry.log]\nformat = \"json\"\nlevel = \"info,ephor=debug\"\n";
    let ephor = crate::with_good_policy(config).await;
    let refused = |id: &'static str| {
        let request = Request::get(ephor.url("/v1/nowhere")).header("traceparent", parent(id, false));
        request.body(Full::default()).expect("a request")
    };
    ephor.request(refused(TRACE)).await.expect(404);
    let of = |trace: &str| lines(&ephor).into_iter().filter(|line| line["trace_id"] == trace).collect::<Vec<_>>();
    ephor.wait_until("it is logged", || !of(TRACE).is_empty());
    let line = of(TRACE).remove(0);
    assert_eq!((event::text(&line, "message"), event::text(&line, "level")), ("Request refused", "DEBUG"), "{line}");
    assert_eq!(line["fields"]["problem.kind"], "not-found", "{line}");
    assert_eq!(event::text(&line, "span_id").len(), 16, "{line}");
    let all = lines(&ephor);
    assert!(all.iter().any(|line| line["message"] == "Listening" && line["fields"]["address"].is_string()), "{all:#?}");
    for line in &all {
        let time = event::text(line, "time");
        assert!(time.starts_with("20") && time.ends_with('Z') && time.contains('T'), "{line}");
        assert!(["ERROR", "WARN", "INFO", "DEBUG"].contains(&event::text(line, "level")), "{line}");
        assert!(line["target"].is_string() && line["message"].is_string(), "{line}");
    }

    // The level is taken over; the format needs a restart.
    ephor.reconfigure("[telemetry.log]\nformat = \"text\"\nlevel = \"info\"\n");
    let said = |part: &str| lines(&ephor).iter().any(|line| event::text(line, "message").contains(part));
    ephor.wait_until("it is taken over", || said("Changed: telemetry.log.level"));
    assert!(said("Needs a restart: telemetry.log.format"), "{}", ephor.log());
    let quiet = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    ephor.request(refused(quiet)).await.expect(404);
    let read = || lines(&ephor).iter().filter(|line| line["message"] == "Configuration read again").count();
    let before = read();
    ephor.signal("HUP");
    ephor.wait_until("something later is logged", || read() > before);
    assert!(of(quiet).is_empty(), "{:?}", of(quiet));
}

#[tokio::test(flavor = "multi_thread")]
async fn pv_03_nothing_of_an_event_is_in_logs_metrics_or_traces() {
    const CANARY: &str = "13800138000-canary";
    let collector = Collector::start().await;
    let config = format!(
        "[ingest]\nattribute-bytes-max = 4_096\n[telemetry.log]\nformat = \"json\"\nlevel = \"trace\"\n\
         [telemetry.traces]\nendpoint = \"{}\"\nsample = 1.0\n",
        collector.endpoint()
    );
    let ephor = crate::with_good_policy(&config).await;
    for file in ["traps_on_a_row", "echo_kinds", "log_flood"] {
        ephor.put(&file.replace('_', "-"), &guest(file), "{}").await.succeeded();
    }
    let event = |id: u32, kind: &str, description: &str| {
        json!({
            "specversion": "1.0", "id": format!("{CANARY}-{id}"), "source": format!("/{CANARY}"), "type": kind,
            "subject": CANARY, "time": "2026-01-02T03:04:05Z", "datacontenttype": "application/json", "canary": CANARY,
            "dataschema": format!("urn:{CANARY}"),
            "data": {"invoice": CANARY, "sku": CANARY, "description": format!("{description} {CANARY}"), "quantity": 1,
                "unit_price": 1.0, "customer": CANARY, "country": CANARY, CANARY: {CANARY: [CANARY]}},
        })
    };
    let mut events = vec![
        event(1, "retail.invoice.line", LISTED),
        event(2, "retail.invoice.line", "boom"),
        event(3, CANARY, "anything"),
        // Again, and with another content.
        event(1, "retail.invoice.line", LISTED),
        event(1, "retail.invoice.line", "LANTERN"),
    ];
    // Nothing that can be read.
    let mut unreadable = event(4, "retail.invoice.line", "x");
    unreadable["data"]["description"] = json!([CANARY]);
    let mut timeless = event(5, "retail.invoice.line", "x");
    timeless["time"] = json!(CANARY);
    events.extend([unreadable, timeless, json!({CANARY: CANARY}), json!(CANARY)]);
    for event in &events {
        ephor.post_with(EVENT, &[("traceparent", &parent(TRACE, true))], event.to_string()).await;
    }
    ephor.post(LINES, event::ndjson(events.clone())).await;
    ephor.post(BATCH, json!(events).to_string()).await;
    ephor.post(EVENT, format!("{{\"{CANARY}\":")).await;
    ephor.post(CANARY, CANARY).await;
    for path in [format!("/v1/events/{CANARY}"), format!("/{CANARY}"), format!("/v1/policies/{CANARY}")] {
        ephor.get(&path).await;
    }
    let mut traceparent = events[0].clone();
    traceparent["traceparent"] = json!(CANARY);
    traceparent["id"] = json!(format!("{CANARY}-9"));
    ephor.post_with(EVENT, &[("traceparent", CANARY), ("tracestate", CANARY)], traceparent.to_string()).await.expect(200);

    let page = ephor.get("/metrics").await.expect(200).text();
    assert!(page.contains("ephor_events_total{verdict=\"undetermined\"}"), "some failed: {page}");
    assert!(!page.contains(CANARY), "{page}");
    collector.trace(TRACE, &["POST events", "commit", "policy traps-on-a-row"]).await;
    let log = ephor.log();
    assert!(!log.contains(CANARY), "{}", log.lines().find(|line| line.contains(CANARY)).unwrap_or_default());
    assert!(lines(&ephor).len() > 5);
    assert!(ephor.stop().success());
    assert!(!collector.has(CANARY), "{:#?}", collector.spans().iter().find(|span| format!("{span:?}").contains(CANARY)));
    assert!(collector.spans().len() > 50);
}

/// A server of which every figure has a value: a publisher that is followed, policies that
/// find something, one that fails, events that are late, repeated, wrong, or of no concern.
async fn everything(both: &Both, collector: &Collector) -> Ephor {
    both.release(GOOD, "1.0.0", &serde_json::from_str(&settings(GOOD)).expect("settings in JSON"), &[]);
    let config = format!(
        "{}[telemetry.traces]\nendpoint = \"{}\"\nsample = 1.0\n[spine.heartbeats]\n\"/quiet\" = 1\n[outgoing.archive.file]\npath = \"{}\"\n",
        both.config(3600, ""),
        collector.endpoint(),
        both.path("told.ndjson").display()
    );
    let ephor = Ephor::start_in(&both.path("data"), &config, &[]);
    ephor.put("nothing", b"none", "{}").await;
    ephor.put("traps-on-a-row", &guest("traps_on_a_row"), "{}").await.succeeded();
    ephor.put("counts-riders", &guest("counts_riders"), "{}").await;
    ephor.put("credit-standing", &policy("credit-standing"), &settings("credit-standing")).await.succeeded();
    let mut events: Vec<Value> = (0..20).map(|id| event::listing(id, LISTED)).collect();
    events.push(event::listing(20, "boom"));
    events.push(events[0].clone());
    let mut other = event::listing(21, "x");
    other["type"] = json!("of.no.concern");
    let mut numbered = event::listing(22, "x");
    numbered["sequence"] = json!("7");
    let mut later = event::listing(23, "x");
    (later["sequence"], later["time"]) = (json!("9"), json!("2026-01-03T00:00:00Z"));
    let late = event::listing(24, "x");
    events.extend([other, numbered, later, late]);
    ephor.judge(events.clone()).await;
    ephor.post(EVENT, "no event").await;
    // A repository that is not there any more.
    let away = both.path("away");
    std::fs::rename(both.path("rules"), &away).expect("moved");
    crate::publishers::look(&ephor).await;
    std::fs::rename(&away, both.path("rules")).expect("moved back");
    // One that asks for more than was granted.
    let fairness = serde_json::from_str(&settings("price-fairness")).expect("settings in JSON");
    both.release("price-fairness", "1.0.0", &fairness, &[]);
    crate::publishers::look(&ephor).await;
    ephor
}

/// The names of samples on a page.
fn samples(page: &str) -> BTreeSet<&str> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split(['{', ' ']).next()).filter(|name| !name.is_empty()).collect()
}

/// Names of figures in an expression: ours, and those of the process.
fn figures(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("ephor_") || word.starts_with("process_")).map(str::to_string).collect()
}

/// Every expression of the dashboard, with what is filled in.
fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default());
    targets.map(|target| event::text(target, "expr").replace("$instance", ".*")).collect()
}

fn dashboard() -> Value {
    serde_json::from_str(&packaging("grafana-dashboard.json")).expect("the dashboard is JSON")
}

/// Registered where there is TLS.
const OF_TLS: &str = "ephor_tls_certificate_expiry_seconds";

#[tokio::test(flavor = "multi_thread")]
async fn every_figure_that_somebody_asks_for_is_there() {
    let (both, collector) = (Both::new(), Collector::start().await);
    let ephor = everything(&both, &collector).await;
    let page = ephor.get("/metrics").await.expect(200).text();
    assert!(page.ends_with("# EOF\n") && page.matches("# EOF").count() == 1);
    let there = samples(&page);
    let mut asked = figures(&packaging("alerts.yml"));
    asked.extend(expressions(&dashboard()).iter().flat_map(|expression| figures(expression)));
    assert!(asked.len() > 50, "{asked:?}");
    let missing: Vec<&String> = asked.iter().filter(|name| !there.contains(name.as_str()) && *name != OF_TLS).collect();
    assert!(missing.is_empty(), "{missing:?} in\n{page}");
    for word in ["kind=\"queue-full\"", "outcome=\"dropped\"", "outcome=\"failed\""] {
        assert!(page.contains(word), "{word}, which a rule asks for, in\n{page}");
    }

    // The document has every figure.
    documents::part_is_up_to_date("runtime/OBSERVABILITY.md", "<!-- metrics -->\n", "<!-- /metrics -->", &table(&page));

    // Blind: one policy failed.
    let blind = |name: &str, label: &str| ephor.metric(name, label);
    assert_eq!(blind("ephor_policy_blind_answers_total", "policy=\"traps-on-a-row\",cause=\"failed\""), 1.0, "{page}");
    assert!(blind("ephor_blind_seconds_total", "") >= 1.0);
    assert_eq!(blind("ephor_blind_events_total", ""), 1.0);
    assert_eq!(blind("ephor_events_unasked_total", ""), 1.0);
}

/// The figures of a page as a table: name, type, labels, what it is.
fn table(page: &str) -> String {
    let mut rows = BTreeMap::new();
    let mut help = BTreeMap::new();
    for line in page.lines() {
        if let Some((name, text)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            help.insert(name, text.trim_end_matches('.'));
        }
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            rows.insert(name, (kind, BTreeSet::new()));
        }
        let Some((sample, labels)) = line.split_once('{').filter(|(sample, _)| !sample.contains(' ')) else { continue };
        let name = ["_total", "_bucket", "_sum", "_count", "_info"]
            .iter()
            .find_map(|end| sample.strip_suffix(end))
            .filter(|name| rows.contains_key(name));
        if let Some((_, known)) = rows.get_mut(name.unwrap_or(sample)) {
            let labels = labels.split("} ").next().unwrap_or_default();
            let names = labels.split("\",").filter_map(|label| label.split_once('=')).map(|(name, _)| name);
            known.extend(names.filter(|name| *name != "le").map(|name| format!("`{name}`")));
        }
    }
    let mut out = String::from("| figure | type | labels | what it is |\n|---|---|---|---|\n");
    for (name, (kind, labels)) in rows {
        let end = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let labels: Vec<String> = labels.into_iter().collect();
        out += &format!("| `{name}{end}` | {kind} | {} | {} |\n", labels.join(", "), help[name]);
    }
    out
}

/// The page as older tools read it, without what is new in OpenMetrics.
fn classic(page: &str) -> String {
    let mut kinds = BTreeMap::new();
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        kinds.extend(line.split_once(' '));
    }
    let mut out = String::new();
    for line in page.lines() {
        if line.starts_with("# UNIT") || line == "# EOF" {
            continue;
        }
        let line = line.split(" # {").next().unwrap_or_default();
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let renamed = match words[..] {
            ["#", what, name, rest] => match kinds.get(name) {
                Some(&"counter") => format!("# {what} {name}_total {rest}"),
                Some(&"info") => format!("# {what} {name}_info {}", if what == "TYPE" { "gauge" } else { rest }),
                _ => line.to_string(),
            },
            _ => line.to_string(),
        };
        out += &renamed;
        out.push('\n');
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_reads_the_figures() {
    if prometheus::left_out("what a real Prometheus reads") {
        return;
    }
    let (both, collector) = (Both::new(), Collector::start().await);
    let ephor = everything(&both, &collector).await;
    let address = ephor.address();
    let events = ephor.metric("ephor_events_total", "");
    let rules = workspace().join("packaging/alerts.yml");
    let checks = tokio::task::spawn_blocking(move || {
        let prometheus = Prometheus::start(address, &rules);
        let query = |expression: &str| {
            let escaped: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
            format!("/api/v1/query?query={escaped}")
        };
        let value = |data: &Value| data["result"][0]["value"][1].as_str().and_then(|value| value.parse::<f64>().ok());
        prometheus.wait("the server is scraped", &query("up{job=\"ephor\"}"), |data| value(data) == Some(1.0));
        prometheus.wait("the events are there", &query("sum(ephor_events_total)"), |data| value(data) == Some(events));
        prometheus.wait("blindness is there", &query("ephor_blind_seconds_total"), |data| value(data).is_some_and(|value| value >= 1.0));
        prometheus.wait("memory is there", &query("process_resident_memory_bytes"), |data| value(data).is_some_and(|value| value > 1e6));
        let quantile = "histogram_quantile(0.5, sum by (le) (ephor_submission_seconds_bucket))";
        prometheus.wait("latencies are there", &query(quantile), |data| value(data).is_some_and(|value| value > 0.0));
        // A dot on a plot leads to a trace.
        let path = "/api/v1/query_exemplars?query=ephor_submission_seconds_bucket&start=0&end=9999999999";
        let found = prometheus.wait("an exemplar is there", path, |data| data[0]["exemplars"][0]["labels"]["trace_id"].is_string());
        let targets = prometheus.wait("targets are there", "/api/v1/targets", |data| data["activeTargets"][0]["health"] == "up");
        assert_eq!(targets["activeTargets"][0]["lastError"], "");
        let rules = prometheus.wait("the rules are evaluated", "/api/v1/rules", |data| {
            let rules = data["groups"][0]["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
            !rules.is_empty() && rules.iter().all(|rule| rule["health"] == "ok")
        });
        assert!(rules["groups"][0]["rules"].as_array().is_some_and(|rules| rules.len() > 15), "{rules}");
        found[0]["exemplars"][0]["labels"]["trace_id"].as_str().expect("a trace").to_string()
    });
    let trace = checks.await.expect("the checks end");
    assert_eq!(trace.len(), 32);
    collector.trace(&trace, &["POST events", "commit"]).await;

    let page = classic(&ephor.get("/metrics").await.expect(200).text());
    let output = promtool(workspace(), &["check", "metrics"], &page);
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

#[test]
fn the_alert_rules_fire_when_they_are_to_and_not_otherwise() {
    if prometheus::left_out("the alert rules") {
        return;
    }
    let folder = workspace().join("packaging");
    for args in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]] {
        let output = promtool(&folder, &args, "");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
    }
    // Each rule is tried both ways.
    let (rules, tests) = (packaging("alerts.yml"), packaging("alerts.test.yml"));
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 15);
    for alert in alerts {
        let tried = tests.lines().filter(|line| line.trim() == format!("- alertname: {alert}")).count();
        assert_eq!(tried, 2, "{alert}");
    }
}

#[test]
fn the_dashboard_asks_what_prometheus_understands() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().expect("panels");
    let first = panels.iter().find(|panel| panel["type"] != "row").expect("a panel");
    assert!(event::text(first, "title").contains("Blind"), "blindness comes first: {first}");
    let ids: BTreeSet<u64> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "ids are unique");
    if prometheus::left_out("the expressions of the dashboard") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let rule = |(nth, expression): (usize, String)| json!({"record": format!("panel:{nth}"), "expr": expression});
    let rules: Vec<Value> = expressions(&dashboard).into_iter().enumerate().map(rule).collect();
    // JSON is YAML.
    let file = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    std::fs::write(folder.path().join("rules.yml"), file.to_string()).expect("written");
    let output = promtool(folder.path(), &["check", "rules", "rules.yml"], "");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && rules.len() > 50, "{} expressions: {said}", rules.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn ht_26_sources_make_no_series() {
    let ephor = crate::with_good_policy("").await;
    let some = |prefix: &str, count: u32| {
        let events = (0..count).map(|id| {
            let mut event = event::listing(id, if id % 7 == 0 { LISTED } else { "LANTERN" });
            event["source"] = json!(format!("/{prefix}/{id}"));
            (event["subject"], event["type"]) = (json!(format!("sku/{id}")), json!(format!("retail.{}", id % 1_000)));
            event
        });
        event::ndjson(events)
    };
    let series = async || samples_count(&ephor.get("/metrics").await.expect(200).text());
    ephor.post(LINES, some("first", 2_000)).await.expect(200);
    // Whoever looks has a series of their own from the second look on.
    series().await;
    let before = series().await;
    for part in ["a", "b", "c", "d", "e"] {
        ephor.post(LINES, some(part, 20_000)).await.expect(200);
    }
    assert_eq!(ephor.metric("ephor_events_total", ""), 102_000.0);
    assert_eq!(series().await, before, "a hundred thousand sources and no series more");
}

fn samples_count(page: &str) -> usize {
    page.lines().filter(|line| !line.starts_with('#')).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_policy_every_event_is_judged_blind() {
    let ephor = Ephor::start(&[]);
    ephor.judge([event::listing(1, LISTED), event::listing(2, LISTED)]).await;
    let nobody = "policy=\"\",cause=\"nobody\"";
    assert_eq!(ephor.metric("ephor_policy_blind_answers_total", nobody), 2.0);
    assert!(ephor.metric("ephor_policy_blind_seconds_total", nobody) >= 1.0);
    assert_eq!(ephor.metric("ephor_blind_events_total", ""), 2.0);
    ephor.put(GOOD, &policy(GOOD), &settings(GOOD)).await.succeeded();
    ephor.judge([event::listing(3, LISTED)]).await;
    assert_eq!(ephor.metric("ephor_blind_events_total", ""), 2.0, "and now it is not");
    assert_eq!(ephor.metric("ephor_policy_blind_seconds_total", &format!("policy=\"{GOOD}\",cause=\"failed\"")), 0.0);
}

/// A headers file that is not there is said where it stands, as everything else is.
#[test]
fn what_is_wrong_with_the_settings_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "[telemetry.log]\nlevel = \"loud\"\n[telemetry.traces]\nendpoint = \"grpc://x\"\nheaders-file = \"gone\"\nsample = 2.0\n";
    std::fs::write(folder.path().join("ephor.toml"), text).expect("written");
    let output = Command::new(ephor_tests::binary()).args(["config", "check"]).current_dir(folder.path()).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in [
        "2:9: telemetry.log.level is \"loud\"",
        "4:12: telemetry.traces.endpoint",
        "telemetry.traces.headers-file",
        "telemetry.traces.sample",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_around_the_runtime_asks_how_blind_it_is() {
    let runtime =
        Runtime::builder().worker(ephor_tests::binary()).cache(ephor_tests::target_dir().join("it-cache")).build().expect("it runs");
    let judge = async |id: u32, description: &str| {
        let event = ingest::structured(event::listing(id, description).to_string().as_bytes(), &ingest::Limits::default());
        runtime.submit(vec![event.expect("an event")]).await.expect("it runs").await.expect("it answers");
    };
    assert_eq!((runtime.blindness().events, runtime.blindness().all.seconds), (0, 0), "nothing was to be seen");
    judge(1, LISTED).await;
    runtime.install(guest("traps_on_a_row"), b"{}".to_vec()).await.expect("it is taken");
    judge(2, LISTED).await;
    judge(3, "boom").await;
    let blindness = runtime.blindness();
    assert_eq!((blindness.events, blindness.blind_events), (3, 2));
    let causes: Vec<_> = blindness.causes.iter().map(|blind| (blind.policy.as_deref(), blind.cause, blind.answers)).collect();
    assert_eq!(causes, [(None, Cause::Nobody, 1), (Some("traps-on-a-row"), Cause::Failed, 1)]);
    let all = blindness.all;
    assert!((1..=2).contains(&all.seconds) && all.seconds_last_hour == all.seconds && all.last.is_some(), "{all:?}");
}
