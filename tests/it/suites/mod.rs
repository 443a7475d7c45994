//! What others have collected: modules that are none, documents that two parsers read
//! differently, proofs and signatures that must not be taken.
//!
//! The suites are not part of this repository. `make suites DIR=…` runs these tests on a
//! folder that has each suite as a folder of the name of its repository; what is not there
//! fails, and says where it is to be had.

mod cloudevents;
mod ed25519;
mod h2spec;
mod json;
mod logs;
mod merkle;
mod wasm;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The folder of a suite: `EPHOR_SUITES` joined with the name of its repository.
///
/// # Panics
///
/// If it is not there.
fn folder(suite: &str, repository: &str) -> PathBuf {
    let Ok(all) = std::env::var("EPHOR_SUITES") else {
        panic!("EPHOR_SUITES has to name the folder that the suites are in; run make suites DIR=…");
    };
    let folder = PathBuf::from(all).join(suite);
    assert!(folder.is_dir(), "{} is not there; get it from https://github.com/{repository}", folder.display());
    folder
}

/// A document of a suite.
fn json(file: &Path) -> Value {
    let text = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// All documents below a folder, by path.
fn json_files(folder: &Path) -> Vec<(PathBuf, Value)> {
    let (mut folders, mut found) = (vec![folder.to_path_buf()], Vec::new());
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = item.expect("an item").path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "json" => found.push((path.clone(), json(&path))),
                _ => {}
            }
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}

/// The bytes that a text in base64 stands for (RFC 4648, section 4).
fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let value = |digit: u8| DIGITS.iter().position(|known| *known == digit).unwrap_or_else(|| panic!("{text:?} is base64")) as u32;
    let digits = text.trim_end_matches('=').as_bytes();
    let group = |group: &[u8]| {
        let bits = group.iter().fold(0, |bits, digit| bits << 6 | value(*digit)) << (6 * (4 - group.len()));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}
