//! A client that costs little: HTTP/1.1 over bare sockets, requests that lie ready and get
//! another id in their place, answers that are only looked through for what has to be in
//! them. The same for every server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use memchr::memmem;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Barrier;

use crate::documents::Template;

/// What is sent before anything is measured.
const WARM_UP: Duration = Duration::from_millis(500);

/// Events of a chunk of a stream's body.
const CHUNK: usize = 128;

fn number<T: std::str::FromStr>(text: &str, what: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("{what} is no number: {text:?}"))
}

fn documents(orders: &str) -> Vec<String> {
    let text = std::fs::read_to_string(orders).expect("the file of orders");
    text.lines().map(str::to_string).collect()
}

async fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).await.expect("the server accepts connections");
    socket.set_nodelay(true).expect("a socket without delay");
    socket
}

/// What a connection saw while it was measured.
#[derive(Default)]
struct Seen {
    /// Microseconds of each answer.
    times: Vec<u32>,
    denied: u64,
}

/// One event per request, one request after the other on each connection, for so long.
pub async fn singles(address: &str, orders: &str, connections: &str, seconds: &str, prefix: &str) {
    let address: SocketAddr = number(address, "the address");
    let (connections, seconds): (usize, f64) = (number(connections, "connections"), number(seconds, "seconds"));
    let head = |length: usize| {
        format!(
            "POST /v1/events HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/cloudevents+json\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let all: Vec<Template> = documents(orders).iter().map(|document| Template::new(document, prefix, head, "")).collect();
    let all = Arc::new(all);
    let open = Arc::new(Barrier::new(connections));
    let running: Vec<_> = (0..connections)
        .map(|connection| {
            let (all, open) = (Arc::clone(&all), Arc::clone(&open));
            tokio::spawn(async move {
                let socket = connect(address).await;
                open.wait().await;
                ask(socket, &all, connection as u64, Duration::from_secs_f64(seconds)).await
            })
        })
        .collect();
    let mut whole = Seen::default();
    for one in running {
        let seen = one.await.expect("a connection ends well");
        whole.times.extend(seen.times);
        whole.denied += seen.denied;
    }
    whole.times.sort_unstable();
    let at = |of_thousand: usize| whole.times.get(whole.times.len().saturating_sub(1) * of_thousand / 1_000).copied().unwrap_or_default();
    let requests = whole.times.len();
    let rate = requests as f64 / seconds;
    println!(
        "{}",
        json!({"rate": rate, "requests": requests, "denied": whole.denied, "p50_us": at(500), "p99_us": at(990), "max_us": at(1_000)})
    );
}

async fn ask(mut socket: TcpStream, all: &[Template], connection: u64, measured: Duration) -> Seen {
    let begin = Instant::now();
    let (mut seen, mut answer, mut request) = (Seen::default(), vec![0; 16 << 10], Vec::new());
    for count in 0.. {
        // Each connection begins elsewhere, and no id comes twice.
        let template = &all[(connection as usize * 37 + count as usize) % all.len()];
        template.clone_into_numbered(&mut request, connection * 10_000_000 + count);
        let asked = begin.elapsed();
        if asked >= WARM_UP + measured {
            break;
        }
        socket.write_all(&request).await.expect("the request is taken");
        let mut have = 0;
        while !is_whole(&answer[..have]) {
            let read = socket.read(&mut answer[have..]).await.expect("an answer");
            assert!(read > 0, "the server closed the connection");
            have += read;
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..have]));
        let ended = begin.elapsed();
        if asked >= WARM_UP && ended <= WARM_UP + measured {
            seen.times.push((ended - asked).as_micros() as u32);
            seen.denied += u64::from(memmem::find(&answer[..have], b"\"verdict\":\"deny\"").is_some());
        }
    }
    seen
}

impl Template {
    fn clone_into_numbered(&self, request: &mut Vec<u8>, number: u64) {
        request.clear();
        request.extend_from_slice(&self.bytes);
        self.number_in(request, number);
    }
}

/// Whether an answer with a `content-length` is there to its end.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = memmem::find(answer, b"\r\n\r\n") else { return false };
    let head = &answer[..end];
    let value = head.split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(15)?;
        name.eq_ignore_ascii_case(b"content-length:").then_some(value)
    });
    let digits = value.expect("an answer with its length").iter().filter(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    answer.len() >= end + 4 + length
}

/// One request with so many events as lines on each connection; the answer is read while
/// they are sent.
pub async fn stream(address: &str, orders: &str, connections: &str, events: &str, prefix: &str) {
    let address: SocketAddr = number(address, "the address");
    let (connections, events): (u64, u64) = (number(connections, "connections"), number(events, "events"));
    let documents = documents(orders);
    let mut templates: Vec<Template> = documents.iter().map(|document| Template::new(document, prefix, |_| String::new(), "\n")).collect();
    let bodies: Vec<Vec<u8>> = (0..connections).map(|connection| body(&mut templates, connection * 100_000_000, events)).collect();
    let begin = Instant::now();
    let running: Vec<_> = bodies.into_iter().map(|body| tokio::spawn(send(address, body))).collect();
    let (mut verdicts, mut denied) = (0, 0);
    for one in running {
        let (its_verdicts, its_denied) = one.await.expect("a connection ends well");
        verdicts += its_verdicts;
        denied += its_denied;
    }
    let rate = (connections * events) as f64 / begin.elapsed().as_secs_f64();
    println!("{}", json!({"rate": rate, "events": connections * events, "verdicts": verdicts, "denied": denied}));
}

fn body(templates: &mut [Template], first: u64, events: u64) -> Vec<u8> {
    let (mut body, mut chunk) = (Vec::new(), Vec::new());
    for count in 0..events {
        let number = templates.len();
        let template = &mut templates[count as usize % number];
        template.number(first + count);
        chunk.extend_from_slice(&template.bytes);
        if (count as usize + 1).is_multiple_of(CHUNK) || count + 1 == events {
            body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            body.append(&mut chunk);
            body.extend_from_slice(b"\r\n");
        }
    }
    body.extend_from_slice(b"0\r\n\r\n");
    body
}

/// Sends a body and reads the answer to its end: how many verdicts are in it, and how many
/// of them deny.
async fn send(address: SocketAddr, body: Vec<u8>) -> (u64, u64) {
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let (mut reading, mut writing) = connect(address).await.into_split();
    let writer = tokio::spawn(async move {
        writing.write_all(head.as_bytes()).await.expect("the head is taken");
        writing.write_all(&body).await.expect("the body is taken");
        writing
    });
    let (mut verdicts, mut denied, mut first) = (0, 0, true);
    let (mut bytes, mut kept) = (vec![0; 256 << 10], 0);
    loop {
        let read = reading.read(&mut bytes[kept..]).await.expect("an answer");
        let have = kept + read;
        if std::mem::take(&mut first) {
            assert!(bytes.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&bytes[..have.min(400)]));
        }
        // A word may be cut: what could be the beginning of one is looked at again.
        let last = if read == 0 { have } else { have.saturating_sub(MARK.len() + DENY.len()) };
        let mut at = 0;
        while let Some(found) = memmem::find(&bytes[at..have], MARK).map(|found| at + found).filter(|found| *found < last) {
            verdicts += 1;
            denied += u64::from(bytes[found + MARK.len()..have].starts_with(DENY));
            at = found + MARK.len();
        }
        let from = last.max(at);
        bytes.copy_within(from..have, 0);
        kept = have - from;
        if read == 0 {
            break;
        }
    }
    drop(writer.await.expect("the writer ends"));
    (verdicts, denied)
}

/// What is before each verdict, and one that denies.
const MARK: &[u8] = b"\"verdict\":\"";
const DENY: &[u8] = b"deny\"";
