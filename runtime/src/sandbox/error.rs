//! Why a component is not taken.

use serde::{Deserialize, Serialize};

use crate::policy::grant::Missing;
use crate::policy::manifest::ManifestError;

/// A problem with a settings document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{pointer:?}: {message}")]
pub struct SettingsError {
    /// RFC 6901 JSON Pointer into the settings; empty for the whole document.
    pub pointer: String,
    /// What is wrong there and what would be right.
    pub message: String,
}

/// A component was not taken, and the release in force stays. Each case says
/// what a policy author can do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes are something else than a component.
    #[error("this is not a WebAssembly component but {found}; make one with `ephor policy build`")]
    NotAComponent {
        /// What it is instead.
        found: String,
    },
    /// The component is not valid WebAssembly of the features that are allowed.
    #[error("the component is not valid: {problem}")]
    Invalid {
        /// What the validator says, with the offset.
        problem: String,
    },
    /// The component goes beyond a bound of the static gate.
    #[error("the component is refused before compilation: {problem}")]
    Gate {
        /// Which bound, and what was found.
        problem: String,
    },
    /// The component asks for something that no policy may have.
    #[error(
        "the component imports {name}; a policy may import nothing but ephor:policy/log and ephor:policy/reference at version 0.1. \
         If your language's standard library brings this in, build it with `ephor policy build`, which leaves it out"
    )]
    Import {
        /// The import's full name.
        name: String,
    },
    /// The component was built against another version of the contract.
    #[error("the component imports {name}, but this runtime speaks ephor:policy 0.1; build it with the SDK of this version")]
    ContractVersion {
        /// The import's full name.
        name: String,
    },
    /// The component does not export what a policy exports.
    #[error("the component is not a policy of ephor:policy@0.1.0: {problem}")]
    WrongWorld {
        /// What is missing or different.
        problem: String,
    },
    /// The component could not be compiled within the limits.
    #[error("the component could not be compiled: {problem}")]
    Compile {
        /// What the compiler says, or which limit was met.
        problem: String,
    },
    /// `describe` did not return.
    #[error("`describe` failed: {problem}")]
    Describe {
        /// How.
        problem: String,
    },
    /// The manifest is not one that a host can work with.
    #[error("the manifest is not valid: {}", list(.errors))]
    Manifest {
        /// Everything that is wrong.
        errors: Vec<ManifestError>,
    },
    /// The settings are not JSON, or larger than allowed.
    #[error("the settings are not usable: {problem}")]
    SettingsDocument {
        /// What is wrong.
        problem: String,
    },
    /// The settings do not fit the policy's schema, or the policy refuses them.
    #[error("the policy refuses the settings: {}", list(.errors))]
    Settings {
        /// Everything that is wrong.
        errors: Vec<SettingsError>,
    },
    /// `configure` did not return.
    #[error("`configure` failed: {problem}")]
    Configure {
        /// How.
        problem: String,
    },
    /// The lists that come with the policy are not those that its manifest names.
    #[error("the reference lists do not fit the policy: {}", lists_problem(missing, superfluous))]
    Lists {
        /// Those that the policy looks things up in, and that are not there.
        missing: Vec<String>,
        /// Those that are there, and that the policy does not know, or has already.
        superfluous: Vec<String>,
    },
    /// The policy asks for more than its publisher was granted.
    #[error("{publisher} was not granted what the policy {policy} needs: it {}", list(.missing))]
    Grant {
        /// Whose policy it is.
        publisher: String,
        /// The policy's name.
        policy: String,
        /// Everything that is missing.
        missing: Vec<Missing>,
    },
    /// The policy has another name than the one it is installed under.
    #[error("the component is the policy {found:?}, not {expected:?}")]
    Name {
        /// The name it was to have.
        expected: String,
        /// The name in its manifest.
        found: String,
    },
    /// There are as many policies in force as there can be.
    #[error("{max} policies are in force, and there are never more; remove one first")]
    TooMany {
        /// How many there can be.
        max: usize,
    },
    /// As many policies are asked about the same events as there can be.
    #[error(
        "{max} policies are asked about events of the type {events:?}, and there are never more, because an entry has to hold what all of them say; remove one first"
    )]
    Crowded {
        /// Which events: a type, or a pattern of types.
        events: String,
        /// How many can be asked.
        max: usize,
    },
    /// The release would lose the states of the one in force.
    #[error("the states of the release in force cannot be handed over: {problem}")]
    State {
        /// Why, and what would do.
        problem: String,
    },
    /// There is no policy of that name to change.
    #[error("there is no policy {name:?} in force; send its component as well")]
    NotInForce {
        /// The name asked for.
        name: String,
    },
    /// There is no release of that policy that is tried out.
    #[error("no release of {name:?} is in shadow or canary")]
    NoCandidate {
        /// The name asked for.
        name: String,
    },
    /// The release must not count for so much.
    #[error("the release says itself that it is for {strongest} at most, and {asked} was asked for")]
    Mode {
        /// The strongest mode that its statement gives it.
        strongest: String,
        /// The mode asked for.
        asked: String,
    },
    /// One change has two parts about the same policy.
    #[error("the change has two parts about the policy {policy:?}; make them one after the other")]
    Twice {
        /// Its name.
        policy: String,
    },
    /// The runtime has ended.
    #[error("the runtime has stopped")]
    Stopped,
    /// The child process that loads components failed. Not the component's doing.
    #[error("the component could not be loaded because of this machine: {problem}")]
    Worker {
        /// What happened.
        problem: String,
    },
}

impl LoadError {
    /// Words of what is wrong with a component, its settings or its lists, or with what is
    /// to be done with them; not of what is missing here, or wrong with this machine.
    pub const KINDS: [&'static str; 19] = [
        "not-a-component",
        "invalid",
        "gate",
        "import",
        "contract-version",
        "wrong-world",
        "compile",
        "describe",
        "manifest",
        "settings-document",
        "settings",
        "configure",
        "lists",
        "grant",
        "name",
        "too-many",
        "state",
        "mode",
        "twice",
    ];

    /// The word used in answers and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            LoadError::NotAComponent { .. } => "not-a-component",
            LoadError::Invalid { .. } => "invalid",
            LoadError::Gate { .. } => "gate",
            LoadError::Import { .. } => "import",
            LoadError::ContractVersion { .. } => "contract-version",
            LoadError::WrongWorld { .. } => "wrong-world",
            LoadError::Compile { .. } => "compile",
            LoadError::Describe { .. } => "describe",
            LoadError::Manifest { .. } => "manifest",
            LoadError::SettingsDocument { .. } => "settings-document",
            LoadError::Settings { .. } => "settings",
            LoadError::Configure { .. } => "configure",
            LoadError::Lists { .. } => "lists",
            LoadError::Grant { .. } => "grant",
            LoadError::Name { .. } => "name",
            LoadError::TooMany { .. } | LoadError::Crowded { .. } => "too-many",
            LoadError::State { .. } => "state",
            LoadError::NotInForce { .. } => "not-in-force",
            LoadError::NoCandidate { .. } => "no-candidate",
            LoadError::Mode { .. } => "mode",
            LoadError::Twice { .. } => "twice",
            LoadError::Stopped => "stopped",
            LoadError::Worker { .. } => "worker",
        }
    }
}

fn lists_problem(missing: &[String], superfluous: &[String]) -> String {
    let missing = (!missing.is_empty()).then(|| format!("it looks things up in {}, which is missing", missing.join(" and in ")));
    let superfluous = superfluous.join(" and ");
    let superfluous = (!superfluous.is_empty()).then(|| format!("{superfluous} is there, which it does not know or has already"));
    missing.into_iter().chain(superfluous).collect::<Vec<_>>().join("; ")
}

fn list<E: std::fmt::Display>(errors: &[E]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
