//! Back-tests: choose a release and a period, watch how far it is, read the difference.

mod ask;
mod form;
mod list;
mod one;

pub(super) use ask::{Answer, post};
pub(super) use list::view as list;
pub(super) use one::{plot, view as one};
