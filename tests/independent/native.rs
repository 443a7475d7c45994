//! Holds a policy, natively, against `answers.json` beside this file: over the
//! committed sample, and over the full data where it is. A module of the policies'
//! own tests.

use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ephor_sdk::serde_json::{self, Value};
use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

/// As many events as a host takes together, more or less.
const BATCH: usize = 256;

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/independent")
}

/// What must be found: `which` is `sample` or `full`.
pub(crate) fn answer(which: &str) -> Value {
    let file = File::open(here().join("answers.json")).expect("answers.json");
    let mut answers: Value = serde_json::from_reader(BufReader::new(file)).expect("answers.json is JSON");
    let answer = answers[which][env!("CARGO_PKG_NAME")].take();
    assert!(answer.is_object(), "answers.json has an answer for this policy");
    answer
}

/// The SHA-256 of findings as `events.py` writes them: the values of each joined
/// by blanks, as sorted lines.
pub(crate) fn digest(mut lines: Vec<String>) -> String {
    lines.sort();
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(line);
        hash.update("\n");
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The events of the sample, in batches.
pub(crate) fn sample(data: &str) -> impl Iterator<Item = Vec<Value>> {
    let path = here().join(format!("../data/sample/{data}.ndjson.gz"));
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    batches(BufReader::new(MultiGzDecoder::new(file)))
}

/// The events of the full data, in batches; nothing where it is not.
pub(crate) fn full(data: &str) -> Option<impl Iterator<Item = Vec<Value>>> {
    let folder = std::env::var_os("EPHOR_DATA").map_or_else(|| here().join("../../../shared/data"), PathBuf::from).join(data);
    let series = folder.join("machine_temperature_system_failure.csv");
    let converter = if data == "nab" { here().join("../data/nab_to_cloudevents.py") } else { folder.join("to_cloudevents.py") };
    let mut command = Command::new("python3");
    command.arg("-B").arg(&converter).stdout(Stdio::piped()).stderr(Stdio::null());
    if data == "nab" {
        command.arg(&series);
    }
    if !folder.exists() {
        left_out(data, "there is no ../shared/data, and EPHOR_DATA names no folder that has it");
        return None;
    }
    match command.spawn() {
        Ok(mut converter) => converter.stdout.take().map(BufReader::new).map(batches),
        Err(error) => {
            left_out(data, &format!("converting it takes python3, which does not start: {error}"));
            None
        }
    }
}

/// Says it where everyone sees it, also without `--nocapture`.
fn left_out(data: &str, why: &str) {
    let _ = writeln!(std::io::stderr().lock(), "\nleft out: the full data of {data}: {why}");
}

fn batches(mut lines: impl BufRead) -> impl Iterator<Item = Vec<Value>> {
    std::iter::from_fn(move || {
        let mut batch = Vec::with_capacity(BATCH);
        let mut line = String::new();
        while batch.len() < BATCH && lines.read_line(&mut line).expect("events in UTF-8") > 0 {
            batch.push(serde_json::from_str(&line).expect("an event in JSON"));
            line.clear();
        }
        (!batch.is_empty()).then_some(batch)
    })
}
