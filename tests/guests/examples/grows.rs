//! Allocates without end on one row: the limit on memory must end it, before fuel does.

use ephor_sdk::prelude::*;
use guests::{Listing, Nothing, Rule};

struct Grows;

#[policy(name = "grows", summary = "Allocates without end on one row", events = ["retail.*"])]
impl Policy for Grows {
    type Fields<'a> = Listing<'a>;
    type Settings = Nothing;
    type State = ();
    type Rule = Rule;

    fn configure(_: Nothing) -> Result<Self, SettingsErrors> {
        Ok(Grows)
    }

    fn evaluate(&self, listing: Listing<'_>, (): &mut (), out: &mut Out<Rule>) {
        listing.see(out);
        let mut kept: Vec<Vec<u8>> = Vec::new();
        while listing.is_boom() {
            // Not written to: filling costs fuel, growing costs hardly any.
            kept.push(std::hint::black_box(Vec::with_capacity(256 << 10)));
        }
    }
}
