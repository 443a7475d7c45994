//! `ephor policy explain`: a finding, taken apart for whoever doubts it.

mod again;
mod place;
mod record;
mod show;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ephor::Config;
use ephor::event::Event;

use super::client::Target;
use super::connection::Connection;
use super::exit::{self, Exit, Or as _, Outcome, failed};
use super::local;
use super::policy_parts::{self, Parts};
use super::policy_run::input;
use super::replay::shelf::Shelf;
use again::{Again, Bench, Forms};
use place::{Content, Place};
use record::{About, Asked, Record};
use show::{Explained, Seen};

/// The longest line that is read: an entry's bound, and room for an answer.
const LINE_BYTES_MAX: u64 = 1 << 20;

const EXAMPLES: &str = "\
Examples:
  ephor policy explain 1234 --from-data /var/lib/ephor --config ephor.toml
  ephor policy explain 1234 --server http://127.0.0.1:8787 --with policies/negative-list
  ephor policy explain answer.json --with negative-list.wasm --event order.json --lang zh
  ephor log tail /var/lib/ephor --from 1234 | head -1 | ephor policy explain -";

/// Explains a finding: which clause, on which values, by which release; and judges again.
///
/// FINDING is the sequence of an entry, in a data directory or on a server; or the line of
/// an entry, or of the answer that a platform got, in a file or on standard input.
///
/// The event is taken from what the log has kept, or from --event, and must have the digest
/// in the entry. The release is taken from what the data directory has kept, or from --with,
/// and must have the digest in the entry. Then the fields are shown that the policy saw, in
/// the forms in which it saw them; held against the commitment in the entry, where the salt
/// is there (a data directory has its key, and a server on the same machine gives it); and
/// the event is judged again. For a policy that remembers, that takes the events before it
/// too: from a data directory that has kept them.
///
/// Fields of a published policy are in the forms of the platform's grant, which --config
/// has.
#[derive(clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::help()))]
pub struct Args {
    /// The sequence of an entry, a file with its line, or `-`.
    #[arg(value_name = "FINDING")]
    finding: String,
    /// The data directory of the log.
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    from_data: Option<PathBuf>,
    /// The server of the log.
    #[arg(long, value_name = "URL")]
    server: Option<Target>,
    #[command(flatten)]
    connection: Connection,
    /// Only what this policy said [default: every policy that found something].
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
    /// Only what this rule found.
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
    /// The event, as it was sent.
    #[arg(long, value_name = "FILE|-")]
    event: Option<PathBuf>,
    /// The component of the release, or the folder of its crate, which is compiled first.
    #[arg(long = "with", value_name = "POLICY")]
    component: Option<PathBuf>,
    #[command(flatten)]
    with: policy_parts::With,
    /// The configuration of the platform (TOML), for its grants.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The language of messages, where the policy has it: a tag such as zh or en.
    #[arg(long, value_name = "TAG")]
    lang: Option<String>,
    /// Prints all of it as JSON.
    #[arg(long)]
    json: bool,
    /// Where compiled code is kept [default: $XDG_CACHE_HOME/ephor or
    /// ~/.cache/ephor].
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

pub fn run(args: &Args) -> Outcome {
    let config = local::config(args.config.as_deref())?;
    local::block_on(explain(args, &config))
}

async fn explain(args: &Args, config: &Config) -> Outcome {
    let server = args.server.as_ref().map(|at| args.connection.to(at)).transpose()?;
    let place = match (&args.from_data, &server) {
        (Some(directory), _) => Place::Data(directory),
        (None, Some(target)) => Place::Server(target),
        (None, None) => Place::Nowhere,
    };
    let mut record = match args.finding.parse() {
        Ok(sequence) => Record::read(&place.line(sequence).await?)?,
        Err(_) => Record::read(&line(&args.finding)?)?,
    };
    // The entry has more than the answer.
    if record.is_answer && !matches!(place, Place::Nowhere) {
        record = Record::read(&place.line(record.sequence).await?)?;
    }
    let chosen = chosen(args, &record)?;
    let content = content(args, &place, &record).await?;
    let mut explained = Vec::new();
    let mut differs = 0;
    for asked in chosen {
        let parts = parts(args, &place, &asked)?;
        let one = of_release(args, config, &place, &record, asked, parts, &content).await?;
        differs += u32::from(one.is_refuted());
        explained.push(one);
    }
    let shown = show::Show { record: &record, place: &place, content: &content, language: args.lang.as_deref() };
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&shown.json(&explained)).context("cannot print")?),
        false => print!("{}", shown.text(&explained)),
    }
    match differs {
        0 => Ok(()),
        _ => Err(failed(Exit::Damaged, "what was recorded does not come out again")),
    }
}

/// The line in a file, or on standard input.
fn line(finding: &str) -> Outcome<String> {
    let mut text = String::new();
    let read = match finding {
        "-" => std::io::stdin().take(LINE_BYTES_MAX).read_to_string(&mut text).map(drop),
        file => std::fs::File::open(file).and_then(|file| file.take(LINE_BYTES_MAX).read_to_string(&mut text)).map(drop),
    };
    read.with_context(|| format!("{finding} is neither the sequence of an entry nor a file that can be read")).or_exit(Exit::Usage)?;
    let text = text.trim();
    // One line, or one document.
    match text.lines().filter(|line| !line.trim().is_empty()).count() {
        0 => Err(failed(Exit::Usage, format!("{finding} is empty; give the line of an entry or of an answer"))),
        several if several > 1 && serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() => {
            Err(failed(Exit::Usage, format!("{finding} has {several} lines; give the one that it is about")))
        }
        _ => Ok(text.to_string()),
    }
}

/// The releases that it is about.
fn chosen(args: &Args, record: &Record) -> Outcome<Vec<Asked>> {
    let is_named = |asked: &&Asked| match &args.policy {
        Some(name) => asked.policy == *name || asked.policy.split_once('/').is_some_and(|(_, own)| own == name),
        None => true,
    };
    let mut chosen: Vec<Asked> = record.asked.iter().filter(is_named).cloned().collect();
    if let (true, Some(name)) = (chosen.is_empty(), &args.policy) {
        let names: Vec<&str> = record.asked.iter().map(|asked| asked.policy.as_str()).collect();
        let names = if names.is_empty() { "nobody".to_string() } else { names.join(", ") };
        return Err(failed(Exit::Usage, format!("{name} was not asked, or is not in the answer; {names} said something")));
    }
    if let Some(rule) = &args.rule {
        let has = |asked: &Asked| asked.findings.iter().any(|finding| finding.rule == *rule);
        chosen.retain(has);
        if chosen.is_empty() {
            let found = record.asked.iter().flat_map(|asked| &asked.findings).map(|finding| finding.rule.as_str());
            let found: Vec<&str> = found.collect();
            let found = if found.is_empty() { "no rule was found".to_string() } else { format!("found: {}", found.join(", ")) };
            return Err(failed(Exit::Usage, format!("the rule {rule} was not found here; {found}")));
        }
    } else if args.policy.is_none() && chosen.iter().any(|asked| !asked.findings.is_empty() || asked.fault.is_some()) {
        chosen.retain(|asked| !asked.findings.is_empty() || asked.fault.is_some());
    }
    Ok(chosen)
}

/// The event that it is about, which has to be the one that was judged.
async fn content(args: &Args, place: &Place<'_>, record: &Record) -> Outcome<Content> {
    let About::Event { source, id, digest, .. } = &record.about else {
        return Ok(Content { event: Err("a timer fires without an event".into()), salt: None });
    };
    let mut content = place.content(record.sequence).await?;
    if let Some(file) = &args.event {
        content.event = Ok(input::only(file)?);
    }
    if let Ok(event) = &content.event {
        let is_it = match digest {
            Some(digest) => event.digest().hex() == *digest,
            // An answer has no digest.
            None => event.source() == source && event.id() == id,
        };
        if !is_it {
            let then = digest.as_deref().map_or_else(|| format!("{id} of {source}"), |digest| format!("digest {digest}"));
            let now = format!("{} of {}, digest {}", event.id(), event.source(), event.digest().hex());
            return Err(failed(
                Exit::Refused,
                format!("this is not the event that was judged: {now}; it was {then}; give it byte for byte as it was sent"),
            ));
        }
    }
    Ok(content)
}

/// What the release was made of; nothing if nobody has it.
fn parts(args: &Args, place: &Place<'_>, asked: &Asked) -> Outcome<Option<Parts>> {
    if let Some(component) = &args.component {
        return policy_parts::read(component, &args.with).map(Some);
    }
    let (Some(folder), Some(digest)) = (place.releases(), &asked.digest) else { return Ok(None) };
    let shelf = Shelf::open(&[folder]).or_exit(Exit::Failed)?;
    let lists: Vec<(String, String)> =
        asked.lists.iter().map(|(name, version)| (name.clone(), version.as_str().unwrap_or_default().to_string())).collect();
    let found = shelf.find(digest, &lists)?;
    Ok(found.map(|parts| Parts { component: parts.component.into(), settings: parts.settings.into(), lists: parts.lists }))
}

/// Everything about what one release said.
async fn of_release(
    args: &Args,
    config: &Config,
    place: &Place<'_>,
    record: &Record,
    asked: Asked,
    parts: Option<Parts>,
    content: &Content,
) -> Outcome<Explained> {
    let rule = args.rule.clone();
    let prose = args.component.as_deref().and_then(prose);
    let Some(parts) = parts else {
        let why = "the release is not there; name its component with --with";
        let (release, seen) = (None, Seen::Unknown("what the fields are is in the release, which is not there".into()));
        return Ok(Explained { asked, rule, release, prose, seen, again: Again::Not(why.into()), forms: Forms::Same });
    };
    let mut bench = Bench::start(place, &asked, &parts, config, args.cache.clone()).await?;
    let release = Some(bench.trial.release().clone());
    let forms = bench.forms;
    let seen = match (&record.about, &content.event) {
        (About::Timer { .. }, _) => {
            Seen::Unknown("a timer fires without an event; what the policy said comes of what it remembered".into())
        }
        (_, Err(why)) => Seen::Unknown(why.clone()),
        (_, Ok(event)) => seen(&bench, &asked, event, content.salt),
    };
    let event = content.event.as_ref().ok();
    let event = match event {
        // An event cannot be copied; it is read again from what came in.
        Some(event) => Some(ephor::ingest::content(&event.content(), &config.ingest).context("the event cannot be read again")?),
        None => None,
    };
    let again = bench.again(place, record, &asked, event).await?;
    bench.trial.close().await;
    Ok(Explained { asked, rule, release, prose, seen, again, forms })
}

/// What the release saw of the event, and whether the entry commits to that.
fn seen(bench: &Bench, asked: &Asked, event: &Event, salt: Option<[u8; 32]>) -> Seen {
    let fields = bench.trial.view().fields(event);
    let salted = salt.is_some() || bench.is_adopted;
    let committed = match (&asked.columns, salted) {
        (Some(columns), true) => bench.trial.commitment(event, salt).map(|commitment| commitment.hex() == *columns),
        _ => None,
    };
    Seen::Fields { fields, committed }
}

/// The rule in prose: the first paragraphs of the README beside the crate.
fn prose(component: &Path) -> Option<String> {
    let text = std::fs::read_to_string(component.join("README.md")).ok()?;
    let lines = text.lines().skip_while(|line| line.starts_with('#') || line.trim().is_empty());
    let prose: Vec<&str> = lines.take_while(|line| !line.starts_with(['#', '|', '-', '`'])).collect();
    let prose = prose.join(" ").trim().to_string();
    (!prose.is_empty()).then_some(prose)
}

/// How to prove that an entry is in the log.
fn how_to_prove(place: &Place<'_>, sequence: u64) -> Option<String> {
    match place {
        Place::Nowhere => None,
        place => Some(format!("ephor log prove {sequence} --from {place}")),
    }
}
