//! Panics on one row, which is a trap.

use ephor_sdk::prelude::*;
use guests::{Listing, Nothing, Rule};

struct TrapsOnARow;

#[policy(name = "traps-on-a-row", summary = "Panics on one row", events = ["retail.*"])]
impl Policy for TrapsOnARow {
    type Fields<'a> = Listing<'a>;
    type Settings = Nothing;
    type State = ();
    type Rule = Rule;

    fn configure(_: Nothing) -> Result<Self, SettingsErrors> {
        Ok(TrapsOnARow)
    }

    fn evaluate(&self, listing: Listing<'_>, (): &mut (), out: &mut Out<Rule>) {
        listing.see(out);
        assert!(!listing.is_boom(), "the row that this guest cannot bear");
    }
}
