//! Bodies that are too much: too long, too deep, too wide, or small and then large. What is
//! refused costs no more than what is taken, however it is sent.

use std::io::Write as _;
use std::time::Duration;

use ephor_tests::client::{BATCH, EVENT, LINES};
use ephor_tests::h2::{self, DATA, END_HEADERS, END_STREAM, H2, HEADERS, RST_STREAM, SETTINGS, WINDOW_UPDATE};
use ephor_tests::raw::{self, Raw, RawAnswer};
use ephor_tests::{Ephor, event};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::{Value, json};

use crate::LISTED;

/// More memory than this no request here may cost.
const MEMORY_MAX: u64 = 64 << 20;

/// Bytes that one event may have, and one batch, if nothing else is said.
const EVENT_MAX: usize = 256 << 10;
const BATCH_MAX: usize = 8 << 20;

/// A form of events: its name, headers, bytes at most, and a body of so many.
type Form<'a> = (&'a str, Vec<(&'a str, &'a str)>, usize, &'a dyn Fn(usize) -> Vec<u8>);

/// An event, and blanks behind it up to a length.
fn padded(id: &str, bytes: usize) -> Vec<u8> {
    let mut text = event::listing(id, LISTED).to_string().into_bytes();
    text.resize(bytes, b' ');
    text
}

/// The same request with chunks in the place of a length.
fn chunked(headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut request = b"POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n".to_vec();
    for (name, value) in headers {
        request.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    request.extend_from_slice(b"\r\n");
    for chunk in body.chunks(16 << 10) {
        request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

fn answer(ephor: &Ephor, request: &[u8]) -> RawAnswer {
    let mut connection = Raw::connect(ephor.address());
    connection.write(request);
    connection.read().unwrap_or_else(|error| panic!("no answer: {error}"))
}

/// What a problem's type ends with; nothing for an answer that is none.
fn kind(answer: &Value) -> &str {
    answer["type"].as_str().and_then(|kind| kind.rsplit(':').next()).unwrap_or_default()
}

/// The whole answer to a body without a length in HTTP/2.
fn answer_h2(ephor: &Ephor, headers: &[(&str, &str)], body: &[u8]) -> Value {
    let mut h2 = H2::begin(Raw::connect(ephor.address()));
    // Before the server has said so, a client may send 65,535 bytes ahead.
    while h2.read().expect("a frame").kind != WINDOW_UPDATE {}
    h2.write(h2::frame(SETTINGS, 1, 0, &[]));
    let mut header = h2::request("POST", "/v1/events");
    header.extend(h2::fields(headers));
    h2.write(h2::frame(HEADERS, END_HEADERS, 1, &header));
    let mut chunks = body.chunks(16_000).peekable();
    while let Some(chunk) = chunks.next() {
        let flags = if chunks.peek().is_none() { END_STREAM } else { 0 };
        h2.write(h2::frame(DATA, flags, 1, chunk));
    }
    let mut answer = Vec::new();
    loop {
        let frame = h2.read().expect("an answer");
        assert!(frame.reason().is_none() && frame.kind != RST_STREAM, "the connection and the stream go on: {frame:?}");
        if frame.kind == DATA && frame.stream == 1 {
            answer.extend(&frame.payload);
        }
        if [DATA, HEADERS].contains(&frame.kind) && frame.stream == 1 && frame.flags & END_STREAM != 0 {
            return serde_json::from_slice(&answer).expect("JSON");
        }
    }
}

/// A byte more than is allowed, whether the length is said before, comes in chunks, or is
/// that of frames; and not a byte less.
#[test]
fn ht_11_a_byte_too_many_is_refused_however_it_comes() {
    let ephor = Ephor::start(&[]);
    let before = ephor.resident_bytes();
    let binary = [("ce-specversion", "1.0"), ("ce-id", "b"), ("ce-source", "/s"), ("ce-type", "t"), ("content-type", "application/json")];
    let batch = |bytes: usize| {
        let mut text = b"[".to_vec();
        text.resize(bytes - 1, b' ');
        text.push(b']');
        text
    };
    let data = |bytes: usize| [b"1".to_vec(), vec![b' '; bytes - 1]].concat();
    for round in 0..4 {
        let one = |bytes: usize| padded(&format!("s{round}"), bytes);
        let forms: [Form<'_>; 3] = [
            ("structured", vec![("content-type", EVENT)], EVENT_MAX, &one),
            ("binary", binary.to_vec(), EVENT_MAX, &data),
            ("batch", vec![("content-type", BATCH)], BATCH_MAX, &batch),
        ];
        for (form, headers, max, body) in forms {
            for (more, refused) in [(0, None), (1, Some(["too-large", "body-too-large"])), (2, Some(["body-too-large"; 2]))] {
                let body = body(max + more);
                for (way, request) in [("a length", raw::post(&headers, &body)), ("chunks", chunked(&headers, &body))] {
                    let answer = answer(&ephor, &request);
                    let case = format!("{form}, {way}, {more} more: {}", answer.text());
                    match refused {
                        None => assert_eq!(answer.status, 200, "{case}"),
                        Some(kinds) => assert!(answer.status == 413 && kinds.contains(&kind(&answer.json())), "{case}"),
                    }
                }
                // What one stream may send ahead is less than a batch.
                if form != "batch" {
                    let answer = answer_h2(&ephor, &headers, &body);
                    match refused {
                        None => assert!(answer.get("verdict").is_some(), "{form}: {answer}"),
                        Some(kinds) => assert!(answer["status"] == 413 && kinds.contains(&kind(&answer)), "{form}: {answer}"),
                    }
                }
            }
        }
    }
    let more = ephor.resident_bytes().saturating_sub(before);
    assert!(more < MEMORY_MAX, "{more} bytes more");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes it")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("memory takes it")
}

/// So many MiB of blanks in zstd.
fn blanks(mebibytes: usize) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).expect("an encoder");
    for _ in 0..mebibytes {
        encoder.write_all(&[b' '; 1 << 20]).expect("memory takes it");
    }
    encoder.finish().expect("memory takes it")
}

/// A frame that a decoder passes over (RFC 8878, section 3.1.2), with so many bytes in it.
fn skippable(bytes: u32) -> Vec<u8> {
    [&0x184d_2a50_u32.to_le_bytes()[..], &bytes.to_le_bytes(), &vec![0; bytes as usize]].concat()
}

/// Bodies that are small on the way, or say that they are something else.
#[test]
fn ht_12_a_compressed_body_costs_no_more_than_another() {
    let ephor = Ephor::start(&[]);
    let before = ephor.resident_bytes();
    let one = event::listing("inside", LISTED).to_string().into_bytes();
    let deflate = |bytes: &[u8]| {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes it")
    };
    let zlib = |bytes: &[u8]| {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes it")
    };
    let wide = {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).expect("an encoder");
        encoder.window_log(27).expect("a window of 128 MiB");
        encoder.write_all(&one).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    };
    for (name, coding, body, status, expected) in [
        ("64 MiB in gzip", "gzip", gzip(&vec![b' '; 64 << 20]), 413, "expanded-too-large"),
        ("512 MiB in zstd", "zstd", blanks(512), 413, "expanded-too-large"),
        ("frames that are passed over", "zstd", skippable(60_000).repeat(10), 413, "body-too-large"),
        ("one such frame without an end in sight", "zstd", skippable(1 << 20), 413, "body-too-large"),
        ("empty members", "gzip", gzip(b"").repeat(30_000), 413, "body-too-large"),
        ("empty frames", "zstd", zstd(b"").repeat(70_000), 413, "body-too-large"),
        ("nothing but a frame that is passed over", "zstd", skippable(1_000), 400, "syntax"),
        ("nothing in gzip", "gzip", gzip(b""), 400, "syntax"),
        ("gzip in gzip, said once", "gzip", gzip(&gzip(&one)), 400, "encoding"),
        ("gzip in gzip, said twice", "gzip, gzip", gzip(&gzip(&one)), 415, "content-coding"),
        ("gzip in zstd", "gzip, zstd", zstd(&gzip(&one)), 415, "content-coding"),
        ("deflate", "deflate", zlib(&one), 415, "content-coding"),
        ("zlib that is said to be gzip", "gzip", zlib(&one), 400, "corrupt-body"),
        ("deflate that is said to be gzip", "gzip", deflate(&one), 400, "corrupt-body"),
        ("gzip that is said to be zstd", "zstd", gzip(&one), 400, "corrupt-body"),
        ("zstd that is said to be gzip", "gzip", zstd(&one), 400, "corrupt-body"),
        ("zstd that is cut", "zstd", zstd(&one)[..40].to_vec(), 400, "corrupt-body"),
        ("zstd with a window of 128 MiB", "zstd", wide, 400, "corrupt-body"),
        ("zstd behind a frame that is passed over", "zstd", [skippable(1_000), zstd(&one)].concat(), 200, ""),
        ("gzip in two members", "gzip", [gzip(&one[..40]), gzip(&one[40..])].concat(), 200, ""),
    ] {
        let headers = [("content-type", EVENT), ("content-encoding", coding)];
        for (way, request) in [("a length", raw::post(&headers, &body)), ("chunks", chunked(&headers, &body))] {
            let answer = answer(&ephor, &request);
            assert_eq!((answer.status, kind(&answer.json())), (status, expected), "{name}, {way}: {}", answer.text());
        }
    }
    for (coding, body) in [("gzip", gzip(&vec![b'\n'; 64 << 20])), ("zstd", blanks(512))] {
        let answer = answer(&ephor, &raw::post(&[("content-type", LINES), ("content-encoding", coding)], &body));
        let last: Value = serde_json::from_str(answer.text().lines().last().expect("an answer")).expect("JSON");
        // One line of blanks without an end is too long before it is too much.
        assert!(["expansion-ratio", "line-too-long"].contains(&kind(last.get("error").unwrap_or(&last))), "{coding}: {last}");
    }
    let more = ephor.resident_bytes().saturating_sub(before);
    assert!(more < MEMORY_MAX, "{more} bytes more");
}

/// A stream has no end, so it may send what nothing comes out of; but it has to say
/// something within its time.
#[test]
fn ht_12_a_stream_of_nothing_is_ended() {
    let ephor = Ephor::start_with("[server]\nstream-idle-timeout-ms = 500\n", &[]);
    let mut silent = Raw::connect(ephor.address());
    silent.write(format!(
        "POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {LINES}\r\ncontent-encoding: zstd\r\ntransfer-encoding: chunked\r\n\r\n"
    ));
    let frame = skippable(4_096);
    let chunk = [format!("{:x}\r\n", frame.len()).into_bytes(), frame, b"\r\n".to_vec()].concat();
    let mut closed = None;
    for _ in 0..1_000 {
        silent.write(&chunk);
        closed = silent.closed_within(Duration::from_millis(20));
        if closed.is_some() {
            break;
        }
    }
    assert!(closed.is_some(), "frames that are passed over keep a stream open");
    assert_eq!(answer(&ephor, &raw::post(&[("content-type", EVENT)], &padded("after", 1_000))).status, 200);
}

/// An event with this text as its data.
fn with_data(id: impl std::fmt::Display, data: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"t","data":{data}}}"#)
}

#[test]
fn ht_14_a_name_that_is_there_twice_is_found_at_any_depth_and_among_many() {
    let ephor = Ephor::start_with("[ingest]\nevent-bytes-max = 4_194_304\n", &[]);
    let post = |text: &str| answer(&ephor, &raw::post(&[("content-type", EVENT)], text.as_bytes()));
    let binary = [("ce-specversion", "1.0"), ("ce-id", "b"), ("ce-source", "/s"), ("ce-type", "t"), ("content-type", "application/json")];
    let refused = |answer: &RawAnswer, pointer: &str, case: &str| {
        let problem = answer.json();
        assert_eq!(
            (answer.status, kind(&problem), problem["pointer"].as_str()),
            (400, "duplicate-name", Some(pointer)),
            "{case}: {problem}"
        );
    };
    for twice in [r#""a":1,"a":2"#, r#""a":1,"\u0061":2"#, r#""\u0061":1,"a":1"#, r#""a":1,"b":{},"a":null"#] {
        let (mut data, mut pointer) = (format!("{{{twice}}}"), "/a".to_string());
        for depth in 1..=3 {
            refused(&post(&with_data(1, &data)), &format!("/data{pointer}"), &data);
            refused(&answer(&ephor, &raw::post(&binary, data.as_bytes())), &format!("/data{pointer}"), &data);
            let step = if depth % 2 == 0 { "[0," } else { "{\"x\":" };
            (data, pointer) = match depth % 2 {
                0 => (format!("{step}{data}]"), format!("/1{pointer}")),
                _ => (format!("{step}{data}}}"), format!("/x{pointer}")),
            };
        }
    }
    // At depth 0 are the attributes.
    let all = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","#;
    for (members, pointer) in
        [(r#""id":"2""#, "/id"), (r#""\u0069d":"1""#, "/id"), (r#""data":1,"data":1"#, "/data"), (r#""x":1,"\u0078":null"#, "/x")]
    {
        refused(&post(&format!("{all}{members}}}")), pointer, members);
    }
    let names: Vec<String> = (0..100_000).map(|n| format!("\"n{n}\":{n}")).collect();
    let many = names.join(",");
    assert_eq!(post(&with_data("many", &format!("{{{many}}}"))).status, 200);
    refused(&post(&with_data("twice", &format!("{{{many},\"n4711\":0}}"))), "/data/n4711", "100,000 names");
}

#[tokio::test(flavor = "multi_thread")]
async fn ht_15_a_number_is_whole_or_refused() {
    let ephor = Ephor::start(&[]);
    let taken = [
        "0",
        "-0",
        "1",
        "1.0",
        "-1.5e-7",
        "9007199254740992",
        "9007199254740993",
        "-9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
        "1e308",
        "1E+2",
        "18446744073709551616.5",
        "1e19",
    ];
    let refused = [
        ("9223372036854775808", "number"),
        ("-9223372036854775809", "number"),
        ("18446744073709551616", "number"),
        ("123456789012345678901234567890", "number"),
        ("1e400", "number"),
        ("-1e400", "number"),
        ("01", "syntax"),
        ("+1", "syntax"),
        (".5", "syntax"),
        ("1.", "syntax"),
        ("0x10", "syntax"),
        ("NaN", "syntax"),
        ("Infinity", "syntax"),
        ("-", "syntax"),
        ("1_000", "syntax"),
    ];
    for wrap in [|number: &str| number.to_string(), |number: &str| format!("{{\"a\":[0,{number}]}}")] {
        let all = taken.iter().copied().chain(refused.iter().map(|(number, _)| *number));
        let lines: String = all.clone().map(|number| with_data(wrap(number).replace('"', "_"), &wrap(number)) + "\n").collect();
        let answers = ephor.post(LINES, lines).await.expect(200).lines();
        for (answer, number) in answers.iter().zip(taken) {
            assert!(answer.get("verdict").is_some(), "{number}: {answer}");
        }
        for (answer, (number, expected)) in answers[taken.len()..].iter().zip(refused) {
            assert_eq!(kind(&answer["error"]), expected, "{number}: {answer}");
        }
        assert_eq!(answers.len(), all.count());
    }
}

#[test]
fn ht_16_depth_is_bounded_and_width_is_bytes() {
    let mut ephor = Ephor::start_with("[ingest]\nevent-bytes-max = 33_554_432\nbatch-bytes-max = 33_554_432\n", &[]);
    let post = |form: &str, text: &str| answer(&ephor, &raw::post(&[("content-type", form)], text.as_bytes()));
    let deep = |levels: usize| [vec![b'['; levels], vec![b']'; levels]].concat();
    let deep = |levels: usize| String::from_utf8(deep(levels)).expect("ASCII");
    // The event itself is the first level.
    assert_eq!(post(EVENT, &with_data("31", &deep(31))).status, 200);
    for levels in [32, 127, 128, 100_000, 4_000_000] {
        let answer = post(EVENT, &with_data(levels, &deep(levels)));
        assert_eq!((answer.status, kind(&answer.json())), (400, "depth"), "{levels}: {}", answer.text());
        let objects = format!("{}1{}", "{\"a\":".repeat(levels.min(1_000_000)), "}".repeat(levels.min(1_000_000)));
        assert_eq!(kind(&post(EVENT, &with_data(levels, &objects)).json()), "depth", "{levels} objects");
    }
    for (form, text, expected) in [
        (EVENT, "[".repeat(4_000_000), "not-an-event"),
        (EVENT, format!("{{\"id\":{}}}", deep(1_000_000)), "invalid-attribute"),
        (EVENT, format!("{{\"region\":{}", "[{\"a\":".repeat(1_000_000)), "syntax"),
        (BATCH, "[".repeat(4_000_000), "syntax"),
        (BATCH, deep(4_000_000), "nothing-valid"),
        (LINES, "[".repeat(4_000_000), "not-an-event"),
    ] {
        let answer = post(form, &text);
        let problem: Value = serde_json::from_str(answer.text().lines().next().expect("an answer")).expect("JSON");
        let found = kind(problem.get("error").unwrap_or(&problem));
        assert_eq!((answer.status, found), (400, expected), "{form}: {}", answer.text());
    }
    let names: Vec<String> = (0..1_000_000).map(|n| format!("\"n{n}\":0")).collect();
    assert_eq!(post(EVENT, &with_data("wide object", &format!("{{{}}}", names.join(",")))).status, 200);
    assert_eq!(post(EVENT, &with_data("wide array", &format!("[{}0]", "0,".repeat(1_000_000)))).status, 200);
    assert!(ephor.is_alive());
}

/// Names that look alike and are not the same are two names; what is no text is none.
#[tokio::test(flavor = "multi_thread")]
async fn ht_17_names_are_compared_as_they_are() {
    let ephor = Ephor::start(&[]);
    let twins =
        ["{\"\u{e9}\":1,\"e\u{301}\":2}", "{\"\\u00e9\":1,\"e\\u0301\":2}", "{\"\u{212b}\":1,\"\u{c5}\":2}", "{\"\\u0000\":\"\\u0000\"}"];
    let lines: String = twins.iter().enumerate().map(|(id, data)| with_data(id, data) + "\n").collect();
    for answer in ephor.post(LINES, lines).await.expect(200).lines() {
        assert_eq!(answer["verdict"], "allow", "{answer}");
    }
    let same = with_data("same", "{\"\u{e9}\":1,\"\\u00e9\":2}");
    assert_eq!(kind(&ephor.post(EVENT, same).await.expect(400).json()), "duplicate-name");
    let broken: [(&[u8], &str); 8] = [
        (b"\"\xc0\x80\"", "encoding"),
        (b"\"\xe0\x80\xaf\"", "encoding"),
        (b"\"\xf4\x90\x80\x80\"", "encoding"),
        (b"\"\xed\xa0\x80\xed\xb0\x80\"", "encoding"),
        (b"\"\x80\"", "encoding"),
        (b"\"\x00\"", "syntax"),
        (b"\"\\ud800\"", "syntax"),
        (b"\"\\udc00\\ud800\"", "syntax"),
    ];
    for (bytes, expected) in broken {
        let text = [&b"{\"specversion\":\"1.0\",\"id\":\"u\",\"source\":\"/s\",\"type\":\"t\",\"data\":"[..], bytes, b"}"].concat();
        let problem = ephor.post(EVENT, text).await.expect(400).json();
        assert_eq!(kind(&problem), expected, "{bytes:?}: {problem}");
    }
    let marked = [b"\xef\xbb\xbf".to_vec(), with_data("bom", "1").into_bytes()].concat();
    assert_eq!(kind(&ephor.post(EVENT, marked).await.expect(400).json()), "encoding");
    for id in ["a\\u0000b", "a\\u0007"] {
        assert_eq!(kind(&ephor.post(EVENT, with_data(id, "1")).await.expect(400).json()), "invalid-attribute", "{id}");
    }
}

/// Each line has its own answer, in the order of the lines, whatever is beside it.
#[tokio::test(flavor = "multi_thread")]
async fn ht_18_every_line_is_answered_for_itself() {
    let ephor = Ephor::start(&[]);
    for end in ["\n", "\r\n"] {
        let mut lines: Vec<String> = (0..1_000).map(|id| event::listing(format!("{end:?}{id}"), LISTED).to_string()).collect();
        lines[617] = lines[617].replacen("\"id\"", "\"ID\"", 1);
        // The last one has no end of its own.
        let answers = ephor.post(LINES, lines.join(end)).await.expect(200).lines();
        assert_eq!(answers.len(), 1_000);
        for (index, answer) in answers.iter().enumerate() {
            if index == 617 {
                assert_eq!((&answer["line"], kind(&answer["error"])), (&json!(618), "invalid-attribute"), "{answer}");
                assert!(answer.get("sequence").is_none(), "{answer}");
            } else {
                assert_eq!((&answer["id"], &answer["verdict"]), (&json!(format!("{end:?}{index}")), &json!("allow")), "{answer}");
            }
        }
    }
    assert_eq!(ephor.metric("ephor_events_total", ""), 1_998.0, "what was answered is what was judged");
    for nothing in ["", "\n", "\r\n \t\n"] {
        let answer = ephor.post(LINES, nothing).await.expect(400);
        assert_eq!(kind(&answer.json()), "nothing-valid", "{nothing:?}");
    }
    // One good event and nothing behind it, with no end of line either.
    let one = ephor.post(LINES, event::listing("alone", LISTED).to_string()).await.expect(200).lines();
    assert_eq!((one.len(), &one[0]["verdict"]), (1, &json!("allow")));
}
