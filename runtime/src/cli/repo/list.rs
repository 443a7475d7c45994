//! `ephor repo list`: publishes a version of a reference list.

use std::path::PathBuf;

use anyhow::Context as _;
use ephor::policy::statement::{Blob, BoundList, Statement};
use ephor::repository::Author;
use time::OffsetDateTime;

use super::{Edited, print_expiries, print_json, refused};
use crate::cli::exit::{self, Exit, Or as _, Outcome, failed};

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
    /// The list's name.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The version: a date, a number, as you count.
    #[arg(long, value_name = "VERSION")]
    version: String,
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
    let bytes = std::fs::read(&args.file).with_context(|| format!("cannot read {}", args.file.display())).or_exit(Exit::Usage)?;
    let list = Blob::of(&bytes);
    let is_new = author.add_list(&args.name, &args.version, bytes, now).map_err(refused)?;
    let mut released = Vec::new();
    for policy in &args.policies {
        if let Some(statement) = next(&author, policy, args, list, now)? {
            author.add_release(&statement, Vec::new()).map_err(refused)?;
            released.push(statement);
        }
    }
    if is_new || !released.is_empty() {
        author.publish(&signers, now).map_err(refused)?;
    }
    if args.edited.json {
        return print_json(&serde_json::json!({
            "name": args.name, "version": args.version, "published": is_new, "digest": list.digest.to_string(), "bytes": list.bytes,
            "releases": released,
        }));
    }
    match is_new {
        true => println!("Published version {} of the list {}: {} bytes, {}.", args.version, args.name, list.bytes, list.digest),
        false => println!("Version {} of the list {} is published already, with this very content.", args.version, args.name),
    }
    for Statement { policy, version, supersedes, .. } in &released {
        let before = supersedes.as_ref().map_or(String::new(), |before| format!(", in the place of {before}"));
        println!("Published version {version} of {}/{policy} with it{before}.", author.publisher());
    }
    if args.policies.is_empty() {
        println!("No release looks things up in it yet: --for POLICY, or `ephor repo release --list {}@{}`.", args.name, args.version);
    }
    print_expiries(&author, now);
    Ok(())
}

/// The latest release of a policy that is not withdrawn, with this version of the list;
/// nothing if that is what it has.
fn next(author: &Author, policy: &str, args: &Args, list: Blob, now: OffsetDateTime) -> Outcome<Option<Statement>> {
    let withdrawn = author.withdrawals().map_err(refused)?;
    let published: Vec<Statement> = author.statements().map_err(refused)?.into_iter().filter(|other| other.policy == policy).collect();
    let highest = published.iter().map(|other| other.version.clone()).max();
    let standing =
        published.into_iter().filter(|other| !withdrawn.iter().any(|gone| gone.policy == policy && gone.version == other.version));
    let latest = standing.max_by(|a, b| a.version.cmp(&b.version));
    let (Some(mut statement), Some(highest)) = (latest, highest) else {
        return Err(failed(Exit::Refused, format!("there is no release of {policy} in this repository that is not withdrawn")));
    };
    let bound = BoundList { version: args.version.clone(), digest: list.digest, bytes: list.bytes };
    match statement.lists.get_mut(&args.name) {
        None => return Err(failed(Exit::Refused, format!("{policy} looks nothing up in a list {}", args.name))),
        Some(known) if *known == bound => return Ok(None),
        Some(known) => *known = bound,
    }
    statement.supersedes = Some(statement.version);
    // Above a version that was withdrawn as well: that number is taken.
    statement.version = semver::Version::new(highest.major, highest.minor, highest.patch + u64::from(highest.pre.is_empty()));
    statement.issued = now.replace_nanosecond(0).unwrap_or(now);
    // It began with the release before, whose notice was given.
    (statement.valid_from, statement.notice_days, statement.retroactive) = (None, 0, false);
    statement.state = ephor::policy::statement::StateRule::Keep;
    Ok(Some(statement))
}
