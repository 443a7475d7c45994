//! What a policy remembers of a key between events.
//!
//! A state is a struct with `#[state]`. Its members are plain data, or one of the
//! types here, which remember as little as their question needs:
//!
//! | type | answers |
//! |---|---|
//! | [`Counter`], [`Sum`] | how many, how much |
//! | [`Distinct`] | how many different ones; exact up to a bound, and says when it is beyond |
//! | [`LastSeen`] | when was the last, and what was it |
//! | [`Tumbling`] | anything by the hour, the day, the week |
//! | [`Sliding`] | what happened in the last hour, event by event |
//! | [`Rate`] | how many in the last hour, in a few numbers, with a margin that it states |
//!
//! **Event time.** Windows go by the times of events, which the policy gives them:
//! never by a clock. An event that is late or out of order counts in its own
//! place, as long as that place is kept, and is refused afterwards. What was said
//! before it came is not said again. A time that is wrong by years is in a window
//! of its own; at worst the events up to now are dropped, and it is known that they
//! are. Only [`LastSeen`] believes it.
//!
//! **Bounds.** A state is small: the host holds one for each key. So what could
//! grow has a bound, and what is beyond it is not forgotten in silence: answers are
//! a [`Count`], which says what is known.
//!
//! **Encoding.** A state is kept as one byte that tells its shape, and the members
//! in order in the wire format of [postcard] 1: integers take as many bytes as they
//! need, so that a count of 1,183 is two. Reading is strict.
//!
//! [postcard]: https://postcard.jamesmunns.com/wire-format

mod count;
mod distinct;
mod last_seen;
mod rate;
mod sliding;
mod steps;
mod sum;
mod tumbling;

use serde::{Serialize, de::DeserializeOwned};

pub use count::{Count, Counter};
pub use distinct::Distinct;
pub use last_seen::LastSeen;
pub use rate::Rate;
pub use sliding::{Sliding, Window};
pub use sum::{Overflow, Sum, minor_units};
pub use tumbling::Tumbling;

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

/// `shape` tells states of one struct from those of another, so that a struct
/// that was changed does not read numbers where there were others.
#[doc(hidden)]
pub fn read<T: DeserializeOwned>(shape: u8, bytes: &[u8]) -> Result<T, String> {
    let Some((_, members)) = bytes.split_first().filter(|(first, _)| **first == shape) else {
        return Err("it has another shape; a state whose members change needs another `state_version`".to_owned());
    };
    match postcard::take_from_bytes(members) {
        Ok((state, [])) => Ok(state),
        Ok(_) => Err("there are bytes behind its end".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[doc(hidden)]
pub fn write<T: Serialize + Default + PartialEq>(shape: u8, state: &T) -> Option<Vec<u8>> {
    if *state == T::default() {
        return None;
    }
    Some(postcard::to_extend(state, vec![shape]).expect("a state is plain data, of lengths that are known"))
}
