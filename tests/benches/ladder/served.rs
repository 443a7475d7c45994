//! Over HTTP, each part in a process of its own: `ephor serve` as it is shipped, the native
//! servers of `tests/yardstick`, and the client of both, in turns.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ephor_tests::forge::renamed;
use ephor_tests::{Ephor, guest, profile_dir, target_dir, write_policy};
use serde_json::Value;

use crate::orders::Orders;
use crate::report::{Goal, Row};
use crate::spine::fresh;
use crate::{rounds, sync};

/// Connections of streams: one per core of a small machine, so that a yardstick that does
/// the work of a connection on one core has all of them too.
const STREAMS: usize = 2;

/// Events on each of them.
const EVENTS: usize = 150_000;

/// Shares of the native server's rate that peers had over HTTP at 64 connections, measured
/// outside of this project (BENCH.md quotes them).
const KUBEWARDEN: f64 = 0.033;
const OPA: f64 = 0.13;

/// Seconds of one measurement of single requests.
fn seconds() -> f64 {
    std::env::var("EPHOR_BENCH_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(5.0)
}

/// The program of the yardsticks.
fn program() -> PathBuf {
    let path = profile_dir().join("examples/yardstick");
    assert!(path.exists(), "{} is missing; `make bench` builds it before it measures", path.display());
    path
}

/// The same with as many descriptors as it may have: what a shell gives at first is less
/// than 1,024 connections take.
fn with_descriptors() -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n \"$(ulimit -Hn)\" && exec \"$0\" \"$@\""]).arg(program());
    command
}

/// A server of `tests/yardstick`, ended with the value.
pub(crate) struct Native {
    child: Child,
    pub address: SocketAddr,
}

impl Native {
    pub fn start(arguments: &[&str]) -> Native {
        Native::launch(with_descriptors().args(arguments))
    }

    /// The one that does nothing, whose start is measured.
    pub fn hello() -> Native {
        Native::launch(Command::new(program()).arg("hello"))
    }

    fn launch(command: &mut Command) -> Native {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the yardstick starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it says where it listens");
        let address = line.trim().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        Native { child, address: address.unwrap_or_else(|| panic!("no address: {line:?}")) }
    }
}

/// Ends the own child, by its handle.
impl Drop for Native {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the client saw.
struct Seen(Value);

impl Seen {
    fn of(kind: &str, address: SocketAddr, files: &Files, arguments: [&str; 3]) -> Seen {
        let mut command = with_descriptors();
        command.args([kind, &address.to_string()]).arg(&files.orders).args(arguments);
        let output = command.stderr(Stdio::inherit()).output().expect("the client starts");
        assert!(output.status.success(), "the client of {kind} ended with {}", output.status);
        Seen(serde_json::from_slice(&output.stdout).expect("the client's figures"))
    }

    fn figure(&self, name: &str) -> f64 {
        self.0[name].as_f64().unwrap_or_else(|| panic!("no {name} in {}", self.0))
    }

    /// Events or requests per second.
    fn rate(&self) -> f64 {
        self.figure("rate")
    }

    /// Milliseconds of the slowest hundredth.
    fn p99(&self) -> f64 {
        self.figure("p99_us") / 1e3
    }
}

/// What all of them are started with.
struct Files {
    orders: PathBuf,
    settings: PathBuf,
    /// Folders with one policy, and with three.
    one: PathBuf,
    three: PathBuf,
    /// The share of the orders that is denied.
    denied: f64,
}

impl Files {
    fn write() -> Files {
        let orders = Orders::read();
        let (file, settings) = orders.write();
        let folder = |name: &str, policies: u32| {
            let folder = target_dir().join("bench-data").join(name);
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).expect("a folder");
            for number in 0..policies {
                numbered(&folder, number, "order.placed", &orders.settings);
            }
            folder
        };
        let denied = orders.rejects_of(orders.documents.len()) as f64 / orders.documents.len() as f64;
        Files { orders: file, settings, one: folder("policies-one", 1), three: folder("policies-three", 3), denied }
    }

    /// Checks that what was timed was the work: as many are denied as there should be.
    fn check(&self, seen: &Seen, events: &str) {
        let (denied, events) = (seen.figure("denied"), seen.figure(events));
        assert!((denied / events - self.denied).abs() < 0.02, "{denied} of {events} were denied, not {:.3} of them", self.denied);
    }
}

/// Puts the rule into a folder as the policy of that number, about events of that type.
pub(crate) fn numbered(folder: &Path, number: u32, kind: &str, settings: &str) {
    let name = format!("order-{number:05}");
    let component = renamed(&guest("order_limit"), "order-limit", &name);
    write_policy(folder, &name, Some(&renamed(&component, "order.placed", kind)), Some(settings));
}

/// Starts `ephor serve` with a ledger that is new.
fn serve(policies: &Path, durability: &str) -> (Ephor, PathBuf) {
    let data = fresh("served");
    let config = format!("[server]\nconnections-max = 4_096\n[ledger]\ndurability = \"{durability}\"\n");
    let policies = policies.to_str().expect("a path in UTF-8");
    (Ephor::start_in(&data, &config, &["--policies", policies]), data)
}

fn end((ephor, data): (Ephor, PathBuf)) {
    assert!(ephor.stop().success(), "the server ends well");
    let _ = std::fs::remove_dir_all(data);
}

fn singles(address: SocketAddr, files: &Files, connections: usize, prefix: &str) -> Seen {
    let seen = Seen::of("singles", address, files, [&connections.to_string(), &seconds().to_string(), prefix]);
    files.check(&seen, "requests");
    seen
}

fn stream(address: SocketAddr, files: &Files, prefix: &str) -> Seen {
    Seen::of("stream", address, files, [&STREAMS.to_string(), &EVENTS.to_string(), prefix])
}

/// A stream with every verdict streamed back.
fn judged(policies: &Path, durability: &str, files: &Files) -> Seen {
    let server = serve(policies, durability);
    let seen = stream(server.0.address(), files, "s");
    end(server);
    let (verdicts, events) = (seen.figure("verdicts"), seen.figure("events"));
    // A word may be cut by a chunk of the answer, by far not often.
    assert!(verdicts <= events && verdicts > events * 0.98, "{verdicts} verdicts on {events} events");
    files.check(&seen, "events");
    seen
}

/// Single requests to `ephor serve`.
fn asked(durability: &str, files: &Files, connections: usize) -> Seen {
    let server = serve(&files.one, durability);
    let seen = singles(server.0.address(), files, connections, "r");
    end(server);
    seen
}

/// Figures of all rounds.
#[derive(Default)]
struct Rounds {
    parsed: Vec<f64>,
    streamed: Vec<f64>,
    native_many: Vec<f64>,
    durable_many: Vec<f64>,
    p99: Vec<f64>,
    sync: Vec<f64>,
    native: Vec<f64>,
    native_p99: Vec<f64>,
    os: Vec<f64>,
    os_p99: Vec<f64>,
    streamed_os: Vec<f64>,
}

pub(crate) fn report() -> Vec<Row> {
    let files = Files::write();
    let settings = files.settings.to_str().expect("a path in UTF-8");
    let (parse, rule) = (Native::start(&["parse"]), Native::start(&["rule", settings]));
    let mut all = Rounds::default();
    for _ in 0..rounds() {
        all.parsed.push(stream(parse.address, &files, "p").rate());
        all.streamed.push(judged(&files.three, "sync", &files).rate());
        all.native_many.push(singles(rule.address, &files, 1_024, "n").rate());
        all.durable_many.push(asked("sync", &files, 1_024).rate());
        // Before and behind what waits for it: a disk is not the same all the time.
        let before = sync::median();
        all.p99.push(asked("sync", &files, 64).p99());
        let behind = sync::median();
        all.sync.push((before + behind).as_secs_f64() * 1e3 / 2.0);
        let native = singles(rule.address, &files, 64, "n");
        all.native.push(native.rate());
        all.native_p99.push(native.p99());
        let os = asked("os", &files, 64);
        all.os.push(os.rate());
        all.os_p99.push(os.p99());
        all.streamed_os.push(judged(&files.one, "os", &files).rate());
    }
    rows(&all)
}

fn rows(all: &Rounds) -> Vec<Row> {
    let times = |share: f64| all.native.iter().map(|rate| rate * share).collect::<Vec<f64>>();
    let native = "requests per second of the native server";
    vec![
        Row::ratios("streamed_vs_parse_only", &all.streamed, &all.parsed, "events per second of a server that only parses the same lines")
            .with("events/s", &all.streamed)
            .with("events/s, parse only", &all.parsed)
            .goal(Goal::AtLeast(0.6))
            .line("whole path, NDJSON"),
        Row::ratios("singles_1024_vs_native", &all.durable_many, &all.native_many, native)
            .with("requests/s", &all.durable_many)
            .with("requests/s, native", &all.native_many)
            .goal(Goal::AtLeast(0.4))
            .line("whole path, one event per request"),
        Row::ratios("p99_64_vs_sync", &all.p99, &all.sync, "time in which the disk syncs 4 KiB, median; p99 at 64 connections")
            .with("ms, p99", &all.p99)
            .with("ms, sync", &all.sync)
            .goal(Goal::AtMost(3.0))
            .line("whole path, one event per request"),
        Row::ratios("singles_64_os_vs_native", &all.os, &all.native, native)
            .with("requests/s", &all.os)
            .with("requests/s, native", &all.native)
            .with("ms, p99", &all.os_p99)
            .with("ms, p99, native", &all.native_p99)
            .goal(Goal::AtLeast(0.45))
            .line("one event per request, 64"),
        Row::ratios("singles_64_os_vs_kubewarden", &all.os, &times(KUBEWARDEN), "0.033 of the native server's rate: Kubewarden's share")
            .goal(Goal::AtLeast(12.0))
            .line("one event per request, 64"),
        Row::ratios("singles_64_os_vs_opa", &all.os, &times(OPA), "0.13 of the native server's rate: OPA's share")
            .goal(Goal::AtLeast(3.0))
            .line("one event per request, 64"),
        Row::ratios("streamed_os_vs_kubewarden", &all.streamed_os, &times(KUBEWARDEN), "the same share; here streamed, one policy")
            .with("events/s", &all.streamed_os)
            .goal(Goal::AtLeast(60.0))
            .line("one event per request, 64"),
    ]
}
