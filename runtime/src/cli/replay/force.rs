//! Changes of the releases in force, made again as they were recorded.

use std::path::PathBuf;

use anyhow::Context as _;
use ephor::Config;
use ephor::backtest::Drive;
use ephor::policy::{Grant, Mode};
use ephor::runtime::{Offer, Stale};

use super::script::Change;
use super::shelf::Shelf;
use crate::cli::exit::{Exit, Or as _, Outcome, failed};
use crate::cli::local;
use crate::cli::table::{grouped, plain};

/// Where releases come from, and who may see what.
pub struct Force<'c> {
    config: &'c Config,
    shelf: Shelf,
    folders: Vec<PathBuf>,
    /// Releases that took the place of another one.
    pub swaps: u64,
}

impl<'c> Force<'c> {
    pub fn new(config: &'c Config, shelf: Shelf, folders: Vec<PathBuf>) -> Self {
        Force { config, shelf, folders, swaps: 0 }
    }

    /// Makes a change, behind every event that was pushed before.
    pub async fn apply(&mut self, drive: &mut Drive, sequence: u64, change: &Change) -> Outcome {
        drive.flush().await?;
        let runtime = drive.runtime();
        let Change { what, policy, release, mode, share, by, .. } = change;
        let by = by.clone();
        let done = match what.as_str() {
            "install" => {
                let offer = self.offer(drive, sequence, change)?;
                let swaps = runtime.publish(vec![offer], by).await;
                self.swaps += swaps.iter().flatten().filter(|swap| swap.replaced.is_some()).count() as u64;
                swaps.map(drop).map_err(anyhow::Error::from)
            }
            "promote" => runtime.promote(policy, *mode, *share, |_| Vec::new(), by).await.map(drop).map_err(anyhow::Error::from),
            "demote" => runtime.demote(policy, by).await.map(drop).map_err(anyhow::Error::from),
            "withdraw" => runtime.withdraw(policy, Some(release), by).await.map(drop).map_err(anyhow::Error::from),
            "remove" => runtime.withdraw(policy, None, by).await.map(drop).map_err(anyhow::Error::from),
            "stale" | "stop" | "fresh" => {
                let stale = match what.as_str() {
                    "stale" => Some(Stale::Keep),
                    "stop" => Some(Stale::Stop),
                    _ => None,
                };
                runtime.mark_stale(policy, stale, by).await.map(drop).map_err(anyhow::Error::from)
            }
            other => Err(anyhow::anyhow!("{other:?} is no change that this program knows")),
        };
        done.with_context(|| format!("entry {}, about the release {} of {}", grouped(sequence), plain(release), plain(policy)))
            .or_exit(Exit::Refused)
    }

    fn offer(&self, drive: &Drive, sequence: u64, change: &Change) -> Outcome<Offer> {
        let Change { policy, release, digest, lists, statement, mode, share, validity, .. } = change;
        let Some(parts) = self.shelf.find(digest, lists)? else {
            let folders: Vec<String> = self.folders.iter().map(|folder| folder.display().to_string()).collect();
            let (components, settings) = self.shelf.size();
            let with: Vec<String> = lists.iter().map(|(name, version)| format!("the list {} {}", plain(name), plain(version))).collect();
            let with = if with.is_empty() { String::new() } else { format!(" with {}", with.join(" and ")) };
            let why = format!(
                "entry {} put the release {} of {} in force (digest {digest}){with}, and no component with any settings in {} is that release ({components} components and {settings} documents of settings were tried). Name the folder that has it with --releases",
                grouped(sequence),
                plain(release),
                plain(policy),
                folders.join(", "),
            );
            return Err(failed(Exit::Refused, why));
        };
        let publisher = policy.split_once('/').map(|(publisher, _)| publisher.to_string());
        let grant = match &publisher {
            None => Grant::development(),
            Some(name) => local::grant(drive.runtime(), self.config, name).ok_or_else(|| {
                let why = format!(
                    "entry {} is about a policy of {}; what that publisher was granted decides as well: name the server's configuration with --config",
                    grouped(sequence),
                    plain(name)
                );
                failed(Exit::Usage, why)
            })?,
        };
        Ok(Offer {
            publisher,
            grant,
            statement: *statement,
            mode: *mode,
            share: *share,
            strongest: Mode::Enforce,
            validity: *validity,
            spare: parts.lists,
            ..Offer::development(parts.component.into(), parts.settings.into())
        })
    }
}
