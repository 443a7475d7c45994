//! The ways to send events: four modes, as the README shows them with `curl`,
//! content codings, both versions of HTTP, and answers while still sending.

use std::io::Write as _;
use std::process::{Command, Stdio};

use bytes::Bytes;
use ephor_tests::client::{BATCH, EVENT, LINES, Version};
use ephor_tests::{Ephor, data, event, soon};
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::Request;
use serde_json::Value;

use crate::{GOOD, LISTED, with_good_policy};

/// Runs `curl` with a body on its standard input; standard output as text.
fn curl(ephor: &Ephor, args: &[&str], body: &str) -> Option<String> {
    let url = ephor.url("/v1/events");
    let spawned = Command::new("curl")
        .args(["--silent", "--show-error", "--fail-with-body", "--max-time", "60"])
        .args(args)
        .args(["--data-binary", "@-", &url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(_) if std::env::var("EPHOR_WITHOUT_CURL").as_deref() == Ok("1") => {
            data::left_out("the modes with curl", "EPHOR_WITHOUT_CURL=1");
            return None;
        }
        Err(error) => panic!("curl does not start: {error}\ninstall it, or leave these tests out with EPHOR_WITHOUT_CURL=1"),
    };
    child.stdin.take().expect("piped").write_all(body.as_bytes()).expect("curl takes the body");
    let output = child.wait_with_output().expect("curl ends");
    assert!(output.status.success(), "curl {args:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stdout));
    Some(String::from_utf8(output.stdout).expect("answers in UTF-8"))
}

/// The one answer about a listed event.
#[track_caller]
fn assert_found(answer: &Value, id: &str) {
    assert_eq!((event::text(answer, "source"), event::text(answer, "id")), ("/tests", id), "{answer}");
    assert_eq!(event::findings(answer, GOOD).count(), 1, "{answer}");
    let finding = &answer["findings"][0];
    for member in ["policy", "release", "rule", "action", "severity", "message", "legal_basis"] {
        assert!(!event::text(finding, member).is_empty(), "{member} in {finding}");
    }
    assert!(finding["evidence"].is_object(), "{finding}");
    event::sequence(answer);
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_mode_with_curl() {
    let ephor = with_good_policy("").await;
    let headers = [
        "-H",
        "ce-specversion: 1.0",
        "-H",
        "ce-id: caf%C3%A9",
        "-H",
        "ce-source: /tests",
        "-H",
        "ce-type: retail.invoice.line",
        "-H",
        "content-type: application/json",
    ];
    let data = event::listing(1, LISTED)["data"].to_string();
    let Some(text) = curl(&ephor, &headers, &data) else { return };
    assert_found(&parse(&text), "café");
}

#[tokio::test(flavor = "multi_thread")]
async fn structured_mode_with_curl() {
    let ephor = with_good_policy("").await;
    let Some(text) = curl(&ephor, &["-H", "content-type: application/cloudevents+json"], &event::listing(1, LISTED).to_string()) else {
        return;
    };
    assert_found(&parse(&text), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_mode_with_curl() {
    let ephor = with_good_policy("").await;
    let batch = Value::from(vec![event::listing(1, LISTED), event::listing(2, "LANTERN"), event::listing(3, LISTED)]);
    let Some(text) = curl(&ephor, &["-H", "content-type: application/cloudevents-batch+json"], &batch.to_string()) else { return };
    let answers = parse(&text);
    let answers = answers.as_array().expect("a batch answers with an array");
    assert_eq!(answers.len(), 3);
    assert_found(&answers[0], "1");
    assert_eq!((event::text(&answers[1], "verdict"), &answers[1]["findings"]), ("allow", &Value::from(Vec::<Value>::new())));
    assert_found(&answers[2], "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn ndjson_mode_with_curl() {
    let ephor = with_good_policy("").await;
    let lines = event::ndjson([event::listing(1, LISTED), event::listing(2, "LANTERN")]);
    let Some(text) = curl(&ephor, &["--no-buffer", "-H", "content-type: application/x-ndjson"], &lines) else { return };
    let answers: Vec<Value> = text.lines().map(parse).collect();
    assert_eq!(answers.len(), 2);
    assert_found(&answers[0], "1");
    assert_eq!(event::text(&answers[1], "id"), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_bodies_are_expanded() {
    let ephor = with_good_policy("").await;
    let gzip = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    };
    let zstd = |text: &str| zstd::encode_all(text.as_bytes(), 3).expect("memory takes it");
    let one = event::listing(1, LISTED).to_string();
    let lines = event::ndjson((0..100).map(|id| event::listing(id, LISTED)));
    let batch = Value::from(vec![event::listing(1, LISTED)]).to_string();
    type Encode<'a> = &'a dyn Fn(&str) -> Vec<u8>;
    for (coding, encode) in [("gzip", &gzip as Encode), ("zstd", &zstd)] {
        let answer = ephor.post_with(EVENT, &[("content-encoding", coding)], encode(&one)).await.expect(200);
        assert_found(&answer.json(), "1");
        let answer = ephor.post_with(BATCH, &[("content-encoding", coding)], encode(&batch)).await.expect(200);
        assert_found(&answer.json()[0], "1");
        let answers = ephor.post_with(LINES, &[("content-encoding", coding)], encode(&lines)).await.expect(200).lines();
        assert_eq!(answers.len(), 100, "{coding}");
        assert_found(&answers[99], "99");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cleartext_http2_with_prior_knowledge() {
    let ephor = with_good_policy("").await;
    let request = Request::post(ephor.url("/v1/events")).header("content-type", EVENT);
    let request = request.body(Full::new(Bytes::from(event::listing(1, LISTED).to_string()))).expect("a request");
    assert_found(&ephor.request_h2(request).await.expect(200).json(), "1");
}

/// Each event is answered before the next one is sent: the request cannot have
/// ended when its first answer arrives.
#[tokio::test(flavor = "multi_thread")]
async fn verdicts_come_while_the_request_is_still_being_sent() {
    let ephor = with_good_policy("").await;
    for version in [Version::Http1, Version::Http2] {
        let (mut sending, mut answers) = ephor.stream(version, &[]).await;
        for id in 0..20 {
            assert!(sending.send(format!("{}\n", event::listing(id, LISTED))).await, "{version:?}: the server takes event {id}");
            let answer = answers.next().await.unwrap_or_else(|| panic!("{version:?}: an answer for event {id} before the end"));
            assert_found(&answer, &id.to_string());
        }
        assert_eq!(answers.status().await, 200);
        drop(sending);
        assert_eq!(answers.next().await, None, "{version:?}");
    }
}

/// The last line needs no end, lines may end with CRLF, blank ones are passed over.
#[tokio::test(flavor = "multi_thread")]
async fn lines_may_be_cut_anywhere() {
    let ephor = with_good_policy("").await;
    let text = format!("{}\r\n\n  \n{}", event::listing(1, LISTED), event::listing(2, LISTED));
    let (mut sending, mut answers) = ephor.stream(Version::Http1, &[]).await;
    for part in text.as_bytes().chunks(7) {
        assert!(sending.send(Bytes::copy_from_slice(part)).await);
    }
    drop(sending);
    for id in ["1", "2"] {
        assert_found(&answers.next().await.expect("an answer"), id);
    }
    assert_eq!(answers.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn minimal_answers_leave_clean_events_out() {
    let ephor = with_good_policy("").await;
    let events = (0..1_000).map(|id| event::listing(id, if id % 100 == 7 { LISTED } else { "LANTERN" }));
    let answer = ephor.post_with(LINES, &[("prefer", "return=minimal")], event::ndjson(events)).await.expect(200);
    assert!(answer.header("preference-applied").contains("return=minimal"), "{:?}", answer.headers);
    let mut lines = answer.lines();
    // A summary closes a stream that left events out, so that none can have
    // been lost unnoticed.
    let summary = lines.pop().expect("a summary");
    assert_eq!((summary["summary"]["events"].as_u64(), summary["summary"]["rejected"].as_u64()), (Some(1_000), Some(0)), "{summary}");
    let ids: Vec<&str> = lines.iter().map(|line| event::text(line, "id")).collect();
    assert_eq!(ids, ["7", "107", "207", "307", "407", "507", "607", "707", "807", "907"]);
}

/// A client that does not read is held back by flow control, not by memory: the
/// server stops taking its events.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_held_back() {
    use tokio::io::AsyncWriteExt as _;
    let ephor = with_good_policy("").await;
    let mut socket = tokio::net::TcpStream::connect(ephor.address()).await.expect("a connection");
    let head = "POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await.expect("the head is taken");
    let lines = event::ndjson((0..1_000).map(|id| event::listing(id, LISTED)));
    let chunk = format!("{:x}\r\n{lines}\r\n", lines.len());
    let mut sent = 0;
    let stalled = loop {
        // Far above what sockets and the server may buffer together.
        if sent > 512 << 20 {
            break false;
        }
        match tokio::time::timeout(std::time::Duration::from_secs(3), socket.write_all(chunk.as_bytes())).await {
            Ok(written) => written.expect("the connection stays open"),
            Err(_) => break true,
        }
        sent += chunk.len();
    };
    assert!(stalled, "took {sent} bytes of a client that reads nothing");
    // Others are served meanwhile.
    let answers = soon("another client's verdict", ephor.judge([event::listing(1, LISTED)])).await;
    assert_found(&answers[0], "1");
}
