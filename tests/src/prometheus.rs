//! A real Prometheus, and its `promtool` (Debian's package `prometheus`, of which only these
//! two programs are used: nothing that the system may have started is touched).

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{PATIENCE, data, raw};

/// Leaves out the tests that need it.
const WITHOUT: &str = "EPHOR_WITHOUT_PROMETHEUS";

const MISSING: &str = "starts: apt-get install prometheus, or set EPHOR_WITHOUT_PROMETHEUS=1";

/// Whether these tests were left out, which is said.
pub fn left_out(what: &str) -> bool {
    let left_out = std::env::var(WITHOUT).as_deref() == Ok("1");
    if left_out {
        data::left_out(what, &format!("{WITHOUT}=1"));
    }
    left_out
}

/// Runs `promtool` in a folder, with this on its standard input.
pub fn promtool(folder: &Path, args: &[&str], input: &str) -> Output {
    let mut command = Command::new("promtool");
    command.args(args).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("promtool {MISSING}: {error}"));
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_string();
    // It may say something before it has read everything.
    let writing = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().expect("it ends");
    writing.join().expect("written");
    output
}

/// A Prometheus of this test's own, which scrapes one server every second.
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Prometheus {
    /// Starts it, with rules that it evaluates.
    pub fn start(target: SocketAddr, rules: &Path) -> Prometheus {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = String::from("global: { scrape_interval: 1s, evaluation_interval: 1s }\n");
        let _ = writeln!(config, "rule_files: [{:?}]", rules.to_str().expect("a path in UTF-8"));
        let _ = writeln!(config, "scrape_configs: [{{ job_name: ephor, static_configs: [{{ targets: ['{target}'] }}] }}]");
        std::fs::write(folder.path().join("prometheus.yml"), config).expect("written");
        let address = {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            listener.local_addr().expect("an address")
        };
        let log = std::fs::File::create(folder.path().join("log")).expect("a file");
        let mut command = Command::new("prometheus");
        command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--enable-feature=exemplar-storage"]);
        command.arg(format!("--web.listen-address={address}")).current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("prometheus {MISSING}: {error}"));
        Prometheus { child, address, folder }
    }

    /// What a path of its API says, once that holds.
    ///
    /// # Panics
    ///
    /// If it never does, with what Prometheus has logged.
    pub fn wait(&self, what: &str, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            // It takes a while to listen.
            if std::net::TcpStream::connect(self.address).is_ok() {
                let answer = raw::get(self.address, path);
                if answer.status == 200 && holds(&answer.json()["data"]) {
                    return answer.json()["data"].clone();
                }
            }
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(begin.elapsed() < PATIENCE, "waited {PATIENCE:?} until {what}\n{}", log());
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Ends the own child, by its handle.
impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
