//! What figures were taken on and with: the machine without its name, and versions.

use std::process::Command;

use ephor_tests::{binary, workspace};
use serde_json::{Value, json};

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(workspace()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string()).unwrap_or_default();
    if text.is_empty() { "unknown".into() } else { text }
}

/// A line of a file of /proc that begins so, without what it begins with.
fn line(file: &str, begin: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let found = text.lines().find_map(|line| line.strip_prefix(begin));
    found.map_or_else(|| "unknown".into(), |rest| rest.trim_start_matches([':', ' ', '\t']).trim().to_string())
}

/// The version of a crate in a lock file.
pub(crate) fn version(lock: &str, of: &str) -> String {
    let rest = lock.split_once(&format!("name = \"{of}\"\nversion = \"")).map(|(_, rest)| rest);
    rest.and_then(|rest| rest.split('"').next()).unwrap_or("unknown").to_string()
}

/// All of it.
pub(crate) fn describe() -> Value {
    let lock = std::fs::read_to_string(workspace().join("Cargo.lock")).unwrap_or_default();
    let memory = line("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse::<f64>().unwrap_or_default();
    json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory_gib": (memory / 1_048_576.0 * 10.0).round() / 10.0,
        "cpu": line("/proc/cpuinfo", "model name"),
        "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "ephor": output(binary().to_str().unwrap_or_default(), &["--version"]).trim_start_matches("ephor "),
        "commit": output("git", &["describe", "--always", "--dirty", "--exclude=*"]),
        "rustc": output("rustc", &["--version"]).trim_start_matches("rustc "),
        "wasmtime": version(&lock, "wasmtime"),
        "hyper": version(&lock, "hyper"),
        "load": std::fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next().unwrap_or_default(),
    })
}
