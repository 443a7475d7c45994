//! `ephor repo add-key`: another key for a role, and how many have to sign.

use std::path::PathBuf;

use ephor::repository::Role;
use time::OffsetDateTime;

use super::{Edited, print_expiries, print_json, refused, role};
use crate::cli::exit::{self, Outcome};

/// Gives a role another key, so that several people can sign, or have to.
///
/// The root's keys sign this. Platforms learn of it by themselves: the new root is
/// signed by the keys of the old one, which they trust.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    #[command(flatten)]
    edited: Edited,
    /// root, releases or timestamp.
    #[arg(value_name = "ROLE", value_parser = role)]
    role: Role,
    /// A key that somebody has made (PEM; the public half is enough). Without it a
    /// new one is made in the folder of keys.
    #[arg(long, value_name = "FILE")]
    new: Option<PathBuf>,
    /// How many of the role's keys have to sign from now on [default: as many as now].
    #[arg(long, value_name = "N")]
    threshold: Option<u64>,
}

pub fn run(args: &Args) -> Outcome {
    let now = OffsetDateTime::now_utc();
    let mut author = args.edited.open()?;
    let mut signers = args.edited.signers()?;
    let (public, signer) = args.edited.new_key(args.role, args.new.as_deref())?;
    let made = signer.as_ref().filter(|_| args.new.is_none()).and_then(|signer| signer.path().map(PathBuf::from));
    signers.extend(signer);
    if let Err(error) = author.add_key(args.role, &public, args.threshold, &signers, now) {
        made.iter().for_each(|file| drop(std::fs::remove_file(file)));
        return Err(refused(error));
    }
    let (keys, threshold) = author.keys(args.role);
    let (_, version) = author.root();
    if args.edited.json {
        return print_json(&serde_json::json!({
            "role": args.role.name(), "key": public.id(), "file": made, "keys": keys, "threshold": threshold, "root_version": version,
        }));
    }
    println!("{} has {} keys now, of which {threshold} have to sign. The root is at version {version}.", args.role.name(), keys.len());
    println!("New is {}{}.", public.short(), made.map_or(String::new(), |file| format!(", in {}", file.display())));
    print_expiries(&author, now);
    Ok(())
}
