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

/// Runs it; what it says at its end, and the sections of the cases that failed.
fn run(ephor: &Ephor, tls: bool) -> (String, Vec<String>) {
    let mut command = Command::new(program());
    let port = ephor.address().port().to_string();
    command.args(["--host", "127.0.0.1", "--port", &port, "--path", "/livez", "--timeout", "5"]).stdin(Stdio::null());
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
    let config = format!("[server.tls]\ncertificate = {:?}\nkey = {:?}\n", at("server.pem"), at("server.key"));
    for (name, tls) in [("prior knowledge", false), ("TLS", true)] {
        let mut ephor = match tls {
            true => Ephor::start_secure(&authority.client(None), &config, &[]),
            false => Ephor::start(&[]),
        };
        let (summary, failed) = run(&ephor, tls);
        println!("h2spec, {name}: {summary}");
        assert!(summary.starts_with(&format!("{CASES} tests, ")) && summary.contains(" 0 skipped, "), "{summary}");
        assert!(failed.iter().all(|case| case.starts_with(PREFACE)) && failed.len() <= 1, "{name}: {failed:#?}");
        let passed: usize = summary.split(", ").nth(1).and_then(|part| part.split(' ').next()?.parse().ok()).expect("a count");
        assert!(passed >= CASES - 1, "{name}: {summary}");
        assert!(ephor.is_alive() && !ephor.log().contains("panicked"), "{}", ephor.log());
    }
}
