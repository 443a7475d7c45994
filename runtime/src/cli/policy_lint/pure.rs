//! What a policy may not depend on: clocks, chance, the machine, an order that differs,
//! and memory beside its state.
//!
//! For `wasm32-unknown-unknown` much of it compiles, and traps or lies once it is called.

use proc_macro2::Span;
use syn::visit::{self, Visit};

use super::names::{Uses, paths_in, segments};
use super::source::{Crate, derives, is_test};
use super::{At, Finding, Lint};

const CLOCK: &str = "take the time of the event as a field: `#[field(\"/time\", purpose = \"…\")] time: Time`";
const CHANCE: &str = "take a value of the event, such as its id, where something has to be spread; nothing may be left to chance";
const MACHINE: &str =
    "take it as a setting (`#[settings]`), a field of the event (`#[derive(Fields)]`), or a reference list (`lists = […]`)";
const ORDER: &str =
    "use `BTreeMap` or `BTreeSet`, whose order is the same everywhere; where nothing goes through its entries, allow it and say so";
const ALONE: &str = "do it in order: the host spreads the work over cores itself";

/// Paths, what they are, and what to do instead.
const BANNED: [(&str, &str, &str); 30] = [
    ("std::time::SystemTime", "reads a clock", CLOCK),
    ("std::time::Instant", "reads a clock", CLOCK),
    ("std::time::UNIX_EPOCH", "reckons with a clock", CLOCK),
    ("chrono::Utc::now", "reads a clock", CLOCK),
    ("chrono::Local", "reads a clock", CLOCK),
    ("chrono::offset::Local", "reads a clock", CLOCK),
    ("time::OffsetDateTime::now_utc", "reads a clock", CLOCK),
    ("time::OffsetDateTime::now_local", "reads a clock", CLOCK),
    ("jiff::Timestamp::now", "reads a clock", CLOCK),
    ("jiff::Zoned::now", "reads a clock", CLOCK),
    ("rand", "is random", CHANCE),
    ("rand_core", "is random", CHANCE),
    ("fastrand", "is random", CHANCE),
    ("getrandom", "is random", CHANCE),
    ("uuid::Uuid::new_v4", "is random", CHANCE),
    ("uuid::Uuid::now_v7", "reads a clock", CLOCK),
    ("std::env", "looks at the machine that it runs on", MACHINE),
    ("std::fs", "reads files", MACHINE),
    ("std::net", "goes to the network", MACHINE),
    ("std::process", "goes to the system", MACHINE),
    ("std::os", "goes to the system", MACHINE),
    ("std::io::stdin", "reads from the system", MACHINE),
    ("std::thread", "depends on what comes first", ALONE),
    ("std::sync::mpsc", "depends on what comes first", ALONE),
    ("std::collections::HashMap", "has an order that is not the same everywhere", ORDER),
    ("std::collections::HashSet", "has an order that is not the same everywhere", ORDER),
    ("std::collections::hash_map", "has an order that is not the same everywhere", ORDER),
    ("std::collections::hash_set", "has an order that is not the same everywhere", ORDER),
    ("std::hash::RandomState", "is random", ORDER),
    ("hashbrown", "has an order that is not the same everywhere", ORDER),
];

/// Types that can be changed through a shared reference, and so make a static a memory.
const CELLS: [&str; 11] =
    ["Cell", "RefCell", "OnceCell", "UnsafeCell", "Mutex", "RwLock", "OnceLock", "LazyCell", "Condvar", "Atomic", "SyncUnsafeCell"];

/// Crates that are of no use without chance.
const CRATES: [&str; 4] = ["rand", "rand_core", "fastrand", "getrandom"];

/// What `std` gives out under other names.
const SAME: [(&str, &str); 2] = [("core", "std"), ("alloc", "std")];

/// Looks at all sources, and at what the crate depends on.
pub fn look(sources: &Crate, findings: &mut Vec<Finding>) {
    for source in &sources.files {
        let mut looking = Looking { file: &source.text.shown, uses: Uses::of(&source.parsed), found: Vec::new() };
        looking.visit_file(&source.parsed);
        let mut found = looking.found;
        // Of one line the same is said once.
        found.sort_by(|one, other| (one.at.line, &one.what).cmp(&(other.at.line, &other.what)));
        found.dedup_by(|one, other| one.at.line == other.at.line && one.what == other.what);
        findings.extend(found);
    }
    let mut section = "";
    for (index, line) in sources.manifest.text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            section = line;
        }
        let name = line.split(['=', '.', ' ']).next().unwrap_or_default().trim_matches('"');
        if section.trim_matches(['[', ']']) == "dependencies" && CRATES.contains(&name) {
            let at = At { line: index + 1, column: 1 };
            findings.push(Finding::new(&sources.manifest.shown, at, Lint::Nondeterminism, format!("the crate `{name}` is random"), CHANCE));
        }
    }
}

struct Looking<'s> {
    file: &'s str,
    uses: Uses,
    found: Vec<Finding>,
}

impl Looking<'_> {
    fn say(&mut self, span: Span, lint: Lint, what: String, remedy: &str, import: Option<usize>) {
        self.found.push(Finding { import, ..Finding::new(self.file, At::of(span), lint, what, remedy) });
    }

    fn path(&mut self, path: &[String], span: Span) {
        let (mut whole, import) = self.uses.whole(path);
        if let Some(first) = whole.first_mut()
            && let Some((_, std)) = SAME.iter().find(|(name, _)| first == name)
        {
            *first = (*std).to_string();
        }
        // A name that comes with everything of a module.
        let by_glob = self.uses.globs.iter().map(|glob| [glob.as_slice(), path].concat()).find_map(|whole| banned(&whole));
        if let Some((name, what, remedy)) = banned(&whole).or_else(|| by_glob.filter(|_| import.is_none())) {
            let name = name.rsplit("::").next().unwrap_or(name);
            self.say(span, Lint::Nondeterminism, format!("`{name}` {what}"), remedy, import);
        }
    }
}

/// What is said about a whole path.
fn banned(whole: &[String]) -> Option<(&'static str, &'static str, &'static str)> {
    BANNED.into_iter().find(|(path, ..)| {
        let mut parts = path.split("::");
        let begins = parts.by_ref().zip(whole).all(|(part, segment)| part == segment);
        begins && whole.len() >= path.split("::").count()
    })
}

impl<'ast> Visit<'ast> for Looking<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !is_test(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    // What a field can be, the compiler says: of a map anything else would be said first.
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        if !derives(&item.attrs, "Fields") {
            visit::visit_item_struct(self, item);
        }
    }

    // A name that is brought in and not used does nothing.
    fn visit_item_use(&mut self, _: &'ast syn::ItemUse) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if let Some(first) = path.segments.first() {
            self.path(&segments(path), first.ident.span());
        }
        visit::visit_path(self, path);
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        let is_mutable = matches!(item.mutability, syn::StaticMutability::Mut(_));
        if is_mutable || has_cell(&item.ty) {
            let what = format!("the static `{}` can be changed", item.ident);
            let remedy = "keep it in the state (`#[state]`), or make it a `const`";
            self.say(item.ident.span(), Lint::HiddenMemory, what, remedy, None);
        }
        visit::visit_item_static(self, item);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        let name = called.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        if name == "thread_local"
            && let Some(segment) = called.path.segments.last()
        {
            let remedy = "keep it in the state (`#[state]`)";
            self.say(segment.ident.span(), Lint::HiddenMemory, "a `thread_local!` can be changed".into(), remedy, None);
        }
        for (path, span) in paths_in(called.tokens.clone()) {
            self.path(&path, span);
        }
        for literal in texts(called.tokens.clone()) {
            if literal.value().contains(":p}") {
                let what = "`{:p}` writes where something is in memory".to_string();
                self.say(literal.span(), Lint::Nondeterminism, what, "write the value itself", None);
            }
        }
        visit::visit_macro(self, called);
    }
}

fn texts(tokens: proc_macro2::TokenStream) -> Vec<syn::LitStr> {
    let text = |token| match token {
        proc_macro2::TokenTree::Literal(literal) => syn::parse_str::<syn::LitStr>(&literal.to_string()).ok().map(|mut text| {
            text.set_span(literal.span());
            text
        }),
        _ => None,
    };
    tokens.into_iter().filter_map(text).collect()
}

/// Whether a type has something in it that can be changed through a shared reference. A
/// `LazyLock` is made once, of nothing that differs.
fn has_cell(kind: &syn::Type) -> bool {
    struct Cells(bool);
    impl<'ast> Visit<'ast> for Cells {
        fn visit_path_segment(&mut self, segment: &'ast syn::PathSegment) {
            let name = segment.ident.to_string();
            self.0 |= CELLS.iter().any(|cell| name == *cell || *cell == "Atomic" && name.starts_with(cell));
            visit::visit_path_segment(self, segment);
        }
    }
    let mut cells = Cells(false);
    cells.visit_type(kind);
    cells.0
}

#[cfg(test)]
mod tests {
    use super::super::source::{Source, Text};
    use super::*;

    fn found(code: &str) -> Vec<(usize, String)> {
        let text = Text { shown: "src/lib.rs".into(), text: code.into() };
        let manifest =
            Text { shown: "Cargo.toml".into(), text: "[dependencies]\nrand = \"0.9\"\n[dev-dependencies]\nrand = \"0.9\"".into() };
        let source = Source { text, parsed: syn::parse_file(code).expect("Rust") };
        let mut findings = Vec::new();
        look(&Crate { files: vec![source], manifest }, &mut findings);
        let last = findings.pop().expect("the dependency");
        assert_eq!((last.file.as_str(), last.at.line), ("Cargo.toml", 2));
        findings.into_iter().map(|finding| (finding.at.line, finding.what)).collect()
    }

    #[test]
    fn what_depends_on_more_than_the_event_is_found() {
        for (code, what) in [
            ("fn f() { std::time::SystemTime::now(); }", "`SystemTime` reads a clock"),
            ("use std::time::*; fn f() { Instant::now(); }", "`Instant` reads a clock"),
            ("use std::collections::HashMap as Map; fn f(m: &Map<u8, u8>) {}", "`HashMap` has an order"),
            ("use std::collections::hash_map; fn f(m: hash_map::Entry<u8, u8>) {}", "`hash_map` has an order"),
            ("fn f() { let x = format!(\"{}\", std::env::var(\"A\").unwrap()); }", "`env` looks at the machine"),
            ("fn f() -> u8 { rand::random() }", "`rand` is random"),
            ("use std::sync::Mutex; static SEEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());", "the static `SEEN` can be changed"),
            ("static mut SEEN: u8 = 0;", "the static `SEEN` can be changed"),
            ("static N: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);", "the static `N` can be changed"),
            ("thread_local! { static X: u8 = 0; }", "a `thread_local!` can be changed"),
            ("fn f(x: &u8) -> String { format!(\"{x:p}\") }", "`{:p}` writes where"),
            ("fn f() { chrono::Utc::now(); }", "`now` reads a clock"),
        ] {
            let found = found(code);
            assert!(found.len() == 1 && found[0].1.contains(what), "{code}: {found:?}");
        }
    }

    #[test]
    fn what_does_not_is_not() {
        for code in [
            "use std::time::Duration; const HOUR: Duration = Duration::from_secs(3_600);",
            "use std::collections::BTreeMap; fn f(m: BTreeMap<u8, u8>) {}",
            "use std::collections::HashMap;",
            "#[cfg(test)] mod tests { use std::collections::HashMap; fn f() { HashMap::<u8, u8>::new(); } }",
            "#[test] fn f() { std::time::Instant::now(); }",
            "static WORDS: [&str; 2] = [\"a\", \"b\"];",
            "use std::sync::LazyLock; static WORDS: LazyLock<Vec<u8>> = LazyLock::new(Vec::new);",
            "struct Instant; fn f(x: Instant) {}",
            "#[derive(Fields)] struct F { m: std::collections::HashMap<String, i64> }",
            "fn f(order: Order) -> String { format!(\"{}\", order.env) }",
            "use ephor_sdk::time::Time; fn f(at: Time) {}",
        ] {
            assert_eq!(found(code), [], "{code}");
        }
    }
}
