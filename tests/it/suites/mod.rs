//! What others have collected: modules that are none, documents that two parsers read
//! differently, proofs and signatures that must not be taken.
//!
//! The suites are not part of this repository. `make suites DIR=…` runs these tests on a
//! folder that has each suite as a folder of the name of its repository; what is not there
//! fails, and says where it is to be had.

mod wasm;

use std::path::PathBuf;

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
