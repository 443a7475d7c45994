//! Vectors as they are published: one JSON object, by the names of their files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::value::RawValue;

use crate::cli::exit::{Exit, Or as _, Outcome, failed};

/// Reads one file of vectors, or all of a folder (`*.json`); each stays as it is
/// written.
pub fn read(path: &Path) -> Outcome<Vec<u8>> {
    let mut files = vec![path.to_path_buf()];
    if path.is_dir() {
        files = list(path)?;
        if files.is_empty() {
            return Err(failed(Exit::Usage, format!("there are no vectors (*.json) in {}", path.display())));
        }
    }
    let mut vectors: BTreeMap<String, Box<RawValue>> = BTreeMap::new();
    for file in &files {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display())).or_exit(Exit::Usage)?;
        let vector = serde_json::from_str(text.trim()).with_context(|| format!("{} is not JSON", file.display())).or_exit(Exit::Refused)?;
        let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        vectors.insert(name, vector);
    }
    let mut bytes = serde_json::to_vec(&vectors).context("cannot write the vectors")?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The files of vectors in a folder, by name.
pub fn list(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let problem = || format!("cannot list {}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(problem).or_exit(Exit::Usage)? {
        files.push(entry.with_context(problem)?.path());
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    Ok(files)
}
