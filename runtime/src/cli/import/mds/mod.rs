//! `ephor import mds`: a city's mobility policies → settings of the policy `mds`.
//!
//! Nothing is left out in silence: what the settings cannot say is collected ([`Left`])
//! with its place in the document, and ends the import unless `--skip` is given.

mod convert;
mod document;
mod export;
mod geography;
mod settings;
mod zone;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use ephor::sandbox::Limits;

use super::super::exit::{self, Exit, Or as _, Outcome, failed};
use super::super::log::replace;
use super::super::table;
use geography::Geographies;
use settings::Settings;

/// Turns a city's mobility policies (MDS Policy 1.2 or 2.0) into settings of the policy `mds`.
///
/// POLICY.json is what a city serves under /policies, or a file of the same form: rules of
/// type time, speed and count, with geographies, states and types of vehicles, days and
/// hours. The geographies come from the document of the Geography API. An export of
/// boundaries by Populus, which has the geometries in it, is read too.
///
/// What the settings cannot say ends the import, with its place in the document and the
/// reason: fees, counts other than none, events within a state, providers without a name.
/// With --skip it is left out. Whom such a rule is about, the rules behind it in its policy
/// are still not about; where that cannot be said, these are left out as well. Messages to
/// riders are not for supervision and are passed over.
///
/// Example, of Columbus, Ohio, with the ids of two providers as MDS lists them:
///
///   ephor import mds policies.json --geographies geographies.json \
///     --zone EST5EDT,M3.2.0,M11.1.0 --out settings.json \
///     --provider 6e39f9db-751b-5cea-ae7e-486f579a56bc=Veo \
///     --provider 70aa475d-1fcd-4504-b69c-2eeb2107f7be=Spin
#[derive(clap::Args)]
#[command(after_help = exit::help(), verbatim_doc_comment)]
pub struct Args {
    /// The policies.
    #[arg(value_name = "POLICY.json")]
    policy: PathBuf,
    /// The geographies that the rules name by their ids.
    #[arg(long, value_name = "FILE")]
    geographies: Option<PathBuf>,
    /// The time zone of days and hours as POSIX writes it, such as EST5EDT,M3.2.0,M11.1.0. For
    /// a name such as America/New_York the text is taken from this machine's /usr/share/zoneinfo,
    /// and shown: the settings have the text.
    #[arg(long, value_name = "TZ")]
    zone: String,
    /// Only the policy with this id [default: all].
    #[arg(long = "policy", value_name = "ID")]
    policies: Vec<String>,
    /// What events call a provider that policies name by its id.
    #[arg(long = "provider", value_name = "ID=NAME", value_parser = named)]
    providers: Vec<(String, String)>,
    /// What events call a type of vehicles, and what the rules call it.
    #[arg(long = "vehicle-type", value_name = "EVENTS=RULES", value_parser = named, default_value = "e-bike=bicycle")]
    vehicle_types: Vec<(String, String)>,
    /// How long a vehicle may go unobserved and is still known to have stayed, in minutes.
    #[arg(long, value_name = "MINUTES", default_value_t = 720)]
    seen_within: u32,
    /// By how many degrees of latitude or longitude a position may differ and is still the same
    /// place; 0.0005 are some 50 metres.
    #[arg(long, value_name = "DEGREES", default_value_t = 0.0005)]
    moved: f64,
    /// Leaves out what cannot be taken over, and says so.
    #[arg(long)]
    skip: bool,
    /// Where to write the settings; replaced whole.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Something that was not taken over.
struct Left {
    /// Where in the document: an RFC 6901 JSON Pointer.
    pointer: String,
    /// The policy, and the rule if it is one, by their names.
    what: String,
    why: String,
}

/// What was taken over and what was not.
#[derive(Default)]
struct Import {
    policies: Vec<settings::Policy>,
    geographies: Vec<settings::Geography>,
    left: Vec<Left>,
}

/// What the person who imports says of the documents.
struct Wanted<'a> {
    policies: &'a [String],
    providers: BTreeMap<&'a str, &'a str>,
}

impl Wanted<'_> {
    fn has(&self, policy: &str) -> bool {
        self.policies.is_empty() || self.policies.iter().any(|wanted| wanted == policy)
    }

    /// Every policy that is wanted must be one that there is.
    fn check<'p>(&self, known: impl Iterator<Item = &'p str> + Clone) -> anyhow::Result<()> {
        for wanted in self.policies {
            ensure!(known.clone().any(|id| id == wanted), "there is no policy with the id {wanted:?}");
        }
        Ok(())
    }
}

fn named(text: &str) -> Result<(String, String), String> {
    match text.split_once('=').filter(|(one, other)| !one.is_empty() && !other.is_empty()) {
        Some((one, other)) => Ok((one.to_string(), other.to_string())),
        None => Err("expected two names with a = between them".to_string()),
    }
}

pub fn run(args: &Args) -> Outcome {
    let zone = zone::read(&args.zone).or_exit(Exit::Usage)?;
    if !(0.0..=1.0).contains(&args.moved) {
        return Err(failed(Exit::Usage, "--moved: expected 0 to 1"));
    }
    let providers = args.providers.iter().map(|(id, name)| (id.as_str(), name.as_str())).collect();
    let wanted = Wanted { policies: &args.policies, providers };
    let import = import(args, &wanted).or_exit(Exit::Refused)?;
    for Left { pointer, what, why } in &import.left {
        eprintln!("{pointer} ({}): {}", table::plain(what), table::plain(why));
    }
    if !import.left.is_empty() && !args.skip {
        let count = import.left.len();
        return Err(failed(Exit::Refused, format!("not taken over: {count}, see above; --skip leaves that out")));
    }
    if import.policies.is_empty() {
        return Err(failed(Exit::Refused, "nothing is left to be taken over"));
    }
    let (policies, left) = (import.policies.len(), import.left.len());
    let rules: usize = import.policies.iter().map(|policy| policy.rules.len()).sum();
    let geographies = import.geographies.len();
    let settings = Settings {
        zone: &zone,
        vehicle_type_names: args.vehicle_types.iter().cloned().collect(),
        seen_within_minutes: args.seen_within,
        moved_degrees: args.moved,
        geographies: import.geographies,
        policies: import.policies,
    };
    let mut text = serde_json::to_vec_pretty(&settings).context("the settings cannot be written")?;
    text.push(b'\n');
    let limit = Limits::default().worker.settings_bytes_max;
    if text.len() > limit {
        let (size, most) = (table::size(text.len() as u64), table::size(limit as u64));
        return Err(failed(Exit::Refused, format!("the settings would have {size}, a server takes {most}; choose policies with --policy")));
    }
    replace(&args.out, &text)?;
    let size = table::size(text.len() as u64);
    println!("{}: policies {policies}, rules {rules}, geographies {geographies}, {size}; not taken over: {left}", args.out.display());
    Ok(())
}

fn import(args: &Args, wanted: &Wanted<'_>) -> anyhow::Result<Import> {
    let file = args.policy.display().to_string();
    let text = read(&args.policy)?;
    if export::is_one(&text) {
        return export::import(&text, wanted).with_context(|| file);
    }
    let policies = document::policies(&text).with_context(|| file.clone())?;
    wanted.check(policies.iter().map(|policy| policy.policy.policy_id.as_str())).with_context(|| file)?;
    let path =
        args.geographies.as_ref().ok_or_else(|| anyhow!("rules name geographies by their ids: give them with --geographies FILE"))?;
    let text = read(path)?;
    let geographies = Geographies::read(&text).with_context(|| path.display().to_string())?;
    let mut import = convert::all(policies, wanted, &geographies);
    let named = import.policies.iter().flat_map(|policy| &policy.rules).flat_map(|rule| &rule.geographies);
    import.geographies = geographies.named(named).with_context(|| path.display().to_string())?;
    Ok(import)
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
