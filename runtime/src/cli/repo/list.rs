//! `ephor repo list`: publishes a version of a reference list.

use std::path::PathBuf;

use ephor::List;
use ephor::policy::statement::{Blob, BoundList, StateRule, Statement};
use ephor::repository::Author;
use time::OffsetDateTime;

use super::{Edited, print_expiries, print_json, refused, source};
use crate::cli::exit::{self, Exit, Outcome, failed};
use crate::cli::table;

/// Publishes a version of a reference list; with --for, also as a new release of the
/// policies that look things up in it.
///
/// A release binds the versions of its lists, so a list alone changes no verdict: what
/// takes effect is the release, of which nothing but the list is new.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    #[command(flatten)]
    edited: Edited,
    /// The list that `ephor list build` has made.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A policy that is to look things up in it from now on; may be given several
    /// times. Its latest release is published again with this list, under the next
    /// version (of 1.2.0: 1.2.1).
    #[arg(long = "for", value_name = "POLICY")]
    policies: Vec<String>,
}

pub fn run(args: &Args) -> Outcome {
    let now = OffsetDateTime::now_utc();
    let mut author = args.edited.open()?;
    let signers = args.edited.signers()?;
    let list = source::open(&args.file)?;
    let (name, version, blob) = (list.name(), list.version(), Blob::of(list.bytes()));
    let is_new = author.add_list(name, version, list.bytes().to_vec(), now).map_err(refused)?;
    let mut released = Vec::new();
    for policy in &args.policies {
        if let Some(statement) = next(&author, policy, &list, blob, now)? {
            author.add_release(&statement, Vec::new()).map_err(refused)?;
            released.push(statement);
        }
    }
    if is_new || !released.is_empty() {
        author.publish(&signers, now).map_err(refused)?;
    }
    if args.edited.json {
        return print_json(&serde_json::json!({
            "name": name, "version": version, "published": is_new, "digest": blob.digest.to_string(), "bytes": blob.bytes,
            "releases": released,
        }));
    }
    match is_new {
        true => println!("Published version {version} of the list {name}: {} entries, {}.", table::grouped(list.len()), blob.digest),
        false => println!("Version {version} of the list {name} is published already, with this very content."),
    }
    for Statement { policy, version: release, supersedes, .. } in &released {
        let before = supersedes.as_ref().map_or(String::new(), |before| format!(", in the place of {before}"));
        println!("Published version {release} of {}/{policy} with it{before}.", author.publisher());
    }
    if args.policies.is_empty() {
        println!("No release looks things up in it yet: --for POLICY, or `ephor repo release --list {name}@{version}`.");
    }
    print_expiries(&author, now);
    Ok(())
}

/// The latest release of a policy that is not withdrawn, with this version of the list;
/// nothing if that is what it has.
fn next(author: &Author, policy: &str, list: &List, blob: Blob, now: OffsetDateTime) -> Outcome<Option<Statement>> {
    let withdrawn = author.withdrawals().map_err(refused)?;
    let published: Vec<Statement> = author.statements().map_err(refused)?.into_iter().filter(|other| other.policy == policy).collect();
    let highest = published.iter().map(|other| other.version.clone()).max();
    let standing =
        published.into_iter().filter(|other| !withdrawn.iter().any(|gone| gone.policy == policy && gone.version == other.version));
    let latest = standing.max_by(|a, b| a.version.cmp(&b.version));
    let (Some(mut statement), Some(highest)) = (latest, highest) else {
        return Err(failed(Exit::Refused, format!("there is no release of {policy} in this repository that is not withdrawn")));
    };
    let bound = BoundList { version: list.version().into(), digest: blob.digest, bytes: blob.bytes };
    match statement.lists.get_mut(list.name()) {
        None => return Err(failed(Exit::Refused, format!("{policy} looks nothing up in a list {}", list.name()))),
        Some(known) if *known == bound => return Ok(None),
        Some(known) => *known = bound,
    }
    statement.supersedes = Some(statement.version);
    // Above a version that was withdrawn as well: that number is taken.
    statement.version = semver::Version::new(highest.major, highest.minor, highest.patch + u64::from(highest.pre.is_empty()));
    statement.issued = now.replace_nanosecond(0).unwrap_or(now);
    // It began with the release before, whose notice was given.
    (statement.valid_from, statement.notice_days, statement.retroactive) = (None, 0, false);
    statement.state = StateRule::Keep;
    Ok(Some(statement))
}
