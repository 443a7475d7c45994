//! The whole way over a loopback socket: the server of Ephor with three
//! policies, and one that only parses, both in this process, both with the same
//! client, which does nothing but move bytes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use ephor::server::{Options, Server};
use ephor::{Config, Runtime};
use ephor_tests::data::{self, Set};
use ephor_tests::parse::count_lines;
use ephor_tests::{binary, policy, settings, target_dir};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// At least so many events on one connection.
const EVENTS: usize = 150_000;

/// Connections at the same time: one per core, so that the yardstick, which does
/// the work of a connection on one core, has all of them too.
pub(crate) const CONNECTIONS: usize = 2;

/// The number of events, and by name the events per second of each round; the
/// first is parse-only.
pub(crate) async fn rounds(rounds: usize) -> (usize, Vec<(&'static str, Vec<f64>)>) {
    let bodies: Vec<(usize, Arc<Vec<u8>>)> = (0..CONNECTIONS).map(body).collect();
    let events = bodies.iter().map(|(events, _)| events).sum();
    let parse_only = parse_only().await;
    let ephor = ephor().await;
    let ways = [
        ("parse only", parse_only, ""),
        ("three policies, every verdict", ephor, ""),
        ("three policies, return=minimal", ephor, "prefer: return=minimal\r\n"),
    ];
    let mut rates: Vec<(&'static str, Vec<f64>)> = ways.iter().map(|(name, ..)| (*name, Vec::new())).collect();
    for round in 0..=rounds {
        for ((_, address, headers), (_, rates)) in ways.iter().zip(&mut rates) {
            let begin = Instant::now();
            let sending: Vec<_> = bodies.iter().map(|(_, body)| tokio::spawn(send(*address, headers, Arc::clone(body)))).collect();
            let mut answers = Vec::new();
            for answer in sending {
                answers.push(answer.await.expect("an answer"));
            }
            let elapsed = begin.elapsed();
            for (answer, (events, _)) in answers.iter().zip(&bodies) {
                check(headers, answer, *address == parse_only, *events);
            }
            // The first round warms up.
            if round > 0 {
                rates.push(events as f64 / elapsed.as_secs_f64());
            }
        }
    }
    (events, rates)
}

/// The sample's events, again and again, as a chunked body.
///
/// Each repetition has snapshots of its own: otherwise the fleet would grow with
/// every one, and findings with it. And ids of its own: otherwise a ledger would
/// know it already.
pub(crate) fn body(connection: usize) -> (usize, Arc<Vec<u8>>) {
    let (columbus, retail) = (data::sample(Set::Columbus), data::sample(Set::Retail));
    let (mut lines, mut events) = (String::new(), 0);
    for repetition in 0.. {
        if events >= EVENTS {
            break;
        }
        let snapshot = format!("\"snapshot_id\":\"{connection}-{repetition}-");
        let id = format!("\"id\":\"{connection}-{repetition}-");
        for line in columbus.iter().map(|line| line.replace("\"snapshot_id\":\"", &snapshot)).chain(retail.iter().cloned()) {
            lines.push_str(&line.replace("\"id\":\"", &id));
            lines.push('\n');
            events += 1;
        }
    }
    let mut body = Vec::with_capacity(lines.len() + lines.len() / 1024);
    for chunk in lines.as_bytes().chunks(64 << 10) {
        body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        body.extend_from_slice(chunk);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    (events, Arc::new(body))
}

/// Sends the body and reads the answer to its end.
pub(crate) async fn send(address: SocketAddr, headers: &'static str, body: Arc<Vec<u8>>) -> Vec<u8> {
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n{headers}\r\n"
    );
    let socket = TcpStream::connect(address).await.expect("a connection");
    let (mut reading, mut writing) = socket.into_split();
    let writer = tokio::spawn(async move {
        writing.write_all(head.as_bytes()).await.expect("the head is taken");
        writing.write_all(&body).await.expect("the body is taken");
        writing
    });
    let mut answer = Vec::new();
    reading.read_to_end(&mut answer).await.expect("an answer");
    drop(writer.await.expect("the writer ends"));
    answer
}

/// Checks that what was timed was the work.
pub(crate) fn check(headers: &str, answer: &[u8], parse_only: bool, events: usize) {
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..answer.len().min(400)]));
    let count = |part: &str| answer.windows(part.len()).filter(|window| *window == part.as_bytes()).count();
    if parse_only {
        assert_eq!(count(&format!("\r\n\r\n{events}")), 1);
    } else if headers.is_empty() {
        // A chunk of the answer may be cut inside the word, by far not often.
        let verdicts = count("\"verdict\":");
        assert!(verdicts <= events && verdicts * 1_000 > events * 990, "{verdicts} verdicts on {events} events");
    } else {
        assert!(count("\"summary\":") <= 1 && count("\"verdict\":") < events / 2, "clean events are left out");
    }
}

async fn ephor() -> SocketAddr {
    let config = Config::default();
    let runtime = Runtime::builder()
        .spine(config.spine)
        .sandbox(config.sandbox)
        .worker(binary())
        .cache(target_dir().join("it-cache"))
        .build()
        .expect("a runtime");
    for name in ["geofence", "fleet-cap", "negative-list"] {
        runtime.install(policy(name), settings(name).into_bytes()).await.expect("a policy in force");
    }
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind(any, runtime, config.server, Options { dev: true, ingest: config.ingest, ..Options::default() })
        .await
        .expect("a server");
    let address = server.local_addr();
    tokio::spawn(server.run(std::future::pending()));
    address
}

/// The yardstick: each line into a `serde_json::Value`, and the count back.
async fn parse_only() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.expect("a connection");
            let _ = socket.set_nodelay(true);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(count)));
        }
    });
    address
}

async fn count(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from(count_lines(request.into_body()).await.to_string()))))
}
