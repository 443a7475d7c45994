//! The tutorial of the SDK's book, walked as it stands there: what it writes is written,
//! what it runs is run.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use ephor_tests::{binary, data, target_dir, workspace};

use crate::journey::free_port;
use crate::policy_new::target;

/// Where the tutorial's platform listens.
const ADDRESS: &str = "127.0.0.1:8790";

/// The tutorial as a script of bash: its files, and its commands, in their order.
fn script() -> String {
    let path = workspace().join("sdk/book/tutorial.md");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut script = String::new();
    for part in text.split("\n<!-- ").skip(1) {
        let (mark, rest) = part.split_once(" -->\n").expect("a mark has an end");
        let (_, rest) = rest.split_once('\n').expect("a block begins behind a mark");
        let (block, _) = rest.split_once("\n```").expect("a block has an end");
        match mark.split_once(": ") {
            None if mark == "run" => writeln!(script, "echo '$ {}'\n{block}", block.lines().next().unwrap_or_default().replace('\'', "")),
            Some(("write", path)) => writeln!(script, "mkdir -p \"$(dirname {path})\"\ncat > {path} <<'END OF FILE'\n{block}\nEND OF FILE"),
            _ => panic!("the tutorial has a mark that this test does not know: {mark}"),
        }
        .expect("a string takes all");
    }
    script
}

/// The folder of a clone, as far as the tutorial needs one.
fn clone(here: &Path) {
    for name in ["sdk", "tests", "wit", "Cargo.lock"] {
        std::os::unix::fs::symlink(workspace().join(name), here.join(name)).expect("a link");
    }
    std::fs::create_dir_all(here.join("target/policies")).expect("a folder");
    std::fs::create_dir_all(here.join("bin")).expect("a folder");
    std::os::unix::fs::symlink(binary(), here.join("bin/ephor")).expect("a link");
}

#[test]
fn the_tutorial_works_as_it_stands() {
    if std::env::var("EPHOR_WITHOUT_CURL").as_deref() == Ok("1") {
        return data::left_out("the tutorial", "EPHOR_WITHOUT_CURL=1");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    clone(here);
    let script = script().replace(ADDRESS, &format!("127.0.0.1:{}", free_port()));
    let script = format!("PATH=\"$PWD/bin:$PATH\"\ntrap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n{script}");
    let mut bash = Command::new("bash");
    bash.args(["-euc", &script]).current_dir(here).stdin(Stdio::null());
    bash.env("CARGO_TARGET_DIR", target())
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_INCREMENTAL", "0");
    bash.env("XDG_CACHE_HOME", target_dir().join("it-cache"));
    let shell = bash.output().expect("a shell");
    let (out, err) = (String::from_utf8_lossy(&shell.stdout), String::from_utf8_lossy(&shell.stderr));
    let log = std::fs::read_to_string(here.join("market.log")).unwrap_or_default();
    assert!(shell.status.success(), "{out}\n{err}\n{log}");

    // The component wrote down what the tutorial says that it finds.
    let often = std::fs::read_to_string(here.join("policies/undone-orders/vectors/often.json")).expect("the vectors");
    for expected in ["often-undone", "never-ordered", "470", r#""unreadable": "/data/sku""#] {
        assert!(often.contains(expected), "{expected} in\n{often}");
    }
    for part in ["all as expected", "Published version 0.1.0 of market-office/undone-orders"] {
        assert!(out.contains(part), "{part:?} in\n{out}\n{err}");
    }
    // In shadow it found what it found on the past, and counted for nothing.
    let status = out.lines().find(|line| line.contains("market-office/undone-orders") && line.contains("shadow"));
    let status = status.unwrap_or_else(|| panic!("the status of the release in\n{out}"));
    assert!(status.split_whitespace().any(|cell| cell == "12"), "{status}");
}
