//! Which releases are in force, made to be what recorded entries say.
//!
//! Entries say which releases were asked, not when one was put in force. A release is
//! put in force right before the first event that it was asked about: between that and
//! the moment when it really was, nobody asked the policy, so nothing can be different.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use ephor::policy::Release;

use super::drive::Drive;
use super::script::{Moment, Need};
use super::shelf::Shelf;
use crate::cli::exit::{Exit, Outcome, failed};
use crate::cli::table::{grouped, plain};

/// The policies in force, and where releases come from.
pub struct Force {
    shelf: Shelf,
    folders: Vec<PathBuf>,
    /// By policy.
    standing: BTreeMap<String, Standing>,
    /// Policies that lost their states since they were asked last.
    forgotten: BTreeSet<String>,
    /// Releases that took the place of another one.
    pub swaps: u64,
}

struct Standing {
    need: Need,
    /// Absent for what an earlier run had in force.
    release: Option<Arc<Release>>,
}

impl Force {
    pub fn new(shelf: Shelf, folders: Vec<PathBuf>) -> Self {
        Force { shelf, folders, standing: BTreeMap::new(), forgotten: BTreeSet::new(), swaps: 0 }
    }

    /// Takes note of a moment that an earlier run replayed.
    pub fn pass(&mut self, moment: &Moment) {
        self.forgotten.extend(moment.forgotten.iter().cloned());
        for need in &moment.needs {
            self.forgotten.remove(&need.policy);
            if self.standing.get(&need.policy).is_none_or(|standing| standing.need.digest != need.digest) {
                self.standing.insert(need.policy.clone(), Standing { need: need.clone(), release: None });
            }
        }
    }

    /// Puts in force what was in force at a moment, behind all events before it.
    pub async fn apply(&mut self, mut drive: Drive, moment: &Moment) -> Outcome<Drive> {
        self.forgotten.extend(moment.forgotten.iter().cloned());
        let earlier: Vec<Need> =
            self.standing.values().filter(|standing| standing.release.is_none()).map(|standing| standing.need.clone()).collect();
        for need in earlier {
            self.install(&mut drive, &need).await?;
        }
        drive = self.take_out(drive, moment).await?;
        for need in &moment.needs {
            if self.forgotten.remove(&need.policy) {
                // In force or not, it may have states here.
                if !self.standing.contains_key(&need.policy) {
                    self.install(&mut drive, need).await?;
                }
                drive.remove(&need.policy).await?;
                self.standing.remove(&need.policy);
            }
            match self.standing.get(&need.policy) {
                Some(standing) if standing.need.digest == need.digest => {}
                standing => {
                    self.swaps += u64::from(standing.is_some());
                    self.install(&mut drive, need).await?;
                }
            }
        }
        Ok(drive)
    }

    /// Takes policies out of force that would be asked about the moment's event and were
    /// not.
    async fn take_out(&mut self, mut drive: Drive, moment: &Moment) -> Outcome<Drive> {
        let would_ask = |standing: &Standing| standing.release.as_ref().is_some_and(|release| release.manifest.asks_about(&moment.kind));
        let gone = self.standing.extract_if(.., |policy, standing| would_ask(standing) && !moment.asks(policy));
        let gone: Vec<(String, Standing)> = gone.collect();
        let mut restarted = false;
        for (policy, standing) in gone {
            let keyed = standing.release.is_some_and(|release| release.manifest.keyed.is_some());
            if !keyed || self.forgotten.remove(&policy) {
                drive.remove(&policy).await?;
            } else {
                // Nobody dropped its states: the server was started again without it.
                restarted = true;
            }
        }
        if restarted {
            drive = drive.reopen().await?;
            let needs: Vec<Need> = self.standing.values().map(|standing| standing.need.clone()).collect();
            for need in needs {
                self.install(&mut drive, &need).await?;
            }
        }
        Ok(drive)
    }

    async fn install(&mut self, drive: &mut Drive, need: &Need) -> Outcome {
        let Need { sequence, policy, release, digest, lists } = need;
        let Some(parts) = self.shelf.find(digest, lists)? else {
            let folders: Vec<String> = self.folders.iter().map(|folder| folder.display().to_string()).collect();
            let (components, settings) = self.shelf.size();
            let with: Vec<String> = lists.iter().map(|(name, version)| format!("the list {} {}", plain(name), plain(version))).collect();
            let with = if with.is_empty() { String::new() } else { format!(" with {}", with.join(" and ")) };
            let why = format!(
                "entry {} asked the release {} of {} (digest {digest}){with}, and no component with any settings in {} is that release ({components} components and {settings} documents of settings were tried). Name the folder that has it with --releases",
                grouped(*sequence),
                plain(release),
                plain(policy),
                folders.join(", "),
            );
            return Err(failed(Exit::Refused, why));
        };
        let installed = drive.install(parts).await?;
        if installed.policy() != policy {
            let why = format!("entry {} says that the release {} is of {}", grouped(*sequence), plain(release), plain(policy));
            return Err(failed(Exit::Refused, format!("{why}, and it is of {}", plain(installed.policy()))));
        }
        self.standing.insert(policy.clone(), Standing { need: need.clone(), release: Some(installed) });
        Ok(())
    }
}
