//! What is refused, with which status, which problem type, and which place; and
//! that nothing else of the request, nor the connection, is affected.

use std::io::Write as _;

use bytes::Bytes;
use ephor_tests::client::{BATCH, EVENT, LINES};
use ephor_tests::raw::{self, Raw, RawAnswer};
use ephor_tests::{Ephor, event};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::LISTED;

/// Where the problem is said to be.
#[derive(Debug, Clone, Copy)]
enum Place {
    Pointer(&'static str),
    /// A pointer that begins so.
    Inside(&'static str),
    Header(&'static str),
    Body,
}

#[track_caller]
fn assert_problem(case: &str, problem: &Value, kind: &str, place: Place) {
    assert_eq!(problem["type"], format!("urn:ephor:problem:{kind}"), "{case}: {problem}");
    assert!(!event::text(problem, "title").is_empty() && !event::text(problem, "detail").is_empty(), "{case}: {problem}");
    let (pointer, header) = (problem["pointer"].as_str(), problem["header"].as_str());
    match place {
        Place::Pointer(expected) => assert_eq!(pointer, Some(expected), "{case}: {problem}"),
        Place::Inside(expected) => assert!(pointer.is_some_and(|pointer| pointer.starts_with(expected)), "{case}: {problem}"),
        Place::Header(expected) => assert_eq!(header, Some(expected), "{case}: {problem}"),
        Place::Body => assert_eq!((pointer, header), (None, None), "{case}: {problem}"),
    }
}

/// A good event, and that it is judged.
fn good() -> Vec<u8> {
    raw::post(&[("content-type", EVENT)], event::listing("good", LISTED).to_string().as_bytes())
}

#[track_caller]
fn assert_kept(case: &str, connection: &mut Raw) {
    connection.write(good());
    let answer = connection.read().unwrap_or_else(|error| panic!("{case}: the connection is kept: {error}"));
    assert_eq!(answer.status, 200, "{case}: the next request on the connection: {}", answer.text());
    assert_eq!(answer.json()["id"], "good", "{case}");
}

#[track_caller]
fn send(case: &str, connection: &mut Raw, request: impl AsRef<[u8]>) -> RawAnswer {
    connection.write(request);
    connection.read().unwrap_or_else(|error| panic!("{case}: an answer: {error}"))
}

/// One event that is none: its bytes, what is said, and whether the rest of a
/// JSON array can still be read around it.
struct Item(&'static str, Vec<u8>, &'static str, Place, bool);

fn items() -> Vec<Item> {
    use Place::{Body, Inside, Pointer};
    let text = |name, text: &str, kind, place| Item(name, text.as_bytes().to_vec(), kind, place, true);
    // An event with other members in front of the good ones, or in their place.
    let with = |name, members: &str, kind, place| {
        let all = [("specversion", "\"1.0\""), ("id", "\"1\""), ("source", "\"/tests\""), ("type", "\"retail.invoice.line\"")];
        let rest = all.iter().filter(|(known, _)| !members.contains(&format!("\"{known}\":")));
        let rest: Vec<String> = rest.map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let comma = if members.is_empty() || rest.is_empty() { "" } else { "," };
        text(name, &format!("{{{members}{comma}{}}}", rest.join(",")), kind, place)
    };
    let deep = |levels: usize| format!("\"data\":{}{}", "[".repeat(levels), "]".repeat(levels));
    let raw = |name, bytes: &[u8], kind, place| Item(name, bytes.to_vec(), kind, place, false);
    vec![
        raw("cut JSON", br#"{"specversion":"1.0","id":"1""#, "syntax", Inside("")),
        raw("text after the end", br#"{"specversion":"1.0"} x"#, "syntax", Inside("")),
        raw("not JSON at all", b"hello", "syntax", Inside("")),
        raw("bytes that are not UTF-8", b"{\"id\":\"\xff\xfe\"}", "encoding", Body),
        raw("an overlong encoding", b"{\"id\":\"\xc0\xaf\"}", "encoding", Body),
        raw("a surrogate in UTF-8", b"{\"id\":\"\xed\xa0\x80\"}", "encoding", Body),
        raw("a byte order mark", b"\xef\xbb\xbf{}", "encoding", Body),
        raw("a control character in a text", b"{\"id\":\"a\x01\"}", "syntax", Inside("")),
        text("an array", "[]", "not-an-event", Pointer("")),
        text("a number", "7", "not-an-event", Pointer("")),
        text("null", "null", "not-an-event", Pointer("")),
        with("no id", "\"id\":null", "missing-attribute", Pointer("/id")),
        text("nothing in it", "{}", "missing-attribute", Pointer("/specversion")),
        with("an empty id", "\"id\":\"\"", "invalid-attribute", Pointer("/id")),
        with("an empty source", "\"source\":\"\"", "invalid-attribute", Pointer("/source")),
        with("an empty type", "\"type\":\"\"", "invalid-attribute", Pointer("/type")),
        with("an id that is a number", "\"id\":1", "invalid-attribute", Pointer("/id")),
        with("another version", "\"specversion\":\"0.3\"", "spec-version", Pointer("/specversion")),
        with("a time without a zone", "\"time\":\"2026-01-02T03:04:05\"", "invalid-attribute", Pointer("/time")),
        with("a name in capitals", "\"Region\":\"eu\"", "invalid-attribute", Pointer("/Region")),
        with("an attribute that is an object", "\"region\":{}", "invalid-attribute", Pointer("/region")),
        with("data in two forms", "\"data\":1,\"data_base64\":\"AA==\"", "invalid-attribute", Pointer("/data_base64")),
        with("bad Base64", "\"data_base64\":\"?\"", "invalid-attribute", Pointer("/data_base64")),
        with("an attribute twice", "\"subject\":\"a\",\"subject\":\"b\"", "duplicate-name", Pointer("/subject")),
        with("a name twice in the data", r#""data":{"description":"a","description":"b"}"#, "duplicate-name", Pointer("/data/description")),
        with("a name twice, once escaped", r#""data":{"a":1,"\u0061":2}"#, "duplicate-name", Pointer("/data/a")),
        with("a name twice deep inside", r#""data":[0,{"x/y":{"b":1,"b":1}}]"#, "duplicate-name", Pointer("/data/1/x~1y/b")),
        with("an integer beyond 64 bits", r#""data":{"n":9223372036854775808}"#, "number", Pointer("/data/n")),
        with("an integer of 30 digits", r#""data":{"n":123456789012345678901234567890}"#, "number", Pointer("/data/n")),
        with("a number beyond f64", r#""data":{"n":[1e400]}"#, "number", Pointer("/data/n/0")),
        with("a lone surrogate", r#""data":{"s":"\ud800"}"#, "syntax", Pointer("/data/s")),
        raw("a zero byte", b"{\"id\":\"a\0\"}", "syntax", Inside("")),
        with("33 levels", &deep(32), "depth", Inside("/data/0")),
        with("100,000 levels", &deep(100_000), "depth", Inside("/data/0")),
        with("an attribute of 9 KiB", &format!("\"subject\":\"{}\"", "x".repeat(9 << 10)), "invalid-attribute", Pointer("/subject")),
    ]
}

/// Alone in a request: a 400 with the place, and the connection goes on.
#[test]
fn ht_14_ht_15_ht_16_ht_17_an_event_that_is_none_is_refused_with_its_place() {
    let ephor = Ephor::start(&[]);
    let mut connection = Raw::connect(ephor.address());
    for Item(name, body, kind, place, _) in items() {
        let answer = send(name, &mut connection, raw::post(&[("content-type", EVENT)], &body));
        assert_eq!((answer.status, answer.header("content-type")), (400, "application/problem+json"), "{name}: {}", answer.text());
        assert_problem(name, &answer.json(), kind, place);
        assert_eq!(answer.json()["status"], 400, "{name}");
        assert_kept(name, &mut connection);
    }
}

/// Among others on a stream: those are judged, and the line is named.
#[tokio::test(flavor = "multi_thread")]
async fn ht_18_a_bad_line_leaves_the_others_alone() {
    let ephor = Ephor::start(&[]);
    let items = items();
    let mut body = Vec::new();
    for (index, Item(_, line, ..)) in items.iter().enumerate() {
        body.extend_from_slice(format!("{}\n", event::listing(index, LISTED)).as_bytes());
        body.extend_from_slice(line);
        body.push(b'\n');
    }
    let answers = ephor.post(LINES, body).await.expect(200).lines();
    assert_eq!(answers.len(), 2 * items.len());
    for (index, Item(name, _, kind, place, _)) in items.iter().enumerate() {
        let (before, bad) = (&answers[2 * index], &answers[2 * index + 1]);
        assert_eq!((&before["id"], &before["verdict"]), (&Value::from(index.to_string()), &Value::from("allow")), "{name}");
        assert_problem(name, &bad["error"], kind, *place);
        assert_eq!(bad["line"], 2 * index + 2, "{name}: {bad}");
        assert!(bad.get("sequence").is_none() && bad.get("verdict").is_none(), "{name}: {bad}");
    }
}

/// Among others in a batch: those are judged, and the index is named.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_item_of_a_batch_leaves_the_others_alone() {
    let ephor = Ephor::start(&[]);
    let items: Vec<Item> = items().into_iter().filter(|Item(.., in_batch)| *in_batch).collect();
    let parts = items
        .iter()
        .enumerate()
        .flat_map(|(index, Item(_, text, ..))| [event::listing(index, LISTED).to_string(), String::from_utf8(text.clone()).expect("text")]);
    let answers = ephor.post(BATCH, format!("[{}]", parts.collect::<Vec<_>>().join(","))).await.expect(200).json();
    let answers = answers.as_array().expect("an array");
    assert_eq!(answers.len(), 2 * items.len());
    for (index, Item(name, _, kind, place, _)) in items.iter().enumerate() {
        assert_eq!(answers[2 * index]["id"], index.to_string(), "{name}");
        assert_eq!(answers[2 * index]["verdict"], "allow", "{name}");
        assert_problem(name, &answers[2 * index + 1]["error"], kind, *place);
        assert_eq!(answers[2 * index + 1]["index"], 2 * index + 1, "{name}");
    }
}

/// What could be read of an event is in its error, so that a client can tell
/// which one it was.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_names_the_event() {
    let ephor = Ephor::start(&[]);
    let bad = r#"{"specversion":"1.0","id":"7","source":"/s","type":"t","data":{"a":1,"a":2}}"#;
    let answers = ephor.post(LINES, format!("{}\n{bad}\n", event::listing(1, LISTED))).await.expect(200).lines();
    assert_eq!((&answers[1]["source"], &answers[1]["id"]), (&Value::from("/s"), &Value::from("7")));
}

/// Requests in which nothing is valid.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_without_a_valid_event_is_refused() {
    let ephor = Ephor::start(&[]);
    let answer = ephor.post(BATCH, "[7,{}]").await.expect(400);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_problem("a batch", &answer.json(), "nothing-valid", Place::Body);
    let kinds: Vec<Value> =
        answer.json()["items"].as_array().expect("why, one by one").iter().map(|item| item["error"]["type"].clone()).collect();
    assert_eq!(kinds, ["urn:ephor:problem:not-an-event", "urn:ephor:problem:missing-attribute"]);
    // Nothing is not the same as nothing valid.
    assert_eq!(ephor.post(BATCH, "[]").await.expect(200).json(), Value::Array(Vec::new()));
    let answer = ephor.post(LINES, "7\n{}\n").await.expect(400);
    let kinds: Vec<Value> = answer.lines().iter().map(|line| line["error"]["type"].clone()).collect();
    assert_eq!(kinds, ["urn:ephor:problem:not-an-event", "urn:ephor:problem:missing-attribute"]);
    for (body, kind) in [("{}", "not-an-event"), ("[1,", "syntax"), ("[1]]", "syntax")] {
        let answer = ephor.post(BATCH, body).await.expect(400);
        assert_problem(body, &answer.json(), kind, Place::Inside(""));
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// A request: name, headers, body, then what is expected: status, problem, place.
struct Refused(&'static str, Vec<(&'static str, &'static str)>, Vec<u8>, u16, &'static str, Place);

#[test]
fn ht_11_ht_12_a_request_that_cannot_be_read_is_refused() {
    use Place::{Body, Header};
    let one = event::listing(1, LISTED).to_string();
    let binary = |change: &[(&'static str, &'static str)]| {
        let good =
            [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/tests"), ("ce-type", "t"), ("content-type", "application/json")];
        let kept = good.into_iter().filter(|(name, _)| !change.iter().any(|(other, _)| other == name));
        kept.chain(change.iter().copied().filter(|(_, value)| *value != "-")).collect::<Vec<_>>()
    };
    let event = |more: &[(&'static str, &'static str)]| [&[("content-type", EVENT)], more].concat();
    let many = format!("[{}]", vec![one.as_str(); 10_001].join(","));
    let cases = [
        Refused("no id header", binary(&[("ce-id", "-")]), b"{}".to_vec(), 400, "missing-attribute", Header("ce-id")),
        Refused(
            "no attributes at all",
            vec![("content-type", "application/json")],
            b"{}".to_vec(),
            415,
            "media-type",
            Header("content-type"),
        ),
        Refused("no content type", vec![], b"{}".to_vec(), 415, "media-type", Header("content-type")),
        Refused(
            "another version in the header",
            binary(&[("ce-specversion", "0.3")]),
            b"{}".to_vec(),
            400,
            "spec-version",
            Header("ce-specversion"),
        ),
        Refused("a header that is not UTF-8", binary(&[("ce-id", "%FF")]), b"{}".to_vec(), 400, "encoding", Header("ce-id")),
        Refused("a time that is none", binary(&[("ce-time", "now")]), b"{}".to_vec(), 400, "invalid-attribute", Header("ce-time")),
        Refused("bad JSON as data", binary(&[]), b"{".to_vec(), 400, "syntax", Place::Inside("/data")),
        Refused("a name twice as data", binary(&[]), br#"{"a":1,"a":2}"#.to_vec(), 400, "duplicate-name", Place::Pointer("/data/a")),
        Refused(
            "a format that is not JSON",
            vec![("content-type", "application/cloudevents+xml")],
            b"<e/>".to_vec(),
            415,
            "media-type",
            Header("content-type"),
        ),
        Refused(
            "another charset",
            vec![("content-type", "application/cloudevents+json; charset=utf-16")],
            one.clone().into_bytes(),
            415,
            "charset",
            Header("content-type"),
        ),
        Refused(
            "another content coding",
            event(&[("content-encoding", "br")]),
            b"x".to_vec(),
            415,
            "content-coding",
            Header("content-encoding"),
        ),
        Refused(
            "two content codings",
            event(&[("content-encoding", "gzip, gzip")]),
            b"x".to_vec(),
            415,
            "content-coding",
            Header("content-encoding"),
        ),
        Refused("gzip that is none", event(&[("content-encoding", "gzip")]), b"hello".to_vec(), 400, "corrupt-body", Body),
        Refused("gzip that is cut", event(&[("content-encoding", "gzip")]), gzip(one.as_bytes())[..60].to_vec(), 400, "corrupt-body", Body),
        Refused("a gzip bomb", event(&[("content-encoding", "gzip")]), gzip(&vec![b' '; 64 << 20]), 413, "expanded-too-large", Body),
        Refused(
            "a zstd bomb",
            event(&[("content-encoding", "zstd")]),
            zstd::encode_all(&vec![b' '; 64 << 20][..], 3).expect("zstd"),
            413,
            "expanded-too-large",
            Body,
        ),
        Refused("an event a byte too large", event(&[]), vec![b' '; (256 << 10) + 1], 413, "too-large", Body),
        Refused("an event of 300 KiB", event(&[]), vec![b' '; 300 << 10], 413, "body-too-large", Body),
        Refused("a batch of 9 MiB", vec![("content-type", BATCH)], vec![b' '; 9 << 20], 413, "body-too-large", Body),
        Refused("10,001 events in a batch", vec![("content-type", BATCH)], many.into_bytes(), 413, "too-large", Body),
    ];
    let ephor = Ephor::start(&[]);
    let mut connection = Raw::connect(ephor.address());
    for Refused(name, headers, body, status, kind, place) in cases {
        let answer = send(name, &mut connection, raw::post(&headers, &body));
        assert_eq!((answer.status, answer.header("content-type")), (status, "application/problem+json"), "{name}: {}", answer.text());
        assert_problem(name, &answer.json(), kind, place);
        // A body that is not read to its end leaves nothing to go on with.
        if answer.closes() {
            assert_eq!(status, 413, "{name}: the connection is kept");
            connection = Raw::connect(ephor.address());
        } else {
            assert_kept(name, &mut connection);
        }
    }
}

/// Bodies that are announced or come larger than allowed are not read.
#[test]
fn ht_11_a_body_without_end_is_cut_off() {
    let ephor = Ephor::start(&[]);
    let mut announced = Raw::connect(ephor.address());
    announced
        .write(format!("POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {EVENT}\r\ncontent-length: 1000000000000\r\n\r\n{{"));
    let answer = announced.read().expect("an answer before the body has come");
    assert_eq!(answer.status, 413);
    assert_problem("announced", &answer.json(), "body-too-large", Place::Body);

    let mut chunked = Raw::connect(ephor.address());
    chunked.write(format!("POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {EVENT}\r\ntransfer-encoding: chunked\r\n\r\n"));
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let mut sent = 0_usize;
    while sent < 1 << 30 && chunked.try_write(&chunk) {
        sent += chunk.len();
    }
    assert!(sent < 256 << 20, "took {sent} bytes");
    // What was answered may be lost with the reset that an unread body causes.
    if let Ok(answer) = chunked.read() {
        assert_eq!(answer.status, 413);
    }
    assert_kept("after both", &mut Raw::connect(ephor.address()));
}

#[tokio::test(flavor = "multi_thread")]
async fn ht_11_ht_18_a_line_that_is_too_long_is_passed_over() {
    let ephor = Ephor::start(&[]);
    let mut body = format!("{}\n", event::listing(1, LISTED)).into_bytes();
    body.extend(vec![b'x'; 600 << 10]);
    body.extend(format!("\n{}\n", event::listing(3, LISTED)).bytes());
    let answers = ephor.post(LINES, body).await.expect(200).lines();
    assert_eq!(answers.len(), 3);
    assert_eq!((&answers[0]["id"], &answers[2]["id"]), (&Value::from("1"), &Value::from("3")));
    assert_problem("a line of 600 KiB", &answers[1]["error"], "line-too-long", Place::Body);
    assert_eq!((&answers[1]["line"], &answers[1]["error"]["status"]), (&Value::from(2), &Value::from(413)));
}

/// A compressed stream has no end, so what is bounded is how much it expands.
#[tokio::test(flavor = "multi_thread")]
async fn ht_12_a_stream_that_expands_a_thousandfold_is_ended() {
    let ephor = Ephor::start(&[]);
    let mut text = format!("{}\n", event::listing(1, LISTED)).into_bytes();
    text.extend(vec![b'\n'; 512 << 20]);
    let answer = ephor.post_with(LINES, &[("content-encoding", "gzip")], Bytes::from(gzip(&text))).await;
    let lines = answer.lines();
    let last = lines.last().expect("an answer");
    let problem = last.get("error").unwrap_or(last);
    assert_problem("a bomb as a stream", problem, "expansion-ratio", Place::Body);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_paths_and_methods_say_what_there_is() {
    let ephor = Ephor::start(&[]);
    assert_problem("a path", &ephor.get("/v1/nothing").await.expect(404).json(), "not-found", Place::Body);
    let answer = ephor.get("/v1/events").await.expect(405);
    assert_eq!(answer.header("allow"), "POST, OPTIONS");
    assert_problem("a method", &answer.json(), "method", Place::Body);
    assert_problem("a policy", &ephor.remove("no-such").await.expect(404).json(), "no-such-policy", Place::Body);
    for page in ["/livez", "/readyz", "/metrics", "/v1/policies"] {
        ephor.get(page).await.expect(200);
    }
}

/// HT-09: headers beyond the limits are refused, and the connection is not used again.
#[test]
fn ht_09_a_header_beyond_the_limits_ends_the_connection() {
    let ephor = Ephor::start(&[]);
    let request = |target: &str, headers: &str| format!("GET {target} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}\r\n");
    let fields = |count: usize| (0..count).map(|n| format!("x-{n}: 1\r\n")).collect::<String>();
    let long = |bytes: usize| format!("x: {}\r\n", "y".repeat(bytes));
    // With `host`, 64 fields: as many as are allowed.
    assert_eq!(send("64 fields", &mut Raw::connect(ephor.address()), request("/livez", &fields(63))).status, 200);
    for (name, sent, status) in [
        ("65 fields", request("/livez", &fields(64)), 431),
        ("20 KiB of header", request("/livez", &long(20 << 10)), 431),
        ("a MiB of header", request("/livez", &long(1 << 20)), 431),
        ("70 KiB of address", request(&format!("/{}", "x".repeat(70 << 10)), ""), 414),
    ] {
        let mut connection = Raw::connect(ephor.address());
        connection.write(sent);
        let answer = connection.read().unwrap_or_else(|error| panic!("{name}: an answer: {error}"));
        assert_eq!(answer.status, status, "{name}");
        if name != "20 KiB of header" {
            assert!(connection.closed_within(ephor_tests::PATIENCE).is_some(), "{name}: closed");
        }
    }
    assert_kept("after all of them", &mut Raw::connect(ephor.address()));
}

/// HT-10: requests that two HTTP parsers could take for different ones. What follows them
/// on the connection is never taken for a request, whoever would see one there.
#[test]
fn ht_10_a_request_that_could_be_two_is_one_and_the_last() {
    let ephor = Ephor::start(&[]);
    let inner = "GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    // Who goes by the length sees two requests; who goes by the chunks sees none.
    let hidden = format!("0\r\n\r\n{inner}");
    let with =
        |headers: &str, body: &str| format!("POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {EVENT}\r\n{headers}\r\n{body}");
    let length = |more: &str| format!("content-length: {}\r\n{more}", hidden.len());
    let chunked = "transfer-encoding: chunked\r\n";
    for (name, request) in [
        ("a length and chunks", with(&length(chunked), &hidden)),
        ("chunks and a length", with(&format!("{chunked}{}", length("")), &hidden)),
        ("two lengths", with(&length("content-length: 3\r\n"), &hidden)),
        ("two lengths in one", with("content-length: 5, 3\r\n", &hidden)),
        ("a length with a sign", with("content-length: +5\r\n", &hidden)),
        ("a length in hexadecimal", with("content-length: 0x5\r\n", &hidden)),
        ("a length without end", with("content-length: 99999999999999999999\r\n", &hidden)),
        ("another transfer coding", with("transfer-encoding: xchunked\r\n", &hidden)),
        ("chunks, and then another coding", with("transfer-encoding: chunked, identity\r\n", &hidden)),
        ("a blank before the colon", with("transfer-encoding : chunked\r\n", &hidden)),
        ("a folded line", with("x: 1\r\n transfer-encoding: chunked\r\n", &hidden)),
        ("a header without a name", with(": x\r\n", &hidden)),
        ("a carriage return alone", with("x: 1\rtransfer-encoding: chunked\r\n", &hidden)),
        ("a zero byte", with("x: \0\r\n", &hidden)),
        ("a line feed alone, and then chunks", with(&format!("x: 1\ntransfer-encoding: chunked\r\n{}", length("")), &hidden)),
        ("a chunk's line that ends with a line feed alone", with(chunked, &format!("0\n\n{inner}"))),
        ("a chunk's extension with a line feed", with(chunked, &format!("5;x\n{inner}"))),
        ("a chunk's size that overflows", with(chunked, &format!("10000000000000000\r\n{inner}"))),
        ("a chunk's size with a sign", with(chunked, &format!("+0\r\n\r\n{inner}"))),
        ("a chunk that is longer than it says", with(chunked, &format!("1\r\n{inner}"))),
        ("chunks in HTTP/1.0", with(chunked, &hidden).replace("HTTP/1.1", "HTTP/1.0")),
    ] {
        let mut connection = Raw::connect(ephor.address());
        connection.write(request);
        let answer = connection.read().unwrap_or_else(|error| panic!("{name}: an answer: {error}"));
        assert!((400..500).contains(&answer.status) || answer.status == 501, "{name}: {}", answer.status);
        // A second answer would be one to the hidden request.
        if let Ok(second) = connection.read() {
            panic!("{name}: a second answer: {} {}", second.status, second.text());
        }
    }
    assert_kept("after all of them", &mut Raw::connect(ephor.address()));
}

/// What only development mode has is kept from pages of the web that a
/// developer has open (DNS rebinding).
#[test]
fn policies_are_not_changed_under_a_foreign_name() {
    let ephor = Ephor::start(&[]);
    let mut connection = Raw::connect(ephor.address());
    let request = "PUT /v1/policies/x HTTP/1.1\r\nhost: evil.example\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    let answer = send("a foreign host", &mut connection, request);
    assert_eq!(answer.status, 403);
    assert_problem("a foreign host", &answer.json(), "foreign-host", Place::Header("host"));
}
