//! Compiled code is kept on disk; what was tampered with is compiled anew.

use std::path::{Path, PathBuf};
use std::time::Instant;

use ephor_tests::{Ephor, event, policy, settings, write_policy};

use crate::{GOOD, LISTED};

/// How often compiled code was taken from the cache.
fn hits(ephor: &Ephor) -> f64 {
    ephor.metric("ephor_compile_cache_total", "outcome=\"hit\"")
}

/// Starts with a policy in a folder and a cache in another; says how often the
/// cache was used.
async fn start(policies: &Path, cache: &Path) -> (Ephor, f64) {
    let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_string();
    let ephor = Ephor::start(&["--policies", &text(policies), "--cache", &text(cache)]);
    assert_eq!(ephor.in_force().await.len(), 1, "{}", ephor.log());
    let answers = ephor.judge([event::listing(1, LISTED)]).await;
    assert_eq!(event::findings(&answers[0], GOOD).count(), 1, "{}", answers[0]);
    let hits = hits(&ephor);
    (ephor, hits)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn ws_32_the_second_start_compiles_nothing_and_a_flipped_byte_is_noticed() {
    let policies = tempfile::tempdir().expect("a folder");
    let cache = tempfile::tempdir().expect("a folder");
    write_policy(policies.path(), GOOD, Some(&policy(GOOD)), Some(&settings(GOOD)));
    let (first, hits) = start(policies.path(), cache.path()).await;
    assert_eq!(hits, 0.0, "the first start compiles");
    drop(first);

    let begin = Instant::now();
    let (second, hits) = start(policies.path(), cache.path()).await;
    eprintln!("the second start took {:?}", begin.elapsed());
    assert_eq!(hits, 1.0, "the second start uses the cache");
    drop(second);

    // The code is by far the largest of what is kept.
    let entry = files(cache.path()).into_iter().max_by_key(|path| path.metadata().map_or(0, |meta| meta.len())).expect("an entry");
    let mut bytes = std::fs::read(&entry).expect("the entry");
    assert!(bytes.len() > 10_000, "{} is the compiled code", entry.display());
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&entry, &bytes).expect("the entry is changed");
    let (third, hits) = start(policies.path(), cache.path()).await;
    assert_eq!(hits, 0.0, "the changed entry is not used");
    assert!(third.log().to_lowercase().contains("cache"), "and reported:\n{}", third.log());
    drop(third);

    let (_fourth, hits) = start(policies.path(), cache.path()).await;
    assert_eq!(hits, 1.0, "it was compiled anew and kept");
}

/// Code of one policy under the name of another is not taken for it.
#[tokio::test(flavor = "multi_thread")]
async fn ws_32_entries_that_changed_places_are_not_used() {
    let policies = tempfile::tempdir().expect("a folder");
    let cache = tempfile::tempdir().expect("a folder");
    let guest = "traps-on-a-row";
    write_policy(policies.path(), GOOD, Some(&policy(GOOD)), Some(&settings(GOOD)));
    write_policy(policies.path(), guest, Some(&ephor_tests::guest("traps_on_a_row")), Some("{}"));
    let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_string();
    let start = || Ephor::start(&["--policies", &text(policies.path()), "--cache", &text(cache.path())]);
    drop(start());
    let mut entries = files(cache.path());
    entries.retain(|path| path.metadata().is_ok_and(|meta| meta.len() > 10_000));
    let [one, other] = &entries[..] else { panic!("two entries of compiled code: {entries:?}") };
    let aside = cache.path().join("aside");
    std::fs::rename(one, &aside).expect("an entry is moved");
    std::fs::rename(other, one).expect("an entry is moved");
    std::fs::rename(&aside, other).expect("an entry is moved");

    let ephor = start();
    assert_eq!(ephor.in_force().await.len(), 2, "{}", ephor.log());
    assert_eq!((hits(&ephor), ephor.metric("ephor_compile_cache_total", "outcome=\"forged\"")), (0.0, 2.0));
    assert!(ephor.log().to_lowercase().contains("cache"), "and reported:\n{}", ephor.log());
    let answers = ephor.judge([event::listing(1, LISTED), event::listing(2, "SEEN it")]).await;
    assert_eq!((event::findings(&answers[0], GOOD).count(), event::findings(&answers[1], guest).count()), (1, 1), "{answers:?}");
}

/// What was compiled here, taken out of the cache and sent as a policy, is what it is:
/// native code. So is the text of a component, and a component in a wrapping.
#[tokio::test(flavor = "multi_thread")]
async fn ws_31_compiled_code_and_text_are_refused_each_by_its_name() {
    let policies = tempfile::tempdir().expect("a folder");
    let cache = tempfile::tempdir().expect("a folder");
    write_policy(policies.path(), GOOD, Some(&policy(GOOD)), Some(&settings(GOOD)));
    let (ephor, _) = start(policies.path(), cache.path()).await;
    let entry = files(cache.path()).into_iter().max_by_key(|path| path.metadata().map_or(0, |meta| meta.len())).expect("an entry");
    let entry = std::fs::read(&entry).expect("the entry");
    let at = memchr::memmem::find(&entry, b"\x7fELF").expect("compiled code is in it");
    let zipped = {
        let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut zipped, &policy(GOOD)).expect("zipped");
        zipped.finish().expect("zipped")
    };
    for (what, bytes, said) in [
        ("compiled code", &entry[at..], "compiled native code"),
        ("an entry of the cache", &entry[..], "something else"),
        ("text", b"(component)".as_slice(), "WebAssembly text"),
        ("text with a comment", b";; a policy\n(component)", "WebAssembly text"),
        ("something packed", &zipped, "something else"),
    ] {
        let problem = ephor.put(GOOD, bytes, &settings(GOOD)).await.expect(422).json();
        assert_eq!(problem["type"], "urn:ephor:problem:not-a-component", "{what}: {problem}");
        assert!(event::text(&problem, "detail").contains(said), "{what}: {problem}");
    }
    assert_eq!(ephor.in_force().await.len(), 1);
}
