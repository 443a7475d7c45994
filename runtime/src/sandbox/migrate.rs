//! Turning the states of one release into those of the next.

use super::engine::explain;
use super::image::Image;

/// States that are migrated in one call, at first: halved when a call had too many.
const CALL_STATES: usize = 512;

impl Image {
    /// Makes states of this release out of states that a release of version `from`
    /// left; absent for a key that is to have none.
    ///
    /// # Errors
    ///
    /// Why a state cannot be taken over; then none is.
    pub fn migrate(&self, from: u32, states: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, String> {
        let max = self.sandbox.limits.state_bytes_max;
        let mut migrated = Vec::with_capacity(states.len());
        let mut call_states = CALL_STATES;
        let mut rest = states;
        while !rest.is_empty() {
            let some = &rest[..rest.len().min(call_states)];
            let made = self.store().and_then(|mut store| self.code.migrate(&mut store, from, some));
            let made = match made {
                Ok(made) => made?,
                // Honest states may together need more than one call has.
                Err(_) if some.len() > 1 => {
                    call_states = some.len() / 2;
                    continue;
                }
                Err(error) => return Err(explain(&error).1),
            };
            if made.len() != some.len() {
                return Err(format!("makes {} states out of {}", made.len(), some.len()));
            }
            if let Some(state) = made.iter().flatten().find(|state| state.len() > max) {
                return Err(format!("makes a state of {} bytes, at most {max}", state.len()));
            }
            migrated.extend(made);
            rest = &rest[some.len()..];
        }
        Ok(migrated)
    }
}
