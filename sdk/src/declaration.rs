//! What `#[policy]` says about a policy.

use crate::fields::FieldDeclaration;

/// A policy that is declared. Use `#[policy(…)]` on its `impl Policy`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not declared",
    note = "put `#[policy(name = \"…\", summary = \"…\", events = [\"…\"])]` on its `impl Policy`"
)]
pub trait Declared {
    /// What the manifest says besides fields and rules.
    const DECLARATION: Declaration;
}

/// The arguments of `#[policy]`.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// Lower-case words joined by hyphens.
    pub name: &'static str,
    /// Semantic version: that of the policy's crate.
    pub version: &'static str,
    /// What the policy does, in one sentence.
    pub summary: &'static str,
    /// `CloudEvents` types, with `*` for any run of characters.
    pub events: &'static [&'static str],
    /// Indices into the fields; empty for a policy without state.
    pub key: &'static [u16],
    /// Version of the encoding of a state; 0 for a policy without state.
    pub state_version: u32,
    /// Versions whose states the policy migrates.
    pub migrates_from: &'static [u32],
    /// Whether a release may begin without states that it cannot take over.
    pub resets: bool,
    /// Whether the policy sets timers.
    pub timers: bool,
    /// Names of reference lists.
    pub lists: &'static [&'static str],
}

/// Where the field of a key is among the fields, at compile time.
///
/// # Panics
///
/// If no field has the pointer, or an optional one.
#[doc(hidden)]
#[must_use]
pub const fn key_index(fields: &[FieldDeclaration], pointer: &str) -> u16 {
    let mut index = 0;
    while (index as usize) < fields.len() {
        let field = &fields[index as usize];
        if equal(field.pointer, pointer) {
            assert!(field.required, "a field of the key must be required, not an `Option`");
            return index;
        }
        index += 1;
    }
    panic!("a field of the key must be one of the policy's fields, with the same pointer");
}

/// `==` of `str` is not for constants yet.
pub(crate) const fn equal(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}
