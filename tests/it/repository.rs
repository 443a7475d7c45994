//! A regulator's repository from the command line, and how a platform gets at it: from
//! a folder, from this server, over TLS, and without any network. Attacks on what is
//! signed are in the unit tests of `repository/`, by name.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ephor_tests::{Ephor, binary, component_path, files, raw, workspace};
use serde_json::Value;
use tempfile::TempDir;

/// A regulator at work: a folder with a repository, and its keys beside.
struct Office {
    folder: TempDir,
}

impl Office {
    fn new() -> Self {
        let office = Office { folder: tempfile::tempdir().expect("a folder") };
        office.done("init", &["--publisher", "transport-office"]);
        office
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn repository(&self) -> PathBuf {
        self.path("rules")
    }

    /// `ephor repo VERB DIR …`.
    fn repo(&self, verb: &str, args: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.args(["repo", verb]).arg(self.repository()).args(args);
        command.output().expect("the binary starts")
    }

    #[track_caller]
    fn done(&self, verb: &str, args: &[&str]) -> String {
        text(&self.repo(verb, args), 0)
    }

    #[track_caller]
    fn json(&self, verb: &str, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.done(verb, &args)).expect("JSON")
    }

    fn release(&self, version: &str, more: &[&str]) -> Output {
        let (component, policy) = (component_path("policies", "fleet-cap"), workspace().join("policies/fleet-cap"));
        let (settings, vectors) = (policy.join("settings.json"), policy.join("vectors"));
        let mut args = vec!["--component", name(&component), "--version", version, "--legal-basis", "Shared Mobility Ordinance, section 4"];
        args.extend(["--jurisdiction", "US-OH-Columbus", "--vectors", name(&vectors)]);
        if !more.contains(&"--settings") {
            args.extend(["--settings", name(&settings)]);
        }
        args.extend(more);
        self.repo("release", &args)
    }
}

fn name(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// What a command says, on both outputs.
#[track_caller]
fn text(output: &Output, code: i32) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    if code == 0 { out.into_owned() } else { err.into_owned() }
}

/// `ephor repo check` of any place, with the root that was handed out.
fn check(office: &Office, location: &str, env: &[(&str, &str)]) -> Output {
    let root = office.repository().join("metadata/1.root.json");
    let mut command = Command::new(binary());
    command.args(["repo", "check", location, "--root", name(&root)]);
    command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR").envs(env.iter().copied());
    command.output().expect("the binary starts")
}

#[test]
fn one_command_makes_a_repository_and_says_where_its_keys_belong() {
    let office = Office { folder: tempfile::tempdir().expect("a folder") };
    let said = office.done("init", &["--publisher", "transport-office"]);
    for part in ["root.pem", "offline", "releases.pem", "timestamp.pem", "rules/root.json", "sha256:", "[publishers.transport-office]"] {
        assert!(said.contains(part), "{part:?} in\n{said}");
    }
    for key in ["root.pem", "releases.pem", "timestamp.pem"] {
        let file = office.path("rules.keys").join(key);
        assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600, "{key}");
    }
    assert_eq!(std::fs::metadata(office.path("rules.keys")).expect("there").permissions().mode() & 0o777, 0o700);
    let again = text(&office.repo("init", &["--publisher", "transport-office"]), 3);
    assert!(again.contains("not empty"), "{again}");
    let kept = std::fs::read_dir(office.path("rules.keys")).expect("listed").count();
    assert_eq!(kept, 3, "no keys are left of what did not come about");
    assert!(office.done("check", &[]).contains("Nothing is released yet"));
}

#[test]
fn the_readmes_journey_goes_as_it_stands_there() {
    let text = std::fs::read_to_string(workspace().join("README.md")).expect("the README");
    let block = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).find(|block| block.contains("refresh-timestamp"));
    let folder = tempfile::tempdir().expect("a folder");
    let script = block.expect("a block that makes a repository").replace(" office", &format!(" {}/office", folder.path().display()));
    // The binary that is tested, under the name that the README has.
    let script = format!("ephor() {{ {} \"$@\"; }}\n{script}", binary().display());
    let output = Command::new("sh").args(["-euc", &script]).current_dir(workspace()).output().expect("a shell");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && shown.contains("Nothing is wrong."), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_release_is_published_once_and_can_be_read_by_anybody() {
    let office = Office::new();
    let said = text(&office.release("1.0.0", &["--mode", "canary"]), 0);
    assert!(said.contains("Published version 1.0.0 of transport-office/fleet-cap"), "{said}");
    let said = text(&office.release("1.0.0", &["--mode", "canary"]), 0);
    assert!(said.contains("nothing has changed"), "{said}");
    let said = text(&office.release("1.0.0", &["--mode", "enforce"]), 3);
    assert!(said.contains("never changes") && said.contains("1.0.0 of fleet-cap"), "{said}");
    text(&office.release("1.1.0", &["--valid-from", "2099-01-01T00:00:00Z", "--notice-days", "30"]), 0);
    let report = office.json("check", &[]);
    assert_eq!((&report["whole"], &report["publisher"]), (&Value::Bool(true), &Value::from("transport-office")));
    let statements: Vec<&Value> = report["releases"].as_array().expect("a list").iter().map(|release| &release["statement"]).collect();
    assert_eq!(statements.len(), 2);
    assert_eq!((&statements[0]["mode"], &statements[0]["statement"]), (&"canary".into(), &"ephor release 1".into()));
    assert_eq!(statements[1]["supersedes"], "1.0.0");
    assert_eq!(statements[1]["valid_from"], "2099-01-01T00:00:00Z");
    assert!(statements[1]["vectors"]["bytes"].as_u64().is_some_and(|bytes| bytes > 100));
    let said = office.done("check", &[]);
    for part in
        ["fleet-cap", "a part of the keys", "followed by 1.1.0", "the latest", "Shared Mobility Ordinance", "which keys count", "1 of 1"]
    {
        assert!(said.contains(part), "{part:?} in\n{said}");
    }
    for jargon in ["TUF", "keyid", "threshold", "metadata"] {
        assert!(!said.contains(jargon), "{jargon:?} in\n{said}");
    }
}

#[test]
fn what_a_platform_would_refuse_is_not_signed() {
    let office = Office::new();
    let settings = office.path("settings.json");
    std::fs::write(&settings, r#"{"caps": {"Veo": "many"}}"#).expect("written");
    let said = text(&office.release("1.0.0", &["--settings", name(&settings)]), 3);
    assert!(said.contains("/caps/Veo"), "the place in the settings: {said}");
    let said = text(&office.release("1.0.0", &["--valid-from", "2001-01-01T00:00:00Z"]), 3);
    assert!(said.contains("/valid_from") && said.contains("retroactive"), "{said}");
    let said = text(&office.release("1.0.0", &["--list", name(&list(&office, "1", &["1"]))]), 3);
    assert!(said.contains("knows no list"), "{said}");
    text(&office.release("1.0", &[]), 2);
    assert_eq!(office.json("check", &[])["version"], 1, "nothing was published");
}

#[test]
fn the_roots_key_is_not_needed_to_release_and_others_are() {
    let office = Office::new();
    let keys = office.path("rules.keys");
    let root = office.path("stick.pem");
    std::fs::rename(keys.join("root.pem"), &root).expect("taken offline");
    text(&office.release("1.0.0", &[]), 0);
    let said = text(&office.repo("rotate", &["timestamp"]), 3);
    assert!(said.contains("the root needs 1 of these keys") && said.contains("--key"), "{said}");
    let said = office.done("rotate", &["timestamp", "--key", name(&root)]);
    assert!(said.contains("timestamp-2.pem") && said.contains("timestamp.pem.revoked"), "{said}");
    office.done("refresh-timestamp", &[]);
    std::fs::rename(keys.join("releases.pem"), office.path("releases.pem")).expect("taken away");
    office.done("refresh-timestamp", &[]);
    let said = text(&office.release("1.1.0", &[]), 3);
    assert!(said.contains("needs 1 of these keys"), "{said}");
    std::fs::set_permissions(office.path("releases.pem"), std::fs::Permissions::from_mode(0o644)).expect("set");
    let said = text(&office.release("1.1.0", &["--key", name(&office.path("releases.pem"))]), 2);
    assert!(said.contains("others on this machine can read this key"), "{said}");
    text(&check(&office, name(&office.repository()), &[]), 0);
}

#[test]
fn two_people_sign_from_now_on() {
    let office = Office::new();
    let said = office.done("add-key", &["releases", "--threshold", "2"]);
    assert!(said.contains("releases has 2 keys now, of which 2 have to sign"), "{said}");
    text(&office.release("1.0.0", &[]), 0);
    std::fs::rename(office.path("rules.keys/releases-2.pem"), office.path("hers.pem")).expect("taken home");
    let said = text(&office.release("1.1.0", &[]), 3);
    assert!(said.contains("needs 2 of these keys") && said.contains("1 of them is at hand"), "{said}");
    text(&office.release("1.1.0", &["--key", name(&office.path("hers.pem"))]), 0);
    let report = office.json("check", &[]);
    assert_eq!(report["signatures"][1]["threshold"], 2);
    // Somebody's key that never leaves their machine.
    let hers = office.path("hers.pub.pem");
    let made = Command::new("openssl").args(["pkey", "-in", name(&office.path("hers.pem")), "-pubout", "-out", name(&hers)]).status();
    if made.is_ok_and(|status| status.success()) {
        let said = text(&office.repo("add-key", &["releases", "--new", name(&hers)]), 3);
        assert!(said.contains("already"), "openssl reads our keys, and we read its: {said}");
    }
}

#[test]
fn a_release_is_withdrawn_with_a_reason() {
    let office = Office::new();
    text(&office.release("1.0.0", &[]), 0);
    text(&office.repo("withdraw", &["fleet-cap", "2.0.0", "--reason", "x", "--by", "y"]), 3);
    let said = office.done("withdraw", &["fleet-cap", "1.0.0", "--reason", "the cap was wrong", "--by", "duty officer"]);
    assert!(said.contains("is withdrawn"), "{said}");
    let said = office.done("check", &[]);
    assert!(said.contains("by duty officer: the cap was wrong"), "{said}");
    assert_eq!(office.json("check", &[])["releases"][0]["withdrawn"]["reason"], "the cap was wrong");
}

/// A list of so many parties, under this version.
fn list(office: &Office, version: &str, parties: &[&str]) -> PathBuf {
    let (table, out) = (office.path("parties.csv"), office.path("parties.list"));
    let rows: String = parties.iter().map(|party| format!("{party},party {party}\n")).collect();
    std::fs::write(&table, format!("id,name\n{rows}")).expect("written");
    let mut command = Command::new(binary());
    command.args(["list", "build", name(&table), "--name", "sanctions", "--version", version, "--key", "id", "--value", "name"]);
    text(&command.args(["--out", name(&out)]).output().expect("the binary starts"), 0);
    out
}

#[test]
fn a_list_is_published_once_and_takes_effect_with_a_release() {
    let office = Office::new();
    let first = list(&office, "2026-11-01", &["1", "2"]);
    let (component, settings) =
        (component_path("policies", "sanctioned-party"), workspace().join("policies/sanctioned-party/settings.json"));
    let mut args = vec!["--component", name(&component), "--version", "1.0.0", "--legal-basis", "an act", "--jurisdiction", "US"];
    if settings.exists() {
        args.extend(["--settings", name(&settings)]);
    }
    let said = text(&office.repo("release", &args), 3);
    assert!(said.contains("looks things up in sanctions"), "{said}");
    let said = office.done("list", &[name(&first)]);
    assert!(said.contains("Published version 2026-11-01 of the list sanctions: 2 entries"), "{said}");
    assert!(office.done("list", &[name(&first)]).contains("already"));
    args.extend(["--list", "sanctions@2026-11-01"]);
    text(&office.repo("release", &args), 0);
    // The next version, and in one go the release that looks things up in it.
    let second = list(&office, "2026-11-02", &["1", "3"]);
    let said = office.done("list", &[name(&second), "--for", "sanctioned-party"]);
    assert!(said.contains("version 1.0.1 of transport-office/sanctioned-party with it, in the place of 1.0.0"), "{said}");
    let said = office.done("list", &[name(&second), "--for", "sanctioned-party"]);
    assert!(!said.contains("1.0.2"), "once: {said}");
    let said = text(&office.repo("list", &[name(&second), "--for", "fleet-cap"]), 3);
    assert!(said.contains("no release of fleet-cap"), "{said}");
    let other = list(&office, "2026-11-02", &["4"]);
    assert!(text(&office.repo("list", &[name(&other)]), 3).contains("never changes"));
    std::fs::write(office.path("broken.list"), b"a list").expect("written");
    text(&office.repo("list", &[name(&office.path("broken.list"))]), 3);
    let report = office.json("check", &[]);
    assert_eq!((&report["whole"], report["lists"].as_array().map(Vec::len)), (&Value::Bool(true), Some(2)));
    let latest = &report["releases"][1]["statement"];
    assert_eq!((&latest["version"], &latest["lists"]["sanctions"]["version"]), (&"1.0.1".into(), &"2026-11-02".into()));
}

#[test]
fn a_changed_file_is_named() {
    let office = Office::new();
    text(&office.release("1.0.0", &[]), 0);
    let blobs = office.repository().join("targets/blobs");
    let largest = std::fs::read_dir(&blobs).expect("listed").map(|entry| entry.expect("an entry").path());
    let component = largest.max_by_key(|path| path.metadata().expect("there").len()).expect("the component");
    let mut bytes = std::fs::read(&component).expect("there");
    bytes[1_000] ^= 1;
    std::fs::write(&component, bytes).expect("written");
    let output = office.repo("check", &[]);
    let (shown, said) = (String::from_utf8_lossy(&output.stdout).into_owned(), text(&output, 3));
    assert!(shown.contains("WRONG [wrong-target]") && said.contains("1 files are not as they were signed"), "{shown}\n{said}");
}

#[test]
fn sc_13_a_platform_without_a_network_checks_the_same() {
    let office = Office::new();
    text(&office.release("1.0.0", &[]), 0);
    // As from a stick: a copy, and no interface but one that is down.
    let mut command = Command::new("unshare");
    command.args(["-rn", "--"]).arg(binary()).args(["repo", "check"]).arg(office.repository());
    command.args(["--root", name(&office.repository().join("root.json"))]);
    let said = text(&command.output().expect("`unshare` starts"), 0);
    assert!(said.contains("Nothing is wrong."), "{said}");
}

#[test]
fn a_server_gives_out_repositories_and_nothing_else() {
    let office = Office::new();
    text(&office.release("1.0.0", &[]), 0);
    std::fs::write(office.repository().join("secret"), b"x").expect("written");
    let config = format!("[server.repositories]\ntransport-office = {:?}\n", office.repository());
    let ephor = Ephor::start_with(&config, &["--in-memory"]);
    let url = ephor.url("/v1/repositories/transport-office");
    let said = text(&check(&office, &url, &[]), 0);
    assert!(said.contains("fleet-cap") && said.contains("Nothing is wrong."), "{said}");
    let root = raw::get(ephor.address(), "/v1/repositories/transport-office/root.json");
    assert_eq!((root.status, root.header("content-type"), root.header("cache-control")), (200, "application/json", "no-store"));
    assert_eq!(root.text().into_bytes(), std::fs::read(office.repository().join("root.json")).expect("there"));
    let first = raw::get(ephor.address(), "/v1/repositories/transport-office/metadata/1.root.json");
    assert!(first.header("cache-control").contains("immutable"));
    for path in [
        "/v1/repositories/",
        "/v1/repositories/transport-office",
        "/v1/repositories/transport-office/",
        "/v1/repositories/transport-office/secret",
        "/v1/repositories/transport-office/.lock",
        "/v1/repositories/transport-office/metadata",
        "/v1/repositories/transport-office/metadata/../secret",
        "/v1/repositories/transport-office/metadata/%2e%2e/secret",
        "/v1/repositories/transport-office/../rules.keys/root.pem",
        "/v1/repositories/other/root.json",
    ] {
        assert_eq!(raw::get(ephor.address(), path).status, 404, "{path}");
    }
}

#[test]
fn a_repository_behind_tls_is_followed_if_its_certificate_is_known() {
    let office = Office::new();
    text(&office.release("1.0.0", &[]), 0);
    let (address, certificate) = files::serve_tls(&office.repository());
    let known = office.path("ca.pem");
    std::fs::write(&known, certificate).expect("written");
    let url = format!("https://{address}");
    let said = text(&check(&office, &url, &[("SSL_CERT_FILE", name(&known))]), 0);
    assert!(said.contains("Nothing is wrong."), "{said}");
    let said = text(&check(&office, &url, &[]), 4);
    assert!(said.contains("[unreachable]"), "{said}");
    // Without TLS the signatures are the same.
    text(&check(&office, &format!("http://{}", files::serve(&office.repository())), &[]), 0);
}

#[test]
fn sc_11_a_server_that_does_not_end_is_left() {
    let office = Office::new();
    for (path, file) in [("/metadata/timestamp.json", "timestamp.json"), ("/metadata/2.root.json", "2.root.json")] {
        let said = text(&check(&office, &format!("http://{}", files::serve_endless(path)), &[]), 3);
        assert!(said.contains("[endless-data]") && said.contains(file), "{said}");
    }
}

#[test]
fn a_place_without_a_repository_is_said_so() {
    let office = Office::new();
    let said = text(&check(&office, name(&office.path("nowhere")), &[]), 4);
    assert!(said.contains("is not to be had"), "{said}");
    // A port that nobody listens on.
    let said = text(&check(&office, "http://127.0.0.1:1", &[]), 4);
    assert!(said.contains("[unreachable]"), "{said}");
    let output = Command::new(binary()).args(["repo", "check", "https://example.invalid/"]).output().expect("the binary starts");
    assert!(text(&output, 2).contains("--root"));
}
