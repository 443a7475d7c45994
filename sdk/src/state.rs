//! What a policy remembers of a key between events.

use serde::{Serialize, de::DeserializeOwned};

/// The state of one key. Use `#[state]` on a struct, or `()` for none.
///
/// Collections in it must have one order: `BTreeMap`, not `HashMap`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the state of a policy",
    note = "add `#[state]` to it; a policy without state says `type State = ();`"
)]
pub trait State: Default {
    /// Whether the policy is one with state.
    const KEYED: bool;
    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    ///
    /// Says what is wrong if the bytes are not such a state.
    fn decode(bytes: &[u8]) -> Result<Self, String>;
    /// The state for the host to keep; nothing if it is the default.
    fn encode(&self) -> Option<Vec<u8>>;
}

impl State for () {
    const KEYED: bool = false;

    fn decode(_: &[u8]) -> Result<Self, String> {
        Ok(())
    }

    fn encode(&self) -> Option<Vec<u8>> {
        None
    }
}

#[doc(hidden)]
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

#[doc(hidden)]
pub fn to_json<T: Serialize + Default + PartialEq>(state: &T) -> Option<Vec<u8>> {
    if *state == T::default() {
        return None;
    }
    Some(serde_json::to_vec(state).expect("a state is plain data with names that are texts"))
}
