//! Components in an OCI registry: Debian's, on this machine, read back with another
//! tool. Both come with `.ci/run`; `EPHOR_SKIP_OCI=1` leaves these tests out, and says so.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use ephor_tests::{PATIENCE, binary, component_path, data, files, raw};
use sha2::{Digest as _, Sha256};

/// Debian's registry, ended with the value.
struct Registry {
    child: Child,
    address: std::net::SocketAddr,
    folder: tempfile::TempDir,
}

impl Registry {
    fn start() -> Registry {
        let folder = tempfile::tempdir().expect("a folder");
        // Free a moment ago; the registry cannot be told to choose.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
        let config = folder.path().join("config.yml");
        let root = folder.path().join("registry");
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n",
            root.display()
        );
        std::fs::write(&config, text).expect("written");
        let started = Command::new("docker-registry").arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = started.expect("`docker-registry` starts: apt-get install docker-registry skopeo, or set EPHOR_SKIP_OCI=1");
        let registry = Registry { child, address, folder };
        let begin = Instant::now();
        while std::net::TcpStream::connect(address).is_err() || raw::get(address, "/v2/").status != 200 {
            assert!(begin.elapsed() < PATIENCE, "waited {PATIENCE:?} for the registry");
            std::thread::sleep(Duration::from_millis(50));
        }
        registry
    }

    fn reference(&self, tag: &str) -> String {
        format!("{}/rules/fleet-cap{tag}", self.address)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_left_out() -> bool {
    let left_out = std::env::var("EPHOR_SKIP_OCI").as_deref() == Ok("1");
    if left_out {
        data::left_out("packages in a registry", "EPHOR_SKIP_OCI=1");
    }
    left_out
}

fn package(verb: &str, args: &[&str]) -> Output {
    Command::new(binary()).args(["package", verb]).args(args).arg("--plain-http").output().expect("the binary starts")
}

fn skopeo(args: &[&str]) -> Output {
    let output = Command::new("skopeo").args(args).output();
    output.expect("`skopeo` starts: apt-get install docker-registry skopeo, or set EPHOR_SKIP_OCI=1")
}

#[track_caller]
fn said(output: &Output, code: i32) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    if code == 0 { out.into_owned() } else { err.into_owned() }
}

fn name(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn a_component_goes_through_a_registry_and_another_tool_reads_it() {
    if is_left_out() {
        return;
    }
    let registry = Registry::start();
    let file = component_path("policies", "fleet-cap");
    let component = std::fs::read(&file).expect("the component");
    let digest = Sha256::digest(&component).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let reference = registry.reference(":1.0.0");
    let pushed = said(&package("push", &[name(&file), &reference]), 0);
    assert!(pushed.contains(&format!("sha256:{digest}")), "{pushed}");
    assert_eq!(said(&package("push", &[name(&file), &reference]), 0), pushed, "the same component, the same package");

    let manifest = skopeo(&["inspect", "--raw", "--tls-verify=false", &format!("docker://{reference}")]);
    let manifest: serde_json::Value = serde_json::from_str(&said(&manifest, 0)).expect("JSON");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(1));
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
    assert_eq!(manifest["layers"][0]["digest"], format!("sha256:{digest}"));
    let config = skopeo(&["inspect", "--config", "--raw", "--tls-verify=false", &format!("docker://{reference}")]);
    let config: serde_json::Value = serde_json::from_str(&said(&config, 0)).expect("JSON");
    assert_eq!((&config["architecture"], &config["os"]), (&"wasm".into(), &"wasip2".into()));
    assert_eq!(config["layerDigests"][0], format!("sha256:{digest}"));
    assert!(config["component"]["imports"].as_array().is_some_and(|imports| !imports.is_empty()));
    let copied = registry.path("copied");
    said(&skopeo(&["copy", "--src-tls-verify=false", &format!("docker://{reference}"), &format!("dir:{}", copied.display())]), 0);
    assert_eq!(std::fs::read(copied.join(&digest)).expect("the layer"), component);

    let out = registry.path("pulled.wasm");
    said(&package("pull", &[&reference, "--out", name(&out), "--digest", &format!("sha256:{digest}")]), 0);
    assert_eq!(std::fs::read(&out).expect("pulled"), component);
}

#[test]
fn what_is_no_component_or_another_one_is_not_pulled() {
    if is_left_out() {
        return;
    }
    let registry = Registry::start();
    let reference = registry.reference(":1.0.0");
    let out = registry.path("pulled.wasm");
    let why = said(&package("pull", &[&reference, "--out", name(&out)]), 1);
    assert!(why.contains(&reference), "nothing is there yet, and it says where: {why}");
    let file = component_path("policies", "fleet-cap");
    said(&package("push", &[name(&file), &reference]), 0);
    let other = format!("sha256:{}", "0".repeat(64));
    let why = said(&package("pull", &[&reference, "--out", name(&out), "--digest", &other]), 3);
    assert!(why.contains(&other), "{why}");
    // The registry's own file of the layer, changed.
    let digest = Sha256::digest(std::fs::read(&file).expect("the component")).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let blob = registry.path(&format!("registry/docker/registry/v2/blobs/sha256/{}/{digest}/data", &digest[..2]));
    let mut bytes = std::fs::read(&blob).expect("the layer");
    bytes[1_000] ^= 1;
    std::fs::write(&blob, bytes).expect("written");
    let why = package("pull", &[&reference, "--out", name(&out)]);
    assert!(!why.status.success() && !out.exists(), "{}", String::from_utf8_lossy(&why.stderr));
    let garbage = registry.path("garbage.wasm");
    std::fs::write(&garbage, b"garbage").expect("written");
    said(&package("push", &[name(&garbage), &reference]), 3);
}

/// A registry that has a package which is more than it says: too large, without an end, in
/// pieces, packed. Nothing is unpacked here, so there is nothing to blow up.
#[test]
fn ws_26_a_package_that_is_more_than_a_component_is_not_pulled() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = files::serve(folder.path());
    let place = folder.path().join("v2/rules/bomb");
    std::fs::create_dir_all(place.join("manifests")).expect("a folder");
    std::fs::create_dir_all(place.join("blobs")).expect("a folder");
    let out = folder.path().join("pulled.wasm");
    let sha256 = |bytes: &[u8]| format!("sha256:{}", Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let layer = |media: &str, digest: &str, size: u64| serde_json::json!({"mediaType": media, "digest": digest, "size": size});
    let pull = |layers: Vec<serde_json::Value>, code: i32| {
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": layer("application/vnd.wasm.config.v0+json", &sha256(b"{}"), 2), "layers": layers,
        });
        std::fs::write(place.join("manifests/1"), manifest.to_string()).expect("written");
        said(&package("pull", &[&format!("{address}/rules/bomb:1"), "--out", name(&out)]), code)
    };
    let wasm = "application/wasm";
    let component = std::fs::read(component_path("policies", "fleet-cap")).expect("the component");
    let digest = sha256(&component);
    std::fs::write(place.join("blobs").join(&digest), &component).expect("written");
    // As it should be, so that the rest fails for what it says.
    pull(vec![layer(wasm, &digest, component.len() as u64)], 0);
    assert_eq!(std::fs::read(&out).expect("pulled"), component);
    std::fs::remove_file(&out).expect("removed");

    let said_of = |media: &str, size: u64| pull(vec![layer(media, &digest, size)], 3);
    for packed in ["application/wasm+gzip", "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar+zstd"] {
        assert!(said_of(packed, component.len() as u64).contains(packed), "{packed}");
    }
    assert!(said_of(wasm, 1 << 30).contains("at most"), "it says how large it is");
    assert!(said_of(wasm, 100).contains("does not end after the 100 bytes"), "it is larger than it says");
    let many = vec![layer(wasm, &digest, component.len() as u64); 5_000];
    assert!(pull(many, 3).contains("5000 layers"), "in pieces");
    // A gibibyte of zeros, packed, under the name of a component: the bytes are taken as
    // they are, and are no component.
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..1_024 {
        std::io::Write::write_all(&mut packed, &[0; 1 << 20]).expect("packed");
    }
    let packed = packed.finish().expect("packed");
    let bomb = sha256(&packed);
    std::fs::write(place.join("blobs").join(&bomb), &packed).expect("written");
    pull(vec![layer(wasm, &bomb, packed.len() as u64)], 0);
    assert_eq!(std::fs::read(&out).expect("pulled").len(), packed.len(), "it was not unpacked");
    let inspected = Command::new(binary()).args(["policy", "inspect"]).arg(&out).output().expect("the binary starts");
    assert!(!inspected.status.success() && String::from_utf8_lossy(&inspected.stderr).contains("not a WebAssembly component"));
    assert!(packed.len() < 2 << 20);
    std::fs::remove_file(&out).expect("removed");
}
