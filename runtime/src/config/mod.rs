//! The configuration: all of it in one file, each key documented where it is declared.
//!
//! The fields' docs, types, defaults and ranges are the reference (`reference`) and what a
//! file is held against (`check`); both read them out of the schema that is derived from
//! the structs (`tree`).

mod check;
mod diff;
mod reference;
mod tree;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::outgoing::Destination;
use crate::policy::Publisher;
use crate::policy::publisher::Misfit;
use crate::repository::Location;
use crate::{access, backtest, ingest, ledger, reserved, runtime, sandbox, server, telemetry};

pub use check::{Checked, Problem, Report};
pub use diff::Difference;

/// The configuration: one table per room, every key with a default. A key that is
/// not known is an error.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// What back-tests over HTTP may take.
    pub backtests: backtest::Limits,
    /// Who is let in, and what for. Without `tokens`, `certificates` or `jwt` whoever can
    /// connect is let in, and the server listens on this machine only.
    pub access: access::Settings,
    /// What the server tells of itself.
    pub telemetry: telemetry::Settings,
    /// Whose policies may run, and what each was granted: a table for each publisher.
    pub publishers: BTreeMap<String, Publisher>,
    /// Other systems that are told verdicts: a table for each.
    pub outgoing: BTreeMap<String, Destination>,
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
    /// Something is wrong with it.
    #[error("{} is not a configuration\n{report}", report.file.display())]
    Wrong {
        /// Everything that is, each with its place.
        report: Report,
    },
}

impl Config {
    /// Reads a TOML file. Files that it names are not looked at.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or with everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let Checked { config, problems, .. } = Self::check(path)?;
        match problems.is_empty() {
            true => Ok(config),
            false => Err(ConfigError::Wrong { report: Report { file: path.into(), problems } }),
        }
    }

    /// Reads a TOML file and says what is wrong with it.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn check(path: &Path) -> Result<Checked, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        Ok(Checked::new(&text))
    }

    /// What a running server with this configuration can take over of another one. What is
    /// other in the rest needs a restart.
    #[must_use]
    pub fn taking_over(&self, other: &Config) -> Config {
        let mut taken = self.clone();
        taken.ingest.clone_from(&other.ingest);
        taken.spine.heartbeats.clone_from(&other.spine.heartbeats);
        taken.server = self.server.taking_over(&other.server);
        taken.telemetry.log.level.clone_from(&other.telemetry.log.level);
        for (name, publisher) in &mut taken.publishers {
            if let Some(other) = other.publishers.get(name) {
                (publisher.poll_s, publisher.gate) = (other.poll_s, other.gate);
            }
        }
        taken
    }

    /// A whole configuration file with every default, and every key's comment.
    pub fn reference() -> String {
        reference::write()
    }

    /// The JSON Schema of a configuration, for editors.
    pub fn json_schema() -> serde_json::Value {
        tree::schema()
    }
}

/// What is wrong beyond the types and ranges of single keys.
fn misfits(config: &Config) -> Vec<Misfit> {
    let Config { spine, ledger, sandbox, server, access, publishers, telemetry, outgoing, .. } = config;
    let key = |parts: &[&str]| parts.iter().map(ToString::to_string).collect();
    let mut found = access.problems();
    if ledger.witnesses_required > ledger.witnesses.len() {
        let message = format!("is {}, but `witnesses` names {}", ledger.witnesses_required, ledger.witnesses.len());
        found.push(Misfit { key: key(&["ledger", "witnesses-required"]), message });
    }
    for (name, message) in server.tls.problems() {
        found.push(Misfit { key: key(&["server", "tls", name]), message: message.to_string() });
    }
    if let Some(message) = telemetry.log.problem() {
        found.push(Misfit { key: key(&["telemetry", "log", "level"]), message });
    }
    if let Some(message) = telemetry.traces.problem() {
        found.push(Misfit { key: key(&["telemetry", "traces", "endpoint"]), message });
    }
    for name in spine.heartbeats.keys().filter(|name| reserved::is_own_source(name)) {
        let message = "is the runtime's own: nothing is heard of it, so it would always be silent".to_string();
        found.push(Misfit { key: key(&["spine", "heartbeats", name]), message });
    }
    for (name, publisher) in publishers {
        let memory = match publisher.languages.is_empty() {
            true => sandbox.memory_bytes_max,
            false => sandbox.memory_bytes_max.max(sandbox.languages.memory_bytes_max),
        };
        found.extend(publisher.problems(name, sandbox.event_fuel_max, memory));
        // That there is none is said already.
        if !publisher.repository.trim().is_empty()
            && let Err(error) = publisher.repository.parse::<Location>()
        {
            let shown = words::without_credentials(&error.to_string());
            found.push(Misfit { key: key(&["publishers", name, "repository"]), message: format!("is wrong: {shown}") });
        }
    }
    found.extend(crate::outgoing::problems(outgoing));
    for (name, destination) in outgoing {
        let publisher = &destination.publisher;
        if !publisher.is_empty() && !publishers.contains_key(publisher) {
            let message = format!("is {publisher:?}, and there is no [publishers.{publisher}]");
            found.push(Misfit { key: key(&["outgoing", name, "publisher"]), message });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<String> {
        Checked::new(text).problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_defaults_are_a_configuration() {
        assert_eq!(misfits(&Config::default()), Vec::new());
        assert_eq!((said(""), Checked::new("").config), (Vec::new(), Config::default()));
    }

    #[test]
    fn what_is_declared_by_name_is_read() {
        let config = |text: &str| {
            let checked = Checked::new(text);
            assert_eq!(checked.problems, Vec::new(), "{text}");
            checked.config
        };
        assert_eq!(said("[spine.heartbeats]\n\"urn:ephor:verdicts#/s\" = 60\n").len(), 1, "of the runtime's own source nothing is heard");
        let read = config("[ledger]\ndurability = \"os\"\n[spine.heartbeats]\n\"/fleet/*\" = 300\n");
        assert_eq!((read.ledger.durability, read.spine.heartbeats["/fleet/*"]), (ledger::Durability::Os, 300));
        for (text, keep) in
            [("\"digest\"", ledger::Keep::Digest), ("\"full\"", ledger::Keep::Full), ("{ days = 30 }", ledger::Keep::Days(30))]
        {
            assert_eq!(config(&format!("[ledger]\nevents = {text}\n")).ledger.events, keep);
        }
        assert_eq!(config("[sandbox]\nevent-fuel-max = 0x10_00\n").sandbox.event_fuel_max, 4_096);
        assert_eq!(said("[ledger]\nevents = { days = 0 }\n"), ["2:19: ledger.events.days is 0, but must be from 1 to 36_500 days"]);
        assert_eq!(Config::default().ledger.durability, ledger::Durability::Sync, "never chosen silently");
        assert_eq!(said("[ledger]\ndurability = \"none\"\n"), ["2:14: ledger.durability is \"none\"; write \"sync\" or \"os\""]);
    }

    #[test]
    fn every_problem_is_said_with_its_place() {
        let text = "\
[ingest]
depth-max = 1_000
[sandbox]
call-rows-max = 0
[spine.heartbeats]
\"/a\" = 1
\"/b\" = 0
\"\" = 60
[publishers.office]
events = [\"*\"]
repository = \"/repo\"
";
        assert_eq!(
            said(text),
            [
                "2:13: ingest.depth-max is 1000, but must be from 1 to 100",
                "4:17: sandbox.call-rows-max is 0, but must be from 1 to 1_000_000",
                "7:8: spine.heartbeats.\"/b\" is 0, but must be from 1 to 31_622_400 seconds",
                "8:1: spine.heartbeats.\"\" is a name of 0 bytes; names here have from 1 to 4096",
                "9:13: publishers.office.root is missing; name the file of the trusted root",
            ]
        );
    }

    /// The schema for editors and the check here are of one source; that they agree on
    /// real files is seen with a validator.
    #[test]
    fn the_schema_takes_what_the_check_takes() {
        let validator = jsonschema::validator_for(&Config::json_schema()).expect("a schema");
        let of = |text: &str| toml::from_str::<serde_json::Value>(text).expect("TOML");
        assert!(validator.is_valid(&of(&Config::reference())));
        assert!(
            validator
                .is_valid(&of("[ledger]\nevents = { days = 3 }\n[publishers.a.fields]\n\"/data/x\" = { form = \"mask\", keep = 4 }\n"))
        );
        for wrong in ["[ledger]\nevents = \"some\"", "[ingest]\ndepth-max = 0", "[ingest]\ndepth = 3", "[spine.heartbeats]\n\"/a\" = 0"] {
            assert!(!validator.is_valid(&of(wrong)) && !Checked::new(wrong).problems.is_empty(), "{wrong}");
        }
    }
}
