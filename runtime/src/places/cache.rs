//! Findings that were looked up lately, so that moving a map does not read the ledger
//! again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Spots, Wanted};
use crate::archive::ArchiveError;

/// What is remembered: some megabytes each.
const REMEMBERED: usize = 4;

/// What was looked up lately. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Lately(Arc<Mutex<Found>>);

/// The latest first.
type Found = VecDeque<(Wanted, Arc<Spots>)>;

impl Lately {
    /// What was found for this, or what is found now. Only what names its last entry is
    /// remembered: the rest goes on.
    ///
    /// # Errors
    ///
    /// As the look-up has them.
    pub fn get(&self, wanted: &Wanted, find: impl FnOnce() -> Result<Spots, ArchiveError>) -> Result<Arc<Spots>, ArchiveError> {
        let known = |all: &Found| all.iter().find(|(known, _)| known == wanted).map(|(_, spots)| spots.clone());
        if let Some(spots) = known(&self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(spots);
        }
        let spots = Arc::new(find()?);
        if wanted.until.is_some() {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.truncate(REMEMBERED - 1);
            all.push_front((wanted.clone(), spots.clone()));
        }
        Ok(spots)
    }
}
