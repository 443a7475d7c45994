//! The server against its own OpenAPI document: what schemathesis makes of the document is
//! sent, and what comes back is held against it. The document itself is held against the
//! official schema.

use std::path::PathBuf;
use std::process::Command;

use ephor_tests::{binary, data, event, policy, settings, target_dir, workspace};

use crate::GOOD;
use crate::access::said;
use crate::api::furnished;

/// Says that these tests are not wanted.
const WITHOUT: &str = "EPHOR_WITHOUT_SCHEMATHESIS";

/// A program of the virtual environment; nothing if that was left out.
fn tool(name: &str) -> Option<PathBuf> {
    let path = target_dir().join("tools/schemathesis/bin").join(name);
    if path.is_file() {
        return Some(path);
    }
    assert!(
        std::env::var_os(WITHOUT).is_some_and(|value| value == "1"),
        "{} is missing\nrun `make schemathesis`, which needs python3 with venv and PyPI, or set {WITHOUT}=1 to do without",
        path.display()
    );
    data::left_out("schemathesis", &format!("{WITHOUT} is set"));
    None
}

#[test]
fn the_document_is_openapi() {
    let Some(python) = tool("python") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("openapi.json");
    let document = Command::new(binary()).arg("openapi").output().expect("the binary starts");
    std::fs::write(&file, document.stdout).expect("written");
    let output = Command::new(python).args(["-m", "openapi_spec_validator", "--schema", "3.1"]).arg(&file).output().expect("python starts");
    assert!(output.status.success(), "{}", said(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_does_what_its_document_says() {
    let Some(st) = tool("st") else { return };
    let (_both, ephor) = furnished().await;
    for name in [GOOD, "geofence", "fleet-cap"] {
        ephor.put(name, &policy(name), &settings(name)).await.succeeded();
    }
    ephor.judge((1..=20).map(|id| event::listing(id, crate::LISTED))).await;
    let folder = workspace().join("tests/schemathesis");
    let url = ephor.url("/v1/openapi.json");
    // It keeps what it remembers between runs where it is started.
    let scratch = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(st);
    command.arg("--config-file").arg(folder.join("schemathesis.toml")).args(["run", &url, "--no-color"]);
    command.env("PYTHONPATH", &folder).env("PYTHONDONTWRITEBYTECODE", "1").current_dir(scratch.path());
    let output = tokio::task::spawn_blocking(move || command.output().expect("st starts")).await.expect("no panic");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(ephor.get("/readyz").await.status, 200, "it is still there");
}
