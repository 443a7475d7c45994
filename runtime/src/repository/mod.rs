//! Trust between a publisher and those who follow it: a repository of static files.
//!
//! A repository is The Update Framework (TUF, by way of the crate `tough`): a *root*
//! that says which keys count, *targets* that name every file by its digest, a
//! *snapshot* that says which versions belong together, and a *timestamp* that says
//! how long that holds. On one side [`Client`] follows it as a platform does and
//! refuses every attack by name ([`RepositoryError`]); on the other [`Author`] edits
//! it as its publisher does. Neither needs a network: a repository is a folder, and
//! may be copied to a stick.
//!
//! What is added to TUF here: a clock that never goes back, a memory that is replaced
//! whole or not at all, a bound on every file, keys that have to be different keys,
//! and releases that never change once they were seen.

mod author;
mod client;
mod error;
mod key;
mod layout;
mod location;
mod memory;
mod roots;

#[cfg(test)]
mod tests;

pub use author::{Author, Days, Plan, Role};
pub use client::{Client, Published, PublishedList, Snapshot, Standing};
pub use error::{AuthorError, RepositoryError};
pub use key::{KeyError, PublicKey, Signer};
pub use location::{Location, NotALocation};
pub use roots::publisher_of;
