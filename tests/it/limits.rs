//! Clients that are slow, silent or too many, and events that come faster than
//! they can be judged.

use std::time::Duration;

use ephor_tests::client::EVENT;
use ephor_tests::h2::H2;
use ephor_tests::raw::{self, Raw};
use ephor_tests::{Ephor, PATIENCE, event, guest};

use crate::LISTED;

const QUICK: &str = "
    [server]
    first-byte-timeout-ms = 300
    header-timeout-ms = 400
    body-idle-timeout-ms = 400
    body-timeout-ms = 1500
    stream-idle-timeout-ms = 500
    write-timeout-ms = 400
    idle-timeout-ms = 400
";

fn good(connection: &mut Raw) {
    connection.write(raw::post(&[("content-type", EVENT)], event::listing("good", LISTED).to_string().as_bytes()));
    assert_eq!(connection.read().expect("an answer").status, 200);
}

/// A connection that says nothing is closed; by far sooner than `PATIENCE`.
#[test]
fn ht_01_a_connection_without_a_byte_is_closed() {
    let ephor = Ephor::start_with(QUICK, &[]);
    let mut silent = Raw::connect(ephor.address());
    let closed = silent.closed_within(PATIENCE).expect("closed");
    assert!(closed < Duration::from_secs(10), "closed after {closed:?}");
    good(&mut Raw::connect(ephor.address()));
}

#[test]
fn ht_02_a_header_that_does_not_end_is_closed() {
    let ephor = Ephor::start_with(QUICK, &[]);
    let mut slow = Raw::connect(ephor.address());
    slow.write("POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ");
    let closed = slow.closed_within(PATIENCE).expect("closed");
    assert!(closed < Duration::from_secs(10), "closed after {closed:?}");
}

/// Bytes that trickle in do not put the end off: the header has a time as a whole.
#[test]
fn ht_02_a_header_that_trickles_is_closed() {
    let ephor = Ephor::start_with(QUICK, &[]);
    let mut slow = Raw::connect(ephor.address());
    slow.write("POST /v1/events HTTP/1.1\r\n");
    let mut sent = 0;
    while slow.try_write(format!("x-{sent}: 1\r\n")) && sent < 1_000 {
        sent += 1;
        if slow.closed_within(Duration::from_millis(50)).is_some() {
            break;
        }
    }
    assert!(sent < 200, "still open after {sent} headers");
}

#[test]
fn ht_03_a_body_that_stops_coming_is_given_up() {
    let ephor = Ephor::start_with(QUICK, &[]);
    let mut slow = Raw::connect(ephor.address());
    slow.write(format!("POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {EVENT}\r\ncontent-length: 1000\r\n\r\n{{"));
    let answer = slow.read().expect("an answer");
    assert_eq!((answer.status, &answer.json()["type"]), (408, &serde_json::json!("urn:ephor:problem:body-idle")));
    assert!(slow.closed_within(PATIENCE).is_some(), "the rest of the body cannot be told from a request");
}

#[test]
fn ht_03_a_body_that_trickles_is_given_up() {
    let ephor = Ephor::start_with(QUICK, &[]);
    let mut slow = Raw::connect(ephor.address());
    slow.write(format!("POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {EVENT}\r\ncontent-length: 1000\r\n\r\n"));
    for _ in 0..100 {
        slow.write("x");
        std::thread::sleep(Duration::from_millis(50));
        // The server has its say while the client is still sending.
        if !slow.try_write("x") {
            break;
        }
    }
    if let Ok(answer) = slow.read() {
        assert_eq!((answer.status, &answer.json()["type"]), (408, &serde_json::json!("urn:ephor:problem:body-slow")));
    }
    assert!(slow.closed_within(PATIENCE).is_some());
}

/// Who sends one request after the other and reads no answer is given up; and what waits
/// for such a client is bounded.
#[test]
fn ht_04_a_client_that_reads_nothing_is_given_up() {
    let ephor = Ephor::start_with(QUICK, &[]);
    let before = ephor.resident_bytes();
    let mut deaf = Raw::connect(ephor.address());
    let requests = "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(100);
    let mut sent = 0;
    while deaf.try_write(&requests) {
        sent += 100;
        assert!(sent < 1_000_000, "the server answers without end");
    }
    let more = ephor.resident_bytes().saturating_sub(before);
    assert!(more < 32 << 20, "{more} bytes for one client");
    good(&mut Raw::connect(ephor.address()));
}

/// A connection that has nothing to say any more makes room for others.
#[test]
fn ht_01_an_idle_connection_is_closed() {
    let ephor = Ephor::start_with(QUICK, &[]);
    let mut idle = Raw::connect(ephor.address());
    good(&mut idle);
    let mut second = H2::begin(Raw::connect(ephor.address()));
    assert!(second.is_served(1, "/livez"));
    for (name, closed) in [("HTTP/1.1", idle.closed_within(PATIENCE)), ("HTTP/2", second.closed_within(PATIENCE))] {
        let closed = closed.unwrap_or_else(|| panic!("{name} stays open"));
        assert!(closed < Duration::from_secs(10), "{name} closed after {closed:?}");
    }
}

/// HT-24: more silent sockets than the server may open files. Those that are too many wait;
/// who is in is served, the ledger has what it needs, and new ones come in when the silent
/// are sent away.
#[test]
fn ht_24_more_connections_than_files_stop_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let limited = ["sh", "-c", "ulimit -n 160 && exec \"$0\" \"$@\""];
    let config = "[server]\nfirst-byte-timeout-ms = 500\n[ledger]\ncheckpoint-ms = 100\n";
    let mut ephor = Ephor::try_start_through(&limited, folder.path(), config, &[]).unwrap_or_else(|refused| panic!("{refused:?}"));
    assert!(ephor.log().contains("the limit of open files has no room for more"), "{}", ephor.log());
    let mut early = Raw::connect(ephor.address());
    let mut asks = |id: u32| {
        early.write(raw::post(&[("content-type", EVENT)], event::listing(id, LISTED).to_string().as_bytes()));
        let answer = early.read_patiently();
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    asks(1);
    let idle: Vec<Raw> = (0..400).map(|_| Raw::connect(ephor.address())).collect();
    (2..20).for_each(&mut asks);
    good(&mut Raw::connect(ephor.address()));
    drop(idle);
    asks(20);
    assert!(!ephor.log().contains("Too many open files"), "{}", ephor.log());
    assert!(ephor.is_alive());
}

/// A stream may pause, but not for ever; blank lines keep it alive.
#[test]
fn a_silent_stream_is_ended_and_blank_lines_keep_one_open() {
    let ephor = Ephor::start_with(QUICK, &[]);
    let head = "POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut silent = Raw::connect(ephor.address());
    silent.write(head);
    assert!(silent.closed_within(PATIENCE).is_some_and(|closed| closed < Duration::from_secs(10)));

    let mut alive = Raw::connect(ephor.address());
    alive.write(head);
    for _ in 0..12 {
        std::thread::sleep(Duration::from_millis(100));
        alive.write("1\r\n\n\r\n");
    }
    let line = format!("{}\n", event::listing(1, LISTED));
    alive.write(format!("{:x}\r\n{line}\r\n0\r\n\r\n", line.len()));
    let answer = alive.read().expect("an answer");
    assert_eq!((answer.status, &answer.json()["id"]), (200, &serde_json::json!("1")));
}

/// Connections beyond the limit wait; one that ends lets the next in.
#[test]
fn connections_beyond_the_limit_wait_for_their_turn() {
    let ephor = Ephor::start_with("[server]\nconnections-max = 3\nheader-timeout-ms = 60000\nfirst-byte-timeout-ms = 60000", &[]);
    // The connection that asked for /readyz may still be on its way out.
    let mut open: Vec<Raw> = (0..3).map(|_| Raw::connect(ephor.address())).collect();
    open.iter_mut().for_each(good);
    let mut next = Raw::connect(ephor.address());
    next.write(raw::post(&[("content-type", EVENT)], event::listing(1, LISTED).to_string().as_bytes()));
    assert_eq!(next.closed_within(Duration::from_millis(500)), None, "neither closed nor answered");
    drop(open);
    assert_eq!(next.read_patiently().status, 200);
}

/// Events beyond what the queue holds are refused with a time to come back; each
/// that was accepted is judged.
#[tokio::test(flavor = "multi_thread")]
async fn ht_23_a_full_queue_refuses_with_a_time_to_come_back() {
    let ephor = std::sync::Arc::new(Ephor::start_with("[spine]\nqueue-events-max = 4", &[]));
    // Each bad row keeps the sandbox busy until its fuel is gone.
    ephor.put("loops", &guest("loops"), "{}").await.succeeded();
    let requests: Vec<_> = (0..64)
        .map(|id| {
            let ephor = std::sync::Arc::clone(&ephor);
            tokio::spawn(async move { ephor.post(EVENT, event::listing(id, "boom").to_string()).await })
        })
        .collect();
    let (mut judged, mut refused) = (0, 0);
    for request in requests {
        let answer = request.await.expect("a request ends");
        match answer.status.as_u16() {
            200 => {
                assert_eq!(answer.json()["verdict"], "undetermined", "{}", answer.text());
                judged += 1;
            }
            503 => {
                assert_eq!(answer.json()["type"], "urn:ephor:problem:queue-full", "{}", answer.text());
                let seconds: u64 = answer.header("retry-after").parse().expect("Retry-After in seconds");
                assert!((1..=60).contains(&seconds));
                refused += 1;
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    assert!(judged >= 1 && refused >= 1, "{judged} judged, {refused} refused");
    // Nothing stays stuck.
    assert_eq!(ephor.judge([event::listing(1_001, LISTED)]).await.len(), 1);
}
