//! Files of rules: what `ephor policy build` and `test` make components of without a
//! compiler. Reading and checking is `ephor-table`'s; here is what a person sees of it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ephor_table::author;

use super::exit::{Exit, Or as _, Outcome, failed};

/// What a file of rules is called in the folder of its policy.
pub(super) const RULES: &str = "rules.toml";

/// The file of rules that a path means, if it means one: a file with the ending `.toml`
/// that is not cargo's, or a folder that has no crate and a `rules.toml`.
pub(super) fn file(path: &Path) -> Option<PathBuf> {
    let is_toml = path.extension().is_some_and(|extension| extension == "toml");
    if is_toml && path.file_name().is_some_and(|name| name != "Cargo.toml") && !path.is_dir() {
        return Some(path.to_path_buf());
    }
    let rules = path.join(RULES);
    (!path.join("Cargo.toml").is_file() && rules.is_file()).then_some(rules)
}

/// The folder of the policy that a path means: that of a file, or the path itself.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !path.is_dir() && parent == Path::new("") => Path::new("."),
        Some(parent) if !path.is_dir() => parent,
        _ => path,
    }
}

/// The policy's name, and its core module.
pub(super) fn module(file: &Path) -> Outcome<(String, Vec<u8>)> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}")).or_exit(Exit::Usage)?;
    let program = author::compile(&text).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(|problem| format!("{shown}:{problem}")).collect();
        failed(Exit::Refused, lines.join("\n"))
    })?;
    let bytes = program.to_bytes().with_context(|| format!("cannot write the rules of {shown}"))?;
    let module = author::install(author::GUEST, &bytes).context("this program was built with another module for rules")?;
    Ok((program.name, module))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_mean_rules() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        assert_eq!(file(path), None);
        std::fs::write(path.join(RULES), "").expect("written");
        assert_eq!(file(path), Some(path.join(RULES)));
        assert_eq!(file(&path.join("other.toml")), Some(path.join("other.toml")));
        // A crate is one, whatever else is in its folder.
        std::fs::write(path.join("Cargo.toml"), "").expect("written");
        assert_eq!(file(path), None);
        assert_eq!(file(&path.join("Cargo.toml")), None);
        assert_eq!(file(&path.join(RULES)), Some(path.join(RULES)));
        assert_eq!(super::folder(&path.join(RULES)), path);
        assert_eq!(super::folder(path), path);
        assert_eq!(super::folder(Path::new("nowhere.toml")), Path::new("."));
    }
}
