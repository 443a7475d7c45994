//! `ephor repo check`: reads a repository as a platform would.

use std::path::PathBuf;

use anyhow::Context as _;
use ephor::policy::Mode;
use ephor::repository::{Client, Location, Published, RepositoryError, Snapshot, publisher_of};
use time::OffsetDateTime;

use super::{day, print_json, stamp};
use crate::cli::exit::{self, Exit, Or as _, Outcome, failed};
use crate::cli::local;
use crate::cli::table::{self, plain};

/// Reads a repository as a platform would, and says what it holds, until when that
/// holds, and what is wrong.
///
/// Everything is fetched and checked: signatures, versions that belong together, and
/// every file that a release binds. What a platform would refuse is refused here, by
/// the same name.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// The repository: a folder or a URL.
    #[arg(value_name = "DIR|URL")]
    location: Location,
    /// The root that platforms were given. Of a folder the first root is taken
    /// without it, and the repository vouches for itself.
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// Whose it should be [default: as its root says].
    #[arg(long, value_name = "NAME")]
    publisher: Option<String>,
    /// Prints the report as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Outcome {
    let now = OffsetDateTime::now_utc();
    let root = match (&args.root, &args.location) {
        (Some(file), _) => file.clone(),
        (None, Location::Folder(folder)) => folder.join("metadata/1.root.json"),
        (None, Location::Web(_)) => {
            return Err(failed(Exit::Usage, "whose signature is to count? Give the root that the publisher has handed out with --root"));
        }
    };
    let root = std::fs::read(&root).with_context(|| format!("cannot read the root {}", root.display())).or_exit(Exit::Usage)?;
    let publisher = args.publisher.clone().or_else(|| publisher_of(&root)).unwrap_or_else(|| "unknown".into());
    let (outcome, broken) = local::block_on(async {
        let memory = tempfile::tempdir().context("cannot make a temporary folder")?;
        let outcome = match Client::new(&publisher, &args.location, root, memory.path()) {
            Ok(mut client) => client.refresh().await,
            Err(error) => Err(error),
        };
        let mut broken = Vec::new();
        if let Ok(snapshot) = &outcome {
            for blob in
                snapshot.releases.iter().flat_map(|release| release.statement.blobs()).chain(snapshot.lists.iter().map(|list| list.blob))
            {
                if let Err(error) = snapshot.blob(&blob).await {
                    broken.push(error);
                }
            }
        }
        Ok((outcome, broken))
    })?;
    let report = Report { args, publisher, now, broken };
    match outcome {
        Ok(snapshot) => report.whole(&snapshot),
        Err(error) => report.refused(&error),
    }
}

struct Report<'a> {
    args: &'a Args,
    publisher: String,
    now: OffsetDateTime,
    /// Files that do not come as they were signed.
    broken: Vec<RepositoryError>,
}

impl Report<'_> {
    fn whole(&self, snapshot: &Snapshot) -> Outcome {
        if self.args.json {
            self.print_json(snapshot)?;
        } else {
            self.print(snapshot);
        }
        match self.broken.first() {
            None => Ok(()),
            Some(first) => {
                Err(failed(Exit::Refused, format!("{} files are not as they were signed; the first: {first}", self.broken.len())))
            }
        }
    }

    fn refused(&self, error: &RepositoryError) -> Outcome {
        if self.args.json {
            print_json(&serde_json::json!({
                "location": self.args.location, "publisher": self.publisher, "whole": false,
                "problems": [{"code": error.code(), "problem": error.to_string()}],
            }))?;
        }
        let exit = match error {
            RepositoryError::Unreachable { .. } => Exit::Unreachable,
            RepositoryError::Datastore { .. } => Exit::Failed,
            _ => Exit::Refused,
        };
        Err(failed(exit, format!("a platform would refuse this repository [{}]: {error}", error.code())))
    }

    /// What ought to be renewed before it is too late.
    fn warnings(&self, snapshot: &Snapshot) -> Vec<String> {
        let standing = snapshot.standing().into_iter().filter(|role| role.renew_from.is_some_and(|from| from <= self.now));
        let words = |role: &str| match role {
            "timestamp" => "renew the timestamp: ephor repo refresh-timestamp",
            "root" => "sign the root again: ephor repo refresh-timestamp, with the root's keys at hand",
            _ => "sign the releases again: ephor repo refresh-timestamp, with the keys for releases at hand",
        };
        standing.map(|role| format!("{}: {} holds until {} only", words(&role.role), role.role, day(role.expires, self.now))).collect()
    }

    fn print_json(&self, snapshot: &Snapshot) -> Outcome {
        let releases: Vec<_> = snapshot
            .releases
            .iter()
            .map(|release| {
                serde_json::json!({
                    "statement": release.statement,
                    "digest": release.digest.to_string(),
                    "withdrawn": snapshot.withdrawal(release),
                })
            })
            .collect();
        let lists: Vec<_> = snapshot
            .lists
            .iter()
            .map(|list| serde_json::json!({"name": list.name, "version": list.version, "list": list.blob, "issued": stamp(list.issued)}))
            .collect();
        let problems: Vec<_> =
            self.broken.iter().map(|error| serde_json::json!({"code": error.code(), "problem": error.to_string()})).collect();
        print_json(&serde_json::json!({
            "location": self.args.location,
            "publisher": snapshot.publisher,
            "whole": self.broken.is_empty(),
            "problems": problems,
            "warnings": self.warnings(snapshot),
            "version": snapshot.version,
            "expires": stamp(snapshot.expires),
            "signatures": snapshot.standing(),
            "releases": releases,
            "lists": lists,
        }))
    }

    fn print(&self, snapshot: &Snapshot) {
        println!("The repository of {} at {}, version {}.", plain(&snapshot.publisher), self.args.location, snapshot.version);
        println!(
            "A platform that looks now takes it; without a new timestamp it calls it stale after {}.",
            day(snapshot.expires, self.now)
        );
        if self.args.root.is_none() {
            println!("Its own first root was believed. Platforms believe the one that they were given: --root.");
        }
        self.print_releases(snapshot);
        if !snapshot.lists.is_empty() {
            let mut rows = table::table(&["list", "version", "size", "published"]);
            for list in &snapshot.lists {
                rows.add_row([plain(&list.name), plain(&list.version), table::size(list.blob.bytes), list.issued.date().to_string()]);
            }
            table::print("Reference lists", &rows);
        }
        let mut rows = table::table(&["signature", "says", "keys that have to sign", "holds until"]);
        for role in snapshot.standing() {
            let says = match role.role.as_str() {
                "root" => "which keys count",
                "targets" => "what is published",
                "snapshot" => "what belongs together",
                _ => "that this is the latest",
            };
            rows.add_row([
                role.role.clone(),
                says.into(),
                format!("{} of {}", role.threshold, role.keys.len()),
                day(role.expires, self.now),
            ]);
        }
        table::print("Signatures", &rows);
        for warning in self.warnings(snapshot) {
            println!("\nATTENTION: {warning}");
        }
        for error in &self.broken {
            println!("\nWRONG [{}]: {}", error.code(), plain(&error.to_string()));
        }
        if self.broken.is_empty() {
            println!("\nNothing is wrong.");
        }
    }

    fn print_releases(&self, snapshot: &Snapshot) {
        if snapshot.releases.is_empty() {
            println!("\nNothing is released yet.");
            return;
        }
        let mut rows = table::table(&["policy", "version", "at most", "judges", "legal basis", "standing"]);
        for release in &snapshot.releases {
            let statement = &release.statement;
            rows.add_row([
                plain(&statement.policy),
                statement.version.to_string(),
                match statement.mode {
                    Mode::Shadow => "recorded only",
                    Mode::Canary => "a part of the keys",
                    Mode::Enforce => "enforced",
                }
                .into(),
                judges(release),
                format!("{} ({})", plain(&statement.legal_basis), plain(&statement.jurisdiction)),
                standing(snapshot, release),
            ]);
        }
        table::print("Releases", &rows);
    }
}

fn judges(release: &Published) -> String {
    let statement = &release.statement;
    match (statement.valid_from, statement.valid_until) {
        (None, None) => "since it is there".into(),
        (Some(from), None) => format!("from {}", stamp(from)),
        (None, Some(until)) => format!("until {}", stamp(until)),
        (Some(from), Some(until)) => format!("from {} until {}", stamp(from), stamp(until)),
    }
}

fn standing(snapshot: &Snapshot, release: &Published) -> String {
    if let Some(withdrawal) = snapshot.withdrawal(release) {
        return format!("withdrawn on {} by {}: {}", withdrawal.at.date(), plain(&withdrawal.by), plain(&withdrawal.reason));
    }
    match snapshot.latest(&release.statement.policy) {
        Some(latest) if latest.statement.version > release.statement.version => format!("followed by {}", latest.statement.version),
        _ => "the latest".into(),
    }
}
