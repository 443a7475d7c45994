//! `ephor repo withdraw`: takes a release back.

use ephor::policy::statement::Withdrawal;
use semver::Version;
use time::OffsetDateTime;

use super::{Edited, print_expiries, print_json, refused, stamp};
use crate::cli::exit::{self, Outcome};

/// Takes a release back: platforms stop judging by it when they look next.
///
/// It stays in the repository, so that what it has found can be understood; what it
/// superseded does not come back by itself.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    #[command(flatten)]
    edited: Edited,
    /// The policy.
    #[arg(value_name = "POLICY")]
    policy: String,
    /// The version of the release.
    #[arg(value_name = "VERSION")]
    version: Version,
    /// Why; platforms show it.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who decided it; platforms show it.
    #[arg(long, value_name = "NAME")]
    by: String,
}

pub fn run(args: Args) -> Outcome {
    let now = OffsetDateTime::now_utc();
    let mut author = args.edited.open()?;
    let signers = args.edited.signers()?;
    let at = now.replace_nanosecond(0).unwrap_or(now);
    let withdrawal = Withdrawal { policy: args.policy, version: args.version, reason: args.reason, by: args.by, at };
    let is_new = author.withdraw(withdrawal.clone()).map_err(refused)?;
    if is_new {
        author.publish(&signers, now).map_err(refused)?;
    }
    if args.edited.json {
        return print_json(&serde_json::json!({
            "policy": withdrawal.policy, "version": withdrawal.version.to_string(), "withdrawn": is_new, "at": stamp(at),
        }));
    }
    let Withdrawal { policy, version, .. } = &withdrawal;
    if !is_new {
        println!("Version {version} of {policy} was withdrawn before; nothing has changed.");
        return Ok(());
    }
    println!("Version {version} of {policy} is withdrawn.");
    println!("Platforms stop judging by it when they look next; nothing takes its place until you release something.");
    print_expiries(&author, now);
    Ok(())
}
