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
            // Zeroed memory comes fresh from `memory.grow` and costs no fuel to fill.
            kept.push(std::hint::black_box(vec![0; 256 << 10]));
        }
    }
}
