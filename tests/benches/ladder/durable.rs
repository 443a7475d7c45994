//! What durability costs, on the disk that `target` is on, with every answer after
//! its sync: streams with and without a ledger, single events, batches; bytes that it
//! takes; how fast a ledger is checked.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ephor::ledger::{self, Keep, verify};
use ephor::server::{Options, Server};
use ephor::{Config, Runtime};
use ephor_tests::data::{self, Set};
use ephor_tests::{binary, policy, settings, target_dir};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::http::{self, CONNECTIONS};
use crate::median;
use crate::report::{Goal, Row};

/// Requests with one event, and with a hundred, in one round.
const SINGLES: usize = 500;
const BATCHES: usize = 200;
const BATCH: usize = 100;

const POLICIES: [&str; 3] = ["geofence", "fleet-cap", "negative-list"];

/// A server with three policies, with or without a ledger, and with what that keeps of
/// events.
struct Ephor {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    runtime: Runtime,
}

impl Ephor {
    async fn start(data: Option<&Path>, events: Keep) -> Ephor {
        let config = Config::default();
        // The same days come again and again.
        let ledger = ledger::Limits { horizon_days: 36_500, events, ..ledger::Limits::default() };
        let mut builder = Runtime::builder().worker(binary()).cache(target_dir().join("it-cache")).ledger(ledger);
        if let Some(data) = data {
            builder = builder.data(data);
        }
        let runtime = builder.build().expect("a runtime");
        for name in POLICIES {
            runtime.install(policy(name), settings(name).into_bytes()).await.expect("a policy in force");
        }
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = Options { dev: true, ingest: config.ingest, ..Options::default() };
        let server = Server::bind(any, runtime.clone(), config.server, options).await.expect("a server");
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Ephor { address, stop, serving, runtime }
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        self.serving.await.expect("the server ends");
        self.runtime.close().await;
    }
}

fn fresh(name: &str) -> std::path::PathBuf {
    let folder = target_dir().join("bench-data").join(name);
    let _ = fs::remove_dir_all(&folder);
    folder
}

/// Events per second of streams on all connections.
async fn stream(ephor: &Ephor, bodies: &[(usize, Arc<Vec<u8>>)]) -> f64 {
    let begin = Instant::now();
    let sending: Vec<_> = bodies.iter().map(|(_, body)| tokio::spawn(http::send(ephor.address, "", Arc::clone(body)))).collect();
    for (sending, (events, _)) in sending.into_iter().zip(bodies) {
        http::check("", &sending.await.expect("an answer"), false, *events);
    }
    bodies.iter().map(|(events, _)| events).sum::<usize>() as f64 / begin.elapsed().as_secs_f64()
}

/// Sends bodies one after the other on one connection; how long each answer takes.
async fn requests(address: SocketAddr, content_type: &str, bodies: &[String]) -> Vec<Duration> {
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    socket.set_nodelay(true).expect("a socket");
    let (mut times, mut answer) = (Vec::with_capacity(bodies.len()), vec![0; 1 << 20]);
    for body in bodies {
        let begin = Instant::now();
        let length = body.len();
        let head =
            format!("POST /v1/events HTTP/1.1\r\nhost: {address}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n");
        socket.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.expect("the request is taken");
        let mut have = 0;
        loop {
            let read = socket.read(&mut answer[have..]).await.expect("an answer");
            assert!(read > 0, "the server closed the connection");
            have += read;
            if whole(&answer[..have]) {
                break;
            }
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..have.min(400)]));
        times.push(begin.elapsed());
    }
    times
}

/// Whether an answer with a `content-length` is there to its end.
fn whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("an answer with its length");
    answer.len() >= end + 4 + length.parse::<usize>().expect("a length")
}

fn percentile(times: &[Duration], of_hundred: usize) -> f64 {
    let mut times = times.to_vec();
    times.sort();
    times[(times.len() - 1) * of_hundred / 100].as_secs_f64() * 1e3
}

/// Retail lines, each with an id that no other has.
fn lines(prefix: &str, count: usize) -> Vec<String> {
    let retail = data::sample(Set::Retail);
    let own = |n: usize| retail[n % retail.len()].replace("\"id\":\"", &format!("\"id\":\"{prefix}-{n}-"));
    (0..count).map(own).collect()
}

fn size(folder: &Path) -> u64 {
    let items = fs::read_dir(folder).into_iter().flatten().map(|item| item.expect("an item"));
    items.map(|item| if item.path().is_dir() { size(&item.path()) } else { item.metadata().expect("a file").len() }).sum()
}

pub(crate) async fn report(rounds: usize) -> Vec<Row> {
    let bodies: Vec<(usize, Arc<Vec<u8>>)> = (0..CONNECTIONS).map(http::body).collect();
    let events: usize = bodies.iter().map(|(events, _)| events).sum();
    let (mut memory, mut durable, mut keeping) = (Vec::new(), Vec::new(), Vec::new());
    let mut checked = Vec::new();
    let (mut bytes, mut content, mut entries) = (0, 0, 0);
    for round in 0..=rounds {
        let ephor = Ephor::start(None, Keep::Digest).await;
        let without = stream(&ephor, &bodies).await;
        ephor.stop().await;
        let folder = fresh("kept");
        let ephor = Ephor::start(Some(&folder), Keep::Full).await;
        let kept = stream(&ephor, &bodies).await;
        ephor.stop().await;
        content = size(&folder.join("events"));
        let folder = fresh("stream");
        let ephor = Ephor::start(Some(&folder), Keep::Digest).await;
        let with = stream(&ephor, &bodies).await;
        ephor.stop().await;
        let begin = Instant::now();
        let report = verify::verify(&folder);
        let took = begin.elapsed();
        assert!(report.is_clean() && report.entries == (POLICIES.len() + events) as u64, "{report}");
        // What the policies are made of is kept once, however many events there are.
        (bytes, entries) = (size(&folder) - size(&folder.join("releases")), report.entries);
        // The first round warms up.
        if round > 0 {
            memory.push(without);
            durable.push(with);
            keeping.push(kept);
            checked.push(report.entries as f64 / took.as_secs_f64());
        }
    }
    let in_memory = Row::ratios("durable_vs_memory", &durable, &memory, "events per second of the same streams without a ledger");
    let without =
        Row::ratios("kept_vs_durable", &keeping, &durable, "events per second of the same streams with the digests of events only");
    println!("\n{events} sample events over HTTP on two connections, three policies, median of {rounds} rounds");
    println!("{:<44}{:>18}", "", "events per second");
    println!("{:<44}{:>18.0}", "streams, in memory", median(memory));
    println!("{:<44}{:>18.0}", "streams, durable", median(durable));
    println!("{:<44}{:>18.0}", "streams, durable, events kept", median(keeping));
    println!("{:<44}{:>18.0}", "entries checked by `log verify`", median(checked));
    println!("{:<44}{:>18.0}", "bytes on disk per event, findings and all", bytes as f64 / entries as f64);
    println!("{:<44}{:>18.0}", "the same of its content, where it is kept", content as f64 / events as f64);

    println!("\nOne connection, one request after the other, on a retail line that is clean for one policy");
    println!("{:<28}{:>12}{:>12}{:>20}", "", "p50 ms", "p99 ms", "events per second");
    let kinds = [
        ("in memory", None, Keep::Digest),
        ("durable", Some(fresh("requests")), Keep::Digest),
        ("events kept", Some(fresh("requests-kept")), Keep::Full),
    ];
    for (name, data, keep) in kinds {
        let ephor = Ephor::start(data.as_deref(), keep).await;
        let singles = requests(ephor.address, "application/cloudevents+json", &lines("one", SINGLES)).await;
        let many = lines("many", BATCHES * BATCH);
        let many: Vec<String> = many.chunks(BATCH).map(|some| format!("[{}]", some.join(","))).collect();
        let batches = requests(ephor.address, "application/cloudevents-batch+json", &many).await;
        for (what, times, each) in [("one event", singles, 1), ("a batch of 100", batches, BATCH)] {
            let total: Duration = times.iter().sum();
            let rate = (times.len() * each) as f64 / total.as_secs_f64();
            let (p50, p99) = (percentile(&times, 50), percentile(&times, 99));
            println!("{:<28}{p50:>12.2}{p99:>12.2}{rate:>20.0}", format!("{what}, {name}"));
        }
        ephor.stop().await;
        if let Some(data) = data {
            let entries = (SINGLES + BATCHES * BATCH) as f64;
            println!("{:<28}{:>12.0} bytes on disk per clean event", "", size(&data.join("journal")) as f64 / entries);
        }
    }
    let _ = fs::remove_dir_all(target_dir().join("bench-data"));
    vec![in_memory.goal(Goal::AtLeast(0.6)), without]
}
