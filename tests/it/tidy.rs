//! What reviewers would otherwise have to look for by hand.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ephor_tests::workspace;

/// Source files below a folder, by path from the root of the workspace.
pub(crate) fn sources(folder: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                // Tools that somebody installed beside a policy are not ours.
                if !["node_modules", ".venv"].iter().any(|name| path.ends_with(name)) {
                    walk(&path, found);
                }
            } else {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&workspace().join(folder), &mut found);
    assert!(!found.is_empty(), "{folder} has files");
    found.sort();
    let relative = |path: &Path| path.strip_prefix(workspace()).expect("below the root").to_str().expect("a path in UTF-8").to_string();
    let text = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    found.iter().map(|path| (relative(path), text(path))).collect()
}

/// The code without comments, and without the unit tests at its end: those may
/// use what they like.
fn code(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// One row of the table between `<!-- imports -->` and `<!-- /imports -->` in
/// runtime/README.md.
struct Room {
    /// As written: `server/`, `verdict.rs`.
    name: String,
    may_use: BTreeSet<String>,
    must_not_mention: BTreeSet<String>,
}

/// What stands in backticks in a cell.
fn quoted(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_string).collect()
}

fn rooms() -> Vec<Room> {
    let path = workspace().join("runtime/README.md");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let table = text.split_once("<!-- imports -->").and_then(|(_, rest)| rest.split_once("<!-- /imports -->"));
    let (table, _) = table.expect("runtime/README.md has a table between <!-- imports --> and <!-- /imports -->");
    let mut rooms = Vec::new();
    for row in table.lines().filter(|line| line.starts_with('|')).skip(2) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [room, may_use, must_not_mention] = cells[..] else { panic!("three columns: room, may use, must not mention: {row}") };
        // Rooms that share a row, such as the nouns, share its rules.
        for name in quoted(room) {
            rooms.push(Room { name, may_use: quoted(may_use), must_not_mention: quoted(must_not_mention) });
        }
    }
    assert!(rooms.len() > 5, "the table has rows");
    rooms
}

/// The room that a file of runtime/src is in: the folder or the file itself.
fn room_of(file: &str) -> String {
    let rest = file.strip_prefix("runtime/src/").expect("a file of the runtime");
    match rest.split_once('/') {
        Some((folder, _)) => format!("{folder}/"),
        None => rest.to_string(),
    }
}

/// The rooms that a file names after `crate::` (or after `ephor::`, which is how
/// the binary sees the library).
fn used(code: &str, crate_name: &str) -> BTreeSet<String> {
    let marker = format!("{crate_name}::");
    let mut found = BTreeSet::new();
    let mut rest = code;
    while let Some(at) = rest.find(&marker) {
        let whole = rest[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':');
        rest = &rest[at + marker.len()..];
        if !whole {
            continue;
        }
        // Either one path or a list in braces, of which the heads count.
        let heads: Vec<&str> = match rest.strip_prefix('{') {
            Some(list) => heads(list),
            None => vec![rest],
        };
        for head in heads {
            let name: String = head.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.insert(name);
        }
    }
    found
}

/// The items of a list in braces, not looking into inner ones.
fn heads(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            ',' if depth == 0 => {
                found.push(&list[start..at]);
                start = at + 1;
            }
            '}' if depth == 0 => {
                found.push(&list[start..at]);
                break;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    found
}

/// Whether code names something, as a word of its own.
fn mentions(code: &str, name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name)
        .any(|(at, _)| !code[..at].chars().next_back().is_some_and(word) && !code[at + name.len()..].chars().next().is_some_and(word))
}

#[test]
fn imports_point_one_way() {
    let rooms = rooms();
    let mut wrong = Vec::new();
    for (file, text) in sources("runtime/src") {
        let own = room_of(&file);
        if own == "lib.rs" || own == "testing.rs" || !file.ends_with(".rs") || file.ends_with("/tests.rs") {
            continue;
        }
        let Some(room) = rooms.iter().find(|room| room.name == own) else {
            wrong.push(format!("{file}: the room {own} is not in the table of runtime/README.md"));
            continue;
        };
        let code = code(&text);
        let crate_name = if own == "cli/" || own == "main.rs" { "ephor" } else { "crate" };
        for name in used(&code, crate_name) {
            let (folder, plain) = (format!("{name}/"), format!("{name}.rs"));
            let target = [folder, plain].into_iter().find(|target| rooms.iter().any(|room| room.name == *target));
            // What is no room is an item that lib.rs gives out again.
            if let Some(target) = target.filter(|target| *target != own && !room.may_use.contains(target)) {
                wrong.push(format!("{file} uses {target}"));
            }
        }
        for name in &room.must_not_mention {
            if mentions(&code, name) {
                wrong.push(format!("{file} mentions {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "runtime/README.md says otherwise:\n{}", wrong.join("\n"));
}

/// The table says who may use whom; this says that there is a direction.
#[test]
fn the_table_of_imports_has_no_circles() {
    let rooms = rooms();
    let mut left: Vec<&Room> = rooms.iter().collect();
    while !left.is_empty() {
        let names: BTreeSet<&String> = left.iter().map(|room| &room.name).collect();
        let free = |room: &&Room| !room.may_use.iter().any(|used| *used != room.name && names.contains(used));
        let before = left.len();
        let (_, rest): (Vec<&Room>, Vec<&Room>) = left.iter().partition(|room| free(room));
        assert!(rest.len() < before, "these use each other in a circle: {names:?}");
        left = rest;
    }
}

/// Promises that hold whatever the table says.
#[test]
fn some_crates_are_known_in_one_place_only() {
    let allowed: [(&str, &[&str]); 7] = [
        ("wasmtime", &["sandbox/"]),
        ("hyper", &["server/", "cli/"]),
        ("hyper_util", &["server/", "cli/"]),
        ("clap", &["cli/", "main.rs"]),
        // `outgoing/` has a file of lines as a destination, and the places of all of them.
        (
            "std::fs",
            &[
                "backtest/",
                "cli/",
                "sandbox/",
                "config/",
                "ledger/",
                "outgoing/",
                "publishers/",
                "repository/",
                "tls/",
                "access/",
                "telemetry/",
                "stamp.rs",
            ],
        ),
        ("tough", &["repository/"]),
        ("oci_client", &["cli/"]),
    ];
    for (file, text) in sources("runtime/src") {
        let (own, code) = (room_of(&file), code(&text));
        for (name, rooms) in allowed {
            // A method of ours may be called `hyper`; a path has `::` behind.
            let path = format!("{name}::");
            assert!(rooms.contains(&own.as_str()) || !code.contains(&path), "{file} uses {name}, which is for {rooms:?} only");
        }
    }
}

/// `unsafe` stands in one file, with its reason.
#[test]
fn unsafe_code_is_in_one_file() {
    // The word alone stands in the code of an error too.
    let forms = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe trait", "unsafe extern"];
    let has = |text: &str| forms.iter().any(|form| mentions(&code(text), form));
    let files: Vec<String> = sources("runtime/src").into_iter().filter(|(_, text)| has(text)).map(|(file, _)| file).collect();
    assert!(files.len() <= 1 && files.iter().all(|file| file.starts_with("runtime/src/sandbox/")), "{files:?}");
}

#[test]
fn every_guest_is_used_by_a_test() {
    let tests: String = sources("tests")
        .into_iter()
        .filter(|(file, _)| ["tests/it/", "tests/benches/", "tests/src/"].iter().any(|folder| file.starts_with(folder)))
        .map(|(_, text)| text)
        .collect();
    for (file, _) in sources("tests/guests/examples") {
        let name = file.rsplit('/').next().and_then(|name| name.strip_suffix(".rs")).expect("a Rust file");
        assert!(tests.contains(&format!("\"{name}\"")), "no test runs the guest {name}");
    }
}

#[test]
fn every_guest_is_declared() {
    let manifest = std::fs::read_to_string(workspace().join("tests/guests/Cargo.toml")).expect("the guests' manifest");
    for (file, _) in sources("tests/guests/examples") {
        let name = file.rsplit('/').next().and_then(|name| name.strip_suffix(".rs")).expect("a Rust file");
        assert!(manifest.contains(&format!("name = \"{name}\"\ncrate-type = [\"cdylib\"]")), "{name} is not declared as a cdylib");
    }
}

#[test]
fn nothing_unfinished_is_left() {
    // Put together here, so that this file does not find itself.
    let markers = [
        ["to", "do!("].concat(),
        ["unimple", "mented!("].concat(),
        ["FIX", "ME"].concat(),
        ["XX", "X"].concat(),
        ["db", "g!("].concat(),
        ["TO", "DO"].concat(),
    ];
    for folder in ["wit", "sdk", "policies", "runtime", "tests"] {
        for (file, text) in sources(folder) {
            if !["rs", "wit", "md", "toml", "py"].iter().any(|ending| file.ends_with(&format!(".{ending}"))) {
                continue;
            }
            for (number, line) in text.lines().enumerate() {
                let found = markers.iter().find(|marker| line.contains(marker.as_str()));
                assert!(found.is_none(), "{file}:{}: {}", number + 1, line.trim());
            }
        }
    }
}

/// Files that the documents speak of exist.
#[test]
fn documents_name_files_that_exist() {
    for document in ["runtime/README.md", "README.md", "SECURITY.md"] {
        let path = workspace().join(document);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{document}: {error}"));
        let folder = path.parent().expect("a file is in a folder");
        let roots = [folder.to_path_buf(), workspace().to_path_buf(), workspace().join("runtime/src")];
        for name in quoted(&text) {
            let is_path = [".rs", ".wit", ".toml", ".py"].iter().any(|ending| name.ends_with(ending))
                || (name.ends_with('/') && !name.starts_with('/'));
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
            // Words that stand for a name of the reader's own are in capitals or angle brackets.
            if !is_path || !plain || name.chars().any(|c| c.is_ascii_uppercase()) && !name.contains("Cargo") {
                continue;
            }
            if name.starts_with("target/") || name.starts_with("../shared") {
                continue;
            }
            assert!(roots.iter().any(|root| root.join(&name).exists()), "{document} names {name}, which does not exist");
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            assert!(folder.join(file).exists(), "{document} links to {file}, which does not exist");
        }
    }
}

/// What SECURITY.md says was seen by a test was: the last column of its tables names files
/// or folders, and behind them tests that are there.
#[test]
fn the_tests_that_security_names_exist() {
    let document = std::fs::read_to_string(workspace().join("SECURITY.md")).expect("SECURITY.md");
    let code: Vec<(String, String)> = ["runtime/src", "tests/it"].into_iter().flat_map(sources).collect();
    let mut named = 0;
    for row in document.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what ")) {
        let cell = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        let mut place = "runtime/src/".to_string();
        for name in cell.split('`').skip(1).step_by(2) {
            if name.contains('/') {
                assert!(workspace().join(name).exists(), "SECURITY.md names {name}, which does not exist");
                place = name.to_string();
                continue;
            }
            let is_there = |(file, text): &(String, String)| file.starts_with(&place) && text.contains(&format!("fn {name}("));
            assert!(code.iter().any(is_there), "SECURITY.md names the test {name}, which is not in {place}");
            named += 1;
        }
        assert!(cell.contains('`'), "SECURITY.md says of no test who has seen it: {row}");
    }
    assert!(named > 30, "{named} tests are named");
}

/// A file is read from top to bottom; beyond this it wants to be two.
#[test]
fn no_file_is_too_long_to_read() {
    for folder in ["sdk", "policies", "runtime/src", "tests"] {
        for (file, text) in sources(folder) {
            let lines = text.lines().count();
            assert!(!file.ends_with(".rs") || lines <= 900, "{file} has {lines} lines");
        }
    }
}

#[test]
fn this_reads_imports_as_rust_does() {
    let code = code(
        "use crate::policy::{Release, manifest::Rule};\nuse crate::{digest::Digest, verdict::{Action, Verdict}};\n// crate::ledger\nlet x = crate::server::run();",
    );
    let found: Vec<String> = used(&code, "crate").into_iter().collect();
    assert_eq!(found, ["digest", "policy", "server", "verdict"]);
    assert!(mentions("use wasmtime::Engine", "wasmtime") && !mentions("wasmtime_environ::x", "wasmtime"));
}
