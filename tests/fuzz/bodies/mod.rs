//! What each fuzz target does with its input: `fuzz_targets/` gives it what libFuzzer makes,
//! `tests/it/fuzz.rs` the seeds, what was found before, and mutations of both.
//!
//! A body panics where something is not as it should be; whatever the bytes are.

mod config;
mod event;
mod http;
mod json;
mod ledger;
mod lines;
mod list;
mod loader;
mod note;
mod projection;
mod publication;
mod table;
mod token;

/// A target.
pub struct Target {
    /// Its name, which is that of its folders of seeds and regressions.
    pub name: &'static str,
    /// What it does with an input.
    pub body: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 12] = [
    Target { name: "config", body: config::body },
    Target { name: "event", body: event::body },
    Target { name: "http", body: http::body },
    Target { name: "ledger", body: ledger::body },
    Target { name: "lines", body: lines::body },
    Target { name: "list", body: list::body },
    Target { name: "loader", body: loader::body },
    Target { name: "note", body: note::body },
    Target { name: "projection", body: projection::body },
    Target { name: "publication", body: publication::body },
    Target { name: "table", body: table::body },
    Target { name: "token", body: token::body },
];

/// The first line, without its end, and what is behind it. Inputs of several kinds begin with
/// a line that says which.
fn headed(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[]),
    }
}

/// The lines up to the first empty one, and what is behind that.
fn heading(bytes: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let (mut lines, mut rest) = (Vec::new(), bytes);
    loop {
        let (line, behind) = headed(rest);
        if line.is_empty() {
            return (lines, behind);
        }
        lines.push(line);
        rest = behind;
    }
}

/// Whether it is a JSON Pointer (RFC 6901); the empty one is the whole.
fn is_pointer(text: &str) -> bool {
    let escaped = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    (text.is_empty() || text.starts_with('/')) && escaped
}

/// A folder that goes with the value, in memory where the system has one for that.
fn folder() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a folder")
}
