//! `ephor policy new`: from nothing to a component, as an author would do it, with the
//! SDK of this workspace and without a network.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ephor_tests::{binary, target_dir, workspace};
use serde_json::Value;

/// What a new crate marks its open places with. Put together: `tidy` looks for it.
const TO_DO: &str = concat!("TO", "DO");

/// Shared by all new crates and kept from run to run, so that the SDK is compiled once.
pub fn target() -> PathBuf {
    target_dir().join("policy-new")
}

/// A program in a folder, without a network.
pub fn command(program: OsString, folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).env("CARGO_TARGET_DIR", target()).env("CARGO_NET_OFFLINE", "true");
    // Every run leaves its crates in the target folder; so they are small.
    command.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_INCREMENTAL", "0");
    command
}

fn run(program: OsString, folder: &Path, args: &[&str]) -> Output {
    command(program, folder, args).output().expect("the program starts")
}

pub fn ephor(folder: &Path, args: &[&str]) -> Output {
    run(binary().into(), folder, args)
}

fn cargo(folder: &Path, args: &[&str]) -> Output {
    run(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), folder, args)
}

/// What a program says: on standard output if it succeeds, on standard error otherwise.
#[track_caller]
pub fn said(output: &Output, code: i32) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    if code == 0 { out.into_owned() } else { err.into_owned() }
}

pub fn sdk() -> String {
    utf8(&workspace().join("sdk")).to_string()
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn read(path: PathBuf) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Makes the crate, does what the output says is next, and gives what the component says
/// about itself.
#[track_caller]
fn from_nothing(folder: &Path, name: &str, more: &[&str]) -> Value {
    let sdk = sdk();
    let made = said(&ephor(folder, &[&["policy", "new", name, "--sdk", &sdk], more].concat()), 0);
    let own = folder.join(name);
    for next in [format!("cd {name}").as_str(), "cargo test", "ephor policy build", "ephor policy test"] {
        assert!(made.contains(next), "{next:?} in\n{made}");
    }
    let tested = said(&cargo(&own, &["test"]), 0);
    for test in ["says_what_the_vectors_expect", "takes_the_published_settings", "refuses_a_limit_that_makes_no_sense"] {
        assert!(tested.contains(&format!("test {test} ... ok")), "{test} in\n{tested}");
    }
    said(&ephor(&own, &["policy", "build"]), 0);
    let component = target().join("policies").join(name);
    assert_eq!(read(component.with_extension("settings.json")), read(own.join("settings.json")));
    // Natively again, and as a platform runs it.
    let judged = said(&ephor(&own, &["policy", "test", "--cache", utf8(&target_dir().join("it-cache"))]), 0);
    assert!(judged.contains("as a component") && judged.contains("all as expected"), "{judged}");
    let inspected = said(&ephor(&own, &["policy", "inspect", "--json", utf8(&component.with_extension("wasm"))]), 0);
    serde_json::from_str(&inspected).expect("JSON")
}

#[test]
fn a_new_policy_passes_its_tests_and_makes_a_component() {
    let folder = tempfile::tempdir().expect("a folder");
    let document = from_nothing(folder.path(), "new-plain", &[]);
    let manifest = &document["manifest"];
    assert_eq!(manifest["name"], "new-plain");
    assert!(manifest["keyed"].is_null(), "it has no state: {manifest}");
    // What nobody has said yet is marked where it has to stand.
    let legal_basis = manifest["rules"][0]["legal_basis"].as_str().expect("a text");
    let readme = read(folder.path().join("new-plain/README.md"));
    assert!(legal_basis.contains(TO_DO) && readme.contains(TO_DO) && readme.contains("**Legal source.**"), "{legal_basis}\n{readme}");
}

#[test]
fn a_new_policy_with_state_says_what_its_author_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let (summary, legal_basis) = (r#"Flags "too many" \ events, 超过 {limit}."#, "People's Order Act, section 5");
    let more = ["--stateful", "--event", "bank.*.booked", "--summary", summary, "--legal-basis", legal_basis];
    let document = from_nothing(folder.path(), "new-stateful", &more);
    let manifest = &document["manifest"];
    assert_eq!(manifest["summary"], summary);
    assert_eq!(manifest["events"], serde_json::json!(["bank.*.booked"]));
    assert_eq!(manifest["rules"][0]["legal_basis"], legal_basis);
    assert_eq!(manifest["keyed"]["state_version"], 1);
}

/// A policy may be called as something that its code needs.
#[test]
fn types_that_would_be_called_alike_do_not_meet() {
    let folder = tempfile::tempdir().expect("a folder");
    said(&ephor(folder.path(), &["policy", "new", "policy", "--sdk", &sdk()]), 0);
    let own = folder.path().join("policy");
    assert!(read(own.join("src/lib.rs")).contains("impl Policy for PolicyPolicy {"));
    said(&cargo(&own, &["test"]), 0);
}

#[test]
fn the_sdk_is_the_one_around_or_that_of_the_registry() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().canonicalize().expect("the folder");
    let sdk_line = |name: &str| {
        let manifest = read(folder.join(name).join("Cargo.toml"));
        manifest.lines().find(|line| line.starts_with("ephor-sdk = ")).expect("a line for the SDK").to_string()
    };

    let around = folder.join("around");
    said(&ephor(&workspace().join("policies/negative-list"), &["policy", "new", "around", "--into", utf8(&around)]), 0);
    let line = sdk_line("around");
    let path = line.split('"').nth(1).expect("a path");
    assert!(path.starts_with("../"), "{line}");
    let found = around.join(path).canonicalize().expect("a folder");
    assert_eq!(found, workspace().join("sdk").canonicalize().expect("a folder"));
    // The versions that are known to work, and to be here.
    assert!(around.join("Cargo.lock").exists());

    said(&ephor(&folder, &["policy", "new", "alone"]), 0);
    let version = concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));
    assert_eq!(sdk_line("alone"), format!("ephor-sdk = \"{version}\""));
    assert!(!folder.join("alone/Cargo.lock").exists());
}

#[test]
fn a_workspace_around_takes_the_crate_in_or_does_not_see_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    std::fs::write(folder.join("Cargo.toml"), "[workspace]\nresolver = \"3\"\nmembers = [\"rules/*\"]\n").expect("a file");
    let sdk = sdk();
    for (name, into, is_member) in [("inner", "rules/inner", true), ("other", "other", false)] {
        said(&ephor(folder, &["policy", "new", name, "--into", into, "--sdk", &sdk]), 0);
        let own = folder.join(into);
        assert_eq!(read(own.join("Cargo.toml")).contains("\n[workspace]\n"), !is_member, "{name}");
        assert_eq!(own.join("Cargo.lock").exists(), !is_member, "{name}");
        let component = if is_member { "../../target/policies/inner.wasm" } else { " target/policies/other.wasm" };
        assert!(read(own.join("README.md")).contains(component), "{name}");
        said(&cargo(&own, &["metadata", "--no-deps", "--format-version", "1"]), 0);
    }
}

#[test]
fn what_cannot_be_made_is_refused_and_nothing_is_written_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    std::fs::create_dir(folder.join("used")).expect("a folder");
    std::fs::write(folder.join("used/Cargo.toml"), "mine").expect("a file");
    let (runtime, root) = (workspace().join("runtime"), workspace());
    for (args, parts) in [
        (&["Fleet-Cap"][..], &["Fleet-Cap", "lower-case words joined by hyphens"][..]),
        (&["fleet_cap"], &["lower-case words joined by hyphens"]),
        (&["rules/fleet-cap"], &["lower-case words joined by hyphens", "--into"]),
        (&["9-lives"], &["cannot begin with a digit"]),
        (&["match"], &["match-rule"]),
        (&["x", "--event", "two words"], &["two words", "shop.order.placed"]),
        (&["x", "--legal-basis", " "], &["--legal-basis", "expected a text"]),
        (&["x", "--summary", "two\nlines"], &["--summary", "one plain line"]),
        (&["used"], &["used is there already", "--into"]),
        (&["x", "--into", "used"], &["used is there already", "--into"]),
        (&["x", "--into", "used/Cargo.toml"], &["cannot make a crate in used/Cargo.toml", "--into"]),
        (&["x", "--sdk", "nowhere"], &["--sdk", "ephor-sdk", "nowhere/Cargo.toml"]),
        (&["x", "--sdk", utf8(&runtime)], &["runtime/Cargo.toml is the crate ephor", "ephor-sdk"]),
        (&["x", "--sdk", utf8(root)], &["Cargo.toml is of a workspace", "ephor-sdk"]),
    ] {
        let refused = said(&ephor(folder, &[&["policy", "new"], args].concat()), 2);
        for part in parts {
            assert!(refused.contains(part), "{part:?} for {args:?} in\n{refused}");
        }
    }
    assert_eq!(read(folder.join("used/Cargo.toml")), "mine");
    let left: Vec<_> = [folder, &folder.join("used")].iter().flat_map(|folder| std::fs::read_dir(folder).expect("a folder")).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}
