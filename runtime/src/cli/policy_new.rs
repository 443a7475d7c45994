//! `ephor policy new`: a crate that is a policy from its first minute.
//!
//! The folders in `policy_new/` hold such a crate each, with `{{…}}` where something is
//! the author's. What comes out compiles and its tests pass, so that an author changes
//! something that works, from the first line on.

mod rules;

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use ephor::policy::manifest::{TEXT_BYTES_MAX, is_name};
use serde::Deserialize;

use super::exit::{self, Exit, Or as _, Outcome, failed};
use super::policy_build::tool;

/// The crate that policies are written with, and the folder that it has beside policies.
const SDK: &str = "ephor-sdk";
const SDK_FOLDER: &str = "sdk";

/// What editors and authors look for. Put together, so that whoever looks for it here
/// finds nothing.
const TO_DO: &str = concat!("TO", "DO");
const NO_LEGAL_BASIS: &str = concat!("TO", "DO: name the act and its section");

/// What Rust keeps for itself of all that a policy could be called, and crates that are
/// there in any case.
const TAKEN_NAMES: &str = "abstract alloc as async await become box break const continue core crate do dyn else enum extern false final fn \
    for gen if impl in let loop macro match mod move mut override priv proc-macro pub ref return self static std struct super test trait \
    true try type typeof unsafe unsized use virtual where while yield ephor-sdk ephor-sdk-macros";

/// What the templates use by these names.
const TAKEN_TYPES: &str =
    "Account Clone Copy Counter Duration Event Fields Option Out Policy Result Rule Rules Settings SettingsErrors Time Tumbling";

/// Makes the crate of a new policy, or its file of rules. It builds, and its tests pass.
///
/// What is not given as an option is asked for, on a terminal. Everything can be
/// changed later: it is a few lines in `src/lib.rs`, or in `rules.toml`.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// The policy's name: lower-case words joined by hyphens, such as fleet-cap.
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// The type of the CloudEvents that it judges; `*` is any run of characters.
    #[arg(long, value_name = "TYPE", value_parser = event_type)]
    event: Option<String>,
    /// What it does, in one sentence.
    #[arg(long, value_name = "SENTENCE", value_parser = sentence)]
    summary: Option<String>,
    /// The clause of law that it carries out.
    #[arg(long, value_name = "CLAUSE", value_parser = sentence)]
    legal_basis: Option<String>,
    /// Begins with a policy that remembers: it counts events by the hour.
    #[arg(long)]
    stateful: bool,
    /// One file of rules instead of a crate: no compiler is needed.
    #[arg(long, conflicts_with_all = ["stateful", "sdk"])]
    table: bool,
    /// Folder of the crate ephor-sdk [default: `sdk` here or in a folder above; without
    /// one, the crate of this version].
    #[arg(long, value_name = "PATH")]
    sdk: Option<PathBuf>,
    /// The folder to make; empty or not there [default: ./NAME].
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

/// What a new policy begins as.
struct Template {
    summary: &'static str,
    /// Its `src/lib.rs`.
    code: &'static str,
    /// The other files, by where they go.
    files: &'static [(&'static str, &'static str)],
}

const MANIFEST: &str = include_str!("policy_new/Cargo.toml.in");
const CODE: &str = "src/lib.rs";

/// For a crate that is no member of a workspace. Without it cargo refuses a crate that
/// is below a workspace which does not know it.
const OWN_WORKSPACE: &str = "
# This crate stands by itself, whatever workspace its folder is in. To make it a member of
# one, remove this table.
[workspace]
";

/// Looks at one event at a time.
const PLAIN: Template = Template {
    summary: "Flags events whose amount is above a limit.",
    code: include_str!("policy_new/plain/lib.rs.in"),
    files: &[
        ("settings.json", include_str!("policy_new/plain/settings.json.in")),
        ("vectors/above.json", include_str!("policy_new/plain/above.json.in")),
        ("vectors/within.json", include_str!("policy_new/plain/within.json.in")),
        ("vectors/unreadable.json", include_str!("policy_new/plain/unreadable.json.in")),
        ("tests/vectors.rs", include_str!("policy_new/plain/vectors.rs.in")),
        ("README.md", include_str!("policy_new/plain/README.md.in")),
        (".gitignore", include_str!("policy_new/gitignore.in")),
    ],
};

/// Counts the events of each account by the hour.
const STATEFUL: Template = Template {
    summary: "Flags accounts that have more events in one hour than a limit.",
    code: include_str!("policy_new/stateful/lib.rs.in"),
    files: &[
        ("settings.json", include_str!("policy_new/stateful/settings.json.in")),
        ("vectors/sequence.json", include_str!("policy_new/stateful/sequence.json.in")),
        ("vectors/within.json", include_str!("policy_new/stateful/within.json.in")),
        ("vectors/not-judged.json", include_str!("policy_new/stateful/not-judged.json.in")),
        ("tests/vectors.rs", include_str!("policy_new/stateful/vectors.rs.in")),
        ("README.md", include_str!("policy_new/stateful/README.md.in")),
        (".gitignore", include_str!("policy_new/gitignore.in")),
    ],
};

pub fn run(args: &Args) -> Outcome {
    if args.table {
        return rules::run(args);
    }
    let template = if args.stateful { &STATEFUL } else { &PLAIN };
    let folder = args.into.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    // Everything that can be wrong is found before anything is asked or made.
    check_unused(&folder)?;
    let sdk = Sdk::find(args.sdk.as_deref())?;
    let answers = Answers::of(args, template)?;

    fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let folder = Folder::of(folder)?;
    let sdk_line = sdk.dependency(&folder.path)?;
    // Only cargo knows for sure whether a workspace around takes the crate in, and only
    // once the crate is there. So it is asked with one that could be a member.
    let as_member = Values::of(&args.name, &answers, &sdk_line, &folder.path, Some(&folder.path));
    for (path, template) in [("Cargo.toml", MANIFEST), (CODE, template.code)] {
        folder.write(path, as_member.fill(template).as_bytes())?;
    }
    let workspace = folder.workspace_around();
    let values = Values::of(&args.name, &answers, &sdk_line, &folder.path, workspace.as_deref());
    if workspace.is_none() {
        folder.replace("Cargo.toml", values.fill(MANIFEST).as_bytes())?;
        // A workspace has one already. Those of the SDK are the versions that are known
        // to work, and to be on this machine: so the crate builds without a network.
        if let Some(lock) = sdk.lock() {
            let lock = fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
            folder.write("Cargo.lock", &lock)?;
        }
    }
    for (path, template) in template.files {
        folder.write(path, values.fill(template).as_bytes())?;
    }
    print(&args.name, &folder, &sdk, &values);
    Ok(())
}

fn print(name: &str, folder: &Folder, sdk: &Sdk, values: &Values) {
    println!("{name} is a policy now, with tests that pass. In {}:\n", folder.shown.display());
    let from = match sdk {
        Sdk::Folder { folder, .. } => format!("the crate, with the SDK in {}", folder.display()),
        Sdk::Registry => format!("the crate, with {SDK} {}", sdk_version()),
    };
    for (path, about) in [
        ("Cargo.toml", from.as_str()),
        (CODE, "what it sees, what it can find, and how it judges"),
        ("settings.json", "what its publisher decides"),
        ("vectors/", "events, and what it says about each"),
        ("tests/vectors.rs", "runs them natively"),
        ("README.md", "the rule in prose, and its legal source"),
    ] {
        println!("  {path:<18}{about}");
    }
    println!("\nNext:\n");
    let place = format!("cd {}", folder.shown.display());
    let built = format!("makes the component, in {}", values.get("policies").unwrap_or_default());
    for (command, about) in [
        (place.as_str(), ""),
        ("cargo test", "runs the vectors natively"),
        ("ephor policy build", built.as_str()),
        ("ephor policy test", "runs the vectors against the component"),
    ] {
        println!("{}", format!("  {command:<20}{about}").trim_end());
    }
    let places = if values.get("legal-basis") == Some(NO_LEGAL_BASIS) { "README.md and src/lib.rs" } else { "README.md" };
    println!("\n{TO_DO} in {places} marks what only you can say: the rule, and the law behind it.");
}

/// The name of a policy, which is that of its crate too.
fn name(text: &str) -> Result<String, String> {
    if !is_name(text) {
        return Err("expected lower-case words joined by hyphens, such as fleet-cap; for a folder of another name there is --into".into());
    }
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return Err("a crate's name cannot begin with a digit; put a word before it".into());
    }
    if is_among(text, TAKEN_NAMES) {
        return Err(format!("Rust knows something else by this name; add a word to it, such as {text}-rule"));
    }
    Ok(text.to_string())
}

/// A text that can stand in the manifest and in the files of the crate.
fn sentence(text: &str) -> Result<String, String> {
    let text = text.trim();
    // Those that turn the direction of writing are refused in code by Rust as well.
    let is_hidden = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if text.is_empty() {
        Err("expected a text, found none".into())
    } else if text.contains(is_hidden) {
        Err("has a line break or another character that cannot be seen; write it as one plain line".into())
    } else if text.len() > TEXT_BYTES_MAX {
        Err(format!("has {} bytes, at most {TEXT_BYTES_MAX}", text.len()))
    } else {
        Ok(text.to_string())
    }
}

fn event_type(text: &str) -> Result<String, String> {
    let text = sentence(text)?;
    // It also stands in a command of the README, in quotes.
    if text.contains(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '`' | '\\')) {
        return Err("the type of an event has no blanks or quotes; expected one such as shop.order.placed".into());
    }
    Ok(text)
}

/// Takes what is good, in its final form, or says what would be.
type Check = fn(&str) -> Result<String, String>;

/// What is the author's to say.
struct Answers {
    event: String,
    summary: String,
    legal_basis: String,
}

impl Answers {
    /// As given; asked for where a person is there to answer; otherwise as the template
    /// has it.
    fn of(args: &Args, template: &Template) -> anyhow::Result<Self> {
        let is_person = io::stdin().is_terminal() && io::stderr().is_terminal();
        let answer = |given: &Option<String>, question: &str, default: &str, check: Check| match given {
            Some(given) => Ok(given.clone()),
            None if is_person => ask(question, default, check),
            None => Ok(default.to_string()),
        };
        Ok(Answers {
            event: answer(&args.event, "Which type of events does it judge", "shop.order.placed", event_type)?,
            summary: answer(&args.summary, "What does it do, in one sentence", template.summary, sentence)?,
            legal_basis: answer(&args.legal_basis, "Which clause of law does it carry out", NO_LEGAL_BASIS, sentence)?,
        })
    }
}

/// Asks until there is an answer; nothing is the default.
fn ask(question: &str, default: &str, check: Check) -> anyhow::Result<String> {
    loop {
        // Standard output is for what was made.
        eprint!("{question} [{default}]? ");
        let mut line = String::new();
        let bytes = io::stdin().read_line(&mut line).context("cannot read the answer")?;
        if line.trim().is_empty() {
            if bytes == 0 {
                // The input has ended, and left the cursor behind the question.
                eprintln!();
            }
            return Ok(default.to_string());
        }
        match check(&line) {
            Ok(answer) => return Ok(answer),
            Err(problem) => eprintln!("  {problem}"),
        }
    }
}

/// Where the crate takes the SDK from.
enum Sdk {
    /// A folder, and whether it is to be found from everywhere by the same path, or from
    /// where the crate is.
    Folder { folder: PathBuf, is_absolute: bool },
    /// The registry that cargo asks.
    Registry,
}

/// The part of a Cargo.toml that says whose it is.
#[derive(Deserialize)]
struct CargoToml {
    package: Option<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

impl Sdk {
    fn find(given: Option<&Path>) -> Outcome<Self> {
        let Some(given) = given else {
            let here = std::env::current_dir().context("cannot tell which folder this is")?;
            let mut folders = here.ancestors().map(|folder| folder.join(SDK_FOLDER));
            // What is no SDK was not meant.
            let found = folders.find(|folder| package(folder).is_ok_and(|name| name == SDK));
            let found = found.and_then(|folder| folder.canonicalize().ok());
            return Ok(found.map_or(Sdk::Registry, |folder| Sdk::Folder { folder, is_absolute: false }));
        };
        let found = package(given).with_context(|| format!("--sdk takes the folder of the crate {SDK}")).or_exit(Exit::Usage)?;
        if found != SDK {
            return Err(failed(
                Exit::Usage,
                format!("{} is the crate {found}; --sdk takes the folder of {SDK}", given.join("Cargo.toml").display()),
            ));
        }
        let folder = given.canonicalize().with_context(|| format!("cannot find {}", given.display()))?;
        Ok(Sdk::Folder { folder, is_absolute: given.is_absolute() })
    }

    /// The line of a Cargo.toml, for a crate in `from`.
    fn dependency(&self, from: &Path) -> anyhow::Result<String> {
        let Sdk::Folder { folder, is_absolute } = self else { return Ok(format!("{SDK} = {}", quoted(&sdk_version()))) };
        let path = if *is_absolute { folder.clone() } else { relative(from, folder) };
        let path = path.to_str().with_context(|| format!("{} is not UTF-8, which a path in a Cargo.toml has to be", path.display()))?;
        Ok(format!("{SDK} = {{ path = {} }}", quoted(path)))
    }

    /// The Cargo.lock of the SDK's own workspace.
    fn lock(&self) -> Option<PathBuf> {
        let Sdk::Folder { folder, .. } = self else { return None };
        folder.ancestors().take(2).map(|folder| folder.join("Cargo.lock")).find(|lock| lock.is_file())
    }
}

/// Which versions of the SDK will do. It has the version of this program.
fn sdk_version() -> String {
    concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR")).to_string()
}

/// The name of the crate in a folder.
fn package(folder: &Path) -> anyhow::Result<String> {
    let file = folder.join("Cargo.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let manifest: CargoToml = toml::from_str(&text).with_context(|| format!("cannot understand {}", file.display()))?;
    let package = manifest.package.with_context(|| format!("{} is of a workspace, not of a crate", file.display()))?;
    Ok(package.name)
}

/// Nothing is ever written over.
fn check_unused(folder: &Path) -> Outcome {
    let is_empty = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => {
            let context = format!("cannot make a crate in {}; name another folder with --into", folder.display());
            return Err(error).context(context).or_exit(Exit::Usage);
        }
    };
    if is_empty {
        return Ok(());
    }
    Err(failed(Exit::Usage, format!("{} is there already, and is not empty; name another folder with --into", folder.display())))
}

/// The folder of the new crate.
struct Folder {
    /// Without links, from the root.
    path: PathBuf,
    /// As its author names it.
    shown: PathBuf,
}

/// The part of `cargo metadata` that is needed.
#[derive(Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
}

impl Folder {
    fn of(shown: PathBuf) -> anyhow::Result<Self> {
        let path = shown.canonicalize().with_context(|| format!("cannot find the folder {}", shown.display()))?;
        Ok(Folder { path, shown })
    }

    /// The workspace that has the crate as a member: of those around it, or none.
    ///
    /// If cargo is not there, or refuses the crate because a workspace around it does not
    /// know it, the crate has to stand by itself.
    fn workspace_around(&self) -> Option<PathBuf> {
        let mut cargo = tool("cargo", "CARGO", &self.path);
        let output = cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).output().ok()?;
        let metadata: Metadata = serde_json::from_slice(&output.stdout).ok().filter(|_| output.status.success())?;
        metadata.workspace_root.canonicalize().ok().filter(|root| *root != self.path)
    }

    /// Writes a file that is not there yet.
    fn write(&self, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let file = self.path.join(path);
        let made = file.parent().map_or(Ok(()), fs::create_dir_all);
        let written = made.and_then(|()| fs::File::create_new(&file)?.write_all(bytes));
        written.with_context(|| format!("cannot write {}", self.shown.join(path).display()))
    }

    /// Writes a file anew that was just made.
    fn replace(&self, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
        fs::write(self.path.join(path), bytes).with_context(|| format!("cannot write {}", self.shown.join(path).display()))
    }
}

/// What stands for `{{…}}` in templates, by its name.
struct Values(Vec<(&'static str, String)>);

impl Values {
    /// For a crate in `folder`. `workspace` is the root of the one that it is a member of.
    fn of(name: &str, answers: &Answers, sdk: &str, folder: &Path, workspace: Option<&Path>) -> Self {
        let Answers { event, summary, legal_basis } = answers;
        let policies = workspace.map_or_else(PathBuf::new, |root| relative(folder, root)).join("target/policies");
        Values(vec![
            ("name", name.to_string()),
            ("crate", name.replace('-', "_")),
            ("type", type_name(name)),
            ("rust-version", env!("CARGO_PKG_RUST_VERSION").to_string()),
            ("sdk", sdk.to_string()),
            ("workspace", if workspace.is_none() { OWN_WORKSPACE.to_string() } else { String::new() }),
            ("policies", policies.display().to_string()),
            ("event", event.clone()),
            ("event.quoted", quoted(event)),
            // One that the pattern matches.
            ("example.quoted", quoted(&event.replace('*', "example"))),
            ("summary", summary.clone()),
            ("summary.quoted", quoted(summary)),
            ("legal-basis", legal_basis.clone()),
            ("legal-basis.quoted", quoted(legal_basis)),
        ])
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str())
    }

    /// Puts them into a template. Braces in a value are its own, and left alone.
    fn fill(&self, template: &str) -> String {
        let mut text = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, (name, after))) = rest.split_once("{{").and_then(|(before, rest)| Some((before, rest.split_once("}}")?))) {
            text.push_str(before);
            // Every name has a value; a test holds the templates to that.
            text.push_str(self.get(name).unwrap_or_default());
            rest = after;
        }
        text.push_str(rest);
        // Where the last value is nothing, the file ends with one line end all the same.
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }
}

/// A text without control characters as JSON, in which form it is Rust and TOML too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `fleet-cap` as `FleetCap`, or as something that the template does not use.
fn type_name(name: &str) -> String {
    let mut own = String::with_capacity(name.len());
    for word in name.split('-') {
        let mut letters = word.chars();
        own.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        own.push_str(letters.as_str());
    }
    if is_among(&own, TAKEN_TYPES) {
        own.push_str("Policy");
    }
    own
}

fn is_among(word: &str, words: &str) -> bool {
    words.split(' ').any(|other| other == word)
}

/// The way from a folder to another, both from the root and without links.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let common = from.components().zip(to.components()).take_while(|(one, other)| one == other).count();
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    up.chain(to.components().skip(common)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With these texts, in `/srv/policies/fleet-cap`.
    fn example(event: &str, text: &str, workspace: Option<&Path>) -> Values {
        let answers = Answers { event: event.into(), summary: text.into(), legal_basis: text.into() };
        Values::of("fleet-cap", &answers, "ephor-sdk = \"0.1\"", Path::new("/srv/policies/fleet-cap"), workspace)
    }

    fn templates() -> Vec<(&'static str, &'static str)> {
        let code = [("Cargo.toml", MANIFEST), (CODE, PLAIN.code), (CODE, STATEFUL.code)];
        code.iter().chain(PLAIN.files).chain(STATEFUL.files).copied().collect()
    }

    #[test]
    fn every_place_in_a_template_has_a_value() {
        let values = example("shop.*", "Plain.", None);
        for (path, template) in templates() {
            for rest in template.split("{{").skip(1) {
                let name = rest.split_once("}}").map(|(name, _)| name);
                assert!(name.and_then(|name| values.get(name)).is_some(), "{path}: {name:?}");
            }
            let text = values.fill(template);
            assert!(text.ends_with('\n') && !text.ends_with("\n\n") && !text.contains("{{"), "{path}:\n{text}");
        }
    }

    #[test]
    fn texts_stand_in_files_as_they_were_given() {
        let text = r#"Flags "too many" \ {{name}} of {count}, 超过"#;
        let values = example("shop.*", &sentence(text).expect("a plain line"), None);
        for (path, template) in templates().into_iter().filter(|(path, _)| path.ends_with(".json")) {
            let json: serde_json::Value = serde_json::from_str(&values.fill(template)).expect("JSON");
            assert!(json["events"].as_array().is_none_or(|events| events[0]["type"] == "shop.example"), "{path}: {json}");
        }
        let manifest: toml::Table = toml::from_str(&values.fill(MANIFEST)).expect("TOML");
        assert_eq!(manifest["package"]["description"].as_str(), Some(text));
        let code = values.fill(PLAIN.code);
        assert!(code.contains(r#"summary = "Flags \"too many\" \\ {{name}} of {count}, 超过""#), "{code}");
    }

    #[test]
    fn a_member_of_a_workspace_is_none_of_its_own() {
        let member = example("shop.*", "Plain.", Some(Path::new("/srv")));
        assert!(!member.fill(MANIFEST).contains("[workspace]"));
        assert_eq!(member.get("policies"), Some("../../target/policies"));
        let alone = example("shop.*", "Plain.", None);
        assert!(alone.fill(MANIFEST).ends_with("\n[workspace]\n"));
        assert_eq!(alone.get("policies"), Some("target/policies"));
    }

    #[test]
    fn names_are_those_of_policies_and_of_crates() {
        for good in ["x", "fleet-cap", "price-2", "tests"] {
            assert_eq!(name(good).as_deref(), Ok(good));
        }
        for bad in ["", "Fleet", "fleet_cap", "-x", "x-", "policies/x", "2-price", "match", "std", "ephor-sdk", "刀"] {
            assert!(name(bad).is_err(), "{bad}");
        }
        assert_eq!(type_name("fleet-cap"), "FleetCap");
        assert_eq!(type_name("price-2nd"), "Price2nd");
        assert_eq!(type_name("rule"), "RulePolicy");
    }

    #[test]
    fn texts_are_one_line_that_shows_all_it_has() {
        assert_eq!(sentence("  Order Act, section 5 ").as_deref(), Ok("Order Act, section 5"));
        for bad in ["", " \n", "one\ntwo", "a\u{202e}b", &"x".repeat(TEXT_BYTES_MAX + 1)] {
            assert!(sentence(bad).is_err(), "{bad:?}");
        }
        assert_eq!(event_type("shop.order.*").as_deref(), Ok("shop.order.*"));
        for bad in ["", "shop order", "shop.'order'", "\"a\"", "a\\b"] {
            assert!(event_type(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ways_go_up_and_down() {
        let way = |from: &str, to: &str| relative(Path::new(from), Path::new(to)).display().to_string();
        assert_eq!(way("/a/b/c", "/a/sdk"), "../../sdk");
        assert_eq!(way("/a", "/a/sdk"), "sdk");
        assert_eq!(way("/opt/x", "/srv/sdk"), "../../srv/sdk");
    }
}
