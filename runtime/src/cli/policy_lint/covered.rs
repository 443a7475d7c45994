//! Whether vectors show what each rule means.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use ephor::vectors::{Problem, Vector};

use super::declared::Declared;
use super::{At, Finding, Lint};
use crate::cli::exit::Outcome;
use crate::cli::repo;

/// Says which rules no vector has, and which vectors cannot be read.
pub fn look(folder: &Path, declared: &Declared, findings: &mut Vec<Finding>) -> Outcome {
    let vectors = folder.join("vectors");
    let files = if vectors.is_dir() { repo::vectors::list(&vectors)? } else { Vec::new() };
    let mut covered = BTreeSet::new();
    for file in files {
        let shown = file.strip_prefix(".").unwrap_or(&file).display().to_string();
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {shown}"))?;
        match Vector::parse(&text) {
            Ok(vector) => covered.extend(vector.rules().map(str::to_string)),
            Err(Problem { place, what, remedy }) => {
                let at = At { line: place.line, column: place.column };
                findings.push(Finding::new(&shown, at, Lint::Vector, what, remedy));
            }
        }
    }
    for rule in declared.rules.iter().filter(|rule| !covered.contains(&rule.id)) {
        let what = format!("no vector expects the rule `{}`", rule.id);
        let remedy = "write a vector in which it is found; `ephor policy test --update` writes what the component says";
        findings.push(Finding::new(&rule.file, rule.at, Lint::RuleWithoutVector, what, remedy));
    }
    Ok(())
}
