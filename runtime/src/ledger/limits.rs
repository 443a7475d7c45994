use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the ledger is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Days of event time, for each source, for which ids are remembered. An event
    /// that is older than that is refused: whether it was here before is not known.
    #[schemars(range(min = 1, max = 36_500))]
    pub horizon_days: u16,
    /// Milliseconds between two signed checkpoints, while there are new entries.
    #[schemars(range(min = 10, max = 3_600_000))]
    pub checkpoint_ms: u64,
    /// `sync`: an answer means that its entry is on the disk. `os`: that it was given to
    /// the operating system; a power cut loses what was answered for since the latest
    /// checkpoint, at most.
    pub durability: Durability,
    /// What is kept of events beside their entries: `digest`, nothing more than the digest
    /// in the entry; `full`, their content until it is erased; `{ days = 30 }`, their
    /// content for that long after they arrived by the system's clock, and up to a day and an
    /// hour longer. What was kept for days goes in its time also under `digest`.
    #[schemars(example = Keep::Days(30))]
    pub events: Keep,
    /// Verifier keys (C2SP vkey, cosignatures) of the witnesses whose cosignatures are
    /// taken.
    pub witnesses: Vec<String>,
    /// How many of them have to co-sign a checkpoint before it is called final.
    #[schemars(range(min = 0, max = 100))]
    pub witnesses_required: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            horizon_days: 7,
            checkpoint_ms: 1_000,
            durability: Durability::Sync,
            events: Keep::Digest,
            witnesses: Vec::new(),
            witnesses_required: 0,
        }
    }
}

/// What an answer means for the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// What is answered for is on the disk: every commit is synced.
    #[default]
    Sync,
    /// What is answered for was given to the operating system, and is on the disk when
    /// that wrote it, or when a checkpoint covers it. The end of the process loses
    /// nothing, a power cut may lose everything since the latest checkpoint.
    Os,
}

impl Durability {
    /// The word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Durability::Sync => "sync",
            Durability::Os => "os",
        }
    }
}

/// What is kept of events beside their entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Nothing: there is the digest in the entry.
    #[default]
    Digest,
    /// Their content, until it is erased.
    Full,
    /// Their content, for so many days after they arrived.
    Days(#[schemars(range(min = 1, max = 36_500))] u16),
}

impl Keep {
    /// The word in the configuration and in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Keep::Digest => "digest",
            Keep::Full => "full",
            Keep::Days(_) => "days",
        }
    }
}
