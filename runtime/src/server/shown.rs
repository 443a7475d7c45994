//! The token that somebody has shown, for an answer that goes on: a feed or a stream ends
//! with what it was begun with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::http::request::Parts;

use crate::access::Access;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// A token that was good when it was shown. Has no `Debug`: it is the token itself.
#[derive(Clone)]
pub(super) struct Shown {
    access: Arc<Access>,
    token: Box<str>,
    looked: Instant,
}

impl Shown {
    pub(super) fn new(access: &Arc<Access>, token: &str) -> Self {
        Shown { access: Arc::clone(access), token: token.into(), looked: Instant::now() }
    }

    /// That of a request, if it came with one.
    pub(super) fn of(parts: &Parts) -> Option<Self> {
        parts.extensions.get::<Shown>().cloned()
    }

    /// Whether it is still good, as of the latest look.
    pub(super) fn holds(&mut self) -> bool {
        if self.looked.elapsed() < LOOK {
            return true;
        }
        self.looked = Instant::now();
        self.access.bearer(&self.token).is_some()
    }
}
