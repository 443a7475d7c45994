//! All limits in one file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::policy::Publisher;
use crate::{ingest, ledger, reserved, runtime, sandbox, server};

/// The configuration: one table per room, every key with a default. A key that is
/// not known is an error.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// How much an event may be.
    pub ingest: ingest::Limits,
    /// How much waits and is evaluated together.
    pub spine: runtime::Limits,
    /// How the ledger is kept.
    pub ledger: ledger::Limits,
    /// What a policy may use.
    pub sandbox: sandbox::Limits,
    /// What a client may do.
    pub server: server::Limits,
    /// Whose policies may run, and what each was granted: a table for each publisher.
    pub publishers: BTreeMap<String, Publisher>,
}

/// Why a configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not a configuration; the message has line and column.
    #[error("{} is not a configuration", path.display())]
    Parse {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        source: Box<toml::de::Error>,
    },
    /// Values that nothing could work with.
    #[error("{} is not a configuration: {}", path.display(), problems.join("; "))]
    Values {
        /// Which file.
        path: PathBuf,
        /// Key, value and what is allowed, for each.
        problems: Vec<String>,
    },
}

impl Config {
    /// Reads a TOML file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or something in it is not known or of another type.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        let config: Config = toml::from_str(&text).map_err(|source| ConfigError::Parse { path: path.into(), source: Box::new(source) })?;
        let problems = config.problems();
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::Values { path: path.into(), problems }) }
    }

    /// Values out of the range that the program can work with.
    fn problems(&self) -> Vec<String> {
        const MANY: u64 = 1 << 31;
        const YEAR_S: u64 = 366 * 86_400;
        let kept_days = match self.ledger.events {
            ledger::Keep::Days(days) => u64::from(days),
            ledger::Keep::Digest | ledger::Keep::Full => 1,
        };
        let Config { ingest, spine, ledger, sandbox, server, publishers } = self;
        let ranges = [
            ("ingest.event-bytes-max", ingest.event_bytes_max as u64, 64, 64 << 20),
            // More, and an entry could be longer than a tile can hold.
            ("ingest.attribute-bytes-max", ingest.attribute_bytes_max as u64, 16, 4 << 10),
            ("ingest.attributes-max", ingest.attributes_max as u64, 4, 10_000),
            // The parser itself stops at 128.
            ("ingest.depth-max", ingest.depth_max as u64, 1, 100),
            ("ingest.batch-events-max", ingest.batch_events_max as u64, 1, 1_000_000),
            ("ingest.batch-bytes-max", ingest.batch_bytes_max as u64, 64, 1 << 30),
            ("spine.queue-events-max", spine.queue_events_max as u64, 1, MANY),
            ("spine.queue-bytes-max", spine.queue_bytes_max as u64, 1 << 10, MANY << 10),
            ("spine.batch-events-max", spine.batch_events_max as u64, 1, 1_000_000),
            // Offsets into a batch's text have 32 bits.
            ("spine.batch-bytes-max", spine.batch_bytes_max as u64, 1, 1 << 30),
            ("spine.state-bytes-max", spine.state_bytes_max as u64, 1 << 10, 1 << 40),
            ("spine.state-memory-bytes-max", spine.state_memory_bytes_max as u64, 0, 1 << 40),
            ("spine.threads", spine.threads as u64, 0, 1_000),
            ("spine.verdict-depth-max", spine.verdict_depth_max.into(), 0, 16),
            ("spine.lateness-s", spine.lateness_s, 0, 100 * 366 * 86_400),
            ("ledger.horizon-days", ledger.horizon_days.into(), 1, 36_500),
            ("ledger.events.days", kept_days, 1, 36_500),
            ("ledger.checkpoint-ms", ledger.checkpoint_ms, 10, 3_600_000),
            ("sandbox.event-fuel-max", sandbox.event_fuel_max, 1_000, u64::MAX / 4),
            ("sandbox.setup-fuel-max", sandbox.setup_fuel_max, 1_000, u64::MAX / 4),
            ("sandbox.memory-bytes-max", sandbox.memory_bytes_max as u64, 1 << 16, 1 << 32),
            ("sandbox.table-elements-max", sandbox.table_elements_max as u64, 1, 10_000_000),
            ("sandbox.call-ms-max", sandbox.call_ms_max, 1, 60_000),
            ("sandbox.call-rows-max", sandbox.call_rows_max as u64, 1, 1_000_000),
            ("sandbox.output-bytes-max", sandbox.output_bytes_max as u64, 1 << 10, 1 << 30),
            ("sandbox.log-lines-max", sandbox.log_lines_max as u64, 0, 1_000_000),
            ("sandbox.worker.cpu-seconds-max", sandbox.worker.cpu_seconds_max, 1, 3_600),
            ("sandbox.worker.wall-seconds-max", sandbox.worker.wall_seconds_max, 1, 3_600),
            ("sandbox.worker.memory-bytes-max", sandbox.worker.memory_bytes_max, 64 << 20, 1 << 40),
            ("sandbox.worker.code-bytes-max", sandbox.worker.code_bytes_max as u64, 1 << 16, 1 << 32),
            ("sandbox.languages.memory-bytes-max", sandbox.languages.memory_bytes_max as u64, 1 << 20, 1 << 32),
            ("sandbox.languages.component-bytes-max", sandbox.languages.component_bytes_max as u64, 1 << 20, 1 << 30),
            ("sandbox.languages.modules-max", sandbox.languages.modules_max as u64, 1, 64),
            ("sandbox.languages.cpu-seconds-max", sandbox.languages.cpu_seconds_max, 1, 3_600),
            ("sandbox.languages.wall-seconds-max", sandbox.languages.wall_seconds_max, 1, 3_600),
            ("sandbox.languages.code-bytes-max", sandbox.languages.code_bytes_max as u64, 1 << 16, 1 << 32),
            ("server.connections-max", server.connections_max as u64, 1, 1_000_000),
            ("server.headers-max", server.headers_max as u64, 1, 10_000),
            ("server.header-bytes-max", server.header_bytes_max as u64, 256, 1 << 20),
            ("server.streams-max", server.streams_max.into(), 1, 100_000),
            ("server.stream-batch-events-max", server.stream_batch_events_max as u64, 1, 1_000_000),
            ("server.stream-batch-bytes-max", server.stream_batch_bytes_max as u64, 1, 1 << 30),
            ("server.stream-submissions-max", server.stream_submissions_max as u64, 1, 10_000),
            ("server.bodies-bytes-max", server.bodies_bytes_max as u64, 1 << 20, MANY << 10),
        ];
        let out = ranges.into_iter().filter(|(_, value, min, max)| !(min..=max).contains(&value));
        let limits = out.map(|(key, value, min, max)| format!("{key} is {value}, but must be from {min} to {max}"));
        // A source is as long as an attribute may be at most.
        let names =
            spine.heartbeats.iter().filter(|(name, seconds)| !(1..=4 << 10).contains(&name.len()) || !(1..=YEAR_S).contains(*seconds));
        let heartbeats = names.map(|(name, seconds)| {
            let shown: String = name.chars().take(80).collect();
            format!("spine.heartbeats has {shown:?} = {seconds}, but names have 1 to 4096 bytes, and seconds are from 1 to {YEAR_S}")
        });
        let own = spine.heartbeats.keys().filter(|name| reserved::is_own_source(name));
        let own = own.map(|name| {
            let shown: String = name.chars().take(80).collect();
            format!("spine.heartbeats has {shown:?}, which is the runtime's own: nothing is heard of it, so it would always be silent")
        });
        let memory = |publisher: &Publisher| match publisher.languages.is_empty() {
            true => sandbox.memory_bytes_max,
            false => sandbox.memory_bytes_max.max(sandbox.languages.memory_bytes_max),
        };
        let grants = publishers.iter().flat_map(|(name, publisher)| publisher.problems(name, sandbox.event_fuel_max, memory(publisher)));
        limits.chain(heartbeats).chain(own).chain(grants).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_range() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
    }

    #[test]
    fn what_is_declared_by_name_is_read() {
        let text = "[ledger]\ndurability = \"os\"\n[spine.heartbeats]\n\"/fleet/*\" = 300\n";
        let config: Config = toml::from_str(text).expect("a configuration");
        assert_eq!((config.ledger.durability, config.spine.heartbeats["/fleet/*"]), (ledger::Durability::Os, 300));
        for (text, keep) in
            [("\"digest\"", ledger::Keep::Digest), ("\"full\"", ledger::Keep::Full), ("{ days = 30 }", ledger::Keep::Days(30))]
        {
            let config: Config = toml::from_str(&format!("[ledger]\nevents = {text}\n")).expect("a configuration");
            assert_eq!((config.ledger.events, config.problems()), (keep, Vec::new()));
        }
        let own: Config = toml::from_str("[spine.heartbeats]\n\"urn:ephor:verdicts#/s\" = 60\n").expect("the right type");
        assert!(own.problems()[0].contains("which is the runtime's own"), "{:?}", own.problems());
        let config: Config = toml::from_str("[ledger]\nevents = { days = 0 }\n").expect("the right type");
        assert!(config.problems()[0].starts_with("ledger.events.days is 0"), "{:?}", config.problems());
        assert_eq!(Config::default().ledger.durability, ledger::Durability::Sync, "never chosen silently");
        assert!(toml::from_str::<Config>("[ledger]\ndurability = \"none\"\n").is_err_and(|error| error.to_string().contains("sync")));
    }

    #[test]
    fn every_value_out_of_range_is_named() {
        let mut config = Config::default();
        config.sandbox.call_rows_max = 0;
        config.ingest.depth_max = 1_000;
        config.spine.heartbeats = [("/a", 1), ("/b", 0), ("", 60)].map(|(name, seconds)| (name.to_string(), seconds)).into();
        config
            .publishers
            .insert("office".into(), Publisher { events: vec!["*".into()], repository: "/repo".into(), ..Publisher::default() });
        let problems = config.problems();
        assert!(
            problems.len() == 5
                && problems[0].starts_with("ingest.depth-max is 1000")
                && problems[1].starts_with("sandbox.call-rows-max is 0")
                && problems[2].starts_with("spine.heartbeats has \"\" = 60")
                && problems[3].starts_with("spine.heartbeats has \"/b\" = 0")
                && problems[4].starts_with("publishers.office.root is missing"),
            "{problems:?}"
        );
    }
}
