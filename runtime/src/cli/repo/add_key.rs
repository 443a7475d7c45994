//! `ephor repo add-key`: another key for a role, and how many have to sign.

use std::path::PathBuf;

use ephor::repository::{PublicKey, Role, Signer};
use time::OffsetDateTime;

use super::{Edited, print_expiries, print_json, role};
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
    let edit = |key: &PublicKey, signers: &[Signer]| author.add_key(args.role, key, args.threshold, signers, now);
    let (public, made) = args.edited.with_new_key(args.role, args.new.as_deref(), &mut signers, edit)?;
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
