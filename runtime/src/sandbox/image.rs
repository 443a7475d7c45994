//! A release that can be run, and what running it has taught.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::bindings::PolicyPre;
use super::engine::{Ctx, Sandbox};
use crate::policy::Release;

/// A release that can be run.
pub(crate) struct Image {
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) pre: PolicyPre<Ctx>,
    pub(super) release: Arc<Release>,
    /// How many rows fit a call, learned from the calls so far.
    pub(super) pace: Pace,
}

impl Image {
    /// The same, of a publisher.
    pub fn published_by(mut self, publisher: &str) -> Self {
        self.release = Arc::new(Release::clone(&self.release).published_by(publisher));
        self
    }

    /// What it is the image of.
    pub fn release(&self) -> &Arc<Release> {
        &self.release
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
