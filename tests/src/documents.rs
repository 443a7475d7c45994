//! Documents of this repository: blocks that tests run as they stand, and what tests write.

use std::path::Path;

use crate::workspace;

/// `EPHOR_UPDATE=1` writes what was made instead of holding it against what is there.
pub const UPDATE: &str = "EPHOR_UPDATE";

/// Whether what is made is written.
pub fn is_updating() -> bool {
    std::env::var(UPDATE).as_deref() == Ok("1")
}

/// A file, by its path from the root of the workspace.
///
/// # Panics
///
/// If it cannot be read.
pub fn read(file: &str) -> String {
    std::fs::read_to_string(workspace().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The blocks of a document that begin behind a mark, up to where each ends.
pub fn blocks(file: &str, mark: &str) -> Vec<String> {
    let text = read(file);
    text.split(mark).skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_string).collect()
}

/// Holds a file against what was made, or writes it.
///
/// # Panics
///
/// If they differ.
pub fn is_up_to_date(file: &str, made: &str) {
    let path = workspace().join(file);
    if is_updating() {
        return write(&path, made);
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "{file} is not what was made; look at what is other, and write it with {UPDATE}=1:\n{made}");
}

/// What stands between two lines of a file.
///
/// # Panics
///
/// If one of them is not there.
pub fn part(file: &str, begin: &str, end: &str) -> String {
    split(&read(file), file, begin, end).1.to_string()
}

/// The same as [`is_up_to_date`] for what stands between two lines of a file.
///
/// # Panics
///
/// If they differ, or one of the lines is not there.
pub fn part_is_up_to_date(file: &str, begin: &str, end: &str, made: &str) {
    let text = read(file);
    let (before, kept, after) = split(&text, file, begin, end);
    if is_updating() {
        return write(&workspace().join(file), &format!("{before}{begin}{made}{end}{after}"));
    }
    assert!(kept == made, "{file} is not what was seen; look at what is other, and write it with {UPDATE}=1:\n{made}");
}

fn split<'t>(text: &'t str, file: &str, begin: &str, end: &str) -> (&'t str, &'t str, &'t str) {
    let (before, rest) = text.split_once(begin).unwrap_or_else(|| panic!("{file} has no {begin}"));
    let (part, after) = rest.split_once(end).unwrap_or_else(|| panic!("{file} has no {end}"));
    (before, part, after)
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
