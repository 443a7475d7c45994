//! A policy's own tests, run natively with cargo.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;

use crate::cli::exit::Outcome;
use crate::cli::policy_table;

/// What came of the crate's own tests.
pub enum Native {
    Passed,
    Failed,
    /// There are none, and why.
    LeftOut(String),
}

/// Runs `cargo test` in a folder. What cargo and the tests print goes straight to the
/// author's terminal.
pub fn run(folder: &Path) -> Outcome<Native> {
    let shown = folder.display();
    if policy_table::file(folder).is_some() {
        return Ok(Native::LeftOut("rules in a file are judged with as a component only".to_owned()));
    }
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        return Ok(Native::LeftOut(format!("{shown} has no Cargo.toml")));
    }
    if !has_tests(folder, &manifest) {
        let why = format!("the crate in {shown} has no tests; `ephor_sdk::testing::vectors` in tests/vectors.rs runs vectors");
        return Ok(Native::LeftOut(why));
    }
    println!("natively: cargo test in {shown}");
    // As by hand: with the author's own environment.
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .arg("test")
        .current_dir(folder)
        .stdin(Stdio::null())
        .status()
        .context("cannot run cargo; install Rust from https://rustup.rs")?;
    Ok(if status.success() { Native::Passed } else { Native::Failed })
}

/// Whether a crate seems to have tests: in `tests/`, declared, or in its sources.
fn has_tests(folder: &Path, manifest: &Path) -> bool {
    has_source(&folder.join("tests"), &|_: &str| true)
        || std::fs::read_to_string(manifest).is_ok_and(|text| text.contains("[[test]]"))
        || has_source(&folder.join("src"), &|text: &str| text.contains("test]"))
}

/// Whether there is such a Rust file in a folder or below. What cannot be read is
/// cargo's to complain about.
fn has_source(folder: &Path, is_wanted: &dyn Fn(&str) -> bool) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path()).any(|path| match path.is_dir() {
        true => has_source(&path, is_wanted),
        false => {
            path.extension().is_some_and(|extension| extension == "rs") && std::fs::read_to_string(&path).is_ok_and(|text| is_wanted(&text))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_without_tests_is_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            std::fs::write(file, text).expect("a file");
        };
        let has = || has_tests(folder.path(), &folder.path().join("Cargo.toml"));
        assert!(matches!(run(folder.path()), Ok(Native::LeftOut(why)) if why.ends_with("has no Cargo.toml")));
        write("Cargo.toml", "[package]\n");
        write("src/inner/a.rs", "fn main() {}");
        write("tests/data.json", "{}");
        assert!(!has());
        assert!(matches!(run(folder.path()), Ok(Native::LeftOut(why)) if why.contains("has no tests")));
        write("src/inner/b.rs", "#[test]\nfn works() {}");
        assert!(has());
        write("src/inner/b.rs", "");
        write("tests/it/main.rs", "");
        assert!(has());
    }
}
