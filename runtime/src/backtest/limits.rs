//! `[backtests]` of the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What back-tests over HTTP may take. They run at the lowest priority beside the live
/// events, on threads of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Back-tests that run at the same time; others wait for their turn. Each judges with
    /// one thread, at the lowest priority.
    #[schemars(range(min = 1, max = 64))]
    pub concurrent_max: usize,
    /// Back-tests that wait for their turn. Beyond it another one is refused.
    #[schemars(range(min = 1, max = 1_000))]
    pub waiting_max: usize,
    /// Events that one back-test judges, those before its period with which states are
    /// built up among them. A longer period is refused.
    #[schemars(range(min = 1, max = 1_000_000_000u64))]
    pub events_max: u64,
    /// Differences that one back-test keeps for export. Beyond it they are counted only.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub differences_max: u64,
    /// Back-tests whose results are kept, in the folder `backtests` of the data directory.
    /// The oldest goes when there is another one.
    #[schemars(range(min = 1, max = 10_000))]
    pub keep: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { concurrent_max: 1, waiting_max: 8, events_max: 1_000_000, differences_max: 100_000, keep: 20 }
    }
}
