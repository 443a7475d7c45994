//! The real events and their independent answers: the committed sample, and the
//! full data where it is.

use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use flate2::read::MultiGzDecoder;
use serde_json::Value;

use crate::{target_dir, workspace};

/// The sets of events that come with answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// Shared scooters seen in the city.
    Columbus,
    /// Invoice lines of a retailer.
    Retail,
    /// The temperature of a machine.
    Nab,
}

impl Set {
    /// The set's folder and file name.
    pub fn name(self) -> &'static str {
        match self {
            Set::Columbus => "columbus",
            Set::Retail => "retail",
            Set::Nab => "nab",
        }
    }
}

/// The committed sample.
pub fn sample(set: Set) -> Vec<String> {
    committed(&sample_folder().join(format!("{}.ndjson.gz", set.name())))
}

/// The events of a compressed file.
pub fn committed(path: &Path) -> Vec<String> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    lines(BufReader::new(MultiGzDecoder::new(file)))
}

/// What the sample must give.
pub fn sample_truth() -> Value {
    read_json(&sample_folder().join("truth.json"))
}

/// Where the committed sample is.
pub fn sample_folder() -> PathBuf {
    workspace().join("tests/data/sample")
}

/// The folder with the full data: `EPHOR_DATA`, or `../shared/data` beside the
/// workspace. Nothing if it is not there.
pub fn full_folder() -> Option<PathBuf> {
    let folder = std::env::var_os("EPHOR_DATA").map_or_else(|| workspace().join("../shared/data"), PathBuf::from);
    folder.join("columbus/truth.json").exists().then_some(folder)
}

/// The folder with the versions of a sanctions list, where the full data is.
pub fn sanctions_folder() -> Option<PathBuf> {
    let folder = full_folder()?.join("lists/ofac_sdn");
    folder.join("versions.csv").exists().then_some(folder)
}

/// All events of a set. The conversion is done once and kept in `target/data`.
pub fn full(folder: &Path, set: Set) -> Vec<String> {
    let kept = target_dir().join("data");
    std::fs::create_dir_all(&kept).expect("target/data");
    let path = kept.join(format!("{}.ndjson", set.name()));
    // Several tests may want the same at once.
    static CONVERTING: Mutex<()> = Mutex::new(());
    let _one = CONVERTING.lock().unwrap_or_else(PoisonError::into_inner);
    if !path.exists() {
        // Written aside and renamed, so that a broken run leaves nothing whole-looking.
        let draft = kept.join(format!("{}.{}.draft", set.name(), std::process::id()));
        let own = folder.join(set.name());
        let mut command = Command::new("python3");
        let converter = match set {
            Set::Nab => workspace().join("tests/data/nab_to_cloudevents.py"),
            Set::Columbus | Set::Retail => own.join("to_cloudevents.py"),
        };
        command.arg("-B").arg(&converter).arg("--out").arg(&draft);
        if set == Set::Nab {
            command.arg(own.join("machine_temperature_system_failure.csv"));
        }
        let status = command.status();
        let status = status.unwrap_or_else(|error| panic!("python3 converts the full data, but does not start: {error}"));
        assert!(status.success(), "{} ended with {status}", converter.display());
        std::fs::rename(&draft, &path).expect("target/data can be written");
    }
    lines(BufReader::new(File::open(path).expect("the converted data")))
}

/// What the full set must give.
pub fn full_truth(folder: &Path, set: Set) -> Value {
    read_json(&folder.join(set.name()).join("truth.json"))
}

/// Says where everyone sees it, also without `--nocapture`, that a part of a
/// test was left out.
pub fn left_out(what: &str, why: &str) {
    let _ = writeln!(std::io::stderr().lock(), "\nleft out: {what}: {why}");
}

fn lines(reader: impl BufRead) -> Vec<String> {
    reader.lines().map(|line| line.expect("events in UTF-8")).collect()
}

fn read_json(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
