//! The policy natively: a small crate around it, in a process of its own that is asked for
//! one round after the other.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;
use syn::visit::Visit;

use crate::cli::exit::{Exit, Outcome, failed};
use crate::cli::policy_build::tool;
use crate::cli::policy_lint::source::{self, Crate};

const MAIN: &str = include_str!("native.rs.in");

/// As a component is compiled (`policy_build`), so that the difference is the sandbox.
const PROFILE: &str = "[profile.release]\nopt-level = 3\ncodegen-units = 1\nlto = true\noverflow-checks = true\n";

/// The process.
pub struct Native {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Events that the policy is given.
    pub rows: u64,
}

/// What is measured with.
pub struct With<'w> {
    pub settings: &'w Path,
    pub events: &'w Path,
    pub lists: &'w Path,
    pub batch: usize,
}

/// The parts of `cargo metadata` that are needed.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    manifest_path: PathBuf,
    /// Absent for a package in a folder.
    source: Option<String>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

impl Native {
    /// Compiles the crate natively and starts it.
    pub fn start(folder: &Path, with: &With<'_>) -> Outcome<Self> {
        let binary = build(folder)?;
        let mut child = Command::new(&binary)
            .args([with.settings, with.events, with.lists])
            .arg(with.batch.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let (Some(ask), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(Exit::Failed, "the native policy cannot be asked"));
        };
        let mut native = Native { child, ask, answers: BufReader::new(answers), rows: 0 };
        native.rows = native.line()?.trim().parse().context("the native policy does not say how many events it has")?;
        Ok(native)
    }

    /// Judges all events so many times; gives the time that it took, and how much was found.
    pub fn round(&mut self, passes: u32) -> Outcome<(Duration, u64)> {
        writeln!(self.ask, "{passes}").and_then(|()| self.ask.flush()).context("the native policy ended; its message is above")?;
        let line = self.line()?;
        let parts = line.trim().split_once(' ').and_then(|(took, found)| Some((took.parse().ok()?, found.parse().ok()?)));
        let (nanoseconds, found) = parts.context("the native policy answers something else than figures")?;
        Ok((Duration::from_nanos(nanoseconds), found))
    }

    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line).context("cannot read from the native policy")? {
            0 => Err(failed(Exit::Failed, "the native policy ended; its message is above")),
            _ => Ok(line),
        }
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // It ends by itself once nobody asks; whether it had ended before is all the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes the crate around the policy, in cargo's target folder, and compiles it.
fn build(folder: &Path) -> Outcome<PathBuf> {
    let metadata = metadata(folder)?;
    let manifest = folder.canonicalize().with_context(|| format!("cannot find {}", folder.display()))?.join("Cargo.toml");
    let own = metadata.packages.iter().find(|package| package.manifest_path == manifest);
    let own = own.with_context(|| format!("cargo does not know the crate in {}", folder.display()))?;
    let is_rlib = |target: &&Target| target.crate_types.iter().any(|kind| kind == "rlib" || kind == "lib");
    let Some(library) = own.targets.iter().find(is_rlib) else {
        let problem = format!("{} cannot be used natively; its [lib] needs `crate-type = [\"cdylib\", \"rlib\"]`", own.name);
        return Err(failed(Exit::Refused, problem));
    };
    let policy = format!("{}::{}", library.name.replace('-', "_"), policy_type(folder)?);
    let sdk = metadata.packages.iter().find(|package| package.name == "ephor-sdk");
    let sdk = sdk.with_context(|| format!("{} does not depend on ephor-sdk", own.name))?;
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let path_of = |package: &Package| {
        let folder = package.manifest_path.parent().and_then(Path::to_str).unwrap_or_default();
        format!("path = {}", quoted(folder))
    };
    let sdk = match &sdk.source {
        None => path_of(sdk),
        Some(_) => format!("version = \"={}\"", sdk.version),
    };
    let around = metadata.target_directory.join("policy-bench");
    let place = around.join("crates").join(&own.name);
    std::fs::create_dir_all(place.join("src")).with_context(|| format!("cannot make {}", place.display()))?;
    let cargo_toml = format!(
        "# Made by `ephor policy bench`.\n[package]\nname = \"{0}-natively\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n\
         [dependencies]\n{0} = {{ {1} }}\nephor-sdk = {{ {sdk} }}\n\n{PROFILE}\n[workspace]\n",
        own.name,
        path_of(own)
    );
    let write = |name: &str, text: &str| {
        let file = place.join(name);
        // Untouched, if it is the same: then nothing is compiled again.
        match std::fs::read_to_string(&file).is_ok_and(|known| known == text) {
            true => Ok(()),
            false => std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display())),
        }
    };
    write("Cargo.toml", &cargo_toml)?;
    write("src/main.rs", &MAIN.replace("{{type}}", &policy))?;
    // The versions that the policy has.
    if let Ok(lock) = std::fs::read_to_string(metadata.workspace_root.join("Cargo.lock"))
        && !place.join("Cargo.lock").exists()
    {
        write("Cargo.lock", &lock)?;
    }
    let status = tool("cargo", "CARGO", &place)
        .args(["build", "--release", "--quiet", "--target-dir"])
        .arg(&around)
        .stdin(Stdio::null())
        .status()
        .context("cannot run cargo; install Rust from https://rustup.rs")?;
    if !status.success() {
        let problem = format!("{} does not compile natively as `{policy}`; cargo says why above: the type must be public", own.name);
        return Err(failed(Exit::Failed, problem));
    }
    Ok(around.join("release").join(format!("{}-natively{}", own.name, std::env::consts::EXE_SUFFIX)))
}

fn metadata(folder: &Path) -> Outcome<Metadata> {
    let rustc = tool("rustc", "RUSTC", folder).arg("-vV").output().context("cannot run rustc; install Rust from https://rustup.rs")?;
    let version = String::from_utf8_lossy(&rustc.stdout).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc does not say what it compiles for")?;
    let output = tool("cargo", "CARGO", folder)
        // What other systems would need is not there, and need not be.
        .args(["metadata", "--format-version", "1", "--filter-platform", host])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo; install Rust from https://rustup.rs")?;
    if !output.status.success() {
        return Err(failed(Exit::Failed, format!("cargo cannot read {}", folder.join("Cargo.toml").display())));
    }
    Ok(serde_json::from_slice(&output.stdout).context("cannot read the output of cargo metadata")?)
}

/// The type that is the policy, by its path in the crate.
fn policy_type(folder: &Path) -> Outcome<String> {
    struct Policies(Vec<String>);
    impl<'ast> Visit<'ast> for Policies {
        fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
            if let (true, syn::Type::Path(path)) = (source::has(&item.attrs, "policy"), &*item.self_ty) {
                self.0.extend(path.path.segments.last().map(|last| last.ident.to_string()));
            }
        }
    }
    let sources = Crate::read(folder, folder)?;
    let mut found = Vec::new();
    for source in &sources.files {
        let mut policies = Policies(Vec::new());
        policies.visit_file(&source.parsed);
        let shown = Path::new(&source.text.shown).strip_prefix(folder.join("src")).unwrap_or(Path::new("lib.rs")).with_extension("");
        let modules: Vec<&str> = shown.iter().filter_map(|part| part.to_str()).filter(|part| !["lib", "mod"].contains(part)).collect();
        found.extend(policies.0.into_iter().map(|policy| [modules.as_slice(), &[policy.as_str()]].concat().join("::")));
    }
    match &found[..] {
        [only] => Ok(only.clone()),
        [] => Err(failed(Exit::Refused, format!("there is no `#[policy(…)] impl Policy for …` in {}", folder.join("src").display()))),
        several => Err(failed(
            Exit::Refused,
            format!("{} has several policies ({}); one crate is one policy", folder.display(), several.join(", ")),
        )),
    }
}
