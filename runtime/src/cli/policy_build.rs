//! `ephor policy build`: a crate → a core module → a component.
//!
//! cargo compiles for `wasm32-unknown-unknown`, so that std brings no WASI
//! imports; `wit-component` wraps what comes out, with the interface that the
//! SDK left in a custom section. No other tool is needed. Policies in other languages
//! have a way of their own (`languages`); a file of rules needs not even cargo:
//! `policy_table` makes the core module.

pub mod languages;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use comfy_table::Cell;
use ephor::digest::Digest;
use serde::Deserialize;
use wit_component::ComponentEncoder;

use super::exit::{self, Exit, Or as _, Outcome, failed};
use super::{policy_lint, policy_table, table};

const TARGET: &str = "wasm32-unknown-unknown";

/// How a policy is compiled, whatever its crate or workspace says, so that an
/// author has nothing to know about it. The rest is the [`Purpose`]'s.
const PROFILE: [&str; 5] = [
    "profile.release.debug=false",
    "profile.release.strip=true",
    "profile.release.panic=\"abort\"",
    "profile.release.debug-assertions=false",
    // A sum that wraps is a wrong verdict; one that traps leaves the event
    // undetermined, which is what it is.
    "profile.release.overflow-checks=true",
];

/// What a component is made for, which decides how much the compiler makes of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// To be published: small, fast, and the same bytes wherever it is made.
    Publish,
    /// To be tried at once and thrown away: `ephor policy watch` waits for it after every
    /// change. It says the same about every event, for what decides that is in
    /// [`PROFILE`]; but it needs more fuel for it, so one that is close to its budget may
    /// run out here.
    Try,
}

impl Purpose {
    /// What is left out for a try is what makes a small change cost as much as a large one:
    /// to go through all crates once more as one (lto), each in one piece (codegen-units),
    /// and through what has not changed (incremental). Of optimising, the first level stays:
    /// without it the module is larger, and the sandbox has to compile all of it.
    fn profile(self) -> [&'static str; 4] {
        match self {
            Purpose::Publish => [
                "profile.release.opt-level=3",
                "profile.release.codegen-units=1",
                "profile.release.lto=true",
                "profile.release.incremental=false",
            ],
            Purpose::Try => [
                "profile.release.opt-level=1",
                "profile.release.codegen-units=16",
                "profile.release.lto=\"off\"",
                "profile.release.incremental=true",
            ],
        }
    }

    /// The folder of what cargo makes for it, in cargo's target folder. Each has its own:
    /// in one they would write over each other's modules, and wait for each other.
    fn folder(self) -> &'static str {
        match self {
            Purpose::Publish => "policy",
            Purpose::Try => "policy-watch",
        }
    }
}

/// Environment variables that change how everything is compiled. Meant for the
/// machine's own code (coverage, CPU features), they have no place in a policy.
const INHERITED: [&str; 5] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
];

/// Compiles policies to components. A crate needs nothing but cargo.
///
/// Every `cdylib` of each crate becomes DIR/NAME.wasm. A `settings.json` beside
/// the crate's Cargo.toml is copied to DIR/NAME.settings.json, where `ephor serve
/// --policies DIR` finds it; for an example it is NAME.settings.json beside its
/// source. A file of rules (`rules.toml`) becomes a component without cargo.
///
/// A crate that depends on a clock, on chance, on the machine or on memory beside its state
/// is refused first; `ephor policy lint` says it together with everything else.
///
/// A folder with package.json and policy.js is a policy in JavaScript, one with
/// pyproject.toml and policy.py one in Python: componentize-js and componentize-py make
/// the component, `ephor.js` and `ephor.py` being there to import. They are looked for in
/// node_modules and .venv of the folder or one above, and on the PATH.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// Folders of the policies, or files of rules; without one, the folder that you are in.
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Where the components go [default: `policies` in cargo's target folder, or in
    /// `target`; for a file of rules `target/policies` beside it].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Passed on to `cargo build`, such as `-- --examples`.
    #[arg(last = true, value_name = "CARGO_ARGS")]
    cargo: Vec<OsString>,
}

/// One component that was built.
struct Built {
    name: String,
    file: PathBuf,
    /// Of the module that cargo made.
    core_bytes: Option<u64>,
    component_bytes: u64,
    digest: Digest,
    settings: bool,
    /// Of the whole crate: cargo does not say it per artefact.
    elapsed: Duration,
}

pub fn run(args: &Args) -> Outcome {
    let mut built = Vec::new();
    let mut names = BTreeSet::new();
    for path in &args.paths {
        for component in build(path, args.out.as_deref(), &args.cargo, Purpose::Publish)? {
            if !names.insert(component.file.clone()) {
                return Err(failed(Exit::Failed, format!("{} is built twice; give the crates different names", component.file.display())));
            }
            built.push(component);
        }
    }
    let mut rows = table::table(&["policy", "core", "component", "settings", "digest", "time"]);
    for component in &built {
        rows.add_row([
            Cell::new(&component.name),
            table::right(component.core_bytes.map_or("–".into(), table::size)),
            table::right(table::size(component.component_bytes)),
            Cell::new(if component.settings { "yes" } else { "none" }),
            Cell::new(format!("sha256:{}…", component.digest.short())),
            table::right(format!("{:.1} s", component.elapsed.as_secs_f64())),
        ]);
    }
    println!("{rows}");
    for folder in built.iter().filter_map(|component| component.file.parent()).collect::<BTreeSet<_>>() {
        println!("in {}", folder.display());
    }
    Ok(())
}

/// The parts of `cargo metadata` that are needed.
#[derive(Deserialize)]
struct Metadata {
    target_directory: PathBuf,
}

/// A line of `cargo build --message-format=json`.
#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    crate_types: Vec<String>,
    src_path: PathBuf,
}

/// A core module that cargo made, and where its settings would be.
struct Artifact {
    module: PathBuf,
    settings: PathBuf,
}

/// The component that a crate makes; nothing is left where components go.
pub(super) fn component(path: &Path, purpose: Purpose) -> Outcome<Vec<u8>> {
    let out = tempfile::tempdir().context("cannot make a folder for the component")?;
    match &build(path, Some(out.path()), &[], purpose)?[..] {
        [built] => Ok(std::fs::read(&built.file).with_context(|| format!("cannot read {}", built.file.display()))?),
        several => {
            let problem = format!("{} makes {} components; build them, and name one with --component", path.display(), several.len());
            Err(failed(Exit::Usage, problem))
        }
    }
}

/// Compiles a crate to components, into `out`; without it where cargo's target folder is.
fn build(path: &Path, out: Option<&Path>, cargo: &[OsString], purpose: Purpose) -> Outcome<Vec<Built>> {
    let begun = Instant::now();
    if let Some(file) = policy_table::file(path) {
        return Ok(vec![build_rules(&file, out, begun)?]);
    }
    let folder = path.canonicalize().with_context(|| format!("cannot find {}", path.display())).or_exit(Exit::Usage)?;
    if languages::is_policy(&folder) {
        return Ok(vec![languages::build(path, &folder, out, cargo)?]);
    }
    if !folder.join("Cargo.toml").is_file() {
        let problem = format!(
            "{} has no Cargo.toml, rules.toml, package.json or pyproject.toml; name the folder of a policy, or a file of rules",
            path.display()
        );
        return Err(failed(Exit::Usage, problem));
    }
    // Much of it would compile, and fail on the first event.
    policy_lint::refuse_impure(&folder, path)?;
    let metadata = metadata(&folder)?;
    check_target(&folder)?;
    let out = out.map_or_else(|| metadata.target_directory.join("policies"), Path::to_path_buf);
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    let artifacts = compile(&folder, &metadata.target_directory, cargo, purpose)?;
    if artifacts.is_empty() {
        return Err(failed(
            Exit::Refused,
            format!(
                "{} makes no WebAssembly module; its Cargo.toml needs\n\n  [lib]\n  crate-type = [\"cdylib\", \"rlib\"]\n",
                path.display()
            ),
        ));
    }
    let elapsed = begun.elapsed();
    artifacts.iter().map(|artifact| wrap(artifact, &out, elapsed)).collect()
}

/// Makes a component of a file of rules.
fn build_rules(file: &Path, out: Option<&Path>, begun: Instant) -> Outcome<Built> {
    let (name, core) = policy_table::module(file)?;
    let folder = policy_table::folder(file);
    let out = out.map_or_else(|| folder.join("target/policies"), Path::to_path_buf);
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    let component = encode(&core).with_context(|| format!("the rules of {} do not make a component", file.display()))?;
    put(name, &core, &component, &folder.join("settings.json"), &out, begun.elapsed())
}

/// A tool of Rust, as the author has it, in a folder.
pub(super) fn tool(name: &str, variable: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::var_os(variable).unwrap_or_else(|| name.into()));
    command.current_dir(folder);
    for variable in INHERITED {
        command.env_remove(variable);
    }
    command
}

fn metadata(folder: &Path) -> anyhow::Result<Metadata> {
    let output = tool("cargo", "CARGO", folder)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo; install Rust from https://rustup.rs")?;
    ensure!(output.status.success(), "cargo cannot read {}", folder.join("Cargo.toml").display());
    serde_json::from_slice(&output.stdout).context("cannot read the output of cargo metadata")
}

/// Says what to do where Rust cannot compile for WebAssembly yet; cargo's own
/// message about it is a page of missing crates.
fn check_target(folder: &Path) -> anyhow::Result<()> {
    let output = tool("rustc", "RUSTC", folder)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .context("cannot run rustc; install Rust from https://rustup.rs")?;
    let libraries = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    ensure!(
        output.status.success() && libraries.is_dir(),
        "Rust cannot compile for WebAssembly here yet; run\n\n  rustup target add {TARGET}\n"
    );
    Ok(())
}

/// Runs cargo. Its progress and the compiler's messages go straight to the
/// author's terminal.
fn compile(folder: &Path, target_dir: &Path, more: &[OsString], purpose: Purpose) -> Outcome<Vec<Artifact>> {
    let mut command = tool("cargo", "CARGO", folder);
    command.args(["build", "--release", "--target", TARGET, "--message-format=json-render-diagnostics"]);
    // Apart from the workspace's own artefacts, which the profile below would
    // otherwise throw away and be thrown away by.
    command.arg("--target-dir").arg(target_dir.join(purpose.folder()));
    for setting in PROFILE.into_iter().chain(purpose.profile()) {
        command.args(["--config", setting]);
    }
    if let Some(setting) = hidden_home() {
        command.args(["--config", &setting]);
    }
    let mut cargo = command
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo; install Rust from https://rustup.rs")?;
    let mut artifacts = Vec::new();
    for line in cargo.stdout.take().map(BufReader::new).into_iter().flat_map(|out| out.lines()) {
        let line = line.context("cannot read the output of cargo")?;
        // Build scripts may print lines of their own.
        let Ok(message) = serde_json::from_str::<Message>(&line) else { continue };
        artifacts.extend(artifact(message, folder));
    }
    let status = cargo.wait().context("cannot wait for cargo")?;
    if !status.success() {
        return Err(failed(Exit::Failed, format!("{} does not compile; cargo says why above", folder.display())));
    }
    Ok(artifacts)
}

/// The module in a message, if it is one of the folder's own.
fn artifact(message: Message, folder: &Path) -> Option<Artifact> {
    let target = message.target?;
    let is_own = message.manifest_path.is_some_and(|manifest| manifest.starts_with(folder));
    if message.reason != "compiler-artifact" || !is_own || !target.crate_types.iter().any(|kind| kind == "cdylib") {
        return None;
    }
    let module = message.filenames.into_iter().find(|file| file.extension().is_some_and(|extension| extension == "wasm"))?;
    let settings = if target.kind.iter().any(|kind| kind == "example") {
        target.src_path.with_extension("settings.json")
    } else {
        folder.join("settings.json")
    };
    Some(Artifact { module, settings })
}

/// Keeps the author's home folder out of the component: the places of panics in
/// dependencies are part of the code. Also makes the digest the same wherever
/// cargo keeps its registry.
fn hidden_home() -> Option<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cargo")))?;
    let flag = format!("--remap-path-prefix={}=/cargo", home.to_str()?);
    // A JSON string is a TOML string.
    Some(format!("target.{TARGET}.rustflags=[{}]", serde_json::Value::from(flag)))
}

fn wrap(artifact: &Artifact, out: &Path, elapsed: Duration) -> Outcome<Built> {
    let stem = artifact.module.file_stem().and_then(|stem| stem.to_str()).context("a module's name is not UTF-8")?;
    let name = stem.replace('_', "-");
    let core = std::fs::read(&artifact.module).with_context(|| format!("cannot read {}", artifact.module.display()))?;
    let component = encode(&core)
        .with_context(|| format!("{name} compiles, but does not make a component; does it export a policy with the SDK's macro, and use nothing of the system?"))
        .or_exit(Exit::Refused)?;
    put(name, &core, &component, &artifact.settings, out, elapsed)
}

/// Writes a component and its settings, if there are some.
fn put(name: String, core: &[u8], component: &[u8], settings: &Path, out: &Path, elapsed: Duration) -> Outcome<Built> {
    let settings = match std::fs::read(settings) {
        Ok(settings) => Some(settings),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(anyhow::Error::new(error).context(format!("cannot read {}", settings.display())).into()),
    };
    if let Some(settings) = &settings {
        write(out, &format!("{name}.settings.json"), settings)?;
    }
    let file = write(out, &format!("{name}.wasm"), component)?;
    Ok(Built {
        name,
        file,
        core_bytes: Some(core.len() as u64),
        component_bytes: component.len() as u64,
        digest: Digest::of(component),
        settings: settings.is_some(),
        elapsed,
    })
}

fn encode(core: &[u8]) -> anyhow::Result<Vec<u8>> {
    // Without the SDK's section any module would do, as a component that exports
    // nothing.
    ensure!(memchr::memmem::find(core, b"component-type").is_some(), "the module names no interface");
    ComponentEncoder::default().validate(true).module(core)?.encode()
}

/// Writes a file so that whoever follows the folder sees all of it or nothing.
pub(super) fn write(folder: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<PathBuf> {
    let file = folder.join(name);
    let on_its_way = folder.join(format!(".{name}.{}", std::process::id()));
    std::fs::write(&on_its_way, bytes)
        .and_then(|()| std::fs::rename(&on_its_way, &file))
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// Why a folder is none of a policy's crate, for verbs that want one, and what can be done
/// with what is there instead.
pub fn no_crate(folder: &Path, takes_components: bool) -> String {
    let shown = folder.display();
    let component = if takes_components { ", or a component" } else { "" };
    match [policy_table::RULES, "policy.js", "policy.py"].into_iter().find(|name| folder.join(name).is_file()) {
        Some(name) => format!(
            "{shown} has no Cargo.toml but {name}; this reads crates{component}. `ephor policy build {shown}` makes a component of it, and `ephor policy test {shown}` tests it"
        ),
        None => format!("{shown} has no Cargo.toml; name the folder of a policy's crate{component}"),
    }
}
