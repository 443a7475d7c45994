//! What a policy is tried with: its component, which a crate is compiled to, settings, and
//! reference lists.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context as _;
use ephor::List;
use ephor::reference::Draft;
use ephor::runtime::Offer;

use super::exit::{Exit, Or as _, Outcome, failed};
use super::policy_build::Purpose;
use super::{list, policy_build};

/// What stands for settings where there are none.
const NO_SETTINGS: &[u8] = b"{}";

/// The version that a list has which is not built.
const UNBUILT: &str = "as-given";

/// A policy, as an author names it.
#[derive(clap::Args)]
pub struct PolicyArgs {
    /// The folder of the crate, which is compiled first, or a component.
    #[arg(value_name = "POLICY")]
    pub policy: PathBuf,
    #[command(flatten)]
    pub with: With,
}

/// What comes with a component.
#[derive(clap::Args, Default)]
pub struct With {
    /// The settings, a JSON document [default: settings.json of the crate,
    /// NAME.settings.json beside the component, or none].
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// A reference list that the policy names: a .list, or a JSON object of values by
    /// their keys. Can be given for several.
    #[arg(long = "list", value_name = "NAME=FILE")]
    lists: Vec<Named>,
}

/// A list in a file.
#[derive(Debug, Clone)]
struct Named {
    name: String,
    file: PathBuf,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok(Named { name: name.into(), file: file.into() }),
            _ => Err("write it as NAME=FILE, with the name that the policy has for the list".into()),
        }
    }
}

/// A component with what it is tried with.
#[derive(Debug, Clone)]
pub struct Parts {
    pub component: Arc<[u8]>,
    pub settings: Arc<[u8]>,
    pub lists: Vec<Arc<List>>,
}

impl Parts {
    /// A release of it for development.
    pub fn offer(&self) -> Offer {
        Offer { lists: self.lists.clone(), ..Offer::development(self.component.clone(), self.settings.clone()) }
    }
}

impl PolicyArgs {
    /// Reads everything, after compiling the crate if it is one.
    pub fn read(&self) -> Outcome<Parts> {
        read(&self.policy, &self.with)
    }
}

/// The parts of a policy in a folder or a file.
pub fn read(policy: &Path, with: &With) -> Outcome<Parts> {
    let is_crate = policy.is_dir();
    if is_crate && !policy.join("Cargo.toml").is_file() {
        return Err(failed(Exit::Usage, policy_build::no_crate(policy, true)));
    }
    let beside = match is_crate {
        true => policy.join("settings.json"),
        false => policy.with_extension("settings.json"),
    };
    // First, for a wrong path should not cost a build.
    let settings = match &with.settings {
        Some(file) => read_file(file)?,
        None if beside.is_file() => read_file(&beside)?,
        None => NO_SETTINGS.to_vec(),
    };
    let lists = with.lists.iter().map(|named| open(named).map(Arc::new)).collect::<Outcome<Vec<_>>>()?;
    let component = match is_crate {
        true => policy_build::component(policy, Purpose::Publish)?,
        false => read_file(policy)?,
    };
    Ok(Parts { component: component.into(), settings: settings.into(), lists })
}

fn read_file(file: &Path) -> Outcome<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display())).or_exit(Exit::Usage)
}

fn open(Named { name, file }: &Named) -> Outcome<List> {
    if file.extension().is_some_and(|extension| extension == "json") {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display())).or_exit(Exit::Usage)?;
        let entries: BTreeMap<String, String> = serde_json::from_str(&text)
            .map_err(|error| {
                anyhow::anyhow!("{}:{}:{}: a list is a JSON object of strings: {error}", file.display(), error.line(), error.column())
            })
            .or_exit(Exit::Refused)?;
        let made = || {
            let mut draft = Draft::new(name, UNBUILT, &["key", "value"])?;
            entries.iter().try_for_each(|(key, value)| draft.push(key, value))?;
            draft.finish()
        };
        return made().with_context(|| format!("{} makes no list", file.display())).or_exit(Exit::Refused);
    }
    let list = list::open(file)?;
    match list.name() == name {
        true => Ok(list),
        false => Err(failed(Exit::Usage, format!("{} is the list {:?}, not {name:?}", file.display(), list.name()))),
    }
}
