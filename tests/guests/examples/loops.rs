//! Runs forever on one row: fuel must end it.

use ephor_sdk::prelude::*;
use guests::{Listing, Nothing, Rule};

struct Loops;

#[policy(name = "loops", summary = "Never comes back from one row", events = ["retail.*"])]
impl Policy for Loops {
    type Fields<'a> = Listing<'a>;
    type Settings = Nothing;
    type State = ();
    type Rule = Rule;

    fn configure(_: Nothing) -> Result<Self, SettingsErrors> {
        Ok(Loops)
    }

    fn evaluate(&self, listing: Listing<'_>, (): &mut (), out: &mut Out<Rule>) {
        listing.see(out);
        while listing.is_boom() {
            std::hint::black_box(());
        }
    }
}
