//! The sources of a crate, parsed: what is compiled into a component, without tests.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use syn::Attribute;

use crate::cli::exit::{Exit, Outcome, failed};

/// A crate's manifest and sources.
pub struct Crate {
    pub files: Vec<Source>,
    /// Cargo.toml.
    pub manifest: Text,
}

/// A file as it is written.
#[derive(Debug)]
pub struct Text {
    /// What messages call it.
    pub shown: String,
    pub text: String,
}

/// A Rust file.
pub struct Source {
    pub text: Text,
    pub parsed: syn::File,
}

impl Crate {
    /// Reads `Cargo.toml` and all of `src`; messages name files below `shown`.
    pub fn read(folder: &Path, shown: &Path) -> Outcome<Crate> {
        let name = |file: &Path| {
            let file = shown.join(file.strip_prefix(folder).unwrap_or(file));
            file.strip_prefix(".").map_or_else(|_| file.display().to_string(), |file| file.display().to_string())
        };
        let read = |file: &Path| -> anyhow::Result<Text> {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", name(file)))?;
            Ok(Text { shown: name(file), text })
        };
        let manifest = read(&folder.join("Cargo.toml"))?;
        let mut paths = Vec::new();
        walk(&folder.join("src"), &mut paths)?;
        paths.sort();
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            let text = read(&path)?;
            match syn::parse_file(&text.text) {
                Ok(parsed) => files.push(Source { text, parsed }),
                Err(error) => {
                    let start = error.span().start();
                    let place = format!("{}:{}:{}", text.shown, start.line, start.column + 1);
                    return Err(failed(Exit::Refused, format!("{place}: this is no Rust: {error}; `cargo check` says more")));
                }
            }
        }
        Ok(Crate { files, manifest })
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for item in folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))? {
        let path = item.with_context(|| format!("cannot read {}", folder.display()))?.path();
        if path.is_dir() {
            walk(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// Whether an item is there for tests only.
pub fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        if attribute.path().is_ident("test") {
            return true;
        }
        let of_tests = |list: &syn::MetaList| list.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"));
        attribute.path().is_ident("cfg") && attribute.meta.require_list().is_ok_and(of_tests)
    })
}

/// Whether a type has a derive of this name.
pub fn derives(attributes: &[Attribute], name: &str) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("derive")).any(|attribute| {
        let parser = syn::punctuated::Punctuated::<syn::Path, syn::Token![,]>::parse_terminated;
        let paths = attribute.parse_args_with(parser);
        paths.is_ok_and(|paths| paths.iter().any(|path| path.segments.last().is_some_and(|last| last.ident == name)))
    })
}

/// Whether a type has an attribute of this name.
pub fn has(attributes: &[Attribute], name: &str) -> bool {
    attributes.iter().any(|attribute| attribute.path().segments.last().is_some_and(|last| last.ident == name))
}
