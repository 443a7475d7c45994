//! `ephor repo rotate`: a new key in the place of an old one.

use std::path::PathBuf;

use anyhow::Context as _;
use ephor::repository::{Author, PublicKey, Role, Signer};
use time::OffsetDateTime;

use super::{Edited, print_expiries, print_json, role};
use crate::cli::exit::{self, Exit, Outcome, failed};

/// Replaces a key: the old one counts no longer, whoever has it.
///
/// The root's keys sign this; for a key of the root, the old and the new ones.
/// Platforms learn of it by themselves, and refuse what the old key signs.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    #[command(flatten)]
    edited: Edited,
    /// root, releases or timestamp.
    #[arg(value_name = "ROLE", value_parser = role)]
    role: Role,
    /// The key to replace: its file, or the first digits of its name. Needed only
    /// where the role has several.
    #[arg(long, value_name = "FILE|DIGITS")]
    old: Option<String>,
    /// A key that somebody has made (PEM; the public half is enough). Without it a
    /// new one is made in the folder of keys.
    #[arg(long, value_name = "FILE")]
    new: Option<PathBuf>,
}

pub fn run(args: &Args) -> Outcome {
    let now = OffsetDateTime::now_utc();
    let mut author = args.edited.open()?;
    let mut signers = args.edited.signers()?;
    let old = old(args, &author)?;
    let edit = |key: &PublicKey, signers: &[Signer]| author.rotate(args.role, &old, key, signers, now);
    let (public, made) = args.edited.with_new_key(args.role, args.new.as_deref(), &mut signers, edit)?;
    // Out of the way of the next signature, unless another role still has the key.
    let used = Role::ALL.into_iter().any(|role| author.keys(role).0.contains(&old));
    let file = signers.iter().find(|signer| signer.public().id() == old).and_then(Signer::path).filter(|_| !used);
    let revoked = file.map(|file| file.with_extension("pem.revoked"));
    if let (Some(file), Some(revoked)) = (file, &revoked) {
        std::fs::rename(file, revoked).with_context(|| format!("the key is replaced, but {} cannot be renamed", file.display()))?;
    }
    let (_, version) = author.root();
    if args.edited.json {
        return print_json(&serde_json::json!({
            "role": args.role.name(), "old": old, "new": public.id(), "file": made, "revoked": revoked, "root_version": version,
        }));
    }
    println!("Key {} of {} counts no longer; {} takes its place.", &old[..12.min(old.len())], args.role.name(), public.short());
    if let Some(file) = made {
        println!("The new key is in {}.", file.display());
    }
    if let Some(revoked) = revoked {
        println!("The old key is now {}; destroy it, and its copies.", revoked.display());
    }
    println!("The root is at version {version}; platforms follow to it by themselves.");
    print_expiries(&author, now);
    Ok(())
}

/// The name of the key that is to be replaced.
fn old(args: &Args, author: &Author) -> Outcome<String> {
    let (keys, _) = author.keys(args.role);
    let role = args.role.name();
    let Some(old) = &args.old else {
        return match &keys[..] {
            [only] => Ok(only.clone()),
            _ => Err(failed(Exit::Usage, format!("{role} has {} keys; say which with --old: {}", keys.len(), keys.join(", ")))),
        };
    };
    let name = match PublicKey::load(old.as_ref()) {
        Ok(key) => key.id(),
        Err(_) => old.to_ascii_lowercase(),
    };
    let mut found = keys.iter().filter(|key| key.starts_with(&name));
    match (found.next(), found.next()) {
        (Some(key), None) if name.len() >= 8 => Ok(key.clone()),
        _ => Err(failed(Exit::Usage, format!("{old} is neither a file nor at least 8 digits of one key of {role}: {}", keys.join(", ")))),
    }
}
