//! Diagnostics for the policy's author, in the operator's log; on standard
//! error when a policy runs natively.
//!
//! They are never part of a finding.

use std::cell::Cell;

use crate::wit::ephor::policy::log::Level;

thread_local! {
    static MUTED: Cell<bool> = const { Cell::new(false) };
}

/// Writes a line that only matters while developing.
pub fn debug(message: impl AsRef<str>) {
    unless_muted(Level::Debug, message.as_ref());
}

/// Writes a line that an operator may want to know.
pub fn info(message: impl AsRef<str>) {
    unless_muted(Level::Info, message.as_ref());
}

/// Writes a line that an operator should look at.
pub fn warn(message: impl AsRef<str>) {
    unless_muted(Level::Warn, message.as_ref());
}

/// Does something that has been done before, without its lines.
pub(crate) fn muted(again: impl FnOnce()) {
    MUTED.set(true);
    again();
    MUTED.set(false);
}

fn unless_muted(level: Level, message: &str) {
    if !MUTED.get() {
        write(level, message);
    }
}

#[cfg(target_family = "wasm")]
fn write(level: Level, message: &str) {
    crate::wit::ephor::policy::log::write(level, message);
}

#[cfg(not(target_family = "wasm"))]
fn write(level: Level, message: &str) {
    let level = match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
    };
    eprintln!("{level}: {message}");
}
