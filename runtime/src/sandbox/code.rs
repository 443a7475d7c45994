//! Compiled code back from bytes.

use wasmtime::Engine;
use wasmtime::component::Component;

/// Takes code that our own worker compiled.
///
/// The bytes come from one of two places: the pipe of a child process of this
/// very binary, or a cache file whose HMAC under this installation's key was
/// just checked. wasmtime checks by itself that engine version, configuration
/// and processor are the same.
#[expect(unsafe_code, reason = "wasmtime cannot tell native code that it made from any other; the two callers can")]
pub(super) fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `Component::deserialize` asks for bytes that `precompile_component`
    // made and nobody changed. `Loader::load` is the only caller, and has them
    // from the worker's pipe or from `Cache::get`, which authenticates.
    unsafe { Component::deserialize(engine, code) }
}
