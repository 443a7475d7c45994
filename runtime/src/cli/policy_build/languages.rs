//! Policies in JavaScript and Python: the tools that their languages have make a
//! component, out of the author's files, the contract and the SDK's helper.
//!
//! Each tool leaves WASI out of what it makes, where its engine would ask for a clock,
//! randomness or files: the component imports nothing but the contract.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use ephor::digest::Digest;
use ephor::policy::Language;
use ephor::policy::manifest::is_name;
use serde::Deserialize;

use super::{Built, write};
use crate::cli::exit::{Exit, Or as _, Outcome, failed};

/// The contract, as tools want it: a folder of files.
const CONTRACT: [(&str, &str); 7] = [
    ("columns.wit", include_str!("../../../../wit/columns.wit")),
    ("evaluation.wit", include_str!("../../../../wit/evaluation.wit")),
    ("log.wit", include_str!("../../../../wit/log.wit")),
    ("manifest.wit", include_str!("../../../../wit/manifest.wit")),
    ("reference.wit", include_str!("../../../../wit/reference.wit")),
    ("settings.wit", include_str!("../../../../wit/settings.wit")),
    ("world.wit", include_str!("../../../../wit/world.wit")),
];

/// The world in it that a policy targets.
const WORLD: &str = "policy";

/// Folders that are not the author's.
const NOT_SOURCES: [&str; 4] = ["node_modules", "target", "venv", "__pycache__"];

/// How a policy of a language is found and made.
struct Way {
    language: Language,
    /// The file that says that a folder is such a policy, and its name.
    manifest: &'static str,
    /// The file that the policy is in.
    entry: &'static str,
    /// What its files end in.
    ending: &'static str,
    helper: (&'static str, &'static str),
    tool: &'static str,
    /// Where packages put tools, below the author's folder or one above.
    folder: &'static str,
    /// How to get the tool; `{}` is the author's folder.
    remedy: &'static str,
}

const WAYS: [Way; 2] = [
    Way {
        language: Language::JavaScript,
        manifest: "package.json",
        entry: "policy.js",
        ending: "js",
        helper: ("ephor.js", include_str!("../../../../sdk/javascript/ephor.js")),
        tool: "componentize-js",
        folder: "node_modules/.bin",
        remedy: "npm ci --prefix {}",
    },
    Way {
        language: Language::Python,
        manifest: "pyproject.toml",
        entry: "policy.py",
        ending: "py",
        helper: ("ephor.py", include_str!("../../../../sdk/python/ephor.py")),
        tool: "componentize-py",
        folder: ".venv/bin",
        remedy: "python3 -m venv {}/.venv && {}/.venv/bin/pip install --require-hashes -r {}/requirements.txt",
    },
];

fn way(folder: &Path) -> Option<&'static Way> {
    WAYS.iter().find(|way| folder.join(way.manifest).is_file())
}

/// Whether a folder has a policy in one of these languages.
pub fn is_policy(folder: &Path) -> bool {
    !folder.join("Cargo.toml").is_file() && way(folder).is_some()
}

/// Makes the component of such a folder, into `out`; without it into `target/policies` in
/// the folder.
pub(super) fn build(path: &Path, folder: &Path, out: Option<&Path>, more: &[OsString]) -> Outcome<Built> {
    let begun = Instant::now();
    let way = way(folder).with_context(|| format!("{} is no policy", path.display()))?;
    if !more.is_empty() {
        let problem = format!("{} is {}, and is not compiled by cargo; leave out what is behind `--`", path.display(), way.language);
        return Err(failed(Exit::Usage, problem));
    }
    let name = name(folder, way).or_exit(Exit::Usage)?;
    if !folder.join(way.entry).is_file() {
        let problem = format!("{} has no {}; that is where a policy in {} is", path.display(), way.entry, way.language);
        return Err(failed(Exit::Usage, problem));
    }
    let stage = tempfile::tempdir().context("cannot make a folder for the build")?;
    let sources = stage.path().join("policy");
    copy(folder, &sources, way)?;
    fs::write(sources.join(way.helper.0), way.helper.1).context("cannot write into the folder for the build")?;
    let contract = stage.path().join("wit");
    fs::create_dir(&contract).context("cannot make a folder for the build")?;
    for (file, text) in CONTRACT {
        fs::write(contract.join(file), text).context("cannot write into the folder for the build")?;
    }
    let made = stage.path().join("made.wasm");
    let mut command = way.command(path, folder)?;
    match way.language {
        Language::JavaScript => command
            .arg("--wit")
            .arg(&contract)
            .args(["--world-name", WORLD, "--disable", "random", "stdio", "clocks", "http", "fetch-event", "--out"])
            .args([made.as_os_str(), sources.join(way.entry).as_os_str()]),
        Language::Python => {
            command.arg("--quiet").arg("--wit-path").arg(&contract).args(["--world", WORLD, "componentize", "--stub-wasi"]);
            command.arg("--python-path").args([sources.as_os_str(), "policy".as_ref(), "--output".as_ref(), made.as_os_str()])
        }
    };
    // The folder is gone afterwards, so that no path of it may get into the component.
    let status = command
        .current_dir(&sources)
        .env_remove("PYTHONPATH")
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if !status.success() || !made.is_file() {
        return Err(failed(Exit::Failed, format!("{} does not make a component; {} says why above", path.display(), way.tool)));
    }
    let made = fs::read(&made).with_context(|| format!("cannot read what {} made", way.tool))?;
    let component = marked(made, way.language);
    let out = out.map_or_else(|| folder.join("target/policies"), Path::to_path_buf);
    fs::create_dir_all(&out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    let settings = folder.join("settings.json");
    let has_settings = settings.is_file();
    if has_settings {
        let settings = fs::read(&settings).with_context(|| format!("cannot read {}", settings.display()))?;
        write(&out, &format!("{name}.settings.json"), &settings)?;
    }
    let file = write(&out, &format!("{name}.wasm"), &component)?;
    Ok(Built {
        name,
        file,
        core_bytes: None,
        component_bytes: component.len() as u64,
        digest: Digest::of(&component),
        settings: has_settings,
        elapsed: begun.elapsed(),
    })
}

impl Way {
    /// The tool: the author's own, below the folder or one above; otherwise the one that
    /// is found by its name.
    fn command(&self, path: &Path, folder: &Path) -> Outcome<Command> {
        let own = folder.ancestors().map(|above| above.join(self.folder).join(self.tool)).find(|tool| tool.is_file());
        let installed = || {
            let places = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&places).map(|place| place.join(self.tool)).find(|tool| tool.is_file())
        };
        match own.or_else(installed) {
            Some(tool) => Ok(Command::new(tool)),
            None => {
                let remedy = self.remedy.replace("{}", &path.display().to_string());
                let problem = format!("{}, which makes components of {}, is not installed; run\n\n  {remedy}\n", self.tool, self.language);
                Err(failed(Exit::Failed, problem))
            }
        }
    }
}

/// The name that the component's file gets.
fn name(folder: &Path, way: &Way) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Package {
        name: String,
    }
    #[derive(Deserialize)]
    struct Project {
        project: Package,
    }
    let file = folder.join(way.manifest);
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let name = match way.language {
        Language::JavaScript => serde_json::from_str::<Package>(&text).map(|package| package.name).map_err(anyhow::Error::from),
        Language::Python => toml::from_str::<Project>(&text).map(|project| project.project.name).map_err(anyhow::Error::from),
    };
    let name = name.with_context(|| format!("{} does not say what the policy is called", file.display()))?;
    ensure!(is_name(&name), "{} has the name {name:?}; give it one of lower-case words joined by hyphens", file.display());
    Ok(name)
}

/// Copies the author's sources, so that the helper and the contract can stand beside them.
fn copy(from: &Path, to: &Path, way: &Way) -> anyhow::Result<()> {
    fs::create_dir(to).with_context(|| format!("cannot make the folder {}", to.display()))?;
    let fail = || format!("cannot read {}", from.display());
    for entry in from.read_dir().with_context(fail)? {
        let path = entry.with_context(fail)?.path();
        let Some(name) = path.file_name().and_then(OsStr::to_str).filter(|name| !name.starts_with('.')) else { continue };
        if path.is_dir() && !NOT_SOURCES.contains(&name) {
            copy(&path, &to.join(name), way)?;
        } else if path.is_file() && path.extension().is_some_and(|ending| ending == way.ending) {
            fs::copy(&path, to.join(name)).with_context(|| format!("cannot copy {}", path.display()))?;
        }
    }
    Ok(())
}

/// The component with the mark of its language, which decides what it is held to: a
/// `producers` section of its own, as the tool conventions have it. One more does no harm
/// to a tool that writes it too.
fn marked(mut component: Vec<u8>, language: Language) -> Vec<u8> {
    let name = language.to_string();
    let mut content = Vec::new();
    // All lengths are below 128, and so a byte each.
    for part in ["producers", "\u{1}", "language", "\u{1}", &name, ""] {
        if part != "\u{1}" {
            content.push(part.len() as u8);
        }
        content.extend_from_slice(part.as_bytes());
    }
    component.extend([0, content.len() as u8]);
    component.extend(content);
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_a_section_of_its_own() {
        let component = b"\0asm\x0d\0\x01\0".to_vec();
        let marked = marked(component.clone(), Language::Python);
        let mark = b"\x00\x1d\x09producers\x01\x08language\x01\x06Python\x00";
        assert_eq!(marked, [&component[..], &mark[..]].concat());
        assert_eq!(usize::from(mark[1]), mark.len() - 2);
    }

    #[test]
    fn a_folder_says_by_a_file_what_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(!is_policy(folder.path()));
        fs::write(folder.path().join("package.json"), r#"{"name": "a-b"}"#).expect("written");
        assert!(is_policy(folder.path()));
        let way = way(folder.path()).expect("a way");
        assert_eq!((way.language, name(folder.path(), way).expect("a name").as_str()), (Language::JavaScript, "a-b"));
        fs::write(folder.path().join("package.json"), r#"{"name": "@a/b"}"#).expect("written");
        assert!(name(folder.path(), way).is_err());
        fs::write(folder.path().join("Cargo.toml"), "").expect("written");
        assert!(!is_policy(folder.path()), "a crate is cargo's");
    }

    #[test]
    fn sources_are_copied_and_nothing_else() {
        let (from, to) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        for folder in ["rules", "node_modules", ".venv"] {
            fs::create_dir(from.path().join(folder)).expect("made");
            fs::write(from.path().join(folder).join("a.js"), "").expect("written");
        }
        fs::write(from.path().join("policy.js"), "").expect("written");
        fs::write(from.path().join("secret.txt"), "").expect("written");
        let copied = to.path().join("policy");
        copy(from.path(), &copied, &WAYS[0]).expect("copied");
        assert!(copied.join("policy.js").is_file() && copied.join("rules/a.js").is_file());
        assert!(!["secret.txt", "node_modules", ".venv"].iter().any(|name| copied.join(name).exists()));
    }
}
