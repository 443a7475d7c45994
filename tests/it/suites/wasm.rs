//! WebAssembly's own tests: what they call malformed or invalid does not pass the gate.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ephor::fuzz::gate;
use ephor::sandbox::{Limits, LoadError};
use ephor_tests::handmade::wrapped;
use wast::lexer::Lexer;
use wast::parser::{self, ParseBuffer};
use wast::{QuoteWat, QuoteWatTest, Wast, WastDirective};

use super::folder;

/// What became of a suite.
#[derive(Default)]
struct Counts {
    files: usize,
    /// Files that only name one of another suite.
    pointers: usize,
    /// Files that the parser of the scripts does not know.
    unread: Vec<String>,
    /// Modules and components that have to be refused, and how they were.
    refused: BTreeMap<String, usize>,
    /// Those that have to be refused and passed.
    passed: Vec<String>,
    /// Those that pass on purpose: wrong without a proposal that is part of what is allowed.
    allowed: usize,
    /// Those that are wrong as text already, which nobody here reads.
    text: usize,
    /// Others, and how many of them the gate lets through to the question whether they are
    /// a policy.
    others: usize,
    others_passed: usize,
    longest: Duration,
}

impl Counts {
    fn line(&self, suite: &str) -> String {
        let kinds = self.refused.iter().fold(String::new(), |mut text, (kind, count)| {
            let _ = write!(text, " {kind} {count}");
            text
        });
        format!(
            "{suite}: {} files ({} of them pointers, {} unread), {} of {} that must not pass refused ({}), {} are wrong without a proposal that is allowed here, {} as text only; {} others, {} of them valid here; longest {:?}",
            self.files,
            self.pointers,
            self.unread.len(),
            self.refused.values().sum::<usize>(),
            self.refused.values().sum::<usize>() + self.passed.len(),
            kinds.trim(),
            self.allowed,
            self.text,
            self.others,
            self.others_passed,
            self.longest,
        )
    }

    /// How the gate refuses it; nothing if only its world is wrong, or nothing at all.
    fn refusal(&mut self, bytes: &[u8]) -> Option<&'static str> {
        let limits = Limits::default();
        let begin = Instant::now();
        let said = gate(bytes, &limits);
        self.longest = self.longest.max(begin.elapsed());
        match said {
            Err(error @ (LoadError::Invalid { .. } | LoadError::Gate { .. } | LoadError::NotAComponent { .. })) => Some(error.kind()),
            _ => None,
        }
    }

    /// What the gate says to bytes of a suite: to a core module as it is, which is never
    /// taken, and inside of a component.
    fn hold(&mut self, bytes: &[u8]) -> Option<&'static str> {
        let is_component = bytes.starts_with(b"\0asm") && bytes.get(6) == Some(&1);
        let as_it_is = self.refusal(bytes);
        if is_component {
            return as_it_is;
        }
        assert!(as_it_is.is_some(), "a core module was taken for a component");
        self.refusal(&wrapped(bytes))
    }

    fn must_not_pass(&mut self, mut module: QuoteWat<'_>, place: &str, message: &str) {
        match module.to_test() {
            Ok(QuoteWatTest::Binary(bytes)) => match self.hold(&bytes) {
                Some(kind) => *self.refused.entry(kind.into()).or_default() += 1,
                None if is_allowed(place, message) => self.allowed += 1,
                None => self.passed.push(format!("{place}: {message}")),
            },
            Ok(QuoteWatTest::Text(_)) | Err(_) => self.text += 1,
        }
    }

    fn file(&mut self, path: &Path, root: &Path) {
        let name = path.strip_prefix(root).expect("a file of the suite").display().to_string();
        self.files += 1;
        let Ok(text) = std::fs::read_to_string(path) else { return self.unread.push(name) };
        if text.lines().all(|line| line.is_empty() || line.starts_with(";;")) {
            self.pointers += 1;
            return;
        }
        let mut lexer = Lexer::new(&text);
        lexer.allow_confusing_unicode(true);
        let Ok(buffer) = ParseBuffer::new_with_lexer(lexer) else { return self.unread.push(name) };
        let Ok(script) = parser::parse::<Wast<'_>>(&buffer) else { return self.unread.push(name) };
        for directive in script.directives {
            let (line, _) = directive.span().linecol_in(&text);
            let place = format!("{name}:{}", line + 1);
            match directive {
                WastDirective::AssertMalformed { module, message, .. } | WastDirective::AssertInvalid { module, message, .. } => {
                    self.must_not_pass(module, &place, message);
                }
                WastDirective::Module(mut module) | WastDirective::ModuleDefinition(mut module) => {
                    if let Ok(QuoteWatTest::Binary(bytes)) = module.to_test() {
                        self.others += 1;
                        self.others_passed += usize::from(self.hold(&bytes).is_none());
                    }
                }
                _ => {}
            }
        }
    }
}

/// Whether it is wrong only where a proposal is switched off that the gate takes as part of
/// WebAssembly 2.0, or of multi-memory: scripts about fewer features, and an older
/// specification under a newer proposal.
fn is_allowed(place: &str, message: &str) -> bool {
    const SCRIPTS: [&str; 3] = ["missing-features/", "lime1.wast", "proposals/threads/"];
    const MESSAGES: [&str; 13] = [
        "SIMD support",
        "blocks, loops, and ifs may only produce a resulttype",
        "bulk memory",
        "floating-point support",
        "gc types are disallowed",
        "multiple memories",
        "multiple tables",
        "mutable global",
        "passive data segments require",
        "reference types support",
        "saturating float to int",
        "sign extension operations",
        "unknown binary version and encoding combination: 0xd and 0x1",
    ];
    SCRIPTS.iter().any(|script| place.starts_with(script)) && MESSAGES.iter().any(|known| message.starts_with(known))
}

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(scripts(&path));
        } else if path.extension().is_some_and(|ending| ending == "wast") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[expect(clippy::print_stdout, reason = "the counts are what one runs it for")]
fn run(suite: &str, root: &Path) -> Counts {
    let mut counts = Counts::default();
    for path in scripts(root) {
        counts.file(&path, root);
    }
    println!("{}", counts.line(suite));
    for place in &counts.passed {
        println!("  passed {place}");
    }
    assert!(counts.files > 10, "{suite} has scripts");
    counts
}

#[test]
#[ignore = "needs a suite from outside: make suites DIR=…"]
fn ws_27_no_module_of_the_specification_that_must_not_pass_passes() {
    let counts = run("testsuite", &folder("testsuite", "WebAssembly/testsuite"));
    assert_eq!(counts.passed, Vec::<String>::new());
}

#[test]
#[ignore = "needs a suite from outside: make suites DIR=…"]
fn ws_27_no_component_of_the_component_model_that_must_not_pass_passes() {
    let counts = run("component-model", &folder("component-model", "WebAssembly/component-model").join("test"));
    assert_eq!(counts.passed, Vec::<String>::new());
}

/// Among them what fuzzers of others have found: crashes, memory without end, nesting.
#[test]
#[ignore = "needs a suite from outside: make suites DIR=…"]
fn ws_27_nothing_of_wasm_tools_that_must_not_pass_passes() {
    let root = folder("wasm-tools", "bytecodealliance/wasm-tools").join("tests/cli");
    let counts = run("wasm-tools", &root);
    assert_eq!(counts.passed, Vec::<String>::new());
}
