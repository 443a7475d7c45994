//! What is kept of back-tests: `DATA/backtests/ID/` with `backtest.json` (what was asked,
//! and once it is done what came of it) and `differences.ndjson`. While one runs, its
//! ledgers are there too.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::BacktestError;
use super::job::{Record, State};

const RECORD: &str = "backtest.json";
const DIFFERENCES: &str = "differences.ndjson";

/// The folder of all.
#[derive(Debug, Clone)]
pub(super) struct Store(PathBuf);

impl Store {
    pub fn new(data: &Path) -> Self {
        Store(data.join("backtests"))
    }

    fn folder(&self, id: u64) -> PathBuf {
        self.0.join(id.to_string())
    }

    /// Where its ledgers are while it runs.
    pub fn ledgers(&self, id: u64) -> PathBuf {
        self.folder(id).join("ledgers")
    }

    /// The file of its differences, one JSON object in each line.
    pub fn differences(&self, id: u64) -> PathBuf {
        self.folder(id).join(DIFFERENCES)
    }

    /// Begins the file of its differences anew.
    pub fn spool(&self, id: u64) -> Result<BufWriter<File>, BacktestError> {
        File::create(self.differences(id)).map(BufWriter::new).map_err(disk("making the file of differences"))
    }

    /// Writes its file anew, as a whole.
    pub fn write(&self, record: &Record) -> Result<(), BacktestError> {
        let folder = self.folder(record.id);
        fs::create_dir_all(&folder).map_err(disk("making a folder for a back-test"))?;
        let doing = "writing what came of a back-test";
        let mut new = tempfile::NamedTempFile::new_in(&folder).map_err(disk(doing))?;
        serde_json::to_writer(&mut new, record).map_err(|error| disk(doing)(error.into()))?;
        new.write_all(b"\n").map_err(disk(doing))?;
        new.persist(folder.join(RECORD)).map_err(|error| disk(doing)(error.error))?;
        Ok(())
    }

    /// Takes its ledgers away.
    pub fn clear(&self, id: u64) {
        remove(&self.ledgers(id));
    }

    /// Takes everything of it away.
    pub fn remove(&self, id: u64) {
        remove(&self.folder(id));
    }

    /// What earlier processes left, in order. One that was cut off is said to be.
    pub fn load(&self) -> Vec<Record> {
        let Ok(items) = fs::read_dir(&self.0) else { return Vec::new() };
        let ids = items.filter_map(|item| item.ok()?.file_name().to_str()?.parse::<u64>().ok());
        let mut records: Vec<Record> = ids.filter_map(|id| self.read(id)).collect();
        records.sort_by_key(|record| record.id);
        records
    }

    fn read(&self, id: u64) -> Option<Record> {
        self.clear(id);
        let bytes = fs::read(self.folder(id).join(RECORD)).ok()?;
        let mut record: Record = match serde_json::from_slice(&bytes) {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!(backtest = id, %error, "What came of a back-test cannot be read; it is left out");
                return None;
            }
        };
        record.id = id;
        if !record.status.state.is_over() {
            record.status.state = State::Failed;
            record.status.failure = Some("the server was stopped before it was done; start it again".into());
            if let Err(error) = self.write(&record) {
                tracing::warn!(backtest = id, %error, "It is not noted that a back-test was cut off");
            }
        }
        Some(record)
    }
}

fn disk(doing: &'static str) -> impl Fn(io::Error) -> BacktestError {
    move |source| BacktestError::Disk { doing, source }
}

fn remove(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(folder = %folder.display(), %error, "The folder of a back-test cannot be removed");
        }
        _ => {}
    }
}
