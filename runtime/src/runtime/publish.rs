//! Releases of publishers: put in force, tried out, promoted, taken back.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use tokio::sync::oneshot;

use super::change::{By, Change, InstalledRecord, LineRecord, Order};
use super::gate::{Gate, Shown};
use super::line::{Installed, Line, Lines, Stale};
use super::{BuildError, CONFIGURATION, Limits, Runtime, Swap};
use crate::digest::Digest;
use crate::ledger::blobs;
use crate::policy::grant::{self, Ask, Missing};
use crate::policy::statement::StateRule;
use crate::policy::{Grant, Manifest, Mode, Validity};
use crate::reference::List;
use crate::sandbox::{self, Ahead, Image, LoadError};
use crate::sequencer::{Stopped, now_micros};
use crate::stats::OutcomeLabel;

/// A release that is offered to a runtime.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The component.
    pub component: Arc<[u8]>,
    /// The settings, a JSON document.
    pub settings: Arc<[u8]>,
    /// Reference lists; the policy has to name each of them.
    pub lists: Vec<Arc<List>>,
    /// Reference lists that it may have where it names one that is not in `lists`.
    pub spare: Vec<Arc<List>>,
    /// Who publishes it; absent in development.
    pub publisher: Option<String>,
    /// What the publisher may see and ask for.
    pub grant: Grant,
    /// Digest of the signed statement that it comes with.
    pub statement: Option<Digest>,
    /// What its findings count for at first.
    pub mode: Mode,
    /// Keys for which a canary counts, of ten thousand.
    pub share: u16,
    /// What they may come to count for.
    pub strongest: Mode,
    /// The event times at which it is in force.
    pub validity: Validity,
    /// What is to become of the states of the release in force; absent: what the
    /// component itself declares.
    pub states: Option<StateRule>,
}

impl Offer {
    /// A release for development: unsigned, in force at once, with every field plain.
    pub fn development(component: Arc<[u8]>, settings: Arc<[u8]>) -> Self {
        Offer {
            component,
            settings,
            lists: Vec::new(),
            spare: Vec::new(),
            publisher: None,
            grant: Grant::development(),
            statement: None,
            mode: Mode::Enforce,
            share: 0,
            strongest: Mode::Enforce,
            validity: Validity::default(),
            states: None,
        }
    }
}

/// Why a release does not count for more.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PromoteError {
    /// What it has shown is not what was asked for.
    #[error("the release stays as it is: {}", .problems.join("; "))]
    Gate {
        /// What is missing, one by one.
        problems: Vec<String>,
        /// What it has shown.
        shown: Box<Shown>,
    },
    /// It cannot be done at all.
    #[error(transparent)]
    Refused(#[from] LoadError),
}

impl Runtime {
    /// Judges with releases from now on, with all of them from the same event on. What
    /// each was made of is kept, so that a restart takes it up again.
    ///
    /// # Errors
    ///
    /// Why one of them is not taken; then none is.
    pub async fn publish(&self, offers: Vec<Offer>, by: By) -> Result<Vec<Swap>, LoadError> {
        let _guard = self.0.changing.lock().await;
        let _ahead = self.load_ahead(offers.iter().map(|offer| (&*offer.component, &*offer.settings)));
        let mut orders = Vec::with_capacity(offers.len());
        for offer in offers {
            orders.push(Order::Install(Box::new(self.take(None, offer).await?)));
        }
        self.orders(orders, by).await
    }

    /// Loads an offer as if it were to be judged with, and gives what the component says
    /// about itself. Nothing is put in force.
    ///
    /// # Errors
    ///
    /// Why it would not be taken.
    pub async fn look_at(&self, offer: &Offer) -> Result<Manifest, LoadError> {
        Ok(self.load(None, offer.clone()).await?.image.release().manifest.clone())
    }

    /// Another runtime with the same sandbox, for trying something out: its ledger is in
    /// a directory of its own, the watermark of its sources is `lateness_s` seconds
    /// behind, and it makes no verdict events.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn apart(&self, data: &Path, lateness_s: u64) -> Result<Runtime, BuildError> {
        let (sandbox, worker, cache) = self.0.loader.origin();
        let limits = Limits { lateness_s, threads: 1, ..Limits::default() };
        let builder = Runtime::builder().sandbox(sandbox.clone()).spine(limits).worker(worker).data(data).verdict_events_given();
        let builder = match cache {
            Some(cache) => builder.cache(cache),
            None => builder,
        };
        // What it says about its ledger is of no interest to whoever reads about ours.
        tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::new(), || builder.build())
    }

    /// Lets the release of a policy that is tried out count for more: as a canary for a
    /// share of the keys (of ten thousand), or in the place of the one in force. `gate`
    /// says what is missing in what it has shown, one by one; nothing, if it will do.
    ///
    /// # Errors
    ///
    /// If something is missing, or there is no such release.
    pub async fn promote(
        &self,
        policy: &str,
        to: Mode,
        share: u16,
        gate: impl FnOnce(&Shown) -> Vec<String>,
        by: By,
    ) -> Result<Swap, PromoteError> {
        let _guard = self.0.changing.lock().await;
        let shown = {
            let standing = self.0.standing.read().unwrap_or_else(PoisonError::into_inner);
            let line = standing.get(policy).ok_or_else(|| LoadError::NotInForce { name: policy.to_string() })?;
            let candidate = line.candidate.as_ref().ok_or_else(|| LoadError::NoCandidate { name: policy.to_string() })?;
            candidate.gate.shown()
        };
        let problems = gate(&shown);
        if !problems.is_empty() {
            return Err(PromoteError::Gate { problems, shown: Box::new(shown) });
        }
        Ok(self.order(Order::Promote { policy: policy.to_string(), to, share }, by).await?)
    }

    /// Lets a canary count for nothing, or the release in force if there is none: it is
    /// judged with and recorded.
    ///
    /// # Errors
    ///
    /// If there is no such release.
    pub async fn demote(&self, policy: &str, by: By) -> Result<Swap, LoadError> {
        let _guard = self.0.changing.lock().await;
        self.order(Order::Demote { policy: policy.to_string() }, by).await
    }

    /// Judges with a release no more; without an id, with no release of the policy, and
    /// what the policy remembers is forgotten. Takes effect behind what was submitted
    /// before.
    ///
    /// # Errors
    ///
    /// If there is no such release.
    pub async fn withdraw(&self, policy: &str, release: Option<&str>, by: By) -> Result<Swap, LoadError> {
        let policy = policy.to_string();
        // Does not wait for a component that is being loaded.
        let order = match release {
            Some(release) => Order::Withdraw { policy, release: release.to_string() },
            None => Order::Remove { policy },
        };
        self.order(order, by).await
    }

    /// Notes that what the publisher of a policy says is out of date, or that it is not
    /// any more.
    ///
    /// # Errors
    ///
    /// If there is no such policy.
    pub async fn mark_stale(&self, policy: &str, stale: Option<Stale>, by: By) -> Result<Swap, LoadError> {
        self.order(Order::Stale { policy: policy.to_string(), stale }, by).await
    }

    /// Takes up the releases that were in force when the data directory was used last, as
    /// they were. `grant` gives what a publisher may see now; a policy whose publisher may
    /// see nothing any more is withdrawn. It is asked with nothing for policies that were
    /// not published: without a grant they are out of force, and keep their states.
    ///
    /// To be called before events are submitted. Gives the names of the policies.
    ///
    /// # Errors
    ///
    /// If what was kept of one of them is missing or is no longer taken.
    pub async fn restore(&self, grant: impl Fn(Option<&str>) -> Option<Grant>) -> Result<Vec<String>, LoadError> {
        let _guard = self.0.changing.lock().await;
        let recorded = std::mem::take(&mut *self.0.recorded.lock().await);
        let Some(data) = self.0.data.clone() else { return Ok(Vec::new()) };
        let (mut lines, mut dropped) = (Lines::new(), Vec::new());
        let mut withdrawn: BTreeMap<String, String> = BTreeMap::new();
        let known = Known::read(&data, recorded.values());
        let _ahead = self.load_ahead(recorded.values().flat_map(LineRecord::releases).filter_map(|record| known.made_of(record)));
        for (policy, record) in &recorded {
            let publisher = policy.split_once('/').map(|(publisher, _)| publisher);
            let granted = grant(publisher);
            match (publisher, &granted) {
                (None, None) => {
                    dropped.push(policy.as_str().into());
                    continue;
                }
                (Some(_), None) => {
                    withdrawn.insert(policy.clone(), "its publisher is not in the configuration any more".into());
                }
                _ => {}
            }
            let mut grant = granted.unwrap_or_else(Grant::development);
            let mut taken: Vec<Installed> = Vec::new();
            for release in record.releases() {
                taken.push(match self.take_up(&known, publisher, &grant, release).await {
                    // A grant may have become too narrow since.
                    Err(error @ LoadError::Grant { .. }) if taken.is_empty() => {
                        withdrawn.insert(policy.clone(), error.to_string());
                        grant = Grant::development();
                        self.take_up(&known, publisher, &grant, release).await?
                    }
                    taken => taken?,
                });
            }
            let candidate = if record.candidate.is_some() { taken.pop() } else { None };
            let stale = record.stale.map(|keep| if keep { Stale::Keep } else { Stale::Stop });
            let line = Line { enforced: taken, candidate, stale };
            lines.insert(policy.as_str().into(), line);
        }
        let names = lines.keys().map(ToString::to_string).filter(|name| !withdrawn.contains_key(name)).collect();
        let (done, restored) = oneshot::channel();
        self.0.entrance.change(Change::Restore { lines, dropped, done }).map_err(|Stopped| LoadError::Stopped)?;
        restored.await.map_err(|_| LoadError::Stopped)?;
        for (policy, reason) in withdrawn {
            tracing::warn!(policy, reason, "Out of force");
            let by = By::new(CONFIGURATION).because(reason);
            self.order(Order::Remove { policy }, by).await?;
        }
        Ok(names)
    }

    async fn take_up(
        &self,
        known: &Known<'_>,
        publisher: Option<&str>,
        grant: &Grant,
        record: &InstalledRecord,
    ) -> Result<Installed, LoadError> {
        let fail = |problem: String| LoadError::Worker { problem };
        let read = |digest: &str| known.get(digest).map_err(fail);
        let open = |digest: &str| List::open(read(digest)?).map(Arc::new).map_err(|error| fail(format!("{digest}: {error}")));
        let statement = record.statement.as_deref().map(|hex| Digest::from_hex(hex).ok_or_else(|| fail(format!("{hex:?} is no digest"))));
        let offer = Offer {
            component: read(&record.component)?,
            settings: read(&record.settings)?,
            lists: record.lists.iter().map(|digest| open(digest)).collect::<Result<_, _>>()?,
            spare: Vec::new(),
            publisher: publisher.map(str::to_string),
            grant: grant.clone(),
            statement: statement.transpose()?,
            mode: record.mode,
            share: record.share,
            strongest: record.strongest,
            validity: record.validity,
            states: None,
        };
        let installed = self.load(None, offer).await?;
        Ok(Installed { since: record.since, states: record.states.as_str().into(), ..installed })
    }

    /// Makes an offer something that can judge, and keeps what it is made of, so that a
    /// restart or a replay needs nobody else.
    pub(super) async fn take(&self, name: Option<&str>, offer: Offer) -> Result<Installed, LoadError> {
        let installed = self.load(name, offer).await?;
        if let Some(data) = &self.0.data {
            let lists = installed.image.lists().iter().map(|list| list.bytes());
            for bytes in [&installed.component, &installed.settings].into_iter().chain(lists) {
                blobs::keep(data, bytes).map_err(|error| LoadError::Worker { problem: error.to_string() })?;
            }
        }
        Ok(installed)
    }

    async fn load(&self, name: Option<&str>, offer: Offer) -> Result<Installed, LoadError> {
        let Offer { component, settings, lists, spare, publisher, grant, statement, mode, share, strongest, validity, states: rule } =
            offer;
        // Before anything is done with it: what is not granted costs nothing.
        if let Err(error) = speaks_granted(&grant, &component) {
            self.count_load(Some(&error));
            return Err(error);
        }
        let lists = sandbox::Lists { bound: lists, spare };
        let loaded = match self.same_code(&component, &settings) {
            // Only the lists are new.
            Some(image) => {
                self.0.stats.cache.get_or_create(&OutcomeLabel { outcome: "kept" }).inc();
                image.rebind(&component, &settings, &lists)
            }
            None => self.0.loader.load_with(name, &component, &settings, &lists).await,
        };
        let loaded = loaded.and_then(|image| held_against(&grant, image));
        self.count_load(loaded.as_ref().err());
        let mut image = loaded?;
        let found = image.release().policy();
        if let Some(expected) = name
            && expected != found
        {
            return Err(LoadError::Name { expected: expected.to_string(), found: found.to_string() });
        }
        if let Some(publisher) = &publisher {
            image = image.published_by(publisher);
        }
        image = image.within(grant.budget());
        let states = image.release().policy().into();
        let gate = Arc::new(Gate::default());
        let image = Arc::new(image);
        Ok(Installed { image, component, settings, grant, mode, share, validity, statement, strongest, since: 0, states, rule, gate })
    }

    /// Takes compiled code of these components, each with its settings, from the cache, on
    /// all processors. Whoever puts many policies in force one after the other does it
    /// before: each finds its code ready then, as long as the result is held. What is not
    /// in the cache is compiled when its turn comes.
    pub fn load_ahead<'a>(&self, releases: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Ahead<'_> {
        let new = releases.into_iter().filter(|(component, settings)| self.same_code(component, settings).is_none());
        self.0.loader.load_ahead(&new.collect::<Vec<_>>())
    }

    /// What is judged with of this component and these settings, with whatever lists.
    fn same_code(&self, component: &[u8], settings: &[u8]) -> Option<Arc<Image>> {
        let standing = self.0.standing.read().unwrap_or_else(PoisonError::into_inner);
        let mut releases = standing.values().flat_map(|line| line.releases());
        let same = |installed: &&Installed| *installed.component == *component && *installed.settings == *settings;
        releases.find(same).map(|installed| installed.image.clone())
    }

    pub(super) async fn order(&self, order: Order, by: By) -> Result<Swap, LoadError> {
        self.orders(vec![order], by).await?.pop().ok_or(LoadError::Stopped)
    }

    pub(super) async fn orders(&self, orders: Vec<Order>, by: By) -> Result<Vec<Swap>, LoadError> {
        let (reply, done) = oneshot::channel();
        let at = by.at.unwrap_or_else(now_micros);
        self.0.entrance.change(Change::Orders { orders, by, at, reply }).map_err(|Stopped| LoadError::Stopped)?;
        done.await.map_err(|_| LoadError::Stopped)?
    }
}

/// What the releases of a data directory are made of.
struct Known<'d> {
    data: &'d Path,
    /// Components and settings that were read, by their digests.
    read: BTreeMap<String, Arc<[u8]>>,
}

impl<'d> Known<'d> {
    /// Reads components and settings. What is wrong with one is told when it is asked for.
    fn read<'r>(data: &'d Path, lines: impl Iterator<Item = &'r LineRecord>) -> Self {
        let digests = lines.flat_map(LineRecord::releases).flat_map(|record| [&record.component, &record.settings]);
        let read = digests.filter_map(|digest| Some((digest.clone(), blobs::read(data, digest).ok()?.into())));
        Known { data, read: read.collect() }
    }

    fn get(&self, digest: &str) -> Result<Arc<[u8]>, String> {
        self.read.get(digest).map_or_else(|| blobs::read(self.data, digest).map(Arc::from), |bytes| Ok(bytes.clone()))
    }

    /// The component and the settings of a release.
    fn made_of(&self, record: &InstalledRecord) -> Option<(&[u8], &[u8])> {
        Some((self.read.get(&record.component)?, self.read.get(&record.settings)?))
    }
}

/// Whether a component is in a language that its publisher was granted. What it is called
/// is not known yet.
fn speaks_granted(grant: &Grant, component: &[u8]) -> Result<(), LoadError> {
    match grant.review_language(sandbox::language(component)) {
        Some(Ask { what, outcome: grant::Outcome::Missing, message, .. }) => {
            let publisher = grant.publisher().unwrap_or_default().to_string();
            let policy = format!("sha256:{}…", Digest::of(component).short());
            Err(LoadError::Grant { publisher, policy, missing: vec![Missing { what, message }] })
        }
        _ => Ok(()),
    }
}

/// A policy that its publisher was granted the needs of.
fn held_against(grant: &Grant, image: Image) -> Result<Image, LoadError> {
    let manifest = &image.release().manifest;
    match grant.check(manifest) {
        Ok(()) => Ok(image),
        Err(missing) => {
            let publisher = grant.publisher().unwrap_or_default().to_string();
            Err(LoadError::Grant { publisher, policy: manifest.name.clone(), missing })
        }
    }
}
