//! A release that can be run, and what running it has taught.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::{Engine, Store};

use super::Limits;
use super::bindings::{Batch, Outcome, Policy, PolicyPre, Wakes};
use super::engine::{Ctx, Machine, Sandbox};
use super::error::LoadError;
use super::language::language;
use crate::policy::publisher::Budget;
use crate::policy::{Bound, Manifest, Release};
use crate::reference::List;

/// A release that can be run.
pub(crate) struct Image {
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) code: Code,
    pub(super) release: Arc<Release>,
    /// What it looks things up in, in the order of the manifest.
    pub(super) lists: Arc<[Arc<List>]>,
    /// What it may use: what the sandbox gives, or less.
    pub(super) limits: Limits,
    /// How many rows fit a call, learned from the calls so far.
    pub(super) pace: Pace,
}

impl Image {
    /// The same with what its publisher was granted, where that is less than the sandbox
    /// gives.
    pub fn within(mut self, budget: Budget) -> Self {
        let limits = &mut self.limits;
        limits.event_fuel_max = budget.event_fuel_max.map_or(limits.event_fuel_max, |fuel| fuel.min(limits.event_fuel_max));
        limits.memory_bytes_max = budget.memory_bytes_max.map_or(limits.memory_bytes_max, |bytes| bytes.min(limits.memory_bytes_max));
        self
    }

    /// The same, of a publisher.
    pub fn published_by(mut self, publisher: &str) -> Self {
        self.release = Arc::new(Release::clone(&self.release).published_by(publisher));
        self
    }

    /// What it is the image of.
    pub fn release(&self) -> &Arc<Release> {
        &self.release
    }

    /// What it looks things up in, in the order of the manifest.
    pub fn lists(&self) -> &Arc<[Arc<List>]> {
        &self.lists
    }

    /// The same code with other lists, as a release of its own; `component` and
    /// `settings` are those that this one was made of. Compiles nothing.
    ///
    /// # Errors
    ///
    /// If the lists are not those that the manifest names.
    pub fn rebind(&self, component: &[u8], settings: &[u8], lists: &Lists) -> Result<Image, LoadError> {
        Image::bind(self.sandbox.clone(), self.code.clone(), component, settings, self.release.manifest.clone(), lists)
    }

    /// Binds code to the lists that its manifest names.
    pub(super) fn bind(
        sandbox: Arc<Sandbox>,
        code: Code,
        component: &[u8],
        settings: &[u8],
        manifest: Manifest,
        lists: &Lists,
    ) -> Result<Image, LoadError> {
        // Code of one engine in a store of another: types of two engines would be mixed up.
        debug_assert!(code.is_of(&sandbox.engine), "one engine has compiled it and another is to run it");
        let language = language(component);
        let lists = lists.bind(&manifest.lists)?;
        let bound = lists.iter().map(|list| Bound { name: list.name().into(), version: list.version().into(), digest: list.digest() });
        let release = Arc::new(Release::new(component, settings, bound.collect(), manifest).written_in(language));
        let limits = sandbox.limits.of(language);
        Ok(Image { sandbox, code, release, lists, limits, pace: Pace::default() })
    }
}

/// What is called.
#[derive(Clone)]
pub(super) enum Code {
    /// A component, in an instance of its own for each call.
    Component(PolicyPre<Ctx>),
    /// For the simulation.
    #[cfg(test)]
    Native(super::native::Configured),
}

/// An instance of a component. That there is none is the machine's affair.
fn instance(pre: &PolicyPre<Ctx>, store: &mut Store<Ctx>) -> wasmtime::Result<Policy> {
    pre.instantiate(store).map_err(Machine::no_instance)
}

impl Code {
    /// Whether this engine can run it.
    fn is_of(&self, engine: &Engine) -> bool {
        match self {
            Code::Component(pre) => Engine::same(pre.engine(), engine),
            #[cfg(test)]
            Code::Native(_) => true,
        }
    }

    /// Asks about events.
    pub fn evaluate(&self, store: &mut Store<Ctx>, batch: &Batch) -> wasmtime::Result<Outcome> {
        match self {
            Code::Component(pre) => instance(pre, store)?.call_evaluate(store, batch),
            #[cfg(test)]
            Code::Native(native) => native.evaluate(batch),
        }
    }

    /// Asks about timers that fire.
    pub fn wake(&self, store: &mut Store<Ctx>, wakes: &Wakes) -> wasmtime::Result<Outcome> {
        match self {
            Code::Component(pre) => instance(pre, store)?.call_wake(store, wakes),
            #[cfg(test)]
            Code::Native(native) => native.wake(wakes),
        }
    }

    /// Has states migrated that a release of version `from` left.
    pub fn migrate(&self, store: &mut Store<Ctx>, from: u32, states: &[Vec<u8>]) -> wasmtime::Result<Result<Vec<Option<Vec<u8>>>, String>> {
        match self {
            Code::Component(pre) => instance(pre, store)?.call_migrate(store, from, states),
            #[cfg(test)]
            Code::Native(native) => Ok(native.migrate(from, states)),
        }
    }

    /// Makes an instance and throws it away.
    pub fn instantiate(&self, store: &mut Store<Ctx>) -> wasmtime::Result<()> {
        match self {
            Code::Component(pre) => instance(pre, store).map(drop),
            #[cfg(test)]
            Code::Native(_) => Ok(()),
        }
    }
}

/// Lists that come with a policy.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lists {
    /// The policy must look things up in each of them.
    pub bound: Vec<Arc<List>>,
    /// It may have these for what is not among the others.
    pub spare: Vec<Arc<List>>,
}

impl Lists {
    /// The lists of these names, in their order.
    fn bind(&self, names: &[String]) -> Result<Arc<[Arc<List>]>, LoadError> {
        let find = |lists: &[Arc<List>], name: &str| lists.iter().find(|list| list.name() == name).cloned();
        let found: Vec<Option<Arc<List>>> = names.iter().map(|name| find(&self.bound, name).or_else(|| find(&self.spare, name))).collect();
        let missing = names.iter().zip(&found).filter(|(_, list)| list.is_none()).map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let is_used = |at: usize, name: &str| {
            names.iter().any(|known| known == name) && self.bound[..at].iter().all(|earlier| earlier.name() != name)
        };
        let superfluous = self.bound.iter().enumerate().filter(|(at, list)| !is_used(*at, list.name()));
        let superfluous: Vec<String> = superfluous.map(|(_, list)| list.name().to_string()).collect();
        if missing.is_empty() && superfluous.is_empty() {
            return Ok(found.into_iter().flatten().collect());
        }
        Err(LoadError::Lists { missing, superfluous })
    }
}

/// How many rows to give a call, so that it stays well within the fuel.
///
/// Only how fast the work goes depends on this: a call that runs out is repeated
/// with fewer rows, and what is said about a row is the same.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Fuel per row, of late; zero if not known.
    row_fuel: AtomicU64,
}

impl Pace {
    pub(super) fn rows(&self, fuel_max: u64, rows_max: usize) -> usize {
        let row_fuel = self.row_fuel.load(Ordering::Relaxed);
        let fitting = fuel_max / 2 / row_fuel.max(1);
        usize::try_from(fitting).unwrap_or(usize::MAX).min(rows_max).max(1)
    }

    pub(super) fn learn(&self, fuel: u64, rows: usize) {
        let seen = fuel / rows.max(1) as u64;
        let old = self.row_fuel.load(Ordering::Relaxed);
        let new = if old == 0 { seen } else { (old * 7 + seen) / 8 };
        self.row_fuel.store(new.max(1), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Draft;

    #[test]
    fn lists_are_bound_in_the_order_of_the_manifest() {
        let list = |name: &str, version: &str| Arc::new(Draft::new(name, version, &["key"]).and_then(Draft::finish).expect("a list"));
        let versions = |offer: &Lists, names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            offer.bind(&names).map(|lists| lists.iter().map(|list| list.version().to_string()).collect::<Vec<_>>())
        };
        let offer = Lists { bound: vec![list("a", "1"), list("b", "1")], spare: vec![list("c", "0"), list("a", "0")] };
        assert_eq!(versions(&offer, &["b", "a"]), Ok(vec!["1".into(), "1".into()]));
        assert_eq!(versions(&offer, &["c", "a", "b"]), Ok(vec!["0".into(), "1".into(), "1".into()]));
        let refused = |missing: &[&str], superfluous: &[&str]| {
            let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
            Err(LoadError::Lists { missing: texts(missing), superfluous: texts(superfluous) })
        };
        assert_eq!(versions(&offer, &["a", "d"]), refused(&["d"], &["b"]));
        let twice = Lists { bound: vec![list("a", "1"), list("a", "2")], spare: Vec::new() };
        assert_eq!(versions(&twice, &["a"]), refused(&[], &["a"]));
        assert_eq!(versions(&Lists::default(), &[]), Ok(Vec::new()));
    }

    #[test]
    fn the_pace_keeps_a_call_within_half_of_the_fuel() {
        let pace = Pace::default();
        assert_eq!(pace.rows(10_000_000, 1_024), 1_024, "nothing is known yet");
        pace.learn(2_000_000, 100);
        assert_eq!(pace.rows(10_000_000, 1_024), 250);
        for _ in 0..100 {
            pace.learn(50_000_000, 1);
        }
        assert_eq!(pace.rows(10_000_000, 1_024), 1);
    }
}
