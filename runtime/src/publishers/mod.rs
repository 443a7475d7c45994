//! What publishers say, carried out: each publisher's repository is looked into now and
//! then, and what is new there is put in force, tried out or taken back, as far as the
//! publisher was granted.
//!
//! What is in force never depends on a repository being there: it was checked when it
//! was taken, and what it is made of is kept beside the ledger. A repository that is
//! down, damaged or out of date changes what is said about the publisher, and nothing
//! else.

mod offer;
mod status;
mod vectors;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use time::OffsetDateTime;
use tokio::sync::{Mutex, Notify};

use crate::digest::Digest;
use crate::policy::publisher::{Gate, WhenStale};
use crate::policy::{Grant, Publisher, Statement};
use crate::repository::{Client, Location, Published, RepositoryError, Snapshot};
use crate::runtime::{By, Offer, Runtime, Stale, Standing, Swap};
use crate::sandbox::LoadError;
use status::{Ages, Counters};

pub use offer::OfferError;
pub use status::{Pending, Problem, PublisherStatus, Refused};
pub use vectors::VectorsError;

/// Looks that have failed are tried again after this time at the latest, whatever the
/// publisher's own interval.
const RETRY: Duration = Duration::from_secs(60);

/// A publisher cannot be followed at all.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// Its trusted root cannot be read.
    #[error("publishers.{publisher}.root: {} cannot be read: {source}", file.display())]
    Root {
        /// Which publisher.
        publisher: String,
        /// Which file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Its repository is not a place for one.
    #[error("publishers.{publisher}.repository: {problem}")]
    Location {
        /// Which publisher.
        publisher: String,
        /// What is wrong.
        problem: String,
    },
    /// What is remembered of it, or its trusted root, is of no use.
    #[error("publishers.{publisher}: {source}")]
    Client {
        /// Which publisher.
        publisher: String,
        /// What is wrong.
        source: RepositoryError,
    },
    /// Its grant makes no sense.
    #[error("{}", .0.join("; "))]
    Grant(Vec<String>),
}

/// All publishers of a configuration.
#[derive(Debug)]
pub struct Publishers {
    runtime: Runtime,
    followed: BTreeMap<String, Followed>,
    counters: Counters,
    /// When they were begun to be followed.
    began: Moment,
    /// Told when terms have changed.
    resettled: Notify,
}

/// One publisher that is followed.
#[derive(Debug)]
struct Followed {
    settled: Publisher,
    grant: Grant,
    terms: Lock<Terms>,
    /// Held while the repository is looked into.
    client: Mutex<Client>,
    seen: Lock<Seen>,
}

/// What can be settled otherwise while a publisher is followed.
#[derive(Debug, Clone, Copy)]
struct Terms {
    poll_s: u64,
    gate: Gate,
}

impl Terms {
    fn of(settled: &Publisher) -> Terms {
        Terms { poll_s: settled.poll_s, gate: settled.gate }
    }
}

impl Followed {
    fn terms(&self) -> Terms {
        *self.terms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was last seen of a publisher.
#[derive(Debug, Default)]
struct Seen {
    snapshot: Option<u64>,
    /// The latest time that was seen, as the repository's client remembers it, also over a
    /// restart.
    time: Option<OffsetDateTime>,
    /// Until when what was seen last holds, or held; remembered likewise.
    expires: Option<OffsetDateTime>,
    /// When it was looked at last with success.
    checked: Option<Moment>,
    /// For each release that is there and not in force the look at which it was not there
    /// yet; nothing if it was there at the first.
    absent: BTreeMap<Digest, Option<Moment>>,
    /// Why the last look failed, and since when looks fail.
    problem: Option<Problem>,
    /// Releases that were not taken, by the digests of their statements.
    refused: BTreeMap<Digest, Refused>,
    /// Releases that wait for their time.
    pending: Vec<Pending>,
    /// What the repository had at the last look that succeeded.
    published: Vec<Published>,
}

impl Seen {
    fn of(client: &Client) -> Seen {
        Seen { time: client.time(), expires: client.expires(), ..Seen::default() }
    }

    /// The time that expiry is judged by: a clock that goes back revives nothing.
    fn latest(&self, now: OffsetDateTime) -> OffsetDateTime {
        self.time.map_or(now, |time| time.max(now))
    }
}

/// A moment by the system's clock, and by one that nobody moves.
#[derive(Debug, Clone, Copy)]
struct Moment {
    at: OffsetDateTime,
    instant: Instant,
}

impl Moment {
    fn now() -> Moment {
        Moment { at: OffsetDateTime::now_utc(), instant: Instant::now() }
    }

    /// When it was, by the clock as it stands `now`; one that was ahead then may be right
    /// by now. The clock that nobody moves stands still while the machine sleeps, so the
    /// earlier of the two counts.
    fn seen_from(self, now: Moment) -> OffsetDateTime {
        self.at.min(now.at - now.instant.duration_since(self.instant))
    }
}

/// What came of a look into a repository.
#[derive(Debug, Default, Serialize, schemars::JsonSchema)]
pub struct Looked {
    /// Releases that were put in force, tried out or taken back.
    pub swaps: Vec<Swap>,
    /// Releases that were refused for the first time.
    pub refused: Vec<Refused>,
}

impl Publishers {
    /// Begins to follow the publishers of a configuration; `base` is the folder that
    /// relative paths in it begin at. What is remembered of each repository is kept in
    /// `memory`, a folder of their own.
    ///
    /// # Errors
    ///
    /// If one of them cannot be followed at all. A repository that is not to be had
    /// right now is no error.
    pub fn new(
        runtime: Runtime,
        publishers: &BTreeMap<String, Publisher>,
        base: &Path,
        memory: &Path,
    ) -> Result<Arc<Publishers>, FollowError> {
        let counters = Counters::default();
        runtime.stats().register(|registry| counters.register(registry));
        let mut followed = BTreeMap::new();
        for (name, settled) in publishers {
            let publisher = name.clone();
            let grant = runtime.grant(name, settled).map_err(FollowError::Grant)?;
            let location = match settled.repository.parse::<Location>() {
                Ok(Location::Folder(folder)) => Location::Folder(base.join(folder)),
                Ok(web) => web,
                Err(error) => return Err(FollowError::Location { publisher, problem: error.to_string() }),
            };
            let file = base.join(&settled.root);
            let root = match std::fs::read(&file) {
                Ok(root) => root,
                Err(source) => return Err(FollowError::Root { publisher, file, source }),
            };
            let client = Client::new(name, &location, root, &memory.join(name));
            let client = client.map_err(|source| FollowError::Client { publisher, source })?;
            let seen = Lock::new(Seen::of(&client));
            let client = Mutex::new(client);
            let terms = Lock::new(Terms::of(settled));
            followed.insert(name.clone(), Followed { settled: settled.clone(), grant, terms, client, seen });
        }
        let publishers = Arc::new(Publishers { runtime, followed, counters, began: Moment::now(), resettled: Notify::new() });
        Ages::register(&publishers);
        Ok(publishers)
    }

    /// Takes over `poll-s` and `gate` of the publishers that are followed, and looks into
    /// the repositories of all of them. What else was settled, and who is followed, stays.
    pub fn resettle(&self, publishers: &BTreeMap<String, Publisher>) {
        for (name, settled) in publishers {
            if let Some(followed) = self.followed.get(name) {
                *followed.terms.lock().unwrap_or_else(PoisonError::into_inner) = Terms::of(settled);
            }
        }
        self.resettled.notify_waiters();
    }

    /// What a publisher's releases have to show; absent for one that is not followed.
    pub fn gate(&self, publisher: &str) -> Option<Gate> {
        self.followed.get(publisher).map(|followed| followed.terms().gate)
    }

    /// Publishers of which nothing is known: no look into the repository has ever
    /// succeeded, and nothing of theirs is in force from before. Each with why, if that
    /// is known.
    pub fn unknown(&self) -> Vec<(&str, Option<String>)> {
        let standing = self.runtime.policies();
        let stands = |name: &str| standing.iter().any(|standing| standing.release.publisher.as_deref() == Some(name));
        let unknown = self.followed.iter().filter_map(|(name, followed)| {
            let seen = followed.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let is_known = seen.checked.is_some() || seen.expires.is_some() || stands(name);
            (!is_known).then(|| (name.as_str(), seen.problem.as_ref().map(|problem| problem.message.clone())))
        });
        unknown.collect()
    }

    /// What a publisher was granted; absent for one that is not followed.
    pub fn grant(&self, publisher: &str) -> Option<&Grant> {
        self.followed.get(publisher).map(|followed| &followed.grant)
    }

    /// What a publisher has signed of a release, by the digest of the statement; absent if
    /// its repository did not have it at the last look, or there was none in this process.
    pub fn statement(&self, publisher: &str, digest: &Digest) -> Option<Statement> {
        let seen = self.followed.get(publisher)?.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.published.iter().find(|published| published.digest == *digest).map(|published| published.statement.clone())
    }

    /// The publishers that are followed.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.followed.keys().map(String::as_str)
    }

    /// Looks into each repository, again and again, each at its own interval. Never
    /// returns.
    pub async fn follow(self: Arc<Self>) {
        let each = self.followed.keys().cloned().map(|name| {
            let publishers = self.clone();
            async move {
                loop {
                    let _ = publishers.look(&name).await;
                    tokio::select! {
                        () = tokio::time::sleep(publishers.rest(&name)) => {}
                        () = publishers.resettled.notified() => {}
                    }
                }
            }
        });
        let tasks: Vec<_> = each.map(tokio::spawn).collect();
        let mut tasks = AbortOnDrop(tasks);
        for task in &mut tasks.0 {
            let _ = task.await;
        }
    }

    /// How long to wait for the next look: until a release that waits has its time, or
    /// what was seen expires, at most the publisher's interval.
    fn rest(&self, name: &str) -> Duration {
        let Some(followed) = self.followed.get(name) else { return RETRY };
        let seen = followed.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rest = Duration::from_secs(followed.terms().poll_s);
        if seen.problem.is_some() {
            rest = rest.min(RETRY);
        }
        let now = OffsetDateTime::now_utc();
        let mut until = |time: OffsetDateTime| {
            let wait = Duration::try_from(time - now).unwrap_or_default();
            rest = rest.min(wait.max(Duration::from_millis(100)));
        };
        seen.pending.iter().for_each(|pending| until(pending.valid_from));
        // It holds for the whole of its last second.
        let over = seen.expires.and_then(|expires| expires.checked_add(time::Duration::SECOND));
        if let Some(over) = over.filter(|over| *over > seen.latest(now)) {
            until(over);
        }
        rest
    }

    /// Looks into a publisher's repository once, and carries out what is new there.
    ///
    /// # Errors
    ///
    /// If what is there cannot be trusted or had; or nobody of that name is followed.
    /// What is in force stays.
    pub async fn look(&self, name: &str) -> Result<Looked, RepositoryError> {
        let Some(followed) = self.followed.get(name) else {
            return Err(RepositoryError::WrongPublisher { expected: name.to_string(), found: "nobody of that name".into() });
        };
        let mut client = followed.client.lock().await;
        let now = Moment::now();
        let refreshed = client.refresh().await;
        let before = {
            let mut seen = followed.seen.lock().unwrap_or_else(PoisonError::into_inner);
            (seen.time, seen.expires) = (client.time(), client.expires());
            seen.checked
        };
        let outcome = match &refreshed {
            Ok(snapshot) => {
                let looked = self.carry_out(name, followed, snapshot, before, now).await;
                let mut seen = followed.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.snapshot = Some(snapshot.version);
                seen.published.clone_from(&snapshot.releases);
                seen.checked = Some(now);
                seen.problem = None;
                Ok(looked)
            }
            Err(error) => {
                self.counters.failed(name, error.code());
                let mut seen = followed.seen.lock().unwrap_or_else(PoisonError::into_inner);
                let since = seen.problem.as_ref().map_or(now.at, |problem| problem.since);
                let is_new = seen.problem.as_ref().is_none_or(|problem| problem.code != error.code());
                seen.problem = Some(Problem { code: error.code(), message: error.to_string(), since });
                if is_new {
                    tracing::warn!(publisher = name, code = error.code(), %error, "A repository is not followed; what is in force stays");
                }
                Err(error.clone())
            }
        };
        // A look that fails renews nothing: what was out of date before it still is, and
        // the rest is as soon as it has expired.
        let is_over = client.expires().zip(client.time()).is_some_and(|(expires, time)| expires < time);
        let is_stale = refreshed.is_err() && (is_over || self.is_marked(name));
        self.counters.stale(name, is_stale);
        self.mark(name, followed, is_stale).await;
        outcome
    }

    /// Whether the runtime knows a publisher as out of date.
    fn is_marked(&self, name: &str) -> bool {
        let is_marked = |standing: &Standing| standing.release.publisher.as_deref() == Some(name) && standing.stale.is_some();
        self.runtime.policies().iter().any(is_marked)
    }

    /// Has the runtime know whether a publisher is out of date.
    async fn mark(&self, name: &str, followed: &Followed, is_stale: bool) {
        let stale = is_stale.then_some(match followed.settled.when_stale {
            WhenStale::Keep => Stale::Keep,
            WhenStale::Stop => Stale::Stop,
        });
        let other = |standing: &Standing| standing.release.publisher.as_deref() == Some(name) && standing.stale != stale;
        let mut policies: Vec<String> =
            self.runtime.policies().into_iter().filter(other).map(|standing| standing.release.policy().to_string()).collect();
        policies.dedup();
        for policy in policies {
            let why = if is_stale { "the signature on the timestamp has expired" } else { "the timestamp was renewed" };
            let marked = self.runtime.mark_stale(&policy, stale, By::new(name).because(why)).await;
            match marked {
                Ok(swap) if is_stale => tracing::warn!(policy, sequence = swap.sequence, "Stale: what its publisher says is out of date"),
                Ok(swap) => tracing::info!(policy, sequence = swap.sequence, "No longer stale"),
                // It may have been withdrawn meanwhile.
                Err(error) => tracing::debug!(policy, %error, "Could not be marked"),
            }
        }
    }

    /// Takes back what is withdrawn, and offers what is new to the runtime, all of it
    /// together.
    async fn carry_out(&self, name: &str, followed: &Followed, snapshot: &Snapshot, before: Option<Moment>, now: Moment) -> Looked {
        let mut looked = Looked { swaps: self.withdraw(name, snapshot).await, ..Looked::default() };
        let standing = self.runtime.policies();
        let stands = |digest: &Digest| standing.iter().any(|standing| standing.statement.as_ref() == Some(digest));
        let mut policies: Vec<&str> = snapshot.releases.iter().map(|release| release.statement.policy.as_str()).collect();
        policies.dedup();
        let latest = policies.into_iter().filter_map(|policy| newest(snapshot, policy));
        let (mut pending, mut absent) = (Vec::new(), BTreeMap::new());
        let mut offers: Vec<(&Published, Offer)> = Vec::new();
        let mut refused = Vec::new();
        for release in latest.filter(|release| !stands(&release.digest)) {
            let (refused_as, before) = {
                let seen = followed.seen.lock().unwrap_or_else(PoisonError::into_inner);
                let refused_as = seen.refused.get(&release.digest).map(|refused| refused.code);
                (refused_as, seen.absent.get(&release.digest).copied().unwrap_or(before))
            };
            absent.insert(release.digest, before);
            if self.runtime.is_withdrawn(&release.digest) {
                if refused_as.is_none() {
                    let message = "it was withdrawn on this platform; under a new version it is looked at again".into();
                    refused.push(status::refused(name, release, "withdrawn", message, now.at));
                }
                continue;
            }
            // What is wrong with it stays wrong; but it may have been the clock that was.
            if refused_as.is_some_and(|code| code != OfferError::BACKDATED) {
                continue;
            }
            let before = before.map(|before| before.seen_from(now));
            let offered = offer::of(&self.runtime, followed, snapshot, release, before, now.at).await;
            if refused_as.is_some() {
                if matches!(offered, Err(OfferError::Backdated(_))) {
                    continue;
                }
                followed.seen.lock().unwrap_or_else(PoisonError::into_inner).refused.remove(&release.digest);
            }
            match offered {
                Ok(offer::Ready::Now(offer)) => offers.push((release, *offer)),
                Ok(offer::Ready::Later(valid_from)) => pending.push(Pending {
                    policy: format!("{name}/{}", release.statement.policy),
                    version: release.statement.version.to_string(),
                    valid_from,
                }),
                // The repository may have it at the next look.
                Err(OfferError::Repository(error)) => {
                    tracing::warn!(publisher = name, policy = release.statement.policy, %error, "A release could not be fetched; it is tried again");
                }
                Err(error) => refused.push(status::refused(name, release, error.code(), error.to_string(), now.at)),
            }
        }
        {
            let mut seen = followed.seen.lock().unwrap_or_else(PoisonError::into_inner);
            (seen.pending, seen.absent) = (pending, absent);
        }
        let (swaps, failed) = self.publish(name, offers).await;
        refused.extend(failed.into_iter().map(|(release, error)| status::refused(name, release, error.kind(), error.to_string(), now.at)));
        looked.swaps.extend(swaps);
        for refusal in refused {
            tracing::warn!(
                publisher = name,
                policy = refusal.policy,
                version = refusal.version,
                code = refusal.code,
                reason = refusal.message,
                "Release refused; what was in force stays"
            );
            self.counters.refused(name, refusal.code);
            followed.seen.lock().unwrap_or_else(PoisonError::into_inner).refused.insert(refusal.statement, refusal.clone());
            looked.refused.push(refusal);
        }
        looked
    }

    /// Puts releases of one snapshot in force, all from the same event on. If one of them
    /// cannot be, the others are one by one: what is wrong with it is no fault of theirs.
    async fn publish<'s>(&self, name: &str, offers: Vec<(&'s Published, Offer)>) -> (Vec<Swap>, Vec<(&'s Published, LoadError)>) {
        let (mut swaps, mut failed) = (Vec::new(), Vec::new());
        if offers.is_empty() {
            return (swaps, failed);
        }
        let together = offers.iter().map(|(_, offer)| offer.clone()).collect();
        match self.runtime.publish(together, By::new(name)).await {
            Ok(together) => swaps = together,
            Err(LoadError::Stopped) => {}
            Err(error) => match <[_; 1]>::try_from(offers) {
                Ok([(release, _)]) => failed.push((release, error)),
                Err(offers) => {
                    for (release, offer) in offers {
                        match self.runtime.publish(vec![offer], By::new(name)).await {
                            Ok(alone) => swaps.extend(alone),
                            Err(error) => failed.push((release, error)),
                        }
                    }
                }
            },
        }
        for swap in &swaps {
            tracing::info!(
                policy = swap.policy,
                release = swap.release,
                mode = swap.mode.name(),
                replaced = swap.replaced.as_deref().unwrap_or("nothing"),
                sequence = swap.sequence,
                "Release taken from its publisher"
            );
        }
        (swaps, failed)
    }

    /// Takes back what the publisher does not stand for any more.
    async fn withdraw(&self, name: &str, snapshot: &Snapshot) -> Vec<Swap> {
        let mut swaps = Vec::new();
        for standing in self.runtime.policies() {
            let published = snapshot.releases.iter().find(|release| Some(release.digest) == standing.statement);
            let Some(withdrawal) = published.and_then(|release| snapshot.withdrawal(release)) else { continue };
            let policy = standing.release.policy();
            let by = By::new(format!("{name}: {}", withdrawal.by)).because(withdrawal.reason.clone());
            match self.runtime.withdraw(policy, Some(&standing.release.id), by).await {
                Ok(swap) => {
                    let (release, sequence) = (&swap.release, swap.sequence);
                    tracing::warn!(policy, release, sequence, reason = withdrawal.reason, "Withdrawn by its publisher");
                    swaps.push(swap);
                }
                Err(error) => tracing::error!(policy, %error, "A release could not be withdrawn"),
            }
        }
        swaps
    }
}

/// The newest release of a policy, if it is not taken back. What it superseded does not
/// come back by itself: a publisher who wants that publishes it under a new version.
fn newest<'s>(snapshot: &'s Snapshot, policy: &str) -> Option<&'s Published> {
    let releases = snapshot.releases.iter().filter(|release| release.statement.policy == policy);
    let newest = releases.max_by(|a, b| a.statement.version.cmp(&b.statement.version))?;
    snapshot.withdrawal(newest).is_none().then_some(newest)
}

/// Tasks that end with whoever waits for them.
struct AbortOnDrop(Vec<tokio::task::JoinHandle<()>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clock that nobody moves has gone on for so many minutes, and the system's shows
    /// so many since noon.
    fn moment(began: Instant, passed: u64, shown: i64) -> Moment {
        let noon = OffsetDateTime::UNIX_EPOCH + time::Duration::hours(12);
        Moment { at: noon + time::Duration::minutes(shown), instant: began + Duration::from_secs(60 * passed) }
    }

    #[test]
    fn a_look_was_when_it_was_whatever_the_clock_said_then() {
        let began = Instant::now();
        let day = 24 * 60;
        for (then, now, expected, what) in [
            (0, 5, 0, "a clock that is right"),
            (day, 5, 0, "one that was ahead"),
            (day, 300, 295, "one that was ahead for hours"),
            (day, day + 5, day, "one that still is ahead"),
            (0, day + 5, 0, "one that is ahead since"),
            (-day, 5, -day, "one that was behind"),
        ] {
            let now = moment(began, 5, now);
            assert_eq!(moment(began, 0, then).seen_from(now), moment(began, 0, expected).at, "{what}");
        }
        // The machine has slept since.
        assert_eq!(moment(began, 0, 0).seen_from(moment(began, 1, 300)), moment(began, 0, 0).at);
    }

    #[test]
    fn expiry_is_judged_by_the_latest_time_that_was_seen() {
        let time = |minutes| moment(Instant::now(), 0, minutes).at;
        let seen = Seen { time: Some(time(60)), ..Seen::default() };
        assert_eq!((seen.latest(time(0)), seen.latest(time(90))), (time(60), time(90)));
        assert_eq!(Seen::default().latest(time(0)), time(0));
    }
}
