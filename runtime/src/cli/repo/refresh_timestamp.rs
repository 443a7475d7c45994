//! `ephor repo refresh-timestamp`: signs again what is about to expire.

use ephor::repository::Role;
use time::OffsetDateTime;

use super::{Edited, print_expiries, print_json, refused, stamp};
use crate::cli::exit::{self, Outcome};

/// Says once more that the repository is the latest. Run it every day, from a timer.
///
/// A platform that has seen no new timestamp for its days knows that somebody keeps
/// newer releases from it, or that you have forgotten it, and calls your policies
/// stale. Only the key for the timestamp is needed; where the others are at hand, they
/// sign again as well what begins to expire.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    #[command(flatten)]
    edited: Edited,
    /// Signs everything again, with all keys: releases and root as well.
    #[arg(long)]
    all: bool,
}

pub fn run(args: &Args) -> Outcome {
    let now = OffsetDateTime::now_utc();
    let mut author = args.edited.open()?;
    let signers = args.edited.signers()?;
    let roles = author.refresh(&signers, now, args.all).map_err(refused)?;
    if args.edited.json {
        let signed: Vec<&str> = roles.iter().map(|role| role.name()).collect();
        let expires: Vec<_> =
            author.expiries().into_iter().map(|(role, time)| (role.to_string(), serde_json::Value::from(stamp(time)))).collect();
        let expires: serde_json::Map<_, _> = expires.into_iter().collect();
        return print_json(&serde_json::json!({"signed": signed, "expires": expires}));
    }
    let others: Vec<&str> = roles.iter().filter(|role| **role != Role::Timestamp).map(|role| role.name()).collect();
    match &others[..] {
        [] => println!("The timestamp is renewed."),
        others => println!("The timestamp is renewed, and {} signed again.", others.join(" and ")),
    }
    print_expiries(&author, now);
    Ok(())
}
