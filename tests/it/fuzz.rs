//! What parses bytes from outside, given bytes from outside.
//!
//! `tests/fuzz/` has a target for each such place: `bodies/` what it does with its input,
//! `seeds/TARGET/` inputs to begin with, `regressions/TARGET/` those that something fell over
//! once. Here each body is run on both and on mutations of them, always the same ones, for a
//! couple of seconds; `EPHOR_ROUNDS=100000` runs it on so many, and `EPHOR_SEED=7` on others.
//! libFuzzer runs the same bodies, guided by what an input reaches, for as long as it is let:
//!
//! ```text
//! make fuzz TARGET=event SECONDS=600
//! ```
//!
//! An input that fails is written to `target/fuzz/found/` by the tests, to
//! `target/fuzz/artifacts/TARGET/` by libFuzzer; `target/release/fuzz-TARGET FILE` runs it again,
//! and with `-minimize_crash=1 -runs=100000` in front of the file makes it smaller. Mend what is
//! wrong, and put the input into `tests/fuzz/regressions/TARGET/`, under a name that says what
//! it is. What libFuzzer found worth keeping is in `target/fuzz/corpus/TARGET/`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use ephor::fuzz::gate;
use ephor::sandbox::{Limits, LoadError};
use ephor::{Runtime, ingest};
use ephor_fuzz::bodies::{TARGETS, Target};
use ephor_tests::random::{self, Random};
use ephor_tests::{binary, event, policy, settings, target_dir, workspace};
use sha2::{Digest as _, Sha256};

/// Longest input that is made.
const BYTES_MAX: usize = 64 << 10;

/// What stands where a number or a text does, and is a bound of something.
const WORDS: [&[u8]; 28] = [
    b"0",
    b"-0",
    b"-1",
    b"255",
    b"256",
    b"65535",
    b"4294967295",
    b"4294967296",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551616",
    b"1e400",
    b"1e-400",
    b"0.1",
    b"007",
    b"null",
    b"true",
    b"\"\"",
    b"{}",
    b"[]",
    b"\\ud800",
    b"\\u0000",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"9999-12-31T23:59:60.999999999-23:59",
    b"0000-01-01t00:00:00Z",
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

/// What there is for a target, with the files.
fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let folders = ["seeds", "regressions"].map(|kind| workspace().join("tests/fuzz").join(kind).join(target));
    let read = |path: PathBuf| (path.display().to_string(), std::fs::read(&path).expect("readable"));
    let found: Vec<_> = folders.iter().flat_map(|folder| files(folder)).map(read).collect();
    assert!(!found.is_empty(), "tests/fuzz/seeds/{target} has nothing to begin with");
    found
}

/// Makes other inputs of those that are there.
struct Mutator<'s> {
    random: Random,
    seeds: &'s [Vec<u8>],
}

impl Mutator<'_> {
    fn below(&mut self, end: usize) -> usize {
        self.random.below(end.max(1) as u64) as usize
    }

    /// A place that some bytes are at.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let begin = self.below(length + 1);
        let longest = if self.random.once_in(4) { length } else { 16 };
        begin..(begin + self.below(longest + 1)).min(length)
    }

    fn make(&mut self) -> Vec<u8> {
        let which = self.below(self.seeds.len());
        let mut bytes = self.seeds[which].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes);
        }
        bytes.truncate(BYTES_MAX.max(self.seeds[which].len()));
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        let at = self.below(length);
        match self.below(12) {
            0 if length > 0 => bytes[at] ^= 1 << self.below(8),
            1 if length > 0 => bytes[at] = self.random.any() as u8,
            2 => bytes.insert(at, self.random.any() as u8),
            3 => drop(bytes.drain(self.range(length))),
            4 => {
                let piece = bytes[self.range(length)].to_vec();
                bytes.splice(at..at, piece);
            }
            5 => {
                let word = WORDS[self.below(WORDS.len())];
                bytes.splice(at..at, word.iter().copied());
            }
            // A number in the place of another.
            6 => {
                let Some(begin) = (at..length).find(|place| bytes[*place].is_ascii_digit()) else { return };
                let end = (begin..length).find(|place| !bytes[*place].is_ascii_digit()).unwrap_or(length);
                let word = WORDS[self.below(16)];
                bytes.splice(begin..end, word.iter().copied());
            }
            // The same as bytes of a number.
            7 => {
                let width = 1 << self.below(4);
                let bound = [0, 1, 0x7f, 0x80, 0xff, u64::from(u32::MAX), 1 << 31, u64::MAX][self.below(8)];
                for (byte, new) in bytes[at..].iter_mut().zip(&bound.to_le_bytes()[..width]) {
                    *byte = *new;
                }
            }
            8 => {
                let seeds = self.seeds;
                let other = &seeds[self.below(seeds.len())];
                let piece = other[self.range(other.len())].to_vec();
                let range = self.range(length);
                bytes.splice(range, piece);
            }
            9 => {
                let repeated = [&b"["[..], b"{\"a\":", b"(", b"a", b" ", b"-", b"0"][self.below(7)];
                let count = 1 << self.below(11);
                bytes.splice(at..at, repeated.repeat(count));
            }
            10 => bytes.truncate(at),
            // Two pieces change places.
            _ => {
                let (one, other) = (self.below(length), self.below(length));
                let count = self.below(9).min(length - one.max(other));
                for offset in 0..count {
                    bytes.swap(one + offset, other + offset);
                }
            }
        }
    }
}

/// Runs a target on what there is for it and on mutations of that.
#[track_caller]
fn run(target: &str, rounds: u64, more: Vec<Vec<u8>>) {
    let known = TARGETS.iter().find(|known| known.name == target);
    let body = known.unwrap_or_else(|| panic!("no target is called {target}")).body;
    let attempt = |input: &[u8], made_of: &str| {
        if catch_unwind(AssertUnwindSafe(|| body(input))).is_err() {
            let name = Sha256::digest(input)[..6].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let path = target_dir().join("fuzz/found").join(format!("{target}-{name}"));
            let folder = path.parent().expect("in a folder");
            std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, input)).expect("the input is kept");
            panic!("{target}: {made_of} is not taken as it should be; the input is in {}", path.display());
        }
    };
    let inputs = inputs(target);
    for (file, input) in &inputs {
        attempt(input, file);
    }
    more.iter().for_each(|input| attempt(input, "what was built"));
    let seeds: Vec<Vec<u8>> = inputs.into_iter().map(|(_, input)| input).chain(more).collect();
    let random = Random::new(random::number("EPHOR_SEED").unwrap_or(1));
    let mut mutator = Mutator { random, seeds: &seeds };
    for round in 0..random::number("EPHOR_ROUNDS").unwrap_or(rounds) {
        attempt(&mutator.make(), &format!("mutation {round}"));
    }
}

#[test]
fn ht_25_fuzzed_events_are_taken_as_they_are_or_refused_with_the_reason() {
    run("event", 40_000, Vec::new());
}

#[test]
fn ht_25_fuzzed_streams_have_the_lines_that_they_have_as_a_whole() {
    run("lines", 30_000, Vec::new());
}

#[test]
fn ht_25_fuzzed_queries_and_headers_are_read_without_a_panic() {
    run("http", 100_000, Vec::new());
}

#[test]
fn fuzzed_projection_gives_what_a_look_up_gives() {
    run("projection", 20_000, Vec::new());
}

#[test]
fn fuzzed_publications_are_read_again_as_they_are_or_refused_with_a_place() {
    run("publication", 100_000, Vec::new());
}

#[test]
fn fuzzed_data_directories_lose_nothing_that_is_signed() {
    run("ledger", 150, Vec::new());
}

#[test]
fn fuzzed_notes_and_proofs_hold_only_as_they_were_signed() {
    run("note", 5_000, Vec::new());
}

#[test]
fn fuzzed_lists_have_one_form() {
    run("list", 100_000, Vec::new());
}

#[test]
fn fuzzed_files_of_rules_are_compiled_or_refused_with_a_place() {
    run("table", 80_000, Vec::new());
}

#[test]
fn fuzzed_configurations_are_taken_whole_or_refused_with_a_place() {
    run("config", 6_000, Vec::new());
}

#[test]
fn fuzzed_tokens_let_nobody_in() {
    run("token", 60_000, Vec::new());
}

#[test]
fn ws_29_fuzzed_components_are_let_through_or_refused_by_what_was_read() {
    run("loader", 300, vec![policy("negative-list"), policy("fleet-cap")]);
}

/// What the gate lets through goes all the way: a worker compiles it, and it judges.
#[tokio::test(flavor = "multi_thread")]
async fn ws_29_what_the_gate_lets_through_is_compiled_and_run_or_refused_with_a_reason() {
    let seeds = [policy("negative-list")];
    let mut mutator = Mutator { random: Random::new(random::number("EPHOR_SEED").unwrap_or(1)), seeds: &seeds };
    let rounds = random::number("EPHOR_ROUNDS").map_or(8, |rounds| rounds / 1_000 + 1);
    let (mut installed, mut refused) = (0, 0);
    while installed + refused < rounds {
        let mut component = seeds[0].clone();
        let at = mutator.below(component.len());
        component[at] ^= 1 << mutator.below(8);
        if gate(&component, &Limits::default()).is_err() {
            continue;
        }
        let runtime = Runtime::builder().worker(binary()).build().expect("starts");
        match runtime.install(component, settings("negative-list").into_bytes()).await {
            Ok(_) => {
                installed += 1;
                let line = ingest::structured(event::listing(1, crate::LISTED).to_string().as_bytes(), &ingest::Limits::default())
                    .expect("an event");
                let judged = runtime.submit(vec![line]).await.expect("taken").await.expect("judged");
                assert_eq!(judged.answers.len(), 1);
            }
            Err(error) => {
                refused += 1;
                // A fault of the host would be this.
                assert!(!matches!(error, LoadError::Worker { .. }), "{error}");
            }
        }
        runtime.close().await;
    }
    assert!(installed > 0, "{refused} were refused, and none ran");
}

/// The command line is no library, so its own process tries these.
#[test]
fn fuzzed_documents_of_mds_are_imported_or_refused() {
    let data = workspace().join("tests/data/mds");
    let read = |name: &str| std::fs::read(data.join(name)).expect("readable");
    let [policies, geographies] =
        [["policies-1.2.json", "policies-2.0.json"], ["geographies-1.2.json", "geographies-2.0.json"]].map(|names| names.map(read));
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_string();
    let random = || Random::new(random::number("EPHOR_SEED").unwrap_or(1));
    let (mut one, mut other) = (Mutator { random: random(), seeds: &policies }, Mutator { random: random(), seeds: &geographies });
    let rounds = random::number("EPHOR_ROUNDS").map_or(60, |rounds| rounds / 100 + 1);
    for round in 0..rounds {
        // One of the two is as it should be, so that the other is looked at.
        let is_whole = round.is_multiple_of(2);
        std::fs::write(path("policies"), if is_whole { policies[round as usize / 2 % 2].clone() } else { one.make() }).expect("written");
        std::fs::write(path("geographies"), if is_whole { other.make() } else { geographies[round as usize / 2 % 2].clone() })
            .expect("written");
        let (from, places, to) = (path("policies"), path("geographies"), path("settings"));
        let done = crate::cli::ephor(&["import", "mds", &from, "--geographies", &places, "--out", &to, "--zone", "EST5EDT,M3.2.0,M11.1.0"]);
        if done.status.code().is_none_or(|code| code > 6) {
            let kept = target_dir().join("fuzz/found/mds");
            std::fs::create_dir_all(&kept).expect("made");
            for name in ["policies", "geographies"] {
                std::fs::copy(path(name), kept.join(name)).expect("kept");
            }
            panic!("round {round}: {}; the documents are in {}", String::from_utf8_lossy(&done.stderr), kept.display());
        }
    }
}

#[test]
fn every_target_has_a_test_a_door_for_libfuzzer_and_seeds() {
    let here = ephor_tests::documents::read("tests/it/fuzz.rs");
    let fuzz = workspace().join("tests/fuzz");
    let manifest = ephor_tests::documents::read("tests/fuzz/Cargo.toml");
    for Target { name, .. } in TARGETS {
        assert!(here.contains(&format!("run(\"{name}\", ")), "no test runs {name}");
        assert!(manifest.contains(&format!("name = \"fuzz-{name}\"\n")), "tests/fuzz/Cargo.toml has no binary fuzz-{name}");
        let door = std::fs::read_to_string(fuzz.join("fuzz_targets").join(format!("{name}.rs"))).unwrap_or_default();
        assert!(door.contains(&format!("door!({name})")), "fuzz_targets/{name}.rs does not open it");
        inputs(name);
    }
    for kind in ["seeds", "regressions"] {
        for folder in files(&fuzz.join(kind)) {
            let is_target = TARGETS.iter().any(|target| folder.ends_with(target.name));
            assert!(is_target, "{} belongs to no target", folder.display());
        }
    }
}
