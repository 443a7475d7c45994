//! Clients that use HTTP/2 to make work, and do none: each is sent away, and others are
//! served meanwhile and after.

use std::time::Duration;

use ephor_tests::client::EVENT;
use ephor_tests::h2::{self, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, H2, HEADERS, PING, RST_STREAM, SETTINGS};
use ephor_tests::raw::Raw;
use ephor_tests::{Ephor, PATIENCE};

/// Bounds that a test need not wait long for.
const QUICK: &str = "
    [server]
    header-timeout-ms = 400
    body-idle-timeout-ms = 400
    body-timeout-ms = 1500
    write-timeout-ms = 400
    idle-timeout-ms = 400
    streams-failed-max = 20
";

/// More memory than this no abuse may cost.
const MEMORY_MAX: u64 = 24 << 20;

/// Lets somebody do something to a server, and looks whether others are none the worse.
fn survives(abuse: impl FnOnce(&mut H2)) {
    let mut ephor = Ephor::start_with(QUICK, &[]);
    let begin = |ephor: &Ephor| H2::begin(Raw::connect(ephor.address()));
    assert!(begin(&ephor).is_served(1, "/livez"));
    let before = ephor.resident_bytes();
    let mut abusive = begin(&ephor);
    abuse(&mut abusive);
    let more = ephor.resident_bytes().saturating_sub(before);
    assert!(more < MEMORY_MAX, "{more} bytes for one client");
    assert!(begin(&ephor).is_served(1, "/livez"), "another client");
    ephor.wait_until("the abusive connection is gone", || ephor.metric("ephor_http_connections", "") <= 1.0);
    assert!(ephor.is_alive());
}

/// An open request, whose body is to come.
fn open(h2: &mut H2, stream: u32) {
    let mut header = h2::request("POST", "/v1/events");
    header.extend(h2::fields(&[("content-type", EVENT)]));
    assert!(h2.write(h2::frame(HEADERS, END_HEADERS, stream, &header)));
}

/// CVE-2023-44487.
#[test]
fn ht_06_streams_that_are_reset_at_once_end_the_connection() {
    survives(|h2| {
        let header = h2::request("GET", "/livez");
        let pair = |n: u32| {
            let stream = 2 * n + 1;
            let reset = h2::frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
            [h2::frame(HEADERS, END_HEADERS | END_STREAM, stream, &header), reset].concat()
        };
        let all: Vec<u8> = (0..10_000).flat_map(pair).collect();
        h2.write(all);
        assert_eq!(h2.reason_of_the_end(), Some(ENHANCE_YOUR_CALM));
    });
}

/// CVE-2025-8671: the server is made to reset streams itself.
#[test]
fn ht_06_streams_that_the_server_is_made_to_reset_end_the_connection() {
    survives(|h2| {
        let header = h2::request("GET", "/livez");
        // A header that depends on itself is an error of its stream (RFC 9113, 5.3.1 of old),
        // and so is a window that grows by nothing (6.9).
        let pair = |n: u32| {
            let stream = 2 * n + 1;
            let window = h2::frame(h2::WINDOW_UPDATE, 0, stream, &0_u32.to_be_bytes());
            [h2::frame(HEADERS, END_HEADERS, stream, &header), window].concat()
        };
        let all: Vec<u8> = (0..1_000).flat_map(pair).collect();
        h2.write(all);
        assert!(h2.reason_of_the_end().is_some(), "the connection is ended with a reason");
    });
}

/// CVE-2024-27316 and its kin.
#[test]
fn ht_07_a_header_that_goes_on_and_on_ends_the_connection() {
    survives(|h2| {
        h2.write(h2::frame(HEADERS, END_STREAM, 1, &h2::request("GET", "/livez")));
        let piece = h2::frame(CONTINUATION, 0, 1, &h2::fields(&[("x", &"y".repeat(8 << 10))]));
        let sent = h2.flood(&piece, PATIENCE).expect("closed");
        // What the system buffers on the way is not ours.
        assert!(sent < 4_096, "{sent} frames were taken");
    });
    survives(|h2| {
        h2.write(h2::frame(HEADERS, END_STREAM, 1, &h2::request("GET", "/livez")));
        assert!(h2.flood(&h2::frame(CONTINUATION, 0, 1, &[]), PATIENCE).is_some(), "closed");
    });
}

#[test]
fn ht_08_frames_without_an_end_or_a_use_end_the_connection() {
    for (name, bytes) in [
        ("pings", h2::frame(PING, 0, 0, &[0; 8]).repeat(100)),
        ("settings", h2::frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]).repeat(100)),
        ("windows", h2::frame(h2::WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()).repeat(100)),
        ("frames of no known type", h2::frame(200, 0, 0, &[0; 64]).repeat(100)),
    ] {
        // Without a request, and after one.
        for asks in [false, true] {
            survives(|h2| {
                assert!(!asks || h2.is_served(1, "/livez"));
                assert!(h2.flood(&bytes, PATIENCE).is_some(), "{name} without end, asks: {asks}");
            });
        }
    }
}

#[test]
fn ht_08_bodies_that_never_come_to_anything_end_the_connection() {
    for (name, size) in [("empty", 0), ("of a byte", 1)] {
        survives(|h2| {
            open(h2, 1);
            let piece = h2::frame(DATA, 0, 1, &vec![b' '; size]).repeat(100);
            assert!(h2.flood(&piece, PATIENCE).is_some(), "frames {name} without end");
        });
    }
}

/// The same bounds as in HTTP/1.1.
#[test]
fn ht_09_a_header_beyond_the_limits_is_refused() {
    let ephor = Ephor::start_with(QUICK, &[]);
    let long = "y".repeat(20 << 10);
    let mut header = h2::request("GET", "/livez");
    header.extend(h2::fields(&[("x", &long)]));
    let mut h2 = H2::begin(Raw::connect(ephor.address()));
    let (first, rest) = header.split_at(16 << 10);
    h2.write([h2::frame(HEADERS, END_STREAM, 1, first), h2::frame(CONTINUATION, END_HEADERS, 1, rest)].concat());
    assert!(!h2.is_answered_with_200(1), "20 KiB of header are not taken");
    assert!(H2::begin(Raw::connect(ephor.address())).is_served(1, "/livez"));
}

/// HT-04 in HTTP/2: a client that opens streams, and never lets an answer through.
#[test]
fn ht_04_a_window_that_stays_shut_holds_nothing_for_ever() {
    survives(|h2| {
        // Nothing may be sent on a stream (RFC 9113, 6.5.2: initial window size 0).
        h2.write(h2::frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
        for n in 0..50 {
            h2.write(h2::frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &h2::request("GET", "/metrics")));
        }
        let closed = h2.closed_within(PATIENCE).expect("closed");
        assert!(closed < Duration::from_secs(30), "closed after {closed:?}");
    });
}
