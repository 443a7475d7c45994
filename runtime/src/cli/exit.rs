//! Exit codes: what a script can rely on.

use std::fmt::Write as _;
use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    Failed = 1,
    Usage = 2,
    Refused = 3,
    Unreachable = 4,
    Unfinished = 5,
    Damaged = 6,
}

/// Every exit code and what it says; `--help` shows this table.
pub const EXITS: [(Exit, &str); 7] = [
    (Exit::Ok, "done"),
    (Exit::Failed, "something failed; standard error says what"),
    (Exit::Usage, "the command line or the configuration is wrong; nothing was done"),
    (Exit::Refused, "refused: a component, settings or events are not acceptable"),
    (Exit::Unreachable, "no server there, or the connection was lost before every event was answered"),
    (Exit::Unfinished, "the log's evidence is whole; something beside it is unfinished, or is to be made again"),
    (Exit::Damaged, "evidence does not hold: a log is damaged or rewritten, or a proof proves nothing"),
];

/// The table as text for `--help`.
pub fn help() -> String {
    let mut text = String::from("Exit codes:\n");
    for (exit, meaning) in EXITS {
        let _ = writeln!(text, "  {}  {meaning}", exit as u8);
    }
    text
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command did not do what it should, and the code to end with.
#[derive(Debug)]
pub struct Failed {
    pub exit: Exit,
    pub error: anyhow::Error,
}

/// What a verb returns.
pub type Outcome<T = ()> = Result<T, Failed>;

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Self {
        Failed { exit: Exit::Failed, error }
    }
}

/// Gives an error its exit code.
pub trait Or<T> {
    fn or_exit(self, exit: Exit) -> Outcome<T>;
}

impl<T, E: Into<anyhow::Error>> Or<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Outcome<T> {
        self.map_err(|error| Failed { exit, error: error.into() })
    }
}

/// A failure in so many words.
pub fn failed(exit: Exit, message: impl std::fmt::Display) -> Failed {
    Failed { exit, error: anyhow::anyhow!("{message}") }
}
