//! What the entries say of the content of events.

use super::Erasure;
use crate::ledger::entry::AboutContent;
use crate::ledger::limits::Keep;

/// What has to be here, as far as the entries were read.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// What is kept of the events that come next.
    pub keep: Keep,
    /// For how many days what was kept last is; nothing if that is for good, or nothing was.
    pub days: Option<u16>,
    /// All erasures, in the order of their entries.
    pub erasures: Vec<Erasure>,
    /// The last event that was to be kept.
    event: u64,
    /// Up to here the time of all is over.
    through: u64,
}

impl Account {
    /// The entry of an event.
    pub fn event(&mut self, sequence: u64) {
        if self.keep != Keep::Digest {
            self.event = sequence;
        }
    }

    /// An entry about content.
    pub fn note(&mut self, sequence: u64, entry: AboutContent<'_>) -> Result<(), String> {
        match entry {
            AboutContent::Keep(keep) => {
                self.keep = keep.keep().ok_or_else(|| format!("entry {sequence}: nothing is known of keeping {:?}", &*keep.events))?;
                self.days = self.days_of(self.keep);
            }
            AboutContent::Erasure(erasure) => {
                if erasure.is_expiry() {
                    self.through = self.through.max(erasure.through.unwrap_or(sequence));
                }
                self.erasures.push(Erasure { sequence, entry: erasure.into_owned() });
            }
        }
        Ok(())
    }

    /// For how many days what is kept is to be, if this is kept from now on. What was kept
    /// for days goes in its time, also where nothing is kept any more; but not where all is
    /// kept for good.
    pub fn days_of(&self, keep: Keep) -> Option<u16> {
        match keep {
            Keep::Days(days) => Some(days),
            Keep::Full => None,
            Keep::Digest => self.days,
        }
    }

    /// The last event of which something has to be here, be it that it was erased; 0 if
    /// there is none.
    pub fn needed(&self) -> u64 {
        if self.event > self.through { self.event } else { 0 }
    }
}
