//! The bodies of all targets, and the door that libFuzzer comes in by. `tests/it/fuzz.rs` runs
//! them too, and says how to run them for long.

#[path = "../bodies/mod.rs"]
pub mod bodies;

#[cfg(feature = "libfuzzer")]
pub use libfuzzer_sys;

/// Gives an input to a target.
///
/// # Panics
///
/// If something is not as it should be, or there is no such target.
pub fn run(target: &str, bytes: &[u8]) {
    let known = bodies::TARGETS.iter().find(|known| known.name == target);
    (known.unwrap_or_else(|| panic!("no target is called {target}")).body)(bytes);
}

/// The whole of a binary for one target.
#[cfg(feature = "libfuzzer")]
#[macro_export]
macro_rules! door {
    ($target:ident) => {
        $crate::libfuzzer_sys::fuzz_target!(|bytes: &[u8]| $crate::run(stringify!($target), bytes));
    };
}
