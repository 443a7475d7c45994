use serde::{Deserialize, Serialize};

/// How the ledger is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Days of event time, for each source, for which ids are remembered. An event
    /// that is older than that is refused: whether it was here before is not known.
    pub horizon_days: u16,
    /// Milliseconds between two signed checkpoints, while there are new entries.
    pub checkpoint_ms: u64,
    /// Verifier keys (C2SP vkey, cosignatures) of the witnesses whose cosignatures are
    /// taken.
    pub witnesses: Vec<String>,
    /// How many of them have to co-sign a checkpoint before it is called final.
    pub witnesses_required: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { horizon_days: 7, checkpoint_ms: 1_000, witnesses: Vec::new(), witnesses_required: 0 }
    }
}
